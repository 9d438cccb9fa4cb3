"""Compiled: populations in which nearly everybody is reached in nearly every tick.

All neurons are gone through in every tick, LANES at a time, in short loops over plain
arrays that the compiler turns into vector instructions. What is computed is what
``wheel.py`` computes neuron by neuron: the state read from the last event by the digit of
the gap, arrivals, level; stored only where something happened. Neurons whose gap has two
digits, or in whose gap a refractory period ended, are few here and go one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.caching import inner
from spikecore.backends.event.packed import LANES, Fast, W
from spikecore.backends.event.states import carry
from spikecore.backends.event.tables import Net, P, R, State
from spikecore.backends.event.words import is_untouched

__all__ = ["read_swept", "sweep_all"]

P_START, P_STATES = int(P.START), int(P.N_STATES)
P_SIZE, P_BITS = int(P.TABLE_SIZE), int(P.BITS)
P_FREE, P_HELD, P_RESET, P_JUMP = int(P.FREE_0), int(P.HELD_0), int(P.RESET_0), int(P.JUMP_0)
P_H, P_THRESHOLD = int(P.H_0), int(P.THRESHOLD_0)
P_GAIN, P_GAIN_HELD = int(P.GAIN_0), int(P.GAIN_HELD_0)
P_MASK, P_REFRACTORY = int(P.MASK_0), int(P.REFRACTORY_0)
W_CLOCK, W_X, W_STRIDE, W_TABLE = int(W.CLOCK_0), int(W.X_0), int(W.STRIDE), int(W.TABLE_0)
W_PORTS, W_USED, W_HITS = int(W.PORTS_0), int(W.USED_0), int(W.HITS)
W_SIZE = int(W.SIZE)
UPDATES, BAD = int(R.UPDATES), int(R.BAD)
SPIKES, MANY = 2, 3  # State.lists
DIGITS = 64  # a digit of HELD + d stands for d ticks of a refractory period
HELD = np.int32(64)
DIGIT, REACHED, FIRES = 0, 1, 2  # Fast.flag
SLOW, PLAIN, MIXED = 0, 1, 2


@inner
def _digits(last: Any, until: Any, t: int, digit: Any) -> Any:
    """Find the digit of each gap, 0 where there is no single one.

    Returns how many there are of these, and of gaps of one tick outside a refractory period
    and within one.
    """
    slow, free, held = np.int32(0), np.int32(0), np.int32(0)
    now, one, none = last.dtype.type(t), np.int32(1), np.int32(0)
    for i in range(last.size):
        gap = now - last[i]
        holds = now <= until[i]
        single = (gap < HELD) & (holds | (until[i] <= last[i]))
        here = np.int32(gap) + (HELD if holds else none)
        digit[i] = here if single else none
        slow += none if single else one
        free += one if here == one and single else none
        held += one if here == HELD + one and single else none
    return slow, free, held


@inner
def _fill(y: Any, value: Any) -> None:
    for i in range(y.size):
        y[i] = value


@inner
def _gathered(y: Any, x: Any, digit: Any, table: Any) -> None:
    for i in range(y.size):
        y[i] += table[np.uint32(digit[i])] * x[i]


@inner
def _chosen(y: Any, x: Any, digit: Any, free: Any, held: Any) -> None:
    for i in range(y.size):
        y[i] += (held if digit[i] >= HELD else free) * x[i]


@inner
def _scaled(y: Any, x: Any, factor: Any) -> None:
    for i in range(y.size):
        y[i] += factor * x[i]


@inner
def _constant(y: Any, digit: Any, table: Any) -> None:
    for i in range(y.size):
        y[i] = table[np.uint32(digit[i])]


@inner
def _take(cells: Any, arrived: Any, reached: Any, zero: Any) -> None:
    """Take arrivals out of their cells; note who was reached (2: by what is not finite)."""
    one, none = np.int32(1), np.int32(0)
    for i in range(cells.size):
        a = cells[i]
        cells[i] = -zero
        reached[i] |= none if is_untouched(a) else one
        arrived[i] = a + zero


@inner
def _cross(level: Any, threshold: Any, digit: Any, reached: Any, fires: Any) -> Any:
    """Mark who fires; return how many do, and how many are reached."""
    one, none = np.int32(1), np.int32(0)
    total, hits = np.int32(0), np.int32(0)
    for i in range(level.size):
        crosses = one if (level[i] >= threshold) & (digit[i] < HELD) else none
        fires[i] = crosses
        total += crosses
        hits += reached[i]
        reached[i] |= crosses
    return total, hits


@inner
def _bad(y: Any, reached: Any, zero: Any) -> bool:
    """Whether a state about to be stored is not finite."""
    total = np.int32(0)
    one, none = np.int32(1), np.int32(0)
    for i in range(y.size):
        difference = y[i] - y[i]  # not 0 for infinities and what is not a number
        total |= none if difference == zero else (one & reached[i])
    return bool(total != 0)


@inner
def _store(x: Any, y: Any, reached: Any) -> None:
    for i in range(y.size):
        x[i] = y[i] if reached[i] != 0 else x[i]


@inner
def _tick(last: Any, reached: Any, t: int) -> None:
    now = last.dtype.type(t)
    for i in range(last.size):
        last[i] = now if reached[i] != 0 else last[i]


@inner
def read_swept(net: Net, fast: Fast, p: int, own: int, t: int, x: Any) -> bool:
    """Put the state in tick ``t`` into ``x``; return whether the neuron is refractory."""
    s, stride = net.population[p, P_STATES], fast.part[p, W_STRIDE]
    for i in range(s):
        x[i] = fast.swept[fast.part[p, W_X] + i * stride + own]
    at = fast.part[p, W_CLOCK] + own
    last, until = int(fast.clock[0, at]), int(fast.clock[1, at])
    bits = net.population[p, P_BITS]
    held = min(t, until) - last
    if held > 0:
        carry(x, s, net.real, net.population[p, P_HELD], bits, held)
        last += held
    carry(x, s, net.real, net.population[p, P_FREE], bits, t - last)
    return bool(t <= until)


@inner
def _advance(net: Net, fast: Fast, p: int, lo: int, hi: int, way: int) -> None:
    """Carry the states of lanes ``lo .. hi - 1`` by the digit of their gap."""
    s, stride, used = net.population[p, P_STATES], fast.part[p, W_STRIDE], fast.part[p, W_USED]
    x0, n = fast.part[p, W_X] + lo, hi - lo
    digit = fast.flag[DIGIT, :n]
    for i in range(s):
        if fast.lists[used + i] == 0:
            continue
        y = fast.lane[i, :n]
        entry = used + s + i * (s + 1)
        table = fast.part[p, W_TABLE] + i * (s + 1) * 2 * DIGITS
        if fast.lists[entry + s] != 0:
            c = table + s * 2 * DIGITS
            _constant(y, digit, fast.table[c : c + 2 * DIGITS])
        else:
            _fill(y, net.real[0] - net.real[0])
        for j in range(s):
            if fast.lists[entry + j] == 0:
                continue
            x = fast.swept[x0 + j * stride : x0 + j * stride + n]
            c = table + j * 2 * DIGITS
            if way == PLAIN:
                _scaled(y, x, fast.table[c + 1])
            elif way == MIXED:
                _chosen(y, x, digit, fast.table[c + 1], fast.table[c + DIGITS + 1])
            else:
                _gathered(y, x, digit, fast.table[c : c + 2 * DIGITS])


@inner
def _exceptions(net: Net, st: State, fast: Fast, p: int, lo: int, hi: int, t: int) -> None:
    """Carry the lanes that have no single digit, one by one."""
    s = net.population[p, P_STATES]
    for i in range(hi - lo):
        if fast.flag[DIGIT, i] == 0:
            holds = read_swept(net, fast, p, lo + i, t, st.buffer)
            fast.flag[DIGIT, i] = HELD + np.int32(1) if holds else np.int32(1)
            for k in range(s):
                fast.lane[k, i] = st.buffer[k]


@inner
def _add(net: Net, fast: Fast, p: int, lo: int, hi: int, base: int) -> bool:
    """Add what has arrived; return whether something that is not finite has."""
    s, n, ports = net.population[p, P_STATES], hi - lo, fast.part[p, W_PORTS]
    zero = net.real[0] - net.real[0]
    digit, reached = fast.flag[DIGIT, :n], fast.flag[REACHED, :n]
    bad = False
    for k in range(fast.lists[ports]):
        cell = base + fast.lists[ports + 2 + 2 * k] + lo
        arrived = fast.lane[s, :n]
        _take(fast.ring[cell : cell + n], arrived, reached, zero)
        if _bad(arrived, reached, zero):  # let it show in the states, whatever the gains
            bad = True
            for i in range(s):
                _scaled(fast.lane[i, :n], arrived, zero)
        at = fast.lists[ports + 1 + 2 * k] * s
        for i in range(s):
            free = net.real[net.population[p, P_GAIN] + at + i]
            held = net.real[net.population[p, P_GAIN_HELD] + at + i]
            if free == held:
                if free != zero:
                    _scaled(fast.lane[i, :n], arrived, free)
            else:
                _chosen(fast.lane[i, :n], arrived, digit, free, held)
    return bad


@inner
def _fire(net: Net, fast: Fast, p: int, lo: int, hi: int, t: int) -> None:
    """Reset the lanes that fire."""
    s, at = net.population[p, P_STATES], fast.part[p, W_CLOCK] + lo
    until = t + net.whole[net.population[p, P_REFRACTORY]]
    for i in range(hi - lo):
        if fast.flag[FIRES, i]:
            fast.clock[1, at + i] = until
            for k in range(s):
                if net.whole[net.population[p, P_MASK] + k]:
                    fast.lane[k, i] = net.real[net.population[p, P_RESET] + k]
                else:
                    fast.lane[k, i] += net.real[net.population[p, P_JUMP] + k]


@inner
def _first_bad(net: Net, fast: Fast, p: int, n: int) -> int:
    for i in range(n):
        for k in range(net.population[p, P_STATES]):
            if fast.flag[REACHED, i] and not np.isfinite(fast.lane[k, i]):
                return i
    return n


@inner
def sweep_all(  # noqa: C901, PLR0912 - one loop over blocks of lanes
    net: Net, st: State, fast: Fast, p: int, t: int, base: int, count: int
) -> int:
    """Bring all neurons of ``p`` to tick ``t``.

    Adds those that fire to the spikes of the tick, of which there are ``count``; returns
    how many there are now, or -1 if a state is not finite.
    """
    s, start, used = net.population[p, P_STATES], net.population[p, P_START], fast.part[p, W_USED]
    x0, stride, clock = fast.part[p, W_X], fast.part[p, W_STRIDE], fast.part[p, W_CLOCK]
    zero, threshold = net.real[0] - net.real[0], net.real[net.population[p, P_THRESHOLD]]
    if threshold == np.inf:  # nobody fires, whatever the level
        threshold = threshold - threshold
    size, hits = fast.part[p, W_SIZE], 0
    for lo in range(0, size, LANES):
        hi = min(size, lo + LANES)
        n = hi - lo
        reached, fires, digit = fast.flag[1, :n], fast.flag[2, :n], fast.flag[0, :n]
        last = fast.clock[0, clock + lo : clock + hi]
        slow, free, held = _digits(last, fast.clock[1, clock + lo : clock + hi], t, digit)
        way = PLAIN if free == n else (MIXED if free + held == n else SLOW)
        _advance(net, fast, p, lo, hi, way)
        if slow > 0:
            _exceptions(net, st, fast, p, lo, hi, t)
        reached[:] = 0
        bad = _add(net, fast, p, lo, hi, base)
        level = fast.lane[s, :n]
        _fill(level, zero)
        for i in range(s):
            h = net.real[net.population[p, P_H] + i]
            if h != zero and fast.lists[used + i]:
                _scaled(level, fast.lane[i, :n], h)
        fired, here = _cross(level, threshold, digit, reached, fires)
        hits += here
        for i in range(s):
            if fast.lists[used + i]:
                bad = bad or _bad(fast.lane[i, :n], reached, zero)
        if bad:
            st.register[BAD] = start + lo + _first_bad(net, fast, p, n)
            return -1
        if fired > 0:
            _fire(net, fast, p, lo, hi, t)
            for i in range(n):
                if fires[i]:
                    st.lists[SPIKES, count], st.lists[MANY, count] = start + lo + i, 1
                    count += 1
        for i in range(s):
            if fast.lists[used + i]:
                at = x0 + i * stride
                _store(fast.swept[at + lo : at + hi], fast.lane[i, :n], reached)
        _tick(last, reached, t)
    fast.part[p, W_HITS] += hits
    st.register[UPDATES] += size
    return count
