"""What PyNN and the simulators behind it cannot say: rows of docs/errors.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from fault_cases_hardware import integrator

from spikecore import (
    LIF,
    AdaptiveThreshold,
    AllToAll,
    Alpha,
    AstroLIF,
    Delta,
    Input,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Population,
    Projection,
    SlowTrace,
    Train,
    ms,
    mV,
    nA,
)
from spikecore_hardware.comparison import compare_export
from spikecore_hardware.pynn.export import export_pynn

UNIT = LIF()
RULE = PairSTDP(coincidence="ignore")


def export(*parts, unit=UNIT, dt=1.0, on="nest", source=None, folder="exported", **options):
    """Try to export two sources and two neurons."""
    given = Input("in", 2, source or Train([1] * ms, [0]))
    network = Network([given, Population("n", 2, unit, **options), *parts], dt=dt * ms)
    return export_pynn(network, 10 * ms, folder, targets=on.split(","))


def wired(weight=0.1 * nA, **options):
    return Projection("in", "n", AllToAll(), weight, 1 * ms, **options)


def learning(on="nest", weight=0.1 * nA, unit=UNIT, port="exc", **options):
    rule = replace(RULE, **options)
    return export(wired(weight, plasticity=rule, port=port), unit=unit, on=on)


def fed():
    network = Network([Input("in", 2), Population("n", 1, UNIT)])
    return export_pynn(network, 10 * ms, "exported")


def two_windows():
    rules = [replace(RULE, tau_minus=tau * ms) for tau in (20, 30)]
    return export(*(wired(plasticity=rule, name=f"{i}") for i, rule in enumerate(rules)))


def full_folder():
    Path("exported").mkdir()
    Path("exported/notes.txt").write_text("mine")
    return export()


def a_file():
    Path("exported").write_text("mine")
    return export()


def compared(change=None, result="result.npz"):
    """Compare what an export of one network expects with a result of another."""
    export(folder="exported")
    if change == "damaged":
        Path(result).write_text("no archive")
    if change == "another":
        network = Network([Population("n", 2, UNIT)])
        export_pynn(network, 10 * ms, "other", targets=["nest"])
        write_result("other", result)
    return compare_export("exported", result)


def write_result(folder, path, **changes):
    """Write what run.py would: here, exactly what was expected, or with other spikes."""
    import json

    from spikecore import Result

    expected = Result.load(f"{folder}/expected.npz")
    network = json.loads(Path(folder, "network.json").read_text())
    arrays = {}
    for i, p in enumerate(network["populations"]):
        spikes = changes.get(p["name"], expected.spikes[p["name"]])
        arrays |= {f"s{i}t": spikes.ticks, f"s{i}n": spikes.neurons}
    meta = {
        "format": "spikecore-pynn-result-1",
        "arrays": sorted(arrays),
        "populations": [p["name"] for p in network["populations"]],
        "sizes": [p["size"] for p in network["populations"]],
        "simulator": "nest",
        "versions": {"PyNN": "0"},
        **{name: network[name] for name in ("dt", "ticks", "hash", "seed")},
    }
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)


FAULTS = {
    "Exporting to PyNN": {
        "an adaptive threshold": lambda: export(unit=LIF(adaptation=AdaptiveThreshold())),
        "an astrocyte that acts on the threshold": lambda: export(
            unit=AstroLIF(LIF(), SlowTrace(tau_y=None), threshold=1 * mV)
        ),
        "NEST: a slow trace": lambda: export(
            unit=AstroLIF(LIF(), SlowTrace(tau_y=None), current=1 * nA)
        ),
        "a unit of your own": lambda: export(unit=integrator()),
        "an initial current": lambda: export(initial={"i_exc": 1 * nA}),
        "an input that is fed": fed,
        "two spikes of one source in one tick": lambda: export(source=Train([1, 1] * ms, [0, 0])),
        "a negative excitatory weight": lambda: export(wired(-0.1 * nA)),
        "a simulator that does not exist": lambda: export(on="brian"),
        "alpha currents under the rule of SpiNNaker": lambda: export(
            unit=LIF(synapse=Alpha(), step="spinnaker")
        ),
        "the rule of other simulators on SpiNNaker": lambda: export(on="nest,spinnaker"),
        "NEST: a tick of a fraction of a microsecond": lambda: export(dt=0.0005),
        "NEST: a neuron above its threshold at the start": lambda: export(initial={"v": -49 * mV}),
        "NEST: post spikes without delay, a lower bound, no potentiation": lambda: learning(
            post_delay="none", w_min=-1 * nA, A_plus=0.0
        ),
        "NEST: two windows at one neuron": two_windows,
        "brian2: several refractory periods": lambda: export(
            unit=LIF(refractory=[1, 2] * ms), on="brian2"
        ),
        "brian2: two synapses between two neurons": lambda: export(
            Projection("in", "n", Pairs([0, 0], [1, 1], duplicates=True), 1 * nA, 1 * ms),
            on="brian2",
        ),
        "brian2: steps that depend on the weight": lambda: learning(
            "brian2", dependence="multiplicative"
        ),
        "brian2: delta synapses that learn": lambda: export(
            wired(1 * mV, plasticity=PairSTDP(w_max=2 * mV)),
            unit=LIF(synapse=Delta()),
            on="brian2",
        ),
        "inhibitory synapses that learn, nearest pairs": lambda: learning(
            port="inh", pairing="nearest"
        ),
        "learning under the rule of SpiNNaker with several time constants": lambda: learning(
            unit=LIF(tau_m=[10, 20] * ms, step="spinnaker")
        ),
        "several simulators that cannot": lambda: learning("nest,brian2", clamp="update"),
        "a folder that holds something": full_folder,
        "a file in place of the folder": a_file,
        "a folder within one that is not there": lambda: export(folder="absent/exported"),
        "a run that diverges": lambda: export(
            Projection("in", "n", OneToOne(), 1e308 * nA, 1 * ms),
            unit=LIF(resistance=UNIT.resistance * 1e6),
        ),
    },
    "Comparing with an export": {
        "a folder that is no export": lambda: compare_export("absent", "result.npz"),
        "a result that is not there": compared,
        "a damaged result": lambda: compared("damaged"),
        "a result of another network": lambda: compared("another"),
    },
}
