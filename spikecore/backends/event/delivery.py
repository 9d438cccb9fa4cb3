"""Compiled: synaptic events on their way, in a ring of cells or in a queue for each tick.

Both give every cell the sum of its arrivals, added one by one in the order of emission
(contract line 4). The ring adds at once, in the tick's own row of cells; it is the choice
where the rows stay in the cache. A queue keeps cell and weight of each event until its
tick, and then adds them; it writes to one place per tick, however many cells there are.

Indices are unsigned throughout: a signed index makes numba ask, every time, whether it
is negative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.entries import ask_ahead, put_entry, read_cell, read_weight
from spikecore.backends.event.packed import BLOCK, Fast, M, W
from spikecore.backends.event.ring import to_ring
from spikecore.backends.event.tables import C, Net, R, State
from spikecore.backends.event.words import is_untouched, prefetch

__all__ = [
    "LINE",
    "MOST_LINES",
    "arrivals",
    "room",
    "send_row",
    "settle_counts",
]

C_SYNAPSE, C_WEIGHT, C_WEIGHT_STEP = int(C.SYNAPSE_0), int(C.WEIGHT_0), int(C.WEIGHT_STEP)
C_SOURCE, SPIKES = int(C.SOURCE), 2  # State.lists
C_ROW, C_DELAY, C_DELAY_STEP = int(C.ROW_0), int(C.DELAY_0), int(C.DELAY_STEP)
CELL_BITS, SLOT_MASK, INDEX_MASK = int(M.CELL_BITS), int(M.SLOT_MASK), int(M.INDEX_MASK)
QUEUED, ANY_WHEEL = int(M.QUEUED), int(M.ANY_WHEEL)
W_SWEPT, W_CHOSEN = int(W.SWEPT), int(W.CHOSEN_0)
FREE_HEAD, N_FREE, N_SPIKES = int(R.FREE_HEAD), int(R.N_FREE), int(R.N_SPIKES)
SENT, DELIVERED, PENDING = int(R.SENT), int(R.DELIVERED), int(R.PENDING)
TICK, PROJECTION, OWN, TIMES = 0, 1, 2, 3  # Fast.log
FIRST, LOGGED = 0, 1  # Fast.log_at
LINE, MOST_LINES = 16, 8
"""Numbers of 32 bits in a line of the cache, and lines of a row that are asked for."""

SOON = 4

POPULATION, CELL_0 = np.uint64(0), np.uint64(1)  # Fast.whose
ONE, SIX, LOW = np.uint64(1), np.uint64(6), np.uint64(63)
IN_BLOCK = np.uint64(BLOCK - 1)


@inlined
def _count(net: Net, fast: Fast, p: int, lo: int, hi: int, now: int, many: int) -> None:
    """Count the synaptic events of a row by the tick in which they are due."""
    slots = fast.meta[SLOT_MASK]
    if net.projection[p, C_DELAY_STEP] == 0 or hi == lo + 1:
        first = fast.packed[net.projection[p, C_SYNAPSE] + lo]
        fast.due[(now + (np.int64(first) >> fast.meta[CELL_BITS])) & slots] += many * (hi - lo)
        return
    due, packed, mask = fast.due, fast.packed, np.uint64(slots)
    shift, start = np.uint64(fast.meta[CELL_BITS]), np.uint64(now)
    begin = np.uint64(net.projection[p, C_SYNAPSE])
    for s in range(begin + np.uint64(lo), begin + np.uint64(hi)):
        due[(start + (np.uint64(packed[s]) >> shift)) & mask] += many


@inlined
def _count_later(net: Net, st: State, fast: Fast, p: int, own: int, t: int, many: int) -> None:
    """Remember a row whose events wait for many different ticks, in place of counting them.

    Nobody asks for the counts before the run ends, and by then nearly all have arrived.
    """
    size = np.int64(fast.log.shape[1])
    if fast.log_at[LOGGED] == size:
        _settle_oldest(net, st, fast, t)
    at = (fast.log_at[FIRST] + fast.log_at[LOGGED]) % size
    fast.log[TICK, at], fast.log[PROJECTION, at] = t, p
    fast.log[OWN, at], fast.log[TIMES, at] = own, many
    fast.log_at[LOGGED] += 1


@inner
def _count_due(due: Any, packed: Any, span: Any, how: Any, many: int) -> int:
    """Count the events of a row that are due after a tick, by their ticks; return how many."""
    then, t, shift, slots = how
    mask, late = np.uint64(slots), 0
    for s in range(span[0], span[1]):
        tick = then + (np.uint64(packed[s]) >> shift)
        if tick > t:
            due[tick & mask] += many
            late += many
    return late


@inner
def _settle_oldest(net: Net, st: State, fast: Fast, t: int) -> None:
    """Count the events of the oldest remembered row: due by tick ``t``, or later."""
    at = fast.log_at[FIRST]
    then, p, many = fast.log[TICK, at], fast.log[PROJECTION, at], fast.log[TIMES, at]
    row = net.projection[p, C_ROW] + fast.log[OWN, at]
    lo, hi = net.row[row], net.row[row + 1]
    arrived = (hi - lo) * many
    if t - then <= fast.meta[SLOT_MASK]:
        begin = np.uint64(net.projection[p, C_SYNAPSE])
        how = np.uint64(then), np.uint64(t), np.uint64(fast.meta[CELL_BITS]), fast.meta[SLOT_MASK]
        lo_hi = begin + np.uint64(lo), begin + np.uint64(hi)
        arrived -= _count_due(fast.due, fast.packed, lo_hi, how, many)
    st.register[DELIVERED] += arrived
    st.register[PENDING] -= arrived
    fast.log_at[FIRST] = (at + 1) % fast.log.shape[1]
    fast.log_at[LOGGED] -= 1


@inner
def settle_counts(net: Net, st: State, fast: Fast, t: int) -> None:
    """Count all events of remembered rows as of the end of tick ``t``."""
    while fast.log_at[LOGGED] > 0:
        if fast.log_at[LOGGED] > SOON:  # rows lie all over memory: ask for one that is soon read
            at = (fast.log_at[FIRST] + SOON) % fast.log.shape[1]
            p = fast.log[PROJECTION, at]
            row = net.projection[p, C_ROW] + fast.log[OWN, at]
            lo, hi = net.row[row], min(net.row[row + 1], net.row[row] + LINE * MOST_LINES)
            if t - fast.log[TICK, at] <= fast.meta[SLOT_MASK]:
                for s in range(lo, hi, LINE):
                    prefetch(fast.packed, np.uint64(net.projection[p, C_SYNAPSE] + s))
        _settle_oldest(net, st, fast, t)


@inlined
def _note(net: Net, st: State, fast: Fast, p: int, own: int, t: int, many: int) -> None:
    """Note how many events of a row, just added to the ring, are due when."""
    row = net.projection[p, C_ROW] + own
    lo, hi = net.row[row], net.row[row + 1]
    now = t & fast.meta[SLOT_MASK]
    swept = fast.part[fast.aims[p], W_SWEPT] != 0
    if swept and hi > lo + 1 and net.projection[p, C_DELAY_STEP] != 0:
        _count_later(net, st, fast, p, own, t, many)
    else:
        _count(net, fast, p, lo, hi, now, many)


@inner
def _append(
    entry: Any, following: Any, packed: Any, weight: Any, k: Any, end: Any, how: Any
) -> Any:
    """Append synapses from ``k`` on to the queues of their ticks.

    Returns the first that needs a new block, or ``end``. A function of its own, without the
    tuples of arrays, as the compiler then keeps all it needs in registers.
    """
    start, slots, shift, low, w_at, step, zero = how
    while k < end:
        own = np.uint64(packed[k])
        slot = (start + (own >> shift)) & slots
        place = following[slot]
        if place & IN_BLOCK == 0:
            break
        ask_ahead(entry, place, zero)
        put_entry(entry, place, own & low, weight[w_at + step * k] + zero)
        following[slot] = place + ONE
        k += ONE
    return k


@inlined
def _to_queue(net: Net, st: State, fast: Fast, p: int, lo: int, hi: int, now: int) -> None:
    """Append the synapses ``lo .. hi - 1`` of projection ``p`` to the queues of their ticks."""
    slots, shift = np.uint64(fast.meta[SLOT_MASK]), np.uint64(fast.meta[CELL_BITS])
    low, start = (ONE << shift) - ONE, np.uint64(now)
    first = np.uint64(net.projection[p, C_SYNAPSE])
    step = np.uint64(net.projection[p, C_WEIGHT_STEP])
    w_at = np.uint64(net.projection[p, C_WEIGHT]) - step * first
    zero = net.real[0] - net.real[0]
    following = fast.following
    how = (start, slots, shift, low, w_at, step, zero)
    k, end = first + np.uint64(lo), first + np.uint64(hi)
    while True:
        k = _append(fast.entry, following, fast.packed, st.weight, k, end, how)
        if k >= end:
            break
        own = np.uint64(fast.packed[k])
        slot = (start + (own >> shift)) & slots
        place = _next_block(st, fast, slot, following[slot])
        put_entry(fast.entry, place, own & low, st.weight[w_at + step * k] + zero)
        following[slot] = place + ONE
        k += ONE


@inlined
def _next_block(st: State, fast: Fast, slot: Any, place: Any) -> Any:
    """Take a free block for a queue that is empty or whose last block is full."""
    reg = st.register
    block = reg[FREE_HEAD]
    reg[FREE_HEAD] = fast.entry_next[block]
    reg[N_FREE] -= 1
    if place == 0:
        fast.head[slot] = block
    else:
        fast.entry_next[np.int64(place) // BLOCK - 1] = block
    return np.uint64(block * BLOCK)


@inlined
def room(net: Net, st: State, fast: Fast, p: int, own: int, many: int) -> bool:
    """Whether the queues have room for a row, sent ``many`` times."""
    if fast.meta[QUEUED] == 0:
        return True
    row = net.projection[p, C_ROW] + own
    size = (net.row[row + 1] - net.row[row]) * many
    needed = size // BLOCK + min(size, fast.head.size) + 1
    return bool(st.register[N_FREE] >= needed)


@inlined
def send_row(net: Net, st: State, fast: Fast, p: int, own: int, t: int, many: int) -> None:
    """Send one row ``many`` times."""
    row = net.projection[p, C_ROW] + own
    lo, hi = net.row[row], net.row[row + 1]
    if lo == hi:
        return
    now = t & fast.meta[SLOT_MASK]
    if fast.meta[QUEUED]:
        if many == 1:
            _to_queue(net, st, fast, p, lo, hi, now)
        else:  # synapse by synapse, as the contract orders them
            for k in range(lo, hi):
                for _ in range(many):
                    _to_queue(net, st, fast, p, k, k + 1, now)
    else:
        base = np.uint64(now) << np.uint64(fast.meta[CELL_BITS])
        if many == 1:
            to_ring(net, st, fast, p, lo, hi, base)
        else:
            for k in range(lo, hi):
                for _ in range(many):
                    to_ring(net, st, fast, p, k, k + 1, base)
        _note(net, st, fast, p, own, t, many)
    st.register[SENT] += (hi - lo) * many
    st.register[PENDING] += (hi - lo) * many


@inlined
def _drain(st: State, fast: Fast, slot: int) -> int:
    """Add what is queued for this tick to the cells; return the number of events."""
    reg = st.register
    ring, listed, whose, chosen = fast.ring, fast.listed, fast.whose, fast.chosen
    entry, like = fast.entry, ring[0]
    long = entry.size // fast.entry_next.size  # 32-bit numbers of a block
    mark = fast.meta[ANY_WHEEL] != 0
    for i in range(fast.part.shape[0]):
        listed[i] = fast.part[i, W_CHOSEN]
    block, end = fast.head[slot], np.int64(fast.following[slot])
    last, count = (end - 1) // BLOCK, 0
    while True:
        following = fast.entry_next[block]
        if block != last:  # written long ago, and far from here: have it ready
            for k in range(0, long, LINE):
                prefetch(entry, np.uint64(following * long + k))
        begin = np.uint64(block * BLOCK)
        stop = np.uint64(end) if block == last else np.uint64(begin + np.uint64(BLOCK))
        if mark:
            for e in range(begin, stop):
                cell = read_cell(entry, e, like)
                before = ring[cell]
                ring[cell] = before + read_weight(entry, e, like)
                # List the neuron in any case; it stays if the cell is reached for the first time.
                p = np.uint64(whose[cell >> SIX, POPULATION])
                place = np.uint64(listed[p])
                chosen[place] = cell - np.uint64(whose[cell >> SIX, CELL_0])
                listed[p] = place + np.uint64(is_untouched(before))
        else:
            for e in range(begin, stop):
                ring[read_cell(entry, e, like)] += read_weight(entry, e, like)
        count += int(stop - begin)
        fast.entry_next[block] = reg[FREE_HEAD] if reg[N_FREE] > 0 else -1
        reg[FREE_HEAD] = block
        reg[N_FREE] += 1
        if block == last:
            break
        block = following
    fast.following[slot] = 0
    return count


@inlined
def arrivals(st: State, fast: Fast, t: int) -> int:
    """Bring the arrivals of tick ``t`` into cells; return the first of their row of cells."""
    slot = t & fast.meta[SLOT_MASK]
    base, count = 0, 0
    if fast.meta[QUEUED]:
        if fast.following[slot] != 0:
            count = _drain(st, fast, slot)
    else:
        base = slot << fast.meta[CELL_BITS]
    count += fast.due[slot]  # in queues: events that a checkpoint had already added up
    fast.due[slot] = 0
    st.register[DELIVERED] += count
    st.register[PENDING] -= count
    return base
