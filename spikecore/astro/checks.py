"""What is checked before a unit is built or computes."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, get_args

from torch import Tensor

from spikecore.errors import InvalidInput, UnknownName

__all__ = ["check_activity", "check_choice", "check_number", "check_range"]

_AXES = 3


def check_activity(place: str, given: Any, features: int) -> None:
    """Raise unless ``given`` is a tensor of floats of shape (T, B, ``features``)."""
    if not isinstance(given, Tensor) or not given.is_floating_point():
        kind = given.dtype if isinstance(given, Tensor) else type(given).__name__
        raise InvalidInput(
            place, "must be a tensor of floats", got=kind, fix="use torch.as_tensor(...).float()"
        )
    if given.ndim != _AXES or given.shape[2] != features or not given.numel():
        raise InvalidInput(
            place,
            f"must have shape (T, B, {features}): ticks, batch, features",
            got=tuple(given.shape),
            fix="put time first; add a batch axis with .unsqueeze(1)",
        )


def check_choice(place: str, given: Any, choices: Any) -> Any:
    """Return ``given`` as a member of an enumeration or a ``Literal``.

    Raises
    ------
    UnknownName
        If it is none.
    """
    if isinstance(choices, type) and issubclass(choices, Enum):
        if isinstance(given, choices):
            return given
        named = {member.value: member for member in choices}
    else:
        named = {name: name for name in get_args(choices)}
    if given not in named:
        raise UnknownName(place, str(given), named)
    return named[given]


def check_number(place: str, given: Any, *, above: float, whole: bool = False) -> None:
    """Raise unless ``given`` is a finite number above ``above``, whole if so wanted."""
    kinds = int if whole else (int, float)
    good = isinstance(given, kinds) and not isinstance(given, bool) and math.isfinite(given)
    if not good or not given > above:
        kind = "whole number" if whole else "finite number"
        fix = "leave it out for the usual value" if not whole else f"use {above + 1:g} or more"
        raise InvalidInput(place, f"must be a {kind} above {above:g}", got=given, fix=fix)


def check_range(place: str, given: Any, low: float, below: float) -> None:
    """Raise unless ``given`` is a number of at least ``low`` and less than ``below``."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not low <= given < below:
        rule = f"must lie in [{low:g}, {below:g})"
        raise InvalidInput(place, rule, got=given, fix="leave it out for the usual value")
