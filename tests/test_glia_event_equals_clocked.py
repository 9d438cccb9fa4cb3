"""The promise with astrocytes in the network: event == clocked, to the last bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from glia_networks import glia_networks
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import DURATION, WHATEVER, assert_same

from spikecore import Simulation, ms, run


@settings(WHATEVER, max_examples=200)
@given(network=glia_networks())
def test_random_networks(network):
    event, clocked = (run(network, DURATION * ms, backend=b) for b in ("event", "clocked"))
    assert_same(event, clocked)


@settings(WHATEVER, max_examples=150)
@given(network=glia_networks(learns=True))
def test_random_networks_that_learn(network):
    event, clocked = (run(network, DURATION * ms, backend=b) for b in ("event", "clocked"))
    assert_same(event, clocked)


@settings(WHATEVER, max_examples=40)
@given(network=glia_networks())
def test_single_precision(network):
    event, clocked = (
        run(network, DURATION * ms, backend=b, precision="float32") for b in ("event", "clocked")
    )
    assert_same(event, clocked)


@pytest.mark.parametrize("backend", ["event", "clocked"])
@settings(WHATEVER, max_examples=30)
@given(
    network=glia_networks(),
    cuts=st.lists(st.integers(1, DURATION - 1), min_size=1, max_size=3, unique=True),
)
def test_pieces_and_checkpoints_equal_the_whole(backend, network, cuts):
    whole = run(network, DURATION * ms, backend=backend)
    pieces = Simulation(network, backend=backend)
    restored = Simulation(network, backend=backend)
    with tempfile.TemporaryDirectory() as folder:
        last = 0
        for cut in [*sorted(cuts), DURATION]:
            pieces.run((cut - last) * ms)
            restored.run((cut - last) * ms)
            restored.save(Path(folder, "checkpoint"))
            restored = Simulation(network, backend=backend)
            restored.restore(Path(folder, "checkpoint"))
            last = cut
    assert_same(pieces.result(), whole)
    assert_same(restored.result(), whole)
