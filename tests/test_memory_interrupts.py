"""Ctrl-C during an operation: the operation is undone, the memory stays as it was."""

from __future__ import annotations

import os
import signal

import pytest

from spikecore.backends.session import SteppedSession
from spikecore.cli import main
from spikecore.memory import ContentMemory, Flags


@pytest.fixture
def interrupted(monkeypatch):
    """Press Ctrl-C in the middle of whatever runs next."""
    advance = SteppedSession._sources

    def arm():
        def sources(self, start, stop):
            os.kill(os.getpid(), signal.SIGINT)
            return advance(self, start, stop)

        monkeypatch.setattr(SteppedSession, "_sources", sources)

    return arm


@pytest.mark.parametrize("in_file", [False, True])
def test_an_interrupted_store_is_undone(interrupted, monkeypatch, tmp_path, in_file):
    codec = Flags(("a", "b", "c"))
    memory = (
        ContentMemory.create(tmp_path / "m.mem", codec, cues=3)
        if in_file
        else ContentMemory(codec, cues=3)
    )
    with memory:
        memory.store("x", ["a"])
        interrupted()
        with pytest.raises(KeyboardInterrupt):
            memory.store("x", ["b", "c"])
        with pytest.raises(KeyboardInterrupt):
            memory.forget("x")
        monkeypatch.undo()
        assert memory.cues() == ("x",)
        assert memory.recall("x").best.content == ("a",)
        assert memory.search(["b"]).outcome == "no match"


def test_the_command_line_exits_with_130(interrupted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with ContentMemory.create("m.mem", Flags(("a", "b")), cues=3) as memory:
        memory.store("x", ["a"])
    interrupted()
    with pytest.raises(SystemExit) as ended:
        main(["memory", "store", "m.mem", "x", "b"])
    assert ended.value.code == 130
    assert "interrupted" in capsys.readouterr().err
