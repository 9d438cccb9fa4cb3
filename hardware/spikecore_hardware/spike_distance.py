"""How far two sets of spike trains are apart."""

from __future__ import annotations

import math

import numpy as np

from spikecore.events import Spikes

__all__ = ["TAU", "van_rossum"]

TAU = 10.0  # ms


def van_rossum(one: Spikes, other: Spikes, *, size: int, ticks: int) -> float:
    """Return the squared distance of van Rossum (2001), "A novel spike distance".

    Mean over the neurons, time constant 10 ms. A spike that only one side has adds 0.5 to its
    neuron.

    Parameters
    ----------
    one, other : Spikes
        Of one population, with the same dt.
    size, ticks : int
        Number of neurons, and length of the run.
    """
    fade = math.exp(-one.dt / TAU)
    apart, total = np.zeros(size), 0.0
    for t in range(ticks):
        apart *= fade
        for spikes, sign in ((one, 1.0), (other, -1.0)):
            np.add.at(apart, spikes.between(t, t + 1).neurons, sign)
        total += float(apart @ apart)
    # What is left after the end, and the sum made an integral: one spike gives exactly 0.5.
    total += float(apart @ apart) * fade**2 / (1.0 - fade**2)
    return total / size * (1.0 - fade**2) / 2.0
