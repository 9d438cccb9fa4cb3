"""The promise: event == clocked, always, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_networks import DURATION, networks

from spikecore import ms, run

WHATEVER = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def assert_same_run(network, **options):
    event = run(network, DURATION * ms, backend="event", **options)
    clocked = run(network, DURATION * ms, backend="clocked", **options)
    comparison = event.compare(clocked)
    assert comparison.identical, str(comparison)
    assert event.status == clocked.status == "complete"
    for name, trace in event.traces.items():
        assert np.array_equal(trace.values, clocked.traces[name].values), name
        assert np.array_equal(trace.ticks, clocked.traces[name].ticks)
    for name, weights in event.weights.items():
        assert np.array_equal(weights, clocked.weights[name]), name
    for counter in ("spikes", "sent", "delivered", "pending"):
        assert event.counters[counter] == clocked.counters[counter], counter
    assert event.counters["sent"] == event.counters["delivered"] + event.counters["pending"]


@settings(WHATEVER, max_examples=400)
@given(network=networks(plastic=False))
def test_static_networks(network):
    assert_same_run(network)


@settings(WHATEVER, max_examples=400)
@given(network=networks(plastic=True))
def test_plastic_networks(network):
    assert_same_run(network)


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
@settings(WHATEVER, max_examples=60)
@given(network=networks())
def test_single_precision_and_seeds(seed, network):
    assert_same_run(network, precision="float32", seed=seed)
