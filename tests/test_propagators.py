"""Propagators against arbitrary precision, for time constants near and at the singular case."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from spikecore import LIF, AdaptiveThreshold, Alpha, Delta, Exponential, MOhm, ms, mV, nA
from spikecore.units import LinearUnit
from spikecore.units.propagator import expm, step_system, tabulate

mpmath.mp.dps = 400  # entries down to 1e-290 keep more digits than a double has

SYNAPSES = {"delta": lambda _tau: Delta(), "exponential": Exponential, "alpha": Alpha}
NEAR = [0.0] + [sign * 10.0**-e for e in range(3, 16) for sign in (1, -1)]


def lif(synapse="exponential", tau_m=10.0, ratio=0.5, **more):
    return LIF(
        tau_m=tau_m * ms,
        synapse=SYNAPSES[synapse](ratio * tau_m * ms),
        resistance=7.0 * MOhm,
        i_offset=0.3 * nA,
        **more,
    ).linear


def augmented(unit: LinearUnit, kind: int = 0):
    s = len(unit.states)
    a = np.zeros((s + 1, s + 1))
    a[:s, :s], a[:s, s] = unit.A[kind], unit.b[kind]
    return a


def exact_expm(a, time):
    """The exponential of the matrix of doubles ``a``, as doubles, by mpmath."""
    scaled = mpmath.matrix(a.tolist()) * mpmath.mpf(float(time))
    return np.array(mpmath.expm(scaled).tolist(), dtype=float)


def carry(table, gap):
    """Augmented matrix over ``gap`` ticks, digit by digit as the backends do it."""
    positions, radix, s, _ = table.shape
    total = np.eye(s + 1)
    for position in range(positions):
        gap, digit = divmod(gap, radix)
        total = np.vstack([table[position, digit], np.eye(s + 1)[-1]]) @ total
    assert gap == 0
    return total


def assert_close(found, wanted, tolerance=1e-12):
    found, wanted = np.asarray(found), np.asarray(wanted)
    visible = np.abs(wanted) > 1e-290  # below, doubles lose digits
    assert np.all(found[wanted == 0] == 0)
    assert np.all(np.abs(found[~visible]) < 1e-289)
    error = np.abs(found[visible] / wanted[visible] - 1)
    assert error.max(initial=0) < tolerance, (found, wanted)


@pytest.mark.parametrize("synapse", ["exponential", "alpha"])
@pytest.mark.parametrize("off", NEAR)
def test_expm_at_and_near_equal_time_constants(synapse, off):
    a = augmented(lif(synapse, ratio=1.0 + off))
    for time in (0.1, 1.0, 50.0):
        assert_close(expm(a[None] * time)[0], exact_expm(a, time))


@pytest.mark.parametrize("synapse", SYNAPSES)
@pytest.mark.parametrize("ratio", [0.01, 0.5, 2.0, 100.0])
def test_expm_over_many_scales(synapse, ratio):
    unit = lif(synapse, ratio=ratio, adaptation=AdaptiveThreshold(1 * mV, 300 * ms))
    for time in (1e-3, 1.0, 30.0, 1000.0):
        assert_close(expm(augmented(unit)[None] * time)[0], exact_expm(augmented(unit), time))


def test_expm_of_a_matrix_that_is_not_triangular():
    a = np.array([[-0.1, 1.0, 0.0], [-1.0, -0.1, 0.3], [0.0, 0.0, 0.0]])
    for time in (0.5, 20.0):
        found, wanted = expm(a[None] * time)[0], exact_expm(a, time)
        assert np.abs(found - wanted).max() < 1e-12 * np.abs(wanted).max()


def test_expm_of_a_stack_is_the_stack_of_expms():
    stack = np.stack([augmented(lif(tau_m=tau)) for tau in (1.0, 10.0, 500.0)])
    for one, together in zip(stack, expm(stack), strict=True):
        assert_close(together, exact_expm(one, 1.0))


@pytest.mark.parametrize("synapse", SYNAPSES)
@pytest.mark.parametrize("gap", [1, 2, 63, 64, 65, 4095, 4097, 99_999, 10**6])
def test_any_gap_by_digits(synapse, gap):
    unit = lif(synapse, tau_m=30.0, adaptation=AdaptiveThreshold(1 * mV, 1e5 * ms))
    assert_close(carry(tabulate(unit, 0.5).free[0], gap), exact_expm(augmented(unit), 0.5 * gap))


@pytest.mark.parametrize("off", [0.0, 1e-15, -1e-12, 1e-9, -1e-6, 1e-3])
@pytest.mark.parametrize("gap", [1, 100, 1000])
def test_gaps_at_and_near_equal_time_constants(off, gap):
    unit = lif("alpha", ratio=1.0 + off)
    assert_close(carry(tabulate(unit, 0.1).free[0], gap), exact_expm(augmented(unit), 0.1 * gap))


@pytest.mark.parametrize(("size", "radix"), [(1, 64), (20, 8), (1100, 2)])
def test_large_populations_get_smaller_tables_with_the_same_content(size, radix):
    unit = lif(tau_m=np.linspace(5.0, 50.0, size))
    table = tabulate(unit, 1.0)
    assert table.radix == radix
    for kind in (0, size // 2, size - 1):
        for gap in (1, 7, 200, 5000):
            wanted = exact_expm(augmented(unit, kind), gap)
            assert_close(carry(table.free[kind], gap), wanted)


def test_held_states_stand_still_and_others_move():
    unit = lif()
    table = tabulate(unit, 1.0)
    v, current = unit.states.index("v"), unit.states.index("i_exc")
    held = carry(table.held[0], 1234)
    assert np.array_equal(held[v], np.eye(4)[v])
    assert held[current, current] == carry(table.free[0], 1234)[current, current]


def test_spinnaker_step_moves_the_membrane_with_the_current_held():
    dt, tau_m, tau_s, r = 1.0, 3.0, 0.3, 3.0 / 0.27
    unit = LIF(
        tau_m=tau_m * ms, resistance=r * MOhm, synapse=Exponential(tau_s * ms), step="spinnaker"
    ).linear
    step = step_system(unit, dt, held=False)[0]
    v, current = unit.states.index("v"), unit.states.index("i_exc")
    assert_close(step[v, current], -r * np.expm1(-dt / tau_m))
    assert_close(step[v, v], np.exp(-dt / tau_m))
    assert_close(step[current, current], np.exp(-dt / tau_s))
    assert step[current, v] == 0


@pytest.mark.parametrize("step", ["exact", "spinnaker"])
@pytest.mark.parametrize("synapse", SYNAPSES)
def test_response_bound_holds(synapse, step):
    """No state ever rises above its bound, at any of many later ticks."""
    rng = np.random.default_rng(5)
    for tau_m, ratio in [(1.0, 0.2), (10.0, 1.0), (20.0, 8.0), (300.0, 0.01)]:
        more = {"adaptation": AdaptiveThreshold(1 * mV, 50 * ms), "step": step}
        unit = lif(synapse, tau_m, ratio, **more)
        table, s = tabulate(unit, 1.0), len(unit.states)
        up, down = table.bound[0]
        x = np.vstack([rng.normal(0, 10, (s, 200)), np.ones(200)])
        limit = up @ np.maximum(x, 0) + down @ np.maximum(-x, 0)
        one_tick, row = carry(table.free[0], 1), np.append(unit.h, 0.0)
        for _ in range(3000):
            x = one_tick @ x
            assert np.all(row @ x <= limit + 1e-12 * np.abs(limit))


@pytest.mark.parametrize(
    ("tau_m", "tau_s"), [(20, 5), (5, 20), (3, 0.3), (200, 2), (100, 100), (900, 300)]
)
def test_response_bound_is_close_to_the_true_maximum(tau_m, tau_s):
    """Else neurons that cannot fire would be looked at in every tick."""
    unit = LIF(tau_m=tau_m * ms, synapse=Exponential(tau_s * ms)).linear
    table = tabulate(unit, 1.0)
    v, current = unit.states.index("v"), unit.states.index("i_exc")
    one_tick, psp = carry(table.free[0], 1), []
    x = np.eye(4)[current]
    for _ in range(4000):
        x = one_tick @ x
        psp.append(x[v])
    assert 1 - 1e-12 <= table.bound[0, 0, current] / max(psp) <= 1.1
