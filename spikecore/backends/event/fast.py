"""Compiled: one tick after the other in the fast ways, see docs/decisions/0010.

The order of a tick is that of ``kernels.py``: arrivals, states and thresholds, then the
spikes are sent, neuron by neuron. What differs is how arrivals wait (``delivery.py``) and
how neurons are found (``wheel.py``, ``sweep.py``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from spikecore.backends.event.asking import ask_for, ask_for_inputs, ask_for_rows
from spikecore.backends.event.bitplanes import send_dense
from spikecore.backends.event.caching import inlined, inner, kept_with_sources
from spikecore.backends.event.delivery import (
    arrivals,
    room,
    send_row,
    settle_counts,
)
from spikecore.backends.event.dense import B
from spikecore.backends.event.drawn import draw_inputs
from spikecore.backends.event.kernels import (
    DIVERGED,
    DONE,
    FLUSH,
    GROW,
    OUTPUT_FULL,
    RUNAWAY,
    SETTLE,
    WAITING,
    WAKE,
    list_sources,
    sort_spikes,
)
from spikecore.backends.event.learning import POTENTIATE, flush, learn_row
from spikecore.backends.event.listing import list_reached
from spikecore.backends.event.look_lif import look_lif
from spikecore.backends.event.meeting import CAREFUL, join, met, tell, tell_pending, too_many
from spikecore.backends.event.packed import Fast, M, W
from spikecore.backends.event.replay import D, flush_dense, learn_dense, remember
from spikecore.backends.event.small import look_small
from spikecore.backends.event.sweep import read_swept, sweep_all
from spikecore.backends.event.sweep_lif import sweep_lif
from spikecore.backends.event.tables import C, L, Net, P, R, State
from spikecore.backends.event.wheel import call, look_all, nobody, read, wait

__all__ = ["run"]

TICK, PHASE, N_SPIKES = int(R.TICK), int(R.PHASE), int(R.N_SPIKES)
SPIKE, PROJECTION, N_OUT, INPUT = int(R.SPIKE), int(R.PROJECTION), int(R.N_OUT), int(R.INPUT)
PENDING, FULL = int(R.PENDING), int(R.FULL)
C_SOURCE, C_RULE, L_COINCIDENCE = int(C.SOURCE), int(C.RULE), int(L.COINCIDENCE)
P_START = int(P.START)
W_SWEPT, W_SMALL, W_ALIKE, W_ROWS = int(W.SWEPT), int(W.SMALL_0), int(W.ALIKE), int(W.ROWS_0)
W_SIZE = int(W.SIZE)
QUEUED, SLOT_MASK, HALF = int(M.QUEUED), int(M.SLOT_MASK), int(M.HALF)
B_ROW = int(B.ROW_0)
D_DENSE = int(D.DENSE)
SPIKES, MANY = 2, 3  # State.lists
BEGIN, SENDING, MEETING, ENDING = 0, 1, 2, 3  # R.PHASE


@inlined
def _idle(st: State, fast: Fast, t: int, sources: Any) -> bool:
    """Whether nothing arrives in tick ``t``, no input fires, and nobody is called or swept."""
    if st.register[INPUT] < sources.shape[1] and sources[0, st.register[INPUT]] <= t:
        return False
    slot = t & fast.meta[SLOT_MASK]
    if fast.due[slot] != 0 or (fast.meta[QUEUED] and fast.following[slot] != 0):
        return False
    return bool(nobody(fast, t))


@inlined
def _look(net: Net, st: State, fast: Fast, p: int, t: int, base: int, count: int) -> int:
    """Bring the neurons of ``p`` that were reached or called to tick ``t``; add their spikes.

    Returns how many spikes there are now, or -1 if a state is not finite.
    """
    listed, begin = list_reached(st, fast, p, base), count
    if fast.part[p, W_SMALL] < 0:
        return int(look_all(net, st, fast, p, t, base, count, listed))
    if fast.part[p, W_ROWS] >= 0:
        count, listed = look_lif(net, st, fast, p, t, base, count, listed)
    if listed > 0:
        count = look_small(net, st, fast, p, t, base, count, listed)
    if count > begin + 1:
        sort_spikes(st.lists, begin, count)
    return count


@inlined
def _neurons(net: Net, st: State, fast: Fast, t: int, sources: Any, out: Any) -> int:
    """Phase 0 of a tick: arrivals, states, thresholds; list the spikes.

    Returns how many of them are of inputs, or -1 if a state is not finite.
    """
    reg = st.register
    first = count = list_sources(st, t, sources, out)
    base = arrivals(st, fast, t)
    if not nobody(fast, t):
        call(net, fast, t)
    for p in range(net.population.shape[0]):
        if fast.part[p, W_SIZE] == 0:  # half of one neuron
            continue
        if fast.part[p, W_SWEPT]:
            if fast.part[p, W_ALIKE] >= 0:
                count = sweep_lif(net, st, fast, p, t, base, count)
            else:
                count = sweep_all(net, st, fast, p, t, base, count)
        else:
            count = _look(net, st, fast, p, t, base, count)
        if count < 0:
            return -1
    reg[N_SPIKES], reg[SPIKE], reg[PROJECTION] = count, 0, 0
    return int(first)


@inlined
def _start_sending(net: Net, st: State, fast: Fast, t: int, first: int, out: Any) -> None:
    """Record the spikes of tick ``t`` that no input has given, and let rules see them."""
    reg = st.register
    for i in range(first, reg[N_SPIKES]):
        out[0, reg[N_OUT]], out[1, reg[N_OUT]] = t, st.lists[SPIKES, i]
        reg[N_OUT] += 1
        if net.into.size > 0:
            remember(net, st, fast, st.lists[SPIKES, i], t)
    draw_inputs(net, st, fast, t)
    reg[PHASE] = SENDING


@inlined
def _find_spikes(
    net: Net, st: State, fast: Fast, t: int, max_pending: int, sources: Any, out: Any
) -> int:
    """Find all spikes of tick ``t``: with two threads, own ones and then those of the other."""
    reg = st.register
    first = np.int64(0)
    if reg[PHASE] == BEGIN:
        if reg[N_OUT] + st.lists.shape[1] > out.shape[1]:
            return OUTPUT_FULL
        begin = reg[N_OUT]
        first = _neurons(net, st, fast, t, sources, out)
        given = reg[N_OUT] - begin
        if fast.meet.shape[0] > 0:
            tell(st, fast.meet, fast.meta[HALF], t, first, given)
            reg[PHASE] = MEETING
        elif first < 0:
            reg[N_OUT] -= given
    if reg[PHASE] == MEETING:
        if not met(fast.meet, fast.meta[HALF], 2 * t + 1):
            return WAITING
        first = join(st, fast.meet, fast.meta[HALF], t, max_pending)
    if first < 0:
        settle_counts(net, st, fast, t)
        return DIVERGED
    _start_sending(net, st, fast, t, first, out)
    return DONE


@inlined
def _end(net: Net, st: State, fast: Fast, t: int, max_pending: int) -> int:
    """Return RUNAWAY if too many events are under way at the end of tick ``t``."""
    reg, meet, half = st.register, fast.meet, fast.meta[HALF]
    if meet.shape[0] == 0:
        away = reg[PENDING] > max_pending and _runs_away(net, st, fast, t, max_pending)
        return RUNAWAY if away else DONE
    if not meet[half, CAREFUL]:
        return DONE
    if reg[PHASE] == SENDING:
        settle_counts(net, st, fast, t)
        tell_pending(st, meet, half, t)
        reg[PHASE] = ENDING
    if not met(meet, half, 2 * t + 2):
        return WAITING
    return RUNAWAY if too_many(meet, max_pending) else DONE


@inner
def _send_bitmaps(net: Net, st: State, fast: Fast, g: int, t: int) -> bool:
    """Send all spikes of group ``g`` along those of its projections that are bitmaps.

    Nothing else arrives in between (``dense.py``), so these may be sent first. If there are
    no others, return True: then the spikes of the group are done with.
    """
    first = last = st.register[SPIKE]
    while last < st.register[N_SPIKES] and net.node[st.lists[SPIKES, last], 0] == g:
        last += 1
    done = True
    for p in range(net.group[g, 0], net.group[g + 1, 0]):
        if fast.bit[p, B_ROW] >= 0:
            send_dense(net, st, fast, p, first, last, t)
        else:
            done = False
    if done:
        st.register[SPIKE] = last
    return done


@inlined
def _send(net: Net, st: State, fast: Fast, t: int) -> int:
    """Send the spikes of ``t``, neuron by neuron; return GROW if the queues are too small."""
    reg = st.register
    sent = np.int64(-1)  # the group whose bitmaps are sent
    for i in range(reg[SPIKE], min(reg[SPIKE] + 2, reg[N_SPIKES])):
        ask_for_rows(net, st, fast, st.lists[SPIKES, i])
    while reg[SPIKE] < reg[N_SPIKES]:
        n, many = st.lists[SPIKES, reg[SPIKE]], st.lists[MANY, reg[SPIKE]]
        g = net.node[n, 0]
        if g != sent and fast.bit.shape[0] > 0:
            sent = g
            if _send_bitmaps(net, st, fast, g, t):
                continue
        if reg[SPIKE] + 2 < reg[N_SPIKES]:
            ask_for(net, st, fast, reg[SPIKE])
        while net.group[g, 0] + reg[PROJECTION] < net.group[g + 1, 0]:
            p = net.group[g, 0] + reg[PROJECTION]
            if fast.bit.shape[0] > 0 and fast.bit[p, B_ROW] >= 0:
                reg[PROJECTION] += 1
                continue
            own = n - net.projection[p, C_SOURCE]
            if not room(net, st, fast, p, own, many):
                return GROW
            r = net.projection[p, C_RULE]
            if r >= 0:
                early = 1 if net.rule[r, L_COINCIDENCE] == POTENTIATE else 0
                if fast.dense[r, D_DENSE]:
                    learn_dense(net, st, fast, r, own, t - early, t)
                else:
                    learn_row(net, st, r, own, t - early, t)
            send_row(net, st, fast, p, own, t, many)
            reg[PROJECTION] += 1
        reg[PROJECTION] = 0
        reg[SPIKE] += 1
    return DONE


@inlined
def _probe(net: Net, st: State, fast: Fast, t: int, probes: Any, who: Any, out: Any) -> None:
    """Record probed states: rows of ``probes`` are (every, state, first, count, out0, row0)."""
    for i in range(probes.shape[0]):
        if t % probes[i, 0] == 0:
            count = probes[i, 3]
            at = probes[i, 4] + (t // probes[i, 0] - probes[i, 5]) * count
            for j in range(count):
                n = who[probes[i, 2] + j]
                p = net.node[n, 1]
                own = n - net.population[p, P_START]
                if fast.part[p, W_SWEPT]:
                    read_swept(net, fast, p, own, t, st.buffer)
                else:
                    read(net, fast, p, own, t, st.buffer)
                out[at + j] = st.buffer[probes[i, 1]]


@inlined
def _wake(net: Net, st: State, fast: Fast, t: int) -> None:
    """Let every neuron that is not swept wait for its call, as of the end of tick ``t``."""
    for n in range(net.node.shape[0]):
        p = net.node[n, 1]
        if p >= 0 and fast.part[p, W_SWEPT] == 0:
            own = n - net.population[p, P_START]
            read(net, fast, p, own, t, st.buffer)
            wait(net, fast, p, own, st.buffer, t)


@inlined
def _runs_away(net: Net, st: State, fast: Fast, t: int, most: int) -> bool:
    """Whether too many events are under way, now that all have been counted."""
    settle_counts(net, st, fast, t)
    return bool(st.register[PENDING] > most)


@inlined
def _order(net: Net, st: State, fast: Fast, order: int) -> None:
    """Carry out what ``run`` may be asked for in place of a tick to stop at."""
    t = st.register[TICK] - 1
    if order == WAKE:
        _wake(net, st, fast, t)
    elif order == SETTLE:
        settle_counts(net, st, fast, t)
    elif order == FLUSH:
        flush_dense(net, st, fast, t)
        flush(net, st, t)


@kept_with_sources
@njit(cache=True, nogil=True)
def run(
    net: Net,
    st: State,
    fast: Fast,
    stop: int,
    max_pending: int,
    sources: Any,
    out: Any,
    probes: Any,
    who: Any,
    traces: Any,
) -> int:
    """Run ticks up to ``stop``; return why it ended, as ``kernels.run``.

    With two threads (``meeting.py``) it may also be WAITING for the other: call it again.

    ``stop`` may be WAKE (let all neurons that are not swept wait for their calls), FLUSH
    (bring all plastic weights up to date) or SETTLE (count events that were not counted).
    """
    reg = st.register
    _order(net, st, fast, stop)
    all_wheel = fast.drawn.shape[0] + fast.meet.shape[0] == 0
    for p in range(fast.part.shape[0]):
        all_wheel = all_wheel and fast.part[p, W_SWEPT] == 0
    while reg[TICK] < stop:
        t = reg[TICK]
        if all_wheel and reg[PHASE] == BEGIN and _idle(st, fast, t, sources):
            _probe(net, st, fast, t, probes, who, traces)
            reg[TICK] = t + 1
            continue
        if reg[PHASE] == BEGIN or reg[PHASE] == MEETING:
            code: int = _find_spikes(net, st, fast, t, max_pending, sources, out)
            if code != DONE:
                return code
        if reg[PHASE] == SENDING:
            if _send(net, st, fast, t) == GROW:
                return GROW
            if reg[FULL]:
                flush_dense(net, st, fast, t)
                flush(net, st, t)
            ask_for_inputs(net, st, fast, sources)
            _probe(net, st, fast, t, probes, who, traces)
        code = _end(net, st, fast, t, max_pending)
        if code == WAITING:
            return code
        reg[PHASE] = BEGIN
        reg[TICK] = t + 1
        if code != DONE:
            return code
    return DONE
