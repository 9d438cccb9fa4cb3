"""Reading a recording of an event camera, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from spikecore.camera import EventStream
from spikecore.data.aedat4 import read_aedat4
from spikecore.data.decoded import Decoded
from spikecore.data.plain import read_bin, read_csv, read_npz
from spikecore.data.prophesee import read_dat, read_raw
from spikecore.errors import FileRefused, InvalidInput, UnknownName

__all__ = ["FORMATS", "read_events"]

FORMATS: dict[str, Callable[[bytes, str], Decoded]] = {
    "aedat4": read_aedat4,
    "bin": read_bin,
    "csv": read_csv,
    "dat": read_dat,
    "evt2": partial(read_raw, version="evt2"),
    "evt3": partial(read_raw, version="evt3"),
    "npz": read_npz,
    "raw": partial(read_raw, version=None),
}
"""The formats that :func:`read_events` knows, by the name that ``format`` takes."""


def read_events(
    path: str | os.PathLike[str],
    *,
    sensor: tuple[int, int] | None = None,
    format: str | None = None,
    disorder: str = "refuse",
    allow_partial: bool = False,
) -> EventStream:
    """Read a recording of an event camera.

    Parameters
    ----------
    path : path-like
        An .aedat4, .bin (N-MNIST), .csv, .dat, .npz or .raw (EVT 2.0, EVT 3.0) file.
    sensor : tuple of int, optional
        Width and height. Default: as the file says, or else just large enough.
    format : str, optional
        One of :data:`FORMATS`. Default: from the ending of the name and the header.
    disorder : {"refuse", "sort", "unwrap"}
        What to do where time goes back; see :meth:`~spikecore.camera.EventStream.checked`.
    allow_partial : bool
        Take the events before the place where a file is cut off or damaged,
        and say so in ``notes``, instead of refusing the file.

    Returns
    -------
    EventStream
        Times in us, as in the file: those of .aedat4 count from 1970.

    Raises
    ------
    FileRefused
        If the file is missing, of another kind or version, damaged, cut off or
        without events; the message says at which byte or line.
    InvalidInput
        If an event breaks a rule of :meth:`~spikecore.camera.EventStream.checked`.
    BackendUnavailable
        If a package that the format needs is not installed.
    """
    place = os.fspath(path)
    decode = _decoder(Path(path), place, format)
    data = _content(Path(path), place)
    decoded = decode(data, place)
    notes = decoded.notes
    if decoded.flaw is not None:
        rule, where = decoded.flaw.rule, decoded.flaw.where
        if not allow_partial:
            raise FileRefused(
                place,
                rule,
                got=f"{where}; whole events before it: {len(decoded.x)}",
                fix="use a whole copy, or allow_partial=True to take the events before it",
            )
        notes += (f"{place}: {rule} ({where}): only the {len(decoded.x)} events before it",)
    if not len(decoded.x):
        raise FileRefused(place, "holds no events", fix="check the recording")
    stream = _checked(decoded, sensor, place, disorder)
    return replace(stream, notes=notes + stream.notes)


def _decoder(path: Path, place: str, name: str | None) -> Callable[[bytes, str], Decoded]:
    if name is not None:
        if name not in FORMATS:
            raise UnknownName("format", name, FORMATS)
        return FORMATS[name]
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise FileRefused(
            place,
            "does not end like a recording",
            got=path.suffix or "no ending",
            fix=f"give format=, one of {', '.join(FORMATS)}",
        )
    return FORMATS[suffix]


def _content(path: Path, place: str) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileRefused(place, "does not exist", fix="check the path") from None
    except OSError as error:
        raise FileRefused(
            place, f"cannot be read: {error.strerror}", fix="check the path and its rights"
        ) from error
    if not data:
        raise FileRefused(place, "is empty (0 bytes)", fix="check the recording")
    return data


def _checked(
    decoded: Decoded, sensor: tuple[int, int] | None, place: str, disorder: str
) -> EventStream:
    """Validate; an error about one event says where in the file it is."""
    try:
        return EventStream.checked(
            decoded.x,
            decoded.y,
            decoded.t,
            decoded.p,
            sensor=sensor or decoded.sensor,
            place=place,
            disorder=disorder,
        )
    except InvalidInput as error:
        if error.index is None or decoded.where is None:
            raise
        raise type(error)(
            error.place,
            error.rule,
            got=f"{error.got} at {decoded.where(error.index)}",
            index=error.index,
            count=error.count,
            fix=error.fix,
        ) from None
