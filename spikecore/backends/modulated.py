"""A modulation on the grid: which neuron acts on which synapse, and by what factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.modulation import Modulation

__all__ = ["LoweredModulation", "lower_modulation"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LoweredModulation:
    """Factors ``max(floor, base + gain * x)``, or steps of ``gain`` where ``x > threshold``.

    Attributes
    ----------
    start, size : int
        Numbers of the neurons that act.
    state : int
        Index of the state ``x``, relative to the offset of its population.
    who : ndarray of uint32, shape (M,)
        The neuron that acts on each synapse, within its population; row order.
    base : ndarray, shape (size,)
    gain, floor : float
    threshold : ndarray, shape (size,), or None
    covers : frozenset of str
        What it multiplies: delivery, potentiation, depression.
    """

    start: int
    size: int
    state: int
    who: npt.NDArray[np.uint32]
    base: FloatArray
    gain: float
    floor: float
    threshold: FloatArray | None
    covers: frozenset[str]

    def factors(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the factor of each acting neuron from its state, in the precision of ``x``."""
        kind = x.dtype.type
        base = self.base.astype(x.dtype)
        if self.threshold is None:
            found = base + kind(self.gain) * x
        else:
            found = np.where(x > self.threshold.astype(x.dtype), base + kind(self.gain), base)
        factors: npt.NDArray[Any] = np.maximum(found, kind(self.floor))
        return factors


def lower_modulation(
    m: Modulation, start: int, state: int, who: IndexArray, offset: FloatArray
) -> LoweredModulation:
    """Lower ``m`` for neurons from ``start`` on, whose shown state is ``x + offset``."""
    step = m.threshold is not None
    return LoweredModulation(
        start=start,
        size=offset.size,
        state=state,
        who=who.astype(np.uint32),
        base=np.full(offset.size, float(m.base)) if step else m.base + m.gain * offset,
        gain=float(m.gain),
        floor=0.0,
        threshold=None if m.threshold is None else float(m.threshold.value) - offset,
        covers=m.covers,
    )
