"""Networks that boards are tried with: memories, motif layers, learning, balanced activity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikecore import (
    LIF,
    AstroLIF,
    Exponential,
    Hz,
    Input,
    MOhm,
    Network,
    Pairs,
    PairSTDP,
    Poisson,
    Population,
    Projection,
    RandomPairs,
    SlowTrace,
    Train,
    ms,
    nA,
    uM,
)
from spikecore.memory import CA3Shape, Presentation, session_network
from spikecore.motifs import DelayKernel, board_network, shipped_kernel, unrolled

UNIT = LIF(tau_m=20 * ms, resistance=20 * MOhm, step="spinnaker")


def memory(cues, bits):
    """Three learns, and every kind of recall."""
    rng = np.random.default_rng(0)
    shown = [
        Presentation(cue, tuple(np.flatnonzero(rng.random(bits) < 0.4).tolist()) or (0,))
        for cue in (0, 1, 0)
    ]
    shown += [Presentation(0), Presentation(bits=(1,)), Presentation(bits=(2, 3))]
    return session_network(CA3Shape(cues, bits, "board"), shown)


def motifs(kernel, width, height, threshold):
    """A region of pixels with an event now and then."""
    layer = unrolled(kernel, width, height, threshold=threshold)
    raster = np.random.default_rng(1).random((60, layer.n_inputs)) < 0.02
    ticks, address = np.nonzero(raster)
    return board_network(layer, Train(ticks * ms, address)), 140


def far_kernel():
    """Delays of up to 48 ticks, with 32 slots."""
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 2, (2, 2, 48, 5, 5)) * (rng.random((2, 2, 48, 5, 5)) < 0.03)
    return DelayKernel(weights.astype(np.float32), np.zeros(2, np.float32))


def balanced(neurons, synapses):
    """Recurrent excitation and inhibition, as many synapses from each neuron."""
    rng = np.random.default_rng(0)
    pre = np.repeat(np.arange(neurons), synapses)
    post, delay = rng.integers(0, neurons, pre.size), rng.integers(1, 17, pre.size)
    parts = [
        Input("in", neurons // 10, Poisson(20 * Hz)),
        Population("n", neurons, replace(UNIT, i_offset=0.6 * nA)),
        Projection("in", "n", RandomPairs(20 / neurons), 0.6 * nA, 1 * ms),
    ]
    for port, weight, own in (("exc", 0.05, pre % 5 > 0), ("inh", 0.25, pre % 5 == 0)):
        wiring = Pairs(pre[own], post[own], duplicates=True)
        parts.append(
            Projection("n", "n", wiring, weight * nA, delay[own] * ms, port=port, name=port)
        )
    return Network(parts), 100


def learning():
    """Plastic synapses of random weights, delays beyond the slots, several cores of neurons."""
    rng = np.random.default_rng(5)
    pre, post = np.nonzero(rng.random((300, 300)) < 0.05)
    delay = rng.integers(1, 251, pre.size)
    delay[delay % 128 == 0] += 1
    rule = PairSTDP(A_plus=2e-3 * nA, A_minus=2.4e-3 * nA, w_max=0.2 * nA, window="table2048")
    parts = [
        Input("in", 100, Poisson(50 * Hz)),
        Population("n", 300, replace(UNIT, synapse=Exponential(5 * ms, 5 * ms))),
        Projection("in", "n", RandomPairs(0.2), 0.25 * nA, 1 * ms),
        Projection(
            "n",
            "n",
            Pairs(pre, post),
            rng.uniform(0.01, 0.2, pre.size) * nA,
            delay * ms,
            plasticity=rule,
        ),
    ]
    return Network(parts), 200


def astrocytes():
    """Neurons with slow traces, on two cores, half of their delays beyond the slots."""
    rng = np.random.default_rng(6)
    pre, post = np.nonzero(rng.random((512, 512)) < 0.03)
    unit = AstroLIF(
        replace(UNIT, refractory=2 * ms),
        SlowTrace(tau_A=2000 * ms, tau_y=None),
        current=rng.uniform(0.5, 1.5, 512) * nA,
    )
    parts = [
        Input("in", 100, Poisson(40 * Hz)),
        Population("n", 512, unit),
        Projection("in", "n", RandomPairs(0.1), 0.5 * nA, 1 * ms, name="fast"),
        Projection("in", "n", RandomPairs(0.02), 0.1 * uM, 3 * ms, port="glia", name="spill-over"),
        Projection(
            "n",
            "n",
            Pairs(pre, post),
            rng.uniform(0.05, 0.2, pre.size) * nA,
            rng.integers(1, 33, pre.size) * ms,
            port="inh",
        ),
    ]
    return Network(parts), 300


NETWORKS = {
    "memory 5 x 10": lambda: memory(5, 10),
    "memory 100 x 200": lambda: memory(100, 200),
    "motifs with far delays, 8 x 8": lambda: motifs(far_kernel(), 8, 8, 4.0),
    "shipped motion kernel, 8 x 8": lambda: motifs(replace(shipped_kernel(), gamma=0.0), 8, 8, 4.0),
    "learning": learning,
    "astrocytes": astrocytes,
    "balanced, 10 000 x 100": lambda: balanced(10_000, 100),
}
"""Functions that return a network and how long to run it, ms."""
