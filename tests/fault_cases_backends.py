"""Mistakes with backends and their options; tests/test_faults.py compares them with the page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from backend_params import NO_BRIAN2
from fault_cases import network, synapses

from spikecore import (
    LIF,
    Delta,
    Hz,
    Input,
    Network,
    Normal,
    OneToOne,
    PoissonCounts,
    Population,
    Projection,
    RandomTotal,
    Simulation,
    ms,
    mV,
    nA,
    run,
    run_batch,
)
from spikecore.backends import registry
from spikecore.backends.clocked import ClockedBackend
from spikecore.backends.lowering import lower


def on_brian2(parts=None, **options):
    if NO_BRIAN2:
        pytest.skip(NO_BRIAN2)
    return Simulation(parts or network(), backend="brian2", **options)


class OnePiece(ClockedBackend):
    """Can neither go on nor save."""

    def capabilities(self, options):
        return replace(super().capabilities(options), checkpoint=False, pieces=False)


def one_piece(then):
    with pytest.MonkeyPatch.context() as patch:
        entry = EntryPoint("program", f"{__name__}:OnePiece", "spikecore.backends")
        patch.setattr(registry, "_entries", lambda: {"program": entry})
        simulation = Simulation(network(), backend="program")
        simulation.run(5 * ms)
        then(simulation)


def without_compiler():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "which", lambda _name: None)
        on_brian2(options={"target": "cpp_standalone"})


def broken_compiler():
    simulation = on_brian2(options={"target": "cpp_standalone"})
    from spikecore.backends.brian2.quiet import brian2

    options = brian2.prefs.devices.cpp_standalone
    before, options.make_cmd_unix = options.make_cmd_unix, "false"
    try:
        simulation.run(5 * ms)
    finally:
        options.make_cmd_unix = before


def weights_under_way():
    simulation = on_brian2(synapses(weight=[1, 2, 3] * nA))
    simulation.feed("in", [0] * ms, [0])
    simulation.run(1 * ms)
    simulation.set_weights("in->n", [1, 1, 1])


def twice_in_a_tick():
    simulation = on_brian2()
    simulation.run(1 * ms)
    simulation.feed("in", [3, 3] * ms, [0, 0])


def far_delay():
    return Network(
        [
            Population("n", 2000, LIF(synapse=Delta())),
            Projection("n", "n", OneToOne(), 1 * mV, 1e6 * ms),
        ]
    )


def on_gpu(call):
    """Call a method of the GPU's engine that looks before it computes."""
    from spikecore.backends.torch.cuda.engine import CudaEngine

    engine = object.__new__(CudaEngine)  # a whole one needs the GPU
    engine.lowered, engine.items, engine.draws = lower(network(), 0), 1, frozenset()
    call(engine)


def without_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    run(network(), 5 * ms, backend="torch:device=cuda")


def drawn(weight):
    parts = [
        Input("in", 3),
        Population("n", 3, LIF()),
        Projection("in", "n", RandomTotal(5), weight, 1 * ms),
    ]
    return run(Network(parts), 5 * ms)


def copies(*feeds):
    return run_batch(network(), 5 * ms, feeds)


FAULTS = {
    "Synapses and inputs that are drawn": {
        "a total that is no integer": lambda: synapses(wiring=RandomTotal(1.5)),
        "a total below 0": lambda: synapses(wiring=RandomTotal(-1)),
        "limits that leave nothing to draw": lambda: drawn(Normal(1 * nA, 0 * nA, low=2 * nA)),
        "counts that are too fast": lambda: run(
            Network([Input("in", 3, PoissonCounts(60_000 * Hz))]), 5 * ms
        ),
    },
    "Copies": {
        "no copies": copies,
        "an input that does not exist, in a copy": lambda: copies({}, {"on": ([1] * ms, [0])}),
        "a neuron that does not exist, in a copy": lambda: copies({"in": ([1] * ms, [3])}),
    },
    "Backends": {
        "torch on a GPU that is not there": without_gpu,
        "delays that fill the memory, torch": lambda: run(far_delay(), 5 * ms, backend="torch"),
        "many spikes of an input neuron in a tick, GPU": lambda: on_gpu(
            lambda engine: engine._check_given(np.array([1]), np.array([17]), 0)
        ),
        "a run of more ticks than a GPU counts": lambda: on_gpu(
            lambda engine: engine.run(0, 2**30 + 1, [])
        ),
        "an option that the backend does not have": lambda: on_brian2(options={"tarket": "numpy"}),
        "a value that the option does not have": lambda: on_brian2(options={"target": "cyton"}),
        "an option without its name": lambda: run(network(), 5 * ms, backend="brian2:cython"),
        "a target that needs a compiler where there is none": without_compiler,
        "a compiler that fails": broken_compiler,
        "going on where a run is in one piece": lambda: one_piece(lambda s: s.run(5 * ms)),
        "steps where a run is in one piece": lambda: one_piece(lambda s: s.step(5 * ms)),
        "a checkpoint where there are none": lambda: one_piece(lambda s: s.save("checkpoint")),
        "new weights while spikes are on their way, brian2": weights_under_way,
        "a neuron fed twice in one tick, after the start, brian2": twice_in_a_tick,
    },
}
