"""brian2 gives the spikes of the oracle; what it cannot do, it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from backend_params import needs_brian2
from hypothesis import given, settings
from random_networks import DURATION, WHATEVER, busy_network, networks

from spikecore import (
    LIF,
    AdaptiveThreshold,
    Alpha,
    CapabilityRefused,
    Delta,
    Exponential,
    Hz,
    Input,
    InvalidInput,
    LinearUnit,
    MOhm,
    Network,
    OneToOne,
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
from spikecore.units import Port

pytestmark = needs_brian2

CLOSE = {"rtol": 0, "atol": 1e-9}
COUNTERS = ("spikes", "sent", "delivered", "pending")


def assert_agrees(result, oracle):
    """Same spikes and counters; states and weights to 1e-9, the promise of the backend."""
    comparison = result.compare(oracle)
    assert comparison.identical, str(comparison)
    assert (result.status, result.message, result.ticks) == (
        oracle.status,
        oracle.message,
        oracle.ticks,
    )
    assert [result.counters[c] for c in COUNTERS] == [oracle.counters[c] for c in COUNTERS]
    assert result.traces.keys() == oracle.traces.keys()
    for name, trace in oracle.traces.items():
        assert np.array_equal(result.traces[name].ticks, trace.ticks)
        assert np.allclose(result.traces[name].values, trace.values, **CLOSE), name
    assert result.weights.keys() == oracle.weights.keys()
    for name, weights in oracle.weights.items():
        assert np.allclose(result.weights[name], weights, **CLOSE), name


def check(network, duration=DURATION * ms, **options):
    result = run(network, duration, backend="brian2", **options)
    assert_agrees(result, run(network, duration, backend="clocked"))
    return result


def driven(unit, *more, weight=12 * nA, dt=1.0):
    """Neurons of one kind under noise, a third of them wired to one another."""
    return Network(
        [
            Input("noise", 10, Poisson(100 * Hz)),
            Population("n", 12, unit),
            Projection("noise", "n", RandomPairs(0.4), weight, Uniform(1 * ms, 9 * ms)),
            Projection("n", "n", RandomPairs(0.3), 0.3 * weight, Uniform(1 * ms, 5 * ms)),
            Projection("n", "n", RandomPairs(0.1), 0.2 * weight, 3 * ms, port="inh", name="i"),
            Probe("n", "v", neurons=(7, 2, 7)),
            *more,
        ],
        dt=dt * ms,
    )


@settings(WHATEVER, max_examples=3)
@given(network=networks(plastic=False))
def test_static_networks(network):
    check(network)


@settings(WHATEVER, max_examples=3)
@given(network=networks(plastic=True))
def test_plastic_networks(network):
    check(network)


@pytest.mark.parametrize("step", ["exact", "spinnaker"])
@pytest.mark.parametrize(
    "synapse",
    [Exponential(), Exponential(20 * ms, 3 * ms), Alpha(5 * ms, 20 * ms)],
    ids=["apart", "tau_m equal", "alpha, tau_m equal"],
)
def test_brian2_integrates_equal_time_constants_itself(synapse, step):
    unit = LIF(
        synapse=synapse,
        refractory=2 * ms,
        adaptation=AdaptiveThreshold(),
        i_offset=5 * nA,
        step=step,
    )
    result = check(driven(unit), 120 * ms)
    assert len(result.spikes["n"]) > 20
    assert not any("propagator" in note for note in result.notes)


def two_state(matrix, *, refractory=2.0):
    """A unit of states u (what arrives) and v (what fires)."""
    return LinearUnit(
        name="own",
        states=("u_pre", "v"),  # a name that brian2 reserves
        dimensions=("voltage", "voltage"),
        A=np.array([matrix]),
        b=np.array([[0.0, 0.02]]),
        rest=np.array([[0.0, -60.0]]),
        ports={"exc": Port("u_pre", "voltage"), "inh": Port("v", "voltage", -1)},
        h=np.array([0.25, 1.0]),
        threshold=np.array([4.0]),
        reset={"v": np.array([0.5])},
        jump={"u_pre": np.array([-0.3])},
        refractory=np.array([refractory]),
    )


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        ([[-0.2, 0.0], [0.3, -0.05]], ""),
        ([[-0.2, 0.0], [0.3, -0.20001]], "two time constants are nearly equal"),
        ([[-0.2, 0.0], [0.3, 0.0]], "a state does not leak"),
        ([[-0.1, -0.3], [0.3, -0.1]], "its states feed back on one another"),
        ([[-0.2, 0.1], [0.0, -0.05]], "other states go on from those that are held"),
    ],
    ids=["brian2 solves it", "nearly equal", "no leak", "resonator", "held states drive"],
)
def test_own_units_and_where_brian2_cannot_integrate_them(matrix, reason):
    result = check(driven(two_state(matrix), Probe("n", "u_pre"), weight=9 * mV), 100 * ms)
    assert len(result.spikes["n"]) > 20
    told = [note for note in result.notes if "propagator" in note]
    assert (reason in told[0]) if reason else (told == [])


def test_a_membrane_that_hardly_leaks_under_the_spinnaker_rule():
    unit = LIF(tau_m=1e8 * ms, resistance=1e7 * MOhm, step="spinnaker", refractory=1 * ms)
    result = check(driven(unit), 60 * ms)
    assert len(result.spikes["n"]) > 20
    assert "a state does not leak" in result.notes[0]


def test_a_fine_grid():
    check(driven(LIF(refractory=0.4 * ms), weight=90 * nA, dt=0.1), 30 * ms)


def stdp_network(times, **conventions):
    bounds = {"w_min": 0 * mV, "w_max": 20 * mV, "A_plus": 1 * mV, "A_minus": 0.7 * mV}
    rule = PairSTDP(**bounds, **conventions)
    return Network(
        [
            Input("in", 1, Train(times * ms, np.zeros(len(times), int))),
            Input("teacher", 1, Train([8, 11, 15] * ms, [0, 0, 0])),
            Population("n", 1, LIF(synapse=Delta())),
            Projection("in", "n", OneToOne(), 5 * mV, 6 * ms, plasticity=rule),
            Projection("teacher", "n", OneToOne(), 30 * mV, 1 * ms),
            Probe("n", "v"),
        ]
    )


@pytest.mark.parametrize("coincidence", ["depress", "potentiate", "ignore"])
def test_a_spike_arrives_with_the_weight_of_its_own_tick(coincidence):
    """Three spikes under way at once, each with another weight; one spike counts twice."""
    times = [2, 5, 9, 9, 12, 16]
    result = check(stdp_network(times, coincidence=coincidence, post_delay="none"), 40 * ms)
    assert result.counters["sent"] == len(times) + 3


def test_pieces_feeding_and_checkpoints_between_targets(tmp_path):
    oracle = Simulation(busy_network(), backend="clocked")
    own = Simulation(busy_network(), backend="brian2")
    for simulation in (oracle, own):
        simulation.feed("noise", [55, 55, 90] * ms, [3, 3, 4])  # twice in one tick
        simulation.run(37 * ms)
        simulation.feed("noise", [37, 60] * ms, [0, 1])
    own.save(tmp_path / "at37")
    expected = oracle.run(63 * ms)
    assert_agrees(own.run(63 * ms), expected)
    restored = Simulation(busy_network(), backend="brian2")
    restored.run(5 * ms)
    restored.restore(tmp_path / "at37")
    assert_agrees(restored.run(63 * ms), expected)
    for simulation in (oracle, own):
        simulation.clear()
    assert_agrees(own.run(50 * ms), oracle.run(50 * ms))


def test_weights_are_set_only_while_nothing_is_under_way():
    network = stdp_network([2, 5])
    oracle, own = Simulation(network, backend="clocked"), Simulation(network, backend="brian2")
    for simulation in (oracle, own):
        simulation.set_weights("in->n", 7.5)
        simulation.run(12 * ms)
    with pytest.raises(InvalidInput, match=r"while spikes are on their way.*run 12 ms"):
        own.set_weights("in->n", [3.0])
    for simulation in (oracle, own):
        simulation.run(18 * ms)
        simulation.set_weights("in->n", [3.0])
        simulation.set_weights("teacher->n", 1.0)
        simulation.feed("in", [33] * ms, [0])
    assert_agrees(own.run(20 * ms), oracle.run(20 * ms))


def test_feeding_one_neuron_twice_in_a_tick_after_the_start():
    simulation = Simulation(busy_network(), backend="brian2")
    simulation.run(10 * ms)
    with pytest.raises(InvalidInput, match=r"set up for 1 spike\(s\) of a neuron in one tick"):
        simulation.feed("noise", [90, 90] * ms, [3, 3])
    assert simulation.run(90 * ms).compare(run(busy_network(), 100 * ms)).identical


@pytest.mark.parametrize(("weight", "status"), [(1e308, "diverged"), (3.0, "runaway")])
def test_endings(weight, status):
    network = Network(
        [
            Input("in", 1, Train([2, 2] * ms, [0, 0])),
            Population("n", 2, LIF(v_threshold=1e3 * mV, synapse=Delta())),
            Population("m", 9, LIF(v_threshold=-64 * mV, synapse=Delta())),
            Projection("in", "n", RandomPairs(1.0), weight * mV, 1 * ms),
            Projection("in", "m", RandomPairs(1.0), 3 * mV, 1 * ms),
            Projection("m", "m", RandomPairs(1.0), 3 * mV, Uniform(1 * ms, 9 * ms)),
            Probe("m", "v"),
        ]
    )
    budget = 200 if status == "runaway" else 10**6
    result, oracle = (
        run(network, 40 * ms, backend=backend, max_pending=budget)
        for backend in ("brian2", "clocked")
    )
    assert result.status == status
    assert_agrees(result, oracle)


def test_an_interrupt_ends_the_tick_and_the_run_goes_on():
    simulation = Simulation(busy_network(), backend="brian2")
    session = simulation._session

    def interrupt(_ticks):
        if session.tick == 64:
            os.kill(os.getpid(), signal.SIGINT)

    session.advance(100, interrupt)
    assert (session.status, session.tick) == ("interrupted", 65)
    assert_agrees(simulation.run(35 * ms), run(busy_network(), 100 * ms, backend="clocked"))


def test_importing_brian2_leaves_the_process_as_it_was():
    code = """if True:
        import signal, sys
        def own(*_): pass
        signal.signal(signal.SIGINT, own)
        hook = sys.excepthook
        from spikecore.backends.registry import get_backend
        get_backend("brian2")
        assert "brian2" in sys.modules
        assert signal.getsignal(signal.SIGINT) is own
        assert sys.excepthook is hook
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cython_gives_the_same():
    check(busy_network(), options={"target": "cython"})


@pytest.mark.slow
def test_a_compiled_program_gives_the_same_in_one_piece(tmp_path):
    simulation = Simulation(busy_network(), backend="brian2:target=cpp_standalone")
    result = simulation.run(100 * ms)
    assert_agrees(result, run(busy_network(), 100 * ms, backend="clocked"))
    assert result.provenance["options"] == {"target": "cpp_standalone"}
    for again in (
        lambda: simulation.run(10 * ms),
        lambda: simulation.save(tmp_path / "x"),
        lambda: simulation.restore(tmp_path / "x"),
    ):
        with pytest.raises(CapabilityRefused):
            again()


def test_single_precision_is_offered():
    one, other = (
        run(busy_network(), 100 * ms, backend=backend, precision="float32")
        for backend in ("brian2", "clocked")
    )
    assert one.compare(other).matched > 0.5 * other.counters["spikes"]
    assert one.traces["a.v"].values.dtype == np.float64
