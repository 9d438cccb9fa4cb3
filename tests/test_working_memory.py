"""The neuron-astrocyte working memory: its equations, what it holds, and what it does not."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest
from backend_params import needs_brian2
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import ms
from spikecore.memory import AstrocyteWorkingMemory, calcium_response
from spikecore.memory import working_kernels as k
from spikecore.memory.working import flipped
from spikecore.memory.working_state import ZoneArrays
from spikecore.memory.working_trial import (
    balanced_agreement,
    correlation,
    letter,
    measure_retention,
)

ZONES = 13
PICTURES = {name: letter(name, ZONES) for name in "TL"}


def sheet(**options):
    return AstrocyteWorkingMemory(zones=ZONES, **{"seed": 3, **options})


# -- calcium ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pulse", "peak", "at", "begin", "lasts"),
    [(60, 0.5685, 2.208, 0.691, 3.664), (200, 0.7356, 1.482, 0.337, 3.931)],
)
def test_calcium_after_a_pulse(pulse, peak, at, begin, lasts):
    """Figures of an adaptive integration of the equations to 1e-10, see docs."""
    trace = calcium_response(pulse * ms, 6000 * ms)
    above = np.flatnonzero(trace > k.CALCIUM_NEEDED) / 1e4
    assert trace.max() == pytest.approx(peak, rel=1e-3)
    assert trace.argmax() / 1e4 == pytest.approx(at, abs=0.01)
    assert above[0] == pytest.approx(begin, abs=0.002)
    assert above.size / 1e4 == pytest.approx(lasts, abs=0.005)


def test_diffusion_keeps_the_total_and_evens_out():
    """Without reactions calcium would only spread: the sum of all exchanges is 0."""
    rng = np.random.default_rng(1)
    memory = AstrocyteWorkingMemory(zones=6)
    zones = memory._zones
    zones.ip3[:] = rng.uniform(0.5, 1.0, zones.ip3.shape)
    before = zones.ip3.copy()
    isolated = [
        calcium_alone(c, h, i)
        for c, h, i in zip(zones.calcium.flat, zones.h.flat, zones.ip3.flat, strict=True)
    ]
    k.calcium(zones, np.empty_like(before), np.empty_like(before), 0)
    exchanged = zones.ip3 - np.reshape(isolated, before.shape)
    assert exchanged.sum() == pytest.approx(0.0, abs=1e-15)
    highest = np.unravel_index(before.argmax(), before.shape)
    assert exchanged[highest] < 0 < np.abs(exchanged).max()


def calcium_alone(c, h, i):
    one = AstrocyteWorkingMemory(zones=2)._zones
    alone = ZoneArrays(*(array[:1, :1].copy() for array in one))
    alone.calcium[:], alone.h[:], alone.ip3[:] = c, h, i
    k.calcium(alone, np.empty((1, 1)), np.empty((1, 1)), 0)
    return float(alone.ip3[0, 0])


# -- memory ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curve():
    return measure_retention(sheet(), PICTURES, (1000, 2000, 6000))


def test_two_overlapping_pictures_are_held_for_seconds_and_then_forgotten(curve):
    assert (PICTURES["T"] & PICTURES["L"]).sum() > 100
    assert curve.status == "complete"
    assert min(curve.age["L"][1], curve.age["T"][1]) >= 2000
    for name in PICTURES:
        held, gone = curve.agreement[name][:2], curve.agreement[name][2]
        assert min(held) > 0.9, name
        assert gone < 0.7, name
        assert min(curve.correlation[name][:2]) > 0.85
        assert curve.correlation[name][2] < 0.5


@pytest.mark.parametrize("what", ["no gain", "nothing stored"])
def test_the_controls_fail(what):
    if what == "no gain":
        found = measure_retention(sheet(gain=0.0), PICTURES, (1000,))
    else:
        found = measure_retention(sheet(), {}, (1000,), others=PICTURES)
    for name in PICTURES:
        assert found.correlation[name][0] < 0.6
        assert found.agreement[name][0] < 0.85


def test_calcium_rises_where_the_picture_was_and_only_there():
    memory, bar = sheet(noise_rate=0.0), np.zeros(sheet().shape, bool)
    bar[:, 15:27] = True
    memory.store(bar, noise=0.0)
    memory.wait(500 * ms)
    high = memory.calcium > k.CALCIUM_NEEDED
    assert high[:, 5:8].all()
    assert not high[:, :3].any()
    assert not high[:, 10:].any()


def test_same_seed_same_memory_however_time_is_cut():
    one, other, third = sheet(), sheet(), sheet(seed=4)
    for memory in (one, other, third):
        memory.store(PICTURES["T"])
    one.wait(250 * ms)
    for part in (0.1, 99.9, 3.7, 146.3):
        other.wait(part * ms)
    third.wait(250 * ms)
    assert one.time == other.time
    assert np.array_equal(one.voltage, other.voltage)
    assert np.array_equal(one.calcium, other.calcium)
    assert not np.array_equal(one.voltage, third.voltage)
    branch = one.copy()
    branch.wait(50 * ms)
    assert np.array_equal(one.voltage, other.voltage)
    one.wait(50 * ms)
    assert np.array_equal(one.voltage, branch.voltage)


def test_ctrl_c_leaves_a_memory_that_goes_on():
    memory, whole = sheet(), sheet()
    timer = threading.Timer(0.2, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        memory.wait(1_000_000 * ms)
    assert 0 < memory.time < 1_000_000
    whole.wait(memory.time * ms)
    assert np.array_equal(memory.voltage, whole.voltage)


def test_an_interrupted_curve_keeps_what_was_measured(monkeypatch):
    memory, waits = sheet(), []

    def wait(self, duration, **_):
        waits.append(duration)
        if len(waits) == 4:  # 2 pauses after storing, the wait to 200 ms, the one to 300 ms
            raise KeyboardInterrupt
        return self.present(None, duration)

    monkeypatch.setattr(AstrocyteWorkingMemory, "wait", wait)
    found = measure_retention(memory, PICTURES, (200, 300, 400))
    assert found.status == "interrupted"
    assert found.delays == [200]
    assert set(found.correlation) == {"T", "L"}


def test_wiring():
    memory = sheet()
    targets, side = memory._neurons.targets, memory.side
    assert targets.shape == (side**2, 40)
    source = np.arange(side**2)[:, None]
    assert (targets != source).all()
    assert all(np.unique(row).size == 40 for row in targets)
    away = np.hypot(targets // side - source // side, targets % side - source % side)
    assert 3.5 < away.mean() < 7.0  # exponential, mean 5, each target once, cut at the edges


def test_noise_pulses_come_at_their_rate():
    memory = sheet(noise_rate=2.0)
    counts = []
    for block in range(20):
        memory._step = block * 1000
        pulses = memory._pulses()
        counts.append(pulses.steps.size)
        assert (np.diff(pulses.steps) >= 0).all()
        assert pulses.steps.min() >= memory._step
        assert pulses.steps.max() < memory._step + 1000
        assert np.abs(pulses.amplitudes).max() <= 20
    expected = 2.0 * 0.1 * memory.side**2
    assert np.mean(counts) == pytest.approx(expected, abs=4 * np.sqrt(expected / 20))


# -- measures --------------------------------------------------------------------------


@given(share=st.floats(0, 1), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_flipped_flips_the_share(share, seed):
    picture = letter("H", 5)
    noisy = flipped(picture, share, seed=seed)
    assert (noisy != picture).sum() == round(share * picture.size)
    assert np.array_equal(noisy, flipped(picture, share, seed=seed))


def test_measures():
    t = letter("+", 10)
    assert correlation(t, t) == pytest.approx(1)
    assert correlation(t, ~t) == pytest.approx(-1)
    assert correlation(t, np.ones_like(t)) == 0
    assert balanced_agreement(t, t) == 1
    assert balanced_agreement(t, np.ones_like(t)) == 0.5
    half = t.copy()
    half[: t.shape[0] // 2] = False
    assert balanced_agreement(t, half) == pytest.approx(0.5 + half.sum() / t.sum() / 2)


# -- another simulator -----------------------------------------------------------------


@needs_brian2
def test_brian2_integrates_the_same_equations():
    from working_brian2 import brian2_run

    # The network is chaotic: a difference of one rounding grows tenfold in about 3 ms.
    zones, shown, rest = 3, 50, 5
    memory = AstrocyteWorkingMemory(zones=zones, preset="robust", noise_rate=0.0, seed=5)
    memory._zones.calcium[:, :2] = 0.2  # so that amplification begins within the run,
    memory._neurons.glutamate[:] = 0.5  # and production of IP3 too
    picture = np.zeros(memory.shape, bool)
    picture[:, :6] = True
    found = brian2_run(memory, picture, shown, rest)
    counts = memory.present(picture, shown * ms, 9.0) + memory.present(None, rest * ms)
    assert counts.sum() > 500
    assert memory.amplified.any()
    assert memory.ip3.max() > 0.85
    assert not memory.amplified.all()
    assert np.array_equal(counts.ravel(), found["counts"])
    np.testing.assert_allclose(memory.voltage.ravel(), found["v"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(memory.calcium.ravel(), found["calcium"], rtol=1e-12)
    np.testing.assert_allclose(memory.ip3.ravel(), found["ip3"], rtol=1e-12)
