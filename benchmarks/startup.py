"""What a user waits for, and what a synapse weighs: each figure from processes of its own.

    python benchmarks/startup.py            # writes results/startup.json
    python benchmarks/startup.py --quick    # a tenth of the synapses, writes nothing

Import time; from a model to its first spike with no compiled kernels on file (cold) and with them
(warm); building networks of 1.25 to 10 million synapses, where twice the synapses must cost about
twice the time; resident bytes a synapse beside the arrays that the user gave.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from machine import machine, one_line, write_json

SYNAPSES = (1_250_000, 2_500_000, 5_000_000, 10_000_000)
FAN = 100


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", default="")
    options = parser.parse_args()
    if options.child:
        name, _, size = options.child.partition(":")
        print(json.dumps(CHILDREN[name](int(size or 0))))
        return
    found: dict[str, Any] = {"machine": machine(), "repeats": options.repeats}
    found["import_s"] = median(child("import")["s"] for _ in range(options.repeats))
    with TemporaryDirectory() as empty:
        cold = child("first", NUMBA_CACHE_DIR=empty)
        warm = [child("first", NUMBA_CACHE_DIR=empty) for _ in range(options.repeats)]
    found["first_spike_cold_s"] = cold["s"]
    found["first_spike_warm_s"] = median(run["s"] for run in warm)
    found["building"] = []
    for full in SYNAPSES:
        size = full // 10 if options.quick else full
        runs = [child(f"build:{size}") for _ in range(min(3, options.repeats))]
        row = {key: median(run[key] for run in runs) for key in runs[0]}
        found["building"].append(row)
        print(
            f"{size:11,} synapses: built in {row['cpu_s']:.2f} s CPU, "
            f"{row['resident_bytes']:.1f} bytes a synapse resident, "
            f"{row['peak_bytes']:.1f} at the peak",
            flush=True,
        )
    for key in ("import_s", "first_spike_cold_s", "first_spike_warm_s"):
        print(f"{key}: {found[key]:.3f}")
    print(one_line(found["machine"]))
    if not options.quick:
        print(write_json("startup.json", found))


def child(what: str, **environment: str) -> dict[str, float]:
    """Return what this file measures about itself in a new process."""
    command = [sys.executable, __file__, "--child", what]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _import(_size: int) -> dict[str, float]:
    """Time of ``import spikecore`` alone, in a process that has imported nothing."""
    code = "import time; t = time.perf_counter(); import spikecore; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {"s": float(done.stdout)}


def _first(_size: int) -> dict[str, float]:
    """From a described model to its first spike; importing spikecore is not included."""
    import spikecore as sc

    began = time.perf_counter()
    train = sc.Train([1.0] * sc.ms, [0])
    network = sc.Network(
        [
            sc.Input("in", 1, train),
            sc.Population("out", 100, sc.LIF(synapse=sc.Exponential())),
            sc.Projection("in", "out", sc.AllToAll(), 200 * sc.nA, 1 * sc.ms),
        ],
        dt=0.1 * sc.ms,
    )
    result = sc.run(network, 20 * sc.ms)
    assert len(result.spikes["out"]) > 0
    return {"s": time.perf_counter() - began}


def _build(size: int) -> dict[str, float]:
    """Build a recurrent network of ``size`` synapses with weights and delays of their own."""
    import spikecore as sc

    tiny = _recurrent(100)  # kernels loaded, so that only building is measured
    sc.Simulation(tiny, precision="float32")
    arrays = _arrays(size)
    before, cpu = _resident(), time.process_time()
    network = _recurrent(size, arrays)
    simulation = sc.Simulation(network, precision="float32")
    spent = time.process_time() - cpu
    peak = _status("VmHWM")
    after = _resident()
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
    return pre, post, rng.random(pre.size), rng.integers(1, 200, pre.size) * 0.1


def _recurrent(size: int, arrays: tuple[np.ndarray, ...] | None = None) -> Any:
    import spikecore as sc

    pre, post, weight, delay = _arrays(size) if arrays is None else arrays
    wiring = sc.Pairs(pre, post, duplicates=True)
    cells = sc.Population("cells", int(pre[-1]) + 1, sc.LIF(synapse=sc.Delta()))
    wires = sc.Projection("cells", "cells", wiring, weight * sc.mV, delay * sc.ms)
    return sc.Network([cells, wires], dt=0.1 * sc.ms)


def _resident() -> float:
    return _status("VmRSS")


def _status(key: str) -> float:
    with open("/proc/self/status") as status:  # noqa: PTH123 - a kernel's file
        line = next(line for line in status if line.startswith(key))
    return 1024.0 * float(line.split()[1])


CHILDREN = {"import": _import, "first": _first, "build": _build}

if __name__ == "__main__":
    main()
