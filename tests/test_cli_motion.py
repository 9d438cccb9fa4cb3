"""``spikecore motion``: what it prints, what it writes, what it exits with."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import moving
import numpy as np
import pytest
from PIL import Image

from spikecore.cli import main
from spikecore.data import write_events
from spikecore.motifs import DelayKernel


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Run a command line in a folder of its own; return (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["motion", *arguments])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


@pytest.fixture
def recording(cli, tmp_path):
    write_events(tmp_path / "right.npz", moving.straight(100, 0))
    return "right.npz"


def test_detect_says_where_and_how_fast(cli, recording):
    status, out, err = cli("detect", recording)
    assert (status, err) == (0, "")
    headline = out.splitlines()[0]
    assert headline.startswith("right.npz: right (")
    assert float(headline.split("°), ")[1].removesuffix(" px/s")) == pytest.approx(100, rel=0.2)


def test_detect_as_json(cli, recording):
    status, out, _ = cli("detect", recording, "--json")
    found = json.loads(out)
    assert status == 0
    assert abs(found["direction_deg"]) < 10
    assert found["speed_px_s"] == pytest.approx(100, rel=0.2)
    assert found["vx_px_s"] == pytest.approx(
        found["speed_px_s"] * np.cos(np.radians(found["direction_deg"])), abs=0.1
    )
    assert found["sensor"] == [48, 48]
    assert found["complete"] is True
    starts = [row["start_us"] for row in found["windows"]]
    assert np.array_equal(np.diff(starts), np.full(len(starts) - 1, 50_000))
    assert np.shape(found["field"]["direction_deg"]) == (6, 6)


def test_detect_draws_and_writes(cli, recording, tmp_path):
    status, out, _ = cli(
        "detect", recording, "--plot", "m.png", "--out", "m.csv", "--every-event", "--cell", "16"
    )
    assert status == 0
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.size[0] > 800
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert f"{len(rows)} output events" in out
    angles = np.radians([float(row["direction_deg"]) for row in rows])
    assert abs(np.angle(np.exp(1j * angles).mean())) < 0.2
    assert min(float(row["confidence"]) for row in rows) >= 0.25
    assert cli("detect", recording, "--out", "m.npz")[0] == 0
    with np.load(tmp_path / "m.npz") as arrays:
        assert set(arrays) >= {"t", "x", "y", "direction_deg", "speed_px_s"}
        assert (np.diff(arrays["t"]) >= 0).all()


def test_several_motions_are_listed(cli, tmp_path):
    left, up = (moving.straight(*v, sensor=(64, 48), seed=1) for v in ((-90, 0), (0, -60)))
    both = moving.together(left.where(left.x < 32), up.where(up.x >= 32))
    write_events(tmp_path / "two.npz", both)
    out = cli("detect", "two.npz")[1]
    assert "several motions in view:" in out
    assert "  left (" in out
    assert "  up (" in out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["absent.bin"], 3, "does not exist"),
        (["right.npz", "--sensor", "48"], 3, "must be WIDTHxHEIGHT"),
        (["right.npz", "--sensor", "20x20"], 3, "must lie on the sensor"),
        (["right.npz", "--backend", "evnt"], 3, "did you mean 'event'"),
        (["right.npz", "--window", "10"], 3, "must be at least --hop"),
        (["right.npz", "--out", "spikes.txt"], 3, "must end in .npz or .csv"),
        (["right.npz", "--plot", "absent/m.png"], 3, "does not exist"),
        (["right.npz", "--model", "right.npz"], 3, "not a spikecore file"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_detect_refuses(cli, recording, tmp_path, arguments, status, words):
    before = sorted(p.name for p in tmp_path.iterdir())
    found, out, err = cli("detect", *arguments)
    assert found == status
    assert words in err
    assert out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_without_matplotlib_nothing_is_done(cli, recording, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "spikecore.plot", None)
    monkeypatch.delattr("spikecore.plot", raising=False)
    status, out, err = cli("detect", recording, "--plot", "m.png")
    assert (status, out) == (4, "")
    assert "spikecore[plot]" in err
    assert not (tmp_path / "m.png").exists()


def test_without_torch_training_says_what_to_install(cli, monkeypatch):
    monkeypatch.setattr("spikecore.need_torch.find_spec", lambda _name: None)
    status, _, err = cli("train", "k.npz")
    assert status == 4
    assert "spikecore[torch]" in err


def test_evaluate_scores_a_labelled_folder(cli, tmp_path):
    rows = []
    for name, velocity in (("a", (100, 0)), ("b", (0, -60))):
        write_events(tmp_path / f"{name}.npz", moving.straight(*velocity, seconds=0.4))
        rows += [
            f"{name}.npz,{t},{t + 100_000},{velocity[0]},{velocity[1]}" for t in (100_000, 250_000)
        ]
    header = "path,t_start_us,t_end_us,vx_px_s,vy_px_s"
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    status, out, _ = cli("evaluate", "--data", ".", "--json")
    found = json.loads(out)
    assert status == 0
    (ours,), (beside,) = found["groups"].values(), found["contrast_maximisation"].values()
    assert ours["count"] == beside["count"] == 4
    assert ours["within_30"] == 1.0
    assert ours["speed_error"] < 0.2
    assert "contrast" in cli("evaluate", "--data", ".", "--limit", "1")[1]
    (tmp_path / "labels.csv").write_text(header + "\na.npz,5,4,1,1\n")
    status, _, err = cli("evaluate", "--data", ".")
    assert status == 3
    assert "labels.csv, line 2" in err
    (tmp_path / "empty").mkdir()
    assert "holds no labelled recordings" in cli("evaluate", "--data", "empty")[2]


def test_bench(cli, recording):
    status, out, _ = cli("bench", recording, "--repeat", "1", "--json")
    found = json.loads(out)
    assert status == 0
    assert len(found["rungs"]) == 7
    assert all(row["voxels"] <= found["events"] for row in found["rungs"])
    assert "whole detection" in cli("bench", recording, "--repeat", "1")[1]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 255, (320, 480), np.uint8)).save(folder / f"{number}.png")
    return "pictures"


QUICK = ("--steps", "4", "--retrain", "2", "--voxels", "64", "--movies", "3")


def test_train_and_prune(cli, pictures, tmp_path):
    arguments = ("train", "k.npz", "--images", pictures, *QUICK, "--json")
    status, out, _ = cli(*arguments)
    assert status == 0
    assert json.loads(out)["synapses"] == 4011
    one = DelayKernel.load(tmp_path / "k.npz")
    assert cli(*arguments)[0] == 0
    assert np.array_equal(one.weights, DelayKernel.load(tmp_path / "k.npz").weights)
    assert cli(*arguments, "--seed", "1")[0] == 0
    assert not np.array_equal(one.weights, DelayKernel.load(tmp_path / "k.npz").weights)
    status, out, _ = cli(
        "prune",
        "k.npz",
        "--images",
        pictures,
        "--factors",
        "115,2000",
        "--structured",
        "--movies",
        "1",
        "--size",
        "36",
        "--plot",
        "p.png",
        "--out",
        "small.npz",
        "--json",
    )
    rows = json.loads(out)["rows"]
    assert status == 0
    assert [row["synapses"] for row in rows[:2]] == [4011, 231]
    assert (tmp_path / "p.png").exists()
    assert DelayKernel.load(tmp_path / "small.npz").synapses == rows[-1]["synapses"]
    assert "must be numbers of at least 1" in cli("prune", "k.npz", "--factors", "0.5")[2]


def test_train_on_recordings(cli, tmp_path):
    write_events(tmp_path / "a.npz", moving.straight(100, 0))
    (tmp_path / "labels.csv").write_text(
        "path,t_start_us,t_end_us,vx_px_s,vy_px_s\na.npz,0,300000,100,0\n"
    )
    status, out, _ = cli("train", "k.npz", "--data", ".", *QUICK)
    assert status == 0
    assert "k.npz: 38 classes, 4,011 of" in out


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_interrupted_training_goes_on(tmp_path, pictures):
    command = [
        sys.executable,
        "-c",
        "from spikecore.cli import main; main()",
        "motion",
        "train",
        "k.npz",
        "--images",
        pictures,
        "--steps",
        "100000",
        "--retrain",
        "0",
        "--voxels",
        "64",
        "--movies",
        "3",
        "--checkpoint",
        "c.npz",
    ]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    for _ in range(600):  # the first checkpoint says that training has begun
        if (tmp_path / "c.npz").exists():
            break
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    out = run.communicate(timeout=120)[0]
    assert run.returncode == 130
    assert "--resume --checkpoint c.npz" in out
    assert (tmp_path / "c.npz").exists()
    assert not (tmp_path / "k.npz").exists()
