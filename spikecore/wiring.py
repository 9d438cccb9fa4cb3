"""Which neuron is connected to which, and how weights and delays are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.quantities import Quantity, magnitude, require

__all__ = [
    "AllToAll",
    "Normal",
    "OneToOne",
    "Pairs",
    "RandomPairs",
    "RandomTotal",
    "Spread",
    "Uniform",
    "Wiring",
]

IndexArray = npt.NDArray[np.int64]

RowArrays = tuple[IndexArray, npt.NDArray[np.uint32]]

PIECE = 1 << 16
"""Synapses that are drawn at a time: what is needed on the way stays in the cache."""

_REDRAWS = 30_000  # with one in a thousand inside, a value fails with probability 1e-13


@runtime_checkable
class Wiring(Protocol):
    """A rule that lists the synapses between two groups."""

    def pairs(
        self, n_source: int, n_target: int, rng: np.random.Generator
    ) -> tuple[IndexArray, IndexArray]:
        """Return source and target index of every synapse."""
        ...

    def check(self, n_source: int, n_target: int, place: str) -> None:
        """Raise if the rule does not fit groups of these sizes."""
        ...


@runtime_checkable
class RowWiring(Wiring, Protocol):
    """A rule that lists them source by source, and so needs no list of sources."""

    def rows(self, n_source: int, n_target: int, rng: np.random.Generator) -> RowArrays:
        """Return where the row of each source begins, and the target of every synapse."""
        ...


class _ByRow:
    """Pairs, from rows."""

    def pairs(
        self: RowWiring, n_source: int, n_target: int, rng: np.random.Generator
    ) -> tuple[IndexArray, IndexArray]:
        """Return source and target index of every synapse, source by source."""
        row, target = self.rows(n_source, n_target, rng)
        return np.repeat(np.arange(n_source, dtype=np.int64), np.diff(row)), target.astype(np.int64)


@dataclass(frozen=True)
class OneToOne(_ByRow):
    """Neuron i to neuron i; both groups have the same size."""

    def check(self, n_source: int, n_target: int, place: str) -> None:
        """Raise if the groups differ in size."""
        if n_source != n_target:
            raise InvalidInput(
                place,
                "OneToOne needs two groups of one size",
                got=f"{n_source} and {n_target}",
                fix="use Pairs(pre, post) to say which neurons are meant",
            )

    def rows(self, n_source: int, n_target: int, rng: np.random.Generator) -> RowArrays:
        """Return rows of one synapse each."""
        return np.arange(n_source + 1, dtype=np.int64), np.arange(n_source, dtype=np.uint32)


@dataclass(frozen=True)
class AllToAll(_ByRow):
    """Every neuron to every neuron.

    Attributes
    ----------
    self_connections : bool
        Whether i to i is included.
    """

    self_connections: bool = True

    def check(self, n_source: int, n_target: int, place: str) -> None:
        """Everything fits."""

    def rows(self, n_source: int, n_target: int, rng: np.random.Generator) -> RowArrays:
        """Return all targets for each source, or all but the source itself."""
        everyone = np.arange(n_target, dtype=np.uint32)
        length = np.full(n_source, n_target, np.int64)
        if self.self_connections:
            target = np.tile(everyone, n_source)
        else:
            both = min(n_source, n_target)
            length[:both] -= 1
            target = np.empty(int(length.sum()), np.uint32)
            for i in range(n_source):
                at = i * n_target - min(i, both)
                target[at : at + length[i]] = everyone[everyone != i]
        return _starts(length), target


@dataclass(frozen=True, eq=False)
class Pairs:
    """An explicit list of synapses.

    Attributes
    ----------
    pre, post : array_like of int
        Source and target of each synapse, equal lengths.
    duplicates : bool
        Declares that a pair may occur more than once.
    """

    pre: npt.ArrayLike
    post: npt.ArrayLike
    duplicates: bool = False

    def check(self, n_source: int, n_target: int, place: str) -> None:
        """Raise on floats, unequal lengths, indices out of range, undeclared duplicates."""
        arrays = []
        for label, given, size in (("pre", self.pre, n_source), ("post", self.post, n_target)):
            array = np.asarray(given)
            if array.ndim != 1:
                raise InvalidInput(f"{place}.{label}", "must be a 1-d array", got=array.shape)
            if array.size and array.dtype.kind not in "iu":
                raise InvalidInput(
                    f"{place}.{label}",
                    "must hold integers",
                    got=array.dtype,
                    fix="convert with .astype(int)",
                )
            require(
                array,
                (array >= 0) & (array < size),
                f"{place}.{label}",
                f"must lie in 0 .. {size - 1}",
                fix=f"the group has {size} neurons, numbered from 0",
            )
            arrays.append(array)
        pre, post = arrays
        if pre.size != post.size:
            raise InvalidInput(
                place,
                "pre and post must have one length",
                got=f"{pre.size} and {post.size}",
                fix="give source and target of each synapse",
            )
        if not self.duplicates and pre.size:
            self._check_duplicates(pre, post, n_target, place)

    @staticmethod
    def _check_duplicates(pre: IndexArray, post: IndexArray, n_target: int, place: str) -> None:
        key = pre.astype(np.int64)
        key *= n_target
        key += post
        unsorted = bool((key[1:] < key[:-1]).any())
        again = np.sort(key) if unsorted else key
        if (again[1:] != again[:-1]).all():
            return
        order = np.argsort(key, kind="stable")  # once more, to say which
        again = np.flatnonzero(np.diff(key[order]) == 0)
        if again.size:
            first = int(order[again + 1].min())
            raise InvalidInput(
                place,
                "lists a synapse twice",
                got=f"{pre[first]} -> {post[first]}",
                index=first,
                count=again.size,
                fix="Pairs(..., duplicates=True) if that is meant",
            )

    def pairs(
        self, n_source: int, n_target: int, rng: np.random.Generator
    ) -> tuple[IndexArray, IndexArray]:
        """Return the list as given."""
        return (np.asarray(self.pre, dtype=np.int64), np.asarray(self.post, dtype=np.int64))


@dataclass(frozen=True)
class RandomPairs(_ByRow):
    """Each possible synapse exists with one probability, independently of the others.

    Attributes
    ----------
    probability : float
        From 0 to 1.
    self_connections : bool
        Whether i to i may exist.
    """

    probability: float
    self_connections: bool = True

    def check(self, n_source: int, n_target: int, place: str) -> None:
        """Raise if the probability is not one."""
        if not 0.0 <= self.probability <= 1.0:
            raise InvalidInput(
                f"{place}.probability",
                "must lie in 0 .. 1",
                got=self.probability,
                fix="use a fraction, not per cent",
            )

    def rows(self, n_source: int, n_target: int, rng: np.random.Generator) -> RowArrays:
        """Draw the synapses by geometric gaps: work in proportion to their number."""
        total, p = n_source * n_target, self.probability
        length = np.zeros(n_source, np.int64)
        if p == 0.0 or total == 0:
            return _starts(length), np.empty(0, np.uint32)
        target = np.empty(_ample(total * p), np.uint32)
        at, last = 0, -1
        while last < total:
            flat = np.cumsum(rng.geometric(p, size=min(PIECE, _ample((total - last) * p))))
            flat += last
            last = int(flat[-1])
            if last >= total:
                flat = flat[: np.searchsorted(flat, total)]
            if not flat.size:
                break
            pre = flat // n_target
            post = flat - pre * n_target
            if not self.self_connections:
                keep = pre != post
                pre, post = pre[keep], post[keep]
            if at + post.size > target.size:
                target = np.concatenate([target[:at], np.empty(target.size, np.uint32)])
            target[at : at + post.size] = post
            at += post.size
            if pre.size:  # in order
                length[pre[0] : pre[-1] + 1] += np.bincount(pre - pre[0])
        return _starts(length), target[:at]


def _ample(expected: float) -> int:
    """Return a number that a count of synapses, expected to be so large, hardly exceeds."""
    return int(expected + 4.0 * np.sqrt(expected) + 16)


def _starts(length: IndexArray) -> IndexArray:
    row = np.zeros(length.size + 1, np.int64)
    np.cumsum(length, out=row[1:])
    return row


@dataclass(frozen=True)
class RandomTotal(_ByRow):
    """A given number of synapses, each between a source and a target drawn evenly.

    A pair may occur more than once ("fixed total number" with multapses in NEST).

    Attributes
    ----------
    number : int
        Synapses in all.
    """

    number: int

    def check(self, n_source: int, n_target: int, place: str) -> None:
        """Raise if the number is not one."""
        if isinstance(self.number, bool) or not isinstance(self.number, int | np.integer):
            raise InvalidInput(
                f"{place}.number", "must be an integer", got=repr(self.number), fix="use int(...)"
            )
        if self.number < 0:
            raise InvalidInput(
                f"{place}.number", "must not be negative", got=self.number, fix="use 0 or more"
            )

    def rows(self, n_source: int, n_target: int, rng: np.random.Generator) -> RowArrays:
        """Draw how many synapses each source has, then their targets."""
        length = rng.multinomial(self.number, np.full(n_source, 1.0 / n_source))
        target = np.empty(self.number, np.uint32)
        for lo in range(0, target.size, PIECE):
            own = target[lo : lo + PIECE]
            own[:] = rng.integers(0, n_target, own.size)
        return _starts(length.astype(np.int64, copy=False)), target


@dataclass(frozen=True)
class Uniform:
    """Values drawn evenly from ``low`` to ``high`` (both quantities of one dimension)."""

    low: Quantity
    high: Quantity

    def draw(
        self, size: int, dimension: str, place: str, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw ``size`` values in the canonical unit."""
        low, high = (
            float(magnitude(v, dimension, place, single=True)) for v in (self.low, self.high)
        )
        if low > high:
            got = f"{self.low} .. {self.high}"
            raise InvalidInput(place, "low must not exceed high", got=got, fix="exchange them")
        return rng.uniform(low, high, size)


@dataclass(frozen=True)
class Normal:
    """Values drawn from a normal distribution (all quantities of one dimension).

    Attributes
    ----------
    mean, sd : Quantity
    low, high : Quantity, optional
        What lies outside is drawn again. At least one value in a thousand must lie
        inside, or the draw is refused.
    """

    mean: Quantity
    sd: Quantity
    low: Quantity | None = None
    high: Quantity | None = None

    def draw(
        self, size: int, dimension: str, place: str, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw ``size`` values in the canonical unit."""
        mean = float(magnitude(self.mean, dimension, place, single=True))
        sd = float(magnitude(self.sd, dimension, place, at_least=0.0, single=True))
        low, high = (
            edge if v is None else float(magnitude(v, dimension, place, single=True))
            for v, edge in ((self.low, -np.inf), (self.high, np.inf))
        )
        values = rng.normal(mean, sd, size)
        outside = np.flatnonzero((values < low) | (values > high))
        for _ in range(_REDRAWS):
            if not outside.size:
                return values
            again = rng.normal(mean, sd, outside.size)
            values[outside] = again
            outside = outside[(again < low) | (again > high)]
        raise InvalidInput(
            place,
            "low .. high must hold more of the distribution",
            got=f"{self.low or -np.inf} .. {self.high or np.inf} for {self.mean} +- {self.sd}",
            fix="widen the limits",
        )


Spread = Uniform | Normal
"""A distribution that weights or delays may be drawn from."""
