"""What a user waits for, and what a synapse weighs: each figure from processes of its own.

    python benchmarks/startup.py            # writes results/startup.json
    python benchmarks/startup.py --quick    # a tenth of the synapses, writes nothing

From an empty process to the first spike of a small and of a middle network, with no compiled
kernels on file (cold) and with them (warm), split into importing, describing, building (which
loads or compiles kernels) and the first 20 ms. Building networks of 1.25 to 10 million synapses,
where twice the synapses must cost about twice the time, and what one weighs (memory.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from machine import machine, one_line, write_json
from memory import measured

SYNAPSES = (1_250_000, 2_500_000, 5_000_000, 10_000_000)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "repeats": options.repeats}
    found["first_spike"] = {
        name: first_spike(name, options.repeats) for name in ("small", "middle")
    }
    found["building"] = []
    for full in SYNAPSES:
        size = full // 10 if options.quick else full
        runs = [measured("drawn", "float32", size) for _ in range(min(3, options.repeats))]
        row = {key: median(run[key] for run in runs) for key in runs[0]}
        found["building"].append(row)
        print(
            f"{size:11,} synapses, drawn: built in {row['cpu_s']:.2f} s CPU, "
            f"{row['resident_bytes']:.1f} bytes a synapse resident, "
            f"{row['peak_bytes']:.1f} at the peak",
            flush=True,
        )
    print(one_line(found["machine"]))
    if not options.quick:
        print(write_json("startup.json", found))


def first_spike(name: str, repeats: int) -> dict[str, dict[str, float]]:
    """Measure a network cold and warm; print and return the stretches in seconds."""
    with TemporaryDirectory() as empty:
        cold = child(name, NUMBA_CACHE_DIR=empty)
        runs = [child(name, NUMBA_CACHE_DIR=empty) for _ in range(repeats)]
    found = {"cold": cold, "warm": {key: median(run[key] for run in runs) for key in cold}}
    for state, times in found.items():
        parts = ", ".join(f"{key} {value:.3f}" for key, value in times.items())
        print(f"{name} network, {state}: {parts} (s)", flush=True)
    return found


def child(name: str, **environment: str) -> dict[str, float]:
    """Return what first_spike.py measures in a new process."""
    command = [sys.executable, str(Path(__file__).with_name("first_spike.py")), name]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
