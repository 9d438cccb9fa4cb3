"""Mistakes in Nengo models: rows of docs/errors.md."""

from __future__ import annotations

import importlib
import sys

import nengo
import numpy as np
import pytest

from spikecore import (
    LIF,
    Delta,
    Input,
    Network,
    OneToOne,
    Population,
    Probe,
    Projection,
    ms,
    mV,
    nA,
)
from spikecore.memory import CA3Shape
from spikecore.motifs import MotifLayer, shipped_kernel
from spikecore.nengo import (
    KernelProcess,
    MemoryProcess,
    MotifProcess,
    NetworkProcess,
    SpikecoreLIF,
)

NAN = float("nan")
PARTS = (
    Input("in", 3),
    Population("n", 3, LIF(synapse=Delta())),
    Projection("in", "n", OneToOne(), weight=1 * mV, delay=1 * ms),
)
NET = Network(PARTS)
LAYER = MotifLayer([0], [0], [1.0], [1], 3, 1)


def without_nengo():
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith("spikecore.nengo")]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "nengo", None)
        importlib.import_module("spikecore.nengo")


def fed(process, *rows):
    """Apply a process to rows of input, as Nengo does step by step."""
    return process.apply(np.array(rows, float))


def diverging():
    parts = [Input("in", 1), Population("n", 1, LIF())]
    parts += [Projection("in", "n", OneToOne(), weight=1e308 * nA, delay=1 * ms)]
    fed(NetworkProcess(Network(parts), "in", "n"), [2000], [2000], [0])


def memory(*commands):
    """Give a memory commands, one a step: operation(s), cue(s), bits."""
    process = MemoryProcess(CA3Shape(3, 4))
    x = np.zeros((len(commands), process.default_size_in))
    for row, (operations, cues, bits) in zip(x, commands, strict=True):
        row[[getattr(process, name).start for name in operations]] = 1
        row[cues] = 1
        row[[process.content.start + bit for bit in bits]] = 1
    return process.apply(x)


def simulator(dt=0.001, **node):
    with nengo.Network() as model:
        nengo.Node(NetworkProcess(NET, "in", "n"), **node)
    nengo.Simulator(model, dt=dt, progress_bar=False)


def ensemble(**parameters):
    with nengo.Network() as model:
        nengo.Ensemble(5, 1, neuron_type=SpikecoreLIF(**parameters))
    nengo.Simulator(model, progress_bar=False)


FAULTS = {
    "Nengo": {
        "nengo that is not installed": without_nengo,
        "something else than a network": lambda: NetworkProcess(PARTS, "in", "n"),
        "an input that does not exist": lambda: NetworkProcess(NET, "im", "n"),
        "a population as input": lambda: NetworkProcess(NET, "n", "n"),
        "an output that does not exist": lambda: NetworkProcess(NET, "in", "m"),
        "an output named twice": lambda: NetworkProcess(NET, "in", ["n", "n"]),
        "no output": lambda: NetworkProcess(NET, "in", []),
        "a network with probes": lambda: NetworkProcess(
            Network([*PARTS, Probe("n", "v")]), "in", "n"
        ),
        "a step of Nengo that is no multiple of dt": lambda: simulator(dt=0.0015),
        "a step of Nengo shorter than dt": lambda: simulator(dt=0.0002),
        "a node of another size": lambda: simulator(size_in=2),
        "a signal where spikes belong": lambda: fed(
            NetworkProcess(NET, "in", "n"), [0, 0, 0], [1000, 0.3, 12]
        ),
        "negative spikes": lambda: fed(NetworkProcess(NET, "in", "n"), [0, 0, -1000]),
        "NaN where spikes belong": lambda: fed(NetworkProcess(NET, "in", "n"), [0, NAN, NAN]),
        "a network that diverges, in Nengo": diverging,
        "a refractory period that is no whole number of ticks": lambda: ensemble(
            tau_ref=0.0025, ticks=1
        ),
        "something else than the shape of a memory": lambda: MemoryProcess((3, 4)),
        "two operations of a memory in one step": lambda: memory((["store", "recall"], [0], [1])),
        "an operation while another runs": lambda: memory(
            (["store"], [0], [1]), ([], [], []), (["recall"], [0], [])
        ),
        "an operation without a cue": lambda: memory((["recall"], [], [])),
        "an operation on two cues": lambda: memory((["recall"], [0, 2], [])),
        "a store without content": lambda: memory((["store"], [0], [])),
        "a forget without the forget line": lambda: memory((["forget"], [0], [])),
        "a step of Nengo that is no multiple of the memory's": lambda: MemoryProcess(
            CA3Shape(1, 1)
        ).apply(np.zeros((1, 6)), dt=0.0005),
        "NaN as input of a memory": lambda: fed(
            MemoryProcess(CA3Shape(1, 1)), [0, 0, 0, 0, NAN, 0]
        ),
        "something else than a motif layer": lambda: MotifProcess(NET),
        "an output of a motif layer that does not exist": lambda: MotifProcess(
            LAYER, output="score"
        ),
        "a signal where spikes of a motif layer belong": lambda: fed(
            MotifProcess(LAYER), [0, 0.5, 0]
        ),
        "something else than a kernel": lambda: KernelProcess(LAYER, 3, 3),
        "a sensor of no height": lambda: KernelProcess(shipped_kernel(), 3, 0),
    },
}
