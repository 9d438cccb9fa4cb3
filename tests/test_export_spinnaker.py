"""An export for SpiNNaker: what is in the folder, and how what a board gives back is compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spikecore import (
    LIF,
    AllToAll,
    Hz,
    Input,
    MOhm,
    Network,
    PairSTDP,
    Poisson,
    Population,
    Projection,
    Result,
    Simulation,
    ms,
    nA,
)
from spikecore.cli import main
from spikecore.files import read_archive, write_archive
from spikecore.memory import ContentMemory, Flags
from spikecore_hardware.comparison import RESULT_FORMAT, compare_export
from spikecore_hardware.spinnaker.export import MIRROR_FORMAT, export_spinnaker

TICKS = 300


def learning():
    unit = LIF(resistance=20 * MOhm, step="spinnaker")
    rule = PairSTDP(A_plus=0.05 * nA, A_minus=0.05 * nA, w_max=2 * nA, window="table2048")
    return Network(
        [
            Input("in", 12, Poisson(60 * Hz)),
            Population("n", 8, unit),
            Projection("in", "n", AllToAll(), 1.3 * nA, 3 * ms, plasticity=rule),
            Projection("n", "n", AllToAll(), 0.1 * nA, 1 * ms, port="inh", name="static"),
        ]
    )


@pytest.fixture
def folder(tmp_path):
    export_spinnaker(learning(), TICKS * ms, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def cli(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["export", *map(str, arguments)])
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


def board_result(folder, *, late=0, heavier=0):
    """Write what a board would give back: the mirror's spikes and weights, or others."""
    network = json.loads((folder / "network.json").read_text())
    expected = Result.load(folder / "expected.npz")
    mirror, arrays = read_archive(folder / "mirror.npz", MIRROR_FORMAT)
    i = mirror["projections"].index("in->n")
    final = arrays[f"f{i}"] * arrays[f"s{i}"]
    final[:heavier] += arrays[f"s{i}"]
    rows = np.concatenate([arrays[f"p{i}"][:, :3], final[:, None]], axis=1)
    spikes = expected.spikes["n"]
    meta = {name: network[name] for name in ("dt", "ticks", "hash", "seed")}
    meta |= {"populations": ["n"], "sizes": [8], "simulator": "spinnaker", "versions": {}}
    meta |= {"virtual": False, "projections": {"in->n": "p0"}}
    result = {"s0t": spikes.ticks + late, "s0n": spikes.neurons, "p0": rows[::-1]}
    write_archive(folder / "result-spinnaker.npz", RESULT_FORMAT, meta, result)
    return folder / "result-spinnaker.npz"


def test_folder_holds_all_that_a_board_needs(folder):
    assert {path.name for path in folder.iterdir()} == {
        *("run.py", "network.json", "arrays.npz", "expected.npz", "manifest.json", "README.txt"),
        *("requirements.txt", "virtual.cfg", "board.cfg", "checked.json", "mirror.npz"),
    }
    assert "import spikecore" not in (folder / "run.py").read_text()
    checked = json.loads((folder / "checked.json").read_text())
    assert (checked["cores"], checked["refused"]) == (2, [])
    assert json.loads((folder / "manifest.json").read_text())["expected"]["backend"] == "spinnaker"


def test_mirror_holds_scales_and_weights_before_and_after(folder):
    mirror, arrays = read_archive(folder / "mirror.npz", MIRROR_FORMAT)
    simulation = Simulation(learning(), backend="spinnaker")
    (found,) = simulation._session.maps
    assert mirror["populations"] == [
        {
            "name": "n",
            "neurons_per_core": 8,
            "cores": 1,
            "receptors": ["exc", "inh"],
            "shifts": list(found.shifts),
            "slots": found.layout.slots,
        }
    ]
    step = float(arrays["s0"])
    assert step == 2.0 ** (found.shifts[0] - 15)
    assert set(arrays["p0"][:, 3]) == {round(1.3 / step)}
    assert set(arrays["p0"][:, 2]) == {3}
    simulation.run(TICKS * ms)
    final = simulation._session.stored_weights(0) / step
    assert sorted(arrays["f0"]) == sorted(final.round())
    assert len(set(arrays["f0"])) > 5  # it has learnt
    assert np.array_equal(arrays["f1"], arrays["p1"][:, 3])


def test_what_a_board_should_give_back_is_identical(folder, cli):
    found = compare_export(folder, board_result(folder))
    assert found.identical
    assert [(s.name, s.synapses, s.differing) for s in found.synapses] == [("in->n", 96, 0)]
    assert found.comparison.matched > 50
    assert cli("compare", folder, folder / "result-spinnaker.npz")[0] == 0


@pytest.mark.parametrize(("change", "count"), [({"late": 1}, 0), ({"heavier": 7}, 7)])
def test_a_late_spike_or_another_weight_is_found(folder, cli, change, count):
    result = board_result(folder, **change)
    found = compare_export(folder, result)
    assert not found.identical
    assert sum(s.differing for s in found.synapses) == count
    status, out, _ = cli("compare", folder, result, "--json")
    assert status == 1
    assert json.loads(out)["identical"] is False


def test_command_line_exports_a_network(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(
        "from spikecore import *\n"
        "unit = LIF(resistance=20 * MOhm, step='spinnaker')\n"
        "net = Network([Population('n', 1, unit)])\n"
        "bad = Network([Population('n', 1, LIF())])\n"
    )
    status, out, _ = cli("spinnaker", "model.py:net", "out", "--run", "50", "--board", "spin3")
    assert status == 0
    assert "the mirror of the board fires 0 spikes" in out
    assert "version = 3" in (tmp_path / "out" / "board.cfg").read_text()
    status, _, err = cli("spinnaker", "model.py:bad", "other")
    assert status == 5
    assert "step rule 'exact' is not supported" in err
    assert not (tmp_path / "other").exists()


def test_command_line_exports_a_memory_file_that_recalls_all_it_holds(tmp_path, cli):
    flags = Flags(("red", "yellow", "round", "long"))
    path = tmp_path / "fruit.memory"
    with ContentMemory.create(path, flags, cues=4, preset="board") as memory:
        memory.store("apple", ["red", "round"])
        memory.store("banana", ["yellow", "long"])
    assert cli("spinnaker", "--memory", path, tmp_path / "out")[0] == 0
    expected = Result.load(tmp_path / "out" / "expected.npz")
    assert expected.ticks == 1 + 2 * 16
    for n, bits in enumerate([{0, 2}, {1, 3}]):
        at = 1 + 16 * n + 6
        assert set(expected.spikes["OUTcont"].between(at, at + 1).neurons) == bits
