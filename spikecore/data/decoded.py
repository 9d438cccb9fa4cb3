"""What every decoder hands over: the events as the file has them, not yet validated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from spikecore.errors import BackendUnavailable, FileRefused

__all__ = ["WHOLE_COPY", "Decoded", "Flaw", "must_have", "not_a", "records"]

INSTALL = "pip install 'spikecore[events]'"
WHOLE_COPY = "use a whole copy of the file"


@dataclass(frozen=True)
class Flaw:
    """Where a file stops making sense, and why."""

    rule: str
    where: str


@dataclass(frozen=True)
class Decoded:
    """The events up to the end of the file, or up to its first flaw.

    Attributes
    ----------
    x, y, t, p : ndarray, shape (N,)
        As the file has them; ``t`` in us.
    where : callable or None
        Place in the file of the event with a given index, e.g. ``"byte 42"``.
    sensor : tuple of int, optional
        Width and height, if the file tells them.
    flaw : Flaw, optional
        What keeps the rest from being read.
    notes : tuple of str
        What the user should know.
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    t: npt.NDArray[Any]
    p: npt.NDArray[Any]
    where: Callable[[int], str] | None
    sensor: tuple[int, int] | None = None
    flaw: Flaw | None = None
    notes: tuple[str, ...] = ()


def records(
    data: bytes, start: int, dtype: npt.DTypeLike, each: int = 1
) -> tuple[npt.NDArray[Any], Flaw | None]:
    """Return the whole records of ``each`` items from byte ``start`` on, and what is left over."""
    size = np.dtype(dtype).itemsize * each
    count, left = divmod(len(data) - start, size)
    found = np.frombuffer(data, dtype, count * each, start)
    if not left:
        return found, None
    return found, Flaw("is cut off within an event", f"byte {start + count * size} of {len(data)}")


def not_a(
    kind: str, place: str, reason: str, fix: str = "check the path, or give format="
) -> NoReturn:
    """Raise: the file is not what its name or the user says."""
    raise FileRefused(place, f"is not a readable {kind} file: {reason}", fix=fix)


def must_have(package: str) -> None:
    """Raise unless an optional package is installed.

    Raises
    ------
    BackendUnavailable
        Saying how to install it.
    """
    if find_spec(package) is None:
        raise BackendUnavailable(f"package {package!r}", "is not installed", fix=INSTALL)
