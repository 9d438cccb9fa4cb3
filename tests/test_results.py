"""Results: comparing, saving, loading, and files that are not what they should be."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from random_networks import assert_same, busy_network

from spikecore import FileRefused, InvalidInput, Result, Simulation, Spikes, Trace, ms, run
from spikecore.files import atomic_write


def result(spikes, *, dt=1.0, group="n"):
    """A result with spikes (tick, neuron) of one group."""
    ticks, neurons = np.array(sorted(spikes), np.int64).reshape(-1, 2).T
    return Result({group: Spikes(ticks, neurons, dt)}, {}, {}, 100, dt, "complete")


def test_compare_counts_matched_missing_and_extra():
    one = result([(1, 0), (2, 5), (7, 1), (9, 3)])
    other = result([(2, 5), (7, 1), (8, 0), (8, 2)])
    comparison = one.compare(other)
    assert comparison.matched == 2
    assert comparison.extra == (("n", 0, 1), ("n", 3, 9))
    assert comparison.missing == (("n", 0, 8), ("n", 2, 8))
    assert not comparison.identical
    assert comparison.first_divergence == ("n", 0, 1)
    assert other.compare(one).missing == comparison.extra
    assert str(comparison) == ("2 matched, 2 missing, 2 extra; first divergence: n[0] in tick 1")


def test_compare_sees_multiplicity():
    twice, once = result([(4, 1), (4, 1)]), result([(4, 1)])
    assert twice.compare(once).matched == 1
    assert twice.compare(once).extra == (("n", 1, 4),)
    assert once.compare(twice).missing == (("n", 1, 4),)


def test_compare_of_equal_and_of_empty_runs():
    same = result([(1, 2)]).compare(result([(1, 2)]))
    assert same.identical
    assert same.first_divergence is None
    assert str(same) == "1 matched, 0 missing, 0 extra"
    assert result([]).compare(result([])).identical


def test_first_divergence_may_be_a_missing_spike():
    assert result([(5, 0)]).compare(result([(3, 7), (5, 0)])).first_divergence == ("n", 7, 3)


@pytest.mark.parametrize("other", [result([], dt=0.5), result([], group="m")])
def test_compare_refuses_runs_of_different_shape(other):
    with pytest.raises(InvalidInput, match="the same groups and dt"):
        result([]).compare(other)


def test_save_and_load(tmp_path):
    saved = run(busy_network(), 120 * ms, seed=7)
    saved.save(tmp_path / "run.npz")
    loaded = Result.load(tmp_path / "run.npz")
    assert_same(loaded, saved)
    assert len(loaded.spikes["a"]) > 0
    for attribute in ("ticks", "dt", "status", "message", "notes", "counters", "provenance"):
        assert getattr(loaded, attribute) == getattr(saved, attribute)
    assert loaded.provenance["seed"] == 7
    assert loaded.duration == 120
    assert loaded.traces["a.v"].times[:3].tolist() == [0, 3, 6]


def test_traces_know_their_times():
    trace = Trace(np.array([0, 5]), np.zeros((2, 1)), dt=0.1)
    assert trace.times.tolist() == [0.0, 0.5]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small result file and a small checkpoint."""
    folder = tmp_path_factory.mktemp("saved")
    simulation = Simulation(busy_network())
    simulation.run(10 * ms).save(folder / "result")
    simulation.save(folder / "checkpoint")
    return folder


def read(kind, path):
    """Load a file; return whether that was refused."""
    load = Result.load if kind == "result" else Simulation(busy_network()).restore
    try:
        load(path)
    except FileRefused as error:
        return str(path) in str(error) and error.exit_code == 3
    return False


@pytest.mark.parametrize("kind", ["result", "checkpoint"])
def test_truncated_files_are_refused_wherever_they_end(kind, saved, tmp_path):
    content = (saved / kind).read_bytes()
    for length in [0, 1, 4, 100, *range(200, len(content), 997), len(content) - 1]:
        (tmp_path / "cut").write_bytes(content[:length])
        assert read(kind, tmp_path / "cut"), length


@pytest.mark.parametrize("kind", ["result", "checkpoint"])
def test_damaged_files_raise_nothing_else(kind, saved, tmp_path):
    """A flipped byte may do no harm (dates, names of a checksum); else the file is refused."""
    content, rng, refused = (saved / kind).read_bytes(), np.random.default_rng(0), 0
    for _ in range(150):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "bad").write_bytes(damaged)
        refused += read(kind, tmp_path / "bad")
    assert refused > 100


def test_a_file_that_lacks_an_array_is_refused(saved, tmp_path):
    with np.load(saved / "result") as archive:
        arrays = {name: archive[name] for name in archive.files if name != "s0t"}
    np.savez(tmp_path / "part.npz", **arrays)
    with pytest.raises(FileRefused, match="is not complete"):
        Result.load(tmp_path / "part.npz")


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x93NUMPY\x01\x00", b"PK\x03\x04" + bytes(90), bytes(5000)]
)
def test_foreign_files_are_refused(content, tmp_path):
    (tmp_path / "foreign").write_bytes(content)
    with pytest.raises(FileRefused, match="is damaged or not a spikecore file"):
        Result.load(tmp_path / "foreign")


def test_arrays_of_numpy_and_files_of_another_kind_are_refused(saved, tmp_path):
    np.save(tmp_path / "array.npy", np.arange(5))
    np.savez(tmp_path / "arrays.npz", a=np.arange(5))
    for name in ("array.npy", "arrays.npz"):
        with pytest.raises(FileRefused, match="not a spikecore file"):
            Result.load(tmp_path / name)
    with pytest.raises(FileRefused, match=r"is not a spikecore-result-1 file \(got spikecore-che"):
        Result.load(saved / "checkpoint")
    with pytest.raises(FileRefused, match="is not a spikecore-checkpoint-2 file"):
        Simulation(busy_network()).restore(saved / "result")
    with pytest.raises(FileRefused, match="does not exist"):
        Result.load(tmp_path / "absent")


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    result([(1, 0)]).save(path)
    before = path.read_bytes()

    def no_space(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(FileRefused, match="could not be written: No space left on device"):
        result([(1, 0), (2, 0)]).save(path)
    with pytest.raises(FileRefused, match="unchanged"):
        Simulation(busy_network()).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_device_is_an_error_while_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda _path, _mode: open("/dev/full", "wb"))  # noqa: PTH123, SIM115
    with pytest.raises(FileRefused, match="No space left on device"):
        run(busy_network(), 10 * ms).save(tmp_path / "run.npz")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_written_to(tmp_path, monkeypatch):
    with pytest.raises(FileRefused, match="does not exist"):
        result([]).save(tmp_path / "absent" / "run.npz")
    with pytest.raises(FileRefused, match="is a folder"):
        result([]).save(tmp_path)
    shutil.copy(__file__, tmp_path / "old")
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # chmod does not stop root
    with pytest.raises(FileRefused, match="is not writable"):
        result([]).save(tmp_path / "old")
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]


def test_files_have_the_mode_that_the_user_expects(tmp_path):
    fresh, kept = tmp_path / "fresh", tmp_path / "kept"
    plain = tmp_path / "plain"
    plain.touch()
    kept.touch()
    kept.chmod(0o640)
    for path in (fresh, kept):
        with atomic_write(path) as file:
            file.write(b"x")
    assert fresh.stat().st_mode == plain.stat().st_mode
    assert kept.stat().st_mode & 0o777 == 0o640
