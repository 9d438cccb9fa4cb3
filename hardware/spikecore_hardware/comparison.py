"""A run elsewhere, held against what spikecore expected when the network was exported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import FileRefused
from spikecore.events import Spikes
from spikecore.files import read_archive
from spikecore.results import Comparison, Result
from spikecore_hardware.spike_distance import van_rossum
from spikecore_hardware.spinnaker.readback import SynapseAgreement, compare_synapses

__all__ = [
    "RESULT_FORMAT",
    "Agreement",
    "PopulationAgreement",
    "compare_export",
    "compare_mapping",
]

Arrays = dict[str, npt.NDArray[Any]]

RESULT_FORMAT = "spikecore-pynn-result-1"


@dataclass(frozen=True)
class PopulationAgreement:
    """One population, expected and found.

    Attributes
    ----------
    name : str
    expected, found : int
        Spikes.
    expected_rate, found_rate : float
        Spikes per second and neuron.
    matched : int
        Spikes in the same tick on both sides.
    distance : float
        :func:`~spikecore_hardware.spike_distance.van_rossum`.
    """

    name: str
    expected: int
    found: int
    expected_rate: float
    found_rate: float
    matched: int
    distance: float


@dataclass(frozen=True)
class Agreement:
    """A result elsewhere against the expectation.

    Attributes
    ----------
    simulator : str
        Where the result comes from, with versions.
    populations : tuple of PopulationAgreement
    comparison : Comparison
        Missing: spikes that were expected. Extra: spikes of the result only.
    synapses : tuple of SynapseAgreement
        Final weights of synapses that learn, of a SpiNNaker board only.
    """

    simulator: str
    populations: tuple[PopulationAgreement, ...]
    comparison: Comparison
    synapses: tuple[SynapseAgreement, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether every spike, and every final weight that is known, is as expected."""
        return self.comparison.identical and all(s.equal for s in self.synapses)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "simulator": self.simulator,
            "identical": self.identical,
            "matched": self.comparison.matched,
            "missing": len(self.comparison.missing),
            "extra": len(self.comparison.extra),
            "first_divergence": self.comparison.first_divergence,
            "populations": [vars(p) for p in self.populations],
            "synapses": [vars(s) for s in self.synapses],
        }


def compare_export(folder: str | os.PathLike[str], result: str | os.PathLike[str]) -> Agreement:
    """Compare a result that ``run.py`` wrote with ``expected.npz`` of its folder.

    Raises
    ------
    FileRefused
        If a file is missing, damaged or of another kind, the result belongs to another
        network, seed or duration, or comes from a board that does not exist.
    """
    expected, meta, arrays = _read(folder, result)
    if meta.get("virtual"):
        raise FileRefused(
            os.fspath(result),
            "comes from a virtual board, which maps a network and runs nothing: that no neuron "
            "spiked says nothing",
            fix="run it on a board; --mapping compares weights and delays",
        )
    found = {
        name: Spikes(arrays[f"s{i}t"], arrays[f"s{i}n"], expected.dt)
        for i, name in enumerate(meta["populations"])
    }
    sides = [
        Result(spikes, {}, {}, expected.ticks, expected.dt, "complete")
        for spikes in (found, {name: expected.spikes[name] for name in found})
    ]
    versions = ", ".join(f"{name} {version}" for name, version in meta["versions"].items())
    return Agreement(
        simulator=f"{meta['simulator']} ({versions})",
        populations=tuple(
            _population(name, *sides, size=size)
            for name, size in zip(meta["populations"], meta["sizes"], strict=True)
        ),
        comparison=sides[0].compare(sides[1]),
        synapses=_synapses(folder, meta, arrays, after=True),
    )


def compare_mapping(
    folder: str | os.PathLike[str], result: str | os.PathLike[str]
) -> tuple[SynapseAgreement, ...]:
    """Compare the synapses that a virtual board has mapped with those of the mirror.

    Raises
    ------
    FileRefused
        As :func:`compare_export`, or if the result does not come from a virtual board.
    """
    _, meta, arrays = _read(folder, result)
    if not meta.get("virtual"):
        raise FileRefused(
            os.fspath(result),
            "does not come from a virtual board",
            fix="leave --mapping out to compare spikes",
        )
    return _synapses(folder, meta, arrays, after=False)


def _read(
    folder: str | os.PathLike[str], result: str | os.PathLike[str]
) -> tuple[Result, dict[str, Any], Arrays]:
    """Read expectation and result, and make sure that they belong together."""
    expected = Result.load(Path(folder) / "expected.npz")
    meta, arrays = read_archive(result, RESULT_FORMAT)
    wanted = {
        "hash": expected.provenance["network"],
        "seed": expected.provenance["seed"],
        "dt": expected.dt,
        "ticks": expected.ticks,
    }
    for name, value in wanted.items():
        if meta[name] != value:
            raise FileRefused(
                os.fspath(result),
                f"is not of this export: its {name} differs",
                got=f"{meta[name]}, not {value}",
                fix="compare it with the folder that it was run in",
            )
    return expected, meta, arrays


def _synapses(
    folder: str | os.PathLike[str], meta: dict[str, Any], arrays: Arrays, *, after: bool
) -> tuple[SynapseAgreement, ...]:
    names = meta.get("projections", {})
    rows = {name: arrays[key].astype(np.float64) for name, key in names.items()}
    return compare_synapses(folder, rows, after=after) if rows else ()


def _population(name: str, found: Result, expected: Result, *, size: int) -> PopulationAgreement:
    one, other = expected.spikes[name], found.spikes[name]
    seconds = expected.duration * 1e-3
    keys = [spikes.ticks * np.int64(size) + spikes.neurons for spikes in (one, other)]
    return PopulationAgreement(
        name=name,
        expected=len(one),
        found=len(other),
        expected_rate=len(one) / size / seconds,
        found_rate=len(other) / size / seconds,
        matched=int(np.intersect1d(keys[0], keys[1]).size),
        distance=van_rossum(one, other, size=size, ticks=expected.ticks),
    )
