"""The compiled heart of the event-driven core.

One pass per tick that has something to do: take what the calendar holds for the
tick, carry every neuron that is touched to it in closed form, test thresholds,
put the spikes into the calendar. A neuron that nothing reaches, and that cannot
reach its threshold by itself any more, is not looked at, however long the gap.

Arithmetic follows docs/semantics to the letter (same digits, same order of sums
as the oracle), so results are equal to the last bit. No fastmath, for that reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from spikecore.backends.event.tables import BLOCK, C, L, M, Net, P, R, State

__all__ = ["DIVERGED", "DONE", "FLUSH", "GROW", "OUTPUT_FULL", "RUNAWAY", "WAKE", "run"]

DONE, OUTPUT_FULL, GROW, DIVERGED, RUNAWAY = 0, 1, 2, 3, 4
WAKE, FLUSH = -1, -2
"""Special orders that ``run`` takes in place of a tick to stop at. (One entry point,
because each costs its own compilation.)"""

# Names of columns and entries as plain integers, which compile to constants.
TICK, PHASE, N_ACTIVE, N_SPIKES = int(R.TICK), int(R.PHASE), int(R.N_ACTIVE), int(R.N_SPIKES)
SPIKE, PROJECTION, N_OUT, INPUT = int(R.SPIKE), int(R.PROJECTION), int(R.N_OUT), int(R.INPUT)
FREE_HEAD, N_FREE, PENDING = int(R.FREE_HEAD), int(R.N_FREE), int(R.PENDING)
SENT, DELIVERED, UPDATES = int(R.SENT), int(R.DELIVERED), int(R.UPDATES)
BAD, FULL = int(R.BAD), int(R.FULL)
P_START, P_STATES, P_X, P_KINDS = int(P.START), int(P.N_STATES), int(P.X_0), int(P.KINDS)
P_SIZE, P_BITS, P_PORTS = int(P.TABLE_SIZE), int(P.BITS), int(P.N_PORTS)
P_REFRACTORY, P_MASK = int(P.REFRACTORY_0), int(P.MASK_0)
P_FREE, P_HELD, P_RESET, P_JUMP = int(P.FREE_0), int(P.HELD_0), int(P.RESET_0), int(P.JUMP_0)
P_H, P_THRESHOLD, P_BOUND = int(P.H_0), int(P.THRESHOLD_0), int(P.BOUND_0)
P_GAIN, P_GAIN_HELD = int(P.GAIN_0), int(P.GAIN_HELD_0)
C_SOURCE, C_TARGET, C_PORT, C_ROW = int(C.SOURCE), int(C.TARGET), int(C.PORT), int(C.ROW_0)
C_SYNAPSE, C_WEIGHT, C_WEIGHT_STEP = int(C.SYNAPSE_0), int(C.WEIGHT_0), int(C.WEIGHT_STEP)
C_DELAY, C_DELAY_STEP, C_RULE = int(C.DELAY_0), int(C.DELAY_STEP), int(C.RULE)
L_PROJECTION, L_NEAREST, L_COINCIDENCE = int(L.PROJECTION), int(L.NEAREST), int(L.COINCIDENCE)
L_DENDRITIC, L_LATE, L_MULTIPLICATIVE = int(L.DENDRITIC), int(L.LATE_CLAMP), int(L.MULTIPLICATIVE)
L_VALUES, L_PLUS, L_PLUS_LAST = int(L.VALUES_0), int(L.PLUS_0), int(L.PLUS_LAST)
L_MINUS, L_MINUS_LAST, L_PRE = int(L.MINUS_0), int(L.MINUS_LAST), int(L.PRE_0)
L_N_PRE, L_POST, L_N_POST = int(L.N_PRE), int(L.POST_0), int(L.N_POST)
L_HISTORY, L_HISTORY_0, L_MAX_LAG = int(L.HISTORY), int(L.HISTORY_0), int(L.MAX_LAG)
L_PLUS_FACTOR, L_MINUS_FACTOR = int(L.PLUS_FACTOR), int(L.MINUS_FACTOR)
C_FACTOR, P_PAST, P_PAST_0, P_PAST_X = int(C.FACTOR), int(P.PAST), int(P.PAST_0), int(P.PAST_X_0)
M_START, M_STATE, M_WHO, M_VALUES = int(M.START), int(M.STATE), int(M.WHO_0), int(M.VALUES_0)
M_BASE, M_THRESHOLD, M_CACHE = int(M.BASE_0), int(M.THRESHOLD_0), int(M.CACHE_0)
AT, UNTIL, HIT, N_PAST = 0, 1, 2, 3  # State.clock
TOUCHED, ACTIVE, SPIKES, MANY = 0, 1, 2, 3  # State.lists
COUNT, HEAD, TAIL = 0, 1, 2  # State.slot
POTENTIATE, IGNORE = 1, 2  # L.COINCIDENCE

# Functions that only other kernels call need no wrapper for Python, and none of them
# allocates, so none needs reference counts: half of the compile time that a user
# waits for once (docs/decisions/0006).
_inner = njit(  # type: ignore[call-overload]
    no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False
)


@_inner
def _carry(x: Any, s: int, table: Any, base: int, bits: int, gap: int) -> None:
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


@_inner
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
        _carry(
            st.buffer,
            s,
            net.real,
            net.population[pop, P_HELD] + base,
            net.population[pop, P_BITS],
            held,
        )
        last += held
    _carry(
        st.buffer,
        s,
        net.real,
        net.population[pop, P_FREE] + base,
        net.population[pop, P_BITS],
        t - last,
    )


@_inner
def _load(net: Net, st: State, n: int, t: int) -> None:
    """Put the state of neuron ``n`` in tick ``t`` into the buffer."""
    pop = net.node[n, 1]
    own = n - net.population[pop, P_START]
    at = net.population[pop, P_X] + own * net.population[pop, P_STATES]
    _load_from(net, st, n, st.x, at, st.clock[n, AT], st.clock[n, UNTIL], t)


@_inner
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


@_inner
def _factor(net: Net, st: State, m: int, synapse: int, t: int) -> Any:
    """Return the factor of a synapse at the end of the present tick ``t``."""
    j = np.int64(net.who[net.modulation[m, M_WHO] + synapse])
    at = net.modulation[m, M_CACHE] + j
    if st.factor_at[at] != t:
        _load(net, st, net.modulation[m, M_START] + j, t)
        st.factor[at] = _factor_of(net, m, j, st.buffer[net.modulation[m, M_STATE]])
        st.factor_at[at] = t
    return st.factor[at]


@_inner
def _past_factor(net: Net, st: State, m: int, synapse: int, t: int) -> Any:
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


@_inner
def _keep_past(net: Net, st: State, n: int, s: int) -> None:
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


@_inner
def _forget_past(net: Net, st: State) -> None:
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


@_inner
def _watch(net: Net, st: State, n: int, t: int) -> None:
    """Put neuron ``n``, whose state is in the buffer, on the active list if it can still fire."""
    pop = net.node[n, 1]
    s = net.population[pop, P_STATES]
    own = net.population[pop, P_KINDS] * (n - net.population[pop, P_START])
    threshold = net.real[net.population[pop, P_THRESHOLD] + own]
    if threshold == np.inf:
        return
    held = st.clock[n, UNTIL] - t
    if held > 0:  # judge it by the state in which it leaves its refractory period
        _carry(
            st.buffer,
            s,
            net.real,
            net.population[pop, P_HELD] + own * net.population[pop, P_SIZE],
            net.population[pop, P_BITS],
            held,
        )
    up = net.population[pop, P_BOUND] + own * 2 * (s + 1)
    down = up + s + 1
    level = net.real[up + s]
    size = abs(level)
    for i in range(s):
        x = st.buffer[i]
        term = net.real[up + i] * x if x > 0 else net.real[down + i] * -x
        level += term
        size += abs(term)
    # "not <" rather than ">=": what overflows here (not a number) is looked at.
    if not level + net.real[1] * (size + abs(threshold)) < threshold:
        st.lists[ACTIVE, st.register[N_ACTIVE]] = n
        st.register[N_ACTIVE] += 1


@_inner
def _collect(net: Net, st: State, t: int) -> int:
    """Take the arrivals of ``t`` out of the calendar; return how many neurons are touched."""
    reg = st.register
    slot = t % st.slot.shape[0]
    left, block, count = st.slot[slot, COUNT], st.slot[slot, HEAD], 0
    reg[DELIVERED] += left
    reg[PENDING] -= left
    while left > 0:
        begin = block * BLOCK
        for e in range(begin, begin + min(left, BLOCK)):
            cell = np.int64(st.block_cell[e])
            st.acc[cell] += st.block_weight[e]
            n = cell >> net.port_bits[0]
            if st.clock[n, HIT] != t:
                st.clock[n, HIT] = t
                st.lists[TOUCHED, count] = n
                count += 1
        left -= BLOCK
        following = st.block_next[block]
        st.block_next[block] = reg[FREE_HEAD] if reg[N_FREE] > 0 else -1
        reg[FREE_HEAD] = block
        reg[N_FREE] += 1
        block = following
    st.slot[slot, COUNT] = 0
    for i in range(reg[N_ACTIVE]):
        n = st.lists[ACTIVE, i]
        if st.clock[n, HIT] != t:
            st.lists[TOUCHED, count] = n
            count += 1
    reg[N_ACTIVE] = 0
    return count


@_inner
def _finite(x: Any, s: int) -> bool:
    for i in range(s):  # noqa: SIM110 (numba compiles no generator expressions)
        if not np.isfinite(x[i]):
            return False
    return True


@_inner
def _update(net: Net, st: State, n: int, t: int) -> int:
    """Bring neuron ``n`` to tick ``t``. Return 1 if it fires, -1 if its state is not finite."""
    pop = net.node[n, 1]
    s = net.population[pop, P_STATES]
    own = n - net.population[pop, P_START]
    kind = net.population[pop, P_KINDS] * own
    _load(net, st, n, t)
    x = st.buffer
    refractory = t <= st.clock[n, UNTIL]
    commit = st.clock[n, HIT] == t
    if commit:
        cell = n << net.port_bits[0]
        at = (
            net.population[pop, P_GAIN_HELD] if refractory else net.population[pop, P_GAIN]
        ) + kind * net.population[pop, P_PORTS] * s
        for port in range(net.population[pop, P_PORTS]):
            arrived = st.acc[cell + port]
            st.acc[cell + port] = 0
            for i in range(s):
                x[i] += net.real[at + i] * arrived
            at += s
    level = net.real[0] - net.real[0]
    for i in range(s):
        level += net.real[net.population[pop, P_H] + i] * x[i]
    threshold = net.real[net.population[pop, P_THRESHOLD] + kind]
    fires = not refractory and level >= threshold and threshold < np.inf
    commit = commit or fires
    if commit and not _finite(x, s):
        return -1
    if fires:
        for i in range(s):
            if net.whole[net.population[pop, P_MASK] + i]:
                x[i] = net.real[net.population[pop, P_RESET] + kind * s + i]
            else:
                x[i] += net.real[net.population[pop, P_JUMP] + kind * s + i]
        st.clock[n, UNTIL] = t + net.whole[net.population[pop, P_REFRACTORY] + kind]
    if commit:
        for i in range(s):
            st.x[net.population[pop, P_X] + own * s + i] = x[i]
        st.clock[n, AT] = t
        if net.population[pop, P_PAST] > 0:
            _keep_past(net, st, n, s)
    _watch(net, st, n, t)
    return 1 if fires else 0


@_inner
def _sort(values: Any, lo: int, hi: int) -> None:
    """Shell sort of the spikes ``lo .. hi - 1`` (Ciura's gaps)."""
    for gap in (88801, 39468, 17541, 7796, 3465, 1540, 701, 301, 132, 57, 23, 10, 4, 1):
        for i in range(lo + gap, hi):
            value = values[SPIKES, i]
            j = i
            while j >= lo + gap and values[SPIKES, j - gap] > value:
                values[SPIKES, j] = values[SPIKES, j - gap]
                j -= gap
            values[SPIKES, j] = value


@_inner
def _remember(net: Net, st: State, n: int, t: int) -> None:
    """Add a post spike of neuron ``n`` to the history of every rule it teaches."""
    g = net.node[n, 0]
    for e in range(net.group[g, 1], net.group[g + 1, 1]):
        rule = net.into[e]
        j = n - net.projection[net.rule[rule, L_PROJECTION], C_TARGET]
        post = net.rule[rule, L_POST] + j
        trace = net.real[0]
        if not net.rule[rule, L_NEAREST]:
            gap = min(t - st.post[post, 0], net.rule[rule, L_MINUS_LAST])
            trace += st.post_trace[post] * net.real[net.rule[rule, L_MINUS] + gap]
        st.post_trace[post] = trace
        at = net.rule[rule, L_HISTORY_0] + j * net.rule[rule, L_HISTORY] + st.post[post, 1]
        st.history_tick[at] = t
        st.history_trace[at] = trace
        st.post[post, 0] = t
        st.post[post, 1] += 1
        if st.post[post, 1] == net.rule[rule, L_HISTORY]:
            st.register[FULL] = 1


@_inner
def _a_plus(net: Net, st: State, rule: int, synapse: int, t: int) -> Any:
    """Return A_plus of a synapse at the end of tick ``t``, now or earlier."""
    a, m = net.real[net.rule[rule, L_VALUES]], net.rule[rule, L_PLUS_FACTOR]
    if m >= 0:
        a *= _past_factor(net, st, m, synapse, t)
    return a


@_inner
def _a_minus(net: Net, st: State, rule: int, synapse: int, t: int) -> Any:
    """Return A_minus of a synapse at the end of the present tick ``t``."""
    a, m = net.real[net.rule[rule, L_VALUES] + 1], net.rule[rule, L_MINUS_FACTOR]
    if m >= 0:
        a *= _factor(net, st, m, synapse, t)
    return a


@_inner
def _learn(net: Net, st: State, rule: int, i: int, synapse: int, until: int, t: int) -> None:
    """Bring a synapse up to date: post spikes due by ``until``, then a pre spike in ``t``.

    With ``t`` negative there is no pre spike.
    """
    proj = net.rule[rule, L_PROJECTION]
    j = np.int64(net.target[net.projection[proj, C_SYNAPSE] + synapse])
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
    for e in range(first, end):
        gap = min(st.history_tick[e] + lag - st.pre[i, 0], net.rule[rule, L_PLUS_LAST])
        a_plus = _a_plus(net, st, rule, synapse, st.history_tick[e] + lag)
        gain = a_plus * (st.pre_trace[i] * net.real[net.rule[rule, L_PLUS] + gap])
        if net.rule[rule, L_MULTIPLICATIVE]:
            gain = gain / high * (high - w)
        w += gain
        if not net.rule[rule, L_LATE]:
            w = min(max(w, low), high)
    if t >= 0:
        if net.rule[rule, L_COINCIDENCE] == IGNORE:  # a post spike of this very tick
            while end > begin and st.history_tick[end - 1] + lag >= t:
                end -= 1
        y = net.real[0] - net.real[0]
        if end > begin:
            gap = min(t - (st.history_tick[end - 1] + lag), net.rule[rule, L_MINUS_LAST])
            y = st.history_trace[end - 1] * net.real[net.rule[rule, L_MINUS] + gap]
        loss = _a_minus(net, st, rule, synapse, t) * y
        if net.rule[rule, L_MULTIPLICATIVE]:
            loss = loss / high * (w - low)
        w -= loss
        w = min(max(w, low), high)
    st.weight[w_at] = w


@_inner
def _learn_row(net: Net, st: State, rule: int, own: int, until: int, t: int) -> None:
    """Bring row ``own`` up to date, then (``t`` not negative) a pre spike in ``t``."""
    i = net.rule[rule, L_PRE] + own
    row = net.projection[net.rule[rule, L_PROJECTION], C_ROW] + own
    first = net.projection[net.rule[rule, L_PROJECTION], C_SYNAPSE]
    silent = t < 0 and st.pre_trace[i] == 0  # a row that never fired has nothing to learn
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


@_inner
def _flush(net: Net, st: State, t: int) -> None:
    """Apply all post spikes that have reached their synapses by the end of tick ``t``.

    Histories are cut down to what can still matter: spikes on their way, and the
    one before them.
    """
    st.register[FULL] = 0
    for rule in range(net.rule.shape[0]):
        for own in range(net.rule[rule, L_N_PRE]):
            _learn_row(net, st, rule, own, t, -1 - t)
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
    _forget_past(net, st)


@_inner
def _send_row(net: Net, st: State, p: int, own: int, t: int, many: int) -> None:
    """Put the synaptic events of one row into the calendar, ``many`` times each."""
    reg = st.register
    slots = st.slot.shape[0]
    now = t % slots
    row = net.projection[p, C_ROW] + own
    for synapse in range(net.row[row], net.row[row + 1]):
        due = now + np.int64(
            net.delay[net.projection[p, C_DELAY] + net.projection[p, C_DELAY_STEP] * synapse]
        )
        if due >= slots:
            due -= slots
        target = (
            np.int64(net.target[net.projection[p, C_SYNAPSE] + synapse])
            + net.projection[p, C_TARGET]
        )
        cell = (target << net.port_bits[0]) | net.projection[p, C_PORT]
        weight = st.weight[net.projection[p, C_WEIGHT] + net.projection[p, C_WEIGHT_STEP] * synapse]
        if net.projection[p, C_FACTOR] >= 0:
            weight *= _factor(net, st, net.projection[p, C_FACTOR], synapse, t)
        for _ in range(many):
            place = st.slot[due, COUNT] & (BLOCK - 1)
            if place == 0:
                block = reg[FREE_HEAD]
                reg[FREE_HEAD] = st.block_next[block]
                reg[N_FREE] -= 1
                st.block_next[block] = -1
                if st.slot[due, COUNT] == 0:
                    st.slot[due, HEAD] = block
                else:
                    st.block_next[st.slot[due, TAIL]] = block
                st.slot[due, TAIL] = block
            e = st.slot[due, TAIL] * BLOCK + place
            st.block_cell[e] = cell
            st.block_weight[e] = weight
            st.slot[due, COUNT] += 1
    number = (net.row[row + 1] - net.row[row]) * many
    reg[SENT] += number
    reg[PENDING] += number


@_inner
def _send(net: Net, st: State, t: int) -> int:
    """Send the spikes of ``t``, neuron by neuron; return GROW if the calendar is too small."""
    reg = st.register
    while reg[SPIKE] < reg[N_SPIKES]:
        n, many = st.lists[SPIKES, reg[SPIKE]], st.lists[MANY, reg[SPIKE]]
        g = net.node[n, 0]
        while net.group[g, 0] + reg[PROJECTION] < net.group[g + 1, 0]:
            p = net.group[g, 0] + reg[PROJECTION]
            own = n - net.projection[p, C_SOURCE]
            row = net.projection[p, C_ROW] + own
            size = (net.row[row + 1] - net.row[row]) * many
            if reg[N_FREE] < size // BLOCK + min(size, st.slot.shape[0]) + 1:
                return GROW
            r = net.projection[p, C_RULE]
            if r >= 0:
                early = 1 if net.rule[r, L_COINCIDENCE] == POTENTIATE else 0
                _learn_row(net, st, r, own, t - early, t)
            _send_row(net, st, p, own, t, many)
            reg[PROJECTION] += 1
        reg[PROJECTION] = 0
        reg[SPIKE] += 1
    return DONE


@_inner
def _tick(net: Net, st: State, t: int, sources: Any, out: Any) -> int:
    """Phase 0 of a tick: arrivals, states, thresholds; list the spikes."""
    reg = st.register
    begin, count = reg[N_OUT], 0
    while reg[INPUT] < sources.shape[1] and sources[0, reg[INPUT]] == t:
        n = sources[1, reg[INPUT]]
        if count > 0 and st.lists[SPIKES, count - 1] == n:
            st.lists[MANY, count - 1] += 1
        else:
            st.lists[SPIKES, count], st.lists[MANY, count] = n, 1
            count += 1
        out[0, reg[N_OUT]], out[1, reg[N_OUT]] = t, n
        reg[N_OUT] += 1
        reg[INPUT] += 1
    first = count
    touched = _collect(net, st, t)
    reg[UPDATES] += touched
    code = DONE
    for i in range(touched):
        n = st.lists[TOUCHED, i]
        outcome = _update(net, st, n, t)
        if outcome > 0:
            st.lists[SPIKES, count], st.lists[MANY, count] = n, 1
            count += 1
        elif outcome < 0:
            reg[BAD] = n if code == DONE else min(n, reg[BAD])
            code = DIVERGED
    if code == DIVERGED:
        reg[N_OUT] = begin
        return code
    _sort(st.lists, first, count)
    for i in range(first, count):
        n = st.lists[SPIKES, i]
        out[0, reg[N_OUT]], out[1, reg[N_OUT]] = t, n
        reg[N_OUT] += 1
        _remember(net, st, n, t)
    reg[N_SPIKES], reg[SPIKE], reg[PROJECTION] = count, 0, 0
    return code


@_inner
def _probe(net: Net, st: State, t: int, probes: Any, who: Any, out: Any) -> None:
    """Record probed states: rows of ``probes`` are (every, state, first, count, out0, row0)."""
    for i in range(probes.shape[0]):
        if t % probes[i, 0] == 0:
            count = probes[i, 3]
            at = probes[i, 4] + (t // probes[i, 0] - probes[i, 5]) * count
            for j in range(count):
                _load(net, st, who[probes[i, 2] + j], t)
                out[at + j] = st.buffer[probes[i, 1]]


@_inner
def _wake(net: Net, st: State, t: int) -> None:
    """Put every neuron that can fire by itself on the active list."""
    for n in range(net.node.shape[0]):
        if net.node[n, 1] >= 0:
            _load(net, st, n, t)
            _watch(net, st, n, t)


@njit(cache=True)
def run(
    net: Net,
    st: State,
    stop: int,
    max_pending: int,
    sources: Any,
    out: Any,
    probes: Any,
    who: Any,
    traces: Any,
) -> int:
    """Run ticks up to ``stop``; return why it ended.

    DONE: at ``stop``. OUTPUT_FULL: take the spikes out and call again. GROW: enlarge
    the calendar and call again. DIVERGED: the run is over, this tick does not count.
    RUNAWAY: the tick is finished, the run is over.
    ``stop`` may be WAKE (fill the active list before the first tick) or FLUSH (bring
    all plastic weights up to date).
    """
    reg = st.register
    if stop == WAKE:
        _wake(net, st, reg[TICK] - 1)
    elif stop == FLUSH:
        _flush(net, st, reg[TICK] - 1)
    while reg[TICK] < stop:
        t = reg[TICK]
        if reg[PHASE] == 0:
            idle = reg[N_ACTIVE] == 0 and st.slot[t % st.slot.shape[0], COUNT] == 0
            if idle and (reg[INPUT] >= sources.shape[1] or sources[0, reg[INPUT]] > t):
                _probe(net, st, t, probes, who, traces)
                reg[TICK] = t + 1
                continue
            if reg[N_OUT] + st.lists.shape[1] > out.shape[1]:
                return OUTPUT_FULL
            code: int = _tick(net, st, t, sources, out)
            if code != DONE:
                return code
            reg[PHASE] = 1
        if _send(net, st, t) == GROW:
            return GROW
        if reg[FULL]:
            _flush(net, st, t)
        _probe(net, st, t, probes, who, traces)
        reg[PHASE] = 0
        reg[TICK] = t + 1
        if reg[PENDING] > max_pending:
            return RUNAWAY
    return DONE
