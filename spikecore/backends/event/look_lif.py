"""Compiled: neurons like LIF that are reached or called, a vector of them at a time.

What ``small.py`` does neuron by neuron, which is left with those that fire, those in whose
gap a refractory period ended, and those whose state is not finite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from spikecore.backends.event.batch_lif import ARRIVED, SINCE, look
from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.delivery import prefetch, trailing_zeros
from spikecore.backends.event.horizons import FAR
from spikecore.backends.event.lanes import WIDTH
from spikecore.backends.event.packed import WHEEL, Fast, M, W
from spikecore.backends.event.small import BOUND, MARGIN, THRESHOLD, silence
from spikecore.backends.event.tables import Net, P, R, State
from spikecore.backends.event.wheel import CALL, NEAR, gather, put

__all__ = ["list_reached", "look_lif"]

P_STATES, UPDATES = int(P.N_STATES), int(R.UPDATES)
W_CLOCK, W_RECORD, W_WIDTH = int(W.CLOCK_0), int(W.RECORD_0), int(W.WIDTH)
W_PORTS, W_SMALL, W_ROWS = int(W.PORTS_0), int(W.SMALL_0), int(W.ROWS_0)
W_STRIDE, W_HITS, W_TICKS = int(W.STRIDE), int(W.HITS), int(W.TICKS)
QUEUED = int(M.QUEUED)
REACHED, WOKEN, WORDS = 0, 1, 2  # Fast.hits
ONE, SIX = np.uint64(1), np.uint64(6)
LOW, NOTHING = np.uint64(63), np.uint64(0)
ALL, LANES, THREE = np.uint64(2**WIDTH - 1), np.uint64(WIDTH), 3
AHEAD = np.uint64(2 * WIDTH)
ARRIVED_A, ARRIVED_B = np.uint64(WIDTH * ARRIVED), np.uint64(WIDTH * (ARRIVED + 1))
SINCE_0 = np.uint64(WIDTH * SINCE)
THRESHOLD_AT, MARGIN_AT = np.uint64(THRESHOLD), np.uint64(MARGIN)
FEW = 5
"""So many neurons are worth a vector."""


@intrinsic
def _ones(typing: Any, word: Any) -> Any:
    """Count the bits of a word."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


ones: Any = _ones


@inlined
def _list_word(chosen: Any, count: Any, first: Any, todo: Any, some: Any) -> Any:
    """List the neurons marked in a word, the first of them ``first``; return how many are listed.

    The first ``some`` are written whether or not there are so many, which cannot be guessed.
    """
    end = count + ones(todo)
    for k in range(count, count + some):
        chosen[k] = first + np.uint64(trailing_zeros(todo))
        todo &= todo - ONE
    count += some
    while todo != NOTHING:
        chosen[count] = first + np.uint64(trailing_zeros(todo))
        todo &= todo - ONE
        count += ONE
    return end


@inner
def _list_queued(fast: Fast, p: int, base: int) -> Any:
    """As ``list_reached``, where a word in which somebody was reached is the exception."""
    gather(fast, p, base)
    hits, chosen = fast.hits, fast.chosen
    first = np.uint64(fast.part[p, W_CLOCK] >> 6)
    at, end = first, first + np.uint64(fast.part[p, W_STRIDE] >> 6)
    count = NOTHING
    while at < end:
        rest = hits[WORDS, at >> SIX] >> (at & LOW)
        if rest == NOTHING:
            at = (at | LOW) + ONE
            continue
        at += np.uint64(trailing_zeros(rest))
        if at >= end:
            break
        hits[WORDS, at >> SIX] &= ~(ONE << (at & LOW))
        todo = hits[REACHED, at] | hits[WOKEN, at]
        hits[REACHED, at] = hits[WOKEN, at] = NOTHING
        count = _list_word(chosen, count, (at - first) << SIX, todo, NOTHING)
        at += ONE
    return count


@inner
def list_reached(st: State, fast: Fast, p: int, base: int) -> int:
    """List the neurons of ``p`` that were reached or called, in order; return how many."""
    count = NOTHING
    if fast.meta[QUEUED]:
        count = _list_queued(fast, p, base)
    else:
        ports, bits, woken = fast.part[p, W_PORTS], fast.bits, fast.hits[WOKEN]
        n_ports, chosen = fast.lists[ports], fast.chosen
        cell_a = np.uint64((base + fast.lists[ports + 2]) >> 6) if n_ports > 0 else NOTHING
        cell_b = np.uint64((base + fast.lists[ports + 4]) >> 6) if n_ports > 1 else NOTHING
        first = np.uint64(fast.part[p, W_CLOCK] >> 6)
        for w in range(np.uint64(fast.part[p, W_STRIDE] >> 6)):
            todo = woken[first + w]
            woken[first + w] = NOTHING
            if n_ports > 0:
                todo |= bits[cell_a + w]
                bits[cell_a + w] = NOTHING
            if n_ports > 1:
                todo |= bits[cell_b + w]
                bits[cell_b + w] = NOTHING
            count = _list_word(chosen, count, w << SIX, todo, SIX)
    st.register[UPDATES] += np.int64(count)
    fast.part[p, W_HITS] += np.int64(count)
    return int(count)


@inlined
def _call(fast: Fast, p: int, own: Any, t: int, since: int, silent: int) -> None:
    """Let a neuron wait for the end of its silence, unless it is called before."""
    at = np.uint64(fast.part[p, W_RECORD] + fast.part[p, W_TICKS] + CALL)
    at += own * np.uint64(fast.part[p, W_WIDTH])
    due, wake = int(fast.record_tick[at]), since + 1 + silent
    if wake < t + FAR and (due < 0 or wake < due):
        due = min(wake, t + WHEEL - 1)
        put(fast, fast.part[p, W_CLOCK] + np.int64(own), due)
        fast.record_tick[at] = due


@inner
def look_lif(net: Net, st: State, fast: Fast, p: int, t: int, base: int, listed: int) -> int:
    """Bring the chosen neurons to tick ``t``, but for a few: those are chosen now.

    Returns how many they are.
    """
    row, chosen, ring, batch = fast.part[p], fast.chosen, fast.ring, fast.batch
    s, ports = net.population[p, P_STATES], row[W_PORTS]
    cell_a = base + fast.lists[ports + 2]
    cell_b = base + fast.lists[ports + 4] if fast.lists[ports] > 1 else cell_a
    way = 2 * s + fast.lists[ports] - 1
    arrays = (fast.record, fast.record_tick, ring, fast.rows, fast.small, chosen, batch)
    places = row[W_RECORD], row[W_ROWS], row[W_SMALL], cell_a, cell_b
    small = np.uint64(row[W_SMALL])
    threshold, margin = fast.small[small + THRESHOLD_AT], fast.small[small + MARGIN_AT]
    bounds, zero = small + np.uint64(BOUND), margin - margin
    far = fast.meta[QUEUED] == 0 and fast.record.size > NEAR
    record_0, width = np.uint64(row[W_RECORD]), np.uint64(row[W_WIDTH])
    left, first, end = NOTHING, NOTHING, np.uint64(listed)
    while first + np.uint64(FEW) <= end:
        exist = min(end - first, LANES)
        for i in range(exist, LANES):
            chosen[first + i] = chosen[first]
        if far:
            for i in range(first + AHEAD, first + AHEAD + LANES):
                prefetch(fast.record, record_0 + np.uint64(chosen[i]) * width)
        numbers = (*places, np.int64(first), np.int64(exist), t)
        found = look(way, (*arrays, fast.batch_tick), numbers)
        special, todo = found & ALL, (found | (found >> LANES)) & ALL
        while todo != NOTHING:
            lane = np.uint64(trailing_zeros(todo))
            todo &= todo - ONE
            own = np.uint64(chosen[first + lane])
            if (special >> lane) & ONE != NOTHING:  # give back what has arrived
                ring[np.uint64(cell_a) + own] = batch[ARRIVED_A + lane]
                if fast.lists[ports] > 1:
                    ring[np.uint64(cell_b) + own] = batch[ARRIVED_B + lane]
                chosen[left] = own
                left += ONE
            else:
                y = batch[LANES + lane] if s > 1 else zero
                z = batch[LANES + LANES + lane] if s == THREE else zero
                silent = silence(fast.small, bounds, batch[lane], y, z, threshold, margin)
                _call(fast, p, own, t, int(fast.batch_tick[SINCE_0 + lane]), silent)
        first += LANES
    while first < end:
        chosen[left] = chosen[first]
        left, first = left + ONE, first + ONE
    return int(left)
