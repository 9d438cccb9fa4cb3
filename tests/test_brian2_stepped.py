"""brian2 integrates calcium from equations of its own, and has what the oracle has."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from backend_params import needs_brian2
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import WHATEVER
from test_backend_brian2 import assert_agrees
from test_stepped import mixed

from spikecore import (
    LIF,
    AllToAll,
    Delta,
    Exponential,
    GChI,
    HeldCurrent,
    Hz,
    Input,
    LiRinzel,
    Modulation,
    Network,
    OneToOne,
    Pairs,
    Poisson,
    Population,
    Probe,
    Projection,
    Simulation,
    Train,
    ms,
    mV,
    nA,
    run,
    second,
    uM,
)
from spikecore.quantities import Quantity
from spikecore.units import Crossing, Port, SteppedUnit

pytestmark = needs_brian2


def both(network, duration, **options):
    """Run on brian2 and on the oracle, hold one against the other, and return both."""
    result = run(network, duration, backend="brian2", **options)
    oracle = run(network, duration, backend="clocked")
    assert_agrees(result, oracle)
    return result, oracle


def told(result, population):
    return [n for n in result.notes if n.startswith(f"population {population!r}: its states move")]


@settings(WHATEVER, max_examples=3)
@given(network=mixed(), cut=st.integers(1, 149))
def test_random_networks_in_pieces_too(network, cut):
    oracle = run(network, 150 * ms, backend="clocked")
    assert_agrees(run(network, 150 * ms, backend="brian2"), oracle)
    simulation = Simulation(network, backend="brian2")
    simulation.run(cut * ms)
    assert_agrees(simulation.run((150 - cut) * ms), oracle)


def inward_current(step=10, dt=1.0):
    """Spikes raise IP3, calcium oscillates, its slow inward current drives neurons."""
    return Network(
        [
            Input("in", 3, Poisson(10 * Hz)),
            Population("a", 3, LiRinzel(step=step * ms)),
            Population("n", 4, HeldCurrent(LIF(synapse=Exponential(5 * ms), refractory=2 * ms))),
            Projection("in", "a", OneToOne(), 0.05 * uM, 1 * ms),
            Projection(
                "a",
                "n",
                Pairs([0, 1, 2, 2], [0, 1, 2, 0]),
                3 * nA,
                3 * ms,
                port="held",
                carries="sic",
            ),
            *(Probe("a", s) for s in ("C", "h", "I", "sic", "sic (change)")),
            *(Probe("n", s) for s in ("v", "i_held")),
        ],
        dt=dt * ms,
    )


def test_slow_inward_current_onto_neurons():
    result, _ = both(inward_current(), 6 * second)
    assert told(result, "a") == []  # brian2 integrates it
    assert np.ptp(result.traces["a.sic"].values) > 4
    assert len(result.spikes["n"]) > 100
    assert "a: sic\n" not in result.spikes


def test_single_precision():
    """Steps are double there, and states are not rounded between them: to 1e-4 of the range."""
    network = inward_current()
    one, other = (
        run(network, 1 * second, backend=b, precision="float32") for b in ("brian2", "clocked")
    )
    assert one.compare(other).identical
    for name, trace in other.traces.items():
        scale = np.abs(trace.values).max()
        assert np.abs(one.traces[name].values - trace.values).max() < 1e-4 * scale, name


def varied(unit, seed):
    """Return the unit with every constant another."""
    rng = np.random.default_rng(seed)
    own = {f.name: getattr(unit, f.name) for f in fields(unit)}
    scaled = {k: v * rng.uniform(0.85, 1.15) for k, v in own.items() if isinstance(v, float)}
    return replace(unit, **scaled)


def alone(unit, kick):
    """Three units by themselves, with arrivals; every state is seen."""
    states = unit.stepped.linear.states
    start = {"I": np.array([0.2, 0.6, 1.5]) * uM, "C": np.array([0.1, 0.3, 0.6]) * uM}
    return Network(
        [
            Input("in", 3, Poisson(3 * Hz)),
            Population("a", 3, unit, initial=start),
            Projection("in", "a", OneToOne(), kick, 10 * ms),
            *(Probe("a", s) for s in states),
        ],
        dt=10 * ms,
    )


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("unit", "kick"),
    [
        (LiRinzel(step=20 * ms), 0.2 * uM),
        (GChI(step=10 * ms, I_bias=0.8, gap_junctions=((0, 1), (2, 1))), 30 * uM),
    ],
    ids=["lr", "g_chi"],
)
def test_every_constant_is_where_it_belongs(unit, kick, seed):
    result, _ = both(alone(varied(unit, seed), kick), 30 * second)
    for name, trace in result.traces.items():
        assert np.ptp(trace.values) > 1e-3, name


def chain(junctions):
    """Five coupled astrocytes that release onto neurons and act on their synapses."""
    start = {"I": np.linspace(0.2, 1.5, 5) * uM}
    return Network(
        [
            Input("in", 5, Poisson(2 * Hz)),
            Population("g", 5, GChI(I_bias=0.8, gap_junctions=junctions), initial=start),
            Population("n", 5, LIF(synapse=Delta())),
            Projection("in", "g", OneToOne(), 30 * uM, 10 * ms),
            Projection("g", "n", AllToAll(), 8 * mV, 20 * ms),
            Projection(
                "in",
                "n",
                AllToAll(),
                6 * mV,
                10 * ms,
                modulation=Modulation("g", "Gamma_S", gain=2.0, index=np.arange(5)),
            ),
            *(Probe("g", s) for s in ("C", "I", "Gamma_S", "G_A")),
            Probe("n", "v"),
        ],
        dt=10 * ms,
    )


def test_releases_and_gap_junctions():
    coupled, _ = both(chain(((0, 1), (1, 2), (2, 3), (3, 4), (4, 0))), 40 * second)
    apart, _ = both(chain(()), 40 * second)
    assert len(coupled.spikes["g"]) > 8
    assert not coupled.compare(apart).identical
    assert told(coupled, "g") == []


def oscillators(integrator, substeps):
    """Van der Pol's, coupled in a ring, which fall back when they pass a level."""

    def derivative(x):
        u, w = x
        pull = np.roll(u, 1) + np.roll(u, -1) - 2 * u
        return 0.05 * np.stack([w + 0.3 * pull, (1 - u**2) * w - u])

    def fall(x):
        return np.stack([x[0] - 0.5, -x[1]])

    return SteppedUnit(
        name="own",
        states={"u": ("number", 0.5), "w_pre": ("number", 0.0)},
        derivative=derivative,
        ports={"exc": Port("u", "number"), "inh": Port("w_pre", "number", -1)},
        step=3 * ms,
        integrator=integrator,
        substeps=substeps,
        crossing=Crossing("u", 1.5, fall),
        outputs={"sum of both": lambda x: x[0] + x[1], "power": lambda x: x[0] ** 2},
        identity=f"{integrator} {substeps}",
    )


def with_own(unit):
    start = {"u": Quantity(np.array([-1.0, 0.4, 1.2, 0.0]), "number")}
    return Network(
        [
            Input("in", 4, Poisson(40 * Hz)),
            Population("o", 4, unit, initial=start),
            Population("n", 4, HeldCurrent(LIF())),
            Projection("in", "o", OneToOne(), Quantity(0.3, "number"), 2 * ms),
            Projection(
                "in", "o", Pairs([0, 1], [1, 2]), Quantity(0.2, "number"), 5 * ms, "inh", name="i"
            ),
            Projection("o", "n", AllToAll(), 6 * nA, 2 * ms),
            Projection(
                "o", "n", OneToOne(), 9 * nA, 4 * ms, port="held", carries="power", name="p"
            ),
            Projection(
                "o", "n", OneToOne(), 4 * nA, 1 * ms, port="held", carries="sum of both", name="s"
            ),
            *(Probe("o", s) for s in ("u", "w_pre", "power", "sum of both")),
            *(Probe("n", s) for s in ("v", "i_held")),
        ]
    )


@pytest.mark.parametrize(("integrator", "substeps"), [("heun", 4), ("rk4", 1)])
def test_a_unit_of_ones_own(integrator, substeps):
    result, _ = both(with_own(oscillators(integrator, substeps)), 600 * ms)
    assert len(result.spikes["o"]) > 5
    assert len(result.spikes["n"]) > 10
    (note,) = told(result, "o")
    assert note.endswith("because its derivative is a Python function")


@dataclass(frozen=True)
class Faster(LiRinzel):
    """Another derivative under an inherited name."""

    def _derivative(self, x):
        return 3 * super()._derivative(x)


def test_a_class_made_from_one_with_equations_keeps_its_own_derivative():
    result, _ = both(alone(Faster(step=20 * ms), 0.2 * uM), 5 * second)
    assert len(told(result, "a")) == 1


@pytest.mark.parametrize("cut", [29, 30, 301])
def test_a_checkpoint_between_and_a_clear(cut, tmp_path):
    """Before, in and after a step; changes of outputs, releases and spikes are under way."""
    parts = with_own(oscillators("heun", 2))
    start = {"C": np.array([0.44, 0.49, 0.3]) * uM, "I": np.array([2.0, 1.0, 0.5]) * uM}
    more = [
        Population("g", 3, GChI(step=10 * ms, gap_junctions=((0, 2),)), initial=start),
        Population("lr", 3, LiRinzel(step=30 * ms, C=0.21, I=0.9)),
        Projection("g", "n", Pairs([0, 1, 2], [0, 1, 2]), 5 * nA, 40 * ms),
        Projection(
            "lr", "n", Pairs([0, 1, 2], [0, 1, 2]), 3 * nA, 25 * ms, port="held", carries="sic"
        ),
        Probe("g", "G_A"),
        Probe("lr", "sic"),
    ]
    network = Network([*parts.groups, *parts.projections, *parts.probes, *more])
    oracle = run(network, 500 * ms, backend="clocked")
    assert len(oracle.spikes["g"]) > 0
    simulation = Simulation(network, backend="brian2")
    simulation.run(cut * ms)
    simulation.save(tmp_path / "state")
    assert_agrees(simulation.run((500 - cut) * ms), oracle)
    other = Simulation(network, backend="brian2")
    other.run(77 * ms)
    other.restore(tmp_path / "state")
    assert_agrees(other.run((500 - cut) * ms), oracle)
    other.clear()
    assert_agrees(other.run(500 * ms), oracle)


@pytest.mark.parametrize(
    ("unit", "weight", "state"),
    [
        (LiRinzel(step=10 * ms, tau_IP3=1e-3), 0.1, "C"),  # faster than steps can follow
        (
            SteppedUnit(
                "bomb",
                {"x": ("concentration", 1.0)},
                lambda x: 0.1 * x * x,
                {"exc": Port("x", "concentration")},
                step=10 * ms,
            ),
            0.1,
            "x",
        ),
    ],
    ids=["equations", "a function"],
)
def test_a_step_that_overflows_ends_the_run(unit, weight, state):
    """In the very tick of the oracle, but where brian2's order of factors overflows earlier."""
    network = Network(
        [
            Input("in", 2, Train(np.arange(0, 500, 10) * ms, np.arange(50) % 2)),
            Population("b", 2, unit),
            Projection("in", "b", AllToAll(), weight * uM, 20 * ms),
            Probe("b", state, every=20 * ms),
        ],
        dt=10 * ms,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        result, oracle = (run(network, 500 * ms, backend=b) for b in ("brian2", "clocked"))
    if state == "x":
        assert_agrees(result, oracle)
    assert result.status == oracle.status == "diverged"
    assert result.message == f"b[0] is not finite in tick {result.ticks}"
    assert 2 < result.ticks <= oracle.ticks
    assert result.counters["delivered"] == 2 * (result.ticks - 2)


def calcium_of_ten():
    """Five coupled astrocytes of one kind, five of the other, each a little different."""
    chained = GChI(I_bias=0.8, gap_junctions=((0, 1), (1, 2), (2, 3), (3, 4)))
    start = {"I": np.random.default_rng(1).uniform(0.2, 1.5, 5) * uM}
    return Network(
        [
            Input("in", 5, Poisson(2 * Hz)),
            Population("g", 5, chained, initial=start),
            Population(
                "lr", 5, LiRinzel(step=20 * ms), initial={"I": np.linspace(0.2, 1.5, 5) * uM}
            ),
            Projection("in", "g", OneToOne(), 30 * uM, 10 * ms),
            Projection("in", "lr", OneToOne(), 0.05 * uM, 10 * ms),
            *(Probe("g", s) for s in ("C", "I", "Gamma_S", "Gamma_A", "G_A")),
            *(Probe("lr", s) for s in ("C", "h", "I", "sic")),
        ],
        dt=10 * ms,
    )


@pytest.mark.slow
def test_two_minutes_of_calcium():
    network = calcium_of_ten()
    result, oracle = both(network, 120 * second)
    assert len(result.spikes["g"]) == 36
    assert np.abs(result.traces["g.C"].values - oracle.traces["g.C"].values).max() < 1e-11
    one, other = (
        run(network, 120 * second, backend=b, precision="float32").spikes["g"]
        for b in ("brian2", "clocked")
    )
    assert np.array_equal(one.neurons, other.neurons)
    late = np.abs(one.ticks - other.ticks)
    assert late.max() <= 1
    assert np.count_nonzero(late) < 10


@pytest.mark.slow
def test_cython_gives_the_same():
    both(inward_current(), 1 * second, options={"target": "cython"})
    both(chain(((0, 1), (3, 4))), 20 * second, options={"target": "cython"})
