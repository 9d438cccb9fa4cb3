"""Delay kernels: what they accept, what pruning keeps, what a file gives back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import FileRefused, InvalidInput
from spikecore.motifs import DelayKernel, shipped_kernel, taps_of
from spikecore.motifs.kernel import causal_mask
from spikecore.motifs.labels import LADDER_CLASSES, PAPER_CLASSES


def kernel(seed=0, classes=3, delays=4, size=5, **options):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((classes, 2, delays, size, size)).astype(np.float32)
    return DelayKernel(weights, rng.standard_normal(classes).astype(np.float32), **options)


def test_mask_is_the_published_formula():
    mask = causal_mask(21, 17)
    assert np.allclose(mask[:, 8, 8], 1.0)  # the centre is free at every delay
    r = 2 / 9  # two pixels off, in units of the rim (a grid of 19 points, ends dropped)
    for d in (0, 5, 20):
        disc = ((1 + np.cos(np.pi * r)) / 2) ** 0.25
        spread = 2.5 * d / 20 + 0.05
        assert mask[d, 8, 10] == pytest.approx(disc * np.exp(-(r**2) / (2 * spread**2)), rel=1e-5)
    assert mask[20, 0, 0] == 0.0  # outside the disc
    assert np.array_equal(mask, mask[:, ::-1])
    assert np.array_equal(mask, mask.transpose(0, 2, 1))
    assert np.all(np.diff(mask[:, 8, 12]) > 0)  # longer delays reach further


def test_the_papers_initial_kernel():
    first = DelayKernel.initial(36, seed=3)
    assert first.weights.size == 436_968
    assert np.all(first.weights[:, 1, 0, 8, 8] == 4.0)
    assert np.all(first.weights[:, 0, 0, 8, 8] == -4.0)
    rest = first.weights.copy()
    rest[:, :, 0, 8, 8] = 0.0
    assert np.abs(rest).max() < 0.06
    assert np.array_equal(first.weights, DelayKernel.initial(36, seed=3).weights)
    assert not np.array_equal(first.weights, DelayKernel.initial(36, seed=4).weights)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), factor=st.floats(1.0, 300.0))
def test_pruning_keeps_the_largest(seed, factor):
    k = kernel(seed)
    pruned = k.pruned(factor)
    kept = pruned.weights != 0
    assert kept.sum() == max(1, round(k.weights.size / factor))
    assert np.array_equal(pruned.weights[kept], k.weights[kept])
    if not kept.all():
        assert np.abs(k.weights[kept]).min() >= np.abs(k.weights[~kept]).max()


def test_structured_pruning_keeps_places_for_all_classes():
    k = kernel(classes=4)
    pruned = k.pruned(5, structured=True)
    used = (pruned.weights != 0).sum(0)
    assert set(np.unique(used)) == {0, 4}
    norms = (k.weights**2).sum(0)
    assert norms[used > 0].min() >= norms[used == 0].max()


def test_shortening_drops_long_delays():
    short = kernel().shortened(2)
    assert not short.weights[:, :, 2:].any()
    assert np.array_equal(short.weights[:, :, :2], kernel().weights[:, :, :2])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(1e-3, 1e3))
def test_grid(seed, scale):
    k = kernel(seed).scaled(scale)
    assert k.grid is None
    snapped = k.snapped()
    assert snapped.grid is not None
    steps = snapped.weights / snapped.grid
    assert np.array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() <= 32767
    assert np.abs(snapped.weights - k.weights).max() <= snapped.grid / 2
    assert np.array_equal(snapped.snapped().weights, snapped.weights)
    assert DelayKernel(k.weights * 0, k.bias).grid == 1.0


def test_taps_list_each_weight_once_and_where_its_events_lie():
    k = kernel().pruned(7)
    taps = taps_of(k)
    assert len(taps) == k.synapses
    rebuilt = np.zeros_like(k.weights)
    index = (taps.classes, taps.polarities, taps.delays, 2 - taps.rows, 2 - taps.columns)
    rebuilt[index] = taps.weights
    assert np.array_equal(rebuilt, k.weights)


def test_files(tmp_path):
    k = kernel(gamma=0.5, half=7.0, votes=3.0, directions=np.zeros(3), speeds=np.ones(3))
    k.save(tmp_path / "k.npz")
    back = DelayKernel.load(tmp_path / "k.npz")
    assert np.array_equal(back.weights, k.weights)
    assert np.array_equal(back.bias, k.bias)
    assert (back.gamma, back.half, back.votes, back.polarity) == (0.5, 7.0, 3.0, "invariant")
    assert np.array_equal(back.speeds, k.speeds)
    content = (tmp_path / "k.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileRefused, match="damaged"):
        DelayKernel.load(tmp_path / "cut.npz")


def test_what_ships():
    k = shipped_kernel()
    assert (k.classes, k.delays, k.size, k.synapses) == (38, 21, 17, 4011)
    assert k.grid is not None
    assert np.array_equal(k.directions, LADDER_CLASSES.angle, equal_nan=True)
    assert np.array_equal(k.speeds, LADDER_CLASSES.speed)


@pytest.mark.parametrize("classes", [PAPER_CLASSES, LADDER_CLASSES])
def test_soft_labels_interpolate(classes):
    angle, speed = classes.angle, classes.speed
    inside = np.isfinite(angle)
    vx, vy = (speed[inside] * f(angle[inside]) for f in (np.cos, np.sin))
    exact = classes.soft(vx, vy)
    assert np.allclose(exact, np.eye(classes.count)[: inside.sum()], atol=1e-9)
    v = np.random.default_rng(0).normal(size=(500, 2))
    shares = classes.soft(*v.T)
    assert np.allclose(shares.sum(1), 1.0)
    assert shares.min() >= 0.0
    between = classes.soft(0.25 * np.cos(np.pi / 12), 0.25 * np.sin(np.pi / 12))
    assert between[:2] == pytest.approx([0.5, 0.5])
    if classes.outside:
        assert classes.soft(0.0, 0.0)[36] == 1.0
        assert classes.soft(0.0, 9.0)[37] == 1.0


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"weights": np.zeros((3, 2, 4, 5, 4))}, "K odd"),
        ({"weights": np.zeros((3, 1, 4, 5, 5))}, "two polarities"),
        ({"bias": np.zeros(2)}, "shape"),
        ({"bias": np.array([0, np.nan, 0])}, "finite"),
        ({"gamma": -1.0}, "gamma"),
        ({"speeds": np.zeros(4)}, "shape"),
    ],
)
def test_wrong_kernels(change, rule):
    given = {"weights": np.zeros((3, 2, 4, 5, 5)), "bias": np.zeros(3)} | change
    with pytest.raises(InvalidInput, match=rule):
        DelayKernel(**given)
