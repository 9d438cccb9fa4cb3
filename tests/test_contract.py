"""The tick contract, line by line (docs/semantics.md), on every backend."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from backend_params import BRIAN2
from random_networks import assert_same, busy_network

from spikecore import (
    LIF,
    AllToAll,
    Delta,
    Exponential,
    Hz,
    Input,
    InvalidInput,
    Network,
    Normal,
    OneToOne,
    Pairs,
    PairSTDP,
    Poisson,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Simulation,
    Train,
    Uniform,
    ms,
    mV,
    nA,
    run,
)

BACKENDS = pytest.mark.parametrize("backend", ["event", "clocked", BRIAN2])
EXACT_SUMS = pytest.mark.parametrize("backend", ["event", "clocked"])


def one_input(unit, arrivals, weight, delay=1.0, dt=1.0):
    return Network(
        [
            Input("in", 1, Train(arrivals * ms, np.zeros(len(arrivals), int))),
            Population("n", 1, unit),
            Projection("in", "n", OneToOne(), weight, delay * ms),
            Probe("n", "v"),
        ],
        dt=dt * ms,
    )


@BACKENDS
def test_contract_1_times_lie_on_the_grid(backend):
    unit = LIF(synapse=Delta(), refractory=0.3 * ms)
    network = one_input(unit, [0.7], 20 * mV, delay=0.1 + 0.2, dt=0.1)  # 0.1 + 0.2 != 0.3
    spikes = run(network, 2 * ms, backend=backend).spikes["n"]
    assert spikes.ticks.tolist() == [10]
    with pytest.raises(InvalidInput, match=r"use 0\.2 or 0\.3 ms"):
        one_input(unit, [0.7], 20 * mV, delay=0.25, dt=0.1)
    with pytest.raises(InvalidInput, match=r"Input 'in'.times.*use 0\.7 or 0\.8 ms"):
        one_input(unit, [0.75], 20 * mV, dt=0.1)
    with pytest.raises(InvalidInput, match=r"refractory.*use 0\.2 or 0\.4 ms"):
        one_input(unit, [0.8], 20 * mV, dt=0.2)
    with pytest.raises(InvalidInput, match=r"duration.*use 1 or 1\.1 ms"):
        run(network, 1.05 * ms, backend=backend)


@BACKENDS
def test_contract_2_exact_rule(backend):
    """Move, receive, test, reset, send: a voltage due at t counts at t, a current from t + 1."""
    delta = run(one_input(LIF(synapse=Delta()), [4], 20 * mV, 2), 12 * ms, backend=backend)
    assert delta.spikes["n"].ticks.tolist() == [6]
    assert delta.traces["n.v"].values[5:8, 0].tolist() == [-65, -65, -65]  # recorded after reset
    current = LIF(tau_m=1 * ms, synapse=Exponential(1 * ms))
    result = run(one_input(current, [4], 1000 * nA, 2), 12 * ms, backend=backend)
    assert result.spikes["n"].ticks[0] == 7


@BACKENDS
def test_contract_2_spinnaker_rule(backend):
    """Receive, move with the current held, test, reset, decay: a current due at t counts at t."""
    unit = LIF(tau_m=1 * ms, synapse=Exponential(1 * ms), step="spinnaker")
    network = one_input(unit, [4], 1000 * nA, 2)
    result = run(network, 12 * ms, backend=backend)
    assert result.spikes["n"].ticks[0] == 6
    quiet = run(one_input(unit, [4], 1 * nA, 2), 12 * ms, backend=backend)
    g = -np.expm1(-1.0)  # tau/dt (1 - exp(-dt/tau)) for tau = dt
    v = [0.0, g * g, np.exp(-1) * g * g + g * g * np.exp(-1)]
    assert np.allclose(quiet.traces["n.v"].values[5:8, 0] + 65, v, rtol=1e-12, atol=1e-12)


@BACKENDS
@pytest.mark.parametrize("refractory", range(6))
def test_contract_3_next_spike_at_t_plus_r_plus_1(refractory, backend):
    unit = LIF(synapse=Delta(), refractory=refractory * ms)
    network = one_input(unit, list(range(20)), 20 * mV)
    ticks = run(network, 20 * ms, backend=backend).spikes["n"].ticks
    assert ticks.tolist() == list(range(1, 20, refractory + 1))


def received(backend, *projections):
    """Sum of the arrivals in tick 10, from lists of (emission tick, source neuron, weight)."""
    spikes = sorted({(tick, neuron) for one in projections for tick, neuron, _ in one})
    assert len({neuron for _, neuron in spikes}) == len(spikes)  # one spike each
    parts = [
        Input("in", 5, Train([t for t, _ in spikes] * ms, [n for _, n in spikes])),
        Population("n", 1, LIF(synapse=Delta(), v_threshold=1e30 * mV)),
        Probe("n", "v"),
    ]
    for number, one in enumerate(projections):
        tick, pre, weight = (np.array(column) for column in zip(*one, strict=True))
        pairs = Pairs(pre, np.zeros_like(pre), duplicates=True)
        name = f"p{number}"
        parts.append(Projection("in", "n", pairs, weight * mV, (10 - tick) * ms, name=name))
    return run(Network(parts), 11 * ms, backend=backend).traces["n.v"].values[10, 0] + 65.0


@EXACT_SUMS
def test_contract_4_order_of_sums(backend):
    """By emission tick, then source neuron, then projection, then row order."""
    big, one = 2.0**90, 2.0**30  # in doubles big + one - big == 0, but big - big + one == one

    def total(*projections):
        return round(received(backend, *projections))

    # emission tick before source neuron
    assert total([(5, 0, one), (4, 1, -big), (3, 2, big)]) == one
    assert total([(3, 0, big), (5, 1, -big), (4, 2, one)]) == 0
    # source neuron before projection
    assert total([(3, 0, big), (3, 2, one)], [(3, 1, -big)]) == one
    assert total([(3, 0, big), (3, 2, -big)], [(3, 1, one)]) == 0
    # projection as listed in the network
    assert total([(3, 0, big)], [(3, 0, -big)], [(3, 0, one)]) == one
    assert total([(3, 0, big)], [(3, 0, one)], [(3, 0, -big)]) == 0
    # row order: as given
    assert total([(3, 0, big), (3, 0, -big), (3, 0, one)]) == one
    assert total([(3, 0, big), (3, 0, one), (3, 0, -big)]) == 0


@BACKENDS
def test_contract_4_two_spikes_of_a_source_in_a_tick_are_two_arrivals(backend):
    network = one_input(LIF(synapse=Delta()), [3, 3], 8 * mV)
    result = run(network, 10 * ms, backend=backend)
    assert result.spikes["n"].ticks.tolist() == [4]
    assert result.counters["sent"] == 2


@BACKENDS
def test_contract_4_but_count_once_for_learning(backend):
    def learnt(times):
        rule = PairSTDP(w_min=0 * mV, w_max=1 * mV, A_plus=0.1 * mV)
        parts = [
            Input("in", 1, Train(times * ms, np.zeros(len(times), int))),
            Input("teacher", 1, Train([8] * ms, [0])),
            Population("n", 1, LIF(synapse=Delta())),
            Projection("in", "n", OneToOne(), 0.1 * mV, 1 * ms, plasticity=rule),
            Projection("teacher", "n", OneToOne(), 20 * mV, 1 * ms),
        ]
        return run(Network(parts), 20 * ms, backend=backend).weights["in->n"][0]

    assert learnt([3, 3]) == learnt([3]) > 0.1


def drawn(extra, backend):
    """Draws of one projection and one input, in networks that differ in all else."""
    plain = [
        Input("noise", 5, Poisson(300 * Hz)),
        Population("n", 40, LIF()),
        Projection(
            "n", "n", RandomPairs(0.1), Normal(2 * nA, 0.1 * nA), Uniform(1 * ms, 9 * ms), name="p"
        ),
    ]
    others = [
        Input("more", 3, Poisson(500 * Hz)),
        Population("m", 7, LIF()),
        Projection("more", "m", RandomPairs(0.5), Uniform(0 * nA, 1 * nA), 1 * ms),
        Projection("noise", "n", AllToAll(), Uniform(0 * nA, 1 * nA), 2 * ms),
    ]
    parts = {"none": plain, "after": plain + others, "before": others + plain}[extra]
    simulation = Simulation(Network(parts), seed=3, backend=backend)
    result = simulation.run(400 * ms)
    p = next(p for p in simulation._lowered.projections if p.name == "p")
    noise = result.spikes["noise"]
    return [p.source, p.target, p.weight, p.delay, noise.ticks, noise.neurons]


@BACKENDS
@pytest.mark.parametrize("extra", ["after", "before"])
def test_contract_5_draws_depend_on_seed_and_name_only(extra, backend):
    for one, other in zip(drawn("none", "event"), drawn(extra, backend), strict=True):
        assert one.size > 50
        assert np.array_equal(one, other)


@BACKENDS
def test_contract_5_seeds(backend):
    first, again, other = (
        run(busy_network(), 200 * ms, backend=backend, seed=seed) for seed in (1, 1, 2)
    )
    assert_same(first, again)
    assert not first.compare(other).identical
    longer = run(busy_network(), 3000 * ms, backend=backend, seed=1).spikes["noise"]
    assert np.array_equal(longer.between(0, 200).neurons, first.spikes["noise"].neurons)


@BACKENDS
def test_contract_6_pieces_and_checkpoints(backend, tmp_path):
    whole = run(busy_network(), 100 * ms, backend=backend)
    assert len(whole.spikes["a"]) > 50
    assert whole.counters["pending"] > 0
    pieces = Simulation(busy_network(), backend=backend)
    pieces.run(40 * ms)
    pieces.save(tmp_path / "at40")
    assert_same(pieces.run(60 * ms), whole)
    restored = Simulation(busy_network(), backend=backend)
    restored.run(7 * ms)  # what was run before is forgotten
    restored.restore(tmp_path / "at40")
    assert restored.time == 40
    assert_same(restored.run(60 * ms), whole)


@BACKENDS
@pytest.mark.parametrize("ticks", [1, 2, 10, 100, 333])
def test_contract_7_nothing_is_lost(ticks, backend):
    network = busy_network()
    simulation = Simulation(network, backend=backend)
    result = simulation.run(ticks * ms)
    counters = result.counters
    assert counters["sent"] == counters["delivered"] + counters["pending"]
    sent = delivered = 0
    for p in simulation._lowered.projections:
        spikes = result.spikes["noise" if p.name == "noise->a" else "a"]
        for tick, neuron in zip(spikes.ticks, spikes.neurons, strict=True):
            row = slice(p.row[neuron], p.row[neuron + 1])
            due = tick + np.broadcast_to(p.delay, (p.size,))[row]
            sent += due.size
            delivered += np.count_nonzero(due < ticks)
    assert (counters["sent"], counters["delivered"]) == (sent, delivered)
    assert counters["spikes"] == len(result.spikes["noise"]) + len(result.spikes["a"])


def test_the_semantics_page_names_tests_that_exist():
    here = Path(__file__).parent
    named = re.findall(r"`(test_\w+)`", (here.parent / "docs" / "semantics.md").read_text())
    source = "".join(path.read_text() for path in here.glob("test_*.py"))
    assert len(named) > 15
    assert [name for name in named if f"def {name}(" not in source] == []
