"""How long, and how much, do networks remember? Delayed recall, associative recall, copy, digits.

Networks of LIF neurons (feed-forward, recurrent, adaptive), a GRU and the variants of
astrocyte-modulated units, of the same number of parameters (+- 3 per cent), each trained from five
seeds; and, without training, what an astrocyte holds against the law of its capacity.

    python benchmarks/retention.py --quick        # a minute or two: recall alone, one seed
    python benchmarks/retention.py                # an hour or more; Ctrl-C keeps what is done
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from machine import RESULTS, machine
from retention_models import NAMES, TAU_M, count, fitted, one_layer, two_layers
from torch import nn

from spikecore.astro import Variant
from spikecore.astro.tasks import (
    associative_recall,
    capacity,
    capacity_law,
    copy_sequence,
    delayed_recall,
    sequential_digits,
)
from spikecore.interrupts import deferred_interrupts
from spikecore.progress import progress_bar

DELAYS = (0.2, 0.4, 1, 2, 5, 10, 20, 30, 50)  # membrane time constants
ITEMS = (1, 2, 4, 6, 8, 12, 16)
LENGTHS = (2, 4, 6, 8)


def recall(draw, steps):
    """Yield training batches, then the test: delays beyond and within those trained on."""
    longest = math.log(DELAYS[-1] * TAU_M)
    for _ in range(steps):
        delay = round(math.exp(float(torch.rand(1, generator=draw)) * longest))
        yield None, delayed_recall(64, delay, draw)
    for delay in DELAYS:
        yield delay, delayed_recall(500, round(delay * TAU_M), draw)


def pairs(draw, steps):
    for _ in range(steps):
        items = int(torch.randint(1, ITEMS[-1] + 1, (1,), generator=draw))
        yield None, associative_recall(128, items, draw)
    for items in ITEMS:
        yield items, associative_recall(1000, items, draw)


def copies(draw, steps):
    for _ in range(steps):
        length = int(torch.randint(1, LENGTHS[-1] + 1, (1,), generator=draw))
        yield None, copy_sequence(64, length, draw)
    for length in LENGTHS:
        yield length, copy_sequence(500, length, draw)


def digits(draw, steps):
    train, test = sequential_digits()
    for _ in range(steps):
        some = torch.randint(train.spikes.shape[1], (64,), generator=draw)
        yield None, train._replace(spikes=train.spikes[:, some], answers=train.answers[:, some])
    yield "test", test


TASKS = {  # name: (batches, layers, channels, classes, parameters, steps, rate)
    "delayed recall": (recall, one_layer, 10, 8, 3000, 1500, 5e-3),
    "associative recall": (pairs, one_layer, 25, 8, 6000, 1200, 5e-3),
    "copy": (copies, two_layers, 9, 8, 12_000, 1200, 5e-3),
    "digits, pixel by pixel": (digits, two_layers, 2, 10, 12_000, 600, 5e-3),
}


def trained(task: str, name: str, seed: int, stop, scale: float = 1.0):
    """Train one network on one task; return its row, or None if stopped."""
    batches, layers, channels, classes, target, steps, rate = TASKS[task]
    steps = round(steps * scale)
    torch.manual_seed(seed)
    model = fitted(layers(name, channels, classes), target)
    rate *= 2 if name == "lif" else 1  # which it likes better
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    begin, right = time.process_time(), {}
    for x, trials in batches(torch.Generator().manual_seed(seed), steps):
        if stop:
            return None
        if x is not None:
            with torch.no_grad():
                right[str(x)] = trials.accuracy(model.eval()(trials.spikes))
            continue
        scores = trials.scores(model.train()(trials.spikes))
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), trials.answers.flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return {
        "task": task,
        "model": name,
        "seed": seed,
        "parameters": count(model),
        "steps": steps,
        "right": right,
        "cpu_seconds": round(time.process_time() - begin, 1),
    }


def capacities() -> list[dict]:
    """Return the share of right bits against items, untrained, and the law."""
    draw = torch.Generator().manual_seed(0)
    rows = []
    for d_k in (64, 128):
        for items in (d_k // 8, d_k // 4, d_k // 2, d_k, 2 * d_k):
            row = {"d_k": d_k, "items": items, "law": capacity_law(items, d_k)}
            row |= {v.value: capacity(v, items, d_k, draw) for v in (Variant.MATRIX, Variant.DELTA)}
            if items <= d_k:
                exact = capacity(Variant.DELTA, items, d_k, draw, orthonormal=True)
                row["delta, orthonormal keys"] = exact
            rows.append(row)
    return rows


def table(rows: list[dict]) -> str:
    """Return mean and standard error over seeds as a table for each task."""
    lines = []
    for task in TASKS:
        here = [row for row in rows if row["task"] == task]
        if not here:
            continue
        xs = list(here[0]["right"])
        lines += [f"\n## {task}\n", "| network | parameters | " + " | ".join(xs) + " |"]
        lines.append("|---" * (len(xs) + 2) + "|")
        for name in NAMES:
            mine = [row for row in here if row["model"] == name]
            if mine:
                cells = []
                for x in xs:
                    values = 100 * np.array([row["right"][x] for row in mine])
                    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
                    cells.append(f"{values.mean():.1f} ± {error:.1f}")
                lines.append(f"| {name} | {mine[0]['parameters']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw_figure(data: dict, path: Path) -> None:
    """Draw a panel for each task, and one for the law."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2).flat
    rows = data["rows"]
    chance = {"delayed recall": 1 / 8, "associative recall": 1 / 8, "copy": 1 / 8}
    labels = ("delay / membrane time constant", "pairs", "length of the sequence")
    for axis, (task, by_chance), label in zip(axes, chance.items(), labels, strict=False):
        for i, name in enumerate(NAMES):
            mine = [row["right"] for row in rows if row["task"] == task and row["model"] == name]
            if mine:
                x = [float(key) for key in mine[0]]
                y = np.array([[100 * one[key] for key in mine[0]] for one in mine])
                style = "--" if i < 4 else "-"
                axis.errorbar(
                    x, y.mean(0), y.std(0), fmt=f"o{style}", color=f"C{i}", label=name, ms=3
                )
        axis.axhline(100 * by_chance, color="0.7", lw=1)
        axis.set(title=task, xlabel=label, ylabel="right, per cent", ylim=(0, 104))
        if task == "delayed recall":
            axis.set_xscale("log")
    axes_list = figure.axes
    axes_list[0].legend(fontsize=7, loc="lower left")
    last = axes_list[3]
    for d_k in (64, 128):
        some = [row for row in data["capacity"] if row["d_k"] == d_k]
        x = [row["items"] / d_k for row in some]
        for key, mark in (("matrix", "o"), ("delta", "s"), ("law", "")):
            style = "-" if key == "law" else ""
            color = {"law": "0.6", "matrix": "C5", "delta": "C7"}[key]
            name = f"{key}, d_k = {d_k}"
            y = [100 * row[key] for row in some]
            last.plot(x, y, f"{mark}{style}", color=color, label=name, ms=4 + d_k / 64)
    last.set(title="capacity, untrained", xlabel="items / d_k", ylabel="right bits, per cent")
    last.legend(fontsize=7)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", default=";".join(TASKS), help="joined by ;")
    parser.add_argument("--models", default=";".join(NAMES), help="joined by ;")
    parser.add_argument("--again", action="store_true", help="forget earlier results")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    name = "retention_quick" if given.quick else "retention"
    path = given.out / f"{name}.json"
    rows = []
    if path.exists() and not given.again:
        rows = json.loads(path.read_text())["rows"]
    seeds = 1 if given.quick else given.seeds
    tasks = ["delayed recall"] if given.quick else given.tasks.split(";")
    done = {(row["task"], row["model"], row["seed"]) for row in rows}
    wanted = [
        (task, model, seed)
        for task in tasks
        for seed in range(seeds)
        for model in given.models.split(";")
        if (task, model, seed) not in done
    ]
    found = machine() | {"torch": torch.__version__}
    data = {"machine": found, "tau_m": TAU_M, "capacity": capacities(), "rows": rows}
    with deferred_interrupts() as stop, progress_bar("training", len(wanted)) as on:
        for task, model, seed in wanted:
            row = trained(task, model, seed, stop, 0.5 if given.quick else 1.0)
            if row is None:
                break
            rows.append(row)
            print(json.dumps(row), flush=True)
            path.write_text(json.dumps(data, indent=1) + "\n")
            on(1)
    path.write_text(json.dumps(data, indent=1) + "\n")
    path.with_suffix(".md").write_text(table(rows))
    draw_figure(data, path.with_suffix(".png"))
    print(table(rows))


if __name__ == "__main__":
    main()
