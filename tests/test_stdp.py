"""Pair STDP against pairs worked out by hand, on every backend."""

from __future__ import annotations

from math import exp, floor

import numpy as np
import pytest
from random_networks import assert_same, busy_network

from spikecore import (
    LIF,
    Delta,
    Input,
    InvalidInput,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Population,
    Probe,
    Projection,
    Simulation,
    Train,
    ms,
    mV,
    nA,
    run,
)

BACKENDS = pytest.mark.parametrize("backend", ["event", "clocked"])

A_PLUS, A_MINUS = 0.1, 0.05
START = 0.5


def rule(**options):
    """Potentiation 0.1 exp(-t/20), depression 0.05 exp(-t/10), bounds 0 .. 1 mV."""
    given = {
        "tau_plus": 20 * ms,
        "tau_minus": 10 * ms,
        "A_plus": A_PLUS * mV,
        "A_minus": A_MINUS * mV,
        "w_max": 1 * mV,
        "w_min": 0 * mV,
    }
    return PairSTDP(**(given | options))


def two_neurons(pre, post, plasticity, *, delays=(3,), start=START):
    """Spikes of one input and of neurons that a teacher makes fire, in given ticks."""
    n = len(delays)
    teacher = Train(np.repeat(np.array(post, float) - 1, n) * ms, np.tile(np.arange(n), len(post)))
    everyone = Pairs(np.zeros(n, int), np.arange(n))
    return Network(
        [
            Input("pre", 1, Train(np.array(pre, float) * ms, np.zeros(len(pre), int))),
            Input("teacher", n, teacher),
            Population("post", n, LIF(synapse=Delta())),
            Projection("teacher", "post", OneToOne(), 1000 * mV, 1 * ms),
            Projection(
                "pre",
                "post",
                everyone,
                np.full(n, start) * mV,
                np.array(delays) * ms,
                plasticity=plasticity,
            ),
            Probe("post", "v"),
        ]
    )


def learnt(pre, post, backend, *, ticks=400, start=START, **options):
    network = two_neurons(pre, post, rule(**options), start=start)
    result = run(network, ticks * ms, backend=backend)
    assert result.spikes["post"].ticks.tolist() == list(post)
    return result.weights["pre->post"][0]


@BACKENDS
def test_post_delay_of_a_causal_pair(backend):
    """Dendritic: the post spike reaches the synapse one synaptic delay (3 ms) later."""
    assert learnt([10], [15], backend) == pytest.approx(START + A_PLUS * exp(-8 / 20))
    assert learnt([10], [15], backend, post_delay="none") == pytest.approx(
        START + A_PLUS * exp(-5 / 20)
    )


@BACKENDS
def test_post_delay_of_an_anticausal_pair(backend):
    assert learnt([20], [5], backend) == pytest.approx(START - A_MINUS * exp(-12 / 10))
    assert learnt([20], [5], backend, post_delay="none") == pytest.approx(
        START - A_MINUS * exp(-15 / 10)
    )


@BACKENDS
@pytest.mark.parametrize(
    ("option", "change"),
    [
        ("depress", A_PLUS * exp(-6 / 20) - A_MINUS),
        ("potentiate", A_PLUS * (1 + exp(-6 / 20))),
        ("ignore", A_PLUS * exp(-6 / 20)),
    ],
)
def test_coincidence(option, change, backend):
    """Pre 4 and 10, post 7: it reaches the synapse in 10, together with the second pre spike."""
    assert learnt([4, 10], [7], backend, coincidence=option) == pytest.approx(START + change)


@BACKENDS
def test_pairing(backend):
    causal, anticausal = ([10, 12], [15]), ([12], [5, 8])
    found = [
        learnt(*spikes, backend, pairing=pairing, post_delay="none")
        for spikes in (causal, anticausal)
        for pairing in ("all", "nearest")
    ]
    assert found == pytest.approx(
        [
            START + A_PLUS * (exp(-5 / 20) + exp(-3 / 20)),
            START + A_PLUS * exp(-3 / 20),
            START - A_MINUS * (exp(-7 / 10) + exp(-4 / 10)),
            START - A_MINUS * exp(-4 / 10),
        ]
    )


@BACKENDS
def test_clamp(backend):
    """Two potentiations beyond the bound, then a depression."""
    spikes, own = ([10, 30], [12, 14]), {"post_delay": "none", "start": 0.95}
    y = exp(-18 / 10) + exp(-16 / 10)
    assert learnt(*spikes, backend, clamp="pair", **own) == pytest.approx(1 - A_MINUS * y)
    assert learnt(*spikes, backend, clamp="update", **own) == 1.0
    x = exp(-2 / 20) + exp(-4 / 20)
    strong = {"A_minus": 0.7 * mV, **own}
    assert learnt(*spikes, backend, clamp="update", **strong) == pytest.approx(
        0.95 + A_PLUS * x - 0.7 * y
    )
    # Between two pre spikes the weight may be beyond the bound, but it never shows.
    assert learnt(*spikes, backend, clamp="update", ticks=25, **own) == 1.0


@BACKENDS
def test_lower_bound(backend):
    own = {"w_min": 0.2 * mV, "A_minus": 5 * mV}
    assert learnt([20], [15], backend, **own) == 0.2


@BACKENDS
@pytest.mark.parametrize("lag", [1, 5, 40, 152])
def test_window_table2048(lag, backend):
    change = learnt([10], [10 + lag], backend, window="table2048", post_delay="none") - START
    assert change == pytest.approx(A_PLUS * floor(2048 * exp(-lag / 20)) / 2048, abs=1e-15)
    assert change > 0


@BACKENDS
def test_windows_end(backend):
    """The table ends at tau ln 2048 = 152.5 ms, the exponential at 2**-53."""
    own = {"post_delay": "none", "start": 0.0, "ticks": 900}
    assert learnt([10], [10 + 153], backend, window="table2048", **own) == 0
    late = A_PLUS * exp(-153 / 20)
    assert learnt([10], [10 + 153], backend, window="exponential", **own) == pytest.approx(late)
    assert learnt([10], [10 + 734], backend, **own) > 0
    assert learnt([10], [10 + 736], backend, **own) == 0


@BACKENDS
def test_multiplicative_steps_shrink_towards_the_bounds(backend):
    own = {"dependence": "multiplicative", "w_max": 2 * mV, "w_min": 0.25 * mV}
    potentiated = learnt([10], [15], backend, **own)
    assert potentiated == pytest.approx(START + A_PLUS * exp(-8 / 20) * (2 - START) / 2)
    depressed = learnt([20], [5], backend, **own)
    assert depressed == pytest.approx(START - A_MINUS * exp(-12 / 10) * (START - 0.25) / 2)


@BACKENDS
def test_amplitudes_are_absolute_or_a_fraction_of_w_max(backend):
    absolute = learnt([10, 40], [15], backend, A_plus=0.4 * mV, A_minus=0.2 * mV, w_max=2 * mV)
    fraction = learnt([10, 40], [15], backend, A_plus=0.2, A_minus=0.1, w_max=2 * mV)
    assert absolute == fraction
    assert absolute == pytest.approx(START + 0.4 * exp(-8 / 20) - 0.2 * exp(-22 / 10))


@BACKENDS
@pytest.mark.parametrize("coincidence", ["depress", "potentiate", "ignore"])
def test_a_pre_spike_is_sent_with_the_weight_that_it_has_depressed(coincidence, backend):
    """Pre 10, post 5 and 7; the second reaches the synapse together with the pre spike."""
    network = two_neurons([10], [5, 7], rule(coincidence=coincidence))
    result = run(network, 20 * ms, backend=backend)
    y = exp(-2 / 10) + (coincidence == "depress")
    v = result.traces["post.v"].values[:, 0] + 65
    assert v[12] == 0
    assert v[13] == pytest.approx(START - A_MINUS * y)


@BACKENDS
@pytest.mark.parametrize("post_delay", ["dendritic", "none"])
@pytest.mark.parametrize(("count", "second"), [(64, 70), (297, 250)])
def test_many_post_spikes_between_two_pre_spikes(count, second, post_delay, backend):
    """As many as a history holds, and more, with post spikes long on their way."""
    small = {"A_plus": 1e-4 * mV, "A_minus": 1e-4 * mV, "post_delay": post_delay}
    delays, post = (1, 2, 90), list(range(3, 3 + count))
    network = two_neurons([0, second, 299], post, rule(**small), delays=delays)
    result = run(network, 300 * ms, backend=backend)
    for weight, delay in zip(result.weights["pre->post"], delays, strict=True):
        reached = np.array(post) + (delay if post_delay == "dendritic" else 0)
        reached = reached[reached < 300]
        gain = sum(np.exp(-(reached[reached > t] - t) / 20).sum() for t in (0, second, 299))
        loss = sum(np.exp(-(t - reached[reached <= t]) / 10).sum() for t in (0, second, 299))
        assert weight == pytest.approx(START + 1e-4 * (gain - loss), rel=1e-12)


def test_weights_agree_in_every_tick_although_rows_learn_in_arrears():
    event, clocked = (Simulation(busy_network(), backend=b) for b in ("event", "clocked"))
    for _ in range(60):
        assert_same(event.run(1 * ms), clocked.run(1 * ms))
    assert np.array_equal(event.weights("a->a"), clocked.weights("a->a"))
    assert not np.array_equal(event.weights("a->a"), Simulation(busy_network()).weights("a->a"))


@BACKENDS
def test_set_weights_forgets_what_was_learnt_but_not_the_spikes(backend):
    simulation = Simulation(two_neurons([10, 30], [15, 25], rule()), backend=backend)
    simulation.run(22 * ms)
    assert simulation.weights("pre->post")[0] == pytest.approx(START + A_PLUS * exp(-8 / 20))
    simulation.set_weights("pre->post", [0.3])
    assert simulation.weights("pre->post")[0] == 0.3
    weight = simulation.run(100 * ms).weights["pre->post"][0]
    y = exp(-2 / 10) + exp(-12 / 10)
    assert weight == pytest.approx(0.3 + A_PLUS * exp(-18 / 20) - A_MINUS * y)
    with pytest.raises(InvalidInput, match=r"bounds 0 \.\. 1 of its learning rule"):
        simulation.set_weights("pre->post", [1.5])


def test_rules_refuse_what_they_cannot_do():
    with pytest.raises(InvalidInput, match="clamp: must be 'pair'"):
        rule(dependence="multiplicative", clamp="update")
    with pytest.raises(InvalidInput, match=r"w_min: must lie below w_max \(got 1 mV\)"):
        rule(w_min=1 * mV)
    with pytest.raises(InvalidInput, match=r"A_plus: must be at least 0 mV \(got -1.0 mV\)"):
        rule(A_plus=-1 * mV)
    with pytest.raises(InvalidInput, match="needs bounds that are a voltage"):
        two_neurons([1], [2], PairSTDP(w_max=1 * nA))
