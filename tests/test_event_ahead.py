"""Blocks of time for feed-forward input give the same bits as going tick by tick."""

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
    MOhm,
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
from spikecore.backends.event import ahead, ahead_session, choice, packed
from spikecore.backends.event.choice import BLOCKS

TICKS = 120
AHEAD = [f"event:ahead=blocks,dense=lists,delivery={d}" for d in ("ring", "queue")]
STREAMED = "event:ahead=off,delivery=queue"

pytestmark = pytest.mark.usefixtures("fast_ways")


@pytest.fixture(autouse=True, scope="module")
def blocks_for_small_networks():
    """What is chosen for large populations is tried on small ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "LEAST", -1)
        patch.setattr(ahead, "STRETCH", {4: 0, 8: 0})
        yield


@st.composite
def trains(draw, size, rng):
    """Spikes with ties, several of a neuron in one tick, in the last tick; or none, or few."""
    number = draw(st.sampled_from([0, 3, 60, 400]))
    last = draw(st.sampled_from([TICKS, TICKS // 3]))
    ticks = np.sort(np.append(rng.integers(0, last, number), [last - 1] * min(number, 2)))
    return Train(ticks * ms, rng.integers(0, size, ticks.size))


@st.composite
def leaf_units(draw):
    synapse = draw(
        st.sampled_from([Delta(), Exponential(3 * ms, 7 * ms), Exponential(20 * ms, 20 * ms)])
    )
    return LIF(
        tau_m=draw(st.sampled_from([5.0, 20.0])) * ms,
        refractory=draw(st.sampled_from([0, 2, 90])) * ms,
        resistance=4 * MOhm,
        synapse=synapse,
    ), (mV if isinstance(synapse, Delta) else nA)


@st.composite
def feed_forward(draw, alone=False):
    """Inputs onto populations that send to nobody, and others that do."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts, sizes = [], {}
    for name in ("x", "y")[: draw(st.integers(1, 2))]:
        sizes[name] = draw(st.sampled_from([1, 9, 40]))
        given = st.one_of(trains(sizes[name], rng), st.just(PoissonCounts(900 * Hz)))
        parts.append(Input(name, sizes[name], draw(given), record=draw(st.booleans())))
        if isinstance(parts[-1].source, PoissonCounts):
            parts[-1] = Input(name, sizes[name], PoissonCounts(900 * Hz))

    def projection(source, target, unit, k, port="exc"):
        n = draw(st.sampled_from([1, 50, 300]))
        pre, post = rng.integers(0, sizes[source], n), rng.integers(0, sizes[target], n)
        weight = rng.normal(1.5, 1.0, n) if draw(st.booleans()) else 2.0
        weight = abs(weight) if port == "inh" else weight  # such a port subtracts already
        most = draw(st.sampled_from([1, 9, 100]))
        delay = rng.integers(1, most + 1, n) if draw(st.booleans()) else most
        wiring = Pairs(pre, post, duplicates=True)
        label = f"{source}-{target}-{k}"
        return Projection(source, target, wiring, weight * unit, delay * ms, port, name=label)

    inputs = list(sizes)
    for name in ("a", "b")[: draw(st.integers(1, 2))]:
        unit, kind = draw(leaf_units())
        sizes[name] = draw(st.sampled_from([1, 63, 64, 65, 200]))
        parts.append(Population(name, sizes[name], unit))
        for k in range(draw(st.integers(1, 3))):
            source, port = draw(st.sampled_from(inputs)), draw(st.sampled_from(["exc", "inh"]))
            parts.append(projection(source, name, kind, k, port))
    if not alone and draw(st.booleans()):
        sizes["r"] = 20
        parts.append(Population("r", 20, LIF(synapse=Delta())))
        parts.append(projection(draw(st.sampled_from(inputs)), "r", 9 * mV, 0))
        parts.append(Projection("r", "r", RandomPairs(0.3), 3 * mV, draw(st.integers(1, 9)) * ms))
        parts.append(Probe("r", "v"))
    return Network(parts, dt=1 * ms)


@settings(WHATEVER, max_examples=40)
@given(network=feed_forward(), precision=st.sampled_from(PRECISIONS), room=st.sampled_from([1, 9]))
def test_blocks_give_the_same_bits(network, precision, room):
    """Also with few neurons in a tile, and little room for spikes and for rows to be counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead_session, "ROOM", room)
        patch.setattr(packed, "LOG", room)
        patch.setattr(ahead, "WIDEST", 64 * room)
        patch.setattr(ahead, "SHORTEST_LIMIT", 4)
        oracle = run(network, TICKS * ms, backend="clocked", precision=precision)
        for way in (*AHEAD, STREAMED):
            result = run(network, TICKS * ms, backend=way, precision=precision)
            assert_same(result, oracle)
            for name in result.spikes:
                assert np.array_equal(result.spikes[name].ticks, oracle.spikes[name].ticks)
                assert np.array_equal(result.spikes[name].neurons, oracle.spikes[name].neurons)


@settings(WHATEVER, max_examples=40)
@given(
    network=feed_forward(),
    way=st.sampled_from(AHEAD),
    cuts=st.lists(st.integers(1, TICKS - 1), min_size=1, max_size=4, unique=True),
    opened=st.sampled_from([*AHEAD, STREAMED, "event:ahead=off,delivery=ring"]),
)
def test_pieces_and_checkpoints(network, way, cuts, opened, tmp_path_factory):
    """Cut anywhere, saved, and opened in this or another way; states are equal at each cut."""
    whole = run(network, TICKS * ms, backend="clocked")
    path = tmp_path_factory.mktemp("cut") / "c"
    simulation, streamed, now = (
        Simulation(network, backend=way),
        Simulation(network, backend=STREAMED),
        0,
    )
    for cut in sorted(cuts):
        simulation.run((cut - now) * ms)
        streamed.run((cut - now) * ms)
        assert_same_state(simulation, streamed)
        simulation.save(path)
        simulation.run(5 * ms)  # the copy does not care what becomes of the original
        way, opened = opened, way
        simulation, now = Simulation(network, backend=way), cut
        simulation.restore(path)
    assert_same(simulation.run((TICKS - now) * ms), whole)


def assert_same_state(one, other):
    """Compare what a checkpoint keeps: states, what is under way (in sums), counters."""
    a, b = (s._session.snapshot() for s in (one, other))
    for name in a:
        if name.startswith(("x_x_", "x_last_", "x_until_", "spike_", "x_flight_events")):
            assert np.array_equal(a[name], b[name]), name
    for k, v in one._session.counters.items():
        assert k == "updates" or v == other._session.counters[k], k
    assert in_sums(a) == in_sums(b)


def in_sums(state):
    found: dict[tuple[int, int], float] = {}
    for at in zip(*(state[f"x_flight_{name}"] for name in ("ahead", "cell", "value")), strict=True):
        key = int(at[0]), int(at[1])
        found[key] = found[key] + at[2] if key in found else at[2]
    return found


def layer(rate=900.0, n=300, parts=(), **how):
    """A sheet of inputs, a layer behind it, with a delay for each synapse."""
    rng = np.random.default_rng(7)
    pre, post = np.repeat(np.arange(n), 8), (np.repeat(np.arange(n), 8) + np.tile(np.arange(8), n))
    return Network(
        [
            Input("x", n, Poisson(rate * Hz), **how),
            Population("n", n, LIF(synapse=Delta())),
            Projection(
                "x",
                "n",
                Pairs(pre, post % n),
                rng.uniform(0, 6, pre.size) * mV,
                rng.integers(1, 30, pre.size) * ms,
            ),
            *parts,
        ],
        dt=1 * ms,
    )


def said(network, duration=200 * ms, **how):
    return run(network, duration, **how).provenance["way"].get("ahead")


def test_it_is_chosen_where_much_is_sent_and_runs_are_long():
    assert said(layer()) == {"n": BLOCKS}
    little = {"n": "little was sent to it, or only for short runs"}
    assert said(layer(rate=1.0)) == little
    assert said(layer(), 10 * ms) == little
    assert said(layer(), backend="event:ahead=off") is None
    assert said(layer(), backend="event:neurons=wheel") is None
    assert said(layer(), backend="event:delivery=calendar") is None
    assert said(layer(rate=1.0), 5 * ms, backend="event:ahead=blocks") == {"n": BLOCKS}
    result = run(layer(), 200 * ms)
    assert result.provenance["way"]["neurons"] == {"n": "sweep"}
    assert_same(result, run(layer(), 200 * ms, backend="clocked"))


def test_it_is_not_chosen_where_it_gains_nothing(monkeypatch):
    monkeypatch.setattr(ahead, "STRETCH", {4: 0, 8: 9})
    assert "synapses of a row lie close together" in said(layer())["n"]
    monkeypatch.setattr(ahead, "STRETCH", {4: 0, 8: 0})
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 1000)
    assert "more than 0.001 MB" in said(layer())["n"]
    monkeypatch.setattr(ahead, "KEY_BITS", 4)
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 10**9)
    assert said(layer())["n"] == "there are too many synapses to be sorted by tile"
    monkeypatch.setattr(ahead, "LEAST", 10**6)
    assert said(layer()) is None


def test_short_runs_go_tick_by_tick_after_a_while_and_back():
    one, other = Simulation(layer()), Simulation(layer(), backend="clocked")
    session = one._session
    for duration, active in ((50, 1), (3, 1), (3, 1), (3, 0), (3, 0), (60, 1)):
        results = [s.run(duration * ms) for s in (one, other)]
        assert_same(*results)
        assert len(session._active) == active


def test_a_rate_that_comes_and_goes():
    """Blocks while there is much to do; states and arrivals change over, both ways."""
    rng = np.random.default_rng(2)
    ticks = np.sort(np.concatenate([rng.integers(0, 80, 9000), rng.integers(300, 380, 9000)]))
    train = Train(ticks * ms, rng.integers(0, 300, ticks.size))
    pre = np.repeat(np.arange(300), 8)
    network = Network(
        [
            Input("x", 300, train, record=False),
            Population("n", 300, LIF(synapse=Exponential(3 * ms, 9 * ms), resistance=5 * MOhm)),
            Projection(
                "x",
                "n",
                Pairs(pre, (pre + np.tile(np.arange(8), 300)) % 300),
                1 * nA,
                rng.integers(1, 30, pre.size) * ms,
            ),
        ],
        dt=1 * ms,
    )
    one, other = Simulation(network), Simulation(network, backend="clocked")
    active = []
    for _ in range(10):
        assert_same(*(s.run(50 * ms) for s in (one, other)))
        active.append(len(one._session._active))
    assert active == [1, 1, 0, 0, 0, 0, 1, 1, 0, 0]


def test_weights_set_between_blocks():
    one, other = (Simulation(layer(), backend=b) for b in (AHEAD[0], "clocked"))
    for _ in range(2):
        assert_same(*(s.run(40 * ms) for s in (one, other)))
        for s in (one, other):
            s.set_weights("x->n", s.weights("x->n") * 0.5)
    assert_same(*(s.run(40 * ms) for s in (one, other)))
    for s in (one, other):
        s.clear()
    assert_same(*(s.run(40 * ms) for s in (one, other)))


def test_spikes_that_are_fed():
    one, other = (Simulation(layer(rate=0.0), backend=b) for b in (AHEAD[1], "clocked"))
    for s in (one, other):
        s.feed("x", [3, 3, 9] * ms, [1, 1, 5])
    assert_same(*(s.run(60 * ms) for s in (one, other)))


@pytest.mark.parametrize("where", ["alone", "n", "r"])
@pytest.mark.parametrize("way", AHEAD)
def test_the_first_that_is_not_finite_is_named(way, where):
    """In the middle of a block: in a population that runs ahead, or in another."""

    def twice(target, pre, post, weight):
        wiring, names = Pairs(pre, post), [f"{target}{k}" for k in range(2)]
        return [Projection("x", target, wiring, weight * mV, 2 * ms, name=n) for n in names]

    weight = {name: 1.0 if name == "r" and where == "n" else 1e308 for name in ("n", "r")}
    weight["n"] = 1.0 if where == "r" else 1e308
    network = Network(
        [
            Input("x", 3, Train([0, 1, 1, 7] * ms, [2, 1, 0, 2])),
            Population("n", 600, LIF(synapse=Delta())),
            *twice("n", [0, 1, 2], [599, 1, 520], weight["n"]),
        ]
        + (
            []
            if where == "alone"
            else [
                Population("r", 2, LIF(synapse=Delta())),
                *twice("r", [0, 1], [0, 1], weight["r"]),
                Projection("r", "r", Pairs([0], [1]), 1 * mV, 1 * ms),
            ]
        ),
        dt=1 * ms,
    )
    result = run(network, 30 * ms, backend=way)
    assert (result.status, result.ticks) == ("diverged", 3 if where == "r" else 2)
    assert ("r[0]" if where == "r" else "n[520]") in result.message
    assert_same(result, run(network, 30 * ms, backend="clocked"))


@pytest.mark.parametrize("most", [200, 3000, 90_000])
@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("way", AHEAD)
def test_too_many_events_end_the_run_in_the_same_tick(way, others, most):
    more = [
        Population("r", 40, LIF(synapse=Delta())),
        Projection("x", "r", RandomPairs(0.1), 5 * mV, 3 * ms),
        Projection("r", "r", RandomPairs(0.5), 2 * mV, 9 * ms),
    ]
    network = layer(parts=more if others else ())
    ended = [run(network, 90 * ms, backend=b, max_pending=most) for b in (way, "clocked")]
    assert_same(*ended)
    assert (ended[0].status == "runaway") == (most < 90_000)


def test_what_cannot_run_ahead_is_refused_and_said():
    stdp = PairSTDP(20 * ms, 20 * ms, 0.1 * mV, 0.1 * mV, w_max=9 * mV)
    unit, x = LIF(synapse=Delta()), Input("x", 4, Poisson(90 * Hz))
    drawn = Input("x", 4, PoissonCounts(90 * Hz), record=False)
    own = LIF(synapse=Delta(), tau_m=[9, 10, 11, 12] * ms)

    def net(*parts, unit=unit, x=x, **how):
        onto = Projection("x", "n", OneToOne(), 1 * mV, 1 * ms, **how)
        return Network([x, Population("n", 4, unit), onto, *parts])

    for network, why in [
        (net(Projection("n", "n", OneToOne(), 1 * mV, 1 * ms)), "does not come from an input"),
        (net(plasticity=stdp), "x->n learns"),
        (net(Probe("n", "v")), "it is probed"),
        (net(unit=own), "its unit is not swept in vectors"),
        (net(x=drawn), "x may be drawn where it arrives"),
        (Network([Population("n", 4, unit)]), "nothing reaches it"),
    ]:
        with pytest.raises(InvalidInput, match=why):
            run(network, 5 * ms, backend="event:ahead=blocks")
        result = run(network, 5 * ms)
        assert "ahead" not in result.provenance["way"]
    two = net(Population("m", 4, unit), Projection("n", "m", OneToOne(), 1 * mV, 1 * ms))
    with pytest.raises(InvalidInput, match=r"n: it sends; m: n->m does not come"):
        run(two, 5 * ms, backend="event:ahead=blocks")
    for others in ("delivery=calendar", "neurons=wheel"):
        with pytest.raises(InvalidInput, match="sweeps neurons in blocks of time"):
            run(net(), 5 * ms, backend=f"event:ahead=blocks,{others}")


def test_blocks_go_in_one_thread(monkeypatch, tmp_path):
    monkeypatch.setattr(choice, "MANY_NEURONS", 0)
    monkeypatch.setattr(choice, "MANY_SYNAPSES", 0)
    monkeypatch.setattr(choice, "_processors", lambda: 2)
    network = layer()
    one, other = (Simulation(network, backend=b) for b in ("event", "event:ahead=off"))
    results = [s.run(100 * ms) for s in (one, other)]
    assert_same(*results)
    way, plain = (r.provenance["way"] for r in results)
    assert (way["threads"], way["why_threads"]) == (1, "blocks of time go in one thread")
    assert way["ahead"] == {"n": BLOCKS}
    assert plain["threads"] == 2
    asked = run(network, 100 * ms, backend="event:threads=2")
    assert "ahead" not in asked.provenance["way"]
    for saved, opened in ((one, "event:ahead=off"), (other, "event")):
        saved.save(tmp_path / "c")
        again = Simulation(network, backend=opened)
        again.restore(tmp_path / "c")
        assert_same(again.run(50 * ms), run(network, 150 * ms, backend="clocked"))
    more = [
        Population("r", 9, LIF(synapse=Delta())),
        Projection("x", "r", RandomPairs(0.1), 5 * mV, 3 * ms),
        Projection("r", "r", RandomPairs(0.5), 2 * mV, 9 * ms),
    ]
    found = run(layer(parts=more), 100 * ms).provenance["way"]
    assert found["threads"] == 2
    assert "ahead" not in found
    with pytest.raises(InvalidInput, match="one thread only"):
        run(network, 1 * ms, backend="event:ahead=blocks,threads=2")


def test_bitmaps_stay_bitmaps():
    network = Network(
        [
            Input("x", 30, Poisson(90 * Hz)),
            Population("n", 100, LIF(synapse=Delta())),
            Population("m", 100, LIF(synapse=Delta())),
            Projection("x", "n", RandomPairs(0.9), 1 * mV, 1 * ms),
            Projection("x", "m", Pairs(np.arange(30), np.arange(30)), np.ones(30) * mV, 2 * ms),
        ],
        dt=1 * ms,
    )
    forced = run(network, 90 * ms, backend="event:ahead=blocks,delivery=ring")
    assert forced.provenance["way"]["ahead"] == {"n": "x->n is kept as bitmaps", "m": BLOCKS}
    assert_same(forced, run(network, 90 * ms, backend="clocked"))
