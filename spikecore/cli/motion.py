"""``spikecore motion``: the group, and detection in a recording."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from spikecore.cli.common import Output, output_options, plotting
from spikecore.cli.motion_study import bench_command, evaluate_command
from spikecore.cli.motion_train import prune_command, train_command
from spikecore.data import read_events
from spikecore.errors import InvalidInput
from spikecore.files import atomic_write, check_writable
from spikecore.interrupts import deferred_interrupts
from spikecore.motifs.detect import Motion, detect
from spikecore.motifs.kernel import DelayKernel
from spikecore.progress import progress_bar

__all__ = ["command"]

_EXAMPLE = """\b
spikecore motion detect recording.aedat4 --plot motion.png
spikecore motion detect digit.bin --sensor 34x34 --json
spikecore motion evaluate --data recordings/
spikecore motion train my.npz --device cuda
"""


@click.group(epilog=_EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """See where things move in event-camera recordings; train and prune such layers."""


@command.command("detect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sensor", metavar="WxH", help="Size of the sensor, where the file does not say.")
@click.option(
    "--backend", default="event", show_default=True, help="What runs it: event, clocked, torch."
)
@click.option("--model", type=click.Path(path_type=Path), help="A kernel of your own.")
@click.option("--window", default=100.0, show_default=True, help="Window, ms.")
@click.option("--hop", default=50.0, show_default=True, help="From window to window, ms.")
@click.option("--cell", type=int, help="Side of the cells of the picture, px.")
@click.option("--every-event", is_flag=True, help="Read every event, not a fair sample.")
@click.option("--keep-hot", is_flag=True, help="Leave pixels in that fire all the time.")
@click.option("--format", "form", help="Format, where the ending does not tell.")
@click.option("--disorder", default="refuse", show_default=True, help="refuse, sort or unwrap.")
@click.option("--allow-partial", is_flag=True, help="Use what is whole of a damaged file.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture (PNG).")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the output events (.npz or .csv)."
)
@output_options
def detect_command(
    file: Path,
    sensor: str | None,
    backend: str,
    model: Path | None,
    window: float,
    hop: float,
    cell: int | None,
    every_event: bool,
    keep_hot: bool,
    form: str | None,
    disorder: str,
    allow_partial: bool,
    plot: Path | None,
    out: Path | None,
    output: Output,
) -> int:
    """Find direction and speed of motion in FILE, over time and over the image."""
    if not hop > 0.0 or not window >= hop:
        raise InvalidInput(
            "--window",
            "must be at least --hop, and both above 0",
            got=f"{window:g} and {hop:g} ms",
            fix="e.g. --window 100 --hop 50",
        )
    if out is not None and out.suffix not in (".npz", ".csv"):
        raise InvalidInput(
            "--out", "must end in .npz or .csv", got=out.name, fix="e.g. --out a.csv"
        )
    for target in (plot, out):
        if target is not None:
            check_writable(target)
    if plot is not None:
        plotting()
    begun = time.perf_counter()
    kernel = None if model is None else DelayKernel.load(model)
    events = read_events(
        file,
        sensor=parse_sensor(sensor),
        format=form,
        disorder=disorder,
        allow_partial=allow_partial,
    )
    with (
        deferred_interrupts() as stop,
        progress_bar("detecting", len(events), enabled=not (output.quiet or output.as_json)) as on,
    ):
        motion = detect(
            events,
            kernel=kernel,
            backend=backend,
            bin=max(1, round(hop * 1e3)),
            window=max(1, round(window / hop)),
            cell=cell,
            reads=None if every_event else 4_000,
            keep_hot=keep_hot,
            on_progress=on,
            stop=stop,
        )
    if out is not None:
        write_spikes(out, motion)
    if plot is not None:
        from spikecore.plot import save
        from spikecore.plot_motion import motion_figure

        save(motion_figure(motion, _headline(motion)), plot)
    data = as_data(file, motion, events.notes, time.perf_counter() - begun)
    output.answer(as_text(file, motion, data), data)
    return 0 if motion.sums.complete else 130


def parse_sensor(text: str | None) -> tuple[int, int] | None:
    """Return width and height of ``"346x260"``.

    Raises
    ------
    InvalidInput
        If it is not two numbers.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):  # noqa: PLR2004
        raise InvalidInput(
            "--sensor", "must be WIDTHxHEIGHT", got=text, fix="e.g. --sensor 346x260"
        )
    return int(parts[0]), int(parts[1])


def as_data(file: Path, motion: Motion, notes: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Return everything that was found, ready for JSON (angles in degrees, NaN as null)."""
    overall, windows, field = motion.overall, motion.windows, motion.field
    duration = motion.events.duration
    return {
        "file": str(file),
        "sensor": [motion.events.width, motion.events.height],
        "events": len(motion.events),
        "duration_s": round(duration, 6),
        "direction_deg": _number(np.degrees(overall.direction), 2),
        "speed_px_s": _number(overall.speed, 2),
        "vx_px_s": _number(overall.x, 2),
        "vy_px_s": _number(overall.y, 2),
        "strength": _number(overall.strength, 3),
        "rotation": round(motion.rotation, 3),
        "parts": [
            {
                "direction_deg": round(float(np.degrees(part.direction)), 2),
                "speed_px_s": round(part.speed, 2),
                "share": round(part.share, 3),
                "cells": part.cells,
            }
            for part in motion.parts
        ],
        "windows": [
            {
                "start_us": int(start),
                "end_us": int(stop),
                "direction_deg": _number(np.degrees(windows.direction[i]), 2),
                "speed_px_s": _number(windows.speed[i], 2),
                "strength": _number(windows.strength[i], 3),
                "events": int(windows.events[i]),
            }
            for i, (start, stop) in enumerate(motion.times)
        ],
        "field": {
            "cell_px": motion.sums.cell,
            "direction_deg": _numbers(np.degrees(field.direction), 1),
            "speed_px_s": _numbers(field.speed, 1),
            "strength": _numbers(field.strength, 3),
            "events": field.events.tolist(),
        },
        "output_events": len(motion.sums.spikes.index),
        "hot_pixels": motion.hot,
        "backend": motion.backend,
        "seconds": round(seconds, 3),
        "real_time_factor": round(seconds / duration, 3) if duration else None,
        "complete": motion.sums.complete,
        "notes": list(notes),
    }


def _number(value: Any, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def _numbers(values: Any, digits: int) -> list[list[float | None]]:
    return [[_number(value, digits) for value in row] for row in values]


def compass(direction: float) -> str:
    """Return a direction (rad) in words."""
    names = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")
    return names[round(direction / (np.pi / 4)) % 8]


def _headline(motion: Motion) -> str:
    overall = motion.overall
    if not np.isfinite(overall.direction):
        return "no motion seen"
    angle = float(np.degrees(overall.direction))
    return f"{compass(float(overall.direction))} ({angle:.0f}°), {float(overall.speed):.0f} px/s"


def as_text(file: Path, motion: Motion, data: dict[str, Any]) -> str:
    """Return what was found, for people."""
    lines = [
        f"{file}: {_headline(motion)}",
        f"{data['events']:,} events in {data['duration_s']:.3g} s on "
        f"{data['sensor'][0]}x{data['sensor'][1]} pixels"
        + (f", {motion.hot} hot pixels left out" if motion.hot else ""),
    ]
    if len(motion.parts) > 1:
        lines.append("several motions in view:")
        lines += [
            f"  {compass(part.direction)} ({np.degrees(part.direction):.0f}°), "
            f"{part.speed:.0f} px/s, {part.share:.0%} of it"
            for part in motion.parts
        ]
    shown = data["windows"] if len(data["windows"]) <= 12 else data["windows"][::2][:12]  # noqa: PLR2004
    for row in shown if len(shown) > 1 else []:
        if row["direction_deg"] is not None:
            lines.append(
                f"  {row['start_us'] / 1e6:8.3f} s  {row['direction_deg']:6.0f}°  "
                f"{row['speed_px_s']:6.0f} px/s"
            )
    lines += [f"note: {note}" for note in data["notes"]]
    if not motion.sums.complete:
        lines.append("interrupted: this is what was found until then")
    lines.append(
        f"[{data['seconds']:.2f} s, {data['real_time_factor'] or 0:.2f} of real time, "
        f"{data['output_events']} output events, backend {motion.backend}]"
    )
    return "\n".join(lines)


def write_spikes(path: Path, motion: Motion) -> None:
    """Write the output events: time, pixel, direction, speed, confidence.

    Raises
    ------
    FileRefused
        If the file cannot be written.
    """
    spikes, events = motion.sums.spikes, motion.events
    columns: dict[str, Any] = {
        "t": events.t[spikes.index],
        "x": events.x[spikes.index],
        "y": events.y[spikes.index],
        "p": events.p[spikes.index],
        "direction_deg": np.degrees(spikes.direction),
        "speed_px_s": spikes.speed,
        "confidence": spikes.confidence,
    }
    with atomic_write(path) as file:
        if path.suffix == ".npz":
            size = np.array([events.width, events.height])
            np.savez_compressed(file, width=size[0], height=size[1], **columns)
            return
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        file.write(text.getvalue().encode())


for extra in (evaluate_command, bench_command, train_command, prune_command):
    command.add_command(extra)
