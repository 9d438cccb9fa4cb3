"""Compiled: what numba has no words for: bits of words and of floats, prefetching."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.cpython.unsafe.numbers import trailing_zeros as _trailing_zeros
from numba.extending import intrinsic

__all__ = ["is_untouched", "ones", "prefetch", "trailing_zeros"]


@intrinsic
def _untouched(typing_context: Any, value: Any) -> Any:
    """Whether a float is -0.0: compared as bits, so that loops over cells stay vectors."""
    if not isinstance(value, types.Float):
        raise TypingError("needs a float")
    width = value.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.IntType(width)
        bits = builder.bitcast(arguments[0], whole)
        return builder.icmp_unsigned("==", bits, ir.Constant(whole, 1 << (width - 1)))

    return types.boolean(value), generate


@intrinsic
def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for an entry of an array that will soon be needed; changes no result."""
    if not isinstance(array, types.Array):
        raise TypingError("needs an array")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        where = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        call = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        for_writing, keep, is_data = (ir.Constant(number, i) for i in (1, 3, 1))
        builder.call(call, [where, for_writing, keep, is_data])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


@intrinsic
def _ones(typing: Any, word: Any) -> Any:
    """Count the bits of a word."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


is_untouched: Any = _untouched
ones: Any = _ones
prefetch: Any = _prefetch
trailing_zeros: Any = _trailing_zeros
