"""One file a memory: refused when it is not one, alone while written, never half-written."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spikecore import FileRefused, InvalidInput, StoreBusy
from spikecore.memory import ContentMemory, Flags, Text
from spikecore.memory.store import MemoryFile

WRITER = Path(__file__).with_name("memory_writer.py")


@pytest.fixture
def path(tmp_path):
    """Make a memory of text with one entry."""
    file = tmp_path / "text.mem"
    with ContentMemory.create(file, Text(8), cues=24) as memory:
        memory.store("first", "hello")
    return file


def contents(path):
    """Recall everything a file holds."""
    with ContentMemory.open(path) as memory:
        return {name: memory.recall(name).best.content for name in memory.cues()}


def test_a_file_keeps_names_weights_settings_and_history(tmp_path):
    file = tmp_path / "a.mem"
    with ContentMemory.create(
        file, Flags(("a", "b", "c")), cue_names=["x", "y"], threshold=0.75
    ) as memory:
        memory.store("x", ["a", "c"])
        memory.store("y", ["b"])
        memory.store("x", ["b", "c"])
        memory.forget("y")
        weights = memory._device().forward.copy()
    with ContentMemory.open(file) as again:
        assert again.cues() == ("x",)
        assert again.recall("x").best.content == ("b", "c")
        assert np.array_equal(again._device().forward, weights)
        assert (again.threshold, again.cue_names) == (0.75, ("x", "y"))
        assert [(h["operation"], h["cue"], h["outcome"]) for h in again.history()] == [
            ("forget", "y", "forgotten"),
            ("store", "x", "replaced"),
            ("store", "y", "stored"),
            ("store", "x", "stored"),
        ]


def test_published_keeps_its_residues(tmp_path):
    file = tmp_path / "p.mem"
    with ContentMemory.create(file, Text(4), cues=3, preset="published") as memory:
        memory.store("a", "ab")
        memory.store("a", "cd")
        before = memory._device().backward.copy()
    assert len(np.unique(before)) > 2  # residues between 0 and the maximum
    with ContentMemory.open(file) as memory:
        assert np.array_equal(memory._device().backward, before)


@pytest.mark.parametrize("make", ["text", "sqlite", "empty", "folder", "missing"])
def test_files_of_another_kind_are_refused(tmp_path, make):
    file = tmp_path / "other.mem"
    if make == "text":
        file.write_text("not a memory\n" * 50)
    elif make == "sqlite":
        db = sqlite3.connect(file)
        db.execute("CREATE TABLE t (x)")
        db.close()
    elif make == "empty":
        file.touch()
    elif make == "folder":
        file.mkdir()
    with pytest.raises(FileRefused, match=r"other\.mem"):
        ContentMemory.open(file)


@pytest.mark.parametrize("size", [0, 50, 99, 1000, 5000, -1])
def test_truncated_files_are_refused_or_whole(path, size):
    data = path.read_bytes()
    path.write_bytes(data[:size])
    with pytest.raises(FileRefused, match=r"text\.mem"):
        contents(path)


def test_newer_version_is_refused(path):
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(FileRefused, match="version 99"):
        ContentMemory.open(path)


@pytest.mark.parametrize("blob", [b"garbage", b""])
def test_damaged_weights_are_refused(path, blob):
    db = sqlite3.connect(path)
    db.execute("UPDATE cue SET forward = ?", (blob,))
    db.commit()
    db.close()
    with ContentMemory.open(path) as memory, pytest.raises(FileRefused, match="damaged"):
        memory.recall("first")


def test_existing_files_are_never_overwritten(path):
    before = path.read_bytes()
    with pytest.raises(FileRefused, match="exists already"):
        ContentMemory.create(path, Text(4))
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["text.mem"]


def test_missing_folder_and_no_debris(tmp_path):
    with pytest.raises(FileRefused, match="does not exist"):
        ContentMemory.create(tmp_path / "no" / "a.mem", Text(4))
    with pytest.raises(InvalidInput):
        ContentMemory.create(tmp_path / "a.mem", Text(4), cues=0)
    assert not list(tmp_path.iterdir())


def test_second_writer_is_told_who_holds_the_file(path):
    with ContentMemory.open(path) as holder, ContentMemory.open(path, timeout=0.1) as second:
        second.recall("first")
        with (
            holder.file.transaction("spikecore memory store 'x'"),
            pytest.raises(
                StoreBusy, match=rf"process {os.getpid()} \(spikecore memory store 'x'\)"
            ),
        ):
            second.store("y", "y")
        assert "y" not in second
        assert second.store("y", "y").outcome == "stored"
    assert contents(path) == {"first": "hello", "y": "y"}


def test_a_session_sees_what_another_one_stored(path):
    with ContentMemory.open(path) as one, ContentMemory.open(path) as two:
        assert one.recall("first").best.content == "hello"
        two.store("second", "world")
        two.store("first", "again")
        assert one.cues() == ("second", "first")
        assert one.recall("first").best.content == "again"
        assert one.search("world").best.cue == "second"
        one.forget("second")
        assert two.recall("second").outcome == "nothing stored"


def test_failed_store_changes_nothing(path, monkeypatch):
    before = contents(path)
    with ContentMemory.open(path) as memory:
        memory.recall("first")

        def full(*_):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(MemoryFile, "log", full)
        with pytest.raises(FileRefused, match="full"):
            memory.store("first", "other")
        monkeypatch.undo()
        assert memory.recall("first").best.content == "hello"
    assert contents(path) == before


def test_two_processes_store_at_once(path):
    jobs = [
        subprocess.Popen(
            [sys.executable, WRITER, path, prefix, "9"], stdout=subprocess.PIPE, text=True
        )
        for prefix in "ab"
    ]
    printed = [job.communicate(timeout=120)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    stored = dict(line.split() for text in printed for line in text.splitlines())
    assert len(stored) == 18
    assert contents(path) == {"first": "hello"} | stored


def test_kill_at_random_instants(path):
    """200 kills: the file opens every time, and what was stored is there, whole."""
    rng = np.random.default_rng(7)
    stored = {"first": "hello"}
    with subprocess.Popen(
        [sys.executable, WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as nursery:
        for kill in range(200):
            nursery.stdin.write(f"{'ab'[kill % 2]}\n")
            nursery.stdin.flush()
            writer = int(nursery.stdout.readline())
            time.sleep(rng.uniform(0, 0.12))
            os.kill(writer, signal.SIGKILL)
            printed = list(iter(nursery.stdout.readline, "dead\n"))
            # The kill may also come between storing and printing.
            stored |= dict(line.split() for line in printed if line.endswith(">\n"))
            check(path, stored, everything=kill % 20 == 0)
    assert nursery.returncode == 0
    assert len(stored) > 5


def check(path, stored, *, everything):
    """The file holds all of ``stored``; only the newest entry may be newer than it says."""
    with ContentMemory.open(path) as memory:
        names = memory.cues()
        assert set(stored) <= set(names)
        for name in names if everything else names[-3:]:
            content = memory.recall(name).best.content
            if content != stored.get(name):
                assert name == names[-1]
                assert content[:2] == f"<{name[0]}"
                assert content[-1] == ">"
                stored[name] = content
