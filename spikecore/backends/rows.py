"""Sorting millions of synapses into rows, compiled; in threads where there are many.

``np.lexsort`` sorts all synapses three times over; here each row is sorted by itself.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["sort_rows"]

IndexArray = npt.NDArray[np.int64]


def sort_rows(
    pre: IndexArray, post: IndexArray, delay: npt.NDArray[np.uint32], row: IndexArray
) -> IndexArray:
    """Return the stable permutation that sorts synapses by (source, delay, target).

    Parameters
    ----------
    pre, post : ndarray of int64, shape (M,)
    delay : ndarray of uint32, shape (M,) or (1,)
    row : ndarray of int64, shape (n_source + 1,)
        Synapses of source i come to ``row[i] .. row[i+1] - 1``.
    """
    order = np.empty(pre.size, np.int64)
    _group(pre, row.copy(), order)
    _sort(post, delay, row, order)
    return order


@numba.njit(nogil=True, cache=True)
def _group(pre, free, order):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for j in range(pre.size):
        i = pre[j]
        order[free[i]] = j
        free[i] += 1


@numba.njit(nogil=True, cache=True)
def _sort(post, delay, row, order):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    shared = delay.size == 1
    for i in range(row.size - 1):
        own = order[row[i] : row[i + 1]]
        key = np.empty(own.size, np.int64)
        in_order = True
        for k in range(own.size):
            late = np.int64(0) if shared else np.int64(delay[own[k]])
            key[k] = late << 32 | post[own[k]]
            in_order = in_order and (k == 0 or key[k - 1] <= key[k])
        if not in_order:
            own[:] = own[np.argsort(key, kind="mergesort")]
