"""The CA3 memory inside Nengo models, against itself outside."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from nengo_models import DT, model_of, simulate

from spikecore.memory import CA3Memory, CA3Shape
from spikecore.nengo import (
    MemoryProcess,
)

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


def test_a_copied_model_runs_the_same():
    model = model_of(MemoryProcess(SHAPE), commands(MemoryProcess(SHAPE)))
    twin = model.copy()
    (probe,) = twin.all_probes
    with nengo.Simulator(twin, progress_bar=False) as sim:
        sim.run_steps(160)
        np.testing.assert_array_equal(sim.data[probe], simulate(model, 160))
