"""Finding backends: by entry point, so that others can add theirs."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from spikecore.backends.protocol import Backend
from spikecore.errors import BackendUnavailable, InvalidInput, UnknownName

__all__ = ["ENTRY_POINT_GROUP", "backend_names", "get_backend", "split_backend"]

ENTRY_POINT_GROUP = "spikecore.backends"

_BUILT_IN = {
    "event": "spikecore.backends.event:EventBackend",
    "clocked": "spikecore.backends.clocked:ClockedBackend",
    "brian2": "spikecore.backends.brian2:Brian2Backend",
    "torch": "spikecore.backends.torch:TorchBackend",
    "spinnaker": "spikecore_hardware.spinnaker.backend:SpinnakerBackend",
}


_EXTRAS = frozenset({"brian2", "torch"})
"""Built-in backends that need an extra of the same name."""


@cache
def _entries() -> dict[str, EntryPoint]:
    # The built-in ones are listed here too, so that a plain source folder works.
    found = {name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in _BUILT_IN.items()}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(entry.name, entry)
    return found


def backend_names() -> tuple[str, ...]:
    """Return the names of all registered backends."""
    return tuple(_entries())


def split_backend(text: str) -> tuple[str, dict[str, str]]:
    """Part ``"brian2:target=cython"`` into the name and its options.

    Raises
    ------
    InvalidInput
        If something after the colon is not ``name=value``.
    """
    name, _, rest = text.partition(":")
    own = {}
    for part in filter(None, rest.split(",")):
        option, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(
                f"backend {name!r}",
                "takes options as name=value, joined by commas",
                got=part,
                fix="e.g. brian2:target=cython",
            )
        own[option.strip()] = value.strip()
    return name, own


def get_backend(name: str) -> Backend:
    """Return the backend called ``name``.

    Raises
    ------
    UnknownName
        If none is registered under that name.
    BackendUnavailable
        If it is registered but cannot be loaded here. There is no silent
        fall-back to another one.
    """
    entries = _entries()
    if name not in entries:
        raise UnknownName("backend", name, entries)
    try:
        backend: Backend = entries[name].load()()
    except (ImportError, AttributeError) as error:
        raise BackendUnavailable(
            f"backend {name!r}",
            "is registered but cannot be loaded",
            got=str(error),
            fix="reinstall spikecore with its dependencies"
            if name in _BUILT_IN and name not in _EXTRAS
            else f"pip install 'spikecore[{name}]', or choose backend='event'",
        ) from error
    return backend
