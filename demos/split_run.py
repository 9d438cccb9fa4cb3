"""A run in two pieces, with a checkpoint between them, gives the same spikes.

Run: python demos/split_run.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from spikecore import (
    LIF,
    Hz,
    Input,
    MOhm,
    Network,
    Poisson,
    Population,
    Projection,
    RandomPairs,
    Simulation,
    Uniform,
    ms,
    mV,
    nA,
    run,
)


def main() -> None:
    """Run in one go and in two, compare."""
    neuron = LIF(tau_m=20 * ms, v_threshold=-50 * mV, resistance=10 * MOhm, refractory=2 * ms)
    net = Network(
        [
            Input("noise", 200, Poisson(40 * Hz)),
            Population("cells", 300, neuron),
            Projection("noise", "cells", RandomPairs(0.1), weight=0.7 * nA, delay=1 * ms),
            Projection(
                "cells", "cells", RandomPairs(0.05), weight=0.4 * nA, delay=Uniform(1 * ms, 20 * ms)
            ),
        ],
        dt=0.1 * ms,
    )
    whole = run(net, 1000 * ms, seed=7)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "half.npz"
        first = Simulation(net, seed=7)
        half = first.run(400 * ms)
        first.save(checkpoint)
        second = Simulation(net, seed=7)
        second.restore(checkpoint)
        pieces = second.run(600 * ms)
    print(f"at the checkpoint {half.counters['pending']} synaptic events were under way")
    print(f"in one go and in two pieces: {whole.compare(pieces)}")
    assert whole.compare(pieces).identical


if __name__ == "__main__":
    main()
