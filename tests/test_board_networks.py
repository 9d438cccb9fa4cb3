"""A memory's session and a delay kernel as networks that a board can run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikecore import Spikes, Train, ms, run
from spikecore.camera import EventStream
from spikecore.memory import (
    CA3Memory,
    CA3Shape,
    ContentMemory,
    Flags,
    Presentation,
    recall_session,
    session_network,
)
from spikecore.motifs import DelayKernel, EventLayer, board_network, unrolled

FRUIT = {"apple": ["red", "round"], "banana": ["yellow", "long"], "lemon": ["yellow", "round"]}
both = pytest.mark.parametrize("backend", ["event", "spinnaker"])


@pytest.fixture(scope="module", params=["signed", "invariant"])
def kernel(request):
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 2, (3, 2, 7, 5, 5)) * (rng.random((3, 2, 7, 5, 5)) < 0.1)
    return DelayKernel(weights.astype(np.float32), np.float32([0.5, -0.25, 0.0]), request.param)


@pytest.fixture(scope="module")
def raster():
    """Return events (polarity, y, x) of a region of 6 x 4 pixels, by tick."""
    return np.random.default_rng(4).random((40, 2, 4, 6)) < 0.1


def spikes_of(raster):
    ticks, address = np.nonzero(raster.reshape(len(raster), -1))
    return Spikes(ticks, address)


def test_unrolled_layer_has_the_evidence_of_the_kernel_at_every_pixel(kernel, raster):
    layer = unrolled(kernel, 6, 4)
    assert (layer.n_inputs, layer.max_delay) == (2 * 24, 7)
    evidence = layer.evidence(spikes_of(raster), len(raster) + 1)[1:]  # a tick later
    if kernel.polarity == "invariant":
        evidence = np.maximum(*np.split(evidence, 2, axis=1))
    t, p, y, x = np.nonzero(raster)
    events = EventStream.checked(x, y, t * 1000, p, sensor=(6, 4))
    answers = EventLayer(kernel, 6, 4, 1000).advance(events, keep_evidence=True)
    found = evidence.reshape(-1, kernel.classes, 4, 6)[t, :, y, x]
    assert (answers.best >= 0).sum() == len(t) > 100
    assert found == pytest.approx(answers.evidence, abs=1e-4)


@both
def test_board_network_spikes_where_the_layer_detects(kernel, raster, backend):
    # Weights on the steps of the chip, thresholds between two: nothing is rounded.
    exact = replace(kernel, weights=np.rint(kernel.weights * 16) / np.float32(16))
    layer = unrolled(exact, 6, 4, threshold=2.0 + 1 / 32)
    spikes = spikes_of(raster)
    train = Train(spikes.ticks * ms, spikes.neurons)
    found = run(board_network(layer, train), 50 * ms, backend=backend).spikes["motifs"]
    expected = layer.detect(spikes, 50)
    assert len(expected.ticks) > 100
    assert np.array_equal(found.ticks, expected.ticks)
    assert np.array_equal(found.neurons, expected.motifs)


@both
def test_session_answers_as_the_device_does(backend):
    shape = CA3Shape(4, 6, "board")
    shown = [Presentation(1, (0, 2)), Presentation(3, (2, 5)), Presentation(1), Presentation(3)]
    shown += [Presentation(1, (4,)), Presentation(bits=(2,)), Presentation(1)]
    network, duration = session_network(shape, shown)
    spikes = run(network, duration * ms, backend=backend).spikes
    device = CA3Memory(shape)
    for n, p in enumerate(shown):
        if p.cue is None:
            episode = device.query(p.bits)
        else:
            episode = device.learn(p.cue, p.bits) if p.bits else device.recall(p.cue)
        start = 1 + 16 * n
        for name in ("OUTcue", "OUTcont"):
            own = spikes[name].between(start, start + 16)
            expected = episode.result.spikes[name]
            assert np.array_equal(own.ticks - start, expected.ticks)
            assert np.array_equal(own.neurons, expected.neurons)


@both
def test_recall_session_recalls_what_a_memory_file_holds(tmp_path, backend):
    flags = Flags(("red", "yellow", "round", "long"))
    path = tmp_path / "fruit.memory"
    with ContentMemory.create(path, flags, cues=5, preset="board") as memory:
        for name, content in FRUIT.items():
            memory.store(name, content)
        memory.forget("apple")
    with ContentMemory.open(path) as memory:
        network, duration = recall_session(memory)
    spikes = run(network, duration * ms, backend=backend).spikes
    for n, name in enumerate(["banana", "lemon"]):
        content = spikes["OUTcont"].between(1 + 16 * n + 6, 1 + 16 * n + 7).neurons
        assert {flags.names[bit] for bit in content} == set(FRUIT[name])
