"""How a population is laid out on cores: neurons on each, delay slots, extension stages.

Source of the rules: sPyNNaker 7.4.1, population_vertex.py (slots), synapse_io.py (rows) and
delay_extension_vertex.py. The tool chain itself takes its default number of neurons, checks
no local memory, and would stop on the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikecore.backends.lowering import LoweredProjection
from spikecore_hardware.board import CoreLimits

__all__ = ["CoreLayout", "bits_for", "lay_out", "row_words"]

_PLASTIC_HEADER_BYTES = 8  # time and trace of the last spike of the source


@dataclass(frozen=True)
class CoreLayout:
    """How one population lies on its cores.

    Attributes
    ----------
    neurons : int
        Neurons on a core, the last one excepted.
    cores : int
        Number of cores.
    slots : int
        Delay slots of the ring buffer, in ticks; longer delays pass through extensions.
    max_delay : int
        Longest delay that extensions can reach, in ticks.
    dtcm_bytes : int
        Estimate of the local memory that a core needs.
    longest_row : int
        Words of the longest row of synapses of one source.
    """

    neurons: int
    cores: int
    slots: int
    max_delay: int
    dtcm_bytes: int
    longest_row: int

    def fits(self, limits: CoreLimits) -> bool:
        """Whether memory and rows are within the limits."""
        return self.dtcm_bytes <= limits.dtcm_usable_bytes and self.longest_row <= limits.row_words


def bits_for(values: int) -> int:
    """Return the bits that the tool chain uses for a number of values (1 for a single one)."""
    return max(1, (values - 1).bit_length())


def lay_out(
    size: int,
    incoming: Sequence[LoweredProjection],
    dt: float,
    limits: CoreLimits,
    receptors: int = 2,
) -> CoreLayout:
    """Lay out a population of ``size`` neurons with these projections onto its receptors.

    The default number of neurons per core is halved until memory and rows fit; if nothing
    fits, the layout with one neuron per core is returned, and does not.
    """
    neurons = limits.neurons
    while True:
        layout = _with(neurons, size, incoming, dt, limits, receptors)
        if layout.fits(limits) or neurons == 1:
            return layout
        neurons = min(neurons, 1 << bits_for(size)) // 2


def _with(
    neurons: int,
    size: int,
    incoming: Sequence[LoweredProjection],
    dt: float,
    limits: CoreLimits,
    receptors: int,
) -> CoreLayout:
    on_core = min(neurons, size)
    longest = max((int(p.delay.max()) for p in incoming if p.size), default=1)
    index_bits = bits_for(on_core) + bits_for(receptors)
    available = 1 << max(0, limits.ring_bits - index_bits)
    slots = min(1 << bits_for(longest), available)
    learns = any(p.plasticity is not None for p in incoming)
    per_neuron = limits.state_bytes + (receptors - 2) * limits.receptor_bytes
    per_neuron += limits.history_bytes if learns else 0
    ring = 2 * (slots << index_bits)
    return CoreLayout(
        neurons=on_core,
        cores=-(-size // on_core),
        slots=slots,
        max_delay=slots * (limits.delay_extension_stages + 1),
        dtcm_bytes=ring + on_core * per_neuron + limits.buffer_bytes + _table_bytes(incoming, dt),
        longest_row=max((max(row_words(p, on_core, slots)[:2]) for p in incoming), default=0),
    )


def _table_bytes(incoming: Sequence[LoweredProjection], dt: float) -> int:
    """Return the size of the two learning windows, which all projections share."""
    windows = [p.plasticity for p in incoming if p.plasticity is not None]
    if not windows:
        return 0
    taus = (float(windows[0].tau_plus.value), float(windows[0].tau_minus.value))
    return sum(2 * int(np.ceil(np.log(2048.0) * tau / dt)) for tau in taus)


def row_words(p: LoweredProjection, on_core: int, slots: int) -> tuple[int, int, int]:
    """Return the words of the longest row (synapses of a source on one core), in two tables.

    Of synapses within the slots, and of those that pass through delay extensions: the tool chain
    makes room in a row for all of a source, whatever their stage. And the number of stages, 1
    without extensions.
    """
    if p.size == 0:
        return 0, 0, 1
    cores = -(-p.target_size // on_core)
    stage = (np.broadcast_to(p.delay, (p.size,)).astype(np.int64) - 1) // slots
    row = p.source * cores + p.target // on_core
    near, far = (int(np.bincount(row[own], minlength=1).max()) for own in (stage == 0, stage > 0))
    if p.plasticity is not None:
        near, far = (
            -(-n // 2) + -(-(_PLASTIC_HEADER_BYTES + 2 * n) // 4) if n else 0 for n in (near, far)
        )
    return near, far, int(stage.max()) + 1
