"""Wrong answers of the CA3 memory under many random operations, against a perfect memory.

Three tables: both presets at the spacing of 7 ms (learn) and 6 ms (recall); the smallest
safe spacing of ``robust``; overlap threshold and completion with noisy queries. Each
entry counts wrong answers and, behind them, spikes of the output populations that differ
from the ideal raster anywhere in the run.

    python benchmarks/memory_robustness.py            # about 13 minutes on one core
    python benchmarks/memory_robustness.py --quick    # about half a minute, writes nothing
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Any, NamedTuple

from machine import RESULTS, machine, one_line, write_json

from spikecore.memory import CA3Shape, StressReport, StressTest
from spikecore.progress import progress_bar

PRESETS = ("robust", "published")
SMALL = ((5, 10), (16, 6))
LARGE = (100, 200)
DENSITIES = (0.3, 0.5)
LEARN_MS, RECALL_MS = (5, 6, 7), (3, 4, 5, 6)
THRESHOLDS = ((0.0, 6.0), (0.6, 6.0), (0.6, 12.0), (0.75, 12.0))  # theta, w2 in nA
SPARSE = (100, 256)


class Job(NamedTuple):
    """One run, and the table and place it belongs to."""

    table: str
    key: tuple[Any, ...]
    test: StressTest


def jobs(scale: float) -> list[Job]:
    """List all runs; ``scale`` 1 is the complete benchmark."""
    return [*presets(scale), *spacings(scale), *completions(scale)]


def presets(scale: float) -> Iterator[Job]:
    """10,000 operations each: five seeds for the small sizes, two for the large one."""
    sizes = [(*size, 5) for size in SMALL] + [(*LARGE, 2)]
    for preset, (cues, bits, seeds), d in product(PRESETS, sizes, DENSITIES):
        for seed in range(1, seeds + 1):
            test = StressTest(
                CA3Shape(cues, bits, preset), int(10_000 * scale), density=d, seed=seed
            )
            yield Job("presets", (preset, cues, bits, d), test)


def spacings(scale: float) -> Iterator[Job]:
    """``robust`` at every pair of spacings: 5,000 operations, 1,500 for the large size."""
    for size, learn, recall, seed in product((*SMALL, LARGE), LEARN_MS, RECALL_MS, (1, 2)):
        test = StressTest(
            CA3Shape(*size),
            int((1500 if size == LARGE else 5000) * scale),
            learn_ms=learn,
            recall_ms=recall,
            seed=seed,
        )
        yield Job("spacing", (*size, learn, recall), test)


def completions(scale: float) -> Iterator[Job]:
    """Noisy queries, completed: 10,000 operations, 4,000 for the large sizes; two seeds."""
    cases = [(*size, d, 10_000) for size, d in product(SMALL, DENSITIES)]
    cases += [(*LARGE, d, 4_000) for d in DENSITIES] + [(*SPARSE, 0.1, 4_000)]
    for (theta, w2), (cues, bits, d, operations), seed in product(THRESHOLDS, cases, (1, 2)):
        test = StressTest(
            CA3Shape(cues, bits, threshold=theta, completion=True, backward_weight=w2),
            int(operations * scale),
            density=d,
            queries="noisy",
            seed=seed,
        )
        yield Job("completion", (theta, w2, cues, bits, d), test)


def run(job: Job) -> StressReport:
    """Run one job (a function of its own, so that processes can be handed it)."""
    return job.test.run()


def run_all(wanted: list[Job], processes: int) -> Iterator[StressReport]:
    """Run all jobs, in order."""
    with progress_bar("operations", sum(job.test.operations for job in wanted)) as advance:
        if processes > 1:
            with ProcessPoolExecutor(processes) as pool:
                reports = pool.map(run, wanted)
                yield from _counted(reports, advance)
        else:
            yield from _counted(map(run, wanted), advance)


def _counted(reports: Iterable[StressReport], advance: Any) -> Iterator[StressReport]:
    for report in reports:
        advance(report.operations)
        yield report


# -- tables -----------------------------------------------------------------------------


def grouped(table: str, wanted: list[Job], found: list[StressReport]) -> dict[Any, Any]:
    """Return the reports of a table by key, one for each seed."""
    groups: dict[Any, list[StressReport]] = {}
    for job, report in zip(wanted, found, strict=True):
        if job.table == table:
            groups.setdefault(job.key, []).append(report)
    return groups


def outcome(reports: list[StressReport]) -> str:
    """Return ``0 (0) x5``, or wrong answers (differing spikes) of every seed."""
    counts = [(r.wrong_total, r.missing_spikes + r.extra_spikes) for r in reports]
    if len(set(counts)) == 1:
        many = f" x{len(counts)}" if len(counts) > 1 else ""
        return f"{counts[0][0]:,} ({counts[0][1]:,}){many}"
    return "; ".join(f"{wrong:,} ({spikes:,})" for wrong, spikes in counts)


def by_kind(reports: list[StressReport]) -> str:
    """Return wrong learns / recalls by cue / by content, all seeds together."""
    kinds = ("learn", "cue", "content")
    return " / ".join(f"{sum(r.wrong[kind] for r in reports):,}" for kind in kinds)


def markdown(wanted: list[Job], found: list[StressReport], seconds: float) -> str:
    """Return all tables."""
    operations = sum(r.operations for r in found)
    safe = [r for r in found if r.preset == "robust" and r.learn_ms == 7 and r.recall_ms == 6]
    perfect = sum(r.perfect for r in safe)
    lines = [
        "# CA3 memory: wrong answers under random operations",
        "",
        f"{one_line(machine())}. {operations:,} operations in {seconds / 60:.1f} minutes.",
        "",
        f"Preset `robust` at 7 ms and 6 ms (first and third table, and that row of the second): "
        f"{sum(r.operations for r in safe):,} operations, {sum(r.wrong_total for r in safe):,} "
        f"wrong answers, {sum(r.missing_spikes + r.extra_spikes for r in safe):,} differing "
        f"output spikes; {perfect} of {len(safe)} runs perfect.",
        "",
        "An entry is *wrong answers (differing output spikes)*, for each seed, or once with the",
        "number of seeds where all agree.",
        "",
        *_preset_table(grouped("presets", wanted, found)),
        *_spacing_table(grouped("spacing", wanted, found)),
        *_completion_table(grouped("completion", wanted, found)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _preset_table(groups: dict[Any, list[StressReport]]) -> Iterator[str]:
    each = max(r.operations for reports in groups.values() for r in reports)
    yield from (f"## Presets: {each:,} operations a seed, learn 7 ms, recall 6 ms", "")
    yield "| preset | cues x bits | density | each seed | wrong learn / by cue / by content |"
    yield "|---|---|---|---|---|"
    for (preset, cues, bits, d), reports in groups.items():
        cells = (preset, f"{cues} x {bits}", d, outcome(reports), by_kind(reports))
        yield "| " + " | ".join(map(str, cells)) + " |"
    yield ""


def _spacing_table(groups: dict[Any, list[StressReport]]) -> Iterator[str]:
    yield from ("## Spacing: preset `robust`, density 0.3, both seeds together", "")
    heads = "".join(f" recall {recall} ms |" for recall in RECALL_MS)
    yield f"| cues x bits | operations a seed | learn |{heads} smallest safe recall |"
    yield "|---|---|---|" + "---|" * (len(RECALL_MS) + 1)
    for size, learn in product((*SMALL, LARGE), LEARN_MS):
        rows = {recall: groups[*size, learn, recall] for recall in RECALL_MS}
        cells = [f"{size[0]} x {size[1]}", f"{rows[RECALL_MS[0]][0].operations:,}", f"{learn} ms"]
        safe = []
        for recall, reports in rows.items():
            wrong = sum(r.wrong_total for r in reports)
            spikes = sum(r.missing_spikes + r.extra_spikes for r in reports)
            cells.append(f"{wrong:,} ({spikes:,})")
            if wrong == spikes == 0:
                safe.append(recall)
        cells.append(f"{min(safe)} ms" if safe else "none")
        yield "| " + " | ".join(cells) + " |"
    yield ""


def _completion_table(groups: dict[Any, list[StressReport]]) -> Iterator[str]:
    yield "## Overlap threshold and completion: noisy queries, learn 7, recall 6, query 9 ms"
    yield ""
    yield "Queries are a stored content with 40 % of its bits missing and 10 % wrong ones."
    yield ""
    columns = [f" threshold {theta:g}, w2 {w2:g} nA |" for theta, w2 in THRESHOLDS]
    head, rule = "| cues x bits | density | operations a seed |", "|---|---|---|"
    yield head + "".join(columns)
    yield rule + "---|" * len(columns)
    for cues, bits, d in dict.fromkeys(key[2:] for key in groups):
        reports = [groups[theta, w2, cues, bits, d] for theta, w2 in THRESHOLDS]
        cells = [f"{cues} x {bits}", str(d), f"{reports[0][0].operations:,}"]
        yield "| " + " | ".join([*cells, *map(outcome, reports)]) + " |"


def main() -> None:
    """Run, print, and (unless quick) write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 %% of it; writes nothing")
    parser.add_argument("--processes", type=int, default=1, help="how many at a time")
    options = parser.parse_args()
    wanted = jobs(0.02 if options.quick else 1.0)
    began = time.perf_counter()
    found = list(run_all(wanted, options.processes))
    seconds = time.perf_counter() - began
    text = markdown(wanted, found, seconds)
    print(text)
    if options.quick:
        return
    runs = [
        {"table": job.table, "queries": job.test.queries, "query_ms": job.test.query_ms}
        | report.as_dict()
        for job, report in zip(wanted, found, strict=True)
    ]
    data = {"machine": machine(), "seconds": round(seconds, 1), "runs": runs}
    print("wrote", write_json("memory_robustness.json", data))
    path = RESULTS / "memory_robustness.md"
    path.write_text(text)
    print("wrote", path)


if __name__ == "__main__":
    main()
