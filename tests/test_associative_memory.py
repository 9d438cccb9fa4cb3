"""The neuron-astrocyte associative memory: its dynamics, what it holds, and mended cues."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore.cli import main
from spikecore.memory import AstrocyteAssociativeMemory, Bitmap, ContentMemory, Flags
from spikecore.randomness import stream


def stored(neurons, count, *, seed=1, mean=0.0):
    patterns = np.where(stream(seed, "patterns").random((count, neurons)) < (1 + mean) / 2, 1, -1)
    memory = AstrocyteAssociativeMemory(neurons, mean=mean)
    memory.store(patterns)
    return memory, patterns


def noisy(pattern, share, seed=1):
    cue = pattern.copy()
    cue[stream(seed, "cue").permutation(cue.size)[: round(share * cue.size)]] *= -1
    return cue


@given(
    neurons=st.integers(2, 7),
    count=st.integers(1, 3),
    mean=st.floats(-0.6, 0.6),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_coupling_is_the_sum_over_four_indices(neurons, count, mean, seed):
    patterns = np.unique(
        np.where(stream(seed, "small").random((count, neurons)) < 0.5, 1, -1), axis=0
    )
    memory = AstrocyteAssociativeMemory(neurons, mean=mean)
    memory.store(patterns)
    psi = stream(seed, "psi").normal(size=(neurons, neurons))
    e = (patterns - mean) / np.sqrt(1 - mean**2)
    naive = np.einsum("mi,mj,mk,ml,kl->ij", e, e, e, e, psi) / neurons**3 / (1 - mean**2) ** 1.5
    np.testing.assert_allclose(memory.coupling(psi), naive, rtol=1e-10, atol=1e-12)


def test_energy_never_grows():
    memory, patterns = stored(20, 15)
    state = memory.start(noisy(patterns[3], 0.2))
    energies = [memory.energy(state)]
    for _ in range(1500):
        state = memory.step(state, 0.01)
        energies.append(memory.energy(state))
    assert np.diff(energies).max() < 1e-9
    assert energies[-1] < energies[0] - 1


def test_rates_are_the_slope_of_the_energy():
    """dE/dh = -x', and half of dE/dg = -S', dE/dpsi = -P': checked by small differences."""
    memory, patterns = stored(6, 3)
    rng = stream(2, "state")
    start = memory.start(patterns[0])
    state = type(start)(
        rng.normal(size=6), symmetric(rng.normal(size=(6, 6))), symmetric(rng.normal(size=(6, 6)))
    )
    moved = memory.step(state, 1e-6)
    for name, share in (("x", 1.0), ("s", 0.5), ("p", 0.5)):
        value = getattr(state, name)
        rate = (getattr(moved, name) - value) / 1e-6
        along = symmetric(rng.normal(size=value.shape)) if value.ndim == 2 else rng.normal(size=6)
        changed = {k: getattr(state, k) for k in "xsp"}
        up, down = (
            memory.energy(type(state)(**(changed | {name: value + sign * 1e-5 * along})))
            for sign in (1, -1)
        )
        slope = 5 * (1 - np.tanh(5 * value) ** 2)
        expected = -share * (rate * slope * along).sum()
        assert (up - down) / 2e-5 == pytest.approx(expected, rel=1e-4, abs=1e-6), name


def symmetric(a):
    return a + a.T


def test_as_many_patterns_as_neurons_from_noisy_cues():
    memory, patterns = stored(64, 64)
    cues = np.array([noisy(pattern, 0.1, seed) for seed, pattern in enumerate(patterns[:20])])
    found = memory.recall(cues)
    assert found.status == "complete"
    assert (found.patterns == patterns[:20]).mean() >= 0.99
    assert (found.nearest == np.arange(20)).mean() >= 0.95


def test_stored_patterns_stay_and_so_does_what_is_recalled():
    memory, patterns = stored(64, 30)
    assert np.array_equal(memory.recall(patterns[:5]).patterns, patterns[:5])
    assert np.array_equal(memory.recall(-patterns[:2]).patterns, -patterns[:2])  # T is even
    longer = memory.recall(noisy(patterns[0], 0.1), steps=600).patterns
    assert np.array_equal(longer, memory.recall(noisy(patterns[0], 0.1)).patterns)


def test_unknown_neurons_are_filled_in():
    memory, patterns = stored(64, 20)
    cue = patterns[4].copy()
    cue[:16] = 0
    assert np.array_equal(memory.recall(cue).patterns[0], patterns[4])


def test_sparse_patterns_need_their_mean():
    """A tenth of the neurons on: 20 patterns in 100 neurons, every fourth 'on' missing."""
    shares = {}
    for mean in (0.0, -0.8):
        rng = stream(5, "sparse")
        patterns = np.where(rng.random((20, 100)) < 0.1, 1, -1)
        memory = AstrocyteAssociativeMemory(100, mean=mean)
        memory.store(patterns)
        cues = np.where((patterns == 1) & (rng.random(patterns.shape) < 0.25), -1, patterns)
        shares[mean] = (memory.recall(cues).patterns == patterns).all(axis=1).mean()
    assert shares[-0.8] > 0.8 > shares[0.0] + 0.3


def test_forgetting_forgets_and_leaves_the_others_alone():
    memory, patterns = stored(48, 10)
    without = AstrocyteAssociativeMemory(48)
    without.store(patterns[1:])
    memory.forget(patterns[0])
    assert len(memory) == 9
    psi = np.outer(patterns[0], patterns[0]).astype(float)
    assert np.array_equal(memory.coupling(psi), without.coupling(psi))
    cue = noisy(patterns[0], 0.25)
    assert not np.array_equal(memory.recall(cue).patterns[0], patterns[0])
    memory.store(patterns[0])
    assert np.array_equal(memory.recall(noisy(patterns[0], 0.1)).patterns[0], patterns[0])


def test_interrupted_recall_keeps_what_was_done(monkeypatch):
    memory, patterns = stored(16, 3)
    begun = []
    start = memory.start

    def interrupted(cue):
        begun.append(cue)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return start(cue)

    monkeypatch.setattr(memory, "start", interrupted)
    found = memory.recall(patterns)
    assert found.status == "interrupted"
    assert np.array_equal(found.patterns, patterns[:2])


# -- in front of the CA3 memory --------------------------------------------------------


@pytest.fixture
def pictures():
    rng = stream(3, "pictures")
    return [rng.random((12, 12)) < 0.35 for _ in range(30)]


def memory_of(pictures):
    memory = ContentMemory(Bitmap(12, 12), cues=len(pictures))
    for number, picture in enumerate(pictures):
        memory.store(str(number), picture)
    return memory


def flips(picture, share, number):
    chosen = stream(number, "flips").permutation(picture.size)[: round(share * picture.size)]
    seen = picture.copy()
    seen.reshape(-1)[chosen] ^= True
    return seen


def test_clean_up_finds_what_the_threshold_misses(pictures):
    memory = memory_of(pictures)
    right = {False: 0, True: 0}
    for number, picture in enumerate(pictures[:10]):
        seen = flips(picture, 0.27, number)
        for clean_up in right:
            report = memory.search(seen, clean_up=clean_up)
            best = report.best
            right[clean_up] += (
                best is not None and best.cue == str(number) and (best.content == picture).all()
            )
        if best is not None and best.cue == str(number):
            assert best.overlap == (picture & seen).sum() / seen.sum()
            assert report.cleaned == frozenset(np.flatnonzero(picture).tolist())
            assert report.spikes > 0  # the answer is still the spikes'
    assert right[True] >= 9
    assert right[False] <= 5


def test_clean_up_knows_what_is_stored_now(pictures, tmp_path):
    with ContentMemory.create(tmp_path / "m", Bitmap(12, 12), cues=3) as memory:
        seen = flips(pictures[0], 0.1, 0)
        assert memory.search(seen, clean_up=True).outcome == "no match"
        for number in range(3):
            memory.store(str(number), pictures[number])
    with ContentMemory.open(tmp_path / "m") as memory:
        assert memory.search(seen, clean_up=True).best.cue == "0"
        memory.forget("0")
        answers = memory.search(seen, clean_up=True).answers
        assert "0" not in [answer.cue for answer in answers]
        assert memory.search(seen).cleaned is None


def test_clean_up_with_equal_contents_and_full_ones():
    memory = ContentMemory(Flags(tuple("abcdef")), cues=3)
    memory.store("one", tuple("abcdef"))
    assert memory.search(["a", "b", "c", "d"], clean_up=True).best.cue == "one"
    memory.store("two", tuple("abcdef"))
    found = memory.search(["a", "b", "c", "d"], clean_up=True)
    assert {answer.cue for answer in found.answers} == {"one", "two"}


def test_clean_up_from_the_shell(tmp_path, capsys):
    path = str(tmp_path / "fruit")
    flags = ("red", "yellow", "round", "long", "sweet", "sour", "small", "big")
    with ContentMemory.create(path, Flags(flags), cues=4) as memory:
        memory.store("apple", ["red", "round", "sweet", "big"])
        memory.store("banana", ["yellow", "long", "sweet", "small"])
    command = ["memory", "recall", path, "--fragment", "red,sweet,big,small", "--clean-up"]
    assert shell([*command, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["answers"][0]["cue"] == "apple"
    assert data["cleaned"] == [0, 2, 4, 7]
    assert shell(command) == 0
    assert "cleaned up to 4 bits" in capsys.readouterr().out
    assert shell(["memory", "recall", path, "apple", "--clean-up"]) == 2


def shell(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code
