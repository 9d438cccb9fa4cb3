"""Neurons looked at 16 at a time: the same bits, whatever becomes of some of the 16.

``random_networks.py`` has populations of up to 8 neurons; here all of up to 70 may be reached
in one tick, of which some fire, some are refractory, some have waited long.
"""

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
    Input,
    LinearUnit,
    MOhm,
    Network,
    OneToOne,
    Pairs,
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
from spikecore.backends.event.batch_lif import record_layout
from spikecore.backends.event.horizons import FAR, GRID
from spikecore.backends.event.packed import W
from spikecore.units import Port

WAYS = [
    "event:delivery=ring,neurons=wheel",
    "event:delivery=queue,neurons=wheel",
    "event:delivery=ring,neurons=auto",
]
TICKS = 300

pytestmark = pytest.mark.usefixtures("fast_ways")


def two_states(threshold, refractory):
    """A current and a membrane, of which either may hold while refractory."""
    return LinearUnit(
        name="two",
        states=("i", "v"),
        dimensions=("current", "voltage"),
        A=np.array([[[-0.25, 0.0], [0.3, -0.05]]]),
        b=np.array([[0.0, 0.02]]),
        rest=np.array([[0.0, 0.0]]),
        ports={"exc": Port("i", "current"), "inh": Port("i", "current", -1)},
        h=np.array([0.0, 1.0]),
        threshold=np.array([threshold]),
        reset={"v": np.array([0.0])},
        refractory=np.array([refractory]),
    )


@st.composite
def units(draw):
    """Units of one, two and three states, at rest below or above the threshold."""
    refractory, kind = draw(st.sampled_from([0, 1, 7, 70])), draw(st.integers(1, 3))
    level = draw(st.sampled_from([3.0, 10.0, 1e6]))
    if kind == 2:
        return two_states(level, float(refractory)), nA
    tau = draw(st.sampled_from([5.0, 20.0])), draw(st.sampled_from([2.0, 10.0, 20.0]))
    unit = LIF(
        tau_m=20 * ms,
        v_rest=draw(st.sampled_from([0.0, 0.5 * level, 1.2 * level])) * mV,
        v_reset=-2 * mV,
        v_threshold=level * mV,
        refractory=refractory * ms,
        resistance=draw(st.sampled_from([1.0, 8.0])) * MOhm,
        synapse=Delta() if kind == 1 else Exponential(tau[0] * ms, tau[1] * ms),
    )
    return unit, mV if kind == 1 else nA


@st.composite
def volleys(draw):
    """Volleys that reach many neurons in one tick, with long breaks, and what they send back."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, (unit, weight) = draw(st.integers(1, 70)), draw(units())
    when = rng.integers(0, TICKS, draw(st.integers(1, 25)))
    share = draw(st.sampled_from([0.1, 0.5, 1.0]))
    events = [(t, who) for t in np.unique(when) for who in np.flatnonzero(rng.random(n) < share)]
    tick, who = np.array(events, np.int64).reshape(-1, 2).T
    ports = ["exc", "inh"][: draw(st.integers(1, 2))]
    every = np.arange(n)
    strength = draw(st.sampled_from([0.5, 2.0, 8.0]))
    parts = [
        Input("x", n, Train(tick * ms, who)),
        Population("n", n, unit),
        *(
            Projection(
                "x", "n", RandomPairs(0.3), strength * weight / k, k * ms, port=port, name=port
            )
            for k, port in enumerate(ports, 1)
        ),
        Projection(
            "x", "n", Pairs(every, every), rng.integers(-2, 9, n) * weight, 3 * ms, name="own"
        ),
        Projection("n", "n", RandomPairs(0.1), 0.5 * weight, 90 * ms, name="back"),
    ]
    if draw(st.booleans()):
        parts.append(Probe("n", "v", every=draw(st.sampled_from([1, 7, 50])) * ms))
    return Network(parts, dt=1 * ms)


@settings(WHATEVER, max_examples=150)
@given(network=volleys(), precision=st.sampled_from(PRECISIONS))
def test_volleys(network, precision):
    oracle = run(network, TICKS * ms, backend="clocked", precision=precision)
    for way in WAYS:
        assert_same(run(network, TICKS * ms, backend=way, precision=precision), oracle)


@settings(WHATEVER, max_examples=20)
@given(network=volleys(), cut=st.integers(1, TICKS - 1), opened=st.sampled_from(WAYS))
def test_volleys_in_pieces(network, cut, opened, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "c"
    one = Simulation(network, backend=WAYS[0])
    one.run(cut * ms)
    one.save(path)
    other = Simulation(network, backend=opened)
    other.restore(path)
    whole = run(network, TICKS * ms, backend="clocked")
    assert_same(other.run((TICKS - cut) * ms), whole)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("ports", [("exc",), ("exc", "inh")])
def test_all_kinds_in_one_vector(ports, precision):
    """In tick 100: some fire, some are refractory, some leave it, some have waited for long."""
    n, unit = 40, LIF(v_rest=0 * mV, v_threshold=10 * mV, refractory=30 * ms, synapse=Delta())
    who = np.arange(n)
    fires_before = np.where(who % 5 == 0, 60, np.where(who % 5 == 1, 80, -1))
    sent = fires_before >= 0
    first = np.append(fires_before[sent], np.full(n, 100))
    order = np.argsort(first, kind="stable")
    train = Train(first[order] * ms, np.append(who[sent], n + who)[order])
    own = np.where(who % 5 == 2, 20.0, 1.0)
    parts = [
        Input("x", 2 * n, train),
        Population("n", n, unit),
        Projection("x", "n", Pairs(who, who), 20 * mV, 1 * ms, name="first"),
        *(
            Projection("x", "n", Pairs(n + who, who), (own / k) * mV, 1 * ms, port, name=port)
            for k, port in enumerate(ports, 1)
        ),
        Probe("n", "v"),
    ]
    network = Network(parts, dt=1 * ms)
    oracle = run(network, 150 * ms, backend="clocked", precision=precision)
    assert np.unique(oracle.spikes["n"].times).size == 3
    for way in WAYS:
        assert_same(run(network, 150 * ms, backend=way, precision=precision), oracle)


def unlike(weight, who):
    """Weights that differ; where all are the same, who is reached is not listed."""
    return (weight + 0.25 * (np.array(who) % 4)) * mV


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("inhibition", [15.0, 5.0])
def test_who_is_reached_through_both_ports_in_a_tick(inhibition, precision):
    """Nobody fires by what has come through the first port before the second has been added."""
    n = 70
    excited = [i for i in range(n) if i != 20]
    inhibited = [i for i in range(n) if i % 3 != 0]
    parts = [
        Input("x", 2, Train([10, 10, 50, 90] * ms, [0, 1, 0, 1])),
        Population("n", n, LIF(v_rest=0 * mV, v_threshold=10 * mV, synapse=Delta())),
        *(
            Projection("x", "n", Pairs([source] * len(who), who), w, 1 * ms, port, name=port)
            for source, port, who, w in (
                (0, "exc", excited, unlike(20.0, excited)),
                (1, "inh", inhibited, unlike(inhibition, inhibited)),
            )
        ),
        Probe("n", "v"),
    ]
    network = Network(parts, dt=1 * ms)
    oracle = run(network, 120 * ms, backend="clocked", precision=precision)
    first = oracle.spikes["n"].ticks < 20
    kept_down = set(excited) & set(inhibited) if inhibition > 10.0 else set()
    assert set(oracle.spikes["n"].neurons[first]) == set(excited) - kept_down
    for way in WAYS:
        assert_same(run(network, 120 * ms, backend=way, precision=precision), oracle)


@pytest.mark.parametrize("late", [False, True])
def test_a_state_that_one_port_takes_too_far_is_not_mended_by_the_other(late):
    """As everywhere: infinite after the first port, whatever comes through the second."""
    n, who = 70, [i for i in range(70) if i != 20]

    def sends(name, who, weight, port="exc"):
        return Projection("x", "n", Pairs([0] * len(who), who), weight, 1 * ms, port, name=name)

    exc = sends("exc", who, 1e308 * unlike(0.5, who))
    more = sends("more", [9, 40], [1.5e308, 1.6e308] * mV)
    inh = sends("inh", [9, 11], [1.2e308, 1.3e308] * mV, "inh")
    parts = [
        Input("x", 1, Train([30 if late else 0] * ms, [0])),
        Population("n", n, LIF(v_threshold=1e6 * mV, synapse=Delta())),
        *(exc, more, inh),
    ]
    network = Network(parts, dt=1 * ms)
    oracle = run(network, 40 * ms, backend="clocked")
    assert oracle.status == "diverged"
    for way in WAYS:
        result = run(network, 40 * ms, backend=way)
        assert (result.status, result.message) == ("diverged", oracle.message)


@pytest.mark.parametrize("delivery", ["ring", "queue"])
@pytest.mark.parametrize("n", [16, 17, 37])
def test_the_first_of_a_vector_that_is_not_finite_is_named(n, delivery):
    who = np.arange(n)
    parts = [
        Input("x", n, Train(np.zeros(n) * ms, who)),
        Population("n", n, LIF(v_threshold=1 * mV, synapse=Delta())),
        Projection("x", "n", OneToOne(), 1 * mV, 1 * ms, name="each"),
        *(
            Projection("x", "n", Pairs([n - 1, 9], [n - 1, 9]), 1e308 * mV, 1 * ms, name=name)
            for name in ("a", "b")
        ),
    ]
    network = Network(parts, dt=1 * ms)
    way = f"event:delivery={delivery},neurons=wheel"
    results = [run(network, 9 * ms, backend=b) for b in (way, "clocked")]
    assert [r.status for r in results] == ["diverged", "diverged"]
    assert results[0].message == results[1].message
    assert "n[9]" in results[0].message


def test_a_bound_is_found_by_the_first_bits_of_the_number_of_ticks():
    """The bound that is asked covers at least as many ticks as are wanted, and not many more."""
    for ticks in range(1, GRID[-1] + 1):
        bits = int(np.float32(ticks).view(np.int32))
        step = ((bits + (1 << 21) - 1) >> 21) - 127 * 4
        assert ticks <= GRID[step] < max(2, 1.25 * ticks)
    assert GRID[-1] < FAR


def test_who_is_looked_at_in_vectors():
    """Populations like LIF, whatever their number of states; no others."""

    def records(unit, weight):
        parts = [
            Input("x", 20, Train([0] * ms, [0])),
            Population("n", 20, unit),
            Projection("x", "n", OneToOne(), 1 * weight, 1 * ms),
        ]
        row = Simulation(Network(parts), backend=WAYS[0])._session.fast.part[0]
        return row[W.ROWS_0] >= 0, (row[W.TICKS], row[W.WIDTH])

    assert records(LIF(synapse=Delta()), mV) == (True, (1, 4))
    assert records(two_states(1.0, 0.0), nA) == (True, (3, 8))
    assert records(LIF(synapse=Exponential(5 * ms, 9 * ms)), nA) == (True, (3, 8))
    tau = np.linspace(5, 9, 20) * ms
    assert records(LIF(tau_m=tau, synapse=Delta()), mV) == (False, record_layout(1, like_lif=False))
