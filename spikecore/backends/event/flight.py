"""Arrivals to come, taken out of a ring or of queues and put into others.

What is under way does not say which of both it came from: ``flight_ahead`` are ticks from now,
``flight_cell`` cells, ``flight_value`` sums (ring) or single weights (queues, in the order of
emission), ``flight_events`` the numbers of synaptic events of the coming ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.event.entries import entry_words, read_entries
from spikecore.backends.event.packed import BLOCK, Fast, M, grow_queues
from spikecore.backends.event.tables import R

__all__ = ["in_flight", "nothing_in_flight", "with_in_flight"]

IndexArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


def in_flight(fast: Fast, tick: int) -> dict[str, Array]:
    """Return arrivals to come as of the beginning of ``tick``."""
    mask = int(fast.meta[M.SLOT_MASK])
    if fast.meta[M.QUEUED]:
        entries = [_entries(fast, slot) for slot in range(mask + 1)]
        count = np.array([e.size for e in entries])
        found = np.concatenate(entries)
        slot = np.repeat(np.arange(mask + 1), count)
        cells, weights = read_entries(fast.entry, fast.ring.dtype)
        cell, value, events = cells[found].astype(np.int64), weights[found], fast.due + count
    else:
        index = np.flatnonzero(~((fast.ring == 0) & np.signbit(fast.ring)))
        bits = int(fast.meta[M.CELL_BITS])
        slot, cell, value = index >> bits, index & ((1 << bits) - 1), fast.ring[index]
        events = fast.due
    ahead = np.arange(mask + 1)
    return {
        "flight_ahead": (slot - tick) & mask,
        "flight_cell": cell,
        "flight_value": value,
        "flight_events": events[(ahead + tick) & mask].copy(),
    }


def nothing_in_flight(fast: Fast) -> dict[str, Array]:
    """Return what :func:`in_flight` does where nothing is under way."""
    none = np.empty(0, np.int64)
    return {
        "flight_ahead": none,
        "flight_cell": none,
        "flight_value": np.empty(0, fast.ring.dtype),
        "flight_events": np.zeros_like(fast.due),
    }


def _entries(fast: Fast, slot: int) -> IndexArray:
    head, following = fast.head[slot], int(fast.following[slot])
    if following == 0:
        return np.empty(0, np.int64)
    block, places = int(head), []
    while block != (following - 1) // BLOCK:
        places.append(np.arange(block * BLOCK, (block + 1) * BLOCK))
        block = int(fast.entry_next[block])
    places.append(np.arange(block * BLOCK, following))
    return np.concatenate(places)


def with_in_flight(fast: Fast, register: Array, tick: int, state: Mapping[str, Array]) -> Fast:
    """Return ``fast``, in which nothing is under way, with what :func:`in_flight` returned.

    ``register`` says which blocks of queues are free.
    """
    mask = int(fast.meta[M.SLOT_MASK])
    slot = (state["flight_ahead"] + tick) & mask
    fast.due[(np.arange(mask + 1) + tick) & mask] = _fitted(state["flight_events"], mask + 1)
    if fast.meta[M.QUEUED]:
        fast.due[:] -= np.bincount(slot, minlength=mask + 1)
        return _filled(fast, register, slot, state["flight_cell"], state["flight_value"])
    index = (slot << int(fast.meta[M.CELL_BITS])) + state["flight_cell"]
    np.add.at(fast.ring, index, state["flight_value"])  # in order, one by one
    return fast


def _fitted(events: Array, slots: int) -> Array:
    """Return the counts of so many coming ticks; after these nothing is under way."""
    return np.pad(events[:slots], (0, max(0, slots - events.size)))


def _filled(fast: Fast, register: Array, slot: IndexArray, cell: IndexArray, value: Array) -> Fast:
    order = np.argsort(slot, kind="stable")
    slots, first = np.unique(slot[order], return_index=True)
    parts = np.split(order, first[1:]) if slots.size else []
    wanted = sum(-(-part.size // BLOCK) for part in parts) + 1
    if register[R.N_FREE] < wanted:
        fast = grow_queues(fast, register, (int(R.FREE_HEAD), int(R.N_FREE)), wanted)
    words = entry_words(fast.ring.dtype)
    for own, part in zip(slots, parts, strict=True):
        before = -1
        for begin in range(0, part.size, BLOCK):
            some = part[begin : begin + BLOCK]
            block = int(register[R.FREE_HEAD])
            register[R.FREE_HEAD] = fast.entry_next[block]
            register[R.N_FREE] -= 1
            if before < 0:
                fast.head[own] = block
            else:
                fast.entry_next[before] = block
            rows = fast.entry.reshape(-1, words)[block * BLOCK :][: some.size]
            rows[:, 0] = cell[some]
            rows[:, 1:] = value[some].view(np.uint32).reshape(some.size, -1)
            fast.following[own] = block * BLOCK + some.size
            before = block
    return fast
