"""The command line: what it prints, what it exits with, and that nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from spikecore.cli import main


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Run a command line in a folder of its own; return (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(list(arguments))
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


@pytest.fixture
def fruit(cli):
    """Make a memory with two fruits."""
    assert cli("memory", "init", "fruit.mem", "--flags", "red,yellow,round,long,sweet")[0] == 0
    assert cli("memory", "store", "fruit.mem", "apple", "red,round,sweet")[0] == 0
    assert cli("memory", "store", "fruit.mem", "banana", "yellow,long,sweet")[0] == 0
    return cli


def test_everyday_session(fruit):
    assert fruit("memory", "recall", "fruit.mem", "apple", "-q") == (
        0,
        "recalled: apple\napple (100%): red, round, sweet\n",
        "",
    )
    assert fruit(
        "memory", "recall", "fruit.mem", "--fragment", "red,sweet", "--threshold", "0.5", "-q"
    )[1] == ("2 found\napple (100%): red, round, sweet\nbanana (50%): yellow, long, sweet\n")
    assert fruit("memory", "store", "fruit.mem", "apple", "yellow", "-q")[1] == "replaced: apple\n"
    assert fruit("memory", "recall", "fruit.mem", "--fragment", "red", "-q")[1].startswith(
        "no match"
    )
    assert fruit("memory", "forget", "fruit.mem", "apple", "-q") == (0, "forgotten: apple\n", "")
    assert fruit("memory", "recall", "fruit.mem", "apple", "-q")[:2] == (
        0,
        "nothing stored: apple\n",
    )
    assert fruit("memory", "list", "fruit.mem") == (0, "banana\n", "")


def test_json_says_everything(fruit):
    status, out, _ = fruit("memory", "recall", "fruit.mem", "banana", "--json")
    data = json.loads(out)
    assert status == 0
    assert data["outcome"] == "recalled"
    assert data["answers"] == [
        {
            "cue": "banana",
            "content": ["yellow", "long", "sweet"],
            "bits": [1, 3, 4],
            "overlap": 1.0,
            "note": "",
        }
    ]
    assert data["spikes"] > 0
    assert data["model_ms"] > 0
    assert data["wall_ms"] > 0
    assert data["backend"] == "event"
    info = json.loads(fruit("memory", "info", "fruit.mem", "--json")[1])
    assert (info["used"], info["cues"], info["bits"]) == (2, 16, 5)
    assert [change["cue"] for change in info["history"]] == ["banana", "apple"]


def test_backends_answer_alike(fruit):
    answers = [
        json.loads(
            fruit(
                "memory",
                "recall",
                "fruit.mem",
                "--fragment",
                "sweet,red",
                "--json",
                "--backend",
                name,
            )[1]
        )
        for name in ("event", "clocked")
    ]
    assert answers[0]["answers"] == answers[1]["answers"]
    assert answers[0]["spikes"] == answers[1]["spikes"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["store", "fruit.mem", "plum", "purple"], 3, ["unknown name 'purple'", "Fix"]),
        (["store", "fruit.mem", "plum", "swet"], 3, ["did you mean 'sweet'"]),
        (["store", "fruit.mem", "plum", ","], 3, ["no flags"]),
        (["store", "fruit.mem", "apple", "red", "--no-overwrite"], 3, ["holds something already"]),
        (["forget", "fruit.mem", "aple"], 3, ["did you mean 'apple'"]),
        (["recall", "fruit.mem", "apple", "banana"], 3, ["one cue"]),
        (["recall", "fruit.mem", "apple", "--fragment", "red"], 2, ["either a CUE or --fragment"]),
        (["recall", "fruit.mem", "--fragment", "red", "--threshold", "1.5"], 3, ["above 0"]),
        (["recall", "fruit.mem", "apple", "--out", "a.png"], 3, ["pictures"]),
        (["recall", "none.mem", "apple"], 3, ["does not exist", "init"]),
        (["recall", "fruit.mem", "apple", "--backend", "evnt"], 3, ["did you mean 'event'"]),
        (["init", "fruit.mem", "--text", "8"], 3, ["exists already"]),
        (["init", "new.mem"], 2, ["--flags"]),
        (["init", "new.mem", "--text", "0"], 3, ["positive integer"]),
        (["init", "new.mem", "--image", "16"], 3, ["WIDTHxHEIGHT"]),
        (["init", "new.mem", "--text", "8", "--cues", "0"], 3, ["at least 1"]),
        (["init", "new.mem", "--text", "8", "--preset", "robst"], 3, ["did you mean 'robust'"]),
        (["init", "no/such/folder.mem", "--text", "8"], 3, ["does not exist"]),
        (["stress", "--learn-ms", "2"], 3, ["at least 3"]),
        (["stress", "--density", "0"], 3, ["density"]),
        (["replay", "missing.json"], 3, ["does not exist"]),
        (["plot", "fruit.mem", "apple", "--out", "no/such/a.png"], 3, ["does not exist"]),
        (["fly"], 2, ["No such command"]),
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(fruit, tmp_path, arguments, status, words):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    found, _, err = fruit("memory", *arguments)
    assert found == status
    for word in words:
        assert word in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_errors_as_json(fruit):
    status, out, err = fruit("memory", "forget", "fruit.mem", "pear", "--json")
    assert status == 3
    assert json.loads(out)["error"]["kind"] == "UnknownName"
    assert err.startswith("error: ")


def test_full_memory_names_the_oldest(cli):
    cli("memory", "init", "small.mem", "--text", "4", "--cues", "2")
    for name in "ab":
        assert cli("memory", "store", "small.mem", name, name)[0] == 0
    status, _, err = cli("memory", "store", "small.mem", "c", "c")
    assert status == 3
    assert "full" in err
    assert "'a'" in err
    assert cli("memory", "list", "small.mem")[1] == "a\nb\n"


def test_pictures_in_and_out(cli, tmp_path):
    rng = np.random.default_rng(3)
    picture = rng.random((8, 8)) < 0.4
    covered = picture.copy()
    covered[:, 4:] = False
    for name, bits in (("whole", picture), ("half", covered)):
        Image.fromarray(np.where(bits, 0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    assert cli("memory", "init", "p.mem", "--image", "8x8", "--cues", "3")[0] == 0
    assert cli("memory", "store", "p.mem", "it", "whole.png")[0] == 0
    assert cli("memory", "recall", "p.mem", "--fragment", "half.png", "--out", "back.png")[0] == 0
    with Image.open(tmp_path / "back.png") as image:
        assert np.array_equal(np.asarray(image) < 128, picture)
    Image.new("L", (9, 8)).save(tmp_path / "wrong.png")
    status, _, err = cli("memory", "store", "p.mem", "it", "wrong.png")
    assert status == 3
    assert "8x8" in err


def session(extra=()):
    """Write a learn and a recall as a recording, with its true output plus ``extra``."""
    return {
        "meta": {"cue_size": 2, "content_size": 3, "sim_time_ms": 20},
        "inputs": {"cue": {"0": [0, 1, 2, 10]}, "cont": {"1": [0, 1, 2]}},
        "outputs": {"OUTcue": {"0": [5, 7, 15, *extra]}, "OUTcont": {"1": [5, 7, 16]}},
    }


def test_replay(cli, tmp_path):
    file = tmp_path / "session.json"
    file.write_text(json.dumps(session()))
    status, out, _ = cli("memory", "replay", "session.json", "--json")
    replayed = json.loads(out)
    assert status == 0
    assert replayed["outputs"]["OUTcue"] == {"0": [5, 7, 15], "1": []}
    full = session() | {"outputs": replayed["outputs"]}
    file.write_text(json.dumps(full))
    status, out, _ = cli("memory", "replay", "session.json", "--compare", "--preset", "robust")
    assert (status, out.splitlines()[0].split(" ", 1)[1]) == (0, "matched, 0 missing, 0 extra")
    full["outputs"]["OUTcue"]["0"] = [5, 7, 14]
    file.write_text(json.dumps(full))
    status, out, _ = cli("memory", "replay", "session.json", "--compare")
    assert status == 1
    assert "missing OUTcue[0] at 14 ms" in out
    assert "extra OUTcue[0] at 15 ms" in out


@pytest.mark.parametrize(
    "damage",
    [
        "not json",
        "[]",
        '{"meta": {}}',
        '{"meta": {"cue_size": 2, "content_size": 0, "sim_time_ms": 5}, "inputs": {}}',
        '{"meta": {"cue_size": 2, "content_size": 2, "sim_time_ms": 5}, '
        '"inputs": {"cue": {"7": [1]}}}',
        '{"meta": {"cue_size": 2, "content_size": 2, "sim_time_ms": 5}, '
        '"inputs": {"cue": {"1": [1.5]}}}',
        '{"meta": {"cue_size": 2, "content_size": 2, "sim_time_ms": 5}, "inputs": {}, '
        '"outputs": {"Nobody": {}}}',
    ],
)
def test_damaged_recordings(cli, tmp_path, damage):
    (tmp_path / "session.json").write_text(damage)
    status, _, err = cli("memory", "replay", "session.json", "--compare")
    assert status == 3
    assert "session.json" in err


def test_stress_reports_every_count(cli):
    status, out, _ = cli("memory", "stress", "--operations", "150", "--seed", "4", "--json")
    data = json.loads(out)
    assert status == 0
    assert sum(data["counts"].values()) == 150
    assert data["perfect"]
    worse = json.loads(
        cli(
            "memory",
            "stress",
            "--operations",
            "150",
            "--seed",
            "4",
            "--json",
            "--preset",
            "published",
        )[1]
    )
    assert worse["wrong_total"] > 15
    assert worse["extra_spikes"] > 0


def test_demo_and_plot_write_pictures(fruit, tmp_path):
    status, out, _ = fruit("memory", "demo", "--json")
    data = json.loads(out)
    assert status == 0
    assert data["right"] == data["steps"] == 15
    assert fruit("memory", "plot", "fruit.mem", "apple")[0] == 0
    assert fruit("memory", "plot", "fruit.mem", "--fragment", "red", "--out", "f.png")[0] == 0
    for name in ("spikecore-demo.png", "recall.png", "f.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 400
            assert len(image.getcolors(1 << 24)) > 5  # something has been drawn


def test_help_needs_no_numba():
    code = (
        "import sys; from spikecore.cli import main\ntry: main(['memory', '--help'])\n"
        "except SystemExit: pass\nprint('numba' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
