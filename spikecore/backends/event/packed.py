"""Flat arrays of the fast ways of running (docs/decisions/0010).

The same rules as in ``tables.py``: few arrays, tables of integers with named columns.
``Fast`` holds what the general way has no use for: synapses packed into 32 bits each,
cells in which arrivals add up, and neurons as a sweep or a wheel wants them.

A *cell* here is one used port of one neuron. A cell that nothing has reached holds -0.0:
adding to it gives the same bits as adding to 0.0, no sum of weights is ever -0.0 (weights
have 0.0 added, which turns -0.0 into 0.0), and so the sum itself says whether something
arrived. ``layout.py`` fills them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikecore.backends.event.dense import aligned, aligned_like
from spikecore.backends.event.entries import entry_words
from spikecore.backends.lowering import Lowered, LoweredPopulation

__all__ = [
    "BATCH",
    "BLOCK",
    "CAPACITY",
    "FAR_ROWS",
    "LANES",
    "LOG",
    "NEAR",
    "SPAN",
    "WHEEL",
    "Fast",
    "M",
    "W",
    "blank_of",
    "cell_layout",
    "copied",
    "grow_queues",
    "renewed",
    "sweepable",
]

Array = npt.NDArray[Any]

BLOCK = 128
"""Entries in a block of a queue."""

DIGITS = 64
"""Values of a digit, in populations that can be swept."""

LANES = 512
"""Neurons that a sweep works on at a time: their scratch fits into the first cache."""

NEAR, FAR_ROWS = 32, 64
SPAN = 32
"""Rows of the wheel of wake-up calls: one for each of the next NEAR ticks, then one for each
SPAN ticks, whose neurons are called in the first of them. Powers of two."""

WHEEL = FAR_ROWS * SPAN
"""Ticks that the wheel spans, longer than any horizon."""


class M(IntEnum):
    """Entries of ``Fast.meta``."""

    CELL_BITS = 0
    SLOT_MASK = 1
    INDEX_MASK = 2
    QUEUED = 3  # 1: queues, 0: a ring of cells
    ANY_WHEEL = 4  # some population waits for wake-up calls
    HALF = 5  # which of two threads this is


class W(IntEnum):
    """Columns of ``Fast.part``: how each population is kept."""

    SWEPT = 0  # 1: swept in every tick; 0: looked at when woken or reached
    X_0 = 1  # first state in Fast.swept; state i follows at i * STRIDE
    STRIDE = 2  # its size, padded to whole words of 64 neurons
    CLOCK_0 = 3  # in Fast.clock, and (divided by 64) its words in Fast.hits
    RECORD_0 = 4
    WIDTH = 5  # of a record
    PORTS_0 = 6  # in Fast.lists: number of used ports, then port and first cell of each
    USED_0 = 7  # in Fast.lists: which entries of the propagators are ever other than 0
    TABLE_0 = 8  # in Fast.table: one-digit propagators, entry by entry
    BOUND_0 = 9  # in Fast.table
    MAY_REST = 10  # 1 if the drive alone stays below the threshold
    HITS = 11  # neurons reached so far, since somebody last looked
    SMALL_0 = 12  # in Fast.small, or -1
    SIZE = 13
    ALIKE = 14  # 1: nearly all gaps are the same, 0: not; -1: no case for sweep_lif.py
    TICKS = 15  # of a record: where its ticks begin
    ROWS_0 = 16  # in Fast.rows, or -1: no case for look_lif.py
    CHOSEN_0 = 17  # in Fast.chosen
    MARKED = 18  # 1 once cells were marked in Fast.bits, and not listed
    LIST_0 = 19  # of its ports, in Fast.many
    PLACE_0 = 20  # in a row of Fast.touched; port k follows at k * (STRIDE + SPARE)
    BY_FIRST = 21  # of those chosen, how many at the beginning were reached through the first port
    BY_SECOND = 22  # and how many after these through the second


class Fast(NamedTuple):
    """What the fast ways add to Net and State."""

    meta: Array
    part: Array
    lists: Array
    table: Array
    small: Array  # coefficients of small populations
    packed: Array  # per synapse: delay << CELL_BITS | cell; then targets beyond bitmaps
    aims: Array  # per projection: population that it aims at
    runs: Array  # per projection: 1 if the cells of each row lie side by side, in order
    ring: Array
    bits: Array  # cells of the ring that something has reached, where they are marked
    reach: Array  # per projection: first cell of the port, place and list (ring.py)
    touched: Array  # (slots, places): neurons whose cells in the ring were reached, port by port
    many: Array  # (lists, slots): how many they are
    listed: Array  # per population: where the next goes in chosen (queues only)
    whose: Array  # per 64 cells: population, and the cell of its first neuron (queues only)
    due: Array  # synaptic events per slot (ring only)
    log: Array  # rows sent whose events are still to be counted (delivery.py)
    log_at: Array  # the first of them, and how many there are
    head: Array  # per tick to come: the first block of its queue
    following: Array  # per tick to come: where the next entry goes; 0 if the queue is empty
    entry: Array  # of queues (entries.py)
    entry_next: Array  # of each block: the next of its queue
    record: Array  # neurons looked at when woken: states, then (as integers) their ticks
    record_tick: Array  # the same memory
    rows: Array  # coefficients of what look_lif.py covers, those of a digit side by side
    chosen: Array  # neurons to be looked at in this tick
    batch: Array  # scratch: states of a vector of them, and what has arrived
    batch_tick: Array  # the same memory
    waits: Array  # (states, CAPACITY): neurons that are to be called some time, in which state
    waits_tick: Array  # (3, CAPACITY): which, the tick of that state, how long they are silent
    calls: Array  # (rows of the wheel, words): neurons to be called
    call_words: Array  # the same for words, which are not 0
    called: Array  # the same for rows
    hits: Array  # (2, words): neurons woken, words not 0
    swept: Array  # states of neurons that are swept
    clock: Array  # (2, neurons): tick of the state, last refractory tick
    lane: Array  # scratch of a sweep: states, level, arrivals
    drawn: Array  # inputs drawn in the kernel
    steps: Array  # and where their numbers grow
    random: Array  # scratch: LANES words of a draw; planes, counts and rows of bitplanes
    counted: Array  # the same memory in bytes
    dense: Array  # rules of projections from all to all
    past: Array  # (2, entries): their post spikes, when they are due and of which target
    past_trace: Array
    cursor: Array  # per row: entries that it has replayed
    seen: Array  # per target: latest post spike that has reached the synapses
    seen_trace: Array
    loss: Array  # per target: what a pre spike of this tick takes off
    flag: Array  # scratch of a sweep: digit of the gap, reached, fires
    signs: Array  # (3, vectors): neurons that fire, are left to scalar code, are not finite
    tally: Array  # how many of each, and others
    bit: Array  # projections that are bitmaps, columns B
    bit_row: Array  # (sources, 4): bitmap, stretch of extra, number of synapses
    bitmap: Array
    meet: Array  # what two threads tell each other (meeting.py)


BATCH = 6
"""Vectors of numbers that are kept of a vector of neurons."""

SPARE = 16
"""Entries that a list of touched neurons has at its end: one is written in any case."""

CAPACITY = 64
"""Neurons whose calls are looked for together."""

LOG = 2**17
"""Rows that are remembered rather than counted."""


def sweepable(p: LoweredPopulation) -> bool:
    """Whether all neurons share one table, and a digit of it spans 64 ticks."""
    return p.table.free.shape[0] == 1 and p.table.radix == DIGITS


def cell_layout(lowered: Lowered) -> tuple[list[dict[int, int]], int]:
    """Return, for each population, its used ports with their first cells; and all cells."""
    used: list[set[int]] = [set() for _ in lowered.populations]
    at = {p.start: i for i, p in enumerate(lowered.populations)}
    for projection in lowered.projections:
        if projection.size:
            used[at[projection.target_start]].add(projection.port)
    cells, layout = 0, []
    for p, ports in zip(lowered.populations, used, strict=True):
        own = {}
        for port in sorted(ports):
            own[port] = cells
            cells += -(-p.size // 64) * 64
        layout.append(own)
    return layout, max(cells, 64)


CONSTANT = frozenset(
    {
        *("packed", "table", "small", "rows", "whose", "aims", "runs", "reach", "lists", "steps"),
        *("bit", "bit_row", "bitmap"),
    }
)
"""Fields of :class:`Fast` that kernels only read."""

SHARED = CONSTANT | {"log", "meet"}
"""The same with those whose entries mean nothing before something is put there."""


def blank_of(fast: Fast) -> Fast:
    """Return ``fast`` to be copied from later: large arrays of one value take no memory."""
    kept = {}
    for name, array in fast._asdict().items():
        whole = array.reshape(-1).view(f"u{array.itemsize}")  # bits: -0.0 is not 0.0
        if name not in SHARED and whole.size > LANES and (whole == whole[0]).all():
            kept[name] = np.broadcast_to(array.reshape(-1)[0], array.shape)
    return fast._replace(**kept)


def renewed(old: Fast, blank: Fast) -> Fast:
    """Return what :func:`copied` returns of ``blank``, in the memory of ``old`` where it fits.

    That memory is in the caches, and the system need not find any.
    """
    kept = {}
    for name, array in old._asdict().items():
        given = getattr(blank, name)
        if name in SHARED or array.shape != given.shape:
            kept[name] = given if name in SHARED else given.copy()
        else:
            np.copyto(array, given)
            kept[name] = array
    return Fast(**kept)


def copied(fast: Fast) -> Fast:
    """Return ``fast`` with arrays of its own, but for :data:`SHARED`."""
    own = {
        name: array if name in SHARED else array.copy() for name, array in fast._asdict().items()
    }
    for name in ("record", "batch"):
        own[name] = aligned_like(own[name])
        own[f"{name}_tick"] = own[name].view(fast.record_tick.dtype)  # the same memory
    own["random"] = aligned(fast.random.size)
    own["counted"] = own["random"].view(np.uint8)
    return Fast(**own)


def grow_queues(fast: Fast, register: Array, free: tuple[int, int], wanted: int) -> Fast:
    """Return ``fast`` with at least ``wanted`` more free blocks; ``free``: entries of register."""
    head, count = free
    old = fast.entry_next.size
    more = max(wanted, old)
    rest = register[head] if register[count] > 0 else -1
    links = np.append(np.arange(old + 1, old + more), rest).astype(np.int64)
    register[head] = old
    register[count] += more
    space = np.zeros(more * BLOCK * entry_words(fast.ring.dtype), np.uint32)
    return fast._replace(
        entry_next=np.concatenate([fast.entry_next, links]),
        entry=np.concatenate([fast.entry, space]),
    )
