"""What the report says of a network before any board is used, against closed forms and runs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

from spikecore import (
    LIF,
    AllToAll,
    Hz,
    Input,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Poisson,
    Population,
    Projection,
    Result,
    ms,
    nA,
)
from spikecore.cli import main
from spikecore.events import Spikes
from spikecore.plot import PALE
from spikecore.plot_board import board_figure
from spikecore_hardware.board import load_board
from spikecore_hardware.spike_distance import van_rossum
from spikecore_hardware.spinnaker.placement import board_cores, chip_places
from spikecore_hardware.spinnaker.report import check_export
from spikecore_hardware.spinnaker.side_by_side import compare_with_float

UNIT = LIF(step="spinnaker")


def network(*projections, sources=10, size=10, source=None):
    return Network([Input("in", sources, source), Population("n", size, UNIT), *projections])


def wired(weight, delay=1.0, count=10, **options):
    index = np.arange(count)
    return Projection("in", "n", Pairs(index, index), weight * nA, delay * ms, **options)


def test_errors_of_weights():
    weight = np.array([0.3, 0.25, 2.5 * 2**-15, 0.0, *np.full(6, 0.5)])
    (found,) = check_export(network(wired(weight))).projections
    assert found.step == 2**-15
    errors = np.abs(weight * 2**15 - np.rint(weight * 2**15)) / 2**15
    assert found.largest_error == pytest.approx(0.5 * 2**-15)  # 2.5 steps become 2
    assert found.typical_error == pytest.approx(math.sqrt(np.mean(errors**2)))
    assert found.lost == 0


def test_lost_weights_are_counted_and_refused():
    checked = check_export(network(wired(np.array([1000.0, *np.full(9, 0.001)]))))
    (found,) = checked.projections
    assert (found.step, found.lost) == (2**-5, 9)
    assert len(checked.refused) == 1
    assert "first at index 1, 9 in all" in checked.refused[0]


@pytest.mark.parametrize(
    ("source", "rate", "hertz"), [(None, 80 * Hz, 80), (Poisson(200 * Hz), 80 * Hz, 200)]
)
def test_load_is_mean_and_five_deviations_over_what_16_bits_hold(source, rate, hertz):
    made = network(Projection("in", "n", AllToAll(), 0.7 * nA, 1 * ms), source=source)
    (found,) = check_export(made, rate=rate).projections
    arrivals = 10 * hertz * 1e-3
    expected = 0.7 * (arrivals + 5 * math.sqrt(arrivals))
    assert found.load == pytest.approx(expected / (65535 * found.step))


def test_load_counts_all_projections_of_a_receptor_and_plastic_weights_as_largest():
    rule = PairSTDP(w_max=3 * nA, window="table2048")
    both = (wired(0.5, name="static"), wired(0.0, name="plastic", plasticity=rule))
    static, plastic = check_export(network(*both), rate=10 * Hz).projections
    expected = (0.5 + 3) * 0.01 + 5 * math.sqrt((0.25 + 9) * 0.01)
    assert static.load == plastic.load == pytest.approx(expected / (65535 * static.step))


def test_a_load_above_one_does_saturate():
    delay = np.tile([1.0, 2.0], 200)
    index = np.arange(400)
    fast = Network(
        [
            Input("in", 400, Poisson(500 * Hz)),
            Population("n", 1, UNIT),
            Projection("in", "n", Pairs(index, 0 * index), 0.1 * nA, delay * ms),
        ]
    )
    (found,) = check_export(fast).projections
    assert found.load > 1
    assert compare_with_float(fast, 100 * ms).fixed.counters["saturated"] > 0


def test_cores_of_neurons_inputs_and_delay_extensions():
    assert check_export(network(sources=1000, size=600)).cores == 1 + 3
    near = network(Projection("in", "n", OneToOne(), 1 * nA, 32 * ms), sources=600, size=600)
    assert check_export(near).cores == 1 + 3
    far = network(
        Projection("n", "n", OneToOne(), 1 * nA, 33 * ms), sources=1, size=600
    )  # 256 neurons on a core leave 32 slots
    checked = check_export(far)
    assert checked.cores == 1 + 3 + 3
    assert (checked.board_cores, checked.boards) == (48 * 16 - 1 - 8, 1)
    small = check_export(network(size=17_000), board="spin3")
    assert (small.cores, small.board_cores, small.boards) == (68, 63, 2)


def far(size):
    """Neurons that are delayed beyond their 32 slots, on cores of 256."""
    synapses = Projection("n", "n", OneToOne(), 1 * nA, 33 * ms)
    return check_export(network(synapses, sources=1, size=size))


def test_cores_are_placed_from_the_socket_on():
    checked = far(5120)
    assert [(b.name, b.kind, b.cores, b.sends) for b in checked.blocks] == [
        ("in", "input", 1, False),
        ("n", "neurons", 20, True),
        ("n", "delays", 20, True),
    ]
    # 15 cores on the chip with the socket, 16 on others, 15 on some: (1, 1) is such a one.
    shares = [[(s.board, s.x, s.y, s.cores) for s in b.chips] for b in checked.blocks]
    assert shares == [[(0, 0, 0, 1)], [(0, 0, 0, 14), (0, 0, 1, 6)], [(0, 0, 1, 10), (0, 1, 0, 10)]]
    assert (checked.chips, checked.boards, checked.routing_entries) == (3, 1, 40)


@pytest.mark.parametrize(("board", "chips", "cores"), [("spin3", 4, 63), ("spin5", 48, 759)])
def test_boards_have_the_chips_that_they_have(board, chips, cores):
    described = load_board(board)
    places = chip_places(described)
    assert len(places) == len(set(places)) == described.machine["chips"] == chips
    assert (places[0], board_cores(described)) == ((0, 0), cores)


def test_a_network_larger_than_a_board_takes_a_second_one():
    checked = far(256 * 380)
    assert (checked.cores, checked.boards) == (761, 2)
    assert checked.as_dict()["boards"] == 2


def test_memory_of_rows_of_synapses():
    one, two = (
        check_export(network(Projection("in", "n", AllToAll(), 1 * nA, 1 * ms), sources=n))
        for n in (10, 110)
    )
    row = 4 * (3 + 10)  # three words of header, one for each synapse
    assert two.populations[0].sdram_bytes - one.populations[0].sdram_bytes == 100 * row


def test_delays_beyond_all_extensions_are_counted():
    delay = np.array([1.0, 2.0, *np.full(8, 5000.0)])
    (found,) = check_export(network(wired(delay=delay, weight=1.0))).projections
    assert (found.longest_delay, found.slots, found.too_long) == (5000, 512, 8)


def result_of(times):
    spikes = Spikes(np.array(times, np.int64), np.zeros(len(times), np.int64))
    return Result({"n": spikes}, {}, {}, 200, 1.0, "complete")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([10, 50], [10, 50], 0.0),
        ([10, 50], [10], 0.5),
        ([10], [13], 1 - math.exp(-0.3)),
        ([199], [], 0.5),  # what is left at the end counts in full
    ],
)
def test_distance_of_van_rossum(one, other, expected):
    spikes = [result_of(ticks).spikes["n"] for ticks in (one, other)]
    found = van_rossum(*spikes, size=1, ticks=200)
    assert found == pytest.approx(expected)


MODEL = """
from spikecore import *
unit = LIF(resistance=20 * MOhm, step="spinnaker")
def network():
    source = Input("in", 20, Poisson(100 * Hz))
    return Network([source, Population("n", 30, unit),
                    Projection("in", "n", AllToAll(), 0.2 * nA, 1 * ms)])
bad = Network([Population("n", 1, LIF())])
"""


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["export", "check", *arguments])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


def test_command_line_prints_a_row_for_each_projection_and_compares(cli, tmp_path):
    status, out, _ = cli("model.py:network", "--run", "200", "--plot", "runs.png", "-q")
    assert status == 0
    assert "in->n" in out
    assert "2 of 759 cores" in out
    assert "mirror against event: " in out
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("board", ["spin3", "spin5"])
def test_command_line_draws_the_board(cli, tmp_path, board):
    status, out, _ = cli("model.py:network", "--map", "map.png", "--board", board)
    assert status == 0
    assert "1 chip(s), at most 1 routing entries" in out
    with Image.open(tmp_path / "map.png") as picture:
        colours = picture.convert("RGB").getcolors(1 << 24)
    assert picture.width > picture.height > 500
    assert len(colours) > 50


def test_the_picture_colours_as_many_cores_as_are_taken():
    checked = far(5120)
    (board, _) = board_figure(checked, "spin5").axes
    cells = [patch for patch in board.patches if patch.get_width() < 0.5]
    pale = sum(patch.get_facecolor() == to_rgba(PALE) for patch in cells)
    assert (len(cells), pale) == (759, 759 - 41)
    many = board_figure(check_export(network(size=256 * 3200)), "spin5")
    assert [axes.get_title(loc="left")[:8] for axes in many.axes[:3]] == [
        f"board {i}:" for i in range(3)
    ]
    assert many.axes[2].get_xlabel() == "and 2 more boards"


def test_command_line_as_json(cli):
    status, out, _ = cli("model.py:network", "--run", "100", "--board", "spin3", "--json")
    data = json.loads(out)
    assert status == 0
    assert (data["board"], data["cores"], data["boards"]) == ("SpiNN-3", 2, 1)
    assert data["projections"][0]["synapses"] == 600
    assert data["run"]["matched"] > 200
    assert data["run"]["rates"]["n"][1] > 0


def test_command_line_lists_what_is_refused(cli):
    status, out, _ = cli("model.py:bad", "--run", "100")
    assert status == 5
    assert "refused: population 'n': step rule 'exact' is not supported" in out


def test_command_line_without_losses(cli):
    assert cli("model.py:network", "-q")[1].endswith("nothing is lost but precision\n")


def test_a_plot_needs_a_run(cli):
    status, _, err = cli("model.py:network", "--plot", "runs.png")
    assert status == 2
    assert "--plot needs --run" in err
