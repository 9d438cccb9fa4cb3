"""Sessions that run in two threads (docs/decisions/0013): two fast sessions of half a network each.

Who asks for states, weights or checkpoints gets those of the whole network; a checkpoint does not
tell how many threads it came from.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.event import kernels
from spikecore.backends.event.choice import Way
from spikecore.backends.event.fast_session import FastSession, check_last_tick
from spikecore.backends.event.halves import bounds, half_of, in_half, own_targets
from spikecore.backends.event.meeting import meeting, restart
from spikecore.backends.event.packed import M, cell_layout
from spikecore.backends.event.tables import R
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Options
from spikecore.backends.session import SteppedSession
from spikecore.inputs import PoissonCounts
from spikecore.progress import OnProgress
from spikecore.results import Status

__all__ = ["ThreadedSession"]

IndexArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

COUNTED = (R.SENT, R.DELIVERED, R.PENDING, R.UPDATES)
"""Entries of the register that add up over halves."""


class _LeftAloneError(RuntimeError):
    """The other thread has ended with an error."""


class _Half(FastSession):
    """One of two sessions that run side by side."""

    def __init__(
        self, lowered: Lowered, options: Options, way: Way, half: int, shared: tuple[Array, Event]
    ) -> None:
        self.half, (self.meet, self.given_up) = half, shared
        super().__init__(lowered, options, way)

    def _reset(self) -> None:
        super()._reset()
        self.fast = self.fast._replace(meet=self.meet)
        self.fast.meta[M.HALF] = self.half

    def _call(self, stop: int, sources: Any, probes: Any, who: Any, traces: Any) -> int:
        while True:
            code = super()._call(stop, sources, probes, who, traces)
            if code != kernels.WAITING:
                return code
            if self.given_up.is_set():
                raise _LeftAloneError
            time.sleep(0)  # the other may need this processor

    def _take_spikes(self) -> None:
        if self.half:  # the first half records the spikes of both
            self.state.register[R.N_OUT] = 0
        else:
            super()._take_spikes()

    def run(self, stop: int, ticks: IndexArray, neurons: IndexArray) -> None:
        """Run to ``stop`` beside the other half."""
        try:
            self._run(stop, ticks, neurons)
        except BaseException:
            self.given_up.set()
            raise

    def taken(self) -> list[tuple[IndexArray, IndexArray]]:
        """Return the spikes recorded since the last time."""
        spikes, self._spikes = self._spikes, []
        return spikes

    def traces_taken(self, number: int) -> Array:
        """Return what a probe has recorded since the last time, shape (rows, neurons)."""
        rows, self._traces[number] = self._traces[number], []
        none = np.empty((0, self.lowered.probes[number].neurons.size))
        return np.concatenate([none, *rows])


class ThreadedSession(SteppedSession):
    """A run in two threads.

    Parameters
    ----------
    lowered, options, way
        As in :class:`~spikecore.backends.event.fast_session.FastSession`. Nothing may learn.
    """

    def __init__(self, lowered: Lowered, options: Options, way: Way) -> None:
        super().__init__(lowered, options, "event")
        self.way = way
        neurons = sum(bounds(p.size, 0)[1] for p in lowered.populations)
        self._meet, self._given_up = meeting(neurons, _most_at_once(lowered)), Event()
        shared = self._meet, self._given_up
        self._pool = ThreadPoolExecutor(1, "spikecore")
        second = self._pool.submit(_half, lowered, options, way, 1, shared)
        self.halves = [_half(lowered, options, way, 0, shared), second.result()]
        self._cells = [_cells_of(lowered, half.lowered) for half in self.halves]
        self._mine = [[in_half(p.neurons, k, lowered) for p in lowered.probes] for k in (0, 1)]
        lowered.let_go()

    def advance(self, to_tick: int, on_progress: OnProgress | None = None) -> Status:
        """Run up to, not including, ``to_tick``, as FastSession."""
        check_last_tick(self.dtype, to_tick)
        status = super().advance(to_tick, on_progress)
        for half in self.halves:
            half._settle_counts()
            half._keep_counters()
        self._add_counters()
        return status

    def _run(self, stop: int, ticks: IndexArray, neurons: IndexArray) -> None:
        first, second = self.halves
        other = self._pool.submit(second.run, stop, *self._given(second, ticks, neurons))
        try:
            first.run(stop, *self._given(first, ticks, neurons))
        except _LeftAloneError:
            pass  # what the other has to say matters
        finally:
            other.exception()  # wait for it
        other.result()
        self.tick, self.status, self.message = first.tick, first.status, first.message
        self._spikes += first.taken()
        for i, probe in enumerate(self.lowered.probes):
            parts = [half.traces_taken(i) for half in self.halves]
            rows = np.empty((parts[0].shape[0], probe.neurons.size))
            for mine, part in zip(self._mine, parts, strict=True):
                rows[:, mine[i]] = part
            self._traces[i].append(rows)
        self._add_counters()

    def _given(
        self, half: _Half, ticks: IndexArray, neurons: IndexArray
    ) -> tuple[IndexArray, IndexArray]:
        """Take out what a half draws for itself, though the other does not."""
        for number in half._draws() - self._draws():
            start, size = self.lowered.groups[self.lowered.inputs[number].input.name]
            keep = (neurons < start) | (neurons >= start + size)
            ticks, neurons = ticks[keep], neurons[keep]
        return ticks, neurons

    def _add_counters(self) -> None:
        for name in ("sent", "delivered", "pending", "updates"):
            self.counters[name] = sum(half.counters[name] for half in self.halves)

    def _reset(self) -> None:
        self._given_up.clear()
        restart(self._meet)
        for half in self.halves:
            half._start()
            half._reset()

    def _settle_weights(self) -> None:
        """Nothing learns."""

    def _draws(self) -> frozenset[int]:
        return self.halves[0]._draws() & self.halves[1]._draws()

    def _provenance(self) -> dict[str, Any]:
        found, other = (half._provenance() for half in self.halves)
        way, neurons = found["way"], other["way"]["neurons"]
        for name, how in way["neurons"].items():
            if how != neurons[name]:
                way["neurons"][name] = f"{how}, {neurons[name]}"
        return found

    # -- weights ------------------------------------------------------------------------

    def _first_weights(self) -> list[Array]:
        return []  # the halves have them

    def _weights_now(self, projection: int) -> Array:
        p = self.lowered.projections[projection]
        first, second = (half._weights_now(projection) for half in self.halves)
        if p.synapses.weight_shape[0] == 1:
            return first
        values, mine = np.empty(p.size, self.dtype), own_targets(p, 0)
        values[mine], values[~mine] = first, second
        return values

    def _put_weights(self, projection: int, values: Array) -> None:
        p = self.lowered.projections[projection]
        one = p.synapses.weight_shape[0] == 1
        spread = values if one else np.broadcast_to(values, (p.size,))
        for k, half in enumerate(self.halves):
            half._put_weights(projection, spread if one else spread[own_targets(p, k)])

    # -- checkpoints --------------------------------------------------------------------

    def _state(self) -> dict[str, Array]:
        state, other = (half._state() for half in self.halves)
        for i in range(len(self.lowered.populations)):
            for name in (f"x_{i}", f"last_{i}", f"until_{i}"):
                state[name] = np.concatenate([state[name], other[name]])
        for entry in COUNTED:
            state["register"][entry] += other["register"][entry]
        cells = [c[s["flight_cell"]] for c, s in zip(self._cells, (state, other), strict=True)]
        state["flight_cell"] = np.concatenate(cells)
        for name in ("flight_ahead", "flight_value"):
            state[name] = np.concatenate([state[name], other[name]])
        state["flight_events"] = state["flight_events"] + other["flight_events"]
        return state

    def _load(self, state: Mapping[str, Array]) -> None:
        self._given_up.clear()
        restart(self._meet)
        if "flight_cell" not in state:  # of another way: refused there
            self.halves[0]._load(state)
        second = self._part(state, 1)
        # A sum may stand for many events: the first half counts all that are left over.
        slots = state["flight_events"].size
        second["flight_events"] = np.bincount(second["flight_ahead"], minlength=slots)
        first = self._part(state, 0)
        first["flight_events"] = state["flight_events"] - second["flight_events"]
        second["register"][list(COUNTED)] = 0
        for entry in (R.SENT, R.PENDING):
            second["register"][entry] = second["flight_events"].sum()
            first["register"][entry] -= second["register"][entry]
        for half, own in zip(self.halves, (first, second), strict=True):
            half._start()
            half._load(own)
            half._keep_counters()

    def _part(self, state: Mapping[str, Array], k: int) -> dict[str, Array]:
        """Return what of a state belongs to a half; the numbers of events are still of both."""
        own, place = dict(state), _places(self._cells[k], state["flight_cell"])
        for i, p in enumerate(self.lowered.populations):
            lo, hi = bounds(p.size, k)
            for name in (f"x_{i}", f"last_{i}", f"until_{i}"):
                own[name] = state[name][lo:hi]
        own["flight_cell"] = place[place >= 0]
        for name in ("flight_ahead", "flight_value"):
            own[name] = state[name][place >= 0]
        own["register"] = state["register"].copy()
        return own


def _half(
    lowered: Lowered, options: Options, way: Way, half: int, shared: tuple[Array, Event]
) -> _Half:
    return _Half(half_of(lowered, half), options, way, half, shared)


def _most_at_once(lowered: Lowered) -> int:
    """Return how many synaptic events one spike, or all drawn inputs together, make at most."""
    rows: dict[int, int] = {}
    for p in lowered.projections:
        longest = int(np.diff(p.row).max(initial=0))
        rows[p.source_start] = rows.get(p.source_start, 0) + longest
    drawn = 0
    for bound in lowered.inputs:
        if isinstance(bound.input.source, PoissonCounts):
            start, steps = lowered.groups[bound.input.name][0], bound.counts.steps.shape[-1]
            own = (p.size for p in lowered.projections if p.source_start == start)
            drawn += (steps + 1) * sum(own)
    return max(drawn, *rows.values(), 1)


def _cells_of(whole: Lowered, half: Lowered) -> IndexArray:
    """Return, for each cell of a half, which cell of the whole network it is."""
    (all_ports, _), (own_ports, n_cells) = cell_layout(whole), cell_layout(half)
    found = np.full(n_cells, -1, np.int64)
    for i, ports in enumerate(own_ports):
        shift = half.populations[i].start - whole.populations[i].start
        each = np.arange(half.populations[i].size)
        for port, first in ports.items():
            found[first + each] = all_ports[i][port] + shift + each
    return found


def _places(cells: IndexArray, wanted: IndexArray) -> IndexArray:
    """Return which cells of a half those of the whole network are, or -1."""
    most = int(max(cells.max(initial=0), wanted.max(initial=0))) + 1
    place = np.full(most, -1, np.int64)
    used = cells >= 0
    place[cells[used]] = np.flatnonzero(used)
    return place[wanted]
