"""Random recurrent networks for property tests, and what makes two runs the same.

Small, but with everything in them: two populations of different units, inputs,
several projections with delays of their own, ties, refractory periods, both step
rules, learning under every convention.
"""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from spikecore import (
    LIF,
    AdaptiveThreshold,
    Alpha,
    Delta,
    Exponential,
    Hz,
    Input,
    LinearUnit,
    MOhm,
    Network,
    Pairs,
    PairSTDP,
    Poisson,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Train,
    Uniform,
    ms,
    mV,
    nA,
)
from spikecore.units import Port

DURATION = 80  # ticks

WHATEVER = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

times = st.floats(0.3, 30.0)


def assert_same(one, other):
    """Fail unless two results are equal to the last bit."""
    comparison = one.compare(other)
    assert comparison.identical, str(comparison)
    assert (one.status, one.message, one.ticks) == (other.status, other.message, other.ticks)
    for name, trace in one.traces.items():
        assert np.array_equal(trace.values, other.traces[name].values), name
        assert np.array_equal(trace.ticks, other.traces[name].ticks), name
    for name, weights in one.weights.items():
        assert np.array_equal(weights, other.weights[name]), name
    for counter in ("spikes", "sent", "delivered", "pending"):
        assert one.counters[counter] == other.counters[counter], counter
    assert one.counters["sent"] == one.counters["delivered"] + one.counters["pending"]


@st.composite
def units(draw, size):
    """A neuron with random parameters, or an integrator that LIF cannot describe."""
    if draw(st.integers(0, 5)) == 0:
        return integrator(draw(st.sampled_from([0.0, 0.25])), draw(st.sampled_from([2.5, np.inf])))
    kind = draw(st.sampled_from(["delta", "exponential", "alpha"]))
    tau_exc, tau_inh = draw(times), draw(times)
    synapse = {
        "delta": Delta(),
        "exponential": Exponential(tau_exc * ms, tau_inh * ms),
        "alpha": Alpha(tau_exc * ms, tau_inh * ms),
    }[kind]
    tau_m = draw(st.one_of(times, st.just(tau_exc)))  # equal time constants are a singular case
    if draw(st.booleans()):
        tau_m = tau_m * np.linspace(0.5, 2.0, size)
    adaptation = draw(
        st.none()
        | st.builds(
            lambda step, tau: AdaptiveThreshold(step * mV, tau * ms), st.floats(0.0, 5.0), times
        )
    )
    return LIF(
        tau_m=tau_m * ms,
        v_rest=-60 * mV,
        v_reset=draw(st.sampled_from([-60.0, -66.5])) * mV,
        v_threshold=-57 * mV,
        refractory=draw(st.integers(0, 5)) * ms,
        resistance=draw(st.floats(0.5, 10.0)) * MOhm,
        i_offset=draw(st.sampled_from([0.0, 0.0, 0.1, 0.6])) * nA,
        synapse=synapse,
        adaptation=adaptation,
        step=draw(st.sampled_from(["exact", "spinnaker"])),
    )


def integrator(leak, threshold):
    """Without leak it counts; with an infinite threshold it never fires."""
    return LinearUnit(
        name="integrator",
        states=("v",),
        dimensions=("voltage",),
        A=np.array([[[-leak]]]),
        b=np.array([[1 / 128]]),  # sums are exact, so that a tie is one on every backend
        rest=np.array([[-60.0]]),
        ports={"exc": Port("v", "voltage"), "inh": Port("v", "voltage", -1)},
        h=np.array([1.0]),
        threshold=np.array([threshold]),
        reset={"v": np.array([0.0])},
        refractory=np.array([1.0]),
    )


def weight_unit(unit):
    return {"voltage": mV, "current": nA}[unit.linear.ports["exc"].dimension]


@st.composite
def rules(draw, unit):
    """Pair STDP under a random convention."""
    dependence = draw(st.sampled_from(["additive", "multiplicative"]))
    return PairSTDP(
        tau_plus=draw(times) * ms,
        tau_minus=draw(times) * ms,
        A_plus=draw(st.floats(0.0, 1.5)),
        A_minus=draw(st.floats(0.0, 1.5)) * weight_unit(unit),
        w_max=4.0 * weight_unit(unit),
        w_min=0.0 * weight_unit(unit),
        pairing=draw(st.sampled_from(["all", "nearest"])),
        coincidence=draw(st.sampled_from(["depress", "potentiate", "ignore"])),
        post_delay=draw(st.sampled_from(["dendritic", "none"])),
        clamp="pair"
        if dependence == "multiplicative"
        else draw(st.sampled_from(["pair", "update"])),
        window=draw(st.sampled_from(["exponential", "table2048"])),
        dependence=dependence,
    )


@st.composite
def projections(draw, ends, sizes, unit, rng, *, learns):
    """Up to 20 synapses: each with its own weight and delay, or all with the same."""
    (source, target), count = ends, draw(st.integers(0, 20))
    port = draw(st.sampled_from(["exc", "exc", "inh"]))
    rule = draw(rules(unit)) if learns else None
    wiring = Pairs(
        rng.integers(0, sizes[source], count),
        rng.integers(0, sizes[target], count),
        duplicates=True,
    )
    if draw(st.booleans()):
        wiring = RandomPairs(0.4)
    # Coarse on purpose: several arrivals in one tick, exact sums.
    weight = rng.integers(0, 9, count) * 0.5
    if port == "exc" and rule is None:
        weight = weight - 1.0
    delay = rng.integers(1, draw(st.sampled_from([2, 5, 20])) + 1, count)
    if isinstance(wiring, RandomPairs) or draw(st.booleans()):
        weight = draw(st.sampled_from([0.5, 2.0]))
    if isinstance(wiring, RandomPairs) or draw(st.booleans()):
        delay = draw(st.integers(1, 20))
    return Projection(
        source,
        target,
        wiring,
        weight=np.minimum(weight, 4.0) * weight_unit(unit),
        delay=delay * ms,
        port=port,
        plasticity=rule,
    )


@st.composite
def networks(draw, *, plastic=None):
    """A recurrent network driven by given and random spikes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = {
        "train": draw(st.integers(1, 4)),
        "noise": 3,
        "a": draw(st.integers(1, 8)),
        "b": draw(st.integers(1, 8)),
    }
    kinds = {name: draw(units(sizes[name])) for name in ("a", "b")}
    n_spikes = draw(st.integers(0, 40))
    train = Train(
        rng.integers(0, DURATION, n_spikes) * ms, rng.integers(0, sizes["train"], n_spikes)
    )
    parts = [
        Input("train", sizes["train"], train),
        Input("noise", 3, Poisson(draw(st.sampled_from([0.0, 30.0, 300.0])) * Hz)),
    ]
    for name, unit in kinds.items():
        start = rng.uniform(-64, -57.5, sizes[name]) * mV
        parts.append(Population(name, sizes[name], unit, initial={"v": start}))
    learns = draw(st.booleans()) if plastic is None else plastic
    for ends in ("train a", "noise b", "a a", "a b", "b a", "b b"):
        source, target = ends.split()
        own = learns and source == "a"
        parts.append(draw(projections((source, target), sizes, kinds[target], rng, learns=own)))
    parts.append(Probe("a", "v"))
    parts.append(Probe("b", "v", every=draw(st.integers(1, 7)) * ms))
    return Network(parts, dt=1 * ms)


def busy_network():
    """One network, not random: noisy, delayed, learning; something is always in flight."""
    rule = PairSTDP(w_min=0 * mV, w_max=4 * mV, A_plus=0.1, A_minus=0.05)
    return Network(
        [
            Input("noise", 20, Poisson(40 * Hz)),
            Population("a", 30, LIF(refractory=2 * ms, synapse=Delta())),
            Projection("noise", "a", RandomPairs(0.3), Uniform(2 * mV, 6 * mV), 3 * ms),
            Projection(
                "a",
                "a",
                RandomPairs(0.2),
                Uniform(0 * mV, 3 * mV),
                Uniform(1 * ms, 25 * ms),
                plasticity=rule,
            ),
            Probe("a", "v", every=3 * ms),
        ]
    )
