"""One core of a board as the vendor's host would load it, and what comes out of it.

From the data specification of a run on the virtual board (``ds.sqlite3``) and the vendor's
own images: both expanders, then the application, then tick by tick.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
from spin1_chip import Chip
from spin1_core import HOST, Core
from virtual_board import SYNAPSE_PARAMETERS, synapses_of

HEADER = struct.pack("<II", 0xAD130AD6, 0x00010000)
REGIONS = 32
POPULATION_TABLE, SYNAPSES, BUILDER, NEURON_BUILDER, RECORDING = 5, 6, 12, 13, 15
RUN = 7  # command: run for so many ticks
CONFIG = """\
[Machine]
virtual_board = True
version = 5
[Mode]
mode = Production
[Reports]
keep_dataspec_database = True
write_network_graph = False
"""


def map_networks(folder, networks, dt, ticks):
    """Map networks with the vendor's tool chain; return its data specification and the cores."""
    folder = Path(folder)
    (folder / ".spynnaker.cfg").write_text(CONFIG)
    (folder / "spynnaker.cfg").write_text(CONFIG)
    task = {"dt": dt, "duration": ticks * dt, "networks": networks}
    (folder / "networks.json").write_text(json.dumps(task))
    script = Path(__file__).with_name("spin1_vendor.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=os.environ | {"HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-4000:])
    (database,) = folder.glob("reports/*/run_1/ds.sqlite3")
    return database, json.loads((folder / "cores.json").read_text())


class Board:
    """A core with everything loaded, waiting for its first tick."""

    def __init__(self, images, database, described, ticks):
        self.chip, self.described = Chip(), described
        self.x, self.y, self.core = described["core"]
        self.chip.write(0xE5007F00, struct.pack("<H", self.x << 8 | self.y))
        with closing(sqlite3.connect(database)) as connection:
            self.regions = self._load_regions(connection)
        for image, region, app in (
            ("synapse_expander", BUILDER, 17),
            ("neuron_expander", NEURON_BUILDER, 18),
        ):
            if region not in self.regions:  # the host has written the values itself
                continue
            self.chip.set_user(self.core, 1, region)
            Core(self.chip, self.core, images / f"{image}.aplx", app).run()
            self._expect("exit", image)
        self.cpu = Core(self.chip, self.core, images / described["image"])
        self.cpu.flags = (1 << 18) - 1
        self.cpu.run()
        self._expect("pause", "start")
        self.cpu.command(RUN, ticks, 0, 0, data=struct.pack("<I", 0))
        self.cpu.flags &= ~(1 << self.core)
        self.cpu.interrupt(HOST)
        self._expect("run", "synchronisation")

    def _expect(self, state, when):
        found = self.chip.state(self.core)
        if found != state:
            raise RuntimeError(f"after {when}: the core is in state {found!r}, not {state!r}")

    def _load_regions(self, connection):
        where = (self.x, self.y, self.core)
        rows = connection.execute(
            "SELECT region_num, size, content FROM region WHERE x=? AND y=? AND p=? "
            "ORDER BY region_num",
            where,
        ).fetchall()
        table = len(HEADER) + 12 * REGIONS
        start = self.chip.allocate(table + sum(row[1] for row in rows), tag=200 + self.core)
        at, addresses = start + table, {}
        pointers = [(0, 0, 0)] * REGIONS
        for number, size, content in rows:
            words = ()
            if content is not None:
                self.chip.write(at, content)
                padded = bytes(content) + bytes(-len(content) % 4)
                words = struct.unpack(f"<{len(padded) // 4}I", padded)
            pointers[number] = (at, sum(words) & 0xFFFFFFFF, len(words))
            addresses[number] = at
            at += size
        flat = [value for pointer in pointers for value in pointer]
        self.chip.write(start, HEADER + struct.pack(f"<{len(flat)}I", *flat))
        self.chip.set_user(self.core, 0, start)
        return addresses

    def run(self, ticks, spikes, stages):
        """Run, with input ``spikes`` (tick -> sources); return (tick, neuron) of all spikes.

        Spikes of the core's own neurons come back to it, and what a delay extension would
        send again is sent again, up to ``stages`` times.
        """
        keys, delayed, slots = (self.described[k] for k in ("keys", "delay_keys", "slots"))
        found, waiting = [], {}
        for t in range(ticks):
            self.cpu.sent.clear()
            self.cpu.tick()
            own = [key - keys["n"] >> 4 for key in self.cpu.sent]
            found += [(t, n) for n in own]
            packets = []
            for name, fired in (("in", spikes.get(t, [])), ("n", own)):
                if keys[name] is not None:
                    packets += [keys[name] + (n << 4 | t & 15) for n in fired]
                for stage in range(1, stages + 1) if delayed[name] is not None else ():
                    size = self.described["sizes"][name]
                    again = [delayed[name] + ((stage - 1) * size + n << 4) for n in fired]
                    waiting.setdefault(t + stage * slots, []).extend(again)
            packets += [key | t & 15 for key in waiting.pop(t, [])]
            for key in packets:
                self.cpu.receive(key)
            self._expect("run", f"tick {t}")
        self.cpu.tick()  # closes the recordings
        self._expect("wait", "the last tick")
        return found

    def voltages(self, ticks, neurons):
        """Return the recorded membrane potentials (s16.15) before each tick, shape (T, N)."""
        _space, _size, pointer = self.chip.words(self.regions[RECORDING] + 4, 3)
        words = self.chip.read(pointer, 4 * ticks * (neurons + 1))
        rows = np.frombuffer(words, "<i4").reshape(ticks, neurons + 1)
        assert rows[:, 0].tolist() == list(range(ticks))
        return rows[:, 1:]

    def row(self, key):
        """Return the synapses of a key as (receptor, neuron, delay, stored weight), sorted."""
        table = self.regions[POPULATION_TABLE]
        entries = self.chip.word(table)
        bits = self.chip.words(self.regions[SYNAPSE_PARAMETERS] + 8, 2)
        found = []
        for i in range(entries):
            base, mask, where, core, size = self.chip.words(table + 8 + 20 * i, 5)
            if key & mask != base:
                continue
            start, colours, count = where & 0x1FFF, where >> 13 & 7, where >> 16
            assert (key >> (core >> 16)) & core & 0xFFFF == 0  # all sources on one core
            source = (key & ~mask) >> colours
            assert source < size & 0xFFFF
            for j in range(start, start + count):
                entry = self.chip.word(table + 8 + 20 * entries + 4 * j)
                if entry >> 8 == 0xFFFFFF:
                    continue
                words = (entry & 0xFF) + 1 + 3
                at = self.regions[SYNAPSES] + 16 * (entry >> 8) + 4 * words * source
                found += synapses_of(self.chip.words(at, words), *bits)
        return sorted(found)
