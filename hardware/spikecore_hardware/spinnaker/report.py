"""What quantisation, shared scales and delay slots do to a network, before any board is used."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredProjection, lower
from spikecore.backends.protocol import Options
from spikecore.errors import InvalidInput
from spikecore.inputs import BoundInput, Poisson, PoissonCounts, Train
from spikecore.network import Network
from spikecore.quantities import Hz, Quantity, magnitude
from spikecore_hardware.board import CoreLimits, load_board
from spikecore_hardware.spinnaker.backend import SpinnakerBackend
from spikecore_hardware.spinnaker.limits import SpinnakerCapabilities
from spikecore_hardware.spinnaker.mapping import PopulationMap, map_populations
from spikecore_hardware.spinnaker.placement import (
    CoreBlock,
    board_cores,
    lay_blocks,
    most_routing_entries,
)
from spikecore_hardware.spinnaker.scaling import quantise, weight_step
from spikecore_hardware.spinnaker.slow_trace import (
    RECEPTORS,
    SlowTraceCheck,
    check_slow_trace,
    in_currents,
    is_dual,
)

__all__ = [
    "ExportCheck",
    "InputCheck",
    "PopulationCheck",
    "ProjectionCheck",
    "check_export",
]

_LARGEST_SUM = 0xFFFF
_SIGMAS = 5.0
_TOOL_CHAIN_RATE = 30.0 * Hz


@dataclass(frozen=True)
class ProjectionCheck:
    """What becomes of one projection.

    Attributes
    ----------
    name, port : str
    synapses : int
    step : float
        Distance of two weights that can be stored, nA; of weights onto a slow trace, of the
        currents that they make.
    largest_error, typical_error : float
        Of the weights, nA: at worst, and root mean square.
    lost : int
        Weights that become 0.
    load : float
        Largest sum at the receptor (of all its projections, mean and five standard
        deviations at the stated rates) as a share of what 16 bits hold; above 1 it saturates.
    longest_delay, slots, too_long : int
        Ticks; ticks that need no delay extension; synapses beyond all extensions.
    """

    name: str
    port: str
    synapses: int
    step: float
    largest_error: float
    typical_error: float
    lost: int
    load: float
    longest_delay: int
    slots: int
    too_long: int


@dataclass(frozen=True)
class PopulationCheck:
    """How one population lies on cores.

    Attributes
    ----------
    name : str
    neurons, cores, neurons_per_core : int
    dtcm_bytes, sdram_bytes : int
        Local memory and share of the chip's memory that a core needs, an estimate.
    work : float
        Synaptic events of the busiest core at the stated rates, as a share of what the tool
        chain plans for a core; above 1 ticks may overrun.
    """

    name: str
    neurons: int
    cores: int
    neurons_per_core: int
    dtcm_bytes: int
    sdram_bytes: int
    work: float


@dataclass(frozen=True)
class InputCheck:
    """An input.

    Attributes
    ----------
    name : str
    at_once, limit : int
        Spikes in its fullest tick (of Poisson spikes: mean and five standard deviations), and
        above how many packets may come late.
    """

    name: str
    at_once: int
    limit: int


@dataclass(frozen=True)
class ExportCheck:
    """A network on a board.

    Attributes
    ----------
    board : str
    cores, board_cores : int
        Cores for neurons, inputs and delay extensions; cores of one board.
    blocks : tuple of CoreBlock
        These cores, and where they would lie.
    routing_entries : int
        Entries that a router needs, at most.
    slow_traces : tuple of SlowTraceCheck
        What becomes of the astrocytes of neurons that have them.
    refused : tuple of str
        Why the board cannot run it as it is.
    """

    board: str
    cores: int
    board_cores: int
    blocks: tuple[CoreBlock, ...]
    routing_entries: int
    inputs: tuple[InputCheck, ...]
    populations: tuple[PopulationCheck, ...]
    projections: tuple[ProjectionCheck, ...]
    slow_traces: tuple[SlowTraceCheck, ...]
    refused: tuple[str, ...]

    @property
    def boards(self) -> int:
        """Number of boards needed, about."""
        return 1 + max((share.board for block in self.blocks for share in block.chips), default=0)

    @property
    def chips(self) -> int:
        """Number of chips needed, about."""
        return len({(s.board, s.x, s.y) for block in self.blocks for s in block.chips})

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self) | {"boards": self.boards, "chips": self.chips}


def check_export(
    network: Network,
    *,
    board: str = "spin5",
    rate: Quantity = _TOOL_CHAIN_RATE,
    seed: int = 0,
) -> ExportCheck:
    """Check what a board would make of a network, without running it.

    Parameters
    ----------
    network : Network
    board : str
        ``"spin3"`` or ``"spin5"``.
    rate : Quantity
        Spikes per second (rate) of every neuron, for the load of the ring buffers. Inputs
        of :class:`~spikecore.Poisson` spikes have their own.
    seed : int
        Of weights, delays and wiring that are drawn.

    Raises
    ------
    UnknownName
        If there is no such board.
    InvalidInput
        If its arithmetic is not mirrored, if a population has other ports than those of LIF or
        AstroLIF, or the rate is negative.
    """
    described = load_board(board)
    if described.core is None:
        raise InvalidInput(
            "board", "has no mirrored arithmetic", got=board, fix="use 'spin3' or 'spin5'"
        )
    hertz = float(magnitude(rate, "rate", "rate", at_least=0.0, single=True))
    as_given = lower(network, seed)
    for p in as_given.populations:
        if p.ports not in RECEPTORS:
            raise InvalidInput(
                f"Population {p.name!r}",
                "must have the ports 'exc' and 'inh', and may have 'glia'",
                got=p.ports,
                fix="use LIF or AstroLIF",
            )
    lowered = in_currents(as_given)
    maps = map_populations(lowered, described.core)
    blocks = lay_blocks(lowered, maps, described)
    memory = {block.name: block.sdram_bytes for block in blocks if block.kind == "neurons"}
    capabilities: SpinnakerCapabilities = SpinnakerBackend().capabilities(Options())
    return ExportCheck(
        board=described.name,
        cores=sum(block.cores for block in blocks),
        board_cores=board_cores(described),
        blocks=blocks,
        routing_entries=most_routing_entries(blocks),
        inputs=tuple(_input(bound, lowered.dt, described.core) for bound in lowered.inputs),
        populations=tuple(
            PopulationCheck(
                m.lowered.name,
                m.lowered.size,
                m.layout.cores,
                m.layout.neurons,
                m.layout.dtcm_bytes,
                memory[m.lowered.name],
                _work(m, lowered, hertz, described.core),
            )
            for m in maps
        ),
        projections=tuple(
            _projection(c, m, _load(c, m, lowered, hertz)) for m in maps for c in m.incoming
        ),
        slow_traces=tuple(
            check_slow_trace(m.lowered, lowered.dt) for m in maps if is_dual(m.lowered)
        ),
        refused=tuple(capabilities.refusals(as_given, Options())),
    )


def _input(bound: BoundInput, dt: float, limits: CoreLimits) -> InputCheck:
    source, most = bound.input.source, 0
    if isinstance(source, Train):
        ticks = np.rint(np.asarray(source.times.value) / dt)
        most = int(np.unique(ticks, return_counts=True)[1].max(initial=0))
    elif isinstance(source, Poisson | PoissonCounts):
        rates = np.broadcast_to(np.asarray(source.rate.value), (bound.input.size,))
        mean = float(rates.sum()) * dt * 1e-3
        most = min(bound.input.size, math.ceil(mean + _SIGMAS * math.sqrt(mean)))
    return InputCheck(bound.input.name, most, limits.spikes_at_once)


def _work(m: PopulationMap, lowered: Lowered, hertz: float, limits: CoreLimits) -> float:
    """Return the synaptic events of the busiest core as a share of what is planned for one."""
    share = np.zeros(m.layout.cores)
    for p in m.incoming:
        planned = limits.static_events if p.plasticity is None else limits.plastic_events
        events = _rates(p, lowered, hertz)[p.source] / planned
        share += np.bincount(p.target // m.layout.neurons, events, m.layout.cores)
    return float(share.max())


def _projection(c: LoweredProjection, m: PopulationMap, load: float) -> ProjectionCheck:
    shift = m.shifts[c.port]
    step = weight_step(shift)
    weight = np.broadcast_to(np.abs(c.weight), (c.size,))
    stored = quantise(weight, shift)
    error = np.abs(stored * step - weight)
    return ProjectionCheck(
        name=c.name,
        port=m.lowered.ports[c.port],
        synapses=c.size,
        step=step,
        largest_error=float(error.max(initial=0.0)),
        typical_error=float(np.sqrt(np.mean(error**2))) if c.size else 0.0,
        lost=int(((weight > 0.0) & (stored == 0)).sum()),
        load=load,
        longest_delay=int(c.delay.max(initial=0)),
        slots=m.layout.slots,
        too_long=int((np.broadcast_to(c.delay, (c.size,)) > m.layout.max_delay).sum()),
    )


def _load(c: LoweredProjection, m: PopulationMap, lowered: Lowered, hertz: float) -> float:
    """Return the largest expected sum at the receptor of ``c``, as a share of its capacity."""
    mean, variance = np.zeros(m.lowered.size), np.zeros(m.lowered.size)
    for p in (p for p in m.incoming if p.port == c.port and p.size):
        weight = np.broadcast_to(np.abs(p.weight), (p.size,))
        if p.plasticity is not None:
            weight = np.maximum(weight, p.plasticity.bounds[1])
        chance = _rates(p, lowered, hertz)[p.source] * lowered.dt * 1e-3
        mean += np.bincount(p.target, weight * chance, m.lowered.size)
        variance += np.bincount(p.target, weight**2 * chance, m.lowered.size)
    expected = mean + _SIGMAS * np.sqrt(variance)
    return float(expected.max()) / (_LARGEST_SUM * weight_step(m.shifts[c.port]))


def _rates(p: LoweredProjection, lowered: Lowered, hertz: float) -> npt.NDArray[np.float64]:
    """Return the spikes per second of each source."""
    for bound in lowered.inputs:
        source = bound.input.source
        if lowered.groups[bound.input.name][0] == p.source_start and isinstance(
            source, Poisson | PoissonCounts
        ):
            return np.broadcast_to(np.asarray(source.rate.value), (p.source_size,))
    return np.full(p.source_size, hertz)
