"""Networks inside Nengo models give the spikes that they give outside."""

from __future__ import annotations

import os
import signal

import nengo
import numpy as np
import pytest
from nengo_models import DT, model_of, raster, simulate

from spikecore import (
    LIF,
    Delta,
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
    Train,
    Uniform,
    ms,
    mV,
    nA,
    run,
)
from spikecore.backends.session import SteppedSession
from spikecore.nengo import (
    NetworkProcess,
)


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
