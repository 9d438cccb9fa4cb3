"""Random recurrent networks for property tests.

Small, but with everything in them: two populations of different units, inputs,
several projections with delays of their own, ties, refractory periods, both step
rules, learning under every convention.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from spikecore import (
    LIF,
    AdaptiveThreshold,
    Alpha,
    Delta,
    Exponential,
    Hz,
    Input,
    MOhm,
    Network,
    Pairs,
    PairSTDP,
    Poisson,
    Population,
    Probe,
    Projection,
    Train,
    ms,
    mV,
    nA,
)

DURATION = 80  # ticks

times = st.floats(0.3, 30.0)


@st.composite
def units(draw, *, heterogeneous_size: int | None = None):
    """A LIF neuron with random parameters."""
    kind = draw(st.sampled_from(["delta", "exponential", "alpha"]))
    tau_exc, tau_inh = draw(times), draw(times)
    synapse = {
        "delta": Delta(),
        "exponential": Exponential(tau_exc * ms, tau_inh * ms),
        "alpha": Alpha(tau_exc * ms, tau_inh * ms),
    }[kind]
    tau_m = draw(st.one_of(times, st.just(tau_exc)))  # equal time constants are a singular case
    if heterogeneous_size is not None and draw(st.booleans()):
        tau_m = tau_m * np.linspace(0.5, 2.0, heterogeneous_size)
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


@st.composite
def rules(draw, unit):
    """Pair STDP under a random convention."""
    weight = mV if isinstance(unit.synapse, Delta) else nA
    dependence = draw(st.sampled_from(["additive", "multiplicative"]))
    return PairSTDP(
        tau_plus=draw(times) * ms,
        tau_minus=draw(times) * ms,
        A_plus=draw(st.floats(0.0, 1.5)),
        A_minus=draw(st.floats(0.0, 1.5)) * weight,
        w_max=4.0 * weight,
        w_min=0.0 * weight,
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
def networks(draw, *, plastic: bool | None = None):
    """A recurrent network driven by given and random spikes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = {"a": draw(st.integers(1, 8)), "b": draw(st.integers(1, 8))}
    kinds = {name: draw(units(heterogeneous_size=size)) for name, size in sizes.items()}
    n_in = draw(st.integers(1, 4))
    n_spikes = draw(st.integers(0, 40))
    parts = [
        Population(
            name, sizes[name], kinds[name], initial={"v": rng.uniform(-64, -57.5, sizes[name]) * mV}
        )
        for name in ("a", "b")
    ]
    # Times and weights are coarse on purpose: several arrivals in one tick, exact sums.
    parts.append(
        Input(
            "train",
            n_in,
            Train(rng.integers(0, DURATION, n_spikes) * ms, rng.integers(0, n_in, n_spikes)),
        )
    )
    parts.append(Input("noise", 3, Poisson(draw(st.sampled_from([0.0, 30.0, 300.0])) * Hz)))
    learns = draw(st.booleans()) if plastic is None else plastic
    for number, (source, target) in enumerate(
        [("train", "a"), ("noise", "b"), ("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    ):
        n_source = {"train": n_in, "noise": 3}.get(source) or sizes[source]
        size = draw(st.integers(0, 20))
        unit = kinds[target]
        weight_unit = mV if isinstance(unit.synapse, Delta) else nA
        port = draw(st.sampled_from(["exc", "exc", "inh"]))
        rule = draw(rules(unit)) if learns and number in (2, 3) else None
        weight = rng.integers(0, 9, size) * 0.5
        if port == "exc" and rule is None:
            weight = weight - 1.0
        parts.append(
            Projection(
                source,
                target,
                Pairs(
                    rng.integers(0, n_source, size),
                    rng.integers(0, sizes[target], size),
                    duplicates=True,
                ),
                weight=np.clip(weight, None, 4.0) * weight_unit,
                delay=rng.integers(1, draw(st.sampled_from([2, 5, 20])) + 1, size) * ms,
                port=port,
                plasticity=rule,
            )
        )
    parts.append(Probe("a", "v"))
    parts.append(Probe("b", "v", every=draw(st.integers(1, 7)) * ms))
    return Network(parts, dt=1 * ms)
