"""Random networks with astrocytes, on top of those of random_networks."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from random_networks import DURATION, rules, times, units, weight_unit

from spikecore import (
    LIF,
    Astrocyte,
    AstroLIF,
    Delta,
    Exponential,
    Hz,
    Input,
    Modulation,
    Network,
    Pairs,
    Poisson,
    Population,
    Probe,
    Projection,
    SlowTrace,
    Train,
    ms,
    mV,
    nA,
    uM,
)


@st.composite
def traces(draw, size=1):
    spread = np.linspace(0.7, 1.4, size) if draw(st.booleans()) else 1.0
    if draw(st.booleans()):
        return SlowTrace(tau_A=draw(st.floats(20.0, 300.0)) * spread * ms, tau_y=None)
    return SlowTrace(
        tau_A=draw(st.floats(20.0, 300.0)) * spread * ms,
        tau_y=draw(times) * ms,
        kappa=draw(st.floats(0.5, 8.0)),
    )


@st.composite
def neurons(draw, size):
    """What random_networks has, or a neuron with an astrocyte of its own."""
    if draw(st.booleans()):
        return draw(units(size))
    return AstroLIF(
        LIF(
            tau_m=draw(times) * ms,
            v_rest=-60 * mV,
            v_reset=-60 * mV,
            v_threshold=-57 * mV,
            refractory=draw(st.integers(0, 4)) * ms,
            synapse=draw(st.sampled_from([Delta(), Exponential(4 * ms, 7 * ms)])),
            step=draw(st.sampled_from(["exact", "spinnaker"])),
        ),
        draw(traces(size)),
        current=draw(st.sampled_from([0.0, 0.4, -0.4])) * nA,
        threshold=draw(st.sampled_from([0.0, 0.3, -0.1])) * mV,
        own=draw(st.sampled_from([0.0, 0.5])) * uM,
    )


@st.composite
def modulations(draw, actors, ends, count, acts_on, rng):
    """A factor that does more than nothing."""
    name, (state, dimension), n_actors = actors
    per = draw(st.sampled_from(["target", "source", "synapse"]))
    entries = {"source": ends[0], "target": ends[1], "synapse": count}[per]
    step = draw(st.booleans())
    unit = {"concentration": uM, "voltage": mV}[dimension]
    level = {"concentration": 0.2, "voltage": -59.0}[dimension]
    return Modulation(
        by=name,
        state=state,
        gain=draw(st.sampled_from([0.5, -0.7, 3.0])),
        base=draw(st.sampled_from([1.0, 0.0, 30.0])),
        threshold=level * unit if step else None,
        acts_on=acts_on,
        per=per,
        index=rng.integers(0, n_actors, entries),
    )


@st.composite
def glia_networks(draw, *, learns=None):
    """Neurons a and b, astrocytes that both reach, and synapses on which they act."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = {"in": 4, "a": draw(st.integers(1, 6)), "b": draw(st.integers(1, 6)), "astro": 3}
    kinds = {name: draw(neurons(n[name])) for name in ("a", "b")}
    kinds["astro"] = Astrocyte(draw(traces(n["astro"])))
    spikes = draw(st.integers(0, 60))
    parts = [
        Input("in", 4, Train(rng.integers(0, DURATION, spikes) * ms, rng.integers(0, 4, spikes))),
        Input("noise", 4, Poisson(draw(st.sampled_from([30.0, 300.0])) * Hz)),
        *(Population(name, n[name], unit) for name, unit in kinds.items()),
    ]
    n["noise"] = 4
    plastic = draw(st.booleans()) if learns is None else learns
    for ends in ("in a", "noise a", "noise b", "a a", "a b", "b a", "a astro", "b astro"):
        pre, post = ends.split()
        count, unit = draw(st.integers(0, 14)), weight_unit_of(kinds[post])
        rule = draw(rules(kinds[post])) if plastic and post != "astro" and pre == "a" else None
        actor = draw(st.sampled_from(["astro", "astro", "a"]))
        state = kinds[actor].linear.states[-1]
        acting = (actor, (state, kinds[actor].linear.dimensions[-1]), n[actor])
        on = draw(st.sampled_from([(), ("delivery",)]))
        if rule is not None:
            on += draw(
                st.sampled_from(
                    [(), ("learning",), ("potentiation",), ("depression", "potentiation")]
                )
            )
        parts.append(
            Projection(
                pre,
                post,
                Pairs(
                    rng.integers(0, n[pre], count), rng.integers(0, n[post], count), duplicates=True
                ),
                weight=rng.integers(0, 9, count) * 0.5 * unit,
                delay=rng.integers(1, draw(st.sampled_from([2, 20])) + 1, count) * ms,
                plasticity=rule,
                modulation=tuple(
                    draw(modulations(acting, (n[pre], n[post]), count, what, rng)) for what in on
                ),
                rounding="refuse",
            )
        )
    parts += [Probe("a", "v"), Probe("astro", "A", every=draw(st.integers(1, 5)) * ms)]
    return Network(parts)


def weight_unit_of(unit):
    if "exc" in unit.linear.ports and unit.linear.ports["exc"].dimension == "concentration":
        return uM
    return weight_unit(unit)
