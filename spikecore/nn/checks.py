"""What is checked before a layer computes."""

from __future__ import annotations

import torch
from torch import Tensor

from spikecore.errors import InvalidInput

__all__ = ["check_activity"]

_AXES = 3


def check_activity(place: str, given: Tensor, size: int, *, finite: bool = True) -> None:
    """Raise unless ``given`` is a finite tensor of shape (T, B, ``size``).

    Whether it is ``finite`` need not be asked: the answer cannot be had within a CUDA graph.

    Raises
    ------
    InvalidInput
        If it has another shape, an integer type, no ticks, or a value that is not finite.
    """
    if not isinstance(given, Tensor) or not given.is_floating_point():
        kind = given.dtype if isinstance(given, Tensor) else type(given).__name__
        raise InvalidInput(
            place, "must be a tensor of floats", got=kind, fix="use torch.as_tensor(...).float()"
        )
    if given.ndim != _AXES or given.shape[2] != size or not len(given):
        raise InvalidInput(
            place,
            f"must have shape (T, B, {size}): ticks, batch, neurons",
            got=tuple(given.shape),
            fix="put time first; add a batch axis with .unsqueeze(1)",
        )
    if not finite:
        return
    good = torch.isfinite(given)
    if not bool(good.all()):
        first = tuple((~good).nonzero()[0].tolist())
        raise InvalidInput(
            place,
            "must be finite",
            got=f"{given[first].item()} at tick, sample, neuron {first}",
            count=int((~good).sum()),
            fix="check where it comes from: 0/0, overflow, missing data",
        )
