"""Prophesee's formats: .dat, and .raw in EVT 2.0 and EVT 3.0.

The layouts are those of Prophesee's public documentation ("DAT file format",
"EVT 2.0 format", "EVT 3.0 format"). They are decoded here because the packaged
readers at hand guess where this package must refuse: docs/recordings.md.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.data.decoded import WHOLE_COPY, Decoded, Flaw, not_a, records

__all__ = ["read_dat", "read_raw"]

MAX_LINE = 4096
DAT_EVENTS = (0x00, 0x0C)
DAT_EVENT_SIZE = 8
DAT_VERSION = "2"
EVT2_WORDS = (0x0, 0x1, 0x8, 0xA, 0xE, 0xF)
EVT3_WORDS = (0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0xA, 0xE, 0xF)
EVT2_ON, EVT2_TIME_HIGH = 0x1, 0x8
EVT3_Y, EVT3_X, EVT3_BASE, EVT3_VECT_12, EVT3_VECT_8, EVT3_LOW, EVT3_HIGH = 0, 2, 3, 4, 5, 6, 8
EVT3_LAP = 1 << 24

Words = npt.NDArray[Any]
Index = npt.NDArray[np.int64]


def read_dat(data: bytes, place: str) -> Decoded:
    """Decode a .dat file: 32 bits of time, then x (14 bits), y (14 bits) and polarity (4 bits)."""
    fields, start = _header(data, place, "DAT")
    version = fields.get("version", DAT_VERSION)
    if version != DAT_VERSION:
        not_a("DAT", place, f"version {version}", "convert it to version 2")
    if len(data) < start + 2:
        not_a("DAT", place, f"cut off in its header, at byte {len(data)}", WHOLE_COPY)
    kind, size = data[start], data[start + 1]
    if kind not in DAT_EVENTS or size != DAT_EVENT_SIZE:
        not_a("DAT", place, f"events of type {kind} and {size} bytes at byte {start}")
    start += 2
    words, flaw = records(data, start, "<u4", 2)
    address = words[1::2]
    return Decoded(
        x=address & 0x3FFF,
        y=address >> 14 & 0x3FFF,
        t=words[::2],
        p=address >> 28,
        where=lambda index: f"byte {start + DAT_EVENT_SIZE * index}",
        sensor=_sensor(fields.get("width"), fields.get("height")),
        flaw=flaw,
    )


def read_raw(data: bytes, place: str, version: str | None) -> Decoded:
    """Decode a .raw file in the version its header names, or else in the one given."""
    fields, start = _header(data, place, "RAW")
    found = _version(fields)
    if found and version and found != version:
        not_a(version.upper(), place, f"its header says {found.upper()}", f"format={found!r}")
    version = found or version
    if version is None:
        not_a("RAW", place, "no EVT version in its header", "give format='evt2' or format='evt3'")
    if version not in ("evt2", "evt3"):
        not_a("RAW", place, f"version {version}", "convert it to EVT 2.0 or EVT 3.0")
    shape = dict(part.partition("=")[::2] for part in fields.get("format", "").split(";"))
    width, _, height = fields.get("geometry", "").partition("x")
    sensor = _sensor(shape.get("width", width), shape.get("height", height))
    return (_evt2 if version == "evt2" else _evt3)(data, start, sensor, place)


def _evt2(data: bytes, start: int, sensor: tuple[int, int] | None, place: str) -> Decoded:
    """Decode 32-bit words: events carry 6 bits of time, TIME_HIGH words the 28 above."""
    words, kinds, flaw = _words(data, start, "<u4", 28, EVT2_WORDS)
    highs = np.flatnonzero(kinds == EVT2_TIME_HIGH)
    events = np.flatnonzero(kinds <= EVT2_ON)
    latest = np.searchsorted(highs, events) - 1
    events, latest, notes = _with_clock(events, latest, place)
    word = words[events]
    high = (words[highs] & 0xFFFFFFF).astype(np.int64)[latest]
    return Decoded(
        x=word >> 11 & 0x7FF,
        y=word & 0x7FF,
        t=high << 6 | (word >> 22 & 0x3F),
        p=kinds[events],
        where=lambda index: f"byte {start + 4 * int(events[index])}",
        sensor=sensor,
        flaw=flaw,
        notes=notes,
    )


def _evt3(data: bytes, start: int, sensor: tuple[int, int] | None, place: str) -> Decoded:
    """Decode 16-bit words, each of which sets one part of the state or emits events."""
    words, kinds, flaw = _words(data, start, "<u2", 12, EVT3_WORDS)
    value = (words & 0xFFF).astype(np.int64)
    at, x, p = _evt3_pixels(kinds, value)
    rows = np.flatnonzero(kinds == EVT3_Y)
    times, t, laps = _evt3_clock(kinds, value)
    row, clock = np.searchsorted(rows, at) - 1, np.searchsorted(times, at) - 1
    kept, clock, notes = _with_clock(np.arange(at.size), np.where(row < 0, -1, clock), place)
    if laps:
        notes += (f"{place}: {laps} rollovers of {EVT3_LAP} us counted, as EVT 3.0 prescribes",)
    at = at[kept]
    return Decoded(
        x=x[kept],
        y=value[rows][row[kept]] & 0x7FF,
        t=t[clock],
        p=p[kept],
        where=lambda index: f"byte {start + 2 * int(at[index])}",
        sensor=sensor,
        flaw=flaw,
        notes=notes,
    )


def _evt3_pixels(kinds: Words, value: Index) -> tuple[Index, Index, Index]:
    """Return word, column and polarity of each event.

    A vector word holds a bit for each of 12 or 8 neighbouring columns and moves the
    base column on by as many.
    """
    single = np.flatnonzero(kinds == EVT3_X)
    wide, narrow = kinds == EVT3_VECT_12, kinds == EVT3_VECT_8
    passed = np.cumsum(12 * wide + 8 * narrow)  # columns, up to and with each word
    bases = np.flatnonzero(kinds == EVT3_BASE)
    vectors = np.flatnonzero(wide | narrow)
    base = np.searchsorted(bases, vectors) - 1
    vectors, base = vectors[base >= 0], bases[base[base >= 0]]
    first = (value[base] & 0x7FF) + np.where(vectors > 0, passed[vectors - 1], 0) - passed[base]
    bits = np.where(wide[vectors], value[vectors], value[vectors] & 0xFF)
    vector, bit = np.nonzero(bits[:, None] >> np.arange(12) & 1)
    at = np.concatenate([single, vectors[vector]])
    x = np.concatenate([value[single] & 0x7FF, first[vector] + bit])
    p = np.concatenate([value[single], value[base[vector]]]) >> 11
    order = np.argsort(at, kind="stable")
    return at[order], x[order], p[order]


def _evt3_clock(kinds: Words, value: Index) -> tuple[Index, Index, int]:
    """Return the words that move the clock, the time from each on, and the rollovers.

    TIME_HIGH is repeated every 16 us; only a new value starts its 4096 us from 0.
    Its 12 bits roll over every 16.8 s: a drop of more than half their range.
    """
    highs = np.flatnonzero(kinds == EVT3_HIGH)
    high = value[highs]
    laps = np.cumsum(np.diff(high, prepend=high[:1]) < -(1 << 11))
    high = high + (laps << 12)
    fresh = highs[np.diff(high, prepend=-1) != 0]
    lows = np.flatnonzero(kinds == EVT3_LOW)
    times = np.sort(np.concatenate([lows[lows > highs[0]] if highs.size else lows[:0], fresh]))
    low = np.where(kinds[times] == EVT3_LOW, value[times], 0)
    t = (high[np.searchsorted(highs, times, side="right") - 1] << 12) + low
    return times, t, int(laps[-1]) if laps.size else 0


def _with_clock(
    events: Index, latest: npt.NDArray[Any], place: str
) -> tuple[Index, npt.NDArray[Any], tuple[str, ...]]:
    """Leave out, with a note, events before the first word that says where or when they are.

    A recording may begin anywhere in the camera's endless stream of words.
    """
    known = latest >= 0
    missing = int(known.size - np.count_nonzero(known))
    if not missing:
        return events, latest, ()
    note = f"{place}: {missing} events before the first time word left out: their time is unknown"
    return events[known], latest[known], (note,)


def _words(
    data: bytes, start: int, dtype: str, shift: int, known: tuple[int, ...]
) -> tuple[Words, Words, Flaw | None]:
    """Return the words up to the first unknown one, their kinds, and the flaw that ended them."""
    words, flaw = records(data, start, dtype)
    kinds = (words >> shift).astype(np.uint8)
    fits = np.zeros(16, bool)
    fits[list(known)] = True
    unknown = np.flatnonzero(~fits[kinds])
    if unknown.size:
        first = int(unknown[0])
        flaw = Flaw(
            f"holds a word of unknown type 0x{kinds[first]:X}",
            f"byte {start + words.itemsize * first} of {len(data)}",
        )
        words, kinds = words[:first], kinds[:first]
    return words, kinds, flaw


def _header(data: bytes, place: str, kind: str) -> tuple[dict[str, str], int]:
    """Return the fields of the "% name value" lines, and the offset of what follows them."""
    fields: dict[str, str] = {}
    start = 0
    while data[start : start + 1] == b"%":
        stop = data.find(b"\n", start, start + MAX_LINE)
        line = _text(data[start : stop if stop >= 0 else start + MAX_LINE])
        if line is None:  # events may begin with the byte of "%", too
            break
        if stop < 0:
            not_a(kind, place, f"cut off in its header, at byte {len(data)}", WHOLE_COPY)
        start = stop + 1
        name, _, value = line[1:].strip().partition(" ")
        fields[name.lower()] = value.strip()
        if name == "end":
            break
    if not fields:
        not_a(kind, place, "no header, it must begin with '% '")
    return fields, start


def _text(line: bytes) -> str | None:
    try:
        text = line.decode().rstrip("\r")
    except UnicodeDecodeError:
        return None
    return text if text.replace("\t", " ").isprintable() else None


def _version(fields: dict[str, str]) -> str | None:
    named = re.match(r"EVT(\d)\.?(\d?)", fields.get("format", ""))
    named = named or re.match(r"(\d)\.?(\d?)", fields.get("evt", ""))
    if not named:
        return None
    major, minor = named.groups()
    return f"evt{major}" + (f".{minor}" if minor.strip("0") else "")


def _sensor(width: str | None, height: str | None) -> tuple[int, int] | None:
    if not (width and height and width.isdecimal() and height.isdecimal()):
        return None
    return int(width), int(height)
