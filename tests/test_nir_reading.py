"""Graphs that others write."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
from nir_networks import pair

from spikecore import (
    LIF,
    Delta,
    Network,
    ms,
    mV,
    run,
)
from spikecore_hardware.nir_exchange import from_nir, to_nir


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
