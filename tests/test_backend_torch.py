"""The torch backend: the same spikes as the oracle, on a CPU and, where there is one, a GPU."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_networks import DURATION, WHATEVER, assert_same, busy_network, networks

from spikecore import (
    LIF,
    BackendUnavailable,
    Delta,
    Exponential,
    Hz,
    Input,
    InvalidInput,
    MOhm,
    Network,
    Normal,
    OneToOne,
    Pairs,
    PoissonCounts,
    Population,
    Probe,
    Projection,
    RandomPairs,
    RandomTotal,
    Simulation,
    Uniform,
    UnknownName,
    ms,
    mV,
    nA,
    run,
    run_batch,
)
from spikecore.backends.registry import get_backend
from spikecore.conformance import CASES, check_case

HAS_GPU = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="needs an NVIDIA GPU")
CPU = "torch"
CUDA = "torch:device=cuda"
every_device = pytest.mark.parametrize(
    "backend", [pytest.param(CPU, id="cpu"), pytest.param(CUDA, id="cuda", marks=needs_gpu)]
)


def assert_near(one, other):
    """Fail unless two results have the same spikes and endings, and states to 1e-9."""
    assert one.compare(other).identical, str(one.compare(other))
    assert (one.status, one.message, one.ticks) == (other.status, other.message, other.ticks)
    for name, trace in one.traces.items():
        np.testing.assert_allclose(trace.values, other.traces[name].values, rtol=1e-9, atol=1e-9)
    for name, weights in one.weights.items():
        np.testing.assert_allclose(weights, other.weights[name], rtol=1e-9, atol=1e-9)
    for counter in ("spikes", "sent", "delivered", "pending"):
        assert one.counters[counter] == other.counters[counter], counter


def assert_as_promised(backend, one, other):
    """On a CPU the last bit is promised, on a GPU the spikes."""
    (assert_same if backend == CPU else assert_near)(one, other)


REFUSED_ON_A_GPU = (
    "astrocytes act on delivery",
    "astrocytes act on learning",
    "astrocytes act on depression",
    "calcium and slow inward current",
)


@needs_gpu
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_network_of_the_suite_gives_the_spikes_of_the_oracle_on_a_gpu(case):
    """On a CPU, test_conformance.py runs the suite, and the page says that all are identical."""
    outcome = check_case(case, CUDA)
    if case.topic == "order of sums":
        assert outcome.verdict == "declared", outcome
    elif case.name in REFUSED_ON_A_GPU:
        assert outcome.verdict == "refused", outcome
        assert "is not supported" in outcome.detail
    else:
        assert outcome.verdict in ("identical", "same"), outcome


@settings(WHATEVER, max_examples=25)
@given(network=networks())
def test_any_network_gives_the_bits_of_the_event_core(network):
    assert_same(run(network, DURATION * ms, backend=CPU), run(network, DURATION * ms))


@needs_gpu
@settings(WHATEVER, max_examples=40)
@given(network=networks())
def test_any_network_gives_the_spikes_of_the_event_core_on_a_gpu(network):
    assert_near(run(network, DURATION * ms, backend=CUDA), run(network, DURATION * ms))


def unprobed(network):
    parts = [*network.inputs, *network.populations, *network.projections]
    return Network(parts, dt=network.dt * ms)


@needs_gpu
@settings(WHATEVER, max_examples=40)
@given(network=networks(plastic=False))
def test_one_kernel_for_many_ticks_gives_the_spikes_of_the_event_core(network):
    """Nothing learns or is probed: neurons stay in registers."""
    network = unprobed(network)
    assert_near(run(network, DURATION * ms, backend=CUDA), run(network, DURATION * ms))


@needs_gpu
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_both_ways_of_running_on_a_gpu_give_the_same_bits(precision, monkeypatch):
    from spikecore.backends.torch.cuda.engine import CudaEngine

    options = {"backend": CUDA, "precision": precision}
    network = unprobed(driven())
    resident = Simulation(network, **options)
    resident.run(100 * ms)
    first = resident.run(300 * ms)
    with monkeypatch.context() as patch:
        patch.setattr(CudaEngine, "_resident_threads", lambda engine: 0)
        second = run(network, 400 * ms, **options)
    assert len(first.spikes["n"]) > 100
    assert_same(first, second)


@needs_gpu
def test_a_gpu_without_room_for_the_one_kernel_gets_two_a_tick(monkeypatch):
    """Its blocks wait for one another, so one that finds no place would hang the rest."""
    from spikecore.backends.torch.cuda import engine, nvrtc

    network = unprobed(driven())
    wanted = run(network, 100 * ms, backend=CUDA)
    asked, ways = nvrtc.Module.blocks_per_multiprocessor, []
    seen = []
    monkeypatch.setattr(
        nvrtc.Module,
        "blocks_per_multiprocessor",
        lambda kernels, *of: seen.append(asked(kernels, *of)) or 0,
    )
    graph = engine.CudaEngine._run_graph
    monkeypatch.setattr(
        engine.CudaEngine, "_run_graph", lambda *given: ways.append("graph") or graph(*given)
    )
    assert_same(run(network, 100 * ms, backend=CUDA), wanted)
    assert seen[0] >= 1
    assert ways


@settings(WHATEVER, max_examples=10)
@given(network=networks(plastic=False))
def test_in_single_precision_the_bits_are_those_of_the_event_core(network):
    options = {"precision": "float32"}
    here = run(network, DURATION * ms, backend=CPU, **options)
    assert_same(here, run(network, DURATION * ms, **options))


def driven(record=False, rate=3000 * Hz):
    """A network under a fast drive, with drawn wiring, weights and delays."""
    return Network(
        [
            Input("drive", 40, PoissonCounts(rate), record=record),
            Population("n", 40, LIF(synapse=Exponential(2 * ms, 2 * ms), refractory=2 * ms)),
            Projection("drive", "n", OneToOne(), 1.5 * nA, 3 * ms),
            Projection(
                "drive", "n", RandomPairs(0.05), 0.5 * nA, Uniform(1 * ms, 9 * ms), name="x"
            ),
            Projection("n", "n", RandomTotal(400), Normal(1 * nA, 0.1 * nA, low=0 * nA), 4 * ms),
            Probe("n", "v"),
        ]
    )


@every_device
def test_a_drive_that_is_not_recorded_is_the_same_wherever_it_is_drawn(backend):
    here, there = (run(driven(), 200 * ms, backend=b) for b in (backend, "clocked"))
    assert_near(here, there)
    assert "drive" not in here.spikes
    recorded = run(driven(record=True), 200 * ms, backend=backend)
    assert np.array_equal(recorded.spikes["n"].ticks, here.spikes["n"].ticks)
    assert recorded.counters["sent"] == here.counters["sent"]


@every_device
def test_counts_of_each_neuron_follow_its_rate(backend):
    rate = np.repeat([0.0, 100.0, 5000.0, 20000.0], 10) * Hz
    net = Network([Input("drive", 40, PoissonCounts(rate))])
    spikes = run(net, 1000 * ms, backend=backend).spikes["drive"]
    counts = np.bincount(spikes.neurons, minlength=40).reshape(4, 10).sum(axis=1)
    expected = np.array([0.0, 1e3, 5e4, 2e5])
    assert counts[0] == 0
    assert np.all(np.abs(counts - expected) <= 5 * np.sqrt(expected))


def fed(weight=16 * mV):
    return Network(
        [
            Input("in", 3),
            Population("n", 3, LIF(synapse=Delta())),
            Projection("in", "n", OneToOne(), weight, 3 * ms),
            Projection("n", "n", RandomPairs(0.6), 9 * mV, 7 * ms),
            Probe("n", "v"),
        ]
    )


@every_device
def test_a_batch_gives_what_its_copies_give_one_by_one(backend):
    rng = np.random.default_rng(0)
    feeds = []
    for spikes in (0, 5, 30, 30):
        times = np.sort(rng.integers(0, 90, spikes)) * ms
        feeds.append({"in": (times, rng.integers(0, 3, spikes))})
    together = run_batch(fed(), 100 * ms, feeds, backend=backend)
    one_by_one = run_batch(fed(), 100 * ms, feeds)
    for here, there in zip(together, one_by_one, strict=True):
        assert_as_promised(backend, here, there)
    assert len({len(result.spikes["n"]) for result in together}) > 1


@every_device
def test_copies_that_learn_keep_weights_of_their_own(backend):
    feeds = [{"noise": (np.arange(n) * ms, np.arange(n) % 20)} for n in (0, 40)]
    together = run_batch(busy_network(), 120 * ms, feeds, backend=backend)
    for here, there in zip(together, run_batch(busy_network(), 120 * ms, feeds), strict=True):
        assert_as_promised(backend, here, there)
    assert not np.array_equal(together[0].weights["a->a"], together[1].weights["a->a"])


def fragile():
    """One neuron whose state may overflow beside one that fires."""
    return Network(
        [
            Input("in", 3),
            Population("n", 1, LIF(synapse=Delta(), v_threshold=1e300 * mV)),
            Population("lively", 1, LIF(synapse=Delta())),
            Projection("in", "n", Pairs([0, 1], [0, 0]), np.array([1.7e308, 2.0]) * mV, 1 * ms),
            Projection("in", "lively", Pairs([2], [0]), 20 * mV, 1 * ms),
            Probe("lively", "v"),
        ]
    )


@every_device
def test_a_copy_that_diverges_leaves_the_others_running(backend):
    feeds = [{"in": ([2, 2] * ms, [0, 0])}, {"in": ([2, 30, 31, 40] * ms, [1, 2, 2, 2])}]
    together = run_batch(fragile(), 50 * ms, feeds, backend=backend)
    one_by_one = run_batch(fragile(), 50 * ms, feeds)
    assert (together[0].status, together[0].ticks) == ("diverged", 3)
    assert len(together[1].spikes["lively"]) == 3
    for here, there in zip(together, one_by_one, strict=True):
        assert_as_promised(backend, here, there)


@every_device
def test_a_state_may_overflow_in_the_first_tick_of_a_piece(backend):
    results = []
    for name in (backend, "clocked"):
        simulation = Simulation(fragile(), backend=name)
        simulation.feed("in", [2, 2] * ms, [0, 0])
        simulation.run(3 * ms)
        results.append(simulation.run(5 * ms))
    assert results[1].status == "diverged"
    assert_as_promised(backend, *results)


@every_device
def test_an_input_that_is_drawn_may_be_fed_as_well(backend):
    feeds = [{"drive": ([5, 6, 6, 60] * ms, [0, 3, 3, 9])}, {}]
    together = run_batch(driven(), 100 * ms, feeds, backend=backend)
    for here, there in zip(together, run_batch(driven(), 100 * ms, feeds), strict=True):
        assert_near(here, there)
    assert together[0].counters["sent"] > together[1].counters["sent"]


@every_device
def test_probes_of_copies_that_would_fill_the_memory_are_refused(backend):
    with pytest.raises(InvalidInput, match="more than the budget"):
        run_batch(fed(), 100 * ms, [{}, {}], backend=backend, max_trace_bytes=100)


@pytest.mark.parametrize(
    ("name", "table"),
    [(name, name.upper()) for name in ("Population", "Drive", "Net", "Learning", "Probe")],
)
def test_structures_have_the_fields_that_kernels_read(name, table):
    """On a GPU a field out of place would read another: here names and order are compared."""
    from spikecore.backends.torch.cuda import tables

    (body,) = re.findall(rf"^struct {name} {{(.*?)^}};", tables.source_text(), re.DOTALL | re.M)
    fields = []
    for declaration in re.sub(r"//[^\n]*", "", body).split(";")[:-1]:
        names = re.sub(r"\[\d+\]|\b(const|unsigned)\b|\*", "", declaration).split(None, 1)[1]
        fields += [field.strip() for field in names.split(",")]
    assert tuple(fields) == getattr(tables, table).names


@every_device
@pytest.mark.parametrize("budget", [40, 100, 200])
def test_a_runaway_ends_in_the_tick_of_the_oracle(backend, budget):
    here, there = (
        run(busy_network(), 300 * ms, backend=b, max_pending=budget) for b in (backend, "clocked")
    )
    assert there.status == "runaway"
    assert_as_promised(backend, here, there)


@every_device
def test_new_weights_and_cleared_states(backend):
    results = []
    for name in (backend, "clocked"):
        simulation = Simulation(busy_network(), backend=name)
        simulation.run(100 * ms)
        weights = simulation.weights("a->a")
        simulation.set_weights("a->a", weights[::-1])
        simulation.run(50 * ms)
        simulation.set_weights("noise->a", 1e-3 * simulation.weights("noise->a"))
        simulation.run(50 * ms)
        results.append(simulation.result())
        simulation.clear()
        results.append(simulation.run(100 * ms))
    assert_as_promised(backend, results[0], results[2])
    assert_as_promised(backend, results[1], results[3])


@every_device
def test_weights_that_outgrow_the_steps_of_sums(backend):
    """Sums of whole steps have to find new steps while spikes are under way."""
    results = []
    for name in (backend, "clocked"):
        simulation = Simulation(fed(), backend=name)
        simulation.feed("in", [1, 4, 20, 41, 60] * ms, [0, 1, 2, 0, 1])
        simulation.run(5 * ms)
        simulation.set_weights("in->n", 1e12)
        simulation.run(20 * ms)
        simulation.set_weights("in->n", 1e-6)
        simulation.run(17 * ms)
        simulation.set_weights("in->n", 16.0)
        results.append(simulation.run(58 * ms))
    assert_as_promised(backend, *results)


@every_device
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_checkpoint_in_the_middle_changes_nothing(backend, precision, tmp_path):
    options = {"backend": backend, "precision": precision}
    whole = run(busy_network(), 200 * ms, **options)
    first = Simulation(busy_network(), **options)
    first.run(77 * ms)
    first.save(tmp_path / "checkpoint")
    second = Simulation(busy_network(), **options)
    second.restore(tmp_path / "checkpoint")
    assert_same(second.run(123 * ms), whole)


@needs_gpu
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_two_runs_on_a_gpu_have_the_same_bits(precision):
    options = {"backend": CUDA, "precision": precision}
    assert_same(run(busy_network(), 500 * ms, **options), run(busy_network(), 500 * ms, **options))
    assert_same(run(driven(), 500 * ms, **options), run(driven(), 500 * ms, **options))


@needs_gpu
def test_a_batch_and_a_single_run_on_a_gpu_have_the_same_bits():
    feeds = [{"noise": ([5, 6] * ms, [0, n])} for n in range(5)]
    together = run_batch(busy_network(), 300 * ms, feeds, backend=CUDA)
    for feed, one in zip(feeds, together, strict=True):
        assert_same(one, run_batch(busy_network(), 300 * ms, [feed], backend=CUDA)[0])


@needs_gpu
def test_many_neurons_and_synapses_on_a_gpu():
    """More than a block, a warp and a buffer hold."""
    fast = Exponential(0.5 * ms, 0.5 * ms)
    net = Network(
        [
            Input("drive", 3000, PoissonCounts(9000 * Hz), record=False),
            Population("e", 2500, LIF(resistance=20 * MOhm, synapse=fast)),
            Population("i", 500, LIF(tau_m=10 * ms, resistance=20 * MOhm, synapse=fast)),
            *(
                Projection("drive", name, Pairs(np.arange(n) + at, np.arange(n)), 0.3 * nA, 1 * ms)
                for name, n, at in (("e", 2500, 0), ("i", 500, 2500))
            ),
            Projection("e", "e", RandomTotal(100_000), 0.05 * nA, Uniform(0.1 * ms, 3 * ms)),
            Projection("i", "e", RandomTotal(50_000), 0.2 * nA, Uniform(0.1 * ms, 2 * ms), "inh"),
        ],
        dt=0.1 * ms,
    )
    here, there = run(net, 500 * ms, backend=CUDA), run(net, 500 * ms)
    assert len(here.spikes["e"]) > 1000
    assert here.compare(there).identical


@needs_gpu
def test_too_many_spikes_of_an_input_in_a_tick_are_refused():
    net = fed()
    simulation = Simulation(net, backend=CUDA)
    simulation.feed("in", np.full(17, 3.0) * ms, np.zeros(17, int))
    with pytest.raises(InvalidInput, match="17 of neuron 0 in tick 3"):
        simulation.run(10 * ms)


def test_networks_too_small_for_a_gpu_are_told_so():
    backend = get_backend("torch")
    from spikecore.backends.lowering import lower
    from spikecore.backends.protocol import Options

    small, large = (lower(net, 0) for net in (fed(), crowd()))
    can = backend.capabilities(Options(own={"device": "cuda"}))
    assert "too small for a GPU" in can.advice(small, 1000)
    assert can.advice(large, 1000) == ""


def crowd():
    """Enough work for a GPU."""
    return Network(
        [
            Population("n", 200_000, LIF(synapse=Delta())),
            Projection("n", "n", RandomTotal(1_000_000), 1 * mV, 1 * ms),
        ],
        dt=1 * ms,
    )


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(BackendUnavailable, match="NVIDIA GPU"):
        run(fed(), 1 * ms, backend=CUDA)


def test_a_device_that_does_not_exist():
    with pytest.raises(UnknownName, match="cuda"):
        run(fed(), 1 * ms, backend="torch:device=cude")


def test_feeds_are_checked_before_anything_runs():
    with pytest.raises(InvalidInput, match="feeds"):
        run_batch(fed(), 10 * ms, [])
    with pytest.raises(UnknownName, match=r"feeds\[1\]"):
        run_batch(fed(), 10 * ms, [{}, {"on": ([1] * ms, [0])}])
    with pytest.raises(InvalidInput, match=r"feeds\[0\]\['in'\]"):
        run_batch(fed(), 10 * ms, [{"in": ([1] * ms, [3])}])


def test_a_ring_that_does_not_fit_is_refused():
    net = Network(
        [
            Population("n", 2000, LIF(synapse=Delta())),
            Projection("n", "n", OneToOne(), 1 * mV, 1e6 * ms),
        ]
    )
    with pytest.raises(InvalidInput, match="spikes on their way"):
        run(net, 1 * ms, backend=CPU)
