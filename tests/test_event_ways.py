"""All ways of the event-driven core give the same bits: those of the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from event_networks import PRECISIONS, driven, noisy, one_state
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import DURATION, WHATEVER, assert_same, busy_network, networks, rules

from spikecore import (
    LIF,
    AllToAll,
    Astrocyte,
    Delta,
    FileRefused,
    Hz,
    Input,
    InvalidInput,
    LiRinzel,
    Modulation,
    Network,
    OneToOne,
    Pairs,
    Poisson,
    PoissonCounts,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Simulation,
    Train,
    UnknownName,
    ms,
    mV,
    run,
    uM,
)
from spikecore.backends.event import choice, packed, replay
from spikecore.backends.event.caching import source_digest
from spikecore.backends.lowering import lower

WAYS = [
    "event",
    "event:delivery=ring,neurons=wheel",
    "event:delivery=ring,neurons=sweep",
    "event:delivery=queue,neurons=wheel",
    "event:delivery=queue,neurons=sweep",
    "event:delivery=calendar",
    "event:dense=bitmaps,delivery=ring,neurons=wheel",
    "event:dense=bitmaps,delivery=ring,neurons=sweep",
]
pytestmark = pytest.mark.usefixtures("fast_ways")


def assert_every_way_agrees(network, precision):
    oracle = run(network, DURATION * ms, backend="clocked", precision=precision)
    for way in WAYS:
        assert_same(run(network, DURATION * ms, backend=way, precision=precision), oracle)


@settings(WHATEVER, max_examples=60)
@given(network=networks(plastic=False), precision=st.sampled_from(PRECISIONS))
def test_static_networks(network, precision):
    assert_every_way_agrees(network, precision)


@settings(WHATEVER, max_examples=60)
@given(network=networks(plastic=True), precision=st.sampled_from(PRECISIONS))
def test_plastic_networks(network, precision):
    assert_every_way_agrees(network, precision)


@settings(WHATEVER, max_examples=20)
@given(
    network=networks(),
    way=st.sampled_from(WAYS),
    cuts=st.lists(st.integers(1, DURATION - 1), min_size=1, max_size=4, unique=True),
)
def test_pieces_checkpoints_and_copies(network, way, cuts, tmp_path_factory):
    """Cut anywhere, saved, opened by another simulation that goes on: as in one go."""
    whole = run(network, DURATION * ms, backend="clocked")
    path = tmp_path_factory.mktemp("cut") / "c"
    simulation, now = Simulation(network, backend=way), 0
    for cut in sorted(cuts):
        simulation.run((cut - now) * ms)
        simulation.save(path)
        simulation.run(5 * ms)  # the copy does not care what becomes of the original
        simulation, now = Simulation(network, backend=way), cut
        simulation.restore(path)
    assert_same(simulation.run((DURATION - now) * ms), whole)


@pytest.mark.parametrize("saved", WAYS[1:5])
@pytest.mark.parametrize("opened", WAYS[:5])
def test_a_checkpoint_may_go_on_in_another_fast_way(saved, opened, tmp_path):
    whole = run(busy_network(), 120 * ms, backend="clocked")
    one = Simulation(busy_network(), backend=saved)
    one.run(57 * ms)
    one.save(tmp_path / "c")
    other = Simulation(busy_network(), backend=opened)
    other.restore(tmp_path / "c")
    assert_same(other.run(63 * ms), whole)


@pytest.mark.parametrize("room", [1, 3, 10_000])
def test_rows_that_are_counted_later_are_counted_in_the_end(room, monkeypatch):
    """However few of them are remembered at a time; also where too many events end the run."""
    monkeypatch.setattr(packed, "LOG", room)
    pairs = np.divmod(np.arange(200), 20)
    parts = [
        Input("in", 10, Poisson(200 * Hz)),
        Population("n", 20, LIF(synapse=Delta())),
        Projection("in", "n", Pairs(*pairs), 1 * mV, (1 + np.arange(200) % 9) * ms),
    ]
    net, way = Network(parts), "event:delivery=ring,neurons=sweep"
    assert_same(run(net, 60 * ms, backend=way), run(net, 60 * ms, backend="clocked"))
    ended = [run(net, 60 * ms, backend=b, max_pending=150) for b in (way, "clocked")]
    assert [e.status for e in ended] == ["runaway", "runaway"]
    assert_same(*ended)


@st.composite
def all_to_all(draw):
    """Learning from all to all: one list of post spikes for all rows."""
    unit = LIF(tau_m=draw(st.sampled_from([5.0, 20.0])) * ms, synapse=Delta(), refractory=1 * ms)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    pre, post = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    when = rng.integers(0, DURATION, 30)
    return Network(
        [
            Input("x", n, Train(np.sort(when) * ms, rng.integers(0, n, 30))),
            Input("noise", m, Poisson(150 * Hz)),
            Population("n", m, unit),
            Projection("noise", "n", OneToOne(), 30 * mV, 1 * ms),
            Projection(
                "x",
                "n",
                Pairs(pre, post),
                rng.integers(0, 9, n * m) * 0.5 * mV,
                draw(st.integers(1, 9)) * ms,
                plasticity=draw(rules(unit)),
            ),
        ],
        dt=1 * ms,
    )


@settings(WHATEVER, max_examples=60)
@given(network=all_to_all(), precision=st.sampled_from(PRECISIONS), full=st.booleans())
def test_learning_from_all_to_all(network, precision, full):
    """Also with lists that are full after two post spikes, and looked at on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "ENTRIES", 2 if full else 1000)
        assert_every_way_agrees(network, precision)
        simulation = Simulation(network, precision=precision)
        oracle = Simulation(network, precision=precision, backend="clocked")
        for duration in (13, 22, 45):
            results = [s.run(duration * ms) for s in (simulation, oracle)]
            assert_same(*results)
            if duration == 22:
                for s in (simulation, oracle):
                    s.set_weights("x->n", s.weights("x->n") * 0.5)
        for s in (simulation, oracle):
            s.clear()
        assert_same(*(s.run(30 * ms) for s in (simulation, oracle)))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("network", [driven(), noisy()], ids=["driven", "noisy"])
def test_larger_networks(network, precision):
    """Long waits in the wheel, several blocks of a sweep, populations that change over."""
    oracle = run(network, 60 * ms, backend="clocked", precision=precision)
    assert len(oracle.spikes[network.populations[0].name]) > 20
    for way in WAYS:
        result = run(network, 60 * ms, backend=way, precision=precision)
        assert_same(result, oracle)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rate", [0.0, 300.0, 30_000.0, 450_000.0])  # 0 to 45 spikes a tick
def test_counts_drawn_in_the_kernel(rate, precision):
    """Without steps, with few, with many of them; and where a spike is certain."""
    unit = LIF(v_threshold=1000 * mV, synapse=Delta())
    network = Network(
        [
            Input("x", 530, PoissonCounts(rate * Hz), record=False),
            Population("n", 530, unit),
            Projection("x", "n", OneToOne(), 0.7 * mV, 0.1 * ms),
            Probe("n", "v"),
        ],
        dt=0.1 * ms,
    )
    oracle = run(network, 6 * ms, backend="clocked", precision=precision)
    for way in WAYS:
        assert_same(run(network, 6 * ms, backend=way, precision=precision), oracle)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "network",
    [
        one_state(refractory=0 * ms),
        one_state(refractory=90 * ms),  # gaps of two digits, within and without
        one_state(ports=("exc", "inh")),
        one_state(v_threshold=-64 * mV),
    ],
    ids=["no refractory period", "a long one", "two ports", "a low threshold"],
)
def test_sweeping_one_state(network, precision):
    oracle = run(network, 250 * ms, backend="clocked", precision=precision)
    assert len(oracle.spikes["n"]) + len(oracle.spikes["x"]) > 4000
    for way in WAYS:
        assert_same(run(network, 250 * ms, backend=way, precision=precision), oracle)


@pytest.mark.parametrize("way", WAYS)
def test_the_first_that_is_not_finite_is_named(way):
    network = Network(
        [
            Input("x", 3, Train([0, 1, 1] * ms, [1, 2, 0])),
            Population("n", 600, LIF(synapse=Delta())),
            Projection("x", "n", Pairs([0, 1, 2], [599, 1, 520]), 1e308 * mV, 1 * ms, name="a"),
            Projection("x", "n", Pairs([0, 2], [599, 520]), 1e308 * mV, 1 * ms, name="b"),
        ],
        dt=1 * ms,
    )
    result = run(network, 9 * ms, backend=way)
    assert (result.status, result.ticks) == ("diverged", 2)
    assert "n[520]" in result.message


def test_the_result_says_which_way_was_taken_and_why():
    way = run(noisy(), 60 * ms).provenance["way"]
    assert way["delivery"] == "ring"
    assert "MB" in way["why"]
    assert way["neurons"] == {"n": "sweep"}
    assert run(driven(), 60 * ms).provenance["way"]["neurons"] == {"e": "wheel", "i": "wheel"}
    forced = run(driven(), 10 * ms, options={"delivery": "queue", "neurons": "sweep"})
    assert forced.provenance["way"] == {
        "delivery": "queue",
        "why": "asked for",
        "neurons": {"e": "sweep", "i": "sweep"},
        "threads": 1,
        "why_threads": "250 neurons are fewer than 10000",
    }


def test_few_synapses_take_the_general_way_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(choice, "SMALL", sum(p.size for p in lower(driven(), 0).projections))
    way = run(driven(), 10 * ms).provenance["way"]
    assert (way["delivery"], way["neurons"]) == ("calendar", {"e": "listed", "i": "listed"})
    assert "synapses are at most" in way["why"]
    forced = run(driven(), 10 * ms, options={"neurons": "wheel"}).provenance["way"]
    assert (forced["delivery"], forced["neurons"]["e"]) == ("ring", "wheel")
    monkeypatch.setattr(choice, "SMALL", choice.SMALL - 1)
    assert run(driven(), 10 * ms).provenance["way"]["delivery"] == "ring"


def test_what_needs_more_than_32_bits_a_synapse_takes_the_general_way():
    def far(delay):
        return Network(
            [
                Input("x", 1, Train([0] * ms, [0])),
                Population("n", 2000, LIF(synapse=Delta())),
                Projection("x", "n", RandomPairs(0.5), 20 * mV, delay * ms),
            ],
            dt=1 * ms,
        )

    short, long = (run(far(d), 5 * ms).provenance["way"] for d in (10, 4_000_000))
    assert (short["delivery"], long["delivery"]) == ("ring", "calendar")
    assert "33 bits" in long["why"]


@pytest.mark.parametrize(("precision", "ticks"), [("float32", 2**29 + 1)])
def test_float32_counts_so_far(precision, ticks):
    simulation = Simulation(noisy(), precision=precision)
    with pytest.raises(InvalidInput, match="counts to 536870912 ticks"):
        simulation.run(ticks * 0.1 * ms)


def test_a_checkpoint_of_the_general_way_stays_there(tmp_path):
    for saved, opened in (("calendar", "auto"), ("ring", "calendar")):
        Simulation(busy_network(), options={"delivery": saved}).save(tmp_path / "c")
        with pytest.raises(FileRefused, match="another way of running"):
            Simulation(busy_network(), options={"delivery": opened}).restore(tmp_path / "c")


def test_options_are_checked():
    with pytest.raises(UnknownName, match="delivery"):
        run(noisy(), 1 * ms, backend="event:delivery=pigeon")
    with pytest.raises(InvalidInput, match="a list of its own"):
        run(noisy(), 1 * ms, backend="event:delivery=calendar,neurons=sweep")


def test_a_change_in_any_file_of_the_core_compiles_anew(tmp_path):
    """numba by itself looks at the file of the entry point only."""
    from spikecore.backends.event import fast, kernels

    for entry in (fast.run, kernels.run):
        assert source_digest() in entry._cache._cache_file._source_stamp
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_text("y = 1\n")
    before = source_digest.__wrapped__(tmp_path)
    (tmp_path / "b.py").write_text("y = 2\n")
    assert source_digest.__wrapped__(tmp_path) != before


def test_where_a_slow_state_acts_the_general_way_is_taken():
    net = Network(
        [
            Input("in", 2, Poisson(100 * Hz)),
            Population("astro", 1, Astrocyte()),
            Population("n", 2, LIF(synapse=Delta())),
            Projection("in", "astro", AllToAll(), 1 * uM, 1 * ms),
            Projection(
                "in", "n", OneToOne(), 20 * mV, 1 * ms, modulation=Modulation("astro", gain=1.0)
            ),
        ]
    )
    way = run(net, 50 * ms).provenance["way"]
    assert way["delivery"] == "calendar"
    assert way["why"] == "a slow state acts on the synapses of in->n"
    with pytest.raises(InvalidInput, match="a slow state acts"):
        run(net, 50 * ms, backend="event:delivery=ring")


def test_where_a_unit_moves_in_steps_the_general_way_is_taken():
    net = Network([Population("glia", 1, LiRinzel())])
    assert run(net, 1000 * ms).provenance["way"]["why"] == "glia moves in steps"
