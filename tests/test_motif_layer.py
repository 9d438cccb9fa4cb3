"""Motif layers: dense = spike by spike = network, the generator's statistics, learning, files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import WHATEVER

from spikecore import Probe, Spikes, Train, ms, run
from spikecore.motifs import (
    Detections,
    MotifLayer,
    MotifModel,
    learn_motifs,
    score,
    strongest,
)
from spikecore.motifs.detector_learning import _learn
from spikecore.network import Network


@st.composite
def layers(draw):
    """A layer with several synapses for some pairs, both signs, and thresholds on both sides."""
    n_inputs, n_motifs = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    size = draw(st.integers(0, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return MotifLayer(
        rng.integers(0, n_inputs, size),
        rng.integers(0, n_motifs, size),
        rng.normal(0.0, 2.0, size) * draw(st.sampled_from([1e-9, 1.0, 1e9])),
        rng.integers(1, draw(st.sampled_from([1, 7, 5000])) + 1, size),
        n_inputs,
        n_motifs,
        bias=rng.normal(0.0, 1.0, n_motifs),
        threshold=rng.normal(1.0, 2.0, n_motifs),
    )


@st.composite
def layers_and_trains(draw):
    layer = draw(layers())
    size = draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ticks = np.sort(rng.integers(0, draw(st.sampled_from([5, 60, 5000])), size))
    train = Train(ticks * ms, rng.integers(0, layer.n_inputs, size))
    spikes = Spikes.checked(train.times, train.neurons, size=layer.n_inputs, dt=1.0, place="train")
    return layer, train, spikes


def dense_evidence(layer, spikes, ticks):
    """The definition: correlate the raster with the dense kernel."""
    raster = np.zeros((ticks, layer.n_inputs))
    inside = spikes.ticks < ticks
    np.add.at(raster, (spikes.ticks[inside], spikes.neurons[inside]), 1.0)
    kernel = layer.to_kernel()
    found = np.tile(layer.bias, (ticks, 1))
    for late in range(1, min(layer.max_delay, ticks - 1) + 1):
        found[late:] += raster[:-late] @ kernel[:, :, late - 1].T
    return found


@settings(WHATEVER, max_examples=60)
@given(layers_and_trains(), st.sampled_from([1, 90, 5200]))
def test_spike_by_spike_equals_the_dense_correlation(both, ticks):
    layer, _, spikes = both
    scale = 1.0 + np.abs(layer.weights).sum()
    found, expected = layer.evidence(spikes, ticks), dense_evidence(layer, spikes, ticks)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * scale)


@settings(WHATEVER, max_examples=40)
@given(layers_and_trains())
def test_the_network_spikes_where_the_layer_detects(both):
    layer, train, spikes = both
    result = run(layer.network(train), 90 * ms)
    found = layer.detect(spikes, 90)
    np.testing.assert_array_equal(result.spikes["motifs"].ticks, found.ticks)
    np.testing.assert_array_equal(result.spikes["motifs"].neurons, found.motifs)


@pytest.mark.parametrize("backend", ["event", "clocked"])
@settings(WHATEVER, max_examples=25)
@given(both=layers_and_trains())
def test_membranes_are_the_evidence_to_the_last_bit(backend, both):
    layer, train, spikes = both
    silent = replace(layer, bias=0.0, threshold=1e30)  # no spike, so no reset hides the sum
    net = silent.network(train)
    probed = Network([*net.inputs, *net.populations, *net.projections, Probe("motifs", "v")])
    result = run(probed, 90 * ms, backend=backend)
    np.testing.assert_array_equal(result.traces["motifs.v"].values, silent.evidence(spikes, 90))


def test_blocks_of_evidence_fit_together():
    """Longer than a block, with delays longer than a block."""
    rng = np.random.default_rng(1)
    layer = MotifLayer(
        rng.integers(0, 3, 40),
        rng.integers(0, 2, 40),
        rng.normal(size=40),
        rng.integers(1, 9001, 40),
        3,
        2,
    )
    ticks = np.sort(rng.integers(0, 15_000, 300))
    spikes = Spikes(ticks, rng.integers(0, 3, 300))
    found = layer.evidence(spikes)
    assert len(found) == ticks[-1] + 1 + layer.max_delay
    np.testing.assert_allclose(found, dense_evidence(layer, spikes, len(found)), atol=1e-12)


def test_a_motif_is_found_when_its_spikes_meet():
    """The example of figure 1 of the paper: delays 1, 5, 9 and 8, 5, 1 ms."""
    layer = MotifLayer(
        [0, 1, 2] * 2, [0] * 3 + [1] * 3, [1.0] * 6, [1, 5, 9, 8, 5, 1], 3, 2, threshold=3
    )
    assert len(layer.detect(Spikes(np.array([4, 4, 4]), np.array([0, 1, 2])))) == 0
    met = layer.detect(Spikes(np.array([1, 5, 9]), np.array([2, 1, 0])))
    assert (met.ticks.tolist(), met.motifs.tolist(), met.evidence.tolist()) == ([10], [0], [3.0])


def test_a_slow_membrane_forgives_jitter():
    exact = MotifLayer([0, 1, 2], [0] * 3, [1.0] * 3, [9, 5, 1], 3, 1, threshold=2.5)
    late = Train([1, 6, 9] * ms, [0, 1, 2])  # the second spike is a tick late
    assert len(run(exact.network(late), 20 * ms).spikes["motifs"]) == 0
    soft = run(exact.network(late, tau_m=20 * ms), 20 * ms).spikes["motifs"]
    assert soft.ticks.tolist() == [11]


def test_winners_are_the_strongest_of_each_tick():
    found = Detections(
        np.array([3, 3, 3, 4, 9]), np.array([0, 1, 2, 1, 0]), np.array([1.0, 5.0, 5.0, 2.0, 7.0])
    )
    won = found.winners()
    assert list(zip(won.ticks, won.motifs, won.evidence, strict=True)) == [
        (3, 1, 5.0), (4, 1, 2.0), (9, 0, 7.0),
    ]  # fmt: skip
    layer = MotifLayer([0, 0], [0, 1], [1.0, 2.0], [1, 1], 1, 2, threshold=0.5)
    one = Spikes(np.array([5]), np.array([0]))
    assert layer.detect(one).motifs.tolist() == [0, 1]
    assert layer.detect(one, winners_only=True).motifs.tolist() == [1]


# -- the layer as data -------------------------------------------------------------------


@given(layers())
@settings(WHATEVER, max_examples=40)
def test_sparse_to_dense_and_back(layer):
    kernel = layer.to_kernel()
    again = MotifLayer.from_kernel(kernel, layer.bias, layer.threshold)
    np.testing.assert_array_equal(again.to_kernel(), kernel[..., : again.max_delay])
    assert not kernel[..., again.max_delay :].any()
    for s, t, w, d in zip(again.sources, again.targets, again.weights, again.delays, strict=True):
        own = (layer.sources == s) & (layer.targets == t) & (layer.delays == d)
        assert layer.weights[own].sum() == pytest.approx(w)


def test_cut_and_prune_keep_the_largest():
    kernel = np.arange(-6.0, 6.0).reshape(2, 3, 2)
    cut = MotifLayer.from_kernel(kernel, cut=4.0)
    assert sorted(cut.weights) == [-6.0, -5.0, 5.0]
    full = MotifLayer.from_kernel(kernel, bias=[1, 2], threshold=3)
    pruned = full.prune(3 / 11)
    np.testing.assert_array_equal(pruned.to_kernel(), cut.to_kernel())
    np.testing.assert_array_equal(pruned.bias, full.bias)
    assert full.prune(0.0).weights.size == 0
    np.testing.assert_array_equal(full.prune(1.0).to_kernel(), kernel)
    assert MotifLayer([0] * 4, [0] * 4, [1.0] * 4, [4, 3, 2, 1], 1, 1).prune(0.5).max_delay == 4


def test_save_and_load(tmp_path):
    model = MotifModel.random(5, 7, 11, density=0.2, seed=3)
    layer = replace(model.layer(), threshold=np.arange(5.0))
    layer.save(tmp_path / "motifs.npz")
    again = MotifLayer.load(tmp_path / "motifs.npz")
    for name in ("sources", "targets", "weights", "delays", "bias", "threshold"):
        np.testing.assert_array_equal(getattr(again, name), getattr(layer, name))
    assert (again.n_inputs, again.n_motifs) == (7, 5)


# -- the generator -------------------------------------------------------------------------


def test_random_motifs_are_sparse_and_balanced():
    kernel = MotifModel.random(seed=5).kernel
    assert kernel.shape == (144, 128, 31)
    share = np.count_nonzero(kernel) / kernel.size
    assert share == pytest.approx(0.01, abs=4 * np.sqrt(0.01 / kernel.size))
    assert abs(np.count_nonzero(kernel > 0) / np.count_nonzero(kernel) - 0.5) < 0.03
    assert np.abs(kernel[kernel != 0]).min() > 2.6 * 2.575


def test_draws_depend_on_seed_and_number_only():
    model = MotifModel.random(6, 8, 5, density=0.2)
    one, same = model.draw(300, seed=4, number=2), model.draw(300, seed=4, number=2)
    np.testing.assert_array_equal(one.spikes.ticks, same.spikes.ticks)
    np.testing.assert_array_equal(one.occurrences.neurons, same.occurrences.neurons)
    for other in (model.draw(300, seed=4, number=3), model.draw(300, seed=5, number=2)):
        assert not np.array_equal(one.spikes.ticks, other.spikes.ticks)
    assert one.occurrences.ticks.min() >= 5


def test_spikes_come_where_the_motif_says():
    """Certain and impossible spikes of one motif: index d means d + 1 ticks before."""
    kernel = np.full((1, 3, 4), -40.0)
    kernel[0, 0, 3] = kernel[0, 2, 0] = 40.0
    raster = MotifModel(kernel, background=0.05, rate=0.01).draw(3000, seed=1)
    assert len(raster.occurrences) > 10
    fired = np.zeros((3000, 3), bool)
    fired[raster.spikes.ticks, raster.spikes.neurons] = True
    at = raster.occurrences.ticks
    alone = np.diff(at, prepend=-9) > 4
    alone[:-1] &= alone[1:]
    window = np.stack([fired[at[alone] - d - 1] for d in range(4)], axis=2)
    np.testing.assert_array_equal(window, np.broadcast_to(kernel[0] > 0, window.shape))
    assert fired.mean() == pytest.approx(0.05, abs=0.01)


def test_the_chance_of_a_spike_averages_over_the_other_motifs():
    """Against a long draw: with a motif, and in any tick."""
    model = MotifModel.random(40, 12, 9, density=0.1, strength=1.5, seed=2)
    model = replace(model, rate=0.004, background=0.01)
    with_motif, without = model._chances
    raster = model.draw(60_000, seed=8)
    fired = np.zeros((60_000, 12))
    fired[raster.spikes.ticks, raster.spikes.neurons] = 1.0
    assert np.abs(fired.mean(axis=0) - without[0, :, 0]).max() < 0.006
    counted = np.zeros_like(with_motif)
    for m in range(40):
        at = raster.occurrences.of(m).astype(int)
        for d in range(9):
            counted[m, :, d] = fired[at - d - 1].mean(axis=0)
    error = (counted - with_motif) / np.sqrt(with_motif * (1 - with_motif) / 240)
    assert np.sqrt(np.mean(error**2)) == pytest.approx(1.0, abs=0.1)


def test_evidence_is_calibrated():
    """Of what the layer gives even odds or better, as much is right as it says."""
    model = MotifModel.random(strength=2.0, seed=1)
    layer = replace(model.layer(), threshold=-2.0)
    found, right = [], []
    for number in range(8):
        raster = model.draw(seed=2, number=number)
        got = layer.detect(raster.spikes, raster.ticks)
        found.append(got.evidence)
        right.append(raster.labels(144)[got.ticks, got.motifs])
    chance = 1.0 / (1.0 + np.exp(-np.concatenate(found)))
    hit = np.concatenate(right)
    assert chance.size > 800
    error = 3.5 * np.sqrt((chance * (1 - chance)).sum())
    assert abs(hit.sum() - chance.sum()) < error + 0.03 * hit.sum()


# -- accuracy and learning ---------------------------------------------------------------


def accuracy(layer, rasters):
    """The rule of the paper: as many of the strongest as there were occurrences."""
    total = score(Detections(*np.zeros((3, 0), int)), Spikes(*np.zeros((2, 0), int)))
    for raster in rasters:
        found = strongest(layer.evidence(raster.spikes, raster.ticks), len(raster.occurrences))
        total += score(found, raster.occurrences)
    return total.accuracy


def test_icann_setting_with_known_motifs():
    """98.8 % in the paper, with the plain kernel as evidence."""
    plain, known, correlation, fixed = [], [], [], []
    for seed in range(3):
        model = MotifModel.random(seed=seed)
        rasters = [model.draw(seed=seed, number=n) for n in range(3)]
        plain.append(accuracy(MotifLayer.from_kernel(model.kernel), rasters))
        known.append(accuracy(model.layer(), rasters))
        correlation.append(accuracy(model.correlation_layer(), rasters))
        found = model.layer().detect(rasters[0].spikes, rasters[0].ticks)
        fixed.append(score(found, rasters[0].occurrences))
    assert np.mean(plain) > 0.985
    assert np.mean(known) > 0.995
    assert np.mean(correlation) < np.mean(plain)
    assert all(s.accuracy > 0.985 and s.precision > 0.985 for s in fixed)


def test_the_gradient_is_that_of_the_loss():
    model = MotifModel.random(3, 4, 5, density=0.5, seed=1)
    raster = replace(model, rate=0.05).draw(60, seed=1)
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(4, 5, 3)), rng.normal(size=3)
    moved_kernel, moved_bias = kernel.copy(), bias.copy()
    _learn(raster, moved_kernel, moved_bias, 1.0)
    way, way_bias = rng.normal(size=kernel.shape), rng.normal(size=3)
    up, down = (_learn(raster, kernel + s * way, bias + s * way_bias, 0.0) for s in (1e-5, -1e-5))
    slope = -(np.sum((moved_kernel - kernel) * way) + np.sum((moved_bias - bias) * way_bias))
    assert (up - down) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_learned_motifs_are_as_good_as_known_ones():
    model = replace(MotifModel.random(12, 64, 21, strength=3.0, seed=6), rate=0.004)
    rasters = [model.draw(500, seed=1, number=n) for n in range(300)]
    learned = learn_motifs(rasters, model.shape, seed=1)
    unseen = [model.draw(1000, seed=2, number=n) for n in range(10)]
    known = accuracy(model.layer(), unseen)
    assert known > 0.97
    assert accuracy(learned.layer(), unseen) > known - 0.01
    assert accuracy(learned.layer().prune(0.02), unseen) > known - 0.02
    match = np.corrcoef(learned.kernel.reshape(12, -1), model.kernel.reshape(12, -1))[:12, 12:]
    assert (match.argmax(axis=0) == np.arange(12)).all()
    assert np.diag(match).min() > 5 * np.abs(match - np.diag(np.diag(match))).max()
    assert learned.losses[-20:].mean() < 0.2 * learned.losses[:20].mean()


def test_learning_depends_on_rasters_and_seed_only():
    model = replace(MotifModel.random(3, 6, 4, density=0.3), rate=0.02)
    rasters = [model.draw(100, number=n) for n in range(10)]
    one, same, other = (learn_motifs(rasters, (3, 6, 4), epochs=2, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.kernel, same.kernel)
    np.testing.assert_array_equal(one.bias, same.bias)
    assert not np.array_equal(one.kernel, other.kernel)


def test_scores():
    found = Detections(np.array([3, 5, 9]), np.array([0, 1, 2]), np.zeros(3))
    true = Spikes(np.array([3, 5, 8, 11]), np.array([0, 2, 2, 1]))
    total = score(found, true) + score(found, true)
    assert (total.correct, total.detected, total.occurred) == (2, 6, 8)
    assert (total.accuracy, total.precision) == (0.25, pytest.approx(1 / 3))
    evidence = np.array([[0.0, 2.0], [2.0, 3.0]])
    best = strongest(evidence, 2)
    assert list(zip(best.ticks, best.motifs, best.evidence, strict=True)) == [
        (0, 1, 2.0), (1, 1, 3.0),
    ]  # fmt: skip
