"""Vectors of neurons for kernels that the compiler would not turn into vector instructions.

LLVM makes vectors of a loop only if it can show that its arrays do not overlap, and gives up
where there are many. Here the vectors are written down: :class:`Vector` has the operators of
Python, each is one instruction of LLVM for :data:`WIDTH` neurons, on whatever processor.
No operation is allowed to be fused or reordered: the bits are those of scalar code.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

__all__ = ["INDEX", "WIDTH", "Vector", "Vectors", "where"]

INDEX = ir.IntType(64)

WIDTH = 16
"""Neurons in a vector: one register of 32-bit numbers where those are widest, else several."""


class Vector:
    """Values of :data:`WIDTH` neurons: numbers, or truth values that comparisons return."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _float(self) -> bool:
        return isinstance(self.value.type.element, ir.FloatType | ir.DoubleType)

    def _make(self, name: str, other: Vector) -> Vector:
        return Vector(self.builder, getattr(self.builder, name)(self.value, other.value))

    def __add__(self, other: Vector) -> Vector:
        return self._make("fadd" if self._float() else "add", other)

    def __sub__(self, other: Vector) -> Vector:
        return self._make("fsub" if self._float() else "sub", other)

    def __mul__(self, other: Vector) -> Vector:
        return self._make("fmul" if self._float() else "mul", other)

    def __and__(self, other: Vector) -> Vector:
        return self._make("and_", other)

    def __or__(self, other: Vector) -> Vector:
        return self._make("or_", other)

    def __invert__(self) -> Vector:
        return Vector(self.builder, self.builder.not_(self.value))

    def _compare(self, sign: str, other: Vector) -> Vector:
        compare = self.builder.fcmp_ordered if self._float() else self.builder.icmp_signed
        return Vector(self.builder, compare(sign, self.value, other.value))

    def __ge__(self, other: Vector) -> Vector:
        return self._compare(">=", other)

    def __le__(self, other: Vector) -> Vector:
        return self._compare("<=", other)

    def __lt__(self, other: Vector) -> Vector:
        return self._compare("<", other)

    def same(self, other: Vector) -> Vector:
        """Where both are equal (what is not a number equals nothing)."""
        return self._compare("==", other)

    def lower(self, bits: int) -> Vector:
        """Whole numbers without their lowest ``bits``: divided by a power of two, unsigned."""
        return Vector(self.builder, self.builder.lshr(self.value, self._all(bits)))

    def _all(self, number: int) -> Any:
        return ir.Constant(self.value.type, [number] * WIDTH)

    def as_bits(self) -> Vector:
        """Return the bits of floats as whole numbers."""
        return Vector(self.builder, self._whole()[0])

    def as_kind(self, kind: Any) -> Vector:
        """Take the bits of numbers for those of another kind, as wide."""
        return Vector(self.builder, self.builder.bitcast(self.value, ir.VectorType(kind, WIDTH)))

    def real(self, kind: Any) -> Vector:
        """Turn whole numbers into floats."""
        return Vector(self.builder, self.builder.sitofp(self.value, ir.VectorType(kind, WIDTH)))

    def lanes(self) -> list[Any]:
        """Return the numbers one by one."""
        return [self.builder.extract_element(self.value, ir.IntType(32)(i)) for i in range(WIDTH)]

    def some(self) -> Any:
        """Whether any of the truth values holds."""
        return self.builder.icmp_unsigned("!=", self.bits(), ir.IntType(WIDTH)(0))

    def every(self) -> Any:
        """Whether all of the truth values hold."""
        return self.builder.icmp_unsigned("==", self.bits(), ir.IntType(WIDTH)(2**WIDTH - 1))

    def _whole(self) -> tuple[Any, int]:
        """Return the bits of floats as whole numbers, and how many each has."""
        width = 32 if isinstance(self.value.type.element, ir.FloatType) else 64
        whole = ir.VectorType(ir.IntType(width), WIDTH)
        return self.builder.bitcast(self.value, whole), width

    def size(self) -> Vector:
        """Take away the sign."""
        whole, width = self._whole()
        rest = ir.Constant(whole.type, [(1 << (width - 1)) - 1] * WIDTH)
        unsigned = self.builder.and_(whole, rest)
        return Vector(self.builder, self.builder.bitcast(unsigned, self.value.type))

    def untouched(self) -> Vector:
        """Where a number is -0.0: a cell that nothing has reached."""
        whole, width = self._whole()
        sign = ir.Constant(whole.type, [1 << (width - 1)] * WIDTH)
        return Vector(self.builder, self.builder.icmp_unsigned("==", whole, sign))

    def bits(self) -> Any:
        """Return truth values as one whole number, the first neuron lowest."""
        return self.builder.bitcast(self.value, ir.IntType(WIDTH))


def where(condition: Vector, yes: Vector, no: Vector) -> Vector:
    """Choose neuron by neuron."""
    b = condition.builder
    return Vector(b, b.select(condition.value, yes.value, no.value))


class Vectors:
    """Makes vectors from numbers and arrays."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def of(self, number: Any) -> Vector:
        """Repeat one number."""
        b, whole = self.builder, ir.VectorType(number.type, WIDTH)
        first = b.insert_element(ir.Constant(whole, ir.Undefined), number, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return Vector(b, b.shuffle_vector(first, first, zeros))

    def constant(self, kind: Any, number: float) -> Vector:
        """Repeat a number known beforehand."""
        return Vector(self.builder, ir.Constant(ir.VectorType(kind, WIDTH), [number] * WIDTH))

    def counting(self, kind: Any) -> Vector:
        """0, 1, 2 and so on."""
        return Vector(self.builder, ir.Constant(ir.VectorType(kind, WIDTH), list(range(WIDTH))))

    def data(self, kind: Any, array: Any) -> Any:
        """Return the address of the first entry of a C-contiguous array."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def load(self, data: Any, at: Any) -> Vector:
        """Load neighbours, the first at index ``at``."""
        b = self.builder
        place = b.gep(data, [at])
        whole = ir.VectorType(place.type.pointee, WIDTH).as_pointer()
        return Vector(b, b.load(b.bitcast(place, whole), align=_size(place.type.pointee)))

    def entry(self, data: Any, at: Any) -> Vector:
        """Repeat the entry at index ``at`` of an array."""
        return self.of(self.builder.load(self.builder.gep(data, [at])))

    def store(self, data: Any, at: Any, vector: Vector) -> None:
        """Store neighbours, the first at index ``at``."""
        b = self.builder
        place = b.gep(data, [at])
        whole = vector.value.type.as_pointer()
        b.store(vector.value, b.bitcast(place, whole), align=_size(place.type.pointee))

    def gather(self, places: list[Any]) -> Vector:
        """Load one number from each of the given addresses."""
        b = self.builder
        found = ir.Constant(ir.VectorType(places[0].type.pointee, WIDTH), ir.Undefined)
        for i, place in enumerate(places):
            found = b.insert_element(found, b.load(place), ir.IntType(32)(i))
        return Vector(b, found)

    def quads(self, places: list[Any]) -> list[Vector]:
        """Load four neighbours from each of the given addresses: the first of all, and so on."""
        b, kind = self.builder, places[0].type.pointee
        four = ir.VectorType(kind, 4).as_pointer()
        rows = [b.load(b.bitcast(p, four), align=_size(kind)) for p in places]
        # Rows j, j + 4, j + 8 and j + 12 side by side, then 4 x 4 blocks are transposed.
        side = [
            _joined(b, _joined(b, *rows[j::4][:2]), _joined(b, *rows[j::4][2:])) for j in range(4)
        ]
        return [Vector(b, value) for value in _transposed(b, side)]

    def store_quads(self, places: list[Any], columns: list[Vector]) -> None:
        """Store four neighbours at each of the given addresses."""
        b, kind = self.builder, places[0].type.pointee
        four = ir.VectorType(kind, 4).as_pointer()
        side = _transposed(b, [column.value for column in columns])
        for i, place in enumerate(places):
            row = _shuffled(b, side[i % 4], side[i % 4], [i // 4 * 4 + k for k in range(4)])
            b.store(row, b.bitcast(place, four), align=_size(kind))

    def look_up(self, data: Any, at: Any, index: Vector) -> Vector:
        """Look up an entry for each neuron in a table that begins at ``at``."""
        b, table = self.builder, self.builder.gep(data, [at])
        kind = table.type.pointee
        found = ir.Constant(ir.VectorType(kind, WIDTH), ir.Undefined)
        for i in range(WIDTH):
            lane = ir.IntType(32)(i)
            place = b.extract_element(index.value, lane)
            if place.type.width < INDEX.width:
                place = b.zext(place, INDEX)
            found = b.insert_element(found, b.load(b.gep(table, [place])), lane)
        return Vector(b, found)

    def either(self, one: Vector, block: Any, other: Vector, other_block: Any) -> Vector:
        """Return what was computed in the block of code that was taken."""
        phi = self.builder.phi(one.value.type)
        phi.add_incoming(one.value, block)
        phi.add_incoming(other.value, other_block)
        return Vector(self.builder, phi)

    def permute(self, data: Any, at: Any, index: Vector) -> Vector:
        """Look up one of the :data:`WIDTH` entries from ``at`` on, whichever each neuron has.

        Written as lanes of a vector picked by other lanes, which is one instruction where the
        processor has one for it, and loads elsewhere.
        """
        b, table = self.builder, self.load(data, at).value
        found = ir.Constant(table.type, ir.Undefined)
        for i in range(WIDTH):
            lane = ir.IntType(32)(i)
            one = b.extract_element(table, b.extract_element(index.value, lane))
            found = b.insert_element(found, one, lane)
        return Vector(b, found)


def _shuffled(b: Any, one: Any, two: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
    return b.shuffle_vector(one, two, mask)


def _joined(b: Any, one: Any, two: Any) -> Any:
    return _shuffled(b, one, two, list(range(2 * one.type.count)))


def _blocks(places: tuple[int, int, int, int]) -> list[int]:
    """Repeat a choice of the entries of two blocks of four, 0 to 3 and 4 to 7, for all blocks."""
    return [first + k // 4 * WIDTH + k % 4 for first in range(0, WIDTH, 4) for k in places]


def _transposed(b: Any, side: list[Any]) -> list[Any]:
    """Transpose the blocks of 4 x 4 numbers of four vectors."""
    low, high = _blocks((0, 4, 1, 5)), _blocks((2, 6, 3, 7))
    first, second = _blocks((0, 1, 4, 5)), _blocks((2, 3, 6, 7))
    halves = [_shuffled(b, side[k], side[k + 1], which) for which in (low, high) for k in (0, 2)]
    return [
        _shuffled(b, halves[k], halves[k + 1], which) for k in (0, 2) for which in (first, second)
    ]


def _size(kind: Any) -> int:
    return 8 if isinstance(kind, ir.DoubleType) else getattr(kind, "width", 32) // 8
