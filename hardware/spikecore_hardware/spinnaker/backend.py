"""The mirror of SpiNNaker as a backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore import __version__
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Choice, Options
from spikecore.backends.session import SteppedSession
from spikecore.quantities import require
from spikecore_hardware.spinnaker import kernels
from spikecore_hardware.spinnaker.limits import ABSENT, LIMITS, SpinnakerCapabilities
from spikecore_hardware.spinnaker.mapping import PopulationMap, map_populations
from spikecore_hardware.spinnaker.scaling import quantise, weight_step
from spikecore_hardware.spinnaker.slow_trace import (
    GLIA,
    SlowTraceCheck,
    check_slow_trace,
    gain_of,
    in_currents,
    is_dual,
    split,
)
from spikecore_hardware.spinnaker.tables import HISTORY, C, L, R, S, State, build_net, new_state

__all__ = ["SpinnakerBackend", "SpinnakerSession"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_S1615 = 1.0 / 32768.0
_LARGEST = 0xFFFF
_COARSE = 0.01  # relative error of a slow trace from which on a note tells


class SpinnakerBackend:
    """The arithmetic of a SpiNNaker 1 board, bit for bit, with ideal timing."""

    name = "spinnaker"
    version = __version__
    choices: Mapping[str, Choice] = {}

    def capabilities(self, options: Options) -> SpinnakerCapabilities:
        """Say what the images can do: IF_curr_exp, static or with pair STDP; IF_curr_dual_exp."""
        return SpinnakerCapabilities(
            units=frozenset({"lif", "astro_lif"}),
            step_rules=frozenset({"spinnaker"}),
            precisions=frozenset({"float64"}),
            plasticity=frozenset({"PairSTDP"}),
            max_delay_ticks=2**24,
            checkpoint=True,
            why=ABSENT,
        )

    def prepare(self, lowered: Lowered, options: Options) -> SpinnakerSession:
        """Open a session."""
        return SpinnakerSession(lowered, options)


class SpinnakerSession(SteppedSession):
    """A run of the mirror.

    States are absolute (a chip knows no equilibrium), weights are whole numbers of steps. In
    ``lowered`` the weights onto slow traces are currents (nA), as the chip has them.
    """

    def __init__(self, lowered: Lowered, options: Options) -> None:
        absolute = tuple(replace(p, offset=np.zeros_like(p.offset)) for p in lowered.probes)
        lowered = in_currents(replace(lowered, probes=absolute))
        super().__init__(lowered, options, "spinnaker")
        self.maps = map_populations(lowered, LIMITS)
        self.net, self._order = build_net(lowered, self.maps)
        stored = np.zeros(sum(p.size for p in lowered.projections), np.uint16)
        at, self._begin = 0, {}
        for i in self._order:  # from here on the weights of each projection are a view into stored
            p = lowered.projections[i]
            view = stored[at : at + p.size]
            view[:] = quantise(p.weight, self._shift(i))
            self._projection_weights[i], self._begin[i] = view, at
            at += p.size
        self._stored = stored
        self._probed = [self._row_and_step(p.neurons, p.state) for p in lowered.probes]
        self._reset()

    def _start(self) -> None:
        super()._start()
        self.counters |= {"saturated": 0, "wrapped": 0, "forgotten": 0}

    def _map(self, projection: int) -> PopulationMap:
        start = self.lowered.projections[projection].target_start
        return next(m for m in self.maps if m.lowered.start == start)

    def _shift(self, projection: int) -> int:
        return self._map(projection).shifts[self.lowered.projections[projection].port]

    def _halves(self, projection: int) -> dict[int, FloatArray]:
        """Return what makes currents (nA) of the weights of a projection, in row order.

        By number of the projection on the chip: itself first, and the second half of what
        follows y.
        """
        c, m = self.lowered.projections[projection], self._map(projection)
        if not is_dual(m.lowered) or c.port != GLIA:
            return {projection: np.ones(1)}
        parts = split(m.lowered, self.lowered.dt)
        found = {projection: parts.slow[c.target]}
        if parts.rise is not None:
            own = [i for i, p in enumerate(self.lowered.projections) if p.name == f"{c.name} (y)"]
            found[own[-1]] = parts.rise[c.target]
        return found

    def _reset(self) -> None:
        self.state = new_state(self.lowered, self.maps, self.net, self._stored)

    def _run(self, stop: int, ticks: IndexArray, neurons: IndexArray) -> None:
        register = self.state.register
        register[R.INPUT] = 0
        sources = np.stack([ticks, neurons])
        out = np.empty((2, self._room(ticks)), np.int64)
        code = kernels.DONE
        while self.tick < stop and code != kernels.RUNAWAY:
            upto = min(stop, *(self._next_probe(p.every) + 1 for p in self.lowered.probes), stop)
            code = kernels.run(self.net, self.state, upto, self.options.max_pending, sources, out)
            count = int(register[R.N_OUT])
            if count:
                self._keep_spikes(out[0, :count].copy(), out[1, :count].copy())
                register[R.N_OUT] = 0
            before, self.tick = self.tick, int(register[R.TICK])
            if self.tick > before:
                self._probe(self.tick - 1)
        if code == kernels.RUNAWAY:
            self.status = "runaway"
            self.message = f"more than {self.options.max_pending} synaptic events in flight"
        for name in self.counters.keys() - {"spikes"}:
            self.counters[name] = int(register[R[name.upper()]])

    def _room(self, ticks: IndexArray) -> int:
        """Return how many spikes to make room for: several ticks, the fullest one included."""
        most = int(np.unique(ticks, return_counts=True)[1].max(initial=0))
        return max(65536, 4 * (self.lowered.n_neurons + most))

    def _next_probe(self, every: int) -> int:
        return -(-self.tick // every) * every

    def _probe(self, tick: int) -> None:
        for i, probe in enumerate(self.lowered.probes):
            if tick % probe.every == 0:
                row, step = self._probed[i]
                values = self.state.neuron[row, probe.neurons] * step
                self._traces[i].append(values[None, :])

    def _row_and_step(self, neurons: IndexArray, state: int) -> tuple[int, FloatArray]:
        """Return the row of the state that a probe reads, and what one step of it is."""
        p = next(p for p in self.lowered.populations if p.start <= neurons[0] < p.start + p.size)
        name = p.unit.states[state]
        if name == "A":
            return S.I_SLOW, _S1615 / gain_of(p)[neurons - p.start]
        return S[name.upper()], np.array(_S1615)

    def weights(self, projection: int) -> npt.NDArray[np.float64]:
        """Return the weights in row order and in the unit of the port, post spikes included.

        A board would still show :meth:`stored_weights`. Where rounding has led past a bound
        of the learning rule, the bound is returned.
        """
        rule = self.lowered.projections[projection].plasticity
        if rule is None or self.tick == 0:
            values = self.stored_weights(projection) / self._halves(projection)[projection]
        else:
            settled = self.state._replace(weight=self._stored.copy())
            self._settle(settled)
            values = self.stored_weights(projection, settled.weight)
        if rule is None:
            return values
        clipped: npt.NDArray[np.float64] = np.clip(values, *rule.bounds).astype(np.float64)
        return clipped

    def stored_weights(
        self, projection: int, stored: npt.NDArray[np.uint16] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the weights that a board holds now, in row order; nA, at every receptor.

        A synapse learns when its source fires: what its target has done since is not in yet.
        """
        begin = self._begin[projection]
        size = self.lowered.projections[projection].size
        own = (self._stored if stored is None else stored)[begin : begin + size]
        return own.astype(np.float64) * weight_step(self._shift(projection))

    def _settle(self, state: State) -> None:
        nothing = np.empty((2, 0), np.int64)
        kernels.run(self.net, state, kernels.SETTLE, 0, nothing, nothing)

    def set_weights(self, projection: int, values: npt.NDArray[np.float64]) -> None:
        """Replace the weights (unit of the port), in row order, rounded to the receptor's steps.

        Post spikes so far no longer count for them.

        Raises
        ------
        InvalidInput
            If a weight is negative, exceeds 16 bits, or would become zero. The scale of a
            receptor is fixed when the network is mapped.
        """
        stored = {
            half: self._steps(half, values * scale)
            for half, scale in self._halves(projection).items()
        }
        for half, steps in stored.items():
            self._projection_weights[half][:] = steps
        for r in np.flatnonzero(self.net.rule[:, L.PROJECTION] == self._order.index(projection)):
            begin = self.net.rule[r, L.PRE_0]
            stages = self.net.projection[self.net.rule[r, L.PROJECTION], C.STAGES]
            rows = slice(begin, begin + self.net.rule[r, L.SOURCES] * stages)
            self.state.pre[rows, 2] = self.tick - 1

    def _steps(self, projection: int, currents: FloatArray) -> IndexArray:
        """Return currents (nA) as stored, checked."""
        p, shift = self.lowered.projections[projection], self._shift(projection)
        place, step = f"Projection {p.name!r}.weight", weight_step(shift)
        stored = quantise(currents, shift)
        rule = f"must lie in 0 .. {_LARGEST * step:g} nA on this receptor of the board"
        fix = "make the network with the largest weight, which sets the scale"
        require(currents, (currents >= 0.0) & (stored <= _LARGEST), place, rule, "nA", fix)
        rule = f"becomes 0: this receptor has steps of {step:g} nA"
        require(currents, (currents == 0.0) | (stored > 0), place, rule, "nA", "use 0, or a step")
        return stored

    def _settle_weights(self) -> None:
        self._settle(self.state)

    def _late_notes(self) -> tuple[str, ...]:
        notes = [*super()._late_notes(), *self._mapping_notes()]
        for name, what in (
            ("saturated", "sums of weights exceeded 16 bits and were cut off"),
            ("wrapped", "results exceeded 32 bits and changed their sign"),
        ):
            if self.counters[name]:
                notes.append(f"{self.counters[name]} {what}: use smaller weights")
        if self.counters["forgotten"]:
            notes.append(
                f"{self.counters['forgotten']} updates of synapses missed spikes of their target, "
                f"which remembers its last {HISTORY - 1}: let sources fire more often"
            )
        return tuple(notes)

    def _mapping_notes(self) -> list[str]:
        notes = []
        for m in self.maps:
            if m.layout.neurons < min(LIMITS.neurons, m.lowered.size):
                notes.append(
                    f"Population {m.lowered.name!r}: {m.layout.neurons} neurons per core, for "
                    "want of local memory or of room in a row"
                )
        for m in self.maps:
            if is_dual(m.lowered):
                notes += self._slow_notes(m, check_slow_trace(m.lowered, self.lowered.dt))
        for p in self.lowered.projections:
            if p.plasticity is not None and p.plasticity.window != "table2048":
                notes.append(
                    f"Projection {p.name!r}: learns by the chip's table of its windows, which is "
                    "0 below 1/2048"
                )
        return notes

    @staticmethod
    def _slow_notes(m: PopulationMap, check: SlowTraceCheck) -> Iterator[str]:
        if check.apart > _COARSE:
            yield f"Population {m.lowered.name!r}: {check.text}"
        for c in m.incoming:
            largest = float(c.weight.max(initial=0.0))
            if c.port == GLIA and 0.0 < largest < check.linear_below:
                yield (
                    f"Projection {c.name!r}: a spike makes at most {largest:.3g} nA of slow "
                    f"current, which falls in a straight line below {check.linear_below:.3g} nA "
                    "on the chip: use a larger current and a smaller resistance"
                )

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        return {
            name: array.copy() for name, array in self.state._asdict().items() if name != "weight"
        }

    def _load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        copies = {name: array.copy() for name, array in state.items()}
        self.state = State(**copies, weight=self._stored)
