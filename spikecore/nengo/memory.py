"""The CA3 memory as a nengo.Process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.memory import CA3Memory, CA3Shape, Episode
from spikecore.nengo.signals import CheckedProcess, ValueParam, ticks_per_step
from spikecore.quantities import require

__all__ = ["MemoryProcess"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Step = Callable[..., FloatArray]

OPERATIONS = ("store", "recall", "search", "forget")
ON = 0.5
"""A line above this is on."""
MEMORY_DT = 1.0
"""Tick of the memory, ms."""


class MemoryProcess(CheckedProcess):
    """A CA3 memory that stores, recalls, searches and forgets on command.

    An operation begins in the step in which its line goes on (rises above 0.5). What is
    on then of the cue and of the content lines is what it works with. It takes the ticks
    that it takes (14 of 1 ms with ``robust``, 24 with ``published``); the answer is given
    in the step in which the output populations show it, and stays until the next
    operation begins.

    Parameters
    ----------
    shape : CA3Shape
        Size and options; ``search`` may need a threshold and completion, ``forget`` needs
        the forget line.
    backend : str
        Where the spikes run.

    Attributes
    ----------
    cue, content, store, recall, search, forget : slice
        Lines of the input: ``node[process.cue]``.
    answer_content, answer_cue, ready : slice
        Lines of the output, 0 or 1; ready is 1 while no operation runs.

    Raises
    ------
    InvalidInput
        While it runs: what :class:`spikecore.memory.CA3Memory` refuses, two operations at
        once, an operation during another, a cue line missing, or input that is not finite.

    Notes
    -----
    Each operation starts at rest and depends on nothing that comes later, so all its
    spikes are computed when it begins, and shown in their ticks.

    Examples
    --------
    >>> import numpy as np
    >>> from spikecore.memory import CA3Shape
    >>> from spikecore.nengo import MemoryProcess
    >>> process = MemoryProcess(CA3Shape(cues=2, bits=4))
    >>> x = np.zeros((40, process.default_size_in))
    >>> x[0, [0, 2, 3]] = 1  # cue 0; bits 0 and 1 of the content follow the two cues
    >>> x[0, process.store] = 1
    >>> x[20, 0] = 1
    >>> x[20, process.recall] = 1
    >>> y = process.apply(x)
    >>> int(np.argmax(y[20:, process.answer_content].any(axis=1)))  # ticks that a recall takes
    6
    >>> y[-1, process.answer_content]
    array([1., 1., 0., 0.])
    """

    shape: Any = ValueParam("shape")
    backend: Any = ValueParam("backend")

    def __init__(self, shape: CA3Shape, *, backend: str = "event") -> None:
        if not isinstance(shape, CA3Shape):
            raise InvalidInput(
                "MemoryProcess.shape",
                "must be a CA3Shape",
                got=type(shape).__name__,
                fix="CA3Shape(cues=16, bits=100)",
            )
        lines = shape.cues + shape.bits
        super().__init__(lines + len(OPERATIONS), lines + 1, MEMORY_DT)
        self.shape = shape
        self.backend = backend
        self.cue, self.content = slice(0, shape.cues), slice(shape.cues, lines)
        self.store, self.recall, self.search, self.forget = (
            slice(lines + i, lines + i + 1) for i in range(len(OPERATIONS))
        )
        self.answer_content, self.answer_cue = slice(0, shape.bits), slice(shape.bits, lines)
        self.ready = slice(lines, lines + 1)

    def make_step(
        self,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        dt: float,
        rng: np.random.RandomState,
        state: dict[str, Any],
    ) -> Step:
        """Make an empty memory for one Simulator (Nengo calls this, also on reset)."""
        ticks = ticks_per_step(dt, MEMORY_DT, "MemoryProcess")
        device = _Device(CA3Memory(self.shape, backend=self.backend))

        def step(t: float, x: FloatArray) -> FloatArray:
            fix = "check what is connected to the memory"
            require(x, np.isfinite(x), "MemoryProcess: input", "must be finite", fix=fix)
            lines = x > ON
            device.command(lines[-len(OPERATIONS) :], lines[self.cue], lines[self.content])
            device.elapsed += ticks
            return device.show()

        return step


@dataclass
class _Device:
    """A memory, the operation that it runs or has run last, and how far that is."""

    memory: CA3Memory
    episode: Episode | None = None
    elapsed: int = 0
    before: tuple[bool, ...] = (False,) * len(OPERATIONS)

    def command(self, lines: BoolArray, cue: BoolArray, content: BoolArray) -> None:
        """Begin the operation whose line has gone on in this step, if one has."""
        rising = [
            name
            for name, now, then in zip(OPERATIONS, lines, self.before, strict=True)
            if now and not then
        ]
        self.before = tuple(lines.tolist())
        if not rising:
            return
        if len(rising) > 1:
            raise InvalidInput(
                "MemoryProcess",
                "runs one operation at a time",
                got=" and ".join(rising),
                fix="switch on one line, and the next when ready is 1",
            )
        if self.busy:
            assert self.episode is not None
            raise InvalidInput(
                f"MemoryProcess: {rising[0]}",
                f"cannot begin: {self.episode.result.ticks - self.elapsed} ticks of the operation "
                "before are left",
                fix="wait until ready is 1",
            )
        self.episode = self._run(rising[0], np.flatnonzero(cue), np.flatnonzero(content))
        self.elapsed = 0

    @property
    def busy(self) -> bool:
        """Whether an operation is under way."""
        return self.episode is not None and self.elapsed < self.episode.result.ticks

    def _run(self, operation: str, cues: Any, bits: Any) -> Episode:
        if operation == "search":
            return self.memory.query(bits.tolist())
        if not cues.size:
            raise InvalidInput(
                f"MemoryProcess: {operation}",
                "needs a cue: no cue line is on",
                fix="switch one on in the same step, above 0.5",
            )
        cue = cues[0] if cues.size == 1 else cues.tolist()  # the memory refuses several
        if operation == "store":
            return self.memory.learn(cue, bits.tolist())
        return self.memory.recall(cue) if operation == "recall" else self.memory.erase(cue)

    def show(self) -> FloatArray:
        """Return the output lines after ``elapsed`` ticks of the operation."""
        shape, episode = self.memory.shape, self.episode
        out = np.zeros(shape.bits + shape.cues + 1)
        out[-1] = not self.busy
        if episode is not None:
            cue_tick, bit_tick = episode.read
            if self.elapsed > bit_tick:
                out[list(episode.bits)] = 1.0
            if self.elapsed > cue_tick:
                out[[shape.bits + cue for cue in episode.cues]] = 1.0
        return out
