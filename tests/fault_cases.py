"""What people get wrong, and the call that shows it: one entry for each row of docs/errors.md.

``python tests/fault_cases.py`` prints the tables for that page.
"""

from __future__ import annotations

import errno
import os
import signal
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from spikecore import (
    LIF,
    AllToAll,
    Exponential,
    Hz,
    Input,
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
    Result,
    Simulation,
    SpikecoreError,
    Train,
    Uniform,
    ms,
    mV,
    nA,
    run,
)
from spikecore.backends import registry
from spikecore.backends.clocked import ClockedBackend
from spikecore.backends.protocol import Capabilities
from spikecore.units import Delta

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


def backend(name, entry):
    """Run on a backend that is registered for the moment."""
    with pytest.MonkeyPatch.context() as patch:
        found = {name: EntryPoint(name, entry, "spikecore.backends")}
        patch.setattr(registry, "_entries", lambda: found)
        return run(synapses(plasticity=PairSTDP()), 5 * ms, backend=name)


class Modest(ClockedBackend):
    """Can do next to nothing."""

    def capabilities(self):
        nothing = frozenset()
        return Capabilities(frozenset({"lif"}), nothing, frozenset({"float64"}), nothing, 1, False)


def save(path="run.npz", *, full=False, access=True):
    with pytest.MonkeyPatch.context() as patch:
        if full:
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            patch.setattr(os, "fsync", lambda _file: (_ for _ in ()).throw(error))
        if not access:
            patch.setattr(os, "access", lambda _path, _mode: False)
        run(network(), 5 * ms).save(path)


def load(content):
    Path("run.npz").write_bytes(content)
    Result.load("run.npz")


def restore(**options):
    simulation().save("checkpoint")
    return Simulation(synapses(), **options).restore("checkpoint")


def load_checkpoint():
    simulation().save("checkpoint")
    return Result.load("checkpoint")


def late_feed():
    late = simulation()
    late.run(5 * ms)
    late.feed("in", [7, 2] * ms, [0, 1])


def interrupted():
    one = simulation()
    one._session.advance(256, lambda _done: signal.raise_signal(signal.SIGINT))
    return one.result().message


def overflow(resume=False):
    parts = [
        Input("in", 1, Train([3, 3] * ms, [0, 0])),
        Population("n", 1, LIF()),
        Projection("in", "n", OneToOne(), 1e308 * nA, 2 * ms),
    ]
    one = Simulation(Network(parts))
    message = one.run(10 * ms).message
    return one.run(1 * ms) if resume else message


def explosion():
    parts = [
        Population("n", 50, LIF(synapse=Delta()), initial={"v": -40 * mV}),
        Projection("n", "n", AllToAll(), 50 * mV, 2 * ms),
    ]
    return run(Network(parts), 10 * ms, max_pending=2000).message


def notes(made, duration=5 * ms):
    return "; ".join(run(made, duration).notes)


def delayed(delay, backend, **options):
    parts = [
        Input("in", 2000),
        Population("n", 2000, LIF()),
        Projection("in", "n", OneToOne(), 1 * nA, delay * ms, **options),
    ]
    return Simulation(Network(parts), backend=backend)


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
        "a resistance of 0 or below": lambda: LIF(resistance=0 * nA / 1) if False else LIF(
            resistance=0 * LIF().resistance
        ),
        "a reset at or above the threshold": lambda: LIF(v_reset=[-60, -50] * mV),
        "a negative refractory period": lambda: LIF(refractory=-1 * ms),
        "a parameter that does not exist": lambda: LIF(tau=10 * ms),
        "a step rule that does not exist": lambda: LIF(step="spinaker"),
        "arrays of different lengths": lambda: LIF(tau_m=[1, 2] * ms, refractory=[1, 2, 3] * ms),
        "something else as synapse": lambda: LIF(synapse="alpha"),
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
    "Running": {
        "a backend that does not exist": lambda: run(network(), 5 * ms, backend="evnt"),
        "a backend that is not installed": lambda: backend("ghost", "ghost_package:Backend"),
        "a network that the backend cannot run": lambda: backend("modest", f"{__name__}:Modest"),
        "a precision that does not exist": lambda: run(network(), 5 * ms, precision="float16"),
        "weights beyond the precision": lambda: Simulation(
            synapses(weight=1e39 * nA), precision="float32"
        ),
        "a negative or huge seed": lambda: run(network(), 5 * ms, seed=-1),
        "a seed that is not an integer": lambda: run(network(), 5 * ms, seed=None),
        "a duration of 0, or less": lambda: run(network(), 0 * ms),
        "a duration between two ticks": lambda: run(network(), 2.5 * ms),
        "a duration beyond counting": lambda: run(network(), 1e300 * ms),
        "something else as network": lambda: run([network()], 5 * ms),
        "a projection that does not exist": lambda: simulation().weights("in->m"),
        "too few new weights": lambda: simulation(weight=[1, 2, 3] * nA).set_weights("in->n", [1]),
        "NaN among new weights": lambda: simulation(weight=[1, 2, 3] * nA).set_weights(
            "in->n", [1, NAN, 2]
        ),
        "going on after a run has diverged": lambda: overflow(resume=True),
        "long delays of many neurons, clocked": lambda: delayed(1e6, "clocked"),
        "long delays of synapses that learn": lambda: delayed(1e6, "event", plasticity=PairSTDP()),
        "runs of different networks compared": lambda: run(network(), 5 * ms).compare(
            run(network(Input("more", 1)), 5 * ms)
        ),
    },
    "Files": {
        "a folder that does not exist": lambda: save("absent/run.npz"),
        "a folder as file": lambda: save("."),
        "a folder or file that is read-only": lambda: save(access=False),
        "a full disk": lambda: save(full=True),
        "a file that does not exist": lambda: Result.load("absent.npz"),
        "a file of something else, or a damaged one": lambda: load(b"garbage"),
        "a file of another kind": load_checkpoint,
        "a checkpoint of another seed, network, backend or precision": lambda: restore(seed=1),
    },
}

ENDINGS = {
    "Ctrl-C, or SIGTERM": interrupted,
    "a state that is no longer finite": overflow,
    "more synaptic events in flight than `max_pending`": explosion,
}

NOTES = {
    "a projection without synapses": lambda: notes(synapses(pre=[], post=[])),
    "delays rounded (`rounding='nearest'`)": lambda: notes(
        synapses(delay=[1, 1.4, 2] * ms, rounding="nearest")
    ),
    "times given unsorted": lambda: notes(train([2, 1] * ms, [0, 0])),
    "times rounded (`rounding='nearest'`)": lambda: notes(
        train([1, 1.4] * ms, [0, 0], rounding="nearest")
    ),
    "spikes given for later than the end": lambda: notes(train([1, 7, 8] * ms, [0, 0, 0])),
    "delays as long as the run, or longer": lambda: notes(synapses(delay=5 * ms)),
}


def rows(cases):
    """Yield what was done, what is answered and how to mend it."""
    for did, call in cases.items():
        try:
            answer, fix = call(), ""
        except SpikecoreError as error:
            answer, fix = str(error).removesuffix(f". Fix: {error.fix}"), error.fix or ""
        yield did, f"`{answer}`", fix
