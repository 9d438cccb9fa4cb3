"""``spikecore run``: networks from files, on any backend, with results and pictures."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from spikecore import Result
from spikecore.cli import main

MODEL = """
from spikecore import *

def net(weight=9 * mV):
    return Network([
        Input("in", 20, Poisson(60 * Hz)),
        Population("cells", 10, LIF(synapse=Delta())),
        Projection("in", "cells", RandomPairs(0.3), weight, 2 * ms),
    ])

silent = Network([Population("cells", 3, LIF())])

def explosive():
    cells = Population("cells", 50, LIF(synapse=Delta()), initial={"v": -40 * mV})
    return Network([cells, Projection("cells", "cells", AllToAll(), 1e308 * mV, 1 * ms)])
"""


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["run", *arguments])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


def test_a_run_says_what_fired_and_keeps_it(cli, tmp_path):
    status, text, _ = cli("model.py:net", "--duration", "200", "--out", "r.npz", "--plot", "r.png")
    assert status == 0
    kept = Result.load(tmp_path / "r.npz")
    assert f"cells: {len(kept.spikes['cells'])} spikes" in text
    assert kept.ticks == 200
    assert (tmp_path / "r.png").stat().st_size > 1000


def test_all_options_reach_the_run(cli):
    options = ("--duration", "50", "--seed", "7", "--precision", "float32", "--json")
    status, text, _ = cli("model.py:net", "--backend", "clocked", *options)
    answer = json.loads(text)
    assert status == 0
    assert (answer["status"], answer["ticks"]) == ("complete", 50)
    found = answer["provenance"]
    assert (found["backend"], found["seed"], found["precision"]) == ("clocked", 7, "float32")


def test_explain_says_which_way_was_taken(cli):
    code, out, _ = cli("model.py:net", "--duration", "50", "--explain")
    assert code == 0
    assert "way: delivery by calendar (58 synapses are at most 100000)" in out
    assert "way: cells by listed" in out
    forced = ("--backend", "event:delivery=ring,neurons=sweep")
    code, out, _ = cli("model.py:net", "--duration", "50", "--explain", *forced)
    assert "way: delivery by ring (asked for)" in out
    assert "way: cells by sweep" in out
    assert "bitmap" not in out
    forced = ("--backend", "event:dense=bitmaps")
    code, out, _ = cli("model.py:net", "--duration", "50", "--explain", *forced)
    assert "as bitmaps" in out
    assert "ahead" not in out
    code, out, _ = cli("model.py:net", "--duration", "50", "--explain", "--backend", "clocked")
    assert "way: backend 'clocked' has one only" in out


def test_advice_comes_before_the_run(cli, monkeypatch):
    monkeypatch.setattr("spikecore.backends.protocol.LONG_RUN_SECONDS", 1e-4)
    status, text, error = cli("model.py:net", "--duration", "10", "--backend", "clocked")
    assert status == 0
    assert "advice: backend 'clocked': this backend is the slow choice" in error
    assert "slow choice" not in text


def test_two_backends_beside_each_other(cli):
    status, text, _ = cli("model.py:net", "--duration", "100", "--compare", "clocked")
    assert status == 0
    assert "0 missing, 0 extra" in text
    status, text, _ = cli(
        "model.py:net",
        "--duration",
        "100",
        "--precision",
        "float32",
        "--compare",
        "torch",
        "--json",
    )
    assert status == 0
    assert json.loads(text)["comparison"]["extra"] == 0


def test_other_spikes_elsewhere_are_exit_status_1(cli, monkeypatch):
    from spikecore.results import Comparison, Result

    other = Comparison(3, (("cells", 1, 5),), ())
    monkeypatch.setattr(Result, "compare", lambda *_: other)
    status, text, _ = cli("model.py:net", "--duration", "10", "--compare", "clocked")
    assert status == 1
    assert "first divergence: cells[1] in tick 5" in text


def test_a_run_that_ends_early_keeps_its_results(cli, tmp_path):
    status, text, _ = cli("model.py:explosive", "--duration", "20", "--out", "r.npz")
    assert status == 6
    assert "diverged: " in text
    assert Result.load(tmp_path / "r.npz").status == "diverged"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["model.py:nett"], 3, "did you mean 'net'?"),
        (["model.py:net", "--backend", "evnt"], 3, "did you mean 'event'?"),
        (["model.py:net", "--out", "absent/r.npz"], 3, "absent"),
        (["model.py:net", "--duration", "0.5"], 3, "grid"),
        (["model.py:net", "--duration", "-1"], 3, "duration"),
        (["model.py:net", "--backend", "spinnaker"], 5, "step rule 'exact'"),
    ],
)
def test_what_is_wrong_is_said_first(cli, tmp_path, arguments, status, words):
    found, _, error = cli(*arguments)
    assert found == status
    assert words in error
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".pyc") == [
        *(["__pycache__"] if (tmp_path / "__pycache__").exists() else []),
        "model.py",
    ]


def test_ctrl_c_keeps_the_results(cli, tmp_path):
    code = """if True:
        import os, signal, sys, threading
        from spikecore import LIF, Network, Population, ms, run
        from spikecore.cli import main
        run(Network([Population("n", 1, LIF())]), 1 * ms)  # compiled
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        main(sys.argv[1:])
    """
    arguments = ["run", "model.py:net", "--duration", "100000000", "--out", "r.npz"]
    command = [sys.executable, "-c", code, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 130, ran.stderr
    assert "interrupted: stopped on request" in ran.stdout
    assert Result.load(tmp_path / "r.npz").status == "interrupted"
