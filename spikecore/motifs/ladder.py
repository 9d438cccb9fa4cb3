"""Motion from events: one kernel on a ladder of tick lengths, and how its answers combine.

A kernel of 21 delays sees speeds within a factor of 2.5. Run with ticks of 0.5 to 32 ms, the
same kernel covers 8 to 1,260 pixels a second; where the tick does not fit the speed, it says
"slower" or "faster". No choice of tick is needed: rungs speak up as far as they are sure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.camera import EventStream
from spikecore.errors import InvalidInput, UnknownName
from spikecore.interrupts import StopRequest
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.layer import KernelLayer, Sums
from spikecore.motifs.velocity import Velocity, decode, motions_of
from spikecore.progress import OnProgress

__all__ = ["TICKS", "LadderSums", "MotionSpikes", "make_layer", "shipped_kernel", "sweep"]

TICKS = (500, 1000, 2000, 4000, 8000, 16000, 32000)
"""Rungs of the ladder, us."""

COLD_TICKS = 3
"""Events in the first ticks of a stream have too little past to be read."""

FloatArray = npt.NDArray[np.float64]


def shipped_kernel() -> DelayKernel:
    """Return the kernel that comes with the package (38 classes, 115-fold pruned).

    Trained on synthetic scenes only, as ``spikecore motion train --seed 2 --device cuda``
    does; the factor of 4 by which its evidence is scaled was searched on other scenes.
    """
    return DelayKernel.load(Path(__file__).with_name("motion.npz"))


@dataclass(frozen=True, eq=False)
class MotionSpikes:
    """Output events of the layer: one for each event read that some rung is sure about.

    Attributes
    ----------
    index : ndarray of int64, shape (N,)
        Which input event.
    direction, speed : ndarray of float32, shape (N,)
        Of the winning class on the surest rung: rad; pixels a second.
    confidence : ndarray of float32, shape (N,)
        Its posterior probability.
    """

    index: npt.NDArray[np.int64]
    direction: npt.NDArray[np.float32]
    speed: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LadderSums:
    """What all rungs said about a grid of cells and time bins.

    Attributes
    ----------
    log_posterior : ndarray of float64, shape (T, Y, X, R, C)
        Summed over the events of each time bin and cell.
    counts : ndarray of int64, shape (T, Y, X, R)
        Events read.
    ticks : tuple of int
        Rungs, us.
    kernel : DelayKernel
        Whose classes these are.
    start, bin : int
        Start of the first time bin, and length of each, us.
    cell : int
        Side of a cell, pixels.
    spikes : MotionSpikes
        Output events.
    voxels, read : int
        Over all rungs: distinct voxels, and how many were read.
    complete : bool
        False if the sweep was stopped.
    reached : int
        Events taken in.
    """

    log_posterior: FloatArray
    counts: npt.NDArray[np.int64]
    ticks: tuple[int, ...]
    kernel: DelayKernel
    start: int
    bin: int
    cell: int
    spikes: MotionSpikes
    voxels: int = 0
    read: int = 0
    complete: bool = True
    reached: int = 0

    def over(self, window: int) -> LadderSums:
        """Return the sums of ``window`` successive time bins, at each bin."""
        window = min(window, len(self.counts))

        def moving(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, 0)])
            difference: npt.NDArray[Any] = total[window:] - total[:-window]
            return difference

        return replace(self, log_posterior=moving(self.log_posterior), counts=moving(self.counts))

    def velocity(self, axes: tuple[int, ...] = ()) -> Velocity:
        """Return the motion of each bin and cell, those along ``axes`` taken together."""
        return decode(self.log_posterior.sum(axes), self.counts.sum(axes), self.ticks, self.kernel)


def make_layer(
    backend: str, kernel: DelayKernel, width: int, height: int, tick: int
) -> KernelLayer:
    """Return the executor called ``backend``.

    Raises
    ------
    UnknownName
        If there is none of this name.
    BackendUnavailable
        If torch is not installed.
    """
    if backend == "event":
        from spikecore.motifs.sparse import EventLayer

        return EventLayer(kernel, width, height, tick)
    if backend == "clocked":
        from spikecore.motifs.clocked import ClockedLayer

        return ClockedLayer(kernel, width, height, tick)
    if backend == "torch":
        from spikecore.need_torch import need_torch

        need_torch()
        from spikecore.motifs.dense import DenseLayer

        return DenseLayer(kernel, width, height, tick)
    raise UnknownName("backend", backend, ("clocked", "event", "torch"))


def sweep(
    events: EventStream,
    kernel: DelayKernel,
    *,
    ticks: tuple[int, ...] = TICKS,
    backend: str = "event",
    bin: int = 50_000,
    cell: int | None = None,
    reads: int | None = 4_000,
    sure: float = 0.25,
    read_from: int | None = None,
    on_progress: OnProgress = lambda _done: None,
    stop: StopRequest | None = None,
) -> LadderSums:
    """Run a kernel on every rung of the ladder over a recording.

    Parameters
    ----------
    events : EventStream
        The recording.
    kernel : DelayKernel
        With motions as classes.
    ticks : tuple of int
        Rungs, us.
    backend : {"event", "clocked", "torch"}
        What runs the layer; all give the same answers.
    bin : int
        Time bins, us.
    cell : int, optional
        Side of a cell, pixels. Default: an eighth of the sensor, at least 8.
    reads : int, optional
        Read at most about so many events a bin and rung, evenly spread; all events are
        taken in. None reads every event.
    sure : float
        Posterior from which an event gives an output spike.
    read_from : int, optional
        Take events before this time (us) in, but do not read them: a lead-in. Default: all
        but the first ticks are read.
    on_progress : callable
        Told the number of events done.
    stop : StopRequest, optional
        Tested after each bin; what is done so far is returned.

    Raises
    ------
    InvalidInput
        If there are no events, or a length is not positive.
    """
    if not len(events):
        raise InvalidInput(
            "events",
            "is empty: there is no motion to see",
            got="0 events",
            fix="check the recording and the time window",
        )
    for name, value in (("bin", bin), ("cell", cell), ("reads", reads)):
        if value is not None and value < 1:
            raise InvalidInput(name, "must be at least 1", got=value, fix="leave it out")
    motions_of(kernel)
    if not 0.0 < sure <= 1.0:
        raise InvalidInput(
            "sure", "must lie above 0 and not above 1", got=sure, fix="it is a probability"
        )
    if cell is None:
        cell = max(8, -(-max(events.width, events.height) // 8))
    job = _Sweep(events, kernel, ticks, bin, cell, reads, sure, read_from)
    layers = [make_layer(backend, kernel, events.width, events.height, tick) for tick in ticks]
    for number in range(job.bins):
        for rung, layer in enumerate(layers):
            job.advance(number, rung, layer)
        on_progress(job.edges[0][number + 1] - job.edges[0][number])
        if stop:
            break
    return job.result(number + 1)


class _Sweep:
    """The state of a sweep: where bins begin, what was summed, who was surest."""

    def __init__(
        self,
        events: EventStream,
        kernel: DelayKernel,
        ticks: tuple[int, ...],
        length: int,
        cell: int,
        reads: int | None,
        sure: float,
        read_from: int | None,
    ) -> None:
        self.kernel, self.ticks, self.cell = kernel, ticks, cell
        self.length, self.reads, self.sure = length, reads, sure
        self.start = int(events.t[0])
        self.events = events.shifted(-self.start)
        times = self.events.t
        self.bins = int(times[-1]) // length + 1
        self.grid = (-(-events.height // cell), -(-events.width // cell))
        # A bin ends with the tick that its end falls into, so that ticks stay whole.
        ends = (np.arange(1, self.bins) * length)[None, :]
        whole = -(-ends // np.asarray(ticks)[:, None]) * np.asarray(ticks)[:, None]
        inner = np.searchsorted(times, whole)
        zeros, full = np.zeros((len(ticks), 1), np.int64), np.full((len(ticks), 1), times.size)
        self.edges = np.concatenate([zeros, inner, full], 1)
        place = (self.events.y // cell).astype(np.int32) * self.grid[1] + self.events.x // cell
        bins = (times // length).astype(np.int32)
        self.cells = (bins * (self.grid[0] * self.grid[1]) + place).astype(np.int32)
        self.lead_in = read_from is not None
        if read_from is not None:
            self.cells[times < read_from - self.start] = -1
        total = self.bins * self.grid[0] * self.grid[1]
        self.sums = [Sums.zeros(total, kernel.classes) for _ in ticks]
        self.confidence = np.zeros(times.size, np.float32)
        self.best = np.zeros(times.size, np.int32)
        self.directions, self.speeds = motions_of(kernel)
        self.inside = np.isfinite(self.directions)
        self.voxels = self.read = 0

    def advance(self, number: int, rung: int, layer: KernelLayer) -> None:
        """Take one bin of events in on one rung."""
        low, high = (int(e) for e in self.edges[rung, number : number + 2])
        if low == high:
            return
        part = self.events.where(slice(low, high))
        tick = self.ticks[rung]
        cells = self.cells[low:high]
        if number == 0 and not self.lead_in:
            cold = min(COLD_TICKS, int(self.events.t[-1]) // tick // 3)
            cells = np.where(part.t // tick >= cold, cells, -1).astype(np.int32)
        every = 1 if self.reads is None else max(1, -(-len(part) // self.reads))
        answers = layer.advance(part, cells=cells, sums=self.sums[rung], every=every)
        self.voxels += answers.voxels
        self.read += answers.read
        best, own = answers.best, self.confidence[low:high]
        better = (best >= 0) & self.inside[best] & (answers.confidence > own)
        own[better] = answers.confidence[better]
        self.best[low:high][better] = rung * self.kernel.classes + best[better]

    def result(self, done: int) -> LadderSums:
        """Return what was found in the first ``done`` bins."""
        shape = (self.bins, *self.grid)
        stack = [s.log_posterior.reshape(*shape, -1)[:done] for s in self.sums]
        counts = [s.counts.reshape(shape)[:done] for s in self.sums]
        sure = np.flatnonzero(self.confidence >= self.sure)
        rung, best = np.divmod(self.best[sure], self.kernel.classes)
        seconds = np.asarray(self.ticks)[rung] * 1e-6
        spikes = MotionSpikes(
            sure,
            self.directions[best].astype(np.float32),
            (self.speeds[best] / seconds).astype(np.float32),
            self.confidence[sure],
        )
        return LadderSums(
            np.stack(stack, -2).astype(np.float64),
            np.stack(counts, -1),
            self.ticks,
            self.kernel,
            self.start,
            self.length,
            self.cell,
            spikes,
            self.voxels,
            self.read,
            done == self.bins,
            int(self.edges[0, done]),
        )
