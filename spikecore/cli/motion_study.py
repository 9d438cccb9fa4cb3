"""``spikecore motion evaluate`` and ``bench``: how right, and how fast."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from spikecore.camera import EventStream
from spikecore.cli.common import Output, output_options
from spikecore.data import read_events
from spikecore.errors import InvalidInput
from spikecore.interrupts import deferred_interrupts
from spikecore.motifs.contrast import contrast_maximisation
from spikecore.motifs.detect import detect, hot_pixels, rotation_sense, segment_velocity
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.labelled import Marks, Segment, find_labels, score
from spikecore.motifs.ladder import TICKS, make_layer, shipped_kernel
from spikecore.progress import progress_bar

__all__ = ["bench_command", "evaluate_command"]

ROTATION_WINDOW, ROTATION_HOP, ROTATION_EVENTS = 300_000, 100_000, 1000
"""us, us, and the least number of output events that a sense of rotation is read from."""


@click.command("evaluate")
@click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder with labelled recordings.",
)
@click.option("--model", type=click.Path(path_type=Path), help="A kernel of your own.")
@click.option(
    "--backend", default="event", show_default=True, help="What runs it: event, clocked, torch."
)
@click.option("--merge-polarity", is_flag=True, help="Make every event ON: is polarity needed?")
@click.option("--limit", type=int, help="Judge at most so many segments of each group.")
@output_options
def evaluate_command(
    folder: Path,
    model: Path | None,
    backend: str,
    merge_polarity: bool,
    limit: int | None,
    output: Output,
) -> int:
    """Compare with known motions, and with contrast maximisation beside it.

    The folder holds recordings and labels.csv (path, t_start_us, t_end_us, vx_px_s,
    vy_px_s), or N-MNIST as it is published.
    """
    kernel = shipped_kernel() if model is None else DelayKernel.load(model)
    labelled = find_labels(folder)
    segments = _limited(labelled.segments, limit)
    jobs = len(segments) + len(labelled.rotations)
    ours, theirs = np.full((2, len(segments), 2), np.nan)
    turns: list[dict[str, Any]] = []
    recordings = _Recordings(merge_polarity)
    done = 0
    with (
        deferred_interrupts() as stop,
        progress_bar("evaluating", jobs, enabled=not (output.quiet or output.as_json)) as on,
    ):
        for number, segment in enumerate(segments):
            events = recordings.read(segment.path, segment.sensor)
            found = segment_velocity(
                events,
                segment.start,
                segment.stop,
                kernel=kernel,
                fresh=segment.fresh,
                backend=backend,
            )
            ours[number] = float(found.x), float(found.y)
            theirs[number] = contrast_maximisation(events.between(segment.start, segment.stop))
            done = number + 1
            on(1)
            if stop:
                break
        for path, sense, sensor in labelled.rotations if not stop else ():
            turns.append(_turns(recordings.read(path, sensor), path, sense, kernel, backend))
            on(1)
    marks = score(segments[:done], ours[:done])
    beside = score(segments[:done], theirs[:done])
    _report(output, marks, beside, turns, complete=not stop)
    return 130 if stop else 0


class _Recordings:
    """Reads each file once, without its hot pixels."""

    def __init__(self, merged: bool) -> None:
        self.merged = merged
        self._last: tuple[Path, EventStream] | None = None

    def read(self, path: Path, sensor: tuple[int, int] | None) -> EventStream:
        if self._last is None or self._last[0] != path:
            events = read_events(path, sensor=sensor)
            events = events.where(~hot_pixels(events))
            if self.merged:
                events = replace(events, p=np.ones_like(events.p))
            self._last = (path, events)
        return self._last[1]


def _limited(segments: tuple[Segment, ...], limit: int | None) -> list[Segment]:
    if limit is None:
        return list(segments)
    if limit < 1:
        raise InvalidInput("--limit", "must be at least 1", got=limit, fix="leave it out")
    kept: list[Segment] = []
    for group in sorted({s.group for s in segments}):
        own = [s for s in segments if s.group == group]
        kept += own[:: max(1, len(own) // limit)][:limit]
    return kept


def _turns(
    events: EventStream, path: Path, sense: int, kernel: DelayKernel, backend: str
) -> dict[str, Any]:
    """Return in how many windows the sense of rotation is right."""
    motion = detect(events, kernel=kernel, backend=backend)
    times = motion.events.t[motion.sums.spikes.index]
    first, last = int(motion.events.t[0]), int(motion.events.t[-1])
    right, judged = 0, 0
    for start in range(first, max(first + 1, last - ROTATION_WINDOW + 1), ROTATION_HOP):
        stop = start + ROTATION_WINDOW
        if np.count_nonzero((times >= start) & (times < stop)) >= ROTATION_EVENTS:
            judged += 1
            right += rotation_sense(motion, start, stop) * sense > 0
    return {"path": str(path), "windows": judged, "right": right, "rotation": motion.rotation}


def _report(
    output: Output,
    marks: dict[str, Marks],
    beside: dict[str, Marks],
    turns: list[dict[str, Any]],
    *,
    complete: bool,
) -> None:
    if output.as_json:
        data = {
            "groups": {name: asdict(mark) for name, mark in marks.items()},
            "contrast_maximisation": {name: asdict(mark) for name, mark in beside.items()},
            "rotations": turns,
            "complete": complete,
        }
        output.answer("", data)
        return
    columns = ["recordings", "by", "segments", "within 45°", "within 30°", "median", "speed error"]
    rows = []
    for name, own in marks.items():
        for who, mark in (("spikecore", own), ("contrast max.", beside[name])):
            speed = "" if mark.speed_error is None else f"{mark.speed_error:.1%}"
            share = (f"{mark.within_45:.1%}", f"{mark.within_30:.1%}")
            rows.append([name, who, str(mark.count), *share, f"{mark.median_degrees:.1f}°", speed])
    if rows:
        output.table("Direction and speed", columns, rows)
    if turns:
        output.table(
            "Sense of rotation",
            ["recording", "windows of 300 ms", "right"],
            [[Path(t["path"]).name, str(t["windows"]), str(t["right"])] for t in turns],
        )


@click.command("bench")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--sensor", metavar="WxH", help="Size of the sensor, where the file does not say.")
@click.option("--model", type=click.Path(path_type=Path), help="A kernel of your own.")
@click.option("--repeat", default=3, show_default=True, help="Take the best of so many runs.")
@output_options
def bench_command(
    file: Path | None, sensor: str | None, model: Path | None, repeat: int, output: Output
) -> None:
    """Time the layer on a recording, or on synthetic events: events a second, one core.

    CPU time of reading out every event, for each rung of the ladder, and of the whole
    detection as it runs by default.
    """
    from spikecore.cli.motion import parse_sensor

    if repeat < 1:
        raise InvalidInput("--repeat", "must be at least 1", got=repeat, fix="3 is the default")
    kernel = shipped_kernel() if model is None else DelayKernel.load(model)
    if file is None:
        events = synthetic_edges()
    else:
        events = read_events(file, sensor=parse_sensor(sensor))
        events = events.where(~hot_pixels(events))
    rows = []
    for tick in TICKS:
        best = np.inf
        for _ in range(repeat):
            layer = make_layer("event", kernel, events.width, events.height, tick)
            layer.advance(events.between(0, 0))  # compiled before the clock starts
            begun = time.process_time()
            answers = layer.advance(events.shifted(-int(events.t[0])))
            best = min(best, time.process_time() - begun)
        rows.append(
            {
                "tick_ms": tick / 1e3,
                "voxels": answers.voxels,
                "pairs_a_voxel": answers.pairs / max(1, answers.read),
                "voxels_a_second": answers.voxels / best,
                "events_a_second": len(events) / best,
                "load": best / events.duration,
            }
        )
    whole = np.inf
    for _ in range(repeat):
        begun = time.process_time()
        _ = detect(events, kernel=kernel).windows
        whole = min(whole, time.process_time() - begun)
    data = {
        "events": len(events),
        "rate": events.rate,
        "synapses": kernel.synapses,
        "rungs": rows,
        "detect_real_time_factor": whole / events.duration,
    }
    if output.as_json:
        output.answer("", data)
        return
    output.table(
        f"{len(events):,} events, {events.rate / 1e3:.0f} thousand a second",
        ["tick", "earlier events read, each", "thousand voxels/s", "thousand events/s", "load"],
        [
            [
                f"{r['tick_ms']:g} ms",
                f"{r['pairs_a_voxel']:.0f}",
                f"{r['voxels_a_second'] / 1e3:.0f}",
                f"{r['events_a_second'] / 1e3:.0f}",
                f"{r['load']:.2f}",
            ]
            for r in rows
        ],
    )
    click.echo(f"whole detection: {data['detect_real_time_factor']:.2f} of real time on one core")


def synthetic_edges(seconds: float = 0.5, rate: float = 250_000.0, seed: int = 0) -> EventStream:
    """Return events of random edges that move right over a sensor of 190 x 180."""
    from spikecore.randomness import stream

    rng = stream(seed, "motion/bench")
    count = int(seconds * rate)
    t = np.sort(rng.integers(0, int(seconds * 1e6), count))
    edge = rng.integers(0, 400, count)
    x: npt.NDArray[np.int64] = (edge * 7919 % 190 + t * 60 // 1_000_000) % 190
    y = (edge * 104729 + rng.integers(0, 12, count)) % 180
    return EventStream.checked(x, y, t, edge % 2, sensor=(190, 180))
