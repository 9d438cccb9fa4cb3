"""Compiled: inputs of :class:`~spikecore.PoissonCounts` that are drawn where they arrive.

For an input that nobody records and that reaches each of its targets by one synapse, the
numbers of spikes are drawn in the kernel, LANES at a time, and added to the cells: the same
generator, the same counters and the same sums as where ``inputs.py`` draws them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.event.apart import read, write
from spikecore.backends.event.caching import inner
from spikecore.backends.event.packed import LANES, Fast, M, W
from spikecore.backends.event.tables import C, Net, R, State
from spikecore.backends.lowering import Lowered, LoweredProjection
from spikecore.inputs import PoissonCounts
from spikecore.randomness import LARGEST

__all__ = ["draw_inputs", "drawn_inputs"]

C_SYNAPSE, C_WEIGHT = int(C.SYNAPSE_0), int(C.WEIGHT_0)
CELL_BITS, SLOT_MASK = int(M.CELL_BITS), int(M.SLOT_MASK)
W_SWEPT, W_MARKED = int(W.SWEPT), int(W.MARKED)
SENT, PENDING = int(R.SENT), int(R.PENDING)
MULTIPLIER, HALF, LOW = np.uint64(0xD256D193), np.uint64(32), np.uint64(0xFFFFFFFF)
WEYL = np.uint64(0x9E3779B9)
ROUNDS = 10
SIZE, KEY, STEPS_0, N_STEPS, PROJECTION, FIRST = 0, 1, 2, 3, 4, 5
COLUMNS = 6
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)
SIX, IN_WORD = np.uint64(6), np.uint64(63)
BY_FOUR = 4  # steps are gone through


def _one_each(p: LoweredProjection) -> int:
    """Return the first of neighbours that reach all targets, one each, or -1.

    The weight and the delay are those of all others.
    """
    alike = p.weight.size == 1 and p.delay.size == 1 and p.plasticity is None
    if not (alike and p.size == p.target_size and p.size > 0):
        return -1
    first = int(np.searchsorted(p.row, 0, side="right")) - 1
    each = np.arange(p.source_size + 1)
    one = np.array_equal(p.row, np.clip(each - first, 0, p.size))
    return first if one and np.array_equal(p.target, each[: p.size]) else -1


def drawn_inputs(
    lowered: Lowered, order: list[int]
) -> tuple[frozenset[int], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Return which inputs can be drawn in the kernel, their table and their steps.

    The spikes of such an input are added before all others of a tick, so nothing with a
    lower number may reach the same port of the same population.
    """
    rows: list[tuple[int, ...]] = []
    steps: list[npt.NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    numbers, at = set(), 0
    for number, bound in enumerate(lowered.inputs):
        if not isinstance(bound.input.source, PoissonCounts) or bound.input.record:
            continue
        start = lowered.groups[bound.input.name][0]
        own = [i for i, p in enumerate(lowered.projections) if p.source_start == start]
        given = bound.counts.steps
        if given.shape[0] != 1 or not own or given.size == 0 or given[0, 0] == 0:
            continue
        if all(_first_one_each(lowered, i) for i in own):
            numbers.add(number)
            # "exceeds" is "reaches" one less; no bits exceed the largest number
            below = given[0] - ONE
            fill = np.full(-below.size % BY_FOUR, LARGEST, np.uint64)
            steps.append(np.concatenate([below, fill]))
            for i in own:
                p, key = lowered.projections[i], bound.counts.key
                rows.append((p.size, key, at, steps[-1].size, order.index(i), _one_each(p)))
            at += steps[-1].size
    table = np.array(rows, np.int64).reshape(-1, COLUMNS)
    return frozenset(numbers), table, np.concatenate(steps)


def _first_one_each(lowered: Lowered, number: int) -> bool:
    p = lowered.projections[number]
    others = [
        q
        for i, q in enumerate(lowered.projections)
        if i != number and (q.target_start, q.port) == (p.target_start, p.port)
    ]
    return _one_each(p) >= 0 and all(q.source_start > p.source_start for q in others)


@inner
def _random(bits: Any, n: int, first: int, t: int, key: int) -> None:
    """Philox2x32-10 of the counters ``(first + i, t)``, as ``randomness.counter_bits``."""
    start, tick, own = np.uint64(first), np.uint64(t) & LOW, np.uint64(key)
    for i in range(np.uint64(n)):
        a, b = start + np.uint64(i), tick
        for number in range(ROUNDS):
            product = a * MULTIPLIER
            round_key = (own + np.uint64(number) * WEYL) & LOW
            a = (product >> HALF) ^ round_key ^ b
            b = product & LOW
        bits[i] = (a << HALF) | b


@inner
def _send_drawn(ring: Any, cell: Any, bits: Any, n: Any, steps: Any, k: Any, weight: Any) -> Any:
    """Add the weight once for each of the four steps ``k .. k + 3`` that the bits exceed.

    Returns how many do, and how many exceed the last.
    """
    a, b, c, d = steps[k], steps[k + ONE], steps[k + TWO], steps[k + THREE]
    one, none = np.int32(1), np.int32(0)
    total, last = np.int32(0), np.int32(0)
    for i in range(n):
        u, x = read(bits, i, 5, 0), read(ring, cell + i, 5, 1)
        x = x + weight if u > a else x
        x = x + weight if u > b else x
        x = x + weight if u > c else x
        x = x + weight if u > d else x
        write(ring, cell + i, x, 5, 1)
        more = (one if u > a else none) + (one if u > b else none) + (one if u > c else none)
        total = np.int32(total + more)
        last = np.int32(last + (one if u > d else none))
    return int(total) + int(last), int(last)


@inner
def draw_inputs(net: Net, st: State, fast: Fast, t: int) -> None:
    """Draw the spikes of ``t`` of all such inputs, and send them."""
    zero = net.real[0] - net.real[0]
    for row in range(fast.drawn.shape[0]):
        p = fast.drawn[row, PROJECTION]
        first = np.int64(fast.packed[net.projection[p, C_SYNAPSE]])
        bits = fast.meta[CELL_BITS]
        slot = (t + (first >> bits)) & fast.meta[SLOT_MASK]
        base = (slot << bits) + (first & ((1 << bits) - 1))
        weight = st.weight[net.projection[p, C_WEIGHT]] + zero
        sent = 0
        for lo in range(0, fast.drawn[row, SIZE], LANES):
            n = min(LANES, fast.drawn[row, SIZE] - lo)
            _random(fast.random, n, fast.drawn[row, FIRST] + lo, t, fast.drawn[row, KEY])
            k = fast.drawn[row, STEPS_0]
            least, end = fast.steps[k], k + fast.drawn[row, N_STEPS]
            while k < end:
                here, more = _send_drawn(
                    fast.ring,
                    np.uint64(base + lo),
                    fast.random,
                    np.uint64(n),
                    fast.steps,
                    np.uint64(k),
                    weight,
                )
                sent += here
                k = k + 4 if more > 0 else end
            if fast.part[fast.aims[p], W_SWEPT] == 0:
                fast.part[fast.aims[p], W_MARKED] = 1
                for i in range(n):
                    if fast.random[i] > least:
                        cell = np.uint64(base + lo + i)
                        fast.bits[cell >> SIX] |= ONE << (cell & IN_WORD)
        fast.due[slot] += sent
        st.register[SENT] += sent
        st.register[PENDING] += sent
