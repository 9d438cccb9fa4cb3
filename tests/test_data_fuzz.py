"""Foreign, mutated and cut-off bytes give an error that says so, or a valid stream."""

from __future__ import annotations

import io

import event_files as files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikecore import SpikecoreError
from spikecore.camera import EventStream
from spikecore.data import FORMATS, read_events

EVENTS = files.some_events(30)


def npz():
    file = io.BytesIO()
    x, y, t, p = np.array(EVENTS).T
    np.savez(file, x=x, y=y, t=t, p=p, width=34, height=34)
    return file.getvalue()


SEEDS = {
    "bin": files.nmnist(EVENTS),
    "dat": files.dat(EVENTS),
    "evt2": files.evt2(EVENTS),
    "evt3": files.evt3(EVENTS),
    "raw": files.evt3(EVENTS),
    "csv": b"x,y,t,p\n" + b"".join(b"%d,%d,%d,%d\n" % event for event in EVENTS),
    "aedat4": files.aedat4([EVENTS[:10], EVENTS[10:]]),
    "npz": npz(),
}


@st.composite
def damaged(draw, whole):
    """Return ``whole`` with some bytes changed, cut out or put in, and perhaps cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data[: draw(st.none() | st.integers(0, len(data)))])


def try_to_read(folder, name, data):
    path = folder / f"recording.{name}"
    path.write_bytes(data)
    for options in ({}, {"allow_partial": True, "disorder": "sort", "sensor": (20000, 20000)}):
        try:
            found = read_events(path, format=name, **options)
        except SpikecoreError:
            continue
        assert len(found)
        EventStream.checked(found.x, found.y, found.t, found.p, sensor=(found.width, found.height))


def cases(name):
    return 25 if name == "aedat4" else 200  # each .aedat4 file starts a process


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_damaged_files(tmp_path, name):
    @given(damaged(SEEDS[name]) | st.binary(max_size=200))
    @settings(max_examples=cases(name), deadline=None, suppress_health_check=list(HealthCheck))
    def run(data):
        try_to_read(tmp_path, name, data)

    run()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_cut(tmp_path, name):
    whole = SEEDS[name]
    step = 150 if name == "aedat4" else 7
    for size in range(0, len(whole), step):
        try_to_read(tmp_path, name, whole[:size])
