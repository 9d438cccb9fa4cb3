"""Wrong descriptions, and the call that shows each: one entry for each row of docs/errors.md.

What is wrong only when something runs is in fault_cases_running.py.
"""

from __future__ import annotations

import numpy as np

from spikecore import (
    LIF,
    AllToAll,
    Exponential,
    Hz,
    Input,
    LinearUnit,
    MOhm,
    Network,
    Normal,
    OneToOne,
    Pairs,
    PairSTDP,
    Poisson,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Simulation,
    Train,
    Uniform,
    ms,
    mV,
    nA,
    run,
)
from spikecore.units import Port

NAN, INF = np.nan, np.inf


def network(*parts, dt=1 * ms):
    return Network([Input("in", 2), Population("n", 3, LIF()), *parts], dt=dt)


def synapses(pre=(0, 1, 1), post=(0, 1, 2), source="in", target="n", **options):
    given = {"wiring": Pairs(pre, post), "weight": 1 * nA, "delay": 2 * ms} | options
    return network(Projection(source, target, **given))


def train(times, neurons, **options):
    return network(Input("train", 2, Train(times, neurons, **options)))


def simulation(**options):
    return Simulation(synapses(**options))


def late_feed():
    late = simulation()
    late.run(5 * ms)
    late.feed("in", [7, 2] * ms, [0, 1])


def own_unit(**changes):
    """A unit of one's own: a current that feeds a voltage."""
    parts = {
        "name": "own",
        "states": ("i", "v"),
        "dimensions": ("current", "voltage"),
        "A": np.array([[[-0.2, 0.0], [1.0, -0.05]]]),
        "b": np.zeros((1, 2)),
        "rest": np.zeros((1, 2)),
        "ports": {"exc": Port("i", "current")},
        "h": np.array([0.0, 1.0]),
        "threshold": np.array([15.0]),
        "reset": {"v": np.array([0.0])},
        "refractory": np.zeros(1),
        "currents": ("i",),
    }
    return LinearUnit(**(parts | changes))


FAULTS = {
    "Quantities": {
        "a number without its unit": lambda: LIF(tau_m=10),
        "the unit of something else": lambda: LIF(tau_m=10 * mV),
        "a weight in mV for synapses that take a current": lambda: synapses(weight=1 * mV),
        "`1 * ms + 2`": lambda: 1 * ms + 2,
        "`1 * ms + 2 * mV`": lambda: 1 * ms + 2 * mV,
        "`(1 * ms).to(mV)`": lambda: (1 * ms).to(mV),
        "`ms * ms`": lambda: ms * ms,
        "an array where one value is wanted": lambda: network(dt=[1, 2] * ms),
    },
    "Units": {
        "NaN or infinity as a parameter": lambda: LIF(tau_m=[1, INF, NAN] * ms),
        "a time constant of 0 or below": lambda: LIF(synapse=Exponential([1, -1, 0] * ms)),
        "a resistance of 0 or below": lambda: LIF(resistance=0 * MOhm),
        "a reset at or above the threshold": lambda: LIF(v_reset=[-60, -50] * mV),
        "a negative refractory period": lambda: LIF(refractory=-1 * ms),
        "a parameter that does not exist": lambda: LIF(tau=10 * ms),
        "a step rule that does not exist": lambda: LIF(step="spinaker"),
        "arrays of different lengths": lambda: LIF(tau_m=[1, 2] * ms, refractory=[1, 2, 3] * ms),
        "something else as synapse": lambda: LIF(synapse="alpha"),
        "a unit of your own: a matrix of another size": lambda: own_unit(A=np.zeros((1, 3, 3))),
        "its threshold of another length": lambda: own_unit(threshold=np.array([1.0, 2.0])),
        "a state that grows by itself": lambda: own_unit(A=np.array([[[0.1, 0.0], [1.0, -0.05]]])),
        "its reset at or above the threshold": lambda: own_unit(reset={"v": np.array([15.0])}),
        "its port at a state that does not exist": lambda: own_unit(
            ports={"exc": Port("j", "current")}
        ),
        "its port without `tau` under `spinnaker`": lambda: own_unit(step="spinnaker"),
    },
    "Populations and networks": {
        "a group of size 0, or less": lambda: Population("n", 0, LIF()),
        "a size that is not an integer": lambda: Population("n", 2.0, LIF()),
        "something else as unit": lambda: Population("n", 1, "LIF"),
        "array parameters of another length": lambda: Population("n", 3, LIF(tau_m=[1, 2] * ms)),
        "an initial value of a state that does not exist": lambda: Population(
            "n", 1, LIF(), initial={"V": 1 * mV}
        ),
        "NaN or infinity as initial value": lambda: Population(
            "n", 2, LIF(), initial={"v": [-60, NAN] * mV}
        ),
        "one name for two groups": lambda: network(Population("n", 1, LIF())),
        "one name for two projections": lambda: network(
            Projection("in", "n", AllToAll(), 1 * nA, 1 * ms),
            Projection("in", "n", AllToAll(), 2 * nA, 1 * ms),
        ),
        "a reserved name": lambda: network(Population("all", 1, LIF())),
        "a name that cannot be printed": lambda: network(Population("a\n", 1, LIF())),
        "a network of something else": lambda: Network(["n"]),
        "an empty network": lambda: Network([]),
        "a tick of 0 or below": lambda: network(dt=0 * ms),
        "a refractory period between two ticks": lambda: network(
            Population("m", 1, LIF(refractory=0.5 * ms))
        ),
    },
    "Synapses": {
        "a group that does not exist": lambda: synapses(target="m"),
        "a group that is not in this network": lambda: synapses(target=Population("n", 3, LIF())),
        "an input as target": lambda: synapses(source="n", target="in"),
        "a port that does not exist": lambda: synapses(port="ex"),
        "a negative delay": lambda: synapses(delay=[2, -1, -3] * ms),
        "a delay of 0": lambda: synapses(delay=0 * ms),
        "a delay between two ticks": lambda: synapses(delay=[1, 2.5, 3.25] * ms),
        "a delay that is rounded to 0": lambda: synapses(delay=0.3 * ms, rounding="nearest"),
        "a delay beyond the limit": lambda: Simulation(synapses(delay=[1, 2, 2e7] * ms)),
        "NaN or infinity as weight": lambda: synapses(weight=[1, NAN, INF] * nA),
        "a negative weight on a port that subtracts": lambda: synapses(
            port="inh", weight=[1, -1, 1] * nA
        ),
        "a neuron that does not exist": lambda: synapses(pre=[0, 2, 5]),
        "a negative neuron": lambda: synapses(post=[0, 1, -1]),
        "neurons that are not integers": lambda: synapses(pre=[0.0, 1.0, 1.0]),
        "lists of different lengths": lambda: synapses(pre=[0, 1]),
        "too few weights": lambda: synapses(weight=[1, 2] * nA),
        "too many delays": lambda: synapses(delay=[1, 2, 3, 4] * ms),
        "one synapse twice": lambda: synapses(post=[0, 2, 2]),
        "`OneToOne()` of unequal groups": lambda: synapses(wiring=OneToOne()),
        "an array of weights without `Pairs`": lambda: synapses(
            wiring=AllToAll(), weight=[1, 2] * nA
        ),
        "a probability above 1": lambda: synapses(wiring=RandomPairs(1.5)),
        "something else as wiring": lambda: synapses(wiring="all"),
        "drawn weights below 0 on such a port": lambda: Simulation(
            synapses(port="inh", weight=Normal(0 * nA, 1 * nA))
        ),
        "drawn delays below one tick": lambda: Simulation(
            synapses(delay=Uniform(0 * ms, 0.4 * ms))
        ),
        "limits the wrong way round": lambda: Simulation(synapses(delay=Uniform(3 * ms, 1 * ms))),
        "a kind of rounding that does not exist": lambda: synapses(rounding="up"),
    },
    "Learning": {
        "an option that does not exist": lambda: PairSTDP(pairing="nearst"),
        "a negative amplitude": lambda: PairSTDP(A_plus=-0.1),
        "bounds the wrong way round": lambda: PairSTDP(w_min=2 * nA),
        "late clamping of steps that depend on the weight": lambda: PairSTDP(
            dependence="multiplicative", clamp="update"
        ),
        "a weight outside the bounds": lambda: synapses(
            plasticity=PairSTDP(), weight=[0, 1, 2] * nA
        ),
        "bounds in mV for synapses that take a current": lambda: synapses(
            plasticity=PairSTDP(w_max=1 * mV, w_min=0 * mV)
        ),
    },
    "Inputs": {
        "a negative rate": lambda: Input("p", 2, Poisson([1, -2] * Hz)),
        "too many rates": lambda: Input("p", 2, Poisson([1, 2, 3] * Hz)),
        "something else as source": lambda: Input("p", 1, [1, 2]),
        "a negative time": lambda: train([3, -1, -2] * ms, [0, 0, 0]),
        "NaN or infinity as time": lambda: train([3, NAN] * ms, [0, 0]),
        "a time between two ticks": lambda: train([3, 4.5] * ms, [0, 1]),
        "times that go back (`strict=True`)": lambda: train([3, 1, 2] * ms, [0, 0, 0], strict=True),
        "a source neuron that does not exist": lambda: train([3, 4] * ms, [0, 2]),
        "source neurons that are not integers": lambda: train([3, 4] * ms, [0.0, 1.0]),
        "more times than neurons": lambda: train([3, 4] * ms, [0]),
        "spikes fed to the past": late_feed,
        "spikes fed to an input that does not exist": lambda: simulation().feed("inn", 1 * ms, 0),
    },
    "Probes": {
        "a state that does not exist": lambda: network(Probe("n", "i_ex")),
        "a probe of an input": lambda: network(Probe("in", "v")),
        "a probed neuron that does not exist": lambda: network(Probe("n", "v", neurons=(0, 3))),
        "probed neurons that are not integers": lambda: network(Probe("n", "v", neurons=(0.5,))),
        "an interval of 0": lambda: network(Probe("n", "v", every=0 * ms)),
        "more recorded than memory holds": lambda: run(network(Probe("n", "v")), 10**9 * ms),
    },
}
