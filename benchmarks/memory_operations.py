"""How long one memory operation takes: learn, recall by cue, query with completion.

Each size and backend runs in processes of its own, several times round; samples are
pooled, and medians with the 10-90 % range are quoted. Every answer is checked against
what was stored: a wrong one ends the benchmark.

    python benchmarks/memory_operations.py            # about 5 minutes
    python benchmarks/memory_operations.py --quick    # half a minute, writes nothing
    python benchmarks/memory_operations.py --again    # shows and draws what is on file
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, machine, one_line, write_json
from rich.console import Console
from rich.table import Table

from spikecore.memory import CA3Memory, CA3Shape, ContentMemory, Episode, Text
from spikecore.memory.store import CueRow, MemoryFile
from spikecore.progress import progress_bar

Bits = frozenset[int]

SIZES = ((5, 10), (16, 6), (30, 60), (100, 100), (100, 200), (300, 300), (1000, 1000))
CLOCKED_UP_TO = 100 * 100  # cues x bits; beyond it the oracle takes too long
FIT_FROM = 100 * 100  # below it the fixed cost of an operation hides the trend
HELD = 50  # memories held while timing, or as many as there are cues
DENSITY = 0.3
OPERATIONS = ("learn", "recall", "query")
COLOURS = {"learn": "#b5452c", "recall": "#2a6fa8", "query": "#3c8a4e"}

FIRST_SPIKE = """
import time
began = time.perf_counter()
from spikecore import *
imported = time.perf_counter()
net = Network(
    [
        Input("in", 1, Train([1] * ms, [0])),
        Population("out", 1, LIF(synapse=Delta())),
        Projection("in", "out", OneToOne(), weight=20 * mV, delay=1 * ms),
    ]
)
assert run(net, 5 * ms).spikes["out"].times.tolist() == [2.0]
print(imported - began, time.perf_counter() - began)
"""


# -- one size, in a process of its own --------------------------------------------------


def operations(cues: int, bits: int, backend: str, seconds: float) -> dict[str, Any]:
    """Time operations on a memory of one size for about ``seconds``."""
    CA3Memory(CA3Shape(1, 1), backend=backend)  # loads the compiled kernels
    shape = CA3Shape(cues, bits, threshold=0.6, completion=True, backward_weight=12.0)
    began = time.perf_counter()
    memory = CA3Memory(shape, backend=backend)
    build_ms = 1e3 * (time.perf_counter() - began)
    rng = np.random.default_rng(1)
    held: dict[int, Bits] = {}
    for cue in rng.permutation(cues)[:HELD].tolist():
        held[cue] = random_content(rng, bits)
        memory.learn(cue, held[cue])
    samples: dict[str, Any] = {name: {"wall_ms": [], "spikes": []} for name in OPERATIONS}
    began, rounds = time.perf_counter(), 0
    while rounds < 10 or time.perf_counter() - began < seconds:
        for episode in one_round(memory, held, rng):
            own = samples[episode.operation]
            own["wall_ms"].append(1e3 * episode.wall_s)
            own["spikes"].append(episode.spikes)
            own["model_ms"] = episode.model_ms
        rounds += 1
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"build_ms": build_ms, "peak_mb": peak_mb, "operations": samples}


def one_round(
    memory: CA3Memory, held: dict[int, Bits], rng: np.random.Generator
) -> Iterator[Episode]:
    """Overwrite one memory, recall one, query with a fragment of one; check the answers."""
    known = list(held)
    learnt, recalled, wanted = (known[i] for i in rng.integers(len(known), size=3))
    held[learnt] = random_content(rng, memory.shape.bits)
    yield memory.learn(learnt, held[learnt])
    episode = memory.recall(recalled)
    check(episode.bits == held[recalled], f"recall of {recalled}")
    yield episode
    fragment = frozenset(b for b in held[wanted] if rng.random() >= 0.4) or held[wanted]
    episode = memory.query(fragment)
    needed = memory.shape.needed_overlap(len(fragment))
    right = frozenset(c for c, stored in held.items() if len(stored & fragment) >= needed)
    check(episode.cues == right, f"cues of a query for {wanted}")
    check(episode.bits == Bits().union(*(held[c] for c in right)), f"completion of {wanted}")
    yield episode


def random_content(rng: np.random.Generator, bits: int) -> Bits:
    """Draw a content with three tenths of its bits on, at least one."""
    chosen = np.flatnonzero(rng.random(bits) < DENSITY)
    return frozenset(chosen.tolist()) or frozenset({int(rng.integers(bits))})


def check(right: bool, what: str) -> None:
    """End the benchmark at a wrong answer: how fast that was is of no interest."""
    if not right:
        raise SystemExit(f"wrong answer: {what}")


# -- a memory in a file, in a process of its own ----------------------------------------


def on_file(folder: str, cues: int) -> dict[str, Any]:
    """Time store and recall on a new file of ``cues`` texts of 32 bytes (1,024 bits)."""
    CA3Memory(CA3Shape(1, 1))
    path, texts = Path(folder) / "texts.memory", dict(random_texts(cues))
    wall: dict[str, list[float]] = {"store": [], "recall": []}
    with ContentMemory.create(path, Text(32), cues) as memory:
        memory.store("number 0", texts["number 0"])  # builds the network
        for name, text in texts.items():
            began = time.perf_counter()
            memory.store(name, text)
            wall["store"].append(1e3 * (time.perf_counter() - began))
        for name, text in texts.items():
            began = time.perf_counter()
            best = memory.recall(name).best
            wall["recall"].append(1e3 * (time.perf_counter() - began))
            check(best is not None and best.content == text, f"text of {name}")
    return wall


def opened(path: str) -> dict[str, float]:
    """Time opening a file, its first recall (which builds the network) and a second one."""
    CA3Memory(CA3Shape(1, 1))
    moments = [time.perf_counter()]
    with ContentMemory.open(path) as memory:
        moments.append(time.perf_counter())
        for name, text in list(random_texts(2)):
            best = memory.recall(name).best
            moments.append(time.perf_counter())
            check(best is not None and best.content == text, f"text of {name}")
    steps = np.diff(moments) * 1e3
    return dict(zip(("open", "first_recall", "second_recall"), steps.tolist(), strict=True))


def filled_file(folder: str, cues: int) -> str:
    """Make a file with ``cues`` texts, with the weights that storing them leaves."""
    path, codec = Path(folder) / "filled.memory", Text(32)
    ContentMemory.create(path, codec, cues).close()
    file, rows = MemoryFile(path), []
    for number, (name, text) in enumerate(random_texts(cues)):
        on = np.zeros(codec.size)
        on[list(codec.encode(text))] = 1.0
        rows.append(CueRow(number, name, "2026-01-01T00:00:00+00:00", 6.0 * on, 12.0 * on))
    with file.transaction("benchmark"):
        file.write_rows(rows)
    file.close()
    return str(path)


def random_texts(count: int) -> Iterator[tuple[str, str]]:
    """Draw ``count`` named texts of 32 characters."""
    rng = np.random.default_rng(2)
    for number in range(count):
        letters = rng.integers(ord("a"), ord("z") + 1, size=32).astype(np.uint8)
        yield f"number {number}", letters.tobytes().decode()


# -- starting processes -----------------------------------------------------------------


def fresh(*arguments: object) -> Any:
    """Run this script for one measurement, in a new process."""
    command = [sys.executable, __file__, "--measure", *map(str, arguments)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return json.loads(done.stdout)


def startup(times: int, cold_times: int) -> dict[str, Any]:
    """Time ``import spikecore`` and the first spike of a new network, in new processes."""
    imports, warm, cold = [], [], []
    first_spike(os.environ)  # fills the cache of this machine
    for _ in range(times):
        imported, spiked = first_spike(os.environ)
        imports.append(imported)
        warm.append(spiked)
    for _ in range(cold_times):
        with tempfile.TemporaryDirectory() as empty:
            cold.append(first_spike({**os.environ, "NUMBA_CACHE_DIR": empty})[1])
    return {
        "import_s": summary(imports),
        "first_spike_warm_s": summary(warm),
        "first_spike_cold_s": summary(cold),
    }


def first_spike(environment: Any) -> tuple[float, float]:
    """Return seconds until spikecore is imported, and until the first spike is there."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_SPIKE],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    imported, spiked = done.stdout.split()
    return float(imported), float(spiked)


# -- collecting -------------------------------------------------------------------------


def collect(sizes: tuple[tuple[int, int], ...], rounds: int, seconds: float) -> list[Any]:
    """Measure every size and backend ``rounds`` times over, and pool the samples."""
    cases = [(c, b, "event") for c, b in sizes]
    cases += [(c, b, "clocked") for c, b in sizes if c * b <= CLOCKED_UP_TO]
    found: dict[Any, list[Any]] = {case: [] for case in cases}
    with progress_bar("memory operations", rounds * len(cases)) as advance:
        for _ in range(rounds):
            for case in cases:
                found[case].append(fresh("operations", *case, seconds))
                advance(1)
    return [pooled(case, parts) for case, parts in found.items()]


def pooled(case: tuple[int, int, str], parts: list[Any]) -> dict[str, Any]:
    """Join the samples of several processes."""
    cues, bits, backend = case
    row: dict[str, Any] = {"cues": cues, "bits": bits, "backend": backend}
    row["build_ms"] = round(statistics.median(p["build_ms"] for p in parts), 2)
    row["peak_mb"] = round(statistics.median(p["peak_mb"] for p in parts), 1)
    for name in OPERATIONS:
        own = [part["operations"][name] for part in parts]
        wall = summary([ms for o in own for ms in o["wall_ms"]])
        spikes = statistics.median(s for o in own for s in o["spikes"])
        row[name] = {
            "model_ms": own[0]["model_ms"],
            "spikes": spikes,
            "wall_ms": wall,
            "per_second": round(1e3 / wall["median"], 1),
        }
    return row


def summary(values: list[float]) -> dict[str, float]:
    """Return median and 10-90 % range."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    rounded = {"median": middle, "p10": low, "p90": high}
    return {k: float(f"{v:.4g}") for k, v in rounded.items()} | {"samples": len(values)}


def files(cues: int, stored: int, times: int) -> dict[str, Any]:
    """Measure memories in files."""
    with tempfile.TemporaryDirectory() as folder:
        wall = fresh("on_file", folder, cues)
        path = filled_file(folder, stored)
        parts = [fresh("opened", path) for _ in range(times)]
        size_mb = round(Path(path).stat().st_size / 1e6, 2)
    return {
        "cues": cues,
        "bits": 1024,
        **{f"{name}_ms": summary(values) for name, values in wall.items()},
        "filled": {
            "stored": stored,
            "bits": 1024,
            "file_mb": size_mb,
            **{f"{name}_ms": summary([p[name] for p in parts]) for name in parts[0]},
        },
    }


def exponent(rows: list[Any], backend: str, operation: str) -> tuple[float, float] | None:
    """Fit ``log wall = a log(cues bits) + b`` from :data:`FIT_FROM` on; return (a, b)."""
    large = [r for r in rows if r["backend"] == backend and r["cues"] * r["bits"] >= FIT_FROM]
    if len(large) < 3:
        return None
    x = np.log10([r["cues"] * r["bits"] for r in large])
    y = np.log10([r[operation]["wall_ms"]["median"] for r in large])
    slope, at_one = np.polyfit(x, y, 1)
    return float(slope), float(at_one)


# -- showing ----------------------------------------------------------------------------


def show(data: dict[str, Any]) -> None:
    """Print everything as tables."""
    console = Console(width=120)
    table = Table(title="Memory operations")
    for name in ("cues x bits", "backend", "build ms", "peak MB", "operation"):
        table.add_column(name, justify="left" if name in ("backend", "operation") else "right")
    for name in ("model ms", "spikes", "wall ms (10-90 %)", "per second"):
        table.add_column(name, justify="right")
    for row in data["operations"]:
        head = [f"{row['cues']} x {row['bits']}", row["backend"]]
        head += [f"{row['build_ms']:.0f}", f"{row['peak_mb']:.0f}"]
        for name in OPERATIONS:
            own = row[name]
            cells = [f"{own['model_ms']:.0f}", f"{own['spikes']:.0f}"]
            cells += [spread(own["wall_ms"]), rate(own["per_second"])]
            table.add_row(*head, name, *cells, end_section=name == OPERATIONS[-1])
            head = [""] * len(head)
    console.print(table)
    file = data["file"]
    rest = Table(title="Files and start", show_header=False)
    where = f"file of {file['cues']} x {file['bits']}"
    filled = file["filled"]
    full = f"file with {filled['stored']} memories ({filled['file_mb']} MB)"
    for label, values, unit in (
        (f"store, {where}", file["store_ms"], "ms"),
        (f"recall, {where}", file["recall_ms"], "ms"),
        (f"open, {full}", filled["open_ms"], "ms"),
        (f"first recall, {full}", filled["first_recall_ms"], "ms"),
        (f"second recall, {full}", filled["second_recall_ms"], "ms"),
        ("import spikecore", data["startup"]["import_s"], "s"),
        ("import to first spike, compiled before", data["startup"]["first_spike_warm_s"], "s"),
        ("import to first spike, never compiled", data["startup"]["first_spike_cold_s"], "s"),
    ):
        rest.add_row(label, f"{spread(values)} {unit}")
    console.print(rest)
    console.print(one_line(data["machine"]), highlight=False)


def rate(per_second: float) -> str:
    """Return a rate with as many digits as it deserves."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def spread(values: dict[str, float]) -> str:
    """Return ``median (p10-p90)``."""
    return f"{values['median']:.3g} ({values['p10']:.3g}-{values['p90']:.3g})"


def draw(data: dict[str, Any], path: Path) -> None:
    """Draw wall time per operation against size."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8.5, 5.6), layout="constrained")
    for backend, marker in (("event", "o"), ("clocked", "s")):
        rows = [r for r in data["operations"] if r["backend"] == backend]
        rows.sort(key=lambda r: r["cues"] * r["bits"])
        x = np.array([r["cues"] * r["bits"] for r in rows], float)
        for name in OPERATIONS:
            wall = {k: np.array([r[name]["wall_ms"][k] for r in rows]) for k in ("p10", "p90")}
            median = np.array([r[name]["wall_ms"]["median"] for r in rows])
            fit = data["exponents"].get(f"{backend} {name}")
            label = f"{name}, {backend}"
            if fit is not None:
                label += rf"  ($\propto n^{{{fit['exponent']:.2f}}}$)"
                far = np.array([FIT_FROM, x.max()])
                axes.plot(far, fit["at_one"] * far ** fit["exponent"], ":", c="0.45", lw=1)
            axes.errorbar(
                x,
                median,
                yerr=[median - wall["p10"], wall["p90"] - median],
                color=COLOURS[name],
                marker=marker,
                markersize=5,
                markerfacecolor=COLOURS[name] if backend == "event" else "white",
                linestyle="-" if backend == "event" else "--",
                linewidth=1.4,
                elinewidth=1,
                capsize=2,
                label=label,
            )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="n = cues × bits (above: the sizes measured)",
        ylabel="wall-clock time of one operation, ms",
        title="CA3 memory: one operation, from rest to rest (14 ms of model time)",
    )
    axes.grid(which="major", color="0.88")
    sizes = [(r["cues"], r["bits"]) for r in data["operations"] if r["backend"] == "event"]
    top = axes.secondary_xaxis("top")
    top.set_xticks([c * b for c, b in sizes], [f"{c}×{b}" for c, b in sizes])
    top.tick_params(labelsize=8, labelrotation=20)
    top.minorticks_off()
    axes.set_ylim(top=600)
    axes.legend(frameon=False, title=f"fits (dotted): n ≥ {FIT_FROM:,}", alignment="left")
    figure.supxlabel(one_line(data["machine"]), fontsize=7, color="0.4")
    figure.savefig(path, dpi=140)


def main() -> None:
    """Measure, print, and (unless quick) write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few sizes, once; writes nothing")
    parser.add_argument("--again", action="store_true", help="show and draw what is on file")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(*options.measure)))
        return
    if options.again:
        data = json.loads((RESULTS / "memory_operations.json").read_text())
    else:
        data = everything(options.quick)
    show(data)
    if not options.quick:
        print("wrote", write_json("memory_operations.json", data))
        draw(data, RESULTS / "memory_operations.png")
        print("wrote", RESULTS / "memory_operations.png")


def everything(quick: bool) -> dict[str, Any]:
    """Measure everything."""
    sizes = ((5, 10), (30, 60), (100, 100)) if quick else SIZES
    rows = collect(sizes, rounds=1 if quick else 3, seconds=1 if quick else 6)
    return {
        "machine": machine(),
        "operations": rows,
        "exponents": {
            f"{backend} {name}": {"exponent": round(fit[0], 3), "at_one": 10 ** fit[1]}
            for backend in ("event", "clocked")
            for name in OPERATIONS
            if (fit := exponent(rows, backend, name)) is not None
        },
        "file": files(100, 1000, times=1 if quick else 5),
        "startup": startup(3, 1) if quick else startup(9, 3),
    }


def measured(what: str, *given: str) -> Any:
    """Do one measurement, named on the command line by :func:`fresh`."""
    if what == "operations":
        return operations(int(given[0]), int(given[1]), given[2], float(given[3]))
    if what == "on_file":
        return on_file(given[0], int(given[1]))
    return opened(given[0])


if __name__ == "__main__":
    main()
