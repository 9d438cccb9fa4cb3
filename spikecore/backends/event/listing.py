"""Compiled: which neurons are to be looked at in a tick: those reached, and those called.

The reached are listed as their cells are touched for the first time: when a row is added to
the ring (``ring.py``), or while a queue is emptied (``delivery.py``). Such a list is in order
of arrival, and who is reached by two ports is in it twice. What does not go cell by cell marks
bits instead. Where the order matters it is made by marking all and listing the marks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.packed import SPARE, Fast, M, W
from spikecore.backends.event.tables import R, State
from spikecore.backends.event.words import prefetch, trailing_zeros

__all__ = ["FAR_APART", "in_order", "list_reached"]

UPDATES, QUEUED = int(R.UPDATES), int(M.QUEUED)
W_CLOCK, W_STRIDE, W_PORTS = int(W.CLOCK_0), int(W.STRIDE), int(W.PORTS_0)
W_HITS, W_CHOSEN, W_ROWS = int(W.HITS), int(W.CHOSEN_0), int(W.ROWS_0)
W_RECORD, W_WIDTH = int(W.RECORD_0), int(W.WIDTH)
W_MARKED, W_LIST, W_PLACE = int(W.MARKED), int(W.LIST_0), int(W.PLACE_0)
W_BY_FIRST = int(W.BY_FIRST)
CELL_BITS = int(M.CELL_BITS)
WOKEN, WORDS = 0, 1  # Fast.hits
PORTS = 2  # W.BY_FIRST, W.BY_SECOND
ONE, SIX = np.uint64(1), np.uint64(6)
LOW, NOTHING = np.uint64(63), np.uint64(0)
FAR_APART = 100_000
"""Numbers in records beyond which they do not stay in a cache of 1 MB."""


@inlined
def _take(chosen: Any, at: Any, first: Any, todo: Any) -> Any:
    """List the first neuron marked in ``todo``; return the others."""
    chosen[at] = first + np.uint64(trailing_zeros(todo))
    return todo & (todo - ONE)


@inlined
def _list_word(chosen: Any, count: Any, first: Any, todo: Any) -> Any:
    """List the neurons marked in a word that begins with ``first``; return how many are listed."""
    while todo != NOTHING:
        todo = _take(chosen, count, first, todo)
        count += ONE
    return count


@inlined
def _list_marked(fast: Fast, p: int, count: Any) -> Any:
    """Add the neurons of ``p`` that are marked to those chosen, up to ``count``, in order."""
    hits, chosen = fast.hits, fast.chosen
    first = np.uint64(fast.part[p, W_CLOCK] >> 6)
    at, end = first, first + np.uint64(fast.part[p, W_STRIDE] >> 6)
    while at < end:
        rest = hits[WORDS, at >> SIX] >> (at & LOW)
        if rest == NOTHING:
            at = (at | LOW) + ONE
            continue
        at += np.uint64(trailing_zeros(rest))
        if at >= end:
            break
        hits[WORDS, at >> SIX] &= ~(ONE << (at & LOW))
        todo = hits[WOKEN, at]
        hits[WOKEN, at] = NOTHING
        count = _list_word(chosen, count, (at - first) << SIX, todo)
        at += ONE
    return count


@inner
def in_order(fast: Fast, p: int, listed: int) -> int:
    """Put the first ``listed`` chosen neurons of ``p`` in order, each once; return how many."""
    first, clock = np.uint64(fast.part[p, W_CHOSEN]), np.uint64(fast.part[p, W_CLOCK])
    for i in range(first, first + np.uint64(listed)):
        n = clock + np.uint64(fast.chosen[i])
        word = n >> SIX
        fast.hits[WOKEN, word] |= ONE << (n & LOW)
        fast.hits[WORDS, word >> SIX] |= ONE << (word & LOW)
    return int(_list_marked(fast, p, first) - first)


@inner
def _mark(hits: Any, cells: Any, first: int) -> None:
    """Mark the neurons whose cells are marked, from word ``first`` on; cells are not any more."""
    for w in range(cells.size):
        if cells[w] != NOTHING:
            word = np.uint64(first + w)
            hits[WOKEN, word] |= cells[w]
            hits[WORDS, word >> SIX] |= ONE << (word & LOW)
            cells[w] = NOTHING


@inner
def _copy(out: Any, given: Any) -> None:
    for i in range(given.size):
        out[i] = given[i]


@inlined
def _list_cells(fast: Fast, p: int, base: int) -> int:
    """List the neurons of ``p`` whose cells are touched; mark those whose cells are marked."""
    ports, count = fast.part[p, W_PORTS], fast.part[p, W_CHOSEN]
    slot = base >> fast.meta[CELL_BITS]
    for k in range(fast.lists[ports]):
        many, first = (
            fast.part[p, W_LIST] + k,
            fast.part[p, W_PLACE] + k * (fast.part[p, W_STRIDE] + SPARE),
        )
        size = np.int64(fast.many[many, slot])
        fast.many[many, slot] = 0
        _copy(fast.chosen[count : count + size], fast.touched[slot, first : first + size])
        count += size
        if k < PORTS:
            fast.part[p, W_BY_FIRST + k] = size
        if fast.part[p, W_MARKED]:
            words, cell = fast.part[p, W_STRIDE] >> 6, base + fast.lists[ports + 2 + 2 * k]
            bits = fast.bits[cell >> 6 : (cell >> 6) + words]
            _mark(fast.hits, bits, fast.part[p, W_CLOCK] >> 6)
    return int(count)


@inner
def list_reached(st: State, fast: Fast, p: int, base: int) -> int:
    """Choose the neurons of ``p`` that were reached or called; return how many.

    They are in order, each once, unless they are looked at in vectors.
    """
    begin, queued = fast.part[p, W_CHOSEN], fast.meta[QUEUED] != 0
    count = np.int64(fast.listed[p]) if queued else _list_cells(fast, p, base)
    listed = np.int64(_list_marked(fast, p, np.uint64(count))) - begin
    if queued:
        fast.listed[p] = begin
        first, width = np.uint64(fast.part[p, W_RECORD]), np.uint64(fast.part[p, W_WIDTH])
        if fast.record.size > FAR_APART:  # all of them ahead of their use
            for i in range(np.uint64(begin), np.uint64(begin + listed)):
                prefetch(fast.record, first + np.uint64(fast.chosen[i]) * width)
    if fast.part[p, W_ROWS] < 0:
        listed = in_order(fast, p, listed)
    st.register[UPDATES] += listed
    fast.part[p, W_HITS] += listed
    return int(listed)
