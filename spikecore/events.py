"""Spike arrays: which neuron fired in which tick, validated once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.quantities import Quantity, require, ticks_of

__all__ = ["Spikes"]

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spikes of one group, sorted by tick, then by neuron.

    Attributes
    ----------
    ticks, neurons : ndarray of int64, shape (N,)
        When and who.
    dt : float
        Length of a tick, ms.
    """

    ticks: IndexArray
    neurons: IndexArray
    dt: float = 1.0

    @classmethod
    def checked(
        cls,
        times: Quantity,
        neurons: npt.ArrayLike,
        *,
        size: int,
        dt: float,
        place: str,
        strict: bool = False,
        rounding: str = "refuse",
    ) -> Spikes:
        """Validate spike times and neuron indices given by a user.

        Parameters
        ----------
        times : Quantity, shape (N,)
            Spike times, on the grid of ``dt``. Unsorted times are sorted unless
            ``strict``. Two spikes of one neuron in one tick stay two arrivals.
        neurons : array_like of int, shape (N,)
            Neuron of each spike, 0 .. size - 1.
        size : int
            Size of the group.
        dt : float
            Length of a tick, ms.
        place : str
            How errors name the train.
        strict : bool
            Refuse unsorted times.
        rounding : {"refuse", "nearest"}
            What to do with times between two ticks.

        Raises
        ------
        InvalidInput
            If a time is negative, NaN or off the grid, a neuron does not exist,
            lengths differ, or (strict) times go back.
        """
        ticks = np.atleast_1d(ticks_of(times, dt, f"{place}.times", rounding=rounding))
        index = np.atleast_1d(np.asarray(neurons))
        if index.size and index.dtype.kind not in "iu":
            raise InvalidInput(
                f"{place}.neurons", "must hold integers", got=index.dtype, fix="use .astype(int)"
            )
        if index.shape != ticks.shape:
            raise InvalidInput(
                place,
                "times and neurons must have one length",
                got=f"{ticks.size} and {index.size}",
                fix="give time and neuron of each spike",
            )
        require(
            index,
            (index >= 0) & (index < size),
            f"{place}.neurons",
            f"must lie in 0 .. {size - 1}",
            fix=f"the group has {size} neurons, numbered from 0",
        )
        if strict:
            back = np.flatnonzero(np.diff(ticks) < 0)
            if back.size:
                raise InvalidInput(
                    f"{place}.times",
                    "must not go back",
                    index=int(back[0]) + 1,
                    count=back.size,
                    got=f"{ticks[back[0] + 1] * dt:g} ms",
                    fix="sort the times, or drop strict=True",
                )
        order = np.lexsort((index, ticks))
        return cls(ticks[order], index[order].astype(np.int64), dt)

    def __len__(self) -> int:
        return int(self.ticks.size)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Spike times in ms, shape (N,)."""
        return self.ticks * np.float64(self.dt)

    def of(self, neuron: int) -> npt.NDArray[np.float64]:
        """Return the spike times (ms) of one neuron."""
        own: npt.NDArray[np.float64] = self.times[self.neurons == neuron]
        return own

    def between(self, start: int, stop: int) -> Spikes:
        """Return the spikes of ticks ``start`` to ``stop - 1``."""
        lo, hi = np.searchsorted(self.ticks, [start, stop])
        return Spikes(self.ticks[lo:hi], self.neurons[lo:hi], self.dt)

    def counts(self, size: int) -> IndexArray:
        """Return the number of spikes of each neuron, shape (size,)."""
        return np.bincount(self.neurons, minlength=size).astype(np.int64)
