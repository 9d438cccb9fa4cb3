"""How many patterns a neuron-astrocyte associative memory holds, beside a Hopfield network.

Random patterns of n neurons; a cue is a stored pattern with a share of its neurons flipped.
Share of bits right after recall, mean over trials, each with its own patterns and several
cues. The Hopfield network (Hebb's rule, no self-connections) is updated neuron by neuron in
random order until nothing changes.

    python benchmarks/associative_capacity.py [--quick]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from machine import machine, one_line, write_json
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from spikecore import plot
from spikecore.memory import AstrocyteAssociativeMemory
from spikecore.progress import progress_bar
from spikecore.randomness import stream

SIZES = (64, 100, 200, 500)
LOADS = (0.05, 0.1, 0.138, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0)
FEW = (0.05, 0.138, 0.5, 1.0, 2.0, 4.0)
BEYOND = (8.0, 16.0)  # only where it is quick
NOISE = (0.1, 0.2)
HOPFIELD_LOADS = 1.0


def hopfield(patterns: np.ndarray, cue: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where a Hopfield network ends."""
    e, x = patterns.astype(float), cue.astype(float)
    weights = e.T @ e
    np.fill_diagonal(weights, 0.0)
    for _ in range(50):
        before = x.copy()
        for i in rng.permutation(x.size):
            x[i] = 1.0 if weights[i] @ x >= 0 else -1.0
        if (x == before).all():
            break
    return x


def trial(n: int, load: float, noise: float, seed: int, cues: int) -> dict[str, float]:
    """Return the shares of right bits, by model."""
    rng = stream(seed, f"capacity/{n}/{load}/{noise}")
    count = max(1, round(load * n))
    patterns = rng.choice(np.array([-1, 1]), (count, n))
    targets = patterns[: min(cues, count)]
    flips = np.zeros(targets.shape, bool)
    for row in flips:
        row[rng.permutation(n)[: round(noise * n)]] = True
    shown = np.where(flips, -targets, targets)
    memory = AstrocyteAssociativeMemory(n)
    memory.store(patterns)
    once = memory.recall(shown).patterns
    twice = memory.recall(once).patterns  # what presentations=2 does
    found = {
        "once": float((once == targets).mean()),
        "twice": float((twice == targets).mean()),
    }
    if load <= HOPFIELD_LOADS:
        ends = np.array([hopfield(patterns, cue, rng) for cue in shown])
        found["hopfield"] = float((ends == targets).mean())
    return found


def measure(quick: bool) -> dict:
    """Run all; after Ctrl-C, what was measured."""
    sizes, trials = (SIZES[:2], 2) if quick else (SIZES, 5)
    cases = [
        (n, load, noise)
        for n in sizes
        for noise in NOISE
        for load in ((*LOADS, *BEYOND) if n <= 100 else FEW)
        if n < 500 or noise == NOISE[0]
    ]
    rows, status, began = [], "complete", time.process_time()
    try:
        with progress_bar("cases", len(cases)) as done:
            for n, load, noise in cases:
                # A large network takes minutes: fewer cues, of which each has more bits.
                cues = 3 if n <= 100 else 2 if n <= 200 else 1
                results = [trial(n, load, noise, seed, cues) for seed in range(1, trials + 1)]
                row = {"n": n, "load": load, "patterns": max(1, round(load * n)), "noise": noise}
                for model in results[0]:
                    values = [r[model] for r in results]
                    row[model] = round(float(np.mean(values)), 5)
                    row[f"{model}_least"] = round(min(values), 5)
                rows.append(row | {"trials": trials, "cues": cues})
                done(1)
    except KeyboardInterrupt:
        status = "interrupted"
    return {"status": status, "cpu_s": round(time.process_time() - began, 1), "rows": rows}


def table(data: dict) -> Table:
    """Return all rows."""
    shown = Table("n", "patterns / n", "noise", "astrocytes", "shown twice", "Hopfield")
    for r in data["rows"]:
        cells = [f"{r[m]:.4f}" if m in r else "" for m in ("once", "twice", "hopfield")]
        shown.add_row(str(r["n"]), f"{r['load']:g}", f"{r['noise']:g}", *cells)
    return shown


def draw(data: dict, found: dict) -> Figure:
    """Draw share of right bits against load."""
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    shades = dict(zip(SIZES, (0.35, 0.55, 0.75, 1.0), strict=True))
    for axes, noise in zip(figure.subplots(1, 2, sharey=True), NOISE, strict=True):
        for n in SIZES:
            rows = [r for r in data["rows"] if r["n"] == n and r["noise"] == noise]
            for model, colour, name in (
                ("once", "#c8442f", "astrocytes"),
                ("hopfield", "#31688e", "Hopfield"),
            ):
                points = [(r["load"], r[model]) for r in rows if model in r]
                if not points:
                    continue
                axes.plot(
                    *zip(*points, strict=True),
                    "o-",
                    ms=3,
                    color=colour,
                    alpha=shades[n],
                    label=f"{name}, n = {n}",
                )
        axes.axvline(0.138, color="#31688e", lw=0.8, ls=":")
        axes.axhline(0.99, color="#20303c", lw=0.8, ls=":")
        axes.set(xscale="log", xlabel="patterns / neurons", title=f"{noise:.0%} of the cue flipped")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("share of bits right")
    figure.axes[0].legend(frameon=False, fontsize=7, loc="lower left")
    figure.supxlabel(one_line(found), fontsize=6, color="#7f8c95")
    return figure


def main() -> None:
    """Measure, print, and (unless quick) write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="two sizes, nothing written")
    args = parser.parse_args()
    data = measure(args.quick)
    Console().print(table(data))
    if not args.quick and data["status"] == "complete":
        found = machine()
        path = write_json("associative_capacity.json", {"machine": found, **data})
        plot.save(draw(data, found), path.with_suffix(".png"))


if __name__ == "__main__":
    main()
