"""Compiled: pair STDP, row by row and in arrears (docs/decisions/0005)."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.caching import inner
from spikecore.backends.event.states import factor, forget_past, past_factor
from spikecore.backends.event.tables import C, L, Net, R, State

__all__ = [
    "IGNORE",
    "POTENTIATE",
    "add_to_history",
    "flush",
    "learn_row",
    "raise_post_trace",
    "remember",
]

FULL = int(R.FULL)
C_TARGET, C_ROW, C_TARGETS = int(C.TARGET), int(C.ROW_0), int(C.TARGET_0)
C_WEIGHT, C_DELAY, C_DELAY_STEP = int(C.WEIGHT_0), int(C.DELAY_0), int(C.DELAY_STEP)
L_PROJECTION, L_NEAREST, L_COINCIDENCE = int(L.PROJECTION), int(L.NEAREST), int(L.COINCIDENCE)
L_DENDRITIC, L_LATE, L_MULTIPLICATIVE = int(L.DENDRITIC), int(L.LATE_CLAMP), int(L.MULTIPLICATIVE)
L_VALUES, L_PLUS, L_PLUS_LAST = int(L.VALUES_0), int(L.PLUS_0), int(L.PLUS_LAST)
L_MINUS, L_MINUS_LAST, L_PRE = int(L.MINUS_0), int(L.MINUS_LAST), int(L.PRE_0)
L_N_PRE, L_POST, L_N_POST = int(L.N_PRE), int(L.POST_0), int(L.N_POST)
L_HISTORY, L_HISTORY_0, L_MAX_LAG = int(L.HISTORY), int(L.HISTORY_0), int(L.MAX_LAG)
L_PLUS_FACTOR, L_MINUS_FACTOR = int(L.PLUS_FACTOR), int(L.MINUS_FACTOR)
POTENTIATE, IGNORE = 1, 2  # L.COINCIDENCE
ONE = np.uint64(1)


@inner
def remember(net: Net, st: State, n: int, t: int) -> None:
    """Add a post spike of neuron ``n`` to the history of every rule it teaches."""
    g = net.node[n, 0]
    for e in range(net.group[g, 1], net.group[g + 1, 1]):
        rule = net.into[e]
        j = n - net.projection[net.rule[rule, L_PROJECTION], C_TARGET]
        add_to_history(net, st, rule, j, t, raise_post_trace(net, st, rule, j, t))


@inner
def raise_post_trace(net: Net, st: State, rule: int, j: int, t: int) -> Any:
    """Let target ``j`` of a rule fire in ``t``; return its trace afterwards."""
    post = net.rule[rule, L_POST] + j
    trace = net.real[0]
    if not net.rule[rule, L_NEAREST]:
        gap = min(t - st.post[post, 0], net.rule[rule, L_MINUS_LAST])
        trace += st.post_trace[post] * net.real[net.rule[rule, L_MINUS] + gap]
    st.post_trace[post] = trace
    st.post[post, 0] = t
    return trace


@inner
def add_to_history(net: Net, st: State, rule: int, j: int, t: int, trace: Any) -> None:
    """Keep a post spike of target ``j`` until all rows have learnt from it."""
    post = net.rule[rule, L_POST] + j
    at = net.rule[rule, L_HISTORY_0] + j * net.rule[rule, L_HISTORY] + st.post[post, 1]
    st.history_tick[at] = t
    st.history_trace[at] = trace
    st.post[post, 1] += 1
    if st.post[post, 1] == net.rule[rule, L_HISTORY]:
        st.register[FULL] = 1


@inner
def _a_plus(net: Net, st: State, rule: int, synapse: int, t: int) -> Any:
    """Return A_plus of a synapse at the end of tick ``t``, now or earlier."""
    a, m = net.real[net.rule[rule, L_VALUES]], net.rule[rule, L_PLUS_FACTOR]
    if m >= 0:
        a *= past_factor(net, st, m, synapse, t)
    return a


@inner
def _a_minus(net: Net, st: State, rule: int, synapse: int, t: int) -> Any:
    """Return A_minus of a synapse at the end of the present tick ``t``."""
    a, m = net.real[net.rule[rule, L_VALUES] + 1], net.rule[rule, L_MINUS_FACTOR]
    if m >= 0:
        a *= factor(net, st, m, synapse, t)
    return a


@inner
def _learn(net: Net, st: State, rule: int, i: int, synapse: int, until: int, t: int) -> None:
    """Bring a synapse up to date: post spikes due by ``until``, then a pre spike in ``t``.

    With ``t`` negative there is no pre spike.
    """
    proj = net.rule[rule, L_PROJECTION]
    j = np.int64(net.target[net.projection[proj, C_TARGETS] + synapse])
    w_at = net.projection[proj, C_WEIGHT] + synapse
    w = st.weight[w_at]
    values = net.rule[rule, L_VALUES]
    low, high = net.real[values + 2], net.real[values + 3]
    lag = np.int64(0)
    if net.rule[rule, L_DENDRITIC]:
        lag = np.int64(
            net.delay[net.projection[proj, C_DELAY] + net.projection[proj, C_DELAY_STEP] * synapse]
        )
    begin = net.rule[rule, L_HISTORY_0] + j * net.rule[rule, L_HISTORY]
    end = begin + st.post[net.rule[rule, L_POST] + j, 1]
    while end > begin and st.history_tick[end - 1] + lag > until:
        end -= 1
    first = end
    while first > begin and st.history_tick[first - 1] + lag > st.pre[i, 1]:
        first -= 1
    plus, minus = net.rule[rule, L_PLUS], net.rule[rule, L_MINUS]
    multiplicative = net.rule[rule, L_MULTIPLICATIVE] != 0
    window = net.real[plus : plus + net.rule[rule, L_PLUS_LAST] + 1]
    for e in range(first, end):
        due = st.history_tick[e] + lag
        a_plus = _a_plus(net, st, rule, synapse, due)
        how = a_plus, low, high, st.pre_trace[i], multiplicative, net.rule[rule, L_LATE] != 0
        w = _raised(w, due - st.pre[i, 0], window, how)
    if t >= 0:
        if net.rule[rule, L_COINCIDENCE] == IGNORE:  # a post spike of this very tick
            while end > begin and st.history_tick[end - 1] + lag >= t:
                end -= 1
        y = net.real[0] - net.real[0]
        if end > begin:
            gap = min(t - (st.history_tick[end - 1] + lag), net.rule[rule, L_MINUS_LAST])
            y = st.history_trace[end - 1] * net.real[minus + gap]
        w = _lowered(w, y, (_a_minus(net, st, rule, synapse, t), low, high, multiplicative))
    st.weight[w_at] = w


@inner
def _raised(w: Any, gap: int, plus: Any, how: Any) -> Any:
    """Return a weight after a post spike ``gap`` ticks behind the pre spike."""
    a_plus, low, high, trace, multiplicative, late = how
    gain = a_plus * (trace * plus[np.uint64(min(gap, plus.size - 1))])
    if multiplicative:
        gain = gain / high * (high - w)
    w += gain
    return w if late else min(max(w, low), high)


@inner
def _lowered(w: Any, y: Any, how: Any) -> Any:
    """Return a weight after a pre spike, ``y`` being the trace of post spikes."""
    a_minus, low, high, multiplicative = how
    loss = a_minus * y
    if multiplicative:
        loss = loss / high * (w - low)
    return min(max(w - loss, low), high)


@inner
def _learn_alike(
    st: State, target: Any, delay: Any, window: Any, row: Any, where: Any, pre: Any, how: Any
) -> None:
    """Do what ``_learn`` does for all synapses of a row, if nothing modulates their learning.

    A function of its own, without the tuple of all arrays of the network, and with what all
    synapses share looked up once.
    """
    first, end_of_row, w_shift = row
    post_0, begin_0, length, dendritic, lag_0, lag_step = where
    before, known, until, t, ignore = pre
    values, multiplicative, late, trace = how
    a_plus, a_minus, low, high = values
    raising = (a_plus, low, high, trace, multiplicative, late)
    lowering = (a_minus, low, high, multiplicative)
    weight, ticks, traces, counts = st.weight, st.history_tick, st.history_trace, st.post
    (plus, minus), lag = window, np.int64(0)
    for k in range(first, end_of_row):
        begin = begin_0 + np.uint64(target[k]) * length
        end = begin + np.uint64(counts[post_0 + np.uint64(target[k]), 1])
        if dendritic:
            lag = np.int64(delay[lag_0 + lag_step * k])
        w = weight[k + w_shift]
        while end > begin and ticks[end - ONE] + lag > until:
            end -= ONE
        e = end
        while e > begin and ticks[e - ONE] + lag > known:
            e -= ONE
        while e < end:
            w = _raised(w, ticks[e] + lag - before, plus, raising)
            e += ONE
        if t >= 0:
            if ignore:  # a post spike of this very tick
                while end > begin and ticks[end - ONE] + lag >= t:
                    end -= ONE
            y = a_minus - a_minus
            if end > begin:
                gap = min(t - (ticks[end - ONE] + lag), minus.size - 1)
                y = traces[end - ONE] * minus[np.uint64(gap)]
            w = _lowered(w, y, lowering)
        weight[k + w_shift] = w


@inner
def _learn_all(net: Net, st: State, rule: int, i: int, row: int, until: int, t: int) -> None:
    """Bring the synapses of row ``row`` up to date, all with the same amplitudes."""
    proj = net.rule[rule, L_PROJECTION]
    first, step = net.projection[proj, C_TARGETS], net.projection[proj, C_DELAY_STEP]
    values = net.rule[rule, L_VALUES]
    plus, minus = net.rule[rule, L_PLUS], net.rule[rule, L_MINUS]
    own = (
        np.uint64(first + net.row[row]),
        np.uint64(first + net.row[row + 1]),
        np.uint64(net.projection[proj, C_WEIGHT] - first),
    )
    where = (
        np.uint64(net.rule[rule, L_POST]),
        np.uint64(net.rule[rule, L_HISTORY_0]),
        np.uint64(net.rule[rule, L_HISTORY]),
        net.rule[rule, L_DENDRITIC] != 0,
        np.uint64(net.projection[proj, C_DELAY] - step * first),
        np.uint64(step),
    )
    window = (
        net.real[plus : plus + net.rule[rule, L_PLUS_LAST] + 1],
        net.real[minus : minus + net.rule[rule, L_MINUS_LAST] + 1],
    )
    ignore = net.rule[rule, L_COINCIDENCE] == IGNORE
    how = (
        (net.real[values], net.real[values + 1], net.real[values + 2], net.real[values + 3]),
        net.rule[rule, L_MULTIPLICATIVE] != 0,
        net.rule[rule, L_LATE] != 0,
        st.pre_trace[i],
    )
    pre = (st.pre[i, 0], st.pre[i, 1], until, t, ignore)
    _learn_alike(st, net.target, net.delay, window, own, where, pre, how)


@inner
def learn_row(net: Net, st: State, rule: int, own: int, until: int, t: int) -> None:
    """Bring row ``own`` up to date, then (``t`` not negative) a pre spike in ``t``."""
    i = net.rule[rule, L_PRE] + own
    row = net.projection[net.rule[rule, L_PROJECTION], C_ROW] + own
    first = net.projection[net.rule[rule, L_PROJECTION], C_TARGETS]
    silent = t < 0 and st.pre_trace[i] == 0  # a row that never fired has nothing to learn
    if net.rule[rule, L_PLUS_FACTOR] < 0 and net.rule[rule, L_MINUS_FACTOR] < 0:
        if not silent:
            _learn_all(net, st, rule, i, row, until, t)
    else:
        for synapse in range(net.row[row], net.row[row] if silent else net.row[row + 1]):
            post = net.rule[rule, L_POST] + np.int64(net.target[first + synapse])
            if t >= 0 or st.post[post, 1] > 0:
                _learn(net, st, rule, i, synapse, until, t)
    st.pre[i, 1] = max(st.pre[i, 1], until)
    if t >= 0:
        trace = net.real[0]
        if not net.rule[rule, L_NEAREST]:
            gap = min(t - st.pre[i, 0], net.rule[rule, L_PLUS_LAST])
            trace += st.pre_trace[i] * net.real[net.rule[rule, L_PLUS] + gap]
        st.pre_trace[i] = trace
        st.pre[i, 0] = t


@inner
def flush(net: Net, st: State, t: int) -> None:
    """Apply all post spikes that have reached their synapses by the end of tick ``t``.

    Histories are cut down to what can still matter: spikes on their way, and the
    one before them.
    """
    st.register[FULL] = 0
    for rule in range(net.rule.shape[0]):
        if net.projection[net.rule[rule, L_PROJECTION], C_TARGETS] < 0:
            continue  # learnt from one list of post spikes (replay.py)
        for own in range(net.rule[rule, L_N_PRE]):
            learn_row(net, st, rule, own, t, -1 - t)
        for j in range(net.rule[rule, L_N_POST]):
            begin = net.rule[rule, L_HISTORY_0] + j * net.rule[rule, L_HISTORY]
            post = net.rule[rule, L_POST] + j
            keep = st.post[post, 1]
            while keep > 0 and st.history_tick[begin + keep - 1] + net.rule[rule, L_MAX_LAG] > t:
                keep -= 1
            keep = max(0, keep - 1)
            for e in range(begin, begin + st.post[post, 1] - keep):
                st.history_tick[e] = st.history_tick[e + keep]
                st.history_trace[e] = st.history_trace[e + keep]
            st.post[post, 1] -= keep
    forget_past(net, st)
