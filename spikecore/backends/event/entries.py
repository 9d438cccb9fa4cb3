"""Compiled: entries of queues: a cell, and beside it the weight that will be added to it.

An entry is as long as both together, 8 bytes in float32 and 12 in float64, so that appending
one touches one line of the cache. Memory is an array of 32-bit numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["ask_ahead", "entry_words", "put_entry", "read_cell", "read_entries", "read_weight"]

Array = npt.NDArray[Any]

AHEAD = 64
"""Bytes from an entry to the place that its queue will soon need."""


def entry_words(dtype: np.dtype[Any]) -> int:
    """Return the 32-bit numbers of an entry."""
    return 1 + dtype.itemsize // 4


def read_entries(entry: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return the cells (a view) and the weights (a copy) of all entries of ``entry``."""
    rows = entry.reshape(-1, entry_words(dtype))
    return rows[:, 0], np.ascontiguousarray(rows[:, 1:]).view(dtype)[:, 0]


def _checked(entry: Any, real: Any) -> int:
    if not (isinstance(entry, types.Array) and isinstance(real, types.Float)):
        raise TypingError("needs an array and a float")
    return 1 + real.bitwidth // 32


def _place(context: Any, builder: Any, kind: Any, arguments: Any, words: int) -> Any:
    """Return the address of an entry: ``arguments`` begin with array (of ``kind``) and index."""
    array, index = arguments[:2]
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [builder.mul(index, ir.IntType(64)(words))])


def _beside(builder: Any, place: Any, real: Any) -> Any:
    """Return the address of the weight of the entry at ``place``; ``real``: its LLVM type."""
    return builder.bitcast(builder.gep(place, [ir.IntType(64)(1)]), real.as_pointer())


@intrinsic
def _put(typing_context: Any, entry: Any, index: Any, cell: Any, weight: Any) -> Any:
    """Write entry ``index``."""
    words = _checked(entry, weight)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments, words)
        builder.store(builder.trunc(arguments[2], ir.IntType(32)), place)
        real = context.get_value_type(signature.args[3])
        builder.store(arguments[3], _beside(builder, place, real), align=4)
        return context.get_dummy_value()

    return types.void(entry, types.uint64, types.uint64, weight), generate


@intrinsic
def _cell(typing_context: Any, entry: Any, index: Any, like: Any) -> Any:
    """Read the cell of entry ``index``; weights are of the type of ``like``."""
    words = _checked(entry, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments, words)
        return builder.zext(builder.load(place), ir.IntType(64))

    return types.uint64(entry, types.uint64, like), generate


@intrinsic
def _weight(typing_context: Any, entry: Any, index: Any, like: Any) -> Any:
    """Read the weight of entry ``index``, of the type of ``like``."""
    words = _checked(entry, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments, words)
        real = context.get_value_type(signature.args[2])
        return builder.load(_beside(builder, place, real), align=4)

    return like(entry, types.uint64, like), generate


@intrinsic
def _ask(typing_context: Any, entry: Any, index: Any, like: Any) -> Any:
    """Prefetch what lies :data:`AHEAD` of entry ``index``; changes no result."""
    words = _checked(entry, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments, words)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        where = builder.gep(builder.bitcast(place, byte), [ir.IntType(64)(AHEAD)])
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        call = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        for_writing, keep, is_data = (ir.Constant(number, i) for i in (1, 3, 1))
        builder.call(call, [where, for_writing, keep, is_data])
        return context.get_dummy_value()

    return types.void(entry, types.uint64, like), generate


put_entry: Any = _put
read_cell: Any = _cell
read_weight: Any = _weight
ask_ahead: Any = _ask
