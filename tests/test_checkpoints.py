"""Checkpoints: what they bring back, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from random_networks import assert_same, busy_network

from spikecore import (
    LIF,
    Delta,
    FileRefused,
    Input,
    Network,
    OneToOne,
    Population,
    Projection,
    Simulation,
    ms,
    mV,
)

BACKENDS = pytest.mark.parametrize("backend", ["event", "clocked"])


def relay(weight=20.0):
    return Network(
        [
            Input("in", 2),
            Population("n", 2, LIF(synapse=Delta())),
            Projection("in", "n", OneToOne(), weight * mV, 5 * ms),
        ]
    )


@BACKENDS
def test_spikes_in_flight_and_spikes_fed_ahead_come_back(backend, tmp_path):
    simulation = Simulation(relay(), backend=backend)
    simulation.feed("in", [0] * ms, [0])
    simulation.feed("in", [20] * ms, [1])
    simulation.run(3 * ms)
    simulation.save(tmp_path / "c")
    other = Simulation(relay(), backend=backend)
    other.feed("in", [0, 1, 2] * ms, [1, 1, 1])
    other.restore(tmp_path / "c")
    spikes = other.run(30 * ms).spikes
    assert spikes["n"].ticks.tolist() == [5, 25]
    assert spikes["in"].ticks.tolist() == [0, 20]


@BACKENDS
def test_weights_that_were_set_come_back(backend, tmp_path):
    """Also those of synapses that do not learn, and also the old ones."""
    simulation = Simulation(relay(), backend=backend)
    simulation.save(tmp_path / "old")
    simulation.set_weights("in->n", [1.0])
    simulation.save(tmp_path / "new")
    other = Simulation(relay(), backend=backend)
    other.restore(tmp_path / "new")
    assert other.weights("in->n").tolist() == [1.0, 1.0]
    other.feed("in", [1] * ms, [0])
    assert len(other.run(10 * ms).spikes["n"]) == 0
    other.restore(tmp_path / "old")
    assert other.weights("in->n").tolist() == [20.0, 20.0]


@BACKENDS
def test_how_the_run_ended_comes_back(backend, tmp_path):
    simulation = Simulation(busy_network(), backend=backend, max_pending=20)
    ended = simulation.run(1000 * ms)
    assert ended.status == "runaway"
    simulation.save(tmp_path / "c")
    other = Simulation(busy_network(), backend=backend)
    other.restore(tmp_path / "c")
    assert_same(other.result(), ended)
    fresh = Simulation(busy_network(), backend=backend)
    fresh.save(tmp_path / "start")
    simulation.restore(tmp_path / "start")  # one that has ended may start again
    assert simulation.result().status == "complete"


def test_a_checkpoint_holds_what_was_recorded(tmp_path):
    simulation = Simulation(busy_network())
    before = simulation.run(50 * ms)
    simulation.save(tmp_path / "c")
    other = Simulation(busy_network())
    other.restore(tmp_path / "c")
    assert_same(other.result(), before)
    assert len(before.traces["a.v"].values) == 17


@pytest.mark.parametrize(
    ("other", "belongs_to"),
    [
        (lambda: Simulation(relay(19.0)), "another network"),
        (lambda: Simulation(relay(), seed=1), "another seed"),
        (lambda: Simulation(relay(), backend="clocked"), "another backend"),
        (lambda: Simulation(relay(), precision="float32"), "another precision"),
    ],
)
def test_checkpoints_of_something_else_are_refused(other, belongs_to, tmp_path):
    Simulation(relay()).save(tmp_path / "c")
    with pytest.raises(FileRefused, match=belongs_to) as caught:
        other().restore(tmp_path / "c")
    assert caught.value.got is not None
    assert "Fix: this simulation has" in str(caught.value)


def test_nothing_changes_when_a_checkpoint_is_refused(tmp_path):
    simulation = Simulation(busy_network())
    simulation.run(30 * ms)
    simulation.save(tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    for damaged in (content[: len(content) // 2], content[:-30], b""):
        (tmp_path / "bad").write_bytes(damaged)
        with pytest.raises(FileRefused):
            simulation.restore(tmp_path / "bad")
    undisturbed = Simulation(busy_network())
    undisturbed.run(30 * ms)
    assert_same(simulation.run(30 * ms), undisturbed.run(30 * ms))


def test_equal_networks_have_equal_hashes_and_others_do_not():
    assert relay().hash == relay().hash
    assert busy_network().hash == busy_network().hash
    changed = [
        relay(19.0),
        Network(relay().inputs + relay().populations, dt=1 * ms),
        Network([*relay().inputs, *relay().populations, *relay().projections], dt=0.5 * ms),
    ]
    assert len({network.hash for network in [relay(), *changed]}) == 4


def test_weights_are_the_same_before_and_after(tmp_path):
    simulation = Simulation(busy_network())
    simulation.run(200 * ms)
    simulation.save(tmp_path / "c")
    other = Simulation(busy_network())
    other.restore(tmp_path / "c")
    assert np.array_equal(other.weights("a->a"), simulation.weights("a->a"))
