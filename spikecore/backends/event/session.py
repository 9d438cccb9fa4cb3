"""The event-driven core as a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from spikecore.backends.event import kernels
from spikecore.backends.event.build import (
    build_net,
    delay_bytes,
    grow_calendar,
    new_state,
    projection_order,
)
from spikecore.backends.event.choice import BLOCKS, CHOICES, Way, choose_way
from spikecore.backends.event.tables import C, K, L, P, R, State
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Capabilities, Choice, Options
from spikecore.backends.session import SteppedSession
from spikecore.errors import FileRefused, InvalidInput

__all__ = ["EventBackend", "EventSession"]

IndexArray = npt.NDArray[np.int64]

MAX_DELAY_BYTES = 8_000_000_000

_NO_SPIKES = np.empty((2, 0), np.int64)
_NO_PROBES = np.empty((0, 6), np.int64)
_NOBODY = np.empty(0, np.int64)
_NO_TRACES = np.empty(0, np.float64)


class EventBackend:
    """The default: event-driven, compiled, work in proportion to events."""

    name = "event"
    version = numba.__version__
    choices: Mapping[str, Choice] = CHOICES

    def capabilities(self, options: Options) -> Capabilities:
        """Everything the network description can say."""
        return Capabilities.everything()

    def prepare(self, lowered: Lowered, options: Options) -> SteppedSession:
        """Open a session.

        Raises
        ------
        InvalidInput
            If the delays of plastic synapses need more than :data:`MAX_DELAY_BYTES`, or
            the options force a way that cannot run this network.
        """
        wanted = delay_bytes(lowered)
        if wanted > MAX_DELAY_BYTES:
            raise InvalidInput(
                "backend 'event'",
                f"may use {MAX_DELAY_BYTES / 1e9:g} GB for spikes on their way",
                got=f"{wanted / 1e9:.1f} GB for a delay of {lowered.max_delay * lowered.dt:g} ms",
                fix="use shorter delays, or PairSTDP(post_delay='none')",
            )
        way = choose_way(lowered, options)
        if way.delivery == "calendar":
            return EventSession(lowered, options, way)
        if way.threads > 1:
            from spikecore.backends.event.threaded import ThreadedSession

            return ThreadedSession(lowered, options, way)
        if BLOCKS in way.ahead.values():
            from spikecore.backends.event.ahead_session import AheadSession

            return AheadSession(lowered, options, way)
        from spikecore.backends.event.fast_session import FastSession

        return FastSession(lowered, options, way)


class EventSession(SteppedSession):
    """A run of the event-driven core."""

    def __init__(self, lowered: Lowered, options: Options, way: Way) -> None:
        super().__init__(lowered, options, "event")
        self.way = way
        projections = lowered.projections
        plastic = [i for i in self._order_of if projections[i].plasticity is not None]
        self._rule_of = {i: r for r, i in enumerate(plastic)}
        self.net = build_net(lowered, self.dtype, self._wanted())
        self._out = np.empty((2, 0), np.int64)
        self._reset()
        lowered.let_go()  # all that is needed of the synapses is in our own arrays now

    def _first_weights(self) -> list[npt.NDArray[Any]]:
        """Return the weights of each projection, each a view into one array of all."""
        projections = self.lowered.projections
        sizes = [p.synapses.weight_shape[0] for p in projections]
        self._order_of = projection_order(self.lowered)
        self._flat_weights = np.empty(sum(sizes), self.dtype)
        views, at = dict[int, npt.NDArray[Any]](), 0
        for i in self._order_of:
            views[i] = self._flat_weights[at : at + sizes[i]]
            views[i][:] = projections[i].weight
            at += sizes[i]
        return [views[i] for i in range(len(projections))]

    def _wanted(self) -> frozenset[int] | None:
        """Return the projections whose targets and delays Net has to keep; None: all."""
        return None

    def _reset(self) -> None:
        self.state = new_state(self.lowered, self.net, self._flat_weights, self.dtype)
        room = max(65536, 4 * self.state.lists.shape[1])
        if self._out.shape[1] != room:
            self._out = np.empty((2, room), np.int64)
        self._order(kernels.WAKE, self.state)

    def _order(self, order: int, state: State) -> None:
        kernels.run(
            self.net, state, order, 0, _NO_SPIKES, self._out, _NO_PROBES, _NOBODY, _NO_TRACES
        )

    def _call(self, stop: int, sources: Any, probes: Any, who: Any, traces: Any) -> int:
        """Run to ``stop`` in compiled code; return why it ended."""
        return int(
            kernels.run(
                self.net,
                self.state,
                stop,
                self.options.max_pending,
                sources,
                self._out,
                probes,
                who,
                traces,
            )
        )

    def _grow(self) -> None:
        """Make room for more synaptic events in flight."""
        self.state = grow_calendar(self.state, self.lowered.max_delay // 8 + 1024)

    def _run(self, stop: int, ticks: IndexArray, neurons: IndexArray) -> None:
        register = self.state.register
        register[R.INPUT] = 0
        self._fit_inputs(ticks)
        sources = np.stack([ticks, neurons])
        probes, who, traces = self._trace_space(stop)
        while True:
            code = self._call(stop, sources, probes, who, traces)
            self._take_spikes()
            if code == kernels.GROW:
                self._grow()
            elif code != kernels.OUTPUT_FULL:
                break
        self.tick = int(register[R.TICK])
        if code == kernels.DIVERGED:
            self.status, self.message = "diverged", self._where(int(register[R.BAD]))
        elif code == kernels.RUNAWAY:
            self.status = "runaway"
            self.message = f"more than {self.options.max_pending} synaptic events in flight"
        self._keep_traces(probes, traces)
        self._keep_counters()

    def _keep_counters(self) -> None:
        for name in ("sent", "delivered", "pending", "updates"):
            self.counters[name] = int(self.state.register[R[name.upper()]])

    def _fit_inputs(self, ticks: IndexArray) -> None:
        """Make room for the largest number of source spikes in one tick."""
        if not ticks.size:
            return
        most = int(np.diff(np.flatnonzero(np.diff(ticks, prepend=-1, append=-1))).max())
        lists, needed = self.state.lists, most + self.lowered.n_neurons
        if needed > lists.shape[1]:
            wider = np.zeros((4, needed), np.int64)
            wider[:, : lists.shape[1]] = lists
            self.state = self.state._replace(lists=wider)
            self._out = np.empty((2, 4 * needed), np.int64)

    def _take_spikes(self) -> None:
        count = int(self.state.register[R.N_OUT])
        if count:
            self._keep_spikes(self._out[0, :count].copy(), self._out[1, :count].copy())
            self.state.register[R.N_OUT] = 0

    def _trace_space(self, stop: int) -> tuple[Any, Any, Any]:
        if not self.lowered.probes:
            return _NO_PROBES, _NOBODY, _NO_TRACES
        rows, space = [], 0
        who: list[IndexArray] = []
        for probe in self.lowered.probes:
            row0 = -(-self.tick // probe.every)
            count = probe.neurons.size
            rows.append((probe.every, probe.state, sum(w.size for w in who), count, space, row0))
            who.append(probe.neurons)
            space += max(0, (-(-stop // probe.every)) - row0) * count
        return np.array(rows, np.int64), np.concatenate(who), np.empty(space, np.float64)

    def _keep_traces(self, probes: Any, traces: Any) -> None:
        for i, (every, _state, _first, count, out0, row0) in enumerate(probes):
            done = (-(-self.tick // every)) - row0
            self._traces[i].append(traces[out0 : out0 + done * count].reshape(done, count))

    def _provenance(self) -> dict[str, Any]:
        neurons = {p.name: "listed" for p in self.lowered.populations}
        way = {"delivery": self.way.delivery, "why": self.way.why, "neurons": neurons}
        return {"way": way}

    def _where(self, neuron: int) -> str:
        for name, (start, size) in self.lowered.groups.items():
            if start <= neuron < start + size:
                return f"{name}[{neuron - start}] is not finite in tick {self.tick}"
        raise AssertionError("every neuron belongs to a group")

    def _own_states(self, population: int) -> npt.NDArray[Any]:
        p = self.lowered.populations[population]
        at, s = int(self.net.population[population, P.X_0]), len(p.unit.states)
        return self.state.x[at : at + p.size * s].reshape(p.size, s)

    def _states(self, population: int) -> npt.NDArray[Any]:
        return self._own_states(population)

    def _put_states(self, population: int, x: npt.NDArray[Any]) -> None:
        p, row = self.lowered.populations[population], self.net.population[population]
        self._own_states(population)[:] = x
        clock = self.state.clock[p.start : p.start + p.size]
        clock[:, K.AT] = self.tick - 1
        clock[:, K.CALL] = -1  # what was known of its silence is no longer true
        if row[P.PAST]:  # it acts on learning, which may ask for this moment later
            entry = np.arange(p.size) * row[P.PAST] + clock[:, K.PAST]
            self.state.past[row[P.PAST_0] + entry] = (self.tick, -1)
            past_x = self.state.past_x[row[P.PAST_X_0] :]
            past_x[: p.size * row[P.PAST] * x.shape[1]].reshape(-1, x.shape[1])[entry] = x
            clock[:, K.PAST] += 1
            if clock[:, K.PAST].max() == row[P.PAST]:
                self._order(kernels.FLUSH, self.state)

    def weights(self, projection: int) -> npt.NDArray[np.float64]:
        """Return the current weights, in row order: post spikes so far included."""
        rule = self.lowered.projections[projection].plasticity
        if rule is None or self.tick == 0:
            return super().weights(projection)
        # The rows are behind (they learn when they fire); bring a copy up to date.
        copy = self.state._replace(**{name: getattr(self.state, name).copy() for name in _LEARNING})
        self._order(kernels.FLUSH, copy)
        r = self._rule_of[projection]
        own = int(self.net.projection[self.net.rule[r, L.PROJECTION], C.WEIGHT_0])
        values = copy.weight[own : own + self.lowered.projections[projection].size]
        clipped: npt.NDArray[np.float64] = np.clip(values, *rule.bounds).astype(np.float64)
        return clipped

    def set_weights(self, projection: int, values: npt.NDArray[np.float64]) -> None:
        """Replace the weights, in row order; post spikes so far no longer count for them."""
        super().set_weights(projection, values)
        if projection in self._rule_of:
            rule = self.net.rule[self._rule_of[projection]]
            rows = slice(rule[L.PRE_0], rule[L.PRE_0] + rule[L.N_PRE])
            self.state.pre[rows, 1] = self.tick - 1

    def _settle_weights(self) -> None:
        if self._rule_of:
            self._order(kernels.FLUSH, self.state)
            for i in self._rule_of:
                rule, own = self.lowered.projections[i].plasticity, self._projection_weights[i]
                if rule is not None and rule.clamp == "update":
                    np.clip(own, *rule.bounds, out=own)

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        return {
            name: array.copy()
            for name, array in self.state._asdict().items()
            if name not in ("weight", "buffer")
        }

    def _load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        if "slot" not in state:
            raise FileRefused(
                "checkpoint",
                "was saved by another way of running",
                got="delivery=ring or delivery=queue",
                fix="open it without delivery=calendar",
            )
        self.state = self.state._replace(**{name: array.copy() for name, array in state.items()})
        self._out = np.empty((2, max(65536, 4 * self.state.lists.shape[1])), np.int64)


_LEARNING = (
    *("weight", "pre", "post", "history_tick", "history_trace", "register"),
    *("clock", "past", "past_x"),
)
