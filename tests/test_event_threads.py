"""Two threads give the same bits as one, and nobody can tell from a checkpoint."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from event_networks import PRECISIONS, driven, noisy, one_state
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import DURATION, WHATEVER, assert_same, busy_network, networks

from spikecore import (
    LIF,
    Delta,
    Hz,
    Input,
    InvalidInput,
    Network,
    OneToOne,
    Pairs,
    PoissonCounts,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Simulation,
    Train,
    Uniform,
    ms,
    mV,
    run,
)
from spikecore.backends.event import choice
from spikecore.backends.event.threaded import ThreadedSession, _Half

WAYS = [
    f"event:delivery={delivery},neurons={neurons},threads=2"
    for delivery in ("ring", "queue")
    for neurons in ("wheel", "sweep")
]
EITHER = ["event:delivery=queue,threads=1", "event:threads=2", *WAYS[1:3]]

pytestmark = pytest.mark.usefixtures("fast_ways")


def mixed():
    """Own and common weights and delays, an odd population, one of a single neuron, probes."""
    rng = np.random.default_rng(5)
    tick = np.sort(rng.integers(0, 120, 900))
    return Network(
        [
            Input("x", 40, Train(tick * ms, rng.integers(0, 40, tick.size))),
            Population("n", 61, LIF(synapse=Delta(), refractory=2 * ms)),
            Population("one", 1, LIF(synapse=Delta())),
            Projection("x", "n", RandomPairs(0.3), Uniform(1 * mV, 6 * mV), 3 * ms),
            Projection("x", "one", Pairs([3, 9], [0, 0]), 7 * mV, 1 * ms),
            Projection("n", "n", RandomPairs(0.2), 0.5 * mV, Uniform(1 * ms, 25 * ms)),
            Projection("one", "n", Pairs([0] * 61, np.arange(61)), 2 * mV, 2 * ms, name="hub"),
            Projection("n", "one", Pairs([0, 60], [0, 0]), [5.0, 6.0] * mV, 4 * ms),
            Probe("n", "v", neurons=[60, 2, 31, 30], every=3 * ms),
            Probe("one", "v"),
        ],
        dt=1 * ms,
    )


@settings(WHATEVER, max_examples=60)
@given(network=networks(plastic=False), precision=st.sampled_from(PRECISIONS))
def test_random_networks(network, precision):
    oracle = run(network, DURATION * ms, backend="clocked", precision=precision)
    for way in WAYS:
        assert_same(run(network, DURATION * ms, backend=way, precision=precision), oracle)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("network", "duration"),
    [(driven(), 60), (noisy(), 60), (one_state(ports=("exc", "inh")), 250), (mixed(), 120)],
    ids=["driven", "noisy", "one state", "mixed"],
)
def test_larger_networks(network, duration, precision):
    oracle = run(network, duration * ms, backend="clocked", precision=precision)
    assert sum(len(s) for s in oracle.spikes.values()) > 20
    for way in (*WAYS, "event:threads=2", "event:dense=bitmaps,threads=2"):
        assert_same(run(network, duration * ms, backend=way, precision=precision), oracle)


@pytest.mark.parametrize("size", [1, 2, 129, 530])
def test_counts_drawn_in_the_kernel(size):
    """Each thread draws for its own half what one would have drawn for it."""
    network = Network(
        [
            Input("x", size, PoissonCounts(30_000 * Hz), record=False),
            Population("n", size, LIF(v_threshold=1000 * mV, synapse=Delta())),
            Projection("x", "n", OneToOne(), 0.7 * mV, 0.1 * ms),
            Probe("n", "v"),
        ],
        dt=0.1 * ms,
    )
    oracle = run(network, 6 * ms, backend="clocked")
    for way in WAYS:
        assert_same(run(network, 6 * ms, backend=way), oracle)


@settings(WHATEVER, max_examples=20)
@given(
    network=networks(plastic=False),
    ways=st.lists(st.sampled_from(EITHER), min_size=3, max_size=3),
    cuts=st.lists(st.integers(1, DURATION - 1), min_size=2, max_size=2, unique=True),
)
def test_a_checkpoint_goes_on_in_any_number_of_threads(network, ways, cuts, tmp_path_factory):
    whole = run(network, DURATION * ms, backend="clocked")
    path = tmp_path_factory.mktemp("cut") / "c"
    simulation, now = Simulation(network, backend=ways[0]), 0
    for cut, way in zip(sorted(cuts), ways[1:], strict=True):
        simulation.run((cut - now) * ms)
        simulation.save(path)
        simulation.run(5 * ms)  # the copy does not care what becomes of the original
        simulation, now = Simulation(network, backend=way), cut
        simulation.restore(path)
    assert_same(simulation.run((DURATION - now) * ms), whole)


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_those_of_the_whole_network(way):
    """Looked at, replaced, kept when cleared, and given back by a checkpoint."""
    one, other = Simulation(mixed(), backend=way), Simulation(mixed(), backend="clocked")
    names = [p.name for p in mixed().projections]
    for name in names:
        assert np.array_equal(one.weights(name), other.weights(name))
    for simulation in (one, other):
        simulation.run(20 * ms)
        simulation.set_weights("x->n", simulation.weights("x->n") * 0.5)
        simulation.set_weights("hub", 4)
    assert_same(one.run(40 * ms), other.run(40 * ms))
    for simulation in (one, other):
        simulation.clear()
    for name in names:
        assert np.array_equal(one.weights(name), other.weights(name))
    assert_same(one.run(30 * ms), other.run(30 * ms))


@pytest.mark.parametrize("most", [10, 60, 150, 400, 100_000])
def test_too_many_events_are_noticed_in_the_same_tick(most):
    ended = [run(mixed(), 120 * ms, backend=way, max_pending=most) for way in ("clocked", *WAYS)]
    assert (ended[0].status == "runaway") == (most < 100_000)
    for other in ended[1:]:
        assert_same(other, ended[0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("targets", "first"), [([599, 520], 520), ([599, 20], 20), ([30, 20], 20)])
def test_the_first_that_is_not_finite_is_named(way, targets, first):
    """Whichever half it is in; spikes before that are kept, and those of its tick are not."""
    network = Network(
        [
            Input("x", 3, Train([0, 1, 1, 2] * ms, [1, 2, 0, 1])),
            Population("n", 600, LIF(synapse=Delta())),
            Projection("x", "n", Pairs([0, 1, 2], [targets[0], 1, targets[1]]), 1e308 * mV, 1 * ms),
            Projection("x", "n", Pairs([0, 2], targets), 1e308 * mV, 1 * ms, name="b"),
        ],
        dt=1 * ms,
    )
    result = run(network, 9 * ms, backend=way)
    assert_same(result, run(network, 9 * ms, backend="clocked"))
    assert (result.status, result.ticks) == ("diverged", 2)
    assert f"n[{first}]" in result.message


def test_a_thread_waits_for_one_that_is_late(monkeypatch):
    whole, call = run(mixed(), 60 * ms, backend="clocked"), _Half._call

    def late(self, stop, *rest):
        if self.half == 1:
            time.sleep(0.2)
        return call(self, stop, *rest)

    monkeypatch.setattr(_Half, "_call", late)
    assert_same(run(mixed(), 60 * ms, backend="event:threads=2"), whole)


@pytest.mark.parametrize("half", [0, 1])
def test_an_error_in_one_thread_ends_the_other_too(half, monkeypatch):
    """And is the one that is seen; a simulation that is cleared can run again."""
    simulation = Simulation(mixed(), backend="event:delivery=queue,threads=2")

    def full(self):
        raise MemoryError(f"no room in half {self.half}")

    with monkeypatch.context() as patch:
        grow = _Half._grow
        patch.setattr(_Half, "_grow", lambda self: (full if self.half == half else grow)(self))
        with pytest.raises(MemoryError, match=f"half {half}"):
            simulation.run(60 * ms)
    simulation.clear()
    assert_same(simulation.run(60 * ms), run(mixed(), 60 * ms, backend="clocked"))


def test_ctrl_c_stops_both_at_the_end_of_a_tick():
    simulation = Simulation(mixed(), backend="event:threads=2")
    simulation._session.advance(1_000_000, lambda _done: signal.raise_signal(signal.SIGINT))
    stopped = simulation.result()
    assert stopped.status == "interrupted"
    assert 0 < stopped.ticks < 1_000_000
    simulation.run(50 * ms)
    whole = run(mixed(), (stopped.ticks + 50) * ms, backend="clocked")
    assert simulation.result().compare(whole).identical


def resting(rate, v_rest=0 * mV):
    """Neurons that rest, each with 20 synapses, reached by 50 from each of 100 sources.

    ``rate``: spikes a tick of all sources together; None: they are fed.
    """
    source = None if rate is None else PoissonCounts(rate * 10 * Hz)
    rows = np.repeat(np.arange(100), 50), np.tile(np.arange(50), 100)
    among = np.repeat(np.arange(200), 20), np.arange(4000) % 199
    unit = LIF(v_rest=v_rest, v_threshold=10 * mV, synapse=Delta())
    parts = [
        Input("x", 100, source),
        Population("n", 200, unit),
        Projection("x", "n", Pairs(*rows), 0.1 * mV, 1 * ms, name="x"),
        Projection("n", "n", Pairs(*among), 0.1 * mV, 1 * ms, name="n"),
    ]
    return Network(parts, dt=1 * ms)


def test_two_threads_are_taken_where_they_help(monkeypatch):
    def threads(network, **how):
        way = run(network, 2 * ms, **how).provenance["way"]
        return way["threads"], way["why_threads"]

    monkeypatch.setattr(choice, "_processors", lambda: 2)
    assert threads(mixed()) == (1, "62 neurons are fewer than 10000")
    monkeypatch.setattr(choice, "MANY_NEURONS", 10)
    assert "synapses are fewer than 1000000" in threads(mixed())[1]
    monkeypatch.setattr(choice, "MANY_SYNAPSES", 10)
    number, why = threads(resting(0.1))
    assert (number, why[:56]) == (1, "inputs and whom they reach send 105 synaptic events a ti")
    for network in (resting(0.4), resting(0.1, v_rest=11 * mV), resting(None)):
        assert threads(network)[0] == 2
    monkeypatch.setattr(choice, "FEW_EVENTS", 0)
    number, why = threads(mixed())
    assert (number, why[:15]) == (2, "62 neurons and ")
    assert threads(mixed(), backend="event:threads=1") == (1, "asked for")
    assert threads(busy_network()) == (1, "a->a learns")
    monkeypatch.setattr(choice, "LONG_TICK", 2.0)
    assert threads(mixed()) == (1, "a tick of 1 ms is shorter than 2.0 ms")
    monkeypatch.setattr(choice, "LONG_TICK", 0.0)
    monkeypatch.setattr(choice, "_processors", lambda: 1)
    assert threads(mixed()) == (1, "there is one processor")


def test_what_cannot_be_parted_is_refused():
    for network, way, why in (
        (busy_network(), "event:threads=2", "a->a learns"),
        (mixed(), "event:threads=2,delivery=calendar", "delivery=calendar"),
    ):
        with pytest.raises(InvalidInput, match=why):
            run(network, 1 * ms, backend=way)


def test_it_is_two_sessions_side_by_side():
    simulation = Simulation(mixed(), backend="event:threads=2")
    session = simulation._session
    assert isinstance(session, ThreadedSession)
    assert [h.lowered.populations[0].size for h in session.halves] == [31, 30]
