"""Exports on the virtual board of the vendor's tool chain, which maps them: cores, scales, bytes.

No neuron runs there. What the images do with these bytes is compared in test_spinnaker_oracle.
"""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from board_networks import NETWORKS, UNIT, memory
from virtual_board import (
    SYNAPSE_PARAMETERS,
    map_export,
    need_tool_chain,
    rows_of,
    run_script,
)

from spikecore import FileRefused, Network, Pairs, Population, Projection, ms, nA
from spikecore.cli import main
from spikecore_hardware.comparison import compare_export, compare_mapping
from spikecore_hardware.spinnaker.export import export_spinnaker

pytestmark = [pytest.mark.spynnaker, pytest.mark.slow]


@pytest.fixture(scope="module", params=list(NETWORKS))
def mapped(request, tmp_path_factory):
    """Export a network and map it, once for all tests of this module."""
    need_tool_chain()
    folder = tmp_path_factory.mktemp("export") / "network"
    network, duration = NETWORKS[request.param]()
    export_spinnaker(network, duration * ms, folder)
    return map_export(folder)


def test_all_weights_and_delays_are_those_of_the_mirror(mapped):
    found = compare_mapping(mapped.folder, mapped.result)
    assert [s.name for s in found] == mapped.mirror["projections"]
    assert sum(s.found for s in found) > 250
    assert [s for s in found if not s.equal] == []


def test_scales_slots_and_cores_are_those_of_the_mirror(mapped):
    vertices = {v["name"]: v for v in mapped.vertices("neurons")}
    assert len(vertices) == len(mapped.mirror["populations"])
    for expected in mapped.mirror["populations"]:
        found = vertices[expected["name"]]
        assert found["shifts"] == expected["shifts"]
        assert found["slots"] == expected["slots"]
        assert max(core["atoms"] for core in found["cores"]) == expected["neurons_per_core"]


def test_every_group_takes_as_many_cores_as_estimated(mapped):
    checked = json.loads((mapped.folder / "checked.json").read_text())
    estimated = {(b["name"], b["kind"]): b["cores"] for b in checked["blocks"]}
    found = {(v["name"], v["kind"]): len(v["cores"]) for v in mapped.facts["vertices"]}
    assert found == estimated
    assert sum(found.values()) == checked["cores"]
    taken = {tuple(c["place"][:2]) for v in mapped.facts["vertices"] for c in v["cores"]}
    assert len(taken) == checked["chips"]
    assert 0 < mapped.facts["entries"] <= checked["routing_entries"]
    reserved = {v["name"]: max(c["sdram"] for c in v["cores"]) for v in mapped.vertices("neurons")}
    for p in checked["populations"]:
        assert p["sdram_bytes"] == pytest.approx(reserved[p["name"]], rel=0.15)


def expected_rows(mapped, name, first, size, group, source, stage=0):
    """Return what the mirror has in one row of a source, behind so many delay extensions."""
    (target,) = (p for p in mapped.mirror["populations"] if p["name"] == name)
    slots = target["slots"]
    found = []
    for pre_name, rows in mapped.stored(name):
        if pre_name == group:
            own = rows[(rows[:, 0] == source) & (rows[:, 1] >= first) & (rows[:, 1] < first + size)]
            own = own[(own[:, 2] - 1) // slots == stage]
            delay = own[:, 2] - stage * slots
            found += [
                (int(r[4]), int(r[1] - first), int(d), int(r[3]))
                for r, d in zip(own, delay, strict=True)
            ]
    return sorted(found)


def test_rows_in_the_vendors_database_are_those_of_the_mirror(mapped):
    """Bytes that the host would load, for some sources of every pair of cores."""
    rng, compared = np.random.default_rng(0), 0
    sources = mapped.vertices("neurons") + mapped.vertices("input")
    for target in mapped.vertices("neurons"):
        for core in target["cores"][:2]:
            regions = mapped.regions(core)
            words = struct.unpack_from(
                f"<{7 + len(target['shifts'])}I", regions[SYNAPSE_PARAMETERS]
            )
            assert list(words[7:]) == target["shifts"]
            for source in sources:
                for part in source["cores"][:2] if source["cores"][0]["key"] is not None else ():
                    for n in rng.permutation(part["atoms"])[:12].tolist():
                        row = rows_of(regions, part["key"] + (n << 4))
                        where = (target["name"], core["first"], core["atoms"])
                        assert row == expected_rows(
                            mapped, *where, source["name"], part["first"] + n
                        )
                        compared += len(row)
    assert compared > 20


def delayed_rows(mapped, name, group, stages, step=7):
    """Return rows of delayed synapses, as loaded and as expected, for some of the sources."""
    (target,) = (v for v in mapped.vertices("neurons") if v["name"] == name)
    (relay,) = (v for v in mapped.vertices("delays") if v["name"] == group)
    loaded, expected = [], []
    for core in target["cores"]:
        regions = mapped.regions(core)
        for part in relay["cores"]:
            for n in range(0, part["atoms"], step):
                for stage in range(1, stages + 1):
                    key = part["key"] + ((stage - 1) * part["atoms"] + n << 4)
                    loaded.append(rows_of(regions, key))
                    where = (name, core["first"], core["atoms"], group, part["first"] + n, stage)
                    expected.append(expected_rows(mapped, *where))
    return loaded, expected


@pytest.mark.parametrize("name", ["astrocytes", "learning"])
def test_rows_behind_delay_extensions_are_those_of_the_mirror(tmp_path, name):
    need_tool_chain()
    network, _ = NETWORKS[name]()
    export_spinnaker(network, 10 * ms, tmp_path / "network")
    loaded, expected = delayed_rows(map_export(tmp_path / "network"), "n", "n", 1)
    assert loaded == expected
    assert sum(map(len, expected)) > 100


def far(size):
    """Delays of up to three stages of extension, between neurons of several cores."""
    rng = np.random.default_rng(6)
    pre, post = np.nonzero(rng.random((size, size)) < 0.03)
    wiring, delay = Pairs(pre, post), rng.integers(1, 101, pre.size) * ms
    return Network([Population("n", size, UNIT), Projection("n", "n", wiring, 0.1 * nA, delay)])


def test_the_tool_chain_reads_several_stages_of_several_cores_back_wrongly(tmp_path):
    """What it would load is right; what ``Projection.get`` makes of it is not."""
    need_tool_chain()
    export_spinnaker(far(512), 10 * ms, tmp_path / "network")
    mapped = map_export(tmp_path / "network")
    loaded, expected = delayed_rows(mapped, "n", "n", 3)
    assert loaded == expected
    (found,) = compare_mapping(mapped.folder, mapped.result)
    assert found.astray > 1000


def test_a_virtual_run_is_never_passed_off_as_a_result(mapped, capsys):
    assert "nothing runs: no spikes" in mapped.output
    assert not (mapped.folder / "result-spinnaker.npz").exists()
    with pytest.raises(FileRefused, match="virtual board, which maps a network and runs nothing"):
        compare_export(mapped.folder, mapped.result)
    for options, status in (((), 3), (("--mapping",), 0)):
        with pytest.raises(SystemExit) as ended:
            main(["export", "compare", str(mapped.folder), str(mapped.result), *options])
        assert ended.value.code == status
    assert "as the mirror has them" in capsys.readouterr().out


def test_the_script_runs_as_the_readme_says(tmp_path):
    """Without any of the test's own code in the process."""
    need_tool_chain()
    network, duration = memory(5, 10)
    export_spinnaker(network, duration * ms, tmp_path / "export")
    done = run_script(tmp_path / "export", "run.py", "spinnaker")
    assert done.returncode == 0, done.stderr[-2000:]
    assert compare_mapping(tmp_path / "export", tmp_path / "export" / "mapped-spinnaker.npz")


MISCOUNT = """
import numpy as np
import pyNN.spiNNaker as sim
from spynnaker.pyNN.models.neural_projections.connectors import FromListConnector
pre, post = np.arange(400) % 4, np.arange(400) // 4
order = {order}
sim.setup(1.0)
connector = FromListConnector(np.stack([pre, post, 0 * pre + 1.0, 0 * pre + 1.0], 1)[order])
print(connector.get_n_connections_from_pre_vertex_maximum(10, None, 0.0, 32.0))
"""


@pytest.mark.parametrize(
    ("order", "sound"), [("np.lexsort((post, pre))", True), ("np.arange(400)", False)]
)
def test_the_tool_chain_miscounts_rows_of_unsorted_synapses(tmp_path, order, sound):
    """Why run.py sorts them: 10 synapses of each source lie on each core of 10 neurons."""
    need_tool_chain()
    (tmp_path / "virtual.cfg").write_text("[Machine]\nvirtual_board = True\n[Reports]\n")
    (tmp_path / "count.py").write_text(MISCOUNT.format(order=order))
    done = run_script(tmp_path, "count.py")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (int(done.stdout.split()[-1]) == 10) == sound
