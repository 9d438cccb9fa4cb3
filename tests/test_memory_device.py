"""The memory on bits, the stress test and recordings: what they refuse, and what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spikecore import FileRefused, InvalidInput, SpikecoreError, UnknownName
from spikecore.memory import CA3Memory, CA3Shape, Recording, StressTest, replay

MESSAGES = {
    "cues": {"cues": 0},
    "bits": {"bits": -1},
    "must be an integer": {"bits": 2.0},
    "did you mean 'robust'": {"preset": "robbust"},
    "1 excluded": {"threshold": 1.0},
    "threshold": {"threshold": -0.1},
    "6 .. 12 nA": {"backward_weight": 5.0},
}


@pytest.mark.parametrize("message", list(MESSAGES))
def test_shape_refuses(message):
    with pytest.raises(InvalidInput) as caught:
        CA3Shape(**({"cues": 4, "bits": 6} | MESSAGES[message]))
    assert message in str(caught.value)


@pytest.mark.parametrize(("backward_weight", "most"), [(6.0, 12_326), (12.0, 6163)])
def test_more_bits_than_the_currents_allow_are_refused(backward_weight, most):
    assert CA3Shape(2, most, backward_weight=backward_weight).bits == most
    with pytest.raises(InvalidInput, match=f"must not exceed {most}"):
        CA3Shape(2, most + 1, backward_weight=backward_weight)


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.3, 0.98])
def test_robust_makes_no_error_at_the_largest_size(density):
    shape = CA3Shape(3, 6163, threshold=0.6, completion=True, backward_weight=12.0)
    report = StressTest(shape, operations=24, density=density, queries="noisy").run()
    assert report.perfect


def test_larger_than_the_largest_would_fail(monkeypatch):
    monkeypatch.setattr(CA3Shape, "__post_init__", lambda self: None)
    shape = CA3Shape(3, 7000, threshold=0.6, completion=True, backward_weight=12.0)
    assert not StressTest(shape, operations=24, density=0.3, queries="noisy").run().perfect


@pytest.mark.parametrize("cue", [-1, 4, 1.0, True, None, "0", [0, 1], (2,)])
def test_device_takes_one_cue_that_exists(cue):
    memory = CA3Memory(CA3Shape(4, 6, forget_line=True))
    for operation in (memory.recall, memory.erase, lambda cue: memory.learn(cue, {1})):
        with pytest.raises(InvalidInput, match="cue"):
            operation(cue)


@pytest.mark.parametrize("bits", [(), (6,), (-1,), (1.5,), (True,), ("1",)])
def test_device_takes_bits_that_exist(bits):
    memory = CA3Memory(CA3Shape(4, 6))
    for operation in (lambda: memory.learn(0, bits), lambda: memory.query(bits)):
        with pytest.raises(InvalidInput, match="content"):
            operation()


def test_bad_bit_is_named_with_its_place():
    with pytest.raises(InvalidInput) as caught:
        CA3Memory(CA3Shape(4, 6)).learn(0, [1, 2, 9])
    assert (caught.value.index, caught.value.got) == (2, 9)


@pytest.mark.parametrize("needed", [0, 3, -1, 1.5, True])
def test_needed_lies_within_the_query(needed):
    with pytest.raises(InvalidInput, match="needed"):
        CA3Memory(CA3Shape(4, 6, threshold=0.5)).query({1, 2}, needed)


def test_what_the_shape_does_not_offer():
    memory = CA3Memory(CA3Shape(4, 6))
    with pytest.raises(InvalidInput, match="needs a memory with a threshold"):
        memory.query({1, 2}, 2)
    with pytest.raises(InvalidInput, match="forget_line=True"):
        memory.erase(0)
    high = CA3Memory(CA3Shape(4, 6, threshold=0.6))
    with pytest.raises(InvalidInput, match="fragment of 1 bits cannot reach"):
        high.query({1})


def test_weights_go_in_as_they_come_out():
    memory, other = (CA3Memory(CA3Shape(3, 5)) for _ in range(2))
    memory.learn(1, {0, 4})
    other.load(memory.forward, memory.backward)
    assert other.recall(1).bits == {0, 4}
    assert other.query({4}).cues == {1}
    for forward, backward in (
        (memory.backward, memory.forward),
        (memory.forward + 1, memory.backward),
        (memory.forward, memory.backward * np.nan),
    ):
        with pytest.raises(InvalidInput):
            other.load(forward, backward)


def test_episode_tells_what_ran():
    episode = CA3Memory(CA3Shape(3, 5)).learn(1, {0, 4})
    assert (episode.operation, episode.cues, episode.bits) == ("learn", {1}, {0, 4})
    assert episode.model_ms == 14
    assert episode.spikes == sum(len(s) for s in episode.result.spikes.values())
    assert episode.wall_s > 0


def test_a_run_that_does_not_end_well_is_no_answer(monkeypatch):
    memory = CA3Memory(CA3Shape(3, 5))
    memory.learn(1, {0, 4})
    with monkeypatch.context() as patched:
        patched.setattr(
            type(memory._simulation._session),
            "advance",
            lambda session, *_: setattr(session, "status", "runaway"),
        )
        with pytest.raises(SpikecoreError, match="recall: the run was runaway"):
            memory.recall(1)
    assert memory.recall(1).bits == {0, 4}


@pytest.mark.parametrize(
    "options",
    [
        {"operations": 0},
        {"operations": 1.5},
        {"learn_ms": 2},
        {"recall_ms": -1},
        {"query_ms": True},
        {"density": 0.0},
        {"density": 1.1},
    ],
)
def test_stress_refuses(options):
    with pytest.raises(InvalidInput, match="stress"):
        StressTest(CA3Shape(4, 6), **options)


# -- recordings -----------------------------------------------------------------------------

GOOD = {
    "meta": {"cue_size": 2, "content_size": 3, "sim_time_ms": 20},
    "inputs": {"cue": {"1": [0, 1, 2]}, "cont": {"0": [0, 1, 2], "2": [0, 1, 2]}},
    "outputs": {"OUTcue": {"1": [5, 7]}, "OUTcont": {"0": [5, 7], "2": [5, 8]}},
}


def written(tmp_path, **changes):
    path = tmp_path / "session.json"
    path.write_text(json.dumps(GOOD | changes))
    return path


def test_replay_names_every_difference(tmp_path):
    _, comparison = replay(Recording.load(written(tmp_path)))
    assert ("OUTcont", 2, 8) in comparison.missing
    assert ("OUTcont", 2, 7) in comparison.extra
    assert comparison.matched == 5
    assert not comparison.identical


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta": None}, "has no 'meta' object"),
        ({"inputs": []}, "has no 'inputs' object"),
        ({"meta": {"cue_size": 2, "content_size": 3}}, "sim_time_ms must be a positive integer"),
        ({"meta": GOOD["meta"] | {"cue_size": 0}}, "cue_size must be a positive integer"),
        ({"meta": GOOD["meta"] | {"cue_size": True}}, "cue_size must be a positive integer"),
        ({"outputs": {"CueQue": {}}}, "CueQue is not a population"),
        ({"outputs": {"OUTcue": {"2": [1]}}}, "must be an index in 0 .. 1"),
        ({"outputs": {"OUTcue": {"-1": [1]}}}, "must be an index in 0 .. 1"),
        ({"outputs": {"OUTcue": [1]}}, "must map neuron indices"),
        ({"inputs": {"cue": {"1": 3}}}, "must be a list of times"),
        ({"inputs": {"cue": {"1": ["3"]}}}, "must be a list of times"),
        ({"inputs": {"cue": {"1": [0.5]}}}, "cue"),
        ({"inputs": {"cue": {"1": [-1]}}}, "cue"),
        ({"inputs": {"cue": {"1": [float("nan")]}}}, "cue"),
        ({"outputs": [1]}, "outputs"),
    ],
)
def test_malformed_recordings_are_refused(tmp_path, changes, message):
    with pytest.raises(FileRefused) as caught:
        Recording.load(written(tmp_path, **changes))
    assert message in str(caught.value)
    assert "session.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "3", '"outputs"'])
def test_what_is_no_recording(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(FileRefused, match="other"):
        Recording.load(path)


def test_absent_and_foreign_files(tmp_path):
    with pytest.raises(FileRefused, match="does not exist"):
        Recording.load(tmp_path / "absent.json")
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    for path in (tmp_path, tmp_path / "binary.json"):
        with pytest.raises(FileRefused, match="not a JSON file"):
            Recording.load(path)


def test_unknown_backend_is_named():
    with pytest.raises(UnknownName, match="claqued"):
        CA3Memory(CA3Shape(2, 2), backend="claqued")
