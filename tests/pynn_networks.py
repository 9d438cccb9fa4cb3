"""Small networks for PyNN: between them, everything that NEST and brian2 are lined up for."""

from __future__ import annotations

import numpy as np

from spikecore import (
    LIF,
    Alpha,
    Delta,
    Exponential,
    Hz,
    Input,
    MOhm,
    Network,
    PairSTDP,
    Poisson,
    Population,
    Projection,
    RandomPairs,
    Uniform,
    ms,
    mV,
    nA,
)


def unit(**options):
    return LIF(
        **{"tau_m": 20 * ms, "resistance": 20 * MOhm, "refractory": 2 * ms, **options},
    )


def feed_forward(dt, synapse, weights, **options):
    """An input, a population, a second one, and inhibition back; delays of 1 to 20 ticks."""
    low, high, one = weights
    delay = Uniform(dt * ms, 20 * dt * ms)
    return Network(
        [
            Input("in", 20, Poisson(50 * Hz)),
            Population("a", 10, unit(synapse=synapse, **options)),
            Population("b", 10, unit(synapse=synapse, tau_m=15 * ms, **options)),
            Projection("in", "a", RandomPairs(0.5), Uniform(low * one, high * one), delay),
            Projection("a", "b", RandomPairs(0.5), Uniform(2 * low * one, 2 * high * one), delay),
            Projection(
                "b", "a", RandomPairs(0.5), Uniform(low * one, high * one), delay, port="inh"
            ),
        ],
        dt=dt * ms,
    )


def exponential(dt):
    return feed_forward(dt, Exponential(5 * ms, 3 * ms), (0.3, 0.8, nA))


def alpha(dt):
    return feed_forward(dt, Alpha(5 * ms, 3 * ms), (0.3, 0.8, nA))


def delta(dt):
    return feed_forward(dt, Delta(), (2.0, 5.0, mV))


def spinnaker(dt):
    """Under the step rule of SpiNNaker; the way back takes two ticks at least."""
    delay = Uniform(2 * dt * ms, 20 * dt * ms)
    synapse = Exponential(5 * ms, 3 * ms)
    parameters = unit(synapse=synapse, step="spinnaker", tau_m=np.linspace(10, 20, 10) * ms)
    return Network(
        [
            Input("in", 20, Poisson(50 * Hz)),
            Population("a", 10, parameters),
            Projection("in", "a", RandomPairs(0.5), Uniform(0.3 * nA, 0.8 * nA), dt * ms),
            Projection("a", "a", RandomPairs(0.5), 0.2 * nA, delay),
        ],
        dt=dt * ms,
    )


def each_its_own(dt):
    """Parameters, drive and initial potentials that differ from neuron to neuron."""
    parameters = unit(
        tau_m=np.linspace(6, 20, 5) * ms,
        v_rest=np.linspace(-70, -60, 5) * mV,
        v_reset=np.linspace(-70, -65, 5) * mV,
        v_threshold=np.linspace(-52, -48, 5) * mV,
        i_offset=np.linspace(0.2, 1, 5) * nA,
        synapse=Exponential(np.linspace(2, 5, 5) * ms, 3 * ms),
    )
    return Network(
        [
            Input("in", 20, Poisson(50 * Hz)),
            Population("a", 5, parameters, initial={"v": np.linspace(-80, -53, 5) * mV}),
            Projection("in", "a", RandomPairs(0.5), Uniform(0.3 * nA, 0.8 * nA), dt * ms),
        ],
        dt=dt * ms,
    )


def learning(dt, coincidence="ignore", **options):
    """Recurrent synapses that learn."""
    options = {"A_plus": 0.02, "A_minus": 0.021, "tau_minus": 30 * ms, **options}
    rule = PairSTDP(w_max=0.3 * nA, coincidence=coincidence, **options)
    return Network(
        [
            Input("in", 30, Poisson(60 * Hz)),
            Population("e", 40, unit(), initial={"v": np.linspace(-65, -51, 40) * mV}),
            Projection(
                "in",
                "e",
                RandomPairs(0.3),
                Uniform(0.3 * nA, 0.6 * nA),
                Uniform(dt * ms, 5 * ms),
            ),
            Projection(
                "e",
                "e",
                RandomPairs(0.2),
                Uniform(0.05 * nA, 0.25 * nA),
                Uniform(dt * ms, 5 * ms),
                plasticity=rule,
            ),
        ],
        dt=dt * ms,
    )


def balanced(dt):
    """160 excitatory and 40 inhibitory neurons, 10 % connected."""
    exc, inh = Uniform(0.05 * nA, 0.15 * nA), Uniform(0.2 * nA, 0.5 * nA)
    delay, synapse = Uniform(1 * ms, 5 * ms), Exponential(5 * ms, 9 * ms)
    some = RandomPairs(0.1)
    return Network(
        [
            Input("ext", 100, Poisson(150 * Hz)),
            Population("e", 160, unit(synapse=synapse)),
            Population("i", 40, unit(synapse=synapse, tau_m=10 * ms, refractory=1 * ms)),
            Projection("ext", "e", some, 0.25 * nA, delay),
            Projection("ext", "i", some, 0.25 * nA, delay),
            Projection("e", "e", some, exc, delay),
            Projection("e", "i", some, exc, delay),
            Projection("i", "e", some, inh, delay, port="inh"),
            Projection("i", "i", some, inh, delay, port="inh"),
        ],
        dt=dt * ms,
    )
