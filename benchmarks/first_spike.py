"""From an empty process to the first spike, in seconds: started by startup.py.

    python benchmarks/first_spike.py small|middle

Nothing but spikecore, and what it needs, is imported. Python itself is running already.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from typing import Any


def main(name: str) -> dict[str, float]:
    """Time each stretch."""
    marks = [time.perf_counter()]
    import spikecore as sc

    marks.append(time.perf_counter())
    size = {"small": 100, "middle": 1000}[name]
    parts: list[Any] = [
        sc.Input("in", 1, sc.Train([1.0] * sc.ms, [0])),
        sc.Population("out", size, sc.LIF(synapse=sc.Exponential())),
        sc.Projection("in", "out", sc.AllToAll(), 200 * sc.nA, 1 * sc.ms),
    ]
    if name == "middle":  # a million synapses with weights and delays of their own
        weight = sc.Uniform(0 * sc.nA, 1e-3 * sc.nA)
        wiring, delay = sc.RandomTotal(1_000_000), sc.Uniform(1 * sc.ms, 20 * sc.ms)
        parts.append(sc.Projection("out", "out", wiring, weight, delay))
    network = sc.Network(parts, dt=0.1 * sc.ms)
    marks.append(time.perf_counter())
    simulation = sc.Simulation(network, precision="float32")
    marks.append(time.perf_counter())
    assert len(simulation.run(20 * sc.ms).spikes["out"]) > 0
    marks.append(time.perf_counter())
    names = ("import_s", "describe_s", "build_s", "run_s")
    return dict(zip(names, [b - a for a, b in pairwise(marks)], strict=True)) | {
        "all_s": marks[-1] - marks[0]
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
