"""Tasks are what their seed says, can be solved, and obey the law of capacity."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from spikecore.astro import AMSU, Variant
from spikecore.astro.tasks import (
    CUE,
    associative_recall,
    capacity,
    capacity_law,
    copy_sequence,
    delayed_recall,
    sequential_digits,
)

TASKS = [
    partial(delayed_recall, 8, 30),
    partial(associative_recall, 8, 5),
    partial(copy_sequence, 8, 6),
]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.func.__name__)
def test_a_seed_says_everything(task):
    one, same, other = (task(seeded(s)) for s in (3, 3, 4))
    assert torch.equal(one.spikes, same.spikes)
    assert torch.equal(one.answers, same.answers)
    assert not torch.equal(one.spikes, other.spikes)


def test_the_answer_is_in_the_spikes():
    trials = delayed_recall(50, 30, seeded(0), symbols=6)
    assert torch.equal(trials.spikes[0, :, :6].argmax(-1), trials.answers[0])
    assert trials.spikes[0, :, :7].sum() == 2 * 50
    assert torch.equal(trials.spikes[:, 0, 7], (torch.arange(30 + CUE) >= 30).float())
    pairs = associative_recall(50, 5, seeded(0), keys=9, values=4)
    asked = pairs.spikes[-1, :, :9]
    shown = (pairs.spikes[:5, :, :9] * asked).sum(-1, keepdim=True) * pairs.spikes[:5, :, 9:13]
    assert torch.equal(shown.sum(0).argmax(-1), pairs.answers[0])
    assert (pairs.spikes[:5, :, :9].sum(0) <= 1).all()
    copied = copy_sequence(50, 6, seeded(0))
    assert torch.equal(copied.spikes[:6, :, :8].argmax(-1), copied.answers)


def test_accuracy_reads_the_last_stretches():
    trials = copy_sequence(20, 3, seeded(0), symbols=5)
    output = torch.zeros(len(trials.spikes), 20, 5)
    output[-3:].scatter_(2, trials.answers[..., None], 1.0)
    assert trials.accuracy(output) == 1.0
    assert trials.accuracy(output.roll(1, 2)) == 0.0


def test_digits_are_split_by_their_order():
    pytest.importorskip("sklearn")
    for rows, ticks, channels in ((False, 64, 2), (True, 8, 9)):
        train, test = sequential_digits(rows=rows)
        assert train.spikes.shape == (ticks + CUE, 1437, channels)
        assert test.spikes.shape == (ticks + CUE, 360, channels)
        picture = train.spikes[:ticks, 0, :-1].reshape(8, 8)
        assert (train.answers[0, 0], picture[0].tolist()) == (
            0,
            [0, 0, 5 / 16, 13 / 16, 9 / 16, 1 / 16, 0, 0],
        )


@pytest.mark.parametrize("d_k", [64, 128])
@pytest.mark.parametrize("load", [0.1, 0.25, 0.5, 1.0, 2.0])
def test_a_matrix_holds_what_the_law_says(d_k, load):
    items = round(load * d_k)
    found = capacity(Variant.MATRIX, items, d_k, seeded(0), trials=32)
    assert found == pytest.approx(capacity_law(items, d_k), abs=0.02)


def test_the_delta_rule_gives_back_every_bit_of_orthonormal_keys():
    assert capacity(Variant.DELTA, 64, 64, seeded(0), orthonormal=True) == 1.0
    assert capacity(Variant.MATRIX, 64, 64, seeded(0)) < 0.9


def test_recall_can_be_learned_and_lif_neurons_cannot_wait():
    right = {}
    for variant in ("delta", "none"):
        torch.manual_seed(0)
        unit = AMSU(6, 32, variant=variant, d_k=8, tau_a=(500.0, 500.0))
        model = torch.nn.Sequential(unit, torch.nn.Linear(32, 4))
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
        draw = seeded(0)
        for _ in range(250):
            trials = delayed_recall(32, 40, draw, symbols=4)  # 20 membrane time constants
            scores = trials.scores(model(trials.spikes))
            loss = torch.nn.functional.cross_entropy(scores[0], trials.answers[0])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        test = delayed_recall(400, 40, draw, symbols=4)
        right[variant] = test.accuracy(model(test.spikes))
    assert right["delta"] >= 0.95
    assert right["none"] < 0.35
