"""The chip's fixed-point arithmetic: known values, and closed forms to within its known errors."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecore import UnknownName
from spikecore_hardware.board import BOARDS, load_board
from spikecore_hardware.spinnaker import arithmetic as fixed
from spikecore_hardware.spinnaker.mapping import window

s1615 = st.integers(-(2**31), 2**31 - 1)


@pytest.mark.parametrize(
    ("x", "expected"),
    [(0, 32768), (-1638, 31170), (-3276, 29650), (-6553, 26828), (-32768, 12054)],
)
def test_exponential_gives_the_values_read_off_the_image(x, expected):
    """The first four were computed by the vendor's image; e**-1 is 12054.6 and cut off."""
    assert fixed.exp_s1615(x) == expected


@pytest.mark.parametrize(("x", "expected"), [(-1638, 0xF3847504), (-6553, 0xD1996247)])
def test_fine_exponential_gives_the_values_read_off_the_image(x, expected):
    assert fixed.exp_u032(x) == expected


@given(x=st.integers(-340_000, -1))
def test_exponential_is_close_to_the_true_one(x):
    true = math.exp(x / 32768)
    assert abs(fixed.exp_s1615(x) - true * 2**15) <= 1.05
    assert abs(fixed.exp_u032(x) - true * 2**32) <= 5_400


@given(x=st.integers(1, 363_408))
def test_exponential_of_positive_numbers(x):
    assert fixed.exp_s1615(x) == pytest.approx(math.exp(x / 32768) * 2**15, rel=4e-5, abs=1)


def test_exponential_beyond_its_range():
    assert fixed.exp_s1615(-340_696) == fixed.exp_u032(-340_696) == 0
    assert fixed.exp_s1615(363_409) == 2**31 - 1
    assert fixed.exp_u032(0) == 0  # 1.0 does not fit into 32 fractional bits


@given(a=s1615, b=s1615.filter(bool))
def test_division_is_cut_off_towards_zero_and_wraps(a, b):
    exact = int(Decimal(a) * 32768 / Decimal(b)) if abs(a) < 2**40 else 0
    assert fixed.divide(a, b) == (exact + 2**31) % 2**32 - 2**31


@given(x=st.floats(-60_000, 60_000))
def test_parameters_are_rounded_from_their_decimal_form(x):
    coded = int(fixed.encode(x))
    assert coded == round(Decimal(repr(x)) * 32768)
    assert abs(coded - x * 32768) <= 0.5 + 1e-6


def test_parameters_half_way_between_two_steps_go_to_the_even_one():
    assert fixed.encode([0.5 / 32768, 1.5 / 32768, -0.5 / 32768]).tolist() == [0, 2, 0]


@given(tau=st.floats(0.1, 40.0), dt=st.sampled_from([0.1, 0.5, 1.0]))
def test_constants_of_a_synapse_are_close_to_the_closed_form(tau, dt):
    decay, gain = fixed.tau_constants(int(fixed.encode(tau)), int(fixed.encode(dt)))
    assert decay / 2**32 == pytest.approx(math.exp(-dt / tau), abs=4e-4)
    assert gain / 2**32 == pytest.approx(tau / dt * -math.expm1(-dt / tau), rel=0.02)


def test_gain_of_a_very_slow_synapse_overflows():
    """The series is a little too large there, so the gain passes 1 and wraps. So does the chip."""
    tick = int(fixed.encode(1.0))
    gains = [fixed.tau_constants(int(fixed.encode(tau)), tick)[1] for tau in (829.0, 963.76)]
    assert gains[0] / 2**32 == pytest.approx(0.987, abs=1e-3)
    assert gains[1] / 2**32 < 1e-3


def test_periods_are_rounded_up_to_whole_ticks():
    one = int(fixed.encode(1.0))
    assert [fixed.whole_ticks(int(fixed.encode(t)), one) for t in (0.0, 0.1, 1.0, 1.5)] == [
        *(0, 1, 1, 2)
    ]
    # 0.3 is coded a little too short, so three of it become four ticks.
    assert fixed.whole_ticks(int(fixed.encode(0.9)), int(fixed.encode(0.3))) == 4


def test_learning_windows_are_floored_tables_of_an_even_length():
    for tau in (0.24, 3.0, 20.0):
        table = window(tau, 1.0)
        assert len(table) % 2 == 0
        assert table.tolist() == [math.floor(2048 * math.exp(-k / tau)) for k in range(len(table))]
        assert math.floor(2048 * math.exp(-len(table) / tau)) == 0


def test_window_of_the_robust_memory_is_31_at_one_tick_and_exactly_zero_then():
    assert window(0.24, 1.0).tolist() == [2048, 31]


@pytest.mark.parametrize("name", BOARDS)
def test_boards_are_described(name):
    board = load_board(name)
    assert board.machine["application_cores"] < board.machine["cores_per_chip"]
    assert (board.core is None) == (name == "spinnaker2")


def test_boards_differ_in_size_only():
    spin3, spin5 = load_board("spin3"), load_board("spin5")
    assert (spin3.machine["chips"], spin5.machine["chips"]) == (4, 48)
    assert spin3.core == spin5.core


def test_unknown_board():
    with pytest.raises(UnknownName, match="did you mean 'spin5'"):
        load_board("spin55")


def test_wrapping():
    values = [0, 2**31 - 1, 2**31, -(2**31) - 1, 2**32]
    assert [fixed.to_int32(x) for x in values] == [0, 2**31 - 1, -(2**31), 2**31 - 1, 0]
    assert np.all(fixed.in_range([-65536, 65535.99]))
    assert not fixed.in_range(65536)
