"""State of the working memory, as its compiled steps take it, and how it begins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikecore.randomness import stream

__all__ = [
    "NEVER",
    "STEP",
    "NeuronArrays",
    "Pulses",
    "Rules",
    "ZoneArrays",
    "resting_neurons",
    "resting_zones",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

OUT_DEGREE, REACH = 40, 5.0
"""Synapses of a neuron, and the mean distance of their targets, in neurons."""
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


def resting_neurons(zones: int, seed: int) -> NeuronArrays:
    """Return neurons at rest, wired, under ``zones`` squared astrocytes."""
    side = 3 * zones + 1
    row, column = np.indices((side, side)).reshape(2, -1) // 3
    # Zones share their edges; a neuron belongs to the last zone that has it.
    home = np.minimum(row, zones - 1) * zones + np.minimum(column, zones - 1)

    def whole(value: int) -> IntArray:
        return np.full(side**2, value, np.int64)

    zero = np.zeros(side**2)
    return NeuronArrays(
        v=np.full(side**2, -70.0),
        u=zero,
        glutamate=zero.copy(),
        synaptic=zero.copy(),
        noise=zero.copy(),
        noise_end=whole(NEVER),
        last=whole(NEVER),
        counts=whole(0),
        home=home.astype(np.int64),
        targets=_targets(side, seed),
    )


def resting_zones(zones: int) -> ZoneArrays:
    """Return ``zones`` squared astrocytes at rest."""
    shape = (zones, zones)
    return ZoneArrays(
        calcium=np.full(shape, 0.072495),
        h=np.full(shape, 0.886314),
        ip3=np.full(shape, 0.820204),
        drive_end=np.full(shape, NEVER, np.int64),
        coincident=np.full(shape, NEVER, np.int64),
        gain_end=np.full(shape, NEVER, np.int64),
    )


def _targets(side: int, seed: int) -> IntArray:
    """Draw the targets of each neuron: 40 others, distances exponential, directions uniform."""
    rng = stream(seed, "working memory/targets")
    targets = np.empty((side**2, OUT_DEGREE), np.int64)
    for source in range(side**2):
        y, x = divmod(source, side)
        found: dict[int, None] = {}
        while len(found) < OUT_DEGREE:
            distance, angle = rng.exponential(REACH, 128), rng.uniform(0.0, 2 * np.pi, 128)
            rows = y + np.trunc(distance * np.cos(angle)).astype(np.int64)
            columns = x + np.trunc(distance * np.sin(angle)).astype(np.int64)
            inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
            numbers = rows[inside] * side + columns[inside]
            found |= dict.fromkeys(numbers[numbers != source].tolist())
        targets[source] = list(found)[:OUT_DEGREE]
    return targets
