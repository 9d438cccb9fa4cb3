"""What a run returns, and how two runs are compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.events import Spikes
from spikecore.files import read_archive, write_archive

__all__ = ["Comparison", "Result", "Status", "Trace"]

Status = Literal["complete", "interrupted", "diverged", "runaway"]
FORMAT = "spikecore-result-1"


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded state.

    Attributes
    ----------
    ticks : ndarray of int64, shape (T,)
        When it was recorded.
    values : ndarray, shape (T, N)
        In the unit of the state (mV, nA).
    dt : float
        Length of a tick, ms.
    """

    ticks: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    dt: float = 1.0

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Recording times in ms, shape (T,)."""
        return self.ticks * np.float64(self.dt)


@dataclass(frozen=True)
class Comparison:
    """Differences between the spikes of two runs.

    Attributes
    ----------
    matched : int
        Spikes that both runs have.
    missing, extra : tuple of (str, int, int)
        (group, neuron, tick) that only the other run, or only this run, has;
        sorted by tick.
    """

    matched: int
    missing: tuple[tuple[str, int, int], ...]
    extra: tuple[tuple[str, int, int], ...]

    @property
    def identical(self) -> bool:
        """True if no spike is missing or extra."""
        return not self.missing and not self.extra

    @property
    def first_divergence(self) -> tuple[str, int, int] | None:
        """The earliest spike (group, neuron, tick) that only one run has."""
        both = [*self.missing[:1], *self.extra[:1]]
        return min(both, key=lambda entry: entry[2]) if both else None

    def __str__(self) -> str:
        text = f"{self.matched} matched, {len(self.missing)} missing, {len(self.extra)} extra"
        if self.first_divergence:
            group, neuron, tick = self.first_divergence
            text += f"; first divergence: {group}[{neuron}] in tick {tick}"
        return text


@dataclass(frozen=True, eq=False)
class Result:
    """Everything a run produced.

    Attributes
    ----------
    spikes : mapping of str to Spikes
        By group, inputs included.
    traces : mapping of str to Trace
        By ``"population.state"``.
    weights : mapping of str to ndarray
        Final weights of plastic projections, in the order the synapses were given.
    ticks : int
        Ticks run.
    dt : float
        Length of a tick, ms.
    status : {"complete", "interrupted", "diverged", "runaway"}
        Why the run ended. Whatever the status, all results up to ``ticks`` are kept.
    message : str
        Where and why, if the status is not "complete".
    counters : mapping of str to int
        ``spikes``, ``sent``, ``delivered``, ``pending`` (synaptic events), ``updates``.
    provenance : mapping of str to str or int
        Network hash, seed, backend, precision, versions.
    notes : tuple of str
        Things worth knowing that are not errors.
    """

    spikes: Mapping[str, Spikes]
    traces: Mapping[str, Trace]
    weights: Mapping[str, npt.NDArray[np.float64]]
    ticks: int
    dt: float
    status: Status
    message: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Model time run, ms."""
        return self.ticks * self.dt

    def compare(self, other: Result) -> Comparison:
        """Compare the spikes of this run with those of ``other``.

        Raises
        ------
        InvalidInput
            If the runs have different groups or a different dt.
        """
        if set(self.spikes) != set(other.spikes) or self.dt != other.dt:
            raise InvalidInput(
                "Result.compare",
                "needs two runs with the same groups and dt",
                got=f"{sorted(self.spikes)} at {self.dt} ms and "
                f"{sorted(other.spikes)} at {other.dt} ms",
                fix="compare runs of one network",
            )
        matched = 0
        only: list[list[tuple[str, int, int]]] = [[], []]
        for name, own in self.spikes.items():
            pairs = [_keys(own), _keys(other.spikes[name])]
            shared, counts = _overlap(*pairs)
            matched += shared
            for side, rest in zip(only, counts, strict=True):
                side.extend((name, int(k & 0xFFFFFFFF), int(k >> 32)) for k in rest)
        extra, missing = (tuple(sorted(side, key=lambda e: (e[2], e[0], e[1]))) for side in only)
        return Comparison(matched, missing, extra)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to one ``.npz`` file, atomically.

        Raises
        ------
        FileRefused
            If the file cannot be written; an older file stays as it was.
        """
        arrays: dict[str, npt.NDArray[Any]] = {}
        for i, (_, s) in enumerate(self.spikes.items()):
            arrays[f"s{i}t"], arrays[f"s{i}n"] = s.ticks, s.neurons
        for i, (_, t) in enumerate(self.traces.items()):
            arrays[f"t{i}t"], arrays[f"t{i}v"] = t.ticks, t.values
        for i, (_, w) in enumerate(self.weights.items()):
            arrays[f"w{i}"] = w
        meta = {
            "groups": list(self.spikes),
            "traces": list(self.traces),
            "weights": list(self.weights),
            "ticks": self.ticks,
            "dt": self.dt,
            "status": self.status,
            "message": self.message,
            "counters": dict(self.counters),
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
        }
        write_archive(path, FORMAT, meta, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """Read a result written by :meth:`save`.

        Raises
        ------
        FileRefused
            If the file is missing, damaged or of another kind.
        """
        meta, arrays = read_archive(path, FORMAT)
        dt = float(meta["dt"])
        return cls(
            spikes={
                n: Spikes(arrays[f"s{i}t"], arrays[f"s{i}n"], dt)
                for i, n in enumerate(meta["groups"])
            },
            traces={
                n: Trace(arrays[f"t{i}t"], arrays[f"t{i}v"], dt)
                for i, n in enumerate(meta["traces"])
            },
            weights={n: arrays[f"w{i}"] for i, n in enumerate(meta["weights"])},
            ticks=meta["ticks"],
            dt=dt,
            status=meta["status"],
            message=meta["message"],
            counters=meta["counters"],
            provenance=meta["provenance"],
            notes=tuple(meta["notes"]),
        )


def _keys(spikes: Spikes) -> npt.NDArray[np.int64]:
    return (spikes.ticks << 32) | spikes.neurons


def _overlap(
    a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> tuple[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Count entries that both have (with multiplicity) and return what only one has."""
    keys = np.union1d(a, b)
    in_a = np.bincount(np.searchsorted(keys, a), minlength=keys.size)
    in_b = np.bincount(np.searchsorted(keys, b), minlength=keys.size)
    shared = np.minimum(in_a, in_b)
    return int(shared.sum()), (np.repeat(keys, in_a - shared), np.repeat(keys, in_b - shared))
