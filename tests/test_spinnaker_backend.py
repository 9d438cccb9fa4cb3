"""The mirror as a backend: pieces, checkpoints, counters, weights; and what a board would do."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from memory_scenarios import FRUIT, fruit, held
from random_networks import assert_same
from spin1_networks import KINDS, TICKS, draw

from spikecore import (
    LIF,
    AllToAll,
    Exponential,
    Input,
    InvalidInput,
    MOhm,
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
from spikecore.memory import CA3Shape, StressTest, ca3_network
from spikecore.memory.stress import NOTHING, Operation, Script

every_kind = pytest.mark.parametrize("seed", range(len(KINDS)), ids=KINDS)

UNIT = LIF(
    tau_m=20 * ms, resistance=20 * MOhm, synapse=Exponential(5 * ms, 5 * ms), step="spinnaker"
)
RELAY = LIF(
    tau_m=3 * ms,
    v_rest=-60 * mV,
    v_reset=-60 * mV,
    v_threshold=-57 * mV,
    resistance=11.1 * MOhm,
    refractory=1 * ms,
    synapse=Exponential(0.3 * ms, 0.3 * ms),
    step="spinnaker",
)


def driven(weight=6.0, delay=1.0, times=(3.0,), unit=UNIT, **options):
    return Network(
        [
            Input("in", 1, Train(np.array(times) * ms, np.zeros(len(times), int))),
            Population("n", 1, unit),
            Projection("in", "n", OneToOne(), weight * nA, delay * ms, **options),
            Probe("n", "v"),
            Probe("n", "i_exc"),
        ]
    )


@every_kind
def test_pieces_and_checkpoints_equal_the_whole(seed):
    network = draw(seed)
    whole = run(network, TICKS * ms, backend="spinnaker")
    pieces = Simulation(network, backend="spinnaker")
    restored = Simulation(network, backend="spinnaker")
    with tempfile.TemporaryDirectory() as folder:
        for length in (1, 66, 70, TICKS - 137):
            pieces.run(length * ms)
            restored.run(length * ms)
            restored.save(Path(folder, "checkpoint"))
            restored = Simulation(network, backend="spinnaker")
            restored.restore(Path(folder, "checkpoint"))
    assert_same(pieces.result(), whole)
    assert_same(restored.result(), whole)
    assert whole.counters["spikes"] > 20
    assert whole.counters["pending"] > 0


@every_kind
def test_a_cleared_simulation_starts_again(seed):
    network = draw(seed)
    simulation = Simulation(network, backend="spinnaker")
    fresh = {p.name: simulation.weights(p.name) for p in network.projections}
    simulation.run(90 * ms)
    simulation.clear()
    for name, weights in fresh.items():
        simulation.set_weights(name, weights)
    assert_same(simulation.run(TICKS * ms), run(network, TICKS * ms, backend="spinnaker"))


@every_kind
def test_traces_are_the_same_however_often_they_are_read(seed):
    network = draw(seed)
    dense = run(network, TICKS * ms, backend="spinnaker").traces["n.v"]
    parts = [*network.groups, *network.projections, Probe("n", "v", every=7 * ms)]
    sparse = run(
        Network(parts, dt=network.dt * ms),
        TICKS * ms,
        backend="spinnaker",
    ).traces["n.v"]
    assert np.array_equal(sparse.values, dense.values[::7])
    assert np.array_equal(sparse.ticks, dense.ticks[::7])


def test_states_are_whole_steps_of_s1615_close_to_the_exact_ones():
    fixed = run(driven(), 40 * ms, backend="spinnaker")
    exact = run(driven(), 40 * ms, backend="clocked")
    for key in ("n.v", "n.i_exc"):
        values = fixed.traces[key].values
        assert np.array_equal(values * 32768, np.rint(values * 32768))
        assert np.abs(values - exact.traces[key].values).max() < 0.02
    assert np.ptp(fixed.traces["n.v"].values) > 3


def test_an_input_due_in_a_tick_counts_in_that_tick():
    network = driven(weight=6.0, delay=2.0, unit=RELAY)
    assert run(network, 20 * ms, backend="spinnaker").spikes["n"].ticks.tolist() == [5]


def test_negative_currents_do_not_fade_to_zero():
    """A product is rounded down, so that some steps below zero remain, as on the chip."""
    parts = [Population("n", 1, UNIT, initial={"i_exc": -1 * nA}), Probe("n", "i_exc")]
    trace = run(Network(parts), 200 * ms, backend="spinnaker").traces["n.i_exc"].values[:, 0]
    assert trace[-1] == trace[-50] == -5 / 32768  # -5 exp(-0.2) = -4.09, rounded to -5
    assert np.all(np.diff(trace) >= 0)


def test_threshold_is_tested_while_refractory_too():
    """Only a neuron that starts above its threshold can show it: it fires, and then waits."""
    parts = [Population("n", 1, RELAY, initial={"v": -50 * mV})]
    assert run(Network(parts), 9 * ms, backend="spinnaker").spikes["n"].ticks.tolist() == [0]


def test_two_spikes_of_a_source_in_a_tick_are_two_arrivals():
    once = run(driven(times=(3.0,), weight=2.0), 5 * ms, backend="spinnaker").traces["n.i_exc"]
    twice = run(driven(times=(3.0, 3.0), weight=1.0), 5 * ms, backend="spinnaker")
    assert np.array_equal(once.values, twice.traces["n.i_exc"].values)
    assert twice.counters["delivered"] == 2


def test_feeding_equals_given_spikes():
    network = Network([Input("in", 1), *driven().populations, *driven().projections])
    simulation = Simulation(network, backend="spinnaker")
    simulation.feed("in", [3] * ms, [0])
    simulation.run(4 * ms)
    simulation.feed("in", [7] * ms, [0])
    fed = simulation.run(26 * ms)
    given = run(driven(times=(3.0, 7.0)), 30 * ms, backend="spinnaker")
    assert fed.compare(given).identical


def burst(number, weight, delay=(1, 2)):
    """Many sources that fire at once, and whose delays let the tool chain expect few arrivals."""
    post = np.zeros(number, int)
    delays = np.full(number, delay[0])
    delays[0] = delay[1]
    return Network(
        [
            Input("in", number, Train(np.full(number, 3.0) * ms, np.arange(number))),
            Population("n", 1, UNIT),
            Projection("in", "n", Pairs(np.arange(number), post), weight * nA, delays * ms),
            Probe("n", "i_exc"),
        ]
    )


def test_sums_beyond_16_bits_are_cut_off_and_counted():
    result = run(burst(100, 1.0), 8 * ms, backend="spinnaker")
    assert result.counters["saturated"] == 99 - 31
    assert result.notes[-1].startswith("68 sums of weights exceeded 16 bits and were cut off")
    full = 65535 * 2.0 ** (4 - 15)  # 32 nA, less one step, in place of 99
    gain, decay = 5 * -np.expm1(-0.2), np.exp(-0.2)
    assert result.traces["n.i_exc"].values[4, 0] == pytest.approx(full * gain * decay, rel=1e-4)


def test_results_beyond_32_bits_wrap_and_are_counted():
    network = driven(weight=60000.0, times=(3.0, 4.0, 5.0))
    result = run(network, 8 * ms, backend="spinnaker")
    assert result.counters["wrapped"] > 0
    assert "results exceeded 32 bits and changed their sign" in result.notes[-1]


def test_a_runaway_network_is_stopped():
    parts = [
        Population("n", 50, RELAY, initial={"v": -50 * mV}),
        Projection("n", "n", AllToAll(), 6 * nA, 2 * ms),
    ]
    result = run(Network(parts), 20 * ms, backend="spinnaker", max_pending=2000)
    assert (result.status, result.message) == (
        "runaway",
        "more than 2000 synaptic events in flight",
    )


def test_weights_are_those_that_the_board_stores():
    simulation = Simulation(driven(weight=0.3), backend="spinnaker")
    assert simulation.weights("in->n").tolist() == [round(0.3 * 2**15) / 2**15]
    simulation.set_weights("in->n", [0.7])
    assert simulation.weights("in->n").tolist() == [round(0.7 * 2**15) / 2**15]
    with pytest.raises(InvalidInput, match=r"must lie in 0 \.\. 1\.99997 nA"):
        simulation.set_weights("in->n", [2.0])
    with pytest.raises(InvalidInput, match=r"becomes 0: this receptor has steps of 3\.05176e-05"):
        simulation.set_weights("in->n", [1e-5])
    with pytest.raises(InvalidInput, match="must lie in 0"):
        simulation.set_weights("in->n", [-0.5])


def pair(pre, post, *, ask, delay=1.0):
    """Return the weight of one synapse of the robust memory after spikes at these ticks."""
    return run_pair(pre, post, ask=ask, delay=delay).weights["pre->post"][0]


def run_pair(pre, post, *, ask, delay=1.0):
    rule = PairSTDP(
        tau_plus=0.24 * ms,
        tau_minus=0.24 * ms,
        A_plus=480 * nA,
        A_minus=480 * nA,
        w_max=6 * nA,
        window="table2048",
    )
    trains = [
        Train(np.array(times, float) * ms, np.zeros(len(times), int))
        for times in ([*pre, ask], [t - 1 for t in post])
    ]
    network = Network(
        [
            Input("pre", 1, trains[0]),
            Input("teacher", 1, trains[1]),
            Population("post", 1, RELAY),
            Projection("pre", "post", OneToOne(), 0 * nA, delay * ms, plasticity=rule),
            Projection("teacher", "post", OneToOne(), 6 * nA, 1 * ms),
        ]
    )
    result = run(network, (ask + 1) * ms, backend="spinnaker")
    assert result.spikes["post"].ticks.tolist() == list(post)
    return result


@pytest.mark.parametrize(
    ("pre", "others", "missed"),
    [
        ([10], 14, 0),  # with the one at 10 they are 15
        ([10], 15, 1),
        ([10], 18, 1),  # one update, however many spikes it missed
        ([10, 12], 15, 0),  # what is forgotten was applied at 12
        ([10, 40], 18, 0),  # eleven after 40
        ([10, 40], 23, 1),  # sixteen after 40
    ],
)
def test_updates_that_missed_a_spike_are_counted(pre, others, missed):
    later = [20 + 3 * n for n in range(others)]
    result = run_pair(pre, [10, *later], ask=100)
    assert result.counters["forgotten"] == missed
    assert ("which remembers its last 15" in "; ".join(result.notes)) == (missed > 0)


@pytest.mark.parametrize(
    ("post", "weight"),
    [
        ((10,), 6.0),  # together, one tick late at the synapse: 480 * 31 / 2048 = 7.27, clamped
        ((11,), 0.0),  # one tick later: exactly nothing
        ((12,), 0.0),
        ((9,), 0.0),
    ],
)
def test_coincidence_sets_and_nothing_else(post, weight):
    assert pair([10], post, ask=30) == weight


@pytest.mark.parametrize(("post", "weight"), [((10, 29), 0.0), ((10, 28), 0.0), ((10, 27), 6.0)])
def test_post_just_before_pre_resets(post, weight):
    """The last post spike reaches the synapse in the tick of the pre spike, or one before."""
    assert pair([10], post, ask=30) == weight


@pytest.mark.parametrize(("others", "weight"), [(14, 6.0), (15, 0.0)])
def test_a_neuron_remembers_fifteen_spikes(others, weight):
    """A synapse learns when its source fires; by then the spike that set it may be forgotten."""
    later = [20 + 3 * n for n in range(others)]
    assert pair([10], [10, *later], ask=100) == weight


def test_traces_of_fast_neurons_overflow_as_on_the_chip():
    """Above sixteen spikes in a window, a trace of 16 bits turns negative: depression adds."""
    rule = PairSTDP(
        tau_minus=60 * ms, A_plus=0.0, A_minus=0.01 * nA, w_max=6 * nA, window="table2048"
    )
    fast = LIF(i_offset=1000 * nA, resistance=20 * MOhm, step="spinnaker")
    network = Network(
        [
            Input("in", 1, Train([30] * ms, [0])),
            Population("n", 1, fast),
            Projection("in", "n", OneToOne(), 1 * nA, 1 * ms, plasticity=rule),
        ]
    )
    result = run(network, 31 * ms, backend="spinnaker")
    assert len(result.spikes["n"]) == 31
    assert result.weights["in->n"][0] > 1.0


def recalled_after_each_learn(test):
    """Return the operations of ``test``, with a recall by cue after every learn."""
    script, operations, tick = Script.draw(test), [], 1
    for op in script.operations:
        operations.append(Operation(op.kind, tick, op.cues, op.bits, op.shows))
        tick += test.learn_ms if op.kind == "learn" else test.recall_ms
        if op.kind == "learn":
            shows = {5: (op.cues, NOTHING), 6: (NOTHING, op.bits)}
            operations.append(Operation("cue", tick, op.cues, NOTHING, shows))
            tick += test.recall_ms
    return Script(test, operations, tick + 12)


def causal():
    """One spike of the source, one of the target two ticks later."""
    rule = PairSTDP(A_plus=1 * nA, A_minus=0.5 * nA, w_max=6 * nA, window="table2048")
    return Network(
        [
            Input("pre", 1, Train([10] * ms, [0])),
            Input("teacher", 1, Train([11] * ms, [0])),
            Population("post", 1, RELAY),
            Projection("pre", "post", OneToOne(), 1 * nA, 1 * ms, plasticity=rule),
            Projection("teacher", "post", OneToOne(), 6 * nA, 1 * ms),
        ]
    )


def test_weights_include_what_the_target_has_done_since_as_on_other_backends():
    """A board would not show it yet: its synapses learn when their source fires."""
    mirror, event = (Simulation(causal(), backend=name) for name in ("spinnaker", "event"))
    for length in (12, 1, 1, 20):
        mirror.run(length * ms)
        event.run(length * ms)
        expected = event.weights("pre->post")[0]
        assert mirror.weights("pre->post")[0] == pytest.approx(expected, abs=2**-11)
    assert expected == pytest.approx(1 + np.floor(2048 * np.exp(-3 / 20)) / 2048)
    assert mirror._session.stored_weights(0).tolist() == [1.0]
    mirror.clear()  # settles
    assert mirror._session.stored_weights(0)[0] == pytest.approx(expected, abs=2**-11)


def test_new_weights_do_not_learn_from_earlier_spikes():
    simulation = Simulation(causal(), backend="spinnaker")
    simulation.run(14 * ms)
    simulation.set_weights("pre->post", [2.0])
    assert simulation.run(10 * ms).weights["pre->post"].tolist() == [2.0]


def test_memory_works_from_operation_to_operation():
    """It is cleared after each, which settles what was learnt."""
    for cue, content in held(fruit(backend="spinnaker")).items():
        assert set(content) == set(FRUIT[cue])


@pytest.mark.parametrize("shape", [CA3Shape(5, 10), CA3Shape(16, 6)], ids=str)
def test_robust_memory_needs_a_recall_after_each_learn(shape):
    """What is learnt is settled by the next spike of its source; until then it can be forgotten.

    Unlike the float backends, which keep every spike, and answer all without the recall.
    """
    test = StressTest(shape, 10_000)
    assert test.run(backend="spinnaker").wrong_total > 300
    script = recalled_after_each_learn(test)
    result = run(ca3_network(shape, *script.trains()), script.duration * ms, backend="spinnaker")
    report = script.judge(result, 0.0, "spinnaker")
    assert report.operations > 13_000
    assert report.perfect


@pytest.mark.parametrize(
    ("shape", "operations"),
    [
        (CA3Shape(5, 10, "board"), 10_000),
        (CA3Shape(16, 6, "board"), 10_000),
        (CA3Shape(100, 200, "board"), 300),
    ],
    ids=str,
)
@pytest.mark.parametrize("density", [0.3, 0.5])
def test_board_memory_makes_no_error_without_any_recall(shape, operations, density):
    assert StressTest(shape, operations, density=density).run(backend="spinnaker").perfect


@pytest.mark.parametrize(("preset", "kept"), [("robust", False), ("board", True)])
def test_a_memory_outlives_twenty_others_that_share_its_content(preset, kept):
    """In one run, so that nothing is settled in between; the cue itself stays silent."""
    shape = CA3Shape(21, 4, preset)
    operations = [
        Operation("learn", 1 + 8 * n, frozenset({n}), frozenset({0, 1}), {}) for n in range(21)
    ]
    ask = 1 + 8 * 21
    operations.append(Operation("cue", ask, frozenset({0}), NOTHING, {}))
    script = Script(StressTest(shape, 22), operations, ask + 12)
    network = ca3_network(shape, *script.trains())
    answer = run(network, script.duration * ms, backend="spinnaker").spikes["OUTcont"]
    assert set(answer.between(ask + 6, ask + 7).neurons) == ({0, 1} if kept else set())


@pytest.mark.parametrize(("preset", "kept"), [("robust", set()), ("board", {0})])
def test_a_content_finds_its_cue_after_many_recalls(preset, kept):
    """A recall fires the cue on both sides, but not the content that is to address it."""
    shape = CA3Shape(2, 4, preset)
    cue, bits = frozenset({0}), frozenset({1})
    ask = 1 + 8 * 18
    recalls = [Operation("cue", 1 + 8 * n, cue, NOTHING, {}) for n in range(1, 18)]
    operations = [
        Operation("learn", 1, cue, bits, {}),
        *recalls,
        Operation("content", ask, NOTHING, bits, {}),
    ]
    script = Script(StressTest(shape, 19), operations, ask + 12)
    network = ca3_network(shape, *script.trains())
    answer = run(network, script.duration * ms, backend="spinnaker").spikes["OUTcue"]
    assert set(answer.between(ask + 6, ask + 7).neurons) == kept
