"""Mistakes with backends and their options; tests/test_faults.py compares them with the page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
from backend_params import NO_BRIAN2
from fault_cases import network, synapses

from spikecore import Simulation, ms, nA, run
from spikecore.backends import registry
from spikecore.backends.clocked import ClockedBackend


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


FAULTS = {
    "Backends": {
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
