"""Slow states that act on synapses, beside brian2's own synapses.

brian2 reads everything when a spike arrives; a factor belongs to the tick in which it is sent.
So what modulated synapses deliver is made here, in Python, at the end of each tick: brian2
integrates all states, finds the spikes and learns the weights, and this puts the product of
weight and factor where it will arrive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.brian2.quiet import brian2
from spikecore.backends.lowering import Lowered, LoweredProjection
from spikecore.backends.modulated import LoweredModulation

__all__ = ["FACTORS", "Acting"]

FACTORS = {"potentiation": "f_plus", "depression": "f_minus"}
"""Variable of a synapse that holds each factor of its learning rule."""

_BEFORE_LEARNING, _BEFORE_LATE_POST = -10, 3  # orders within the slot of spikes


class Acting:
    """All modulated projections of a network that brian2 runs.

    Parameters
    ----------
    lowered : Lowered
    groups : mapping of str to brian2 group
        By name; inputs are given as the groups that emit their spikes.
    states : mapping of str to tuple of str
        What brian2 calls the states of each population.
    weights : list of ndarray
        Present weights of each projection; those that learn are in their synapses.
    synapses : mapping of int to brian2.Synapses
        Those that learn, by number of projection.
    clock, slot
        When to act.
    """

    def __init__(
        self,
        lowered: Lowered,
        groups: dict[str, Any],
        states: dict[str, tuple[str, ...]],
        weights: list[npt.NDArray[Any]],
        synapses: dict[int, Any],
        clock: Any,
        slot: str,
    ) -> None:
        self.lowered, self.groups, self.weights = lowered, groups, weights
        self.states, self.synapses, self.clock = states, synapses, clock
        self.names = {start: name for name, (start, _) in lowered.groups.items()}
        self.projections = {
            i: p for i, p in enumerate(lowered.projections) if p.modulations and p.size
        }
        self.ring = {
            i: np.zeros((int(p.delay.max()) + 1, p.target_size))
            for i, p in self.projections.items()
        }
        self.operations = [
            brian2.NetworkOperation(call, clock=clock, when=slot, order=order, name=name)
            for call, order, name in (
                (self._set_factors, _BEFORE_LEARNING, "act_on_learning"),
                (self._deliver, _BEFORE_LATE_POST, "act_on_delivery"),
            )
            if self.projections
        ]

    def _factor(self, m: LoweredModulation) -> npt.NDArray[Any]:
        name = self.names[m.start]
        values = self.groups[name].variables[self.states[name][m.state]].get_value()
        found: npt.NDArray[Any] = m.factors(np.asarray(values))[m.who]
        return found

    def _set_factors(self) -> None:
        for i, p in self.projections.items():
            for of, name in FACTORS.items():
                m = p.modulation(of)
                if m is not None:
                    self.synapses[i].variables[name].set_value(self._factor(m))

    def _fired(self, p: LoweredProjection) -> npt.NDArray[np.int64]:
        """Return how many spikes each source neuron has in this tick."""
        emits = self.groups[self.names[p.source_start]]
        spikes = np.asarray(emits.spikes, np.int64) % p.source_size
        return np.bincount(spikes, minlength=p.source_size)

    def _deliver(self) -> None:
        t = int(self.clock.variables["timestep"].get_value().item())
        for i, p in self.projections.items():
            ring, number = self.ring[i], self._fired(p)
            if number.any():
                each = number[p.source]
                sent = np.repeat(np.arange(p.size), each)
                weight = np.broadcast_to(self._weight(i, p), (p.size,))
                delay = np.broadcast_to(p.delay, (p.size,)).astype(np.int64)
                np.add.at(ring, ((t + delay[sent]) % len(ring), p.target[sent]), weight[sent])
            due = ring[(t + 1) % len(ring)]
            if due.any():
                arrives = self.groups[self.names[p.target_start]].variables[f"in_{p.port}"]
                arrives.set_value(arrives.get_value() + due)
                due[:] = 0

    def _weight(self, i: int, p: LoweredProjection) -> npt.NDArray[Any]:
        own = self.weights[i]
        if p.plasticity is not None:
            own = np.asarray(self.synapses[i].variables["w1"].get_value())
        m = p.modulation("delivery")
        weight: npt.NDArray[Any] = own if m is None else own * self._factor(m)
        return weight

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is under way."""
        return {f"acting/{i}": ring.copy() for i, ring in self.ring.items()}

    def load(self, state: Any) -> None:
        """Take over what :meth:`state` returned."""
        for i, ring in self.ring.items():
            ring[:] = state[f"acting/{i}"]
