"""Compiled: states in closed form, now and in the past, and what they make of synapses.

Arithmetic follows docs/semantics to the letter (same digits, same order of sums as the oracle).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.caching import inner
from spikecore.backends.event.tables import K, M, Net, P, R, State

__all__ = [
    "carry",
    "factor",
    "finite",
    "forget_past",
    "keep_past",
    "load",
    "past_factor",
    "stays_below",
]

FULL = int(R.FULL)
P_START, P_STATES, P_X = int(P.START), int(P.N_STATES), int(P.X_0)
P_KINDS, P_SIZE, P_BITS = int(P.KINDS), int(P.TABLE_SIZE), int(P.BITS)
P_FREE, P_HELD, P_PAST = int(P.FREE_0), int(P.HELD_0), int(P.PAST)
P_PAST_0, P_PAST_X = int(P.PAST_0), int(P.PAST_X_0)
M_START, M_STATE, M_WHO = int(M.START), int(M.STATE), int(M.WHO_0)
M_VALUES, M_BASE, M_THRESHOLD = int(M.VALUES_0), int(M.BASE_0), int(M.THRESHOLD_0)
M_CACHE = int(M.CACHE_0)
AT, UNTIL, N_PAST = int(K.AT), int(K.UNTIL), int(K.PAST)


@inner
def carry(x: Any, s: int, table: Any, base: int, bits: int, gap: int) -> None:
    """Carry the state in ``x[:s]`` over ``gap`` ticks, lowest digit first."""
    position = 0
    while gap > 0:
        digit = gap & ((1 << bits) - 1)
        if digit > 0:
            at = base + ((position << bits) + digit) * s * (s + 1)
            for i in range(s):
                total = table[at + s]
                for j in range(s):
                    total += table[at + j] * x[j]
                x[s + i] = total
                at += s + 1
            for i in range(s):
                x[i] = x[s + i]
        gap >>= bits
        position += 1


@inner
def _load_from(net: Net, st: State, n: int, x: Any, at: int, last: int, until: int, t: int) -> None:
    """Put the state of neuron ``n`` in tick ``t`` into the buffer.

    It was committed in tick ``last``, refractory up to ``until``, and lies in ``x`` from ``at`` on.
    """
    pop = net.node[n, 1]
    s = net.population[pop, P_STATES]
    own = n - net.population[pop, P_START]
    base = net.population[pop, P_KINDS] * own * net.population[pop, P_SIZE]
    for i in range(s):
        st.buffer[i] = x[at + i]
    held = min(t, until) - last
    if held > 0:
        carry(
            st.buffer,
            s,
            net.real,
            net.population[pop, P_HELD] + base,
            net.population[pop, P_BITS],
            held,
        )
        last += held
    carry(
        st.buffer,
        s,
        net.real,
        net.population[pop, P_FREE] + base,
        net.population[pop, P_BITS],
        t - last,
    )


@inner
def load(net: Net, st: State, n: int, t: int) -> None:
    """Put the state of neuron ``n`` in tick ``t`` into the buffer."""
    pop = net.node[n, 1]
    own = n - net.population[pop, P_START]
    at = net.population[pop, P_X] + own * net.population[pop, P_STATES]
    _load_from(net, st, n, st.x, at, st.clock[n, AT], st.clock[n, UNTIL], t)


@inner
def stays_below(table: Any, at: int, x: Any, s: int, threshold: Any, margin: Any) -> bool:
    """Whether the bound that begins at ``at`` keeps the state ``x`` below the threshold.

    A bound has, for each state and the drive, what a positive one adds at most, then the same
    for negative ones.
    """
    level = table[at + s]
    size = abs(level)
    for i in range(s):
        term = table[at + i] * x[i] if x[i] > 0 else table[at + s + 1 + i] * -x[i]
        level += term
        size += abs(term)
    # Not a number counts as "no": what overflows here is looked at.
    return bool(level + margin * (size + abs(threshold)) < threshold)


@inner
def finite(x: Any, s: int) -> bool:
    """Tell whether all states in ``x[:s]`` are finite."""
    for i in range(s):  # noqa: SIM110 (numba compiles no generator expressions)
        if not np.isfinite(x[i]):
            return False
    return True


@inner
def _factor_of(net: Net, m: int, j: int, x: Any) -> Any:
    """Return the factor that neuron ``j`` of modulation ``m`` makes of its state ``x``."""
    gain = net.real[net.modulation[m, M_VALUES]]
    floor = net.real[net.modulation[m, M_VALUES] + 1]
    factor = net.real[net.modulation[m, M_BASE] + j]
    threshold = net.modulation[m, M_THRESHOLD]
    if threshold < 0:
        factor += gain * x
    elif x > net.real[threshold + j]:
        factor += gain
    return max(factor, floor)


@inner
def factor(net: Net, st: State, m: int, synapse: int, t: int) -> Any:
    """Return the factor of a synapse at the end of the present tick ``t``."""
    j = np.int64(net.who[net.modulation[m, M_WHO] + synapse])
    at = net.modulation[m, M_CACHE] + j
    if st.factor_at[at] != t:
        load(net, st, net.modulation[m, M_START] + j, t)
        st.factor[at] = _factor_of(net, m, j, st.buffer[net.modulation[m, M_STATE]])
        st.factor_at[at] = t
    return st.factor[at]


@inner
def past_factor(net: Net, st: State, m: int, synapse: int, t: int) -> Any:
    """Return the factor of a synapse at the end of tick ``t``, which may be long ago."""
    j = np.int64(net.who[net.modulation[m, M_WHO] + synapse])
    n = net.modulation[m, M_START] + j
    pop = net.node[n, 1]
    own = (n - net.population[pop, P_START]) * net.population[pop, P_PAST]
    first = net.population[pop, P_PAST_0] + own
    entry = st.clock[n, N_PAST] - 1
    while st.past[first + entry, 0] > t:
        entry -= 1
    at = net.population[pop, P_PAST_X] + (own + entry) * net.population[pop, P_STATES]
    _load_from(net, st, n, st.past_x, at, st.past[first + entry, 0], st.past[first + entry, 1], t)
    return _factor_of(net, m, j, st.buffer[net.modulation[m, M_STATE]])


@inner
def keep_past(net: Net, st: State, n: int, s: int) -> None:
    """Keep the state of neuron ``n`` that has just been committed."""
    pop = net.node[n, 1]
    own = (n - net.population[pop, P_START]) * net.population[pop, P_PAST] + st.clock[n, N_PAST]
    st.past[net.population[pop, P_PAST_0] + own, 0] = st.clock[n, AT]
    st.past[net.population[pop, P_PAST_0] + own, 1] = st.clock[n, UNTIL]
    for i in range(s):
        st.past_x[net.population[pop, P_PAST_X] + own * s + i] = st.buffer[i]
    st.clock[n, N_PAST] += 1
    if st.clock[n, N_PAST] == net.population[pop, P_PAST]:
        st.register[FULL] = 1


@inner
def forget_past(net: Net, st: State) -> None:
    """Keep only the latest committed state: all that it was needed for has been learnt."""
    for pop in range(net.population.shape[0]):
        kept, s = net.population[pop, P_PAST], net.population[pop, P_STATES]
        n = net.population[pop, P_START]
        while kept > 0 and n < net.node.shape[0] and net.node[n, 1] == pop:
            own = (n - net.population[pop, P_START]) * kept
            first, last = net.population[pop, P_PAST_0] + own, st.clock[n, N_PAST] - 1
            st.past[first, 0], st.past[first, 1] = (
                st.past[first + last, 0],
                st.past[first + last, 1],
            )
            x = net.population[pop, P_PAST_X] + own * s
            for i in range(s):
                st.past_x[x + i] = st.past_x[x + last * s + i]
            st.clock[n, N_PAST] = 1
            n += 1
