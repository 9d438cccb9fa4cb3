"""The oracle: every neuron and every synapse, every tick, in plain NumPy.

Slow and obvious on purpose. All other backends are held against it. It shares
the tables made by lowering, and nothing else, with the event-driven core; its
learning rule is the online one (each spike acts when it reaches the synapse),
where the event-driven core works row by row, in arrears.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection
from spikecore.backends.modulated import LoweredModulation
from spikecore.backends.protocol import Capabilities, Choice, Options
from spikecore.backends.session import SteppedSession
from spikecore.errors import InvalidInput
from spikecore.plasticity import PairSTDP

__all__ = ["ClockedBackend"]

IndexArray = npt.NDArray[np.int64]
AnyArray = npt.NDArray[Any]

MAX_RING_BYTES = 8_000_000_000

_TICK_COST = (1.5e-4, 6e-9)  # measured: 100 to 3000 neurons with 1000 to 900,000 synapses


class ClockedBackend:
    """The NumPy oracle."""

    name = "clocked"
    version = np.__version__
    choices: Mapping[str, Choice] = {}

    def capabilities(self, options: Options) -> Capabilities:
        """Everything the network description can say, slowly."""
        return Capabilities.everything(_TICK_COST)

    def prepare(self, lowered: Lowered, options: Options) -> ClockedSession:
        """Open a session.

        Raises
        ------
        InvalidInput
            If the ring of arrivals would not fit into :data:`MAX_RING_BYTES`.
        """
        wanted = 16 * (lowered.max_delay + 1) * lowered.n_neurons * lowered.n_ports
        if wanted > MAX_RING_BYTES:
            raise InvalidInput(
                "backend 'clocked'",
                f"may use {MAX_RING_BYTES / 1e9:g} GB for spikes on their way",
                got=f"{wanted / 1e9:.1f} GB for a delay of {lowered.max_delay * lowered.dt:g} ms",
                fix="use backend='event', or shorter delays",
            )
        return ClockedSession(lowered, options)


class _Neurons:
    """State of one population: committed at events, read in closed form."""

    def __init__(self, p: LoweredPopulation, dtype: np.dtype[Any]) -> None:
        def cast(a: AnyArray) -> AnyArray:
            return a.astype(dtype)

        def per_neuron(a: AnyArray) -> AnyArray:
            return np.broadcast_to(a, (p.size, *a.shape[1:]))

        self.p = p
        self.free, self.held = cast(p.table.free), cast(p.table.held)
        self.kind = np.arange(p.size) if p.table.free.shape[0] > 1 else np.zeros(p.size, np.int64)
        self.gain = per_neuron(cast(p.port_gain))
        self.gain_held = per_neuron(cast(p.port_gain_held))
        self.h = cast(p.unit.h)
        self.threshold = per_neuron(cast(p.threshold))
        self.reset, self.jump = per_neuron(cast(p.reset_value)), per_neuron(cast(p.jump))
        self.refractory = per_neuron(p.refractory)
        self.x = cast(p.initial)
        self.last = np.full(p.size, -1)
        self.until = np.full(p.size, -1)

    def propagate(self, x: AnyArray, gap: IndexArray, table: AnyArray) -> AnyArray:
        radix, position = self.p.table.radix, 0
        while gap.any():
            m = table[self.kind, position, gap % radix]
            moved = np.empty_like(x)
            for i in range(x.shape[1]):
                total = m[:, i, -1].copy()
                for j in range(x.shape[1]):
                    total = total + m[:, i, j] * x[:, j]
                moved[:, i] = total
            x = np.where((gap % radix > 0)[:, None], moved, x)
            gap, position = gap // radix, position + 1
        return x

    def at(self, t: int) -> AnyArray:
        """Return the state in tick t, before the arrivals of t."""
        rest_of_hold = np.clip(np.minimum(t, self.until) - self.last, 0, None)
        x = self.propagate(self.x, rest_of_hold, self.held)
        return self.propagate(x, t - self.last - rest_of_hold, self.free)

    def step(self, t: int, arrived: AnyArray, due: npt.NDArray[np.bool_]) -> IndexArray:
        x = self.at(t)
        holds = t <= self.until
        gain = np.where(holds[:, None, None], self.gain_held, self.gain)
        hit = np.any(due, axis=1)
        for port in range(gain.shape[1]):
            x = np.where(hit[:, None], x + gain[:, port] * arrived[:, port, None], x)
        level = np.zeros(self.p.size, x.dtype)
        for i, weight in enumerate(self.h):
            level = level + weight * x[:, i]
        fires = (level >= self.threshold) & (self.threshold < np.inf) & ~holds
        commit = hit | fires
        finite = np.isfinite(x).all(axis=1) | ~commit
        if not finite.all():
            raise FloatingPointError(f"{self.p.name}[{np.argmin(finite)}]")
        jumped = np.where(self.p.reset_mask, self.reset, x + self.jump)
        x = np.where(fires[:, None], jumped, x)
        self.x = np.where(commit[:, None], x, self.x)
        self.last = np.where(commit, t, self.last)
        self.until = np.where(fires, t + self.refractory, self.until)
        return np.flatnonzero(fires)


class _Learning:
    """Pair STDP, online: one entry per synapse for everything."""

    def __init__(self, p: LoweredProjection, rule: PairSTDP, weight: AnyArray, dt: float) -> None:
        dtype = weight.dtype.type
        self.p, self.rule, self.w = p, rule, weight
        self.source = p.source
        self.k_plus, self.k_minus = (np.append(k, 0.0).astype(dtype) for k in rule.windows(dt))
        self.a_plus, self.a_minus = (dtype(a) for a in rule.amplitudes)
        self.low, self.high = (dtype(b) for b in rule.bounds)
        delay = np.broadcast_to(p.delay, (p.size,)).astype(np.int64)
        self.lag = delay if rule.post_delay == "dendritic" else np.zeros_like(delay)
        self.x, self.y = np.zeros(p.size, dtype), np.zeros(p.size, dtype)
        self.x_at, self.y_at = np.full(p.size, -(2**40)), np.full(p.size, -(2**40))
        self.fired = np.zeros((int(self.lag.max(initial=0)) + 1, p.target_size), bool)

    def read(self, trace: AnyArray, at: IndexArray, t: int, k: AnyArray) -> AnyArray:
        faded: AnyArray = trace * k[np.minimum(t - at, k.size - 1)]
        return faded

    def post(self, t: int, factor: AnyArray | None) -> None:
        reached = self.fired[(t - self.lag) % len(self.fired), self.p.target]
        if not reached.any():
            return
        a_plus = self.a_plus if factor is None else self.a_plus * factor
        gain = a_plus * self.read(self.x, self.x_at, t, self.k_plus)
        if self.rule.dependence == "multiplicative":
            gain = gain / self.high * (self.high - self.w)
        self._change(reached, self.w + gain)
        if self.rule.pairing == "all":
            fresh = self.read(self.y, self.y_at, t, self.k_minus) + self.y.dtype.type(1)
        else:
            fresh = np.ones_like(self.y)
        self.y[reached], self.y_at[reached] = fresh[reached], t

    def pre(self, t: int, fired: npt.NDArray[np.bool_], factor: AnyArray | None) -> None:
        sent = fired[self.source]
        if not sent.any():
            return
        y, y_at = self.y, self.y_at
        if self.rule.coincidence == "ignore":  # the post spike of this very tick does not count
            y, y_at = self.y_old, self.y_at_old
        a_minus = self.a_minus if factor is None else self.a_minus * factor
        loss = a_minus * self.read(y, y_at, t, self.k_minus)
        if self.rule.dependence == "multiplicative":
            loss = loss / self.high * (self.w - self.low)
        self._change(sent, self.w - loss)
        if self.rule.clamp == "update":
            self.w[sent] = np.clip(self.w[sent], self.low, self.high)
        if self.rule.pairing == "all":
            fresh = self.read(self.x, self.x_at, t, self.k_plus) + self.x.dtype.type(1)
        else:
            fresh = np.ones_like(self.x)
        self.x[sent], self.x_at[sent] = fresh[sent], t

    def tick(
        self,
        t: int,
        pre: npt.NDArray[np.bool_],
        post: npt.NDArray[np.bool_],
        plus: AnyArray | None,
        minus: AnyArray | None,
    ) -> None:
        self.fired[t % len(self.fired)] = post
        self.y_old, self.y_at_old = self.y.copy(), self.y_at.copy()
        if self.rule.coincidence == "potentiate":
            self.pre(t, pre, minus)
            self.sent = self.w.copy()  # the post spike of this tick comes too late for it
            self.post(t, plus)
        else:
            self.post(t, plus)
            self.pre(t, pre, minus)
            self.sent = self.w

    def _change(self, where: npt.NDArray[np.bool_], value: AnyArray) -> None:
        if self.rule.clamp == "pair":
            value = np.clip(value, self.low, self.high)
        self.w[where] = value[where]


class ClockedSession(SteppedSession):
    """A run of the oracle."""

    def __init__(self, lowered: Lowered, options: Options) -> None:
        super().__init__(lowered, options, "clocked")
        self._reset()

    def _reset(self) -> None:
        low = self.lowered
        self.neurons = [_Neurons(p, self.dtype) for p in low.populations]
        self.ring = np.zeros((low.max_delay + 1, low.n_neurons, low.n_ports), self.dtype)
        self.due = np.zeros(self.ring.shape, np.int64)
        self.learning = {
            i: _Learning(p, p.plasticity, self._projection_weights[i], low.dt)
            for i, p in enumerate(low.projections)
            if p.plasticity is not None
        }
        # All synapses in the order of the contract: source, projection, row order.
        own = [
            (p.source + p.source_start, np.full(p.size, i), np.arange(p.size))
            for i, p in enumerate(low.projections)
        ]
        source, projection, synapse = (
            (np.concatenate([np.empty(0, np.int64), *column]) for column in zip(*own, strict=True))
            if own
            else (np.empty(0, np.int64),) * 3
        )
        order = np.lexsort((synapse, projection, source))
        self.source, self.projection = source[order], projection[order]
        self.synapse = synapse[order]
        self.delay = np.empty(order.size, np.int64)
        self.cell = np.empty((2, order.size), np.int64)
        for i, p in enumerate(low.projections):
            mine = self.projection == i
            self.delay[mine] = np.broadcast_to(p.delay, (p.size,))[self.synapse[mine]]
            self.cell[0, mine] = p.target[self.synapse[mine]].astype(np.int64) + p.target_start
            self.cell[1, mine] = p.port

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is found by step()
    def _run(self, stop: int, ticks: IndexArray, neurons: IndexArray) -> None:
        while self.tick < stop and self.status == "complete":
            t = self.tick
            lo, hi = np.searchsorted(ticks, [t, t + 1])
            try:
                spikes = self._neurons(t, neurons[lo:hi])
            except FloatingPointError as bad:
                self.status, self.message = "diverged", f"{bad} is not finite in tick {t}"
                return
            self._deliver(t, spikes)
            for i, probe in enumerate(self.lowered.probes):
                if t % probe.every == 0:
                    self._traces[i].append(self._read(probe.neurons, probe.state, t))
            if self.counters["pending"] > self.options.max_pending:
                self.status = "runaway"
                self.message = f"more than {self.options.max_pending} synaptic events in flight"
            self.tick = t + 1

    def _neurons(self, t: int, sources: IndexArray) -> IndexArray:
        slot = t % len(self.ring)
        found = [sources]
        self.counters["delivered"] += int(self.due[slot].sum())
        self.counters["pending"] -= int(self.due[slot].sum())
        for n in self.neurons:
            here = slice(n.p.start, n.p.start + n.p.size)
            found.append(n.step(t, self.ring[slot, here], self.due[slot, here] > 0) + n.p.start)
        self.counters["updates"] += self.lowered.n_neurons
        self.ring[slot], self.due[slot] = 0, 0
        spikes = np.sort(np.concatenate(found))
        self._keep_spikes(np.full(spikes.size, t), spikes)
        return spikes

    def _deliver(self, t: int, spikes: IndexArray) -> None:
        number = np.bincount(spikes, minlength=self.lowered.n_neurons)
        for i, rule in self.learning.items():
            p = self.lowered.projections[i]
            rule.tick(
                t,
                number[p.source_start : p.source_start + p.source_size] > 0,
                number[p.target_start : p.target_start + p.target_size] > 0,
                self._factor(p.modulation("potentiation"), t),
                self._factor(p.modulation("depression"), t),
            )
        sent = np.repeat(np.arange(self.source.size), number[self.source])
        weight = np.empty(sent.size, self.dtype)
        for i, own in enumerate(self._projection_weights):
            mine = self.projection[sent] == i
            values = self.learning[i].sent if i in self.learning else own
            p = self.lowered.projections[i]
            factor = self._factor(p.modulation("delivery"), t)
            values = values if factor is None else values * factor
            weight[mine] = np.broadcast_to(values, (p.size,))[self.synapse[sent[mine]]]
        where = ((t + self.delay[sent]) % len(self.ring), *self.cell[:, sent])
        np.add.at(self.ring, where, weight)  # one by one, in this order
        np.add.at(self.due, where, 1)
        self.counters["sent"] += sent.size
        self.counters["pending"] += sent.size

    def _factor(self, m: LoweredModulation | None, t: int) -> AnyArray | None:
        """Return the factor of each synapse at the end of tick t."""
        if m is None:
            return None
        actors = next(n for n in self.neurons if n.p.start == m.start)
        return m.factors(actors.at(t)[:, m.state])[m.who]

    def _read(self, neurons: IndexArray, state: int, t: int) -> npt.NDArray[np.float64]:
        for n in self.neurons:
            if n.p.start <= neurons[0] < n.p.start + n.p.size:
                return n.at(t)[None, neurons - n.p.start, state].astype(np.float64)
        raise AssertionError("a probe belongs to a population")

    def _states(self, population: int) -> AnyArray:
        return self.neurons[population].x

    def _put_states(self, population: int, x: AnyArray) -> None:
        n = self.neurons[population]
        n.x, n.last = x, np.full(n.p.size, self.tick - 1)

    def weights(self, projection: int) -> npt.NDArray[np.float64]:
        """Return the current weights, in row order."""
        values = super().weights(projection)
        rule = self.lowered.projections[projection].plasticity
        return values if rule is None else np.clip(values, *rule.bounds)

    def _settle_weights(self) -> None:
        for rule in self.learning.values():
            np.clip(rule.w, rule.low, rule.high, out=rule.w)

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        state: dict[str, npt.NDArray[Any]] = {"ring": self.ring.copy(), "due": self.due.copy()}
        for i, n in enumerate(self.neurons):
            state |= {f"n{i}_{a}": getattr(n, a).copy() for a in ("x", "last", "until")}
        for i, rule in self.learning.items():
            state |= {
                f"l{i}_{a}": getattr(rule, a).copy() for a in ("x", "y", "x_at", "y_at", "fired")
            }
        return state

    def _load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.ring[:], self.due[:] = state["ring"], state["due"]
        for i, n in enumerate(self.neurons):
            for a in ("x", "last", "until"):
                setattr(n, a, state[f"n{i}_{a}"].copy())
        for i, rule in self.learning.items():
            for a in ("x", "y", "x_at", "y_at", "fired"):
                getattr(rule, a)[:] = state[f"l{i}_{a}"]
