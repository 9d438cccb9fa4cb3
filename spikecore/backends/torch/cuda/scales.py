"""What a whole step of each cell is worth, so that no sum of arrivals can overflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredProjection
from spikecore.backends.torch.layout import Cells

__all__ = ["MOST_GIVEN", "Scale", "scales_of"]

MOST_GIVEN = 16
"""Spikes of one input neuron in one tick that sums have room for."""

_ROOM = {4: 30, 8: 62}  # bits of a sum, by its size in bytes


@dataclass(frozen=True)
class Scale:
    """The steps of one port of one population.

    Attributes
    ----------
    exponent : int
        A unit of weight is ``2**exponent`` steps.
    log_bound : float
        Logarithm (base 2) of the largest sum that can arrive in a tick, in units.
    """

    exponent: int
    log_bound: float

    @property
    def step(self) -> float:
        """What a step is worth."""
        return float(2.0**-self.exponent)

    @property
    def per_unit(self) -> float:
        """Steps in a unit of weight."""
        return float(2.0**self.exponent)


def scales_of(
    lowered: Lowered,
    cells: Cells,
    weights: list[npt.NDArray[Any]],
    size: int,
    most: dict[int, int],
    under_way: dict[int, float],
) -> dict[int, Scale]:
    """Choose the finest steps of each group of cells, by the number of its first cell.

    Parameters
    ----------
    lowered, cells
    weights : list of ndarray
        Of each projection.
    size : int
        Bytes of a sum.
    most : dict of int to int
        By projection: spikes of one source in one tick, where it is not one.
    under_way : dict of int to float
        By the number of the first cell: the largest sum that is waiting, in units.
    """
    chosen = {}
    for first in sorted(set(cells.first.values())):
        reaching = [i for i, p in enumerate(lowered.projections) if cells.of(lowered, p) == first]
        logs = [_log_bound(lowered.projections[i], weights[i], most.get(i, 1)) for i in reaching]
        waiting = under_way.get(first, 0.0)
        if waiting > 0.0:
            logs.append(float(np.log2(waiting)))
        bound = float(np.logaddexp2.reduce([log for log in logs if log > -np.inf] or [0.0]))
        chosen[first] = Scale(int(np.floor(_ROOM[size] - bound)), bound)
    return chosen


def _log_bound(p: LoweredProjection, weight: npt.NDArray[Any], most: int) -> float:
    """Bound what can arrive at one neuron if all sources fire at once."""
    values = np.abs(weight.astype(np.float64))
    if p.plasticity is not None:
        values = np.full(1, max(map(abs, p.plasticity.bounds)))
    largest = values.max(initial=0.0)
    if largest == 0.0 or p.size == 0:
        return -np.inf
    if values.size == 1:
        total = np.bincount(p.target, minlength=1).max()
    else:
        total = np.bincount(p.target, values / largest, minlength=1).max()
    return float(np.log2(largest) + np.log2(total) + np.log2(most))
