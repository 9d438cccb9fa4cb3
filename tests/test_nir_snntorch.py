"""snnTorch reads what we write: the same spikes but for its Euler steps."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from nir_networks import feed

from spikecore import (
    LIF,
    Delta,
    Exponential,
    Input,
    MOhm,
    Network,
    Population,
    Projection,
    RandomPairs,
    Spikes,
    Uniform,
    ms,
    mV,
    nA,
)
from spikecore_hardware.nir_exchange import to_nir


def layers(synapse, weight, dt=0.1, euler=False):
    """Return two layers; with ``euler``, those whose exact steps are Euler's of the others."""
    tau_m, tau_syn, resistance = 8.0, 4.0, 5.0
    if euler:
        tau_m, tau_syn = (-dt / np.log1p(-dt / tau) for tau in (tau_m, tau_syn))
        kept = np.exp(-dt / tau_m), np.exp(-dt / tau_syn)
        moved = tau_syn / (tau_m - tau_syn) * (kept[0] - kept[1])  # of R I, in one tick
        resistance *= dt / 8.0 / moved
    if synapse is Exponential:
        synapse = Exponential(tau_syn * ms, tau_syn * ms)
    unit = LIF(
        tau_m=tau_m * ms,
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=1 * mV,
        resistance=resistance * MOhm,
        synapse=synapse,
    )
    wiring = RandomPairs(0.6)
    parts = [Input("in", 20), Population("a", 15, unit), Population("b", 10, unit)]
    for ends in (("in", "a"), ("a", "b")):
        spread = Uniform(-0.3 * weight, 1 * weight)
        parts.append(Projection(*ends, wiring, weight=spread, delay=dt * ms))
    return Network(parts, dt=dt * ms)


def snntorch_spikes(graph, fed):
    """Return the spikes of the last layer as snnTorch runs the graph, shape (steps, neurons)."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("snntorch")
    from snntorch.import_nir import import_from_nir

    with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():  # it prints what it does
        module = import_from_nir(graph)
        state, out = None, []
        for row in fed.astype(np.float32):
            answer, state = module(torch.tensor(row)[None], state)
            out.append(answer.numpy()[0])
    return np.array(out) > 0


CASES = [(Delta(), 0.3 * mV, 0), (Exponential, 0.25 * nA, 1)]


def both_readers(synapse, weight, euler, steps=3000):
    fed = np.random.default_rng(5).random((steps, 20)) < 0.01
    graph = to_nir(layers(synapse, weight), delays="longer")
    theirs = snntorch_spikes(graph, fed)
    tick, neuron = np.nonzero(fed)
    trains = {"in": Spikes(tick, neuron, 0.1)}
    ours = np.zeros((steps + 4, 10), bool)
    result = feed(layers(synapse, weight, euler=euler), trains, (steps + 4) * 0.1 * ms)
    ours[result.spikes["b"].ticks, result.spikes["b"].neurons] = True
    return theirs, ours


@pytest.mark.parametrize(("synapse", "weight", "late"), CASES, ids=["LIF", "CubaLIF"])
def test_snntorch_reads_the_network_that_was_written(synapse, weight, late):
    """Its Euler steps are our exact ones for other time constants: then, the same spikes.

    snnTorch takes no time from layer to layer, ours a tick, and with currents another.
    """
    theirs, ours = both_readers(synapse, weight, euler=True)
    later = 2 * (1 + late)
    assert theirs.sum() > 50
    np.testing.assert_array_equal(ours[later:3000], theirs[: 3000 - later])


@pytest.mark.parametrize(("synapse", "weight", "late"), CASES, ids=["LIF", "CubaLIF"])
def test_snntorch_differs_by_its_euler_steps(synapse, weight, late):
    """With dt / tau = 1/80: as many spikes to 3 %, four of five of them within a millisecond."""
    theirs, ours = both_readers(synapse, weight, euler=False)
    ours = ours[2 * (1 + late) :]
    assert abs(int(ours.sum()) - int(theirs.sum())) <= 0.03 * theirs.sum()
    near = 0
    for neuron in range(10):
        mine, other = np.flatnonzero(ours[:, neuron]), np.flatnonzero(theirs[:, neuron])
        if mine.size:
            near += sum(np.abs(mine - t).min() <= 10 for t in other)
    assert near >= 0.8 * theirs.sum()
