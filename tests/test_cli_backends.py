"""``spikecore backends`` and ``spikecore doctor``."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
from backend_params import needs_brian2

from spikecore import LIF, Delta, Network, Population, Projection, RandomPairs, ms, mV, run
from spikecore.backends import registry
from spikecore.backends.clocked import ClockedBackend
from spikecore.backends.event.kernels import run as kernel
from spikecore.cli import doctor, main
from spikecore.conformance import CASES

KNOWN = dict(registry._entries())


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code, capsys.readouterr().out


def register(monkeypatch, **targets):
    entries = {
        name: EntryPoint(name, target, registry.ENTRY_POINT_GROUP)
        for name, target in targets.items()
    }
    monkeypatch.setattr(registry, "_entries", lambda: KNOWN | entries)


def test_backends_lists_what_is_there_and_why_the_rest_is_not(capsys, monkeypatch):
    register(monkeypatch, ghost="ghost_package:Backend")
    status, text = call(capsys, "backends", "--json")
    found = {entry["name"]: entry for entry in json.loads(text)["backends"]}
    assert status == 0
    assert found["event"]["available"]
    assert found["event"]["checkpoint"]
    assert found["event"]["precisions"] == ["float64", "float32"]
    assert found["ghost"] == {
        "name": "ghost",
        "available": False,
        "reason": "No module named 'ghost_package'",
        "fix": "pip install 'spikecore[ghost]', or choose backend='event'",
    }
    status, text = call(capsys, "backends")
    assert status == 0
    assert "ghost_package" in text
    assert "spikecore[ghost]" in text  # square brackets are not mark-up


@needs_brian2
def test_backends_shows_options_and_where_a_backend_departs(capsys):
    _, text = call(capsys, "backends", "--json")
    brian2 = json.loads(text)["backends"][2]
    assert brian2["options"] == {"target": ["numpy", "cython", "cpp_standalone"]}
    assert set(brian2["departs"]) == {"order of sums", "ties", "set_weights"}
    _, text = call(capsys, "backends")
    assert "target: numpy, cython, cpp_standalone" in text


class Wrong(ClockedBackend):
    """Loses every second neuron's refractory period."""

    def prepare(self, lowered, options):
        populations = [replace(p, refractory=0 * p.refractory) for p in lowered.populations]
        return super().prepare(replace(lowered, populations=tuple(populations)), options)


def test_check_runs_the_suite_and_tells_a_broken_promise(capsys, monkeypatch):
    status, text = call(capsys, "backends", "--check", "event")
    assert status == 0
    assert f"{len(CASES)} of {len(CASES)} as promised" in text
    register(monkeypatch, wrong=f"{__name__}:Wrong")
    status, text = call(capsys, "backends", "--check", "wrong", "--json")
    report = json.loads(text)
    assert status == 1
    assert not report["kept"]
    broken = [o for o in report["outcomes"] if o["verdict"] == "differs"]
    assert "refractory periods 0 to 5" in {o["network"] for o in broken}
    assert all("from tick" in o["detail"] for o in broken if o["network"].startswith("refr"))


def test_check_of_a_backend_that_does_not_exist(capsys):
    status, text = call(capsys, "backends", "--check", "evnt", "--json")
    assert status == 3
    assert json.loads(text)["error"]["fix"] == "did you mean 'event'?"


def findings(capsys, status):
    ended, text = call(capsys, "doctor", "--json")
    assert ended == status
    return {f["what"]: f for f in json.loads(text)["findings"]}


def test_doctor_finds_this_installation_sound(capsys):
    found = findings(capsys, 0)
    assert {found[what]["state"] for what in ("python", "event core", "cache of kernels")} == {"ok"}
    status, text = call(capsys, "doctor")
    assert status == 0
    assert "nothing is wrong" in text


def test_doctor_names_what_is_wrong_and_the_command_that_mends_it(capsys, monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version_tuple", lambda: ("3", "9", "0"))
    monkeypatch.setattr(
        doctor, "version", lambda package: {"brian2": "2.9.0"}.get(package, "2.4.1")
    )
    register(monkeypatch, brian2="no_such_brian2:Backend", event="no_such_numba:Backend")
    monkeypatch.setattr(doctor.shutil, "which", lambda _tool: None)
    monkeypatch.setattr(doctor.os, "access", lambda _folder, _mode: False)
    broken = subprocess.CalledProcessError(1, "python")
    monkeypatch.setattr(
        doctor.subprocess, "run", lambda *_args, **_options: (_ for _ in ()).throw(broken)
    )
    found = findings(capsys, 4)
    assert {what: (f["state"], f["fix"]) for what, f in found.items() if f["state"] != "ok"} == {
        "python": ("wrong", "install Python 3.11 or newer"),
        "event core": ("wrong", "pip install --upgrade numba numpy"),
        "cache of kernels": ("wrong", "export NUMBA_CACHE_DIR=~/.cache/numba"),
        "brian2": ("wrong", "pip install 'spikecore[brian2]'"),
        "C++ compiler": (
            "absent",
            "install a C++ compiler and make: only brian2's targets cython, cpp_standalone use it",
        ),
        "torch": ("wrong", "pip install 'spikecore[torch]'"),
    }
    assert found["brian2"]["found"].startswith("2.9.0 with numpy 2.4.1: No module named")


def test_doctor_tells_optional_things_from_broken_ones(capsys, monkeypatch):
    def none(package):
        raise doctor.PackageNotFoundError(package)

    monkeypatch.setattr(doctor, "version", none)
    found = findings(capsys, 0)
    extras = {"brian2": "brian2", "torch": "torch", "matplotlib": "plot", "tonic": "events"}
    for package, extra in extras.items():
        assert found[package]["state"] == "absent"
        assert found[package]["fix"] == f"pip install 'spikecore[{extra}]'"


def test_doctor_asks_torch_for_its_device(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_version", {"torch": "2.13.0"}.get)
    answer = SimpleNamespace(stdout="NVIDIA H100\n")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_args, **_options: answer)
    assert findings(capsys, 0)["torch"]["found"] == "2.13.0, NVIDIA H100"


def test_doctor_finds_the_cache_where_numba_keeps_it():
    assert doctor._cache().found == str(Path(kernel.stats.cache_path))


def test_a_slow_choice_is_noted_with_its_measured_cost(monkeypatch):
    network = Network(
        [
            Population("n", 300, LIF(synapse=Delta())),
            Projection("n", "n", RandomPairs(0.9), 1 * mV, 1 * ms),
        ]
    )

    def notes(backend):
        return [n for n in run(network, 2 * ms, backend=backend).notes if "slow choice" in n]

    assert notes("clocked") == []
    monkeypatch.setattr("spikecore.backends.protocol.LONG_RUN_SECONDS", 1e-4)
    assert len(notes("clocked")) == 1
    assert notes("event") == []
