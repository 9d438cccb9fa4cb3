"""Physical quantities: a number or an array, with its dimension.

Only what a spiking network needs: time, voltage, current, capacitance,
resistance, rate, and for glia concentration. Values are kept in one canonical
unit per dimension (ms, mV, nA, nF, MOhm, Hz, uM), in which ``mV = nA * MOhm`` and
``ms = MOhm * nF``, so no factor ever hides in an equation. States without a unit
(the share of open channels) are plain numbers.

>>> from spikecore import ms, mV
>>> 10 * ms
10 ms
>>> (0.5 * ms).to(ms)
0.5
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnitMismatch, UnknownName

__all__ = [
    "Hz",
    "MOhm",
    "Quantity",
    "mM",
    "mV",
    "magnitude",
    "ms",
    "nA",
    "nF",
    "off_grid",
    "pA",
    "pF",
    "second",
    "ticks_of",
    "uM",
    "us",
]

FloatArray = npt.NDArray[np.float64]

CANONICAL = {
    "time": "ms",
    "voltage": "mV",
    "current": "nA",
    "capacitance": "nF",
    "resistance": "MOhm",
    "rate": "Hz",
    "concentration": "uM",
    "number": "one",
}

GRID_TOLERANCE = 1e-9
"""How far (in ticks, relative above one tick) a time may lie off the grid."""


PIECE = 1 << 16
"""Values that are converted at a time: what is needed on the way stays in the cache."""


class Quantity:
    """A number or an array with a dimension.

    Parameters
    ----------
    value : float or array_like
        Value in the canonical unit of the dimension.
    dimension : str
        One of ``time, voltage, current, capacitance, resistance, rate, concentration, number``.
    """

    __slots__ = ("dimension", "value")
    __array_ufunc__ = None  # makes ``array * ms`` call __rmul__ instead of looping

    def __init__(self, value: npt.ArrayLike, dimension: str) -> None:
        array = np.asarray(value, dtype=np.float64)
        self.value: float | FloatArray = float(array) if array.ndim == 0 else array
        self.dimension = dimension

    def to(self, unit: Quantity) -> float | FloatArray:
        """Return the plain number(s) in ``unit``.

        Raises
        ------
        UnitMismatch
            If ``unit`` is of another dimension.
        """
        self._same(unit, "conversion")
        result: float | FloatArray = self.value / unit.value
        return result

    def _same(self, other: object, what: str) -> Quantity:
        if not isinstance(other, Quantity):
            raise UnitMismatch(
                what,
                f"needs a {self.dimension} on both sides",
                got=repr(other),
                fix=f"give the number its unit, e.g. 1 * {CANONICAL[self.dimension]}",
            )
        if other.dimension != self.dimension:
            raise UnitMismatch(
                what,
                f"cannot combine {self.dimension} with {other.dimension}",
                got=repr(other),
                fix=f"use a {self.dimension} on both sides",
            )
        return other

    def __mul__(self, factor: npt.ArrayLike) -> Quantity:
        if isinstance(factor, Quantity):
            raise UnitMismatch(
                "multiplication",
                "a quantity times a quantity is not supported",
                got=f"{self!r} * {factor!r}",
                fix="multiply by plain numbers",
            )
        return Quantity(np.asarray(factor, dtype=np.float64) * self.value, self.dimension)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Quantity):
            return self.value / self._same(other, "division").value
        return Quantity(self.value / np.asarray(other, dtype=np.float64), self.dimension)

    def __add__(self, other: object) -> Quantity:
        return Quantity(self.value + self._same(other, "addition").value, self.dimension)

    def __sub__(self, other: object) -> Quantity:
        return Quantity(self.value - self._same(other, "subtraction").value, self.dimension)

    def __neg__(self) -> Quantity:
        return Quantity(-np.asarray(self.value), self.dimension)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Quantity)
            and self.dimension == other.dimension
            and np.array_equal(self.value, other.value)
        )

    def __hash__(self) -> int:
        return hash((self.dimension, np.asarray(self.value).tobytes()))

    def __lt__(self, other: object) -> bool:
        return bool(np.all(self.value < self._same(other, "comparison").value))

    def __le__(self, other: object) -> bool:
        return bool(np.all(self.value <= self._same(other, "comparison").value))

    def __repr__(self) -> str:
        unit = CANONICAL[self.dimension]
        if isinstance(self.value, float):
            return f"{self.value:g} {unit}"
        return f"{np.array2string(self.value, threshold=6, edgeitems=2)} {unit}"


ms = Quantity(1.0, "time")
us = Quantity(1e-3, "time")
second = Quantity(1e3, "time")
mV = Quantity(1.0, "voltage")
nA = Quantity(1.0, "current")
pA = Quantity(1e-3, "current")
nF = Quantity(1.0, "capacitance")
pF = Quantity(1e-3, "capacitance")
MOhm = Quantity(1.0, "resistance")
Hz = Quantity(1.0, "rate")
uM = Quantity(1.0, "concentration")
mM = Quantity(1e3, "concentration")


def magnitude(
    value: object,
    dimension: str,
    place: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    single: bool = False,
) -> FloatArray:
    """Return the canonical numbers of ``value`` after checking unit, finiteness and range.

    Parameters
    ----------
    value : Quantity
        What the user gave.
    dimension : str
        The dimension that is wanted.
    place : str
        How errors name the value.
    above, at_least : float, optional
        Open or closed lower bound, in the canonical unit.
    single : bool
        Refuse arrays.

    Returns
    -------
    ndarray of float64, 0-d or 1-d

    Raises
    ------
    UnitMismatch
        If the unit is missing or of another dimension.
    InvalidInput
        If a value is NaN, infinite or out of range.
    """
    unit = CANONICAL[dimension]
    if dimension == "number" and isinstance(value, int | float | np.ndarray):
        value = Quantity(value, "number")
    if not isinstance(value, Quantity):
        raise UnitMismatch(
            place,
            f"needs a {dimension} with its unit",
            got=repr(value),
            fix=f"write e.g. 10 * {unit} (from spikecore import {unit})",
        )
    if value.dimension != dimension:
        raise UnitMismatch(
            place,
            f"needs a {dimension}, not a {value.dimension}",
            got=repr(value),
            fix=f"give it in {unit}",
        )
    array = np.asarray(value.value, dtype=np.float64)
    if array.ndim > (0 if single else 1):
        rule = "must be one value" if single else "must be a single value or a 1-d array"
        raise InvalidInput(place, rule, got=f"shape {array.shape}", fix="take one, or flatten it")
    fix = "check where it comes from: 0/0, overflow, missing data"
    require(array, np.isfinite(array), place, "must be finite", unit, fix)
    if above is not None:
        fix = f"use a value above {above:g} {unit}"
        require(array, array > above, place, f"must be greater than {above:g} {unit}", unit, fix)
    if at_least is not None:
        fix = f"use {at_least:g} {unit} or more"
        require(array, array >= at_least, place, f"must be at least {at_least:g} {unit}", unit, fix)
    return array


def require(
    values: npt.NDArray[Any],
    holds: npt.NDArray[np.bool_] | np.bool_,
    place: str,
    rule: str,
    unit: str = "",
    fix: str | None = None,
) -> None:
    """Raise :class:`InvalidInput` naming the first entry for which ``holds`` is false."""
    good = np.asarray(holds)
    if good.all():
        return
    if values.ndim == 0:
        raise InvalidInput(place, rule, got=f"{values} {unit}".strip(), fix=fix)
    wrong = np.flatnonzero(~good)
    first = int(wrong[0])
    raise InvalidInput(
        place, rule, got=f"{values[first]} {unit}".strip(), index=first, count=len(wrong), fix=fix
    )


def off_grid(times: npt.ArrayLike, dt: float) -> npt.NDArray[np.bool_]:
    """Return which ``times`` (ms) do not lie on the grid of ``dt`` milliseconds."""
    exact = np.asarray(times) / dt
    off: npt.NDArray[np.bool_] = np.abs(exact - np.rint(exact)) > GRID_TOLERANCE * np.maximum(
        1.0, np.abs(exact)
    )
    return off


def ticks_of(
    value: object,
    dt: float,
    place: str,
    *,
    minimum: int = 0,
    rounding: str = "refuse",
    single: bool = False,
) -> npt.NDArray[np.int64]:
    """Convert a time to whole ticks of ``dt`` milliseconds.

    Parameters
    ----------
    value : Quantity
        Time(s).
    dt : float
        Length of a tick, ms.
    place : str
        How errors name the value.
    minimum : int
        Smallest number of ticks allowed.
    rounding : {"refuse", "nearest"}
        What to do with a time between two ticks.
    single : bool
        Refuse arrays.

    Raises
    ------
    InvalidInput
        If a time is off the grid (and ``rounding`` is "refuse") or below ``minimum``.
    UnknownName
        If ``rounding`` is neither.
    """
    if rounding not in ("refuse", "nearest"):
        raise UnknownName(f"{place}.rounding", str(rounding), ("refuse", "nearest"))
    times = magnitude(value, "time", place, single=single)
    rules = (dt, place, minimum, rounding)
    if times.size <= PIECE:
        return _whole_ticks(times, *rules)
    ticks = np.empty(times.shape, np.int64)
    try:
        for lo in range(0, times.size, PIECE):
            ticks[lo : lo + PIECE] = _whole_ticks(times[lo : lo + PIECE], *rules)
    except InvalidInput:
        return _whole_ticks(times, *rules)  # all at once: the error counts all that are wrong
    return ticks


def _whole_ticks(
    times: FloatArray, dt: float, place: str, minimum: int, rounding: str
) -> npt.NDArray[np.int64]:
    fix = f"use at least {minimum * dt:g} ms"
    if minimum > 0:
        rule = f"must be positive: the minimum is {minimum} tick = {minimum * dt:g} ms"
        require(times, times > 0, place, rule, "ms", fix)
    require(times, times >= 0, place, "must not be negative", "ms", fix)
    exact = times / dt
    whole = np.rint(exact)
    # More than 2**53 ticks cannot be counted in a float, nor stored.
    rule = "is longer than can be counted in ticks"
    require(times, np.abs(exact) < 2.0**53, place, rule, "ms", "use a larger dt or a shorter time")
    if rounding != "nearest":
        off = off_grid(times, dt)
        if off.any():
            first = int(np.argmax(off)) if times.ndim else 0
            bad = float(np.atleast_1d(exact)[first])
            near = {max(minimum, np.floor(bad)), max(minimum, np.ceil(bad))}
            offered = " or ".join(f"{tick * dt:g}" for tick in sorted(near))
            raise InvalidInput(
                place,
                f"must lie on the grid of dt = {dt:g} ms",
                got=f"{np.atleast_1d(times)[first]:g} ms",
                index=first if times.ndim else None,
                count=int(off.sum()) if times.ndim else None,
                fix=f"use {offered} ms, a smaller dt, or rounding='nearest' if offered",
            )
    ticks: npt.NDArray[np.int64] = whole.astype(np.int64)
    require(times, ticks >= minimum, place, "is rounded to less than the minimum", "ms", fix)
    return ticks
