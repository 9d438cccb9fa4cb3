"""Which projections are kept as bitmaps, and these bitmaps (docs/decisions/0010)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredProjection

__all__ = [
    "BITMAP",
    "DENSITY",
    "ROWS_AT_A_TIME",
    "B",
    "aligned",
    "aligned_like",
    "bitmaps_of",
    "dense_projections",
]

Array = npt.NDArray[Any]

DENSITY = 0.05
"""Share of targets that a row reaches, from which on it is kept as a bitmap."""

SHORTEST = 64
"""Synapses a row, below which a bitmap gains nothing."""

BITMAP = "bitmap"
"""What is said of a projection that is kept as a bitmap; of others, why it is not."""

COUNTED = 252
"""Arrivals that are counted at most before weights are added, four at a time: four beyond this
do not fit into a byte."""

PLANES = 8
"""Bits of such a number."""

ROWS_AT_A_TIME = 8
CHUNK = 2**22


class B(IntEnum):
    """Columns of ``Fast.bit``: one row for each projection, in the order of the kernels."""

    ROW_0 = 0  # in Fast.bit_row, or -1
    WORDS = 1  # of a bitmap
    CELL = 2  # first cell
    DELAY = 3
    AT_ONCE = 4  # rows whose counts a byte holds
    SIZE = 5  # targets


def dense_projections(lowered: Lowered, wanted: str) -> dict[int, str]:
    """Say which projections are kept as bitmaps.

    Parameters
    ----------
    wanted : {"auto", "bitmaps", "lists"}
        For "auto", dense projections with one weight and one delay; for "bitmaps", all
        that can be.

    Returns
    -------
    dict of int to str
        For the number of each projection that comes into question: :data:`BITMAP`, or why not.
    """
    if wanted == "lists":
        return {}
    return {
        i: _why_not(lowered, i) or BITMAP
        for i, p in enumerate(lowered.projections)
        if p.size and (wanted == "bitmaps" or _is_dense(p))
    }


def _is_dense(p: LoweredProjection) -> bool:
    rows = np.count_nonzero(np.diff(p.row))
    alike = p.weight.size == 1 and p.delay.size == 1 and p.plasticity is None
    return alike and p.size >= int(rows) * max(SHORTEST, DENSITY * p.target_size)


def _why_not(lowered: Lowered, number: int) -> str:
    """Say why a projection cannot be kept as bitmaps, or nothing."""
    p = lowered.projections[number]
    if p.plasticity is not None:
        return "it learns"
    if p.weight.size != 1 or p.delay.size != 1:
        return f"each synapse has its own {'weight' if p.weight.size != 1 else 'delay'}"
    # Contract line 4: arrivals from one source come before those from the next, whatever
    # the projection. Added row by row, other weights would have to come in between.
    for i, q in enumerate(lowered.projections):
        alike = (q.source_start, q.target_start, q.port) == (p.source_start, p.target_start, p.port)
        if i != number and alike and q.size and (q.delay == p.delay[0]).any():
            return f"what arrives by {q.name} comes in between"
    most = _multiplicity(p)[1]
    if most > COUNTED:
        return f"it has {most} synapses from one neuron to another, more than {COUNTED}"
    return ""


def _multiplicity(p: LoweredProjection) -> tuple[Array, int]:
    """Say which synapses repeat the one before, and how often one occurs at most."""
    again = np.empty(p.size, np.bool_)
    again[:1] = False
    np.equal(p.target[1:], p.target[:-1], out=again[1:])  # sorted by target within a row
    again[p.row[:-1][p.row[:-1] < p.size]] = False
    at = np.flatnonzero(again)
    if not at.size:
        return again, 1
    starts = np.flatnonzero(np.diff(at, prepend=-2) > 1)
    return again, int(np.diff(starts, append=at.size).max()) + 1


class Bitmaps(NamedTuple):
    """What ``bitplanes.py`` reads.

    Attributes
    ----------
    table : ndarray
        ``Fast.bit``: columns B.
    rows : ndarray, shape (sources, 4)
        ``Fast.bit_row``: a bitmap, a stretch of ``Fast.packed`` (targets that are reached once
        more than the bitmap says), and the number of synapses.
    bitmap : ndarray of uint64
        Target ``b T + j`` is bit b of byte j of a bitmap of T bytes. The first is empty: rows
        without synapses, and what is missing to a group of rows, point to it.
    extra : ndarray of uint32
    scratch : int
        Words that the kernels need.
    """

    table: Array
    rows: Array
    bitmap: Array
    extra: Array
    scratch: int


def bitmaps_of(
    lowered: Lowered,
    order: list[int],
    covered: frozenset[int],
    first_cell: dict[int, int],
    extra_at: int,
) -> Bitmaps:
    """Lay out the projections ``covered``; their ``extra`` will begin at ``extra_at``."""
    table = np.full((len(order), len(B)), -1, np.int64)
    most_words = max((_words(lowered.projections[i]) for i in covered), default=0)
    sources = sum(lowered.projections[i].source_size for i in covered)
    rows, extra = np.zeros((sources, 4), np.int64), [np.empty(0, np.uint32)]
    used = {i: np.flatnonzero(np.diff(lowered.projections[i].row)) for i in covered}
    bitmap = aligned(
        most_words + sum(used[i].size * _words(lowered.projections[i]) for i in covered)
    )
    at_row, at_word, n_extra = 0, most_words, extra_at
    for position, i in enumerate(order):
        if i not in covered:
            continue
        p = lowered.projections[i]
        words, (again, most) = _words(p), _multiplicity(p)
        at_once = COUNTED // most
        table[position] = at_row, words, first_cell[i], p.delay[0], at_once, p.target_size
        own = rows[at_row : at_row + p.source_size]
        own[used[i], 0] = at_word + words * np.arange(used[i].size)
        before = np.searchsorted(np.flatnonzero(again), p.row)
        own[:, 1], own[:, 2] = n_extra + before[:-1], n_extra + before[1:]
        own[:, 3] = np.diff(p.row)
        extra.append(p.target[again])
        end = at_word + words * used[i].size
        _fill(bitmap[at_word:end].view(np.uint8).reshape(-1, 8 * words), p, used[i])
        at_row, at_word, n_extra = at_row + p.source_size, end, n_extra + extra[-1].size
    scratch = 2 * PLANES * most_words + ROWS_AT_A_TIME
    return Bitmaps(table, rows, bitmap, np.concatenate(extra), scratch)


def _words(p: LoweredProjection) -> int:
    """Return the words of a bitmap: whole lines of the cache."""
    return -(-p.target_size // 512) * 8


def _fill(out: Array, p: LoweredProjection, used: Array) -> None:
    """Write the bitmaps, shape (rows, bytes)."""
    width = out.shape[1]
    step = max(1, CHUNK // (8 * width))
    for first in range(0, used.size, step):
        some = used[first : first + step]
        lo, hi = p.row[some[0]], p.row[some[-1] + 1]
        reached = np.zeros((some.size, 8 * width), np.bool_)
        reached[np.repeat(np.arange(some.size), np.diff(p.row)[some]), p.target[lo:hi]] = True
        out[first : first + step] = np.packbits(
            reached.reshape(some.size, 8, width), axis=1, bitorder="little"
        )[:, 0]


def aligned(words: int) -> Array:
    """Return so many words of zeros, from the beginning of a line of the cache."""
    space = np.zeros(words + 8, np.uint64)
    skip = -space.ctypes.data % 64 // 8
    return space[skip : skip + words]


def aligned_like(array: Array) -> Array:
    """Return a flat array of the same numbers that begins where a line of the cache does."""
    out = aligned(-(-array.nbytes // 8)).view(array.dtype)[: array.size]
    out[:] = array
    return out
