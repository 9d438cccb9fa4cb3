"""NIR: units, round trips with the same spikes, another reader, and what is refused."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from itertools import pairwise

import fault_cases_nir
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import (
    LIF,
    AllToAll,
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
    RandomPairs,
    Simulation,
    Spikes,
    Uniform,
    ms,
    mV,
    nA,
    run,
)
from spikecore.cli import main
from spikecore.units import Port
from spikecore_hardware.nir_exchange import NIRRefused, from_nir, read_nir, to_nir, write_nir
from spikecore_hardware.nir_exchange.conventions import from_seconds, to_seconds


def feed(network, trains, duration, **options):
    """Run a network whose inputs get the spikes of ``trains`` (name to Spikes)."""
    simulation = Simulation(network, **options)
    for source in network.inputs:
        spikes = trains[source.name]
        simulation.feed(source.name, spikes.times * ms, spikes.neurons)
    return simulation.run(duration)


def there_and_back(network, **options):
    buffer = io.BytesIO()
    nir.write(buffer, to_nir(network, **options))
    buffer.seek(0)
    return from_nir(nir.read(buffer), network.dt * ms)


def pair(unit, dt=0.1 * ms, weight=2 * mV, port="exc", delay=0.3 * ms):
    parts = [Input("in", 3), Population("n", 2, unit)]
    parts += [Projection("in", "n", AllToAll(), weight=weight, delay=delay, port=port)]
    return Network(parts, dt=dt)


def counter(threshold=5.0, reset=0.0, size=1, leak=0.0):
    """Return an integrator, or (reset None) something that does not reset."""
    return LinearUnit(
        name="counter",
        states=("v",),
        dimensions=("voltage",),
        A=np.full((size, 1, 1), -leak),
        b=np.zeros((size, 1)),
        rest=np.zeros((size, 1)),
        ports={"exc": Port("v", "voltage"), "inh": Port("v", "voltage", -1)},
        h=np.ones(1),
        threshold=np.full(size, threshold),
        reset={} if reset is None else {"v": np.full(size, reset)},
        refractory=np.zeros(size),
    )


# -- units and values --------------------------------------------------------------------


def test_a_lif_neuron_has_seconds_millivolts_from_rest_and_pulses_of_a_tick():
    graph = to_nir(pair(LIF(tau_m=20 * ms, v_reset=-70 * mV, synapse=Delta())))
    node = graph.nodes["n"]
    assert isinstance(node, nir.LIF)
    for name, value in {
        "tau": 0.02,
        "r": 200.0,  # tau / dt
        "v_leak": 0.0,
        "v_threshold": 15.0,
        "v_reset": -5.0,
    }.items():
        np.testing.assert_allclose(getattr(node, name), [value, value], rtol=1e-15, err_msg=name)
    np.testing.assert_array_equal(graph.nodes["in->n"].weight, np.full((2, 3), 2.0))
    np.testing.assert_array_equal(graph.nodes["in->n delay"].delay, np.full(3, 3e-4))
    assert graph.edges == [
        ("in", "in->n delay"),
        ("in->n delay", "in->n"),
        ("in->n", "n"),
        ("n", "n output"),
    ]
    assert graph.metadata["spikecore_dt"] == 1e-4


def test_a_neuron_with_exponential_synapses_is_a_cubalif():
    unit = LIF(tau_m=20 * ms, resistance=8 * MOhm, synapse=Exponential(5 * ms, 5 * ms))
    graph = to_nir(pair(unit, weight=0.5 * nA, port="inh"))
    node = graph.nodes["n"]
    assert isinstance(node, nir.CubaLIF)
    np.testing.assert_allclose(node.tau_syn, 0.005, rtol=0)
    np.testing.assert_allclose(node.tau_mem, 0.02, rtol=0)
    np.testing.assert_allclose(node.r, 200.0, rtol=1e-15)
    np.testing.assert_allclose(node.w_in, 8 * 0.25, rtol=1e-15)
    np.testing.assert_array_equal(graph.nodes["in->n"].weight, np.full((2, 3), -0.5))


@pytest.mark.parametrize(
    ("unit", "weight"),
    [
        (LIF(tau_m=20 * ms, synapse=Delta()), 2 * mV),
        (LIF(tau_m=20 * ms, resistance=8 * MOhm, synapse=Exponential(5 * ms, 5 * ms)), 0.9 * nA),
        (counter(), 2 * mV),
    ],
    ids=["LIF", "CubaLIF", "IF"],
)
def test_the_equations_of_nir_with_a_pulse_for_a_spike_give_our_membrane(unit, weight):
    """Integrate NIR's own equations finely; a jump becomes a ramp one tick long."""
    network = pair(unit, weight=weight, delay=0.1 * ms)
    node = to_nir(network).nodes["n"]
    parts = [*network.inputs, *network.populations, *network.projections, Probe("n", "v")]
    trains = {"in": Spikes(np.array([99]), np.array([0]), 0.1)}
    ours = feed(Network(parts, dt=0.1 * ms), trains, 40 * ms).traces["n.v"].values[:, 0]
    rest = -65.0 if isinstance(unit, LIF) else 0.0
    fine, h = 20, 1e-4 / 20
    v = current = 0.0
    theirs = []
    for step in range(400 * fine):
        s = float(weight.value) * (100 * fine <= step < 101 * fine)
        if isinstance(node, nir.CubaLIF):
            current += h / node.tau_syn[0] * (-current + node.w_in[0] * s)
            v += h / node.tau_mem[0] * (-v + node.r[0] * current)
        elif isinstance(node, nir.LIF):
            v += h / node.tau[0] * (-v + node.r[0] * s)
        else:
            v += h * node.r[0] * s
        if (step + 1) % fine == 0:
            theirs.append(v)
    peak = np.max(ours - rest)
    assert peak > 0.3
    np.testing.assert_allclose((ours - rest)[105:], theirs[105:], atol=0.02 * peak)


def test_delays_of_one_projection_are_parted_by_length_and_keep_their_synapses():
    delays = np.array([1, 3, 1, 2]) * ms
    wired = Projection(
        "in", "n", Pairs([0, 0, 1, 2], [0, 1, 1, 0]), weight=[1, 2, 3, 4] * mV, delay=delays
    )
    graph = to_nir(
        Network([Input("in", 3), Population("n", 2, LIF(synapse=Delta())), wired], dt=1 * ms)
    )
    np.testing.assert_array_equal(graph.nodes["in->n after 1 ms"].weight, [[1, 0, 0], [0, 3, 0]])
    np.testing.assert_array_equal(graph.nodes["in->n after 2 ms"].weight, [[0, 0, 4], [0, 0, 0]])
    np.testing.assert_array_equal(graph.nodes["in->n after 3 ms"].weight, [[0, 0, 0], [2, 0, 0]])
    for length in (1, 2, 3):
        delay = graph.nodes[f"in->n after {length} ms delay"].delay
        np.testing.assert_array_equal(delay, np.full(3, length / 1e3))


def test_delays_of_a_tick_may_be_left_out():
    graph = to_nir(pair(LIF(synapse=Delta()), delay=0.1 * ms), delays="longer")
    assert not any(isinstance(node, nir.Delay) for node in graph.nodes.values())
    assert from_nir(graph, 0.1 * ms).projections[0].delay == 0.1 * ms


def test_delays_beyond_a_tick_keep_their_node():
    graph = to_nir(pair(LIF(synapse=Delta()), delay=0.2 * ms), delays="longer")
    np.testing.assert_array_equal(graph.nodes["in->n delay"].delay, np.full(3, 2e-4))
    assert from_nir(graph, 0.1 * ms).projections[0].delay == 0.2 * ms


def test_outputs_are_the_populations_that_send_to_no_other_or_those_named():
    unit = LIF(synapse=Delta())
    parts = [Input("in", 1), Population("a", 1, unit), Population("b", 1, unit)]
    parts += [Projection("in", "a", AllToAll(), weight=1 * mV, delay=1 * ms)]
    parts += [Projection("a", "b", AllToAll(), weight=1 * mV, delay=1 * ms)]
    parts += [Projection("b", "b", AllToAll(), weight=1 * mV, delay=1 * ms)]
    assert list(to_nir(Network(parts)).outputs) == ["b output"]
    assert list(to_nir(Network(parts), outputs=["a", "b"]).outputs) == ["a output", "b output"]
    parts += [Projection("b", "a", AllToAll(), weight=1 * mV, delay=1 * ms)]
    assert list(to_nir(Network(parts)).outputs) == ["a output", "b output"]


# -- round trips ---------------------------------------------------------------------------

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


# -- graphs that others write ----------------------------------------------------------------


def lif(size=2, tau=0.01, r=100.0, threshold=1.0):
    full = np.full(size, 1.0)
    return nir.LIF(tau * full, r * full, 0 * full, threshold * full, 0 * full)


def graph_of(**nodes):
    """Return a graph of these nodes in a row."""
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)


def through(*nodes, target=None):
    ends = {"in": nir.Input({"input": np.array([2])})}
    ends |= {f"t{i}": node for i, node in enumerate(nodes)}
    return graph_of(**ends, n=target or lif(), out=nir.Output({"output": np.array([2])}))


WEIGHT = np.array([[0.5, -0.25], [0.0, 1.0]])


def test_weights_of_both_signs_arrive_at_two_ports():
    network = from_nir(through(nir.Linear(WEIGHT)), 0.1 * ms)
    both = {
        p.port: (p.wiring.pre.tolist(), p.wiring.post.tolist(), p.weight)
        for p in network.projections
    }
    assert both["exc"][:2] == ([0, 1], [0, 1])
    np.testing.assert_allclose(both["exc"][2].value, [0.5, 1.0])
    assert both["inh"][:2] == ([1], [0])
    np.testing.assert_allclose(both["inh"][2].value, [0.25])
    assert all(p.delay == 0.1 * ms for p in network.projections)  # one tick


def test_delays_and_scales_on_either_side_of_a_matrix_add_and_multiply():
    graph = through(
        nir.Scale(np.array([2.0, 3.0])),
        nir.Delay(np.array([1e-3, 2e-3])),
        nir.Linear(np.array([[1.0, 1.0], [0.0, 1.0]])),
        nir.Delay(np.array([0.0, 5e-3])),
        nir.Scale(np.array([1.0, 10.0])),
    )
    (p,) = from_nir(graph, 0.5 * ms).projections
    found = sorted(
        zip(p.wiring.pre, p.wiring.post, p.weight.value * 0.2, p.delay.value, strict=True)
    )
    # dt = 0.5 ms, r = 100, tau = 10 ms: a pulse of one tick lifts by 5 times the weight
    np.testing.assert_allclose(found, [(0, 0, 2, 1), (1, 0, 3, 2), (1, 1, 30, 7)], rtol=1e-12)


def test_edges_that_join_and_no_matrix_at_all():
    graph = nir.NIRGraph(
        {
            "a": nir.Input({"input": np.array([2])}),
            "b": nir.Input({"input": np.array([2])}),
            "w": nir.Linear(WEIGHT),
            "n": lif(),
            "m": lif(),
            "out": nir.Output({"output": np.array([2])}),
        },
        [("a", "w"), ("b", "w"), ("w", "n"), ("n", "m"), ("m", "out")],
    )
    network = from_nir(graph, 0.1 * ms)
    ends = [(p.pre_name, p.post_name, p.port) for p in network.projections]
    assert ends == [
        ("a", "n", "exc"),
        ("a", "n", "inh"),
        ("b", "n", "exc"),
        ("b", "n", "inh"),
        ("n", "m", "exc"),
    ]
    one_to_one = network.projections[-1]
    assert one_to_one.wiring.pre.tolist() == one_to_one.wiring.post.tolist() == [0, 1]


def test_a_spike_lasts_as_long_as_the_writer_says():
    graph = through(nir.Linear(np.eye(2)))  # r = tau / 0.1 ms: written at 0.1 ms
    (p,) = from_nir(graph, 1 * ms, pulse=0.1 * ms).projections
    np.testing.assert_array_equal(p.weight.value, [1.0, 1.0])
    (p,) = from_nir(graph, 1 * ms).projections
    np.testing.assert_array_equal(p.weight.value, [10.0, 10.0])


def test_our_graphs_carry_the_length_of_a_spike():
    graph = to_nir(pair(LIF(synapse=Delta()), weight=9 * mV))
    assert np.all(from_nir(graph, 0.05 * ms).projections[0].weight.value == 9.0)


def test_a_leak_that_is_not_zero_is_where_the_neuron_rests_and_begins():
    node = lif()
    node.v_leak, node.v_threshold = np.full(2, -65.0), np.full(2, -50.0)
    node.v_reset = np.full(2, -70.0)
    (population,) = from_nir(through(nir.Linear(np.eye(2)), target=node), 0.1 * ms).populations
    assert population.unit.v_rest == -65 * mV
    assert not run(Network([population]), 20 * ms).spikes["n"].ticks.size


# -- another reader ----------------------------------------------------------------------


def layers(synapse, weight, dt=0.1, euler=False):
    """Return two layers; with ``euler``, those whose exact steps are Euler's of the others."""
    tau_m, tau_syn, resistance = 8.0, 4.0, 5.0
    if euler:
        tau_m, tau_syn = (-dt / np.log1p(-dt / tau) for tau in (tau_m, tau_syn))
        kept = np.exp(-dt / tau_m), np.exp(-dt / tau_syn)
        moved = tau_syn / (tau_m - tau_syn) * (kept[0] - kept[1])  # of R I, in one tick
        resistance *= dt / 8.0 / moved
    if synapse is Exponential:
        synapse = Exponential(tau_syn * ms, tau_syn * ms)
    unit = LIF(
        tau_m=tau_m * ms,
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=1 * mV,
        resistance=resistance * MOhm,
        synapse=synapse,
    )
    wiring = RandomPairs(0.6)
    parts = [Input("in", 20), Population("a", 15, unit), Population("b", 10, unit)]
    for ends in (("in", "a"), ("a", "b")):
        spread = Uniform(-0.3 * weight, 1 * weight)
        parts.append(Projection(*ends, wiring, weight=spread, delay=dt * ms))
    return Network(parts, dt=dt * ms)


def snntorch_spikes(graph, fed):
    """Return the spikes of the last layer as snnTorch runs the graph, shape (steps, neurons)."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("snntorch")
    from snntorch.import_nir import import_from_nir

    with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():  # it prints what it does
        module = import_from_nir(graph)
        state, out = None, []
        for row in fed.astype(np.float32):
            answer, state = module(torch.tensor(row)[None], state)
            out.append(answer.numpy()[0])
    return np.array(out) > 0


CASES = [(Delta(), 0.3 * mV, 0), (Exponential, 0.25 * nA, 1)]


def both_readers(synapse, weight, euler, steps=3000):
    fed = np.random.default_rng(5).random((steps, 20)) < 0.01
    graph = to_nir(layers(synapse, weight), delays="longer")
    theirs = snntorch_spikes(graph, fed)
    tick, neuron = np.nonzero(fed)
    trains = {"in": Spikes(tick, neuron, 0.1)}
    ours = np.zeros((steps + 4, 10), bool)
    result = feed(layers(synapse, weight, euler=euler), trains, (steps + 4) * 0.1 * ms)
    ours[result.spikes["b"].ticks, result.spikes["b"].neurons] = True
    return theirs, ours


@pytest.mark.parametrize(("synapse", "weight", "late"), CASES, ids=["LIF", "CubaLIF"])
def test_snntorch_reads_the_network_that_was_written(synapse, weight, late):
    """Its Euler steps are our exact ones for other time constants: then, the same spikes.

    snnTorch takes no time from layer to layer, ours a tick, and with currents another.
    """
    theirs, ours = both_readers(synapse, weight, euler=True)
    later = 2 * (1 + late)
    assert theirs.sum() > 50
    np.testing.assert_array_equal(ours[later:3000], theirs[: 3000 - later])


@pytest.mark.parametrize(("synapse", "weight", "late"), CASES, ids=["LIF", "CubaLIF"])
def test_snntorch_differs_by_its_euler_steps(synapse, weight, late):
    """With dt / tau = 1/80: as many spikes to 3 %, four of five of them within a millisecond."""
    theirs, ours = both_readers(synapse, weight, euler=False)
    ours = ours[2 * (1 + late) :]
    assert abs(int(ours.sum()) - int(theirs.sum())) <= 0.03 * theirs.sum()
    near = 0
    for neuron in range(10):
        mine, other = np.flatnonzero(ours[:, neuron]), np.flatnonzero(theirs[:, neuron])
        if mine.size:
            near += sum(np.abs(mine - t).min() <= 10 for t in other)
    assert near >= 0.8 * theirs.sum()


# -- files, refusals, command line -----------------------------------------------------------

MODEL = """
from spikecore import *
unit = LIF(synapse=Delta())
wired = Projection("in", "n", AllToAll(), weight=1 * mV, delay=1 * ms)
parts = [Input("in", 2, Train([1] * ms, [0])), Population("n", 3, unit), wired, Probe("n", "v")]
net = Network(parts)
bad = Network([Population("n", 1, LIF(refractory=2 * ms))])
"""


def command(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code


def test_the_command_writes_a_file_and_says_what_it_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    assert command("export", "nir", "model.py:net", "out.nir") == 0
    said = capsys.readouterr().out
    assert "not part of a graph: the spikes of input 'in'\n" in said
    assert "wrote out.nir: 5 nodes, 4 edges" in said
    back = read_nir("out.nir", 1 * ms)
    assert [p.size for p in back.groups] == [2, 3]
    assert command("export", "nir", "model.py:net", "out.nir", "--delays", "longer", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["nodes"] == 4
    assert answer["left_out"] == ["the spikes of input 'in'", "probe 'n.v'"]


def test_the_command_refuses_and_leaves_the_file_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "out.nir").write_text("old")
    assert command("export", "nir", "model.py:bad", "out.nir") == 5
    assert "(1) population 'n': a refractory period" in capsys.readouterr().err
    assert (tmp_path / "out.nir").read_text() == "old"


def test_all_reasons_are_given_at_once():
    with pytest.raises(NIRRefused) as caught:
        to_nir(fault_cases_nir.unspeakable())
    assert len(caught.value.reasons) == 13
    assert caught.value.exit_code == 5


def test_files_are_replaced_whole(tmp_path):
    path = tmp_path / "net.nir"
    write_nir(path, pair(LIF(synapse=Delta())))
    first = path.read_bytes()
    with pytest.raises(NIRRefused):
        write_nir(path, fault_cases_nir.unspeakable())
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]
