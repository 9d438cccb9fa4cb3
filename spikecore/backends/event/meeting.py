"""Compiled: where two threads meet once a tick, and hand each other their spikes.

Each thread runs half of the neurons of each population, with the synapses that end at them
(``halves.py``), in arrays of its own. After states and thresholds it publishes who fired and
waits for the other; then both have the spikes of all neurons, and send them to their halves.
What is written for a tick stays until the tick after the next: nobody gets that far before
both have met again.

Whether too many events are under way depends on both. If the tick might make it so, they meet
a second time at its end.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spikecore.backends.event.caching import inner
from spikecore.backends.event.tables import R, State

__all__ = [
    "CAREFUL",
    "alone",
    "join",
    "meeting",
    "met",
    "restart",
    "tell",
    "tell_pending",
    "too_many",
]

BAD, N_SPIKES, N_OUT, PENDING = (
    int(R.BAD), int(R.N_SPIKES), int(R.N_OUT), int(R.PENDING),
)  # fmt: skip
SPIKES, MANY = 2, 3  # State.lists

# Rows of Fast.meet: a head for each thread, then what each tells of an even and an odd tick.
HEADS, BOTH = 2, 2
# Entries of a head. Nothing but the ticket is read by the other while a tick is run.
TICKET, SETTLED, CAREFUL, MOST, YIELD = 0, 8, 16, 17, 18
# Entries of what is told.
WRONG, UNDER_WAY, GIVEN, COUNT, FIRST = range(5)
ROOM = 32

ASKING = 2_000
"""How often a thread asks for the other before it leaves the processor to somebody else."""

PATIENCE = 10_000
"""How often it does so before it looks whether the other is still there."""


def meeting(neurons: int, most: int) -> npt.NDArray[np.int64]:
    """Return ``Fast.meet`` for two threads.

    Parameters
    ----------
    neurons : int
        Spikes of a tick that a thread may have to tell of.
    most : int
        Synaptic events that one spike, or all inputs drawn in the kernel, make at most.
    """
    width = ROOM + -(-neurons // ROOM) * ROOM  # whole lines of the cache
    meet = np.zeros((HEADS + 2 * BOTH, width), np.int64)
    meet[:HEADS, MOST], meet[:HEADS, YIELD] = most, _yielding()
    return meet


def _yielding() -> int:
    """Return the address of what leaves the processor to another thread, or 0."""
    try:
        if sys.platform == "win32":
            function = ctypes.WinDLL("kernel32").SwitchToThread
        else:
            function = ctypes.CDLL(None).sched_yield
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    except (AttributeError, OSError):
        return 0


def alone() -> npt.NDArray[np.int64]:
    """Return ``Fast.meet`` of a run in one thread."""
    return np.zeros((0, 1), np.int64)


def _atomic(name: str) -> Any:
    """Return an intrinsic that loads or stores an entry, ordered against other accesses."""

    def place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.gep(array.data, [arguments[1]])

    if name == "load":

        @intrinsic
        def load(typing_context: Any, array: Any, index: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                where = place(context, builder, signature, arguments)
                return builder.load_atomic(where, "acquire", 8)

            return types.int64(array, types.int64), generate

        return load

    @intrinsic
    def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            where = place(context, builder, signature, arguments)
            builder.store_atomic(arguments[2], where, "release", 8)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64), generate

    return store


@intrinsic
def _call(typing_context: Any, address: Any) -> Any:
    """Call a function of C that takes nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), generate


_leave: Any = _call
_load: Any
_store: Any
_load, _store = _atomic("load"), _atomic("store")


@inner
def met(meet: Any, own: int, ticket: int) -> bool:
    """Wait for the other thread; return False if it does not come for a long time."""
    head = meet.reshape(-1)
    at = (1 - own) * meet.shape[1] + TICKET
    for _ in range(PATIENCE):
        for _ in range(ASKING):
            if _load(head, at) >= ticket:
                return True
        if meet[own, YIELD] != 0:
            _leave(meet[own, YIELD])
    return False


@inner
def tell(st: State, meet: Any, own: int, t: int, first: int, given: int) -> None:
    """Publish how tick ``t`` went.

    The spikes on the list from number ``first`` on are of own neurons, ``given`` came from inputs;
    ``first`` is -1 if a state is not finite.
    """
    reg = st.register
    row = HEADS + BOTH * own + (t & 1)
    count = reg[N_SPIKES] - first if first >= 0 else 0
    meet[row, WRONG], meet[row, UNDER_WAY], meet[row, GIVEN] = reg[BAD], reg[PENDING], given
    meet[row, COUNT], meet[row, FIRST] = count, first
    for i in range(count):
        meet[row, ROOM + i] = st.lists[SPIKES, first + i]
    _store(meet.reshape(-1), own * meet.shape[1] + TICKET, 2 * t + 1)


@inner
def join(st: State, meet: Any, own: int, t: int, most_pending: int) -> int:
    """Put the spikes of both threads on the list, by number, behind those of inputs.

    Returns how many are of inputs, or -1 if a state of either thread is not finite.
    """
    reg = st.register
    mine, other = HEADS + BOTH * own + (t & 1), HEADS + BOTH * (1 - own) + (t & 1)
    first, n, m = meet[mine, FIRST], meet[mine, COUNT], meet[other, COUNT]
    if first < 0 or meet[other, FIRST] < 0:
        both = meet[mine, FIRST] < 0 and meet[other, FIRST] < 0
        if both:
            reg[BAD] = min(meet[mine, WRONG], meet[other, WRONG])
        elif first >= 0:
            reg[BAD] = meet[other, WRONG]
        reg[N_OUT] -= meet[mine, GIVEN]
        return -1
    i = j = 0
    at = first
    while i < n or j < m:
        if j == m or (i < n and meet[mine, ROOM + i] < meet[other, ROOM + j]):
            st.lists[SPIKES, at] = meet[mine, ROOM + i]
            i += 1
        else:
            st.lists[SPIKES, at] = meet[other, ROOM + j]
            j += 1
        st.lists[MANY, at] = 1
        at += 1
    reg[N_SPIKES] = at
    sent = max(meet[mine, GIVEN], meet[other, GIVEN]) + n + m + 1
    under_way = meet[mine, UNDER_WAY] + meet[other, UNDER_WAY] + sent * meet[own, MOST]
    meet[own, CAREFUL] = 1 if under_way > most_pending else 0
    return int(first)


@inner
def tell_pending(st: State, meet: Any, own: int, t: int) -> None:
    """Publish how many events of this half are under way at the end of tick ``t``."""
    meet[own, SETTLED] = st.register[PENDING]
    _store(meet.reshape(-1), own * meet.shape[1] + TICKET, 2 * t + 2)


@inner
def too_many(meet: Any, most: int) -> bool:
    """Whether more than ``most`` events are under way in both halves together."""
    return bool(meet[0, SETTLED] + meet[1, SETTLED] > most)


def restart(meet: npt.NDArray[np.int64]) -> None:
    """Forget all meetings, before a run begins anew or goes on from a checkpoint."""
    meet[:HEADS, :MOST] = 0
