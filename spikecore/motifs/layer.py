"""What every executor of a delay kernel has in common: voxels in, log posteriors out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.camera import EventStream
from spikecore.errors import InvalidInput
from spikecore.motifs.kernel import DelayKernel

__all__ = ["DUPLICATE", "FLOOR", "UNREAD", "Answers", "KernelLayer", "Sums"]

UNREAD, DUPLICATE = -1, -2
FLOOR = -20.0
"""Least log posterior that one voxel can give a class: no single event has a veto."""

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a layer said about the events of one call, in their order.

    Attributes
    ----------
    best : ndarray of int16, shape (N,)
        Class with most evidence; -1 not read out, -2 the pixel had an event of this
        polarity in this tick already.
    confidence : ndarray of float32, shape (N,)
        Posterior probability of that class.
    evidence : ndarray of float32, shape (N, C), or None
        Evidence of every class, where asked for.
    voxels, read, pairs : int
        Distinct (tick, pixel, polarity), how many were read out, and how many earlier
        events those read (0 for executors that read everything).
    """

    best: npt.NDArray[np.int16]
    confidence: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32] | None
    voxels: int
    read: int
    pairs: int


@dataclass(frozen=True, eq=False)
class Sums:
    """Log posteriors summed over the events of each cell; layers add to it.

    Attributes
    ----------
    log_posterior : ndarray of float32, shape (M, C)
        Natural logarithms; each event gives at least :data:`FLOOR`.
    counts : ndarray of int64, shape (M,)
        Events read.
    """

    log_posterior: npt.NDArray[np.float32]
    counts: IndexArray

    @classmethod
    def zeros(cls, cells: int, classes: int) -> Sums:
        """Return sums of nothing."""
        return cls(np.zeros((cells, classes), np.float32), np.zeros(cells, np.int64))


class KernelLayer(ABC):
    """A delay kernel at work on the events of one sensor, as they come.

    Parameters
    ----------
    kernel : DelayKernel
        What to look for.
    width, height : int
        Sensor, pixels.
    tick : int
        Length of a tick, us.

    Raises
    ------
    InvalidInput
        If the tick is not positive, or the kernel has more than two polarities.
    """

    def __init__(self, kernel: DelayKernel, width: int, height: int, tick: int) -> None:
        if tick < 1:
            raise InvalidInput(
                "KernelLayer.tick", "must be at least 1 us", got=tick, fix="1000 is a millisecond"
            )
        if kernel.polarities > 2:  # noqa: PLR2004
            raise InvalidInput(
                "KernelLayer.kernel",
                "may have 1 or 2 polarities: an event camera has no more",
                got=kernel.polarities,
                fix="run other layers dense: DelayConv",
            )
        self.kernel, self.width, self.height, self.tick = kernel, width, height, tick
        self._last = -1
        self._voxels = 0

    def advance(
        self,
        events: EventStream,
        *,
        cells: npt.NDArray[np.int32] | None = None,
        sums: Sums | None = None,
        every: int = 1,
        keep_evidence: bool = False,
    ) -> Answers:
        """Take in events and read the layer out at each.

        All events of a tick count for each other, so a call must hold whole ticks: do
        not split a stream within one.

        Parameters
        ----------
        events : EventStream
            Later than those of the call before.
        cells : ndarray of int32, shape (N,), optional
            Row of ``sums`` that each event counts for; -1: it is taken in, not read.
        sums : Sums, optional
            Gets the log posterior of each event added, at its cell.
        every : int
            Read out only one in so many voxels; all are taken in.
        keep_evidence : bool
            Return the evidence of every class.

        Raises
        ------
        InvalidInput
            If events lie in the past, or off the sensor.
        """
        if events.width > self.width or events.height > self.height:
            raise InvalidInput(
                "KernelLayer.advance",
                f"was made for {self.width} x {self.height} pixels",
                got=f"events of {events.width} x {events.height}",
                fix="make a layer for that sensor",
            )
        ticks = events.t // self.tick
        if len(ticks) and ticks[0] <= self._last:
            raise InvalidInput(
                "KernelLayer.advance",
                "needs events later than the last tick taken in",
                got=f"tick {ticks[0]} after tick {self._last}",
                fix="give whole ticks, in order; make a new layer to start again",
            )
        if cells is None:
            cells = np.zeros(len(events), np.int32)
        if sums is None:
            sums = Sums.zeros(1, self.kernel.classes)
        polarity = events.p.astype(np.int64) if self.kernel.polarities > 1 else 0 * ticks
        answers = self._advance(events, ticks, polarity, cells, sums, every, keep_evidence)
        if len(ticks):
            self._last = int(ticks[-1])
        self._voxels += answers.voxels
        return answers

    @abstractmethod
    def _advance(
        self,
        events: EventStream,
        ticks: IndexArray,
        polarity: IndexArray,
        cells: npt.NDArray[np.int32],
        sums: Sums,
        every: int,
        keep_evidence: bool,
    ) -> Answers:
        """Do what :meth:`advance` says; the input is checked."""

    def _chosen(
        self,
        events: EventStream,
        ticks: IndexArray,
        polarity: IndexArray,
        cells: npt.NDArray[np.int32],
        every: int,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which events are new voxels, and which of them to read."""
        place = (events.y.astype(np.int64) * self.width + events.x) * 2 + polarity
        key = (ticks - (ticks[0] if len(ticks) else 0)) * (2 * self.width * self.height) + place
        fresh = np.zeros(len(events), bool)
        fresh[np.unique(key, return_index=True)[1]] = True
        number = self._voxels + np.cumsum(fresh)
        return fresh, fresh & (cells >= 0) & (number % every == 0)


def read_out(
    evidence: npt.NDArray[np.float32],
    fresh: npt.NDArray[np.bool_],
    read: npt.NDArray[np.bool_],
    cells: npt.NDArray[np.int32],
    sums: Sums,
    keep_evidence: bool,
) -> Answers:
    """Turn the evidence (R, C) of the events to be read into answers, and add it up."""
    highest = evidence.max(1, keepdims=True, initial=-np.inf)
    total = np.exp(evidence - highest).sum(1, keepdims=True)
    log_posterior = np.maximum(evidence - highest - np.log(total), FLOOR)
    np.add.at(sums.log_posterior, cells[read], log_posterior)
    np.add.at(sums.counts, cells[read], 1)
    best = np.where(fresh, UNREAD, DUPLICATE).astype(np.int16)
    confidence = np.zeros(len(fresh), np.float32)
    if evidence.size:
        best[read] = evidence.argmax(1)
        confidence[read] = 1.0 / total[:, 0]
    kept = None
    if keep_evidence:
        kept = np.zeros((len(fresh), evidence.shape[1]), np.float32)
        kept[read] = evidence
    return Answers(best, confidence, kept, int(fresh.sum()), int(read.sum()), 0)
