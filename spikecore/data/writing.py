"""Writing a stream of events, and handing it to tonic."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.camera import EventStream
from spikecore.data.plain import BIN_EVENT_SIZE, BIN_OVERFLOW
from spikecore.errors import FileRefused
from spikecore.files import atomic_write
from spikecore.quantities import require

__all__ = ["as_structured", "write_events"]

BIN_CLOCK = 1 << 23
EVENT = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)])


def write_events(path: str | os.PathLike[str], stream: EventStream) -> None:
    """Write ``stream`` to an .npz, .csv or .bin (N-MNIST) file, whole or not at all.

    Only .npz keeps the size of the sensor; give ``sensor`` when reading the others.

    Raises
    ------
    FileRefused
        If the name ends otherwise, there are no events, or the file cannot be written.
    InvalidInput
        If .bin cannot hold an event: x < 256, y < 240 and t < 2**23 us.
    """
    place = os.fspath(path)
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise FileRefused(
            place,
            "cannot be written in this format",
            got=suffix or "no ending",
            fix=f"use one of {', '.join(WRITERS)}",
        )
    if not len(stream):
        raise FileRefused(place, "would hold no events", fix="check the stream")
    content = WRITERS[suffix](stream, place)
    with atomic_write(path) as file:
        file.write(content)


def as_structured(stream: EventStream, dtype: npt.DTypeLike = EVENT) -> npt.NDArray[Any]:
    """Return the events as tonic's transforms take them.

    Parameters
    ----------
    stream : EventStream
        The events.
    dtype : dtype, optional
        Any structured type with the fields x, y, t and p. Default: x, y, t, p.

    Returns
    -------
    ndarray, shape (N,)
        ``t`` in us, ``p`` 0 or 1.
    """
    events = np.empty(len(stream), dtype)
    for name in ("x", "y", "t", "p"):
        events[name] = getattr(stream, name)
    return events


def _npz(stream: EventStream, _place: str) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(
        file,
        x=stream.x,
        y=stream.y,
        t=stream.t,
        p=stream.p,
        width=stream.width,
        height=stream.height,
    )
    return file.getvalue()


def _csv(stream: EventStream, _place: str) -> bytes:
    file = io.BytesIO()
    np.savetxt(
        file,
        np.column_stack([stream.x, stream.y, stream.t, stream.p]),
        fmt="%d",
        delimiter=",",
        header="x,y,t,p",
        comments="",
    )
    return file.getvalue()


def _bin(stream: EventStream, place: str) -> bytes:
    for name, limit in (("x", 256), ("y", BIN_OVERFLOW), ("t", BIN_CLOCK)):
        values = getattr(stream, name)
        require(
            values,
            values < limit,
            f"{place}.{name}",
            f"must be less than {limit} in a .bin file",
            fix="write .npz instead, or shift the times to begin at 0",
        )
    row = np.empty((len(stream), BIN_EVENT_SIZE), np.uint8)
    row[:, 0], row[:, 1] = stream.x, stream.y
    row[:, 2] = stream.p.astype(np.int64) << 7 | stream.t >> 16
    row[:, 3], row[:, 4] = stream.t >> 8 & 0xFF, stream.t & 0xFF
    return row.tobytes()


WRITERS: dict[str, Callable[[EventStream, str], bytes]] = {
    ".npz": _npz,
    ".csv": _csv,
    ".bin": _bin,
}
