"""Projections that are kept as bitmaps give the bits of those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from event_networks import PRECISIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import WHATEVER, assert_same

from spikecore import (
    LIF,
    Delta,
    Exponential,
    Hz,
    Input,
    InvalidInput,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Poisson,
    PoissonCounts,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Simulation,
    Train,
    ms,
    mV,
    nA,
    run,
)
from spikecore.backends.event.dense import BITMAP

BITMAPS = [f"event:delivery=ring,dense=bitmaps,neurons={how}" for how in ("wheel", "sweep")]
LISTS = "event:dense=lists,delivery=ring"


def assert_bitmaps_agree(network, precision, duration=40):
    oracle = run(network, duration * ms, backend="clocked", precision=precision)
    for way in (*BITMAPS, LISTS):
        assert_same(run(network, duration * ms, backend=way, precision=precision), oracle)
    return oracle


def said(network, way=BITMAPS[0]):
    return run(network, 2 * ms, backend=way).provenance["way"]["dense"]


@st.composite
def wiring(draw, sources, targets):
    """Return pairs, many of them more than once."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(1, 12)) * max(sources, targets)
    return Pairs(rng.integers(0, sources, size), rng.integers(0, targets, size), duplicates=True)


@st.composite
def dense_networks(draw):
    """Several projections, of several sources and delays, to one or two ports."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    synapse = draw(st.sampled_from([Delta(), Exponential(3 * ms, 7 * ms)]))
    unit = LIF(tau_m=10 * ms, refractory=1 * ms, synapse=synapse)
    amount = mV if isinstance(synapse, Delta) else nA
    a, b = draw(st.sampled_from([3, 70])), draw(st.sampled_from([2, 65, 530]))
    when = rng.integers(0, 30, 4 * a)
    parts = [
        Input("x", a, Train(np.sort(when) * ms, rng.integers(0, a, when.size))),
        Input("y", a, PoissonCounts(400 * Hz)),
        Population("b", b, unit),
        Population("c", a, unit),
    ]
    sizes = {"x": a, "y": a, "b": b, "c": a}
    for k in range(draw(st.integers(1, 6))):
        pre, post = draw(st.sampled_from("xybc")), draw(st.sampled_from("bc"))
        weight = draw(st.sampled_from([0.1, 0.7, 3.3, 11.0]))
        parts.append(
            Projection(
                pre,
                post,
                draw(wiring(sizes[pre], sizes[post])),
                weight * amount,
                draw(st.integers(1, 4)) * ms,
                draw(st.sampled_from(["exc", "inh"])),
                name=f"p{k}",
            )
        )
    return Network(parts, dt=1 * ms)


@settings(WHATEVER, max_examples=60)
@given(
    network=dense_networks(),
    precision=st.sampled_from(PRECISIONS),
    cut=st.integers(1, 39),
)
def test_random_networks(network, precision, cut, tmp_path_factory):
    """In one go; and cut anywhere, going on from a checkpoint the other way."""
    oracle = assert_bitmaps_agree(network, precision)
    path = tmp_path_factory.mktemp("cut") / "c"
    for saved, opened in ((BITMAPS[0], LISTS), (LISTS, BITMAPS[1])):
        one = Simulation(network, backend=saved, precision=precision)
        one.run(cut * ms)
        one.save(path)
        other = Simulation(network, backend=opened, precision=precision)
        other.restore(path)
        assert_same(other.run((40 - cut) * ms), oracle)


def volley(sources, times, targets=600):
    """All sources fire at once; each reaches each target ``times`` times."""
    pre = np.repeat(np.arange(sources), targets * times)
    post = np.tile(np.repeat(np.arange(targets), times), sources)
    quiet = LIF(v_rest=0 * mV, v_reset=0 * mV, v_threshold=1e6 * mV, synapse=Delta())
    return Network(
        [
            Input("x", sources, Train(np.zeros(sources) * ms, np.arange(sources))),
            Population("n", targets, quiet),
            Projection("x", "n", Pairs(pre, post, duplicates=True), 0.1 * mV, 1 * ms),
            Probe("n", "v"),
        ],
        dt=1 * ms,
    )


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("sources", "times"), [(1, 1), (2, 3), (8, 1), (252, 1), (253, 1), (600, 1), (90, 3), (3, 252)]
)
def test_counts_of_all_sizes(sources, times, precision):
    """One bit, whole groups of rows, and more arrivals than a byte counts."""
    network, expected = volley(sources, times), np.dtype(precision).type(0)
    for _ in range(sources * times):
        expected += np.dtype(precision).type(0.1)
    for way in BITMAPS:
        result = run(network, 2 * ms, backend=way, precision=precision)
        assert result.provenance["way"]["dense"] == {"x->n": BITMAP}
        assert result.counters["delivered"] == sources * times * 600
        assert (result.traces["n.v"].values[1] == expected).all()


def small(*projections, n=100):
    unit = LIF(synapse=Delta())
    noise = Projection("x", "n", OneToOne(), 30 * mV, 1 * ms)
    cells = [Population("n", n, unit), Population("m", n, unit)]
    return Network([Input("x", n, Poisson(100 * Hz)), *cells, noise, *projections], dt=1 * ms)


ALL, EACH = RandomPairs(1.0), Pairs(np.arange(100), np.arange(100))


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([], BITMAP),
        ([Projection("n", "n", ALL, 1 * mV, 2 * ms, name="q")], BITMAP),  # in other ticks
        ([Projection("n", "n", ALL, 1 * mV, 3 * ms, "inh", name="q")], BITMAP),  # other cells
        ([Projection("m", "n", ALL, 1 * mV, 3 * ms, name="q")], BITMAP),  # after all of n
        (
            [Projection("n", "n", ALL, 1 * mV, 3 * ms, name="q")],
            "what arrives by q comes in between",
        ),
        (
            [Projection("n", "n", EACH, 1 * mV, np.arange(1, 101) * ms, name="q")],
            "what arrives by q comes in between",
        ),
    ],
)
def test_only_where_nothing_comes_in_between(others, why):
    network = small(Projection("n", "n", ALL, 0.1 * mV, 3 * ms, name="p"), *others)
    assert said(network)["p"] == why
    for precision in PRECISIONS:
        assert len(assert_bitmaps_agree(network, precision).spikes["n"]) > 20


def test_what_else_is_not_kept_as_a_bitmap():
    own = np.arange(1, 101)
    network = small(
        Projection("x", "m", EACH, own * mV, 1 * ms, name="strong"),
        Projection("m", "m", EACH, 0.1 * mV, own * ms, name="late"),
        Projection("n", "m", ALL, 0.1 * mV, 1 * ms, plasticity=PairSTDP(w_max=1 * mV), name="stdp"),
        Projection("n", "n", Pairs([0] * 253, [1] * 253, duplicates=True), 1 * mV, 1 * ms),
    )
    assert said(network) == {
        "x->n": BITMAP,
        "strong": "each synapse has its own weight",
        "late": "each synapse has its own delay",
        "stdp": "it learns",
        "n->n": "it has 253 synapses from one neuron to another, more than 252",
    }
    assert_bitmaps_agree(network, "float64")


def test_what_is_chosen_by_itself():
    """Dense rows that are not short; and the general way where synapses are few."""
    network = small(
        Projection("n", "n", RandomPairs(0.9), 0.1 * mV, 2 * ms),
        Projection("m", "m", RandomPairs(0.1), 0.1 * mV, 2 * ms),
    )
    assert said(network, "event:delivery=ring") == {"n->n": BITMAP}
    assert "dense" not in run(network, 2 * ms).provenance["way"]
    assert "dense" not in run(network, 2 * ms, backend=LISTS).provenance["way"]


def test_counts_drawn_where_they_arrive_stay_so():
    cells = Population("n", 50, LIF(synapse=Delta()))
    drive = Input("x", 50, PoissonCounts(500 * Hz), record=False)
    network = Network([drive, cells, Projection("x", "n", OneToOne(), 9 * mV, 1 * ms)], dt=1 * ms)
    assert said(network) == {"x->n": "it is drawn where it arrives"}
    assert_bitmaps_agree(network, "float64")


@pytest.mark.parametrize("way", BITMAPS)
def test_a_weight_may_be_changed_on_the_way(way):
    network = small(Projection("n", "n", ALL, 0.1 * mV, 3 * ms, name="p"))
    results = []
    for backend in (way, "clocked"):
        simulation = Simulation(network, backend=backend)
        simulation.run(20 * ms)
        simulation.set_weights("p", 2.5)
        results.append(simulation.run(20 * ms))
    assert_same(*results)


@pytest.mark.parametrize("delivery", ["queue", "calendar"])
def test_bitmaps_need_a_ring(delivery):
    with pytest.raises(InvalidInput, match="in a ring only"):
        run(small(), 1 * ms, backend=f"event:delivery={delivery},dense=bitmaps")
