"""Compiled sums over spikes and delays: the inner loops of detection and learning.

All three go through the spikes in the order given (tick, then address), and so does
the event-driven core: every sum has the same terms in the same order in all of them.
No fastmath, for that reason.
"""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["add_arrivals", "add_gradient", "add_kernels"]


@njit(cache=True)
def add_arrivals(
    ticks: Any, addresses: Any, row: Any, target: Any, weight: Any, delay: Any, out: Any
) -> None:
    """Add the weight of every synapse that a spike reaches to ``out[tick + delay, target]``.

    Synapses of address a are ``row[a] .. row[a + 1] - 1``. ``out`` has room for every
    arrival.
    """
    for e in range(ticks.size):
        for s in range(row[addresses[e]], row[addresses[e] + 1]):
            out[ticks[e] + delay[s], target[s]] += weight[s]


@njit(cache=True)
def add_kernels(ticks: Any, addresses: Any, kernel: Any, out: Any) -> None:
    """Add ``kernel[address, d]``, one value for each motif, to ``out[tick + d + 1]``.

    What would arrive after the last row of ``out`` is left out.
    """
    motifs = kernel.shape[2]
    for e in range(ticks.size):
        first = ticks[e] + 1
        for d in range(min(kernel.shape[1], out.shape[0] - first)):
            for m in range(motifs):
                out[first + d, m] += kernel[addresses[e], d, m]


@njit(cache=True)
def add_gradient(ticks: Any, addresses: Any, error: Any, gradient: Any) -> None:
    """Add ``error[tick + d + 1]`` to ``gradient[address, d]``: the transpose of the above."""
    motifs = gradient.shape[2]
    for e in range(ticks.size):
        first = ticks[e] + 1
        for d in range(min(gradient.shape[1], error.shape[0] - first)):
            for m in range(motifs):
                gradient[addresses[e], d, m] += error[first + d, m]
