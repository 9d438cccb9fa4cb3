"""To NIR and back: the same spikes."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_networks import counter, feed, pair, there_and_back

from spikecore import (
    LIF,
    Delta,
    Exponential,
    Hz,
    Input,
    LinearUnit,
    MOhm,
    Network,
    Pairs,
    Poisson,
    Population,
    Probe,
    Projection,
    Spikes,
    ms,
    mV,
    nA,
    run,
)
from spikecore_hardware.nir_exchange import from_nir, to_nir
from spikecore_hardware.nir_exchange.conventions import from_seconds, to_seconds

decimals = st.integers(1, 999).map(lambda n: n / 10)


@st.composite
def networks(draw):
    """Networks that NIR can say: parameters are decimals, weights anything."""
    dt = draw(st.sampled_from([0.1, 0.25, 1.0, 3.7]))
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    groups = [Input("in", 6, Poisson(200 / dt * Hz))]
    for name in draw(st.permutations(["zeta", "alpha", "middle"])):
        groups.append(Population(name, 5, draw(units(5))))
    parts = list(groups)
    ends = st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans())
    pairs = [(0, draw(st.integers(1, 3)), False), *draw(st.lists(ends, min_size=2, max_size=6))]
    for number, (pre, post, inhibits) in enumerate(pairs):
        source, target = groups[pre], groups[post]
        level = 15.0 if isinstance(target.unit, LIF) else 5.0
        signs = [1.0] if inhibits else [1.0, 1.0, 1.0, -1.0]
        cells = np.unique([0, *np.flatnonzero(rng.random(source.size * 5) < 0.6)])
        size = level / 3 * rng.random(cells.size) * rng.choice(signs, cells.size)
        ties = rng.random(cells.size) < 0.3
        size = np.where(ties, np.where(size < 0, -level, level) / 3, size)
        dimension = nA if "i_exc" in target.linear.states else mV
        gain = float(target.unit.resistance.value) if dimension == nA else 1.0
        parts.append(
            Projection(
                source.name,
                target.name,
                Pairs(cells // 5, cells % 5),
                weight=size * 4 / gain * dimension if dimension == nA else size * dimension,
                delay=rng.integers(1, 6, cells.size) * dt * ms,
                rounding="nearest",
                port="inh" if inhibits else "exc",
                name=f"p{9 - number}",
            )
        )
    return Network(parts, dt=dt * ms)


@st.composite
def units(draw, size):
    kind = draw(st.sampled_from(["delta", "exponential", "several", "if", "threshold"]))
    if kind == "if":
        return counter(reset=-draw(decimals))
    if kind == "threshold":
        return counter(reset=None, leak=0.5)
    tau = draw(decimals)
    if kind == "several":
        tau = np.array(draw(st.lists(decimals, min_size=size, max_size=size)))
    voltages = {"v_rest": -65 * mV, "v_reset": (-60 - draw(decimals)) * mV}
    if kind == "exponential":
        rise = draw(decimals) * ms
        resistance = draw(decimals) * MOhm
        return LIF(
            tau_m=tau * ms, resistance=resistance, synapse=Exponential(rise, rise), **voltages
        )
    return LIF(tau_m=tau * ms, synapse=Delta(), **voltages)


@given(whole=st.integers(1, 10**15 - 1), places=st.integers(0, 17))
def test_what_has_fifteen_digits_comes_back_through_seconds(whole, places):
    value = float(f"{whole}e-{places}")
    assert from_seconds(to_seconds(value)) == value


def test_a_projection_of_both_signs_stays_one_at_its_port():
    wired = Pairs([0, 1, 2], [0, 0, 1])
    unit = LIF(synapse=Exponential())
    parts = [Input("in", 3), Population("n", 2, unit)]
    parts += [Projection("in", "n", wired, weight=[1.0, -0.5, 2.0] * nA, delay=1 * ms, name="w")]
    (p,) = there_and_back(Network(parts)).projections
    assert (p.name, p.port) == ("w", "exc")
    assert sorted(p.weight.value) == [-0.5, 1.0, 2.0]


@settings(max_examples=40, deadline=None)
@given(network=networks())
def test_what_comes_back_from_a_file_gives_the_same_spikes(network):
    first = run(network, 150 * network.dt * ms, seed=3)
    back = there_and_back(network, seed=3)
    assert [g.name for g in back.groups] == [g.name for g in network.groups]
    second = feed(back, first.spikes, 150 * network.dt * ms)
    assert first.compare(second).identical


@pytest.mark.parametrize("steps", [1, 2])
def test_what_has_come_back_can_go_again(steps):
    network = pair(LIF(synapse=Delta()), weight=9 * mV)
    for _ in range(steps):
        network = there_and_back(network)
    again = there_and_back(network)
    assert again.hash == network.hash


DRIVEN = {
    "LIF": LIF(tau_m=20 * ms, resistance=2 * MOhm, i_offset=[8, 9.5] * nA, synapse=Delta()),
    "IF": replace(counter(), b=np.full((1, 1), 0.25)),
}


@pytest.mark.parametrize(("kind", "input_"), [("LIF", [16, 19]), ("IF", [250, 250])])
def test_a_constant_current_comes_back(kind, input_):
    network = pair(DRIVEN[kind])
    graph = to_nir(network)
    np.testing.assert_allclose(graph.nodes["n"].r * graph.nodes["in->n"].bias, input_)
    trains = {"in": Spikes(np.array([50, 400]), np.array([0, 1]), 0.1)}
    first, second = (feed(n, trains, 300 * ms) for n in (network, there_and_back(network)))
    assert first.spikes["n"].ticks.size > 4
    assert first.compare(second).identical


def test_a_population_that_hears_nothing_comes_back():
    unit = LIF(synapse=Delta())
    network = pair(unit, dt=1 * ms, delay=1 * ms)
    alone = Population("alone", 2, unit)
    back = there_and_back(Network([*network.groups, alone, *network.projections]))
    assert [g.name for g in back.groups] == ["in", "n", "alone"]


def test_an_input_that_was_added_to_our_graph_is_not_dropped():
    graph = to_nir(pair(LIF(synapse=Delta())))
    graph.nodes["input_n"] = nir.Input({"input": np.array([2])})
    graph.edges.append(("input_n", "n"))
    assert [g.name for g in from_nir(graph, 0.1 * ms).inputs] == ["in", "input_n"]


def test_a_unit_that_never_fires_comes_back():
    silent = LIF(tau_m=20 * ms, synapse=Delta()).linear
    unit = LinearUnit(
        name="li",
        states=("v",),
        dimensions=("voltage",),
        A=silent.A,
        b=silent.b,
        rest=np.zeros((1, 1)),
        ports=silent.ports,
        h=np.ones(1),
        threshold=np.full(1, np.inf),
        reset={},
        refractory=np.zeros(1),
    )
    network = pair(unit, weight=900 * mV)
    graph = to_nir(network)
    assert isinstance(graph.nodes["n"], nir.LI)
    trains = {"in": Spikes(np.array([5]), np.array([0]), 0.1)}
    values = []
    for found in (network, there_and_back(network)):
        probed = [*found.inputs, *found.populations, *found.projections, Probe("n", "v")]
        result = feed(Network(probed, dt=0.1 * ms), trains, 10 * ms)
        assert not result.spikes["n"].ticks.size
        values.append(result.traces["n.v"].values)
    assert values[0].max() > 800
    np.testing.assert_array_equal(*values)
