"""A short story to look at: pictures stored, recalled from halves, replaced, forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spikecore.memory.content import Bitmap
from spikecore.memory.content_memory import ContentMemory
from spikecore.memory.report import Report
from spikecore.randomness import stream

__all__ = ["PICTURES", "Step", "Story", "run_demo"]

Picture = npt.NDArray[np.bool_]

_REPLACED = "key"
_SURE = 0.9  # pictures overlap by chance; a visible half has no wrong pixels


def _draw(*rows: str) -> Picture:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


PICTURES: dict[str, Picture] = {
    "house": _draw(
        "......##......",
        ".....####.....",
        "....##..##....",
        "...##....##...",
        "..##......##..",
        ".############.",
        ".##........##.",
        ".##.##.###.##.",
        ".##.##.#.#.##.",
        ".##....###.##.",
        ".##.##.....##.",
        ".##.##.....##.",
        ".############.",
        "..............",
    ),
    "heart": _draw(
        "..............",
        "..###....###..",
        ".#####..#####.",
        ".############.",
        ".############.",
        ".############.",
        ".############.",
        "..##########..",
        "...########...",
        "....######....",
        ".....####.....",
        "......##......",
        "..............",
        "..............",
    ),
    "key": _draw(
        "..............",
        "...####.......",
        "..##..##......",
        "..#....#......",
        "..#....#......",
        "..##..##......",
        "...####.......",
        "....##........",
        "....##........",
        "....####......",
        "....##........",
        "....#####.....",
        "....##........",
        "..............",
    ),
    "fish": _draw(
        "..............",
        "..............",
        ".....#####....",
        "#...#######...",
        "##.####..###..",
        "#######..####.",
        ".#############",
        ".############.",
        "#############.",
        "##.#########..",
        "#...#######...",
        ".....#####....",
        "..............",
        "..............",
    ),
    "cup": _draw(
        "..............",
        "...#..#..#....",
        "..#..#..#.....",
        "...#..#..#....",
        "..............",
        ".##########...",
        ".##########...",
        ".##########.#.",
        ".##########..#",
        ".##########.##",
        ".############.",
        ".##########...",
        "..########....",
        "..............",
    ),
}
"""Fourteen by fourteen pixels, drawn for this demo."""

REPLACEMENT: Picture = _draw(
    "....######....",
    "..##......##..",
    ".#..........#.",
    ".#..##..##..#.",
    "#...##..##...#",
    "#............#",
    "#............#",
    "#..#......#..#",
    "#...#....#...#",
    ".#...####...#.",
    ".#..........#.",
    "..##......##..",
    "....######....",
    "..............",
)


@dataclass(frozen=True, eq=False)
class Step:
    """One thing that was done, and how it went."""

    text: str
    label: str
    right: bool
    report: Report
    cue: str
    covered: Picture | None = None  # what could be seen of the picture
    shown: Picture | None = None  # what came back
    missing: int = 0


@dataclass(eq=False)
class Story:
    """Everything that happened."""

    size: tuple[int, int]
    steps: list[Step] = field(default_factory=list)

    @property
    def spikes(self) -> int:
        """Spikes in all."""
        return sum(step.report.spikes for step in self.steps)

    @property
    def model_ms(self) -> float:
        """Model time in all, ms."""
        return sum(step.report.model_ms for step in self.steps)


def run_demo(*, backend: str = "event", seed: int = 1) -> Story:
    """Run the story on ``backend``; ``seed`` decides which half of each picture is covered."""
    height, width = next(iter(PICTURES.values())).shape
    memory = ContentMemory(Bitmap(width, height), cues=len(PICTURES), backend=backend)
    story = Story((height, width))

    def note(report: Report, wanted: str, cue: str, label: str) -> None:
        right = report.outcome == wanted
        text = f"{label}: {report.outcome}"
        story.steps.append(Step(text, label, right, report, cue))

    for name, picture in PICTURES.items():
        note(memory.store(name, picture), "stored", name, f"store {name}")
    halves = stream(seed, "demo").permutation(np.arange(len(PICTURES)) % 4)
    for (name, picture), half in zip(PICTURES.items(), halves, strict=True):
        seen = _cover(picture, int(half))
        story.steps.append(_recall_half(memory, name, picture, seen, f"half of {name}"))
    note(memory.store(_REPLACED, REPLACEMENT), "replaced", _REPLACED, "store a face as key")
    story.steps.append(
        _recall_half(memory, _REPLACED, REPLACEMENT, _cover(REPLACEMENT, 0), "half of the face")
    )
    seen = _cover(PICTURES[_REPLACED], 0)
    report = memory.search(seen, threshold=_SURE)
    gone = not report.answers
    text = f"half of the old key: {report.outcome}"
    story.steps.append(Step(text, "half of the old key", gone, report, _REPLACED, seen))
    note(memory.forget("fish"), "forgotten", "fish", "forget fish")
    note(memory.recall("fish"), "nothing stored", "fish", "recall fish")
    return story


def _recall_half(
    memory: ContentMemory, name: str, picture: Picture, seen: Picture, label: str
) -> Step:
    report = memory.search(seen, threshold=_SURE)
    best = report.best
    if best is None:
        return Step(f"{label}: no match", label, False, report, name, seen)
    wrong = int((best.content != picture).sum())
    right = best.cue == name and wrong == 0
    text = f"{label}: {best.cue} ({best.overlap:.0%}), {wrong} pixels wrong"
    return Step(text, label, right, report, name, seen, best.content, wrong)


def _cover(picture: Picture, half: int) -> Picture:
    """Return ``picture`` with one half (0 right, 1 left, 2 bottom, 3 top) covered."""
    seen = picture.copy()
    height, width = picture.shape
    if half == 0:
        seen[:, width // 2 :] = False
    elif half == 1:
        seen[:, : width // 2] = False
    elif half == 2:  # noqa: PLR2004
        seen[height // 2 :] = False
    else:
        seen[: height // 2] = False
    return seen
