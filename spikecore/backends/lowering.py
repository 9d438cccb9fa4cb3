"""Lowering: a Network becomes flat arrays in whole ticks, once, for all backends.

Everything that is drawn is drawn here (or by the bound inputs made here), from
named streams, so all backends get the same wiring, weights and input.

Neurons are numbered through: inputs first, then populations. A *cell* is one
port of one neuron: ``cell = neuron * n_ports + port``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spikecore.backends.modulated import LoweredModulation, lower_modulation
from spikecore.backends.sweeps import Sweep, sender, senders, sweeps_of
from spikecore.backends.synapses import HeldSynapses, draw_synapses
from spikecore.inputs import BoundInput
from spikecore.modulation import Modulation
from spikecore.network import Network, Population, Projection
from spikecore.plasticity import PairSTDP
from spikecore.quantities import Quantity, ticks_of
from spikecore.units.linear import NEGLIGIBLE, LinearUnit
from spikecore.units.propagator import PropagatorTable, step_system, tabulate
from spikecore.units.stepped import change_of

__all__ = ["Lowered", "LoweredPopulation", "LoweredProjection", "lower"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

IN_THREADS = 10_000_000
"""Possible synapses from which on projections are lowered at the same time."""


@dataclass(frozen=True, eq=False)
class LoweredPopulation:
    """One population on the grid.

    Attributes
    ----------
    start, size : int
        Numbers of its neurons: ``start .. start + size - 1``.
    table : PropagatorTable
        Propagators; the state is relative to ``offset``.
    port_gain, port_gain_held : ndarray, shape (K, ports, S)
        What one unit of weight adds to the state, and while refractory.
    offset : ndarray, shape (K, S)
        Equilibrium, added when states are shown.
    threshold : ndarray, shape (K,)
    reset_mask : ndarray of bool, shape (S,)
    reset_value, jump : ndarray, shape (K, S)
    refractory : ndarray of int64, shape (K,)
        Ticks.
    initial : ndarray, shape (size, S)
        State before the first tick.
    """

    name: str
    start: int
    size: int
    unit: LinearUnit
    ports: tuple[str, ...]
    table: PropagatorTable
    port_gain: FloatArray
    port_gain_held: FloatArray
    offset: FloatArray
    threshold: FloatArray
    reset_mask: npt.NDArray[np.bool_]
    reset_value: FloatArray
    jump: FloatArray
    refractory: IndexArray
    initial: FloatArray


@dataclass(frozen=True, eq=False)
class LoweredProjection:
    """Synapses as rows by source neuron, sorted by (source, delay, target).

    Attributes
    ----------
    source_start, source_size, target_start, target_size : int
        Numbers of the neurons at both ends.
    row : ndarray of int64, shape (source_size + 1,)
        Synapses of source i are ``row[i] .. row[i+1] - 1``.
    size : int
        Number of synapses.
    longest : int
        The longest delay, ticks; 0 if there are no synapses.
    synapses : HeldSynapses
        The arrays of size M, see below.
    modulations : tuple of LoweredModulation
        At most one for each of delivery, potentiation and depression.
    """

    name: str
    source_start: int
    source_size: int
    target_start: int
    target_size: int
    port: int
    row: IndexArray
    size: int
    longest: int
    synapses: HeldSynapses
    plasticity: PairSTDP | None
    modulations: tuple[LoweredModulation, ...] = ()

    @property
    def target(self) -> npt.NDArray[np.uint32]:
        """Target neuron of each synapse, within its population."""
        return self.synapses.held.target

    @property
    def weight(self) -> FloatArray:
        """Weight of each synapse, shape (M,), or the one that all share, shape (1,)."""
        return self.synapses.held.weight

    @property
    def delay(self) -> npt.NDArray[np.uint32]:
        """Delay of each synapse in ticks, shape (M,), or the one that all share, shape (1,)."""
        return self.synapses.held.delay

    @property
    def order(self) -> npt.NDArray[np.uint32] | None:
        """Position of each synapse in the user's order; None if it is the same."""
        return self.synapses.order

    @property
    def modulated(self) -> frozenset[str]:
        """What of it is modulated: delivery, potentiation, depression."""
        return frozenset().union(*(m.covers for m in self.modulations))

    def modulation(self, of: str) -> LoweredModulation | None:
        """Return what multiplies ``delivery``, ``potentiation`` or ``depression``, if anything."""
        return next((m for m in self.modulations if of in m.covers), None)

    def in_given_order(self, values: FloatArray) -> FloatArray:
        """Return one value per synapse, from row order to the user's order."""
        spread = np.broadcast_to(values, (self.size,))
        if self.order is None:
            return spread.copy()
        out = np.empty(self.size)
        out[self.order] = spread
        return out

    def in_row_order(self, values: FloatArray) -> FloatArray:
        """Return values given one per synapse (or one for all) in row order."""
        return values if self.order is None or values.size == 1 else values[self.order]

    @property
    def source(self) -> IndexArray:
        """Source neuron of each synapse, within its group."""
        return np.repeat(np.arange(self.source_size), np.diff(self.row))


@dataclass(frozen=True, eq=False)
class LoweredProbe:
    """A probe: neuron numbers, state index, interval in ticks."""

    key: str
    neurons: IndexArray
    state: int
    every: int
    offset: FloatArray


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network on the grid, ready for any backend.

    Attributes
    ----------
    n_neurons, n_ports, n_states : int
        Neurons in all (inputs included), largest number of ports and of states.
    groups : dict of str to (int, int)
        First number and size of every group.
    sweeps : tuple of Sweep
        The stepped populations.
    unseen : frozenset of str
        Groups that are not the user's: senders of continuous outputs.
    shared : bool
        Whether several sessions are opened on it.
    """

    network: Network
    dt: float
    seed: int
    n_neurons: int
    n_ports: int
    n_states: int
    max_delay: int
    groups: dict[str, tuple[int, int]]
    inputs: tuple[BoundInput, ...]
    populations: tuple[LoweredPopulation, ...]
    projections: tuple[LoweredProjection, ...]
    probes: tuple[LoweredProbe, ...]
    notes: tuple[str, ...]
    sweeps: tuple[Sweep, ...] = ()
    unseen: frozenset[str] = frozenset()
    shared: bool = False

    def let_go(self) -> None:
        """Hold the synapses no longer than others need them; whoever asks later waits for them."""
        for p in () if self.shared else self.projections:
            p.synapses.let_go()

    def input_spikes(
        self, start: int, stop: int, without: frozenset[int] = frozenset()
    ) -> tuple[IndexArray, IndexArray]:
        """Return (tick, neuron number) of all drawn and given input spikes, sorted.

        ``without`` are the numbers of inputs that a backend draws for itself.
        """
        parts = [
            (bound.spikes(start, stop), self.groups[bound.input.name][0])
            for number, bound in enumerate(self.inputs)
            if number not in without
        ]
        parts = [(s, at) for s, at in parts if len(s)]
        ticks = np.concatenate([np.empty(0, np.int64), *(s.ticks for s, _ in parts)])
        neurons = np.concatenate([np.empty(0, np.int64), *(s.neurons + at for s, at in parts)])
        if len(parts) <= 1:  # each is sorted
            return ticks, neurons
        order = np.lexsort((neurons, ticks))
        return ticks[order], neurons[order]


def lower(network: Network, seed: int) -> Lowered:
    """Lower ``network`` with all draws made from ``seed``.

    Raises
    ------
    InvalidInput
        If a drawn weight or delay breaks a rule, or a delay needs more ring slots
        than :data:`MAX_DELAY_TICKS`.
    """
    groups: dict[str, tuple[int, int]] = {}
    start = 0
    sending = senders(network)
    hidden = [(name, network.group(pop).size) for (pop, _), name in sending.items()]
    own = [(group.name, group.size) for group in network.groups]
    for name, size in own[: len(network.inputs)] + hidden + own[len(network.inputs) :]:
        groups[name] = (start, size)
        start += size
    ordered = [g for g in network.groups if isinstance(g, Population)]
    populations = tuple(_population(p, groups[p.name][0], network.dt) for p in ordered)
    by_name = {p.name: p for p in populations}
    notes: list[str] = []
    projections = _projections(network, groups, by_name, seed)
    notes += [note for p in projections for note in p.synapses.notes]
    inputs = tuple(i.bind(network.dt, seed) for i in network.inputs)
    notes += [note for bound in inputs for note in bound.notes]
    return Lowered(
        network=network,
        dt=network.dt,
        seed=seed,
        n_neurons=start,
        n_ports=max((len(p.ports) for p in populations), default=1),
        n_states=max((len(p.unit.states) for p in populations), default=1),
        max_delay=max((p.longest for p in projections if p.size), default=1),
        groups=groups,
        inputs=inputs,
        populations=populations,
        projections=projections,
        probes=_probes(network, by_name),
        notes=tuple(notes),
        sweeps=sweeps_of(network, ordered, groups, sending),
        unseen=frozenset(sending.values()),
    )


def _population(p: Population, start: int, dt: float) -> LoweredPopulation:
    unit = p.linear
    k, s = unit.b.shape
    offset = _equilibrium(unit)
    centred = unit.b + np.einsum("kij,kj->ki", unit.A, offset)
    unit_rel = replace(
        unit,
        b=np.where(np.abs(centred) < NEGLIGIBLE, 0.0, centred),
        threshold=unit.threshold - offset @ unit.h,
        reset={n: v - offset[:, unit.states.index(n)] for n, v in unit.reset.items()},
    )
    reset_value, jump = np.zeros((k, s)), np.zeros((k, s))
    mask = np.array([name in unit.reset for name in unit.states])
    for name, value in unit_rel.reset.items():
        reset_value[:, unit.states.index(name)] = value
    for name, value in unit.jump.items():
        jump[:, unit.states.index(name)] = value
    initial = np.tile(0.0 - offset, (p.size // k, 1))  # rest, whatever the drive
    if p.stepped is not None:
        initial[:] = p.stepped.start
    for name, quantity in p.initial.items():
        i = unit.states.index(name)
        initial[:, i] = np.asarray(quantity.value) - unit.rest[:, i] - offset[:, i]
    return LoweredPopulation(
        name=p.name,
        start=start,
        size=p.size,
        unit=unit_rel,
        ports=tuple(unit.ports),
        table=tabulate(unit_rel, dt),
        port_gain=_gains(unit_rel, dt, held=False),
        port_gain_held=_gains(unit_rel, dt, held=True),
        offset=unit.rest + offset,
        threshold=unit_rel.threshold,
        reset_mask=mask,
        reset_value=reset_value,
        jump=jump,
        refractory=ticks_of(Quantity(unit.refractory, "time"), dt, f"{p.name}.refractory"),
        initial=initial,
    )


def _equilibrium(unit: LinearUnit) -> FloatArray:
    """Return where the drive alone would settle, or 0 for units that do not leak.

    States are kept relative to it: a resting neuron is then exactly zero, needs no
    update, and its threshold distance is not blurred by rounding.
    """
    if not unit.b.any():
        return np.zeros_like(unit.b)
    settles = np.abs(np.linalg.det(unit.A)) > NEGLIGIBLE
    safe = np.where(settles[:, None, None], unit.A, -np.eye(unit.A.shape[1]))
    solved = np.linalg.solve(safe, -unit.b[:, :, None])[:, :, 0]
    return np.where(settles[:, None], solved, 0.0)


def _gains(unit: LinearUnit, dt: float, *, held: bool) -> FloatArray:
    """Return what one unit of weight, due in a tick, adds to the state of that tick."""
    k, s = unit.b.shape
    gains = np.zeros((k, len(unit.ports), s))
    step = step_system(unit, dt, held)
    for number, port in enumerate(unit.ports.values()):
        i = unit.states.index(port.state)
        if unit.step == "spinnaker" and port.state in unit.currents:
            # Contract line 2: scaled, then the membrane moves with it, then it decays.
            assert port.tau is not None
            scale = port.tau / dt * -np.expm1(-dt / port.tau)
            gains[:, number] = port.sign * scale[:, None] * step[:, :s, i]
        elif not (held and port.state in unit.reset):
            gains[:, number, i] = port.sign
    return gains


def _projections(
    network: Network,
    groups: dict[str, tuple[int, int]],
    populations: dict[str, LoweredPopulation],
    seed: int,
) -> tuple[LoweredProjection, ...]:
    """Lower all projections; large ones at the same time.

    Each draws from streams of its own, so the order in which they are made does not matter.
    """

    def one(p: Projection) -> LoweredProjection:
        return _projection(p, network, groups, populations, seed)

    size = [groups[p.pre_name][1] * groups[p.post_name][1] for p in network.projections]
    if sum(size) < IN_THREADS:
        return tuple(one(p) for p in network.projections)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # drawing and sorting run without the GIL
        largest_first = sorted(range(len(size)), key=lambda i: -size[i])
        made = {i: pool.submit(one, network.projections[i]) for i in largest_first}
        return tuple(made[i].result() for i in range(len(size)))


def _projection(
    p: Projection,
    network: Network,
    groups: dict[str, tuple[int, int]],
    populations: dict[str, LoweredPopulation],
    seed: int,
) -> LoweredProjection:
    (s0, n_source), (t0, n_target) = groups[sender(p)], groups[p.post_name]
    target = populations[p.post_name]
    synapses = HeldSynapses(
        lambda ordered: draw_synapses(p, network, (n_source, n_target), seed, ordered=ordered),
        network,
        keep_order=p.plasticity is not None or any(m.per == "synapse" for m in p.modulations),
    )
    found = synapses.held
    lowered = LoweredProjection(
        name=p.name,
        source_start=s0,
        source_size=n_source,
        target_start=t0,
        target_size=n_target,
        port=target.ports.index(p.port),
        row=found.row,
        size=found.target.size,
        longest=int(found.delay.max()) if found.target.size else 0,
        synapses=synapses,
        plasticity=p.plasticity,
    )
    if p.carries:
        return replace(lowered, modulations=_carried(p, populations[p.pre_name], lowered.source))
    made = tuple(_modulation(m, lowered, populations) for m in p.modulations)
    return replace(lowered, modulations=made)


def _carried(
    p: Projection, source: LoweredPopulation, who: IndexArray
) -> tuple[LoweredModulation, ...]:
    """Return what makes a spike of a sender carry the change of its output, whatever its sign."""
    state = source.unit.states.index(change_of(p.carries))
    change = Modulation(source.name, change_of(p.carries), base=0.0)
    lowered = lower_modulation(change, source.start, state, who, np.zeros(source.size))
    return (replace(lowered, floor=-np.inf),)


def _modulation(
    m: Modulation, p: LoweredProjection, populations: dict[str, LoweredPopulation]
) -> LoweredModulation:
    actors = populations[m.by_name]
    if m.per == "source":
        who = m.numbers(p.source_size, actors.size)[p.source]
    elif m.per == "target":
        who = m.numbers(p.target_size, actors.size)[p.target]
    else:
        who = m.numbers(p.size, actors.size)
        who = who if p.order is None else who[p.order]
    state = actors.unit.states.index(m.state)
    offset = np.broadcast_to(actors.offset[:, state], (actors.size,))
    return lower_modulation(m, actors.start, state, who, offset)


def _probes(
    network: Network, populations: dict[str, LoweredPopulation]
) -> tuple[LoweredProbe, ...]:
    found = []
    for probe in network.probes:
        population = populations[probe.pop_name]
        index = np.arange(population.size) if probe.neurons is None else np.asarray(probe.neurons)
        state = population.unit.states.index(probe.state)
        every = 1 if probe.every is None else int(ticks_of(probe.every, network.dt, probe.key))
        offset = np.broadcast_to(population.offset[:, state], (population.size,))[index]
        found.append(
            LoweredProbe(probe.key, index.astype(np.int64) + population.start, state, every, offset)
        )
    return tuple(found)
