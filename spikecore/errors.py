"""Errors that say where, which rule, what was given, and how to mend it.

Every check of the package raises one of these before any work starts. The
command line turns :attr:`SpikecoreError.exit_code` into its exit status.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeVar

__all__ = [
    "BackendUnavailable",
    "CapabilityRefused",
    "FileRefused",
    "InvalidInput",
    "SpikecoreError",
    "StoreBusy",
    "UnitMismatch",
    "UnknownName",
    "names_its_parameters",
]

_NAMES_SHOWN = 12

T = TypeVar("T")


class SpikecoreError(Exception):
    """Base of all errors that spikecore raises on purpose.

    Parameters
    ----------
    place : str
        What was wrong, as the user would name it, e.g. ``"LIF.tau_m"``.
    rule : str
        The rule that was broken, e.g. ``"must be greater than 0 ms"``.
    got : object, optional
        The offending value.
    index : int, optional
        Position of the first offending entry, where the value is an array.
    count : int, optional
        How many entries offend.
    fix : str, optional
        What the user can do about it.
    """

    exit_code: ClassVar[int] = 3

    def __init__(
        self,
        place: str,
        rule: str,
        *,
        got: object = None,
        index: int | None = None,
        count: int | None = None,
        fix: str | None = None,
    ) -> None:
        self.place = place
        self.rule = rule
        self.got = got
        self.index = index
        self.count = count
        self.fix = fix
        super().__init__(self._text())

    def _text(self) -> str:
        details = []
        if self.got is not None:
            details.append(f"got {self.got}")
        if self.index is not None:
            details.append(f"first at index {self.index}")
        if self.count is not None and self.count > 1:
            details.append(f"{self.count} in all")
        text = f"{self.place}: {self.rule}"
        if details:
            text += f" ({', '.join(details)})"
        if self.fix:
            text += f". Fix: {self.fix}"
        return text


class InvalidInput(SpikecoreError, ValueError):
    """A value that breaks a rule: range, shape, grid, order, finiteness."""


class UnitMismatch(InvalidInput):
    """A number without its unit, or with the unit of another quantity."""


class UnknownName(InvalidInput):
    """A name that does not exist; the message offers the nearest one."""

    def __init__(self, place: str, name: str, known: Iterable[str]) -> None:
        options = sorted(known)
        folded = {option.casefold(): option for option in options}
        near = [folded[n] for n in difflib.get_close_matches(name.casefold(), folded, n=1)]
        if near:
            fix = f"did you mean {near[0]!r}?"
        elif options:
            shown = ", ".join(repr(option) for option in options[:_NAMES_SHOWN])
            fix = f"use one of {shown}" + (", ..." if len(options) > _NAMES_SHOWN else "")
        else:
            fix = "nothing of this kind has been defined yet"
        super().__init__(place, f"unknown name {name!r}", fix=fix)
        self.name = name


class FileRefused(InvalidInput):
    """A file of another kind, version or network, or a damaged one."""


class StoreBusy(SpikecoreError):
    """Another process holds the file; nothing was changed."""


class BackendUnavailable(SpikecoreError):
    """The backend, or the optional package, asked for is not installed or cannot start here."""

    exit_code: ClassVar[int] = 4


class CapabilityRefused(SpikecoreError):
    """The backend cannot keep its promise for this network; all reasons at once.

    Parameters
    ----------
    backend : str
        Name of the backend.
    reasons : sequence of str
        Every reason found, not only the first.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, backend: str, reasons: Sequence[str]) -> None:
        self.backend = backend
        self.reasons = tuple(reasons)
        listed = "; ".join(f"({n}) {reason}" for n, reason in enumerate(reasons, 1))
        super().__init__(
            f"backend {backend!r}",
            f"cannot run this network: {listed}",
            fix="change the network or choose another backend (event runs everything)",
        )


def names_its_parameters(cls: type[T]) -> type[T]:
    """Class decorator: an unknown parameter raises UnknownName with the nearest name."""
    init = cls.__init__
    known = list(inspect.signature(cls).parameters)

    @functools.wraps(init)
    def checked(self: T, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in known:
                raise UnknownName(cls.__name__, name, known)
        init(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[method-assign,assignment]
    return cls
