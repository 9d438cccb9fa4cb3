"""Every trap of the tool chain that makes no noise there: refused or reported before any board.

What the tool chain does in each case was found by running it (docs/hardware.md). Those that need
its images or its virtual board to be seen are also in test_spinnaker_image_faults and
test_spinnaker_virtual_board.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from spikecore import (
    LIF,
    AllToAll,
    CapabilityRefused,
    Exponential,
    Hz,
    Input,
    InvalidInput,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Poisson,
    Population,
    Projection,
    Train,
    ms,
    nA,
    run,
)
from spikecore.cli import main
from spikecore_hardware.spinnaker.export import export_spinnaker
from spikecore_hardware.spinnaker.report import check_export

UNIT = LIF(step="spinnaker")
RULE = PairSTDP(w_max=6 * nA)


def network(weight=1.0, delay=1.0, *, wiring=None, sizes=(10, 10), source=None, unit=UNIT, **more):
    wired = Projection("in", "n", wiring or OneToOne(), weight * nA, delay * ms, **more)
    source = source or Train([1] * ms, [0])
    return Network([Input("in", sizes[0], source), Population("n", sizes[1], unit), wired])


def each(values):
    """One synapse with each of these weights or delays."""
    index = np.arange(len(values))
    return {"wiring": Pairs(index, index), "sizes": (len(values), len(values))}


FAR = np.array([*range(1, 100), 200.0, 300.0])
REFUSED = {
    "the sign of a weight is dropped": (
        lambda: network(-1.0),
        "weights have no sign",
    ),
    "a small weight beside a large one becomes 0": (
        lambda: network(np.array([1000.0, 0.001]), **each([0, 0])),
        "becomes 0: the weights of this receptor have steps of 0.03125 nA",
    ),
    "a weight beyond 32 bits changes its sign": (
        lambda: network(1e5),
        "overflows 32 bits on the chip",
    ),
    "local memory is not checked": (
        lambda: network(plasticity=replace(RULE, tau_plus=5000 * ms)),
        "bytes of local memory, a core has 59756",
    ),
    "plastic synapses of a full turn of the ring are lost": (
        lambda: network(delay=4.0, plasticity=RULE),
        "the chip would lose the spikes of 10 plastic synapses",
    ),
    "the gain of a slow synapse overflows": (
        lambda: network(unit=replace(UNIT, synapse=Exponential(963.76 * ms))),
        "makes the gain of the synapse overflow to almost 0",
    ),
    "rows of far delays go to other sources between cores of different sizes": (
        lambda: network(delay=FAR, wiring=each(FAR)["wiring"], sizes=(200, 101)),
        "sPyNNaker would give 2 synapses, .* to other sources",
    ),
}


@pytest.mark.parametrize("trap", REFUSED)
def test_trap_is_refused(trap, tmp_path):
    make, reason = REFUSED[trap]
    checked = check_export(make())
    assert len(checked.refused) == 1
    assert re.search(reason, checked.refused[0])
    with pytest.raises(CapabilityRefused, match=reason):
        export_spinnaker(make(), 10 * ms, tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("delay", [0.3, 2.5])
def test_delays_between_two_ticks_are_not_rounded_in_silence(delay):
    with pytest.raises(InvalidInput, match="must lie on the grid of dt = 1 ms"):
        network(delay=delay)


@pytest.fixture
def lines(tmp_path, monkeypatch, capsys):
    """Return the last lines of ``export check`` for a network that is not refused."""

    def call(made, *options):
        monkeypatch.setattr("spikecore.cli.export.load_network", lambda place: made)
        with pytest.raises(SystemExit) as ended:
            main(["export", "check", "model.py:net", "-q", *options])
        assert ended.value.code == 0
        return capsys.readouterr().out

    return call


def test_ring_buffers_are_scaled_for_30_spikes_a_second_whatever_the_rate(lines):
    """Fast sources saturate them; with delays that differ, the tool chain expects few."""
    delay = np.tile([1.0, 2.0], 200)
    index = np.arange(400)
    fast = network(
        0.1, delay, wiring=Pairs(index, 0 * index), sizes=(400, 1), source=Poisson(500 * Hz)
    )
    assert check_export(fast).projections[0].load > 1
    assert "may saturate: in->n" in lines(fast)
    assert run(fast, 100 * ms, backend="spinnaker").counters["saturated"] > 0
    slow = network(
        0.1, delay, wiring=Pairs(index, 0 * index), sizes=(400, 1), source=Poisson(20 * Hz)
    )
    assert "saturate" not in lines(slow)


def burst(count):
    return network(
        0.01,
        sizes=(count, 2),
        wiring=AllToAll(),
        source=Train(np.full(count, 3.0) * ms, np.arange(count)),
    )


def test_many_spikes_of_an_input_at_once_only_warn(lines):
    assert "may come late: in (101 spikes in one tick, planned are up to 100)" in lines(burst(101))
    assert "late" not in lines(burst(100))
    (found,) = check_export(network(source=Poisson(100 * Hz))).inputs
    assert found.at_once == min(10, 1 + 5 * 1)  # a spike a tick, and five deviations


def test_a_core_that_gets_more_than_it_can_process_falls_behind(lines):
    """By the figures that the tool chain itself plans with."""
    heavy = network(0.01, wiring=AllToAll(), sizes=(400, 256), source=Poisson(200 * Hz))
    (found,) = check_export(heavy).populations
    assert found.work == pytest.approx(400 * 256 * 200 / 13e6)
    assert "may fall behind: n (158% of the synaptic events planned for a core)" in lines(heavy)
    learning = network(0.5, wiring=AllToAll(), sizes=(400, 64), plasticity=RULE)
    (found,) = check_export(learning, rate=100 * Hz).populations
    assert found.work == pytest.approx(400 * 64 * 100 / 1.4e6)
    assert "may fall behind" not in lines(learning, "--rate", "30")
    assert "may fall behind" in lines(learning, "--rate", "100")


def test_spikes_that_a_neuron_forgets_before_its_synapses_have_learnt_are_reported(lines):
    busy = network(
        1.0,
        sizes=(1, 1),
        unit=replace(UNIT, refractory=0 * ms, i_offset=1000 * nA),
        source=Train([1, 99] * ms, [0, 0]),
        plasticity=replace(RULE, window="table2048"),
    )
    assert "1 updates of synapses missed spikes of their target" in lines(busy, "--run", "100")


def test_synapses_learn_by_the_table_of_the_chip_whatever_the_window():
    result = run(network(plasticity=RULE), 9 * ms, backend="spinnaker")
    assert "learns by the chip's table of its windows" in "; ".join(result.notes)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An export of learning neurons that need smaller cores than the default."""
    folder = tmp_path_factory.mktemp("trap") / "export"
    learning = network(
        1.0,
        31.0,
        wiring=AllToAll(),
        sizes=(2, 256),
        source=Train([1] * ms, [0]),
        plasticity=replace(RULE, window="table2048"),
    )
    export_spinnaker(learning, 50 * ms, folder)
    return folder


def test_export_asks_for_what_the_mirror_takes_for_granted(exported):
    """Neurons and synapses on one core, and as many neurons as fit into its memory."""
    target = json.loads((exported / "network.json").read_text())["targets"]["spinnaker"]
    assert target["options"]["n"]["additional_parameters"] == {
        "n_synapse_cores": 0,
        "neurons_per_core": 128,
    }


def test_export_pins_the_version_with_its_epoch_and_explains_the_first_use(exported):
    assert (exported / "requirements.txt").read_text() == "sPyNNaker==1!7.4.1\n"
    steps = (exported / "README.txt").read_text()
    assert "If you have no ~/.spynnaker.cfg yet, copy it there too" in steps
    for name in ("virtual.cfg", "board.cfg"):
        text = (exported / name).read_text()
        assert "write_network_graph = False" in text  # else a package is missing in debug mode
        assert "max_reports_kept = 10" in text  # else reports fill the disk
