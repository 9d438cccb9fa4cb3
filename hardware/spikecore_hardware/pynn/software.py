"""NEST and brian2 through PyNN.

A tick of spikecore ends with the threshold test; a spike in it is due ``delay`` ticks later.
With the settings found here (by experiment, docs/export) both fire in the same ticks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection
from spikecore.plasticity import PairSTDP
from spikecore.quantities import off_grid
from spikecore_hardware.pynn.description import cell_of, gains
from spikecore_hardware.pynn.target import Target, target_of

__all__ = ["Brian2", "Nest"]


class _Software(Target):
    """What NEST and brian2 have in common."""

    def refusals(self, lowered: Lowered) -> Iterator[str]:
        settings = self.settings(lowered)
        for p in lowered.populations:
            yield from self._initial(p, lowered.dt, settings.lead)
            yield from self._cells(p)
        for c in lowered.projections:
            yield from (f"projection {c.name!r}: {r}" for r in self._wires(c, lowered))
            yield from (
                f"projection {c.name!r}: modulation of {what} is not supported"
                for what in sorted(c.modulated)
            )
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
        if cell_of(p) == "IF_curr_dual_exp":
            yield (
                f"population {p.name!r}: neurons with a slow trace (IF_curr_dual_exp) are a cell "
                "of sPyNNaker only"
            )
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
        if target_of(c, lowered).ports[c.port] == "inh":
            yield f"{self.name} cannot learn inhibitory synapses through PyNN"
        scale = gains(target_of(c, lowered), lowered.dt)
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
        if cell_of(target_of(c, lowered)) == "IF_curr_delta":
            yield "delta synapses that learn cannot be lined up with brian2"
