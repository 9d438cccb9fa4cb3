"""How long a neuron-astrocyte working memory holds four overlapping pictures.

Four block letters are stored one after another; after each delay every one of them is cued
with a fifth of its pixels flipped, in a copy of the memory of that moment. Beside the two
presets: the same without the action of astrocytes, and with nothing stored. Also cued are
two letters that were never stored.

    python benchmarks/working_memory.py [--quick]
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
from spikecore.memory import AstrocyteWorkingMemory
from spikecore.memory.working_trial import Retention, letter, measure_retention
from spikecore.progress import progress_bar

LETTERS, OTHERS = "TL+U", "EX"
CASES = {
    "robust": {"preset": "robust"},
    "robust, no noise current": {"preset": "robust", "noise_rate": 0.0},
    "published": {"preset": "published"},
    "without astrocytes": {"preset": "robust", "gain": 0.0},
    "nothing stored": {"preset": "robust"},
}
MEASURES = ("correlation", "agreement")


def one(case: str, seed: int, delays: range) -> Retention:
    """Return the retention curve of one memory."""
    memory = AstrocyteWorkingMemory(seed=seed, **CASES[case])
    pictures = {name: letter(name) for name in LETTERS}
    if case == "nothing stored":
        return measure_retention(memory, {}, delays, others=pictures)
    return measure_retention(
        memory, pictures, delays, others={name: letter(name) for name in OTHERS}
    )


def measure(quick: bool) -> dict:
    """Run all cases and seeds; after Ctrl-C, what has been measured so far."""
    seeds, delays = (
        (range(1, 3), range(1000, 6000, 2000))
        if quick
        else (
            range(1, 11),
            range(500, 6000, 500),
        )
    )
    found: dict = {case: {m: [] for m in (*MEASURES, "others")} for case in CASES}
    status, began = "complete", time.process_time()
    with progress_bar("memories", len(CASES) * len(seeds)) as done:
        for seed in seeds:
            for case, rows in found.items():
                result = one(case, seed, delays)
                if result.status != "complete":
                    status = result.status
                    break
                for m in MEASURES:
                    rows[m].append([np.round(getattr(result, m)[n], 4).tolist() for n in LETTERS])
                rows["others"].append(
                    [np.round(result.correlation[n], 4).tolist() for n in OTHERS]
                    if "E" in result.correlation
                    else []
                )
                if case == "robust":
                    found["robust"]["age"] = [result.age[n] for n in LETTERS]
                done(1)
            if status != "complete":
                break
    return {
        "status": status,
        "delays_ms": list(delays),
        "seeds": list(seeds),
        "letters": LETTERS,
        "cpu_s": round(time.process_time() - began, 1),
        "cases": found,
    }


def table(data: dict) -> Table:
    """Return mean and lowest figures by delay."""
    shown = Table(title="correlation (Pearson) / agreement of Gordleeva et al.: mean over all")
    shown.add_column("delay, s")
    for case in CASES:
        shown.add_column(case)
    for k, delay in enumerate(data["delays_ms"]):
        cells = []
        for rows in data["cases"].values():
            values = [np.array(rows[m])[:, :, k] for m in MEASURES]
            cells.append(
                f"{values[0].mean():.3f} / {values[1].mean():.3f} (least {values[1].min():.2f})"
            )
        shown.add_row(f"{delay / 1000:g}", *cells)
    return shown


def draw(data: dict, found: dict) -> Figure:
    """Draw both measures against the delay: mean, and the range over seeds."""
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    colours = dict(zip(CASES, ("#c8442f", "#e39b6a", "#31688e", "#7f8c95", "#b9c2c9"), strict=True))
    delays = np.array(data["delays_ms"]) / 1000
    titles = ("Pearson correlation with the template", "agreement as in Gordleeva et al.")
    for axes, m, title in zip(figure.subplots(1, 2), MEASURES, titles, strict=True):
        for case, rows in data["cases"].items():
            by_seed = np.array(rows[m]).mean(axis=1)
            axes.fill_between(
                delays, by_seed.min(axis=0), by_seed.max(axis=0), color=colours[case], alpha=0.2
            )
            axes.plot(delays, by_seed.mean(axis=0), "o-", ms=3, color=colours[case], label=case)
        axes.axhline(0.9, color="#20303c", lw=0.8, ls=":")
        axes.set(xlabel="delay after the last of four pictures, s", title=title, ylim=(0, 1.02))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8, loc="center left")
    figure.supxlabel(one_line(found), fontsize=6, color="#7f8c95")
    return figure


def main() -> None:
    """Measure, print, and (unless quick) write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few seeds, nothing written")
    args = parser.parse_args()
    data = measure(args.quick)
    Console().print(table(data))
    if not args.quick and data["status"] == "complete":
        found = machine()
        path = write_json("working_memory.json", {"machine": found, **data})
        plot.save(draw(data, found), path.with_suffix(".png"))


if __name__ == "__main__":
    main()
