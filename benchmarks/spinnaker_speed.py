"""Speed of the SpiNNaker mirror, and where it parts from the float backends.

A balanced network: 8000 excitatory and 2000 inhibitory neurons, 100 synapses from each with
delays of 1 to 16 ms, driven by a constant current and 1000 random sources; about 8 spikes per
second and neuron. The real-time factor is wall time over model time; below 1 is faster
than a board.

    python benchmarks/spinnaker_speed.py            # about 10 seconds, one core
"""

from __future__ import annotations

import time

import numpy as np
from machine import machine, one_line

from spikecore import (
    LIF,
    Exponential,
    Hz,
    Input,
    MOhm,
    Network,
    Pairs,
    Poisson,
    Population,
    Projection,
    RandomPairs,
    Simulation,
    ms,
    mV,
    nA,
)

NEURONS, EXCITATORY, SYNAPSES = 10_000, 8_000, 100
MODEL_MS = 2_000


def balanced() -> Network:
    """Return the network; it is the same every time."""
    rng = np.random.default_rng(0)
    pre = np.repeat(np.arange(NEURONS), SYNAPSES)
    post = rng.integers(0, NEURONS, pre.size)
    delay = rng.integers(1, 17, pre.size)
    unit = LIF(
        tau_m=20 * ms,
        v_reset=-70 * mV,
        refractory=2 * ms,
        resistance=20 * MOhm,
        i_offset=0.6 * nA,
        synapse=Exponential(5 * ms, 5 * ms),
        step="spinnaker",
    )
    start = rng.uniform(-70, -50, NEURONS) * mV
    parts = [
        Input("in", 1000, Poisson(20 * Hz)),
        Population("n", NEURONS, unit, initial={"v": start}),
        Projection("in", "n", RandomPairs(0.002), 0.6 * nA, 1 * ms),
    ]
    for port, weight, own in (("exc", 0.05, pre < EXCITATORY), ("inh", 0.25, pre >= EXCITATORY)):
        wiring = Pairs(pre[own], post[own], duplicates=True)
        parts.append(
            Projection("n", "n", wiring, weight * nA, delay[own] * ms, port=port, name=port)
        )
    return Network(parts)


def main() -> None:
    """Run the network on two backends and print what they need and where they part."""
    network, results = balanced(), {}
    print(one_line(machine()))
    for backend in ("spinnaker", "event"):
        began = time.perf_counter()
        simulation = Simulation(network, backend=backend)
        prepared = time.perf_counter() - began
        simulation.run(10 * ms)  # compiles, where that is still to be done
        began = time.perf_counter()
        results[backend] = simulation.run((MODEL_MS - 10) * ms)
        factor = (time.perf_counter() - began) / (MODEL_MS - 10) * 1e3
        rate = len(results[backend].spikes["n"]) / NEURONS / MODEL_MS * 1e3
        print(
            f"{backend:<9} real-time factor {factor:.2f}, {rate:.2f} Hz, "
            f"{results[backend].counters['sent'] / 1e6:.1f} M synaptic events, "
            f"prepared in {prepared:.1f} s"
        )
    print(f"mirror against event: {results['spinnaker'].compare(results['event'])}")


if __name__ == "__main__":
    main()
