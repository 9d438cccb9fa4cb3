"""Single units against closed forms, on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from spikecore import (
    LIF,
    AdaptiveThreshold,
    Alpha,
    Delta,
    Exponential,
    Input,
    LinearUnit,
    MOhm,
    Network,
    OneToOne,
    Population,
    Probe,
    Projection,
    Train,
    ms,
    mV,
    nA,
    nF,
    run,
)
from spikecore.units import Port

BACKENDS = pytest.mark.parametrize("backend", ["event", "clocked"])
REST = -65.0


def driven(unit, arrivals, *, weight=1 * nA, dt=1.0, ticks=60, backend="event", probes=("v",)):
    """Run one neuron that one synapse reaches in the given ticks."""
    times = (np.asarray(arrivals, float) - 1) * dt
    parts = [
        Input("in", 1, Train(times * ms, np.zeros(len(times), int))),
        Population("n", 1, unit),
        Projection("in", "n", OneToOne(), weight=weight, delay=dt * ms),
        *(Probe("n", state) for state in probes),
    ]
    return run(Network(parts, dt=dt * ms), ticks * dt * ms, backend=backend)


def psp(shape, t, tau_m, tau_s, r):
    """Response of the membrane (mV) to 1 nA, or 1 mV, t ms after it arrived."""
    a, b = 1 / tau_s, 1 / tau_m
    c = a - b
    if shape == "delta":
        return np.exp(-b * t)
    if shape == "exponential":
        return r * b / c * (np.exp(-b * t) - np.exp(-a * t))
    rest = np.exp(-b * t) / c**2 - np.exp(-a * t) * (t / c + 1 / c**2)
    return r * np.e * a * b * rest


@BACKENDS
@pytest.mark.parametrize(("tau_m", "tau_s", "dt"), [(20, 5, 1.0), (3, 11, 1.0), (10, 2.5, 0.1)])
@pytest.mark.parametrize("shape", ["delta", "exponential", "alpha"])
def test_psp_at_every_tick(shape, tau_m, tau_s, dt, backend):
    synapse = {"delta": Delta(), "exponential": Exponential(tau_s * ms), "alpha": Alpha(tau_s * ms)}
    unit = LIF(tau_m=tau_m * ms, resistance=4 * MOhm, synapse=synapse[shape])
    weight = (1 * mV) if shape == "delta" else (1 * nA)
    result = driven(unit, [3], weight=weight, dt=dt, ticks=200, backend=backend)
    v = result.traces["n.v"].values[:, 0] - REST
    assert np.all(v[:3] == 0)
    wanted = psp(shape, np.arange(197) * dt, tau_m, tau_s, 4.0)
    assert np.abs(v[3:] - wanted).max() < 1e-10


@BACKENDS
@pytest.mark.parametrize("port", ["exc", "inh"])
def test_alpha_current_peaks_with_the_weight_after_tau(port, backend):
    parts = [
        Input("in", 1, Train([0] * ms, [0])),
        Population("n", 1, LIF(synapse=Alpha(7 * ms, 7 * ms))),
        Projection("in", "n", OneToOne(), weight=2.5 * nA, delay=1 * ms, port=port),
        Probe("n", f"i_{port}"),
        Probe("n", "v"),
    ]
    traces = run(Network(parts), 30 * ms, backend=backend).traces
    current = traces[f"n.i_{port}"].values[1:, 0]
    t = np.arange(29.0)
    assert np.abs(current - 2.5 * t / 7 * np.exp(1 - t / 7)).max() < 1e-12
    assert current.argmax() == 7
    v = traces["n.v"].values[2:, 0] - REST
    assert np.all(v > 0) if port == "exc" else np.all(v < 0)


@BACKENDS
@pytest.mark.parametrize("refractory", [0, 1, 2, 5])
@pytest.mark.parametrize("current", [15.2, 16.0, 20.0, 40.0, 300.0])
def test_constant_current_fires_at_exact_ticks(current, refractory, backend):
    """Interspike interval: refractory + the first k with v(k) >= threshold."""
    unit = LIF(
        tau_m=20 * ms, refractory=refractory * ms, resistance=1 * MOhm, i_offset=current * nA
    )
    result = driven(unit, [], ticks=400, backend=backend)
    k = int(np.ceil(20 * np.log(current / (current - 15.0))))
    assert current * -np.expm1(-k / 20) >= 15 > current * -np.expm1(-(k - 1) / 20)
    wanted = np.arange(k - 1, 400, k + refractory)  # at rest one tick before the first
    assert result.spikes["n"].ticks.tolist() == wanted.tolist()


@BACKENDS
def test_current_just_below_threshold_never_fires(backend):
    assert len(driven(LIF(i_offset=14.999 * nA), [], ticks=2000, backend=backend).spikes["n"]) == 0


@BACKENDS
def test_adaptive_threshold(backend):
    """Against the recursion written down: jump at each spike, exponential return."""
    unit = LIF(i_offset=40 * nA, adaptation=AdaptiveThreshold(6 * mV, 30 * ms))
    result = driven(unit, [], ticks=300, backend=backend, probes=("v", "theta"))
    spikes, v, theta = [], 0.0, 0.0
    for t in range(300):
        v = 40 + (v - 40) * np.exp(-1 / 20)
        theta *= np.exp(-1 / 30)
        if v - theta >= 15:
            spikes.append(t)
            v, theta = 0.0, theta + 6
        assert abs(result.traces["n.theta"].values[t, 0] - theta) < 1e-10
        assert abs(result.traces["n.v"].values[t, 0] - REST - v) < 1e-10
    assert result.spikes["n"].ticks.tolist() == spikes
    gaps = np.diff(spikes)
    assert gaps[-1] > gaps[0]


@BACKENDS
@pytest.mark.parametrize("refractory", range(6))
@pytest.mark.parametrize("step", ["exact", "spinnaker"])
def test_refractory_holds_the_membrane_and_nothing_else(refractory, step, backend):
    """Driven far above threshold, it fires every refractory + 1 ticks, at v_reset in between."""
    unit = LIF(
        tau_m=1 * ms,
        v_reset=-70 * mV,
        refractory=refractory * ms,
        synapse=Exponential(8 * ms),
        step=step,
    )
    result = driven(unit, [2], weight=1e6 * nA, ticks=20, backend=backend, probes=("v", "i_exc"))
    first = 2 if step == "spinnaker" else 3
    assert result.spikes["n"].ticks.tolist() == list(range(first, 20, refractory + 1))
    assert np.all(result.traces["n.v"].values[first:] == -70)
    current = result.traces["n.i_exc"].values[2:, 0]
    assert np.allclose(current / current[0], np.exp(-np.arange(18) / 8), rtol=1e-12)


@BACKENDS
def test_arrivals_on_a_held_membrane_are_lost_and_on_a_current_are_not(backend):
    delta = LIF(refractory=3 * ms, synapse=Delta())
    for arrivals, spikes in ([2, 4, 5], [2]), ([2, 4, 5, 6], [2, 6]):
        result = driven(delta, arrivals, weight=16 * mV, ticks=12, backend=backend)
        assert result.spikes["n"].ticks.tolist() == spikes
    current = LIF(tau_m=1 * ms, refractory=3 * ms, synapse=Exponential(1e6 * ms))
    for arrivals, spikes in ([2], [4, 9]), ([2, 5], [4, 8]):
        result = driven(current, arrivals, weight=20 * nA, ticks=12, backend=backend)
        assert result.spikes["n"].ticks.tolist() == spikes


@BACKENDS
@pytest.mark.parametrize(("weight", "fires"), [(3.2924, False), (3.2925, True), (10.0, True)])
def test_spinnaker_step_of_one_input(weight, fires, backend):
    """v = w R (1 - exp(-dt/tau_m)) tau_s/dt (1 - exp(-dt/tau_s)) = w * 0.9112 mV, 3 mV needed."""
    unit = LIF(
        tau_m=3 * ms,
        resistance=(3 * ms).value / (0.27 * nF).value * MOhm,
        v_threshold=-62 * mV,
        synapse=Exponential(0.3 * ms),
        step="spinnaker",
    )
    result = driven(unit, [5], weight=weight * nA, ticks=12, backend=backend)
    assert result.spikes["n"].ticks.tolist() == ([5] if fires else [])
    if not fires:
        gain = 3 / 0.27 * -np.expm1(-1 / 3) * 0.3 * -np.expm1(-1 / 0.3)
        assert gain == pytest.approx(0.9112, abs=5e-5)
        assert result.traces["n.v"].values[5, 0] - REST == pytest.approx(weight * gain, rel=1e-12)


@BACKENDS
def test_array_parameters_give_each_neuron_its_own(backend):
    tau, current, hold = [5.0, 20.0, 40.0], [16.0, 30.0, 20.0], [0.0, 2.0, 5.0]

    def unit(tau_m, i_offset, refractory):
        return LIF(tau_m=tau_m * ms, i_offset=i_offset * nA, refractory=refractory * ms)

    together = Network([Population("n", 3, unit(tau, current, hold))])
    spikes = run(together, 300 * ms, backend=backend).spikes["n"]
    for i, parameters in enumerate(zip(tau, current, hold, strict=True)):
        alone = run(Network([Population("n", 1, unit(*parameters))]), 300 * ms, backend=backend)
        assert spikes.of(i).tolist() == alone.spikes["n"].times.tolist() != []


def counter(threshold, leak=0.0):
    return LinearUnit(
        name="counter",
        states=("count",),
        dimensions=("voltage",),
        A=np.array([[[-leak]]]),
        b=np.zeros((1, 1)),
        rest=np.zeros((1, 1)),
        ports={"exc": Port("count", "voltage")},
        h=np.ones(1),
        threshold=np.array([threshold]),
        reset={"count": np.zeros(1)},
        refractory=np.zeros(1),
    )


@BACKENDS
def test_custom_unit_that_counts_to_three(backend):
    result = driven(
        counter(3.0), [2, 9, 10, 30, 31, 50, 55], weight=1 * mV, backend=backend, probes=("count",)
    )
    assert result.spikes["n"].ticks.tolist() == [10, 50]
    assert result.traces["n.count"].values[-1, 0] == 1.0


@BACKENDS
def test_custom_unit_that_leaks_and_never_fires(backend):
    unit = counter(np.inf, leak=0.1)
    result = driven(unit, [1, 11], weight=1000 * mV, backend=backend, probes=("count",))
    assert len(result.spikes["n"]) == 0
    t = np.arange(60.0)
    wanted = np.where(t >= 1, np.exp(-(t - 1) / 10), 0) + np.where(
        t >= 11, np.exp(-(t - 11) / 10), 0
    )
    assert np.allclose(result.traces["n.count"].values[:, 0], 1000 * wanted, rtol=1e-12)
    if backend == "event":
        assert result.counters["updates"] == 2  # nobody looks at what cannot fire


@BACKENDS
def test_initial_values_are_those_of_the_first_moment(backend):
    """The first tick already moves the state by dt."""
    parts = [Population("n", 2, LIF(), initial={"v": [-60.0, -55.0] * mV}), Probe("n", "v")]
    v = run(Network(parts), 10 * ms, backend=backend).traces["n.v"].values
    decay = np.exp(-np.arange(1, 11) / 20)
    assert np.allclose(v - REST, decay[:, None] * [5.0, 10.0], rtol=1e-12)
