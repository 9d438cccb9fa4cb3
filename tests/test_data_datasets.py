"""tonic's datasets from small folders made here, and from real recordings where there are some."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import event_files as files
import numpy as np
import pytest
from scipy.io import savemat

from spikecore import FileRefused, InvalidInput, UnknownName
from spikecore.camera import EventStream
from spikecore.data import (
    as_structured,
    dataset_names,
    open_dataset,
    read_events,
    write_events,
)

tonic = pytest.importorskip("tonic")

RECORDINGS = Path(__file__).parents[2] / "shared" / "data" / "events"
SOUND = {"SHD", "SSC", "NTIDIGITS18", "SMNIST"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def nmnist(folder, part="Train"):
    """Two digits of two recordings each."""
    events = {}
    for digit in (3, 7):
        for number in (2, 9):
            found = files.some_events(seed=10 * digit + number)
            put(folder / f"NMNIST/{part}/{digit}/{number:05}.bin", files.nmnist(found))
            events[digit, number] = found
    return events


def as_array(events, names, dtypes):
    columns = dict(zip("xytp", np.array(events).T, strict=True))
    array = np.empty(len(events), list(zip(names, dtypes, strict=True)))
    for name in names:
        array[name] = columns[name]
    return array


def dvs_gesture(folder, events, user="user02_led", label=4, part="ibmGestureTrain"):
    x, y, t, p = np.array(events).T
    path = folder / "DVSGesture" / part / user / f"{label}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.column_stack([x, y, p, (t + 0.1) / 1000.0]))  # ms, which tonic truncates


def test_names_are_tonics_without_those_that_are_no_vision():
    assert set(dataset_names()) == set(tonic.datasets.__all__) - SOUND
    assert set(tonic.datasets.__all__) > SOUND


def test_nmnist(tmp_path):
    events = nmnist(tmp_path)
    nmnist(tmp_path, "Test")
    found = open_dataset("N-MNIST", tmp_path)
    assert (len(found), found.sensor) == (4, (34, 34))
    assert [label for _, label in found] == [3, 3, 7, 7]
    assert [files.rows(stream) for stream, _ in found] == list(events.values())
    assert found[-1][1] == 7
    assert isinstance(found[0][0], EventStream)
    assert (found[0][0].width, found[0][0].height) == (34, 34)
    assert len(open_dataset("nmnist", tmp_path, train=False)) == 4
    with pytest.raises(IndexError):
        found[4]


def test_nmnist_options_of_tonic(tmp_path):
    nmnist(tmp_path)
    cut = open_dataset("NMNIST", tmp_path, first_saccade_only=True)
    assert cut.tonic.first_saccade_only
    assert cut[0][0].t.max() < 1e5


def test_dvs_gesture_in_the_order_of_its_files(tmp_path):
    events = files.some_events(width=128, height=128)
    for label in (4, 0, 9, 2):
        dvs_gesture(tmp_path, events, label=label)
    found = open_dataset("DVS Gesture", tmp_path)
    assert [label for _, label in found] == [0, 2, 4, 9]
    assert found.tonic.users == [2] * 4
    assert files.rows(found[0][0]) == events
    assert (found[0][0].width, found[0][0].height) == (128, 128)


def test_transforms_of_tonic_get_validated_events(tmp_path):
    events = list(nmnist(tmp_path).values())
    to_frame = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=3)
    found = open_dataset(
        "NMNIST", tmp_path, transform=to_frame, target_transform=lambda label: -label
    )
    frames, label = found[0]
    assert frames.shape == (3, 2, 34, 34)
    assert frames.sum() == pytest.approx(len(events[0]), abs=1)
    assert label == -3
    seen = open_dataset("NMNIST", tmp_path, transform=lambda array: array)[0][0]
    assert seen.dtype.names == tonic.datasets.NMNIST.dtype.names
    x, y, t, p = np.array(events[0]).T
    alone = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=3)
    assert np.array_equal(alone(as_structured(EventStream.checked(x, y, t, p))), frames)


def test_a_wrong_recording_is_refused_before_a_transform_sees_it(tmp_path):
    put(tmp_path / "NMNIST/Train/1/00001.bin", files.nmnist([(1, 2, 9, 0), (1, 2, 3, 0)]))
    put(tmp_path / "NMNIST/Train/2/00001.bin", files.nmnist([(40, 2, 9, 0)]))
    put(tmp_path / "NMNIST/Train/3/00001.bin", b"")
    put(tmp_path / "NMNIST/Train/4/00001.bin", files.nmnist([(1, 2, 9, 0)])[:-2])
    found = open_dataset("NMNIST", tmp_path, transform=lambda _: pytest.fail("it was seen"))
    with pytest.raises(InvalidInput, match=r"1/00001.bin.t: must not go back"):
        found[0]
    with pytest.raises(InvalidInput, match=r"2/00001.bin.x: must lie on the sensor, 0 \.\. 33"):
        found[1]
    with pytest.raises(FileRefused, match=r"3/00001.bin: holds no events"):
        found[2]
    with pytest.raises(FileRefused, match=r"4/00001.bin: is damaged, or not as tonic expects it"):
        found[3]
    mended = open_dataset("NMNIST", tmp_path, disorder="sort")[0][0]
    assert mended.t.tolist() == [3, 9]
    assert "sorted" in mended.notes[0]


def test_absent_files_are_named(tmp_path):
    for name in ("NMNIST", "DVSGesture"):
        ours = getattr(tonic.datasets, name)
        for train, md5 in ((True, ours.train_md5), (False, ours.test_md5)):
            with pytest.raises(FileRefused) as caught:
                open_dataset(name, tmp_path, train=train)
            assert md5 in caught.value.fix
            assert str(tmp_path / name) in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_is_there_is_checked_but_not_unpacked(tmp_path, monkeypatch):
    put(tmp_path / "NMNIST/train.zip", b"zip")
    with pytest.raises(FileRefused, match=r"train.zip: is damaged \(got MD5 .*, not 20959b"):
        open_dataset("NMNIST", tmp_path)
    right = hashlib.md5(b"zip").hexdigest()
    monkeypatch.setattr(tonic.datasets.NMNIST, "train_md5", right)
    with pytest.raises(FileRefused, match=r"train.zip: is not unpacked"):
        open_dataset("NMNIST", tmp_path)
    assert [path.name for path in (tmp_path / "NMNIST").iterdir()] == ["train.zip"]


@pytest.mark.parametrize("name", sorted(set(tonic.datasets.__all__) - SOUND))
def test_no_dataset_downloads_or_writes(tmp_path, name):
    options = {"DAVISDATA": {"recording": "all"}, "TUMVIE": {"recording": "all"}}
    options["MVSEC"] = {"scene": "outdoor_day"}
    with pytest.raises(FileRefused) as caught:
        open_dataset(name, tmp_path, **options.get(name, {}))
    assert caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_options_are_checked(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'DVSGesture'"):
        open_dataset("DVSGestures", tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'stabilize'"):
        open_dataset("NMNIST", tmp_path, stabilise=True)
    with pytest.raises(InvalidInput, match="needs recording="):
        open_dataset("DAVISDATA", tmp_path)
    with pytest.raises(InvalidInput, match="DAVISDATA: cannot be opened by tonic"):
        open_dataset("DAVISDATA", tmp_path, recording="nowhere")


def test_more_sets_of_which_a_part_can_be_made_here(tmp_path):
    small = files.some_events(width=35, height=35)
    put(tmp_path / "NCALTECH101/Caltech101/ant/image_0001.bin", files.nmnist(small))
    put(tmp_path / "CIFAR10DVS/cat/cat_1.aedat4", files.aedat4([small]))
    lips = tmp_path / "DVSLip/DVS-Lip/train/accused/0.npy"
    cards = tmp_path / "POKERDVS/pips_train/he/0.npy"
    signs = tmp_path / "ASLDVS/c/c_0001.mat"
    for path in (lips, cards, signs):
        path.parent.mkdir(parents=True)
    np.save(lips, as_array(small, "txyp", ["i4", "i1", "i1", "i1"]))
    x, y, t, p = np.array(small).T
    np.save(cards, np.column_stack([t, x, y, p]))
    savemat(signs, {"ts": t[:, None], "x": x[:, None], "y": 179 - y[:, None], "pol": p[:, None]})
    labels = {"NCALTECH101": "ant", "CIFAR10DVS": 3, "DVSLip": 0, "POKERDVS": 1, "ASLDVS": 2}
    for name, label in labels.items():
        found = open_dataset(name, tmp_path)
        assert len(found) == 1
        events, target = found[0]
        assert target == label
        assert isinstance(events, EventStream)
        shift = (x.min(), y.min()) if name == "NCALTECH101" else (0, 0)  # tonic moves those
        assert files.rows(events) == [(a - shift[0], b - shift[1], c, d) for a, b, c, d in small]


@pytest.fixture
def recordings():
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings at {RECORDINGS}")
    return RECORDINGS


@pytest.mark.recordings
def test_real_nmnist(recordings):
    train, test = (open_dataset("NMNIST", recordings, train=train) for train in (True, False))
    assert (len(train), len(test)) == (480, 60)
    for index in (0, 250, 479):
        path = Path(train.tonic.data[index])
        events, label = train[index]
        assert label == int(path.parent.name)
        assert files.rows(read_events(path)) == files.rows(events)


@pytest.mark.recordings
def test_real_dvs_gesture(recordings, tmp_path):
    sources = sorted((recordings / "dvs_gesture").glob("*.bin"))
    streams = [read_events(path, sensor=(128, 128)) for path in sources]
    for label, stream in enumerate(streams):
        dvs_gesture(tmp_path, files.rows(stream), label=label)
    found = open_dataset("DVSGesture", tmp_path)
    assert len(found) == len(streams) == 10
    assert [files.rows(stream) for stream, _ in found] == [files.rows(one) for one in streams]


@pytest.mark.recordings
def test_real_recordings_survive_every_format(recordings, tmp_path):
    for path in sorted(recordings.glob("*/seq_0001.bin")):
        stream = read_events(path)
        for suffix in ("npz", "bin"):
            write_events(tmp_path / f"copy.{suffix}", stream)
            back = read_events(tmp_path / f"copy.{suffix}")
            for name in ("x", "y", "t", "p"):
                assert np.array_equal(getattr(back, name), getattr(stream, name))
