"""The compiled mirror of what a SpiNNaker core does in a tick.

Order and arithmetic follow the images of sPyNNaker 7.4.1 to the last bit: ring buffers into
currents, membrane, threshold (also while refractory), decay, then the rows of all that fired.
Sums and products wrap at 32 bits and are rounded towards minus infinity; only the ring
buffers saturate. docs/hardware lists the formulas and where they are from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from spikecore_hardware.spinnaker.tables import HISTORY, C, L, N, Net, P, R, S, State

__all__ = ["DONE", "OUTPUT_FULL", "RUNAWAY", "SETTLE", "run"]

DONE, OUTPUT_FULL, RUNAWAY = 0, 1, 2
SETTLE = -1

# Names of rows, columns and entries as plain integers, which compile to constants.
TICK, N_OUT, INPUT, SENT = int(R.TICK), int(R.N_OUT), int(R.INPUT), int(R.SENT)
DELIVERED, PENDING, UPDATES = int(R.DELIVERED), int(R.PENDING), int(R.UPDATES)
SATURATED, WRAPPED, FORGOTTEN = int(R.SATURATED), int(R.WRAPPED), int(R.FORGOTTEN)
REST, RESISTANCE, LEAK, OFFSET = int(N.REST), int(N.RESISTANCE), int(N.LEAK), int(N.OFFSET)
RESET, THRESHOLD, REFRACTORY = int(N.RESET), int(N.THRESHOLD), int(N.REFRACTORY)
DECAY_EXC, GAIN_EXC = int(N.DECAY_EXC), int(N.GAIN_EXC)
DECAY_INH, GAIN_INH = int(N.DECAY_INH), int(N.GAIN_INH)
DECAY_SLOW, GAIN_SLOW = int(N.DECAY_SLOW), int(N.GAIN_SLOW)
I_EXC, I_INH, I_SLOW, V, TIMER = int(S.I_EXC), int(S.I_INH), int(S.I_SLOW), int(S.V), int(S.TIMER)
P_START, P_SIZE, P_RING, P_SLOTS = int(P.START), int(P.SIZE), int(P.RING_0), int(P.SLOTS)
P_SHIFT_EXC, P_SHIFT_INH, P_SHIFT_SLOW = int(P.SHIFT_EXC), int(P.SHIFT_INH), int(P.SHIFT_SLOW)
P_RECEPTORS, P_POST = int(P.RECEPTORS), int(P.POST_0)
P_MINUS, P_MINUS_SIZE = int(P.MINUS_0), int(P.MINUS_SIZE)
C_SOURCE, C_TARGET, C_PORT, C_ROW = int(C.SOURCE), int(C.TARGET), int(C.PORT), int(C.ROW_0)
C_STAGES, C_SYNAPSE, C_DELAY = int(C.STAGES), int(C.SYNAPSE_0), int(C.DELAY_0)
C_DELAY_STEP, C_RULE = int(C.DELAY_STEP), int(C.RULE)
L_PROJECTION, L_SOURCES, L_PRE = int(L.PROJECTION), int(L.SOURCES), int(L.PRE_0)
L_RELAY, L_RELAY_SLOTS, L_STAGE = int(L.RELAY_0), int(L.RELAY_SLOTS), int(L.STAGE_TICKS)
L_DENDRITIC, L_PLUS, L_PLUS_SIZE = int(L.DENDRITIC), int(L.PLUS_0), int(L.PLUS_SIZE)
L_A_PLUS, L_A_MINUS, L_LOW, L_HIGH = int(L.A_PLUS), int(L.A_MINUS), int(L.LOW), int(L.HIGH)

FAST_RECEPTORS = 2  # of every neuron; a third is that of a slow trace
FULL_CELL = 0xFFFF
LARGEST = 0x7FFFFFFF
TRACE_BITS, TRACE_ONE = 11, 1 << 11
TRACE_TO_S1615 = 4

# As in the event-driven core: no wrappers and no reference counts where none are needed.
_inner = njit(  # type: ignore[call-overload]
    no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False
)


@_inner
def _word(x: int) -> int:
    """Wrap ``x`` as a signed register of 32 bits does."""
    return ((x + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@_inner
def _half_word(x: int) -> int:
    """Wrap ``x`` as a signed half-word of 16 bits does."""
    return ((x + 0x8000) & 0xFFFF) - 0x8000


@_inner
def _slow_inputs(net: Net, st: State, pop: int, slow: int) -> None:
    """Add what is due at the slow receptor of a population, whose ring begins at ``slow``."""
    shift = net.population[pop, P_SHIFT_SLOW]
    for j in range(net.population[pop, P_SIZE]):
        n = net.population[pop, P_START] + j
        if st.ring[slow + j] != 0:
            arrived = np.int64(st.ring[slow + j]) << shift
            st.ring[slow + j] = 0
            total = st.neuron[I_SLOW, n] + ((_word(arrived) * net.neuron[GAIN_SLOW, n]) >> 32)
            st.register[WRAPPED] += (_word(arrived) != arrived) + (_word(total) != total)
            st.neuron[I_SLOW, n] = _word(total)


@_inner
def _neurons(net: Net, st: State, pop: int, t: int, out: Any) -> None:
    """Move the neurons of one population by a tick; append those that fire to ``out``."""
    reg = st.register
    start, size = net.population[pop, P_START], net.population[pop, P_SIZE]
    slot = t & (net.population[pop, P_SLOTS] - 1)
    receptors = net.population[pop, P_RECEPTORS]
    exc = net.population[pop, P_RING] + slot * receptors * size
    inh = exc + size
    if receptors > FAST_RECEPTORS:
        _slow_inputs(net, st, pop, inh + size)
    shift_exc, shift_inh = net.population[pop, P_SHIFT_EXC], net.population[pop, P_SHIFT_INH]
    post0 = net.population[pop, P_POST]
    wrapped = 0
    for j in range(size):
        n = start + j
        i_exc, i_inh = st.neuron[I_EXC, n], st.neuron[I_INH, n]
        for cell, shift in ((exc + j, shift_exc), (inh + j, shift_inh)):
            if st.ring[cell] != 0:
                arrived = np.int64(st.ring[cell]) << shift
                st.ring[cell] = 0
                wrapped += _word(arrived) != arrived
                if cell < inh:
                    i_exc += (_word(arrived) * net.neuron[GAIN_EXC, n]) >> 32
                else:
                    i_inh += (_word(arrived) * net.neuron[GAIN_INH, n]) >> 32
        wrapped += (i_exc > LARGEST) + (i_inh > LARGEST)
        i_exc, i_inh = _word(i_exc), _word(i_inh)
        if st.neuron[TIMER, n] <= 0:
            total = i_exc + st.neuron[I_SLOW, n] - i_inh + net.neuron[OFFSET, n]
            current = _word(total)
            driven = (current * net.neuron[RESISTANCE, n] >> 15) + net.neuron[REST, n]
            aim = _word(driven)
            way = aim - st.neuron[V, n]
            v = aim - ((net.neuron[LEAK, n] * _word(way)) >> 15)
            wrapped += (current != total) + (aim != driven) + (_word(way) != way) + (_word(v) != v)
            v = _word(v)
        else:
            st.neuron[TIMER, n] -= 1
            v = st.neuron[V, n]
        if v >= net.neuron[THRESHOLD, n]:
            v = net.neuron[RESET, n]
            st.neuron[TIMER, n] = net.neuron[REFRACTORY, n]
            out[0, reg[N_OUT]] = t
            out[1, reg[N_OUT]] = n
            reg[N_OUT] += 1
            if post0 >= 0:
                _remember(net, st, pop, post0 + j, t)
        st.neuron[V, n] = v
        st.neuron[I_EXC, n] = (i_exc * net.neuron[DECAY_EXC, n]) >> 32
        st.neuron[I_INH, n] = (i_inh * net.neuron[DECAY_INH, n]) >> 32
        st.neuron[I_SLOW, n] = (st.neuron[I_SLOW, n] * net.neuron[DECAY_SLOW, n]) >> 32
    reg[WRAPPED] += wrapped
    reg[UPDATES] += size


@_inner
def _read_window(net: Net, begin: int, size: int, gap: int) -> int:
    # Negative for a post spike of tick 0 that has not reached the synapse: beyond the table.
    factor: int = net.window[begin + gap] if 0 <= gap < size else 0
    return factor


@_inner
def _remember(net: Net, st: State, pop: int, post: int, t: int) -> None:
    """Append a spike to the history of a neuron whose synapses learn."""
    last = st.post[post]
    gap = t - st.history[post, last, 0]
    factor = _read_window(net, net.population[pop, P_MINUS], net.population[pop, P_MINUS_SIZE], gap)
    trace = ((st.history[post, last, 1] * factor) >> TRACE_BITS) + TRACE_ONE
    if last + 1 < HISTORY:
        st.post[post] = last + 1
    else:  # the oldest real spike is forgotten; the placeholder stays
        st.dropped[post] = st.history[post, 1, 0]
        for e in range(1, HISTORY - 1):
            st.history[post, e, 0] = st.history[post, e + 1, 0]
            st.history[post, e, 1] = st.history[post, e + 1, 1]
        last -= 1
    st.history[post, last + 1, 0] = t
    st.history[post, last + 1, 1] = _half_word(trace)


@_inner
def _potentiate(
    net: Net, st: State, rule: int, post: int, weight: int, lag: int, t: int, pre: int
) -> tuple[int, int]:
    """Apply the post spikes that reached a synapse since its source fired, up to tick ``t``.

    Return the weight (s16.15), and the entry of the last post spike so far (0: none).
    """
    last, trace = st.pre[pre, 0], st.pre[pre, 1]
    begin, end = max(max(last, st.pre[pre, 2]) - lag, 0), max(t - lag, 0)
    stop = st.post[post] + 1
    first = stop
    while True:
        first -= 1
        if st.history[post, first, 0] > end:
            stop = first
        if not (st.history[post, first, 0] > begin and first != 0):
            break
    for e in range(first + 1, stop):
        gap = st.history[post, e, 0] + lag - last
        if gap > 0:
            factor = _read_window(net, net.rule[rule, L_PLUS], net.rule[rule, L_PLUS_SIZE], gap)
            x = (trace * factor) >> TRACE_BITS
            gain = _word((net.rule[rule, L_A_PLUS] * (x << TRACE_TO_S1615)) >> 15)
            weight = min(net.rule[rule, L_HIGH], _word(weight + gain))
    return weight, stop - 1


@_inner
def _depress(
    net: Net, st: State, rule: int, post: int, weight: int, lag: int, t: int, entry: int
) -> int:
    """Return the weight (s16.15) after a pre spike in tick ``t``, given the last post spike."""
    pop = net.projection[net.rule[rule, L_PROJECTION], C_TARGET]
    gap = t - (st.history[post, entry, 0] + lag)
    size = net.population[pop, P_MINUS_SIZE]
    factor = _read_window(net, net.population[pop, P_MINUS], size, gap)
    y = (st.history[post, entry, 1] * factor) >> TRACE_BITS
    loss = _word((net.rule[rule, L_A_MINUS] * (y << TRACE_TO_S1615)) >> 15)
    weight = max(net.rule[rule, L_LOW], _word(weight - loss))
    return weight


@_inner
def _add(st: State, cell: int, weight: int) -> None:
    """Add to a ring buffer: the only sum that saturates."""
    total = np.int64(st.ring[cell]) + np.int64(weight)
    if total > FULL_CELL:
        total = np.int64(FULL_CELL)
        st.register[SATURATED] += 1
    st.ring[cell] = total


@_inner
def _learn_row(
    net: Net, st: State, rule: int, source: int, stage: int, t: int, fires: bool
) -> None:
    """Bring a row of plastic synapses up to date; if its source ``fires``, deliver its spike."""
    c = net.rule[rule, L_PROJECTION]
    row = source * net.projection[c, C_STAGES] + stage
    pop = net.projection[c, C_TARGET]
    size, ring0 = net.population[pop, P_SIZE], net.population[pop, P_RING]
    mask, port = net.population[pop, P_SLOTS] - 1, net.projection[c, C_PORT]
    receptors = net.population[pop, P_RECEPTORS]
    shift = net.population[pop, P_SHIFT_EXC + port]
    pre = net.rule[rule, L_PRE] + row
    begin = net.projection[c, C_SYNAPSE]
    at = net.projection[c, C_ROW] + row
    delay0, step = net.projection[c, C_DELAY], net.projection[c, C_DELAY_STEP]
    for s in range(net.row[at], net.row[at + 1]):
        j = np.int64(net.target[begin + s])
        delay = np.int64(net.delay[delay0 + step * s]) - stage * net.rule[rule, L_STAGE]
        lag = delay if net.rule[rule, L_DENDRITIC] else 0
        weight = np.int64(st.weight[begin + s]) << shift
        post = net.population[pop, P_POST] + j
        if fires and st.dropped[post] > max(max(st.pre[pre, 0], st.pre[pre, 2]) - lag, 0):
            st.register[FORGOTTEN] += 1
        weight, entry = _potentiate(net, st, rule, post, weight, lag, t, pre)
        if fires and entry > 0:
            weight = _depress(net, st, rule, post, weight, lag, t, entry)
        weight >>= shift
        st.weight[begin + s] = weight
        if fires:
            slot = ((t + delay) & mask) * receptors
            _add(st, ring0 + (slot + port) * size + j, weight & FULL_CELL)
    if fires:
        gap = t - st.pre[pre, 0]
        factor = _read_window(net, net.rule[rule, L_PLUS], net.rule[rule, L_PLUS_SIZE], gap)
        st.pre[pre, 0] = t
        st.pre[pre, 1] = _half_word(((st.pre[pre, 1] * factor) >> TRACE_BITS) + TRACE_ONE)


@_inner
def _send(net: Net, st: State, n: int, t: int) -> None:
    """Deliver a spike of neuron ``n`` to all its synapses."""
    g = net.group_of[n]
    due = st.due.shape[0] - 1
    for c in range(net.group[g], net.group[g + 1]):
        own = n - net.projection[c, C_SOURCE]
        stages = net.projection[c, C_STAGES]
        at = net.projection[c, C_ROW] + own * stages
        begin = net.projection[c, C_SYNAPSE]
        delay0, step = net.projection[c, C_DELAY], net.projection[c, C_DELAY_STEP]
        lo, hi = net.row[at], net.row[at + stages]
        st.register[SENT] += hi - lo
        st.register[PENDING] += hi - lo
        for s in range(lo, hi):
            st.due[(t + np.int64(net.delay[delay0 + step * s])) & due] += 1
        rule = net.projection[c, C_RULE]
        if rule >= 0:
            _learn_row(net, st, rule, own, 0, t, True)
            if stages > 1:
                slots = net.rule[rule, L_RELAY_SLOTS]
                cell = net.rule[rule, L_RELAY] + (t & (slots - 1)) * net.rule[rule, L_SOURCES]
                st.relay[cell + own] += 1
            continue
        pop, port = net.projection[c, C_TARGET], net.projection[c, C_PORT]
        size, ring0 = net.population[pop, P_SIZE], net.population[pop, P_RING]
        mask, receptors = net.population[pop, P_SLOTS] - 1, net.population[pop, P_RECEPTORS]
        for s in range(lo, hi):
            slot = (t + np.int64(net.delay[delay0 + step * s])) & mask
            cell = ring0 + (slot * receptors + port) * size + np.int64(net.target[begin + s])
            _add(st, cell, np.int64(st.weight[begin + s]))


@_inner
def _relay(net: Net, st: State, t: int) -> None:
    """Send again what has passed through one or more stages of a delay extension."""
    for rule in range(net.rule.shape[0]):
        slots, sources = net.rule[rule, L_RELAY_SLOTS], net.rule[rule, L_SOURCES]
        if slots == 0:
            continue
        for stage in range(1, net.projection[net.rule[rule, L_PROJECTION], C_STAGES]):
            then = t - stage * net.rule[rule, L_STAGE]
            if then < 0:
                break
            cell = net.rule[rule, L_RELAY] + (then & (slots - 1)) * sources
            for own in range(sources):
                for _ in range(st.relay[cell + own]):
                    _learn_row(net, st, rule, own, stage, t, True)
        following = net.rule[rule, L_RELAY] + ((t + 1) & (slots - 1)) * sources
        for own in range(sources):
            st.relay[following + own] = 0


@_inner
def _settle(net: Net, st: State, t: int) -> None:
    """Let all plastic synapses learn from the post spikes up to tick ``t``."""
    for rule in range(net.rule.shape[0]):
        for own in range(net.rule[rule, L_SOURCES]):
            for stage in range(net.projection[net.rule[rule, L_PROJECTION], C_STAGES]):
                _learn_row(net, st, rule, own, stage, t, False)


@njit(cache=True)
def run(net: Net, st: State, stop: int, max_pending: int, sources: Any, out: Any) -> int:
    """Run ticks up to ``stop``; return why it ended.

    DONE: at ``stop``. OUTPUT_FULL: take the spikes out and call again. RUNAWAY: more synaptic
    events in flight than ``max_pending``; the tick is finished, the run is over. ``stop`` may
    be SETTLE: bring the weights up to date, and nothing else.
    """
    reg = st.register
    if stop == SETTLE:
        _settle(net, st, reg[TICK] - 1)
    while reg[TICK] < stop:
        t = reg[TICK]
        upto = reg[INPUT]
        while upto < sources.shape[1] and sources[0, upto] == t:
            upto += 1
        if reg[N_OUT] + upto - reg[INPUT] + net.neuron.shape[1] > out.shape[1]:
            return OUTPUT_FULL
        arrived = st.due[t & (st.due.shape[0] - 1)]
        st.due[t & (st.due.shape[0] - 1)] = 0
        reg[DELIVERED] += arrived
        reg[PENDING] -= arrived
        first = reg[N_OUT]
        for i in range(reg[INPUT], upto):
            out[0, reg[N_OUT]] = t
            out[1, reg[N_OUT]] = sources[1, i]
            reg[N_OUT] += 1
        reg[INPUT] = upto
        for pop in range(net.population.shape[0]):
            _neurons(net, st, pop, t, out)
        for i in range(first, reg[N_OUT]):
            _send(net, st, out[1, i], t)
        _relay(net, st, t)
        reg[TICK] = t + 1
        if reg[PENDING] > max_pending:
            return RUNAWAY
    return DONE
