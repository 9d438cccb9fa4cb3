"""Mistakes with astrocytes; tests/test_faults.py compares the answers with docs/errors.md."""

from __future__ import annotations

import numpy as np
from fault_cases import network

from spikecore import (
    LIF,
    AllToAll,
    Astrocyte,
    AstroLIF,
    CapabilityRefused,
    GChI,
    HeldCurrent,
    LiRinzel,
    Modulation,
    OneToOne,
    Pairs,
    PairSTDP,
    Population,
    Projection,
    SlowTrace,
    mM,
    ms,
    nA,
    run_batch,
    uM,
)
from spikecore.backends.lowering import lower
from spikecore.backends.protocol import Options
from spikecore.backends.registry import get_backend
from spikecore.units import Crossing, SteppedUnit


def glia(modulation, astrocytes=2, **options):
    """Three synapses from two inputs to three neurons, and astrocytes that act on them."""
    given = {"weight": 0.5 * nA, "delay": 2 * ms, "wiring": Pairs((0, 1, 1), (0, 1, 2))} | options
    return network(
        Population("astro", astrocytes, Astrocyte()),
        Projection("in", "n", modulation=modulation, **given),
    )


def refused_by(backend, acts_on="delivery", **own):
    """Ask a backend that may not be able to start here what it refuses."""
    rule = PairSTDP() if acts_on == "learning" else None
    lowered = lower(glia(Modulation("astro", acts_on=acts_on, index=[0, 1, 0]), plasticity=rule), 0)
    options = Options(own=own)
    raise CapabilityRefused(
        backend, get_backend(backend).capabilities(options).refusals(lowered, options)
    )


def carried(output, source="lr", **options):
    return network(
        Population("lr", 3, LiRinzel()),
        Population("held", 3, HeldCurrent()),
        Projection(
            source, "held", OneToOne(), 1 * nA, 1 * ms, port="held", carries=output, **options
        ),
    )


def stepped(**changes):
    given = {"name": "x", "states": {"x": ("number", 0.0)}, "derivative": np.negative, "ports": {}}
    return SteppedUnit(**(given | changes))


def lacks_stepped(backend, **own):
    lowered = lower(network(Population("lr", 1, LiRinzel())), 0)
    options = Options(own=own)
    raise CapabilityRefused(
        backend, get_backend(backend).capabilities(options).refusals(lowered, options)
    )


FAULTS = {
    "Glia": {
        "a factor that is no number": lambda: Modulation("astro", gain=1 * uM),
        "something that a state cannot act on": lambda: Modulation("astro", acts_on="weights"),
        "an index that is no list of integers": lambda: Modulation("astro", index=[0.5]),
        "an astrocyte that does not exist": lambda: glia(Modulation("astro", index=[0, 1, 2])),
        "more neurons than entries": lambda: glia(Modulation("astro", index=[0, 1])),
        "two astrocytes for three neurons, and nothing that says which": lambda: glia(
            Modulation("astro")
        ),
        "one entry for each synapse, without `Pairs`": lambda: glia(
            Modulation("astro", per="synapse", index=[0]), wiring=AllToAll()
        ),
        "an input that acts": lambda: glia(Modulation("in")),
        "an astrocyte that is not in this network": lambda: glia(
            Modulation(Population("astro", 2, Astrocyte()))
        ),
        "a state that astrocytes do not have": lambda: glia(Modulation("astro", state="Ca")),
        "a threshold without its unit": lambda: glia(
            Modulation("astro", threshold=0.2, index=[0, 1, 1])
        ),
        "a learning rate without learning": lambda: glia(
            Modulation("astro", acts_on="learning", index=[0, 1, 1])
        ),
        "two factors on one thing": lambda: glia(
            tuple(Modulation("astro", acts_on=what) for what in ("learning", "depression")),
            plasticity=PairSTDP(),
        ),
        "something else as modulation": lambda: glia("astro"),
        "a time constant of 0": lambda: SlowTrace(tau_A=0 * ms),
        "a gain from y to A, and no y": lambda: SlowTrace(tau_y=None, kappa=2.0),
        "a gain that is not finite": lambda: SlowTrace(kappa=np.inf),
        "something else as trace": lambda: Astrocyte(2000 * ms),
        "something else as neuron": lambda: AstroLIF(Astrocyte()),
        "parameters of neuron and astrocyte of different lengths": lambda: AstroLIF(
            LIF(tau_m=[10, 20] * ms), SlowTrace(tau_A=[1, 2, 3] * ms)
        ),
        "a current where a concentration is wanted": lambda: network(
            Population("astro", 3, Astrocyte()),
            Projection("n", "astro", Pairs([0], [0]), 1 * nA, 1 * ms),
        ),
        "an effect on the threshold in uM": lambda: AstroLIF(threshold=1 * mM),
        "an output that a source does not have": lambda: carried("SIC"),
        "a continuous output of a neuron": lambda: carried("sic", source="n"),
        "a continuous output, and a factor on it": lambda: carried(
            "sic", modulation=Modulation("lr", "C")
        ),
        "learning at a stepped unit": lambda: network(
            Population("lr", 3, LiRinzel()),
            Projection(
                "n",
                "lr",
                Pairs([0], [0]),
                1 * uM,
                1 * ms,
                plasticity=PairSTDP(w_max=2 * uM, w_min=0 * uM),
            ),
        ),
        "a step between two ticks": lambda: network(Population("lr", 1, LiRinzel(step=2.5 * ms))),
        "something else as neuron with a held current": lambda: HeldCurrent(Astrocyte()),
        "a constant of calcium that is not finite": lambda: LiRinzel(C=np.nan),
        "a constant of calcium that is text": lambda: LiRinzel(r_L="0.1"),
        "a time constant of calcium of 0": lambda: LiRinzel(tau_IP3=0.0),
        "a negative rate of calcium": lambda: GChI(O_P=-0.9),
        "a bias that is not finite": lambda: GChI(I_bias=np.inf),
        "a gap junction of one astrocyte": lambda: GChI(gap_junctions=((0, 1), (2, 2))),
        "a gap junction to an astrocyte that is not there": lambda: Population(
            "g", 2, GChI(gap_junctions=((0, 9),))
        ),
        "an integrator that does not exist": lambda: stepped(integrator="euler"),
        "half a substep": lambda: stepped(substeps=0.5),
        "a crossing of a state that does not exist": lambda: stepped(crossing=Crossing("y", 1.0)),
        "an output called like a state": lambda: stepped(outputs={"x": lambda x: x[0]}),
        "a stepped unit in brian2's C++ program": lambda: lacks_stepped(
            "brian2", target="cpp_standalone"
        ),
        "a stepped unit on a GPU": lambda: lacks_stepped("torch", device="cuda"),
        "copies of a network with stepped units": lambda: run_batch(
            network(Population("lr", 1, LiRinzel())), 1 * ms, [{}], backend="torch"
        ),
        "a modulated projection on a GPU": lambda: refused_by("torch", device="cuda"),
        "a modulated projection in brian2's C++ program": lambda: refused_by(
            "brian2", target="cpp_standalone"
        ),
        "a modulated projection on a SpiNNaker board": lambda: refused_by("spinnaker"),
        "a learning rate that follows an astrocyte, on a SpiNNaker board": lambda: refused_by(
            "spinnaker", acts_on="learning"
        ),
        "a stepped unit on a SpiNNaker board": lambda: lacks_stepped("spinnaker"),
    }
}
