"""Sessions of the brian2 backend in this process: targets numpy and cython."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.brian2 import checkpoint
from spikecore.backends.brian2.build import Built, repeats_before
from spikecore.backends.brian2.quiet import brian2, code_target
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Options
from spikecore.backends.session import SteppedSession, check_trace_memory
from spikecore.errors import InvalidInput
from spikecore.inputs import BoundInput, PoissonCounts, Train
from spikecore.interrupts import StopRequest, deferred_interrupts
from spikecore.progress import OnProgress
from spikecore.results import Status

__all__ = ["Brian2Session", "RuntimeSession"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_REPORT_TICKS = 64


class _Traffic:
    """Counts synaptic events under way, by the tick in which they are due."""

    def __init__(self, lowered: Lowered) -> None:
        self.due = np.zeros(lowered.max_delay + 1, np.int64)
        self.rows: list[tuple[int, IndexArray, npt.NDArray[np.uint32]]] = [
            (p.source_start, p.row, p.delay) for p in lowered.projections if p.size
        ]

    def arrived(self, t: int) -> int:
        """Return how many events are due in tick t, and forget them."""
        slot = t % self.due.size
        count, self.due[slot] = int(self.due[slot]), 0
        return count

    def emit(self, t: int, spikes: IndexArray) -> int:
        """Return how many events the spikes of tick t send, and remember when they are due."""
        sent = 0
        for start, row, delay in self.rows:
            for neuron in spikes[(spikes >= start) & (spikes < start + row.size - 1)] - start:
                first, last = int(row[neuron]), int(row[neuron + 1])
                sent += last - first
                own = delay[first:last] if delay.size > 1 else np.repeat(delay, last - first)
                np.add.at(self.due, (t + own.astype(np.int64)) % self.due.size, 1)
        return sent


def _most_at_once(bound: BoundInput) -> int:
    """Return the largest number of spikes that one neuron has in one tick, at least 1."""
    if isinstance(bound.input.source, PoissonCounts):
        return int(bound.counts.steps.shape[1])
    if not isinstance(bound.input.source, Train):
        return 1  # other Poisson sources have one at most
    given = bound.spikes(0, 2**62)
    return 1 + int(repeats_before(given.ticks, given.neurons).max(initial=0))


class Brian2Session(SteppedSession):
    """What both kinds of session share: inputs, recording, weights."""

    packages = ("spikecore", "numpy", "numba", "brian2")

    def __init__(self, lowered: Lowered, options: Options) -> None:
        super().__init__(lowered, options, "brian2")
        self._repeats = {bound.input.name: _most_at_once(bound) for bound in lowered.inputs}

    def feed(self, ticks: IndexArray, neurons: IndexArray) -> None:
        """Add source spikes at or after the current tick, by neuron number.

        Raises
        ------
        InvalidInput
            If they lie in the past, or one neuron would get more spikes in a tick than
            its input was made for.
        """
        before = self._fed
        super().feed(ticks, neurons)
        if ticks.size == 0:
            return
        when, who = self._sources(self.tick, int(self._fed[0].max()) + 1)
        copy = repeats_before(when, who)
        for name, most in self._repeats.items():
            start, size = self.lowered.groups[name]
            over = (who >= start) & (who < start + size) & (copy >= most)
            if over.any() and self.tick > 0:
                self._fed = before
                first = int(np.argmax(over))
                raise InvalidInput(
                    f"feed to {name!r}",
                    f"brian2 was set up for {most} spike(s) of a neuron in one tick",
                    got=f"one more of neuron {who[first] - start} at "
                    f"{when[first] * self.lowered.dt:g} ms",
                    count=int(over.sum()),
                    fix="feed them in different ticks, before the first run, or use "
                    "backend='event'",
                )
            if over.any():
                self._repeats[name] = 1 + int(copy[over].max())
                self._reset()

    def _late_notes(self) -> tuple[str, ...]:
        return (*super()._late_notes(), *self._model_notes)

    _model_notes: tuple[str, ...] = ()

    def _begin(self) -> None:
        self._traffic = _Traffic(self.lowered)
        self._now: tuple[IndexArray, IndexArray] = (np.empty(0, np.int64),) * 2

    def _record(self, fired: IndexArray, broken: str) -> bool:
        """Take over one tick; False if it does not count, because a state is not finite."""
        t, delivered = self.tick, self._traffic.arrived(self.tick)
        self.counters["delivered"] += delivered
        self.counters["pending"] -= delivered
        if broken:
            self.status, self.message = "diverged", f"{broken} is not finite in tick {t}"
            return False
        lo, hi = np.searchsorted(self._now[0], [t, t + 1])
        spikes = np.sort(np.concatenate([self._now[1][lo:hi], fired]))
        self._keep_spikes(np.full(spikes.size, t), spikes)
        sent = self._traffic.emit(t, spikes)
        self.counters["sent"] += sent
        self.counters["pending"] += sent
        self.counters["updates"] += self.lowered.n_neurons
        if self.counters["pending"] > self.options.max_pending:
            self.status = "runaway"
            self.message = f"more than {self.options.max_pending} synaptic events in flight"
        self.tick = t + 1
        return True

    def weights(self, projection: int) -> FloatArray:
        """Return the current weights, in row order."""
        values = super().weights(projection)
        rule = self.lowered.projections[projection].plasticity
        return values if rule is None else np.clip(values, *rule.bounds)

    def _settle_weights(self) -> None:
        for number, p in enumerate(self.lowered.projections):
            if p.plasticity is not None:
                own = self._projection_weights[number]
                np.clip(own, *p.plasticity.bounds, out=own)


class RuntimeSession(Brian2Session):
    """A run inside this process."""

    def __init__(self, lowered: Lowered, options: Options, target: str) -> None:
        super().__init__(lowered, options)
        self.target = target
        self._reset()

    def _reset(self) -> None:
        with code_target(self.target):
            self._built = Built(self.lowered, self.dtype, self._projection_weights, self._repeats)
            self._watch = brian2.NetworkOperation(
                self._look, clock=self._built.clock, when="end", order=1000, name="watch"
            )
            self._built.network.add(self._watch)
        self._model_notes = tuple(n for m in self._built.models.values() for n in m.notes)
        self._begin()
        self._stop_asked = StopRequest()
        self._on_progress: OnProgress | None = None
        self._reported = 0

    def advance(self, to_tick: int, on_progress: OnProgress | None = None) -> Status:
        """Run up to, not including, ``to_tick``; stop at the end of a tick on Ctrl-C."""
        check_trace_memory(self.lowered, self.options, to_tick)
        if self.status == "interrupted":
            self.status, self.message = "complete", ""
        if self.tick >= to_tick or self.status != "complete":
            return self.status
        began, self._reported, self._on_progress = time.perf_counter(), self.tick, on_progress
        self._now = self._sources(self.tick, to_tick)
        with deferred_interrupts() as self._stop_asked, code_target(self.target):
            self._built.give(*self._now)
            self._built.network.run(
                (to_tick - self.tick) * self.lowered.dt * brian2.ms, namespace={}
            )
        self._report()
        self._wall += time.perf_counter() - began
        self._read_weights()
        return self.status

    def _look(self) -> None:
        """Record the tick that brian2 has just finished; called by brian2 at its end."""
        if self.status != "complete":
            return
        built, t = self._built, self.tick
        fired = [
            np.asarray(built.groups[p.name].spikes, np.int64) + p.start
            for p in self.lowered.populations
        ] + built.stepping.sent()
        if built.stepping.broken:  # before anything of this tick has arrived
            self.status = "diverged"
            self.message = f"{built.stepping.broken} is not finite in tick {t}"
        elif self._record(np.concatenate([np.empty(0, np.int64), *fired]), self._not_finite()):
            for i, probe in enumerate(self.lowered.probes):
                if t % probe.every == 0:
                    self._traces[i].append(self._state_of(probe.neurons, probe.state)[None])
        if self._stop_asked and self.status == "complete":
            self.status = "interrupted"
            self.message = f"stopped on request after {self.tick} ticks"
        if self.status != "complete":
            built.network.stop()
        if self.tick - self._reported >= _REPORT_TICKS:
            self._report()

    def _report(self) -> None:
        if self._on_progress is not None and self.tick > self._reported:
            self._on_progress(self.tick - self._reported)
        self._reported = self.tick

    def _not_finite(self) -> str:
        for p in self.lowered.populations:
            broken = self._built.groups[p.name].variables["_brokenspace"].get_value()
            if broken[-1] > 0:
                return f"{p.name}[{broken[0]}]"
        return ""

    def _state_of(self, neurons: IndexArray, state: int) -> FloatArray:
        for p in self.lowered.populations:
            if p.start <= neurons[0] < p.start + p.size:
                name = self._built.models[p.name].states[state]
                values = self._built.groups[p.name].variables[name].get_value()
                return np.asarray(values[neurons - p.start], np.float64)
        raise AssertionError("a probe belongs to a population")

    # -- weights and checkpoints --------------------------------------------------

    def _read_weights(self) -> None:
        for number, synapses in self._built.synapses.items():
            if self.lowered.projections[number].plasticity is not None:
                self._projection_weights[number][:] = synapses.variables["w1"].get_value()

    def set_weights(self, projection: int, values: FloatArray) -> None:
        """Replace the weights, in row order (or the one weight that all share).

        Raises
        ------
        InvalidInput
            If spikes are on their way through these synapses: brian2 reads the weight
            when they arrive, and they would arrive with the wrong one.
        """
        p = self.lowered.projections[projection]
        waits = int(p.delay.max(initial=0)) * (1 if p.plasticity is None else 2)
        if self._spiked_since(self.tick - waits, p.source_start, p.source_size) or (
            p.plasticity is not None
            and self._spiked_since(self.tick - waits, p.target_start, p.target_size)
        ):
            raise InvalidInput(
                f"Projection {p.name!r}.weight",
                "brian2 cannot change weights while spikes are on their way through them",
                fix=f"run {waits * self.lowered.dt:g} ms without such spikes first, clear(), or "
                "use backend='event'",
            )
        super().set_weights(projection, values)
        synapses = self._built.synapses.get(projection)
        if synapses is not None:
            for name in ("w1",) if p.plasticity is None or p.modulations else ("w1", "w2"):
                synapses.variables[name].set_value(self._projection_weights[projection])

    def _spiked_since(self, tick: int, start: int, size: int) -> bool:
        for ticks, neurons in reversed(self._spikes):
            if ticks.size and int(ticks[-1]) < tick:
                return False
            recent = neurons[ticks >= tick]
            if np.any((recent >= start) & (recent < start + size)):
                return True
        return False

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        repeats = np.array(list(self._repeats.values()), np.int64)
        under_way = {"due": self._traffic.due.copy(), "repeats": repeats}
        return checkpoint.flat(self._built) | under_way | self._built.acting.state()

    def _load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._repeats = dict(zip(self._repeats, state["repeats"].tolist(), strict=True))
        self._reset()
        checkpoint.restore(self._built, state)
        self._built.acting.load(state)
        self._traffic.due[:] = state["due"]
