"""Compiled: blocks of time for populations that inputs alone reach, and that reach nobody.

What arrives at such a population in a whole block of ticks is known before the block begins,
and so its neurons need not be brought from tick to tick together. They are taken in *tiles*:
so many neurons that their cells, for all delays, stay in the second cache. Of each tile all
arrivals of the block are added, in the order of emission, and then its neurons are carried
through the whole block. What is due later is kept for the next block.

Every cell gets the same additions in the same order as in the ring, and every neuron the same
sweeps: the bits are the same (docs/decisions/0010).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from spikecore.backends.event.caching import inlined, inner, kept_with_sources
from spikecore.backends.event.entries import read_cell, read_weight
from spikecore.backends.event.packed import Fast
from spikecore.backends.event.sweep_lif import sweep_lanes
from spikecore.backends.event.tables import Net, State
from spikecore.backends.event.words import prefetch

__all__ = ["FAILED", "Ahead", "T", "run_blocks"]

Array = npt.NDArray[Any]

SPIKES = 2  # State.lists
FAILED = -1
"""A state is not finite: nothing of this block counts."""

SOON = 6
"""Stretches from one that is added to the one that is asked for."""

LINE = np.uint64(8)  # entries in a line of the cache, at least
ONE, HALF, LOW = np.uint64(1), np.uint64(32), np.uint64(0xFFFFFFFF)


class T(IntEnum):
    """Columns of ``Ahead.tile``."""

    POPULATION = 0
    LO = 1  # first neuron
    LANES = 2  # neurons, whole vectors
    ROW = 3  # cells of a tick
    CARRY_0 = 4  # in Ahead.carry
    ACTIVE = 5  # 1: run in blocks, 0: left to the other ways


POPULATION, LO, LANES = int(T.POPULATION), int(T.LO), int(T.LANES)
ROW, CARRY, ACTIVE = int(T.ROW), int(T.CARRY_0), int(T.ACTIVE)


class Ahead(NamedTuple):
    """What blocks of time need. A *stretch* holds those synapses of a row that lie in one tile."""

    tile: Array  # columns T
    first: Array  # per source: its first entry of stretch and tile_of; and the end
    stretch: Array  # per source, in the order of sending: numbers of stretches
    tile_of: Array
    row: Array  # per stretch, ordered by tile: its first synapse; and the end
    synapse: Array  # entries (entries.py): offset of the cell from the tick of emission, weight
    carry: Array  # (2, cells): what is due after the block, before it and now
    cells: Array  # of the tile at work; -0.0 in between
    ends: Array  # per tile: where its next event goes
    often: Array  # per source: spikes in the block
    event: Array  # tick in the block << 32 | stretch, by tile


@inner
def _bin(ahead: Ahead, start: int, ticks: Any, neurons: Any) -> None:
    """List, for each tile, the stretches that the spikes reach, in the order of sending."""
    first, often, ends = ahead.first, ahead.often, ahead.ends
    often[:] = 0
    for e in range(ticks.size):
        often[np.uint64(neurons[e])] += 1
    ends[:] = 0
    for source in range(np.uint64(often.size)):
        if often[source] != 0:
            for i in range(np.uint64(first[source]), np.uint64(first[source + ONE])):
                ends[np.uint64(ahead.tile_of[i]) + ONE] += often[source]
    for k in range(1, ends.size):
        ends[k] += ends[k - 1]
    e = 0
    while e < ticks.size:
        n, t = neurons[e], ticks[e]
        many = 1
        while e + many < ticks.size and neurons[e + many] == n and ticks[e + many] == t:
            many += 1
        ahead_of = first[neurons[min(e + SOON, ticks.size - 1)]]
        prefetch(ahead.tile_of, np.uint64(ahead_of))
        prefetch(ahead.stretch, np.uint64(ahead_of))
        then = np.uint64(t - start) << HALF
        for i in range(np.uint64(first[n]), np.uint64(first[n + 1])):
            tile = np.uint64(ahead.tile_of[i])
            event = then | np.uint64(ahead.stretch[i])
            for _ in range(many):  # row by row, as they are sent
                ahead.event[np.uint64(ends[tile])] = event
                ends[tile] += 1
        e += many


@inner
def _add_stretches(
    cells: Any, event: Any, row: Any, synapse: Any, begin: Any, end: Any, width: Any
) -> None:
    """Add the events ``begin .. end - 1`` to the cells of a tile."""
    like = cells[0]
    step, last = np.uint64(width), np.uint64(end) - ONE
    words = np.uint64(1 + cells.itemsize // 4)
    i = np.uint64(begin)
    while i < np.uint64(end):
        soon = event[min(i + np.uint64(SOON), last)] & LOW
        k, stop = np.uint64(row[soon]), np.uint64(row[soon + ONE])
        while k < stop:
            prefetch(synapse, k * words)
            k += LINE
        own = event[i]
        many = ONE
        while i + many <= last and event[i + many] == own:
            many += ONE
        base, s = (own >> HALF) * step, own & LOW
        if many == ONE:
            for z in range(np.uint64(row[s]), np.uint64(row[s + ONE])):
                at = base + read_cell(synapse, z, like)
                cells[at] += read_weight(synapse, z, like)
        else:  # synapse by synapse, as the contract orders them
            for z in range(np.uint64(row[s]), np.uint64(row[s + ONE])):
                at = base + read_cell(synapse, z, like)
                for _ in range(many):
                    cells[at] += read_weight(synapse, z, like)
        i += many


@inner
def _fetch(cells: Any, carry: Any) -> None:
    for i in range(carry.size):
        cells[i] = carry[i]


@inner
def _keep(cells: Any, carry: Any, nothing: Any) -> None:
    """Keep what is due after the block, and leave the cells untouched."""
    for i in range(carry.size):
        carry[i] = cells[i]
        cells[i] = nothing


@inlined
def _sweep_tile(
    net: Net, st: State, fast: Fast, ahead: Ahead, k: int, span: Any, out: Any, count: int
) -> int:
    """Carry the neurons of a tile through the block; put who fires into ``out``."""
    p, lo, lanes = ahead.tile[k, POPULATION], ahead.tile[k, LO], ahead.tile[k, LANES]
    for t in range(span[0], span[1]):
        base = (t - span[0]) * ahead.tile[k, ROW] - lo
        fired = sweep_lanes(net, st, fast, p, t, base, 0, (lo, lanes))
        if fired < 0:
            return FAILED
        for i in range(fired):
            out[count] = t * net.node.shape[0] + st.lists[SPIKES, i]
            count += 1
    return count


@kept_with_sources
@njit(cache=True)
def run_blocks(
    net: Net,
    st: State,
    fast: Fast,
    ahead: Ahead,
    span: Any,
    longest: int,
    side: int,
    first_tile: int,
    ticks: Any,
    neurons: Any,
    out: Any,
) -> tuple[int, int]:
    """Carry all active tiles from ``first_tile`` on through the block of ticks ``span``.

    ``fast`` has ``ahead.cells`` for its ring, and cells counted from the beginning of a tile.

    Returns
    -------
    int
        The tile to go on with when ``out`` has been emptied; all are done if there is none.
        Or FAILED.
    int
        Number of spikes in ``out``: tick times number of neurons, plus neuron.
    """
    if first_tile == 0:
        _bin(ahead, span[0], ticks, neurons)
    block, count = span[1] - span[0], 0
    for k in range(first_tile, ahead.tile.shape[0]):
        if ahead.tile[k, ACTIVE] == 0:
            continue
        if count + block * ahead.tile[k, LANES] > out.size:
            return k, count
        width = ahead.tile[k, ROW]
        size, at = longest * width, ahead.tile[k, CARRY]
        _fetch(ahead.cells[:size], ahead.carry[side, at : at + size])
        # By now it is where the events of a tile end; those of the next follow.
        begin = ahead.ends[k - 1] if k > 0 else 0
        if begin < ahead.ends[k]:
            _add_stretches(
                ahead.cells, ahead.event, ahead.row, ahead.synapse, begin, ahead.ends[k], width
            )
        count = _sweep_tile(net, st, fast, ahead, k, span, out, count)
        if count < 0:
            return FAILED, 0
        late = ahead.cells[block * width : block * width + size]
        nothing = -(net.real[0] - net.real[0])
        _keep(late, ahead.carry[1 - side, at : at + size], nothing)
    return ahead.tile.shape[0], count
