"""Simulators that PyNN drives: what each cannot run, does differently, and how to line it up.

A tick of spikecore ends with the threshold test; a spike in it is due ``delay`` ticks later.
With the settings found here (by experiment, docs/export) NEST and brian2 fire in the same ticks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection
from spikecore.backends.protocol import Options
from spikecore.plasticity import PairSTDP
from spikecore.quantities import off_grid
from spikecore_hardware.pynn.description import cell_of, gains
from spikecore_hardware.spinnaker.backend import SpinnakerBackend
from spikecore_hardware.spinnaker.limits import LIMITS
from spikecore_hardware.spinnaker.mapping import map_populations

__all__ = ["TARGETS", "Brian2", "Nest", "Settings", "Spinnaker", "Target", "common_refusals"]


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
        shifts = {c.name: self._shift(_target_of(c, lowered)) for c in lowered.projections}
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
        if cell_of(p) is None:
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


class _Software(Target):
    """What NEST and brian2 have in common."""

    def refusals(self, lowered: Lowered) -> Iterator[str]:
        settings = self.settings(lowered)
        for p in lowered.populations:
            yield from self._initial(p, lowered.dt, settings.lead)
            yield from self._cells(p)
        for c in lowered.projections:
            yield from (f"projection {c.name!r}: {r}" for r in self._wires(c, lowered))
            if c.plasticity is not None:
                yield from (f"projection {c.name!r}: {r}" for r in self._rule(c, lowered))

    def differences(self, lowered: Lowered) -> Iterator[str]:
        settings = self.settings(lowered)
        for c in lowered.projections:
            early = int(np.sum(c.delay + np.int64(settings.delays[c.name]) < self.shortest))
            if early:
                count = early if c.delay.size > 1 else c.size
                yield (
                    f"projection {c.name!r}: {count} synapses act one tick late, because "
                    f"{self.name} has no delay of 0"
                )
            if c.plasticity is not None:
                yield from (f"projection {c.name!r}: {d}" for d in self._learning(c.plasticity))

    def _initial(self, p: LoweredPopulation, dt: float, lead: int) -> Iterator[str]:
        if cell_of(p) is None:
            return
        v = p.initial[:, p.unit.states.index("v")]
        tau = np.broadcast_to(np.asarray(p.unit.parameters["tau_m"].value), (p.size,))
        earlier = [v * np.exp(k * dt / tau) for k in range(lead)]
        if any((w >= p.threshold).any() for w in earlier):
            yield f"population {p.name!r}: an initial v at or above the threshold fires too early"

    def _cells(self, p: LoweredPopulation) -> Iterator[str]:
        if p.unit.step == "spinnaker" and cell_of(p) == "IF_curr_alpha":
            yield (
                f"population {p.name!r}: alpha currents under the step rule 'spinnaker' have no "
                "counterpart; use step='exact'"
            )

    def _wires(self, c: LoweredProjection, lowered: Lowered) -> Iterator[str]:
        yield from ()

    def _rule(self, c: LoweredProjection, lowered: Lowered) -> Iterator[str]:
        rule = c.plasticity
        assert rule is not None
        if _target_of(c, lowered).ports[c.port] == "inh":
            yield f"{self.name} cannot learn inhibitory synapses through PyNN"
        scale = gains(_target_of(c, lowered), lowered.dt)
        if any(np.ptp(gain) > 0.0 for gain in scale.values()):
            yield (
                "synapses that learn need one tau_m and one tau_exc in their target under the "
                "step rule 'spinnaker'"
            )
        for name, wanted in (("pairing", "all"), ("clamp", "pair")):
            if getattr(rule, name) != wanted:
                yield f"PairSTDP.{name} must be {wanted!r}, not {getattr(rule, name)!r}"

    def _learning(self, rule: PairSTDP) -> Iterator[str]:
        if rule.window != "exponential":
            yield f"learns by the exponential, not by {rule.window!r}"


class Nest(_Software):
    """pyNN.nest, spikes on the grid."""

    name = "nest"
    # An update ends one step later than it begins, and sources take another step to reach the
    # relays that PyNN puts behind them.
    first = 2
    _emitted = 1

    def refusals(self, lowered: Lowered) -> Iterator[str]:
        """List what the simulator cannot run, beyond :func:`common_refusals`."""
        if off_grid(lowered.dt, 0.001).any():
            yield f"dt = {lowered.dt:g} ms is not a whole number of microseconds"
        yield from super().refusals(lowered)
        for p in lowered.populations:
            taus = {
                float(c.plasticity.tau_minus.value)
                for c in lowered.projections
                if c.plasticity is not None and c.target_start == p.start
            }
            if len(taus) > 1:
                yield (
                    f"population {p.name!r}: NEST has one tau_minus for all synapses onto a "
                    f"neuron, not {', '.join(f'{tau:g}' for tau in sorted(taus))} ms"
                )

    def differences(self, lowered: Lowered) -> Iterator[str]:
        """List what it runs, but not as spikecore does."""
        yield from super().differences(lowered)
        delays = self.settings(lowered).delays
        for c in lowered.projections:
            if c.plasticity is not None and delays[c.name]:
                yield (
                    f"projection {c.name!r}: for learning, dendritic delays are "
                    f"{abs(delays[c.name])} tick {'longer' if delays[c.name] > 0 else 'shorter'}"
                )

    def _rule(self, c: LoweredProjection, lowered: Lowered) -> Iterator[str]:
        yield from super()._rule(c, lowered)
        rule = c.plasticity
        assert rule is not None
        if rule.post_delay != "dendritic":
            yield "PairSTDP.post_delay must be 'dendritic', not 'none'"
        if rule.bounds[0] != 0.0:
            yield f"w_min must be 0, not {rule.bounds[0]:g}"
        if rule.amplitudes[0] == 0.0 < rule.amplitudes[1]:
            yield "A_plus must not be 0: PyNN gives NEST A_minus as a multiple of it"

    def _learning(self, rule: PairSTDP) -> Iterator[str]:
        yield from super()._learning(rule)
        if rule.coincidence != "ignore":
            yield (
                "a pre and a post spike that reach a synapse in one tick do not count as a pair; "
                f"PairSTDP.coincidence is {rule.coincidence!r}"
            )


class Brian2(_Software):
    """pyNN.brian2, with its equations made exact by run.py."""

    name = "brian2"
    refractory = 1  # brian2 counts from the spike, spikecore from the tick after it
    shortest = 0

    def _shift(self, p: LoweredPopulation) -> int:
        # run.py lets delta synapses act before the threshold test, where brian2 takes up the
        # spikes of the step before.
        return -1 if cell_of(p) == "IF_curr_delta" else super()._shift(p)

    def differences(self, lowered: Lowered) -> Iterator[str]:
        """List what it runs, but not as spikecore does."""
        for p in lowered.populations:
            given = {n: np.asarray(q.value) for n, q in p.unit.parameters.items()}
            taus = [given[n] for n in ("tau_exc", "tau_inh") if n in given]
            if any(np.isclose(tau, given["tau_m"], rtol=1e-5, atol=0.0).any() for tau in taus):
                yield (
                    f"population {p.name!r}: a synaptic time constant equal to tau_m is made "
                    "longer by 1/100000, because brian2 would divide by their difference"
                )
        yield from super().differences(lowered)

    def _cells(self, p: LoweredPopulation) -> Iterator[str]:
        yield from super()._cells(p)
        if np.unique(p.refractory).size > 1:
            yield (
                f"population {p.name!r}: pyNN.brian2 has one refractory period for a population; "
                "split it"
            )

    def _wires(self, c: LoweredProjection, lowered: Lowered) -> Iterator[str]:
        pairs = np.stack([c.source, c.target.astype(np.int64)])
        again = c.size - np.unique(pairs, axis=1).shape[1]
        if again:
            yield f"pyNN.brian2 mixes up synapses with the same two neurons ({again} repeat)"

    def _rule(self, c: LoweredProjection, lowered: Lowered) -> Iterator[str]:
        yield from super()._rule(c, lowered)
        if c.plasticity is not None and c.plasticity.dependence != "additive":
            yield "PairSTDP.dependence must be 'additive': pyNN.brian2 has nothing else"
        if cell_of(_target_of(c, lowered)) == "IF_curr_delta":
            yield "delta synapses that learn cannot be lined up with brian2"


class Spinnaker(Target):
    """sPyNNaker, on a board or on its virtual one. What the mirror refuses is refused here."""

    name = "spinnaker"

    def refusals(self, lowered: Lowered) -> Iterator[str]:
        """List what the mirror of the board refuses."""
        backend = SpinnakerBackend()
        yield from backend.capabilities(Options()).refusals(lowered, Options())

    def differences(self, lowered: Lowered) -> Iterator[str]:
        """List what a board does differently from a float backend."""
        yield (
            "32-bit fixed point and 16-bit weights: spikecore's backend 'spinnaker' mirrors them "
            "(spikecore export check)"
        )
        yield "packets that come late or are lost, and their order within a tick, are not mirrored"

    def settings(self, lowered: Lowered) -> Settings:
        """Return how to line it up: ticks are the same, cores as the mirror has them."""
        options: Mapping[str, dict[str, Any]] = {
            m.lowered.name: {
                "additional_parameters": {
                    "n_synapse_cores": 0,
                    "neurons_per_core": int(m.layout.neurons),
                }
            }
            for m in map_populations(lowered, LIMITS)
        }
        return Settings(
            first=0,
            lead=0,
            refractory=0,
            shortest=1,
            inputs={bound.input.name: 0 for bound in lowered.inputs},
            delays={c.name: 0 for c in lowered.projections},
            options=dict(options),
        )


TARGETS: dict[str, Target] = {t.name: t for t in (Nest(), Brian2(), Spinnaker())}


def _target_of(c: LoweredProjection, lowered: Lowered) -> LoweredPopulation:
    return next(p for p in lowered.populations if p.start == c.target_start)
