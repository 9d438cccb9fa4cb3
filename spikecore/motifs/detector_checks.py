"""Checks of what a motif layer is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.events import Spikes
from spikecore.quantities import require

__all__ = [
    "below",
    "chance",
    "checked_kernel",
    "checked_spikes",
    "checked_ticks",
    "finite",
    "per_motif",
    "per_synapse",
    "whole",
]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def per_synapse(given: npt.ArrayLike, size: int, place: str) -> npt.NDArray[Any]:
    """Return ``given`` as an array with one entry per synapse."""
    array = np.asarray(given)
    if array.shape != (size,):
        raise InvalidInput(
            place,
            "needs one value per synapse",
            got=f"shape {array.shape} for {size} synapses",
            fix="give source, target, weight and delay of each, in 1-d arrays",
        )
    return array


def whole(
    given: npt.ArrayLike, size: int, place: str, fix: str = "convert with .astype(int)"
) -> IndexArray:
    """Return ``given`` as integers, one per synapse."""
    array = per_synapse(given, size, place)
    if array.size and array.dtype.kind not in "iu":
        raise InvalidInput(place, "must hold integers", got=array.dtype, fix=fix)
    return array.astype(np.int64)


def below(array: IndexArray, size: int, place: str, name: str) -> None:
    """Raise unless all entries lie in 0 .. size - 1."""
    rule, fix = f"must lie in 0 .. {size - 1}", f"count from 0, or make {name} larger"
    require(array, (array >= 0) & (array < size), place, rule, fix=fix)


def finite(given: npt.ArrayLike, place: str) -> FloatArray:
    """Return ``given`` as finite numbers."""
    array = np.asarray(given, dtype=np.float64)
    flat = array.ravel() if array.ndim else array
    fix = "check where it comes from: 0/0, overflow, missing data"
    require(flat, np.isfinite(flat), place, "must be finite", fix=fix)
    return array


def per_motif(given: npt.ArrayLike, n_motifs: int, place: str) -> FloatArray:
    """Return one finite number per motif."""
    array = np.asarray(given, dtype=np.float64)
    if array.shape not in ((), (n_motifs,)):
        raise InvalidInput(
            place,
            "needs one value, or one per motif",
            got=f"shape {array.shape} for {n_motifs} motifs",
            fix=f"give {n_motifs} values, or one for all",
        )
    return np.array(np.broadcast_to(finite(array, place), (n_motifs,)))


def checked_kernel(given: npt.ArrayLike) -> FloatArray:
    """Return a dense kernel, shape (n_motifs, n_inputs, D)."""
    array = np.asarray(given, dtype=np.float64)
    if array.ndim != 3 or not array.size:  # noqa: PLR2004
        raise InvalidInput(
            "kernel",
            "must have three axes: motif, address, delay",
            got=f"shape {array.shape}",
            fix="use kernel[np.newaxis] for a single motif",
        )
    return finite(array, "kernel")


def checked_ticks(ticks: object) -> int:
    """Return a length in ticks."""
    if isinstance(ticks, bool) or not isinstance(ticks, int | np.integer) or ticks < 1:
        rule, fix = "must be a positive integer", "give the length in ticks"
        raise InvalidInput("ticks", rule, got=repr(ticks), fix=fix)
    return int(ticks)


def checked_spikes(spikes: Spikes, size: int, place: str, name: str) -> None:
    """Raise unless the spikes are in order and all addresses exist."""
    below(spikes.neurons, size, f"{place}.neurons", name)
    forward = np.diff(spikes.ticks, prepend=0) >= 0
    rule, fix = "must not go back, nor lie below 0", "sort them: Spikes.checked does"
    require(spikes.ticks, forward, f"{place}.ticks", rule, fix=fix)


def chance(value: float, place: str) -> None:
    """Raise unless ``value`` is a probability that leaves both outcomes possible."""
    fix = "use a fraction, not per cent"
    require(np.asarray(value), np.asarray(0.0 < value < 1.0), place, "must lie in (0, 1)", fix=fix)
