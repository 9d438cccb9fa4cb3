"""Boards as data: what a machine has, and what its tool chain takes for granted."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from spikecore.errors import UnknownName

__all__ = ["BOARDS", "Board", "CoreLimits", "load_board"]

BOARDS = ("spin3", "spin5", "spinnaker2")
"""Boards that are described, by file name in ``boards/``, where each figure has its source."""


@dataclass(frozen=True)
class CoreLimits:
    """What one SpiNNaker core can hold, and how the tool chain scales its weights.

    Attributes
    ----------
    neurons : int
        Neurons per core that the tool chain uses unless told otherwise.
    ring_bits : int
        Bits that neuron, receptor and delay slot share in the ring buffer.
    delay_extension_stages : int
        How often the slots may be passed through, on cores of their own.
    row_words : int
        Longest row of synapses of one source, in 32-bit words.
    dtcm_usable_bytes, state_bytes, receptor_bytes, history_bytes, buffer_bytes : int
        Local memory, and what a neuron, a third receptor of it, a learning neuron and the image
        take of it.
    static_events, plastic_events : int
        Synaptic events a second that a core is planned for.
    spikes_at_once : int
        Spikes of an input in one tick above which packets may come late.
    spikes_per_second, ring_buffer_sigma : float
        Rate and margin by which ring buffers are scaled.
    """

    neurons: int
    ring_bits: int
    delay_extension_stages: int
    row_words: int
    dtcm_usable_bytes: int
    state_bytes: int
    receptor_bytes: int
    history_bytes: int
    buffer_bytes: int
    static_events: int
    plastic_events: int
    spikes_at_once: int
    spikes_per_second: float
    ring_buffer_sigma: float


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes
    ----------
    name : str
    machine : dict of str to int or float
        Chips, cores, clock, memory, router entries.
    core : CoreLimits or None
        None for machines whose arithmetic is not mirrored.
    """

    name: str
    machine: dict[str, Any]
    core: CoreLimits | None


@cache
def load_board(name: str) -> Board:
    """Read the description of a board.

    Raises
    ------
    UnknownName
        If there is none of that name.
    """
    if name not in BOARDS:
        raise UnknownName("board", name, BOARDS)
    text = (files("spikecore_hardware") / "boards" / f"{name}.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    core = None
    if "core" in data:
        core = CoreLimits(
            **data["core"],
            dtcm_usable_bytes=data["machine"]["dtcm_usable_bytes"],
            spikes_per_second=data["tool_chain"]["spikes_per_second"],
            ring_buffer_sigma=data["tool_chain"]["ring_buffer_sigma"],
        )
    return Board(data["name"], data["machine"], core)
