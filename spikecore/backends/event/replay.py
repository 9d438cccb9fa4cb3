"""Compiled: learning of projections that connect every source with every target alike.

Rows learn in arrears (docs/decisions/0005), as everywhere; but where each row holds all
targets, in order and with one delay, the post spikes of a projection need only one list, in
order of time. A row replays what is new in it: the step is the same for all spikes of a
tick, and the weights lie side by side. What a pre spike takes off is worked out once per
tick and target, for all rows. The values, and their order at each synapse, are those of
``learning.py``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.event.caching import inner
from spikecore.backends.event.learning import (
    IGNORE,
    POTENTIATE,
    add_to_history,
    raise_post_trace,
)
from spikecore.backends.event.packed import Fast
from spikecore.backends.event.tables import NEVER, C, L, Net, R, State
from spikecore.backends.lowering import Lowered, LoweredProjection

__all__ = ["LEARNING", "D", "dense_arrays", "flush_dense", "is_dense", "learn_dense", "remember"]

C_TARGET, C_WEIGHT = int(C.TARGET), int(C.WEIGHT_0)
L_PROJECTION, L_NEAREST, L_COINCIDENCE = int(L.PROJECTION), int(L.NEAREST), int(L.COINCIDENCE)
L_LATE, L_MULTIPLICATIVE = int(L.LATE_CLAMP), int(L.MULTIPLICATIVE)
L_VALUES, L_PLUS, L_PLUS_LAST = int(L.VALUES_0), int(L.PLUS_0), int(L.PLUS_LAST)
L_MINUS, L_MINUS_LAST, L_PRE = int(L.MINUS_0), int(L.MINUS_LAST), int(L.PRE_0)
L_N_PRE, L_POST, L_N_POST = int(L.N_PRE), int(L.POST_0), int(L.N_POST)
L_HISTORY, L_HISTORY_0, L_MAX_LAG = int(L.HISTORY), int(L.HISTORY_0), int(L.MAX_LAG)
FULL = int(R.FULL)

ENTRIES = 32_768
"""Post spikes in the list of a projection, besides those on their way."""

LEARNING = ("dense", "past", "past_trace", "cursor", "seen", "seen_trace")
"""Fields of Fast that a rule changes."""


class D(IntEnum):
    """Columns of ``Fast.dense``, one row for each rule."""

    DENSE = 0
    BEGIN = 1  # in Fast.past
    CAPACITY = 2
    COUNT = 3
    SEEN = 4  # so many have reached the synapses, as far as pre spikes are concerned
    CACHED = 5  # tick for which Fast.loss holds


D_DENSE, D_BEGIN, D_CAPACITY = int(D.DENSE), int(D.BEGIN), int(D.CAPACITY)
D_COUNT, D_SEEN, D_CACHED = int(D.COUNT), int(D.SEEN), int(D.CACHED)


def is_dense(p: LoweredProjection) -> bool:
    """Whether all sources are connected with all targets, in order and with one delay."""
    if p.size != p.source_size * p.target_size or np.any(p.delay != p.delay[:1]):
        return False
    every = np.arange(p.target_size, dtype=np.uint32)
    return bool(
        np.array_equal(p.row, np.arange(p.source_size + 1) * p.target_size)
        and np.all(p.target.reshape(-1, p.target_size) == every)
    )


def dense_arrays(
    lowered: Lowered, net: Net, order: list[int], dtype: np.dtype[Any]
) -> dict[str, npt.NDArray[Any]]:
    """Return the fields of Fast that dense rules need, before the first tick."""
    dense = np.zeros((net.rule.shape[0], len(D)), np.int64)
    at = 0
    for row, rule in zip(dense, net.rule, strict=True):
        if is_dense(lowered.projections[order[rule[L.PROJECTION]]]):
            # A flush leaves what is on its way: at most one spike a tick and target.
            capacity = ENTRIES + int(rule[L.N_POST] * (rule[L.MAX_LAG] + 2))
            row[:] = 1, at, capacity, 0, 0, NEVER
            at += capacity
    n_pre, n_post = (int(net.rule[:, c].sum()) for c in (L.N_PRE, L.N_POST))
    return {
        "dense": dense,
        "past": np.zeros((2, at), np.int64),
        "past_trace": np.zeros(at, dtype),
        "cursor": np.zeros(n_pre, np.int64),
        "seen": np.full(n_post, NEVER, np.int64),
        "seen_trace": np.zeros(n_post, dtype),
        "loss": np.zeros(n_post, dtype),
    }


@inner
def remember(net: Net, st: State, fast: Fast, n: int, t: int) -> None:
    """Add a post spike of neuron ``n`` to what the rules it teaches know of the past."""
    g = net.node[n, 0]
    for e in range(net.group[g, 1], net.group[g + 1, 1]):
        rule = net.into[e]
        j = n - net.projection[net.rule[rule, L_PROJECTION], C_TARGET]
        trace = raise_post_trace(net, st, rule, j, t)
        if not fast.dense[rule, D_DENSE]:
            add_to_history(net, st, rule, j, t, trace)
            continue
        at = fast.dense[rule, D_BEGIN] + fast.dense[rule, D_COUNT]
        fast.past[0, at], fast.past[1, at] = t + net.rule[rule, L_MAX_LAG], j
        fast.past_trace[at] = trace
        fast.dense[rule, D_COUNT] += 1
        if fast.dense[rule, D_COUNT] > fast.dense[rule, D_CAPACITY] - net.rule[rule, L_N_POST]:
            st.register[FULL] = 1


@inner
def _see(net: Net, fast: Fast, rule: int, until: int) -> None:
    """Let post spikes due by ``until`` count for the next pre spikes."""
    begin, post = fast.dense[rule, D_BEGIN], net.rule[rule, L_POST]
    seen = fast.dense[rule, D_SEEN]
    while seen < fast.dense[rule, D_COUNT] and fast.past[0, begin + seen] <= until:
        j = post + fast.past[1, begin + seen]
        fast.seen[j], fast.seen_trace[j] = fast.past[0, begin + seen], fast.past_trace[begin + seen]
        seen += 1
    fast.dense[rule, D_SEEN] = seen


@inner
def _raise(
    row: Any, ticks: Any, who: Any, window: Any, last: int, trace: Any, rule: Any, how: Any
) -> None:
    """Replay post spikes.

    ``rule`` holds a_plus, low and high; ``how`` the tick of the pre spike, whether steps
    depend on the weight, and whether bounds wait for the next pre spike.
    """
    a_plus, low, high = rule
    before, multiplicative, late = how
    far = np.uint64(last)
    if multiplicative:
        for e in range(np.uint64(ticks.size)):
            gain = a_plus * (trace * window[min(np.uint64(ticks[e] - before), far)]) / high
            j = np.uint64(who[e])
            w = row[j] + gain * (high - row[j])
            row[j] = w if late else min(max(w, low), high)
    elif late:
        for e in range(np.uint64(ticks.size)):
            row[np.uint64(who[e])] += a_plus * (
                trace * window[min(np.uint64(ticks[e] - before), far)]
            )
    else:
        for e in range(np.uint64(ticks.size)):
            gain = a_plus * (trace * window[min(np.uint64(ticks[e] - before), far)])
            j = np.uint64(who[e])
            row[j] = min(max(row[j] + gain, low), high)


@inner
def _losses(loss: Any, seen: Any, trace: Any, window: Any, last: int, t: int, a_minus: Any) -> None:
    for j in range(loss.size):
        loss[j] = a_minus * (trace[j] * window[np.uint64(min(t - seen[j], last))])


@inner
def _lower(row: Any, loss: Any, low: Any, high: Any) -> None:
    for j in range(row.size):
        row[j] = min(max(row[j] - loss[j], low), high)


@inner
def _lower_in_proportion(row: Any, loss: Any, low: Any, high: Any) -> None:
    for j in range(row.size):
        w = row[j]
        row[j] = min(max(w - loss[j] / high * (w - low), low), high)


@inner
def learn_dense(net: Net, st: State, fast: Fast, rule: int, own: int, until: int, t: int) -> None:
    """Bring row ``own`` up to date, then (``t`` not negative) a pre spike in ``t``."""
    i, n = net.rule[rule, L_PRE] + own, net.rule[rule, L_N_POST]
    begin = fast.dense[rule, D_BEGIN]
    end, first = fast.dense[rule, D_COUNT], fast.cursor[i]
    while end > first and fast.past[0, begin + end - 1] > until:
        end -= 1
    while first < end and fast.past[0, begin + first] <= st.pre[i, 1]:
        first += 1
    at = net.projection[net.rule[rule, L_PROJECTION], C_WEIGHT] + own * n
    row = st.weight[at : at + n]
    values = net.rule[rule, L_VALUES]
    low, high = net.real[values + 2], net.real[values + 3]
    multiplicative = net.rule[rule, L_MULTIPLICATIVE] != 0
    if first < end:
        plus, last = net.rule[rule, L_PLUS], net.rule[rule, L_PLUS_LAST]
        _raise(
            row,
            fast.past[0, begin + first : begin + end],
            fast.past[1, begin + first : begin + end],
            net.real[plus : plus + last + 1],
            last,
            st.pre_trace[i],
            (net.real[values], low, high),
            (st.pre[i, 0], multiplicative, net.rule[rule, L_LATE] != 0),
        )
    fast.cursor[i] = end
    st.pre[i, 1] = max(st.pre[i, 1], until)
    if t < 0:
        return
    post = net.rule[rule, L_POST]
    loss = fast.loss[post : post + n]
    if fast.dense[rule, D_CACHED] != t:
        coincidence = net.rule[rule, L_COINCIDENCE]
        early = 1 if coincidence in (IGNORE, POTENTIATE) else 0
        _see(net, fast, rule, t - early)
        minus, last = net.rule[rule, L_MINUS], net.rule[rule, L_MINUS_LAST]
        window = net.real[minus : minus + last + 1]
        seen, trace = fast.seen[post : post + n], fast.seen_trace[post : post + n]
        _losses(loss, seen, trace, window, last, t, net.real[values + 1])
        fast.dense[rule, D_CACHED] = t
    if multiplicative:
        _lower_in_proportion(row, loss, low, high)
    else:
        _lower(row, loss, low, high)
    trace_now = net.real[0]
    if not net.rule[rule, L_NEAREST]:
        gap = min(t - st.pre[i, 0], net.rule[rule, L_PLUS_LAST])
        trace_now += st.pre_trace[i] * net.real[net.rule[rule, L_PLUS] + gap]
    st.pre_trace[i] = trace_now
    st.pre[i, 0] = t


@inner
def flush_dense(net: Net, st: State, fast: Fast, t: int) -> None:
    """Bring all rows of dense rules up to date, and cut their lists to what is on its way."""
    for rule in range(net.rule.shape[0]):
        if not fast.dense[rule, D_DENSE]:
            continue
        for own in range(net.rule[rule, L_N_PRE]):
            i = net.rule[rule, L_PRE] + own
            if st.pre_trace[i] == 0:  # a row that never fired has nothing to learn
                st.pre[i, 1] = max(st.pre[i, 1], t)
            else:
                learn_dense(net, st, fast, rule, own, t, -1)
            fast.cursor[i] = 0
        _see(net, fast, rule, t)
        begin, cut = fast.dense[rule, D_BEGIN], fast.dense[rule, D_SEEN]
        for e in range(begin, begin + fast.dense[rule, D_COUNT] - cut):
            fast.past[0, e], fast.past[1, e] = fast.past[0, e + cut], fast.past[1, e + cut]
            fast.past_trace[e] = fast.past_trace[e + cut]
        fast.dense[rule, D_COUNT] -= cut
        fast.dense[rule, D_SEEN] = 0
