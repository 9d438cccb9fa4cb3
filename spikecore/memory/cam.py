"""The CA3 memory as a device: one operation at a time, on bits, in spikes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, SpikecoreError
from spikecore.memory.ca3 import FIRING_WEIGHT, CA3Shape, ca3_network
from spikecore.quantities import ms
from spikecore.results import Result
from spikecore.simulate import Simulation

__all__ = ["CA3Memory", "Episode"]

Bits = frozenset[int]
FloatArray = npt.NDArray[np.float64]

FORWARD = "CueCue->ContCue"
BACKWARD = "ContCont->CueCont"
THRESHOLD = "ContCont->CueCont threshold"

_SETTLE = {"published": 24, "robust": 14, "board": 14}  # ticks after which nothing moves any more


@dataclass(frozen=True, eq=False)
class Episode:
    """One operation that ran.

    Attributes
    ----------
    operation : str
        ``"learn"``, ``"recall"``, ``"query"`` or ``"erase"``.
    cues, bits : frozenset of int
        What the output populations showed as the answer.
    read : tuple of int
        Ticks in which they showed it: ``OUTcue``, ``OUTcont``.
    result : Result
        All spikes of the operation, for those who want to look.
    wall_s : float
        Wall-clock time.
    """

    operation: str
    cues: Bits
    bits: Bits
    read: tuple[int, int]
    result: Result
    wall_s: float

    @property
    def model_ms(self) -> float:
        """Model time of the operation, ms."""
        return self.result.duration

    @property
    def spikes(self) -> int:
        """Spikes of all populations, inputs included."""
        return self.result.counters["spikes"]


class CA3Memory:
    """A CA3 memory that starts each operation at rest and keeps its weights.

    Parameters
    ----------
    shape : CA3Shape
        Size and options.
    backend : str
        Where the spikes run.

    Examples
    --------
    >>> from spikecore.memory import CA3Memory, CA3Shape
    >>> memory = CA3Memory(CA3Shape(cues=5, bits=10))
    >>> _ = memory.learn(2, {1, 4, 7})
    >>> sorted(memory.recall(2).bits)
    [1, 4, 7]
    >>> sorted(memory.query({4}).cues)
    [2]
    """

    def __init__(self, shape: CA3Shape, *, backend: str = "event") -> None:
        self.shape = shape
        self.backend = backend
        self._simulation = Simulation(ca3_network(shape), backend=backend)

    def learn(self, cue: int, bits: Iterable[int]) -> Episode:
        """Store ``bits`` under ``cue``; what it held before is forgotten.

        Raises
        ------
        InvalidInput
            If the cue or a bit does not exist, or there are no bits.
        """
        content = self._content(bits)
        return self._run("learn", (5, 5), cue=self._cue(cue), bits=content)

    def recall(self, cue: int) -> Episode:
        """Recall the content of ``cue``; no bits if there is none.

        Raises
        ------
        InvalidInput
            If the cue does not exist.
        """
        return self._run("recall", (5, 6), cue=self._cue(cue))

    def query(self, bits: Iterable[int], needed: int | None = None) -> Episode:
        """Find the cues whose content shares enough of ``bits``.

        With completion the episode's bits are the content of the cues that answered
        (their union, if several did), else the query itself.

        Parameters
        ----------
        bits : iterable of int
            The fragment.
        needed : int, optional
            How many bits must be shared. Needs a shape with a threshold; default: what
            the threshold of the shape makes of the number of bits. The inhibition that
            counts the query bits is set half a bit below, so that both sides have the
            same margin.

        Raises
        ------
        InvalidInput
            If a bit does not exist, there are none, or no content could share enough.
        """
        content = self._content(bits)
        size = len(content)
        if needed is None and self.shape.needed_overlap(size) > size:
            raise InvalidInput(
                "query",
                f"a fragment of {size} bits cannot reach the threshold "
                f"{self.shape.threshold:g}: {self.shape.needed_overlap(size)} would have to match",
                fix="give more bits, a lower threshold, or backward_weight=12",
            )
        if self.shape.threshold > 0:
            self._set_threshold(size, needed)
        elif needed not in (None, 1):
            raise InvalidInput(
                "query: needed",
                "needs a memory with a threshold",
                got=needed,
                fix="CA3Shape(..., threshold=0.6)",
            )
        completes = self.shape.completion
        return self._run("query", (6, 11) if completes else (6, 5), bits=content)

    def erase(self, cue: int) -> Episode:
        """Forget what ``cue`` holds, in both directions.

        The cue is held as in a learn, with no content; the forget line opens the gate,
        so that the old content passes by and both its associations are erased.

        Raises
        ------
        InvalidInput
            If the cue does not exist or the shape has no forget line.
        """
        if not self.shape.forget_line:
            raise InvalidInput(
                "erase", "needs a memory with a forget line", fix="CA3Shape(..., forget_line=True)"
            )
        return self._run("erase", (5, 6), cue=self._cue(cue), forget=True)

    @property
    def forward(self) -> FloatArray:
        """Weights cue -> content in nA, shape (cues, bits)."""
        return self._simulation.weights(FORWARD).reshape(self.shape.cues, self.shape.bits)

    @property
    def backward(self) -> FloatArray:
        """Weights content -> cue in nA, shape (bits, cues)."""
        return self._simulation.weights(BACKWARD).reshape(self.shape.bits, self.shape.cues)

    def load(self, forward: FloatArray, backward: FloatArray) -> None:
        """Replace all weights: shapes (cues, bits) and (bits, cues), nA.

        Raises
        ------
        InvalidInput
            If a shape is wrong or a weight is out of bounds.
        """
        for name, values, wanted in (
            (FORWARD, forward, (self.shape.cues, self.shape.bits)),
            (BACKWARD, backward, (self.shape.bits, self.shape.cues)),
        ):
            if values.shape != wanted:
                raise InvalidInput(f"weights {name}", f"must have shape {wanted}", got=values.shape)
            self._simulation.set_weights(name, values.ravel())

    def _set_threshold(self, size: int, needed: int | None) -> None:
        w2 = self.shape.backward_weight
        weight = self.shape.threshold * w2
        if needed is not None:
            if isinstance(needed, bool) or not isinstance(needed, int | np.integer):
                raise InvalidInput("query: needed", "must be an integer", got=repr(needed))
            if not 1 <= needed <= size:
                raise InvalidInput("query: needed", f"must lie in 1 .. {size}", got=needed)
            weight = max(0.0, ((needed - 0.5) * w2 - FIRING_WEIGHT) / size)
        self._simulation.set_weights(THRESHOLD, weight)

    def _run(
        self,
        operation: str,
        read: tuple[int, int],
        *,
        cue: int | None = None,
        bits: Bits = frozenset(),
        forget: bool = False,
    ) -> Episode:
        began = time.perf_counter()
        simulation = self._simulation
        shown = self.shape.parameters.shown if operation in ("learn", "erase") else (0,)
        ticks, times = np.array(shown), len(shown)
        if cue is not None:
            simulation.feed("INcue", ticks * ms, np.full(times, cue))
        if bits:
            each = np.fromiter(bits, np.int64)
            simulation.feed("INcont", np.repeat(ticks, each.size) * ms, np.tile(each, times))
        if forget:
            simulation.feed("INforget", np.array([1.0]) * ms, np.array([0]))
        result = simulation.run(_SETTLE[self.shape.preset] * ms, weights=False)
        simulation.clear()  # the next operation finds the network at rest
        if result.status == "interrupted":
            raise KeyboardInterrupt  # nothing has been written; the caller goes back
        if result.status != "complete":
            raise SpikecoreError(
                f"CA3 memory: {operation}", f"the run was {result.status}: {result.message}"
            )
        cues = result.spikes["OUTcue"].between(read[0], read[0] + 1).neurons
        content = result.spikes["OUTcont"].between(read[1], read[1] + 1).neurons
        return Episode(
            operation,
            frozenset(cues.tolist()),
            frozenset(content.tolist()),
            read,
            result,
            time.perf_counter() - began,
        )

    def _cue(self, cue: object) -> int:
        if isinstance(cue, Iterable):
            raise InvalidInput(
                "cue",
                "must be one cue: two at once would be mixed up",
                got=repr(cue),
                fix="one operation for each",
            )
        if isinstance(cue, bool) or not isinstance(cue, int | np.integer):
            raise InvalidInput("cue", "must be an integer", got=repr(cue))
        if not 0 <= cue < self.shape.cues:
            raise InvalidInput("cue", f"must lie in 0 .. {self.shape.cues - 1}", got=cue)
        return int(cue)

    def _content(self, bits: Iterable[int]) -> Bits:
        given = list(bits)
        for position, bit in enumerate(given):
            if isinstance(bit, bool) or not isinstance(bit, int | np.integer):
                raise InvalidInput(
                    "content",
                    "must be the indices of the bits that are on",
                    got=repr(bit),
                    index=position,
                )
            if not 0 <= bit < self.shape.bits:
                raise InvalidInput(
                    "content",
                    f"bits must lie in 0 .. {self.shape.bits - 1}",
                    got=bit,
                    index=position,
                )
        if not given:
            raise InvalidInput(
                "content",
                "has no bits: nothing would spike",
                fix="store at least one bit, or forget the cue",
            )
        return frozenset(int(bit) for bit in given)
