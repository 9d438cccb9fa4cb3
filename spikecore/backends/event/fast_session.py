"""Sessions that run in the fast ways (docs/decisions/0010)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.event import fast, kernels
from spikecore.backends.event.choice import LAST_TICK, Way
from spikecore.backends.event.dense import BITMAP
from spikecore.backends.event.drawn import COLUMNS, PROJECTION, drawn_inputs
from spikecore.backends.event.flight import in_flight, with_in_flight
from spikecore.backends.event.layout import build_fast
from spikecore.backends.event.packed import (
    SPARE,
    Fast,
    M,
    W,
    blank_of,
    copied,
    grow_queues,
    renewed,
    sweepable,
)
from spikecore.backends.event.replay import LEARNING, D, is_dense
from spikecore.backends.event.session import EventSession
from spikecore.backends.event.tables import NEVER, C, R, State
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Options
from spikecore.errors import FileRefused, InvalidInput
from spikecore.progress import OnProgress
from spikecore.results import Status

__all__ = ["FastSession", "check_last_tick"]

IndexArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

FIRST_TICKS = 32
"""Ticks after which activity is measured for the first time."""

SWEEP_FROM, SWEEP_TO = 0.15, 0.05
"""Share of neurons looked at per tick from which a population is swept, and to which."""


def check_last_tick(dtype: np.dtype[Any], to_tick: int) -> None:
    """Raise if ``to_tick`` is further than the fast ways count."""
    if dtype == np.float32 and to_tick > LAST_TICK:
        raise InvalidInput(
            "backend 'event'",
            f"counts to {LAST_TICK} ticks in float32, unless with delivery=calendar",
            got=f"{to_tick} ticks",
            fix="use delivery=calendar, or float64",
        )


class FastSession(EventSession):
    """A run in the fast ways: ring or queues, wheel or sweep.

    Parameters
    ----------
    lowered, options
        As in :class:`EventSession`.
    way : Way
        Delivery (ring or queue), and how neurons are found.
    """

    def __init__(self, lowered: Lowered, options: Options, way: Way) -> None:
        self.queued, self.neurons = way.delivery == "queue", way.neurons
        self._blank: Fast | None = None
        self._drawn: frozenset[int] = frozenset()
        self._always_swept: frozenset[int] = frozenset()
        super().__init__(lowered, options, way)

    def _wanted(self) -> frozenset[int]:
        """Return the projections that learn synapse by synapse; else the packed synapses do."""
        return frozenset(i for i in self._rule_of if not is_dense(self.lowered.projections[i]))

    def advance(self, to_tick: int, on_progress: OnProgress | None = None) -> Status:
        """Run up to, not including, ``to_tick``.

        Raises
        ------
        InvalidInput
            If that is further than the fast ways count in float32.
        """
        check_last_tick(self.dtype, to_tick)
        status = super().advance(to_tick, on_progress)
        self._settle_counts()
        self._keep_counters()
        return status

    def _build(self) -> Fast:
        """Lay everything out: once, as :meth:`_reset` may be called for each operation."""
        order, none = self._order_of, np.empty(0, np.uint64)
        numbers, drawn, steps = frozenset[int](), np.empty((0, COLUMNS), np.int64), none
        if not self.queued:
            numbers, drawn, steps = drawn_inputs(self.lowered, order)
        self._drawn = numbers
        sent_by_itself = {order[row[PROJECTION]] for row in drawn}
        self._bitmaps = frozenset(
            i
            for i, what in self.way.dense.items()
            if what == BITMAP and i not in sent_by_itself and self.lowered.projections[i].size
        )
        self._place_packed()
        built = build_fast(
            self.lowered,
            self.net,
            order,
            self.dtype,
            queued=self.queued,
            bitmaps=self._bitmaps,
        )
        return built._replace(drawn=drawn, steps=steps)

    def _place_packed(self) -> None:
        """Let the kernels know where packed synapses begin, where some are bitmaps."""
        kept = [i not in self._bitmaps for i in self._order_of]
        sizes = [self.lowered.projections[i].size for i in self._order_of]
        projection = self.net.projection.copy()
        projection[:, C.SYNAPSE_0] = np.cumsum([0, *np.multiply(sizes, kept)])[:-1]
        self.net = self.net._replace(projection=projection)

    def _reset(self) -> None:
        super()._reset()
        state, dtype = self.state, self.dtype
        self.state = state._replace(
            x=np.zeros(1, dtype),
            clock=np.zeros((1, 3), np.int64),
            acc=np.zeros(1, dtype),
            slot=np.zeros((1, 3), np.int64),
            block_next=np.zeros(1, np.int64),
            block_cell=np.zeros(1, np.uint32),
            block_weight=np.zeros(1, dtype),
        )
        self.state.register[R.N_FREE] = 0
        self.state.register[R.N_ACTIVE] = 0
        if self._blank is None:
            self._blank = blank_of(self._build())
            self.fast = copied(self._blank)
        else:
            self.fast = renewed(self.fast, self._blank)
        self._measured_at = -1
        for i, p in enumerate(self.lowered.populations):
            none = np.full(p.size, -1)
            self._set_population(i, p.initial.astype(dtype), none, none)
        self._choose(first=True)

    def _order(self, order: int, state: State) -> None:
        if order == kernels.FLUSH:
            mine = self.state, self.fast
            if state is not self.state:  # only a look: leave what rules know of the past
                copies = {name: getattr(self.fast, name).copy() for name in LEARNING}
                self.state, self.fast = state, self.fast._replace(**copies)
            self._fast_run(order)
            self.state, self.fast = mine

    def _draws(self) -> frozenset[int]:
        return self._drawn

    def _provenance(self) -> dict[str, Any]:
        found = super()._provenance()
        for row, p in zip(self.fast.part, self.lowered.populations, strict=True):
            found["way"]["neurons"][p.name] = "sweep" if row[W.SWEPT] else "wheel"
        found["way"] |= {"threads": self.way.threads, "why_threads": self.way.why_threads}
        if self.way.dense:
            found["way"]["dense"] = {
                self.lowered.projections[i].name: (
                    what if i in self._bitmaps or what != BITMAP else "it is drawn where it arrives"
                )
                for i, what in self.way.dense.items()
            }
        if self.way.ahead:
            names = [p.name for p in self.lowered.populations]
            found["way"]["ahead"] = {names[i]: what for i, what in self.way.ahead.items()}
        return found

    # -- neurons: in records (wheel) or in rows of states (sweep) ----------------------

    def _records(self, i: int) -> tuple[Array, Array]:
        row, size = self.fast.part[i], self.lowered.populations[i].size
        at, width = row[W.RECORD_0], row[W.WIDTH]
        own = slice(at, at + size * width)
        return (
            self.fast.record[own].reshape(size, width),
            self.fast.record_tick[own].reshape(size, width),
        )

    def _population(self, i: int) -> tuple[Array, Array, Array]:
        """Return states (size, S), their ticks, and the last refractory ticks."""
        p, row = self.lowered.populations[i], self.fast.part[i]
        s, size = len(p.unit.states), p.size
        if row[W.SWEPT]:
            x = self.fast.swept[row[W.X_0] : row[W.X_0] + s * row[W.STRIDE]]
            own = slice(row[W.CLOCK_0], row[W.CLOCK_0] + size)
            return x.reshape(s, -1)[:, :size].T, self.fast.clock[0, own], self.fast.clock[1, own]
        values, ticks = self._records(i)
        return values[:, :s], ticks[:, row[W.TICKS]], ticks[:, row[W.TICKS] + 1]

    def _set_population(self, i: int, x: Array, last: Array, until: Array) -> None:
        p, row = self.lowered.populations[i], self.fast.part[i]
        s, size = len(p.unit.states), p.size
        if row[W.SWEPT]:
            own = slice(row[W.CLOCK_0], row[W.CLOCK_0] + size)
            self.fast.swept[row[W.X_0] : row[W.X_0] + s * row[W.STRIDE]].reshape(s, -1)[
                :, :size
            ] = x.T
            self.fast.clock[0, own], self.fast.clock[1, own] = last, until
        else:
            values, ticks = self._records(i)
            values[:, :s] = x
            at = row[W.TICKS]
            ticks[:, at], ticks[:, at + 1], ticks[:, at + 2] = last, until, -1

    def _choose(self, *, first: bool = False) -> None:
        """Decide for each population, from what it did since the last time."""
        part, changed = self.fast.part, first
        ticks = self.tick - self._measured_at if self._measured_at >= 0 else 0
        for i, p in enumerate(self.lowered.populations):
            wanted = bool(part[i, W.SWEPT])
            if self.neurons == "sweep" or i in self._always_swept:
                wanted = sweepable(p)
            elif self.neurons == "auto" and ticks > 0:
                share = part[i, W.HITS] / (max(1, p.size) * ticks)
                wanted = sweepable(p) and share > (SWEEP_TO if wanted else SWEEP_FROM)
            if wanted != part[i, W.SWEPT]:
                self._settle_counts()
                kept = tuple(a.copy() for a in self._population(i))
                part[i, W.SWEPT] = wanted
                self._set_population(i, *kept)
                changed = True
        part[:, W.HITS] = 0
        self._measured_at = self.tick
        if changed:
            self._call_all()

    def _list_touched(self) -> None:
        """List the neurons that wait and whose cells in the ring hold something."""
        f = self.fast
        f.part[:, W.MARKED], f.many[:] = 0, 0
        ring = f.ring.reshape(f.many.shape[1], -1)
        slots, cells = np.nonzero(~((ring == 0) & np.signbit(ring)))
        for row in f.part[f.part[:, W.SWEPT] == 0]:
            ports = row[W.PORTS_0]
            for k in range(f.lists[ports]):
                own = cells - f.lists[ports + 2 + 2 * k]
                mine = (own >= 0) & (own < row[W.SIZE])
                counts = np.bincount(slots[mine], minlength=ring.shape[0])
                place = np.arange(np.count_nonzero(mine)) - np.repeat(
                    np.cumsum(counts) - counts, counts
                )
                place += row[W.PLACE_0] + k * (row[W.STRIDE] + SPARE)
                f.touched[slots[mine], place] = own[mine]
                f.many[row[W.LIST_0] + k] = counts

    def _call_all(self) -> None:
        """Rebuild what follows from the states: marks and wake-up calls."""
        f = self.fast
        f.meta[M.ANY_WHEEL] = int((f.part[:, W.SWEPT] == 0).any())
        f.calls[:], f.call_words[:], f.called[:] = 0, 0, 0
        f.hits[:], f.bits[:], f.listed[:] = 0, 0, f.part[:, W.CHOSEN_0]
        if not self.queued:
            self._list_touched()
        for i in range(len(self.lowered.populations)):
            if not f.part[i, W.SWEPT]:
                self._records(i)[1][:, f.part[i, W.TICKS] + 2] = -1
        self._fast_run(kernels.WAKE)

    def _fast_run(self, stop: int, *how: Any) -> int:
        sources, probes, who, traces = how or (
            np.empty((2, 0), np.int64),
            np.empty((0, 6), np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.float64),
        )
        return int(
            fast.run(
                self.net,
                self.state,
                self.fast,
                stop,
                self.options.max_pending,
                sources,
                self._out,
                probes,
                who,
                traces,
            )
        )

    # -- what the base calls ----------------------------------------------------------

    def _call(self, stop: int, sources: Any, probes: Any, who: Any, traces: Any) -> int:
        register = self.state.register
        if self.neurons == "auto" and self.fast.part.size:
            if self.tick > self._measured_at:
                self._choose()
            if self.tick < FIRST_TICKS < stop:
                code = self._fast_run(FIRST_TICKS, sources, probes, who, traces)
                if code != kernels.DONE:
                    return code
                self.tick = int(register[R.TICK])
                self._choose()
        return self._fast_run(stop, sources, probes, who, traces)

    def _settle_counts(self) -> None:
        """Count the synaptic events of rows that were only remembered."""
        if self.fast.log_at[1]:
            self._fast_run(kernels.SETTLE)

    def _grow(self) -> None:
        free = (int(R.FREE_HEAD), int(R.N_FREE))
        self.fast = grow_queues(self.fast, self.state.register, free, self.fast.head.size + 1024)

    # -- checkpoints --------------------------------------------------------------------

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        small = ("x", "clock", "acc", "slot", "block_next", "block_cell", "block_weight")
        state = {name: a for name, a in super()._state().items() if name not in small}
        for i in range(len(self.lowered.populations)):
            for name, array in zip(("x", "last", "until"), self._population(i), strict=True):
                state[f"{name}_{i}"] = array.copy()
        state |= {name: getattr(self.fast, name).copy() for name in LEARNING}
        return state | self._in_flight()

    def _in_flight(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is under way, as ``flight.py`` says."""
        return in_flight(self.fast, self.tick)

    def _load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        if "flight_cell" not in state:
            raise FileRefused(
                "checkpoint",
                "was saved by another way of running",
                got="delivery=calendar",
                fix="open it with delivery=calendar",
            )
        self._reset()
        kept = {k: a.copy() for k, a in state.items() if k in State._fields}
        self.state = self.state._replace(**kept)
        self.fast = self.fast._replace(**{name: state[name].copy() for name in LEARNING})
        self.fast.dense[:, D.CACHED] = NEVER
        self._out = np.empty((2, max(65536, 4 * self.state.lists.shape[1])), np.int64)
        register = self.state.register
        register[R.N_FREE] = 0
        self.tick = self._measured_at = int(register[R.TICK])
        for i in range(len(self.lowered.populations)):
            self._set_population(i, *(state[f"{name}_{i}"] for name in ("x", "last", "until")))
        self._put_in_flight(state)

    def _put_in_flight(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what :meth:`_in_flight` returned; nothing is under way."""
        self.fast = with_in_flight(self.fast, self.state.register, self.tick, state)
        self._call_all()
