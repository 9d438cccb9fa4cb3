"""What the vendor's images do that nobody would expect: the reasons for some refusals and notes.

On one emulated core, as in test_spinnaker_oracle. If one of these fails with newer images, the
fault has been mended, and the refusal can go.
"""

from __future__ import annotations

import numpy as np
import pytest
from spin1_images import vendor_images
from spin1_networks import for_vendor, spikes_by_tick

from spikecore import (
    LIF,
    CapabilityRefused,
    Exponential,
    Input,
    MOhm,
    Network,
    Pairs,
    PairSTDP,
    Population,
    Projection,
    Simulation,
    Train,
    ms,
    mV,
    nA,
)

pytestmark = pytest.mark.vendor

TICKS = 110
RELAY = LIF(
    tau_m=3 * ms,
    v_rest=-60 * mV,
    v_reset=-60 * mV,
    v_threshold=-57 * mV,
    resistance=11.1 * MOhm,
    refractory=1 * ms,
    synapse=Exponential(0.3 * ms, 0.3 * ms),
    step="spinnaker",
)
SILENT = PairSTDP(A_plus=0.0, A_minus=0.0, w_max=10 * nA, window="table2048")
LATCH = PairSTDP(
    tau_plus=0.24 * ms,
    tau_minus=0.24 * ms,
    A_plus=480 * nA,
    A_minus=480 * nA,
    w_max=6 * nA,
    window="table2048",
)


def one_spike(delay, *, rule=None, tau=5.0):
    unit = LIF(resistance=20 * MOhm, synapse=Exponential(tau * ms), step="spinnaker")
    synapse = Pairs(np.array([0]), np.array([0]))
    weight, delays = np.array([3.0]) * nA, np.array([delay]) * ms
    return Network(
        [
            Input("in", 1, Train([5] * ms, [0])),
            Population("n", 1, unit, initial={"v": -65 * mV}),
            Projection("in", "n", synapse, weight, delays, plasticity=rule),
        ]
    )


def latch(post):
    """Spikes of the source at 10 and 100; of the target, taught, at these ticks."""
    times, who = [10, 100, *(t - 1 for t in post)], [0, 0, *(1 for _ in post)]
    ends = [
        (Pairs(np.array([i]), np.array([0])), w, r) for i, w, r in ((0, 0, LATCH), (1, 6, None))
    ]
    return Network(
        [
            Input("in", 2, Train(np.array(times, float) * ms, np.array(who))),
            Population("n", 1, RELAY, initial={"v": -60 * mV}),
            *(
                Projection(
                    "in",
                    "n",
                    wiring,
                    np.array([float(weight)]) * nA,
                    np.array([1.0]) * ms,
                    plasticity=rule,
                    name=f"from {weight}",
                )
                for wiring, weight, rule in ends
            ),
        ]
    )


def far():
    """Return synapses from 30 sources to 20 neurons, delayed by one or two stages of 256 ticks."""
    source = np.arange(30)
    unit = LIF(step="spinnaker")
    delay = np.where(source % 2, 300.0, 600.0)
    return Network(
        [
            Input("in", 30, Train([5] * ms, [0])),
            Population("n", 20, unit, initial={"v": -65 * mV}),
            Projection(
                "in", "n", Pairs(source, source % 20), np.full(30, 1.0) * nA, delay * ms, name="far"
            ),
        ]
    )


LATER = [20 + 3 * n for n in range(15)]
NETWORKS = {
    "static, delay 3": one_spike(3.0),
    "static, delay 4": one_spike(4.0),
    "plastic, delay 3": one_spike(3.0, rule=SILENT),
    "plastic, delay 4": one_spike(4.0, rule=SILENT),
    "tau 829": one_spike(1.0, tau=829.0),
    "tau 963.76": one_spike(1.0, tau=963.76),
    "coincidence": latch([10]),
    "one tick later": latch([11]),
    "one tick before": latch([10, 99]),
    "14 spikes later": latch([10, *LATER[:-1]]),
    "15 spikes later": latch([10, *LATER]),
    "delays beyond the slots": far(),
}


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Run all networks on the images; return the boards by name."""
    images = vendor_images()
    from spin1_board import Board, map_networks

    folder = tmp_path_factory.mktemp("vendor")
    plain = [for_vendor(network) for network in NETWORKS.values()]
    database, cores = map_networks(folder, plain, 1.0, TICKS)
    found = {}
    for (name, network), core in zip(NETWORKS.items(), cores, strict=True):
        found[name] = Board(images, database, core, TICKS)
        found[name].run(TICKS, spikes_by_tick(network), 0)
    return found


def height(board):
    """Return how far (mV) the membrane rose."""
    return np.ptp(board.voltages(TICKS, 1)) / 32768


def test_plastic_synapses_of_a_full_turn_are_never_delivered(boards):
    assert boards["plastic, delay 4"].described["slots"] == 4
    assert height(boards["plastic, delay 4"]) == 0
    for other in ("static, delay 3", "static, delay 4", "plastic, delay 3"):
        assert height(boards[other]) > 5
    with pytest.raises(CapabilityRefused, match="would lose the spikes of 1 plastic synapses"):
        Simulation(NETWORKS["plastic, delay 4"], backend="spinnaker")


def test_gain_of_a_slow_synapse_overflows(boards):
    assert height(boards["tau 829"]) > 5
    assert height(boards["tau 963.76"]) < 0.05
    with pytest.raises(CapabilityRefused, match="makes the gain of the synapse overflow"):
        Simulation(NETWORKS["tau 963.76"], backend="spinnaker")


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("coincidence", 6.0),
        ("one tick later", 0.0),
        ("one tick before", 0.0),
        ("14 spikes later", 6.0),
        ("15 spikes later", 0.0),  # the spike that set it is forgotten
    ],
)
def test_latch_and_what_it_forgets(boards, name, weight):
    simulation = Simulation(NETWORKS[name], backend="spinnaker")
    simulation.run(TICKS * ms)
    stored = round(weight * 2 ** (15 - simulation._session.maps[0].shifts[0]))
    assert boards[name].row(boards[name].described["keys"]["in"]) == [(0, 0, 1, stored)]
    assert simulation._session.stored_weights(0).tolist() == [weight]


def test_rows_of_long_delays_are_packed_for_another_core_size(boards):
    """The chip looks them up by source and stage; what it finds there is what it delivers."""
    board = boards["delays beyond the slots"]
    key, slots = board.described["delay_keys"]["in"], board.described["slots"]
    assert slots == 256
    astray = 0
    for source in range(30):
        delay = 300 if source % 2 else 600
        stage = (delay - 1) // slots
        wanted = (0, source % 20, delay - stage * slots)
        found = [row[:3] for row in board.row(key + ((stage - 1) * 30 + source << 4))]
        astray += found != [wanted]
    assert astray > 5
    refusal = f"sPyNNaker would give {astray} synapses, .* to other sources"
    with pytest.raises(CapabilityRefused, match=refusal):
        Simulation(NETWORKS["delays beyond the slots"], backend="spinnaker")
