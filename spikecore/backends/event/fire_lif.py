"""Compiled: neurons like LIF that fire, found by the vectors of ``look_lif.py``.

Their states with what has arrived are there already. What is left is done one by one, as there
are few: reset, spike, and the state in which they leave the refractory period, from which on
they wait for a call (``call_lif.py``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.asking import ask_for_places
from spikecore.backends.event.caching import inlined
from spikecore.backends.event.call_lif import FROM, OWN
from spikecore.backends.event.lanes import WIDTH
from spikecore.backends.event.packed import Fast, W
from spikecore.backends.event.small import HELD_DIGITS, JUMP, MASK, RESET, carried
from spikecore.backends.event.tables import Net, P
from spikecore.backends.event.wheel import AT, UNTIL

__all__ = ["fire"]

P_STATES, P_START, P_REFRACTORY = int(P.N_STATES), int(P.START), int(P.REFRACTORY_0)
W_RECORD, W_WIDTH, W_TICKS = int(W.RECORD_0), int(W.WIDTH), int(W.TICKS)
W_SMALL = int(W.SMALL_0)
TO_JUMP, TO_MASK = np.uint64(JUMP - RESET), np.uint64(MASK - RESET)


@inlined
def _after(table: Any, at: Any, x: Any) -> Any:
    """Return a state after a spike; ``at``: where its value of reset is."""
    return table[at] if table[at + TO_MASK] != 0 else x + table[at + TO_JUMP]


@inlined
def fire(net: Net, fast: Fast, p: int, t: int, own: Any, lane: Any, waiting: Any) -> bool:
    """Let a neuron in ``lane`` of a vector fire, and wait at ``waiting``.

    Returns whether it does: one that is listed twice fires once.
    """
    table, s = fast.small, net.population[p, P_STATES]
    at = np.uint64(fast.part[p, W_RECORD]) + own * np.uint64(fast.part[p, W_WIDTH])
    tick = at + np.uint64(fast.part[p, W_TICKS])
    if fast.record_tick[tick + np.uint64(UNTIL)] >= t:
        return False
    start, small = net.population[p, P_START], np.uint64(fast.part[p, W_SMALL])
    one, two, width = np.uint64(1), np.uint64(2), np.uint64(WIDTH)
    reset = small + np.uint64(RESET)
    x = _after(table, reset, fast.batch[lane])
    y = _after(table, reset + one, fast.batch[width + lane])
    z = _after(table, reset + two, fast.batch[width + width + lane])
    until = t + net.whole[net.population[p, P_REFRACTORY]]
    fast.record[at] = x
    if s > one:
        fast.record[at + one] = y
    if s > two:
        fast.record[at + two] = z
    fast.record_tick[tick + np.uint64(AT)] = t
    fast.record_tick[tick + np.uint64(UNTIL)] = until
    ask_for_places(net, start + np.int64(own), net.node[start, 0])
    x, y, z = carried(table, small + np.uint64(HELD_DIGITS), np.uint64(until - t), x, y, z)
    fast.waits_tick[OWN, waiting], fast.waits_tick[FROM, waiting] = own, until
    fast.waits[0, waiting], fast.waits[1, waiting], fast.waits[2, waiting] = x, y, z
    return True
