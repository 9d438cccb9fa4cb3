"""The mirror against the vendor's own images, which run unchanged on one emulated core.

Spikes, membrane potentials and weights, bit for bit. Needs the vendor's tool chain and an ARM
emulator (``pip install "spikecore[vendor]"``). SPIKECORE_VENDOR_NETS=200 compares 200 networks.
"""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np
import pytest
from spin1_images import vendor_images
from spin1_networks import KINDS, TICKS, draw, for_vendor, spikes_by_tick

from spikecore import Simulation, ms

pytestmark = [pytest.mark.vendor, pytest.mark.slow]

NETS = int(os.environ.get("SPIKECORE_VENDOR_NETS", str(2 * len(KINDS))))
IMAGE = {"stdp": "_stdp_mad_pair_additive", "slow": "_dual"}
BATCH = 70  # networks that are mapped in one go
TICK_MS = (1.0, 0.1)  # every eighth network runs on the second


def tick_of(seed):
    return TICK_MS[seed % 8 == 7]


@pytest.fixture(scope="module")
def images():
    return vendor_images()


@pytest.fixture(scope="module")
def mapped(images, tmp_path_factory):
    """Map networks with the vendor's tool chain, batch by batch; return a look-up by seed."""
    from spin1_board import map_networks

    done = {}

    def look_up(seed):
        if seed not in done:
            batch = range(seed - seed % BATCH, min(NETS, seed - seed % BATCH + BATCH))
            for dt in TICK_MS:
                seeds = [s for s in batch if tick_of(s) == dt]
                networks = [draw(s, dt) for s in seeds]
                folder = tmp_path_factory.mktemp("vendor")
                if seeds:
                    plain = [for_vendor(network) for network in networks]
                    database, cores = map_networks(folder, plain, dt, TICKS)
                    for s, network, core in zip(seeds, networks, cores, strict=True):
                        done[s] = network, database, core
        return done.pop(seed)

    return look_up


def stored_rows(session, group, neuron, slots):
    """Return what the row of a source should hold: (receptor, neuron, delay, stored weight)."""
    start = session.lowered.groups[group][0]
    found = []
    for weights, p in zip(session._projection_weights, session.lowered.projections, strict=True):
        if p.source_start != start:
            continue
        row = slice(p.row[neuron], p.row[neuron + 1])
        delay = np.broadcast_to(p.delay, (p.size,))[row].astype(int)
        receptor = session.maps[0].receptors.index(session.lowered.populations[0].ports[p.port])
        columns = [np.full(delay.size, receptor), p.target[row], delay, weights[row]]
        found += [tuple(map(int, c)) for c in zip(*columns, strict=True) if c[2] <= slots]
    return sorted(found)


@pytest.mark.parametrize("seed", range(NETS))
def test_mirror_equals_the_vendors_images(images, mapped, seed):
    from spin1_board import Board

    network, database, core = mapped(seed)
    simulation = Simulation(network, backend="spinnaker")
    result = simulation.run(TICKS * network.dt * ms)
    session = simulation._session
    (mapping,) = session.maps
    assert core["image"] == f"IF_curr_exp{IMAGE.get(KINDS[seed % len(KINDS)].split()[-1], '')}.aplx"
    assert (list(mapping.chip_shifts), mapping.layout.slots) == (core["shifts"], core["slots"])

    board = Board(images, database, core, TICKS)
    stages = (session.lowered.max_delay - 1) // mapping.layout.slots
    spikes = board.run(TICKS, spikes_by_tick(network), stages)
    own = result.spikes["n"]
    assert sorted(spikes) == list(zip(own.ticks.tolist(), own.neurons.tolist(), strict=True))

    size = network.group("n").size
    traces = np.rint(result.traces["n.v"].values * 32768).astype(int)
    assert np.array_equal(board.voltages(TICKS, size)[1:], traces[:-1])  # recorded before a tick

    for group, key in core["keys"].items():
        for neuron in range(core["sizes"][group] if key is not None else 0):
            row = board.row(key + (neuron << 4))
            assert row == stored_rows(session, group, neuron, mapping.layout.slots)


def most_between(spikes):
    """Return how often a neuron fires, at most, between two spikes of a source."""
    found = 0
    for source in np.unique(spikes["in"].neurons):
        times = spikes["in"].ticks[spikes["in"].neurons == source]
        for start, end in pairwise(times):
            found = max(found, *np.bincount(spikes["n"].between(start, end).neurons, minlength=2))
    return found


def test_the_networks_try_what_they_should():
    """Over the first: learning, sums that saturate, delays beyond the slots, spikes forgotten."""
    saturated = extended = changed = forgotten = spikes = 0
    for seed in range(2 * len(KINDS)):
        simulation = Simulation(draw(seed), backend="spinnaker")
        before = {p.name: simulation.weights(p.name) for p in simulation.network.projections}
        result = simulation.run(TICKS * ms)
        saturated += result.counters["saturated"] > 0
        extended += simulation._session.maps[0].layout.slots < simulation._lowered.max_delay
        changed += any((w != before[name]).any() for name, w in result.weights.items())
        forgotten += bool(result.weights) and most_between(result.spikes) > 15
        spikes += result.counters["spikes"]
    assert min(saturated, extended, changed, forgotten) >= 2
    assert spikes > 2000
