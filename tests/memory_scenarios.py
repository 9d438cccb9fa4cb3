"""Memories for the tests: a basket of fruit, a file of words, three published sessions.

Source of the sessions: Casanueva-Morato et al. (2024), experiments "functional", "pyramidal"
and "state map", here as lists of operations.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from spikecore import Network, Train, ms, run
from spikecore.memory import CA3Shape, ContentMemory, Flags, Text, ca3_network

NAMES = ("red", "green", "blue", "round", "long", "sweet")
FRUIT = {"apple": ("red", "round", "sweet"), "plum": ("blue", "round"), "leek": ("green", "long")}


def fruit(cues=4, **options):
    memory = ContentMemory(Flags(NAMES), cues, **options)
    for cue, content in FRUIT.items():
        memory.store(cue, content)
    return memory


def held(memory):
    """Return all that the memory recalls, in spikes."""
    return {cue: memory.recall(cue).best.content for cue in memory.cues()}


WORDS = {f"cue {n}": f"word {n}" for n in range(6)}
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def words(path):
    """Make a memory file with six texts."""
    with ContentMemory.create(path, Text(8), cues=8) as memory:
        for cue, word in WORDS.items():
            memory.store(cue, word)
    return path


def recalled(path):
    """Open a memory file and recall all that it holds."""
    with ContentMemory.open(path) as memory:
        return {cue: memory.recall(cue).best.content for cue in memory.cues()}


HOLD = {"learn": 3, "cue": 1, "content": 1}


@dataclass(frozen=True)
class Operation:
    """What goes in at a tick, and which (cues, bits) come out how many ticks later."""

    kind: str
    tick: int
    cues: frozenset
    bits: frozenset
    answer: dict


@dataclass(frozen=True)
class Session:
    """A memory and what is done with it."""

    cues: int
    bits: int
    duration: int
    operations: tuple

    def network(self, preset="published"):
        trains = []
        for side in ("cues", "bits"):
            spikes = [
                (op.tick + hold, neuron)
                for op in self.operations
                for hold in range(HOLD[op.kind])
                for neuron in getattr(op, side)
            ]
            ticks, neurons = np.array(spikes).T
            trains.append(Train(ticks * ms, neurons))
        return ca3_network(CA3Shape(self.cues, self.bits, preset), *trains)

    def run(self, preset="published", backend="event", change=lambda network: network):
        return run(change(self.network(preset)), self.duration * ms, backend=backend)


def operation(kind, tick, cues=(), bits=(), *, answer=()):
    cues, bits, answer = frozenset(cues), frozenset(bits), frozenset(answer)
    shown = {
        "learn": {5: (cues, bits), 6: (frozenset(), answer), 7: (cues, bits)},
        "cue": {5: (cues, frozenset()), 6: (frozenset(), answer)},
        "content": {5: (frozenset(), bits), 6: (answer, frozenset())},
    }[kind]
    return Operation(kind, tick, cues, bits, shown)


def functional():
    """Learn, recall both ways, overwrite; the answer of a learn is what it forgets."""
    return Session(
        5,
        10,
        90,
        (
            operation("learn", 0, {0}, {0, 1, 8, 9}),
            operation("learn", 10, {4}, {1, 5, 6}),
            operation("learn", 20, {3}, {4, 5, 6}),
            operation("cue", 30, {0}, answer={0, 1, 8, 9}),
            operation("content", 40, (), {6}, answer={3, 4}),
            operation("content", 50, (), {0, 4}, answer={0, 3}),
            operation("learn", 60, {3}, {1, 3, 4, 8}, answer={5, 6}),
            operation("cue", 70, {3}, answer={1, 3, 4, 8}),
            operation("content", 80, (), {6}, answer={4}),
        ),
    )


def pyramidal():
    """Three rounds: learn all cues, recall all cues, recall by each bit alone."""
    ticks = count(1, 14)
    held = [frozenset()] * 5
    operations = []
    for turn in range(3):
        for cue in range(5):
            binary = {bit for bit in range(10) if (cue + 1) >> bit & 1}
            content = frozenset(range(10)) - binary if turn == 1 else frozenset(binary)
            operations.append(
                operation("learn", next(ticks), {cue}, content, answer=held[cue] - content)
            )
            held[cue] = content
        operations += [operation("cue", next(ticks), {cue}, answer=held[cue]) for cue in range(5)]
        for bit in range(10):
            cues = {cue for cue in range(5) if bit in held[cue]}
            operations.append(operation("content", next(ticks), (), {bit}, answer=cues))
    return Session(5, 10, 851, tuple(operations))


def state_map():
    """Cells of a grid and what is in each, then where something is."""
    states = (0, 5, 1, 3, 0, 3, 4, 5, 0, 5, 4, 3, 2, 4, 4, 3)
    asked = ({1, 2, 4}, {3}, {5}, {0})
    return Session(
        16,
        6,
        140,
        (
            *(operation("learn", 7 * cell, {cell}, {s}) for cell, s in enumerate(states)),
            *(
                operation(
                    "content",
                    112 + 6 * number,
                    (),
                    query,
                    answer={cell for cell, s in enumerate(states) if s in query},
                )
                for number, query in enumerate(asked)
            ),
        ),
    )


def rebuilt(network, *, rule=None, unit=None):
    """Return the network with another learning rule or other neurons."""
    populations = [replace(p, unit=unit(p.unit)) if unit else p for p in network.populations]
    projections = [
        replace(p, plasticity=replace(p.plasticity, **rule)) if rule and p.plasticity else p
        for p in network.projections
    ]
    return Network([*network.inputs, *populations, *projections], dt=network.dt * ms)
