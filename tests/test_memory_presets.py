"""What the presets promise: `robust` and `board` never err in random mixes, `published` does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import InvalidInput
from spikecore.memory import Bitmap, CA3Memory, CA3Shape, ContentMemory, StressTest
from spikecore.memory.ca3 import FIRING_WEIGHT
from spikecore.randomness import stream

MIXES = [(5, 10, 0.3), (5, 10, 0.5), (16, 6, 0.3), (16, 6, 0.5)]
MISSING_AND_WRONG = [(0.3, 0.0), (0.3, 0.1), (0.5, 0.0), (0.5, 0.1)]


def stress(cues, bits, density, *, preset="robust", operations=1500, backend="event", **kwargs):
    names = ("threshold", "completion", "backward_weight")
    shape = {name: kwargs.pop(name) for name in names if name in kwargs}
    test = StressTest(
        CA3Shape(cues, bits, preset, **shape), operations=operations, density=density, **kwargs
    )
    return test.run(backend=backend)


def assert_perfect(report, operations):
    assert sum(report.counts.values()) == operations
    assert min(report.counts.values()) > operations / 4  # all kinds were tried
    assert report.wrong_total == 0, report.wrong
    assert (report.missing_spikes, report.extra_spikes) == (0, 0)
    assert report.perfect


# -- random mixes ------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["robust", "board"])
@pytest.mark.parametrize(("cues", "bits", "density"), MIXES)
def test_robust_and_board_make_no_error(cues, bits, density, preset):
    assert_perfect(stress(cues, bits, density, preset=preset), 1500)


@pytest.mark.parametrize(("cues", "bits", "density"), MIXES)
def test_published_errs_in_the_same_mixes(cues, bits, density):
    report = stress(cues, bits, density, preset="published")
    assert not report.perfect
    # 13 % of the answers where contents are dense and small, 22 to 32 % elsewhere
    assert report.wrong_total / 1500 > (0.1 if (bits, density) == (10, 0.5) else 0.15)
    assert report.missing_spikes > 0
    assert report.extra_spikes > 0


@pytest.mark.parametrize("density", [0.3, 0.5])
def test_robust_makes_no_error_at_thirty_cues_of_sixty_bits(density):
    assert_perfect(stress(30, 60, density, operations=400), 400)


@pytest.mark.parametrize("preset", ["robust", "board"])
@pytest.mark.parametrize(("cues", "bits", "density"), MIXES)
def test_robust_and_board_make_no_error_at_six_and_four_ms(cues, bits, density, preset):
    report = stress(cues, bits, density, preset=preset, learn_ms=6, recall_ms=4)
    assert_perfect(report, 1500)


def test_board_takes_its_second_look_after_three_ms():
    with pytest.raises(InvalidInput, match="must be at least 4: the input is held that long"):
        stress(5, 10, 0.3, preset="board", learn_ms=3)
    memory = CA3Memory(CA3Shape(5, 10, "board", forget_line=True))
    learn = memory.learn(2, {1, 4})
    assert set(learn.result.spikes["CueCue"].ticks) == {1, 4}
    assert set(learn.result.spikes["OUTcue"].ticks) == {5, 8}
    assert memory.erase(2).bits == {1, 4}  # on their way out
    assert memory.recall(2).bits == set()
    assert memory.query({1}).cues == set()


def test_recalls_every_three_ms_are_too_fast_even_for_robust():
    assert not stress(5, 10, 0.3, learn_ms=6, recall_ms=3).perfect


@pytest.mark.parametrize(
    ("threshold", "backward_weight"), [(0.0, 6.0), (0.6, 6.0), (0.6, 12.0), (0.75, 12.0)]
)
@pytest.mark.parametrize(("cues", "bits", "density"), MIXES)
def test_noisy_queries_are_completed(cues, bits, density, threshold, backward_weight):
    report = stress(
        *(cues, bits, density),
        queries="noisy",
        threshold=threshold,
        backward_weight=backward_weight,
        completion=True,
    )
    assert_perfect(report, 1500)


def test_completed_queries_need_nine_ms():
    assert not stress(5, 10, 0.3, queries="noisy", completion=True, query_ms=8).perfect


@pytest.mark.parametrize("preset", ["robust", "published"])
def test_both_backends_report_the_same(preset):
    reports = []
    for backend in ("event", "clocked"):
        found = stress(
            *(5, 10, 0.3),
            preset=preset,
            operations=150,
            backend=backend,
            queries="noisy",
            threshold=0.6,
            completion=True,
        ).as_dict()
        assert found.pop("backend") == backend
        assert found.pop("wall_s") > 0
        reports.append(found)
    assert reports[0] == reports[1]
    assert reports[0]["spikes"] > 1000


# -- queries with errors -------------------------------------------------------------------


def fragment(rng, content, size, missing, wrong):
    """Take each bit away with a probability, then add wrong ones."""
    kept = {bit for bit in sorted(content) if rng.random() >= missing}
    others = np.setdiff1d(np.arange(size), sorted(content))
    added = rng.choice(others, round(wrong * len(content)), replace=False)
    return frozenset(kept | set(added.tolist()))


def contents(rng, number, size, density):
    return [frozenset(np.flatnonzero(rng.random(size) < density).tolist()) for _ in range(number)]


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.1, 0.2, 0.3])
def test_the_right_memory_alone_is_found_and_completed(density):
    rng = stream(7, f"alone {density}")
    stored = contents(rng, 100, 256, density)
    memory = CA3Memory(CA3Shape(100, 256, threshold=0.6, completion=True, backward_weight=12.0))
    for cue, content in enumerate(stored):
        memory.learn(cue, content)
    for missing, wrong in MISSING_AND_WRONG:
        right = 0
        for _ in range(100):
            cue = int(rng.integers(100))
            query = fragment(rng, stored[cue], 256, missing, wrong)
            found = memory.query(query, math.ceil(0.7 * len(query)))
            right += found.cues == {cue} and found.bits == stored[cue]
        assert right >= 99, f"{right} of 100 with {missing:.0%} missing, {wrong:.0%} wrong"


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.1, 0.2, 0.3])
def test_search_ranks_the_right_memory_first(density):
    rng = stream(8, f"first {density}")
    stored = contents(rng, 100, 256, density)
    memory = ContentMemory(Bitmap(16, 16), cues=100)
    for cue, content in enumerate(stored):
        memory.store(str(cue), memory.codec.decode(content))
    for missing, wrong in MISSING_AND_WRONG:
        right = 0
        for _ in range(40):
            cue = int(rng.integers(100))
            query = fragment(rng, stored[cue], 256, missing, wrong)
            best = memory.search(memory.codec.decode(query)).best
            right += best is not None and best.cue == str(cue) and best.bits == stored[cue]
        assert right == 40, f"with {missing:.0%} missing, {wrong:.0%} wrong"


sets_of_bits = st.frozensets(st.integers(0, 19), min_size=1)


@given(
    stored=st.lists(sets_of_bits, min_size=1, max_size=4),
    query=sets_of_bits,
    share=st.floats(0.01, 1.0),
    backward_weight=st.sampled_from([6.0, 12.0]),
)
@settings(max_examples=60, deadline=None)
def test_spikes_count_the_overlap_exactly(stored, query, share, backward_weight):
    memory = CA3Memory(
        CA3Shape(4, 20, threshold=0.5, completion=True, backward_weight=backward_weight)
    )
    for cue, content in enumerate(stored):
        memory.learn(cue, content)
    needed = math.ceil(share * len(query))
    cues = {cue for cue, content in enumerate(stored) if len(content & query) >= needed}
    found = memory.query(query, needed)
    assert found.cues == cues
    assert found.bits == frozenset().union(*(stored[cue] for cue in cues))


@pytest.mark.parametrize("backward_weight", [6.0, 12.0])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 0.75])
def test_fixed_threshold_needs_the_overlap_that_the_shape_says(threshold, backward_weight):
    shape = CA3Shape(1, 20, threshold=threshold, backward_weight=backward_weight)
    memory = CA3Memory(shape)
    memory.learn(0, range(10))
    for size in range(1, 11):
        needed = shape.needed_overlap(size)
        for overlap in range(1, size + 1):
            if needed <= size:
                query = [*range(overlap), *range(10, 10 + size - overlap)]
                assert memory.query(query).cues == ({0} if overlap >= needed else set())


# -- the forget line -------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["event", "clocked"])
def test_erase_leaves_no_weight_and_touches_no_other_memory(backend):
    rng = stream(9, "erase")
    shape = CA3Shape(6, 24, threshold=0.6, completion=True, forget_line=True)
    memory = CA3Memory(shape, backend=backend)
    stored = dict(enumerate(contents(rng, 6, 24, 0.5)))
    for cue, content in stored.items():
        memory.learn(cue, content)
    for cue in (3, 0, 3):  # the last finds nothing to erase
        before = memory.forward, memory.backward
        assert before[0][cue].any() == (cue in stored)
        memory.erase(cue)
        stored.pop(cue, None)
        assert not memory.forward[cue].any()
        assert not memory.backward[:, cue].any()
        others = np.arange(6) != cue
        assert (memory.forward[others] == before[0][others]).all()
        assert (memory.backward[:, others] == before[1][:, others]).all()
        assert memory.recall(cue).bits == frozenset()
        assert all(memory.recall(c).bits == content for c, content in stored.items())
        assert memory.query(range(24), 1).cues == set(stored)


def test_erase_with_published_windows_leaves_a_residue():
    memory = CA3Memory(CA3Shape(2, 6, "published", forget_line=True))
    memory.learn(0, {1, 2})
    memory.erase(0)
    assert not memory.forward[0].any()
    residue = memory.backward[:, 0]
    assert np.flatnonzero(residue).tolist() == [1, 2]
    assert (residue < FIRING_WEIGHT).all()
    assert memory.query({1}).cues == set()
    assert memory.query({1, 2}).cues == {0}  # two forgotten bits together still answer


def test_a_memory_that_would_not_fit_is_refused_with_its_size():
    with pytest.raises(InvalidInput, match=r"100000 cues of 6000 bits: .* GB.*fewer cues"):
        CA3Shape(100_000, 6_000)
