"""Astrocytes against their closed forms, and what they act on, on every backend that can."""

from __future__ import annotations

import numpy as np
import pytest
from backend_params import BRIAN2
from glia_networks import glia_networks
from hypothesis import given, settings
from random_networks import DURATION, WHATEVER, assert_same

from spikecore import (
    LIF,
    Astrocyte,
    AstroLIF,
    Delta,
    Exponential,
    Input,
    Modulation,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Population,
    Probe,
    Projection,
    RandomPairs,
    Simulation,
    SlowTrace,
    Train,
    ms,
    mV,
    nA,
    run,
    uM,
)

ALL = pytest.mark.parametrize("backend", ["event", "clocked", "torch", BRIAN2])
TAU_Y, TAU_A, KAPPA = 25.0, 400.0, 3.0
TRACE = SlowTrace(TAU_A * ms, TAU_Y * ms, KAPPA)


def slow(t):
    """Return A at times t (ms) after one unit of transmitter (two exponentials)."""
    t = np.asarray(t, float)
    fast, late = np.exp(-t / TAU_Y), np.exp(-t / TAU_A)
    return np.where(t >= 0, KAPPA * TAU_Y / (TAU_A - TAU_Y) * (late - fast), 0.0)


def acted_on(modulation, *, sent=(50, 51), teach=(10,), plasticity=None, post=(), astro=1):
    """An astrocyte that learns of spikes in ``teach``, and a synapse on which it acts."""

    def train(ticks):
        return Train(np.array(ticks, float) * ms, np.zeros(len(ticks), int))

    parts = [
        Input("pre", 1, train(sent)),
        Input("glia", 1, train(teach)),
        Input("teacher", 1, train([t - 1 for t in post])),
        Population("n", 1, LIF(tau_m=1e5 * ms, synapse=Delta(), v_threshold=100 * mV)),
        Population("astro", astro, Astrocyte(TRACE)),
        Projection("glia", "astro", Pairs([0], [astro - 1]), 1 * uM, 2 * ms),
        Projection("teacher", "n", OneToOne(), 1000 * mV, 1 * ms),
        Projection(
            "pre", "n", OneToOne(), 2 * mV, 7 * ms, plasticity=plasticity, modulation=modulation
        ),
        Probe("n", "v"),
        Probe("astro", "A"),
        Probe("astro", "y"),
    ]
    return Network(parts)


@ALL
def test_states_of_an_astrocyte_follow_the_closed_form(backend):
    result = run(acted_on((), teach=(10, 300)), 2500 * ms, backend=backend)
    t = np.arange(2500)
    assert np.allclose(result.traces["astro.A"].values[:, 0], slow(t - 12) + slow(t - 302))
    y = np.where(t >= 12, np.exp(-(t - 12) / TAU_Y), 0) + np.where(
        t >= 302, np.exp(-(t - 302) / TAU_Y), 0
    )
    assert np.allclose(result.traces["astro.y"].values[:, 0], y)
    assert len(result.spikes["astro"]) == 0


@ALL
@pytest.mark.parametrize("sent", [11, 12, 13, 200])
def test_a_spike_carries_the_factor_of_the_tick_in_which_it_is_sent(sent, backend):
    """The transmitter arrives in tick 12: y counts from that very tick on, A from the next."""
    for state, value in (("A", slow(sent - 12)), ("y", np.exp(-(sent - 12) / TAU_Y))):
        network = acted_on(Modulation("astro", state, gain=5.0), sent=[sent])
        v = run(network, 250 * ms, backend=backend).traces["n.v"].values[:, 0] + 65
        assert v[sent + 6] == 0  # it arrives 7 ticks later, whatever A is by then
        wanted = 2 * (1 + 5.0 * (value if sent >= 12 else 0.0))
        assert v[sent + 7] == pytest.approx(wanted, rel=1e-9)


@ALL
def test_the_step_form_and_the_floor(backend):
    peak = float(slow(12 + np.argmax(slow(np.arange(400))) - 12))
    for level, factor in ((0.5 * peak, 1.5), (2 * peak, 1.0)):
        network = acted_on(Modulation("astro", gain=0.5, threshold=level * uM), sent=[90])
        v = run(network, 110 * ms, backend=backend).traces["n.v"].values[:, 0] + 65
        assert v[97] == pytest.approx(2 * factor)
    network = acted_on(Modulation("astro", gain=-1e6), sent=[90])
    assert np.all(run(network, 110 * ms, backend=backend).traces["n.v"].values == -65)


@ALL
def test_learning_follows_the_state_at_the_tick_of_the_pair(backend):
    """Pre 50, post 60 reaches the synapse in 67; pre 90, 23 ms after it, depresses."""
    rule = PairSTDP(
        tau_plus=20 * ms,
        tau_minus=30 * ms,
        A_plus=0.1 * mV,
        A_minus=0.2 * mV,
        w_max=10 * mV,
        w_min=0 * mV,
    )
    up, down = 0.1 * np.exp(-17 / 20), 0.2 * np.exp(-23 / 30)
    for acts_on, plus, minus in (
        ("potentiation", 1 + 4 * slow(67 - 12), 1),
        ("depression", 1, 1 + 4 * slow(90 - 12)),
        ("learning", 1 + 4 * slow(67 - 12), 1 + 4 * slow(90 - 12)),
    ):
        modulation = Modulation("astro", gain=4.0, acts_on=acts_on)
        network = acted_on(modulation, sent=(50, 90), post=(60,), plasticity=rule)
        # More transmitter much later: what is learnt in arrears must not see it.
        simulation = Simulation(network, backend=backend)
        simulation.feed("glia", [70, 80] * ms, [0, 0]) if acts_on == "potentiation" else None
        weight = simulation.run(100 * ms).weights["pre->n"][0]
        assert weight == pytest.approx(2 + plus * up - minus * down, rel=1e-9)


@ALL
def test_nalsm_depression_is_the_state_itself(backend):
    rule = PairSTDP(A_plus=0 * mV, A_minus=1 * mV, w_max=10 * mV, w_min=0 * mV)
    modulation = Modulation("astro", base=0.0, gain=1.0, acts_on="depression")
    network = acted_on(modulation, sent=(90,), post=(60,), plasticity=rule)
    weight = run(network, 100 * ms, backend=backend).weights["pre->n"][0]
    assert weight == pytest.approx(2 - slow(78) * np.exp(-23 / 20), rel=1e-9)


@ALL
def test_index_names_the_astrocyte_of_each_entry(backend):
    """Three astrocytes, of which the last hears something."""
    for index, factor in (([0], 1.0), ([2], 1 + 5 * slow(38))):
        for per in ("target", "source"):
            modulation = Modulation("astro", gain=5.0, index=index, per=per)
            network = acted_on(modulation, sent=[50], astro=3)
            v = run(network, 60 * ms, backend=backend).traces["n.v"].values[:, 0] + 65
            assert v[57] == pytest.approx(2 * factor, rel=1e-9)


@ALL
@pytest.mark.parametrize("step", ["exact", "spinnaker"])
def test_a_current_from_the_slow_state_holds_a_neuron_above_threshold(step, backend):
    """One spike at the astrocyte, and the neuron fires for hundreds of milliseconds."""
    unit = AstroLIF(
        LIF(synapse=Exponential(5 * ms), step=step),
        SlowTrace(tau_A=500 * ms, tau_y=None),
        current=30 * nA,
    )
    parts = [Input("glia", 1, Train([10] * ms, [0])), Population("n", 1, unit), Probe("n", "A")]
    parts += [Projection("glia", "n", OneToOne(), 1 * uM, 1 * ms, port="glia")]
    result = run(Network(parts), 1000 * ms, backend=backend)
    v, wanted, leak, fall = 0.0, [], np.exp(-1 / 20), np.exp(-1 / 500)
    late = (fall - leak) / (1 / 20 - 1 / 500) / 20  # of the exact rule
    state = 0.0
    for t in range(1000):
        if step == "spinnaker":
            state += 500 * (1 - fall) * (t == 11)
            v = v * leak + 30 * state * (1 - leak)
            state *= fall
        else:
            v = v * leak + 30 * state * late
            state = state * fall + (t == 11)
        if v >= 15:
            wanted.append(t)
            v = 0.0
    assert result.spikes["n"].ticks.tolist() == wanted
    assert wanted[-1] > 300  # 15 membrane time constants after the one spike


@ALL
def test_a_threshold_that_the_slow_state_lowers(backend):
    """12 mV are not enough for a threshold at 15 mV, and are while it lies below 12."""
    unit = AstroLIF(LIF(synapse=Delta()), TRACE, threshold=-10 * mV)
    parts = [
        Input("glia", 1, Train([10] * ms, [0])),
        Input("in", 1, Train(np.arange(5, 1200, 5) * ms, np.zeros(239, int))),
        Population("n", 1, unit),
        Projection("glia", "n", OneToOne(), 4 * uM, 1 * ms, port="glia"),
        Projection("in", "n", OneToOne(), 3 * mV, 1 * ms),
    ]
    result = run(Network(parts), 1200 * ms, backend=backend)
    alone = run(Network([p for p in parts if getattr(p, "name", "") != "glia->n"]), 1200 * ms)
    assert len(alone.spikes["n"]) == 0
    v, spikes = 0.0, []
    for t in range(1200):
        v *= np.exp(-1 / 20)
        v += 3.0 * (t % 5 == 1 and t > 5)
        if v + 10 * 4 * slow(t - 11) >= 15:
            spikes.append(t)
            v = 0.0
    assert result.spikes["n"].ticks.tolist() == spikes
    assert len(spikes) > 10


@ALL
def test_own_spikes_reach_the_own_astrocyte(backend):
    unit = AstroLIF(LIF(synapse=Delta()), TRACE, own=0.5 * uM)
    parts = [Input("in", 1, Train([10] * ms, [0])), Population("n", 1, unit), Probe("n", "A")]
    parts += [Projection("in", "n", OneToOne(), 20 * mV, 1 * ms)]
    trace = run(Network(parts), 500 * ms, backend=backend).traces["n.A"].values[:, 0]
    assert np.allclose(trace, 0.5 * slow(np.arange(500) - 11))


def talkative(ticks=900):
    """Astrocytes that hear more than a kept past can hold, and rows that learn rarely."""
    rng = np.random.default_rng(3)
    rule = PairSTDP(A_plus=0.02, A_minus=0.01, w_max=8 * mV, w_min=0 * mV)
    return Network(
        [
            Input(
                "rare", 6, Train(np.sort(rng.integers(0, ticks, 12)) * ms, rng.integers(0, 6, 12))
            ),
            Input("often", 2, Train(np.repeat(np.arange(ticks), 2) * ms, np.tile([0, 1], ticks))),
            Population("n", 5, LIF(synapse=Delta(), refractory=1 * ms)),
            Population("astro", 2, Astrocyte(SlowTrace(60 * ms, 5 * ms, 2.0))),
            Projection("often", "astro", OneToOne(), 0.1 * uM, 1 * ms),
            Projection("often", "n", RandomPairs(1.0), 0.8 * mV, 3 * ms),
            Projection(
                "rare",
                "n",
                RandomPairs(1.0),
                3 * mV,
                9 * ms,
                plasticity=rule,
                modulation=Modulation("astro", acts_on="learning", index=[0, 1, 0, 1, 0]),
            ),
        ]
    )


def test_more_history_than_is_kept():
    """256 states of each astrocyte are kept; here are 900, between two spikes of a row."""
    event, clocked = (Simulation(talkative(), backend=b) for b in ("event", "clocked"))
    for _ in range(3):
        assert_same(event.run(300 * ms), clocked.run(300 * ms))
        assert np.array_equal(event.weights("rare->n"), clocked.weights("rare->n"))
    plain = run(talkative(), 900 * ms).weights["rare->n"]
    assert not np.array_equal(plain, np.full(plain.size, 3.0))


@settings(WHATEVER, max_examples=60)
@given(network=glia_networks())
def test_torch_has_the_bits_of_clocked(network):
    torch, clocked = (run(network, DURATION * ms, backend=b) for b in ("torch", "clocked"))
    assert_same(torch, clocked)


@pytest.mark.parametrize("backend", [BRIAN2])
@settings(WHATEVER, max_examples=12)
@given(network=glia_networks())
def test_brian2_has_the_same_spikes(backend, network):
    one, other = (run(network, DURATION * ms, backend=b) for b in (backend, "event"))
    assert one.compare(other).identical
    for name, trace in one.traces.items():
        assert np.allclose(trace.values, other.traces[name].values, rtol=1e-9, atol=1e-9)
    for name, weights in one.weights.items():
        assert np.allclose(weights, other.weights[name], rtol=1e-9, atol=1e-9)


@ALL
def test_pieces_and_checkpoints(backend, tmp_path):
    network = talkative(200)
    whole = run(network, 200 * ms, backend=backend)
    simulation = Simulation(network, backend=backend)
    simulation.run(77 * ms)
    simulation.save(tmp_path / "state")
    other = Simulation(network, backend=backend)
    other.restore(tmp_path / "state")
    for resumed in (simulation, other):
        assert_same(resumed.run(123 * ms), whole)


def test_equal_networks_have_equal_hashes_and_modulation_counts():
    one, same, other = (acted_on(Modulation("astro", gain=g)) for g in (1.0, 1.0, 2.0))
    assert one.hash == same.hash != other.hash
    assert acted_on(()).hash not in (one.hash, other.hash)
