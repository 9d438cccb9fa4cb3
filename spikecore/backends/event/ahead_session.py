"""Sessions in which some populations run ahead in blocks of time (docs/decisions/0010)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.event import packed
from spikecore.backends.event.ahead import (
    build_ahead,
    carried,
    layout_of,
    places_carried,
)
from spikecore.backends.event.ahead_run import FAILED, Ahead, T, run_blocks
from spikecore.backends.event.choice import BLOCKS, Way
from spikecore.backends.event.fast_session import FIRST_TICKS, SWEEP_FROM, SWEEP_TO, FastSession
from spikecore.backends.event.flight import nothing_in_flight
from spikecore.backends.event.packed import Fast, W
from spikecore.backends.event.tables import C, Net, R
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Options
from spikecore.progress import OnProgress
from spikecore.results import Status

__all__ = ["AheadSession"]

IndexArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

SHORT_RUNS = 3
"""Runs in a row, each too short for a block, after which populations no longer run ahead."""

ROOM = 2**20
"""Spikes that a block returns at a time, at least."""


class AheadSession(FastSession):
    """A run in the fast ways, in which populations at the end of the network run ahead.

    Each call of the kernels is a block. Such populations first: if a state of theirs is not
    finite, they are put back, and the tick is found in the ordinary way. Then all others, for
    which the former do not exist; then what was sent is counted.
    """

    chunk_seconds = 0.2  # longer blocks have less to keep for the next

    def __init__(self, lowered: Lowered, options: Options, way: Way) -> None:
        self._candidates = [i for i, what in way.ahead.items() if what == BLOCKS]
        itemsize = np.dtype(options.precision).itemsize
        self._layout = layout_of(lowered, self._candidates, itemsize)
        self._active: frozenset[int] = frozenset()
        self._ahead: Ahead | None = None
        self._stale, self._side, self._short, self._said = True, 0, 0, False
        self._until = 0
        super().__init__(lowered, options, way)
        self._measure()

    def _reset(self) -> None:
        self._active, self._side, self._short, self._said = frozenset(), 0, 0, False
        self._always_swept = frozenset()
        super()._reset()
        self.fast = self.fast._replace(log=np.zeros((4, packed.LOG), np.int64))
        if self._ahead is not None:
            self._ahead.carry[:], self._ahead.cells[:] = -0.0, -0.0

    def _put_weights(self, projection: int, values: npt.NDArray[Any]) -> None:
        super()._put_weights(projection, values)
        self._stale = True

    def _provenance(self) -> dict[str, Any]:
        found = super()._provenance()
        own = found["way"]["ahead"]
        if not self._said:
            why_not = "little was sent to it, or only for short runs"
            own |= {name: why_not for name, what in own.items() if what == BLOCKS}
        return found

    # -- which populations run ahead ---------------------------------------------------

    def advance(self, to_tick: int, on_progress: OnProgress | None = None) -> Status:
        """Run up to, not including, ``to_tick``."""
        self._until = to_tick
        self._short = self._short + 1 if self._too_short() else 0
        return super().advance(to_tick, on_progress)

    def _too_short(self) -> bool:
        """Whether what is left of this run is too short to begin with blocks."""
        left = self._until - self.tick
        return 2 * left < self._layout.longest and not self.way.always_ahead

    def _run(self, stop: int, ticks: IndexArray, neurons: IndexArray) -> None:
        wanted = self._wanted_now(stop, neurons)
        self.least_chunk = self._layout.longest // 2 if wanted else 16
        while self.tick < stop and self.status == "complete":
            end = self._next_stop(stop, wanted)
            some = slice(*np.searchsorted(ticks, [self.tick, end]))
            if not (self._active and self._block(end, ticks[some], neurons[some])):
                super()._run(end, ticks[some], neurons[some])

    def _wanted_now(self, stop: int, neurons: IndexArray) -> frozenset[int]:
        """Decide which populations run ahead to ``stop``, from what will be sent to them."""
        if self.way.always_ahead:
            return frozenset(self._candidates)
        if self._short >= SHORT_RUNS or (self._too_short() and not self._active):
            return frozenset()
        often = np.bincount(neurons, minlength=self.lowered.n_neurons)
        space = stop - self.tick
        return frozenset(
            i
            for i in self._candidates
            if often @ self._sent_to[i]
            >= (SWEEP_TO if i in self._active else SWEEP_FROM)
            * space
            * self.lowered.populations[i].size
        )

    def _next_stop(self, stop: int, wanted: frozenset[int]) -> int:
        """Let these run ahead; return up to which tick."""
        self._always_swept = wanted
        if self.neurons == "auto":
            self._choose()  # before a block: not while there is one
        if wanted != self._active:
            self._move(wanted)
        if wanted and self.tick < FIRST_TICKS:
            stop = min(stop, FIRST_TICKS) if self._others else stop
        return min(stop, self.tick + self._layout.most) if wanted else stop

    def _move(self, wanted: frozenset[int]) -> None:
        """Let these populations run ahead, and no others: take what is under way along."""
        f, register = self.fast, self.state.register
        found = self._in_flight() if register[R.PENDING] else nothing_in_flight(self.fast)
        f.ring[:], f.due[:], f.following[:] = -0.0, 0, 0
        blocks = f.entry_next.size  # the first is never used: 0 says that a queue is empty
        f.entry_next[:] = np.append(np.arange(1, blocks), -1)
        register[R.FREE_HEAD], register[R.N_FREE] = 1, blocks - 1
        self._active = wanted
        if wanted or self._ahead is not None:
            ahead = self._arrays()
            ahead.carry[:] = -0.0
            ahead.tile[:, T.ACTIVE] = np.isin(ahead.tile[:, T.POPULATION], list(wanted))
            self._masked = self._without(wanted)
        place = places_carried(
            self.lowered, self._layout, wanted, found["flight_cell"], found["flight_ahead"]
        )
        own = place >= 0
        if wanted:
            # In order, one by one: queues keep each arrival by itself.
            np.add.at(ahead.carry[self._side], place[own], found["flight_value"][own])
        names = ("flight_ahead", "flight_cell", "flight_value")
        self._put_in_flight(found | {name: found[name][~own] for name in names})

    def _arrays(self) -> Ahead:
        """Return what blocks need, with the weights of now."""
        if self._ahead is None or self._stale:
            old = self._ahead
            self._ahead = build_ahead(
                self.lowered, self._layout, self._order_of, self.net, self.state, self.fast
            )
            if old is not None:
                self._ahead = self._ahead._replace(carry=old.carry, cells=old.cells, tile=old.tile)
            self._stale = False
        return self._ahead

    def _measure(self) -> None:
        """Find how many synaptic events each neuron sends to each of these populations."""
        self._others = len(self._candidates) < len(self.lowered.populations)
        self._sent_to = {i: np.zeros(self.lowered.n_neurons, np.int64) for i in self._candidates}
        self._rows: list[tuple[int, int, int, Array]] = []
        at = {p.start: i for i, p in enumerate(self.lowered.populations)}
        for k, number in enumerate(self._order_of):
            p = self.lowered.projections[number]
            i = at[p.target_start]
            if i in self._sent_to and p.size:
                begin = int(self.net.projection[k, C.ROW_0])
                own = np.diff(self.net.row[begin : begin + p.source_size + 1])
                self._sent_to[i][p.source_start : p.source_start + p.source_size] += own
                self._rows.append((i, k, p.source_start, own))

    def _without(self, gone: frozenset[int]) -> tuple[Net, IndexArray]:
        """Return the network without these populations, and how many events a source sends them.

        Rows of projections onto them are empty.
        """
        projection, row = self.net.projection.copy(), self.net.row
        for i, k, _, _ in self._rows:
            if i in gone:
                projection[k, C.ROW_0] = row.size
        if len(gone) < len(self.lowered.populations):
            longest = max(own.size for _, _, _, own in self._rows) + 1
            row = np.append(row, np.zeros(longest, np.int64))
        sizes = np.zeros(self.lowered.n_neurons, np.int64)
        for i in gone:
            sizes += self._sent_to[i]
        return self.net._replace(projection=projection, row=row), sizes

    # -- a block --------------------------------------------------------------------------

    def _block(self, end: int, ticks: IndexArray, neurons: IndexArray) -> bool:
        """Run to ``end``; return False, with nothing done, if that has to be done otherwise."""
        register, most = self.state.register, self.options.max_pending
        sent = int(self._masked[1][neurons].sum())
        if register[R.PENDING] + sent > most:
            self._settle_counts()
            if register[R.PENDING] + sent > most:
                self._move(frozenset())
                return False
        begin, kept = self.tick, self._kept()
        spikes = self._carry_through(end, ticks, neurons)
        if spikes is None:
            self._put_back(kept)
            self._move(frozenset())
            return False
        first = len(self._spikes)
        if len(self._active) == len(self.lowered.populations):
            self._pass(end, ticks, neurons)
        else:
            self._run_others(end, ticks, neurons, most - sent)
        if self.tick < end:  # the others ended it
            self._put_back(kept)
            some = slice(*np.searchsorted(ticks, [begin, self.tick]))
            ticks, neurons = ticks[some], neurons[some]
            spikes = self._carry_through(self.tick, ticks, neurons, begin)
        if self.tick > begin:
            self._side = 1 - self._side
        self._count_sent(ticks, neurons)
        self._merge(first, spikes)
        self._said = True
        return True

    def _kept(self) -> tuple[Any, ...]:
        f = self.fast
        return f.swept.copy(), f.clock.copy(), f.part.copy(), self.state.register[R.UPDATES]

    def _put_back(self, kept: tuple[Any, ...]) -> None:
        """Undo a block of the populations that run ahead."""
        swept, clock, part, updates = kept
        for i in self._active:
            row, s = part[i], len(self.lowered.populations[i].unit.states)
            for own, old, first, size in (
                (self.fast.swept, swept, row[W.X_0], s * row[W.STRIDE]),
                (self.fast.clock[0], clock[0], row[W.CLOCK_0], row[W.STRIDE]),
                (self.fast.clock[1], clock[1], row[W.CLOCK_0], row[W.STRIDE]),
                (self.fast.part[i], part[i], 0, len(W)),
            ):
                own[first : first + size] = old[first : first + size]
        self.state.register[R.UPDATES] = updates
        self._arrays().cells[:] = -0.0

    def _carry_through(
        self, end: int, ticks: IndexArray, neurons: IndexArray, begin: int | None = None
    ) -> IndexArray | None:
        """Carry these populations through the block; return who fires, or None.

        A spike is its tick times the number of neurons, plus the neuron.
        """
        begin = self.tick if begin is None else begin
        if begin == end:
            return np.empty(0, np.int64)
        ahead, layout = self._arrays(), self._layout
        wanted = int(np.diff(ahead.first)[neurons].sum())
        if wanted > ahead.event.size:
            ahead = self._ahead = ahead._replace(event=np.empty(wanted + wanted // 4, np.uint64))
        room = max(ROOM, (end - begin) * int(ahead.tile[:, T.LANES].max()))
        out, found, tile = np.empty(room, np.int64), [np.empty(0, np.int64)], 0
        how = self.net, self.state, self._as_tiles(ahead), ahead, (begin, end), layout.longest
        while tile < ahead.tile.shape[0]:
            tile, count = run_blocks(*how, self._side, tile, ticks, neurons, out)
            if tile == FAILED:
                return None
            found.append(out[:count].copy())
        spikes = np.concatenate(found)
        spikes.sort()
        return spikes

    def _as_tiles(self, ahead: Ahead) -> Fast:
        """Return arrays in which the cells are those of the tile at work."""
        lists = self.fast.lists.copy()
        for i in self._active:
            ports = self.fast.part[i, W.PORTS_0]
            lists[ports + 2 : ports + 2 + 2 * lists[ports] : 2] = (
                np.arange(lists[ports]) * self._layout.width[i]
            )
        return self.fast._replace(ring=ahead.cells, lists=lists)

    def _pass(self, end: int, ticks: IndexArray, neurons: IndexArray) -> None:
        """Let the time pass where there are no others: their events arrive."""
        register, due = self.state.register, self.fast.due
        slots = np.arange(self.tick, min(end, self.tick + due.size)) & (due.size - 1)
        arrived = int(due[slots].sum())
        due[slots] = 0
        register[R.DELIVERED] += arrived
        register[R.PENDING] -= arrived
        self._keep_spikes(ticks, neurons)
        self.tick = register[R.TICK] = end

    def _run_others(self, end: int, ticks: IndexArray, neurons: IndexArray, most: int) -> None:
        """Run all others; they see nothing of these populations."""
        self._settle_counts()  # rows that are remembered would be looked up, and found empty
        net, own, options = self.net, self.fast, self.options
        part = own.part.copy()
        part[list(self._active), W.SWEPT] = part[list(self._active), W.STRIDE] = 0
        self.net, self.fast = self._masked[0], own._replace(part=part)
        self.options = replace(options, max_pending=most)
        try:
            super()._run(end, ticks, neurons)
        finally:
            others = [i for i in range(part.shape[0]) if i not in self._active]
            own.part[others] = part[others]
            self.net, self.fast = net, self.fast._replace(part=own.part)
            self.options = options

    def _count_sent(self, ticks: IndexArray, neurons: IndexArray) -> None:
        """Count what was sent to these populations, and what of it has arrived."""
        register, sizes = self.state.register, self._masked[1][neurons]
        register[R.SENT] += int(sizes.sum())
        register[R.PENDING] += int(sizes.sum())
        now = self.tick - 1 if self.status != "diverged" else self.tick
        late = ticks > now - self._layout.longest
        early = int(sizes[~late].sum())
        register[R.DELIVERED] += early
        register[R.PENDING] -= early
        for i, k, start, size in self._rows:
            if i not in self._active:
                continue
            here = np.flatnonzero(late & (neurons >= start) & (neurons < start + size.size))
            here = here[size[neurons[here] - start] > 0]
            self._remember(ticks[here], k, neurons[here] - start)
        if self.status != "complete":
            self._settle_counts()
            if self.status == "runaway" and register[R.PENDING] <= self.options.max_pending:
                self.status, self.message = "complete", ""
            elif self.status == "runaway":
                most = self.options.max_pending
                self.message = f"more than {most} synaptic events in flight"
        self._keep_counters()

    def _remember(self, ticks: IndexArray, projection: int, own: IndexArray) -> None:
        """Remember rows whose events are still to be counted, as the ring does."""
        log, at = self.fast.log, self.fast.log_at
        for lo in range(0, ticks.size, log.shape[1]):
            some = slice(lo, lo + log.shape[1])
            if at[1] + ticks[some].size > log.shape[1]:
                self._settle_counts()
            place = (at[0] + at[1] + np.arange(ticks[some].size)) % log.shape[1]
            log[0, place], log[1, place] = ticks[some], projection
            log[2, place], log[3, place] = own[some], 1
            at[1] += place.size

    def _merge(self, first: int, spikes: IndexArray | None) -> None:
        """Add spikes to those that were kept since, in order of ticks and neurons."""
        n = self.lowered.n_neurons
        assert spikes is not None
        kept = self._spikes[first:]
        del self._spikes[first:]
        keys = [t * n + m for t, m in kept if t.size]
        if keys:
            spikes = np.sort(np.concatenate([*keys, spikes]), kind="stable")
        if spikes.size:
            self._keep_spikes(*np.divmod(spikes, n))

    # -- what is under way ---------------------------------------------------------------

    def _in_flight(self) -> dict[str, npt.NDArray[Any]]:
        found = super()._in_flight()
        if not self._active or self._ahead is None:
            return found
        carry = self._ahead.carry[self._side]
        mine = carried(self.lowered, self._layout, self._active, carry)
        return found | {name: np.concatenate([found[name], mine[name]]) for name in mine}
