"""Compiled: which neurons are to be looked at in a tick: those reached, and those called.

In a ring, what has been reached are bits of cells, which are gone through in order. In
queues, the reached are listed while a queue is emptied (``delivery.py``), as their cells
are touched for the first time; the list is in order of arrival, and who is reached by two
ports is in it twice. Where the order matters it is made by marking all and listing the
marks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.delivery import prefetch, trailing_zeros
from spikecore.backends.event.packed import Fast, M, W
from spikecore.backends.event.tables import R, State

__all__ = ["FAR_APART", "in_order", "list_reached"]

UPDATES, QUEUED = int(R.UPDATES), int(M.QUEUED)
W_CLOCK, W_STRIDE, W_PORTS = int(W.CLOCK_0), int(W.STRIDE), int(W.PORTS_0)
W_HITS, W_CHOSEN, W_ROWS = int(W.HITS), int(W.CHOSEN_0), int(W.ROWS_0)
W_RECORD, W_WIDTH = int(W.RECORD_0), int(W.WIDTH)
WOKEN, WORDS = 0, 1  # Fast.hits
ONE, SIX = np.uint64(1), np.uint64(6)
LOW, NOTHING = np.uint64(63), np.uint64(0)
FAR_APART = 100_000
"""Numbers in records beyond which they do not stay in a cache of 1 MB."""


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
        count = _list_word(chosen, count, (at - first) << SIX, todo, NOTHING)
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


@inlined
def _list_cells(fast: Fast, p: int, base: int) -> Any:
    """List the neurons of ``p`` with a cell that is marked, or called; return where it ends."""
    ports, bits, woken = fast.part[p, W_PORTS], fast.bits, fast.hits[WOKEN]
    n_ports, chosen = fast.lists[ports], fast.chosen
    first, count = np.uint64(fast.part[p, W_CLOCK] >> 6), np.uint64(fast.part[p, W_CHOSEN])
    cell_a = np.uint64((base + fast.lists[ports + 2]) >> 6) if n_ports > 0 else NOTHING
    for w in range(np.uint64(fast.part[p, W_STRIDE] >> 6)):
        todo = woken[first + w]
        woken[first + w] = NOTHING
        if n_ports > 0:
            todo |= bits[cell_a + w]
            bits[cell_a + w] = NOTHING
        for k in range(1, n_ports):
            word = np.uint64((base + fast.lists[ports + 2 + 2 * k]) >> 6) + w
            todo |= bits[word]
            bits[word] = NOTHING
        count = _list_word(chosen, count, w << SIX, todo, SIX)
    return count


@inner
def list_reached(st: State, fast: Fast, p: int, base: int) -> int:
    """Choose the neurons of ``p`` that were reached or called; return how many.

    They are in order, each once, unless they are looked at in vectors.
    """
    begin = fast.part[p, W_CHOSEN]
    if fast.meta[QUEUED] == 0:
        listed = np.int64(_list_cells(fast, p, base)) - begin
    else:
        listed = np.int64(_list_marked(fast, p, np.uint64(fast.listed[p]))) - begin
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
