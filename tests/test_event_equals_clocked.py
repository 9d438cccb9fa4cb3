"""The promise: event == clocked, always, to the last bit. Here: networks that do not learn."""

from __future__ import annotations

from hypothesis import given, settings
from random_networks import DURATION, WHATEVER, assert_same, networks

from spikecore import ms, run


def assert_backends_agree(network, **options):
    event = run(network, DURATION * ms, backend="event", **options)
    clocked = run(network, DURATION * ms, backend="clocked", **options)
    assert_same(event, clocked)
    assert event.status == "complete"


@settings(WHATEVER, max_examples=300)
@given(network=networks(plastic=False))
def test_static_networks(network):
    assert_backends_agree(network)


@settings(WHATEVER, max_examples=50)
@given(network=networks())
def test_single_precision(network):
    assert_backends_agree(network, precision="float32", seed=2**64 - 1)
