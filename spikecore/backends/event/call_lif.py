"""Compiled: when neurons like LIF are to be called, for a vector of them.

Those whose call has to be looked for anew wait in a short list (``Fast.waits``) until there
are enough for a vector. What ``small.py`` asks for one neuron and all bounds at once is asked
here for one bound and many neurons.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spikecore.backends.event.batch_lif import SINCE
from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.horizons import FAR
from spikecore.backends.event.lanes import INDEX, WIDTH, Vector, Vectors, where
from spikecore.backends.event.packed import CAPACITY, Fast, W
from spikecore.backends.event.small import BOUND, MARGIN, MOST_STATES, SILENCE, SIZE, THRESHOLD
from spikecore.backends.event.wheel import CALL, put
from spikecore.backends.event.words import ones, trailing_zeros

__all__ = ["call_waiting", "let_wait"]

W_CLOCK, W_RECORD, W_WIDTH = int(W.CLOCK_0), int(W.RECORD_0), int(W.WIDTH)
W_SMALL, W_TICKS = int(W.SMALL_0), int(W.TICKS)
OWN, FROM, SILENT = 0, 1, 2  # Fast.waits_tick
ONE, NOTHING = np.uint64(1), np.uint64(0)
NO_LANE, LANE = np.uint64(2**63), np.uint64(WIDTH - 1)
SINCE_0 = np.uint64(WIDTH * SINCE)


class _Silence:
    """Writes for how long a vector of neurons stays silent."""

    def __init__(self, v: Vectors, small: Any, base: Any) -> None:
        self.v, self.small, self.base = v, small, base

    def _entry(self, offset: int) -> Vector:
        return self.v.entry(self.small, self.v.builder.add(self.base, INDEX(offset)))

    def write(self, x: list[Vector], kind: Any) -> Vector:
        """Return how many of the bounds hold in the states ``x``, as whole numbers like ``kind``.

        That is the number of those before the first that does not.
        """
        v = self.v
        zero = v.constant(x[0].value.type.element, 0.0)
        sizes, positive = [one.size() for one in x], [zero < one for one in x]
        total = self._entry(SIZE + MOST_STATES)
        for i, size in enumerate(sizes):
            total = total + self._entry(SIZE + i) * size
        limit = self._entry(THRESHOLD) - self._entry(MARGIN) * total
        one, none = v.constant(kind, 1), v.constant(kind, 0)
        many, holds = none, ~v.constant(ir.IntType(1), 0)
        for h in range(WIDTH):
            level = self._entry(BOUND + h)
            for i, size in enumerate(sizes):
                up, down = (self._entry(BOUND + WIDTH * (1 + 2 * i + k) + h) for k in (0, 1))
                level = level + where(positive[i], up, down) * size
            # Not a number counts as "no": what overflows is looked at.
            holds = holds & (level < limit)
            many = many + where(holds, one, none)
        return many


@intrinsic
def _silences(typing: Any, small: Any, waits: Any, ticks: Any, base: Any, first: Any) -> Any:
    """Find for a vector of waiting neurons, from ``first`` on, how many bounds hold."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Vectors(context, builder)
        data, states, whole = (
            v.data(kind, array)
            for kind, array in zip((small, waits, ticks), arguments[:3], strict=True)
        )
        base, first = arguments[3:]
        x = [v.load(states, builder.add(first, INDEX(i * CAPACITY))) for i in range(MOST_STATES)]
        many = _Silence(v, data, base).write(x, whole.type.pointee)
        v.store(whole, builder.add(first, INDEX(SILENT * CAPACITY)), many)
        return context.get_dummy_value()

    return types.void(small, waits, ticks, types.uint64, types.uint64), generate


silences: Any = _silences


@inlined
def _take(fast: Fast, at: Any, first: Any, todo: Any) -> Any:
    """Put the first neuron marked in ``todo``, a vector from ``first`` on, at ``at``.

    If none is marked, it is any neuron of the vector.
    """
    lane = np.uint64(trailing_zeros(todo | NO_LANE)) & LANE
    fast.waits_tick[OWN, at] = fast.chosen[first + lane]
    fast.waits_tick[FROM, at] = fast.batch_tick[SINCE_0 + lane]
    for i in range(MOST_STATES):
        fast.waits[i, at] = fast.batch[np.uint64(i * WIDTH) + lane]
    return todo & (todo - ONE)


@inlined
def let_wait(fast: Fast, many: Any, first: Any, todo: Any) -> Any:
    """Add the neurons marked in ``todo`` to the ``many`` that wait; return how many do.

    Four are written in any case: how many they are cannot be guessed, and a wrong guess costs
    more than four.
    """
    end = many + ones(todo)
    todo = _take(fast, many, first, todo)
    todo = _take(fast, many + ONE, first, todo)
    todo = _take(fast, many + np.uint64(2), first, todo)
    todo = _take(fast, many + np.uint64(3), first, todo)
    many += np.uint64(4)
    while todo != NOTHING:
        todo = _take(fast, many, first, todo)
        many += ONE
    return end


@inner
def call_waiting(fast: Fast, p: int, t: int, first: Any, many: Any) -> None:
    """Let ``many`` neurons from ``first`` on wait for the end of their silence.

    Unless they are called before.
    """
    silences(fast.small, fast.waits, fast.waits_tick, np.uint64(fast.part[p, W_SMALL]), first)
    record, width = np.uint64(fast.part[p, W_RECORD]), np.uint64(fast.part[p, W_WIDTH])
    record += np.uint64(fast.part[p, W_TICKS] + CALL)
    clock = fast.part[p, W_CLOCK]
    for i in range(first, first + many):
        own = np.uint64(fast.waits_tick[OWN, i])
        silent = SILENCE[np.uint64(fast.waits_tick[SILENT, i])]
        at = record + own * width
        due, wake = int(fast.record_tick[at]), int(fast.waits_tick[FROM, i]) + 1 + silent
        if wake < t + FAR and (due <= t or wake < due):
            fast.record_tick[at] = put(fast, clock + np.int64(own), wake, t)
