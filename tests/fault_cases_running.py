"""What goes wrong when something runs, is saved or remembered: rows of docs/errors.md."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
from contextlib import closing
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from fault_cases import NAN, network, simulation, synapses, train

from spikecore import (
    LIF,
    AllToAll,
    Delta,
    Input,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Population,
    Projection,
    Result,
    Simulation,
    Train,
    ms,
    mV,
    nA,
    run,
)
from spikecore.backends import protocol, registry
from spikecore.backends.clocked import ClockedBackend
from spikecore.backends.lowering import lower
from spikecore.backends.protocol import Capabilities
from spikecore.backends.registry import get_backend
from spikecore.memory import Bitmap, ContentMemory, Flags, Text


def backend(name, entry):
    """Run on a backend that is registered for the moment."""
    with pytest.MonkeyPatch.context() as patch:
        found = {name: EntryPoint(name, entry, "spikecore.backends")}
        patch.setattr(registry, "_entries", lambda: found)
        return run(synapses(plasticity=PairSTDP()), 5 * ms, backend=name)


class Modest(ClockedBackend):
    """Can do next to nothing."""

    def capabilities(self, options):
        nothing = frozenset()
        return Capabilities(frozenset({"lif"}), nothing, frozenset({"float64"}), nothing, 1, False)


def save(path="run.npz", *, full=False, access=True):
    with pytest.MonkeyPatch.context() as patch:
        if full:
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            patch.setattr(os, "fsync", lambda _file: (_ for _ in ()).throw(error))
        if not access:
            patch.setattr(os, "access", lambda _path, _mode: False)
        run(network(), 5 * ms).save(path)


def load(content):
    Path("run.npz").write_bytes(content)
    Result.load("run.npz")


def restore(**options):
    simulation().save("checkpoint")
    return Simulation(synapses(), **options).restore("checkpoint")


def other_way(saved, opened):
    Simulation(network(), options={"delivery": saved}).save("checkpoint")
    Simulation(network(), options={"delivery": opened}).restore("checkpoint")


def load_checkpoint():
    simulation().save("checkpoint")
    return Result.load("checkpoint")


def interrupted():
    one = simulation()
    one._session.advance(256, lambda _done: signal.raise_signal(signal.SIGINT))
    return one.result().message


def overflow(resume=False):
    parts = [
        Input("in", 1, Train([3, 3] * ms, [0, 0])),
        Population("n", 1, LIF()),
        Projection("in", "n", OneToOne(), 1e308 * nA, 2 * ms),
    ]
    one = Simulation(Network(parts))
    message = one.run(10 * ms).message
    return one.run(1 * ms) if resume else message


def explosion():
    parts = [
        Population("n", 50, LIF(synapse=Delta()), initial={"v": -40 * mV}),
        Projection("n", "n", AllToAll(), 50 * mV, 2 * ms),
    ]
    return run(Network(parts), 10 * ms, max_pending=2000).message


def slow():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "LONG_RUN_SECONDS", 0)
        (note,) = run(network(), 5 * ms, backend="clocked").notes
        return note


def too_small():
    chosen = get_backend("torch")  # the advice does not need the GPU
    advice = chosen.capabilities(protocol.Options(own={"device": "cuda"})).advice
    return f"backend 'torch': {advice(lower(network(), 0), 5)}"


def notes(made, duration=5 * ms):
    return "; ".join(run(made, duration).notes)


def delayed(delay, backend, *, options=None, **more):
    parts = [
        Input("in", 2000),
        Population("n", 2000, LIF()),
        Projection("in", "n", OneToOne(), 1 * nA, delay * ms, **more),
    ]
    return Simulation(Network(parts), backend=backend, options=options)


def changed_below():
    pre = np.array([1, 0])
    parts = [Input("in", 2), Population("n", 2, LIF())]
    parts.append(Projection("in", "n", Pairs(pre, [0, 1]), [1, 2] * nA, 1 * ms))
    one = Simulation(Network(parts))
    pre[:] = 0, 1
    return one.weights("in->n")


def basket(**options):
    memory = ContentMemory(Flags(("red", "round", "sweet")), 2, **options)
    memory.store("apple", ["red", "round"])
    memory.store("sugar", ["sweet"])
    return memory


def memory_file(path="m.memory"):
    return ContentMemory.create(path, Text(8), cues=2)


def open_damaged(change):
    memory_file().close()
    path = Path("m.memory")
    path.write_bytes(change(path.read_bytes()))
    ContentMemory.open(path)


def open_busy():
    memory_file().close()
    with closing(sqlite3.connect("m.memory")) as other:
        other.execute("BEGIN EXCLUSIVE")
        ContentMemory.open("m.memory", timeout=0.01).store("a", "b")


FAULTS = {
    "Running": {
        "a backend that does not exist": lambda: run(network(), 5 * ms, backend="evnt"),
        "a backend that is not installed": lambda: backend("ghost", "ghost_package:Backend"),
        "a network that the backend cannot run": lambda: backend("modest", f"{__name__}:Modest"),
        "a precision that does not exist": lambda: run(network(), 5 * ms, precision="float16"),
        "weights beyond the precision": lambda: Simulation(
            synapses(weight=1e39 * nA), precision="float32"
        ),
        "a negative or huge seed": lambda: run(network(), 5 * ms, seed=-1),
        "a seed that is not an integer": lambda: run(network(), 5 * ms, seed=None),
        "a duration of 0, or less": lambda: run(network(), 0 * ms),
        "a duration between two ticks": lambda: run(network(), 2.5 * ms),
        "a duration beyond counting": lambda: run(network(), 1e300 * ms),
        "something else as network": lambda: run([network()], 5 * ms),
        "a projection that does not exist": lambda: simulation().weights("in->m"),
        "weights asked for, after arrays of the network were changed": changed_below,
        "too few new weights": lambda: simulation(weight=[1, 2, 3] * nA).set_weights("in->n", [1]),
        "NaN among new weights": lambda: simulation(weight=[1, 2, 3] * nA).set_weights(
            "in->n", [1, NAN, 2]
        ),
        "going on after a run has diverged": lambda: overflow(resume=True),
        "long delays of many neurons, clocked": lambda: delayed(1e6, "clocked"),
        "long delays of synapses that learn": lambda: delayed(1e6, "event", plasticity=PairSTDP()),
        "ways of the event-driven core that exclude each other": lambda: run(
            network(), 5 * ms, backend="event:delivery=calendar,neurons=sweep"
        ),
        "bitmaps without a ring": lambda: run(
            network(), 5 * ms, backend="event:delivery=queue,dense=bitmaps"
        ),
        "two threads where synapses learn": lambda: delayed(
            5, "event", plasticity=PairSTDP(), options={"threads": "2"}
        ),
        "two threads by the general way": lambda: run(
            network(), 5 * ms, backend="event:delivery=calendar,threads=2"
        ),
        "blocks of time in two threads": lambda: run(
            network(), 5 * ms, backend="event:threads=2,ahead=blocks"
        ),
        "blocks of time, and neurons that are not swept": lambda: run(
            network(), 5 * ms, backend="event:delivery=queue,neurons=wheel,ahead=blocks"
        ),
        "blocks of time for what is not known beforehand": lambda: run(
            network(Projection("n", "n", OneToOne(), 1 * nA, 1 * ms)),
            5 * ms,
            backend="event:ahead=blocks",
        ),
        "a way that cannot run the network": lambda: delayed(
            4e6, "event", options={"delivery": "ring"}
        ),
        "float32 for very many ticks": lambda: Simulation(
            network(), backend="event:delivery=ring", precision="float32"
        ).run(1e9 * ms),
        "runs of different networks compared": lambda: run(network(), 5 * ms).compare(
            run(network(Input("more", 1)), 5 * ms)
        ),
    },
    "Files": {
        "a folder that does not exist": lambda: save("absent/run.npz"),
        "a folder as file": lambda: save("."),
        "a folder or file that is read-only": lambda: save(access=False),
        "a full disk": lambda: save(full=True),
        "a file that does not exist": lambda: Result.load("absent.npz"),
        "a file of something else, or a damaged one": lambda: load(b"garbage"),
        "a file of another kind": load_checkpoint,
        "a checkpoint of another seed, network, backend or precision": lambda: restore(seed=1),
        "a checkpoint of a fast way in the general one": lambda: other_way("ring", "calendar"),
        "a checkpoint of the general way in a fast one": lambda: other_way("calendar", "ring"),
    },
    "Memory": {
        "a name under which nothing is stored, to forget": lambda: basket().forget("aple"),
        "a name that is not allowed": lambda: basket(cue_names=("apple", "sugar")).recall("suger"),
        "two names at once": lambda: basket().recall(["apple", "sugar"]),
        "a store into a full memory": lambda: basket().store("lemon", ["round"]),
        "a store under a used name, not to be replaced": lambda: basket().store(
            "apple", ["red"], overwrite=False
        ),
        "a flag that does not exist": lambda: basket().store("apple", ["rund"]),
        "a content without any bit": lambda: basket().store("apple", []),
        "a text that is too long": lambda: ContentMemory(Text(4)).store("a", "hello"),
        "a picture of another size": lambda: ContentMemory(Bitmap(2, 2)).store(
            "a", np.ones((3, 3), bool)
        ),
        "an empty picture": lambda: ContentMemory(Bitmap(2, 2)).store("a", np.zeros((2, 2), bool)),
        "a threshold that is not a fraction": lambda: basket().search(["red"], threshold=60),
        "a preset that does not exist": lambda: basket(preset="robst"),
        "a memory file that does not exist": lambda: ContentMemory.open("absent.memory"),
        "a new memory in place of a file": lambda: (memory_file().close(), memory_file()),
        "a file of something else as memory": lambda: open_damaged(lambda _bytes: b"garbage"),
        "a memory file that is cut off": lambda: open_damaged(lambda content: content[:-4096]),
        "a memory file that another process holds": open_busy,
    },
}

OUTCOMES = {
    "a recall of a name under which nothing is stored": lambda: basket().recall("plum").outcome,
    "a search for what no content shares": lambda: basket().search(["red", "sweet"], 0.9).outcome,
}

ENDINGS = {
    "Ctrl-C, or SIGTERM": interrupted,
    "a state that is no longer finite": overflow,
    "more synaptic events in flight than `max_pending`": explosion,
}

NOTES = {
    "a projection without synapses": lambda: notes(synapses(pre=[], post=[])),
    "delays rounded (`rounding='nearest'`)": lambda: notes(
        synapses(delay=[1, 1.4, 2] * ms, rounding="nearest")
    ),
    "times given unsorted": lambda: notes(train([2, 1] * ms, [0, 0])),
    "times rounded (`rounding='nearest'`)": lambda: notes(
        train([1, 1.4] * ms, [0, 0], rounding="nearest")
    ),
    "spikes given for later than the end": lambda: notes(train([1, 7, 8] * ms, [0, 0, 0])),
    "delays as long as the run, or longer": lambda: notes(synapses(delay=5 * ms)),
    "a network that is too small for a GPU": too_small,
    "a long run on a slow backend": slow,
}
