"""State of the working memory, as its compiled steps take it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["NEVER", "STEP", "NeuronArrays", "Pulses", "Rules", "ZoneArrays"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STEP = 0.1
"""Length of a step, ms."""
NEVER = -(10**9)
"""A step long before the first."""


class NeuronArrays(NamedTuple):
    """State of the neurons; each of shape (n,) unless said otherwise."""

    v: FloatArray  # mV
    u: FloatArray
    glutamate: FloatArray
    synaptic: FloatArray  # current of this step's synapses, acts in the next step
    noise: FloatArray
    noise_end: IntArray
    last: IntArray  # step of the last spike
    counts: IntArray  # spikes since they were last set to 0
    home: IntArray  # number of the astrocyte that acts on the neuron
    targets: IntArray  # (n, out-degree)


class ZoneArrays(NamedTuple):
    """State of the astrocytes; each of shape (zones, zones)."""

    calcium: FloatArray  # uM
    h: FloatArray
    ip3: FloatArray  # uM
    drive_end: IntArray
    coincident: IntArray  # step of the last coincidence in the zone
    gain_end: IntArray


class Rules(NamedTuple):
    """What distinguishes one memory from another."""

    gain: float
    needed: int
    window: int  # steps


class Pulses(NamedTuple):
    """Pulses of noise current, sorted by step."""

    steps: IntArray
    neurons: IntArray
    amplitudes: FloatArray
