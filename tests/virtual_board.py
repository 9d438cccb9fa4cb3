"""The vendor's tool chain on its virtual board: exports mapped by it, and its own bytes read."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from spikecore.files import read_archive
from spikecore_hardware.spinnaker.export import MIRROR_FORMAT, TOOL_CHAIN

SYNAPSE_PARAMETERS, POPULATION_TABLE, SYNAPSES = 4, 5, 6  # regions of a core's data


def need_tool_chain():
    """Skip, saying why, where the tool chain is not the one that is mirrored."""
    try:
        found = version("sPyNNaker")
    except PackageNotFoundError:
        pytest.skip("sPyNNaker is not installed: pip install 'spikecore[vendor]'")
    if f"sPyNNaker=={found}" != TOOL_CHAIN:
        pytest.skip(f"sPyNNaker {found} is not the version that is mirrored: {TOOL_CHAIN}")


def run_script(folder, *command, seconds=240):
    """Run a script in an export as README.txt says, with a home of its own."""
    config = (folder / "virtual.cfg").read_text()
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / ".spynnaker.cfg").write_text(config)
    keep = "[Reports]\nkeep_dataspec_database = True\n"
    (folder / "spynnaker.cfg").write_text(config.replace("[Reports]\n", keep))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=environment | {"HOME": str(home)},  # no PYTHONPATH: run.py needs no spikecore
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@dataclass
class Mapped:
    """An export that the tool chain has mapped.

    Attributes
    ----------
    folder : Path
    output : str
        What run.py printed.
    facts : dict
        As ``virtual_board_facts.py`` wrote them.
    mirror : dict, arrays : dict of str to ndarray
        Of mirror.npz.
    """

    folder: Path
    output: str
    facts: dict
    mirror: dict
    arrays: dict

    @property
    def result(self):
        return self.folder / "mapped-spinnaker.npz"

    def vertices(self, kind):
        return [v for v in self.facts["vertices"] if v["kind"] == kind]

    def network(self):
        return json.loads((self.folder / "network.json").read_text())

    def regions(self, core):
        """Return the regions of a core that the host would load, by number."""
        (database,) = self.folder.glob("reports/*/run_1/ds.sqlite3")
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute(
                "SELECT region_num, content FROM region WHERE x=? AND y=? AND p=?", core["place"]
            )
            return {number: bytes(content) for number, content in rows if content is not None}

    def arrays_of_synapses(self):
        """Return the synapses of every projection, as mirror.npz has them."""
        return [self.arrays[f"p{i}"] for i in range(len(self.mirror["projections"]))]

    def stored(self, name, *, after=False):
        """Return (source group, rows) of every projection onto a population, of the mirror.

        Rows have the columns pre, post, delay, stored weight (after the run, if wanted), receptor.
        """
        for p in self.network()["projections"]:
            if p["target"] == name:
                i = self.mirror["projections"].index(p["name"])
                rows = self.arrays[f"p{i}"].copy()
                if after:
                    rows[:, 3] = self.arrays[f"f{i}"]
                (target,) = (m for m in self.mirror["populations"] if m["name"] == name)
                receptor = np.full((len(rows), 1), target["receptors"].index(p["port"]))
                yield p["source"], np.concatenate([rows, receptor], axis=1)


def map_export(folder):
    """Run an export inside the tool chain."""
    script = Path(__file__).with_name("virtual_board_facts.py")
    done = run_script(folder, script)
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-4000:])
    mirror, arrays = read_archive(folder / "mirror.npz", MIRROR_FORMAT)
    facts = json.loads((folder / "facts.json").read_text())
    return Mapped(folder, done.stdout, facts, mirror, arrays)


def rows_of(regions, key):
    """Return the synapses that a key finds: (receptor, neuron, delay, stored weight), sorted."""
    table, blocks = regions[POPULATION_TABLE], regions[SYNAPSES]
    bits = struct.unpack_from("<5I", regions[SYNAPSE_PARAMETERS])[2:4]
    (entries,) = struct.unpack_from("<I", table)
    found = []
    for i in range(entries):
        base, mask, where, core, size = struct.unpack_from("<5I", table, 8 + 20 * i)
        if key & mask != base:
            continue
        start, colours, count = where & 0x1FFF, where >> 13 & 7, where >> 16
        cores, shift = core & 0xFFFF, core >> 16  # which core of the source, and which neuron on it
        neuron = (key & ~(mask | cores << shift)) >> colours
        source = (key >> shift & cores) * (size & 0xFFFF) + neuron
        for j in range(start, start + count):
            (entry,) = struct.unpack_from("<I", table, 8 + 20 * entries + 4 * j)
            if entry >> 8 != 0xFFFFFF:
                words = (entry & 0xFF) + 1 + 3
                row = struct.unpack_from(
                    f"<{words}I", blocks, 16 * (entry >> 8) + 4 * words * source
                )
                found += synapses_of(row, *bits)
    return sorted(found)


def synapses_of(words, index_bits, type_bits=1):
    """Take a row apart: plastic size and part, number of static and plastic, both lists."""
    plastic = struct.pack(f"<{words[0]}I", *words[1 : 1 + words[0]])
    n_static, n_plastic = words[1 + words[0] : 3 + words[0]]
    static = words[3 + words[0] : 3 + words[0] + n_static]
    rest = struct.pack(
        f"<{len(words) - 3 - words[0] - n_static}I", *words[3 + words[0] + n_static :]
    )
    controls = struct.unpack_from(f"<{n_plastic}H", rest)
    weights = struct.unpack_from(f"<{n_plastic}H", plastic, 8 if n_plastic else 0)
    pairs = [(word & 0xFFFF, word >> 16) for word in static]
    pairs += zip(controls, weights, strict=True)
    index, receptor = (1 << index_bits) - 1, (1 << type_bits) - 1
    before = index_bits + type_bits
    return [(c >> index_bits & receptor, c & index, c >> before, w) for c, w in pairs]
