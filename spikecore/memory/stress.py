"""Random operations against a perfect memory: answers, and the whole output raster."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.inputs import Train
from spikecore.memory.ca3 import CA3Shape, ca3_network
from spikecore.quantities import ms
from spikecore.randomness import stream
from spikecore.results import Result
from spikecore.simulate import run

__all__ = ["Script", "StressReport", "StressTest"]

Kind = Literal["learn", "cue", "content"]
Bits = frozenset[int]
Reads = tuple[tuple[int, str], ...]

# When each side of the output is read, ticks after the operation begins.
_READOUT: dict[str, Reads] = {
    "learn": ((5, "cues"), (5, "bits")),
    "cue": ((5, "cues"), (6, "bits")),
    "content": ((5, "bits"), (6, "cues")),
}
_COMPLETED: Reads = ((10, "cues"), (11, "bits"))
_LONGEST = 11  # ticks until the last answer of an operation is out
NOTHING: Bits = frozenset()


@dataclass(frozen=True)
class StressTest:
    """What to try.

    Attributes
    ----------
    shape : CA3Shape
        The memory.
    operations : int
        How many.
    learn_ms, recall_ms : int
        Spacing after a learn and after a recall; with completion, queries take
        ``query_ms`` instead of ``recall_ms``.
    density : float
        Share of ones in random contents.
    queries : {"mixed", "noisy"}
        "mixed": random bits, one or several; "noisy": a stored content with 40 % of
        its bits missing and 10 % wrong ones.
    seed : int
        Of the operations.
    """

    shape: CA3Shape
    operations: int = 10_000
    learn_ms: int = 7
    recall_ms: int = 6
    query_ms: int = 9
    density: float = 0.3
    queries: Literal["mixed", "noisy"] = "mixed"
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("operations", "learn_ms", "recall_ms", "query_ms"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput(f"stress: {name}", "must be a positive integer", got=repr(value))
        held = self.shape.parameters.shown[-1] + 1
        if self.learn_ms < held:
            raise InvalidInput(
                "stress: learn_ms",
                f"must be at least {held}: the input is held that long",
                got=self.learn_ms,
            )
        if not 0.0 < self.density <= 1.0:
            raise InvalidInput(
                "stress: density", "must lie in 0 .. 1 (0 excluded)", got=self.density
            )

    def run(self, *, backend: str = "event", progress: bool = False) -> StressReport:
        """Draw the operations, run them in one go, compare with the ideal.

        If the run is interrupted, the operations that were finished are judged.
        """
        script = Script.draw(self)
        network = ca3_network(self.shape, *script.trains())
        began = time.perf_counter()
        result = run(network, script.duration * ms, backend=backend, progress=progress)
        wall = time.perf_counter() - began
        return script.judge(result, wall, backend)


@dataclass(frozen=True)
class Operation:
    """One operation, and what a perfect memory would show."""

    kind: Kind
    tick: int
    cues: Bits
    bits: Bits
    shows: dict[int, tuple[Bits, Bits]]  # ticks after the start: (cues, bits)


@dataclass
class StressReport:
    """What came out.

    Attributes
    ----------
    wrong : dict of str to int
        Operations whose answer, at the read-out ticks, is not the ideal one.
    counts : dict of str to int
        Operations of each kind.
    missing_spikes, extra_spikes : int
        Differences between the output raster of the whole run and the ideal one.
    status : str
        "interrupted" if the run was stopped; all figures are then of the part that ran.
    """

    preset: str
    backend: str
    cues: int
    bits: int
    density: float
    operations: int
    learn_ms: int
    recall_ms: int
    threshold: float
    completion: bool
    seed: int
    counts: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    missing_spikes: int = 0
    extra_spikes: int = 0
    model_ms: int = 0
    spikes: int = 0
    wall_s: float = 0.0
    status: str = "complete"

    @property
    def wrong_total(self) -> int:
        """Wrong answers of all kinds."""
        return sum(self.wrong.values())

    @property
    def perfect(self) -> bool:
        """True if neither an answer nor a single output spike is wrong."""
        return self.wrong_total == 0 and self.missing_spikes == 0 and self.extra_spikes == 0

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self) | {"wrong_total": self.wrong_total, "perfect": self.perfect}


class Script:
    """A list of operations with their ideal output."""

    def __init__(self, test: StressTest, operations: list[Operation], duration: int) -> None:
        self.test = test
        self.operations = operations
        self.duration = duration

    @classmethod
    def draw(cls, test: StressTest) -> Script:
        """Draw the operations of ``test`` and follow them with a perfect memory."""
        rng = stream(test.seed, "stress")
        shape, memory = test.shape, dict[int, Bits]()
        operations, tick = [], 1
        for _ in range(test.operations):
            kind: Kind = ("learn", "cue", "content")[rng.integers(3)]
            cue = int(rng.integers(shape.cues))
            if kind == "learn":
                content = _bits(rng, shape.bits, test.density)
                old = memory.get(cue, NOTHING)
                memory[cue] = content
                both = (frozenset({cue}), content)
                shows = {5: both, _again(shape): both, 6: (NOTHING, old - content)}
                operations.append(Operation("learn", tick, both[0], content, shows))
                tick += test.learn_ms
            elif kind == "cue":
                shows = {5: (frozenset({cue}), NOTHING), 6: (NOTHING, memory.get(cue, NOTHING))}
                operations.append(Operation("cue", tick, frozenset({cue}), NOTHING, shows))
                tick += test.recall_ms
            else:
                query = cls._query(test, rng, memory)
                shows = cls._answer(shape, memory, query)
                operations.append(Operation("content", tick, NOTHING, query, shows))
                tick += test.query_ms if shape.completion else test.recall_ms
        return cls(test, operations, tick + _LONGEST + 1)

    @staticmethod
    def _query(test: StressTest, rng: np.random.Generator, memory: dict[int, Bits]) -> Bits:
        n, d = test.shape.bits, test.density
        if test.queries == "noisy" and memory:
            stored = memory[list(memory)[rng.integers(len(memory))]]
            kept = {bit for bit in stored if rng.random() >= 0.4}  # noqa: PLR2004
            others = np.setdiff1d(np.arange(n), list(stored))
            wrong = rng.choice(others, min(others.size, round(0.1 * len(stored))), replace=False)
            return frozenset(kept | set(wrong.tolist())) or frozenset({min(stored)})
        form = rng.integers(4)
        if form == 0:
            return frozenset({int(rng.integers(n))})
        if form == 1:
            size = min(n, int(rng.integers(2, 6)))
            return frozenset(rng.choice(n, size, replace=False).tolist())
        return _bits(rng, n, d if form == 2 else min(1.0, 2 * d))  # noqa: PLR2004

    @staticmethod
    def _answer(
        shape: CA3Shape, memory: dict[int, Bits], query: Bits
    ) -> dict[int, tuple[Bits, Bits]]:
        needed = shape.needed_overlap(len(query))
        cues = frozenset(c for c, stored in memory.items() if len(stored & query) >= needed)
        shows = {5: (NOTHING, query), 6: (cues, NOTHING)}
        if shape.completion and cues:
            shows[10] = (cues, NOTHING)
            shows[11] = (NOTHING, frozenset().union(*(memory[c] for c in cues)))
        return shows

    def trains(self) -> tuple[Train, Train]:
        """Return the input spikes: as the preset has it to learn, of one tick to recall."""
        shown, trains = self.test.shape.parameters.shown, []
        for side in ("cues", "bits"):
            ticks, neurons = [], []
            for op in self.operations:
                for after in shown if op.kind == "learn" else (0,):
                    for neuron in getattr(op, side):
                        ticks.append(op.tick + after)
                        neurons.append(neuron)
            trains.append(Train(np.array(ticks, float) * ms, np.array(neurons, np.int64)))
        return trains[0], trains[1]

    def judge(self, result: Result, wall: float, backend: str) -> StressReport:
        """Compare the output of ``result`` with the ideal."""
        t, shape = self.test, self.test.shape
        found, ideal = self._raster(result), self._ideal_raster()[: result.ticks]
        counts, wrong = dict.fromkeys(_READOUT, 0), dict.fromkeys(_READOUT, 0)
        sides = {"cues": slice(0, shape.cues), "bits": slice(shape.cues, None)}
        for op in self.operations:
            if op.tick + _LONGEST >= result.ticks:
                break
            counts[op.kind] += 1
            reads = _READOUT[op.kind]
            if op.kind == "content" and shape.completion:
                reads = (*reads, *_COMPLETED)
            if op.kind == "learn":
                reads = (*reads, (_again(shape), "cues"), (_again(shape), "bits"))
            wrong[op.kind] += any(
                (found[op.tick + after, sides[side]] != ideal[op.tick + after, sides[side]]).any()
                for after, side in reads
            )
        return StressReport(
            preset=shape.preset,
            backend=backend,
            cues=shape.cues,
            bits=shape.bits,
            density=t.density,
            operations=sum(counts.values()),
            learn_ms=t.learn_ms,
            recall_ms=t.recall_ms,
            threshold=shape.threshold,
            completion=shape.completion,
            seed=t.seed,
            counts=dict(counts),
            wrong=dict(wrong),
            missing_spikes=int((ideal & ~found).sum()),
            extra_spikes=int((found & ~ideal).sum()),
            model_ms=result.ticks,
            spikes=result.counters["spikes"],
            wall_s=round(wall, 3),
            status=result.status,
        )

    def _raster(self, result: Result) -> npt.NDArray[np.bool_]:
        shape = self.test.shape
        raster = np.zeros((result.ticks, shape.cues + shape.bits), bool)
        cue, content = result.spikes["OUTcue"], result.spikes["OUTcont"]
        raster[cue.ticks, cue.neurons] = True
        raster[content.ticks, content.neurons + shape.cues] = True
        return raster

    def _ideal_raster(self) -> npt.NDArray[np.bool_]:
        shape = self.test.shape
        raster = np.zeros((self.duration, shape.cues + shape.bits), bool)
        for op in self.operations:
            for after, (cues, bits) in op.shows.items():
                raster[op.tick + after, [*cues, *(b + shape.cues for b in bits)]] = True
        return raster


def _again(shape: CA3Shape) -> int:
    """Return when a learn shows its answer for the second time."""
    return _READOUT["learn"][0][0] + shape.parameters.shown[-1]


def _bits(rng: np.random.Generator, n: int, density: float) -> Bits:
    """Draw a content: each bit with probability ``density``, at least one."""
    while True:
        chosen = np.flatnonzero(rng.random(n) < density)
        if chosen.size:
            return frozenset(chosen.tolist())
