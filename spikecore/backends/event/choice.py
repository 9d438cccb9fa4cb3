"""Which way the event-driven core takes, and why (docs/performance, docs/decisions/0010)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spikecore.backends.event.dense import BITMAP, dense_projections
from spikecore.backends.event.packed import cell_layout
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Choice, Options
from spikecore.errors import InvalidInput

__all__ = ["BLOCKS", "CHOICES", "LAST_TICK", "RING_BYTES", "Way", "choose_way"]

CHOICES: Mapping[str, Choice] = {
    "delivery": Choice(
        ("auto", "ring", "queue", "calendar"),
        "how synaptic events wait: a ring of cells, a queue for each tick, linked blocks",
    ),
    "neurons": Choice(
        ("auto", "wheel", "sweep"),
        "how neurons are found: called or reached, or all in every tick",
    ),
    "dense": Choice(
        ("auto", "bitmaps", "lists"),
        "how projections with one weight and one delay are kept: as bitmaps where that is "
        "exact and they are dense (auto), or wherever it is exact",
    ),
    "threads": Choice(
        ("auto", "1", "2"),
        "how many threads run the network, each half of the neurons of each population",
    ),
    "ahead": Choice(
        ("auto", "blocks", "off"),
        "populations that inputs alone reach and that reach nobody: in blocks of time where it "
        "gains (auto), or wherever it can be done",
    ),
}

BLOCKS = "blocks"
"""What is said of a population that runs ahead in blocks of time; of others, why it does not."""

RING_BYTES = 8_000_000
"""Largest ring of cells that is chosen: it should stay in the cache."""

MANY_NEURONS, MANY_SYNAPSES, LONG_TICK = 10_000, 1_000_000, 0.05
"""Neurons, synapses and ms in a tick from which on two threads are chosen: they meet in every tick,
also where one thread would pass it by (docs/decisions/0013)."""

FEW_EVENTS = 300
"""Synaptic events a tick below which a second thread gains nothing: sparse activity of 200 a tick
took 1.15 times as long in two, of 600 a tick 0.7 times (benchmarks/results/scaling.json)."""

SMALL = 100_000
"""Synapses up to which the general way is chosen: it is slower, and compiled in a sixth of the
time, so that small networks start at once."""

LAST_TICK = 2**29
"""Ticks to which the fast ways count in float32."""

LONGEST_REFRACTORY = 2**28
PACKED_BITS = 32


@dataclass(frozen=True)
class Way:
    """How a network is run.

    Attributes
    ----------
    delivery : {"ring", "queue", "calendar"}
    neurons : {"auto", "wheel", "sweep", "listed"}
        "listed" goes with the calendar.
    why : str
        What decided about the delivery.
    dense : dict of int to str
        As :func:`~spikecore.backends.event.dense.dense_projections`.
    threads : int
    why_threads : str
        What decided about them.
    ahead : dict of int to str
        As :func:`~spikecore.backends.event.ahead.ahead_populations`.
    always_ahead : bool
        Whether blocks of time were asked for, however short they are.
    """

    delivery: str
    neurons: str
    why: str
    dense: Mapping[int, str] = field(default_factory=dict)
    threads: int = 1
    why_threads: str = "asked for"
    ahead: Mapping[int, str] = field(default_factory=dict)
    always_ahead: bool = False


def _not_covered(lowered: Lowered) -> str:
    """Say why the fast ways cannot run ``lowered``, or nothing."""
    acted_on = next((p.name for p in lowered.projections if p.modulations), None)
    if acted_on is not None:
        return f"a slow state acts on the synapses of {acted_on}"
    if lowered.sweeps:
        return f"{lowered.populations[lowered.sweeps[0].population].name} moves in steps"
    _, cells = cell_layout(lowered)
    bits = (cells - 1).bit_length() + lowered.max_delay.bit_length()
    if bits > PACKED_BITS:
        return f"delay and cell of a synapse need {bits} bits, more than {PACKED_BITS}"
    longest = max((int(p.refractory.max()) for p in lowered.populations), default=0)
    if longest > LONGEST_REFRACTORY:
        return f"a refractory period of {longest} ticks is longer than {LONGEST_REFRACTORY}"
    return ""


def choose_way(lowered: Lowered, options: Options) -> Way:
    """Choose from the network; what the options force is taken, or refused.

    Raises
    ------
    InvalidInput
        If the options force a way that cannot run this network, or contradict each other.
    """
    threads, why = _threads(lowered, options)
    ahead = options.own.get("ahead", "auto")
    if threads == 1 or ahead == "off":
        return _choose(lowered, options, threads, why)
    if options.own.get("threads") == "2":
        if ahead == "blocks":
            raise InvalidInput(
                "backend 'event'",
                "runs ahead in blocks of time in one thread only",
                got="threads=2, ahead=blocks",
                fix="leave one of them out",
            )
        return _choose(lowered, options, threads, why)
    way = _choose(lowered, options, 1, "blocks of time go in one thread")
    n_ahead = sum(what == BLOCKS for what in way.ahead.values())
    if ahead == "blocks" or n_ahead == len(lowered.populations):
        return way
    return _choose(lowered, options, threads, why)


def _choose(lowered: Lowered, options: Options, threads: int, why: str) -> Way:
    """Choose all else, for so many threads."""
    dense = options.own.get("dense", "auto")
    way = _delivery(lowered, options, threads)
    if way.delivery != "calendar":
        way = replace(way, threads=threads, why_threads=why)
    if way.delivery == "ring":
        return _ahead(lowered, options, replace(way, dense=dense_projections(lowered, dense)))
    if dense == "bitmaps":
        raise InvalidInput(
            "backend 'event'",
            "adds up bitmaps in a ring only",
            got=f"delivery={way.delivery}, dense=bitmaps",
            fix="use delivery=ring, or leave dense out",
        )
    return _ahead(lowered, options, way)


def _ahead(lowered: Lowered, options: Options, way: Way) -> Way:
    """Choose which populations run ahead in blocks of time."""
    wanted, neurons = options.own.get("ahead", "auto"), options.own.get("neurons", "auto")
    if wanted == "blocks" and (way.delivery == "calendar" or neurons == "wheel"):
        raise InvalidInput(
            "backend 'event'",
            "sweeps neurons in blocks of time, of a ring or of queues",
            got=f"delivery={way.delivery}, neurons={neurons}, ahead=blocks",
            fix="leave ahead out, or the others",
        )
    if way.delivery == "calendar" or neurons == "wheel" or way.threads > 1:
        return way
    from spikecore.backends.event.ahead import ahead_populations  # needs the kernels

    bitmaps = frozenset(i for i, what in way.dense.items() if what == BITMAP)
    itemsize = np.dtype(options.precision).itemsize
    ahead = ahead_populations(lowered, wanted, bitmaps, itemsize)
    if wanted == "blocks" and BLOCKS not in ahead.values():
        reasons = [f"{lowered.populations[i].name}: {why}" for i, why in ahead.items()]
        raise InvalidInput(
            "backend 'event'",
            "runs ahead in blocks of time only where inputs alone reach a population that sends "
            "to nobody",
            got="; ".join(reasons) or "no population",
            fix="leave ahead out",
        )
    return replace(way, ahead=ahead, always_ahead=wanted == "blocks")


def _threads(lowered: Lowered, options: Options) -> tuple[int, str]:
    """Return how many threads to take, and why.

    Raises
    ------
    InvalidInput
        If the options ask for two where that cannot be.
    """
    wanted = options.own.get("threads", "auto")
    if wanted == "1":
        return 1, "asked for"
    learning = next((p.name for p in lowered.projections if p.plasticity is not None), None)
    if wanted == "2":
        reason = f"{learning} learns" if learning is not None else _not_covered(lowered)
        if options.own.get("delivery") == "calendar":
            reason = "delivery=calendar is asked for"
        if reason:
            raise InvalidInput(
                "backend 'event'",
                "runs networks in two threads if nothing learns, and not with delivery=calendar",
                got=f"threads=2, but {reason}",
                fix="leave threads out",
            )
        return 2, "asked for"
    neurons = sum(p.size for p in lowered.populations)
    synapses = sum(p.size for p in lowered.projections)
    driven = _driven(lowered)
    against = {
        f"{learning} learns": learning is not None,
        f"{neurons} neurons are fewer than {MANY_NEURONS}": neurons < MANY_NEURONS,
        f"{synapses} synapses are fewer than {MANY_SYNAPSES}": synapses < MANY_SYNAPSES,
        f"a tick of {lowered.dt:g} ms is shorter than {LONG_TICK} ms": lowered.dt < LONG_TICK,
        f"inputs and whom they reach send {driven:.3g} synaptic events a tick at most, fewer than "
        f"{FEW_EVENTS}, and nobody fires without them": driven < FEW_EVENTS,
        "several runs share the network": lowered.shared,
        "there is one processor": _processors() == 1,
    }
    reason = next((why for why, holds in against.items() if holds), "")
    return (1, reason) if reason else (2, f"{neurons} neurons and {synapses} synapses")


def _driven(lowered: Lowered) -> float:
    """Return how many synaptic events a tick inputs send on average, and whom they reach at most.

    That is if each event makes its target fire; what these spikes make fire in turn is not known.
    Infinitely many where inputs are not all that makes neurons fire: where they are fed, and where
    a population does not rest below its threshold.
    """
    by_itself = any((p.table.bound[:, 0, -1] >= p.threshold).any() for p in lowered.populations)
    rates = {i.input.name: i.spikes_a_tick for i in lowered.inputs}
    if by_itself or None in rates.values():
        return np.inf
    starts = {lowered.groups[name][0]: rate or 0.0 for name, rate in rates.items()}
    # Synapses of a neuron, on average, by the start of its group.
    rows: defaultdict[int, float] = defaultdict(float)
    for p in lowered.projections:
        rows[p.source_start] += p.size / max(1, p.source_size)
    return sum(
        starts[p.source_start] * p.size / p.source_size * (1 + rows[p.target_start])
        for p in lowered.projections
        if p.source_start in starts and p.size
    )


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _delivery(lowered: Lowered, options: Options, threads: int) -> Way:
    delivery = options.own.get("delivery", "auto")
    neurons = options.own.get("neurons", "auto")
    dense = options.own.get("dense", "auto")
    reason = _not_covered(lowered)
    asked = dense == "bitmaps" or options.own.get("ahead") == "blocks"
    asked |= options.own.get("threads") == "2"
    forced = delivery in ("ring", "queue") or neurons != "auto" or asked
    if delivery == "calendar" and neurons != "auto":
        raise InvalidInput(
            "backend 'event'",
            "finds neurons by a list of its own with delivery=calendar",
            got=f"neurons={neurons}",
            fix="leave neurons out, or use delivery=ring or delivery=queue",
        )
    if forced and reason:
        raise InvalidInput(
            "backend 'event'",
            f"cannot run this network with delivery={delivery}, neurons={neurons}: {reason}",
            fix="use delivery=calendar",
        )
    if delivery == "calendar" or reason:
        return Way("calendar", "listed", reason or "asked for")
    if delivery != "auto":
        return Way(delivery, neurons, "asked for")
    synapses = sum(p.size for p in lowered.projections)
    if synapses <= SMALL and not forced:
        return Way("calendar", "listed", f"{synapses} synapses are at most {SMALL}")
    _, cells = cell_layout(lowered)
    size = cells // threads * max(1, lowered.max_delay) * np.dtype(options.precision).itemsize
    small = size <= RING_BYTES
    return Way(
        "ring" if small else "queue",
        neurons,
        f"a ring of cells takes {size / 1e6:.3g} MB, "
        f"{'no more' if small else 'more'} than {RING_BYTES / 1e6:g} MB",
    )
