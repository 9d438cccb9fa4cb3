"""Motion from events: directions, speeds, several motions, and what changes nothing."""

from __future__ import annotations

from dataclasses import replace

import moving
import numpy as np
import pytest

from spikecore import EventStream, InvalidInput, UnknownName
from spikecore.motifs import detect, shipped_kernel
from spikecore.motifs.contrast import contrast_maximisation
from spikecore.motifs.detect import hot_pixels, rotation_sense
from spikecore.motifs.ladder import sweep

KERNEL = shipped_kernel()


@pytest.mark.parametrize("degrees", [0, 37, 90, 135, 180, 200, 270, 310])
def test_directions(degrees):
    angle = np.radians(degrees)
    found = detect(moving.straight(100 * np.cos(angle), 100 * np.sin(angle))).overall
    assert moving.angle_between(found.direction, angle) < 10
    assert float(found.speed) == pytest.approx(100, rel=0.2)


@pytest.mark.parametrize(
    ("speed", "seconds"), [(20, 0.6), (45, 0.4), (150, 0.3), (300, 0.2), (600, 0.2)]
)
def test_speeds(speed, seconds):
    found = detect(moving.straight(0.8 * speed, 0.6 * speed, seconds=seconds)).overall
    assert moving.angle_between(found.direction, np.arctan2(0.6, 0.8)) < 15
    assert float(found.speed) == pytest.approx(speed, rel=0.25)


def test_exchanging_polarities_changes_nothing():
    events = moving.straight(60, -80)
    other = replace(events, p=1 - events.p)
    one, two = (sweep(e, KERNEL).log_posterior for e in (events, other))
    assert np.array_equal(one, two)


def test_backends_agree():
    events = moving.straight(120, 40, seconds=0.04, sensor=(20, 20))
    ticks = (1000, 4000)
    event, clocked, dense = (
        sweep(events, KERNEL, ticks=ticks, backend=b, bin=20_000)
        for b in ("event", "clocked", "torch")
    )
    for other in (clocked, dense):
        assert np.array_equal(event.counts, other.counts)
        assert np.allclose(event.log_posterior, other.log_posterior, rtol=1e-4, atol=1e-2)
        assert np.array_equal(event.spikes.index, other.spikes.index)
        assert np.array_equal(event.spikes.direction, other.spikes.direction)


def test_a_change_of_motion_is_followed():
    def source(t, x, y):
        return (x - 100 * min(t, 0.3), y - 100 * max(0.0, t - 0.3))

    motion = detect(moving.warped(source, seconds=0.6))
    ends = motion.times[:, 1] * 1e-6
    before, after = ends <= 0.3, motion.times[:, 0] * 1e-6 >= 0.36
    assert before.sum() >= 3
    assert after.sum() >= 3
    assert moving.angle_between(motion.windows.direction[before], 0.0).max() < 20
    assert moving.angle_between(motion.windows.direction[after], np.pi / 2).max() < 20


def test_two_motions_in_one_view_are_told_apart():
    left = moving.straight(90, 0, sensor=(64, 48))
    right = moving.straight(0, -60, sensor=(64, 48), seed=1)
    both = moving.together(left.where(left.x < 32), right.where(right.x >= 32))
    motion = detect(both)
    parts = motion.parts
    assert len(parts) == 2
    for direction, speed in ((0.0, 90), (-np.pi / 2, 60)):
        part = min(parts, key=lambda p: moving.angle_between(p.direction, direction))
        assert moving.angle_between(part.direction, direction) < 15
        assert part.speed == pytest.approx(speed, rel=0.25)
        assert 0.25 < part.share < 0.75
    x, y = contrast_maximisation(both)  # has only one answer
    assert min(np.hypot(x - 90, y), np.hypot(x, y + 60)) < 15


@pytest.mark.parametrize("sense", [1, -1])
def test_sense_of_rotation(sense):
    def source(t, x, y):
        c, s = np.cos(-sense * 4 * t), np.sin(-sense * 4 * t)
        return 24 + c * (x - 24) - s * (y - 24), 24 + s * (x - 24) + c * (y - 24)

    motion = detect(moving.warped(source))
    assert motion.rotation * sense > 0.5
    assert rotation_sense(motion, 0, 150_000) * sense > 0.5
    assert rotation_sense(motion, 10**9, 10**9 + 1) == 0.0


def test_reading_a_sample_hardly_matters():
    events = moving.straight(-70, 70, sensor=(96, 96))
    whole, part = (sweep(events, KERNEL, reads=reads) for reads in (None, 300))
    assert part.read < whole.read / 3
    assert part.voxels == whole.voxels  # all are taken in
    one, two = whole.velocity((0, 1, 2)), part.velocity((0, 1, 2))
    assert moving.angle_between(one.direction, two.direction) < 5
    assert float(two.speed) == pytest.approx(float(one.speed), rel=0.1)


def test_the_clock_may_start_anywhere():
    events = moving.straight(100, 0)
    one, two = (detect(e).windows for e in (events, events.shifted(1_605_537_493_000_000)))
    assert np.array_equal(one.direction, two.direction)


def test_hot_pixels_are_left_out_and_counted():
    events = moving.straight(0, 100)
    n = 60_000
    hot = EventStream.checked(
        np.full(n, 5),
        np.full(n, 7),
        np.linspace(0, 299_999, n).astype(int),
        np.arange(n) % 2,
        sensor=(48, 48),
    )
    both = moving.together(events, hot)
    assert hot_pixels(both).sum() == n + int(((events.x == 5) & (events.y == 7)).sum())
    assert not hot_pixels(events).any()
    motion = detect(both)
    assert motion.hot == 1
    assert moving.angle_between(motion.overall.direction, np.pi / 2) < 10


def test_a_stopped_sweep_keeps_what_it_has():
    class AfterThree:
        asked = 0

        def __bool__(self):
            self.asked += 1
            return self.asked >= 3

    motion = detect(moving.straight(100, 0), stop=AfterThree())
    assert not motion.sums.complete
    assert len(motion.sums.counts) == 3
    assert motion.sums.reached < len(motion.events)
    assert moving.angle_between(motion.overall.direction, 0.0) < 15


@pytest.mark.parametrize(("vx", "vy"), [(70, 0), (-30, 110), (0, -25)])
def test_contrast_maximisation_finds_one_velocity(vx, vy):
    found = contrast_maximisation(moving.straight(vx, vy))
    assert np.hypot(found[0] - vx, found[1] - vy) < 6


def test_what_is_refused():
    empty = EventStream.checked(*[np.empty(0, int)] * 4, sensor=(8, 8))
    with pytest.raises(InvalidInput, match="no motion to see"):
        detect(empty)
    with pytest.raises(InvalidInput, match="no motion to see"):
        contrast_maximisation(empty)
    events = moving.straight(100, 0, seconds=0.02)
    with pytest.raises(UnknownName, match="evnt"):
        detect(events, backend="evnt")
    with pytest.raises(InvalidInput, match="cell"):
        detect(events, cell=0)
    with pytest.raises(InvalidInput, match="no motions as classes"):
        detect(events, kernel=replace(KERNEL, directions=None))
