"""Neurons that nothing reaches are called in time, however long they wait."""

from __future__ import annotations

import numpy as np
import pytest
from event_networks import PRECISIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import WHATEVER, assert_same, integrator

from spikecore import (
    LIF,
    Delta,
    Exponential,
    Input,
    MOhm,
    Network,
    Pairs,
    Population,
    Projection,
    Simulation,
    Train,
    ms,
    mV,
    nA,
    run,
)
from spikecore.backends.event.packed import NEAR, SPAN, WHEEL

TICKS = 2 * WHEEL + SPAN
WAYS = ["event:delivery=ring,neurons=wheel", "event:delivery=queue,neurons=wheel"]
pytestmark = pytest.mark.usefixtures("fast_ways")


@st.composite
def patient(draw):
    """Drives that reach the threshold after anything from one tick to never; rare inhibition."""
    n = draw(st.sampled_from([3, 70]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tau_m = 1200.0
    if draw(st.booleans()):  # parameters of their own: bounds of the general way
        tau_m = tau_m * np.linspace(0.5, 1.5, n)
    unit = LIF(
        tau_m=tau_m * ms,
        v_rest=-60 * mV,
        v_reset=-60 * mV,
        v_threshold=-50 * mV,
        refractory=draw(st.sampled_from([0, 3, 400])) * ms,
        resistance=1 * MOhm,
        i_offset=draw(st.sampled_from([9.9, 10.02, 10.5, 14.0])) * nA,
        synapse=draw(st.sampled_from([Delta(), Exponential(4 * ms, 300 * ms)])),
    )
    weight = 3 * mV if isinstance(unit.synapse, Delta) else 20 * nA
    spikes, synapses = draw(st.integers(0, 60)), draw(st.integers(0, 2 * n))
    return Network(
        [
            Input("in", 4, Train(rng.integers(0, TICKS, spikes) * ms, rng.integers(0, 4, spikes))),
            Population("n", n, unit, initial={"v": rng.uniform(-60, -50, n) * mV}),
            Projection(
                "in",
                "n",
                Pairs(rng.integers(0, 4, synapses), rng.integers(0, n, synapses), duplicates=True),
                weight,
                1 * ms,
                port=draw(st.sampled_from(["exc", "inh"])),
            ),
        ],
        dt=1 * ms,
    )


@settings(WHATEVER, max_examples=20)
@given(network=patient(), precision=st.sampled_from(PRECISIONS))
def test_long_waits(network, precision):
    oracle = run(network, TICKS * ms, backend="clocked", precision=precision)
    for way in WAYS:
        assert_same(run(network, TICKS * ms, backend=way, precision=precision), oracle)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "wait", [1, 2, NEAR - 1, NEAR, NEAR + 1, SPAN, 2 * SPAN + 1, WHEEL - 1, WHEEL, WHEEL + 1]
)
def test_a_call_at_the_edges_of_the_wheel(wait, way):
    """A drive that crosses the threshold ``wait`` ticks after each of its spikes."""
    unit = LIF(
        tau_m=1e8 * ms,
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=10 * mV,
        refractory=0 * ms,
        resistance=1 * MOhm,
        i_offset=(1e8 * 10 / (wait - 0.5)) * nA,
        synapse=Delta(),
    )
    parts = [Input("in", 1, Train([] * ms, [])), Population("n", 130, unit)]
    parts.append(Projection("in", "n", Pairs([0], [0]), 1 * mV, 1 * ms))
    simulation = Simulation(Network(parts, dt=1 * ms), backend=way)
    ticks = simulation.run((2 * wait + 3) * ms).spikes["n"].ticks
    assert np.array_equal(ticks, np.repeat(np.arange(wait - 1, 2 * wait + 3, wait), 130))


@pytest.mark.parametrize("way", WAYS)
def test_what_never_decays_is_not_looked_at_all_the_time(way):
    """Its response has no bound that holds for ever; those for some ticks still hold."""
    parts = [Input("in", 1, Train([] * ms, [])), Population("n", 130, integrator(0.0, 2.5))]
    parts.append(Projection("in", "n", Pairs([0], [0]), 1 * mV, 1 * ms))
    result = run(Network(parts, dt=1 * ms), 2000 * ms, backend=way)
    assert len(result.spikes["n"]) == 130 * (2000 // 320)
    assert result.counters["updates"] < 2000 * 130 / 20
