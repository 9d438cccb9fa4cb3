"""From a lowered network to the flat arrays of the fast ways (``packed.py``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.event.batch_lif import record_layout, row_table
from spikecore.backends.event.dense import aligned, aligned_like, bitmaps_of
from spikecore.backends.event.drawn import COLUMNS
from spikecore.backends.event.entries import entry_words
from spikecore.backends.event.horizons import horizon_bounds
from spikecore.backends.event.lanes import WIDTH
from spikecore.backends.event.meeting import alone
from spikecore.backends.event.packed import (
    BATCH,
    BLOCK,
    CAPACITY,
    FAR_ROWS,
    LANES,
    LOG,
    NEAR,
    SPARE,
    Fast,
    W,
    cell_layout,
    sweepable,
)
from spikecore.backends.event.replay import dense_arrays
from spikecore.backends.event.small import MOST_STATES, small_table
from spikecore.backends.event.tables import Net
from spikecore.backends.lowering import Lowered, LoweredPopulation

__all__ = ["build_fast", "works_in_vectors"]

Array = npt.NDArray[Any]


def _bits(n: int) -> int:
    return max(0, n - 1).bit_length()


def _whose(layout: list[dict[int, int]], lowered: Lowered, cells: int) -> Array:
    out = np.zeros((-(-cells // 64), 2), np.uint32)
    for i, (p, ports) in enumerate(zip(lowered.populations, layout, strict=True)):
        for cell in ports.values():
            out[cell // 64 : -(-(cell + p.size) // 64)] = i, cell
    return out


def _used_entries(p: LoweredPopulation, ports: dict[int, int]) -> tuple[Array, Array]:
    """Say which states can ever differ from 0, and which entries of a propagator matter.

    Returns
    -------
    ndarray of bool, shape (S,)
    ndarray of bool, shape (S, S + 1)
        The last column is the constant part.
    """
    both = np.concatenate([p.table.free, p.table.held])
    s = both.shape[3]
    entry = (both[:, :, 1:] != 0).any(axis=(0, 1, 2))
    live = (p.initial != 0).any(axis=0) | entry[:, s] | (p.jump != 0).any(axis=0)
    live |= p.reset_mask & (p.reset_value != 0).any(axis=0)
    for port in ports:
        live |= (p.port_gain[:, port] != 0).any(axis=0)
        live |= (p.port_gain_held[:, port] != 0).any(axis=0)
    for _ in range(s):
        live |= (entry[:, :s] & live).any(axis=1)
    entry[:, :s] &= live
    return live, entry


def _numbers_and_ticks(name: str, size: int, dtype: np.dtype[Any]) -> dict[str, Array]:
    """Return zeros, and the same memory for integers as wide."""
    array = aligned_like(np.zeros(size, dtype))
    return {name: array, f"{name}_tick": array.view(f"i{dtype.itemsize}")}


def _is_lif(entry: Array, ports: dict[int, int]) -> bool:
    """Whether states but the last decay alone, each by itself; ``entry``: what is used."""
    alone = np.zeros_like(entry)
    alone[:, :-1] = np.eye(entry.shape[0], dtype=bool)
    alone[-1] = True
    return len(ports) in (1, 2) and bool((alone | ~entry).all())


def works_in_vectors(p: LoweredPopulation, ports: dict[int, int]) -> bool:
    """Whether ``sweep_lif.py`` has a case for a population; ``ports``: those used."""
    return small_table(p, ports, 0.0) is not None and _is_lif(_used_entries(p, ports)[1], ports)


def build_fast(
    lowered: Lowered,
    net: Net,
    order: list[int],
    dtype: np.dtype[Any],
    *,
    queued: bool,
    bitmaps: frozenset[int] = frozenset(),
) -> Fast:
    """Lay out the fast ways; every population waits in the wheel to begin with.

    ``bitmaps`` are the numbers of projections kept as bitmaps, and not synapse by synapse.
    """
    layout, cells = cell_layout(lowered)
    at = {p.start: i for i, p in enumerate(lowered.populations)}
    aims = [at[lowered.projections[i].target_start] for i in order]
    first_cell = {
        i: layout[aim][lowered.projections[i].port]
        for i, aim in zip(order, aims, strict=True)
        if lowered.projections[i].size
    }
    # What arrives in a tick is taken out before it sends, so max_delay slots are enough.
    cell_bits, slot_bits = _bits(cells), _bits(lowered.max_delay)
    whole = np.int32 if dtype == np.float32 else np.int64
    lists: list[Array] = []
    table: list[Array] = []
    small: list[Array] = []
    rows: list[Array] = []
    margin = 64 * float(np.finfo(dtype).eps)
    part = np.zeros((len(lowered.populations), len(W)), np.int64)
    n_lists = n_places = n_chosen = 0
    n_rows = n_small = n_list = n_table = n_clock = n_record = n_swept = 0
    for row, p, ports in zip(part, lowered.populations, layout, strict=True):
        s, stride = len(p.unit.states), -(-p.size // 64) * 64
        live, entry = _used_entries(p, ports)
        own_lists = [len(ports), *(v for pair in ports.items() for v in pair)]
        flags = np.concatenate([live, entry.ravel()]).astype(np.int64)
        digits = np.concatenate([p.table.free[:1, 0], p.table.held[:1, 0]], axis=1)[0]
        digits = digits.reshape(digits.shape[0], -1).T if sweepable(p) else np.empty((0, 0))
        bound = horizon_bounds(p)
        rest = bound[:, -1, 0, s] < p.threshold
        own_small = small_table(p, ports, margin)
        like_lif = own_small is not None and _is_lif(entry, ports)
        ticks, width = record_layout(s, like_lif)
        row[:] = (
            0,
            n_swept,
            stride,
            n_clock,
            n_record,
            width,
            n_list,
            n_list + len(own_lists),
            n_table,
            n_table + digits.size,
            int(rest.any()),
            0,
            -1 if own_small is None else n_small,
            p.size,
            1 if like_lif else -1,
            ticks,
            n_rows if like_lif else -1,
            n_chosen,
            0,
            n_lists,
            n_places,
            0,
            0,
        )
        small.append(np.empty(0) if own_small is None else own_small)
        rows.append(row_table(p) if like_lif else np.empty(0))
        n_small, n_rows = n_small + small[-1].size, n_rows + rows[-1].size
        lists += [np.array(own_lists, np.int64), flags]
        table += [digits.ravel(), bound.ravel()]
        n_list += len(own_lists) + flags.size
        n_table += digits.size + bound.size
        n_clock += stride
        n_chosen += stride * (len(ports) + 1)  # once for each port, and called
        n_lists += len(ports)
        n_places += len(ports) * (stride + SPARE)
        n_record += p.size * width
        n_swept += s * stride
    slots = 1 if queued else 1 << slot_bits
    listed = [i for i in order if i not in bitmaps]
    n_listed = sum(lowered.projections[i].size for i in listed)
    bits = bitmaps_of(lowered, order, bitmaps, first_cell, n_listed)
    packed = np.empty(n_listed + bits.extra.size, np.uint32)
    _pack(lowered, listed, first_cell, cell_bits, packed)
    packed[n_listed:] = bits.extra
    random = aligned(LANES + bits.scratch)
    clock = np.full((2, n_clock), -1, whole)
    return Fast(
        meta=np.array(
            [
                cell_bits,
                (1 << slot_bits) - 1,
                (1 << (cell_bits + slot_bits)) - 1,
                queued,
                1,
                0,
            ],
            np.int64,
        ),
        part=part,
        lists=np.concatenate([np.zeros(1, np.int64), *lists])[1:],
        table=np.concatenate([np.empty(0), *table]).astype(dtype),
        small=np.concatenate([np.empty(0), *small]).astype(dtype),
        packed=packed,
        aims=np.array(aims, np.int64),
        runs=_runs(lowered, order, bitmaps, packed),
        ring=np.full(slots << cell_bits, -0.0, dtype),
        bits=np.zeros(max(1, (slots << cell_bits) >> 6), np.uint64),
        reach=_reach(lowered, order, aims, layout, part),
        touched=np.zeros((1, 1) if queued else (slots, max(1, n_places)), np.uint32),
        many=np.zeros((max(1, n_lists), slots), np.uint32),
        listed=part[:, W.CHOSEN_0].astype(np.uint64),
        whose=_whose(layout, lowered, cells),
        due=np.zeros(1 << slot_bits, np.int64),
        log=np.zeros((4, 1 if queued else LOG), np.int64),
        log_at=np.zeros(2, np.int64),
        head=np.zeros((1 << slot_bits) if queued else 1, np.int64),
        following=np.zeros((1 << slot_bits) if queued else 1, np.uint64),
        entry=np.zeros(BLOCK * entry_words(dtype), np.uint32),
        entry_next=np.full(1, -1, np.int64),
        rows=aligned_like(np.concatenate([np.empty(0), *rows]).astype(dtype)),
        chosen=np.zeros(n_chosen + 4 * WIDTH, np.uint32),
        **_numbers_and_ticks("record", n_record, dtype),
        **_numbers_and_ticks("batch", BATCH * WIDTH, dtype),
        waits=np.zeros((MOST_STATES, CAPACITY), dtype),
        waits_tick=np.zeros((3, CAPACITY), whole),
        calls=np.zeros((NEAR + FAR_ROWS, n_clock >> 6), np.uint64),
        call_words=np.zeros((NEAR + FAR_ROWS, (n_clock >> 12) + 1), np.uint64),
        called=np.zeros(NEAR + FAR_ROWS, np.uint8),
        hits=np.zeros((2, (n_clock >> 6) + 1), np.uint64),
        swept=np.zeros(n_swept, dtype),
        clock=clock,
        lane=np.zeros((lowered.n_states + lowered.n_ports + 1, LANES), dtype),
        drawn=np.empty((0, COLUMNS), np.int64),
        steps=np.empty(0, np.uint64),
        random=random,
        counted=random.view(np.uint8),
        **dense_arrays(lowered, net, order, dtype),
        flag=np.zeros((3, LANES), np.int32),
        signs=np.zeros((3, max(1, n_clock // WIDTH)), np.uint16),
        tally=np.zeros(5, np.int64),
        bit=bits.table,
        bit_row=bits.rows,
        bitmap=bits.bitmap,
        meet=alone(),
    )


def _pack(
    lowered: Lowered, numbers: list[int], first_cell: dict[int, int], cell_bits: int, out: Array
) -> None:
    begin = 0
    for i in numbers:
        p = lowered.projections[i]
        own = out[begin : begin + p.size]
        if p.size:
            np.left_shift(p.delay, np.uint32(cell_bits), out=own, casting="unsafe")
            own += p.target
            own += np.uint32(first_cell[i])
        begin += p.size


def _reach(
    lowered: Lowered, order: list[int], aims: list[int], layout: list[dict[int, int]], part: Array
) -> Array:
    """Return where the targets of each projection are listed as their cells are touched."""
    out = np.zeros((len(order), 3), np.int64)
    for row, i, aim in zip(out, order, aims, strict=True):
        p = lowered.projections[i]
        if p.size:
            k = list(layout[aim]).index(p.port)
            place = part[aim, W.PLACE_0] + k * (part[aim, W.STRIDE] + SPARE)
            row[:] = layout[aim][p.port], place, part[aim, W.LIST_0] + k
    return out


def _runs(lowered: Lowered, order: list[int], bitmaps: frozenset[int], packed: Array) -> Array:
    out, begin = np.zeros(len(order), np.uint8), 0
    for k, i in enumerate(order):
        if i in bitmaps:
            continue
        row = lowered.projections[i].row
        own = packed[begin : begin + int(row[-1])]
        begin += own.size
        width = int(row[1] - row[0])
        # Rows of one length, the first of which says at once whether it is worth a look.
        if (
            width > 1
            and own.size == width * (row.size - 1)
            and own[width - 1] == own[0] + width - 1
        ):
            rows = own.reshape(-1, width)
            out[k] = np.array_equal(row, np.arange(row.size) * width) and bool(
                (rows == rows[:, :1] + np.arange(width, dtype=np.uint32)).all()
            )
    return out
