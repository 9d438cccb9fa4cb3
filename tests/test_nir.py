"""What a network is in NIR, to the value; files, refusals and the command line."""

from __future__ import annotations

import json

import fault_cases_nir
import nir
import numpy as np
import pytest
from nir_networks import counter, feed, pair

from spikecore import (
    LIF,
    AllToAll,
    Delta,
    Exponential,
    Input,
    MOhm,
    Network,
    Pairs,
    Population,
    Probe,
    Projection,
    Spikes,
    ms,
    mV,
    nA,
)
from spikecore.cli import main
from spikecore_hardware.nir_exchange import NIRRefused, from_nir, read_nir, to_nir, write_nir


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
