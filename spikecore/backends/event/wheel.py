"""Compiled: neurons that are looked at only when something reaches them, or when called.

After each event a bound says for how many ticks the neuron stays below its threshold
whatever happens to be in its state, as long as nothing arrives (HORIZONS). It then waits
in a wheel of ticks for its wake-up call, or for the next arrival. Whoever waits longer
than any horizon can show is not called at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.horizons import FAR, HORIZONS
from spikecore.backends.event.packed import FAR_ROWS, NEAR, SPAN, WHEEL, Fast, W
from spikecore.backends.event.states import carry, finite, stays_below
from spikecore.backends.event.tables import Net, P, R, State
from spikecore.backends.event.words import is_untouched, trailing_zeros

__all__ = ["call", "look_all", "nobody", "put", "read", "settle", "wait"]

P_START, P_STATES, P_KINDS = int(P.START), int(P.N_STATES), int(P.KINDS)
P_SIZE, P_BITS = int(P.TABLE_SIZE), int(P.BITS)
P_FREE, P_HELD, P_RESET, P_JUMP = int(P.FREE_0), int(P.HELD_0), int(P.RESET_0), int(P.JUMP_0)
P_H, P_THRESHOLD, P_PORTS = int(P.H_0), int(P.THRESHOLD_0), int(P.N_PORTS)
P_GAIN, P_GAIN_HELD = int(P.GAIN_0), int(P.GAIN_HELD_0)
P_MASK, P_REFRACTORY = int(P.MASK_0), int(P.REFRACTORY_0)
W_CLOCK, W_RECORD, W_WIDTH = int(W.CLOCK_0), int(W.RECORD_0), int(W.WIDTH)
W_PORTS, W_BOUND, W_REST = int(W.PORTS_0), int(W.BOUND_0), int(W.MAY_REST)
W_STRIDE, W_TICKS, W_ROWS = int(W.STRIDE), int(W.TICKS), int(W.ROWS_0)
W_CHOSEN = int(W.CHOSEN_0)
BAD = int(R.BAD)
SPIKES, MANY = 2, 3  # State.lists
AT, UNTIL, CALL, WAKE = 0, 1, 2, 3  # of a record, after the states; the last unless like LIF
WOKEN, WORDS = 0, 1  # Fast.hits
N_HORIZONS = len(HORIZONS)
ONE, SIX, LOW, NOTHING = np.uint64(1), np.uint64(6), np.uint64(63), np.uint64(0)


@inlined
def put(fast: Fast, neuron: int, due: int, t: int) -> int:
    """Let a neuron wait for a call in tick ``due``.

    Returns the tick for which it waits: earlier where ``due`` is far off. A later call that it
    waited for stays: being called for nothing, now and then, costs less than a look at another row.
    """
    n = np.uint64(neuron)
    word, bit = n >> SIX, ONE << (n & LOW)
    far = due - t >= NEAR
    early = min(due, t + WHEEL - 1) & ~(SPAN - 1)
    row = NEAR + (early // SPAN & (FAR_ROWS - 1))
    row = row if far else due & (NEAR - 1)
    at = np.uint64(row)
    fast.calls[at, word] |= bit
    fast.call_words[at, word >> SIX] |= ONE << (word & LOW)
    fast.called[at] = 1
    return early if far else due


@inner
def _silence(net: Net, fast: Fast, p: int, own: int, x: Any, threshold: Any) -> int:
    """Return for how many ticks a neuron in state ``x`` certainly stays silent."""
    s = net.population[p, P_STATES]
    step = 2 * (s + 1)
    at = fast.part[p, W_BOUND] + net.population[p, P_KINDS] * own * (N_HORIZONS + 1) * step
    margin = net.real[1]
    rest = fast.part[p, W_REST] != 0
    if rest and stays_below(fast.table, at + N_HORIZONS * step, x, s, threshold, margin):
        return FAR
    if stays_below(fast.table, at + 2 * step, x, s, threshold, margin):
        if stays_below(fast.table, at + 4 * step, x, s, threshold, margin):
            return 1024
        return 256 if stays_below(fast.table, at + 3 * step, x, s, threshold, margin) else 64
    if stays_below(fast.table, at + step, x, s, threshold, margin):
        return 16
    return 4 if stays_below(fast.table, at, x, s, threshold, margin) else 0


@inner
def wait(net: Net, fast: Fast, p: int, own: int, x: Any, t: int) -> None:
    """Let a neuron, in state ``x`` in tick ``t``, wait for its next call."""
    threshold = net.real[net.population[p, P_THRESHOLD] + net.population[p, P_KINDS] * own]
    at = fast.part[p, W_RECORD] + own * fast.part[p, W_WIDTH] + fast.part[p, W_TICKS]
    record = fast.record_tick
    late = fast.part[p, W_ROWS] < 0
    if threshold == np.inf:
        if late:
            record[at + WAKE] = t + FAR
        return
    from_tick = t
    held = record[at + UNTIL] - t
    if held > 0:  # judge it by the state in which it leaves its refractory period
        kind = net.population[p, P_KINDS] * own
        carry(
            x,
            net.population[p, P_STATES],
            net.real,
            net.population[p, P_HELD] + kind * net.population[p, P_SIZE],
            net.population[p, P_BITS],
            np.int64(held),
        )
        from_tick = int(record[at + UNTIL])
    wake = from_tick + _silence(net, fast, p, own, x, threshold) + 1
    if late:
        record[at + WAKE] = wake
    due = int(record[at + CALL])
    if wake < t + FAR and (due <= t or wake < due):
        record[at + CALL] = put(fast, fast.part[p, W_CLOCK] + own, wake, t)


@inlined
def nobody(fast: Fast, t: int) -> bool:
    """Whether nobody waits for tick ``t``."""
    far = t & (SPAN - 1) == 0 and fast.called[NEAR + (t // SPAN & (FAR_ROWS - 1))] != 0
    return fast.called[t & (NEAR - 1)] == 0 and not far


@inlined
def _call_late(net: Net, fast: Fast, p: int, first: int, todo: Any, t: int) -> Any:
    """Return which neurons of a word, from ``first`` on, are to be woken; others wait on."""
    width, ticks = fast.part[p, W_WIDTH], fast.part[p, W_TICKS]
    clock, record = fast.part[p, W_CLOCK], fast.part[p, W_RECORD]
    woken = todo
    while todo != NOTHING:
        n = first + trailing_zeros(todo)
        at = record + (n - clock) * width + ticks
        wake = np.int64(fast.record_tick[at + WAKE])
        if wake > t:
            woken &= ~(todo & (~todo + ONE))
            if wake < t + FAR // 2 and fast.record_tick[at + CALL] <= t:
                fast.record_tick[at + CALL] = put(fast, n, wake, t)
        todo &= todo - ONE
    return woken


@inner
def _call_row(net: Net, fast: Fast, row: int, t: int) -> None:
    """Wake the neurons in a row of the wheel."""
    fast.called[row] = 0
    p = 0
    for i in range(fast.call_words.shape[1]):
        words = fast.call_words[row, i]
        fast.call_words[row, i] = NOTHING
        while words != NOTHING:
            w = (i << 6) + np.int64(trailing_zeros(words))
            words &= words - ONE
            n, todo = w << 6, fast.calls[row, w]
            fast.calls[row, w] = NOTHING
            while not (fast.part[p, W_CLOCK] <= n < fast.part[p, W_CLOCK] + fast.part[p, W_STRIDE]):
                p += 1
            if fast.part[p, W_ROWS] < 0:
                todo = _call_late(net, fast, p, n, todo, t)
            if todo != NOTHING:
                fast.hits[WOKEN, w] |= todo
                fast.hits[WORDS, w >> 6] |= ONE << (np.uint64(w) & LOW)


@inner
def call(net: Net, fast: Fast, t: int) -> None:
    """Wake the neurons whose time has come; the others go on waiting."""
    if fast.called[t & (NEAR - 1)] != 0:
        _call_row(net, fast, t & (NEAR - 1), t)
    if t & (SPAN - 1) == 0:
        row = NEAR + (t // SPAN & (FAR_ROWS - 1))
        if fast.called[row] != 0:
            _call_row(net, fast, row, t)


@inner
def read(net: Net, fast: Fast, p: int, own: int, t: int, x: Any) -> bool:
    """Put the state in tick ``t`` into ``x``; return whether the neuron is refractory."""
    s = net.population[p, P_STATES]
    at = fast.part[p, W_RECORD] + own * fast.part[p, W_WIDTH]
    for i in range(s):
        x[i] = fast.record[at + i]
    tick = at + fast.part[p, W_TICKS]
    last, until = int(fast.record_tick[tick + AT]), int(fast.record_tick[tick + UNTIL])
    base = net.population[p, P_KINDS] * own * net.population[p, P_SIZE]
    bits = net.population[p, P_BITS]
    held = min(t, until) - last
    if held > 0:
        carry(x, s, net.real, net.population[p, P_HELD] + base, bits, held)
        last += held
    carry(x, s, net.real, net.population[p, P_FREE] + base, bits, t - last)
    return bool(t <= until)


@inner
def settle(net: Net, st: State, fast: Fast, p: int, own: int, t: int, base: int) -> int:
    """Bring a neuron to tick ``t``. Return 1 if it fires, -1 if its state is not finite."""
    x = st.buffer
    s = net.population[p, P_STATES]
    kind = net.population[p, P_KINDS] * own
    refractory = read(net, fast, p, own, t, x)
    ports, hit, sound = fast.part[p, W_PORTS], False, True
    for k in range(fast.lists[ports]):
        cell = np.uint64(base + fast.lists[ports + 2 + 2 * k] + own)
        hit = hit or not is_untouched(fast.ring[cell])
    if hit:
        gains = net.population[p, P_GAIN_HELD] if refractory else net.population[p, P_GAIN]
        gains += kind * net.population[p, P_PORTS] * s
        for k in range(fast.lists[ports]):
            cell = np.uint64(base + fast.lists[ports + 2 + 2 * k] + own)
            arrived = fast.ring[cell] + (net.real[0] - net.real[0])
            fast.ring[cell] = -(net.real[0] - net.real[0])
            sound = sound and np.isfinite(arrived)
            at = gains + fast.lists[ports + 1 + 2 * k] * s
            for i in range(s):
                x[i] += net.real[at + i] * arrived
    level = net.real[0] - net.real[0]
    for i in range(s):
        level += net.real[net.population[p, P_H] + i] * x[i]
    threshold = net.real[net.population[p, P_THRESHOLD] + kind]
    fires = not refractory and level >= threshold and threshold < np.inf
    if hit or fires:
        if not (sound and finite(x, s)):
            return -1
        at = fast.part[p, W_RECORD] + own * fast.part[p, W_WIDTH]
        if fires:
            for i in range(s):
                if net.whole[net.population[p, P_MASK] + i]:
                    x[i] = net.real[net.population[p, P_RESET] + kind * s + i]
                else:
                    x[i] += net.real[net.population[p, P_JUMP] + kind * s + i]
            until = t + net.whole[net.population[p, P_REFRACTORY] + kind]
            fast.record_tick[at + fast.part[p, W_TICKS] + UNTIL] = until
        for i in range(s):
            fast.record[at + i] = x[i]
        fast.record_tick[at + fast.part[p, W_TICKS] + AT] = t
    wait(net, fast, p, own, x, t)
    return 1 if fires else 0


@inner
def look_all(
    net: Net, st: State, fast: Fast, p: int, t: int, base: int, count: int, listed: int
) -> int:
    """Bring the first ``listed`` of the chosen neurons of ``p``, in order, to tick ``t``.

    Adds those that fire to the spikes of the tick, of which there are ``count``; returns
    how many there are now, or -1 if a state is not finite.
    """
    start, first, bad = net.population[p, P_START], fast.part[p, W_CHOSEN], False
    for i in range(first, first + listed):
        own = np.int64(fast.chosen[i])
        outcome = settle(net, st, fast, p, own, t, base)
        if outcome > 0:
            st.lists[SPIKES, count], st.lists[MANY, count] = start + own, 1
            count += 1
        elif outcome < 0 and not bad:
            st.register[BAD] = start + own
            bad = True
    return -1 if bad else count
