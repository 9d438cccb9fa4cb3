"""Compiled sums over spikes and delays: the inner loops of detection and learning.

All go through the spikes in the order given (tick, then address), as the event-driven
core does: its sums have the same terms in the same order, and so the same bits. No
fastmath, for that reason.
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
    arrival. Where an address spikes more than once in a tick, each synapse in turn
    delivers that often, as in the tick contract (docs/semantics).
    """
    e = 0
    while e < ticks.size:
        tick, address, many = ticks[e], addresses[e], 0
        while e < ticks.size and ticks[e] == tick and addresses[e] == address:
            many += 1
            e += 1
        for s in range(row[address], row[address + 1]):
            for _ in range(many):
                out[tick + delay[s], target[s]] += weight[s]


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
