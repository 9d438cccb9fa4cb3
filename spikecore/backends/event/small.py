"""Compiled: the wheel for populations of like neurons with at most three states.

What ``wheel.py`` does with loops over states and ports, written out: three states (those
that a unit lacks are 0, and so are their coefficients: adding them changes no value), at
most two ports. Loops of unknown length one to three cost more than all their arithmetic.
Everything that a population needs lies in one table (``small_table``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spikecore.backends.event.asking import ask_for_places
from spikecore.backends.event.caching import inner
from spikecore.backends.event.horizons import FAR, FINE, horizon_bounds
from spikecore.backends.event.lanes import INDEX, WIDTH, Vectors
from spikecore.backends.event.packed import Fast, W, sweepable
from spikecore.backends.event.tables import Net, P, R, State
from spikecore.backends.event.wheel import AT, CALL, UNTIL, WAKE, put
from spikecore.backends.event.words import is_untouched, trailing_zeros
from spikecore.backends.lowering import LoweredPopulation

__all__ = ["carried", "look_small", "small_table"]

P_START, P_MASK, P_REFRACTORY = int(P.START), int(P.MASK_0), int(P.REFRACTORY_0)
P_STATES = int(P.N_STATES)
W_CLOCK, W_RECORD, W_WIDTH = int(W.CLOCK_0), int(W.RECORD_0), int(W.WIDTH)
W_PORTS, W_SMALL = int(W.PORTS_0), int(W.SMALL_0)
W_TICKS, W_ROWS, W_CHOSEN = int(W.TICKS), int(W.ROWS_0), int(W.CHOSEN_0)
BAD = int(R.BAD)
SPIKES, MANY = 2, 3  # State.lists
NOTHING = np.uint64(0)

# Positions in the table.
H, THRESHOLD, MARGIN, GAIN, RESET, JUMP, MASK = 0, 3, 4, 5, 17, 20, 23
HELD_GAIN = GAIN + 6
SIZE = 26  # of what a level is made of at most: for each state, then all the rest
BOUND = 32  # constant, then for each state what a positive and a negative value add
DIGITS = BOUND + 7 * WIDTH
HELD_DIGITS = DIGITS + 7 * 64 * 12
MOST_STATES, MOST_PORTS = 3, 2
SILENCE = np.array([0, *FINE, FAR], np.int64)
"""Ticks of silence, by how many of the bounds hold."""
BITS = np.uint64(6)
DIGIT = np.uint64(63)


def small_table(
    p: LoweredPopulation, ports: dict[int, int], margin: float
) -> npt.NDArray[np.float64] | None:
    """Return all coefficients of a population, or None if it is not small."""
    s = len(p.unit.states)
    if s > MOST_STATES or len(ports) > MOST_PORTS or not sweepable(p):
        return None
    head = np.zeros(DIGITS)
    head[H : H + s] = p.unit.h
    head[THRESHOLD], head[MARGIN] = p.threshold[0], margin
    for k, port in enumerate(sorted(ports)):
        head[GAIN + 3 * k : GAIN + 3 * k + s] = p.port_gain[0, port]
        head[HELD_GAIN + 3 * k : HELD_GAIN + 3 * k + s] = p.port_gain_held[0, port]
    head[RESET : RESET + s], head[JUMP : JUMP + s] = p.reset_value[0], p.jump[0]
    head[MASK : MASK + s] = p.reset_mask
    high, low = np.moveaxis(horizon_bounds(p, FINE)[0], 1, 0)  # (horizons, S + 1) each
    bounds = head[BOUND:].reshape(7, WIDTH)
    bounds[0] = high[:, s]
    bounds[1 : 1 + 2 * s : 2], bounds[2 : 2 + 2 * s : 2] = high[:, :s].T, low[:, :s].T
    most = np.abs([high, low])
    most[~np.isfinite(most)] = 0.0  # of those for ever, which then do not hold anyway
    head[SIZE : SIZE + s] = most.max(axis=(0, 1))[:s]
    head[SIZE + MOST_STATES] = most.max(axis=(0, 1))[s] + abs(p.threshold[0])
    if not (high[-1, s] < p.threshold[0]):  # it fires by itself sooner or later
        bounds[0, -1] = np.inf
    digits = []
    for given in (p.table.free[0], p.table.held[0]):
        own = np.zeros((*given.shape[:2], 3, 4))
        own[:, :, :s, :s], own[:, :, :s, 3] = given[..., :s], given[..., s]
        digits.append(own.ravel())
    table: npt.NDArray[np.float64] = np.concatenate([head, *digits])
    return table


@inner
def carried(table: Any, at: Any, gap: Any, x: Any, y: Any, z: Any) -> Any:
    """Carry three states over ``gap`` ticks, lowest digit first."""
    while gap != NOTHING:
        digit = gap & DIGIT
        if digit != NOTHING:
            k = at + digit * np.uint64(12)
            a = (
                table[k + np.uint64(3)]
                + table[k] * x
                + table[k + np.uint64(1)] * y
                + table[k + np.uint64(2)] * z
            )
            b = (
                table[k + np.uint64(7)]
                + table[k + np.uint64(4)] * x
                + table[k + np.uint64(5)] * y
                + table[k + np.uint64(6)] * z
            )
            z = (
                table[k + np.uint64(11)]
                + table[k + np.uint64(8)] * x
                + table[k + np.uint64(9)] * y
                + table[k + np.uint64(10)] * z
            )
            x, y = a, b
        gap >>= BITS
        at += np.uint64(64 * 12)
    return x, y, z


@intrinsic
def _bounds_kept(
    typing: Any, table: Any, at: Any, x: Any, y: Any, z: Any, limit: Any, margin: Any
) -> Any:
    """Return as bits which of the bounds keep a state below the threshold."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Vectors(context, builder)
        data, first = v.data(table, arguments[0]), arguments[1]
        level = v.load(data, first)
        size = level.size() + v.of(arguments[5]).size()
        for i, state in enumerate(arguments[2:5]):
            value = v.of(state)
            positive = builder.fcmp_ordered(">", state, ir.Constant(state.type, 0.0))
            # What a negative value adds lies one vector further.
            step = builder.select(positive, INDEX(WIDTH * (1 + 2 * i)), INDEX(WIDTH * (2 + 2 * i)))
            term = v.load(data, builder.add(first, step)) * value.size()
            level, size = level + term, size + term.size()
        # Not a number counts as "no": what overflows is looked at.
        fits = (level + v.of(arguments[6]) * size) < v.of(arguments[5])
        return builder.zext(fits.bits(), INDEX)

    return types.uint64(table, types.uint64, x, y, z, limit, margin), generate


_bounds: Any = _bounds_kept


@inner
def _silence(table: Any, bounds: Any, x: Any, y: Any, z: Any, limit: Any, margin: Any) -> int:
    """Return for how many ticks a neuron certainly stays silent; ``bounds``: where they begin."""
    fits = _bounds(table, bounds, x, y, z, limit, margin)
    return int(SILENCE[np.uint64(trailing_zeros(~fits))])


@inner
def look_small(  # noqa: C901, PLR0912, PLR0915 - one loop with all its scalars in registers
    net: Net, st: State, fast: Fast, p: int, t: int, base: int, count: int, listed: int
) -> int:
    """Bring the first ``listed`` of the chosen neurons of ``p`` to tick ``t``, as ``look_all``."""
    record, ticks, ring, table = fast.record, fast.record_tick, fast.ring, fast.small
    chosen, spikes = fast.chosen, st.lists
    start, s = net.population[p, P_START], np.uint64(net.population[p, P_STATES])
    record_0, width = np.uint64(fast.part[p, W_RECORD]), np.uint64(fast.part[p, W_WIDTH])
    to_ticks, late = np.uint64(fast.part[p, W_TICKS]), fast.part[p, W_ROWS] < 0
    clock = fast.part[p, W_CLOCK]
    ports = fast.part[p, W_PORTS]
    n_ports = fast.lists[ports]
    cell_a = np.uint64(base + fast.lists[ports + 2]) if n_ports > 0 else NOTHING
    cell_b = np.uint64(base + fast.lists[ports + 4]) if n_ports > 1 else NOTHING
    small = np.uint64(fast.part[p, W_SMALL])
    free = small + np.uint64(DIGITS)
    held = small + np.uint64(HELD_DIGITS)
    bounds = small + np.uint64(BOUND)
    threshold, margin = table[small + np.uint64(THRESHOLD)], table[small + np.uint64(MARGIN)]
    zero = margin - margin
    h0, h1, h2 = table[small], table[small + np.uint64(1)], table[small + np.uint64(2)]
    can_fire = threshold < np.inf
    refractory_ticks = net.whole[net.population[p, P_REFRACTORY]]
    one, two = np.uint64(1), np.uint64(2)
    bad = False
    begin = np.uint64(fast.part[p, W_CHOSEN])
    for i in range(begin, begin + np.uint64(listed)):
        own = np.uint64(chosen[i])
        at = record_0 + own * width
        tick = at + to_ticks
        x = record[at]
        y = record[at + one] if s > one else zero
        z = record[at + two] if s > two else zero
        then = int(ticks[tick + np.uint64(AT)])
        until = int(ticks[tick + np.uint64(UNTIL)])
        refractory = t <= until
        if until > then:
            stop = min(t, until)
            x, y, z = carried(table, held, np.uint64(stop - then), x, y, z)
            then = stop
        x, y, z = carried(table, free, np.uint64(t - then), x, y, z)
        hit = n_ports > 0 and not is_untouched(ring[cell_a + own])
        hit = hit or (n_ports > 1 and not is_untouched(ring[cell_b + own]))
        if hit:
            gain = small + np.uint64(HELD_GAIN if refractory else GAIN)
            arrived = ring[cell_a + own] + zero
            ring[cell_a + own] = -zero
            x += table[gain] * arrived
            y += table[gain + one] * arrived
            z += table[gain + two] * arrived
            if n_ports > 1:
                arrived = ring[cell_b + own] + zero
                ring[cell_b + own] = -zero
                x += table[gain + np.uint64(3)] * arrived
                y += table[gain + np.uint64(4)] * arrived
                z += table[gain + np.uint64(5)] * arrived
        level = zero + h0 * x + h1 * y + h2 * z
        fires = (not refractory) and level >= threshold and can_fire
        if hit or fires:
            sum_ = x - x + (y - y) + (z - z)
            if sum_ != zero:  # infinite, or not a number
                if not bad:
                    st.register[BAD] = start + np.int64(own)
                bad = True
                continue
            if fires:
                k = small + np.uint64(RESET)
                if table[k + np.uint64(6)] != zero:
                    x = table[k]
                else:
                    x += table[k + np.uint64(3)]
                if table[k + np.uint64(7)] != zero:
                    y = table[k + one]
                else:
                    y += table[k + np.uint64(4)]
                if table[k + np.uint64(8)] != zero:
                    z = table[k + two]
                else:
                    z += table[k + np.uint64(5)]
                until = t + refractory_ticks
                ticks[tick + np.uint64(UNTIL)] = until
                spikes[SPIKES, count], spikes[MANY, count] = start + np.int64(own), 1
                count += 1
                ask_for_places(net, start + np.int64(own), net.node[start, 0])
            record[at] = x
            if s > one:
                record[at + one] = y
            if s > two:
                record[at + two] = z
            ticks[tick + np.uint64(AT)] = t
        if not can_fire:
            continue
        since = t
        if until > t:  # judged by the state in which it leaves its refractory period
            x, y, z = carried(table, held, np.uint64(until - t), x, y, z)
            since = until
        wake = since + 1 + _silence(table, bounds, x, y, z, threshold, margin)
        if late:
            ticks[tick + np.uint64(WAKE)] = wake
        due = int(ticks[tick + np.uint64(CALL)])
        if wake < t + FAR and (due <= t or wake < due):
            ticks[tick + np.uint64(CALL)] = put(fast, clock + int(own), wake, t)
    return -1 if bad else count
