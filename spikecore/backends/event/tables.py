"""Flat arrays that the compiled kernels work on.

Few arrays, each of one kind; integer tables with named columns say where each
population, projection and rule begins in them. (The compiler's time grows with
the number of arrays, and a user waits for it once.) ``Net`` never changes during
a run, ``State`` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikecore.backends.event.horizons import CHUNK, SOON, horizon_bounds
from spikecore.backends.lowering import Lowered, LoweredProjection
from spikecore.plasticity import PairSTDP

__all__ = [
    "BLOCK",
    "NEVER",
    "M",
    "Net",
    "R",
    "State",
    "build_net",
    "delay_bytes",
    "grow_calendar",
    "new_state",
    "projection_order",
]

Array = npt.NDArray[Any]

PAST = 256
"""Committed states kept of a neuron that acts on learning, at most."""

BLOCK = 64
"""Synaptic events per block of the calendar."""

NEVER = -(2**40)
"""Tick of a spike that has not happened."""


class R(IntEnum):
    """The register: scalars of a run."""

    TICK = 0
    PHASE = 1  # 0: at the start of a tick, 1: while its spikes are being sent
    N_ACTIVE = 2
    N_SPIKES = 3  # spikes of this tick still to be sent
    SPIKE = 4  # position among them
    PROJECTION = 5  # position among the projections of that neuron
    N_OUT = 6
    FREE_HEAD = 7
    N_FREE = 8
    SENT = 9
    DELIVERED = 10
    PENDING = 11
    UPDATES = 12
    INPUT = 13
    BAD = 14
    FULL = 15  # some history of post spikes is full


class P(IntEnum):
    """Columns of ``Net.population``. ``*_0`` are positions in ``Net.real``."""

    START = 0
    N_STATES = 1
    X_0 = 2  # where its states begin in State.x
    KINDS = 3  # 1 if each neuron has parameters of its own, else 0
    TABLE_SIZE = 4
    BITS = 5  # log2 of the radix
    N_PORTS = 6
    REFRACTORY_0 = 7  # position in Net.whole
    MASK_0 = 8  # position in Net.whole
    FREE_0 = 9
    HELD_0 = 10
    RESET_0 = 11
    JUMP_0 = 12
    H_0 = 13
    THRESHOLD_0 = 14
    GAIN_0 = 15
    GAIN_HELD_0 = 16
    BOUND_0 = 17
    PAST = 18  # committed states to be kept, 0 where nobody asks for past ones
    PAST_0 = 19  # position in State.past
    PAST_X_0 = 20  # position in State.past_x
    SOON_0 = 21  # bounds for the next ticks, or -1


class C(IntEnum):
    """Columns of ``Net.projection``."""

    SOURCE = 0  # first neuron
    TARGET = 1  # first neuron
    PORT = 2
    ROW_0 = 3  # position in Net.row
    SYNAPSE_0 = 4  # position among all synapses
    WEIGHT_0 = 5
    WEIGHT_STEP = 6  # 0 if one weight serves all
    DELAY_0 = 7
    DELAY_STEP = 8
    RULE = 9  # or -1
    FACTOR = 10  # row of Net.modulation that acts on delivery, or -1
    TARGET_0 = 11  # position in Net.target, or -1 if targets are not kept


class L(IntEnum):
    """Columns of ``Net.rule``. Windows and values are positions in ``Net.real``."""

    PROJECTION = 0
    NEAREST = 1
    COINCIDENCE = 2  # 0 depress, 1 potentiate, 2 ignore
    DENDRITIC = 3
    LATE_CLAMP = 4
    MULTIPLICATIVE = 5
    VALUES_0 = 6  # A_plus, A_minus, low, high
    PLUS_0 = 7
    PLUS_LAST = 8
    MINUS_0 = 9
    MINUS_LAST = 10
    PRE_0 = 11  # first row in State.pre
    N_PRE = 12
    POST_0 = 13  # first target in State.post
    N_POST = 14
    HISTORY = 15  # entries kept per target neuron
    HISTORY_0 = 16
    MAX_LAG = 17
    PLUS_FACTOR = 18  # row of Net.modulation that acts on A_plus, or -1
    MINUS_FACTOR = 19


class M(IntEnum):
    """Columns of ``Net.modulation``."""

    START = 0  # first neuron that acts
    STATE = 1
    WHO_0 = 2  # position in Net.who
    VALUES_0 = 3  # gain, floor
    BASE_0 = 4
    THRESHOLD_0 = 5  # or -1
    CACHE_0 = 6  # position in State.factor
    SIZE = 7


class Net(NamedTuple):
    """The network as the kernels see it."""

    port_bits: Array  # (1,) a cell is neuron << port_bits | port
    node: Array  # (n_neurons, 2): group, population (-1 for inputs)
    group: Array  # (groups + 1, 2): first projection, first entry of into
    population: Array  # columns P
    projection: Array  # columns C, ordered by source group
    rule: Array  # columns L
    modulation: Array  # columns M
    into: Array  # rules that learn from spikes of a group as targets
    real: Array  # all real parameters; begins with 1 and the rounding margin
    whole: Array  # refractory periods and reset masks
    row: Array
    target: Array
    delay: Array
    who: Array  # neuron that acts on each synapse


class State(NamedTuple):
    """What changes during a run."""

    register: Array  # entries R
    x: Array  # committed states
    clock: Array  # (n_neurons, 5): tick of x, last refractory tick, tick of latest arrival,
    # past states, tick in which to look at it if it is active
    acc: Array  # arrivals of this tick, per cell
    lists: Array  # (4, ...): touched, active, spikes of this tick, their multiplicity
    buffer: Array  # scratch for one state vector, twice
    weight: Array
    slot: Array  # (slots, 3): count, head block, tail block
    block_next: Array
    block_cell: Array
    block_weight: Array
    pre: Array  # (rows, 2): tick of the latest spike, tick up to which the row has learnt
    pre_trace: Array
    post: Array  # (targets, 2): tick of the latest spike, entries of history
    post_trace: Array
    history_tick: Array
    history_trace: Array
    factor: Array  # of each neuron that acts, as it was in the tick of factor_at
    factor_at: Array
    past: Array  # (entries, 2): tick and last refractory tick of committed states
    past_x: Array


class _Pool:
    """Collects arrays of one type into one, and says where each begins."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.parts: list[Array] = []
        self.size = 0

    def add(self, values: Any) -> int:
        part = np.ravel(np.asarray(values)).astype(self.dtype, copy=False)
        begin = self.size
        self.parts.append(part)
        self.size += part.size
        return begin

    def join(self) -> Array:
        if len(self.parts) == 1:  # a network of one projection: no copy
            return self.parts[0]
        return np.concatenate([np.empty(0, self.dtype), *self.parts])


def _table(rows: Iterable[Iterable[int]], columns: int) -> Array:
    return np.array([[int(v) for v in row] for row in rows], np.int64).reshape(-1, columns)


def projection_order(lowered: Lowered) -> list[int]:
    """Return the numbers of all projections in the order used here: by source group."""
    starts = [p.source_start for p in lowered.projections]
    return sorted(range(len(starts)), key=lambda i: (starts[i], i))


def build_net(lowered: Lowered, dtype: np.dtype[Any], wanted: frozenset[int] | None = None) -> Net:
    """Lay out ``lowered`` for the kernels.

    Parameters
    ----------
    wanted : set of int, optional
        Numbers of the projections of which ``Net.target`` and ``Net.delay`` are asked for
        each synapse. Default: all, which is what the general way asks for, and bounds for
        the next ticks as well.
    """
    names = list(lowered.groups)
    group_at = {lowered.groups[name][0]: g for g, name in enumerate(names)}
    real, whole = _Pool(dtype), _Pool(np.int64)
    real.add([1.0, 64 * float(np.finfo(dtype).eps)])
    order = projection_order(lowered)
    projections = [lowered.projections[i] for i in order]
    learning = [i for i, p in enumerate(projections) if p.plasticity is not None]
    source_group = np.array([group_at[p.source_start] for p in projections], np.int64)
    into = [
        [r for r, i in enumerate(learning) if group_at[projections[i].target_start] == g]
        for g in range(len(names))
    ]
    row, target, delay = _Pool(np.int64), _Pool(np.uint32), _Pool(np.uint32)
    kept = [wanted is None or i in wanted for i in order]
    who = _Pool(np.uint32)
    acting: dict[tuple[int, str], int] = {}
    return Net(
        port_bits=np.array([max(0, lowered.n_ports - 1).bit_length()], np.int64),
        node=_nodes(lowered, names),
        group=np.stack(
            [
                np.searchsorted(source_group, np.arange(len(names) + 1)),
                np.cumsum([0, *(len(rules) for rules in into)]),
            ],
            axis=1,
        ).astype(np.int64),
        population=_table(_population_rows(lowered, real, whole, soon=wanted is None), len(P)),
        modulation=_table(_modulation_rows(projections, acting, real, who), len(M)),
        projection=_table(
            _projection_rows(projections, learning, acting, kept, (row, target, delay)), len(C)
        ),
        rule=_table(_rule_rows(projections, learning, acting, real, lowered.dt), len(L)),
        into=np.array([r for rules in into for r in rules], np.int64),
        real=real.join(),
        whole=whole.join(),
        row=row.join(),
        target=target.join(),
        delay=delay.join(),
        who=who.join(),
    )


def _nodes(lowered: Lowered, names: list[str]) -> Array:
    node = np.full((lowered.n_neurons, 2), -1, np.int64)
    node[:, 0] = np.repeat(np.arange(len(names)), [lowered.groups[n][1] for n in names])
    for i, p in enumerate(lowered.populations):
        node[p.start : p.start + p.size, 1] = i
    return node


def _population_rows(
    lowered: Lowered, real: _Pool, whole: _Pool, *, soon: bool
) -> Iterable[tuple[int, ...]]:
    x0 = past = past_x = 0
    teachers = {
        m.start
        for c in lowered.projections
        for m in c.modulations
        if m.covers & {"potentiation", "depression"}
    }
    for p in lowered.populations:
        s = len(p.unit.states)
        kept = PAST if p.start in teachers else 0
        own = p.table.free.shape[0]
        yield (
            p.start,
            s,
            x0,
            int(p.table.free.shape[0] > 1),
            p.table.free[0].size,
            p.table.radix.bit_length() - 1,
            len(p.ports),
            whole.add(p.refractory),
            whole.add(p.reset_mask),
            real.add(p.table.free),
            real.add(p.table.held),
            real.add(p.reset_value),
            real.add(p.jump),
            real.add(p.unit.h),
            real.add(p.threshold),
            real.add(p.port_gain),
            real.add(p.port_gain_held),
            real.add(p.table.bound),
            kept,
            past,
            past_x,
            real.add(horizon_bounds(p, SOON)[:, :-1]) if soon and own <= CHUNK else -1,
        )
        x0 += p.size * s
        past += p.size * kept
        past_x += p.size * kept * s


def _modulation_rows(
    projections: list[LoweredProjection],
    acting: dict[tuple[int, str], int],
    real: _Pool,
    who: _Pool,
) -> Iterable[tuple[int, ...]]:
    """Yield the rows; enter in ``acting`` which acts on what of which projection."""
    number = cache = 0
    for i, p in enumerate(projections):
        for m in p.modulations:
            acting |= {(i, what): number for what in m.covers}
            yield (
                m.start,
                m.state,
                who.add(m.who),
                real.add([m.gain, m.floor]),
                real.add(m.base),
                -1 if m.threshold is None else real.add(m.threshold),
                cache,
                m.size,
            )
            number += 1
            cache += m.size


def _projection_rows(
    projections: list[LoweredProjection],
    learning: list[int],
    acting: dict[tuple[int, str], int],
    kept: list[bool],
    pools: tuple[_Pool, _Pool, _Pool],
) -> Iterable[tuple[int, ...]]:
    synapse0, weight0, (row, target, delay) = 0, 0, pools
    for i, p in enumerate(projections):
        n_weights = p.synapses.weight_shape[0]
        delays = p.delay
        yield (
            p.source_start,
            p.target_start,
            p.port,
            row.add(p.row),
            synapse0,
            weight0,
            int(n_weights == p.size),
            delay.add(delays if kept[i] else delays[:1].copy()),  # a view would hold all
            int(delays.size == p.size),
            learning.index(i) if i in learning else -1,
            acting.get((i, "delivery"), -1),
            target.add(p.target) if kept[i] else -1,
        )
        synapse0 += p.size
        weight0 += n_weights


def _history(p: LoweredProjection) -> tuple[int, int]:
    """Return the longest way of a post spike to a synapse (ticks), and how many to keep."""
    assert p.plasticity is not None
    lag = p.longest if p.plasticity.post_delay == "dendritic" else 0
    return lag, max(64, 2 * (lag + 2))  # those on their way, and as many again


def delay_bytes(lowered: Lowered) -> int:
    """Return the memory that the longest delays cost before the first spike."""
    plastic = [p for p in lowered.projections if p.plasticity is not None]
    return 24 * (lowered.max_delay + 1) + sum(16 * _history(p)[1] * p.target_size for p in plastic)


def _rule_rows(
    projections: list[LoweredProjection],
    learning: list[int],
    acting: dict[tuple[int, str], int],
    real: _Pool,
    dt: float,
) -> Iterable[tuple[int, ...]]:
    pre0 = post0 = history0 = 0
    for i in learning:
        p, rule = projections[i], projections[i].plasticity
        assert isinstance(rule, PairSTDP)
        plus, minus = rule.windows(dt)
        lag, history = _history(p)
        yield (
            i,
            rule.pairing == "nearest",
            ("depress", "potentiate", "ignore").index(rule.coincidence),
            rule.post_delay == "dendritic",
            rule.clamp == "update",
            rule.dependence == "multiplicative",
            real.add([*rule.amplitudes, *rule.bounds]),
            real.add(np.append(plus, 0.0)),
            plus.size,
            real.add(np.append(minus, 0.0)),
            minus.size,
            pre0,
            p.source_size,
            post0,
            p.target_size,
            history,
            history0,
            lag,
            acting.get((i, "potentiation"), -1),
            acting.get((i, "depression"), -1),
        )
        pre0 += p.source_size
        post0 += p.target_size
        history0 += history * p.target_size


def new_state(lowered: Lowered, net: Net, weight: Array, dtype: np.dtype[Any]) -> State:
    """Return the state before the first tick."""
    n, slots, blocks = lowered.n_neurons, lowered.max_delay + 1, 1024
    register = np.zeros(len(R), np.int64)
    register[R.N_FREE] = blocks
    n_pre, n_post = (int(net.rule[:, c].sum()) for c in (L.N_PRE, L.N_POST))
    n_history = int((net.rule[:, L.HISTORY] * net.rule[:, L.N_POST]).sum())
    initial = [p.initial.ravel().astype(dtype) for p in lowered.populations]
    slot = np.full((slots, 3), -1, np.int64)
    slot[:, 0] = 0
    pre, post = np.full((n_pre, 2), NEVER, np.int64), np.full((n_post, 2), NEVER, np.int64)
    pre[:, 1], post[:, 1] = -1, 0
    clock = np.full((n, 5), -1, np.int64)
    clock[:, 3] = 1
    n_factors = int(net.modulation[:, M.SIZE].sum())
    past, past_x = _first_past(lowered, net, dtype)
    return State(
        register=register,
        x=np.concatenate([np.empty(0, dtype), *initial]),
        clock=clock,
        acc=np.zeros(n << int(net.port_bits[0]), dtype),
        lists=np.zeros((4, 2 * n + 64), np.int64),
        buffer=np.zeros(2 * lowered.n_states, dtype),
        weight=weight,
        slot=slot,
        block_next=np.append(np.arange(1, blocks), -1).astype(np.int64),
        block_cell=np.zeros(blocks * BLOCK, np.uint32),
        block_weight=np.zeros(blocks * BLOCK, dtype),
        pre=pre,
        pre_trace=np.zeros(n_pre, dtype),
        post=post,
        post_trace=np.zeros(n_post, dtype),
        history_tick=np.zeros(n_history, np.int64),
        history_trace=np.zeros(n_history, dtype),
        factor=np.zeros(n_factors, dtype),
        factor_at=np.full(n_factors, NEVER, np.int64),
        past=past,
        past_x=past_x,
    )


def _first_past(lowered: Lowered, net: Net, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return what is kept of committed states: the initial ones, and room for more."""
    kept = [int(k) for k in net.population[:, P.PAST]]
    past = np.full((sum(k * p.size for k, p in zip(kept, lowered.populations, strict=True)), 2), -1)
    parts = [np.empty(0, dtype)]
    for k, p in zip(kept, lowered.populations, strict=True):
        if k:
            own = np.zeros((p.size, k, len(p.unit.states)), dtype)
            own[:, 0] = p.initial
            parts.append(own.ravel())
    return past, np.concatenate(parts)


def grow_calendar(state: State, wanted: int) -> State:
    """Return ``state`` with at least ``wanted`` more free blocks."""
    old, register = state.block_next.size, state.register
    more = max(wanted, old)
    rest = register[R.FREE_HEAD] if register[R.N_FREE] > 0 else -1
    links = np.append(np.arange(old + 1, old + more), rest).astype(np.int64)
    register[R.FREE_HEAD] = old
    register[R.N_FREE] += more
    return state._replace(
        block_next=np.concatenate([state.block_next, links]),
        block_cell=np.concatenate([state.block_cell, np.zeros(more * BLOCK, np.uint32)]),
        block_weight=np.concatenate(
            [state.block_weight, np.zeros(more * BLOCK, state.block_weight.dtype)]
        ),
    )
