"""What sessions of stepping backends share: inputs, recording, results, chunks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredProbe
from spikecore.backends.protocol import Options
from spikecore.backends.sweeps import Sweep
from spikecore.errors import InvalidInput
from spikecore.events import Spikes
from spikecore.interrupts import deferred_interrupts
from spikecore.progress import OnProgress
from spikecore.results import Result, Status, Trace

__all__ = ["SteppedSession", "check_trace_memory"]

IndexArray = npt.NDArray[np.int64]

_EMPTY = np.empty(0, np.int64)


class SteppedSession:
    """Base of sessions that run from tick to tick.

    A backend implements :meth:`_run`, :meth:`_reset`, :meth:`_state` and
    :meth:`_load`, and calls nothing of its siblings.

    Parameters
    ----------
    lowered : Lowered
        The network.
    options : Options
        Precision and budgets.
    backend : str
        Name, for the provenance.
    """

    packages: tuple[str, ...] = ("spikecore", "numpy", "numba")
    """Packages whose versions a result records."""

    chunk_seconds, least_chunk = 0.05, 16
    """How long a stretch of ticks should take between looks for Ctrl-C, and ticks at least."""

    def __init__(self, lowered: Lowered, options: Options, backend: str) -> None:
        self.lowered = lowered
        self.options = options
        self.backend = backend
        self.dtype = np.dtype(options.precision)
        self._projection_weights = self._first_weights()
        self._reweighted: set[int] = set()
        self._unrecorded = {i.input.name for i in lowered.inputs if not i.input.record}
        self._unrecorded |= lowered.unseen
        self._start()

    def _start(self) -> None:
        self.tick = 0
        self.status: Status = "complete"
        self.message = ""
        self.counters = {"spikes": 0, "sent": 0, "delivered": 0, "pending": 0, "updates": 0}
        self._spikes: list[tuple[IndexArray, IndexArray]] = []
        self._fed: tuple[IndexArray, IndexArray] = (_EMPTY, _EMPTY)
        self._traces: list[list[npt.NDArray[np.float64]]] = [[] for _ in self.lowered.probes]
        self._wall = 0.0

    # -- what a backend provides ------------------------------------------------

    def _first_weights(self) -> list[npt.NDArray[Any]]:
        """Return an array of weights for each projection, as they are before the first tick."""
        return [p.weight.astype(self.dtype) for p in self.lowered.projections]

    def _run(self, stop: int, ticks: IndexArray, neurons: IndexArray) -> None:
        """Run to ``stop`` with these source spikes; append spikes and traces."""
        raise NotImplementedError

    def _reset(self) -> None:
        """Return states and queues to the start."""
        raise NotImplementedError

    def _settle_weights(self) -> None:
        """Bring plastic weights up to date with all post spikes so far."""
        raise NotImplementedError

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that make up the dynamic state."""
        raise NotImplementedError

    def _load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over arrays returned by :meth:`_state`."""
        raise NotImplementedError

    def _states(self, population: int) -> npt.NDArray[Any]:
        """Return the states of a stepped population as they were left, shape (size, S)."""
        raise NotImplementedError

    def _put_states(self, population: int, x: npt.NDArray[Any]) -> None:
        """Replace the states of a stepped population before the present tick is run."""
        raise NotImplementedError

    def _draws(self) -> frozenset[int]:
        """Return the numbers of the inputs that the backend draws for itself."""
        return frozenset()

    def _provenance(self) -> dict[str, Any]:
        """Return what else a result should say about how it was made."""
        return {}

    # -- the session protocol ---------------------------------------------------

    def advance(self, to_tick: int, on_progress: OnProgress | None = None) -> Status:
        """Run up to, not including, ``to_tick``; stop at the end of a tick on Ctrl-C."""
        check_trace_memory(self.lowered, self.options, to_tick)
        if self.status == "interrupted":
            self.status, self.message = "complete", ""
        chunk = 256
        with deferred_interrupts() as stop_asked:
            while self.tick < to_tick and self.status == "complete":
                stop = min(to_tick, self.tick + chunk)
                began, before = time.perf_counter(), self.tick
                if self.lowered.sweeps:
                    self._run_swept(stop)
                else:
                    self._run(stop, *self._sources(self.tick, stop))
                spent = time.perf_counter() - began
                self._wall += spent
                if on_progress is not None:
                    on_progress(self.tick - before)
                wanted = int(chunk * self.chunk_seconds / max(spent, 1e-4))
                chunk = max(self.least_chunk, min(1 << 20, wanted))
                if stop_asked and self.status == "complete":
                    self.status = "interrupted"
                    self.message = f"stopped on request after {self.tick} ticks"
        return self.status

    def feed(self, ticks: IndexArray, neurons: IndexArray) -> None:
        """Add source spikes at or after the current tick, by neuron number."""
        if ticks.size and int(ticks.min()) < self.tick:
            raise InvalidInput(
                "feed",
                f"cannot add spikes to the past: now at {self.tick * self.lowered.dt:g} ms",
                got=f"{ticks.min() * self.lowered.dt:g} ms",
                count=int(np.count_nonzero(ticks < self.tick)),
                fix="feed them before that time is run",
            )
        ahead = self._fed[0] >= self.tick
        both = (
            np.concatenate([self._fed[0][ahead], ticks]),
            np.concatenate([self._fed[1][ahead], neurons]),
        )
        order = np.lexsort((both[1], both[0]))
        self._fed = (both[0][order], both[1][order])

    def clear(self) -> None:
        """Return states, traces, queues and clock to the start; keep the weights."""
        if self.tick > 0:
            self._settle_weights()
        self._start()
        self._reset()

    def weights(self, projection: int) -> npt.NDArray[np.float64]:
        """Return the current weights, in row order."""
        return self._weights_now(projection).astype(np.float64)

    def set_weights(self, projection: int, values: npt.NDArray[np.float64]) -> None:
        """Replace the weights, in row order (or the one weight that all share)."""
        self._put_weights(projection, values)
        self._reweighted.add(projection)

    def _weights_now(self, projection: int) -> npt.NDArray[Any]:
        return self._projection_weights[projection]

    def _put_weights(self, projection: int, values: npt.NDArray[Any]) -> None:
        self._projection_weights[projection][:] = values

    def result(self, *, weights: bool = True) -> Result:
        """Return everything recorded so far; ``weights=False`` leaves the weights out."""
        ticks = np.concatenate([_EMPTY, *(t for t, _ in self._spikes)])
        neurons = np.concatenate([_EMPTY, *(n for _, n in self._spikes)])
        spikes = self._by_group(ticks, neurons)
        final = {
            p.name: p.in_given_order(self.weights(i))
            for i, p in enumerate(self.lowered.projections)
            if weights and p.plasticity is not None
        }
        self.counters["spikes"] = sum(len(s) for s in spikes.values())
        return Result(
            spikes=spikes,
            weights=final,
            ticks=self.tick,
            dt=self.lowered.dt,
            traces={
                probe.key: self._trace(i, probe) for i, probe in enumerate(self.lowered.probes)
            },
            status=self.status,
            message=self.message,
            counters=dict(self.counters),
            provenance={
                "network": self.lowered.network.hash,
                "seed": self.lowered.seed,
                "backend": self.backend,
                "options": dict(self.options.own),
                "precision": self.options.precision,
                "wall_s": round(self._wall, 6),
                "versions": dict(_versions(self.packages)),
                **self._provenance(),
            },
            notes=self.lowered.notes + self._late_notes(),
        )

    def spikes_since(self, tick: int) -> dict[str, Spikes]:
        """Return the spikes of ``tick`` and later, by group, without looking further back."""
        ticks, neurons = [_EMPTY], [_EMPTY]
        for chunk_ticks, chunk_neurons in reversed(self._spikes):
            if chunk_ticks.size and chunk_ticks[-1] < tick:
                break
            late = chunk_ticks >= tick
            ticks.append(chunk_ticks[late])
            neurons.append(chunk_neurons[late])
        return self._by_group(np.concatenate(ticks[::-1]), np.concatenate(neurons[::-1]))

    def _by_group(self, ticks: IndexArray, neurons: IndexArray) -> dict[str, Spikes]:
        spikes = {}
        recorded = [name for name in self.lowered.groups if name not in self._unrecorded]
        for name in recorded:
            start, size = self.lowered.groups[name]
            own: Any = slice(None)  # nothing else was kept
            if len(recorded) > 1:
                own = (neurons >= start) & (neurons < start + size)
            spikes[name] = Spikes(ticks[own], neurons[own] - start, self.lowered.dt)
        return spikes

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state, spikes in flight and everything recorded included."""
        state = {f"x_{name}": array for name, array in self._state().items()}
        for i, p in enumerate(self.lowered.projections):
            if p.plasticity is not None or i in self._reweighted:
                state[f"w_{i}"] = self._weights_now(i).copy()
        state["spike_ticks"] = np.concatenate([_EMPTY, *(t for t, _ in self._spikes)])
        state["spike_neurons"] = np.concatenate([_EMPTY, *(n for _, n in self._spikes)])
        state["fed_ticks"], state["fed_neurons"] = self._fed
        for i, rows in enumerate(self._traces):
            state[f"t_{i}"] = (
                np.concatenate(rows) if rows else np.empty((0, self.lowered.probes[i].neurons.size))
            )
        state["tick"] = np.array(self.tick)
        state["counters"] = np.array(list(self.counters.values()), dtype=np.int64)
        state["status"], state["message"] = np.array(self.status), np.array(self.message)
        return state

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from a snapshot."""
        self._load({name[2:]: array for name, array in state.items() if name.startswith("x_")})
        for i, p in enumerate(self.lowered.projections):
            if f"w_{i}" in state:
                self._put_weights(i, state[f"w_{i}"])
                self._reweighted.add(i)
            elif i in self._reweighted or p.plasticity is not None:
                self._put_weights(i, p.weight)
                self._reweighted.discard(i)
        self._spikes = [(state["spike_ticks"], state["spike_neurons"])]
        self._fed = (state["fed_ticks"], state["fed_neurons"])
        self._traces = [[state[f"t_{i}"]] for i in range(len(self.lowered.probes))]
        self.tick = int(state["tick"])
        self.counters = dict(zip(self.counters, state["counters"].tolist(), strict=True))
        self.status, self.message = state["status"].item(), state["message"].item()

    def _keep_spikes(self, ticks: IndexArray, neurons: IndexArray) -> None:
        """Keep these spikes, but for those of inputs that are not recorded."""
        for name in self._unrecorded if ticks.size else ():
            start, size = self.lowered.groups[name]
            keep = (neurons < start) | (neurons >= start + size)
            ticks, neurons = ticks[keep], neurons[keep]
        self._spikes.append((ticks, neurons))

    # -- helpers ------------------------------------------------------------------

    def _run_swept(self, stop: int) -> None:
        """Run to ``stop``, moving the stepped populations at each of their steps."""
        while self.tick < stop and self.status == "complete":
            end, sent = stop, [_EMPTY]
            for sweep in self.lowered.sweeps:
                done = (self.tick + 1) // sweep.every
                if done * sweep.every == self.tick + 1:
                    sent.append(self._sweep(sweep))
                end = min(end, (done + 1) * sweep.every - 1)
            if self.status != "complete":
                return
            ticks, neurons = self._sources(self.tick, end)
            own = np.sort(np.concatenate(sent))
            first = int(np.searchsorted(ticks, self.tick, side="right"))  # own numbers are higher
            self._run(
                end,
                np.insert(ticks, first, np.full(own.size, self.tick)),
                np.insert(neurons, first, own),
            )

    def _sweep(self, sweep: Sweep) -> IndexArray:
        """Move one stepped population by one step; return who sends, by number."""
        p = self.lowered.populations[sweep.population]
        # Left before what comes now, and in double precision whatever the run has.
        x, fires = sweep.unit.advance(self._states(sweep.population).astype(np.float64))
        finite = np.isfinite(x).all(axis=1)
        if not finite.all():
            self.status = "diverged"
            self.message = f"{p.name}[{np.argmin(finite)}] is not finite in tick {self.tick}"
            return _EMPTY
        self._put_states(sweep.population, x.astype(self.dtype))
        senders = [first + np.flatnonzero(x[:, state]) for first, state in sweep.carried]
        return np.concatenate([p.start + np.flatnonzero(fires), *senders])

    def _sources(self, start: int, stop: int) -> tuple[IndexArray, IndexArray]:
        """Return all source spikes of ticks ``start`` to ``stop - 1``, drawn, given and fed."""
        ticks, neurons = self.lowered.input_spikes(start, stop, self._draws())
        if self._fed[0].size:
            lo, hi = np.searchsorted(self._fed[0], [start, stop])
            ticks = np.concatenate([ticks, self._fed[0][lo:hi]])
            neurons = np.concatenate([neurons, self._fed[1][lo:hi]])
            order = np.lexsort((neurons, ticks))
            ticks, neurons = ticks[order], neurons[order]
        return ticks, neurons

    def _trace(self, number: int, probe: LoweredProbe) -> Trace:
        rows = self._traces[number]
        values = np.concatenate(rows) if rows else np.empty((0, probe.neurons.size))
        return Trace(
            np.arange(values.shape[0], dtype=np.int64) * probe.every,
            values + probe.offset,
            self.lowered.dt,
        )

    def _late_notes(self) -> tuple[str, ...]:
        notes = []
        if self.lowered.max_delay >= self.tick > 0:
            notes.append(
                f"the longest delay ({self.lowered.max_delay * self.lowered.dt:g} ms) is not "
                "shorter than the run: those spikes never arrive"
            )
        later = sum(i.given_from(self.tick) for i in self.lowered.inputs)
        later += int(np.count_nonzero(self._fed[0] >= self.tick))
        if later and self.tick > 0:
            notes.append(f"{later} input spikes lie beyond the end of the run")
        return tuple(notes)


def check_trace_memory(lowered: Lowered, options: Options, ticks: int) -> None:
    """Raise if a probe would fill more than ``options.max_trace_bytes`` in ``ticks`` ticks."""
    for probe in lowered.probes:
        wanted = 8 * probe.neurons.size * (ticks // probe.every)
        if wanted > options.max_trace_bytes:
            every = probe.every * -(-wanted // options.max_trace_bytes)
            raise InvalidInput(
                f"Probe {probe.key!r}",
                f"would need {wanted / 1e6:g} MB, more than the budget of "
                f"{options.max_trace_bytes / 1e6:g} MB",
                fix=f"record every {every * lowered.dt:g} ms, fewer neurons, or raise "
                "max_trace_bytes",
            )


@cache
def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # running from a plain source folder
            found[name] = "unknown"
    return found
