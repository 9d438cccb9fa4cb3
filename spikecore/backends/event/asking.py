"""Compiled: memory that will soon be needed is asked for (prefetched), which changes no result.

What a spike needs lies far apart: who fires, where its row of synapses begins, the row. Each
can be asked for only when the one before is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.delivery import LINE, MOST_LINES
from spikecore.backends.event.packed import Fast
from spikecore.backends.event.tables import C, Net, R, State
from spikecore.backends.event.words import prefetch

__all__ = ["ask_for", "ask_for_inputs", "ask_for_places", "ask_for_rows"]

C_ROW, C_SOURCE, C_SYNAPSE = int(C.ROW_0), int(C.SOURCE), int(C.SYNAPSE_0)
C_WEIGHT, C_WEIGHT_STEP = int(C.WEIGHT_0), int(C.WEIGHT_STEP)
N_SPIKES, INPUT = int(R.N_SPIKES), int(R.INPUT)
SPIKES = 2  # State.lists
MOST_ROWS = 4


# What follows is compiled once, for several callers, and handed arrays: a call copies seven
# values of each.
@inner
def _where(group: Any, projection: Any, row: Any, n: int, g: int) -> None:
    for p in range(group[g, 0], min(group[g + 1, 0], group[g, 0] + MOST_ROWS)):
        prefetch(row, np.uint64(projection[p, C_ROW] + n - projection[p, C_SOURCE]))


@inner
def _rows(group: Any, projection: Any, rows: Any, packed: Any, weight: Any, n: int, g: int) -> None:
    for p in range(group[g, 0], min(group[g + 1, 0], group[g, 0] + MOST_ROWS)):
        row = projection[p, C_ROW] + n - projection[p, C_SOURCE]
        lo, hi = rows[row], rows[row + 1]
        hi = min(hi, lo + LINE * MOST_LINES)
        first, w = projection[p, C_SYNAPSE], projection[p, C_WEIGHT]
        for s in range(lo, hi, LINE):
            prefetch(packed, np.uint64(first + s))
            if projection[p, C_WEIGHT_STEP] != 0:
                prefetch(weight, np.uint64(w + s))


@inlined
def _ask_where(net: Net, n: int, g: int) -> None:
    """Ask for where the rows of neuron ``n`` of group ``g`` begin."""
    _where(net.group, net.projection, net.row, n, g)


@inlined
def ask_for_places(net: Net, n: int, g: int) -> None:
    """Ask for what says where the rows of neuron ``n`` of group ``g``, which fires, are."""
    prefetch(net.node, np.uint64(2 * n))
    _ask_where(net, n, g)


@inlined
def ask_for_rows(net: Net, st: State, fast: Fast, n: int) -> None:
    """Ask for the rows of neuron ``n``."""
    _rows(net.group, net.projection, net.row, fast.packed, st.weight, n, net.node[n, 0])


@inlined
def ask_for(net: Net, st: State, fast: Fast, spike: int) -> None:
    """Ask, on behalf of later spikes of the tick: for a row, where another begins, and so on."""
    last = st.register[N_SPIKES] - 1
    prefetch(net.node, np.uint64(2 * st.lists[SPIKES, min(spike + 10, last)]))
    ahead = st.lists[SPIKES, min(spike + 5, last)]
    _ask_where(net, ahead, net.node[ahead, 0])
    ask_for_rows(net, st, fast, st.lists[SPIKES, spike + 2])


@inlined
def ask_for_inputs(net: Net, st: State, fast: Fast, sources: Any) -> None:
    """Ask for what the next input spikes need, in whatever ticks they are."""
    i, last = st.register[INPUT], sources.shape[1] - 1
    if i <= last:
        prefetch(net.node, np.uint64(2 * sources[1, min(i + 2, last)]))
        ahead = sources[1, min(i + 1, last)]
        _ask_where(net, ahead, net.node[ahead, 0])
        ask_for_rows(net, st, fast, sources[1, i])
