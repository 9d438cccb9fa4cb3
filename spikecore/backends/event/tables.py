"""Flat arrays that the compiled kernels work on.

Few arrays, each of one kind; integer tables with named columns say where each
population, projection and rule begins in them. (The compiler's time grows with
the number of arrays, and a user waits for it once.) ``Net`` never changes during
a run, ``State`` does. ``build.py`` fills them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy.typing as npt

__all__ = ["BLOCK", "NEVER", "C", "K", "L", "M", "Net", "P", "R", "State"]

Array = npt.NDArray[Any]

BLOCK = 64
"""Synaptic events per block of the calendar."""

NEVER = -(2**40)
"""Tick of a spike that has not happened."""


class R(IntEnum):
    """The register: scalars of a run."""

    TICK = 0
    PHASE = 1  # 0: at the start of a tick, 1: while its spikes are being sent
    N_ACTIVE = 2
    N_SPIKES = 3  # spikes of this tick still to be sent
    SPIKE = 4  # position among them
    PROJECTION = 5  # position among the projections of that neuron
    N_OUT = 6
    FREE_HEAD = 7
    N_FREE = 8
    SENT = 9
    DELIVERED = 10
    PENDING = 11
    UPDATES = 12
    INPUT = 13
    BAD = 14
    FULL = 15  # some history of post spikes is full


class P(IntEnum):
    """Columns of ``Net.population``. ``*_0`` are positions in ``Net.real``."""

    START = 0
    N_STATES = 1
    X_0 = 2  # where its states begin in State.x
    KINDS = 3  # 1 if each neuron has parameters of its own, else 0
    TABLE_SIZE = 4
    BITS = 5  # log2 of the radix
    N_PORTS = 6
    REFRACTORY_0 = 7  # position in Net.whole
    MASK_0 = 8  # position in Net.whole
    FREE_0 = 9
    HELD_0 = 10
    RESET_0 = 11
    JUMP_0 = 12
    H_0 = 13
    THRESHOLD_0 = 14
    GAIN_0 = 15
    GAIN_HELD_0 = 16
    BOUND_0 = 17
    PAST = 18  # committed states to be kept, 0 where nobody asks for past ones
    PAST_0 = 19  # position in State.past
    PAST_X_0 = 20  # position in State.past_x
    SOON_0 = 21  # bounds for the next ticks, or -1


class C(IntEnum):
    """Columns of ``Net.projection``."""

    SOURCE = 0  # first neuron
    TARGET = 1  # first neuron
    PORT = 2
    ROW_0 = 3  # position in Net.row
    SYNAPSE_0 = 4  # position among all synapses
    WEIGHT_0 = 5
    WEIGHT_STEP = 6  # 0 if one weight serves all
    DELAY_0 = 7
    DELAY_STEP = 8
    RULE = 9  # or -1
    FACTOR = 10  # row of Net.modulation that acts on delivery, or -1
    TARGET_0 = 11  # position in Net.target, or -1 if targets are not kept


class L(IntEnum):
    """Columns of ``Net.rule``. Windows and values are positions in ``Net.real``."""

    PROJECTION = 0
    NEAREST = 1
    COINCIDENCE = 2  # 0 depress, 1 potentiate, 2 ignore
    DENDRITIC = 3
    LATE_CLAMP = 4
    MULTIPLICATIVE = 5
    VALUES_0 = 6  # A_plus, A_minus, low, high
    PLUS_0 = 7
    PLUS_LAST = 8
    MINUS_0 = 9
    MINUS_LAST = 10
    PRE_0 = 11  # first row in State.pre
    N_PRE = 12
    POST_0 = 13  # first target in State.post
    N_POST = 14
    HISTORY = 15  # entries kept per target neuron
    HISTORY_0 = 16
    MAX_LAG = 17
    PLUS_FACTOR = 18  # row of Net.modulation that acts on A_plus, or -1
    MINUS_FACTOR = 19


class M(IntEnum):
    """Columns of ``Net.modulation``."""

    START = 0  # first neuron that acts
    STATE = 1
    WHO_0 = 2  # position in Net.who
    VALUES_0 = 3  # gain, floor
    BASE_0 = 4
    THRESHOLD_0 = 5  # or -1
    CACHE_0 = 6  # position in State.factor
    SIZE = 7


class K(IntEnum):
    """Columns of ``State.clock``."""

    AT = 0  # tick of the committed state
    UNTIL = 1  # last refractory tick
    HIT = 2  # tick of the latest arrival
    PAST = 3  # committed states that are kept
    CALL = 4  # tick in which to look at it, if it is active


class Net(NamedTuple):
    """The network as the kernels see it."""

    port_bits: Array  # (1,) a cell is neuron << port_bits | port
    node: Array  # (n_neurons, 2): group, population (-1 for inputs)
    group: Array  # (groups + 1, 2): first projection, first entry of into
    population: Array  # columns P
    projection: Array  # columns C, ordered by source group
    rule: Array  # columns L
    modulation: Array  # columns M
    into: Array  # rules that learn from spikes of a group as targets
    real: Array  # all real parameters; begins with 1 and the rounding margin
    whole: Array  # refractory periods and reset masks
    row: Array
    target: Array
    delay: Array
    who: Array  # neuron that acts on each synapse


class State(NamedTuple):
    """What changes during a run."""

    register: Array  # entries R
    x: Array  # committed states
    clock: Array  # (n_neurons, columns K)
    acc: Array  # arrivals of this tick, per cell
    lists: Array  # (4, ...): touched, active, spikes of this tick, their multiplicity
    buffer: Array  # scratch for one state vector, twice
    weight: Array
    slot: Array  # (slots, 3): count, head block, tail block
    block_next: Array
    block_cell: Array
    block_weight: Array
    pre: Array  # (rows, 2): tick of the latest spike, tick up to which the row has learnt
    pre_trace: Array
    post: Array  # (targets, 2): tick of the latest spike, entries of history
    post_trace: Array
    history_tick: Array
    history_trace: Array
    factor: Array  # of each neuron that acts, as it was in the tick of factor_at
    factor_at: Array
    past: Array  # (entries, 2): tick and last refractory tick of committed states
    past_x: Array
