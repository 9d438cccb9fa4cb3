"""Compiled: sweeps of neurons with one membrane and at most two currents, as vectors.

What ``sweep.py`` does in many short loops, in one: a state is read by the gap since the
last event, arrivals are taken, the threshold is tested, and what has changed is stored. It
covers units whose currents decay alone and act on the membrane only, which most are; they
may use one or two ports.

The gap decides about the coefficients. In dense activity nearly all neurons have the same,
and one set of coefficients serves all; otherwise they are looked up, neuron by neuron.
Neurons with another gap than the tick's, or with none of one digit, or in whose gap a
refractory period has ended, are left to scalar code (``_one``).
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikecore.backends.event.caching import inlined, inner
from spikecore.backends.event.lanes import INDEX, WIDTH, Vector, Vectors, where
from spikecore.backends.event.packed import Fast, W
from spikecore.backends.event.small import GAIN, HELD_GAIN, H
from spikecore.backends.event.sweep import read_swept
from spikecore.backends.event.tables import Net, P, R, State
from spikecore.backends.event.words import is_untouched, trailing_zeros

__all__ = ["sweep_lanes", "sweep_lif"]

P_START, P_STATES, P_THRESHOLD = int(P.START), int(P.N_STATES), int(P.THRESHOLD_0)
P_RESET, P_JUMP, P_H = int(P.RESET_0), int(P.JUMP_0), int(P.H_0)
P_GAIN, P_GAIN_HELD = int(P.GAIN_0), int(P.GAIN_HELD_0)
P_MASK, P_REFRACTORY = int(P.MASK_0), int(P.REFRACTORY_0)
W_CLOCK, W_X, W_STRIDE, W_TABLE = int(W.CLOCK_0), int(W.X_0), int(W.STRIDE), int(W.TABLE_0)
W_PORTS, W_HITS, W_SMALL = int(W.PORTS_0), int(W.HITS), int(W.SMALL_0)
W_ALIKE, W_SIZE = int(W.ALIKE), int(W.SIZE)
UPDATES, BAD = int(R.UPDATES), int(R.BAD)
SPIKES, MANY = 2, 3  # State.lists
DIGITS = 64  # values of a digit; the entries for a refractory period follow
FIRES, OTHERS, WRONG = 0, 1, 2  # Fast.signs
IS_BAD, HITS, FIRED, OTHER, COMMON = 0, 1, 2, 3, 4  # Fast.tally
FEW = 8
"""One neuron in so many may be left to scalar code."""
ONE, NOTHING = np.uint64(1), np.uint64(0)

alloca: Any = cgutils.alloca_once
unpack: Any = cgutils.unpack_tuple
TRUTH = ir.IntType(1)
ARRAYS = ("swept", "clock", "ring", "table", "small", "signs", "tally")
NUMBERS = (
    "x", "stride", "last", "until", "cell_a", "cell_b", "table_0", "small_0", "vectors", "size",
    "row", "tick", "gap",
)  # fmt: skip


class _Sweep:
    """Writes the loop for ``s`` states and ``ports`` ports; ``alike``: one gap for all."""

    def __init__(self, v: Vectors, given: dict[str, Any], s: int, ports: int, alike: bool) -> None:
        self.v, self.b, self.given = v, v.builder, given
        self.s, self.ports, self.alike = s, ports, alike
        self.real = given["swept"].type.pointee
        self.whole = given["clock"].type.pointee
        # Entries of the propagator, as in Fast.table: the last row (constant first), and the
        # diagonal of the others.
        first = (s - 1) * (s + 1)
        self.row = [first + s, *range(first, first + s)]
        self.diagonal = [i * (s + 1) + i for i in range(s - 1)]

    def _plus(self, name: str, offset: int) -> Any:
        return self.b.add(self.given[name], INDEX(offset))

    def _number(self, name: str) -> Vector:
        n = self.given[name]
        return self.v.of(n if self.whole.width == INDEX.width else self.b.trunc(n, self.whole))

    def _known(self) -> None:
        """Load what is the same for all neurons."""
        v, small = self.v, self.given["small"]
        self.pairs = {}
        for e in self.row + self.diagonal if self.alike else []:
            free = self.b.add(self._plus("table_0", e * 2 * DIGITS), self.given["gap"])
            held = self.b.add(free, INDEX(DIGITS))
            self.pairs[e] = v.entry(self.given["table"], held), v.entry(self.given["table"], free)
        self.gains = {
            (k, i): tuple(
                v.entry(small, self._plus("small_0", first + 3 * k + i))
                for first in (HELD_GAIN, GAIN)
            )
            for k, i in product(range(self.ports), range(self.s))
        }
        self.h = [v.entry(small, self._plus("small_0", H + i)) for i in range(self.s)]

    def write(self) -> None:
        """Write the loop, and store what it has counted."""
        b = self.b
        self._known()
        self.sums = [alloca(b, INDEX) for _ in range(5)]
        for place in self.sums:
            b.store(INDEX(0), place)
        with cgutils.for_range(b, self.given["vectors"], intp=INDEX) as loop:
            self._vector(loop.index)
        for which, place in enumerate(self.sums):
            b.store(b.load(place), b.gep(self.given["tally"], [INDEX(which)]))

    def _coefficients(self, gap: Vector, holds: Vector, plain: Vector) -> dict[int, Vector]:
        if self.alike:
            return {e: where(holds, *pair) for e, pair in self.pairs.items()}
        v, none = self.v, self.v.constant(self.whole, 0)
        gap = where(plain, gap, none)
        digit = gap + where(plain & holds, v.constant(self.whole, DIGITS), none)
        places = {e: self._plus("table_0", e * 2 * DIGITS) for e in self.row + self.diagonal}
        table = self.given["table"]
        if not isinstance(self.real, ir.FloatType):  # no vector holds WIDTH of them
            return {e: v.look_up(table, place, digit) for e, place in places.items()}
        near = (gap < v.constant(self.whole, WIDTH)).every()
        with self.b.if_else(near) as (short, long):
            with short:
                permuted = [
                    where(
                        holds,
                        v.permute(table, self.b.add(place, INDEX(DIGITS)), gap),
                        v.permute(table, place, gap),
                    )
                    for place in places.values()
                ]
                here = self.b.block
            with long:
                found = [v.look_up(table, place, digit) for place in places.values()]
                there = self.b.block
        pairs = zip(permuted, found, strict=True)
        return dict(zip(places, (v.either(p, here, f, there) for p, f in pairs), strict=True))

    def _arrivals(self, own: Any, y: list[Vector], holds: Vector, plain: Vector) -> Any:
        """Add what has arrived; return who was reached, and by what is not finite."""
        v, ring = self.v, self.given["ring"]
        zero, nothing = v.constant(self.real, 0.0), v.constant(self.real, -0.0)
        reached = bad = v.constant(TRUTH, 0)
        for k in range(self.ports):
            at = self.b.add(self.given[("cell_a", "cell_b")[k]], own)
            cell = v.load(ring, at)
            touched = ~cell.untouched()
            v.store(ring, at, where(plain, nothing, cell))
            arrived = cell + zero
            reached = reached | touched
            bad = bad | (touched & ~(arrived - arrived).same(zero))
            for i in range(self.s):
                y[i] = y[i] + where(holds, *self.gains[k, i]) * arrived
        return reached, bad

    def _vector(self, number: Any) -> None:
        """Bring the neurons of one vector to this tick."""
        v, b, given, s = self.v, self.b, self.given, self.s
        own = b.mul(number, INDEX(WIDTH))
        zero, now = v.constant(self.real, 0.0), self._number("tick")
        last_at, until_at = b.add(given["last"], own), b.add(given["until"], own)
        last, until = v.load(given["clock"], last_at), v.load(given["clock"], until_at)
        gap, holds = now - last, now <= until
        first = own if self.whole.width == INDEX.width else b.trunc(own, self.whole)
        exists = (v.of(first) + v.counting(self.whole)) < self._number("size")
        single = (holds | (until <= last)) & exists
        common = single & gap.same(self._number("gap"))
        plain = common if self.alike else single & (gap < v.constant(self.whole, DIGITS))
        factor = self._coefficients(gap, holds, plain)
        places = [b.add(b.add(given["x"], own), b.mul(given["stride"], INDEX(i))) for i in range(s)]
        x = [v.load(given["swept"], place) for place in places]
        y = [zero + factor[e] * one for e, one in zip(self.diagonal, x, strict=False)]
        membrane = factor[self.row[0]]
        for e, one in zip(self.row[1:], x, strict=True):
            membrane = membrane + factor[e] * one
        y.append(membrane)
        reached, bad = self._arrivals(own, y, holds, plain)
        level, rest = zero, zero
        for i in range(s):
            level = level + self.h[i] * y[i]
            rest = rest + (y[i] - y[i])  # 0 if all are finite
        crosses = (level >= v.of(given["threshold"])) & ~holds & plain
        reached = (reached | crosses) & plain
        bad = (bad | ~rest.same(zero)) & reached
        kept, others = reached & ~bad, ~plain & exists
        for i in range(s):
            v.store(given["swept"], places[i], where(kept, y[i], x[i]))
        v.store(given["clock"], last_at, where(kept, now, last))
        for which, truth in ((FIRES, crosses & ~bad), (OTHERS, others), (WRONG, bad)):
            place = b.add(b.mul(given["row"], INDEX(which)), number)
            b.store(truth.bits(), b.gep(given["signs"], [place]))
        for place, truth in zip(self.sums, (bad, reached, crosses, others, common), strict=True):
            ones = b.zext(b.ctpop(truth.bits()), INDEX)
            b.store(b.add(b.load(place), ones), place)


@intrinsic
def _swept(typing: Any, way: Any, arrays: Any, numbers: Any, threshold: Any) -> Any:
    """Sweep a population: ARRAYS and NUMBERS as tuples.

    ``way`` is 4 * states + 2 (if two ports are used) + 1 (if one gap is common to nearly all).
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Vectors(context, builder)
        own_arrays, own_numbers = (unpack(builder, a) for a in arguments[1:3])
        given = dict(zip(NUMBERS, own_numbers, strict=True)) | {"threshold": arguments[3]}
        for name, kind, array in zip(ARRAYS, arrays, own_arrays, strict=True):
            given[name] = v.data(kind, array)
        done = builder.append_basic_block("swept")
        switch = builder.switch(arguments[0], done)
        for s, ports, alike in product((1, 2, 3), (1, 2), (False, True)):
            block = builder.append_basic_block(f"sweep_{s}_{ports}_{alike:d}")
            switch.add_case(INDEX(4 * s + 2 * (ports - 1) + alike), block)
            builder.position_at_end(block)
            _Sweep(v, given, s, ports, alike).write()
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(types.int64, arrays, numbers, threshold), generate


_sweep: Any = _swept


@inner
def _one(net: Net, st: State, fast: Fast, p: int, own: int, t: int, base: int) -> int:
    """Bring one neuron to tick ``t``. Return 1 if it fires, -1 if its state is not finite."""
    s, x = net.population[p, P_STATES], st.buffer
    refractory = read_swept(net, fast, p, own, t, x)
    zero = net.real[0] - net.real[0]
    gains = net.population[p, P_GAIN_HELD] if refractory else net.population[p, P_GAIN]
    ports, hit, sound = fast.part[p, W_PORTS], False, True
    for k in range(fast.lists[ports]):
        cell = base + fast.lists[ports + 2 + 2 * k] + own
        arrived = fast.ring[cell]
        if is_untouched(arrived):
            continue
        hit = True
        fast.ring[cell] = -zero
        sound = sound and np.isfinite(arrived)
        at = gains + fast.lists[ports + 1 + 2 * k] * s
        for i in range(s):
            x[i] += net.real[at + i] * (arrived + zero)
    level = zero
    for i in range(s):
        level += net.real[net.population[p, P_H] + i] * x[i]
    threshold = net.real[net.population[p, P_THRESHOLD]]
    fires = not refractory and level >= threshold and threshold < np.inf
    if hit or fires:
        for i in range(s):
            sound = sound and np.isfinite(x[i])
            fast.swept[fast.part[p, W_X] + i * fast.part[p, W_STRIDE] + own] = x[i]
        fast.clock[0, fast.part[p, W_CLOCK] + own] = t
        fast.part[p, W_HITS] += 1
    if not sound:
        return -1
    return 1 if fires else 0


@inner
def _fire(net: Net, fast: Fast, p: int, own: int, t: int) -> None:
    """Reset a neuron whose state at the threshold is stored."""
    at = fast.part[p, W_X] + own
    for i in range(net.population[p, P_STATES]):
        if net.whole[net.population[p, P_MASK] + i]:
            fast.swept[at] = net.real[net.population[p, P_RESET] + i]
        else:
            fast.swept[at] += net.real[net.population[p, P_JUMP] + i]
        at += fast.part[p, W_STRIDE]
    until = t + net.whole[net.population[p, P_REFRACTORY]]
    fast.clock[1, fast.part[p, W_CLOCK] + own] = until


@inner
def sweep_lif(net: Net, st: State, fast: Fast, p: int, t: int, base: int, count: int) -> int:
    """Bring all neurons of ``p`` to tick ``t``, as ``sweep_all``."""
    fired: int = sweep_lanes(net, st, fast, p, t, base, count, (0, fast.part[p, W_STRIDE]))
    return fired


@inlined
def sweep_lanes(
    net: Net, st: State, fast: Fast, p: int, t: int, base: int, count: int, lanes: Any
) -> int:
    """Bring some neurons of ``p`` to tick ``t``: ``lanes`` are the first, and how many.

    Both are whole vectors. What it returns is what ``sweep_lif`` does.
    """
    lo, n = lanes
    f, row, ports = fast, fast.part[p], fast.part[p, W_PORTS]
    start, s = net.population[p, P_START] + lo, net.population[p, P_STATES]
    last, vectors, size = row[W_CLOCK] + lo, n // WIDTH, min(n, row[W_SIZE] - lo)
    # The gap of the median of three: what is common need not be that of the first neuron.
    a, b = t - f.clock[0, last], t - f.clock[0, last + size // 2]
    gap = max(min(a, b), min(max(a, b), t - f.clock[0, last + size - 1]))
    threshold = net.real[net.population[p, P_THRESHOLD]]
    if threshold == np.inf:  # nobody fires, whatever the level
        threshold = threshold - threshold
    cell_a = base + lo + f.lists[ports + 2]
    cell_b = base + lo + f.lists[ports + 4] if f.lists[ports] > 1 else cell_a
    way = 4 * s + 2 * (f.lists[ports] - 1)
    if 0 < gap < DIGITS and row[W_ALIKE] == 1:
        way += 1
    arrays = f.swept, f.clock, f.ring, f.table, f.small, f.signs, f.tally
    where_from = row[W_X] + lo, row[W_STRIDE], last, last + f.clock.shape[1], cell_a, cell_b
    numbers = (*where_from, row[W_TABLE], row[W_SMALL], vectors, size, f.signs.shape[1], t, gap)
    _sweep(way, arrays, numbers, threshold)
    row[W_ALIKE] = 1 if f.tally[COMMON] * FEW >= size * (FEW - 1) else 0
    row[W_HITS] += f.tally[HITS]
    st.register[UPDATES] += size
    if f.tally[IS_BAD] + f.tally[FIRED] + f.tally[OTHER] == 0:
        return count
    bad = np.int64(-1)
    for w in range(np.uint64(vectors)):
        fires, others = np.uint64(f.signs[FIRES, w]), np.uint64(f.signs[OTHERS, w])
        wrong = np.uint64(f.signs[WRONG, w])
        while others != NOTHING:
            bit = np.uint64(trailing_zeros(others))
            others &= others - ONE
            outcome = _one(net, st, fast, p, lo + np.int64(w) * WIDTH + np.int64(bit), t, base)
            if outcome > 0:
                fires |= ONE << bit
            elif outcome < 0:
                wrong |= ONE << bit
        if wrong != NOTHING and bad < 0:
            bad = start + np.int64(w) * WIDTH + np.int64(trailing_zeros(wrong))
        while fires != NOTHING:
            own = np.int64(w) * WIDTH + np.int64(trailing_zeros(fires))
            fires &= fires - ONE
            _fire(net, fast, p, lo + own, t)
            st.lists[SPIKES, count], st.lists[MANY, count] = start + own, 1
            count += 1
    if bad >= 0:
        st.register[BAD] = bad
        return -1
    return count
