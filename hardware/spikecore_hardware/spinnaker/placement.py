"""Where a network would lie on a board: cores, chips, memory, entries of the routers.

Numbers of cores are those of the tool chain (tests/test_spinnaker_virtual_board.py compares
them). Which chips it chooses, how much it reserves and what its routers hold are estimates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from spikecore.backends.lowering import Lowered
from spikecore_hardware.board import Board
from spikecore_hardware.spinnaker.cores import row_words
from spikecore_hardware.spinnaker.mapping import PopulationMap

__all__ = [
    "CoreBlock",
    "Share",
    "board_cores",
    "chip_places",
    "free_cores",
    "lay_blocks",
    "most_routing_entries",
    "place",
]

_ROW_HEADER_WORDS = 3


@dataclass(frozen=True)
class Share:
    """Cores of one chip: number of the board, coordinates, number of cores."""

    board: int
    x: int
    y: int
    cores: int


@dataclass(frozen=True)
class CoreBlock:
    """Cores that belong together.

    Attributes
    ----------
    name : str
        Of the group of neurons.
    kind : {"input", "neurons", "delays"}
        "delays" are the extensions that hold spikes of the group back.
    cores : int
    sdram_bytes : int
        What one core needs of its chip's memory, without input spikes and recordings. An
        estimate; 0 except for neurons.
    sends : bool
        Whether its spikes go anywhere.
    chips : tuple of Share
        Where they would lie.
    """

    name: str
    kind: str
    cores: int
    sdram_bytes: int
    sends: bool
    chips: tuple[Share, ...] = ()


def lay_blocks(
    lowered: Lowered, maps: Sequence[PopulationMap], board: Board
) -> tuple[CoreBlock, ...]:
    """Return the cores of every group, and of its delay extensions, placed on ``board``."""
    mapped = {m.lowered.start: m for m in maps}
    heard = {p.source_start for p in lowered.projections if p.size}
    extended = {
        c.source_start
        for m in maps
        for c in m.incoming
        if int(c.delay.max(initial=0)) > m.layout.slots
    }
    blocks, delays = [], []
    for name, (start, _) in lowered.groups.items():
        m = mapped.get(start)
        cores = m.layout.cores if m else 1  # all neurons of an input lie on one core
        memory = _sdram_bytes(m, board) if m else 0
        kind = "neurons" if m else "input"
        blocks.append(CoreBlock(name, kind, cores, memory, start in heard))
        if start in extended:
            delays.append(CoreBlock(name, "delays", cores, 0, True))
    return place([*blocks, *delays], board)


def _sdram_bytes(m: PopulationMap, board: Board) -> int:
    """Return what the fullest core of a population needs: neurons, and rows of synapses."""
    on_core, rows = m.layout.neurons, 0
    for p in m.incoming:
        if p.size:
            *words, stages = row_words(p, on_core, m.layout.slots)
            for count, longest in zip((1, stages - 1), words, strict=True):
                rows += p.source_size * count * (longest + _ROW_HEADER_WORDS) * 4
    machine = board.machine
    fixed = machine["sdram_core_bytes"] + on_core * machine["sdram_neuron_bytes"]
    return int(fixed) + rows


def place(blocks: Sequence[CoreBlock], board: Board) -> tuple[CoreBlock, ...]:
    """Fill chip after chip, nearest to the socket of its board first."""
    chips = _chips(board)
    number, x, y, free, memory = next(chips)
    placed = []
    for block in blocks:
        shares: dict[tuple[int, int, int], int] = {}
        for _ in range(block.cores):
            if free == 0 or memory < block.sdram_bytes:
                number, x, y, free, memory = next(chips)
            free, memory = free - 1, memory - block.sdram_bytes
            shares[number, x, y] = shares.get((number, x, y), 0) + 1
        lies = tuple(Share(*where, cores) for where, cores in shares.items())
        placed.append(replace(block, chips=lies))
    return tuple(placed)


def _chips(board: Board) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield board, x, y, free cores and memory of chip after chip, board after board."""
    memory = board.machine["sdram_bytes"]
    for number in count():
        for x, y in chip_places(board):
            yield number, x, y, free_cores(board, x, y), memory


def chip_places(board: Board) -> list[tuple[int, int]]:
    """Return the coordinates of the chips of a board, nearest to its socket at (0, 0) first."""
    rows = board.machine["chip_rows"]
    places = [(x, y) for y, (first, size) in enumerate(rows) for x in range(first, first + size)]
    return sorted(places, key=lambda place: (max(place), place))


def free_cores(board: Board, x: int, y: int) -> int:
    """Return how many cores of a chip are left for a network."""
    gatherer = (x, y) == (0, 0)  # the tool chain keeps one more on the chip with the socket
    short = [x, y] in board.machine["short_chips"]
    return int(board.machine["application_cores"]) - gatherer - short


def board_cores(board: Board) -> int:
    """Return how many cores of a board are left for a network."""
    return sum(free_cores(board, x, y) for x, y in chip_places(board))


def most_routing_entries(blocks: Sequence[CoreBlock]) -> int:
    """Return how many entries a router needs at most: one for each core that sends.

    The tool chain needs fewer: spikes pass many chips straight on, which takes no entry, and
    it merges the entries of neighbouring cores.
    """
    return sum(block.cores for block in blocks if block.sends)
