"""Closed-form propagation of linear units over any whole number of ticks.

A gap of k ticks is written in digits of a fixed radix, and the state is carried
over it digit by digit with tabulated matrices, lowest digit first. Two backends
that apply the same digits in the same order get the same bits, whatever the
length of the gap; that is what makes event-driven and clocked runs identical.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.units.linear import LinearUnit

__all__ = ["PropagatorTable", "expm", "response_bound", "step_system", "tabulate"]

FloatArray = npt.NDArray[np.float64]

_TAYLOR_ORDER = 18
_SPAN_BITS = 42  # gaps up to 2**42 ticks
_RADIX_BITS = ((16, 6), (1024, 3), (np.inf, 1))  # up to so many neurons, log2 of the radix


def expm(matrix: FloatArray) -> FloatArray:
    """Matrix exponential of a stack of small matrices.

    Scaling and squaring around a shifted Taylor series. The shift makes all terms
    non-negative for cascades (currents that feed a membrane), so every entry keeps
    its relative accuracy, also where two time constants are equal or nearly so; for
    triangular matrices the diagonal is set exactly after each squaring.

    Parameters
    ----------
    matrix : ndarray, shape (..., n, n)

    Returns
    -------
    ndarray, shape (..., n, n)
    """
    n = matrix.shape[-1]
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    norm = float(np.abs(matrix).sum(axis=-1).max(initial=0.0))
    squarings = int(np.ceil(np.log2(max(norm, 0.5)))) + 1
    small = matrix * 2.0**-squarings
    shift = np.diagonal(small, axis1=-2, axis2=-1).min(axis=-1)[..., None, None]
    identity = np.eye(n)
    term = np.broadcast_to(identity, matrix.shape)
    total = term.copy()
    for order in range(1, _TAYLOR_ORDER + 1):
        term = term @ (small - shift * identity) / order
        total = total + term
    result: FloatArray = total * np.exp(shift)
    # Triangular as it is, or with the constant (the last row and column) put first.
    orders = (matrix, np.roll(matrix, 1, axis=(-2, -1)))
    triangular = any(not np.triu(m, 1).any() for m in orders)
    for squaring in range(squarings + 1):
        if squaring > 0:
            result = result @ result
        if triangular:
            exact = np.exp(diagonal * 2.0 ** (squaring - squarings))
            result[..., np.arange(n), np.arange(n)] = exact
    return result


def step_system(unit: LinearUnit, dt: float, held: bool) -> FloatArray:
    """Return the affine one-tick map of ``unit``, shape (K, S+1, S+1).

    The last row and column carry the constant drive. With ``held`` the states
    that a spike resets stand still (the refractory period).

    Notes
    -----
    ``exact``: the matrix exponential (Rotter & Diesmann 1999). ``spinnaker``: the
    membrane moves with the current held constant over the step, then the currents
    decay (contract line 2, docs/semantics).
    """
    a = _augmented(unit, held)
    if unit.step == "exact":
        return expm(a * dt)
    current = np.array([s in unit.currents for s in unit.states] + [False])
    other = ~current
    frozen = a.copy()
    frozen[:, current, :] = 0.0
    decay = a.copy()
    decay[:, other, :] = 0.0
    moved, decayed = expm(frozen * dt), expm(decay * dt)
    result = np.zeros_like(a)
    result[:, other, :] = moved[:, other, :]
    result[:, current, :] = decayed[:, current, :]
    return result


def _augmented(unit: LinearUnit, held: bool) -> FloatArray:
    k, s = unit.b.shape
    a = np.zeros((k, s + 1, s + 1))
    a[:, :s, :s] = unit.A
    a[:, :s, s] = unit.b
    if held:
        for name in unit.reset:
            a[:, unit.states.index(name), :] = 0.0
    return a


@dataclass(frozen=True)
class PropagatorTable:
    """Tabulated propagators of one population.

    Attributes
    ----------
    radix : int
        Base of the digits.
    free, held : ndarray, shape (K, positions, radix, S, S+1)
        ``[:, p, d]`` carries the state over ``d * radix**p`` ticks; the last
        column is the constant part.
    bound : ndarray, shape (K, 2, S+1)
        From :func:`response_bound`.
    """

    radix: int
    free: FloatArray
    held: FloatArray
    bound: FloatArray


def tabulate(unit: LinearUnit, dt: float) -> PropagatorTable:
    """Tabulate the propagators of ``unit`` for ticks of ``dt`` ms.

    The radix shrinks with the number of distinct neurons, so that the table stays
    near 1 kB per neuron in large heterogeneous populations.
    """
    k = unit.A.shape[0]
    bits = next(bits for limit, bits in _RADIX_BITS if k <= limit)
    radix, positions = 2**bits, -(-_SPAN_BITS // bits)
    free = _digits(unit, dt, radix, positions, held=False)
    held = _digits(unit, dt, radix, positions, held=True)
    bound = response_bound(free, unit.h)
    return PropagatorTable(radix, free[..., :-1, :], held[..., :-1, :], bound)


def _digits(unit: LinearUnit, dt: float, radix: int, positions: int, *, held: bool) -> FloatArray:
    k, s = unit.b.shape
    table = np.empty((k, positions, radix, s + 1, s + 1))
    table[:, :, 0] = np.eye(s + 1)
    base = step_system(unit, dt, held)
    with np.errstate(under="ignore"):
        for p in range(positions):
            if p > 0 and unit.step == "exact":
                base = expm(_augmented(unit, held) * (dt * float(radix) ** p))
            elif p > 0:
                base = table[:, p - 1, radix - 1] @ table[:, p - 1, 1]
            for digit in range(1, radix):
                table[:, p, digit] = table[:, p, digit - 1] @ base
    return table


def response_bound(table: FloatArray, h: FloatArray) -> FloatArray:
    """Bound how far ``h . x`` can still rise without further input.

    Parameters
    ----------
    table : ndarray, shape (K, positions, radix, S+1, S+1)
        Augmented propagators.
    h : ndarray, shape (S,)
        Threshold functional.

    Returns
    -------
    ndarray, shape (K, 2, S+1)
        ``up, down`` such that for every later tick
        ``h . x(t + k) <= up . max(x, 0) + down . max(-x, 0)``, with x extended by
        a constant 1. Between tabulated gaps the bound multiplies worst cases (of the
        digit and of the rest of the gap, in the better of both orders), so it is
        safe and at most a few per cent above the true maximum.
    """
    k, positions, _, n, _ = table.shape
    row = np.append(h, 0.0)
    up = np.full((k, n), -np.inf)
    down = np.full((k, n), -np.inf)
    # High and low envelope of all propagators shorter than radix**p.
    high = low = identity = np.broadcast_to(np.eye(n), (k, n, n))
    for p in range(positions):
        plus, minus = np.maximum(table[:, p], 0.0), np.minimum(table[:, p], 0.0)
        # What h sees of the digit, preceded by the rest of the gap: by its envelope,
        # or, up to two digits (where most responses have their peak), exactly.
        reach = row @ table[:, p, 1:]
        if p == 1:
            reach = (reach @ table[:, 0].swapaxes(1, 2).reshape(k, n, -1)).reshape(k, -1, n)
        above, below = (identity, identity) if p == 1 else (high, low)
        best = np.maximum(reach, 0.0) @ above + np.minimum(reach, 0.0) @ below
        worst = np.maximum(reach, 0.0) @ below + np.minimum(reach, 0.0) @ above
        # The digit followed by the rest of the gap, in which h sees no more than so far.
        top, floor = np.maximum(up, row)[:, None, None], np.minimum(-down, row)[:, None, None]
        later_best = (top @ plus[:, 1:] + floor @ minus[:, 1:])[:, :, 0]
        later_worst = (floor @ plus[:, 1:] + top @ minus[:, 1:])[:, :, 0]
        up = np.maximum(up, np.minimum(best.max(axis=1), later_best.max(axis=1)))
        down = np.maximum(down, -np.maximum(worst.min(axis=1), later_worst.min(axis=1)))
        tops = plus @ high[:, None] + minus @ low[:, None]
        floors = plus @ low[:, None] + minus @ high[:, None]
        high, low = tops.max(axis=1), floors.min(axis=1)
    return np.stack([up, down], axis=1)
