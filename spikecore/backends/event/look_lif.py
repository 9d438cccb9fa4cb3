"""Compiled: neurons like LIF that are reached or called, a vector of them at a time.

What ``small.py`` does neuron by neuron, which is left with those whose state is not finite.

Who was reached through the first port is listed first, then who was through the second, then who
is called. So most vectors need not ask the cells of the second port. Who was reached through
both is looked at twice; nobody fires before both have been added. (The first port is always
asked: a branch for it costs more than it saves.)
"""

from __future__ import annotations

import numpy as np

from spikecore.backends.event.batch_lif import ARRIVED, look
from spikecore.backends.event.caching import inner
from spikecore.backends.event.call_lif import call_waiting, let_wait
from spikecore.backends.event.fire_lif import fire
from spikecore.backends.event.lanes import WIDTH
from spikecore.backends.event.listing import FAR_APART, in_order
from spikecore.backends.event.packed import Fast, M, W
from spikecore.backends.event.tables import Net, P, State
from spikecore.backends.event.words import is_untouched, prefetch, trailing_zeros

__all__ = ["look_lif"]

P_STATES, P_START = int(P.N_STATES), int(P.START)
SPIKES, MANY = 2, 3  # State.lists
W_RECORD, W_WIDTH = int(W.RECORD_0), int(W.WIDTH)
W_PORTS, W_SMALL, W_ROWS = int(W.PORTS_0), int(W.SMALL_0), int(W.ROWS_0)
W_CHOSEN, W_MARKED = int(W.CHOSEN_0), int(W.MARKED)
W_BY_FIRST, W_BY_SECOND = int(W.BY_FIRST), int(W.BY_SECOND)
QUEUED = int(M.QUEUED)
ONE, NOTHING = np.uint64(1), np.uint64(0)
ALL, LANES = np.uint64(2**WIDTH - 1), np.uint64(WIDTH)
AHEAD = np.uint64(2 * WIDTH)
ARRIVED_A, ARRIVED_B = np.uint64(WIDTH * ARRIVED), np.uint64(WIDTH * (ARRIVED + 1))


@inner
def look_lif(
    net: Net, st: State, fast: Fast, p: int, t: int, base: int, count: int, listed: int
) -> tuple[int, int]:
    """Bring the chosen neurons to tick ``t``, but for those whose state is not finite.

    Adds those that fire to the ``count`` spikes of the tick, in any order. Returns how many
    spikes there are now, and how many neurons are left, which are chosen now.
    """
    row, chosen, ring, batch = fast.part[p], fast.chosen, fast.ring, fast.batch
    s, ports = net.population[p, P_STATES], row[W_PORTS]
    cell_a, two = base + fast.lists[ports + 2], fast.lists[ports] > 1
    cell_b = base + fast.lists[ports + 4] if two else cell_a
    unlisted = fast.meta[QUEUED] != 0 or row[W_MARKED] != 0
    arrays = (fast.record, fast.record_tick, ring, fast.rows, fast.small, chosen, batch)
    places = row[W_RECORD], row[W_ROWS], row[W_SMALL], cell_a, cell_b
    far = fast.meta[QUEUED] == 0 and fast.record.size > FAR_APART
    record_0, width = np.uint64(row[W_RECORD]), np.uint64(row[W_WIDTH])
    begin, waiting, start = np.uint64(row[W_CHOSEN]), NOTHING, net.population[p, P_START]
    left, first, end = begin, begin, begin + np.uint64(listed)
    by_first = begin + np.uint64(row[W_BY_FIRST])
    by_both = by_first + np.uint64(row[W_BY_SECOND])
    while first < end:
        exist = min(end - first, LANES)
        for i in range(exist, LANES):
            chosen[first + i] = chosen[first]
        if far:
            for i in range(first + AHEAD, first + AHEAD + LANES):
                prefetch(fast.record, record_0 + np.uint64(chosen[i]) * width)
        second = two and (unlisted or (first + exist > by_first and first < by_both))
        numbers = (*places, np.int64(first), np.int64(exist), t)
        found = look(2 * s + second, (*arrays, fast.batch_tick), numbers)
        special, fires = found & ALL, found >> (LANES + LANES)
        waiting = let_wait(fast, waiting, first, (found >> LANES) & ALL)
        while fires != NOTHING:
            lane = np.uint64(trailing_zeros(fires))
            fires &= fires - ONE
            own = np.uint64(chosen[first + lane])
            if two and not second and not is_untouched(ring[np.uint64(cell_b) + own]):
                special |= ONE << lane  # something is yet to be added
            elif fire(net, fast, p, t, own, lane, waiting):
                st.lists[SPIKES, count], st.lists[MANY, count] = start + np.int64(own), 1
                count, waiting = count + 1, waiting + ONE
        while special != NOTHING:  # give back what has arrived
            lane = np.uint64(trailing_zeros(special))
            special &= special - ONE
            own = np.uint64(chosen[first + lane])
            ring[np.uint64(cell_a) + own] = batch[ARRIVED_A + lane]
            if second:
                ring[np.uint64(cell_b) + own] = batch[ARRIVED_B + lane]
            chosen[left] = own
            left += ONE
        while waiting >= LANES:
            waiting -= LANES
            call_waiting(fast, p, t, waiting, LANES)
        first += LANES
    if waiting > NOTHING:
        call_waiting(fast, p, t, NOTHING, waiting)
    others = int(left - begin)
    return count, int(in_order(fast, p, others)) if others > 1 else others
