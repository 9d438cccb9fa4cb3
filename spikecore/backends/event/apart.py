"""Compiled: reads and writes that the compiler may take for independent of each other.

A loop that writes to one array and reads others is turned into vector instructions only if
the compiler can tell that they do not overlap. It asks at run time, for a few pairs of
arrays; with more it gives up. ``read`` and ``write`` say it (as ``alias.scope`` metadata of
LLVM): what two accesses of the same *loop* with different *role* touch never overlaps,
however often the loop is run, and wherever it is inlined. Whoever gives the numbers has to
see to that. They are literals.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["read", "write"]

ROLES = 16


def _apart(builder: Any, instruction: Any, loop: int, role: int) -> None:
    """Mark a load or store as one of ``role`` in ``loop``."""
    module = builder.module
    domain = module.add_metadata([ir.MetaDataString(module, f"spikecore loop {loop}")])
    scopes = [
        module.add_metadata([ir.MetaDataString(module, f"spikecore {loop}.{k}"), domain])
        for k in range(ROLES)
    ]
    own = module.add_metadata([scopes[role]])
    others = module.add_metadata([s for k, s in enumerate(scopes) if k != role])
    instruction.set_metadata("alias.scope", own)
    instruction.set_metadata("noalias", others)


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], signature.args[1], types.uint64)
    return builder.gep(array.data, [index])


def _checked(array: Any, loop: Any, role: Any) -> tuple[int, int]:
    literal = types.IntegerLiteral
    if not (isinstance(array, types.Array) and isinstance(loop, literal)):
        raise TypingError("needs an array and a literal number of the loop")
    if not (isinstance(role, literal) and 0 <= role.literal_value < ROLES):
        raise TypingError(f"needs a literal role below {ROLES}")
    return loop.literal_value, role.literal_value


@intrinsic(prefer_literal=True)
def _read(typing_context: Any, array: Any, index: Any, loop: Any, role: Any) -> Any:
    """Return ``array[index]`` of a one-dimensional array without gaps."""
    numbers = _checked(array, loop, role)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_place(context, builder, signature, arguments))
        _apart(builder, value, *numbers)
        return value

    return array.dtype(array, index, loop, role), generate


@intrinsic(prefer_literal=True)
def _write(typing_context: Any, array: Any, index: Any, value: Any, loop: Any, role: Any) -> Any:
    """Set ``array[index]`` of a one-dimensional array without gaps."""
    numbers = _checked(array, loop, role)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        own = context.cast(builder, arguments[2], signature.args[2], array.dtype)
        where = _place(context, builder, signature, arguments)
        _apart(builder, builder.store(own, where), *numbers)
        return context.get_dummy_value()

    return types.void(array, index, value, loop, role), generate


read: Any = _read
write: Any = _write
