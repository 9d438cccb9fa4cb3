"""Compiled: rows of synapses added to the ring of cells, and lists of whom they have reached.

Neurons that wait to be reached are listed for their tick as their cells are touched for the
first time: a list for each tick and port (``Fast.touched``). Cells that lie side by side, and
those of bitmaps, are marked in bits instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.packed import Fast, M, W
from spikecore.backends.event.tables import C, Net, State
from spikecore.backends.event.words import is_untouched

__all__ = ["to_ring"]

C_SYNAPSE, C_WEIGHT, C_WEIGHT_STEP = int(C.SYNAPSE_0), int(C.WEIGHT_0), int(C.WEIGHT_STEP)
C_DELAY_STEP = int(C.DELAY_STEP)
CELL_BITS, INDEX_MASK = int(M.CELL_BITS), int(M.INDEX_MASK)
W_SWEPT, W_MARKED = int(W.SWEPT), int(W.MARKED)
CELL_0, PLACE_0, LIST = 0, 1, 2  # Fast.reach
ONE, SIX, LOW = np.uint64(1), np.uint64(6), np.uint64(63)


@inner
def _add_row(cells: Any, weights: Any, zero: Any) -> None:
    for i in range(cells.size):
        cells[i] += weights[i] + zero


@inlined
def _add_side_by_side(
    net: Net, st: State, fast: Fast, p: int, lo: int, hi: int, first: int
) -> None:
    """Add a row whose cells lie side by side from ``first`` on."""
    at = net.projection[p, C_WEIGHT] + lo
    zero = net.real[0] - net.real[0]
    _add_row(fast.ring[first : first + hi - lo], st.weight[at : at + hi - lo], zero)
    if fast.part[fast.aims[p], W_SWEPT] == 0:
        fast.part[fast.aims[p], W_MARKED] = 1
        for cell in range(np.uint64(first), np.uint64(first + hi - lo)):
            fast.bits[cell >> SIX] |= ONE << (cell & LOW)


@inner
def _add(ring: Any, packed: Any, weight: Any, begin: Any, end: Any, how: Any) -> None:
    """Add synapses to their cells. Handed arrays, which are fewer than the tuples hold."""
    base, mask, w_at, step, zero = how
    if step == 0:
        w = weight[w_at] + zero
        for s in range(begin, end):
            ring[(base + np.uint64(packed[s])) & mask] += w
    else:
        shift = w_at - begin
        for s in range(begin, end):
            ring[(base + np.uint64(packed[s])) & mask] += weight[s + shift] + zero


@inner
def _add_and_list(
    ring: Any, packed: Any, weight: Any, touched: Any, begin: Any, end: Any, how: Any, here: Any
) -> Any:
    """Do the same with synapses of one delay; list who is touched; return where the list ends.

    They are written in any case, and stay if their cell is touched for the first time.
    """
    base, mask, w_at, step, zero = how
    place, cell_0 = here
    for s in range(begin, end):
        cell = (base + np.uint64(packed[s])) & mask
        before = ring[cell]
        ring[cell] = before + (weight[w_at] + zero)
        w_at += step
        touched[place] = cell - cell_0
        place += np.uint64(is_untouched(before))
    return place


@inner
def _add_and_list_each(
    ring: Any, packed: Any, weight: Any, touched: Any, begin: Any, end: Any, how: Any, here: Any
) -> None:
    """Do the same with synapses that have delays of their own."""
    base, mask, w_at, step, zero = how
    many, bits, pitch, place_0, cell_0 = here
    for s in range(begin, end):
        cell = (base + np.uint64(packed[s])) & mask
        slot = cell >> bits
        before = ring[cell]
        ring[cell] = before + (weight[w_at] + zero)
        w_at += step
        count = np.uint64(many[slot])
        touched[slot * pitch + place_0 + count] = cell - (slot << bits) - cell_0
        many[slot] = count + np.uint64(is_untouched(before))


@inlined
def to_ring(net: Net, st: State, fast: Fast, p: int, lo: int, hi: int, base: Any) -> None:
    """Add the synapses ``lo .. hi - 1`` of projection ``p`` to their cells."""
    mask = np.uint64(fast.meta[INDEX_MASK])
    first = np.uint64(net.projection[p, C_SYNAPSE])
    begin, end = first + np.uint64(lo), first + np.uint64(hi)
    step = np.uint64(net.projection[p, C_WEIGHT_STEP])
    if fast.runs[p] != 0 and step != 0:
        cell = np.int64((base + np.uint64(fast.packed[begin])) & mask)
        _add_side_by_side(net, st, fast, p, lo, hi, cell)
        return
    w_at = np.uint64(net.projection[p, C_WEIGHT]) + step * np.uint64(lo)
    how = base, mask, w_at, step, net.real[0] - net.real[0]
    if fast.part[fast.aims[p], W_SWEPT] != 0:
        _add(fast.ring, fast.packed, st.weight, begin, end, how)
        return
    bits, pitch = np.uint64(fast.meta[CELL_BITS]), np.uint64(fast.touched.shape[1])
    touched, many = fast.touched.reshape(-1), fast.many[fast.reach[p, LIST]]
    cell_0, place_0 = np.uint64(fast.reach[p, CELL_0]), np.uint64(fast.reach[p, PLACE_0])
    if net.projection[p, C_DELAY_STEP] == 0 or hi == lo + 1:
        slot = ((base + np.uint64(fast.packed[begin])) & mask) >> bits
        start = slot * pitch + place_0
        here = start + np.uint64(many[slot]), (slot << bits) + cell_0
        place = _add_and_list(fast.ring, fast.packed, st.weight, touched, begin, end, how, here)
        many[slot] = place - start
    else:
        lists = many, bits, pitch, place_0, cell_0
        _add_and_list_each(fast.ring, fast.packed, st.weight, touched, begin, end, how, lists)
