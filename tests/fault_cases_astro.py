"""What a user may do wrong with astrocyte-modulated units; tests/test_faults.py has the answers."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import torch

from spikecore.astro import (
    AMSU,
    AstroBlock,
    ByteModel,
    EventMemory,
    GatedBlock,
    LanguageTraining,
    ModelSizes,
    Recipe,
    generate,
    tasks,
)
from spikecore.cli.astro import command
from spikecore.nn import QGate, lif_scan

TEXT = bytes(range(256)) * 8
SIZES = ModelSizes(features=8, size=8, hidden=8, heads=2, d_k=4, layers=1)


def unit(features=4, size=8, **changes):
    return AMSU(features, size, **changes)


def language_model(**changes):
    return ByteModel(ModelSizes(**vars(SIZES) | changes))


def without(name, module):
    kept = {key: sys.modules.pop(key) for key in list(sys.modules) if key == module}
    try:
        with mock.patch("spikecore.need_torch.find_spec", return_value=None):
            importlib.import_module(name)
    finally:
        sys.modules.update(kept)


def without_digits():
    with mock.patch.dict(sys.modules, {"sklearn.datasets": None}):
        tasks.sequential_digits()


def events(**changes):
    return EventMemory(**{"variant": "matrix", "d_k": 4, "d_v": 2, "tau_a": 10.0} | changes)


def out_of_order():
    memory = events()
    memory.write(5, [0], [1.0, 1.0])
    memory.read(4, [0])


def draw():
    return torch.Generator().manual_seed(0)


def train(recipe=None, text=TEXT, **options):
    return LanguageTraining(ByteModel(SIZES, seed=0), text, recipe or small(), **options)


def small(**changes):
    return Recipe(**{"steps": 1, "batch": 2, "ticks": 16} | changes)


def of_another_training():
    train(checkpoint="kept.npz").save()
    train(small(steps=2), checkpoint="kept.npz", resume=True)


def a_checkpoint_as_model():
    train(checkpoint="kept.npz").save()
    ByteModel.load("kept.npz")


def that_lacks_a_block():
    model = ByteModel(SIZES, seed=0)
    model.sizes = ModelSizes(**vars(SIZES) | {"layers": 2})
    model.save("odd.npz")
    ByteModel.load("odd.npz")


def shell(*arguments):
    Path("text.txt").write_bytes(TEXT)
    if not Path("my.npz").exists():
        ByteModel(SIZES, seed=0).save("my.npz")
    command.main(list(arguments), standalone_mode=False)


def lifted_and_recurrent():
    drive, one = torch.zeros(3, 1, 2), torch.ones(2)
    back = torch.zeros(1, 2, 2)
    lif_scan(drive, one / 2, one, 0 * one, QGate(), recurrent=back, lift=drive)


ZEROS = torch.zeros(5, 1, 4)

FAULTS = {
    "Astrocyte-modulated units": {
        "`import spikecore.astro` without torch": partial(
            without, "spikecore.astro", "spikecore.astro"
        ),
        "a unit without neurons": partial(unit, size=0),
        "neurons that astrocytes cannot share evenly": partial(unit, heads=3),
        "keys of another length for 'diag'": partial(unit, variant="diag", d_k=3),
        "keys of length 0": partial(unit, d_k=0),
        "a variant that does not exist": partial(unit, variant="delat"),
        "a kind of spike that does not exist": partial(unit, firing="grade"),
        "a map of keys that does not exist": partial(unit, key_map="elu"),
        "a membrane of one tick or less": partial(unit, tau_m=1.0),
        "an astrocyte's time constant of 0": partial(unit, tau_a=(0.0, 10.0)),
        "a threshold of units of 0": partial(unit, threshold=0.0),
        "chunks of no ticks": partial(unit, chunk=0),
        "a form that does not exist": lambda: unit()(ZEROS, "chunk"),
        "activity without a batch axis": lambda: unit()(ZEROS[:, 0]),
        "activity of integers": lambda: unit()(ZEROS.int()),
        "a block without taps": partial(AstroBlock, 4, taps=0),
        "a mixing membrane of one tick or less": partial(AstroBlock, 4, tau_mix=1.0),
        "feedback in groups of 3": partial(AstroBlock, 4, feedback=3),
        "groups that do not divide the mixing neurons": partial(
            AstroBlock, 4, hidden=12, feedback=8
        ),
        "a block without gated neurons": partial(GatedBlock, 4, 0),
        "a mixing that does not exist": partial(language_model, mixing="gate"),
        "gated neurons and a tied readout": partial(language_model, mixing="gated"),
        "gated neurons and feedback in groups": partial(
            language_model, mixing="gated", tied=False, feedback=4
        ),
        "a surrogate triangle of height 0": partial(QGate, 0.0),
        "a lift with recurrent synapses": lifted_and_recurrent,
        "events for an astrocyte that stores nothing": partial(events, variant="none"),
        "events out of order": out_of_order,
        "a spike of a key that does not exist": lambda: events().read(0, [1, 4]),
        "a value of another length": lambda: events().write(0, [1], [1.0]),
        "a delay of no ticks": lambda: tasks.delayed_recall(1, 0, draw()),
        "more items than keys": lambda: tasks.associative_recall(1, 5, draw(), keys=4),
        "digits without scikit-learn": without_digits,
        "a training of no steps": partial(small, steps=0),
        "noise in place of all bytes": partial(small, noise=1.0),
        "weights that decay by less than nothing": partial(small, weight_decay=-1.0),
        "a text too short to train on": partial(train, text=b"too short"),
        "a checkpoint of another training": of_another_training,
        "a checkpoint in place of a model": a_checkpoint_as_model,
        "a model file that lacks a block": that_lacks_a_block,
        "a prompt without bytes": lambda: generate(ByteModel(SIZES), b"", 1),
        "`generate` with a file that is not there": partial(shell, "generate", "none.npz"),
        "`generate --bytes 0`": partial(shell, "generate", "my.npz", "--bytes", "0"),
        "`generate` at a negative temperature": partial(
            shell, "generate", "my.npz", "--temperature", "-1"
        ),
        "`generate` with a negative seed": partial(shell, "generate", "my.npz", "--seed", "-1"),
        "`train` on a text that is not there": partial(shell, "train", "none.txt", "new.npz"),
        "`train --features 10`": partial(shell, "train", "text.txt", "n.npz", "--features", "10"),
        "`train --dropout 1`": partial(shell, "train", "text.txt", "n.npz", "--dropout", "1"),
        "`train --mixing gated --feedback 8`": partial(
            shell, "train", "text.txt", "out.npz", "--mixing", "gated", "--feedback", "8"
        ),
        "`train --layers 0`": partial(shell, "train", "text.txt", "n.npz", "--layers", "0"),
    }
}
