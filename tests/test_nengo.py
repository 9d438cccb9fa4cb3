"""Networks, memory, motif layers and neurons inside Nengo models, against themselves outside."""

from __future__ import annotations

import os
import signal

import nengo
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nengo.processes import PresentInput

from spikecore import (
    LIF,
    Delta,
    EventStream,
    Exponential,
    Hz,
    Input,
    MOhm,
    Network,
    OneToOne,
    Poisson,
    Population,
    Projection,
    RandomPairs,
    Simulation,
    SpikecoreError,
    Spikes,
    Train,
    Uniform,
    ms,
    mV,
    nA,
    run,
)
from spikecore.backends.session import SteppedSession
from spikecore.memory import CA3Memory, CA3Shape
from spikecore.motifs import DelayKernel, EventLayer, MotifLayer, Sums
from spikecore.nengo import (
    KernelProcess,
    MemoryProcess,
    MotifProcess,
    NetworkProcess,
    SpikecoreLIF,
)

DT = 1e-3  # of Nengo, s


def recurrent(source=None, noise=None, dt=1.0):
    neuron = LIF(synapse=Exponential(4 * ms, 6 * ms), resistance=20 * MOhm, refractory=2 * dt * ms)
    return Network(
        [
            Input("in", 20, source),
            Input("noise", 10, noise),
            Population("cells", 30, neuron),
            Projection("in", "cells", RandomPairs(0.4), weight=0.8 * nA, delay=1 * dt * ms),
            Projection("noise", "cells", RandomPairs(0.3), weight=0.5 * nA, delay=2 * dt * ms),
            Projection(
                "cells",
                "cells",
                RandomPairs(0.2),
                weight=0.3 * nA,
                delay=Uniform(dt * ms, 9 * dt * ms),
                rounding="nearest",
            ),
        ],
        dt=dt * ms,
    )


def raster(steps=200, neurons=20, chance=0.05, seed=0):
    return np.random.default_rng(seed).random((steps, neurons)) < chance


def model_of(process, x, dt=DT, presented=None):
    """Return a model that presents the rows of ``x`` to a process, and the probe of its output."""
    with nengo.Network(seed=3) as model:
        source = nengo.Node(PresentInput(x.astype(float), presented or dt))
        node = nengo.Node(process)
        nengo.Connection(source, node, synapse=None)
        model.probe = nengo.Probe(node)
    return model


def simulate(model, steps, dt=DT, **options):
    with nengo.Simulator(model, dt=dt, progress_bar=False, **options) as sim:
        sim.run_steps(steps)
        return np.array(sim.data[model.probe])


# -- networks ----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["event", "clocked"])
@pytest.mark.parametrize("ticks", [1, 5])
def test_a_network_gives_nengo_the_spikes_that_it_gives_outside(ticks, backend):
    fed = raster()
    step, neuron = np.nonzero(fed)
    train = Train(step * ticks * 0.2 * ms, neuron)
    outside = run(recurrent(train, Poisson(30 * Hz), dt=0.2), 200 * ticks * 0.2 * ms, seed=7)
    spikes = outside.spikes["cells"]
    wanted = np.zeros((200, 30))
    np.add.at(wanted, (spikes.ticks // ticks, spikes.neurons), 1)
    assert wanted.sum() > 100
    network = recurrent(None, Poisson(30 * Hz), dt=0.2)
    process = NetworkProcess(network, "in", "cells", backend=backend, seed=7)
    dt = ticks * 0.2e-3
    found = simulate(model_of(process, fed / dt, dt), 200, dt)
    np.testing.assert_array_equal(found, wanted / dt)  # a spike is 1/dt


def test_two_spikes_in_one_step_are_two_arrivals():
    parts = [Input("in", 1), Population("n", 1, LIF(synapse=Delta()))]
    parts += [Projection("in", "n", OneToOne(), weight=8 * mV, delay=1 * ms)]
    x = np.zeros((4, 1))
    x[0] = 2 / DT  # 16 mV, where 15 suffice
    found = simulate(model_of(NetworkProcess(Network(parts), "in", "n"), x), 4)
    assert found[:, 0].tolist() == [0, 1 / DT, 0, 0]


def test_spikes_of_an_ensemble_reach_a_network_and_come_back():
    parts = [Input("in", 20), Population("relay", 20, LIF(synapse=Delta()))]
    parts += [Projection("in", "relay", OneToOne(), weight=20 * mV, delay=3 * ms)]
    with nengo.Network(seed=1) as model:
        cells = nengo.Ensemble(20, 1)
        node = nengo.Node(NetworkProcess(Network(parts), "in", "relay"))
        nengo.Connection(cells.neurons, node, synapse=None)
        sent, got = nengo.Probe(cells.neurons), nengo.Probe(node)
    with nengo.Simulator(model, progress_bar=False) as sim:
        sim.run_steps(200)
        assert sim.data[sent].sum() > 100 / DT
        np.testing.assert_array_equal(sim.data[got][3:], sim.data[sent][:-3])


def test_several_inputs_and_outputs_are_joined_in_order():
    network = recurrent()
    process = NetworkProcess(network, ["noise", "in"], ["cells", "in"], seed=1)
    assert (process.default_size_in, process.default_size_out) == (30, 50)
    x = raster(50, 30)
    found = simulate(model_of(process, x / DT), 50)
    np.testing.assert_array_equal(found[:, 30:], x[:, 10:] / DT)


def test_simulators_of_one_model_are_independent_and_reset_starts_anew():
    model = model_of(
        NetworkProcess(recurrent(None, Poisson(90 * Hz)), "in", "cells"), raster() / DT
    )
    alone = simulate(model, 100, seed=5)
    with (
        nengo.Simulator(model, progress_bar=False, seed=5) as one,
        nengo.Simulator(model, progress_bar=False, seed=6) as two,
    ):
        for _ in range(100):
            one.step()
            two.step()
        np.testing.assert_array_equal(one.data[model.probe], alone)
        assert not np.array_equal(two.data[model.probe], alone)  # other wiring, other noise
        two.reset(seed=5)
        two.run_steps(100)
        np.testing.assert_array_equal(two.data[model.probe], alone)


def test_a_seed_of_the_process_overrides_that_of_the_simulator():
    process = NetworkProcess(recurrent(None, Poisson(90 * Hz)), "in", "cells", seed=4)
    model = model_of(process, raster() / DT)
    np.testing.assert_array_equal(simulate(model, 50, seed=1), simulate(model, 50, seed=2))


def test_processes_are_equal_only_if_they_run_the_same_network():
    one, other = recurrent(), recurrent()
    assert NetworkProcess(one, "in", "cells") == NetworkProcess(one, "in", "cells")
    assert NetworkProcess(one, "in", "cells") != NetworkProcess(other, "in", "cells")


def test_steps_give_the_spikes_of_a_run_piece_by_piece():
    network = recurrent(None, Poisson(90 * Hz))
    whole = run(network, 300 * ms, seed=2)
    simulation, ticks, neurons = Simulation(network, seed=2), [], []
    for length in [1] * 100 + [7, 193]:
        spikes = simulation.step(length * ms)["cells"]
        assert np.all(spikes.ticks >= simulation.time - length)
        ticks += spikes.ticks.tolist()
        neurons += spikes.neurons.tolist()
    assert ticks == whole.spikes["cells"].ticks.tolist()
    assert neurons == whole.spikes["cells"].neurons.tolist()


def test_a_network_that_runs_away_stops_nengo():
    parts = [Input("in", 1), Population("n", 1, LIF(synapse=Exponential()))]
    parts += [Projection("in", "n", OneToOne(), weight=1e308 * nA, delay=1 * ms)]
    process = NetworkProcess(Network(parts), "in", "n")
    with pytest.raises(SpikecoreError, match=r"the run was diverged: n\[0\] is not finite"):
        simulate(model_of(process, np.full((5, 1), 2 / DT)), 5)


def test_ctrl_c_ends_a_step_and_nengo_with_it(monkeypatch):
    sources = SteppedSession._sources

    def press(self, *ticks):
        os.kill(os.getpid(), signal.SIGINT)
        return sources(self, *ticks)

    model = model_of(NetworkProcess(recurrent(), "in", "cells"), raster() / DT)
    with nengo.Simulator(model, progress_bar=False) as sim:
        sim.run_steps(10)
        monkeypatch.setattr(SteppedSession, "_sources", press)
        with pytest.raises(KeyboardInterrupt):
            sim.step()


def test_a_copied_model_runs_the_same():
    model = model_of(MemoryProcess(SHAPE), commands(MemoryProcess(SHAPE)))
    twin = model.copy()
    (probe,) = twin.all_probes
    with nengo.Simulator(twin, progress_bar=False) as sim:
        sim.run_steps(160)
        np.testing.assert_array_equal(sim.data[probe], simulate(model, 160))


# -- memory ------------------------------------------------------------------------------

SHAPE = CA3Shape(4, 12, threshold=0.5, completion=True, backward_weight=12.0, forget_line=True)
SCRIPT = [
    (5, "store", 1, {0, 3, 7}),
    (25, "store", 2, {3, 8, 9, 11}),
    (50, "recall", 1, set()),
    (70, "search", None, {8, 9}),
    (90, "forget", 2, set()),
    (110, "recall", 2, set()),
    (130, "search", None, {0, 7}),
]


def commands(process, script=SCRIPT, steps=160, hold=3):
    x = np.zeros((steps, process.default_size_in))
    for step, operation, cue, bits in script:
        lines = slice(step, step + hold)
        if cue is not None:
            x[lines, process.cue.start + cue] = 1
        x[lines, [process.content.start + bit for bit in bits]] = 1
        x[lines, getattr(process, operation)] = 1
    return x


@pytest.mark.parametrize("ticks", [1, 2])
def test_a_memory_answers_nengo_as_it_answers_outside_and_when(ticks):
    process = MemoryProcess(SHAPE)
    found = simulate(model_of(process, commands(process), ticks * DT), 160, ticks * DT)
    outside = CA3Memory(SHAPE)
    for step, operation, cue, bits in SCRIPT:
        episode = {
            "store": lambda c=cue, b=bits: outside.learn(c, b),
            "recall": lambda c=cue: outside.recall(c),
            "search": lambda b=bits: outside.query(b),
            "forget": lambda c=cue: outside.erase(c),
        }[operation]()
        content, names = found[step:, process.answer_content], found[step:, process.answer_cue]
        cue_step, bit_step = (tick // ticks for tick in episode.read)
        assert not content[:bit_step].any()
        assert not names[:cue_step].any()
        assert set(np.flatnonzero(content[bit_step])) == episode.bits
        assert set(np.flatnonzero(names[cue_step])) == episode.cues
        over = -(-episode.result.ticks // ticks)
        ready = found[step - 1 : step + over, process.ready].ravel()
        assert ready.tolist() == [1] + [0] * (over - 1) + [1]
        np.testing.assert_array_equal(content[bit_step], content[over + 3])  # it is held
    np.testing.assert_array_equal(np.unique(found), [0, 1])


def test_the_memory_answers_in_the_ticks_in_which_its_output_spikes():
    episode = CA3Memory(SHAPE).learn(1, {2, 5})
    spikes = episode.result.spikes["OUTcont"]
    assert set(spikes.neurons[spikes.ticks == episode.read[1]].tolist()) == {2, 5}


def test_memories_of_two_simulators_do_not_mix():
    process = MemoryProcess(SHAPE)
    model = model_of(process, commands(process))
    with (
        nengo.Simulator(model, progress_bar=False) as one,
        nengo.Simulator(model, progress_bar=False) as two,
    ):
        one.run_steps(100)
        two.run_steps(160)
        one.reset()
        one.run_steps(160)
        np.testing.assert_array_equal(one.data[model.probe], two.data[model.probe])


# -- layers of delays ----------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), delays=st.integers(1, 12))
def test_a_motif_layer_in_nengo_is_the_layer_outside(seed, delays):
    rng = np.random.default_rng(seed)
    kernel = np.where(rng.random((3, 6, delays)) < 0.4, rng.normal(size=(3, 6, delays)), 0.0)
    layer = MotifLayer.from_kernel(kernel, bias=rng.normal(size=3), threshold=1.0)
    counts = rng.choice(3, p=[0.8, 0.15, 0.05], size=(60, 6))
    ticks, neurons = np.nonzero(counts)
    times = counts[ticks, neurons]
    spikes = Spikes(np.repeat(ticks, times), np.repeat(neurons, times))
    found = MotifProcess(layer, output="evidence").apply(counts / DT)
    np.testing.assert_array_equal(found, layer.evidence(spikes, 60))
    detected = layer.detect(spikes, 60)
    tick, motif = np.nonzero(MotifProcess(layer).apply(counts / DT))
    np.testing.assert_array_equal(tick, detected.ticks)
    np.testing.assert_array_equal(motif, detected.motifs)


def test_a_motif_layer_starts_with_nothing_on_its_way():
    layer = MotifLayer([0], [0], [1.0], [5], 1, 1, threshold=1)
    model = model_of(MotifProcess(layer), np.full((1, 1), 1 / DT), presented=1.0)
    with nengo.Simulator(model, progress_bar=False) as sim:
        sim.run_steps(4)
        sim.reset()
        sim.run_steps(8)
        assert sim.data[model.probe][:, 0].tolist() == [0] * 5 + [1 / DT] * 3


def test_a_kernel_in_nengo_says_what_it_says_outside():
    rng = np.random.default_rng(3)
    kernel = DelayKernel(
        rng.normal(size=(4, 2, 5, 3, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    )
    x = rng.random((30, 2 * 6 * 7)) < 0.1
    x[11] = False
    found = KernelProcess(kernel, width=7, height=6).apply(x / DT)
    layer = EventLayer(kernel, 7, 6, 1000)
    for step, events in enumerate(x.reshape(30, 2, 6, 7)):
        p, row, column = np.nonzero(events)
        stream = EventStream.checked(column, row, np.full(p.size, 1000 * step), p, sensor=(7, 6))
        sums = Sums.zeros(1, 4)
        layer.advance(stream, sums=sums)
        np.testing.assert_array_equal(found[step], sums.log_posterior[0])
    assert not found[11].any()
    assert found.any()


# -- neurons -------------------------------------------------------------------------------


def spikes_of(neuron_type, currents, steps, dt=DT):
    """Return spikes, shape (steps, neurons), for currents of shape (neurons,) or with steps."""
    currents = np.atleast_2d(currents)
    with nengo.Network(seed=0) as model:
        drive = nengo.Node(PresentInput(currents - 1.0, dt))
        size = currents.shape[1]
        cells = nengo.Ensemble(
            size, 1, gain=np.ones(size), bias=np.ones(size), neuron_type=neuron_type
        )
        nengo.Connection(drive, cells.neurons, synapse=None)
        model.probe = nengo.Probe(cells.neurons)
    return simulate(model, steps, dt)


AT_REST = {"voltage": nengo.dists.Choice([0])}


@pytest.mark.parametrize("ticks", [1, 10])
def test_our_neuron_spikes_as_the_event_core_does(ticks):
    currents = np.linspace(0.5, 12, 60)
    neuron_type = SpikecoreLIF(ticks=ticks, initial_state=AT_REST)
    found = spikes_of(neuron_type, currents, 300)
    unit = LIF(
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=1 * mV,
        refractory=2 * ms,
        i_offset=currents * nA,
    )
    network = Network([Population("n", 60, unit)], dt=1 / ticks * ms)
    spikes = run(network, 300 * ms).spikes["n"]
    wanted = np.zeros((300, 60))
    np.add.at(wanted, (spikes.ticks // ticks, spikes.neurons), 1)
    assert wanted.sum() > 1000
    np.testing.assert_array_equal(found, wanted / DT)


def test_our_neuron_follows_a_changing_current_as_the_event_core_does():
    """Step rule spinnaker: the current is constant over a step, as Nengo's J is."""
    rng = np.random.default_rng(8)
    arrivals = rng.random((400, 20)) < 0.1
    decay = np.exp(-1 / 5)
    current = np.zeros((400, 20))
    for t in range(400):
        gain = 5 * (1 - decay)
        current[t] = (current[t - 1] * decay if t else 0) + 3.0 * gain * arrivals[t]
    found = spikes_of(SpikecoreLIF(ticks=1, initial_state=AT_REST), current, 400)
    unit = LIF(
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=1 * mV,
        refractory=2 * ms,
        synapse=Exponential(5 * ms, 5 * ms),
        step="spinnaker",
    )
    tick, neuron = np.nonzero(arrivals)
    parts = [Input("in", 20, Train((tick + 1) * ms, neuron)), Population("n", 20, unit)]
    parts += [Projection("in", "n", OneToOne(), weight=3 * nA, delay=1 * ms)]
    spikes = run(Network(parts), 402 * ms).spikes["n"].between(2, 402)
    step, cell = np.nonzero(found)
    assert step.size > 200
    np.testing.assert_array_equal(step + 2, spikes.ticks)
    np.testing.assert_array_equal(cell, spikes.neurons)


@pytest.mark.parametrize("ticks", [1, 10])
def test_the_rate_is_that_of_nengos_curve_within_a_tick_and_a_spike(ticks):
    currents, steps = np.linspace(1.02, 30, 200), 2000
    neuron_type = SpikecoreLIF(ticks=ticks, initial_state=AT_REST)
    number = (spikes_of(neuron_type, currents, steps) > 0).sum(axis=0)
    interval = 1 / nengo.LIF().rates(currents, gain=1, bias=0)[:, 0]
    np.testing.assert_allclose(1 / neuron_type.rates(currents, 1, 0)[:, 0], interval)
    counted = steps * DT + neuron_type.tau_ref  # the first spike waits for no other
    assert np.all(number <= counted / interval + 1e-9)
    assert np.all(number >= np.floor(counted / (interval + DT / ticks)))


def test_with_ten_ticks_the_measured_curve_is_that_of_nengos_neuron():
    currents, steps = np.linspace(1.05, 12, 100), 3000
    ours = spikes_of(SpikecoreLIF(), currents, steps).mean(axis=0)
    theirs = spikes_of(nengo.LIF(), currents, steps).mean(axis=0)
    assert theirs.max() > 230
    np.testing.assert_allclose(ours, theirs, rtol=0.025, atol=1 / 3)  # a spike in 3 s


def test_an_ensemble_of_our_neurons_represents_a_signal():
    """As well as one of nengo.LIF does, but for the ticks by which its intervals are too long."""

    def error(neuron_type):
        with nengo.Network(seed=2) as model:
            source = nengo.Node(lambda t: np.sin(2 * np.pi * t))
            cells = nengo.Ensemble(100, 1, neuron_type=neuron_type)
            nengo.Connection(source, cells, synapse=nengo.Alpha(0.03))
            wanted = nengo.Probe(source, synapse=nengo.Alpha(0.03))
            got = nengo.Probe(cells, synapse=nengo.Alpha(0.03))
        with nengo.Simulator(model, progress_bar=False) as sim:
            sim.run(1.0)
        filtered = nengo.Alpha(0.03).filt(sim.data[wanted], y0=0)
        return np.sqrt(np.mean((sim.data[got] - filtered)[200:] ** 2))

    theirs = error(nengo.LIF(min_voltage=-np.inf))  # ours has no floor
    assert theirs < 0.01
    assert error(SpikecoreLIF()) < 0.02
    assert error(SpikecoreLIF(ticks=100)) < 1.2 * theirs
