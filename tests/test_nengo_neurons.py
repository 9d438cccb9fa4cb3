"""Our neuron in Nengo, against the event core and against nengo.LIF."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from nengo.processes import PresentInput
from nengo_models import DT, simulate

from spikecore import (
    LIF,
    Exponential,
    Input,
    Network,
    OneToOne,
    Population,
    Projection,
    Train,
    ms,
    mV,
    nA,
    run,
)
from spikecore.nengo import (
    SpikecoreLIF,
)


def spikes_of(neuron_type, currents, steps, dt=DT):
    """Return spikes, shape (steps, neurons), for currents of shape (neurons,) or with steps."""
    currents = np.atleast_2d(currents)
    with nengo.Network(seed=0) as model:
        drive = nengo.Node(PresentInput(currents - 1.0, dt))
        size = currents.shape[1]
        cells = nengo.Ensemble(
            size, 1, gain=np.ones(size), bias=np.ones(size), neuron_type=neuron_type
        )
        nengo.Connection(drive, cells.neurons, synapse=None)
        model.probe = nengo.Probe(cells.neurons)
    return simulate(model, steps, dt)


AT_REST = {"voltage": nengo.dists.Choice([0])}


@pytest.mark.parametrize("ticks", [1, 10])
def test_our_neuron_spikes_as_the_event_core_does(ticks):
    currents = np.linspace(0.5, 12, 60)
    neuron_type = SpikecoreLIF(ticks=ticks, initial_state=AT_REST)
    found = spikes_of(neuron_type, currents, 300)
    unit = LIF(
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=1 * mV,
        refractory=2 * ms,
        i_offset=currents * nA,
    )
    network = Network([Population("n", 60, unit)], dt=1 / ticks * ms)
    spikes = run(network, 300 * ms).spikes["n"]
    wanted = np.zeros((300, 60))
    np.add.at(wanted, (spikes.ticks // ticks, spikes.neurons), 1)
    assert wanted.sum() > 1000
    np.testing.assert_array_equal(found, wanted / DT)


def test_our_neuron_follows_a_changing_current_as_the_event_core_does():
    """Step rule spinnaker: the current is constant over a step, as Nengo's J is."""
    rng = np.random.default_rng(8)
    arrivals = rng.random((400, 20)) < 0.1
    decay = np.exp(-1 / 5)
    current = np.zeros((400, 20))
    for t in range(400):
        gain = 5 * (1 - decay)
        current[t] = (current[t - 1] * decay if t else 0) + 3.0 * gain * arrivals[t]
    found = spikes_of(SpikecoreLIF(ticks=1, initial_state=AT_REST), current, 400)
    unit = LIF(
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=1 * mV,
        refractory=2 * ms,
        synapse=Exponential(5 * ms, 5 * ms),
        step="spinnaker",
    )
    tick, neuron = np.nonzero(arrivals)
    parts = [Input("in", 20, Train((tick + 1) * ms, neuron)), Population("n", 20, unit)]
    parts += [Projection("in", "n", OneToOne(), weight=3 * nA, delay=1 * ms)]
    spikes = run(Network(parts), 402 * ms).spikes["n"].between(2, 402)
    step, cell = np.nonzero(found)
    assert step.size > 200
    np.testing.assert_array_equal(step + 2, spikes.ticks)
    np.testing.assert_array_equal(cell, spikes.neurons)


@pytest.mark.parametrize("ticks", [1, 10])
def test_the_rate_is_that_of_nengos_curve_within_a_tick_and_a_spike(ticks):
    currents, steps = np.linspace(1.02, 30, 200), 2000
    neuron_type = SpikecoreLIF(ticks=ticks, initial_state=AT_REST)
    number = (spikes_of(neuron_type, currents, steps) > 0).sum(axis=0)
    interval = 1 / nengo.LIF().rates(currents, gain=1, bias=0)[:, 0]
    np.testing.assert_allclose(1 / neuron_type.rates(currents, 1, 0)[:, 0], interval)
    counted = steps * DT + neuron_type.tau_ref  # the first spike waits for no other
    assert np.all(number <= counted / interval + 1e-9)
    assert np.all(number >= np.floor(counted / (interval + DT / ticks)))


def test_with_ten_ticks_the_measured_curve_is_that_of_nengos_neuron():
    currents, steps = np.linspace(1.05, 12, 100), 3000
    ours = spikes_of(SpikecoreLIF(), currents, steps).mean(axis=0)
    theirs = spikes_of(nengo.LIF(), currents, steps).mean(axis=0)
    assert theirs.max() > 230
    np.testing.assert_allclose(ours, theirs, rtol=0.025, atol=1 / 3)  # a spike in 3 s


def test_an_ensemble_of_our_neurons_represents_a_signal():
    """As well as one of nengo.LIF does, but for the ticks by which its intervals are too long."""

    def error(neuron_type):
        with nengo.Network(seed=2) as model:
            source = nengo.Node(lambda t: np.sin(2 * np.pi * t))
            cells = nengo.Ensemble(100, 1, neuron_type=neuron_type)
            nengo.Connection(source, cells, synapse=nengo.Alpha(0.03))
            wanted = nengo.Probe(source, synapse=nengo.Alpha(0.03))
            got = nengo.Probe(cells, synapse=nengo.Alpha(0.03))
        with nengo.Simulator(model, progress_bar=False) as sim:
            sim.run(1.0)
        filtered = nengo.Alpha(0.03).filt(sim.data[wanted], y0=0)
        return np.sqrt(np.mean((sim.data[got] - filtered)[200:] ** 2))

    theirs = error(nengo.LIF(min_voltage=-np.inf))  # ours has no floor
    assert theirs < 0.01
    assert error(SpikecoreLIF()) < 0.02
    assert error(SpikecoreLIF(ticks=100)) < 1.2 * theirs
