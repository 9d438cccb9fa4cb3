"""What SpiNNaker cannot do, or would do differently without a word: rows of docs/errors.md."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikecore import (
    LIF,
    Alpha,
    Astrocyte,
    AstroLIF,
    Exponential,
    HeldCurrent,
    Hz,
    Input,
    LinearUnit,
    MOhm,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Population,
    Probe,
    Projection,
    Simulation,
    SlowTrace,
    Train,
    ms,
    mV,
    nA,
    run,
    second,
    uM,
)
from spikecore.cli.network_file import load_network
from spikecore.files import write_archive
from spikecore.memory import (
    CA3Shape,
    ContentMemory,
    Flags,
    Presentation,
    recall_session,
    session_network,
)
from spikecore.motifs import DelayKernel, board_network, unrolled
from spikecore.units import Port
from spikecore_hardware.comparison import RESULT_FORMAT, compare_export, compare_mapping
from spikecore_hardware.spinnaker.export import export_spinnaker
from spikecore_hardware.spinnaker.report import check_export

UNIT = LIF(step="spinnaker")
RULE = PairSTDP(w_max=6 * nA)
SHAPE = CA3Shape(2, 3, "board")


def kernel(gamma=0.0):
    """Return a kernel of one class that has evidence without any event."""
    return DelayKernel(np.ones((1, 1, 1, 1, 1)), np.ones(1), "signed", gamma)


def refuse(*projections, unit=UNIT, dt=1.0, sizes=(4, 4), **options):
    """Try to run on the mirror."""
    parts = [Input("in", sizes[0]), Population("n", sizes[1], unit, **options)]
    network = Network([*parts, *projections], dt=dt * ms)
    return Simulation(network, backend="spinnaker")


def wired(weight=1.0, delay=1.0, pre=(0, 1), post=(0, 1), name="in->n", **options):
    wiring = Pairs(np.array(pre), np.array(post), duplicates=True)
    return Projection("in", "n", wiring, weight * nA, delay * ms, name=name, **options)


def with_astrocyte(lif=UNIT, tau_A=2000 * ms, tau_y=None, current=1 * nA, **options):
    return AstroLIF(lif, SlowTrace(tau_A, tau_y), current=current, **options)


def rising(tau_A=2000 * ms, tau_y=25 * ms, kappa=1.0):
    """Return a neuron whose trace rises with the time constant of its inhibition."""
    unit = replace(UNIT, synapse=Exponential(5 * ms, tau_y))
    return AstroLIF(unit, SlowTrace(tau_A, tau_y, kappa), current=1 * nA)


def to_astrocyte(*weights, **options):
    each = np.arange(len(weights))
    weight = np.array(weights) * uM
    return Projection("in", "n", Pairs(each, each), weight, 1 * ms, "glia", name="glia", **options)


def set_weights(weight):
    refuse(wired(weight=np.array([1.5, 1.5]))).set_weights("in->n", weight)


def far(delays, **options):
    """Synapses of one projection, one with each of these delays."""
    count = np.arange(len(delays))
    return wired(delay=np.array(delays, float), pre=count, post=count, **options)


def model(text, name="net"):
    Path("model.py").write_text(text)
    return load_network(f"model.py:{name}")


def check(unit=UNIT, **options):
    return check_export(Network([Population("n", 1, unit)]), **options)


def integrator():
    one = np.ones(1)
    return LinearUnit(
        name="integrator",
        states=("v",),
        dimensions=("voltage",),
        A=np.zeros((1, 1, 1)),
        b=np.zeros((1, 1)),
        rest=np.zeros((1, 1)),
        ports={"in": Port("v", "voltage")},
        h=one,
        threshold=one,
        reset={"v": 0 * one},
        refractory=one,
    )


FAULTS = {
    "SpiNNaker": {
        "the step rule of other simulators": lambda: refuse(unit=LIF()),
        "alpha synapses": lambda: refuse(unit=replace(UNIT, synapse=Alpha())),
        "single precision": lambda: Simulation(
            Network([Population("n", 1, UNIT)]), backend="spinnaker", precision="float32"
        ),
        "a tick of a fraction of a microsecond": lambda: refuse(dt=0.0125),
        "a parameter beyond the range": lambda: refuse(unit=replace(UNIT, v_rest=-70000 * mV)),
        "a parameter below the resolution": lambda: refuse(
            unit=replace(UNIT, resistance=2e6 * MOhm)
        ),
        "a resistance beyond the range": lambda: refuse(unit=replace(UNIT, resistance=1e5 * MOhm)),
        "an initial value beyond the range": lambda: refuse(initial={"v": -70000 * mV}),
        "a synapse that is too slow": lambda: refuse(
            unit=replace(UNIT, synapse=Exponential(963.76 * ms))
        ),
        "a refractory period that the chip would lengthen": lambda: refuse(
            unit=replace(UNIT, refractory=0.9 * ms), dt=0.3
        ),
        "a trace that rises otherwise than inhibition decays": lambda: refuse(
            unit=with_astrocyte(tau_y=25 * ms)
        ),
        "a trace that rises more slowly than it falls": lambda: refuse(
            unit=rising(tau_A=20 * ms, tau_y=25 * ms)
        ),
        "a trace that turns transmitter around": lambda: refuse(unit=rising(kappa=-1.0)),
        "probes of a trace that rises": lambda: refuse(
            Probe("n", "A"), Probe("n", "y"), unit=rising()
        ),
        "an initial y": lambda: refuse(unit=rising(), initial={"y": 1 * uM}),
        "an astrocyte that raises a threshold": lambda: refuse(
            unit=with_astrocyte(threshold=1 * mV)
        ),
        "an astrocyte that hears its own neuron": lambda: refuse(unit=with_astrocyte(own=1 * uM)),
        "a slow current that inhibits": lambda: refuse(unit=with_astrocyte(current=-0.5 * nA)),
        "all of these at one neuron": lambda: refuse(
            unit=with_astrocyte(UNIT, 40 * second, 25 * ms, 0 * nA, threshold=1 * mV, own=1 * uM)
        ),
        "a trace that is too slow": lambda: refuse(unit=with_astrocyte(tau_A=40 * second)),
        "a trace whose gain overflows": lambda: refuse(unit=with_astrocyte(tau_A=16384 * ms)),
        "an initial A beyond the range": lambda: refuse(
            unit=with_astrocyte(), initial={"A": 70000 * uM}
        ),
        "a negative weight onto a slow trace": lambda: refuse(
            to_astrocyte(-0.1), unit=with_astrocyte()
        ),
        "a slow current that is too small beside others": lambda: refuse(
            to_astrocyte(100, 1e-3),
            unit=with_astrocyte(),
        ),
        "learning at a slow trace": lambda: refuse(
            to_astrocyte(0.1, plasticity=PairSTDP(w_max=1 * uM, w_min=0 * uM)),
            unit=with_astrocyte(),
        ),
        "an astrocyte beside the neurons": lambda: refuse(unit=Astrocyte()),
        "a current that is held": lambda: refuse(unit=HeldCurrent(UNIT)),
        "a negative weight": lambda: refuse(wired(weight=np.array([1.0, -2.0]))),
        "a weight that is too small beside others": lambda: refuse(
            wired(weight=np.array([1000.0, 0.001]))
        ),
        "a weight that is too large": lambda: refuse(wired(weight=70000.0)),
        "a delay that is too long": lambda: refuse(wired(delay=20000.0)),
        "long delays between cores of different sizes": lambda: refuse(
            far([*range(1, 100), 200, 300], name="in->n"), sizes=(200, 101)
        ),
        "delays of several extensions from a core that is not full": lambda: refuse(
            Projection(
                "n",
                "n",
                Pairs(np.arange(256, 300), np.arange(44)),
                0.1 * nA,
                np.arange(60, 104) * ms,
                name="far",
            ),
            sizes=(4, 300),
        ),
        "plastic synapses with delays of 2, 4, 8 ... ticks, the longest": lambda: refuse(
            wired(delay=4.0, plasticity=RULE)
        ),
        "two learning rules for one population": lambda: refuse(
            wired(plasticity=RULE),
            wired(plasticity=PairSTDP(w_max=5 * nA), name="other"),
        ),
        "a form of STDP that the chip does not have": lambda: refuse(
            wired(plasticity=replace(RULE, pairing="nearest", coincidence="ignore"))
        ),
        "a negative bound": lambda: refuse(wired(plasticity=replace(RULE, w_min=-1 * nA))),
        "an amplitude beyond the range": lambda: refuse(
            wired(plasticity=replace(RULE, A_plus=1e5 * nA))
        ),
        "a learning window that fills the memory of a core": lambda: refuse(
            wired(plasticity=replace(RULE, tau_plus=5000 * ms))
        ),
        "many synapses between two neurons": lambda: refuse(wired(pre=[0] * 300, post=[0] * 300)),
        "a new weight beyond the scale of its receptor": lambda: set_weights([1.0, 9.0]),
        "a new weight below it": lambda: set_weights([1.0, 1e-5]),
        "several of these at once": lambda: refuse(
            Projection("in", "n", OneToOne(), -1 * nA, 20000 * ms)
        ),
    },
    "Networks for a board": {
        "a kernel with a normalisation": lambda: unrolled(kernel(gamma=0.5), 8, 8),
        "a region without pixels": lambda: unrolled(kernel(), 0, 8),
        "detectors that need no spikes": lambda: board_network(unrolled(kernel(), 2, 2)),
        "a presentation of nothing": lambda: session_network(SHAPE, [Presentation()]),
        "a cue that the memory does not have": lambda: session_network(
            SHAPE, [Presentation(cue=0), Presentation(cue=2)]
        ),
        "a bit that it does not have": lambda: session_network(SHAPE, [Presentation(bits=(1, 3))]),
        "contents of another size": lambda: session_network(
            SHAPE, [Presentation(cue=0)], forward=np.zeros((3, 2))
        ),
        "a memory that holds nothing": lambda: recall_session(ContentMemory(Flags(("a", "b")))),
    },
    "Exporting to SpiNNaker": {
        "a board that does not exist": lambda: export_spinnaker(
            small(), 10 * ms, "out", board="spin4"
        ),
        "a network that a board cannot run": lambda: export_spinnaker(
            Network([Population("n", 1, LIF())]), 10 * ms, "out"
        ),
        "a folder that holds something": lambda: (exported(), exported()),
        "a result of a virtual board": lambda: compare_export(*returned(virtual=True)),
        "`--mapping` for a real one": lambda: compare_mapping(*returned()),
        "a folder without `mirror.npz`": lambda: compare_mapping(*without("mirror.npz")),
        "synapses of another network": lambda: compare_mapping(
            *returned(virtual=True, projections={"out->n": "p0"})
        ),
    },
    "Checking an export": {
        "a network without its name": lambda: load_network("model.py"),
        "a file that is not there": lambda: load_network("absent.py:net"),
        "a file with a mistake in it": lambda: model("net = 1 / 0"),
        "a name that the file does not have": lambda: model("network = 1", "netwrk"),
        "something else than a network": lambda: model("net = 1"),
        "a board that does not exist": lambda: check(board="spin4"),
        "a board that is not mirrored": lambda: check(board="spinnaker2"),
        "a negative rate": lambda: check(rate=-1 * Hz),
        "neurons with other ports": lambda: check(unit=integrator()),
    },
}


def notes(*parts, duration=10.0):
    return "; ".join(run(Network(parts), duration * ms, backend="spinnaker").notes)


def burst(count, weight, longest):
    """Sources that fire at once; where delays differ, the tool chain expects few of them."""
    delay = np.where(np.arange(count) == 0, longest, 1.0)
    return notes(
        Input("in", count, Train(np.full(count, 3.0) * ms, np.arange(count))),
        Population("n", 1, UNIT),
        Projection(
            "in", "n", Pairs(np.arange(count), np.zeros(count, int)), weight * nA, delay * ms
        ),
    )


def exported(folder="out"):
    export_spinnaker(small(), 10 * ms, folder)
    return folder


def small():
    return Network(
        [
            Input("in", 2, Train([1] * ms, [0])),
            Population("n", 4, UNIT),
            wired(weight=np.ones(2), plasticity=replace(RULE, window="table2048")),
        ]
    )


def returned(virtual=False, **changes):
    """An export, and what its script would have brought back from a board."""
    folder = exported()
    description = json.loads(Path(folder, "network.json").read_text())
    meta = {name: description[name] for name in ("dt", "ticks", "hash", "seed")}
    meta |= {"populations": ["n"], "sizes": [4], "simulator": "spinnaker", "versions": {}}
    meta |= {"virtual": virtual, "projections": {"in->n": "p0"}} | changes
    none, rows = np.empty(0, np.int64), np.array([[0, 0, 1, 1.0], [1, 1, 1, 1.0]])
    arrays = {"s0t": none, "s0n": none, "p0": rows}
    write_archive("result.npz", RESULT_FORMAT, meta, arrays)
    return folder, "result.npz"


def without(name):
    places = returned(virtual=True)
    Path(places[0], name).unlink()
    return places


NOTES = {
    "sums of weights beyond 16 bits (`spinnaker`)": lambda: burst(100, 1.0, 2.0),
    "results beyond 32 bits (`spinnaker`)": lambda: burst(2, 60000.0, 1.0),
    "a learning window that is not the chip's (`spinnaker`)": lambda: notes(
        Input("in", 4), Population("n", 4, UNIT), wired(plasticity=RULE)
    ),
    "a neuron that fires more than 15 times between two spikes of a source (`spinnaker`)": lambda: (
        notes(
            Input("in", 1, Train([1, 99] * ms, [0, 0])),
            Population("n", 1, replace(UNIT, refractory=0 * ms, i_offset=1000 * nA)),
            Projection(
                "in",
                "n",
                OneToOne(),
                1 * nA,
                1 * ms,
                plasticity=replace(RULE, window="table2048"),
            ),
            duration=100.0,
        )
    ),
    "a slow trace that the chip makes another one (`spinnaker`)": lambda: notes(
        Population("n", 1, with_astrocyte(tau_A=5000 * ms))
    ),
    "slow currents of a few steps (`spinnaker`)": lambda: notes(
        Input("in", 1),
        Population("n", 1, with_astrocyte(tau_A=797 * ms)),
        to_astrocyte(0.01),
    ),
    "learning neurons with many delay slots (`spinnaker`)": lambda: notes(
        Input("in", 2),
        Population("n", 256, UNIT),
        Projection(
            "in",
            "n",
            Pairs(np.array([0, 1]), np.array([0, 1])),
            1 * nA,
            np.array([1.0, 31.0]) * ms,
            plasticity=replace(RULE, window="table2048"),
        ),
        duration=40.0,
    ),
}
