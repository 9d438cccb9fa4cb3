"""Write a network as one PyNN script with arrays, and what spikecore expects of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore import __version__
from spikecore.backends.lowering import Lowered, lower
from spikecore.errors import CapabilityRefused, InvalidInput, UnknownName
from spikecore.files import atomic_folder, check_folder, write_archive
from spikecore.network import Network
from spikecore.quantities import Quantity, ticks_of
from spikecore.randomness import check_seed
from spikecore.results import Result
from spikecore.simulate import run
from spikecore_hardware.pynn.description import describe
from spikecore_hardware.pynn.readme import readme
from spikecore_hardware.pynn.target import Settings, common_refusals
from spikecore_hardware.pynn.targets import TARGETS

__all__ = ["FORMAT", "Export", "Extra", "export_pynn"]

FORMAT = "spikecore-export-1"

Arrays = dict[str, npt.NDArray[Any]]
Archive = tuple[str, dict[str, Any], Arrays]


@dataclass(frozen=True)
class Extra:
    """What an export for one simulator has beside the rest.

    Attributes
    ----------
    texts : mapping of str to str
        Text files, by name.
    archives : callable
        Called once all is checked. Returns archives by name: format, plain values, arrays.
    preface : str
        What README.txt begins with.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    archives: Callable[[], Mapping[str, Archive]] = dict
    preface: str = ""


@dataclass(frozen=True)
class Export:
    """What was written, and what to know about it.

    Attributes
    ----------
    folder : str
    files : tuple of str
        Names in the folder.
    differences : dict of str to tuple of str
        Simulators that can run it, and what each does differently.
    refused : dict of str to tuple of str
        Simulators that cannot, and why.
    expected : dict of str to int
        Spikes of each population on spikecore.
    """

    folder: str
    files: tuple[str, ...]
    differences: dict[str, tuple[str, ...]]
    refused: dict[str, tuple[str, ...]]
    expected: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def export_pynn(
    network: Network,
    duration: Quantity,
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    targets: Iterable[str] | None = None,
    backend: str = "event",
    extra: Extra | None = None,
    force: bool = False,
) -> Export:
    """Write ``run.py`` with its arrays, and the spikes that ``backend`` finds.

    Parameters
    ----------
    network : Network
    duration : Quantity
        Length of the run (time); input spikes are drawn for it.
    folder : path
        Made if need be. Written at once or not at all.
    seed : int
        Of everything that is drawn.
    targets : iterable of str, optional
        ``"nest"``, ``"brian2"``, ``"spinnaker"``: all must be able to run the network.
        Default: all that can.
    backend : str
        What ``expected.npz`` comes from.
    extra : Extra, optional
        What else to write.
    force : bool
        Replace a folder that holds something.

    Returns
    -------
    Export

    Raises
    ------
    CapabilityRefused
        If a wanted simulator, or each of them, or the backend cannot run the network.
    UnknownName
        If there is no such simulator.
    FileRefused
        If the folder holds something, or cannot be written.
    InvalidInput
        If the run on ``backend`` is not complete.
    """
    check_folder(folder, force=force)
    extra = extra or Extra()
    wanted = tuple(TARGETS) if targets is None else tuple(targets)
    for name in wanted:
        if name not in TARGETS:
            raise UnknownName("for", name, TARGETS)
    ticks = int(ticks_of(duration, network.dt, "duration", minimum=1, single=True))
    lowered = lower(network, check_seed(seed))
    refused = _refusals(lowered, ticks, wanted, strict=targets is not None)
    able = [name for name in wanted if name not in refused]
    expected = _expect(network, duration, backend, seed)
    differences = {name: tuple(TARGETS[name].differences(lowered)) for name in able}
    counts = {p.name: len(expected.spikes[p.name]) for p in network.populations}
    description, arrays = describe(lowered, ticks)
    description["refused"] = refused
    description["targets"] = {
        name: _settings(TARGETS[name].settings(lowered), name, lowered, arrays) for name in able
    }
    manifest = {
        "format": FORMAT,
        "spikecore": __version__,
        **{key: description[key] for key in ("hash", "seed", "dt", "ticks")},
        "expected": {"backend": expected.provenance["backend"], "spikes": counts},
        "simulators": {name: {"differs": differences[name]} for name in able},
        "refused": refused,
    }
    texts = {
        "run.py": files("spikecore_hardware.pynn").joinpath("script.py").read_text("utf-8"),
        "network.json": json.dumps(description, indent=1) + "\n",
        "README.txt": extra.preface + readme(manifest),
        **extra.texts,
    }
    more = extra.archives()
    with atomic_folder(folder, force=force) as place:
        for name, archive in more.items():
            write_archive(place / name, *archive)
        _write(place, texts, arrays, expected, manifest)
        written = tuple(sorted(path.name for path in place.iterdir()))
    return Export(os.fspath(folder), written, differences, refused, counts)


def _expect(network: Network, duration: Quantity, backend: str, seed: int) -> Result:
    """Run the network on spikecore."""
    expected = run(network, duration, backend=backend, seed=seed)
    if expected.status != "complete":
        raise InvalidInput(
            "export",
            f"needs a complete run on {backend!r}, this one ended as {expected.status!r}",
            got=expected.message,
            fix="shorten the run, or mend the network",
        )
    return expected


def _write(
    place: Path,
    texts: Mapping[str, str],
    arrays: Arrays,
    expected: Result,
    manifest: dict[str, Any],
) -> None:
    """Fill the folder; the manifest comes last and holds the checksums of the other files."""
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(place / "arrays.npz", **named)
    expected.save(place / "expected.npz")
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(place.iterdir())
    }
    text = json.dumps(manifest | {"files": digests}, indent=1) + "\n"
    (place / "manifest.json").write_text(text, encoding="utf-8")


def _refusals(
    lowered: Lowered, ticks: int, wanted: tuple[str, ...], *, strict: bool
) -> dict[str, tuple[str, ...]]:
    """Return the reasons of the simulators that cannot; raise if too few are left."""
    general = list(common_refusals(lowered, ticks))
    refused = {
        name: tuple(reasons)
        for name in wanted
        if (reasons := [] if general else list(TARGETS[name].refusals(lowered)))
    }
    if general or (refused and (strict or len(refused) == len(wanted))):
        raise CapabilityRefused(
            "pynn", general + [f"{name}: {r}" for name, reasons in refused.items() for r in reasons]
        )
    return refused


def _settings(settings: Settings, name: str, lowered: Lowered, arrays: Arrays) -> dict[str, Any]:
    """Return the settings as plain values; initial potentials join the arrays."""
    initial = {}
    for number, p in enumerate(lowered.populations):
        i = p.unit.states.index("v")
        tau = np.broadcast_to(np.asarray(p.unit.parameters["tau_m"].value), (p.size,))
        back = np.exp(settings.lead * lowered.dt / tau)  # the equilibrium of the drive is 0
        key = f"population{number}_v_{name}"
        arrays[key] = p.initial[:, i] * back + np.broadcast_to(p.offset[:, i], (p.size,))
        initial[p.name] = key
    return asdict(settings) | {"initial": initial}
