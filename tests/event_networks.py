"""Networks of some hundred neurons, for what the event-driven core does with many."""

from __future__ import annotations

import numpy as np

from spikecore import (
    LIF,
    Delta,
    Exponential,
    Hz,
    Input,
    MOhm,
    Network,
    OneToOne,
    PoissonCounts,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Train,
    ms,
    mV,
    nA,
)

PRECISIONS = ["float64", "float32"]


def driven(n=200):
    """Neurons that their drive alone makes fire, inhibited now and then: long waits."""
    unit = LIF(
        v_rest=-49 * mV,
        v_reset=-60 * mV,
        v_threshold=-50 * mV,
        refractory=5 * ms,
        resistance=1 * MOhm,
        synapse=Exponential(5 * ms, 10 * ms),
    )
    start = np.random.default_rng(1).uniform(-60, -50, n)
    return Network(
        [
            Population("e", n, unit, initial={"v": start * mV}),
            Population("i", n // 4, unit, initial={"v": start[: n // 4] * mV}),
            Projection("e", "e", RandomPairs(0.1), 1.6 * nA, 0.1 * ms),
            Projection("e", "i", RandomPairs(0.1), 1.6 * nA, 0.1 * ms),
            Projection("i", "e", RandomPairs(0.1), 9.0 * nA, 0.1 * ms, port="inh"),
            Projection("i", "i", RandomPairs(0.1), 9.0 * nA, 0.1 * ms, port="inh"),
        ],
        dt=0.1 * ms,
    )


def noisy(n=700):
    """Every neuron reached in nearly every tick: more than one block of a sweep."""
    unit = LIF(
        v_rest=0 * mV, v_reset=10 * mV, v_threshold=20 * mV, refractory=2 * ms, synapse=Delta()
    )
    return Network(
        [
            Input("x", n, PoissonCounts(20_000 * Hz), record=False),
            Population("n", n, unit, initial={"v": 0 * mV}),
            Projection("x", "n", OneToOne(), 0.1 * mV, 0.1 * ms),
            Projection("n", "n", RandomPairs(0.1), 0.1 * mV, 1.5 * ms),
            Projection("n", "n", RandomPairs(0.1), 0.5 * mV, 1.5 * ms, port="inh", name="inh"),
        ],
        dt=0.1 * ms,
    )


def one_state(**parameters):
    """Only a membrane; ports, thresholds and resets that the one loop has to know of."""
    rng = np.random.default_rng(3)
    tick = np.sort(rng.integers(0, 250, 4000))
    ports = parameters.pop("ports", ("exc",))
    unit = LIF(tau_m=20 * ms, synapse=Delta(), **parameters)
    return Network(
        [
            Input("x", 530, Train(tick * ms, rng.integers(0, 530, tick.size))),
            Population("n", 530, unit),
            *(
                Projection("x", "n", OneToOne(), w * mV, 2 * ms, p, name=p)
                for p, w in zip(ports, (9, 2), strict=False)
            ),
            Projection("n", "n", RandomPairs(0.1), -0.2 * mV, 70 * ms, name="back"),
            Probe("n", "v"),
        ],
        dt=1 * ms,
    )
