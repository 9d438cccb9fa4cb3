"""Pictures with flipped pixels: found by the CA3 memory alone, and after a clean-up.

Random pictures of 16 x 16 pixels are stored; a query is one of them in which a share of all
pixels is flipped. Found means: ranks first, alone at that rank, and exact. Searched with the
default threshold, with 0.5 and 0.4, and with the default threshold after a clean-up.

    python benchmarks/memory_clean_up.py [--quick]
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

SIDE = 16
WAYS = {
    "alone": {},
    "alone, threshold 0.5": {"threshold": 0.5},
    "alone, threshold 0.4": {"threshold": 0.4},
    "clean-up": {"clean_up": True},
}


def found(memory: ContentMemory, seen: np.ndarray, target: int, picture: np.ndarray, way: str):
    """Return whether the right picture came first, exactly, and how long it took."""
    began = time.process_time()
    answers = memory.search(seen, **WAYS[way]).answers
    took = time.process_time() - began
    first = bool(answers) and answers[0].cue == str(target)
    single = len(answers) == 1 or (first and answers[1].overlap < answers[0].overlap)
    return first and single and bool((answers[0].content == picture).all()), took


def measure(quick: bool) -> list[dict]:
    """Run all cases."""
    queries, loads = (5, (25,)) if quick else (40, (25, 100, 300))
    rows, flips = [], (0.1, 0.2, 0.25, 0.3, 0.35)
    with progress_bar("queries", 2 * len(loads) * len(flips) * queries) as done:
        for density in (0.3, 0.5):
            for load in loads:
                rng = stream(1, f"clean-up/{density}/{load}")
                pictures = rng.random((load, SIDE, SIDE)) < density
                memory = ContentMemory(Bitmap(SIDE, SIDE), cues=load)
                for number, picture in enumerate(pictures):
                    memory.store(str(number), picture)
                for share in flips:
                    count, seconds = dict.fromkeys(WAYS, 0), dict.fromkeys(WAYS, 0.0)
                    for _ in range(queries):
                        target = int(rng.integers(load))
                        seen = pictures[target].copy()
                        chosen = rng.permutation(seen.size)[: round(share * seen.size)]
                        seen.reshape(-1)[chosen] ^= True
                        for way in WAYS:
                            right, took = found(memory, seen, target, pictures[target], way)
                            count[way] += right
                            seconds[way] += took
                        done(1)
                    rows.append(
                        {"density": density, "memories": load, "flipped": share}
                        | {way: round(count[way] / queries, 4) for way in WAYS}
                        | {"queries": queries}
                        | {f"{way}, s": round(seconds[way] / queries, 3) for way in WAYS}
                    )
    return rows


def main() -> None:
    """Measure, print, and (unless quick) write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few queries, nothing written")
    args = parser.parse_args()
    rows = measure(args.quick)
    shown = Table(*rows[0])
    for row in rows:
        shown.add_row(*(f"{value:g}" for value in row.values()))
    Console(width=160).print(shown)
    if not args.quick:
        write_json("memory_clean_up.json", {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
