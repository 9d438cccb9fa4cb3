"""Where things move in a recording, and how fast: the whole pipeline in one call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spikecore.camera import EventStream
from spikecore.interrupts import StopRequest
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.ladder import TICKS, LadderSums, shipped_kernel, sweep
from spikecore.motifs.velocity import Velocity
from spikecore.progress import OnProgress

__all__ = ["Motion", "MovingPart", "detect", "hot_pixels", "rotation_sense"]

HOT = (40, 30.0)
"""A pixel is hot with more events than the first number, and than the second times the mean."""

SAME_ANGLE, SAME_SPEED = np.pi / 4, 1.8
"""Cells belong to one moving part if they differ by no more than this angle and factor."""

LEAST_EVENTS, LEAST_STRENGTH, LEAST_SHARE = 50, 0.25, 0.1
"""What a cell must have to be grouped, and what share of events a part must have."""


@dataclass(frozen=True)
class MovingPart:
    """One of the motions in view.

    Attributes
    ----------
    direction, speed : float
        rad (x right, y down) and pixels a second.
    share : float
        Share of the events of all grouped cells.
    cells : int
        How many cells of the picture.
    """

    direction: float
    speed: float
    share: float
    cells: int


@dataclass(frozen=True, eq=False)
class Motion:
    """What :func:`detect` found.

    Attributes
    ----------
    events : EventStream
        The recording, without hot pixels.
    sums : LadderSums
        What the rungs of the ladder said, by time bin and cell; ``sums.spikes`` are the
        output events, whose ``index`` counts through ``events``.
    window : int
        Time bins that make a window.
    hot : int
        Hot pixels left out.
    seconds : float
        How long it took.
    backend : str
        What ran the layers.
    """

    events: EventStream
    sums: LadderSums
    window: int
    hot: int
    seconds: float
    backend: str

    @cached_property
    def overall(self) -> Velocity:
        """One velocity for the whole recording, arrays of shape ()."""
        return self.sums.velocity((0, 1, 2))

    @cached_property
    def windows(self) -> Velocity:
        """One velocity for each window, shape (T,)."""
        return self.sums.over(self.window).velocity((1, 2))

    @cached_property
    def times(self) -> npt.NDArray[np.int64]:
        """Start and end of each window, us, shape (T, 2)."""
        count = len(self.windows.speed)
        start = self.sums.start + np.arange(count) * self.sums.bin
        width = min(self.window, len(self.sums.counts)) * self.sums.bin
        return np.stack([start, np.minimum(start + width, self.events.t[-1] + 1)], 1)

    @cached_property
    def field(self) -> Velocity:
        """One velocity for each cell of the picture, over the whole recording, (Y, X)."""
        return self.sums.velocity((0,))

    @cached_property
    def parts(self) -> tuple[MovingPart, ...]:
        """The motions in view, told apart by place, largest first."""
        return moving_parts(self.field)

    @cached_property
    def rotation(self) -> float:
        """Sense of rotation: see :func:`rotation_sense`, over the whole recording."""
        return rotation_sense(self)


def hot_pixels(events: EventStream) -> npt.NDArray[np.bool_]:
    """Return which events come from pixels that fire all the time, shape (N,).

    A pixel is hot if it has more than 40 events and more than 30 times the mean of all
    pixels that have any.
    """
    place = events.y.astype(np.int64) * events.width + events.x
    counts = np.bincount(place, minlength=1)
    some = counts[counts > 0]
    limit = max(HOT[0], HOT[1] * float(some.mean())) if some.size else HOT[0]
    hot: npt.NDArray[np.bool_] = counts[place] > limit
    return hot


def detect(
    events: EventStream,
    *,
    kernel: DelayKernel | None = None,
    backend: str = "event",
    ticks: Sequence[int] = TICKS,
    bin: int = 50_000,
    window: int = 2,
    cell: int | None = None,
    reads: int | None = 4_000,
    keep_hot: bool = False,
    on_progress: OnProgress = lambda _done: None,
    stop: StopRequest | None = None,
) -> Motion:
    """Find direction and speed of motion over time and over the image.

    Parameters
    ----------
    events : EventStream
        The recording.
    kernel : DelayKernel, optional
        With motions as classes. Default: the one that comes with the package.
    backend : {"event", "clocked", "torch"}
        What runs the layers; all give the same answers.
    ticks : sequence of int
        Rungs of the ladder, us.
    bin : int
        Time bins, us.
    window : int
        Bins that make a window; one window starts at each bin.
    cell : int, optional
        Side of the cells of the picture, pixels. Default: an eighth of the sensor.
    reads : int or None
        Read at most about so many events a bin and rung (all are taken in); None: all.
    keep_hot : bool
        Leave pixels in that fire all the time.
    on_progress : callable
        Told the number of events done.
    stop : StopRequest, optional
        Tested after each bin; what is found so far is returned.

    Returns
    -------
    Motion

    Raises
    ------
    InvalidInput, UnknownName, BackendUnavailable
        If there are no events, an option is out of range, or a backend does not exist or
        lacks its package.
    """
    begun = time.perf_counter()
    hot = 0
    if not keep_hot and len(events):
        noisy = hot_pixels(events)
        if noisy.any():
            place = events.y.astype(np.int64)[noisy] * events.width + events.x[noisy]
            hot = len(np.unique(place))
            events = events.where(~noisy)
    sums = sweep(
        events,
        shipped_kernel() if kernel is None else kernel,
        ticks=tuple(ticks),
        backend=backend,
        bin=bin,
        cell=cell,
        reads=reads,
        on_progress=on_progress,
        stop=stop,
    )
    return Motion(events, sums, window, hot, time.perf_counter() - begun, backend)


LEAD_IN = 400_000
"""us of events that a segment of a longer recording is read after."""


def segment_velocity(
    events: EventStream, start: int, stop: int, *, kernel: DelayKernel, fresh: bool, backend: str
) -> Velocity:
    """Return the one velocity of ``start <= t < stop`` (us); see :class:`Segment`."""
    if fresh:
        part = events.between(start, stop)
        return sweep(part, kernel, backend=backend, reads=None).velocity((0, 1, 2))
    part = events.between(start - LEAD_IN, stop)
    return sweep(part, kernel, backend=backend, reads=None, read_from=start).velocity((0, 1, 2))


def moving_parts(field: Velocity) -> tuple[MovingPart, ...]:
    """Group cells (Y, X) of like velocity, the heaviest first."""
    weight = np.where(
        (field.events >= LEAST_EVENTS) & (field.strength >= LEAST_STRENGTH),
        field.events * field.strength,
        0.0,
    ).ravel()
    direction, speed = field.direction.ravel(), field.speed.ravel()
    left, parts = weight > 0.0, []
    while left.any():
        seed = int(np.argmax(np.where(left, weight, 0.0)))
        turn = np.abs((direction - direction[seed] + np.pi) % (2 * np.pi) - np.pi)
        ratio = np.abs(np.log(speed / speed[seed]))
        own = left & (turn <= SAME_ANGLE) & (ratio <= np.log(SAME_SPEED))
        w = weight[own] / weight[own].sum()
        angle = float(np.angle((w * np.exp(1j * direction[own])).sum()))
        together = float(np.exp((w * np.log(speed[own])).sum()))
        share = float(weight[own].sum() / weight.sum())
        parts.append(MovingPart(angle, together, share, int(own.sum())))
        left &= ~own
    large = [part for part in parts if part.share >= LEAST_SHARE]
    return tuple(sorted(large, key=lambda part: -part.share))


def rotation_sense(motion: Motion, start: int | None = None, stop: int | None = None) -> float:
    """Return how much the output events turn around their middle, -1 to 1.

    The mean of the cross product of arm and direction, over that of the arm's length;
    the middle is the mean place of all output events of the recording. Positive is
    clockwise on screen.

    Parameters
    ----------
    motion : Motion
        What was found.
    start, stop : int, optional
        Only output events of these times, us.
    """
    spikes, events = motion.sums.spikes, motion.events
    x, y = events.x[spikes.index].astype(np.float64), events.y[spikes.index].astype(np.float64)
    times, w = events.t[spikes.index], spikes.confidence.astype(np.float64)
    if not w.size:
        return 0.0
    arm_x, arm_y = x - np.average(x, weights=w), y - np.average(y, weights=w)
    inside = np.ones(w.size, bool)
    if start is not None:
        inside &= times >= start
    if stop is not None:
        inside &= times < stop
    turn = arm_x * np.sin(spikes.direction) - arm_y * np.cos(spikes.direction)
    arms = float((w * np.hypot(arm_x, arm_y))[inside].sum())
    return float((w * turn)[inside].sum()) / arms if arms else 0.0
