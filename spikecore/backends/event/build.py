"""From a lowered network to the arrays that the compiled kernels work on (``tables.py``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.event.horizons import CHUNK, SOON, horizon_bounds
from spikecore.backends.event.tables import BLOCK, NEVER, C, K, L, M, Net, P, R, State
from spikecore.backends.lowering import Lowered, LoweredProjection
from spikecore.plasticity import PairSTDP

__all__ = ["build_net", "delay_bytes", "grow_calendar", "new_state", "projection_order"]

Array = npt.NDArray[Any]

PAST = 256
"""Committed states kept of a neuron that acts on learning, at most."""


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
    clock = np.full((n, len(K)), -1, np.int64)
    clock[:, K.PAST] = 1
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
