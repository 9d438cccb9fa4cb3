"""How far a core shifts what its ring buffers hold, and what 16-bit weights become of it.

All synapses of one receptor of a population share one scale, which the tool chain derives
from the largest sum it expects in a tick. Source of the rule: sPyNNaker 7.4.1,
population_vertex.py (the host decides, so it is Python), for lists of synapses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import LoweredProjection
from spikecore_hardware.board import CoreLimits

__all__ = ["WEIGHT_BITS", "largest_sum", "quantise", "ring_buffer_shift", "weight_step"]

WEIGHT_BITS = 15
"""A weight of ``2**shift`` would be stored as ``2**15``; one bit of 16 is left for sums."""

_TAIL = 3.0  # the vendor sums the Poisson distribution up to so many standard deviations
_LOG_LIMIT = 701.0  # and leaves the sum out where a logarithm is beyond this


class _Pooled:
    """Mean and variance over groups of which only mean, variance and size are known.

    Source: Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance".
    """

    def __init__(self) -> None:
        self.size = 0
        self.mean = 0.0
        self.squares = 0.0

    def add(self, mean: float, variance: float, size: int) -> None:
        if size == 0:
            return
        apart, total = mean - self.mean, self.size + size
        self.squares += variance * (size - 1.0) + apart * apart * self.size * size / total
        self.mean = (self.size * self.mean + size * mean) / total
        self.size = total

    @property
    def variance(self) -> float:
        return self.squares / (self.size - 1.0) if self.size > 1 else 0.0


def largest_sum(projections: Sequence[LoweredProjection], dt: float, limits: CoreLimits) -> float:
    """Return the largest sum of weights (nA) that the tool chain expects at one receptor.

    Parameters
    ----------
    projections : sequence of LoweredProjection
        All that arrive at this receptor of one population, in the order of the network.
    dt : float
        Length of a tick, ms.
    limits : CoreLimits
        Rate and margin.

    Notes
    -----
    With delays that are all the same in each projection: the sum if every source fires. Else
    mean and ``sigma`` standard deviations of a Poisson number of arrivals, but no more than
    that sum. In both cases at least the largest weight. The rate is the same for every
    source, whatever it really does: fast inputs overflow unannounced.
    """
    ticks_per_second = 1000.0 / dt
    weights, delays = _Pooled(), _Pooled()
    everything = biggest = 0.0
    for p in projections:
        if p.size == 0:
            continue
        most = int(np.bincount(p.target).max())
        weight = np.abs(np.broadcast_to(p.weight, (p.size,)))
        mean, variance, top = float(weight.mean()), float(weight.var()), float(weight.max())
        if p.plasticity is not None:  # any of them may become the largest
            top = max(top, p.plasticity.bounds[1])
            mean, variance = top, 0.0
        weights.add(mean, variance, most)
        delays.add(0.0, float(np.var(np.broadcast_to(p.delay, (p.size,)) * dt)), most)
        everything += max(1.0, limits.spikes_per_second / ticks_per_second) * (top * most)
        biggest = max(biggest, top)
    if delays.variance == 0.0:
        return max(everything, biggest)
    arrivals = weights.size * limits.spikes_per_second / ticks_per_second
    spread = arrivals * weights.mean**2 + _weight_variance(arrivals, weights.variance)
    bound = arrivals * weights.mean + limits.ring_buffer_sigma * math.sqrt(spread)
    return max(min(bound, everything), biggest)


def _weight_variance(arrivals: float, variance: float) -> float:
    """Return what the spread of the weights adds, summed over a truncated Poisson law."""
    top = round(arrivals + _TAIL * math.sqrt(arrivals))
    if variance <= 0.0:
        return 0.0
    log_last = math.log(arrivals) * top - math.lgamma(1 + top)
    if log_last == 0.0 or abs(log_last) >= _LOG_LIMIT:
        return 0.0
    rate = math.log(arrivals)
    below = sum(math.exp(k * rate - arrivals - math.lgamma(1 + k)) for k in range(top))
    return arrivals * variance * below


def ring_buffer_shift(largest: float) -> int:
    """Return the smallest shift with ``2**shift`` above the largest expected sum (nA)."""
    if largest <= 0.0:
        return 0
    shift = math.ceil(max(0.0, math.log2(largest)))
    return shift + 1 if 2**shift <= largest else shift


def weight_step(shift: int) -> float:
    """Return the distance (nA) between two weights that can be stored."""
    return 2.0 ** (shift - WEIGHT_BITS)


def quantise(weight: npt.NDArray[np.float64], shift: int) -> npt.NDArray[np.int64]:
    """Return magnitudes as stored: whole steps, rounded half to even."""
    return np.rint(np.abs(weight) / weight_step(shift)).astype(np.int64)
