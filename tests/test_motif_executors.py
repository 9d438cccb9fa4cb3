"""One kernel, three executors, one answer: by definition, event by event, dense in torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import EventStream, InvalidInput
from spikecore.motifs import DelayKernel, EventLayer, Sums
from spikecore.motifs.clocked import ClockedLayer
from spikecore.motifs.dense import DelayConv, DenseLayer

SENSOR = (13, 9)
EXECUTORS = (ClockedLayer, EventLayer, DenseLayer)


@st.composite
def kernels(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    polarity = draw(st.sampled_from(["invariant", "signed"]))
    shape = (
        draw(st.integers(1, 40)),
        2 if polarity == "invariant" else draw(st.integers(1, 2)),
        draw(st.sampled_from([1, 3, 21, 32, 33, 64])),
        *[draw(st.sampled_from([1, 3, 7]))] * 2,
    )
    k = DelayKernel(
        rng.standard_normal(shape),
        rng.standard_normal(shape[0]),
        polarity,
        draw(st.sampled_from([0.0, 0.5])),
        draw(st.sampled_from([1.0, 20.0])),
    ).pruned(draw(st.sampled_from([1.0, 5.0])))
    return k.snapped() if draw(st.booleans()) else k


@st.composite
def streams(draw):
    """Bursts, silences longer than the kernel, pixels with both polarities in a tick."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 150))
    gaps = rng.choice([0, 0, 0, 200, 1500, 70_000], n)
    x, y = rng.integers(0, SENSOR[0], n), rng.integers(0, SENSOR[1], n)
    p = rng.integers(0, 2, n)
    twins = rng.random(n) < 0.2
    x[1:][twins[1:]], y[1:][twins[1:]] = x[:-1][twins[1:]], y[:-1][twins[1:]]
    return EventStream.checked(x, y, np.cumsum(gaps), p, sensor=SENSOR)


def run(executor, kernel, events, *, every=1, cuts=()):
    layer = executor(kernel, *SENSOR, 1000)
    sums = Sums.zeros(2, kernel.classes)
    cells = (np.arange(len(events)) % 3 - 1).astype(np.int32)
    edges = [0, *sorted(np.searchsorted(events.t // 1000, c) for c in cuts), len(events)]
    parts = [
        layer.advance(
            events.where(slice(a, b)), cells=cells[a:b], sums=sums, every=every, keep_evidence=True
        )
        for a, b in itertools.pairwise(edges)
    ]
    return (
        np.concatenate([part.best for part in parts]),
        np.concatenate([part.evidence for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        sums,
    )


def close(one, other, size):
    assert np.abs(one[1] - other[1]).max(initial=0.0) <= 1e-5 * size
    assert np.array_equal(one[0] >= 0, other[0] >= 0)
    assert np.array_equal(one[0] == -2, other[0] == -2)
    ranked = np.sort(one[1], 1)
    clear = ranked[:, -1] - ranked[:, -2] > 2e-5 * size if one[1].shape[1] > 1 else slice(None)
    assert np.array_equal(one[0][clear], other[0][clear])  # the same decisions
    assert np.allclose(one[2], other[2], atol=1e-4)
    assert np.array_equal(one[3].counts, other[3].counts)
    assert np.allclose(one[3].log_posterior, other[3].log_posterior, rtol=1e-3, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(kernels(), streams(), st.integers(1, 3), st.lists(st.integers(0, 100), max_size=3))
def test_executors_agree_however_the_stream_is_split(kernel, events, every, cuts):
    oracle = run(ClockedLayer, kernel, events, every=every)
    size = max(1.0, float(np.abs(oracle[1]).max(initial=0.0)))
    close(oracle, run(EventLayer, kernel, events, every=every, cuts=cuts), size)
    close(oracle, run(DenseLayer, kernel, events, every=every, cuts=cuts), size)


@settings(max_examples=25, deadline=None)
@given(kernels(), streams(), st.lists(st.integers(0, 100), max_size=3))
def test_on_a_grid_the_sums_are_exact(kernel, events, cuts):
    kernel = kernel.snapped()
    whole, split = (run(EventLayer, kernel, events, cuts=c) for c in ((), cuts))
    assert np.array_equal(whole[1], split[1])
    assert np.array_equal(whole[0], split[0])


def by_definition(kernel, volume, t, y, x):
    """Evidence at one voxel, straight from the formula, in float64."""
    c, p, d, k, _ = kernel.weights.shape
    totals, near = [], 0
    for exchanged in (False, True) if kernel.polarity == "invariant" else (False,):
        total = np.zeros(c)
        for q, delay, i, j in np.ndindex(p, d, k, k):
            at = (t - delay, y - (i - k // 2), x - (j - k // 2))
            inside = all(0 <= a < n for a, n in zip(at, volume.shape[1:], strict=True))
            if inside and volume[(1 - q if exchanged else q, *at)]:
                total += kernel.weights[:, q, delay, i, j]
                near += bool(kernel.window[delay, i, j]) and not exchanged
        totals.append(total)
    scale = (kernel.half / (kernel.half + near)) ** kernel.gamma
    return np.max(totals, 0) * scale + kernel.bias


@pytest.mark.parametrize("polarity", ["invariant", "signed"])
def test_dense_form_is_the_definition(polarity):
    rng = np.random.default_rng(5)
    weights, bias = rng.standard_normal((4, 2, 5, 5, 5)), rng.standard_normal(4)
    kernel = DelayKernel(weights, bias, polarity, 0.7, 3.0)
    volume = rng.random((2, 9, 8, 7)) < 0.15
    direct, fft = (
        DelayConv(kernel, method)(torch.as_tensor(volume)[None])[0].detach().numpy()
        for method in ("direct", "fft")
    )
    assert np.abs(direct - fft).max() < 1e-5
    for t, y, x in [(0, 0, 0), (8, 7, 6), (8, 0, 3), (4, 4, 4), (5, 2, 6)]:
        wanted = by_definition(kernel, volume, t, y, x)
        assert np.abs(direct[:, t, y, x] - wanted).max() < 1e-5


def test_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(6)
    kernel = DelayKernel(rng.standard_normal((2, 2, 3, 3, 3)), np.zeros(2), gamma=0.5)
    layer = DelayConv(kernel, "direct").double()
    volume = torch.as_tensor(rng.random((1, 2, 5, 6, 5)) < 0.3).double()
    weight = layer.weight.detach().clone().requires_grad_(True)

    def loss(w):
        return torch.func.functional_call(layer, {"weight": w}, volume).square().mean()

    assert torch.autograd.gradcheck(loss, weight, eps=1e-6, atol=1e-5)


def test_all_events_of_a_tick_count_for_each_other():
    weights = np.zeros((1, 2, 1, 3, 3))
    weights[0, 1, 0, 1, 0] = 1.0  # looks right: column index 0 is one to the right
    kernel = DelayKernel(weights, np.zeros(1), "signed")
    events = EventStream.checked([4, 5], [3, 3], [10, 900], [1, 1], sensor=SENSOR)
    for executor in EXECUTORS:
        evidence = executor(kernel, *SENSOR, 1000).advance(events, keep_evidence=True).evidence
        assert evidence.ravel().tolist() == [1.0, 0.0]  # the later event is seen by the earlier


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_a_layer_refuses(executor):
    kernel = DelayKernel(np.ones((1, 2, 2, 3, 3)), np.zeros(1))
    layer = executor(kernel, *SENSOR, 1000)
    late = EventStream.checked([1], [1], [5000], [1], sensor=SENSOR)
    layer.advance(late)
    with pytest.raises(InvalidInput, match="later than the last tick"):
        layer.advance(late)
    with pytest.raises(InvalidInput, match="was made for 13 x 9"):
        layer.advance(EventStream.checked([1], [1], [9000], [1], sensor=(40, 40)))
    with pytest.raises(InvalidInput, match="at least 1 us"):
        executor(kernel, *SENSOR, 0)
    with pytest.raises(InvalidInput, match="1 or 2 polarities"):
        executor(DelayKernel(np.ones((1, 3, 2, 3, 3)), np.zeros(1), "signed"), *SENSOR, 1000)


def test_the_event_layer_has_a_limit_on_delays():
    with pytest.raises(InvalidInput, match="up to 64 delays"):
        EventLayer(DelayKernel(np.ones((1, 2, 65, 1, 1)), np.zeros(1)), *SENSOR, 1000)
