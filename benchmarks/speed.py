"""How fast, against Brian2 and NEST: same networks, side by side, each run in its own process.

    python benchmarks/speed.py                      # all; writes results/speed.json
    python benchmarks/speed.py --quick               # a part, in minutes; writes nothing
    python benchmarks/speed.py --only W1-4000,W4     # these; others on file are kept
    python benchmarks/speed.py --peers event:threads=1@float32,event:threads=2@float32,brian2
    python benchmarks/speed.py --again               # show and draw what is on file

Brian2 and NEST come with the extras ``brian2`` and ``nest``; with ``--nest-python`` NEST may live
in an environment of its own. Simulators take turns, repeat by repeat, so that what else the machine
does hits all of them. Times are CPU time of the simulation loop on one thread; what two threads
gain is in wall time, in a table of its own. A ratio is shown only where both simulators fire at the
same rate (speed_table.doubt). Results are written after each run: Ctrl-C loses only the run that it
stops.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import speed_workloads as workloads
from machine import RESULTS, machine, one_line
from speed_one import split_peer
from speed_table import OFFLINE, is_ours, peer_table, ratio_table, threads_of, threads_table

HERE = Path(__file__).parent
PEERS = "event:threads=1@float64,event:threads=1@float32,event:threads=2@float32,brian2,nest"
INSTALL = {"brian2": 'pip install -e ".[brian2]"', "nest": 'pip install -e ".[nest]"'}


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says."""
    options = _options(arguments)
    path = RESULTS / options.out if options.out else None
    if options.again:
        path = RESULTS / (options.out or "speed.json")
        show(json.loads(path.read_text()), path.with_suffix(".png") if options.plot else None)
        return
    names = _names(options)
    on_file = _on_file(path, names)
    peers = [p for p in options.peers.split(",") if _can_run(p, options.nest_python)]
    results: dict[str, Any] = {"machine": machine(), "workloads": on_file}
    try:
        for name in names:
            for _ in measure(name, peers, options, results["workloads"]):
                write(path, results)
            print("\n" + peer_table(name, results["workloads"][name]) + "\n", flush=True)
    except KeyboardInterrupt:
        print("\nstopped: what was finished is kept", flush=True)
    show(
        results,
        (path or RESULTS / "speed.json").with_suffix(".png") if options.plot or path else None,
    )


def show(results: dict[str, Any], picture: Path | None) -> None:
    """Print all tables; draw the figure, if it is to be drawn."""
    entries = {name: e for name, e in results["workloads"].items() if e["runs"]}
    for name, entry in entries.items():
        print(peer_table(name, entry) + "\n")
    print(ratio_table(entries))
    print("\n" + threads_table(entries))
    print("\n" + one_line(results["machine"]))
    if picture is not None and entries:
        from speed_plot import draw

        print(draw(entries, picture))


def measure(
    name: str, peers: list[str], options: argparse.Namespace, entries: dict[str, Any]
) -> Iterator[None]:
    """Run one workload in all peers, taking turns; yield after each run."""
    duration = workloads.QUICK.get(name) if options.quick else None
    workload = workloads.make(name, duration)
    entry = {
        "facts": workload.facts,
        "tolerance": workloads.TOLERANCE[name],
        "machine": machine(),
        "runs": {},
    }
    entries[name] = entry
    with TemporaryDirectory(prefix="spikecore-speed-") as scratch:
        folder = Path(scratch) / name
        workload.save(folder)
        del workload
        for repeat in range(max(options.repeats, options.nest_repeats)):
            for peer in [*peers, *also(name, peers)]:
                if repeat >= repeats_of(peer, name, options):
                    continue
                record = run_child(peer, folder, options)
                entry["runs"].setdefault(peer, []).append(record)
                print(f"{name:13} {repeat + 1} {peer:22} {_said(record)}", flush=True)
                yield
        shutil.rmtree(folder)


def also(name: str, peers: list[str]) -> list[str]:
    """Return what else is measured: without blocks of time, where the peers named have them."""
    if name not in OFFLINE:
        return []
    ours = [peer.partition("@") for peer in peers if is_ours(peer) and threads_of(peer) == 1]
    return [f"{way}{',' if ':' in way else ':'}ahead=off{at}{kind}" for way, at, kind in ours]


def repeats_of(peer: str, name: str, options: argparse.Namespace) -> int:
    """Return how often ``peer`` is to run workload ``name``."""
    simulator = split_peer(peer)[0]
    if name in workloads.NOT_FOR.get(simulator, ()):
        return 0
    if threads_of(peer) > 1 and name in workloads.LEARNING:
        return 0
    if simulator == "nest" and name in workloads.SLOW_IN_NEST:
        return min(options.repeats, options.nest_repeats)
    return int(options.repeats)


def run_child(peer: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one peer in a process of its own; return its record, or ``{"error": why}``."""
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    name, own = split_peer(peer)
    python = options.nest_python if name == "nest" else sys.executable
    load = os.getloadavg()[0]
    try:
        done = subprocess.run(
            [python, str(HERE / "speed_one.py"), peer, str(folder), str(result)],
            env=_environment(own.get("threads", "1")),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=options.limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {options.limit:g} s"}
    if done.returncode or not result.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"error": f"{last} (exit {done.returncode})"}
    return json.loads(result.read_text()) | {"load_before": round(load, 2)}


def write(path: Path | None, results: dict[str, Any]) -> None:
    """Write the results so that a file is whole at all times."""
    if path is None:
        return
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    part.replace(path)


def _environment(threads: str) -> dict[str, str]:
    one = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return os.environ | dict.fromkeys(one, "1") | {"NUMBA_NUM_THREADS": threads}


def _can_run(peer: str, nest_python: str) -> bool:
    """Return whether a peer is installed; say so if it is not."""
    name = split_peer(peer)[0]
    if is_ours(peer):
        return True
    python = nest_python if name == "nest" else sys.executable
    found = subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False)
    if found.returncode:
        print(f"{name} is left out: {python} cannot import it ({INSTALL[name]})", flush=True)
    return found.returncode == 0


def _said(record: dict[str, Any]) -> str:
    if "error" in record:
        return f"FAILED: {record['error']}"
    return (
        f"loop {record['loop_cpu_s']:9.4f} s CPU, {record['spikes']:7d} spikes, "
        f"peak {record['peak_mb']:5.0f} MB"
    )


def _names(options: argparse.Namespace) -> list[str]:
    if not options.only:
        return list(workloads.QUICK if options.quick else workloads.WORKLOADS)
    names = options.only.split(",")
    unknown = [name for name in names if name not in workloads.WORKLOADS]
    if unknown:
        sys.exit(f"no workload {unknown[0]!r}; there are {', '.join(workloads.WORKLOADS)}")
    return names


def _on_file(path: Path | None, names: list[str]) -> dict[str, Any]:
    """Return the workloads on file that are not to be measured again."""
    if path is None or not path.exists():
        return {}
    old = json.loads(path.read_text())["workloads"]
    return {name: entry for name, entry in old.items() if name not in names}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--quick", action="store_true", help="a part, shorter; writes nothing")
    parser.add_argument("--only", default="", help="workloads, with commas")
    parser.add_argument("--peers", default=PEERS, help="simulators, with commas: %(default)s")
    parser.add_argument("--repeats", type=int, default=0, help="default 5, quick 3")
    parser.add_argument("--nest-repeats", type=int, default=3, help="where NEST is slow")
    parser.add_argument("--nest-python", default=sys.executable, help="a Python that has NEST")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds a run may take")
    parser.add_argument("--out", default=None, help="file in results/; default speed.json")
    parser.add_argument("--plot", action="store_true", help="draw results/speed.png")
    parser.add_argument("--again", action="store_true", help="show what is on file")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (3 if options.quick else 5)
    if options.out is None:
        options.out = "" if options.quick or options.again else "speed.json"
    return options


if __name__ == "__main__":
    main()
