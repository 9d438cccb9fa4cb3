"""ContentMemory: what a user does with it, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from memory_scenarios import FRUIT, NAMES, fruit, held

from spikecore import InvalidInput, UnknownName
from spikecore.memory import Bitmap, ContentMemory, Flags, Text

# -- the four operations -------------------------------------------------------------------


def test_store_and_recall():
    memory = fruit()
    assert held(memory) == FRUIT
    assert (len(memory), "apple" in memory, "pear" in memory) == (3, True, False)
    report = memory.recall("apple")
    assert (report.operation, report.outcome, report.cue) == ("recall", "recalled", "apple")
    assert (report.best.overlap, report.disturbed, report.backend) == (1.0, (), "event")
    assert report.spikes == sum(episode.spikes for episode in report.episodes) > 0
    assert report.model_ms == 14
    assert report.wall_ms > 0


def test_store_again_replaces_and_forgets_the_old_content():
    memory = fruit()
    assert memory.store("apple", "green").outcome == "replaced"
    assert memory.recall("apple").best.content == ("green",)
    assert memory.search("red,sweet", threshold=0.1).outcome == "no match"
    assert memory.cues() == ("plum", "leek", "apple")  # the most recent comes last


def test_store_without_overwriting_refuses():
    memory = fruit()
    with pytest.raises(InvalidInput, match="'apple' holds something already"):
        memory.store("apple", "green", overwrite=False)
    assert held(memory) == FRUIT
    assert memory.store("pear", "green", overwrite=False).outcome == "stored"


def test_full_memory_names_the_oldest_and_still_replaces():
    memory = fruit(3)
    with pytest.raises(InvalidInput, match=r"full: all 3 cues.*'pear'.*oldest is 'apple'"):
        memory.store("pear", "green")
    assert held(memory) == FRUIT
    assert memory.store("leek", "green").outcome == "replaced"
    memory.forget("apple")
    assert memory.store("pear", "green").outcome == "stored"
    assert memory.recall("pear").best.content == ("green",)


@pytest.mark.parametrize("cues", [3, 4])  # with and without a neuron to spare
def test_unknown_cue_has_nothing_stored(cues):
    memory = fruit(cues)
    report = memory.recall("pear")
    assert (report.outcome, report.answers, report.best) == ("nothing stored", (), None)
    assert bool(report.episodes) == (cues == 4)
    assert held(memory) == FRUIT


def test_only_declared_names():
    memory = ContentMemory(Flags(NAMES), cue_names=("left ", "right"))
    assert (memory.cue_names, memory.shape.cues) == (("left", "right"), 2)
    assert memory.recall("left").outcome == "nothing stored"
    memory.store("right", "blue")
    for operation in (lambda: memory.store("rigt", "red"), lambda: memory.recall("rigt")):
        with pytest.raises(UnknownName, match="did you mean 'right'"):
            operation()
    assert memory.recall("left").outcome == "nothing stored"
    assert held(memory) == {"right": ("blue",)}


def test_forget():
    memory = fruit()
    report = memory.forget("apple")
    assert (report.operation, report.outcome, report.cue) == ("forget", "forgotten", "apple")
    assert memory.recall("apple").outcome == "nothing stored"
    assert memory.search("red,sweet", threshold=0.1).outcome == "no match"
    assert memory.cues() == ("plum", "leek")
    with pytest.raises(UnknownName, match="'apple'"):
        memory.forget("apple")
    with pytest.raises(UnknownName, match="did you mean 'plum'"):
        memory.forget("plumm")


def test_search_best_first():
    memory = fruit()
    report = memory.search("round,sweet", threshold=0.5)
    assert [(a.cue, a.overlap, a.content) for a in report.answers] == [
        ("apple", 1.0, FRUIT["apple"]),
        ("plum", 0.5, FRUIT["plum"]),
    ]
    assert (report.outcome, report.threshold) == ("found", 0.5)
    assert [a.cue for a in memory.search("round").answers] == ["plum", "apple"]  # fewer bits first
    assert memory.search("red,long").answers == ()  # nobody has 60 % of it


def test_search_text_anywhere():
    memory = ContentMemory(Text(16), cues=3)
    memory.store("a", "spiking networks")
    memory.store("b", "a network")
    found = memory.search("network")
    assert [(a.cue, a.note) for a in found.answers] == [
        ("b", "at position 2"),
        ("a", "at position 8"),
    ]
    assert [a.cue for a in memory.search("sp?k", threshold=1.0).answers] == ["a"]
    assert memory.search("zzz").outcome == "no match"


def test_all_bits_and_one_bit():
    memory = ContentMemory(Bitmap(5, 5), cues=3)
    full, dot = np.ones((5, 5), bool), np.eye(5, dtype=bool)
    memory.store("full", full)
    memory.store("dot", dot)
    assert memory.recall("full").best.bits == frozenset(range(25))
    assert [a.cue for a in memory.search(full, threshold=0.9).answers] == ["full"]
    assert [a.cue for a in memory.search(dot).answers] == ["dot", "full"]


@pytest.mark.parametrize("cue", [["apple", "plum"], ("apple",), None, 3, "", "  ", "a\nb"])
def test_bad_cue(cue):
    memory = fruit()
    for operation in (memory.recall, memory.forget, lambda cue: memory.store(cue, "red")):
        with pytest.raises(InvalidInput, match=r"one name|printable"):
            operation(cue)
    assert held(memory) == FRUIT


@pytest.mark.parametrize("content", ["", (), "purple", None])
def test_bad_content_changes_nothing(content):
    memory = fruit()
    for operation in (lambda: memory.store("apple", content), lambda: memory.search(content)):
        with pytest.raises(InvalidInput):
            operation()
    assert held(memory) == FRUIT


@pytest.mark.parametrize("threshold", [0, -1, 1.01, math.nan, "0.5", True])
def test_bad_threshold(threshold):
    with pytest.raises(InvalidInput, match="threshold"):
        fruit().search("red", threshold=threshold)
    with pytest.raises(InvalidInput, match="threshold"):
        ContentMemory(Flags(NAMES), threshold=threshold)


@pytest.mark.parametrize("names", [(), ("a", "a "), ("a", ""), "ab", (1, 2)])
def test_bad_cue_names(names):
    with pytest.raises(InvalidInput, match="cue names"):
        ContentMemory(Flags(NAMES), cue_names=names)
