"""A memory file that several processes use at once, or that one was killed over."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_scenarios import ENVIRONMENT, NAMES, WORDS, recalled, words
from test_memory_model import operations, step

from spikecore import StoreBusy
from spikecore.memory import ContentMemory, Flags
from spikecore.memory.store import MemoryFile


@pytest.fixture
def path(tmp_path):
    return words(tmp_path / "words.mem")


HOLD = """
import sys
from spikecore.memory import ContentMemory
with ContentMemory.open(sys.argv[1]) as memory:
    with memory.file.transaction("spikecore memory store 'slow'"):
        print("held", flush=True)
        sys.stdin.readline()
"""


@contextlib.contextmanager
def holder(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_busy_file_is_read_and_its_holder_named(path):
    with holder(path) as process:
        assert recalled(path) == WORDS
        with (
            ContentMemory.open(path, timeout=0.05) as memory,
            pytest.raises(StoreBusy, match=rf"process {process.pid} \(.*store 'slow'\) since 20"),
        ):
            memory.forget("cue 1")


def test_a_holder_that_was_killed_holds_nothing(path):
    with holder(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with ContentMemory.open(path, timeout=0.05) as memory:
            memory.store("cue 1", "after")
    assert recalled(path)["cue 1"] == "after"


def test_a_waiting_writer_gets_its_turn(path):
    with holder(path) as process, ContentMemory.open(path, timeout=30) as memory:
        process.stdin.write("\n")
        process.stdin.flush()
        assert memory.store("cue 1", "waited").outcome == "replaced"


KILL = """
import os, signal, sys
from spikecore.memory import ContentMemory
from spikecore.memory.store import MemoryFile

def deadly(method):
    def call(self, *arguments):
        method(self, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    return call

with ContentMemory.open(sys.argv[1]) as memory:
    memory.recall("cue 0")
    setattr(MemoryFile, sys.argv[2], deadly(getattr(MemoryFile, sys.argv[2])))
    memory.store("cue 0", "changed")
"""


@pytest.mark.parametrize("after", ["write_rows", "log"])
def test_kill_within_a_transaction_undoes_it(path, after):
    done = subprocess.run(
        [sys.executable, "-c", KILL, path, after], check=False, env=ENVIRONMENT, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert recalled(path) == WORDS
    with ContentMemory.open(path) as memory:
        assert len(memory.history()) == len(WORDS)


def test_what_is_written_is_journalled_and_on_the_disk(path):
    with ContentMemory.open(path) as memory:
        modes = [
            memory.file._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    assert modes == ["delete", 2]


def test_names_and_weights_are_of_one_moment(path, monkeypatch):
    rows = MemoryFile.rows
    with ContentMemory.open(path) as reader, ContentMemory.open(path, timeout=0) as writer:
        writer.recall("cue 1")

        def slowly(self, bits):
            found = rows(self, bits)
            if self is reader.file:
                with contextlib.suppress(StoreBusy):  # while the reader has read only half
                    writer.forget("cue 1")
                    writer.store("new", "content")
            return found

        monkeypatch.setattr(MemoryFile, "rows", slowly)
        best = reader.recall("new").best
        assert best is None or best.content == "content"
        monkeypatch.undo()
        writer.forget("cue 1")
        writer.store("new", "content")
        assert reader.recall("new").best.content == "content"


@given(operations, st.lists(st.integers(0, 2), min_size=14, max_size=14))
@settings(max_examples=12, deadline=None)
def test_sessions_that_take_turns_equal_a_dictionary(script, turns):
    with tempfile.TemporaryDirectory() as folder:
        file, model = Path(folder) / "fruit.mem", {}
        ContentMemory.create(file, Flags(NAMES), 3).close()
        with ContentMemory.open(file) as one, ContentMemory.open(file) as two:
            for turn, operation in zip(turns, script, strict=False):
                if turn == 2:
                    with ContentMemory.open(file) as three:
                        step(three, model, 3, *operation)
                else:
                    step((one, two)[turn], model, 3, *operation)
