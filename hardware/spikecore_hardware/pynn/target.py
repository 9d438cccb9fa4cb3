"""What a simulator behind PyNN is: what it cannot run, does differently, and how to line it up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection
from spikecore.units import LIF, AstroLIF
from spikecore_hardware.pynn.description import cell_of

__all__ = ["Settings", "Target", "common_refusals", "target_of"]


@dataclass(frozen=True)
class Settings:
    """How run.py lines a simulator up with spikecore. All numbers are ticks.

    Attributes
    ----------
    first : int
        Time step of the simulator that is spikecore's tick 0.
    lead : int
        Updates that the neurons make before tick 0. Initial potentials are taken back by them.
    refractory : int
        Added to refractory periods.
    shortest : int
        Delays below are raised to it.
    inputs : dict of str to int
        Time step of the simulator at which an input spike of tick 0 is emitted.
    delays : dict of str to int
        Added to the delays of each projection.
    options : dict of str to dict
        Further arguments of ``Population``, by population.
    """

    first: int
    lead: int
    refractory: int
    shortest: int
    inputs: dict[str, int]
    delays: dict[str, int]
    options: dict[str, dict[str, Any]]


class Target:
    """A simulator.

    Attributes
    ----------
    name : str
        As the command lines of spikecore and of run.py have it.
    first, refractory, shortest : int
        As in :class:`Settings`, where nothing else is needed.
    """

    name: str
    first = 0
    refractory = 0
    shortest = 1

    def refusals(self, lowered: Lowered) -> Iterator[str]:
        """List what the simulator cannot run, beyond :func:`common_refusals`."""
        raise NotImplementedError

    def differences(self, lowered: Lowered) -> Iterator[str]:
        """List what it runs, but not as spikecore does."""
        raise NotImplementedError

    def settings(self, lowered: Lowered) -> Settings:
        """Return how to line it up with spikecore."""
        shifts = {c.name: self._shift(target_of(c, lowered)) for c in lowered.projections}
        early = {bound.input.name: 0 for bound in lowered.inputs}
        names = {start: name for name, (start, _) in lowered.groups.items()}
        for c in lowered.projections:
            source = names[c.source_start]
            if source in early and c.size:
                missing = self.shortest - int(c.delay.min()) - shifts[c.name]
                early[source] = max(early[source], missing)
        lead = max(early.values(), default=0)
        for c in lowered.projections:
            shifts[c.name] += early.get(names[c.source_start], 0)
        return Settings(
            first=self.first + lead,
            lead=self.first - self._emitted + lead,
            refractory=self.refractory,
            shortest=self.shortest,
            inputs={name: self.first + lead - e for name, e in early.items()},
            delays=shifts,
            options={},
        )

    _emitted = 0
    """Time step in which the first update ends."""

    def _shift(self, p: LoweredPopulation) -> int:
        # Under the rule "spinnaker" an exponential current moves the membrane in the tick in which
        # it arrives, elsewhere in the next one.
        return -1 if p.unit.step == "spinnaker" and cell_of(p) == "IF_curr_exp" else 0


def common_refusals(lowered: Lowered, ticks: int) -> Iterator[str]:
    """List what PyNN has no words for, whatever the simulator."""
    for p, declared in zip(lowered.populations, lowered.network.populations, strict=True):
        place = f"population {p.name!r}"
        if isinstance(declared.unit, AstroLIF) and cell_of(p) is None:
            yield (
                f"{place}: of neurons with an astrocyte, only those with exponential synapses and "
                "a positive current= are a cell of PyNN, with tau_y=None or tau_inh=tau_y"
            )
        elif cell_of(p) is None or not isinstance(declared.unit, LIF | AstroLIF):
            yield f"{place}: only LIF without an adaptive threshold is a cell of PyNN"
        for state, value in declared.initial.items():
            if state != "v" and np.any(value.value):
                yield f"{place}: an initial {state} cannot be set on all simulators"
    for bound in lowered.inputs:
        place = f"input {bound.input.name!r}"
        if bound.input.source is None:
            yield f"{place}: is fed while the simulation runs"
        spikes = bound.spikes(0, ticks)
        pairs = np.stack([spikes.ticks, spikes.neurons])
        again = int((np.diff(pairs, axis=1) == 0).all(axis=0).sum())
        if again:
            yield f"{place}: {again} spikes repeat another one of the same source and tick"
    for c in lowered.projections:
        if (c.weight < 0.0).any():
            yield (
                f"projection {c.name!r}: has negative weights; PyNN takes the sign for the "
                "receptor, use port='inh'"
            )


def target_of(c: LoweredProjection, lowered: Lowered) -> LoweredPopulation:
    """Return the population at which the synapses of ``c`` arrive."""
    return next(p for p in lowered.populations if p.start == c.target_start)
