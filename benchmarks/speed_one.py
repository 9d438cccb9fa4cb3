"""One run of one workload in one simulator, in a process of its own: started by speed.py.

    python benchmarks/speed_one.py PEER FOLDER RESULT

PEER is ``BACKEND[:OPTIONS][@PRECISION]`` of spikecore, ``brian2``, or ``nest[:delay=MS]``; FOLDER
holds the workload's arrays; the measurements go to the file RESULT as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speed_workloads import Workload


class Clock:
    """CPU and wall time of named stretches; time of child processes (compilers) included."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the block as ``name``_cpu_s and ``name``_wall_s."""
        wall, cpu = time.perf_counter(), _cpu()
        yield
        self.times[f"{name}_cpu_s"] = _cpu() - cpu
        self.times[f"{name}_wall_s"] = time.perf_counter() - wall


def _cpu() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def split_peer(peer: str) -> tuple[str, dict[str, str]]:
    """Return simulator and options: ``nest:delay=0.1`` is ``("nest", {"delay": "0.1"})``."""
    name, _, options = peer.partition("@")[0].partition(":")
    return name, dict(part.split("=", 1) for part in options.split(",") if "=" in part)


def run_peer(peer: str, workload: Workload, folder: Path) -> dict[str, Any]:
    """Run ``workload`` in ``peer``; return what was measured.

    Every simulator returns the same entries: ``spikes`` (of the neurons, without inputs),
    ``loop_cpu_s``, ``loop_wall_s``, ``build_cpu_s``, ``build_wall_s``, ``peak_mb``, ``versions``.
    """
    name, options = split_peer(peer)
    clock = Clock()
    if name == "nest":
        from speed_nest import run_nest

        found = run_nest(workload, options, clock)
    elif name == "brian2":
        from speed_brian2 import run_brian2

        found = run_brian2(workload, clock, folder)
    else:
        from speed_spikecore import run_spikecore

        found = run_spikecore(peer, workload, clock)
    return {key: round(t, 6) for key, t in clock.times.items()} | {"peak_mb": peak_mb()} | found


def main() -> None:
    """Run what the command line says."""
    peer, folder, result = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    found = run_peer(peer, Workload.load(folder), folder)
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
