"""A lowered network parted in two: half of the neurons of each population, and what ends at them.

Inputs, and the numbers of all neurons, stay as they are. The synapses of a half are in the order
that they have in the whole, so each cell gets the same sums.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import (
    Lowered,
    LoweredPopulation,
    LoweredProbe,
    LoweredProjection,
)
from spikecore.backends.synapses import HeldSynapses, Synapses
from spikecore.units.propagator import PropagatorTable

__all__ = ["bounds", "half_of", "in_half", "own_targets"]

Array = npt.NDArray[Any]


def bounds(size: int, half: int) -> tuple[int, int]:
    """Return the first neuron of a half, and the first behind it."""
    middle = (size + 1) // 2
    return (0, middle) if half == 0 else (middle, size)


def own_targets(p: LoweredProjection, half: int) -> npt.NDArray[np.bool_]:
    """Say which synapses of a projection of the whole network end in a half."""
    lo, hi = bounds(p.target_size, half)
    found: npt.NDArray[np.bool_] = p.target < hi if half == 0 else p.target >= lo
    return found


def half_of(lowered: Lowered, half: int) -> Lowered:
    """Return a network of half of the neurons of each population: the lower ones, or the others."""
    return replace(
        lowered,
        populations=tuple(_population(p, half) for p in lowered.populations),
        projections=tuple(_projection(p, half, lowered) for p in lowered.projections),
        probes=tuple(_probe(p, half, lowered) for p in lowered.probes),
        notes=(),
    )


def _population(p: LoweredPopulation, half: int) -> LoweredPopulation:
    lo, hi = bounds(p.size, half)

    def own(values: Array) -> Array:
        """Take one entry for each neuron, or the one for all."""
        return values if values.shape[0] == 1 else values[lo:hi]

    t = p.table
    return replace(
        p,
        start=p.start + lo,
        size=hi - lo,
        table=PropagatorTable(t.radix, own(t.free), own(t.held), own(t.bound)),
        port_gain=own(p.port_gain),
        port_gain_held=own(p.port_gain_held),
        offset=own(p.offset),
        threshold=own(p.threshold),
        reset_value=own(p.reset_value),
        jump=own(p.jump),
        refractory=own(p.refractory),
        initial=p.initial[lo:hi],
    )


def _projection(p: LoweredProjection, half: int, lowered: Lowered) -> LoweredProjection:
    lo, hi = bounds(p.target_size, half)

    def make(ordered: bool) -> Synapses:
        mine = np.flatnonzero(own_targets(p, half))
        target = p.target.take(mine)
        target -= np.uint32(lo)
        return Synapses(
            row=np.searchsorted(mine, p.row),
            target=target,
            weight=p.weight if p.weight.size == 1 else p.weight.take(mine),
            delay=p.delay if p.delay.size == 1 else p.delay.take(mine),
            order=None,
            reordered=False,
            notes=(),
        )

    synapses = HeldSynapses(make, lowered.network, keep_order=False)
    found = synapses.held
    return replace(
        p,
        target_start=p.target_start + lo,
        target_size=hi - lo,
        row=found.row,
        size=found.target.size,
        longest=p.longest if found.target.size else 0,
        synapses=synapses,
    )


def _probe(p: LoweredProbe, half: int, lowered: Lowered) -> LoweredProbe:
    mine = in_half(p.neurons, half, lowered)
    return replace(p, neurons=p.neurons[mine], offset=p.offset[mine])


def in_half(neurons: Array, half: int, lowered: Lowered) -> npt.NDArray[np.bool_]:
    """Say which of ``neurons``, by number and of any population, are of a half."""
    found = np.zeros(neurons.size, np.bool_)
    for p in lowered.populations:
        lo, hi = (p.start + edge for edge in bounds(p.size, half))
        found |= (neurons >= lo) & (neurons < hi)
    return found
