"""How well a memory finds the right content from a damaged fragment.

100 random pictures of 16 x 16 pixels are stored; each query takes one of them, drops
part of its dark pixels and adds wrong ones, and asks `ContentMemory.search` at its
default threshold. A query counts as right if the picture that was meant ranks first,
before all others, and came back exactly; "alone" if it is the only answer.

    python benchmarks/memory_fragments.py [--quick] [--threshold 0.65]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from machine import machine, write_json
from rich.console import Console
from rich.table import Table

from spikecore.memory import Bitmap, ContentMemory
from spikecore.progress import progress_bar
from spikecore.randomness import stream

SIDE, MEMORIES = 16, 100


def store(density: float, seed: int, threshold: float) -> tuple[ContentMemory, list[np.ndarray]]:
    """Return a memory of random pictures, and the pictures."""
    rng = stream(seed, f"pictures/{density}")
    pictures = [rng.random((SIDE, SIDE)) < density for _ in range(MEMORIES)]
    memory = ContentMemory(Bitmap(SIDE, SIDE), cues=MEMORIES, threshold=threshold)
    for number, picture in enumerate(pictures):
        memory.store(str(number), picture)
    return memory, pictures


def damaged(
    picture: np.ndarray, missing: float, wrong: float, rng: np.random.Generator
) -> np.ndarray:
    """Return ``picture`` without a share of its pixels, and with wrong ones added."""
    while True:
        seen = picture & (rng.random(picture.shape) >= missing)
        if seen.any():
            break
    pale = np.flatnonzero(~picture)
    extra = rng.choice(pale, round(wrong * picture.sum()), replace=False)
    seen.ravel()[extra] = True
    return seen


def measure(args: argparse.Namespace) -> list[dict[str, float]]:
    """Run all cases."""
    seeds, queries = ((1,), 20) if args.quick else ((1, 2, 3), 200)
    rows = []
    with progress_bar("queries", 3 * len(seeds) * 4 * queries) as advance:
        for density in (0.1, 0.2, 0.3):
            counts = {
                case: np.zeros(3, int) for case in ((0.3, 0.0), (0.3, 0.1), (0.5, 0.0), (0.5, 0.1))
            }
            began = time.perf_counter()
            for seed in seeds:
                memory, pictures = store(density, seed, args.threshold)
                for missing, wrong in counts:
                    rng = stream(seed, f"queries/{density}/{missing}/{wrong}")
                    for _ in range(queries):
                        target = int(rng.integers(MEMORIES))
                        answers = memory.search(
                            damaged(pictures[target], missing, wrong, rng)
                        ).answers
                        first = (
                            bool(answers)
                            and answers[0].cue == str(target)
                            and (len(answers) == 1 or answers[1].overlap < answers[0].overlap)
                        )
                        exact = first and bool(np.array_equal(answers[0].content, pictures[target]))
                        counts[missing, wrong] += (first, exact, exact and len(answers) == 1)
                        advance(1)
            total = len(seeds) * queries
            for (missing, wrong), count in counts.items():
                first, exact, alone = (float(n) / total for n in count)
                rows.append(
                    {
                        "density": density,
                        "missing": missing,
                        "wrong": wrong,
                        "queries": total,
                        "first": first,
                        "first_and_exact": exact,
                        "alone_and_exact": alone,
                        "seconds": round(time.perf_counter() - began, 1),
                    }
                )
    return rows


def main() -> None:
    """Measure, print, and (unless quick) write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few queries, nothing written")
    parser.add_argument("--threshold", type=float, default=0.65)
    args = parser.parse_args()
    rows = measure(args)
    table = Table(title=f"{MEMORIES} memories of {SIDE * SIDE} bits, threshold {args.threshold:g}")
    for column in ("density", "missing", "wrong", "queries", "first and exact", "the only answer"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            f"{row['density']:g}",
            f"{row['missing']:.0%}",
            f"{row['wrong']:.0%}",
            str(row["queries"]),
            f"{row['first_and_exact']:.1%}",
            f"{row['alone_and_exact']:.1%}",
        )
    Console().print(table)
    if not args.quick and args.threshold == 0.65:
        write_json(
            "memory_fragments.json",
            {"machine": machine(), "threshold": args.threshold, "rows": rows},
        )


if __name__ == "__main__":
    main()
