"""Sources of spikes: trains that the user gives, and random ones on named streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.events import Spikes
from spikecore.quantities import Quantity, magnitude, ms, off_grid, require
from spikecore.randomness import (
    LARGEST,
    counter_bits,
    counter_key,
    poisson_steps,
    stream,
)

__all__ = ["Input", "Poisson", "PoissonCounts", "Train"]

MAX_COUNT = 50
"""Spikes of one neuron that may be expected in a tick."""

BLOCK = 1024
"""Ticks drawn at a time; each block has a stream of its own, so that a run in
pieces draws the same spikes as a run in one go."""


@dataclass(frozen=True, eq=False)
class Train:
    """Spikes at given times.

    Attributes
    ----------
    times : Quantity, shape (N,)
        Spike times (time), on the grid.
    neurons : array_like of int, shape (N,)
        Neuron of each spike.
    strict : bool
        Refuse unsorted times instead of sorting them.
    rounding : {"refuse", "nearest"}
        What to do with times between two ticks.
    """

    times: Quantity
    neurons: npt.ArrayLike
    strict: bool = False
    rounding: str = "refuse"


@dataclass(frozen=True)
class Poisson:
    """Independent Poisson spikes, at most one per neuron and tick.

    Attributes
    ----------
    rate : Quantity
        One rate, or one for each neuron (rate, Hz). In ticks of dt the chance of
        a spike is ``1 - exp(-rate dt)``.
    start, stop : Quantity
        When the source is on (time); ``stop`` None means always.
    """

    rate: Quantity
    start: Quantity = field(default_factory=lambda: 0.0 * ms)
    stop: Quantity | None = None


@dataclass(frozen=True)
class PoissonCounts:
    """Independent Poisson spikes, any number per neuron and tick: the form for high rates.

    The number for neuron i in tick t is found by inversion of 64 bits that depend on the
    seed, the name of the input, i and t alone. A GPU draws them for itself, where they
    are needed, and draws the same as every other backend (docs/backends).

    Attributes
    ----------
    rate : Quantity
        One rate, or one for each neuron (rate, Hz).

    Notes
    -----
    Generator: Philox2x32 with 10 rounds (Salmon et al. 2011, "Parallel random numbers: as
    easy as 1, 2, 3"). Counter: neuron and tick; key: from the seed and the name.
    """

    rate: Quantity


@dataclass(frozen=True, eq=False)
class Input:
    """A group of spike sources.

    Parameters
    ----------
    name : str
        Unique in the network.
    size : int
        Number of sources.
    source : Train, Poisson, PoissonCounts or None
        Where the spikes come from. None: they are fed while the simulation runs
        (:meth:`spikecore.Simulation.feed`).
    record : bool
        Whether the result holds the spikes of the input. False saves memory where
        sources are many and fast.

    Raises
    ------
    InvalidInput
        If the size is not a positive integer or a rate is out of range.
    """

    name: str
    size: int
    source: Train | Poisson | PoissonCounts | None = None
    record: bool = True

    def __post_init__(self) -> None:
        check_size(self.size, f"Input {self.name!r}.size")
        if isinstance(self.source, Poisson | PoissonCounts):
            rate = magnitude(self.source.rate, "rate", f"Input {self.name!r}.rate", at_least=0.0)
            if rate.ndim and rate.size != self.size:
                raise InvalidInput(
                    f"Input {self.name!r}.rate",
                    "needs one value, or one per neuron",
                    got=f"{rate.size} values for {self.size} neurons",
                    fix=f"give {self.size} values, or one for all",
                )
            for label in ("start", "stop"):
                value = getattr(self.source, label, None)
                if value is not None:
                    place = f"Input {self.name!r}.{label}"
                    magnitude(value, "time", place, at_least=0.0, single=True)
        elif self.source is not None and not isinstance(self.source, Train):
            raise InvalidInput(
                f"Input {self.name!r}.source",
                "must be Train, Poisson, PoissonCounts or None",
                got=type(self.source).__name__,
                fix="write e.g. Train([1, 2] * ms, [0, 0])",
            )

    def bind(self, dt: float, seed: int) -> BoundInput:
        """Return the source on a grid and a seed, ready to be asked for spikes."""
        return BoundInput(self, dt, seed)


@dataclass(frozen=True, eq=False)
class CountTable:
    """How many spikes 64 random bits mean.

    Attributes
    ----------
    key : int
        Of the generator, 32 bits.
    steps : ndarray of uint64, shape (kinds, steps)
        The number of spikes is the number of steps that the random number reaches.
    kind : ndarray of int32, shape (N,)
        Row of ``steps`` for each neuron.
    """

    key: int
    steps: npt.NDArray[np.uint64]
    kind: npt.NDArray[np.int32]

    def draw(self, neurons: npt.NDArray[np.uint32], tick: int) -> npt.NDArray[np.int64]:
        """Return the number of spikes of each of ``neurons`` in ``tick``."""
        bits = counter_bits(neurons, np.uint32(tick & 0xFFFFFFFF), self.key)
        number = np.empty(bits.size, np.int64)
        kind = self.kind[neurons]
        for k, steps in enumerate(self.steps):
            own = kind == k
            number[own] = np.searchsorted(steps, bits[own], "right")
        return number


@dataclass(frozen=True, eq=False)
class BoundInput:
    """An :class:`Input` on a grid, with its random stream."""

    input: Input
    dt: float
    seed: int

    @cached_property
    def _train(self) -> Spikes | None:
        source = self.input.source
        if not isinstance(source, Train):
            return None
        return Spikes.checked(
            source.times,
            source.neurons,
            size=self.input.size,
            dt=self.dt,
            place=f"Input {self.input.name!r}",
            strict=source.strict,
            rounding=source.rounding,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to a given train."""
        source, place = self.input.source, f"Input {self.input.name!r}.times"
        if not isinstance(source, Train):
            return ()
        notes = []
        if np.any(np.diff(source.times.value) < 0):
            notes.append(f"{place}: sorted")
        moved = int(off_grid(source.times.value, self.dt).sum())
        if moved:
            notes.append(f"{place}: {moved} rounded to the grid")
        return tuple(notes)

    @property
    def spikes_a_tick(self) -> float | None:
        """How many spikes all sources together send a tick, on average; None if they are fed."""
        source = self.input.source
        if source is None:
            return None
        if self._train is not None:
            ticks = self._train.ticks
            return ticks.size / (int(ticks[-1]) + 1) if ticks.size else 0.0
        assert isinstance(source, Poisson | PoissonCounts)
        rate = np.broadcast_to(np.asarray(source.rate.value, np.float64), (self.input.size,))
        return float(rate.sum()) * self.dt * 1e-3

    def given_from(self, tick: int) -> int:
        """Return how many given spikes lie in ``tick`` or later."""
        return 0 if self._train is None else int(np.count_nonzero(self._train.ticks >= tick))

    def spikes(self, start: int, stop: int) -> Spikes:
        """Return the spikes of ticks ``start`` to ``stop - 1``, sorted."""
        if self._train is not None:
            return self._train.between(start, stop)
        if isinstance(self.input.source, PoissonCounts):
            return self._counted(start, stop)
        if not isinstance(self.input.source, Poisson):
            return Spikes(np.empty(0, np.int64), np.empty(0, np.int64), self.dt)
        blocks = [self._block(b) for b in range(start // BLOCK, -(-stop // BLOCK))]
        if not blocks:
            return Spikes(np.empty(0, np.int64), np.empty(0, np.int64), self.dt)
        ticks = np.concatenate([block.ticks for block in blocks])
        neurons = np.concatenate([block.neurons for block in blocks])
        return Spikes(ticks, neurons, self.dt).between(start, stop)

    @cached_property
    def counts(self) -> CountTable:
        """What :class:`PoissonCounts` draws with.

        Raises
        ------
        InvalidInput
            If more than :data:`MAX_COUNT` spikes of a neuron are to be expected in a tick.
        """
        source = self.input.source
        assert isinstance(source, PoissonCounts)
        rate = np.atleast_1d(np.asarray(source.rate.value, np.float64))
        require(
            rate,
            rate * self.dt * 1e-3 <= MAX_COUNT,
            f"Input {self.input.name!r}.rate",
            f"must not exceed {MAX_COUNT} spikes in a tick",
            "Hz",
            fix="use a smaller dt, or several inputs",
        )
        kinds, kind = np.unique(rate, return_inverse=True)
        steps = [poisson_steps(float(k) * self.dt * 1e-3) for k in kinds]
        table = np.full((kinds.size, max(map(len, steps))), LARGEST)
        for row, own in zip(table, steps, strict=True):
            row[: own.size] = own
        return CountTable(
            counter_key(self.seed, f"input/{self.input.name}"),
            table,
            np.broadcast_to(kind, (self.input.size,)).astype(np.int32),
        )

    def _counted(self, start: int, stop: int) -> Spikes:
        counts = self.counts
        each = np.arange(self.input.size, dtype=np.uint32)
        ticks, neurons = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for t in range(start, stop):
            number = counts.draw(each, t)
            neurons.append(np.repeat(np.arange(self.input.size), number))
            ticks.append(np.full(neurons[-1].size, t))
        return Spikes(np.concatenate(ticks), np.concatenate(neurons), self.dt)

    def _block(self, block: int) -> Spikes:
        source = self.input.source
        assert isinstance(source, Poisson)
        rate = np.broadcast_to(np.asarray(source.rate.value), (self.input.size,))
        chance = -np.expm1(-rate * self.dt * 1e-3)
        rng = stream(self.seed, f"input/{self.input.name}", block)
        ticks, neurons = _distinct(rng, rng.binomial(BLOCK, chance))
        ticks += block * BLOCK
        first = np.ceil(float(source.start.value) / self.dt - 1e-9)
        last = np.inf if source.stop is None else float(source.stop.value) / self.dt - 1e-9
        keep = (ticks >= first) & (ticks < last)
        return Spikes(ticks[keep], neurons[keep], self.dt)


def _distinct(
    rng: np.random.Generator, number: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw, for each neuron, ``number`` different ticks of a block, all equally likely.

    Returns ticks and neurons, sorted. What is drawn a second time is drawn again. Where more than
    half of the ticks are wanted, those in which the neuron is silent are drawn.
    """
    size = number.size
    crowded = number > BLOCK // 2
    left = np.repeat(np.arange(size), np.where(crowded, BLOCK - number, number))
    found = np.empty(0, np.int64)
    while left.size:
        found = np.sort(np.concatenate([found, rng.integers(0, BLOCK, left.size) * size + left]))
        again = found[1:] == found[:-1]
        left = found[1:][again] % size
        found = np.append(found[:1], found[1:][~again])
    if crowded.any():
        fires = np.zeros((BLOCK, size), np.bool_)
        fires.reshape(-1)[found] = True
        found = np.flatnonzero(fires != crowded)
    ticks, neurons = np.divmod(found, size)
    return ticks, neurons


def check_size(size: object, place: str) -> int:
    """Return ``size`` if it is a positive integer.

    Raises
    ------
    InvalidInput
        Otherwise.
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise InvalidInput(place, "must be an integer", got=repr(size), fix="use int(...)")
    if size < 1:
        raise InvalidInput(
            place, "must be at least 1", got=size, fix="use 1 or more, or leave the group out"
        )
    return int(size)
