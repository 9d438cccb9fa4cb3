"""The astrocyte's memory driven by spikes: where nothing fires, nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.astro.checks import check_choice, check_number
from spikecore.astro.memory import FLOOR, Variant
from spikecore.errors import InvalidInput

__all__ = ["EventMemory"]

FloatArray = npt.NDArray[np.float64]
Indices = Sequence[int] | npt.NDArray[np.integer[Any]]


class EventMemory:
    """One astrocyte's memory for keys and queries made of spikes.

    The same numbers as :func:`spikecore.astro.memory.step` with keys and queries of 0 and 1. A
    spike of key i changes column i of H and no other; a spike of query i reads it. Each column
    keeps the time of its last change and fades when it is next touched, by the closed form.
    For an astrocyte with a clock, times are the sums of its paces so far, and ``pace`` what the
    tick of a write adds to them.

    Parameters
    ----------
    variant : Variant or str
        Any but "none".
    d_k, d_v : int
        Length of keys and of values; equal for "diag".
    tau_a : float
        Time constant in ticks.

    Attributes
    ----------
    operations : int
        Multiply-adds so far: d_v (1 for "diag") for every column that a spike touches. Fading a
        column is one of them; ticks without spikes need none.

    Raises
    ------
    InvalidInput
        If a size or the time constant is out of range.

    Examples
    --------
    >>> from spikecore.astro import EventMemory
    >>> memory = EventMemory("matrix", d_k=4, d_v=2, tau_a=100.0)
    >>> memory.write(0, [1], [1.0, -1.0])
    >>> memory.read(100, [1])
    array([ 0.36787944, -0.36787944])
    >>> memory.operations
    4
    """

    def __init__(self, variant: Variant | str, *, d_k: int, d_v: int, tau_a: float) -> None:
        self.variant: Variant = check_choice("EventMemory.variant", variant, Variant)
        for name, value in (("d_k", d_k), ("d_v", d_v)):
            check_number(f"EventMemory.{name}", value, above=0, whole=True)
        check_number("EventMemory.tau_a", tau_a, above=0.0)
        if self.variant is Variant.NONE or (self.variant is Variant.DIAG and d_k != d_v):
            rule = "needs a variant that stores, and for 'diag' d_k = d_v"
            fix = "use 'matrix', or equal sizes"
            raise InvalidInput(
                "EventMemory", rule, got=f"{self.variant.value}, {d_k}, {d_v}", fix=fix
            )
        rows = {Variant.DIAG: 1, Variant.NORMALISED: d_v + 1}.get(self.variant, d_v)
        self.tau_a, self.d_k, self.d_v = float(tau_a), d_k, d_v
        self.columns: FloatArray = np.zeros((d_k, rows))
        self.touched = np.zeros(d_k)
        self.now: float = 0
        self.operations = 0

    def write(
        self, tick: float, keys: Indices, value: Any, gate: float = 1.0, pace: float = 1.0
    ) -> None:
        """Write a value under the keys that fire.

        Parameters
        ----------
        tick : float
            Not before that of the last call.
        keys : sequence of int
            Which keys fire, each once.
        value : array_like, shape (d_v,)
        gate : float
            Strength w.
        pace : float
            How much of the astrocyte's own time this tick is; for "delta", which compares with
            what was there a tick ago.

        Raises
        ------
        InvalidInput
            If time runs backwards, a key does not exist or comes twice, or the value has
            another shape.
        """
        at = self._checked("write", tick, keys)
        given = np.asarray(value, dtype=np.float64)
        if given.shape != (self.d_v,):
            rule = f"must have shape ({self.d_v},)"
            raise InvalidInput(
                "EventMemory.write value", rule, got=given.shape, fix="give d_v numbers"
            )
        if not len(at):
            return
        columns = self._faded(at, tick)
        if self.variant is Variant.DIAG:
            columns[:, 0] += gate * given[at]
        else:
            if self.variant is Variant.NORMALISED:
                given = np.append(given, 1.0)
            elif self.variant is Variant.DELTA:  # what was there a tick ago
                given = given - columns.sum(0) * np.exp(pace / self.tau_a)
                self.operations += columns.size
            columns += gate * given
        self.columns[at], self.touched[at] = columns, tick
        self.operations += columns.size

    def read(self, tick: float, queries: Indices) -> FloatArray:
        """Return ``H q``, shape (d_v,), at a tick, after what was written in it.

        Raises
        ------
        InvalidInput
            As :meth:`write`.
        """
        at = self._checked("read", tick, queries)
        columns = self._faded(at, tick)
        self.operations += columns.size
        if self.variant is Variant.DIAG:
            out = np.zeros(self.d_v)
            out[at] = columns[:, 0]
            return out
        total: FloatArray = columns.sum(0)
        if self.variant is Variant.NORMALISED:
            total = total[:-1] / max(total[-1], FLOOR)
        return total

    def dense(self, tick: float) -> FloatArray:
        """Return all of H at a tick, shape (rows, d_k), as the dense form holds it."""
        return self._faded(np.arange(self.d_k), tick).T

    def _faded(self, at: npt.NDArray[np.int64], tick: float) -> FloatArray:
        age = (tick - self.touched[at])[:, None]
        faded: FloatArray = self.columns[at] * np.exp(-age / self.tau_a)
        return faded

    def _checked(self, what: str, tick: float, spikes: Indices) -> npt.NDArray[np.int64]:
        place = f"EventMemory.{what}"
        if tick < self.now:
            fix = "sort events by time"
            raise InvalidInput(f"{place} tick", f"must be at least {self.now}", got=tick, fix=fix)
        at = np.asarray(spikes, dtype=np.int64)
        if at.ndim != 1 or len(np.unique(at)) != len(at) or ((at < 0) | (at >= self.d_k)).any():
            rule = f"must be different whole numbers from 0 to {self.d_k - 1}"
            raise InvalidInput(
                f"{place} spikes", rule, got=at.tolist(), fix="give np.flatnonzero(k)"
            )
        self.now = tick
        return at
