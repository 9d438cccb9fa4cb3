"""Event-camera files, byte by byte as their formats prescribe, and a slow decoder."""

from __future__ import annotations

import struct

import numpy as np

EVT2_HEADER = b"% date 2026-01-01\n% evt 2.0\n% geometry 640x480\n% end\n"
EVT3_HEADER = b"% format EVT3;height=720;width=1280\n% end\n"
DAT_HEADER = b"% Data file\n% Version 2\n% Width 304\n% Height 240\n"
XML = (
    '<dv version="2.0"><node name="outInfo" path="/o/"><node name="0" path="/o/0/">'
    '<attr key="typeIdentifier" type="string">{kind}</attr><node name="info" path="/o/0/info/">'
    '<attr key="sizeX" type="int">346</attr><attr key="sizeY" type="int">260</attr>'
    "</node></node></node></dv>"
)


def dat(events, header=DAT_HEADER, kind=0x0C):
    """32 bits of time; 14 bits of x, 14 of y, 4 of polarity."""
    body = b"".join(struct.pack("<II", t, p << 28 | y << 14 | x) for x, y, t, p in events)
    return header + bytes([kind, 8]) + body


def evt2(events, header=EVT2_HEADER):
    """A TIME_HIGH word wherever bits 6 .. 33 of the time change."""
    words, high = [], None
    for x, y, t, p in events:
        if t >> 6 != high:
            high = t >> 6
            words.append(0x8 << 28 | high)
        words.append(p << 28 | (t & 0x3F) << 22 | x << 11 | y)
    return header + struct.pack(f"<{len(words)}I", *words)


def evt3(events, header=EVT3_HEADER):
    """One word for each thing that changes, and one for each event."""
    words, high, low, row = [], None, None, None
    for x, y, t, p in events:
        if (t >> 12) & 0xFFF != high:
            high, low = (t >> 12) & 0xFFF, None
            words.append(0x8000 | high)
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(0x6000 | low)
        if y != row:
            row = y
            words.append(y)
        words.append(0x2000 | p << 11 | x)
    return header + struct.pack(f"<{len(words)}H", *words)


def nmnist(events):
    """x, y, then polarity and 23 bits of time, big-endian."""
    return b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, t, p in events)


def flatbuffer(identifier, fields, prefixed):
    """Return a FlatBuffers table of ready-made fields: (bytes in the table, bytes behind it)."""
    inline = 4 + sum(len(field) for field, _ in fields) + 4 * len(fields)
    vtable = struct.pack("<HH", 4 + 2 * len(fields), inline)
    at, table, behind = 4, b"", b""
    for field, payload in fields:
        entry = field
        if payload:
            entry = struct.pack("<I", inline - at + len(behind))
            behind += payload + bytes(-len(payload) % 4)
        vtable += struct.pack("<H", at)
        table, at = table + entry, at + len(entry)
    vtable += bytes(-len(vtable) % 4)
    table = struct.pack("<i", len(vtable)) + table.ljust(inline - 4, b"\0")
    body = struct.pack("<I", 8 + len(vtable)) + identifier + vtable + table + behind
    return struct.pack("<I", len(body)) + body if prefixed else body


def aedat4(packets, kind="EVTS", closed=True):
    """Uncompressed packets of stream 0; ``closed``: the header says where the packets end."""
    content = b""
    for events in packets:
        rows = b"".join(struct.pack("<qhhB3x", t, x, y, p) for x, y, t, p in events)
        vector = struct.pack("<I", len(events)) + rows
        packet = flatbuffer(b"EVTS", [(bytes(4), vector)], prefixed=True)
        content += struct.pack("<II", 0, len(packet)) + packet

    def header(position):
        xml = XML.format(kind=kind).encode()
        text = struct.pack("<I", len(xml)) + xml + b"\0"
        fields = [(struct.pack("<i", 0), b""), (struct.pack("<q", position), b""), (bytes(4), text)]
        return flatbuffer(b"IOHE", fields, prefixed=False)

    start = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header(-1)))
    end = len(start) + len(header(-1)) + len(content)
    return start + header(end if closed else -1) + content + (b"table" if closed else b"")


def slow_evt3(data):
    """Follow the words of an EVT 3.0 body one by one; return x, y, t, p of each event."""
    found, high, low, row, base, sign, laps = [], None, 0, None, None, 0, 0
    for (word,) in struct.iter_unpack("<H", data):
        kind, value = word >> 12, word & 0xFFF
        if kind == 0x8 and value != high:
            laps += high is not None and high - value > 2048
            high, low = value, 0
        elif kind == 0x6:
            low = value
        elif kind == 0x0:
            row = value & 0x7FF
        elif kind == 0x3:
            base, sign = value & 0x7FF, value >> 11
        pixels = []
        if kind == 0x2:
            pixels = [(value & 0x7FF, value >> 11)]
        elif kind in (0x4, 0x5) and base is not None:
            wide = 12 if kind == 0x4 else 8
            pixels = [(base + bit, sign) for bit in range(wide) if value >> bit & 1]
            base += wide
        if high is not None and row is not None:
            time = ((laps << 12) + high << 12) + low
            found += [(x, row, time, p) for x, p in pixels]
    return found


def rows(stream):
    """Return the events of a stream as a list of (x, y, t, p)."""
    columns = (stream.x, stream.y, stream.t, stream.p)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def some_events(count=200, seed=1, width=34, height=34, step=40, start=0):
    """Return events in order of time, as (x, y, t, p)."""
    rng = np.random.default_rng(seed)
    t = start + np.cumsum(rng.integers(0, step, count))
    x, y, p = (rng.integers(0, high, count) for high in (width, height, 2))
    return list(zip(x.tolist(), y.tolist(), t.tolist(), p.tolist(), strict=True))
