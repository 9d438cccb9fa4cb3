"""Flat arrays of whole numbers that the compiled mirror works on.

As in the event-driven core: few arrays, and tables with named columns that say where each
population, projection and rule begins in them (docs/decisions/0006). ``Net`` never changes
during a run, ``State`` does. Everything is an integer, as on the chip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredProjection
from spikecore_hardware.spinnaker import arithmetic as fixed
from spikecore_hardware.spinnaker.cores import bits_for
from spikecore_hardware.spinnaker.mapping import PopulationMap, neuron_constants, window

__all__ = ["HISTORY", "C", "L", "N", "Net", "P", "R", "S", "State", "build_net", "new_state"]

Array = npt.NDArray[Any]

HISTORY = 16
"""Post spikes that a neuron remembers; the first entry is a placeholder at tick 0."""


class R(IntEnum):
    """The register: scalars of a run."""

    TICK = 0
    N_OUT = 1
    INPUT = 2
    SENT = 3
    DELIVERED = 4
    PENDING = 5
    UPDATES = 6
    SATURATED = 7  # sums that ring buffers cut off
    WRAPPED = 8  # results that did not fit into 32 bits
    FORGOTTEN = 9  # updates of synapses that missed a post spike


class N(IntEnum):
    """Rows of ``Net.neuron``: what each neuron's core derived at its start."""

    REST = 0
    RESISTANCE = 1
    LEAK = 2
    OFFSET = 3
    RESET = 4
    THRESHOLD = 5
    REFRACTORY = 6
    DECAY_EXC = 7
    GAIN_EXC = 8
    DECAY_INH = 9
    GAIN_INH = 10
    DECAY_SLOW = 11
    GAIN_SLOW = 12


class S(IntEnum):
    """Rows of ``State.neuron``: the states of LIF, the refractory timer, the slow current."""

    I_EXC = 0
    I_INH = 1
    V = 2
    TIMER = 3
    I_SLOW = 4


class P(IntEnum):
    """Columns of ``Net.population``."""

    START = 0
    SIZE = 1
    RING_0 = 2  # position in State.ring: slot, receptor, neuron
    SLOTS = 3  # a power of two
    SHIFT_EXC = 4  # as many as receptors, in the order of the ports
    SHIFT_INH = 5
    SHIFT_SLOW = 6
    POST_0 = 7  # first neuron in State.post, or -1 if none of its synapses learns
    MINUS_0 = 8  # window of its learning rule, position in Net.window
    MINUS_SIZE = 9
    RECEPTORS = 10  # 2, or 3 with a slow trace


class C(IntEnum):
    """Columns of ``Net.projection``."""

    SOURCE = 0  # first neuron
    TARGET = 1  # population
    PORT = 2
    ROW_0 = 3  # position in Net.row; one row for each source and stage
    STAGES = 4  # 1 unless plastic synapses pass through delay extensions
    SYNAPSE_0 = 5  # position in Net.target and State.weight
    DELAY_0 = 6
    DELAY_STEP = 7  # 0 if one delay serves all
    RULE = 8  # or -1


class L(IntEnum):
    """Columns of ``Net.rule``."""

    PROJECTION = 0
    SOURCES = 1
    PRE_0 = 2  # first row in State.pre
    RELAY_0 = 3  # position in State.relay: slot, source
    RELAY_SLOTS = 4  # a power of two, or 0 without extensions
    STAGE_TICKS = 5  # ticks that one stage adds
    DENDRITIC = 6
    PLUS_0 = 7  # windows, positions in Net.window
    PLUS_SIZE = 8
    A_PLUS = 9  # amplitudes and bounds, s16.15
    A_MINUS = 10
    LOW = 11
    HIGH = 12


class Net(NamedTuple):
    """The network as the kernels see it."""

    group_of: Array  # (n_neurons,)
    group: Array  # (groups + 1,): first projection
    population: Array  # columns P
    neuron: Array  # rows N
    projection: Array  # columns C, ordered by source group
    rule: Array  # columns L
    window: Array
    row: Array
    target: Array
    delay: Array


class State(NamedTuple):
    """All that changes during a run."""

    register: Array  # entries R
    neuron: Array  # rows S
    ring: Array  # uint16: sums of stored weights
    due: Array  # synaptic events by tick of arrival
    weight: Array  # uint16, as stored
    pre: Array  # (rows, 3): tick and trace of the last spike, tick up to which all is learnt
    post: Array  # (neurons,): entries in the history less one
    history: Array  # (neurons, HISTORY, 2): ticks and traces
    dropped: Array  # (neurons,): tick of the latest spike that no longer is in the history
    relay: Array  # spikes of sources in the last ticks, for delay extensions


class _Pool:
    """Arrays laid end to end."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.parts: list[Array] = []
        self.size = 0

    def add(self, values: Any) -> int:
        """Append ``values``; return where they begin."""
        part = np.ravel(np.asarray(values)).astype(self.dtype)
        begin = self.size
        self.parts.append(part)
        self.size += part.size
        return begin

    def join(self) -> Array:
        return np.concatenate([np.empty(0, self.dtype), *self.parts])


def _table(rows: Iterable[Iterable[int]], columns: int) -> Array:
    return np.array([[int(v) for v in row] for row in rows], np.int64).reshape(-1, columns)


def build_net(lowered: Lowered, maps: Sequence[PopulationMap]) -> tuple[Net, list[int]]:
    """Lay out a mapped network for the kernels.

    Returns
    -------
    Net
    list of int
        Number in ``lowered`` of each projection, in the order used here.
    """
    sizes = [size for _, size in lowered.groups.values()]
    starts = [start for start, _ in lowered.groups.values()]
    order = sorted(
        range(len(lowered.projections)),
        key=lambda i: (lowered.projections[i].source_start, i),
    )
    projections = [lowered.projections[i] for i in order]
    group_of = np.repeat(np.arange(len(sizes)), sizes)
    source_group = [int(group_of[p.source_start]) for p in projections]
    row, target, delay = _Pool(np.int64), _Pool(np.uint32), _Pool(np.uint32)
    windows = _Pool(np.int64)
    target_of = {m.lowered.start: i for i, m in enumerate(maps)}
    slots = [maps[target_of[p.target_start]].layout.slots for p in projections]
    neuron = np.zeros((len(N), lowered.n_neurons), np.int64)
    for m in maps:
        constants, _ = neuron_constants(m, lowered.dt)
        for name, values in constants.items():
            neuron[N[name.upper()], m.lowered.start : m.lowered.start + m.lowered.size] = values
    net = Net(
        group_of=group_of.astype(np.int64),
        group=np.searchsorted(source_group, np.arange(len(starts) + 1)).astype(np.int64),
        population=_table(_population_rows(lowered, maps, windows), len(P)),
        neuron=neuron,
        projection=_table(
            _projection_rows(projections, slots, target_of, row, target, delay), len(C)
        ),
        rule=_table(_rule_rows(projections, slots, lowered.dt, windows), len(L)),
        window=windows.join(),
        row=row.join(),
        target=target.join(),
        delay=delay.join(),
    )
    return net, order


def _population_rows(
    lowered: Lowered, maps: Sequence[PopulationMap], windows: _Pool
) -> Iterable[tuple[int, ...]]:
    ring = post = 0
    for m in maps:
        p, rule = m.lowered, m.rule
        longest = max((int(c.delay.max()) for c in m.incoming if c.size), default=1)
        slots = 1 << bits_for(longest)  # static weights need no extension here: sums have no order
        minus = window(float(rule.tau_minus.value), lowered.dt) if rule else np.empty(0, np.int64)
        yield (
            *(p.start, p.size, ring, slots, *m.shifts, *[0] * (3 - len(m.shifts))),
            *(post if rule else -1, windows.add(minus), minus.size, len(m.shifts)),
        )
        ring += slots * len(m.shifts) * p.size
        post += p.size if rule else 0


def _stages(p: LoweredProjection, slots: int) -> int:
    if p.plasticity is None or p.size == 0:
        return 1
    return (int(p.delay.max()) - 1) // slots + 1


def _projection_rows(
    projections: Sequence[LoweredProjection],
    slots: Sequence[int],
    target_of: dict[int, int],
    row: _Pool,
    target: _Pool,
    delay: _Pool,
) -> Iterable[tuple[int, ...]]:
    rule = 0
    for p, s in zip(projections, slots, strict=True):
        stages = _stages(p, s)
        begins = row.add(_split(p, s, stages) if stages > 1 else p.row)
        yield (
            *(p.source_start, target_of[p.target_start], p.port, begins, stages),
            *(target.add(p.target), delay.add(p.delay), int(p.delay.size == p.size)),
            rule if p.plasticity else -1,
        )
        rule += p.plasticity is not None


def _split(p: LoweredProjection, slots: int, stages: int) -> Array:
    """Return the rows of a projection, each divided by the stage of its delays.

    Rows are sorted by delay already.
    """
    stage = (np.broadcast_to(p.delay, (p.size,)).astype(np.int64) - 1) // slots
    counts = np.bincount(p.source * stages + stage, minlength=p.source_size * stages)
    return np.concatenate([[0], np.cumsum(counts)])


def _rule_rows(
    projections: Sequence[LoweredProjection], slots: Sequence[int], dt: float, windows: _Pool
) -> Iterable[tuple[int, ...]]:
    pre = relay = 0
    for i, (p, s) in enumerate(zip(projections, slots, strict=True)):
        rule = p.plasticity
        if rule is None:
            continue
        stages = _stages(p, s)
        relay_slots = 1 << bits_for((stages - 1) * s + 1) if stages > 1 else 0
        plus = window(float(rule.tau_plus.value), dt)
        yield (
            *(i, p.source_size, pre, relay, relay_slots, s),
            *(rule.post_delay == "dendritic", windows.add(plus), plus.size),
            *fixed.encode([*rule.amplitudes, *rule.bounds]),
        )
        pre += p.source_size * stages
        relay += p.source_size * relay_slots


def new_state(lowered: Lowered, maps: Sequence[PopulationMap], net: Net, weight: Array) -> State:
    """Return the state before the first tick, with the given stored weights."""
    neuron = np.zeros((len(S), lowered.n_neurons), np.int64)
    for m in maps:
        _, initial = neuron_constants(m, lowered.dt)
        for name, values in initial.items():
            neuron[S[name.upper()], m.lowered.start : m.lowered.start + m.lowered.size] = values
    ring = int(net.population[:, [P.SLOTS, P.RECEPTORS, P.SIZE]].prod(axis=1).sum())
    rows = sum(int(n * net.projection[i, C.STAGES]) for i, n in net.rule[:, : L.PRE_0])
    relay = int((net.rule[:, L.SOURCES] * net.rule[:, L.RELAY_SLOTS]).sum())
    posts = sum(m.lowered.size for m in maps if m.rule)
    return State(
        register=np.zeros(len(R), np.int64),
        neuron=neuron,
        ring=np.zeros(ring, np.uint16),
        due=np.zeros(1 << bits_for(lowered.max_delay + 1), np.int64),
        weight=weight,
        pre=np.zeros((rows, 3), np.int64),
        post=np.zeros(posts, np.int64),
        history=np.zeros((posts, HISTORY, 2), np.int64),
        dropped=np.full(posts, -1, np.int64),
        relay=np.zeros(relay, np.int64),
    )
