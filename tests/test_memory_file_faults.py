"""Memory files that are damaged, cut short, read-only, or on a full disk."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from memory_scenarios import ENVIRONMENT, WORDS, recalled, words

from spikecore import FileRefused, SpikecoreError
from spikecore.memory import ContentMemory, Text


@pytest.fixture
def path(tmp_path):
    return words(tmp_path / "words.mem")


def everything(path):
    """Do with a memory whatever can be done."""
    with ContentMemory.open(path) as memory:
        for cue in memory.cues():
            memory.recall(cue)
        memory.search("word 3")
        memory.history()
        memory.store("new", "content")


def execute(path, statement, *values):
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(statement, values)


# -- damage --------------------------------------------------------------------------------


def test_no_truncation_loses_a_memory_silently(path):
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(FileRefused):
            recalled(path)
    path.write_bytes(whole)
    assert recalled(path) == WORDS


def test_truncation_says_how_much_is_missing(path):
    size = path.stat().st_size
    os.truncate(path, size - 10)
    with pytest.raises(FileRefused, match=f"truncated: {size - 10} bytes of {size}.*restore"):
        ContentMemory.open(path)


def test_flipped_bytes_never_end_in_a_foreign_error(path):
    whole, rng, refused = path.read_bytes(), random.Random(3), 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 30)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            everything(path)
        except SpikecoreError:
            refused += 1
    assert refused > 5  # many flips hit free space or texts


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE setting SET value = '{' WHERE name = 'codec'",
        "UPDATE setting SET value = '3' WHERE name = 'codec'",
        """UPDATE setting SET value = '{"kind": "sound"}' WHERE name = 'codec'""",
        "UPDATE setting SET value = '-4' WHERE name = 'cues'",
        "UPDATE setting SET value = '7' WHERE name = 'threshold'",
        """UPDATE setting SET value = '"other"' WHERE name = 'preset'""",
        "DELETE FROM setting WHERE name = 'preset'",
        "DROP TABLE setting",
        "DROP TABLE cue",
        "UPDATE cue SET number = 8 WHERE number = 5",
        "UPDATE cue SET number = -1 WHERE number = 5",
        "UPDATE cue SET name = x'ff00' WHERE number = 5",
        "UPDATE cue SET backward = zeroblob(9) WHERE number = 5",
        "UPDATE cue SET forward = (SELECT value FROM setting WHERE name = 'codec')",
        "UPDATE history SET detail = '[]'",
        "UPDATE history SET detail = 'nonsense'",
    ],
)
def test_damaged_entries_are_refused(path, statement):
    execute(path, statement)
    with pytest.raises(FileRefused, match=r"words\.mem"):
        everything(path)


def test_weights_out_of_bounds_are_refused(path):
    blob = zlib.compress(np.full(256, 1e9).tobytes())
    execute(path, "UPDATE cue SET forward = ? WHERE number = 2", blob)
    with ContentMemory.open(path) as memory, pytest.raises(SpikecoreError, match=r"0 \.\. 6"):
        memory.recall("cue 1")


# -- read-only and full ----------------------------------------------------------------------


@pytest.fixture
def read_only(path):
    """Return a folder with a file, neither of which can be written.

    No file is read-only to root, so root gives up its rights for a while.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        (folder / "copy.mem").write_bytes(path.read_bytes())
        (folder / "copy.mem").chmod(0o444)
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def test_read_only_file_is_read_but_not_written(read_only):
    assert recalled(read_only / "copy.mem") == WORDS
    with ContentMemory.open(read_only / "copy.mem") as memory:
        for operation in (lambda: memory.store("new", "x"), lambda: memory.forget("cue 1")):
            with pytest.raises(FileRefused, match="readonly"):
                operation()
        assert memory.recall("cue 1").best.content == "word 1"
    assert recalled(read_only / "copy.mem") == WORDS


def test_no_memory_is_made_in_a_read_only_folder(read_only):
    with pytest.raises(FileRefused, match=r"not writable|could not be made"):
        ContentMemory.create(read_only / "new.mem", Text(4))
    assert [p.name for p in read_only.iterdir()] == ["copy.mem"]


FILL = """
import resource, sys
from spikecore import FileRefused
from spikecore.memory import ContentMemory
with ContentMemory.open(sys.argv[1]) as memory:
    memory.recall("cue 0")
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    try:
        memory.store("cue 0", "changed")
    except FileRefused as error:
        print(memory.recall("cue 0").best.content, memory.cues(), error, sep="|")
"""


@pytest.mark.parametrize("limit", [0, 600, 5000])
def test_full_disk_leaves_the_memory_as_it_was(path, limit):
    done = subprocess.run(
        [sys.executable, "-c", FILL, path, str(limit)],
        capture_output=True,
        check=False,
        text=True,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    content, names, error = done.stdout.strip().split("|")
    assert content == "word 0"
    assert names == str(tuple(WORDS))
    assert "disk" in error
    assert recalled(path) == WORDS
