"""How time and memory grow with neurons, synapses, rate, dt and threads: spikecore by itself.

    python benchmarks/scaling.py                   # writes results/scaling.json and .png
    python benchmarks/scaling.py --quick           # the small ends, writes nothing
    python benchmarks/scaling.py --peers event:threads=1@float32,brian2

Each point is a run in a process of its own (speed_one.py), the median of three. One thing varies
at a time, from W1 (neurons), W2 (synapses), or W4 (rate, dt). Points that fail, such as an option
which a backend does not have, are kept with the reason. Peak memory there is that of the whole
process, the workload's own arrays included; what spikecore holds for a synapse, and needs while it
builds, is measured by itself (memory.py) and comes under "memory".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import speed_workloads as w
from machine import RESULTS, machine, one_line, write_json
from memory import KINDS, measured
from speed import run_child, split_peer
from speed_table import middle, rate

Make = Callable[[float], w.Workload]

STUDIES: dict[str, tuple[tuple[float, ...], Make]] = {
    "neurons (W1, 80 synapses each)": (
        (1_000, 4_000, 16_000, 64_000),
        lambda n: w.cuba("scaling", 500.0, int(n)),
    ),
    "synapses (W2, 1,250 a neuron)": (
        (625_000, 1_250_000, 2_500_000, 5_000_000, 10_000_000),
        lambda n: w.brunel("scaling", 100.0, int(n) // 1250),
    ),
    "rate, Hz (W4, 20,000 neurons)": (
        (0.1, 0.3, 1.0, 3.0),
        lambda hz: w.sparse("scaling", 1000.0, 0.1, neurons=20_000, rate=hz),
    ),
    "dt, ms (W4)": (
        (1.0, 0.1, 0.01),
        lambda dt: w.sparse("scaling", 1000.0, dt),
    ),
}


def main() -> None:
    """Measure all studies, print and write after each point."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", default="event:threads=1@float64,event:threads=1@float32")
    parser.add_argument("--threads", default="2", help="e.g. 2: adds event:threads=N@float32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory-only", action="store_true", help="bytes a synapse, and no more")
    options = parser.parse_args()
    options.nest_python, options.limit = sys.executable, 900.0
    peers = options.peers.split(",")
    peers += [f"event:threads={n}@float32" for n in options.threads.split(",") if n]
    results: dict[str, Any] = {"machine": machine(), "repeats": options.repeats, "studies": {}}
    results["memory"] = memory_of_synapses(1_000_000 if options.quick else 10_000_000)
    if options.memory_only:
        return
    try:
        for study, (values, make) in STUDIES.items():
            points = results["studies"].setdefault(study, [])
            for value in values[:2] if options.quick else values:
                points.append(point(make(value), value, peers, options))
                print(f"{study} = {value:g}: {said(points[-1])}", flush=True)
                if not options.quick:
                    write_json("scaling.json", results)
    except KeyboardInterrupt:
        print("\nstopped: what was finished is kept")
    print(one_line(results["machine"]))
    if not options.quick:
        print(draw(results["studies"], RESULTS / "scaling.png"))


def memory_of_synapses(size: int) -> list[dict[str, Any]]:
    """Measure, print and return bytes a synapse for all kinds of weights and delays."""
    found = []
    for kind, precision, threads in product(KINDS, ("float32", "float64"), (1, 2)):
        row: dict[str, Any] = {"kind": kind, "precision": precision, "threads": threads}
        row |= measured(kind, precision, size, threads)
        found.append(row)
        print(
            f"{size:,} synapses, {kind}, {precision}, threads={threads}: "
            f"{row['resident_bytes']:.1f} bytes a synapse, {row['peak_bytes']:.1f} at the peak, "
            f"built in {row['cpu_s']:.2f} s CPU",
            flush=True,
        )
    return found


def point(
    workload: w.Workload, value: float, peers: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Run one network in all peers, taking turns; return medians by peer."""
    entry: dict[str, Any] = {"facts": workload.facts, "tolerance": 0.05, "runs": {}}
    with TemporaryDirectory(prefix="spikecore-scaling-") as scratch:
        workload.save(Path(scratch))
        for _ in range(options.repeats):
            for peer in peers:
                record = run_child(peer, Path(scratch), options)
                entry["runs"].setdefault(peer, []).append(record)
    found: dict[str, Any] = {"value": value, "facts": workload.facts, "peers": {}}
    for peer, runs in entry["runs"].items():
        if middle(entry, peer, "loop_cpu_s") is None:
            found["peers"][peer] = {"error": runs[-1]["error"]}
            continue
        keys = ("loop_cpu_s", "loop_wall_s", "build_cpu_s", "peak_mb")
        found["peers"][peer] = {key: middle(entry, peer, key) for key in keys}
        found["peers"][peer]["rate_hz"] = rate(entry, peer)
    return found


def said(found: dict[str, Any]) -> str:
    """Return a point as a line."""
    return "; ".join(
        f"{peer} " + (f"failed: {f['error']}" if "error" in f else _figures(f))
        for peer, f in found["peers"].items()
    )


def _figures(f: dict[str, float]) -> str:
    return f"{f['loop_cpu_s']:.4g} s CPU, {f['peak_mb']:.0f} MB, {f['rate_hz']:.3g} Hz"


def draw(studies: dict[str, Any], path: Path) -> Path:
    """Draw time (above) and peak memory (below) for each study; return ``path``."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(
        2, len(studies), figsize=(3 * len(studies), 5), squeeze=False, sharex="col"
    )
    lines = {}
    for (time, memory), (study, points) in zip(grid.T, studies.items(), strict=True):
        peers = [p for p in (points[0]["peers"] if points else {}) if split_peer(p)[0]]
        for number, peer in enumerate(peers):
            done = [(p["value"], p["peers"][peer]) for p in points]
            done = [(value, found) for value, found in done if "error" not in found]
            x = [value for value, _ in done]
            style = {"color": f"C{number}", "marker": "o", "label": peer}
            lines[peer] = time.loglog(x, [f["loop_wall_s"] for _, f in done], **style)[0]
            memory.semilogx(x, [f["peak_mb"] for _, f in done], **style)
        memory.set_xlabel(study)
        memory.set_ylim(bottom=0)
    grid[0, 0].set_ylabel("loop, wall s")
    grid[1, 0].set_ylabel("peak MB of the process")
    figure.legend(lines.values(), lines.keys(), loc="upper center", ncols=len(lines))
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(path, dpi=80)
    plt.close(figure)
    return path


if __name__ == "__main__":
    main()
