"""Runs that end early, and runs that are refused for their size."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from random_networks import assert_same, busy_network

from spikecore import (
    LIF,
    AllToAll,
    Delta,
    Exponential,
    Input,
    InvalidInput,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Population,
    Probe,
    Projection,
    Result,
    Simulation,
    Train,
    ms,
    mV,
    nA,
    run,
)
from spikecore.interrupts import deferred_interrupts

BACKENDS = pytest.mark.parametrize("backend", ["event", "clocked"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_keeps_the_results(number, tmp_path):
    script = """
        import os, sys, threading
        sys.path[:0] = sys.argv[2:]
        from random_networks import busy_network
        from spikecore import Simulation, ms
        simulation = Simulation(busy_network())
        simulation.run(1 * ms)  # compiled
        threading.Timer(0.3, os.kill, (os.getpid(), int(sys.argv[1]))).start()
        result = simulation.run(10_000_000 * ms)
        result.save("result.npz")
        simulation.save("checkpoint")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(int(number)), *sys.path]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=120)
    kept = Result.load(tmp_path / "result.npz")
    assert kept.status == "interrupted"
    assert kept.message == f"stopped on request after {kept.ticks} ticks"
    assert 1 < kept.ticks < 10_000_000
    assert kept.compare(run(busy_network(), kept.ticks * ms)).identical
    again = Simulation(busy_network())
    again.restore(tmp_path / "checkpoint")
    assert again.run(5 * ms).status == "complete"
    assert again.time == kept.ticks + 5


def test_a_request_to_stop_in_the_last_moment_is_not_lost():
    simulation = Simulation(busy_network())
    simulation._session.advance(100, lambda _done: signal.raise_signal(signal.SIGINT))
    assert simulation.result().status == "interrupted"
    assert simulation.time == 100


def test_a_second_request_stops_at_once_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupts() as request:
        assert not request
        signal.raise_signal(signal.SIGINT)
        assert request
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def overflowing(weight):
    """Two of three neurons, the later first, get two arrivals in tick 6 that overflow together."""
    return Network(
        [
            Input("in", 3, Train([1, 5, 5, 5, 5, 6] * ms, [0, 1, 1, 2, 2, 0])),
            Population("n", 3, LIF(v_threshold=1e30 * mV, synapse=Exponential())),
            Projection("in", "n", Pairs([0, 1, 2], [0, 2, 1]), [1.0, weight, weight] * nA, 1 * ms),
            Probe("n", "v"),
        ]
    )


@BACKENDS
@pytest.mark.parametrize(("weight", "precision"), [(1e308, "float64"), (2e38, "float32")])
def test_a_state_that_overflows_stops_the_run(weight, precision, backend):
    simulation = Simulation(overflowing(weight), backend=backend, precision=precision)
    result = simulation.run(20 * ms)
    assert (result.status, result.ticks) == ("diverged", 6)
    assert result.message == "n[1] is not finite in tick 6"
    assert result.spikes["in"].ticks.tolist() == [1, 5, 5, 5, 5]
    assert result.traces["n.v"].values.shape == (6, 3)
    assert np.isfinite(result.traces["n.v"].values).all()
    assert result.counters["sent"] == result.counters["delivered"] + result.counters["pending"]
    with pytest.raises(InvalidInput, match="this simulation has diverged"):
        simulation.run(1 * ms)
    simulation.clear()
    assert simulation.run(5 * ms).status == "complete"


def test_both_backends_diverge_alike():
    results = [run(overflowing(1e308), 20 * ms, backend=b) for b in ("event", "clocked")]
    assert_same(*results)


def explosive():
    return Network(
        [
            Input("in", 1, Train([0] * ms, [0])),
            Population("n", 20, LIF(synapse=Delta())),
            Projection("in", "n", AllToAll(), 20 * mV, 1 * ms),
            Projection("n", "n", AllToAll(), 20 * mV, 2 * ms, name="fast"),
            Projection("n", "n", AllToAll(), 20 * mV, 50 * ms, name="slow"),
        ]
    )


@BACKENDS
def test_runaway_activity_stops_at_the_budget(backend):
    """400 events fast, 400 slow in every other tick: the third volley exceeds 1500."""
    simulation = Simulation(explosive(), backend=backend, max_pending=1500)
    result = simulation.run(100 * ms)
    assert result.status == "runaway"
    assert result.message == "more than 1500 synaptic events in flight"
    assert result.spikes["n"].ticks.tolist() == [1] * 20 + [3] * 20 + [5] * 20
    assert result.ticks == 6
    assert result.counters["pending"] == 1600
    with pytest.raises(InvalidInput, match=r"has runaway\. Fix: start a new one"):
        simulation.run(1 * ms)


@BACKENDS
def test_probes_have_a_memory_budget(backend):
    simulation = Simulation(busy_network(), backend=backend, max_trace_bytes=24_000)
    with pytest.raises(InvalidInput, match=r"Probe 'a.v'.*record every \d+ ms") as caught:
        simulation.run(3000 * ms)
    assert "would need 0.24 MB, more than the budget of 0.024 MB" in str(caught.value)
    assert simulation.time == 0
    assert simulation.run(300 * ms).status == "complete"
    assert simulation.result().traces["a.v"].values.nbytes == 24_000


def delayed(delay, size=1, rule=None):
    return Network(
        [
            Input("in", size, Train([0] * ms, [0])),
            Population("n", size, LIF()),
            Projection("in", "n", OneToOne(), 1 * nA, delay * ms, plasticity=rule),
        ]
    )


@BACKENDS
def test_giant_delays_are_refused_with_the_memory_they_need(backend):
    limits = r"must not exceed 16777216 ticks .*would need 0\.5 GB \(got 2e\+07 ms\)"
    with pytest.raises(InvalidInput, match=limits):
        Simulation(delayed(2e7), backend=backend)


def test_delays_are_refused_where_a_backend_needs_too_much_memory_for_them():
    wide = delayed(1e6, size=1000)
    with pytest.raises(InvalidInput, match=r"backend 'clocked': .*64\.0 GB.*use backend='event'"):
        Simulation(wide, backend="clocked")
    assert run(wide, 10 * ms).counters["pending"] == 1
    with pytest.raises(InvalidInput, match=r"backend 'event': .*GB.*post_delay='none'"):
        Simulation(delayed(1e6, size=1000, rule=PairSTDP()))
    assert Simulation(delayed(1e6, size=1000, rule=PairSTDP(post_delay="none"))).time == 0


@BACKENDS
@pytest.mark.parametrize(("delay", "noted"), [(9, False), (10, True), (500, True)])
def test_delays_as_long_as_the_run_are_noted(delay, noted, backend):
    notes = run(delayed(delay), 10 * ms, backend=backend).notes
    assert any("never arrive" in note for note in notes) == noted
