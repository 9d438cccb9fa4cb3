"""What is drawn: who is connected to whom, with what, and when random sources fire."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson as poisson_law

from spikecore import (
    LIF,
    AllToAll,
    Hz,
    Input,
    Network,
    Normal,
    OneToOne,
    Pairs,
    Poisson,
    PoissonCounts,
    Population,
    Projection,
    RandomPairs,
    RandomTotal,
    Simulation,
    Uniform,
    ms,
    nA,
    run,
)
from spikecore.randomness import counter_bits, poisson_steps


def drawn(wiring, weight=1 * nA, delay=1 * ms, *, sizes=(40, 40), seed=0):
    """Return source, target, weight and delay of every synapse."""
    parts = [
        Input("in", sizes[0]),
        Population("n", sizes[1], LIF()),
        Projection("in", "n", wiring, weight, delay),
    ]
    p = Simulation(Network(parts), seed=seed)._lowered.projections[0]
    everyone = (p.size,)
    return p.source, p.target, np.broadcast_to(p.weight, everyone), p.delay


@pytest.mark.parametrize("own", [True, False])
def test_all_to_all(own):
    pre, post, *_ = drawn(AllToAll(self_connections=own), sizes=(3, 3))
    pairs = set(zip(pre.tolist(), post.tolist(), strict=True))
    assert pairs == {(i, j) for i in range(3) for j in range(3) if own or i != j}
    assert pre.size == len(pairs)


def test_one_to_one():
    pre, post, *_ = drawn(OneToOne(), sizes=(5, 5))
    assert pre.tolist() == post.tolist() == [0, 1, 2, 3, 4]


def test_pairs_keep_weights_and_delays_together_and_in_the_given_order():
    pre, post, weight = np.array([2, 0, 1, 0]), np.array([0, 1, 1, 0]), np.array([1.0, 2, 3, 4])
    delay = np.array([3, 9, 1, 5])
    found = drawn(Pairs(pre, post), weight * nA, delay * ms, sizes=(3, 2))
    rows = set(zip(*(column.tolist() for column in found), strict=True))
    assert rows == set(zip(*(c.tolist() for c in (pre, post, weight, delay)), strict=True))
    parts = [Input("in", 3), Population("n", 2, LIF())]
    parts.append(Projection("in", "n", Pairs(pre, post), weight * nA, delay * ms))
    simulation = Simulation(Network(parts))
    assert simulation.weights("in->n").tolist() == [1, 2, 3, 4]
    simulation.set_weights("in->n", [5, 6, 7, 8])
    assert simulation.weights("in->n").tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("probability", [0.0, 0.01, 0.3, 1.0])
def test_random_pairs(probability):
    pre, post, *_ = drawn(RandomPairs(probability), sizes=(200, 300), seed=4)
    expected, sd = 60_000 * probability, np.sqrt(60_000 * probability * (1 - probability))
    assert abs(pre.size - expected) <= 4 * sd
    assert len(set(zip(pre.tolist(), post.tolist(), strict=True))) == pre.size
    if 0 < probability < 1:
        assert pre.max() > 190
        assert post.max() > 290
        assert abs(pre.mean() - 99.5) < 4 * 58 / np.sqrt(pre.size)
        assert abs(post.mean() - 149.5) < 4 * 87 / np.sqrt(pre.size)


def test_random_pairs_without_self_connections():
    pre, post, *_ = drawn(RandomPairs(0.9, self_connections=False))
    assert np.all(pre != post)
    assert pre.size > 1000


def test_distributions():
    _, _, weight, delay = drawn(AllToAll(), Normal(2 * nA, 0.5 * nA), Uniform(2 * ms, 6 * ms))
    assert abs(weight.mean() - 2) < 4 * 0.5 / 40
    assert abs(weight.std() - 0.5) < 0.05
    assert set(delay.tolist()) == {2, 3, 4, 5, 6}


def poisson(rate, ticks=4000, seed=0, dt=1.0, **options):
    network = Network([Input("p", 10, Poisson(rate * Hz, **options))], dt=dt * ms)
    return run(network, ticks * dt * ms, seed=seed).spikes["p"]


@pytest.mark.parametrize(("rate", "dt"), [(5, 1.0), (80, 1.0), (80, 0.1), (500, 1.0)])
def test_poisson_rate(rate, dt):
    """At most one spike in a tick, with the chance 1 - exp(-rate dt)."""
    spikes = poisson(rate, dt=dt)
    chance = -np.expm1(-rate * dt * 1e-3)
    assert abs(len(spikes) - 40_000 * chance) < 4 * np.sqrt(40_000 * chance * (1 - chance))
    pairs = np.stack([spikes.ticks, spikes.neurons])
    assert np.unique(pairs, axis=1).shape == pairs.shape
    assert np.array_equal(pairs, pairs[:, np.lexsort((spikes.neurons, spikes.ticks))])


def test_poisson_times_are_spread_evenly_and_do_not_repeat():
    spikes = poisson(100, ticks=1024 * 4)
    quarters = [spikes.between(1024 * i, 1024 * (i + 1)) for i in range(4)]
    folded = [(q.ticks % 1024 * 10 + q.neurons).tolist() for q in quarters]
    assert len(set(map(tuple, folded))) == 4
    counts = np.bincount(spikes.ticks // 128)
    assert abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())


def test_poisson_start_and_stop():
    on = poisson(900, ticks=60, start=10 * ms, stop=30 * ms)
    assert on.ticks.min() == 10
    assert on.ticks.max() == 29
    whole = poisson(900, ticks=60)  # the same draws, cut off
    assert np.array_equal(whole.between(10, 30).neurons, on.neurons)


def test_poisson_rates_of_their_own():
    rates = np.array([0, 0, 0, 0, 0, 1000, 1000, 1000, 1000, 1000.0])
    counts = poisson(rates).counts(10)
    assert np.all(counts[:5] == 0)
    assert np.all(counts[5:] > 2000)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0x00000000, 0x00000000), 0x00000000, 0xFF1DAE596CD10DF2),
        ((0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF, 0x2C3F628BAB4FD7AD),
        ((0x243F6A88, 0x85A308D3), 0x13198A2E, 0xDD7CE038F62A4C12),
    ],
)
def test_the_counter_based_generator_gives_its_known_answers(counter, key, expected):
    """Those of Random123, the authors' implementation, for philox2x32 with 10 rounds."""
    first, second = np.array(counter, np.uint32)
    assert counter_bits(np.array([first]), second, key)[0] == np.uint64(expected)


@pytest.mark.parametrize("mean", [0.01, 0.5, 3.0, 50.0])
def test_steps_of_counts_are_the_poisson_law(mean):
    steps = poisson_steps(mean)
    found = steps.astype(np.float64) / 2.0**64
    expected = poisson_law.cdf(np.arange(steps.size), mean)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    assert found[-1] > 1.0 - 1e-12


def test_counts_do_not_depend_on_how_the_run_is_cut():
    bound = Input("in", 7, PoissonCounts(900 * Hz)).bind(1.0, 3)
    whole = bound.spikes(0, 60)
    parts = [bound.spikes(a, b) for a, b in ((0, 1), (1, 23), (23, 60))]
    assert np.array_equal(whole.ticks, np.concatenate([p.ticks for p in parts]))
    assert np.array_equal(whole.neurons, np.concatenate([p.neurons for p in parts]))
    assert np.unique(whole.ticks * 7 + whole.neurons).size < len(whole)  # several in a tick


def test_a_given_total_is_spread_evenly():
    source, target, _, _ = drawn(RandomTotal(40_000))
    for ends in (source, target):
        counts = np.bincount(ends, minlength=40)
        assert counts.sum() == 40_000
        assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(1000))


def test_what_lies_outside_the_limits_is_drawn_again():
    limits = {"low": 0.5 * nA, "high": 1.1 * nA}
    _, _, weight, _ = drawn(RandomTotal(20_000), Normal(1 * nA, 0.5 * nA, **limits))
    assert weight.min() >= 0.5
    assert weight.max() <= 1.1
    inside = np.random.default_rng(0).normal(1.0, 0.5, 200_000)
    inside = inside[(inside >= 0.5) & (inside <= 1.1)]
    assert abs(weight.mean() - inside.mean()) < 0.005  # not heaped up at the limits
    assert np.mean(weight < 0.51) < 0.05
