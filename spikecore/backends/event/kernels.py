"""The compiled heart of the event-driven core.

One pass per tick that has something to do: take what the calendar holds for the
tick, carry every neuron that is touched to it in closed form, test thresholds,
put the spikes into the calendar. A neuron that nothing reaches, and that cannot
reach its threshold by itself any more, is not looked at, however long the gap; one
that can is not looked at as long as a bound says that it does not yet.

Arithmetic follows docs/semantics to the letter (same digits, same order of sums
as the oracle), so results are equal to the last bit. No fastmath, for that reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from spikecore.backends.event.caching import inner, kept_with_sources
from spikecore.backends.event.horizons import SOON
from spikecore.backends.event.learning import POTENTIATE, flush, learn_row, remember
from spikecore.backends.event.states import carry, factor, finite, keep_past, load, stays_below
from spikecore.backends.event.tables import BLOCK, C, K, L, Net, P, R, State

__all__ = [
    "DIVERGED",
    "DONE",
    "FLUSH",
    "GROW",
    "OUTPUT_FULL",
    "RUNAWAY",
    "SETTLE",
    "WAITING",
    "WAKE",
    "list_sources",
    "run",
    "sort_spikes",
]

DONE, OUTPUT_FULL, GROW, DIVERGED, RUNAWAY, WAITING = 0, 1, 2, 3, 4, 5
WAKE, FLUSH, SETTLE = -1, -2, -3
"""Special orders that ``run`` takes in place of a tick to stop at. (One entry point,
because each costs its own compilation.)"""

# Names of columns and entries as plain integers, which compile to constants.
TICK, PHASE, N_ACTIVE = int(R.TICK), int(R.PHASE), int(R.N_ACTIVE)
N_SPIKES, SPIKE, PROJECTION = int(R.N_SPIKES), int(R.SPIKE), int(R.PROJECTION)
N_OUT, INPUT, FREE_HEAD = int(R.N_OUT), int(R.INPUT), int(R.FREE_HEAD)
N_FREE, PENDING, SENT = int(R.N_FREE), int(R.PENDING), int(R.SENT)
DELIVERED, UPDATES, BAD = int(R.DELIVERED), int(R.UPDATES), int(R.BAD)
FULL = int(R.FULL)
P_START, P_STATES, P_X = int(P.START), int(P.N_STATES), int(P.X_0)
P_KINDS, P_SIZE, P_BITS = int(P.KINDS), int(P.TABLE_SIZE), int(P.BITS)
P_PORTS, P_REFRACTORY, P_MASK = int(P.N_PORTS), int(P.REFRACTORY_0), int(P.MASK_0)
P_HELD, P_RESET, P_JUMP = int(P.HELD_0), int(P.RESET_0), int(P.JUMP_0)
P_H, P_THRESHOLD, P_BOUND = int(P.H_0), int(P.THRESHOLD_0), int(P.BOUND_0)
P_GAIN, P_GAIN_HELD, P_PAST = int(P.GAIN_0), int(P.GAIN_HELD_0), int(P.PAST)
P_SOON = int(P.SOON_0)
C_SOURCE, C_TARGET, C_PORT = int(C.SOURCE), int(C.TARGET), int(C.PORT)
C_ROW, C_SYNAPSE, C_WEIGHT = int(C.ROW_0), int(C.SYNAPSE_0), int(C.WEIGHT_0)
C_WEIGHT_STEP, C_DELAY, C_DELAY_STEP = int(C.WEIGHT_STEP), int(C.DELAY_0), int(C.DELAY_STEP)
C_RULE, C_FACTOR = int(C.RULE), int(C.FACTOR)
L_COINCIDENCE = int(L.COINCIDENCE)
AT, UNTIL, HIT, CALL = int(K.AT), int(K.UNTIL), int(K.HIT), int(K.CALL)
N_SOON = len(SOON)
TOUCHED, ACTIVE, SPIKES, MANY = 0, 1, 2, 3  # State.lists
COUNT, HEAD, TAIL = 0, 1, 2  # State.slot


@inner
def _watch(net: Net, st: State, n: int, t: int) -> None:
    """Put neuron ``n``, whose state is in the buffer, on the active list if it can still fire.

    Note for how many ticks it certainly does not, unless something arrives.
    """
    pop = net.node[n, 1]
    s = net.population[pop, P_STATES]
    own = net.population[pop, P_KINDS] * (n - net.population[pop, P_START])
    threshold = net.real[net.population[pop, P_THRESHOLD] + own]
    if threshold == np.inf:
        return
    held = max(0, st.clock[n, UNTIL] - t)
    if held > 0:  # judge it by the state in which it leaves its refractory period
        carry(
            st.buffer,
            s,
            net.real,
            net.population[pop, P_HELD] + own * net.population[pop, P_SIZE],
            net.population[pop, P_BITS],
            held,
        )
    x, margin, step = st.buffer, net.real[1], 2 * (s + 1)
    if stays_below(net.real, net.population[pop, P_BOUND] + own * step, x, s, threshold, margin):
        return
    st.lists[ACTIVE, st.register[N_ACTIVE]] = n
    st.register[N_ACTIVE] += 1
    silent, soon = 0, net.population[pop, P_SOON]
    if soon >= 0:
        soon += own * N_SOON * step
        for i in range(N_SOON):
            if not stays_below(net.real, soon + i * step, x, s, threshold, margin):
                break
            silent = SOON[i]
    st.clock[n, CALL] = t + held + silent + 1


@inner
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
    waiting = 0
    for i in range(reg[N_ACTIVE]):
        n = st.lists[ACTIVE, i]
        if st.clock[n, HIT] == t:
            continue  # it is listed anew when it has been looked at
        if st.clock[n, CALL] > t:
            st.lists[ACTIVE, waiting] = n
            waiting += 1
        else:
            st.lists[TOUCHED, count] = n
            count += 1
    reg[N_ACTIVE] = waiting
    return count


@inner
def _update(net: Net, st: State, n: int, t: int) -> int:
    """Bring neuron ``n`` to tick ``t``. Return 1 if it fires, -1 if its state is not finite."""
    pop = net.node[n, 1]
    s = net.population[pop, P_STATES]
    own = n - net.population[pop, P_START]
    kind = net.population[pop, P_KINDS] * own
    load(net, st, n, t)
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
    if commit and not finite(x, s):
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
            keep_past(net, st, n, s)
    _watch(net, st, n, t)
    return 1 if fires else 0


@inner
def sort_spikes(values: Any, lo: int, hi: int) -> None:
    """Shell sort of the spikes ``lo .. hi - 1`` (Ciura's gaps)."""
    for gap in (88801, 39468, 17541, 7796, 3465, 1540, 701, 301, 132, 57, 23, 10, 4, 1):
        for i in range(lo + gap, hi):
            value = values[SPIKES, i]
            j = i
            while j >= lo + gap and values[SPIKES, j - gap] > value:
                values[SPIKES, j] = values[SPIKES, j - gap]
                j -= gap
            values[SPIKES, j] = value


@inner
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
            weight *= factor(net, st, net.projection[p, C_FACTOR], synapse, t)
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


@inner
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
                learn_row(net, st, r, own, t - early, t)
            _send_row(net, st, p, own, t, many)
            reg[PROJECTION] += 1
        reg[PROJECTION] = 0
        reg[SPIKE] += 1
    return DONE


@inner
def list_sources(st: State, t: int, sources: Any, out: Any) -> int:
    """Put the source spikes of ``t`` on the list; return how many neurons fire."""
    reg, count = st.register, 0
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
    return count


@inner
def _tick(net: Net, st: State, t: int, sources: Any, out: Any) -> int:
    """Phase 0 of a tick: arrivals, states, thresholds; list the spikes."""
    reg = st.register
    begin = reg[N_OUT]
    first = count = list_sources(st, t, sources, out)
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
    sort_spikes(st.lists, first, count)
    for i in range(first, count):
        n = st.lists[SPIKES, i]
        out[0, reg[N_OUT]], out[1, reg[N_OUT]] = t, n
        reg[N_OUT] += 1
        remember(net, st, n, t)
    reg[N_SPIKES], reg[SPIKE], reg[PROJECTION] = count, 0, 0
    return code


@inner
def _probe(net: Net, st: State, t: int, probes: Any, who: Any, out: Any) -> None:
    """Record probed states: rows of ``probes`` are (every, state, first, count, out0, row0)."""
    for i in range(probes.shape[0]):
        if t % probes[i, 0] == 0:
            count = probes[i, 3]
            at = probes[i, 4] + (t // probes[i, 0] - probes[i, 5]) * count
            for j in range(count):
                load(net, st, who[probes[i, 2] + j], t)
                out[at + j] = st.buffer[probes[i, 1]]


@inner
def _wake(net: Net, st: State, t: int) -> None:
    """Put every neuron that can fire by itself on the active list."""
    for n in range(net.node.shape[0]):
        if net.node[n, 1] >= 0:
            load(net, st, n, t)
            _watch(net, st, n, t)


@kept_with_sources
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
        flush(net, st, reg[TICK] - 1)
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
            flush(net, st, t)
        _probe(net, st, t, probes, who, traces)
        reg[PHASE] = 0
        reg[TICK] = t + 1
        if reg[PENDING] > max_pending:
            return RUNAWAY
    return DONE
