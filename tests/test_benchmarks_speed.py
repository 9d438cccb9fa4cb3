"""The speed comparison measures the same networks, and prints no ratio of different ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from spikecore import Simulation, ms

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def speed():
    """The benchmark's modules, which import one another by bare names."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import speed
        import speed_one
        import speed_spikecore
        import speed_table
        import speed_workloads

        yield SimpleNamespace(
            main=speed,
            one=speed_one,
            ours=speed_spikecore,
            table=speed_table,
            workloads=speed_workloads,
        )
    finally:
        sys.path.remove(str(BENCHMARKS))


def small(speed, kind):
    w = speed.workloads
    return {
        "cuba": lambda: w.cuba("small", 50.0, 500),
        "brunel": lambda: w.brunel("small", 20.0, 400),
        "delays": lambda: w.delays("small", 150.0, "dense", 1.0),
        "sparse": lambda: w.sparse("small", 200.0, 0.1, neurons=500, rate=5.0),
        "stdp": lambda: w.stdp("small", 200.0, inputs=40, neurons=5),
    }[kind]()


KINDS = ("cuba", "brunel", "delays", "sparse", "stdp")


@pytest.mark.parametrize("kind", KINDS)
def test_every_simulator_reads_the_arrays_that_were_drawn(speed, kind, tmp_path):
    drawn, again = small(speed, kind), small(speed, kind)
    drawn.save(tmp_path)
    read = speed.workloads.Workload.load(tmp_path)
    assert read.facts == drawn.facts == again.facts
    assert set(read.arrays) == set(drawn.arrays)
    for name, array in drawn.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)
        np.testing.assert_array_equal(again.arrays[name], array)


@pytest.mark.parametrize("kind", KINDS)
def test_the_event_core_runs_the_network_of_the_oracle(speed, kind):
    workload = small(speed, kind)
    clocked, event = (
        Simulation(speed.ours.network(workload), backend=backend).run(workload.duration * ms)
        for backend in ("clocked", "event")
    )
    assert len(event.spikes["cells"]) > 0
    assert event.compare(clocked).identical


def test_sparse_inputs_fire_once_each(speed):
    """Closed form: 20 mV on a threshold of 15 fires; one synapse of 1 mV does not."""
    workload = speed.workloads.sparse("small", 1000.0, 0.1, neurons=2000, rate=0.1)
    result = Simulation(speed.ours.network(workload)).run(workload.duration * ms)
    spikes = result.spikes["cells"]
    due = workload.arrays["event_tick"] + 1
    order = np.lexsort((workload.arrays["event_source"], due))
    inside = due[order] < workload.ticks
    np.testing.assert_array_equal(spikes.ticks, due[order][inside])
    np.testing.assert_array_equal(spikes.neurons, workload.arrays["event_source"][order][inside])


def test_a_finer_grid_holds_the_same_network(speed):
    coarse, fine = (
        speed.workloads.sparse("small", 500.0, dt, neurons=300, rate=1.0) for dt in (0.1, 0.01)
    )
    for name in ("pre", "post", "event_source"):
        np.testing.assert_array_equal(coarse.arrays[name], fine.arrays[name])
    for name in ("delay", "event_tick"):
        np.testing.assert_array_equal(10 * coarse.arrays[name], fine.arrays[name])


@pytest.mark.parametrize("kind", ["cuba", "delays", "sparse", "stdp"])
def test_brian2_fires_the_same_number_of_spikes(speed, kind):
    """The network written for Brian2, run by its numpy target: no compiler needed."""
    b2 = pytest.importorskip("brian2")
    import speed_brian2

    workload = small(speed, kind)
    own = Simulation(speed.ours.network(workload)).run(workload.duration * ms)
    saved = b2.prefs.codegen.target
    b2.prefs.codegen.target = "numpy"
    try:
        b2.start_scope()
        b2.defaultclock.dt = workload.dt * b2.ms
        cells, *others = speed_brian2._PARTS[kind](workload)
        fired = b2.SpikeMonitor(cells)
        network = b2.Network(cells, *others, fired)
        network.schedule = speed_brian2.SCHEDULE
        network.run(workload.duration * b2.ms)
    finally:
        b2.prefs.codegen.target = saved
    assert len(own.spikes["cells"]) > 0
    assert abs(fired.num_spikes - len(own.spikes["cells"])) <= 0.02 * fired.num_spikes


def entry(**spikes):
    runs = {
        peer: [{"spikes": n, "loop_cpu_s": 2.0 if "brian" in peer else 1.0, "peak_mb": 1.0}]
        for peer, n in spikes.items()
    }
    facts = {"neurons": 100, "duration_ms": 1000.0}
    return {"facts": facts, "tolerance": 0.03, "runs": runs}


def test_equal_rates_give_a_ratio(speed):
    found = entry(event=1000, brian2=1020)
    assert speed.table.doubt(found, "event", "brian2") == ""
    assert speed.table.ratio(found, "event", "brian2") == 2.0


def test_what_two_threads_gain_is_measured_by_the_clock(speed):
    one, two = "event:threads=1@float32", "event:threads=2@float32"
    found = entry(**{one: 10, two: 10, "brian2": 10})
    for peer, wall in ((one, 2.0), (two, 0.8)):
        found["runs"][peer][0]["loop_wall_s"] = wall
    table = speed.table.threads_table({"W2": found, "W5": entry(**{one: 10})})
    assert table.splitlines()[2:] == ["| W2 | 2 | 0.8 | 2.50x | 1.7x |"]
    assert two not in speed.table.ratio_table({"W2": found})


@pytest.mark.parametrize(
    ("spikes", "reason"),
    [
        (
            {"event": 1000, "brian2": 1100},
            "rates differ by 9.1 % (10 Hz, brian2 11 Hz); up to 3 % are allowed",
        ),
        ({"event": 0, "brian2": 1000}, "no spikes in event"),
        ({"event": 1000}, "brian2 did not run"),
    ],
)
def test_the_guard_refuses(speed, spikes, reason):
    found = entry(**spikes)
    assert speed.table.doubt(found, "event", "brian2") == reason
    assert speed.table.ratio(found, "event", "brian2") is None


def test_a_failed_run_gives_no_ratio_and_is_named(speed):
    found = entry(event=1000) | {"facts": {"neurons": 100, "duration_ms": 1000.0}}
    found["runs"]["brian2"] = [{"error": "no compiler"}]
    assert speed.table.doubt(found, "event", "brian2") == "brian2 failed: no compiler"
    assert "no ratio" in speed.table.ratio_table({"W1-4000": found})


def test_what_was_finished_survives_ctrl_c(speed, tmp_path, monkeypatch, capsys):
    """The third run is interrupted: the file holds the two before it."""
    calls = []

    def run_child(peer, folder, options):
        calls.append(peer)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {
            "spikes": 20, "loop_cpu_s": 1.0, "loop_wall_s": 1.0, "build_cpu_s": 1.0, "peak_mb": 1.0,
        }  # fmt: skip

    monkeypatch.setattr(speed.main, "run_child", run_child)
    monkeypatch.setattr(speed.main, "RESULTS", tmp_path)
    monkeypatch.setattr(speed.main, "show", lambda results, plot: None)
    monkeypatch.setitem(speed.workloads.WORKLOADS, "W4", lambda name, _: small(speed, "sparse"))
    speed.main.main(["--only", "W4", "--peers", "event,clocked", "--out", "part.json"])
    kept = json.loads((tmp_path / "part.json").read_text())["workloads"]["W4"]["runs"]
    assert {peer: len(runs) for peer, runs in kept.items()} == {"event": 1, "clocked": 1}
    assert "what was finished is kept" in capsys.readouterr().out


def test_a_run_in_its_own_process(speed, tmp_path):
    small(speed, "sparse").save(tmp_path)
    options = SimpleNamespace(nest_python=sys.executable, limit=300.0)
    good, bad = (
        speed.main.run_child(peer, tmp_path, options) for peer in ("clocked", "clocked:speed=9")
    )
    assert good["spikes"] > 0
    assert {"loop_cpu_s", "build_cpu_s", "first_cpu_s", "peak_mb"} <= set(good)
    assert "speed" in bad["error"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_run_that_is_measured_starts_as_the_first_did(speed, kind):
    """What the first run has learned, or has under way, must not be in the second."""
    workload = small(speed, kind)
    measured = speed.ours.run_spikecore("event", workload, speed.one.Clock())
    fresh = Simulation(speed.ours.network(workload)).run(workload.duration * ms)
    assert measured["spikes"] == len(fresh.spikes["cells"])
    if kind == "stdp":
        assert measured["mean_weight"] == fresh.weights["input->cells"].mean()
