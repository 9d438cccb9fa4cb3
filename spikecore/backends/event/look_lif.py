"""Compiled: neurons like LIF that are reached or called, a vector of them at a time.

What ``small.py`` does neuron by neuron, which is left with those that fire, those in whose
gap a refractory period ended, and those whose state is not finite.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.batch_lif import ARRIVED, SINCE, look
from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.delivery import prefetch, trailing_zeros
from spikecore.backends.event.horizons import FAR
from spikecore.backends.event.lanes import WIDTH
from spikecore.backends.event.listing import FAR_APART, in_order
from spikecore.backends.event.packed import WHEEL, Fast, M, W
from spikecore.backends.event.small import BOUND, MARGIN, THRESHOLD, silence
from spikecore.backends.event.tables import Net, P, State
from spikecore.backends.event.wheel import CALL, put

__all__ = ["look_lif"]

P_STATES = int(P.N_STATES)
W_CLOCK, W_RECORD, W_WIDTH = int(W.CLOCK_0), int(W.RECORD_0), int(W.WIDTH)
W_PORTS, W_SMALL, W_ROWS = int(W.PORTS_0), int(W.SMALL_0), int(W.ROWS_0)
W_TICKS, W_CHOSEN = int(W.TICKS), int(W.CHOSEN_0)
QUEUED = int(M.QUEUED)
ONE, NOTHING = np.uint64(1), np.uint64(0)
ALL, LANES, THREE = np.uint64(2**WIDTH - 1), np.uint64(WIDTH), 3
AHEAD = np.uint64(2 * WIDTH)
ARRIVED_A, ARRIVED_B = np.uint64(WIDTH * ARRIVED), np.uint64(WIDTH * (ARRIVED + 1))
SINCE_0 = np.uint64(WIDTH * SINCE)
THRESHOLD_AT, MARGIN_AT = np.uint64(THRESHOLD), np.uint64(MARGIN)
FEW = 5
"""So many neurons are worth a vector."""


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
    far = fast.meta[QUEUED] == 0 and fast.record.size > FAR_APART
    record_0, width = np.uint64(row[W_RECORD]), np.uint64(row[W_WIDTH])
    begin = np.uint64(row[W_CHOSEN])
    left, first, end = begin, begin, begin + np.uint64(listed)
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
    others = int(left - begin)
    return int(in_order(fast, p, others)) if others > 1 and fast.meta[QUEUED] else others
