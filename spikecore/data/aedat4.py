"""AEDAT 4.0: packets of events behind a FlatBuffers header, read by the package ``aedat``.

The framing is that of iniVation's public description: 14 bytes of name and
version, the header's length and the header, then packets, each behind its
stream and its length. The frames are counted here first, so that an error can
say at which byte a file ends. The package itself runs in a process of its own: some
damaged headers make it abort its process, and what a compressed packet does to it
cannot be told before.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spikecore.data.decoded import WHOLE_COPY, Decoded, Flaw, must_have, not_a

__all__ = ["read_aedat4"]

NAME = b"#!AER-DAT"
MAGIC = NAME + b"4.0\r\n"
FRAME = 8
EVENT = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])


def read_aedat4(data: bytes, place: str) -> Decoded:
    """Decode the first stream of events of an .aedat4 file."""
    must_have("aedat")
    if not data.startswith(MAGIC):
        version = data[len(NAME) : len(NAME) + 3]
        other = data.startswith(NAME) and version.replace(b".", b"").isdigit()
        reason = f"AEDAT {version.decode()}" if other else "it does not begin with #!AER-DAT4.0"
        not_a("AEDAT 4.0", place, reason)
    offsets, flaw = _frames(data, place)
    with TemporaryDirectory() as folder:
        return _unpacked(place, Path(folder) / "events", offsets, flaw)


def _frames(data: bytes, place: str) -> tuple[list[int], Flaw | None]:
    """Return where each whole packet begins, and what ends them too early."""
    try:
        (length,) = struct.unpack_from("<I", data, len(MAGIC))
        at = len(MAGIC) + 4 + length
        end = _table_position(data[len(MAGIC) + 4 : at])
    except struct.error:
        reason = f"cut off or damaged in its header, at byte {len(MAGIC)}"
        not_a("AEDAT 4.0", place, reason, WHOLE_COPY)
    if end < 0:  # the recorder did not come to write its table of packets
        end = len(data)
    offsets: list[int] = []
    while at < end:
        size = struct.unpack_from("<i", data, at + 4)[0] if at + FRAME <= len(data) else 0
        if size < 0:
            return offsets, Flaw("holds a packet of negative length", f"byte {at} of {len(data)}")
        if at + FRAME + size > len(data):
            return offsets, Flaw("is cut off within a packet", f"byte {at} of {len(data)}")
        offsets.append(at)
        at += FRAME + size
    return offsets, None


def _table_position(header: bytes) -> int:
    """Return field 1 of the header's FlatBuffers table: where the packets end, or -1."""
    (root,) = struct.unpack_from("<I", header)
    (back,) = struct.unpack_from("<i", header, root)
    if back > root:
        raise struct.error
    (size,) = struct.unpack_from("<H", header, root - back)
    field = struct.unpack_from("<H", header, root - back + 6)[0] if size > 6 else 0  # noqa: PLR2004
    return int(struct.unpack_from("<q", header, root + field)[0]) if field else -1


def _unpacked(place: str, events: Path, offsets: list[int], flaw: Flaw | None) -> Decoded:
    """Let a process of its own unpack the packets; events of those before a damaged one stay."""
    worker = str(Path(__file__).with_name("aedat4_worker.py"))
    done = subprocess.run(
        [sys.executable, "-P", worker, place, str(events), str(len(offsets))],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = done.stdout.splitlines()
    if not lines:
        said = (done.stderr.strip().splitlines() or ["the reader crashed"])[-1]
        reason = f"damaged in its header, at byte {len(MAGIC)} ({said})"
        not_a("AEDAT 4.0", place, reason, WHOLE_COPY)
    streams = json.loads(lines[0])
    if not streams:
        not_a("AEDAT 4.0", place, "no stream of events in it", "record or export the events, too")
    counts = [int(line) for line in lines[1:]]
    if done.returncode:
        flaw = Flaw("holds a damaged packet", f"byte {offsets[len(counts)]}")
    last = np.cumsum(counts)
    found = np.fromfile(events, EVENT, sum(counts))
    return Decoded(
        x=found["x"],
        y=found["y"],
        t=found["t"],
        p=found["p"],
        where=lambda index: (
            f"the packet at byte {offsets[int(np.searchsorted(last, index, side='right'))]}"
        ),
        sensor=tuple(streams[0]),
        flaw=flaw,
        notes=(f"{place}: the first of {len(streams)} streams of events",) * (len(streams) > 1),
    )
