"""Formats that NumPy reads: N-MNIST's .bin, .npz and .csv."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.data.decoded import Decoded, Flaw, not_a, records

__all__ = ["BIN_EVENT_SIZE", "BIN_OVERFLOW", "read_bin", "read_csv", "read_npz"]

FIELDS = ("x", "y", "t", "p")
BIN_EVENT_SIZE = 5
BIN_OVERFLOW = 240
"""A row that does not exist: it marks that the clock has gone on by BIN_LAP."""
BIN_LAP = 1 << 13
WHOLE = re.compile(rb"\s*[+-]?[0-9]{1,18}\s*")


def read_bin(data: bytes, place: str) -> Decoded:
    """Decode 40-bit events: x, y, then one bit of polarity and 23 of time, big-endian.

    The layout of N-MNIST and N-Caltech101 (Orchard et al., 2015).
    """
    raw, flaw = records(data, 0, np.uint8, BIN_EVENT_SIZE)
    row = raw.reshape(-1, BIN_EVENT_SIZE).astype(np.int64)
    marks = row[:, 1] == BIN_OVERFLOW
    laps = np.cumsum(marks)[~marks]
    kept = np.flatnonzero(~marks)
    row = row[kept]
    note = f"{place}: {np.count_nonzero(marks)} marks of an overflowing clock counted"
    return Decoded(
        x=row[:, 0],
        y=row[:, 1],
        t=((row[:, 2] & 0x7F) << 16 | row[:, 3] << 8 | row[:, 4]) + laps * BIN_LAP,
        p=row[:, 2] >> 7,
        where=lambda index: f"byte {BIN_EVENT_SIZE * int(kept[index])}",
        flaw=flaw,
        notes=(note,) if marks.any() else (),
    )


def read_npz(data: bytes, place: str) -> Decoded:
    """Take x, y, t and p from an archive: four arrays, or one structured array."""
    try:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ValueError(f"not an archive, or cut off before its end: {len(data)} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        sensor = _npz_sensor(arrays)
    except Exception as error:  # whatever NumPy and zipfile raise over foreign bytes
        not_a(".npz", place, str(error))
    for array in arrays.values():
        if array.dtype.names and set(FIELDS) <= set(array.dtype.names):
            arrays = {name: array[name] for name in FIELDS}
            break
    missing = [name for name in FIELDS if name not in arrays]
    if missing:
        found = ", ".join(sorted(arrays)) or "nothing"
        not_a(".npz", place, f"no field {missing[0]!r}: found {found}", "store x, y, t and p")
    x, y, t, p = (np.atleast_1d(arrays[name]) for name in FIELDS)
    return Decoded(x, y, t, p, where=None, sensor=sensor)


def _npz_sensor(arrays: dict[str, npt.NDArray[Any]]) -> tuple[int, int] | None:
    if "width" not in arrays or "height" not in arrays:
        return None
    return int(arrays["width"]), int(arrays["height"])


def read_csv(data: bytes, place: str) -> Decoded:
    """Decode lines of whole numbers below a header that names x, y, t and p."""
    header, _, body = data.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    names = [name.strip().strip('"').lower() for name in header.decode(errors="replace").split(",")]
    missing = [name for name in FIELDS if name not in names]
    if missing:
        reason = f"no column {missing[0]!r} in line 1"
        not_a(".csv", place, reason, "begin with a line that names x, y, t and p")
    lines = body.splitlines()
    numbers, wrong = _whole_numbers(lines, len(names))
    columns = dict(zip(names, numbers.T, strict=True))
    flaw = None
    if wrong is not None:
        shown = lines[wrong][:40].decode(errors="replace").strip()
        rule = f"needs {len(names)} whole numbers a line (t in us), not {shown!r}"
        flaw = Flaw(rule, f"line {wrong + 2}")
    x, y, t, p = (columns[name] for name in FIELDS)
    filled = [number for number, line in enumerate(lines, 2) if line.strip()]
    return Decoded(x, y, t, p, where=lambda index: f"line {filled[index]}", flaw=flaw)


def _whole_numbers(lines: list[bytes], columns: int) -> tuple[npt.NDArray[np.int64], int | None]:
    """Return the numbers of the lines before the first wrong one, and its index."""
    pattern = re.compile(b",".join([WHOLE.pattern] * columns))
    wrong = next(
        (n for n, line in enumerate(lines) if line.strip() and not pattern.fullmatch(line)), None
    )
    joined = b",".join(line for line in lines[:wrong] if line.strip())
    numbers = np.array(joined.split(b",") if joined else [], dtype=np.bytes_).astype(np.int64)
    return numbers.reshape(-1, columns), wrong
