"""EventStream: what it accepts, what it mends on request, and how it is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import InvalidInput
from spikecore.camera import EventStream

times = st.lists(st.integers(0, 10**9), min_size=1, max_size=40)


def stream(t, **options):
    t = np.asarray(t)
    return EventStream.checked(np.arange(t.size), np.zeros(t.size, int), t, t % 2, **options)


def test_fields_and_sensor():
    found = EventStream.checked([1, 5], [2, 0], [10, 10], [True, False])
    assert (found.width, found.height, len(found)) == (6, 3, 2)
    assert [getattr(found, name).dtype for name in "xytp"] == [np.int16, np.int16, np.int64, "u1"]
    assert EventStream.checked([], [], [], [], sensor=(3, 2)).width == 3
    signed = EventStream.checked([1, 5], [2, 0], [10, 10], [-1, 1])
    assert signed.p.tolist() == [0, 1]


@pytest.mark.parametrize("sensor", [(34.5, 34), 34, (34,), (0, 34), (34, 40000), "ab"])
def test_a_sensor_is_two_whole_numbers(sensor):
    with pytest.raises(InvalidInput, match="must be width and height"):
        EventStream.checked([1], [1], [1], [1], sensor=sensor)


def test_a_sensor_may_hold_numpy_integers():
    assert EventStream.checked([1], [1], [1], [1], sensor=np.array([3, 4])).height == 4


@given(times)
@settings(deadline=None)
def test_sorting_keeps_every_event_and_those_of_one_time_in_order(given_times):
    found = stream(given_times, disorder="sort", sensor=(50, 1))
    order = sorted(range(len(given_times)), key=lambda index: given_times[index])
    assert found.x.tolist() == order
    assert found.t.tolist() == sorted(given_times)


@given(
    st.lists(st.integers(0, 100_000), min_size=2, max_size=60), st.sampled_from([23, 24, 32, 34])
)
@settings(deadline=None)
def test_unwrapping_restores_times_that_rolled_over(steps, bits):
    period = 1 << bits
    whole = period - 150_000 + np.cumsum(steps)
    rolled = whole % period
    found = stream(rolled, disorder="unwrap", sensor=(100, 1))
    if (np.diff(rolled) < 0).any():
        assert found.t.tolist() == whole.tolist()
        assert found.notes == (f"events: 1 rollovers of {period} us undone",)
    else:
        assert found.t.tolist() == rolled.tolist()


def test_disorder_is_not_taken_for_a_rollover():
    with pytest.raises(InvalidInput, match="must not go back"):
        stream([5, 9, 7], disorder="unwrap")


@given(times, st.integers(0, 10**9), st.integers(0, 10**9))
@settings(deadline=None)
def test_between_is_start_up_to_stop(given_times, start, stop):
    found = stream(sorted(given_times), sensor=(50, 1)).between(start, stop)
    assert found.t.tolist() == [t for t in sorted(given_times) if start <= t < stop]


def test_shift_duration_and_rate():
    found = stream([100, 600_100, 1_000_100])
    assert found.duration == pytest.approx(1.0)
    assert found.rate == pytest.approx(3.0)
    assert found.shifted(-100).t.tolist() == [0, 600_000, 1_000_000]
    with pytest.raises(InvalidInput, match="must not be negative"):
        found.shifted(-101)
