"""Language models: training that can be stopped, files, sampling, the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikecore.astro import ByteModel, LanguageTraining, ModelSizes, Recipe, generate
from spikecore.astro.training import bits_a_byte, parts_of
from spikecore.cli import main

SMALL = ModelSizes(features=16, layers=1, size=16, hidden=16, heads=2, d_k=8, dropout=0.1)
GATED = replace(SMALL, clock=True, read_gate=True, mix_gate=True, tied=False)
FED = replace(GATED, layers=2, feedback=4)
RECURRENT = replace(SMALL, clock=True, read_gate=True, tied=False, layers=2, mixing="gated")
KINDS = pytest.mark.parametrize(
    "sizes",
    [SMALL, GATED, FED, RECURRENT],
    ids=["plain", "gated", "feedback", "recurrent"],
)
TEXT = b"so it goes, and on it goes. " * 100
RECIPE = Recipe(steps=40, batch=4, ticks=32, evaluate=10, save=10, warmup=5)


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Run a command line in a folder of its own; return (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_bytes(TEXT)

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["astro", *arguments])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


TRAIN = ("train", "text.txt", "my.npz", "--features", "16", "--layers", "1", "--window", "32")


@KINDS
def test_a_text_is_learned(sizes):
    model = ByteModel(sizes, seed=0)
    training = LanguageTraining(model, TEXT, RECIPE)
    before = training.test_bits()
    assert training.run()
    assert training.test_bits() < before - 2
    assert training.curve.steps == [10, 20, 30, 40]
    assert training.test_bits() == pytest.approx(
        bits_a_byte(model, training.test, RECIPE.ticks), rel=1e-6
    )


def test_parts_follow_one_another():
    train, validation, test = parts_of(TEXT, 32)
    whole = b"".join(bytes(part.tolist()) for part in (train, validation, test))
    assert whole == TEXT
    assert len(test) == pytest.approx(len(TEXT) / 10, abs=1)


def test_bits_a_byte_is_the_cross_entropy_of_later_halves():
    class Even(torch.nn.Module):
        def forward(self, given):
            return torch.zeros(*given.shape, 256)

    part = torch.arange(100, dtype=torch.uint8)
    assert bits_a_byte(Even(), part, 8) == pytest.approx(8.0, rel=1e-6)


@KINDS
def test_a_training_stopped_and_resumed_is_the_one_that_was_not(tmp_path, sizes):
    class StopAfter:
        def __init__(self, steps):
            self.steps = steps

        def __bool__(self):
            self.steps -= 1
            return self.steps < 0

    whole = ByteModel(sizes, seed=0)
    LanguageTraining(whole, TEXT, RECIPE).run()
    path = tmp_path / "kept.npz"
    first = ByteModel(sizes, seed=0)
    training = LanguageTraining(first, TEXT, RECIPE, checkpoint=path)
    assert not training.run(stop=StopAfter(17))
    assert training.done == 17
    second = ByteModel(sizes, seed=5)
    resumed = LanguageTraining(second, TEXT, RECIPE, checkpoint=path, resume=True)
    assert resumed.done == 17
    assert resumed.run()
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@KINDS
def test_a_file_holds_the_model_in_half_precision(tmp_path, sizes):
    model = ByteModel(sizes, seed=0).eval()
    model.save(tmp_path / "model.npz")
    read = ByteModel.load(tmp_path / "model.npz")
    assert read.sizes == sizes
    for one, other in zip(model.parameters(), read.parameters(), strict=True):
        assert torch.equal(one.half().float(), other)


@KINDS
def test_generation_is_the_stream_of_the_whole(sizes):
    model = ByteModel(sizes, seed=0).eval()
    out = generate(model, b"so it", 30, temperature=0)
    given = torch.tensor(list(b"so it" + out))[:, None]
    likeliest = model(given)[:, 0].argmax(-1)
    assert bytes(likeliest[4:-1].tolist()) == out
    assert generate(model, b"so", 30, seed=1) == generate(model, b"so", 30, seed=1)
    assert generate(model, b"so", 30, seed=1) != generate(model, b"so", 30, seed=2)


@KINDS
def test_the_state_is_as_large_after_a_thousand_bytes_as_after_one(sizes):
    model = ByteModel(sizes, seed=0).eval()

    def shapes(state):
        if isinstance(state, torch.Tensor):
            return [tuple(state.shape)]
        return [shape for part in state for shape in shapes(part)]

    state = model.start()
    found = []
    with torch.no_grad():
        for length in (1, 999):
            _, state = model.stream(torch.zeros(length, 1, dtype=torch.int64), state)
            found.append(shapes(state))
    assert found[0] == found[1]


def test_train_then_generate(cli, tmp_path):
    status, out, err = cli(*TRAIN, "--steps", "80", "--evaluate", "40", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["complete"]
    assert 0 < found["bits_a_byte"] < 8
    same = [cli("generate", "my.npz", "--prompt", "so ", "--bytes", "50") for _ in range(2)]
    assert same[0] == same[1]
    assert same[0][0] == 0
    assert same[0][1].startswith("so ")
    other = cli("generate", "my.npz", "--prompt", "so ", "--bytes", "50", "--seed", "1")
    assert other[1] != same[0][1]
    status, out, _ = cli("generate", "my.npz", "--bytes", "5", "--json")
    assert json.loads(out)["bytes"] == 5


def test_neurons_with_gates_train_from_the_shell(cli):
    steps = ("--steps", "40", "--evaluate", "20")
    status, out, err = cli(*TRAIN, "--mixing", "gated", *steps, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["complete"]
    assert ByteModel.load("my.npz").sizes.mixing == "gated"
    assert cli("generate", "my.npz", "--bytes", "5")[0] == 0


def test_the_model_that_ships_writes_lines_of_a_play(cli):
    status, out, err = cli("generate", "--prompt", "ROMEO:\n", "--bytes", "300", "--seed", "1")
    assert (status, err) == (0, "")
    assert out.startswith("ROMEO:\n")
    words = re.findall(r"[A-Za-z']+", out.lower())
    common = {"the", "and", "of", "to", "my", "in", "that", "is", "not", "you", "a", "i", "your"}
    assert len(words) > 40
    assert sum(word in common for word in words) > 0.1 * len(words)


class After:
    """Stands for a Ctrl-C that comes after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def __bool__(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize(("steps", "kept"), [(7, True), (4, False)])
def test_ctrl_c_without_a_checkpoint_keeps_the_best_weights_so_far(cli, monkeypatch, steps, kept):
    monkeypatch.setattr(
        "spikecore.cli.astro.deferred_interrupts", lambda: nullcontext(After(steps))
    )
    status, out, _ = cli(*TRAIN, "--steps", "20", "--evaluate", "5", "--json")
    found = json.loads(out)
    assert (status, found["complete"], found["steps"]) == (130, False, steps)
    assert found["file"] == ("my.npz" if kept else "")
    assert Path("my.npz").exists() == kept
    if kept:
        assert cli("generate", "my.npz", "--bytes", "5")[0] == 0


def test_ctrl_c_keeps_the_checkpoint(cli, tmp_path):
    command = [sys.executable, "-m", "spikecore.cli", "astro", *TRAIN]
    code = "import sys; from spikecore.cli import main; main(sys.argv[1:])"
    command[1:3] = ["-c", code]
    options = ["--steps", "100000", "--evaluate", "5", "--checkpoint", "kept.npz", "--json"]
    running = subprocess.Popen(
        [*command, *options], cwd=tmp_path, stdout=subprocess.PIPE, env=os.environ
    )
    kept = tmp_path / "kept.npz"
    deadline = time.monotonic() + 120
    while not kept.exists() or "best" not in str(np.load(kept).files):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    found = json.loads(out)
    assert running.returncode == 130
    assert not found["complete"]
    assert found["steps"] >= 5
    assert not (tmp_path / "my.npz").exists()
    options[1] = str(found["steps"] + 1)
    status, _, err = cli(*TRAIN, *options, "--resume")
    assert (status, "another recipe" in err) == (3, True)  # other steps are another training
