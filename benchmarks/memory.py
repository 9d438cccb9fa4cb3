"""What a synapse weighs: memory of this process before and after a network is built.

    python benchmarks/memory.py KIND PRECISION SYNAPSES THREADS    # prints JSON

KIND says what differs from synapse to synapse: ``drawn`` (weights and delays, drawn by spikecore),
``given`` (the same, as arrays of the user, which stay the user's and are not counted),
``delays`` (one weight), ``alike`` (one weight, one delay).

Resident memory (VmRSS) after building and gc, less that before; the peak (VmHWM) likewise. What
does not grow with synapses (the ring of cells, 100 synapses a neuron) is in it.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

KINDS = ("drawn", "given", "delays", "alike")
FAN = 100


def measured(kind: str, precision: str, size: int, threads: int = 1) -> dict[str, float]:
    """Build a network in a process of its own."""
    command = [sys.executable, __file__, kind, precision, str(size), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def built(size: int, kind: str, precision: str, threads: str) -> dict[str, float]:
    """Build a recurrent network of ``size`` synapses in this process; return what it took."""
    import spikecore as sc

    how = {"precision": precision, "backend": f"event:threads={threads}"}
    tiny = _network(200_000, kind, _arrays(200_000) if kind == "given" else ())
    sc.Simulation(tiny, **how)  # kernels loaded: only building is measured
    del tiny
    arrays = _arrays(size) if kind == "given" else ()
    network = _network(size, kind, arrays)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, cpu = _status("VmRSS"), time.process_time()
    simulation = sc.Simulation(network, **how)
    spent, peak = time.process_time() - cpu, _status("VmHWM")
    gc.collect()
    after = _status("VmRSS")
    assert simulation.time == 0.0
    return {
        "synapses": size,
        "cpu_s": spent,
        "resident_bytes": (after - before) / size,
        "peak_bytes": (peak - before) / size,
    }


def _arrays(size: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    neurons = max(1, size // FAN)
    pre = np.repeat(np.arange(neurons, dtype=np.int32), size // neurons)
    post = rng.integers(0, neurons, pre.size, dtype=np.int32)
    return pre, post, rng.random(pre.size), rng.integers(10, 200, pre.size) * 0.1


def _network(size: int, kind: str, arrays: tuple[np.ndarray, ...]) -> Any:
    import spikecore as sc

    wiring: Any = sc.RandomTotal(size)
    weight: Any = sc.Uniform(0 * sc.mV, 1 * sc.mV)
    delay: Any = sc.Uniform(1 * sc.ms, 20 * sc.ms)
    if kind == "given":
        pre, post, weight, delay = arrays
        wiring, weight, delay = sc.Pairs(pre, post, duplicates=True), weight * sc.mV, delay * sc.ms
    if kind in ("delays", "alike"):
        weight = 1 * sc.mV
    if kind == "alike":
        delay = 2 * sc.ms
    cells = sc.Population("cells", size // FAN, sc.LIF(synapse=sc.Delta()))
    wires = sc.Projection("cells", "cells", wiring, weight, delay)
    return sc.Network([cells, wires], dt=0.1 * sc.ms)


def _status(key: str) -> float:
    with open("/proc/self/status") as status:  # noqa: PTH123 - a kernel's file
        line = next(line for line in status if line.startswith(key))
    return 1024.0 * float(line.split()[1])


if __name__ == "__main__":
    print(json.dumps(built(int(sys.argv[3]), *sys.argv[1:3], sys.argv[4])))
