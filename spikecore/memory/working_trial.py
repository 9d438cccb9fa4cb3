"""How well a working memory holds: pictures to store, measures, the retention curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName
from spikecore.memory.working import AstrocyteWorkingMemory, flipped
from spikecore.progress import progress_bar
from spikecore.quantities import ms

__all__ = ["Retention", "balanced_agreement", "correlation", "letter", "measure_retention"]

Picture = npt.NDArray[np.bool_]

_LETTERS = {
    "T": ("#####", "#####", "..#..", "..#..", "..#.."),
    "L": ("##...", "##...", "##...", "#####", "#####"),
    "+": ("..#..", "..#..", "#####", "..#..", "..#.."),
    "U": ("#...#", "#...#", "#...#", "#...#", "#####"),
    "H": ("#...#", "#...#", "#####", "#...#", "#...#"),
    "E": ("#####", "#....", "####.", "#....", "#####"),
    "Z": ("#####", "...#.", "..#..", ".#...", "#####"),
    "X": ("#...#", ".#.#.", "..#..", ".#.#.", "#...#"),
}
_CELLS = 5
STEP_MS = 100
"""Delays are multiples of this, ms."""


def letter(name: str, zones: int = 26) -> Picture:
    """Return a block letter for a sheet of ``zones`` squared astrocytes.

    It has 5 x 5 squares, each of a whole number of zones.

    Parameters
    ----------
    name : {"T", "L", "+", "U", "H", "E", "Z", "X"}
    zones : int
        At least 5.

    Returns
    -------
    ndarray of bool, shape (3 zones + 1, 3 zones + 1)

    Raises
    ------
    UnknownName, InvalidInput
        If the letter does not exist, or the sheet is too small for it.
    """
    if name not in _LETTERS:
        raise UnknownName("letter", name, _LETTERS)
    if zones < _CELLS:
        raise InvalidInput(
            "letter",
            f"needs at least {_CELLS} zones a side",
            got=zones,
            fix="a square of a letter is one zone at least",
        )
    width, side = 3 * (zones // _CELLS), 3 * zones + 1
    squares = np.array([[square == "#" for square in row] for row in _LETTERS[name]])
    start = 3 * ((zones - _CELLS * (zones // _CELLS) + 1) // 2)
    picture = np.zeros((side, side), bool)
    inside = slice(start, start + _CELLS * width)
    picture[inside, inside] = np.kron(squares, np.ones((width, width), bool))
    return picture


def correlation(template: npt.ArrayLike, picture: npt.ArrayLike) -> float:
    """Return Pearson's correlation of two pictures, from -1 to 1; 0 if one is all alike."""
    a, b = np.asarray(template, float).ravel(), np.asarray(picture, float).ravel()
    if a.std() == 0.0 or b.std() == 0.0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def balanced_agreement(template: npt.ArrayLike, picture: npt.ArrayLike) -> float:
    """Return the mean share of right pixels inside and outside the template.

    This is what Gordleeva et al. (2021) call the correlation of a recalled pattern with the
    ideal one: 1 is perfect, 0.5 chance. A cue of which a fifth is flipped has 0.8.
    """
    inside, shown = np.asarray(template, bool), np.asarray(picture, bool)
    return float((shown[inside].mean() + (~shown[~inside]).mean()) / 2)


@dataclass
class Retention:
    """How well pictures are recalled after a delay.

    Attributes
    ----------
    delays : list of int
        From the end of the showing of the last picture to the cue, ms.
    correlation, agreement : dict of str to list of float
        For each picture, the figures of its recall at each delay: :func:`correlation` and
        :func:`balanced_agreement`.
    age : dict of str to list of int
        For each picture, the time since the end of its own showing, ms.
    status : {"complete", "interrupted"}
        After Ctrl-C the lists end earlier.
    """

    delays: list[int] = field(default_factory=list)
    correlation: dict[str, list[float]] = field(default_factory=dict)
    agreement: dict[str, list[float]] = field(default_factory=dict)
    age: dict[str, list[int]] = field(default_factory=dict)
    status: str = "complete"


def measure_retention(
    memory: AstrocyteWorkingMemory,
    pictures: Mapping[str, npt.ArrayLike],
    delays: Sequence[int],
    *,
    cue_noise: float = 0.2,
    others: Mapping[str, npt.ArrayLike] | None = None,
    progress: bool = False,
) -> Retention:
    """Store pictures one after another, and recall each after each of several delays.

    Every recall starts from a copy of the memory as it was at that delay, so that one
    recall does not refresh or disturb the next. ``memory`` itself ends at the last delay.

    Parameters
    ----------
    memory : AstrocyteWorkingMemory
    pictures : mapping of str to array of bool
        What is stored, in this order. May be empty if there are others: the control.
    delays : sequence of int
        Increasing multiples of 100 ms, from 100.
    cue_noise : float
        Share of flipped pixels of the cues.
    others : mapping of str to array of bool, optional
        Pictures that are not stored but cued as well, for comparison; their age is 0.
    progress : bool
        Show a bar on a terminal.

    Raises
    ------
    InvalidInput
        If there are no pictures, or the delays are not as said.
    """
    steps = np.diff([0, *delays])
    if not pictures and not others:
        raise InvalidInput(
            "measure_retention", "needs at least one picture", fix="e.g. {'T': letter('T')}"
        )
    if steps.size == 0 or (steps <= 0).any() or (steps % STEP_MS).any():
        raise InvalidInput(
            "measure_retention: delays",
            f"must be increasing multiples of {STEP_MS} ms",
            got=list(delays),
            fix="e.g. range(500, 5000, 500)",
        )
    cued, found, ends = {**pictures, **(others or {})}, Retention(), dict[str, float]()
    work = len(pictures) + len(steps) * len(cued)
    try:
        with progress_bar("working memory", work, enabled=progress) as done:
            for name, picture in pictures.items():
                memory.store(picture)
                ends[name] = memory.time - STEP_MS  # the pause is part of the delay
                done(1)
            for delay, step in zip(delays, steps, strict=True):
                wait = int(step) - (STEP_MS if pictures and delay == delays[0] else 0)
                if wait:
                    memory.wait(wait * ms)
                recalled = {}
                for name, picture in cued.items():
                    cue = flipped(picture, cue_noise, seed=memory.seed, name=f"{name}/{delay}")
                    recalled[name] = memory.copy().recall(cue).picture
                    done(1)
                found.delays.append(int(delay))
                for name, template in cued.items():
                    age = round(memory.time - ends.get(name, memory.time))
                    found.age.setdefault(name, []).append(age)
                    for measure, of in (
                        (found.correlation, correlation),
                        (found.agreement, balanced_agreement),
                    ):
                        measure.setdefault(name, []).append(of(template, recalled[name]))
    except KeyboardInterrupt:
        found.status = "interrupted"
    return found
