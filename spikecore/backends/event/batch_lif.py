"""Neurons like LIF that are looked at, as vectors: what is done with 16 of them.

Neurons of a tick lie anywhere, with any gap; so each brings its record, and one row of
coefficients for each digit of its gap, which are loaded as they lie and transposed in
registers. States that decay alone need few: a constant and the factors of the membrane,
and the decays. ``look_lif.py`` goes from vector to vector.

Whether a neuron may wait for the call that it waits for is asked with one bound, that of
the ticks until then.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikecore.backends.event.horizons import GRID, STEPS, horizon_bounds
from spikecore.backends.event.lanes import INDEX, WIDTH, Vector, Vectors, where
from spikecore.backends.event.small import GAIN, HELD_GAIN, MARGIN, MOST_STATES, THRESHOLD, H
from spikecore.backends.lowering import LoweredPopulation

__all__ = ["ARRIVED", "SINCE", "look", "record_layout", "row_table"]

BITS, RADIX, POSITIONS = 6, 64, 7
QUAD = 4  # numbers that are loaded at a time
KINDS = 2  # rows of digits while free, then while held
ARRIVED, SINCE = 3, 5  # rows of Fast.batch; the first are states

alloca: Any = cgutils.alloca_once
unpack: Any = cgutils.unpack_tuple
TRUTH = ir.IntType(1)
ARRAYS = ("record", "whole", "ring", "rows", "small", "chosen", "batch", "since")
NUMBERS = ("record_0", "rows_0", "small_0", "cell_a", "cell_b", "first", "exist", "tick")


def _row_size(s: int) -> tuple[int, int]:
    """Return the length of a row of a digit, and of a row of a bound."""
    return (8 if 2 * s > QUAD else QUAD), (8 if 1 + 2 * s > QUAD else QUAD)


def record_layout(s: int, like_lif: bool) -> tuple[int, int]:
    """Return where the ticks of a record begin, and the length of a record.

    Like LIF there are three ticks, and one state or room for three. So all that an event
    changes are the first four numbers.
    """
    if like_lif:
        return (1, QUAD) if s == 1 else (3, 2 * QUAD)
    return s, -(-(s + 4) // 4) * 4


def row_table(p: LoweredPopulation) -> npt.NDArray[np.float64]:
    """Return rows of coefficients: for each position, while free and while held, each digit.

    Then the bounds of GRID, and that for ever.
    """
    s = len(p.unit.states)
    size, bound_size = _row_size(s)
    rows = np.zeros((POSITIONS, KINDS, RADIX, size))
    for kind, given in enumerate((p.table.free[0], p.table.held[0])):
        rows[:, kind, :, 0] = given[:, :, s - 1, s]
        rows[:, kind, :, 1 : 1 + s] = given[:, :, s - 1, :s]
        for i in range(s - 1):
            rows[:, kind, :, 1 + s + i] = given[:, :, i, i]
    bounds = np.zeros((len(GRID) + 1, bound_size))
    high, low = np.moveaxis(horizon_bounds(p, GRID)[0], 1, 0)
    bounds[:, 0] = high[:, s]
    bounds[:, 1 : 1 + 2 * s : 2], bounds[:, 2 : 2 + 2 * s : 2] = high[:, :s], low[:, :s]
    if not (high[-1, s] < p.threshold[0]):  # it fires by itself sooner or later
        bounds[-1, 0] = np.inf
    table: npt.NDArray[np.float64] = np.concatenate([rows.ravel(), bounds.ravel()])
    return table


class _Batch:
    """Writes what is done with one vector of neurons with ``s`` states and one or two ports."""

    def __init__(self, v: Vectors, given: dict[str, Any], s: int) -> None:
        self.v, self.b, self.given, self.s = v, v.builder, given, s
        self.kind = given["record"].type.pointee
        self.whole = given["whole"].type.pointee
        self.zero = v.constant(self.kind, 0.0)
        self.none = v.constant(self.whole, 0)

    def _at(self, data: str, at: Any, offset: int = 0) -> Any:
        b = self.b
        place = b.add(at, INDEX(offset)) if offset else at
        return b.gep(self.given[data], [place])

    def _entry(self, offset: int) -> Vector:
        """Repeat a number of the population."""
        return self.v.of(self.b.load(self._at("small", self.given["small_0"], offset)))

    def _number(self, name: str) -> Vector:
        n = self.given[name]
        return self.v.of(n if self.whole.width == INDEX.width else self.b.trunc(n, self.whole))

    def _rows(self, data: str, base: Any, index: list[Any], size: int) -> list[Vector]:
        """Load ``size`` numbers for each neuron, a multiple of 4."""
        b, found = self.b, []
        at = [b.add(base, b.mul(i, INDEX(size))) for i in index]
        for first in range(0, size, 4):
            found += self.v.quads([self._at(data, place, first) for place in at])
        return found

    def _index(self, vector: Vector) -> list[Any]:
        wide = self.whole.width == INDEX.width
        return [n if wide else self.b.zext(n, INDEX) for n in vector.lanes()]

    def _carried(self, x: list[Vector], gap: Vector, kind: Vector) -> list[Vector]:
        """Carry states over ``gap`` ticks, digit by digit; ``kind``: first row of the digits."""
        v, b, s = self.v, self.b, self.s
        size = _row_size(s)[0]
        places = [alloca(b, one.value.type) for one in x]
        rest_at, row_at = alloca(b, gap.value.type), alloca(b, INDEX)
        for one, place in zip(x, places, strict=True):
            b.store(one.value, place)
        b.store(gap.value, rest_at)
        b.store(self.given["rows_0"], row_at)
        test, body, done = (b.append_basic_block(name) for name in ("test", "digit", "carried"))
        b.branch(test)
        b.position_at_end(test)
        b.cbranch(Vector(b, b.load(rest_at)).same(self.none).every(), done, body)
        b.position_at_end(body)
        rest, at = Vector(b, b.load(rest_at)), b.load(row_at)
        x = [Vector(b, b.load(place)) for place in places]
        digit = rest & v.constant(self.whole, RADIX - 1)
        row = self._rows("rows", at, self._index(digit + kind), size)
        new = [self.zero + row[1 + s + i] * x[i] for i in range(s - 1)]
        membrane = row[0]
        for i in range(s):
            membrane = membrane + row[1 + i] * x[i]
        stays = digit.same(self.none)
        for old, one, place in zip(x, [*new, membrane], places, strict=True):
            b.store(where(stays, old, one).value, place)
        b.store(rest.lower(BITS).value, rest_at)
        b.store(b.add(at, INDEX(KINDS * RADIX * size)), row_at)
        b.branch(test)
        b.position_at_end(done)
        return [Vector(b, b.load(place)) for place in places]

    def _arrivals(self, own: list[Any], x: list[Vector], holds: Vector) -> list[Vector]:
        """Return states with what has arrived, then who was reached. Cells are as new then."""
        b = self.b
        found = self._arrived(0, own, [*x, self.v.constant(TRUTH, 0)], holds)
        before = b.block
        with b.if_then(self.given["second_port"]):
            new = self._arrived(1, own, found, holds)
            within = b.block
        both = zip(found, new, strict=True)
        return [self.v.either(one, before, other, within) for one, other in both]

    def _arrived(self, k: int, own: list[Any], x: list[Vector], holds: Vector) -> list[Vector]:
        """Add what has arrived at port ``k``."""
        v, b, touched = self.v, self.b, x[self.s]
        cells = [self._at("ring", b.add(self.given[("cell_a", "cell_b")[k]], i)) for i in own]
        cell = v.gather(cells)
        for place in cells:
            b.store(ir.Constant(self.kind, -0.0), place)
        v.store(self.given["batch"], INDEX((ARRIVED + k) * WIDTH), cell)
        arrived, new = cell + self.zero, []
        for i in range(self.s):
            gains = self._entry(HELD_GAIN + 3 * k + i), self._entry(GAIN + 3 * k + i)
            new.append(x[i] + where(holds, *gains) * arrived)
        return [*new, touched | ~cell.untouched()]

    def write(self) -> Any:
        """Write everything; return as bits who is left to scalar code, needs a call, fires."""
        v, b, given, s = self.v, self.b, self.given, self.s
        own = [b.zext(b.load(self._at("chosen", given["first"], i)), INDEX) for i in range(WIDTH)]
        width = 4 if s == 1 else 8
        record = self._rows("record", given["record_0"], own, width)
        old, ticks = record[:s], [one.as_kind(self.whole) for one in record[1 if s == 1 else 3 :]]
        last, until, call = ticks[:3]
        now = self._number("tick")
        holds = now <= until
        mixed = ~holds & ~(until <= last)
        all_held = v.constant(self.whole, RADIX)
        x = self._carried(old, where(mixed, until - last, self.none), all_held)
        free = now - where(mixed, until, last)
        x = self._carried(x, free, where(holds, all_held, self.none))
        *x, touched = self._arrivals(own, x, holds)
        level = rest = self.zero
        for i in range(s):
            level = level + self._entry(H + i) * x[i]
            rest = rest + (x[i] - x[i])
        threshold = self._entry(THRESHOLD)
        can_fire = threshold < v.constant(self.kind, float("inf"))
        fires = (level >= threshold) & ~holds & can_fire
        special = (fires | touched) & ~rest.same(self.zero)
        fires = fires & ~special
        kept = touched & ~special & ~fires
        for i in range(s):
            record[i] = where(kept, x[i], record[i])
        at = 1 if s == 1 else 3
        record[at] = where(kept, now, last).as_kind(self.kind)
        places = [self._at("record", b.add(given["record_0"], b.mul(i, INDEX(width)))) for i in own]
        v.store_quads(places, record[:4])
        since = where(holds, until, now)
        x = self._carried(x, since - now, all_held)
        for i in range(MOST_STATES):
            v.store(given["batch"], INDEX(i * WIDTH), x[i] if i < s else self.zero)
        v.store(given["since"], INDEX(SINCE * WIDTH), since)
        exist = v.counting(self.whole) < self._number("exist")
        later = ~self._may_wait(x, since, call) & ~special & ~fires & can_fire & exist
        found = INDEX(0)
        for i, truth in enumerate((special & exist, later, fires & exist)):
            found = b.or_(found, b.shl(b.zext(truth.bits(), INDEX), INDEX(i * WIDTH)))
        return found

    def _may_wait(self, x: list[Vector], since: Vector, call: Vector) -> Vector:
        """Whether a neuron in a state as of ``since`` stays silent until its call."""
        v, s = self.v, self.s
        mantissa, exponent = (23, 127) if isinstance(self.kind, ir.FloatType) else (52, 1023)
        one = v.constant(self.whole, 1)
        ticks = call - since - one
        waits, soon = self._number("tick") < call, ticks <= self.none
        drop = mantissa - STEPS.bit_length() + 1
        up = v.constant(self.whole, (1 << drop) - 1)
        step = (ticks.real(self.kind).as_bits() + up).lower(drop)
        step = step - v.constant(self.whole, exponent * STEPS)
        ever = v.constant(self.whole, len(GRID))
        step = where(waits, where(soon, self.none, step), ever)
        size = _row_size(s)[1]
        begin = self.b.add(self.given["rows_0"], INDEX(POSITIONS * KINDS * RADIX * _row_size(s)[0]))
        row = self._rows("rows", begin, self._index(step), size)
        level, limit = row[0], self._entry(THRESHOLD)
        total = level.size() + limit.size()
        for i, value in enumerate(x):
            term = where(self.zero < value, row[1 + 2 * i], row[2 + 2 * i]) * value.size()
            level, total = level + term, total + term.size()
        # Not a number counts as "no": what overflows is looked at.
        fits = (level + self._entry(MARGIN) * total) < limit
        return fits | (waits & soon)


@intrinsic
def _looked(typing: Any, way: Any, arrays: Any, numbers: Any) -> Any:
    """Bring a vector of neurons to the tick: ARRAYS and NUMBERS as tuples.

    ``way`` is 2 * states, plus 1 if the second port is to be asked.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Vectors(context, builder)
        own_arrays, own_numbers = (unpack(builder, a) for a in arguments[1:3])
        given = dict(zip(NUMBERS, own_numbers, strict=True))
        way = arguments[0]
        given["second_port"] = builder.trunc(way, TRUTH)
        for name, kind, array in zip(ARRAYS, arrays, own_arrays, strict=True):
            given[name] = v.data(kind, array)
        found = alloca(builder, INDEX)
        done = builder.append_basic_block("looked")
        switch = builder.switch(builder.lshr(way, INDEX(1)), done)
        for s in (1, 2, 3):
            block = builder.append_basic_block(f"look_{s}")
            switch.add_case(INDEX(s), block)
            builder.position_at_end(block)
            builder.store(_Batch(v, given, s).write(), found)
            builder.branch(done)
        builder.position_at_end(done)
        return builder.load(found)

    return types.uint64(types.int64, arrays, numbers), generate


look: Any = _looked
