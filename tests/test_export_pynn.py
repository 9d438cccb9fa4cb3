"""What `spikecore export pynn` writes, and what NEST and brian2 make of it."""

from __future__ import annotations

import ast
import errno
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pynn_networks as networks
import pytest
from fault_cases_pynn import write_result

from spikecore import (
    LIF,
    AllToAll,
    CapabilityRefused,
    Exponential,
    FileRefused,
    Hz,
    Input,
    MOhm,
    Network,
    PairSTDP,
    Poisson,
    Population,
    Probe,
    Projection,
    Result,
    Uniform,
    ms,
    mV,
    nA,
    run,
)
from spikecore.backends.lowering import lower
from spikecore.cli import main
from spikecore.events import Spikes
from spikecore.files import atomic_folder
from spikecore_hardware.comparison import compare_export
from spikecore_hardware.pynn.description import gains
from spikecore_hardware.pynn.export import export_pynn

MODULES = {"nest": ("pyNN", "nest"), "brian2": ("pyNN", "brian2")}
FILES = ("README.txt", "arrays.npz", "expected.npz", "manifest.json", "network.json", "run.py")


def on(simulator, folder, *arguments):
    """Run an exported script, unchanged, in a process of its own; return the comparison."""
    missing = [m for m in MODULES[simulator] if importlib.util.find_spec(m) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    work = folder.parent / f"on-{simulator}"
    work.mkdir(exist_ok=True)
    (work / "brian_preferences").write_text("codegen.target = 'numpy'\n")  # nothing to compile
    result = work / "result.npz"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, folder / "run.py", simulator, "--output", result, *arguments],
        cwd=work,
        env=environment | {"HOME": str(work)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return compare_export(folder, result)


def same_spikes(network, folder, simulator, *arguments, duration=300 * ms):
    written = export_pynn(network, duration, folder, targets=[simulator])
    assert written.differences[simulator] == ()
    found = on(simulator, folder, *arguments)
    assert sum(p.expected for p in found.populations) > 50
    assert found.comparison.identical, str(found.comparison)


@pytest.mark.pynn
@pytest.mark.parametrize(
    ("make", "dt"),
    [
        (networks.exponential, 1.0),
        (networks.exponential, 0.1),
        (networks.alpha, 1.0),
        (networks.delta, 0.1),
        (networks.each_its_own, 1.0),
        (networks.spinnaker, 0.1),
        (networks.spinnaker, 1.0),
        (networks.learning, 1.0),
        (networks.balanced, 0.1),
    ],
)
def test_nest_fires_in_the_same_ticks(make, dt, tmp_path):
    same_spikes(make(dt), tmp_path / "exported", "nest")


@pytest.mark.pynn
@pytest.mark.parametrize(
    ("make", "dt"),
    [
        (networks.alpha, 0.1),
        (networks.delta, 1.0),
        (networks.each_its_own, 0.1),
        (networks.spinnaker, 1.0),
        (networks.learning, 0.1),
        (networks.balanced, 1.0),
    ],
)
def test_brian2_fires_in_the_same_ticks(make, dt, tmp_path):
    same_spikes(make(dt), tmp_path / "exported", "brian2", duration=200 * ms)


@pytest.mark.pynn
def test_threads_of_nest_change_nothing(tmp_path):
    folder = tmp_path / "exported"
    same_spikes(networks.balanced(1.0), folder, "nest", "--threads", "2", duration=100 * ms)


@pytest.mark.pynn
def test_brian2_takes_pairs_in_one_tick_as_the_rule_says(tmp_path):
    network = networks.learning(1.0, coincidence="potentiate", post_delay="none")
    same_spikes(network, tmp_path / "exported", "brian2", duration=200 * ms)


@pytest.mark.pynn
def test_nest_learns_in_proportion_to_the_distance_from_the_bound(tmp_path):
    network = networks.learning(1.0, dependence="multiplicative")
    same_spikes(network, tmp_path / "exported", "nest")


@pytest.mark.pynn
def test_what_is_said_to_differ_does_differ(tmp_path):
    """NEST leaves out pairs in one tick; here they count."""
    folder = tmp_path / "exported"
    written = export_pynn(
        networks.learning(1.0, coincidence="depress"), 300 * ms, folder, targets=["nest"]
    )
    assert "do not count as a pair" in " ".join(written.differences["nest"])
    found = on("nest", folder)
    assert not found.comparison.identical
    (e,) = found.populations
    assert e.found == pytest.approx(e.expected, rel=0.05)
    assert e.distance > 0


@pytest.mark.vendor
@pytest.mark.parametrize("coincidence", [None, "depress"])
def test_the_virtual_board_maps_it_and_is_not_taken_for_a_simulator(coincidence, tmp_path):
    pytest.importorskip("spynnaker", reason="needs sPyNNaker: pip install 'spikecore[vendor]'")
    rule = coincidence and PairSTDP(w_max=1 * nA, coincidence=coincidence)
    network = Network(
        [
            Input("in", 20, Poisson(50 * Hz)),
            Population("n", 10, networks.unit(step="spinnaker"), initial={"v": -60 * mV}),
            Projection("in", "n", AllToAll(), Uniform(0.3 * nA, 0.8 * nA), 3 * ms, plasticity=rule),
        ]
    )
    folder = tmp_path / "exported"
    export_pynn(network, 100 * ms, folder, targets=["spinnaker"], backend="spinnaker")
    for name in (".spynnaker.cfg", "spynnaker.cfg"):
        (tmp_path / name).write_text("[Machine]\nvirtual_board = True\nversion = 5\n")
    done = subprocess.run(
        [sys.executable, folder / "run.py", "spinnaker"],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "mapped on a virtual board, where nothing runs: no spikes" in done.stdout
    assert not (folder / "result-spinnaker.npz").exists()
    with pytest.raises(FileRefused, match="that no neuron spiked says nothing"):
        compare_export(folder, folder / "mapped-spinnaker.npz")


def test_a_synapse_that_nest_cannot_hasten_is_declared(tmp_path):
    network = Network(
        [
            Population("n", 3, networks.unit(step="spinnaker")),
            Projection("n", "n", AllToAll(), 0.1 * nA, 1 * ms),
        ]
    )
    written = export_pynn(network, 10 * ms, tmp_path / "exported")
    assert written.differences["nest"] == (
        "projection 'n->n': 9 synapses act one tick late, because nest has no delay of 0",
    )
    assert written.differences["brian2"] == ()
    assert written.refused == {}


def test_the_folder_holds_what_the_lowered_network_has(tmp_path):
    network = networks.exponential(1.0)
    written = export_pynn(network, 100 * ms, tmp_path / "exported", seed=7)
    assert written.files == FILES
    lowered = lower(network, 7)
    with np.load(tmp_path / "exported/arrays.npz") as archive:
        arrays = dict(archive)
    for i, c in enumerate(lowered.projections):
        np.testing.assert_array_equal(arrays[f"projection{i}_weight"], c.in_given_order(c.weight))
        np.testing.assert_array_equal(arrays[f"projection{i}_delay"], c.in_given_order(c.delay))
        pairs = network.projections[i].wiring
        assert arrays[f"projection{i}_pre"].size == c.size > 0, pairs
    spikes = lowered.inputs[0].spikes(0, 100)
    np.testing.assert_array_equal(arrays["input0_ticks"], spikes.ticks)
    np.testing.assert_array_equal(arrays["input0_neurons"], spikes.neurons)
    expected = Result.load(tmp_path / "exported/expected.npz")
    assert expected.compare(run(network, 100 * ms, seed=7)).identical


def test_synapses_are_in_the_order_of_the_user(tmp_path):
    pre, post = np.array([1, 0, 1]), np.array([0, 1, 1])
    from spikecore import Pairs

    network = Network(
        [
            Input("in", 2, Poisson(50 * Hz)),
            Population("n", 2, LIF()),
            Projection("in", "n", Pairs(pre, post), [3, 1, 2] * nA, [5, 1, 2] * ms),
        ]
    )
    export_pynn(network, 10 * ms, tmp_path / "exported")
    with np.load(tmp_path / "exported/arrays.npz") as arrays:
        np.testing.assert_array_equal(arrays["projection0_pre"], pre)
        np.testing.assert_array_equal(arrays["projection0_post"], post)
        np.testing.assert_array_equal(arrays["projection0_weight"], [3, 1, 2])
        np.testing.assert_array_equal(arrays["projection0_delay"], [5, 1, 2])


def test_the_manifest_says_what_was_checked(tmp_path):
    network = networks.exponential(1.0)
    folder = tmp_path / "exported"
    export_pynn(network, 100 * ms, folder, seed=7)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["hash"] == network.hash
    assert (manifest["seed"], manifest["dt"], manifest["ticks"]) == (7, 1.0, 100)
    assert set(manifest["simulators"]) == {"nest", "brian2"}
    assert manifest["refused"]["spinnaker"][0].endswith("step rule 'exact' is not supported")
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert set(manifest["files"]) == set(FILES) - {"manifest.json"}
    text = (folder / "README.txt").read_text()
    assert "python run.py nest --threads 4" in text
    assert "spinnaker cannot run it:" in text


def test_the_script_needs_pynn_and_numpy_only(tmp_path):
    export_pynn(networks.exponential(1.0), 10 * ms, tmp_path / "exported")
    tree = ast.parse((tmp_path / "exported/run.py").read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    assert imported - sys.stdlib_module_names == {"numpy"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["spinnaker"], 1, "spinnaker cannot run this network:\npopulation 'a': step rule 'exact'"),
        (["brian2", "--threads", "2"], 2, "--threads is for NEST"),
        (["nest", "--output", "absent/result.npz"], 2, "absent does not exist"),
        (["nest"], 1, "needs PyNN and nest-simulator ("),
    ],
)
def test_the_script_says_what_it_cannot_do(arguments, status, said, tmp_path):
    export_pynn(networks.exponential(1.0), 10 * ms, tmp_path / "exported")
    script, blocked = str(tmp_path / "exported/run.py"), "import sys; sys.modules['pyNN'] = None\n"
    start = f"{blocked}import runpy; sys.argv = {[script, *arguments]!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{start}runpy.run_path({script!r}, run_name='__main__')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert said in done.stderr


def test_weights_are_scaled_so_that_each_rule_moves_the_membrane_as_far():
    tau_m, tau, r, dt = 17.0, 4.0, 20.0, 1.0
    unit = LIF(
        tau_m=tau_m * ms,
        resistance=r * MOhm,
        synapse=Exponential(tau * ms, 5 * ms),
        step="spinnaker",
    )
    (p,) = lower(Network([Population("n", 1, unit)], dt=dt * ms), 0).populations
    held = tau / dt * (1 - np.exp(-dt / tau)) * r * (1 - np.exp(-dt / tau_m))
    exact = r * tau / (tau - tau_m) * (np.exp(-dt / tau) - np.exp(-dt / tau_m))
    assert gains(p, dt)["exc"] == pytest.approx(held / exact, rel=1e-12)
    (q,) = lower(Network([Population("n", 1, LIF())]), 0).populations
    assert gains(q, dt) == {}


def test_initial_potentials_are_taken_back_by_the_updates_before_tick_0(tmp_path):
    unit = LIF(tau_m=10 * ms, resistance=10 * MOhm, i_offset=1 * nA)
    network = Network([Population("n", 1, unit, initial={"v": -60 * mV})])
    export_pynn(network, 10 * ms, tmp_path / "exported")
    with np.load(tmp_path / "exported/arrays.npz") as arrays:
        assert arrays["population0_v_brian2"] == pytest.approx(-60)
        assert arrays["population0_v_nest"] == pytest.approx(-55 - 5 * np.exp(0.1))


def test_a_network_that_no_simulator_can_run_gives_all_reasons(tmp_path):
    rule = PairSTDP(w_max=1 * nA, pairing="nearest")
    network = Network(
        [
            Input("in", 2, Poisson(50 * Hz)),
            Population("n", 2, LIF(refractory=[1, 2] * ms)),
            Projection("in", "n", AllToAll(), 0.1 * nA, 1 * ms, plasticity=rule),
        ]
    )
    with pytest.raises(CapabilityRefused) as caught:
        export_pynn(network, 10 * ms, tmp_path / "exported")
    reasons = caught.value.reasons
    assert [r.partition(":")[0] for r in reasons] == [
        "nest",
        "brian2",
        "brian2",
        *["spinnaker"] * 2,
    ]
    assert not (tmp_path / "exported").exists()


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / "old").write_text("old")

    def fail():
        with atomic_folder(folder, force=True) as place:
            (place / "new").write_text("new")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FileRefused, match="could not be written: No space left on device"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]
    assert (folder / "old").read_text() == "old"
    with atomic_folder(folder, force=True) as place:
        (place / "new").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]


def exported(folder):
    network = Network(
        [
            Input("in", 20, Poisson(100 * Hz)),
            Population("n", 4, networks.unit()),
            Projection("in", "n", AllToAll(), Uniform(0.2 * nA, 0.5 * nA), 1 * ms),
            Probe("n", "v"),
        ]
    )
    export_pynn(network, 200 * ms, folder)
    return Result.load(folder / "expected.npz").spikes["n"]


def test_comparing_finds_the_first_spike_that_differs(tmp_path):
    spikes = exported(tmp_path / "exported")
    write_result(tmp_path / "exported", tmp_path / "same.npz")
    found = compare_export(tmp_path / "exported", tmp_path / "same.npz")
    assert found.comparison.identical
    assert found.populations[0].distance == 0.0
    early = spikes.ticks.copy()
    early[0] -= 1  # the first spike, one tick early
    moved = {"n": Spikes(early, spikes.neurons)}
    write_result(tmp_path / "exported", tmp_path / "early.npz", **moved)
    found = compare_export(tmp_path / "exported", tmp_path / "early.npz")
    assert found.comparison.first_divergence == ("n", int(spikes.neurons[0]), early[0])
    (n,) = found.populations
    assert (n.expected, n.found, n.matched) == (len(spikes), len(spikes), len(spikes) - 1)
    assert n.expected_rate == pytest.approx(len(spikes) / 4 / 0.2)
    assert n.distance == pytest.approx((1 - np.exp(-0.1)) / 4)


MODEL = """
from spikecore import *
net = Network([Input("in", 5, Poisson(200 * Hz)), Population("n", 2, LIF(resistance=20 * MOhm)),
               Projection("in", "n", AllToAll(), 0.3 * nA, 1 * ms)])
fed = Network([Input("in", 5)])
"""


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(MODEL)

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["export", *arguments])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


def test_command_lines(cli):
    status, out, _ = cli("pynn", "model.py:net", "out", "--run", "100")
    assert status == 0
    assert "python out/run.py nest\npython out/run.py brian2\nnot on spinnaker:\n" in out
    write_result("out", "result.npz")
    status, out, _ = cli("compare", "out", "result.npz")
    assert status == 0
    assert "0 missing, 0 extra" in out
    nothing = Spikes(np.empty(0, np.int64), np.empty(0, np.int64))
    write_result("out", "none.npz", n=nothing)
    status, out, _ = cli("compare", "out", "none.npz", "--json")
    data = json.loads(out)
    assert status == 1
    assert data["missing"] == data["populations"][0]["expected"] > 0
    assert data["first_divergence"][0] == "n"


def test_command_line_replaces_a_folder_only_if_told(cli):
    assert cli("pynn", "model.py:net", "out", "--for", "nest")[0] == 0
    status, _, err = cli("pynn", "model.py:net", "out")
    assert status == 3
    assert "is not empty" in err
    status, out, _ = cli("pynn", "model.py:net", "out", "--force", "--seed", "3", "--json")
    assert status == 0
    assert set(json.loads(out)["differences"]) == {"nest", "brian2"}
    assert json.loads(Path("out/manifest.json").read_text())["seed"] == 3


def test_command_line_lists_what_is_refused(cli):
    status, _, err = cli("pynn", "model.py:fed", "out")
    assert status == 5
    assert "input 'in': is fed while the simulation runs" in err
    assert not Path("out").exists()
