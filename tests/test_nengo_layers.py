"""Layers of delays inside Nengo models, against themselves outside."""

from __future__ import annotations

import nengo
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from nengo_models import DT, model_of

from spikecore import (
    EventStream,
    Spikes,
)
from spikecore.motifs import DelayKernel, EventLayer, MotifLayer, Sums
from spikecore.nengo import (
    KernelProcess,
    MotifProcess,
)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), delays=st.integers(1, 12))
def test_a_motif_layer_in_nengo_is_the_layer_outside(seed, delays):
    rng = np.random.default_rng(seed)
    kernel = np.where(rng.random((3, 6, delays)) < 0.4, rng.normal(size=(3, 6, delays)), 0.0)
    layer = MotifLayer.from_kernel(kernel, bias=rng.normal(size=3), threshold=1.0)
    counts = rng.choice(3, p=[0.8, 0.15, 0.05], size=(60, 6))
    ticks, neurons = np.nonzero(counts)
    times = counts[ticks, neurons]
    spikes = Spikes(np.repeat(ticks, times), np.repeat(neurons, times))
    found = MotifProcess(layer, output="evidence").apply(counts / DT)
    np.testing.assert_array_equal(found, layer.evidence(spikes, 60))
    detected = layer.detect(spikes, 60)
    tick, motif = np.nonzero(MotifProcess(layer).apply(counts / DT))
    np.testing.assert_array_equal(tick, detected.ticks)
    np.testing.assert_array_equal(motif, detected.motifs)


def test_a_motif_layer_starts_with_nothing_on_its_way():
    layer = MotifLayer([0], [0], [1.0], [5], 1, 1, threshold=1)
    model = model_of(MotifProcess(layer), np.full((1, 1), 1 / DT), presented=1.0)
    with nengo.Simulator(model, progress_bar=False) as sim:
        sim.run_steps(4)
        sim.reset()
        sim.run_steps(8)
        assert sim.data[model.probe][:, 0].tolist() == [0] * 5 + [1 / DT] * 3


def test_a_kernel_in_nengo_says_what_it_says_outside():
    rng = np.random.default_rng(3)
    kernel = DelayKernel(
        rng.normal(size=(4, 2, 5, 3, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    )
    x = rng.random((30, 2 * 6 * 7)) < 0.1
    x[11] = False
    found = KernelProcess(kernel, width=7, height=6).apply(x / DT)
    layer = EventLayer(kernel, 7, 6, 1000)
    for step, events in enumerate(x.reshape(30, 2, 6, 7)):
        p, row, column = np.nonzero(events)
        stream = EventStream.checked(column, row, np.full(p.size, 1000 * step), p, sensor=(7, 6))
        sums = Sums.zeros(1, 4)
        layer.advance(stream, sums=sums)
        np.testing.assert_array_equal(found[step], sums.log_posterior[0])
    assert not found[11].any()
    assert found.any()
