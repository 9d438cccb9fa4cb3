"""Processes that store into a memory file until they are killed; see test_memory_file.py.

``memory_writer.py FILE PREFIX COUNT`` stores and ends. ``memory_writer.py FILE`` waits:
for each line on standard input it forks a writer that stores until someone kills it,
and says ``dead`` when that has happened. (Forking saves two hundred start-ups.)

A writer prints each name once it has been stored, so what is printed must survive.
"""

from __future__ import annotations

import os
import sys

from spikecore.memory import ContentMemory, Text


def write(path: str, prefix: str, count: int, *, announce: bool = False) -> None:
    """Store ``count`` texts, overwriting the same few cues again and again."""
    with ContentMemory.open(path, timeout=60) as memory:
        if announce:
            memory.recall("first")  # from here on it does nothing but store
            print(os.getpid(), flush=True)
        for number in range(count):
            name = f"{prefix}{number % 10}"
            memory.store(name, f"<{prefix}{number}>")
            print(name, f"<{prefix}{number}>", flush=True)


def nursery(path: str) -> None:
    """Fork a writer for each line on standard input."""
    ContentMemory(Text(1)).store("warm", "w")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            write(path, line.strip(), 10**9, announce=True)
        os.waitpid(child, 0)
        print("\ndead", flush=True)  # the kill may have cut a line short


if __name__ == "__main__":
    if len(sys.argv) > 2:
        write(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        nursery(sys.argv[1])
