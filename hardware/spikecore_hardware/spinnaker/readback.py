"""Synapses that a board, or the virtual one, gave back, against those of the mirror."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikecore.errors import FileRefused
from spikecore.files import read_archive
from spikecore_hardware.spinnaker.export import MIRROR_FORMAT

__all__ = ["SynapseAgreement", "compare_synapses"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SynapseAgreement:
    """The synapses of one projection.

    Attributes
    ----------
    name : str
    synapses, found : int
        As exported, and as read back.
    astray : int
        Synapses that were read back with other ends or another delay, or not at all.
    differing : int
        Of the others, those whose weight is not exactly that of the mirror.
    largest : float
        Largest difference of weights, nA.
    """

    name: str
    synapses: int
    found: int
    astray: int
    differing: int
    largest: float

    @property
    def equal(self) -> bool:
        """Whether every synapse is exactly as the mirror has it."""
        return not (self.astray or self.differing or self.found != self.synapses)


def compare_synapses(
    folder: str | os.PathLike[str],
    projections: dict[str, FloatArray],
    *,
    after: bool,
) -> tuple[SynapseAgreement, ...]:
    """Compare synapses that were read back with those of the mirror.

    Parameters
    ----------
    folder : path
        Of an export for SpiNNaker.
    projections : dict of str to ndarray of float64, shape (S, 4)
        Pre, post, delay (ticks) and weight (nA) of each synapse, by projection.
    after : bool
        Whether they are from after the run.

    Raises
    ------
    FileRefused
        If ``mirror.npz`` is missing or damaged, or has no such projection.
    """
    meta, arrays = read_archive(Path(folder) / "mirror.npz", MIRROR_FORMAT)
    found = []
    for name, rows in projections.items():
        if name not in meta["projections"]:
            raise FileRefused(
                os.fspath(folder),
                "has no such projection in mirror.npz",
                got=name,
                fix="compare with the folder that the script was run in",
            )
        i = meta["projections"].index(name)
        expected = arrays[f"p{i}"].astype(np.float64)
        expected[:, 3] = (arrays[f"f{i}"] if after else expected[:, 3]) * float(arrays[f"s{i}"])
        found.append(_agreement(name, _sorted(expected), _sorted(rows)))
    return tuple(found)


def _sorted(rows: FloatArray) -> FloatArray:
    """Return synapses in the order of pre, post, delay and weight, weights without a sign."""
    plain = np.concatenate([rows[:, :3], np.abs(rows[:, 3:])], axis=1)
    ordered: FloatArray = plain[np.lexsort(plain.T[::-1])]
    return ordered


def _agreement(name: str, expected: FloatArray, rows: FloatArray) -> SynapseAgreement:
    if expected.shape == rows.shape:
        same = (expected[:, :3] == rows[:, :3]).all(axis=1)
        apart = np.abs(expected[same, 3] - rows[same, 3])
        astray, differing = int((~same).sum()), int((apart > 0.0).sum())
        largest = float(apart.max(initial=0.0))
    else:
        astray, differing, largest = len(expected), 0, 0.0
    return SynapseAgreement(name, len(expected), len(rows), astray, differing, largest)
