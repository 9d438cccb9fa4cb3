"""A lowered network as a brian2 network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.brian2.acting import FACTORS, Acting
from spikecore.backends.brian2.equations import Model, model_of
from spikecore.backends.brian2.learning import LONG_AGO, learning_code, synapse_variables
from spikecore.backends.brian2.quiet import brian2
from spikecore.backends.brian2.stepping import Stepping
from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection

__all__ = ["Built"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

LARGEST = 1.79e308

# All that spikes do is done in this slot, in the tick of the spike: brian2 forgets the spikes
# of the last tick when a run ends. What arrives waits in in_0, in_1, ... for the next tick.
SPIKES = "after_resets"


class Built:
    """The objects of brian2 that stand for a lowered network.

    Parameters
    ----------
    lowered : Lowered
    dtype : dtype
        Of states and weights.
    weights : list of ndarray
        Present weights of each projection, row order.
    repeats : mapping of str to int
        How many spikes of one neuron of an input a tick may hold.
    """

    def __init__(
        self,
        lowered: Lowered,
        dtype: np.dtype[Any],
        weights: list[npt.NDArray[Any]],
        repeats: dict[str, int],
    ) -> None:
        self.lowered, self.dtype, self.repeats = lowered, dtype, repeats
        self.clock = brian2.Clock(dt=lowered.dt * brian2.ms, name="ticks")
        self.network = brian2.Network(name="spikecore")
        self.network.schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
        self.models: dict[str, Model] = {}
        self.groups: dict[str, Any] = {}
        self.generators: dict[str, Any] = {}
        self.synapses: dict[int, Any] = {}
        self.stepping = Stepping(lowered, self.clock)
        self.groups |= self.stepping.senders
        for bound in lowered.inputs:
            self._input(bound.input.name, bound.input.size)
        for p in lowered.populations:
            self._population(p)
        for number, projection in enumerate(lowered.projections):
            if projection.size:
                self._projection(number, projection, weights[number])
        self.acting = Acting(
            lowered,
            self.groups | self.generators,
            {name: model.states for name, model in self.models.items()},
            weights,
            self.synapses,
            self.clock,
            SPIKES,
        )
        self.network.add(*self.acting.operations, *self.stepping.operations)

    def _add(self, thing: Any) -> Any:
        self.network.add(thing)
        return thing

    # -- groups -----------------------------------------------------------------

    def _input(self, name: str, size: int) -> None:
        number = len(self.generators)
        repeats = self.repeats[name]
        generator = self._add(
            brian2.SpikeGeneratorGroup(
                size * repeats,
                [],
                [] * brian2.ms,
                clock=self.clock,
                when="thresholds" if repeats == 1 else "start",
                name=f"input{number}",
            )
        )
        self.generators[name] = generator
        self.groups[name] = generator if repeats == 1 else self._relay(number, size, repeats)

    def _relay(self, number: int, size: int, repeats: int) -> Any:
        """Return neurons that count the spikes of a tick, which a generator cannot repeat."""
        relay = self._add(
            brian2.NeuronGroup(
                size,
                "count : integer",
                threshold="count > 0",
                reset="count = 0",
                events={f"again{k}": f"count > {k}" for k in range(1, repeats)},
                clock=self.clock,
                name=f"relay{number}",
            )
        )
        generator = self.generators[list(self.generators)[number]]
        wires = brian2.Synapses(
            generator, relay, on_pre="count_post += 1", clock=self.clock, name=f"wires{number}"
        )
        wires.connect(i=np.arange(size * repeats), j=np.arange(size * repeats) % size)
        wires.pre.when = "synapses"
        self._add(wires)
        return relay

    def _population(self, p: LoweredPopulation) -> None:
        stepped = p.name in self.stepping.sweeps
        model = self.stepping.model(p) if stepped else model_of(p, self.lowered.dt)
        number = len(self.models)
        self.models[p.name] = model
        refractory: Any = False
        if p.refractory.any():
            # One tick more than the contract's: brian2 counts from the spike.
            model.parameters["c_hold"] = (p.refractory + 1).astype(np.float64)
            model.equations += "\nc_hold : 1 (constant)"
            refractory = "c_hold*dt"
        group = brian2.NeuronGroup(
            p.size,
            model.equations,
            threshold=model.threshold,
            reset=model.reset,
            refractory=refractory,
            method=model.method,
            method_options={"simplify": False} if model.method == "exact" else None,
            events={"broken": " or ".join(f"not (abs({x}) < {LARGEST})" for x in model.states)},
            namespace={name: value * _unit(name) for name, value in model.constants.items()}
            | model.namespace,
            # As everywhere, steps are computed in double precision, whatever the run has.
            dtype=np.dtype(np.float64) if stepped else self.dtype,
            codeobj_class=brian2.NumpyCodeObject if model.vectors else None,
            clock=self.clock,
            name=f"population{number}",
        )
        for name, values in model.parameters.items():
            setattr(group, f"{name}_", np.broadcast_to(values, (p.size,)))
        for name, values in zip(model.states, p.initial.T, strict=True):
            setattr(group, name, values)
        for code, when in ((model.before, "before_groups"), (model.after, "after_groups")):
            if code:
                group.run_regularly(code, clock=self.clock, when=when, order=10)
        if stepped:
            self.stepping.adopt(p, group)
        self.groups[p.name] = self._add(group)

    # -- synapses ---------------------------------------------------------------

    def _projection(self, number: int, p: LoweredProjection, weights: npt.NDArray[Any]) -> None:
        names = {start: name for name, (start, _) in self.lowered.groups.items()}
        source = names[p.source_start]
        ends = (self.groups[source], self.groups[names[p.target_start]])
        repeats = self.repeats.get(source, 1)
        if p.modulations:
            self._modulated(number, p, ends, weights)
        elif p.plasticity is None:
            self._fixed(number, p, ends, weights, repeats)
        else:
            self._plastic(number, p, ends, weights, repeats)

    def _fixed(
        self,
        number: int,
        p: LoweredProjection,
        ends: tuple[Any, Any],
        weights: npt.NDArray[Any],
        repeats: int,
    ) -> None:
        flags = "shared, constant" if weights.size == 1 else "constant"
        paths = {"send": "spike"} | {f"send{k}": f"again{k}" for k in range(1, repeats)}
        synapses = brian2.Synapses(
            *ends,
            f"w1 : 1 ({flags})",
            on_pre=dict.fromkeys(paths, f"in_{p.port}_post += w1"),
            on_event=paths,
            dtype=self.dtype,
            clock=self.clock,
            name=f"projection{number}",
        )
        synapses.connect(i=p.source, j=p.target.astype(np.int64))
        synapses.w1 = weights if weights.size > 1 else weights[0]
        for path in paths:
            self._schedule(synapses, path, 0, p.delay - 1)
        self.synapses[number] = self._add(synapses)

    def _plastic(
        self,
        number: int,
        p: LoweredProjection,
        ends: tuple[Any, Any],
        weights: npt.NDArray[Any],
        repeats: int,
    ) -> None:
        assert p.plasticity is not None
        now, late = (learning_code(p.plasticity, self.lowered.dt, copy) for copy in (1, 2))
        arrive = f"in_{p.port}_post += w2"
        again = {f"send{k}": f"again{k}" for k in range(1, repeats)}
        synapses = brian2.Synapses(
            *ends,
            synapse_variables(),
            on_pre={
                "pre_now": now.pre,
                "send": late.pre,
                "arrive": arrive,
                **dict.fromkeys(again, arrive),
            },
            on_post={"post_now": now.post, "post_late": late.post},
            on_event={
                **dict.fromkeys(("pre_now", "send", "arrive", "post_now", "post_late"), "spike"),
                **again,
            },
            dtype=self.dtype,
            clock=self.clock,
            name=f"projection{number}",
        )
        synapses.connect(i=p.source, j=p.target.astype(np.int64))
        for copy in (1, 2):
            setattr(synapses, f"w{copy}", weights)
            for at in ("xt", "yt", "zt"):
                setattr(synapses, f"{at}{copy}", LONG_AGO)
        lag = p.delay if p.plasticity.post_delay == "dendritic" else np.zeros_like(p.delay)
        post_order = 5 if now.pre_first else -1
        self._schedule(synapses, "pre_now", 0, np.zeros_like(p.delay))
        self._schedule(synapses, "post_now", post_order, lag)
        self._schedule(synapses, "send", 0, p.delay - 1)
        for path in ("arrive", *again):
            self._schedule(synapses, path, 1, p.delay - 1)
        self._schedule(synapses, "post_late", post_order, p.delay + lag - 1)
        self.synapses[number] = self._add(synapses)

    def _modulated(
        self,
        number: int,
        p: LoweredProjection,
        ends: tuple[Any, Any],
        weights: npt.NDArray[Any],
    ) -> None:
        """Make synapses that only learn: Acting delivers what they send."""
        if p.plasticity is None:
            return
        factors = {name: p.modulation(of) is not None for of, name in FACTORS.items()}
        code = learning_code(
            p.plasticity,
            self.lowered.dt,
            1,
            ("f_plus" if factors["f_plus"] else "", "f_minus" if factors["f_minus"] else ""),
        )
        synapses = brian2.Synapses(
            *ends,
            "\n".join(
                [synapse_variables((1,)), *(f"{n} : 1" for n, used in factors.items() if used)]
            ),
            on_pre={"pre_now": code.pre},
            on_post={"post_now": code.post},
            dtype=self.dtype,
            clock=self.clock,
            name=f"projection{number}",
        )
        synapses.connect(i=p.source, j=p.target.astype(np.int64))
        synapses.w1 = weights
        for at in ("xt1", "yt1", "zt1"):
            setattr(synapses, at, LONG_AGO)
        lag = p.delay if p.plasticity.post_delay == "dendritic" else np.zeros_like(p.delay)
        self._schedule(synapses, "pre_now", 0, np.zeros_like(p.delay))
        self._schedule(synapses, "post_now", 5 if code.pre_first else -1, lag)
        self.synapses[number] = self._add(synapses)

    def _schedule(
        self,
        synapses: Any,
        path: str,
        order: int,
        ticks: npt.NDArray[Any],
    ) -> None:
        pathway = getattr(synapses, path)
        pathway.when, pathway.order = SPIKES, order
        delay = ticks.astype(np.float64) * self.lowered.dt * brian2.ms
        pathway.delay = delay if delay.size > 1 else delay[0]

    # -- spikes of inputs ---------------------------------------------------------

    def give(self, ticks: IndexArray, neurons: IndexArray) -> None:
        """Hand over the input spikes of the run that follows (sorted by tick and neuron)."""
        for name, generator in self.generators.items():
            start, size = self.lowered.groups[name]
            own = (neurons >= start) & (neurons < start + size)
            when, who = ticks[own], neurons[own] - start
            copy = repeats_before(when, who)
            order = np.lexsort((who + size * copy, when))
            generator.set_spikes(
                (who + size * copy)[order],
                when[order] * self.lowered.dt * brian2.ms,
                sorted=True,
            )


def _unit(name: str) -> Any:
    """Return the unit of a coefficient: k0, k1, ... are rates."""
    return brian2.Hz if name.startswith("k") else 1


def repeats_before(ticks: IndexArray, neurons: IndexArray) -> IndexArray:
    """Count, for each spike, the equal ones before it (spikes sorted by tick and neuron)."""
    if ticks.size == 0:
        return np.empty(0, np.int64)
    fresh = np.append(True, (np.diff(ticks) != 0) | (np.diff(neurons) != 0))
    first: IndexArray = np.maximum.accumulate(np.where(fresh, np.arange(ticks.size), 0))
    return np.arange(ticks.size) - first
