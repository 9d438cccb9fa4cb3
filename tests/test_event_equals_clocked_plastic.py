"""The promise: event == clocked, always, to the last bit. Here: networks that learn."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import DURATION, WHATEVER, assert_same, networks

from spikecore import Simulation, ms, run


@settings(WHATEVER, max_examples=300)
@given(network=networks(plastic=True))
def test_plastic_networks(network):
    event, clocked = (run(network, DURATION * ms, backend=b) for b in ("event", "clocked"))
    assert_same(event, clocked)
    assert event.status == "complete"


@settings(WHATEVER, max_examples=40)
@given(network=networks(plastic=True), first=st.integers(1, DURATION), fed=st.integers(0, 9))
def test_cleared_fed_and_rewritten(network, first, fed):
    """What a memory does: runs that follow one another, weights that are set in between."""
    results = []
    for backend in ("event", "clocked"):
        simulation = Simulation(network, backend=backend)
        simulation.run(first * ms)
        simulation.clear()
        simulation.feed("train", [fed, fed, fed + 3] * ms, [0, 0, 0])
        simulation.run(20 * ms)
        simulation.set_weights("a->a", simulation.weights("a->a") * 0.5)
        results.append(simulation.run(40 * ms))
    assert_same(*results)
