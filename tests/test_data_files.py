"""Each format against files written here byte by byte, against slow decoders and other readers."""

from __future__ import annotations

import re
import struct

import event_files as files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import FileRefused, InvalidInput
from spikecore.camera import EventStream
from spikecore.data import FORMATS, as_structured, read_events, write_events

EVENTS = files.some_events()
EPOCH = 1_700_000_000_000_000
WRITTEN = {
    "bin": files.nmnist(EVENTS),
    "dat": files.dat(EVENTS),
    "evt2": files.evt2(EVENTS),
    "evt3": files.evt3(EVENTS),
    "csv": b"t,p,y,x\n" + b"".join(b"%d,%d,%d,%d\n" % (t, p, y, x) for x, y, t, p in EVENTS),
    "aedat4": files.aedat4([EVENTS[n : n + 40] for n in range(0, 200, 40)]),
}
SENSORS = {"dat": (304, 240), "evt2": (640, 480), "evt3": (1280, 720), "aedat4": (346, 260)}
SUFFIXES = {"evt2": "raw", "evt3": "raw"}

streams = st.lists(
    st.tuples(
        st.integers(0, 255), st.integers(0, 239), st.integers(0, (1 << 23) - 1), st.integers(0, 1)
    ),
    min_size=1,
    max_size=40,
).map(lambda events: sorted(events, key=lambda event: event[2]))


def stream(events, sensor=None):
    x, y, t, p = np.array(events).T
    return EventStream.checked(x, y, t, p, sensor=sensor)


def write(folder, name, data):
    path = folder / f"recording.{SUFFIXES.get(name, name)}"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", WRITTEN)
def test_every_event_of_every_format(tmp_path, name):
    found = read_events(write(tmp_path, name, WRITTEN[name]))
    assert files.rows(found) == EVENTS
    assert (found.width, found.height) == SENSORS.get(name, (34, 34))
    assert found.notes == ()


@pytest.mark.parametrize("name", WRITTEN)
def test_the_format_may_be_named_instead(tmp_path, name):
    path = tmp_path / "recording"
    path.write_bytes(WRITTEN[name])
    found = read_events(path, format=name, sensor=(400, 300))
    assert files.rows(found) == EVENTS
    assert (found.width, found.height) == (400, 300)


@given(streams)
@settings(max_examples=60, deadline=None)
def test_round_trip(tmp_path_factory, events):
    folder = tmp_path_factory.mktemp("round")
    given_stream = stream(events, (300, 240))
    for suffix in ("npz", "csv", "bin"):
        path = folder / f"recording.{suffix}"
        write_events(path, given_stream)
        back = read_events(path, sensor=None if suffix == "npz" else (300, 240))
        assert files.rows(back) == events
        assert (back.width, back.height) == (300, 240)
    assert sorted(path.name for path in folder.iterdir()) == [
        f"recording.{suffix}" for suffix in ("bin", "csv", "npz")
    ]


def test_npz_takes_a_structured_array_too(tmp_path):
    np.savez(tmp_path / "recording.npz", events=as_structured(stream(EVENTS)))
    assert files.rows(read_events(tmp_path / "recording.npz")) == EVENTS


@pytest.mark.parametrize("name", ["bin", "dat", "evt2", "evt3", "aedat4"])
def test_cut_off_anywhere_says_where(tmp_path, name):
    whole = WRITTEN[name]
    header = len(whole) - len(whole[-600:]) if name != "aedat4" else len(whole) // 2
    for size in (header + 1, header + 3, len(whole) - 7):
        path = write(tmp_path, name, whole[:size])
        with pytest.raises(FileRefused, match=rf"byte \d+ of {size}; whole") as caught:
            read_events(path)
        count = int(re.search(r"before it: (\d+)", str(caught.value))[1])
        found = read_events(path, allow_partial=True)
        assert files.rows(found) == EVENTS[:count]
        assert "is cut off" in found.notes[-1]


def test_a_cut_file_names_the_byte_of_the_first_event_that_is_not_whole(tmp_path):
    path = write(tmp_path, "bin", WRITTEN["bin"][:48])
    with pytest.raises(FileRefused, match="byte 45 of 48; whole events before it: 9"):
        read_events(path)
    header = len(files.DAT_HEADER) + 2
    path = write(tmp_path, "dat", WRITTEN["dat"][: header + 8 * 3 + 5])
    with pytest.raises(
        FileRefused, match=f"byte {header + 24} of {header + 29}; whole events before it: 3"
    ):
        read_events(path)


def test_an_unclosed_aedat4_file_is_read_to_its_end(tmp_path):
    data = files.aedat4([EVENTS], closed=False)
    assert files.rows(read_events(write(tmp_path, "aedat4", data))) == EVENTS


def test_times_of_aedat4_stay_as_they_are(tmp_path):
    late = files.some_events(start=EPOCH)
    found = read_events(write(tmp_path, "aedat4", files.aedat4([late])))
    assert found.t[0] == late[0][2] >= EPOCH
    assert found.shifted(-EPOCH).t[0] == late[0][2] - EPOCH


def test_a_damaged_packet_costs_only_what_follows(tmp_path):
    data = bytearray(files.aedat4([EVENTS[:50], EVENTS[50:]]))
    second = data.rindex(b"EVTS")
    data[second : second + 4] = b"XXXX"
    path = write(tmp_path, "aedat4", bytes(data))
    with pytest.raises(FileRefused, match=rf"byte {second - 16}; whole events before it: 50"):
        read_events(path)
    assert files.rows(read_events(path, allow_partial=True)) == EVENTS[:50]


def test_a_reader_that_aborts_its_process_does_not_end_ours(tmp_path):
    """aedat 2.3.0 aborts where its message would quote what is no UTF-8."""
    whole = files.aedat4([EVENTS])
    damaged = whole.replace(b"</node></node></dv>", b"</node\xf3\n</dv>      ")
    assert len(damaged) == len(whole)
    path = write(tmp_path, "aedat4", damaged)
    with pytest.raises(FileRefused, match="damaged in its header, at byte 14"):
        read_events(path)


def test_a_packet_that_claims_more_events_than_it_has(tmp_path):
    data = bytearray(files.aedat4([EVENTS[:50], EVENTS[50:]]))
    length = data.index(struct.pack("<I", 150))  # of the second packet's vector
    data[length : length + 4] = b"\xff\xff\xff\x7f"
    path = write(tmp_path, "aedat4", bytes(data))
    with pytest.raises(FileRefused, match=r"holds a damaged packet .* before it: 50"):
        read_events(path)


evt3_words = st.one_of(
    st.integers(0, 0x7FF),
    st.integers(0x2000, 0x5FFF),
    st.integers(0x6000, 0x6FFF),
    st.sampled_from([0x8000, 0x8001, 0x8002, 0x8FFE, 0x8FFF]),
    st.sampled_from([0xA001, 0xE123, 0xF000, 0x7000]),
)


@given(st.lists(evt3_words, min_size=1, max_size=60))
@settings(max_examples=300, deadline=None)
def test_evt3_words_in_any_order(tmp_path_factory, words):
    body = struct.pack(f"<{len(words)}H", *words)
    expected = files.slow_evt3(body)
    path = tmp_path_factory.getbasetemp() / "words.raw"
    path.write_bytes(b"% evt 3.0\n% end\n" + body)
    if not expected:
        with pytest.raises(FileRefused, match="holds no events"):
            read_events(path)
        return
    ordered = sorted(expected, key=lambda event: event[2])
    assert files.rows(read_events(path, disorder="sort", sensor=(4096, 2048))) == ordered


def test_evt3_counts_the_rollovers_of_its_clock(tmp_path):
    late = files.some_events(start=(1 << 24) - 2000)
    found = read_events(write(tmp_path, "evt3", files.evt3(late)))
    assert files.rows(found) == late
    assert "1 rollovers of 16777216 us counted" in found.notes[0]


@pytest.mark.parametrize("name", ["evt2", "evt3"])
def test_events_before_the_first_time_word_are_left_out_with_a_note(tmp_path, name):
    header = {"evt2": files.EVT2_HEADER, "evt3": files.EVT3_HEADER}[name]
    early = {"evt2": struct.pack("<I", 0x10000801), "evt3": struct.pack("<HH", 7, 0x2001)}[name]
    data = header + early + WRITTEN[name][len(header) :]
    found = read_events(write(tmp_path, name, data))
    assert files.rows(found) == EVENTS
    assert found.notes[0].endswith(
        "1 events before the first time word left out: their time is unknown"
    )


def test_events_that_begin_like_a_header_line_are_events(tmp_path):
    word = 0x8 << 28 | 0x0A00_25  # its first byte is "%", and a line feed follows
    data = b"% evt 2.0\n" + struct.pack("<II", word, 1 << 28 | 3 << 11 | 4)
    assert files.rows(read_events(write(tmp_path, "evt2", data))) == [(3, 4, 0xA0025 << 6, 1)]


def test_an_overflow_mark_of_nmnist_moves_its_clock_on(tmp_path):
    events = [(1, 2, 8000, 1), (0, 240, 0, 0), (3, 4, 5, 0)]
    found = read_events(write(tmp_path, "bin", files.nmnist(events)))
    assert files.rows(found) == [(1, 2, 8000, 1), (3, 4, 8192 + 5, 0)]
    assert "1 marks of an overflowing clock counted" in found.notes[0]


def test_rollovers_are_undone_on_request(tmp_path):
    events = [(1, 2, (1 << 32) - 5, 1), (3, 4, 6, 0)]
    path = write(tmp_path, "dat", files.dat(events))
    with pytest.raises(InvalidInput, match=r"clock of 4294967296 us .*unwrap"):
        read_events(path)
    assert read_events(path, disorder="unwrap").t.tolist() == [(1 << 32) - 5, (1 << 32) + 6]


def test_the_place_of_a_wrong_event_is_told(tmp_path):
    wrong = [(1, 2, 10, 1), (3, 4, 5, 0)]
    for name, place in {"bin": "byte 5", "csv": "line 3", "evt2": "byte 61"}.items():
        data = {"bin": files.nmnist, "evt2": files.evt2}.get(
            name, lambda events: b"x,y,t,p\n" + b"".join(b"%d,%d,%d,%d\n" % e for e in events)
        )(wrong)
        message = f"got 5 us after 10 us at {place}, first at index 1"
        with pytest.raises(InvalidInput, match=message):
            read_events(write(tmp_path, name, data))


def test_bin_refuses_what_it_cannot_hold(tmp_path):
    for field, event in {"x": (256, 0, 0, 0), "y": (0, 240, 0, 0), "t": (0, 0, 1 << 23, 0)}.items():
        with pytest.raises(InvalidInput, match=f"recording.bin.{field}: must be less than"):
            write_events(tmp_path / "recording.bin", stream([event]))
    assert list(tmp_path.iterdir()) == []


def test_every_format_is_tested_here():
    assert {*WRITTEN, "npz", "raw"} == set(FORMATS)


def test_expelliarmus_agrees_on_dat_and_evt2(tmp_path):
    """And on the pixels of EVT 3.0, whose clock it gets wrong."""
    wizard = pytest.importorskip("expelliarmus").Wizard
    vectors = struct.pack("<6H", 0x3005, 0x4F0F, 0x50AA, 0x3805, 0x4FFF, 0x5081)
    cases = {"dat": WRITTEN["dat"], "evt2": WRITTEN["evt2"], "evt3": WRITTEN["evt3"] + vectors}
    for name, data in cases.items():
        path = write(tmp_path, name, data)
        theirs, ours = wizard(name).read(path), read_events(path)
        for field in ("x", "y", "p") + (("t",) if name != "evt3" else ()):
            assert theirs[field].tolist() == getattr(ours, field).tolist(), (name, field)
