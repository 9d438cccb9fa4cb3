"""Calcium of astrocytes: acceptance figures, Brian 2 with the same equations, and the network."""

from __future__ import annotations

import numpy as np
import pytest
from backend_params import BRIAN2, NO_BRIAN2
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import WHATEVER, assert_same

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
    PairSTDP,
    Poisson,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Simulation,
    Train,
    ms,
    mV,
    nA,
    run,
    second,
    uM,
)
from spikecore.units import Crossing, Port, SteppedUnit

BACKENDS = pytest.mark.parametrize("backend", ["event", "clocked", "torch", BRIAN2])


def alone(unit, seconds, *states):
    """Run one unit by itself with ticks of its step."""
    parts = [Population("a", 1, unit), *(Probe("a", s) for s in states)]
    result = run(Network(parts, dt=unit.step), seconds * second)
    return result, [result.traces[f"a.{s}"].values[:, 0] for s in states]


def test_li_rinzel_rests_where_it_should():
    _, (c, h) = alone(LiRinzel(step=10 * ms), 200, "C", "h")
    assert (c[-1], h[-1]) == pytest.approx((0.0722, 0.792), rel=1e-2)


@pytest.mark.parametrize(
    ("i", "low", "high", "period"),
    [
        (0.40, 0.105, 0.313, 12.8),
        (0.45, 0.103, 0.393, 12.0),
        (0.50, 0.108, 0.445, 11.5),
        (0.60, 0.136, 0.500, 11.0),
    ],
)
def test_li_rinzel_oscillates(i, low, high, period):
    """IP3 is held at its resting value, so that nothing else moves."""
    _, (c,) = alone(LiRinzel(step=10 * ms, I=i, I_0=i), 200, "C")
    late = c[10_000:]
    assert (late.min(), late.max()) == pytest.approx((low, high), rel=1e-2)
    up = np.flatnonzero((late[:-1] < late.mean()) & (late[1:] >= late.mean()))
    assert np.diff(up).mean() / 100 == pytest.approx(period, rel=1e-2)


@pytest.mark.parametrize(("i", "c"), [(0.30, 0.123), (0.80, 0.391), (1.0, 0.453), (1.5, 0.553)])
def test_li_rinzel_settles(i, c):
    _, (found,) = alone(LiRinzel(step=20 * ms, I=i, I_0=i), 300, "C")
    assert np.ptp(found[-1000:]) < 1e-3
    assert found[-1] == pytest.approx(c, rel=1e-2)


@pytest.mark.parametrize(
    ("c", "pA"), [(0.2, 1.20), (0.25, 3.98), (0.3, 4.64), (0.5, 5.71), (1.0, 6.69), (0.1976, 0.0)]
)
def test_slow_inward_current(c, pA):
    assert LiRinzel()._sic(np.array([[c]]))[0] == pytest.approx(pA, abs=0.005)


@pytest.mark.parametrize(
    ("bias", "releases", "highest"),
    [(0.8, [2.09, 19.35, 36.4, 53.5], 1.05), (1.25, [1.06, 10.34], 1.19)],
)
def test_g_chi_releases(bias, releases, highest):
    result, (c, g) = alone(GChI(I_bias=bias), 60, "C", "G_A")
    # A spike in tick t has happened by the end of it, (t + 1) dt after the start.
    assert (result.spikes["a"].ticks + 1) / 100 == pytest.approx(releases, rel=1e-2)
    assert c.max() == pytest.approx(highest, rel=1e-2)
    assert g.max() == pytest.approx(78, rel=1e-2)
    assert c[2000:].min() >= (0.43 if bias > 1 else 0)


LR = """
er = (2.0 - C)/0.185 : 1
open = I/(I + 0.13)*C/(C + 0.08234)*h : 1
dC/dt = (0.185*0.006*open**3*(er - C) + 0.185*1.1e-4*(er - C) - 9e-4*C**2/(0.1**2 + C**2))/ms : 1
dh/dt = (2e-4*1.049*(I + 0.13)/(I + 0.9434)*(1 - h) - 2e-4*C*h)/ms : 1
dI/dt = (0.16 - I)/(7142*ms) : 1
"""
G_CHI = """
er = 2.0 - 1.18*C : 1
m = I/(I + 0.13)*C/(C + 0.08) : 1
q = 1.05*(I + 0.13)/(I + 0.9434) : 1
J = -1.0*(1 + tanh((abs(I - 0.8) - 0.3)/0.05))*sign(I - 0.8) : 1
pump = 0.9*C**2/(C**2 + 0.05**2) : 1
made = 0.6/(1 + I/1.5)*C**2/(C**2 + 0.1**2) : 1
kinase = 4.5*C**4/(C**4 + 0.7**4)*I/(I + 1) : 1
dI/dt = (made - kinase - 0.05*I + J)/second : 1
dC/dt = (6*(m*h)**3*er + 0.1*er - pump)/second : 1
dh/dt = 0.2*(q*(1 - h) - C*h)/second : 1
"""


@pytest.mark.skipif(bool(NO_BRIAN2), reason=NO_BRIAN2 or "-")
@pytest.mark.parametrize(
    ("equations", "unit", "kick"), [(LR, LiRinzel, 0.35), (G_CHI, GChI, 0.0)], ids=["lr", "g_chi"]
)
def test_brian2_integrating_the_same_equations(equations, unit, kick):
    """Its own code generation and RK4, at half the step; within 1 % (0.1 % in fact)."""
    import brian2

    more = {"I_bias": 0.8} if unit is GChI else {}
    ours = unit(step=10 * ms, **more)
    _, (c, h, i) = alone(unit(step=10 * ms, I=ours.I + kick, **more), 60, "C", "h", "I")
    group = brian2.NeuronGroup(
        1, equations, method="rk4", dt=5 * brian2.ms, codeobj_class=None, name="same*"
    )
    group.C, group.h, group.I = ours.C, ours.h, ours.I + kick
    monitor = brian2.StateMonitor(group, ["C", "h", "I"], record=True, dt=10 * brian2.ms)
    with_numpy = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    try:
        brian2.Network(group, monitor).run(60 * brian2.second)
    finally:
        brian2.prefs.codegen.target = with_numpy
    for found, name in ((c, "C"), (h, "h"), (i, "I")):
        theirs = getattr(monitor, name)[0]
        assert np.abs(found[:-1] - theirs[1:]).max() < 1e-3 * np.ptp(theirs)


@BACKENDS
def test_arrivals_raise_ip3_and_calcium_answers(backend):
    parts = [
        Input("in", 1, Train(np.arange(0, 4000, 100) * ms, np.zeros(40, int))),
        Population("a", 1, LiRinzel(step=10 * ms)),
        Population("n", 2, HeldCurrent(LIF(synapse=Exponential(5 * ms)))),
        Projection("in", "a", OneToOne(), 0.05 * uM, 1 * ms),
        Projection("a", "n", AllToAll(), 4 * nA, 3 * ms, port="held", carries="sic"),
        Probe("a", "I"),
        Probe("a", "sic"),
        Probe("n", "i_held"),
    ]
    result = run(Network(parts), 10 * second, backend=backend)
    ip3, sic, held = (t.values for t in result.traces.values())
    # The spike of tick 0 arrives in tick 1; the next step, in tick 9, lets IP3 decay by 10 ms.
    assert ip3[0, 0] == 0.16
    assert ip3[1, 0] == ip3[8, 0] == pytest.approx(0.21)
    assert ip3[9, 0] == pytest.approx(0.16 + 0.05 * np.exp(-10 / 7142), rel=1e-9)
    assert sic[:100].max() == 0
    assert sic.max() > 4.5
    assert np.allclose(held[3:, 1], 4 * sic[:-3, 0], atol=1e-12)  # three ticks later, held
    assert len(result.spikes["n"]) > 100
    assert result.spikes["n"].times[0] > 100
    assert set(result.spikes) == {"in", "a", "n"}


def ramp(step=4, level=0.5):
    """Return a unit that rises steadily and falls by 1 when it passes a level."""

    def fall(x):
        return x - 1.0

    return SteppedUnit(
        name="ramp",
        states={"x": ("number", 0.0)},
        derivative=lambda x: np.full_like(x, 0.1),
        ports={"exc": Port("x", "number")},
        step=step * ms,
        crossing=Crossing("x", level, fall),
        outputs={"twice": lambda x: 2 * x[0]},
        identity=f"{step} {level}",
    )


@BACKENDS
@pytest.mark.parametrize("step", [1, 4])
def test_when_a_stepped_unit_moves_and_fires(step, backend):
    """Tick t has the state (t + 1) ms after the start, in steps; 0.1 a tick, level 0.55."""
    parts = [
        Population("n", 1, LIF(synapse=Delta())),
        Population("r", 1, ramp(step, 0.55)),
        Projection("r", "n", OneToOne(), 20 * mV, 3 * ms),
        Probe("r", "x"),
        Probe("r", "twice"),
    ]
    result = run(Network(parts), 30 * ms, backend=backend)
    x, wanted, spikes = 0.0, [], []
    for t in range(30):
        if (t + 1) % step == 0:
            before, x = x, x + 0.1 * step
            if before <= 0.55 < x:
                spikes.append(t)
                x -= 1
        wanted.append(x)
    assert np.allclose(result.traces["r.x"].values[:, 0], wanted)
    assert np.allclose(
        result.traces["r.twice"].values[step - 1 :, 0], 2 * np.array(wanted[step - 1 :])
    )
    assert result.spikes["r"].ticks.tolist() == spikes != []
    assert result.spikes["n"].ticks.tolist() == [t + 3 for t in spikes if t + 3 < 30]


def test_heun_is_of_second_and_rk4_of_fourth_order():
    def error(integrator, substeps):
        unit = SteppedUnit(
            name="decay",
            states={"x": ("number", 1.0)},
            derivative=lambda x: -x * x,
            ports={},
            step=1 * ms,
            integrator=integrator,
            substeps=substeps,
        )
        return abs(unit.advance(unit.start[None])[0][0, 0] - 0.5)

    for integrator, factor in (("heun", 4), ("rk4", 16)):
        assert error(integrator, 4) / error(integrator, 8) == pytest.approx(factor, rel=0.3)


@st.composite
def mixed(draw):
    """Stepped astrocytes of both kinds in a network that learns."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([1, 3, 8])), draw(st.sampled_from([2, 5]))
    start = {"C": rng.uniform(0.44, 0.5, 2) * uM, "I": rng.uniform(0.5, 2, 2) * uM}
    on_neurons = {"delay": rng.integers(1, 9, 3) * ms, "port": "held", "carries": "sic"}
    return Network(
        [
            Population("n", 4, HeldCurrent(LIF(refractory=draw(st.integers(0, 3)) * ms))),
            Input("in", 3, Poisson(150 * Hz)),
            Population("m", 4, LIF(synapse=Delta())),
            Population("lr", 3, LiRinzel(step=steps[0] * ms, C=0.21, I=0.9)),
            Population("g", 2, GChI(step=steps[1] * ms, gap_junctions=((0, 1),)), initial=start),
            Projection("in", "lr", OneToOne(), 0.1 * uM, 2 * ms),
            Projection("in", "g", Pairs([0, 1], [0, 1]), 500 * uM, 2 * ms),
            Projection("lr", "n", Pairs([0, 1, 2], [0, 1, 3]), 3 * nA, **on_neurons),
            Projection("in", "n", AllToAll(), 4 * nA, 3 * ms),
            Projection("g", "m", AllToAll(), 20 * mV, 1 * ms),
            Projection(
                "n",
                "m",
                RandomPairs(0.6),
                5 * mV,
                1 * ms,
                modulation=Modulation("g", "Gamma_S", gain=3.0, index=[0, 1, 0, 1]),
            ),
            Projection(
                "m",
                "n",
                RandomPairs(0.6),
                0.4 * nA,
                4 * ms,
                plasticity=PairSTDP(A_plus=0.1, A_minus=0.1),
                modulation=Modulation("lr", "C", acts_on="learning", index=[0, 1, 2, 0]),
            ),
            *(Probe("n", s) for s in ("v", "i_held")),
            *(Probe("g", s) for s in ("C", "Gamma_S")),
            Probe("lr", "sic"),
        ]
    )


@settings(WHATEVER, max_examples=25)
@given(network=mixed(), cut=st.integers(1, 149), precision=st.sampled_from(["float64", "float32"]))
def test_event_equals_clocked_equals_torch_in_pieces_too(network, cut, precision):
    whole = run(network, 150 * ms, backend="clocked", precision=precision)
    assert whole.status == "complete"
    for backend in ("event", "torch"):
        assert_same(run(network, 150 * ms, backend=backend, precision=precision), whole)
    simulation = Simulation(network, precision=precision)
    simulation.run(cut * ms)
    assert_same(simulation.run((150 - cut) * ms), whole)


def test_a_checkpoint_and_a_long_history(tmp_path):
    """700 steps of an astrocyte that acts on learning: more than the 256 that are kept."""
    network = _long()
    whole = run(network, 700 * ms, backend="clocked")
    simulation = Simulation(network)
    simulation.run(333 * ms)
    simulation.save(tmp_path / "state")
    other = Simulation(network)
    other.restore(tmp_path / "state")
    assert_same(other.run(367 * ms), whole)


def _long():
    rule = PairSTDP(A_plus=0.1, A_minus=0.1, w_max=8 * mV, w_min=0 * mV)
    acts = Modulation("lr", "C", acts_on="learning", gain=5.0)
    return Network(
        [
            Input("rare", 4, Poisson(4 * Hz)),
            Input("often", 3, Poisson(200 * Hz)),
            Population("lr", 1, LiRinzel(step=1 * ms, I=0.9)),
            Population("n", 4, LIF(synapse=Delta())),
            Projection("often", "n", AllToAll(), 3 * mV, 1 * ms),
            Projection("rare", "n", AllToAll(), 3 * mV, 9 * ms, plasticity=rule, modulation=acts),
        ]
    )


@BACKENDS
def test_a_stepped_state_that_overflows_ends_the_run(backend):
    unit = SteppedUnit(
        name="bomb",
        states={"x": ("number", 1.0)},
        derivative=lambda x: x * x,
        ports={"exc": Port("x", "number")},
        step=1 * ms,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        result = run(Network([Population("b", 2, unit)]), 50 * ms, backend=backend)
    assert result.status == "diverged"
    assert result.message.startswith("b[0] is not finite in tick ")
    assert result.ticks == int(result.message.split()[-1])
