"""For how long a neuron certainly stays silent, if nothing reaches it: bounds, worked out once.

``wheel.py``, ``small.py`` and the general way compare states with them after each event.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import LoweredPopulation

__all__ = ["CHUNK", "FAR", "FINE", "GRID", "HORIZONS", "SOON", "STEPS", "horizon_bounds"]

Array = npt.NDArray[Any]

HORIZONS = (4, 16, 64, 256, 1024)
"""Numbers of ticks for which a neuron may be shown to stay silent; one more entry: for ever."""

FINE = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024)
"""The same for small populations (``small.py``): with "for ever" one vector of them."""

SOON = (3, 15, 63)
"""The same for the general way: quickly worked out, as a digit or two reach so far."""

FAR = 2**30
"""Ticks after which something happens that never happens by itself."""

STEPS = 4
"""Numbers of ticks between a power of two and the next, for :data:`GRID`."""

GRID = (*(2**e * (STEPS + k) // STEPS for e in range(11) for k in range(STEPS)), 2**11)
"""Numbers of ticks as far apart as floating-point numbers: their first bits say which it is."""

CHUNK = 1024
"""Neurons with parameters of their own whose bounds are worked out at a time."""


def horizon_bounds(p: LoweredPopulation, horizons: tuple[int, ...] = HORIZONS) -> Array:
    """Bound how far ``h . x`` rises within each of ``horizons``, and ever.

    Returns
    -------
    ndarray, shape (K, horizons + 1, 2, S + 1)
        As :func:`spikecore.units.propagator.response_bound` for the last; for the others
        the largest and smallest responses within so many ticks, exactly (each gap is
        made of the same digits as everywhere else).
    """
    free = p.table.free
    k, _, _, s, _ = free.shape
    out = np.empty((k, len(horizons) + 1, 2, s + 1))
    out[:, -1] = p.table.bound
    most = horizons[-1] if k <= CHUNK else 64
    for first in range(0, k, CHUNK):
        part = slice(first, min(k, first + CHUNK))
        n = part.stop - first
        response = np.broadcast_to(np.append(p.unit.h, 0.0), (n, 1, s + 1))
        position = 0
        while response.shape[1] <= most:
            # The digit acts first: h sees what the lower digits made of it.
            linear = np.einsum("nki,ndij->ndkj", response[:, :, :s], free[part, position])
            linear[..., s] += response[:, None, :, s]
            response = linear.reshape(n, -1, s + 1)
            position += 1
        later = response[:, 1:]
        high = np.maximum.accumulate(later, axis=1)
        low = np.minimum.accumulate(later, axis=1)
        for i, horizon in enumerate(horizons):
            if horizon <= most:
                out[part, i, 0] = high[:, horizon - 1]
                out[part, i, 1] = -low[:, horizon - 1]
            else:
                out[part, i] = p.table.bound[part]
    return out
