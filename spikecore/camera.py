"""Event-camera recordings: pixel, time and polarity of every event, validated once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName
from spikecore.quantities import require

__all__ = ["EventStream"]

MAX_SENSOR = 1 << 15
"""Coordinates are kept in 16 bits."""

ROLLOVERS = (1 << 13, 1 << 16, 1 << 23, 1 << 24, 1 << 32, 1 << 34)
"""Where the clocks of known formats start again from zero, us."""

DISORDER = ("refuse", "sort", "unwrap")


@dataclass(frozen=True, eq=False)
class EventStream:
    """Events of one camera, in order of time.

    Attributes
    ----------
    x, y : ndarray of int16, shape (N,)
        Column and row; x points right, y points down.
    t : ndarray of int64, shape (N,)
        Time, us, never going back.
    p : ndarray of uint8, shape (N,)
        Polarity: 1 brighter (ON), 0 darker (OFF).
    width, height : int
        Size of the sensor, pixels.
    notes : tuple of str
        What was repaired on request when the stream was made.
    """

    x: npt.NDArray[np.int16]
    y: npt.NDArray[np.int16]
    t: npt.NDArray[np.int64]
    p: npt.NDArray[np.uint8]
    width: int
    height: int
    notes: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        t: npt.ArrayLike,
        p: npt.ArrayLike,
        *,
        sensor: tuple[int, int] | None = None,
        place: str = "events",
        disorder: str = "refuse",
    ) -> EventStream:
        """Validate events given by a user or read from a file.

        Parameters
        ----------
        x, y : array_like of int, shape (N,)
            Column and row of each event.
        t : array_like of int, shape (N,)
            Time of each event, us.
        p : array_like, shape (N,)
            Polarity: 0 and 1, -1 and 1, or booleans.
        sensor : tuple of int, optional
            Width and height. Default: just large enough for the events.
        place : str
            How errors name the stream.
        disorder : {"refuse", "sort", "unwrap"}
            What to do where time goes back: refuse; sort the events; or add the
            clock's period at each rollover. The last two leave a note.

        Raises
        ------
        InvalidInput
            If lengths differ, a field is not of integers, an event lies off the
            sensor, a polarity is neither of two values, or a time is negative or
            (with "refuse") goes back.
        UnknownName
            If ``disorder`` is something else.
        """
        if disorder not in DISORDER:
            raise UnknownName(f"{place}.disorder", disorder, DISORDER)
        fields = {"x": np.asarray(x), "y": np.asarray(y), "t": np.asarray(t), "p": np.asarray(p)}
        _check_fields(fields, place)
        width, height = _check_sensor(fields, sensor, place)
        times = fields["t"].astype(np.int64)
        require(times, times >= 0, f"{place}.t", "must not be negative", "us", "start at 0")
        polarity = _polarity(fields["p"], place)
        notes: tuple[str, ...] = ()
        order: Any = slice(None)
        back = np.flatnonzero(np.diff(times) < 0)
        if back.size:
            times, order, notes = _mend_order(times, back, place, disorder)
        return cls(
            fields["x"][order].astype(np.int16),
            fields["y"][order].astype(np.int16),
            times,
            polarity[order],
            width,
            height,
            notes,
        )

    def __len__(self) -> int:
        return int(self.t.size)

    @property
    def duration(self) -> float:
        """From the first event to the last, s."""
        return float(self.t[-1] - self.t[0]) * 1e-6 if len(self) else 0.0

    @property
    def rate(self) -> float:
        """Events a second, over the whole stream."""
        return len(self) / self.duration if self.duration else 0.0

    def between(self, start: int, stop: int) -> EventStream:
        """Return the events of ``start <= t < stop`` (us), their times unchanged."""
        low, high = np.searchsorted(self.t, [start, stop])
        return self.where(slice(int(low), int(high)))

    def where(self, chosen: slice | npt.NDArray[Any]) -> EventStream:
        """Return the chosen events (a slice, a mask or increasing indices)."""
        return replace(self, x=self.x[chosen], y=self.y[chosen], t=self.t[chosen], p=self.p[chosen])

    def shifted(self, offset: int) -> EventStream:
        """Return the events with ``offset`` (us) added to their times.

        Raises
        ------
        InvalidInput
            If a time would become negative.
        """
        times = self.t + np.int64(offset)
        require(times, times >= 0, "shifted.t", "must not be negative", "us", "shift by less")
        return replace(self, t=times)


def _check_fields(fields: dict[str, npt.NDArray[Any]], place: str) -> None:
    sizes = {name: array.shape for name, array in fields.items()}
    if len(set(sizes.values())) != 1 or fields["x"].ndim != 1:
        raise InvalidInput(
            place,
            "x, y, t and p must be one-dimensional and of one length",
            got=", ".join(f"{name} {shape}" for name, shape in sizes.items()),
            fix="give column, row, time and polarity of each event",
        )
    for name in ("x", "y", "t"):
        if fields[name].size and fields[name].dtype.kind not in "iu":
            fix = "convert with .astype(int)"
            if name == "t":
                fix = "give microseconds: (seconds * 1e6).astype(np.int64), or (ms * 1e3)"
            raise InvalidInput(
                f"{place}.{name}", "must hold integers", got=fields[name].dtype, fix=fix
            )


def _check_sensor(
    fields: dict[str, npt.NDArray[Any]], sensor: tuple[int, int] | None, place: str
) -> tuple[int, int]:
    given: Any = sensor
    if given is None:
        given = [int(fields[name].max(initial=0)) + 1 for name in ("x", "y")]
    try:
        width, height = (index(side) for side in given)
    except (TypeError, ValueError):
        width = height = 0
    if not (1 <= width <= MAX_SENSOR and 1 <= height <= MAX_SENSOR):
        raise InvalidInput(
            f"{place}.sensor",
            f"must be width and height, 1 .. {MAX_SENSOR} each",
            got=given,
            fix="e.g. sensor=(346, 260)",
        )
    for name, side in (("x", width), ("y", height)):
        require(
            fields[name],
            (fields[name] >= 0) & (fields[name] < side),
            f"{place}.{name}",
            f"must lie on the sensor, 0 .. {side - 1}",
            fix="give the sensor that recorded it (--sensor WxH), or drop these events",
        )
    return width, height


def _polarity(p: npt.NDArray[Any], place: str) -> npt.NDArray[np.uint8]:
    if p.dtype.kind == "b":
        return p.astype(np.uint8)
    fix = "use 1 for ON, and 0 or -1 for OFF"
    if p.size and p.dtype.kind not in "iu":
        raise InvalidInput(f"{place}.p", "must hold integers or booleans", got=p.dtype, fix=fix)
    signed = bool(np.any(p == -1)) if p.dtype.kind == "i" else False
    low = -1 if signed else 0
    require(p, (p == 1) | (p == low), f"{place}.p", f"must be {low} or 1", fix=fix)
    polarity: npt.NDArray[np.uint8] = (p == 1).astype(np.uint8)
    return polarity


def _mend_order(
    times: npt.NDArray[np.int64], back: npt.NDArray[np.intp], place: str, disorder: str
) -> tuple[npt.NDArray[np.int64], Any, tuple[str, ...]]:
    """Return times that never go back, the order of the events, and what was done."""
    period = _rollover_period(times, back)
    if disorder == "sort":
        order = np.argsort(times, kind="stable")
        return times[order], order, (f"{place}: sorted, time went back {back.size} times",)
    if disorder == "unwrap" and period:
        laps = np.zeros(times.size, np.int64)
        laps[back + 1] = period
        unwrapped = times + np.cumsum(laps)
        return unwrapped, slice(None), (f"{place}: {back.size} rollovers of {period} us undone",)
    first = int(back[0]) + 1
    if period:
        rule, fix = f"goes back as a clock of {period} us does at a rollover", "disorder='unwrap'"
    else:
        rule, fix = "must not go back", "disorder='sort' if the order of events does not matter"
    raise InvalidInput(
        f"{place}.t",
        rule,
        got=f"{times[first]} us after {times[first - 1]} us",
        index=first,
        count=back.size,
        fix=fix,
    )


def _rollover_period(times: npt.NDArray[np.int64], back: npt.NDArray[np.intp]) -> int:
    """Return the period of the clock if every step back looks like a rollover, else 0.

    A rollover drops from the last tenth of a known clock's range to its first tenth.
    """
    top = int(times.max())
    period = next((p for p in ROLLOVERS if top < p), 0)
    if not period:
        return 0
    before, after = times[back], times[back + 1]
    fits = np.all(before > 0.9 * period) and np.all(after < 0.1 * period)
    return period if fits else 0
