"""Compiled: projections with one weight and one delay, kept as a bitmap for each source.

The rows that fire in a tick are added up bit by bit: carry-save adders count, for 64
targets a word, how many of them reach each target, in eight *planes* (the bits of the
counts). The weight is then added so many times to each cell: the very additions that the
synapses would have made one by one, so the same bits.

Target ``b T + j`` is bit b of byte j of a row of T bytes (``dense.py``): shifting and masking a
plane by b gives a bit of the counts of T neighbours, each in a byte of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.apart import read, write
from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.dense import ROWS_AT_A_TIME, B
from spikecore.backends.event.packed import LANES, Fast, M, W
from spikecore.backends.event.tables import C, Net, R, State
from spikecore.backends.event.words import prefetch, trailing_zeros

__all__ = ["send_dense"]

C_SOURCE, C_WEIGHT = int(C.SOURCE), int(C.WEIGHT_0)
B_ROW, B_WORDS, B_CELL = int(B.ROW_0), int(B.WORDS), int(B.CELL)
B_DELAY, B_AT_ONCE, B_SIZE = int(B.DELAY), int(B.AT_ONCE), int(B.SIZE)
CELL_BITS, SLOT_MASK = int(M.CELL_BITS), int(M.SLOT_MASK)
W_SWEPT, W_MARKED = int(W.SWEPT), int(W.MARKED)
SENT, PENDING = int(R.SENT), int(R.PENDING)
SPIKES, MANY = 2, 3  # State.lists
MAP, LO, HI, SYNAPSES = 0, 1, 2, 3  # Fast.bit_row
AT_A_TIME = ROWS_AT_A_TIME
LINE = 16  # entries of Fast.packed in a line of the cache
FEW = 2  # rows that are gone through bit by bit
ONE, SIX, THREE, LOW = np.uint64(1), np.uint64(6), np.uint64(3), np.uint64(63)
NOTHING, SEVEN, EIGHT = np.uint64(0), np.uint64(7), np.uint64(8)
BYTES = np.uint64(0x0101010101010101)


@inlined
def _add(a: Any, b: Any, c: Any) -> Any:
    """Add three bits: sum and carry, in each place of a word."""
    d = a ^ b
    return d ^ c, (a & b) | (d & c)


@inner
def _count_rows(bitmap: Any, plane: Any, rows: Any, words: Any, stride: Any) -> None:
    """Add eight rows, which begin at ``rows[0..7]``, to the planes."""
    r0, r1, r2, r3 = rows[0], rows[1], rows[2], rows[3]
    r4, r5, r6, r7 = rows[4], rows[5], rows[6], rows[7]
    for i in range(words):
        s, t = _add(read(plane, i, 1, 1), read(bitmap, r0 + i, 1, 0), read(bitmap, r1 + i, 1, 0))
        s, u = _add(s, read(bitmap, r2 + i, 1, 0), read(bitmap, r3 + i, 1, 0))
        twos, f = _add(read(plane, stride + i, 1, 2), t, u)
        s, t = _add(s, read(bitmap, r4 + i, 1, 0), read(bitmap, r5 + i, 1, 0))
        s, u = _add(s, read(bitmap, r6 + i, 1, 0), read(bitmap, r7 + i, 1, 0))
        twos, g = _add(twos, t, u)
        fours, c = _add(read(plane, np.uint64(2) * stride + i, 1, 3), f, g)
        write(plane, i, s, 1, 1)
        write(plane, stride + i, twos, 1, 2)
        write(plane, np.uint64(2) * stride + i, fours, 1, 3)
        own = read(plane, THREE * stride + i, 1, 4)
        write(plane, THREE * stride + i, own ^ c, 1, 4)
        c &= own
        own = read(plane, np.uint64(4) * stride + i, 1, 5)
        write(plane, np.uint64(4) * stride + i, own ^ c, 1, 5)
        c &= own
        own = read(plane, np.uint64(5) * stride + i, 1, 6)
        write(plane, np.uint64(5) * stride + i, own ^ c, 1, 6)
        c &= own
        own = read(plane, SIX * stride + i, 1, 7)
        write(plane, SIX * stride + i, own ^ c, 1, 7)
        c &= own
        write(plane, SEVEN * stride + i, read(plane, SEVEN * stride + i, 1, 8) ^ c, 1, 8)


@inner
def _to_bytes(plane: Any, words: Any, stride: Any) -> None:
    """Add the counts in the planes to those in bytes, which follow the planes."""
    for b in range(EIGHT):
        to = EIGHT * stride + b * words
        for i in range(words):
            count = read(plane, to + i, 2, 0)
            for k in range(EIGHT):
                count += ((read(plane, k * stride + i, 2, 1) >> b) & BYTES) << k
            write(plane, to + i, count, 2, 0)


@inner
def _add_weights(ring: Any, cell: Any, count: Any, byte: Any, size: Any, weight: Any) -> None:
    """Add the weight ``count`` times to each of the cells from ``cell`` on."""
    for lo in range(NOTHING, size, np.uint64(LANES)):
        hi = min(size, lo + np.uint64(LANES))
        most = np.uint8(0)
        for i in range(lo, hi):
            here = count[byte + i]
            most = here if here > most else most
        k = 1
        while k <= most:
            a, b, c, d = np.uint8(k), np.uint8(k + 1), np.uint8(k + 2), np.uint8(k + 3)
            for i in range(lo, hi):
                n, x = read(count, byte + i, 3, 0), read(ring, cell + i, 3, 1)
                x = x + weight if n >= a else x
                x = x + weight if n >= b else x
                x = x + weight if n >= c else x
                x = x + weight if n >= d else x
                write(ring, cell + i, x, 3, 1)
            k += 4


@inner
def _bit_by_bit(
    bitmap: Any, row: Any, words: Any, ring: Any, cell: Any, weight: Any, marks: Any
) -> None:
    """Add the weight to the cells of one row; mark them, if there is anything to mark in."""
    span = words << THREE
    for w in range(words):
        rest = bitmap[row + w]
        while rest != NOTHING:
            at = np.uint64(trailing_zeros(rest))
            rest &= rest - ONE
            to = cell + (at & SEVEN) * span + (w << THREE) + (at >> THREE)
            ring[to] += weight
            if marks.size > 0:
                marks[to >> SIX] |= ONE << (to & LOW)


@inner
def _mark_counted(count: Any, byte: Any, size: Any, cell: Any, marks: Any) -> None:
    """Remember which cells were reached."""
    for i in range(size):
        if count[byte + i] != 0:
            to = cell + i
            marks[to >> SIX] |= ONE << (to & LOW)


@inner
def _one_by_one(rows: Any, sent: Any, first: Any, to: Any, marks: Any) -> None:
    """Send a few rows, each by itself: arguments as of ``_together``."""
    (bit_row, bitmap, extra), (ring, cell, words, _, weight) = rows, to
    for i in range(sent.shape[1]):
        own = first + sent[0, i]
        row = np.uint64(bit_row[own, MAP])
        for _ in range(sent[1, i] if row != NOTHING else 0):
            _bit_by_bit(bitmap, row, words, ring, cell, weight, marks)
            for e in range(bit_row[own, LO], bit_row[own, HI]):
                ring[cell + np.uint64(extra[e])] += weight


@inner
def _together(
    rows: Any, sent: Any, first: Any, to: Any, marks: Any, scratch: Any, at_once: int
) -> None:
    """Send many rows: count them, as many at once as a byte counts, and add the weights.

    Parameters
    ----------
    rows : tuple of ndarray
        ``Fast.bit_row``, ``bitmap`` and ``packed``.
    sent : ndarray, shape (2, n)
        Neurons that fire, and how often; add ``first`` for their rows.
    to : tuple
        The ring, first cell, words of a bitmap, number of targets, weight.
    marks : ndarray
        Where to mark the cells that are reached, or empty.
    scratch : tuple of ndarray
        Words, and the same memory in bytes.
    """
    (bit_row, bitmap, extra), (ring, cell, words, size, weight) = rows, to
    plane, counts = scratch
    stride = np.uint64((plane.size - AT_A_TIME) >> 4)  # of planes, and eighths of the counts
    byte, begins = stride << SIX, plane[np.uint64(16) * stride :]
    i, again, waiting = 0, 0, 0
    while i < sent.shape[1]:
        plane[: np.uint64(16) * stride] = NOTHING
        counted = 0
        while i < sent.shape[1] and counted < at_once:
            own = first + sent[0, i]
            row = np.uint64(bit_row[own, MAP])
            if row != NOTHING:
                begins[waiting] = row
                waiting += 1
                counted += 1
                for e in range(bit_row[own, LO], bit_row[own, HI]):
                    counts[byte + np.uint64(extra[e])] += np.uint8(1)
                if waiting == AT_A_TIME:
                    _count_rows(bitmap, plane, begins, words, stride)
                    waiting = 0
            again += 1
            if row == NOTHING or again == sent[1, i]:
                i, again = i + 1, 0
        if waiting > 0:
            for k in range(waiting, AT_A_TIME):
                begins[k] = NOTHING  # an empty row
            _count_rows(bitmap, plane, begins, words, stride)
            waiting = 0
        _to_bytes(plane, words, stride)
        _add_weights(ring, cell, counts, byte, size, weight)
        if marks.size > 0:
            _mark_counted(counts, byte, size, cell, marks)


@inlined
def send_dense(net: Net, st: State, fast: Fast, p: int, begin: int, end: int, t: int) -> None:
    """Send the spikes ``begin .. end - 1``, all of sources of ``p``, at once."""
    slot = (t + fast.bit[p, B_DELAY]) & fast.meta[SLOT_MASK]
    first = fast.bit[p, B_ROW] - net.projection[p, C_SOURCE]
    sent, bit_row = st.lists[SPIKES : MANY + 1, begin:end], fast.bit_row
    rows = events = 0
    for i in range(sent.shape[1]):
        own = first + sent[0, i]
        size = bit_row[own, SYNAPSES]
        if size > 0:
            rows += sent[1, i]
            events += size * sent[1, i]
            # Rows lie all over memory: ask for the beginnings of all before the first is read.
            at = np.uint64(bit_row[own, MAP])
            prefetch(fast.bitmap, at)
            prefetch(fast.bitmap, at + EIGHT)
            for e in range(bit_row[own, LO], bit_row[own, HI], LINE):
                prefetch(fast.packed, np.uint64(e))
    to = (
        fast.ring,
        np.uint64((slot << fast.meta[CELL_BITS]) + fast.bit[p, B_CELL]),
        np.uint64(fast.bit[p, B_WORDS]),
        np.uint64(fast.bit[p, B_SIZE]),
        st.weight[net.projection[p, C_WEIGHT]] + (net.real[0] - net.real[0]),
    )
    aim = fast.part[fast.aims[p]]
    marks = fast.bits[:0] if aim[W_SWEPT] else fast.bits
    aim[W_MARKED] = 1
    where = (bit_row, fast.bitmap, fast.packed)
    if rows > FEW:
        at_once = fast.bit[p, B_AT_ONCE]
        scratch = fast.random[LANES:], fast.counted[LANES * 8 :]
        _together(where, sent, first, to, marks, scratch, at_once)
    elif rows > 0:
        _one_by_one(where, sent, first, to, marks)
    fast.due[slot] += events
    st.register[SENT] += events
    st.register[PENDING] += events
