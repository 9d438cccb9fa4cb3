"""What goes wrong with recordings of event cameras: rows of docs/errors.md."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import event_files as files
import numpy as np
import pytest

from spikecore.camera import EventStream
from spikecore.data import decoded, open_dataset, read_events, write_events

EVENTS = [(1, 2, 10, 1), (3, 4, 20, 0), (5, 6, 30, 1)]
BACK = [(1, 2, 30, 1), (3, 4, 20, 0), (5, 6, 10, 1)]


def read(name, data, **options):
    Path(name).write_bytes(data)
    return read_events(name, **options)


def npz(**arrays):
    np.savez("rec.npz", **arrays)
    return read_events("rec.npz")


def checked(events=EVENTS, **options):
    return EventStream.checked(*np.array(events).T, **options)


def opened(name, part=None, content=b"", **options):
    if part is not None:
        path = Path("data", part)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return open_dataset(name, "data", **options)


def without_package(name, call):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "find_spec", lambda one: None if one == name else find_spec(one))
        return call()


def cut_aedat4():
    return read("rec.aedat4", files.aedat4([EVENTS, EVENTS])[:-20])


def damaged_aedat4():
    data = files.aedat4([EVENTS, EVENTS])
    last = data.rindex(b"EVTS")
    return read("rec.aedat4", data[:last] + b"XXXX" + data[last + 4 :])


FAULTS = {
    "Event-camera recordings": {
        "a recording that does not exist": lambda: read_events("absent.raw"),
        "a folder as recording": lambda: read_events(".", format="dat"),
        "a file of 0 bytes": lambda: read("rec.dat", b""),
        "a recording without events": lambda: read("rec.dat", files.dat([])),
        "a name that does not tell the format": lambda: read("rec.es", b"x"),
        "a format that does not exist": lambda: read("rec.raw", b"x", format="evt33"),
        "a file that ends within an event": lambda: read("rec.dat", files.dat(EVENTS)[:-3]),
        "an .aedat4 file that ends within a packet": cut_aedat4,
        "an .aedat4 file with a damaged packet": damaged_aedat4,
        "an .aedat4 file with a damaged header": lambda: read(
            "rec.aedat4", files.aedat4([EVENTS]).replace(b"<dv ", b"<dv<")
        ),
        "an .aedat4 file that is cut off in its header": lambda: read(
            "rec.aedat4", files.aedat4([EVENTS])[:40]
        ),
        "an .aedat4 file without events": lambda: read(
            "rec.aedat4", files.aedat4([EVENTS], kind="TRIG")
        ),
        "an older AEDAT version": lambda: read("rec.aedat4", b"#!AER-DAT3.1\r\n"),
        "an .aedat4 file of something else": lambda: read("rec.aedat4", b"garbage"),
        "a .raw file of something else": lambda: read("rec.raw", b"garbage"),
        "a .raw file that is cut off in its header": lambda: read("rec.raw", b"% evt 3.0\n% da"),
        "a .raw file without an EVT version": lambda: read("rec.raw", b"% date 2026\n1234"),
        "a .raw file of another EVT version": lambda: read("rec.raw", b"% evt 2.1\n1234"),
        "a .raw file read as another EVT version": lambda: read(
            "rec.raw", files.evt3(EVENTS), format="evt2"
        ),
        "a .raw file with garbage among its words": lambda: read(
            "rec.raw", files.evt2(EVENTS) + struct.pack("<I", 0x5 << 28)
        ),
        "a .dat file of something else": lambda: read("rec.dat", b"garbage"),
        "a .dat file of another version": lambda: read("rec.dat", b"% Version 1\n\x0c\x08"),
        "a .dat file of triggers": lambda: read("rec.dat", files.dat(EVENTS, kind=0x0E)),
        "a .dat file that ends after its header": lambda: read("rec.dat", b"% Version 2\n\x0c"),
        "an .npz file of something else, or cut off": lambda: read("rec.npz", b"garbage"),
        "an .npz file without one of the fields": lambda: npz(x=[1], y=[2], t=[3]),
        "times in seconds": lambda: npz(x=[1], y=[2], t=[0.5], p=[1]),
        "columns that are not integers": lambda: npz(x=[1.5], y=[2], t=[3], p=[1]),
        "polarities that are not integers": lambda: npz(x=[1], y=[2], t=[3], p=[0.5]),
        "fields of different lengths": lambda: npz(x=[1, 2], y=[2], t=[3], p=[1]),
        "a .csv file without one of the columns": lambda: read("rec.csv", b"x,y,t\n1,2,3\n"),
        "a .csv line that is wrong, or cut off": lambda: read(
            "rec.csv", b"x,y,t,p\n1,2,3,1\n1,2,0.5,1\n"
        ),
        "times that go back": lambda: read("rec.bin", files.nmnist(BACK)),
        "times that go back as a clock does that starts again": lambda: read(
            "rec.bin", files.nmnist([(1, 2, (1 << 23) - 1, 1), (3, 4, 7, 0)])
        ),
        "a negative time": lambda: npz(x=[1], y=[2], t=[-3], p=[1]),
        "events off the sensor": lambda: read("rec.bin", files.nmnist(EVENTS), sensor=(3, 3)),
        "a polarity that is neither ON nor OFF": lambda: read(
            "rec.dat", files.dat([(1, 2, 3, 1), (1, 2, 4, 2)])
        ),
        "a sensor that is not width and height": lambda: checked(sensor=(34, 34, 2)),
        "a remedy for disorder that does not exist": lambda: checked(disorder="sorted"),
        "a shift before the beginning of time": lambda: checked().shifted(-11),
        "a recording written in another format": lambda: write_events("rec.raw", checked()),
        "a stream without events, to be written": lambda: write_events(
            "rec.npz", checked().between(0, 1)
        ),
        "events that a .bin file cannot hold": lambda: write_events(
            "rec.bin", checked([(1, 2, 3, 1), (300, 2, 4, 1)])
        ),
        "a package that is not installed": lambda: without_package("aedat", cut_aedat4),
    },
    "Event-camera datasets": {
        "tonic that is not installed": lambda: without_package("tonic", lambda: opened("NMNIST")),
        "a dataset that does not exist": lambda: opened("NMNISTT"),
        "a dataset whose files are absent": lambda: opened("NMNIST"),
        "a dataset of named recordings, one absent": lambda: opened(
            "DAVISDATA", recording="slider_far"
        ),
        "a dataset still packed": lambda: opened("DVSLip", "DVSLip/DVS-Lip.zip", b"zip"),
        "a dataset that wants the network": lambda: opened("DSEC"),
        "an option that tonic's class does not have": lambda: opened("NMNIST", stabilise=True),
        "an option that tonic's class needs": lambda: opened("MVSEC"),
        "an option that tonic refuses": lambda: opened("MVSEC", scene="moon"),
        "a recording that tonic cannot read": lambda: opened(
            "DVSGesture", "DVSGesture/ibmGestureTrain/user01_led/1.npy", b"garbage"
        )[0],
        "an empty recording in a dataset": lambda: opened("NMNIST", "NMNIST/Train/1/1.bin")[0],
        "a recording off the sensor of its dataset": lambda: opened(
            "NMNIST", "NMNIST/Train/1/1.bin", files.nmnist([(40, 2, 3, 1)])
        )[0],
    },
}
