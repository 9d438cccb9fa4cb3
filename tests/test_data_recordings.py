"""One real file of each format, against other readers and a decoder that goes word by word."""

from __future__ import annotations

from pathlib import Path

import event_files as files
import numpy as np
import pytest

from spikecore import FileRefused
from spikecore.data import read_events

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "fixtures"
COUNTS = {
    "expelliarmus_evt2_sample.raw": 539481,
    "expelliarmus_evt3_sample.raw": 219596,
    "tonic_sample.aedat4": 111954,
    "tonic_sample_ncars.dat": 2009,
    "tonic_sample_nmnist.bin": 4325,
}

pytestmark = pytest.mark.recordings


@pytest.fixture
def sample():
    def path(name):
        if not (FOLDER / name).exists():
            pytest.skip(f"no recordings at {FOLDER}")
        return FOLDER / name

    return path


def same(theirs, ours, fields="xytp"):
    return [name for name in fields if not np.array_equal(theirs[name], getattr(ours, name))] == []


@pytest.mark.parametrize("name", COUNTS)
def test_number_of_events(sample, name):
    assert len(read_events(sample(name))) == COUNTS[name]


@pytest.mark.parametrize(
    ("name", "kind"), [("tonic_sample_ncars.dat", "dat"), ("expelliarmus_evt2_sample.raw", "evt2")]
)
def test_dat_and_evt2_against_expelliarmus(sample, name, kind):
    wizard = pytest.importorskip("expelliarmus").Wizard(kind)
    assert same(wizard.read(sample(name)), read_events(sample(name)))


def test_evt3_word_by_word(sample):
    data = sample("expelliarmus_evt3_sample.raw").read_bytes()
    body = data[data.index(b"% system_ID 48\n") + len(b"% system_ID 48\n") :]
    assert files.rows(read_events(sample("expelliarmus_evt3_sample.raw"))) == files.slow_evt3(body)


def test_evt3_pixels_against_expelliarmus_whose_clock_runs_fast(sample):
    wizard = pytest.importorskip("expelliarmus").Wizard("evt3")
    theirs = wizard.read(sample("expelliarmus_evt3_sample.raw"))
    ours = read_events(sample("expelliarmus_evt3_sample.raw"))
    assert same(theirs, ours, "xyp")
    assert np.all((theirs["t"] - ours.t) % 4096 == 0)  # TIME_LOW's laps counted twice


def test_aedat4_against_aedat_and_its_cuts(sample, tmp_path):
    path = sample("tonic_sample.aedat4")
    packets = [p["events"] for p in pytest.importorskip("aedat").Decoder(path) if "events" in p]
    theirs, ours = np.concatenate(packets), read_events(path)
    assert same(theirs, ours)
    assert (ours.width, ours.height) == (320, 240)
    cut = tmp_path / "cut.aedat4"
    cut.write_bytes(path.read_bytes()[:300_000])
    with pytest.raises(FileRefused, match="is cut off within a packet"):
        read_events(cut)
    kept = read_events(cut, allow_partial=True)
    assert same(theirs[: len(kept)], kept)
    assert len(kept) in np.cumsum([len(events) for events in packets])


def test_damage_in_a_compressed_packet_does_not_end_the_process(sample, tmp_path):
    whole = sample("tonic_sample.aedat4").read_bytes()
    damaged = tmp_path / "damaged.aedat4"
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(12):
        data = np.frombuffer(whole[:60_000], np.uint8).copy()
        data[rng.integers(2400, data.size, 6)] = rng.integers(0, 256, 6)
        damaged.write_bytes(data.tobytes())
        with pytest.raises(FileRefused):
            read_events(damaged)
        refused += 1
    assert refused == 12


def test_nmnist_against_tonic(sample):
    read = pytest.importorskip("tonic.io").read_mnist_file
    dtype = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
    path = sample("tonic_sample_nmnist.bin")
    assert same(read(str(path), dtype), read_events(path))
