"""Recordings with known motion: what folders of them look like, and how answers are scored."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikecore.errors import FileRefused

__all__ = ["Labelled", "Marks", "Segment", "find_labels", "score"]

COLUMNS = ("path", "t_start_us", "t_end_us", "vx_px_s", "vy_px_s")

SACCADES = (
    (10_000, 85_000, 3.5, 7.0),
    (115_000, 185_000, 3.5, -7.0),
    (225_000, 290_000, -7.0, 0.0),
)
"""Start, end (us) and direction of the three saccades of every N-MNIST recording, cut to
where the events come (Orchard et al. 2015, doi 10.3389/fnins.2015.00437)."""


@dataclass(frozen=True)
class Segment:
    """A part of a recording whose motion is known.

    Attributes
    ----------
    path : Path
        The file.
    start, stop : int
        us, of the file's own clock.
    vx, vy : float
        Velocity, pixels a second, x right and y down.
    timed : bool
        Whether the speed is known, or only the direction.
    fresh : bool
        Cut the segment out and start its clock at zero, instead of reading on from
        what came before.
    group : str
        Under which it is counted.
    sensor : tuple of int or None
        Width and height, where the labels give them.
    """

    path: Path
    start: int
    stop: int
    vx: float
    vy: float
    timed: bool
    fresh: bool
    group: str
    sensor: tuple[int, int] | None = None


@dataclass(frozen=True)
class Labelled:
    """Everything with a known motion in a folder.

    Attributes
    ----------
    segments : tuple of Segment
        Translations.
    rotations : tuple of (Path, int, sensor)
        Recordings of something that turns: 1 clockwise on screen, -1 counter-clockwise.
    """

    segments: tuple[Segment, ...]
    rotations: tuple[tuple[Path, int, tuple[int, int] | None], ...] = ()


def find_labels(folder: str | os.PathLike[str]) -> Labelled:
    """Find the labelled recordings of a folder.

    Looked for are ``*.csv`` files with the columns ``path, t_start_us, t_end_us, vx_px_s,
    vy_px_s`` (and, if known, ``width, height``), one row a segment; an ``index.csv`` with
    the columns ``path, motion, width, height`` and motions such as ``"(0,-30) px/s"`` or
    ``"rotation, clockwise on screen"``; and recordings of N-MNIST in the layout in which
    it is published (``Train/0/00001.bin``).

    Raises
    ------
    FileRefused
        If the folder is missing, nothing labelled is there, or a row is wrong.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileRefused(str(root), "is not a folder", fix="name a folder of recordings")
    segments: list[Segment] = []
    rotations: list[tuple[Path, int, tuple[int, int] | None]] = []
    for table in sorted(root.glob("*.csv")):
        with table.open(newline="") as file:
            rows = csv.DictReader(file)
            names = set(rows.fieldnames or ())
            if names.issuperset(COLUMNS):
                segments += [_segment(root, table, n, row) for n, row in enumerate(rows, 2)]
            elif names.issuperset(("path", "motion")):
                for row in rows:
                    _from_index(root, row, segments, rotations)
    if not any(s.group == "N-MNIST" for s in segments):
        segments += _saccades(root)
    if not segments and not rotations:
        raise FileRefused(
            str(root),
            "holds no labelled recordings",
            fix=f"add labels.csv with the columns {', '.join(COLUMNS)}",
        )
    return Labelled(tuple(segments), tuple(rotations))


def _segment(root: Path, table: Path, line: int, row: dict[str, str]) -> Segment:
    try:
        start, stop = int(row["t_start_us"]), int(row["t_end_us"])
        vx, vy = float(row["vx_px_s"]), float(row["vy_px_s"])
    except (TypeError, ValueError) as error:
        raise FileRefused(
            f"{table}, line {line}", "must hold numbers", got=str(error), fix="mend the row"
        ) from error
    path = root / row["path"]
    if not path.is_file() or stop <= start:
        raise FileRefused(
            f"{table}, line {line}",
            "must name a file of the folder and an end after the start",
            got=f"{row['path']}, {start} to {stop} us",
            fix="mend the row",
        )
    return Segment(path, start, stop, vx, vy, True, False, _group(root, path), _sensor(row))


def _from_index(
    root: Path,
    row: dict[str, str],
    segments: list[Segment],
    rotations: list[tuple[Path, int, tuple[int, int] | None]],
) -> None:
    """Read the motion of one row in words."""
    path, motion, sensor = root / row["path"], row["motion"] or "", _sensor(row)
    if not path.is_file():
        return
    steady = re.search(r"\(([-+]?[\d.]+),\s*([-+]?[\d.]+)\) px/s", motion)
    if "saccade" in motion or re.match(r"\d+-\d+ms:", motion):
        segments += [
            Segment(path, a, b, x, y, False, True, "N-MNIST", sensor) for a, b, x, y in SACCADES
        ]
    elif steady:
        vx, vy = (float(v) for v in steady.groups())
        group = _group(root, path) + ", steady"
        segments += [
            Segment(path, a, a + 100_000, vx, vy, True, False, group, sensor)
            for a in range(100_000, int(row["t_last_us"]) - 100_000 + 1, 50_000)
        ]
    elif "clockwise on screen" in motion:
        rotations.append((path, -1 if "counter-clockwise on screen" in motion else 1, sensor))


def _saccades(root: Path) -> list[Segment]:
    files = sorted(root.glob("**/T*/[0-9]/*.bin"))
    return [
        Segment(path, a, b, x, y, False, True, "N-MNIST", (34, 34))
        for path in files
        if path.parent.parent.name in ("Train", "Test")
        for a, b, x, y in SACCADES
    ]


def _sensor(row: dict[str, str]) -> tuple[int, int] | None:
    width, height = row.get("width"), row.get("height")
    return (int(width), int(height)) if width and height else None


def _group(root: Path, path: Path) -> str:
    return path.parent.relative_to(root).as_posix() or root.name


@dataclass(frozen=True)
class Marks:
    """How well velocities fit.

    Attributes
    ----------
    count : int
        Segments.
    within_45, within_30 : float
        Share of directions within so many degrees.
    median_degrees : float
        Median error of the direction.
    speed_error : float or None
        Median relative error of the speed, where it is known.
    """

    count: int
    within_45: float
    within_30: float
    median_degrees: float
    speed_error: float | None


def score(segments: list[Segment], found: npt.NDArray[np.float64]) -> dict[str, Marks]:
    """Compare velocities (N, 2) with the labels, by group."""
    marks: dict[str, Marks] = {}
    by_group: Callable[[Segment], str] = lambda segment: segment.group  # noqa: E731
    for group in sorted({by_group(s) for s in segments}):
        own = [i for i, s in enumerate(segments) if s.group == group]
        truth = np.array([(segments[i].vx, segments[i].vy) for i in own])
        answer = found[own]
        angle = np.arctan2(answer[:, 1], answer[:, 0]) - np.arctan2(truth[:, 1], truth[:, 0])
        error = np.degrees(np.abs((angle + np.pi) % (2 * np.pi) - np.pi))
        error = np.where(np.isnan(error), 180.0, error)
        speed = None
        if all(segments[i].timed for i in own):
            ratio = np.hypot(*answer.T) / np.hypot(*truth.T)
            speed = float(np.nanmedian(np.abs(ratio - 1.0)))
        marks[group] = Marks(
            len(own),
            float((error <= 45.0).mean()),  # noqa: PLR2004
            float((error <= 30.0).mean()),  # noqa: PLR2004
            float(np.median(error)),
            speed,
        )
    return marks
