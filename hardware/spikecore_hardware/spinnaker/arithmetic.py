"""The fixed-point arithmetic with which a SpiNNaker core derives its constants.

Formats: ``s16.15`` is a signed 32-bit integer in units of 2**-15; ``u0.32`` an unsigned one
in units of 2**-32. Source of the formulas: the published firmware libraries (spinn_common:
stdfix-exp, stdfix-full-iso; sPyNNaker: neuron_model_lif_impl.h, exp_synapse_utils.h) as
compiled into the images of sPyNNaker 7.4.1, against which the tests marked ``vendor`` hold
them bit for bit.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = [
    "ONE",
    "divide",
    "encode",
    "exp_s1615",
    "exp_u032",
    "in_range",
    "tau_constants",
    "to_int32",
    "whole_ticks",
]

ONE = 1 << 15
"""1.0 in s16.15."""

_LOWEST, _HIGHEST = -65536.0, 65536.0 - 2.0**-15
_LONGEST_FALL, _LARGEST_RISE = -340_695, 363_408  # beyond them, exp is 0 or the largest number
_WORD = 1 << 32
# A quadratic for 1 - exp(-x), x below 1/16, in units of 2**-32: constant, slope, curvature.
_SERIES = (5_294, 4_293_434_720, 2_081_624_032)


def to_int32(x: int) -> int:
    """Wrap ``x`` as a register of 32 bits does."""
    return ((x + (1 << 31)) & (_WORD - 1)) - (1 << 31)


def in_range(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which numbers s16.15 can hold."""
    array = np.asarray(values)
    inside: npt.NDArray[np.bool_] = (array >= _LOWEST) & (array <= _HIGHEST)
    return inside


def encode(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return numbers in s16.15, rounded (half to even) from their shortest decimal form.

    That is how the host of the tool chain writes parameters; a binary rounding would differ
    for some numbers half-way between two steps.
    """
    distinct, back = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    coded = [round(Decimal(str(float(v))) * ONE) for v in distinct]
    return np.array(coded, dtype=np.int64)[back].reshape(np.shape(values))


def divide(a: int, b: int) -> int:
    """Return ``a / b`` of two s16.15 numbers, rounded towards zero."""
    quotient = (abs(a) << 15) // abs(b)
    return to_int32(quotient if (a < 0) == (b < 0) else -quotient)


@cache
def _tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return exp(-13 .. 12) and 1 - exp(-k/16), k = 0 .. 15, as whole multiples of 2**-32."""
    with localcontext(prec=50):
        powers = [round(Decimal(k).exp() * _WORD) for k in range(-13, 13)]
        falls = [round((1 - (Decimal(-k) / 16).exp()) * _WORD) for k in range(16)]
    return tuple(powers), tuple(falls)


def _share(x: int, share: int) -> int:
    """Return ``x * share / 2**32``; only the product of the low word is rounded."""
    low, high = (x & (_WORD - 1)) * share, (x >> 32) * share
    return (low >> 32) + int(low & (_WORD - 1) >= (1 << 31) - 1) + high


def _exp(x: int) -> int:
    """Return exp of an s16.15 number, in units of 2**-32."""
    powers, falls = _tables()
    whole, rest = x >> 15, x & (ONE - 1)
    if rest == 0:
        return powers[whole + 13]
    rest = ONE - rest  # exp(whole + 1) falls by this much
    value = powers[whole + 14]
    value -= _share(value, falls[rest >> 11])
    y = (rest & 0x7FF) << 17
    constant, slope, curvature = _SERIES
    fall = constant + (((slope - (curvature * y >> 32)) * y) >> 32)
    return value - _share(value, fall)


def exp_s1615(x: int) -> int:
    """Return exp of an s16.15 number, in s16.15."""
    if x > _LARGEST_RISE:
        return (1 << 31) - 1
    return 0 if x < _LONGEST_FALL else to_int32(_exp(x) >> 17)


def exp_u032(x: int) -> int:
    """Return exp of a negative s16.15 number, in u0.32; of 0 it is 0, as 1 does not fit."""
    return 0 if x < _LONGEST_FALL else _exp(x) & (_WORD - 1)


def tau_constants(tau: int, dt: int) -> tuple[int, int]:
    """Return decay and gain of a synaptic current, in u0.32.

    Parameters
    ----------
    tau, dt : int
        Time constant and length of a tick, s16.15.

    Returns
    -------
    decay, gain : int
        ``exp(-dt/tau)`` and ``tau/dt (1 - exp(-dt/tau))``.
    """
    decay = exp_u032(-divide(dt, tau))
    return decay, (divide(tau, dt) * (_WORD - 1 - decay) >> 15) & (_WORD - 1)


def whole_ticks(duration: int, dt: int) -> int:
    """Return how many ticks the chip makes of a duration (both s16.15): rounded up."""
    return -(-divide(duration, dt) >> 15)
