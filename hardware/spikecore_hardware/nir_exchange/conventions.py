"""Units and conventions that both directions share, and the error that lists what is not said.

NIR counts time in seconds and gives voltages and currents no unit. Here

- 1 is a millivolt (voltages are relative to rest) and, for currents, a nanoampere;
- a spike is a pulse of height 1 that lasts one tick, so that ``r dt / tau`` is what it
  lifts the membrane by: with ``r = tau / dt``, by the weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import CapabilityRefused, SpikecoreError

__all__ = ["DT", "GROUPS", "PORT", "NIRRefused", "alike", "from_seconds", "rounded", "to_seconds"]

FloatArray = npt.NDArray[np.float64]

DT = "spikecore_dt"
"""Metadata of a graph: the tick (s), which is the length of a spike."""
GROUPS = "spikecore_groups"
"""Metadata of a graph: the groups in their order, one a line."""
PORT = "spikecore_port"
"""Metadata of a weight: the port at which its projection arrives."""

DIGITS = 15
"""Decimal digits that a float keeps for certain."""


class NIRRefused(CapabilityRefused):
    """NIR cannot say this network, or spikecore cannot run this graph; all reasons at once."""

    def __init__(self, place: str, rule: str, reasons: Sequence[str], fix: str) -> None:
        self.backend = "nir"
        self.reasons = tuple(reasons)
        listed = "; ".join(f"({n}) {reason}" for n, reason in enumerate(reasons, 1))
        SpikecoreError.__init__(self, place, f"{rule}: {listed}", fix=fix)


def rounded(values: npt.ArrayLike) -> FloatArray:
    """Return ``values`` to 15 significant digits: what a detour through other units leaves."""
    array = np.asarray(values, dtype=np.float64)
    near = [float(f"{value:.{DIGITS}g}") for value in array.ravel()]
    return np.array(near).reshape(array.shape)


def to_seconds(ms: npt.ArrayLike) -> FloatArray:
    """Convert milliseconds."""
    return np.asarray(ms, dtype=np.float64) / 1e3


def from_seconds(seconds: npt.ArrayLike) -> FloatArray:
    """Convert to milliseconds, undoing :func:`to_seconds` for values of up to 15 digits."""
    return rounded(np.asarray(seconds, dtype=np.float64) * 1e3)


def alike(values: npt.ArrayLike) -> Any:
    """Return one value if all are equal, else a flat array."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return float(array[0]) if array.size and np.all(array == array[0]) else array
