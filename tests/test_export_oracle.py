"""From an export to spikes without spikecore: its script, the vendor's tool chain, its images.

run.py is mapped on the virtual board, and what the tool chain would have loaded runs on one
emulated core, as in test_spinnaker_oracle. Spikes and final weights must be those that the export
says are to be expected.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from board_networks import memory
from spin1_images import vendor_images
from spin1_networks import KINDS, TICKS, draw, spikes_by_tick
from virtual_board import map_export, need_tool_chain

from spikecore import Exponential, Network, Result, SlowTrace, ms, nA
from spikecore_hardware.comparison import compare_mapping
from spikecore_hardware.spinnaker.export import export_spinnaker

pytestmark = [pytest.mark.vendor, pytest.mark.slow]


def described(mapped):
    """Return where the neurons of a single population went, as the emulated board needs it."""
    (cells,) = mapped.vertices("neurons")
    (source,) = mapped.vertices("input")
    (core,), (inputs,) = cells["cores"], source["cores"]
    delays = {v["name"]: v["cores"][0]["key"] for v in mapped.vertices("delays")}
    return {
        "core": core["place"],
        "image": core["image"],
        "sizes": {"in": inputs["atoms"], "n": core["atoms"]},
        "keys": {"in": inputs["key"], "n": core["key"]},
        "delay_keys": {name: delays.get(name) for name in ("in", "n")},
        "slots": cells["slots"],
    }


def rising():
    """Neurons whose astrocytes answer slowly: two synapses on the chip for one of them."""
    plain = draw(KINDS.index("slow"))
    cells = plain.group("n")
    lif = replace(cells.unit.lif, synapse=Exponential(3 * ms, 8 * ms), i_offset=0.3 * nA)
    unit = replace(cells.unit, lif=lif, trace=SlowTrace(300 * ms, 8 * ms, 30.0))
    return Network([plain.group("in"), replace(cells, unit=unit), *plain.projections])


@pytest.mark.parametrize(
    "kind",
    [
        *("static", "stdp", "saturated stdp", "delayed stdp"),
        *("slow", "delayed slow", "rising"),
    ],
)
def test_exported_network_does_on_the_images_what_the_export_expects(tmp_path, kind):
    images = vendor_images()
    need_tool_chain()
    from spin1_board import Board

    network = rising() if kind == "rising" else draw(KINDS.index(kind))
    export_spinnaker(network, TICKS * ms, tmp_path / "export")
    mapped = map_export(tmp_path / "export")
    assert all(found.equal for found in compare_mapping(mapped.folder, mapped.result))
    (database,) = mapped.folder.glob("reports/*/run_1/ds.sqlite3")
    core = described(mapped)
    board = Board(images, database, core, TICKS)
    longest = max(int(rows[:, 2].max()) for rows in mapped.arrays_of_synapses())
    spikes = board.run(TICKS, spikes_by_tick(network), (longest - 1) // core["slots"])

    expected = Result.load(mapped.folder / "expected.npz").spikes["n"]
    assert sorted(spikes) == list(
        zip(expected.ticks.tolist(), expected.neurons.tolist(), strict=True)
    )
    assert len(spikes) > 10

    stored = {"in": [], "n": []}
    for source, rows in mapped.stored("n", after=True):
        stored[source].append(rows[rows[:, 2] <= core["slots"]])
    compared = 0
    for name, key in core["keys"].items():
        rows = np.concatenate(stored[name]) if stored[name] else np.empty((0, 5), int)
        for neuron in range(core["sizes"][name] if key is not None else 0):
            own = rows[rows[:, 0] == neuron]
            row = sorted((int(r[4]), int(r[1]), int(r[2]), int(r[3])) for r in own)
            assert board.row(key + (neuron << 4)) == row
            compared += len(row)
    assert compared > 30


def run_together(boards, sources, reaches, spikes, ticks):
    """Run several cores tick by tick; every packet of a tick arrives before the next one.

    ``boards`` and ``sources`` are cores and first keys by population, ``reaches`` says which
    populations hear which, ``spikes`` are those of the inputs: tick -> (name, neuron).
    """
    found = {name: [] for name in boards}
    for t in range(ticks):
        packets = [(name, sources[name] + (n << 4)) for name, n in spikes.get(t, [])]
        for name, board in boards.items():
            board.cpu.sent.clear()
            board.cpu.tick()
            fired = list(board.cpu.sent)
            found[name] += [(t, key - sources[name] >> 4) for key in fired]
            packets += [(name, key & ~15) for key in fired]
        for name, key in packets:
            for target in reaches.get(name, ()):
                boards[target].cpu.receive(key | t & 15)
    return found


def test_exported_memory_learns_and_recalls_on_the_images(tmp_path):
    """Ten cores: learns, overwrites, recalls and queries; every spike, every learnt weight."""
    images = vendor_images()
    need_tool_chain()
    from spin1_board import Board

    network, ticks = memory(5, 10)
    export_spinnaker(network, ticks * ms, tmp_path / "export")
    mapped = map_export(tmp_path / "export")
    (database,) = mapped.folder.glob("reports/*/run_1/ds.sqlite3")
    keys, boards = {}, {}
    for vertex in mapped.vertices("input") + mapped.vertices("neurons"):
        (core,) = vertex["cores"]
        keys[vertex["name"]] = core["key"]
        if vertex["kind"] == "neurons":
            where = {"core": core["place"], "image": core["image"], "sizes": {"n": core["atoms"]}}
            boards[vertex["name"]] = Board(images, database, where, ticks)
    keys |= {name: 0 for name, key in keys.items() if key is None}  # its spikes go nowhere
    reaches = {}
    for p in mapped.network()["projections"]:
        reaches.setdefault(p["source"], set()).add(p["target"])
    expected = Result.load(mapped.folder / "expected.npz").spikes
    inputs = {}
    for name in ("INcue", "INcont"):
        for t, n in zip(
            expected[name].ticks.tolist(), expected[name].neurons.tolist(), strict=True
        ):
            inputs.setdefault(t, []).append((name, n))
    found = run_together(boards, keys, reaches, inputs, ticks)
    recorded = {name for name in boards if reaches.get(name)}  # the others send no packets
    assert recorded == set(boards) - {"OUTcue", "OUTcont"}
    for name in recorded:
        own = expected[name]
        assert sorted(found[name]) == list(
            zip(own.ticks.tolist(), own.neurons.tolist(), strict=True)
        ), name
    assert sum(map(len, found.values())) > 100
    learnt = 0
    for source, target in (("CueCue", "ContCue"), ("ContCont", "CueCont")):
        (rows,) = (r for s, r in mapped.stored(target, after=True) if s == source and not r[0, 4])
        for neuron in range(int(rows[:, 0].max()) + 1):
            own = rows[rows[:, 0] == neuron]
            row = sorted((0, int(r[1]), int(r[2]), int(r[3])) for r in own)
            assert set(row) <= set(boards[target].row(keys[source] + (neuron << 4)))
            learnt += sum(r[3] > 0 for r in row)
    assert learnt > 5
