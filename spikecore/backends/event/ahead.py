"""Which populations run ahead in blocks of time, and what that needs (docs/decisions/0010)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikecore.backends.event.ahead_run import Ahead, T
from spikecore.backends.event.choice import BLOCKS
from spikecore.backends.event.entries import entry_words
from spikecore.backends.event.layout import works_in_vectors
from spikecore.backends.event.packed import Fast, M, cell_layout, sweepable
from spikecore.backends.event.tables import C, Net, State
from spikecore.backends.lowering import Lowered
from spikecore.inputs import PoissonCounts

__all__ = [
    "Layout",
    "ahead_populations",
    "build_ahead",
    "carried",
    "layout_of",
    "places_carried",
]

Array = npt.NDArray[Any]

LEAST = 100_000
"""Synapses of a population from which on it is worth while."""

STRETCH = {4: 9.5, 8: 8.0}
"""Synapses of a row in one tile, on average, from which on it is worth while, by bytes of
a number: measured, see docs/decisions/0010."""

AHEAD_BYTES = 1_000_000_000
"""Largest memory that is taken for it without being asked."""

TILE_BYTES = 524_288
"""Cells of a tile, for the longest delay: they should stay in the second cache of a core."""

NARROWEST, WIDEST = 64, 512
"""Neurons of a tile."""

SHORTEST_LIMIT = 512
"""Ticks that a block may always have."""

KEY_BITS = 32
SAMPLE = 256


class Layout(NamedTuple):
    """How populations are cut into tiles.

    Attributes
    ----------
    tile : ndarray
        Columns :class:`~spikecore.backends.event.ahead_run.T`.
    first_tile : dict of int to int
        For each population.
    width : dict of int to int
        Neurons of a tile, of each population.
    longest : int
        Longest delay of a synapse onto these populations, ticks.
    most : int
        Ticks of a block, at most.
    """

    tile: Array
    first_tile: dict[int, int]
    width: dict[int, int]
    longest: int
    most: int


def ahead_populations(
    lowered: Lowered, wanted: str, bitmaps: frozenset[int], itemsize: int
) -> dict[int, str]:
    """Say which populations run ahead in blocks of time.

    Parameters
    ----------
    wanted : {"auto", "blocks", "off"}
        For "auto", those that can and gain by it; for "blocks", all that can.
    bitmaps : frozenset of int
        Numbers of projections that are kept as bitmaps.
    itemsize : int
        Bytes of a number.

    Returns
    -------
    dict of int to str
        For the number of each population that comes into question: :data:`BLOCKS`, or why not.
    """
    if wanted == "off":
        return {}
    why = {i: _why_not(lowered, i, bitmaps) for i in range(len(lowered.populations))}
    if wanted == "auto":
        able = [i for i, reason in why.items() if not reason and _size(lowered, i) > LEAST]
        why = {i: _not_worth(lowered, i, itemsize) for i in able}
    chosen = [i for i, reason in why.items() if not reason]
    if chosen and not _fits_keys(lowered, layout_of(lowered, chosen, itemsize)):
        why |= dict.fromkeys(chosen, "there are too many synapses to be sorted by tile")
    return {i: reason or BLOCKS for i, reason in why.items()}


def _onto(lowered: Lowered, population: int) -> list[int]:
    start = lowered.populations[population].start
    return [i for i, q in enumerate(lowered.projections) if q.size and q.target_start == start]


def _size(lowered: Lowered, population: int) -> int:
    return sum(lowered.projections[i].size for i in _onto(lowered, population))


def _why_not(lowered: Lowered, number: int, bitmaps: frozenset[int]) -> str:
    """Say why a population cannot run ahead, or nothing."""
    p, onto = lowered.populations[number], _onto(lowered, number)
    if not onto:
        return "nothing reaches it"
    for i in onto:
        reason = _why_not_from(lowered, i)
        if reason or i in bitmaps:
            return reason or f"{lowered.projections[i].name} is kept as bitmaps"
    if any(q.source_start == p.start for q in lowered.projections):
        return "it sends"
    if any(p.start <= n < p.start + p.size for probe in lowered.probes for n in probe.neurons[:1]):
        return "it is probed"
    in_vectors = sweepable(p) and works_in_vectors(p, cell_layout(lowered)[0][number])
    return "" if in_vectors else "its unit is not swept in vectors"


def _why_not_from(lowered: Lowered, number: int) -> str:
    """Say why what a projection carries is not known beforehand, or nothing."""
    q = lowered.projections[number]
    source = next(
        (i.input for i in lowered.inputs if lowered.groups[i.input.name][0] == q.source_start), None
    )
    if source is None:
        return f"{q.name} does not come from an input"
    if isinstance(source.source, PoissonCounts) and not source.record:
        return f"{source.name} may be drawn where it arrives"
    return "" if q.plasticity is None else f"{q.name} learns"


def _not_worth(lowered: Lowered, number: int, itemsize: int) -> str:
    """Say why a population should not run ahead, though it could."""
    layout = layout_of(lowered, [number], itemsize)
    synapses, width = _size(lowered, number), layout.width[number]
    stretches = sum(_stretches(lowered.projections[i], width) for i in _onto(lowered, number))
    if synapses < STRETCH[itemsize] * stretches:
        few = f"{synapses / stretches:.2g} synapses of a row lie close together"
        return f"{few}, fewer than {STRETCH[itemsize]:g}"
    cells = int((layout.tile[:, T.ROW]).sum()) * layout.longest
    size = itemsize * 2 * cells + synapses * (4 + itemsize) + 12 * stretches
    if size > AHEAD_BYTES:
        return f"it would take {size / 1e6:.3g} MB, more than {AHEAD_BYTES / 1e6:g} MB"
    return ""


def _stretches(q: Any, width: int) -> float:
    """Estimate, from some rows, into how many stretches all rows are cut."""
    used = np.flatnonzero(np.diff(q.row))
    # Drawn, not every n-th: of a sheet, those might all lie at the edge of a tile.
    some = np.random.default_rng(0).choice(used, min(SAMPLE, used.size), replace=False)
    found = sum(np.unique(q.target[q.row[r] : q.row[r + 1]] // width).size for r in some)
    return found * used.size / some.size


def layout_of(lowered: Lowered, numbers: list[int], itemsize: int) -> Layout:
    """Cut these populations into tiles."""
    cells = cell_layout(lowered)[0]
    onto = [i for number in numbers for i in _onto(lowered, number)]
    longest = max((lowered.projections[i].longest for i in onto), default=1)
    rows: list[tuple[int, ...]] = []
    first_tile, widths, carry = dict[int, int](), dict[int, int](), 0
    for number in numbers:
        stride = -(-lowered.populations[number].size // NARROWEST) * NARROWEST
        fits = TILE_BYTES // (itemsize * longest * len(cells[number]))
        width = NARROWEST
        while 2 * width <= min(fits, WIDEST, stride):
            width *= 2
        first_tile[number], widths[number] = len(rows), width
        for lo in range(0, stride, width):
            row = width * len(cells[number])
            rows.append((number, lo, min(width, stride - lo), row, carry, 0))
            carry += longest * row
    tile = np.array(rows, np.int64).reshape(-1, len(T))
    return Layout(tile, first_tile, widths, longest, max(2 * longest, SHORTEST_LIMIT))


def build_ahead(
    lowered: Lowered, layout: Layout, order: list[int], net: Net, state: State, fast: Fast
) -> Ahead:
    """Sort synapses by tile; they are taken from where the kernels have them."""
    cells, dtype = cell_layout(lowered)[0], fast.ring.dtype
    inputs = max(sum(lowered.groups[i.input.name]) for i in lowered.inputs)
    at = {p.start: i for i, p in enumerate(lowered.populations)}
    low = (1 << int(fast.meta[M.CELL_BITS])) - 1
    own = [
        (k, at[lowered.projections[i].target_start])
        for k, i in enumerate(order)
        if lowered.projections[i].size and at[lowered.projections[i].target_start] in layout.width
    ]
    keys, offsets, weights = [], [], []
    for number, (k, population) in enumerate(own):
        p, row = lowered.projections[order[k]], net.projection[k]
        packed = fast.packed[row[C.SYNAPSE_0] : row[C.SYNAPSE_0] + p.size]
        weight = state.weight[row[C.WEIGHT_0] :][: p.size if row[C.WEIGHT_STEP] else 1]
        first = cells[population][p.port]
        port, width = sorted(cells[population]).index(p.port), layout.width[population]
        neuron = (packed & np.uint32(low)) - np.uint32(first)
        tile = layout.first_tile[population] + (neuron // width).astype(np.uint64)
        source = p.source_start + np.repeat(
            np.arange(p.source_size, dtype=np.uint64),
            np.diff(net.row[row[C.ROW_0] : row[C.ROW_0] + p.source_size + 1]),
        )
        keys.append((tile * np.uint64(inputs) + source) * np.uint64(len(own)) + np.uint64(number))
        delay = packed >> np.uint32(int(fast.meta[M.CELL_BITS]))
        whole = width * len(cells[population])
        offsets.append(delay * np.uint32(whole) + np.uint32(port * width) + neuron % width)
        weights.append(np.broadcast_to(weight, p.size))
    key = np.concatenate(keys)
    place = np.arange(key.size, dtype=np.uint64)
    # Key and place in one number: sorting whole numbers is quicker than asking for their order.
    both = np.sort((key << np.uint64(KEY_BITS)) | place)
    place, key = both & np.uint64((1 << KEY_BITS) - 1), both >> np.uint64(KEY_BITS)
    begins = np.flatnonzero(np.diff(key, prepend=key[:1] + np.uint64(1)))
    synapse = np.empty((key.size, entry_words(dtype)), np.uint32)
    synapse[:, 0] = np.concatenate(offsets)[place]
    ordered = np.concatenate(weights)[place] + dtype.type(0)  # no -0.0: it means "untouched"
    synapse[:, 1:] = ordered.view(np.uint32).reshape(key.size, -1)
    rest, which = np.divmod(key[begins], np.uint64(len(own)))
    tiles, sources = np.divmod(rest, np.uint64(inputs))
    by_source = np.lexsort((tiles, which, sources))
    n_tiles = layout.tile.shape[0]
    carry = int((layout.tile[:, T.ROW] * layout.longest).sum())
    most_row = int(layout.tile[:, T.ROW].max())
    return Ahead(
        tile=layout.tile.copy(),
        first=np.searchsorted(sources[by_source], np.arange(inputs + 1)).astype(np.int64),
        stretch=by_source.astype(np.uint32),
        tile_of=tiles[by_source].astype(np.uint32),
        row=np.append(begins, key.size).astype(np.uint32),
        synapse=synapse.reshape(-1),
        carry=np.full((2, carry), -0.0, dtype),
        cells=np.full((layout.most + layout.longest) * most_row, -0.0, dtype),
        ends=np.zeros(n_tiles + 1, np.int64),
        often=np.zeros(inputs, np.int64),
        event=np.empty(0, np.uint64),
    )


def _places(
    lowered: Lowered, layout: Layout, active: frozenset[int]
) -> list[tuple[int, int, Array]]:
    """Return first cell, first place in ``Ahead.carry``, and tile, for each used port of each."""
    cells = cell_layout(lowered)[0]
    found: list[tuple[int, int, Array]] = []
    for row in layout.tile:
        population = int(row[T.POPULATION])
        for j, port in enumerate(sorted(cells[population])):
            if population in active:
                at = int(row[T.CARRY_0]) + j * layout.width[population]
                found.append((cells[population][port] + int(row[T.LO]), at, row))
    return found


def carried(
    lowered: Lowered, layout: Layout, active: frozenset[int], carry: Array
) -> dict[str, Array]:
    """Return what is kept of past blocks, as ``flight.in_flight``, but for numbers of events."""
    parts: dict[str, list[Array]] = {
        "flight_ahead": [np.empty(0, np.int64)],
        "flight_cell": [np.empty(0, np.int64)],
        "flight_value": [np.empty(0, carry.dtype)],
    }
    for cell, at, row in _places(lowered, layout, active):
        own = np.lib.stride_tricks.as_strided(
            carry[at:],
            (layout.longest, int(row[T.LANES])),
            (int(row[T.ROW]) * carry.itemsize, carry.itemsize),
        )
        then, lane = np.nonzero(~((own == 0) & np.signbit(own)))
        parts["flight_ahead"].append(then)
        parts["flight_cell"].append(cell + lane)
        parts["flight_value"].append(own[then, lane])
    return {name: np.concatenate(some) for name, some in parts.items()}


def places_carried(
    lowered: Lowered, layout: Layout, active: frozenset[int], cells: Array, ticks: Array
) -> Array:
    """Return where in ``Ahead.carry`` arrivals at ``cells`` in so many ticks belong, or -1."""
    n_cells = cell_layout(lowered)[1]
    first, step = np.full(n_cells, -1), np.zeros(n_cells, np.int64)
    for cell, at, row in _places(lowered, layout, active):
        own = slice(cell, cell + int(row[T.LANES]))
        first[own], step[own] = at + np.arange(row[T.LANES]), row[T.ROW]
    return np.where(first[cells] < 0, -1, first[cells] + ticks * step[cells])


def _fits_keys(lowered: Lowered, layout: Layout) -> bool:
    """Whether tile, source and projection of a stretch have room in one key."""
    inputs = max(sum(lowered.groups[i.input.name]) for i in lowered.inputs)
    keys = layout.tile.shape[0] * inputs * len(lowered.projections)
    synapses = sum(p.size for p in lowered.projections)
    return int(max(keys, synapses)).bit_length() <= KEY_BITS
