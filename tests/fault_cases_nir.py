"""What NIR cannot say and graphs that cannot be run: rows of docs/errors.md."""

from __future__ import annotations

import importlib
import sys
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from spikecore import (
    LIF,
    AdaptiveThreshold,
    AllToAll,
    Alpha,
    Delta,
    Exponential,
    Input,
    Network,
    Pairs,
    PairSTDP,
    Population,
    Projection,
    RandomPairs,
    ms,
    mV,
    nA,
)
from spikecore_hardware.nir_exchange import from_nir, read_nir, to_nir, write_nir

NAN = float("nan")
DELTA = LIF(synapse=Delta())


def without_nir():
    package = "spikecore_hardware.nir_exchange"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith(package)]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "nir", None)
        importlib.import_module(package)


def wired(target, number, weight=1 * nA, port="exc", wiring=AllToAll(), **more):  # noqa: B008
    return Projection(
        "in", target, wiring, weight=weight, delay=1 * ms, port=port, name=f"p{number}", **more
    )


def net(unit=DELTA, **more):
    weight = 1 * (mV if "i_exc" not in unit.linear.states else nA)
    parts = [Input("in", 2), Population("n", 2, unit, **more), wired("n", 0, weight)]
    return Network(parts)


def unspeakable():
    """Return a network with everything that NIR has no words for."""
    rule = PairSTDP(w_max=2 * nA)
    unit = LIF(i_offset=1 * nA, synapse=Exponential(2 * ms, 5 * ms), refractory=1 * ms)
    return Network(
        [
            Input("in", 2),
            Population("spin", 1, LIF(step="spinnaker")),
            Population("alpha", 1, LIF(synapse=Alpha())),
            Population("tired", 1, LIF(adaptation=AdaptiveThreshold())),
            Population("awake", 1, DELTA, initial={"v": -60 * mV}),
            Population("many", 1, unit),
            wired("many", 1),
            wired("many", 2, port="inh"),
            wired("spin", 3, plasticity=rule),
            wired("alpha", 4, wiring=RandomPairs(0.0)),
            wired("tired", 5, wiring=Pairs([0, 0], [0, 0], duplicates=True)),
            Projection("in", "awake", AllToAll(), weight=1 * mV, delay=1 * ms, name="a/b"),
            Population("odd", 2, LIF(i_offset=1 * nA, synapse=Delta(), refractory=[0, 1] * ms)),
            Population("plain", 1, DELTA),
        ]
    )


def full(value):
    return np.full(2, float(value))


def lif(**changes):
    values = {"tau": 0.01, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{name: full(value) for name, value in values.items()})


def graph(*between, neuron=None, dt=1 * ms, more=(), edges=()):
    """Read a graph: an input, these nodes, a neuron."""
    nodes = {"in": nir.Input({"input": np.array([2])})}
    nodes |= {f"t{i}": node for i, node in enumerate(between)}
    nodes |= {"n": neuron or lif()}
    row = list(nodes)
    nodes |= {"out": nir.Output({"output": np.array([2])})} | dict(more)
    joined = [*pairwise(row), ("n", "out"), *edges]
    return from_nir(nir.NIRGraph(nodes, joined, type_check=False), dt)


def cuba():
    names = ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold")
    return nir.CubaLIF(**dict(zip(names, map(full, (0.005, 0.01, 10, 0, 1)), strict=True)))


def dull():
    """Return a graph with much that cannot be run."""
    conv = nir.Flatten({"input": np.array([2, 1])})
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    return graph(conv, pool, neuron=lif(tau=0.0, v_reset=2.0))


def damaged():
    Path("net.nir").write_bytes(b"not HDF5")
    read_nir("net.nir", 1 * ms)


EYE = np.eye(2)

FAULTS = {
    "NIR": {
        "nir that is not installed": without_nir,
        "something else than a network, to NIR": lambda: to_nir([DELTA]),
        "a network that NIR cannot say": lambda: to_nir(unspeakable()),
        "a refractory period, to NIR": lambda: to_nir(net(LIF(synapse=Delta(), refractory=2 * ms))),
        "a constant current and no synapses, to NIR": lambda: to_nir(
            Network([Input("in", 1), Population("n", 1, LIF(synapse=Delta(), i_offset=1 * nA))])
        ),
        "a network that hears from nowhere, to NIR": lambda: to_nir(
            Network(
                [
                    Population("n", 1, DELTA),
                    Projection("n", "n", AllToAll(), weight=1 * mV, delay=1 * ms),
                ]
            )
        ),
        "a choice of delays that does not exist": lambda: to_nir(net(), delays="al"),
        "an output that is no population": lambda: to_nir(net(), outputs=["m"]),
        "a NIR file into a folder that does not exist": lambda: write_nir("absent/n.nir", net()),
        "a NIR file that does not exist": lambda: read_nir("absent.nir", 1 * ms),
        "a NIR file that is damaged, or of something else": damaged,
        "something else than a graph": lambda: from_nir({"nodes": {}}, 1 * ms),
        "a tick without its unit": lambda: graph(dt=0.1),
        "a graph with nodes that cannot be run": dull,
        "a signal where spikes belong, in a graph": lambda: graph(
            nir.LI(tau=full(0.01), r=full(1), v_leak=full(0)), nir.Linear(EYE)
        ),
        "a threshold on something else than a membrane": lambda: graph(
            nir.Linear(EYE), nir.Threshold(full(1))
        ),
        "two matrices in a row": lambda: graph(nir.Linear(EYE), nir.Linear(EYE)),
        "matrices that do not fit together": lambda: graph(
            nir.Linear(np.ones((3, 2))), nir.Scale(full(1))
        ),
        "a matrix that does not fit the neurons": lambda: graph(nir.Linear(np.ones((3, 2)))),
        "a circle without neurons": lambda: graph(
            nir.Linear(EYE), more={"s": nir.Scale(full(1))}, edges=[("t0", "s"), ("s", "t0")]
        ),
        "a bias into a CubaLIF": lambda: graph(nir.Affine(EYE, full(1)), neuron=cuba()),
        "delays between two ticks, in a graph": lambda: graph(
            nir.Delay(np.array([0.001, 0.0015])), nir.Linear(EYE)
        ),
        "delays of nothing, in a graph": lambda: graph(nir.Delay(full(0)), nir.Linear(EYE)),
        "NaN as weight, in a graph": lambda: graph(nir.Linear(NAN * EYE)),
        "an edge from nowhere": lambda: graph(nir.Linear(EYE), edges=[("gone", "n")]),
    },
}
