"""Sorting millions of synapses into rows, in place, a few thousand at a time.

``np.lexsort`` would sort all synapses three times over. Here what decides about the order and
the present place are packed into one number. So many of these as fit into the cache are sorted
at once, and give delays and targets back without looking for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PIECE", "group_by_source", "sort_rows"]

IndexArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

PIECE = 1 << 16
"""Synapses that are sorted at a time, unless a single row has more."""

KEY_BITS = 64


def group_by_source(pre: Array, n_source: int) -> tuple[IndexArray, npt.NDArray[np.uint32] | None]:
    """Return where the row of each source begins, and which synapses it holds, in their order.

    Parameters
    ----------
    pre : ndarray of int, shape (M,)
        Source of each synapse.

    Returns
    -------
    ndarray of int64, shape (n_source + 1,)
    ndarray of uint32, shape (M,), or None
        The stable permutation; None if they are grouped already.
    """
    if not (pre[1:] < pre[:-1]).any():
        starts = np.searchsorted(pre, np.arange(n_source + 1, dtype=np.int64))
        return starts.astype(np.int64, copy=False), None
    bits = np.uint64(pre.size.bit_length())
    key = pre.astype(np.uint64)
    length = np.zeros(n_source, np.int64)
    for lo in range(0, pre.size, max(PIECE, n_source)):
        own = key[lo : lo + max(PIECE, n_source)]
        length += np.bincount(own.astype(np.int64), minlength=n_source)
        own <<= bits
        own |= np.arange(lo, lo + own.size, dtype=np.uint64)
    key.sort()
    key &= (np.uint64(1) << bits) - np.uint64(1)
    row = np.zeros(n_source + 1, np.int64)
    np.cumsum(length, out=row[1:])
    return row, key.astype(np.uint32)


def sort_rows(
    row: IndexArray,
    target: npt.NDArray[np.uint32],
    delay: npt.NDArray[np.uint32],
    others: list[Array],
) -> bool:
    """Sort each row by (delay, target), in place; equal ones keep their order.

    Parameters
    ----------
    row : ndarray of int64, shape (n_source + 1,)
        Synapses of source i are ``row[i] .. row[i+1] - 1``.
    target : ndarray of uint32, shape (M,)
    delay : ndarray of uint32, shape (M,) or (1,)
    others : list of ndarray, shape (M,)
        What is moved with them; what cannot be written to is replaced by a copy.

    Returns
    -------
    bool
        Whether anything was moved.
    """
    moved = False
    if not target.size:
        return moved
    each = np.uint64(max(1, int(target.max()).bit_length()))
    late = int(delay.max()).bit_length() if delay.size > 1 else 0
    first = 0
    while first < row.size - 1:
        lo = int(row[first])
        last = max(first + 1, int(np.searchsorted(row, lo + PIECE, side="right")) - 1)
        place = max(1, int(row[last] - lo).bit_length())
        spare = KEY_BITS - place - int(each) - late
        if last - first > 1 and (last - first).bit_length() > spare:
            last = first + max(1, 1 << max(0, spare - 1))
        own = slice(lo, int(row[last]))
        own_delay = delay[own] if delay.size > 1 else None
        length = np.diff(row[first : last + 1])
        if spare < (last - first).bit_length():
            order = _by_columns(length, target[own], own_delay)
        else:
            order = _by_key(length, target[own], own_delay, (place, int(each), late))
        if order is not None:
            moved = True
            for i, values in enumerate(others):
                if not values.flags.writeable:
                    others[i] = values.copy()
                others[i][own] = values[own][order]
        first = last
    return moved


def _by_columns(length: IndexArray, target: Array, delay: Array | None) -> Array | None:
    """Sort some rows where a key would be too long; return the permutation, if any."""
    source = np.repeat(np.arange(length.size), length)
    order: Array = np.lexsort((target, source) if delay is None else (target, delay, source))
    if bool((order[1:] > order[:-1]).all()):
        return None
    target[:] = target[order]
    if delay is not None:
        delay[:] = delay[order]
    return order


def _by_key(
    length: IndexArray, target: Array, delay: Array | None, bits: tuple[int, int, int]
) -> Array | None:
    """Sort some rows by one number a synapse; return the permutation, if any."""
    place, each, late = (np.uint64(b) for b in bits)
    one = np.uint64(1)
    key = np.repeat(np.arange(length.size, dtype=np.uint64), length)
    if delay is not None:
        key <<= late
        key |= delay
    key <<= each
    key |= target
    if not (key[1:] < key[:-1]).any():
        return None
    key <<= place
    key |= np.arange(key.size, dtype=np.uint64)
    key.sort()
    order: Array = (key & ((one << place) - one)).astype(np.int64)
    key >>= place
    np.bitwise_and(key, (one << each) - one, out=target, casting="unsafe")
    if delay is not None:
        key >>= each
        np.bitwise_and(key, (one << late) - one, out=delay, casting="unsafe")
    return order
