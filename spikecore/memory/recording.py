"""Replaying a recorded session: the same input, and every population's spikes compared."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikecore.errors import FileRefused, InvalidInput
from spikecore.events import Spikes
from spikecore.inputs import Train
from spikecore.memory.ca3 import POPULATIONS, CA3Shape, ca3_network
from spikecore.quantities import ms
from spikecore.results import Comparison, Result
from spikecore.simulate import run

__all__ = ["Recording", "replay", "spike_digest"]


@dataclass(frozen=True, eq=False)
class Recording:
    """A recorded session of a CA3 memory.

    Attributes
    ----------
    cues, bits, duration : int
        Size of the memory; length in ms.
    cue_train, content_train : Train
        Input spikes.
    outputs : mapping of str to Spikes
        Recorded spikes by population; empty if the file has none.
    """

    cues: int
    bits: int
    duration: int
    cue_train: Train
    content_train: Train
    outputs: Mapping[str, Spikes]

    def size_of(self, population: str) -> int:
        """Return the number of neurons of a population."""
        if population == "ContCondInt":
            return 1
        return self.cues if population in _CUE_SIDE else self.bits

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read a JSON file with ``meta``, ``inputs`` and (optionally) ``outputs``.

        ``meta`` holds ``cue_size``, ``content_size`` and ``sim_time_ms``; ``inputs`` holds
        ``cue`` and ``cont``, ``outputs`` one entry per population; each maps a neuron
        index to its spike times in ms.

        Raises
        ------
        FileRefused
            If the file is missing, not JSON, or an entry is missing or malformed.
        """
        place = os.fspath(path)
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileRefused(place, "does not exist") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise FileRefused(place, "is not a JSON file", got=str(error)) from error
        meta, inputs = _entry(data, "meta", place), _entry(data, "inputs", place)
        cues, bits, duration = (
            _whole(meta, key, place) for key in ("cue_size", "content_size", "sim_time_ms")
        )
        outputs = data.get("outputs") or {}
        for name in outputs:
            if name not in POPULATIONS:
                raise FileRefused(
                    place,
                    f"outputs.{name} is not a population of the memory",
                    fix=f"use {', '.join(POPULATIONS)}",
                )
        inputs_only = cls(
            cues,
            bits,
            duration,
            _train(inputs, "cue", cues, place),
            _train(inputs, "cont", bits, place),
            {},
        )
        recorded = {}
        for name in outputs:
            size = inputs_only.size_of(name)
            recorded[name] = _spikes(_train(outputs, name, size, place), size)
        return replace(inputs_only, outputs=recorded)


def replay(
    recording: Recording, *, preset: str = "published", backend: str = "event"
) -> tuple[Result, Comparison]:
    """Run the recorded input through a memory and compare all populations.

    Returns
    -------
    Result
        The run, all groups.
    Comparison
        Against the recorded populations; a population that was not recorded counts
        as silent.

    Raises
    ------
    InvalidInput
        If the recording holds no outputs to compare with, comparisons are empty.
    """
    shape = CA3Shape(recording.cues, recording.bits, preset)
    network = ca3_network(shape, recording.cue_train, recording.content_train)
    result = run(network, recording.duration * ms, backend=backend)
    return result, compare(result, recording)


def compare(result: Result, recording: Recording) -> Comparison:
    """Compare the recorded populations of ``recording`` with those of ``result``."""
    nothing = Spikes(np.empty(0, np.int64), np.empty(0, np.int64))
    return _only(result, {n: result.spikes[n] for n in POPULATIONS}).compare(
        _only(result, {n: recording.outputs.get(n, nothing) for n in POPULATIONS})
    )


def _only(result: Result, spikes: Mapping[str, Spikes]) -> Result:
    return Result(spikes, {}, {}, result.ticks, result.dt, result.status)


def spike_digest(spikes: Mapping[str, Spikes]) -> str:
    """Return the SHA-256 of the sorted (population, neuron, time) triples.

    A figure that stands for a recording where the recording itself cannot be shipped.
    """
    triples = sorted(
        (name, int(n), int(t))
        for name in POPULATIONS
        for t, n in zip(spikes[name].ticks, spikes[name].neurons, strict=True)
    )
    return hashlib.sha256(json.dumps(triples).encode()).hexdigest()


def as_layout(result: Result, recording: Recording) -> dict[str, dict[str, list[int]]]:
    """Return the spikes of all populations in the layout of a recording's ``outputs``.

    Every neuron has an entry, silent ones an empty list.
    """
    layout = {}
    for name in POPULATIONS:
        own = result.spikes[name]
        layout[name] = {
            str(n): own.ticks[own.neurons == n].tolist() for n in range(recording.size_of(name))
        }
    return layout


_CUE_SIDE = ("CueCue", "CueCont", "MergeCue", "OUTcue")


def _entry(data: Any, key: str, place: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not isinstance(data.get(key), dict):
        raise FileRefused(place, f"has no {key!r} object", fix="see docs/memory for the layout")
    entry: dict[str, Any] = data[key]
    return entry


def _whole(meta: dict[str, Any], key: str, place: str) -> int:
    value = meta.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FileRefused(place, f"meta.{key} must be a positive integer", got=repr(value))
    return value


def _train(entries: dict[str, Any], key: str, size: int, place: str) -> Train:
    trains = entries.get(key, {})
    if not isinstance(trains, dict):
        raise FileRefused(place, f"{key} must map neuron indices to lists of times")
    times: list[float] = []
    neurons: list[int] = []
    for neuron, spikes in trains.items():
        if not neuron.isdecimal() or int(neuron) >= size:
            raise FileRefused(
                place, f"{key}: neuron must be an index in 0 .. {size - 1}", got=repr(neuron)
            )
        if not isinstance(spikes, list) or not all(isinstance(t, int | float) for t in spikes):
            raise FileRefused(place, f"{key}[{neuron}] must be a list of times in ms")
        times.extend(spikes)
        neurons.extend([int(neuron)] * len(spikes))
    try:
        train = Train(np.array(times, dtype=float) * ms, np.array(neurons, dtype=np.int64))
        _spikes(train, size)
    except InvalidInput as error:
        raise FileRefused(place, f"{key}: {error.rule}", got=error.got) from error
    return train


def _spikes(train: Train, size: int) -> Spikes:
    return Spikes.checked(train.times, train.neurons, size=size, dt=1.0, place="recording")
