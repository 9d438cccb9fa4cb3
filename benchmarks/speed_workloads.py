"""The networks of the speed comparison, as arrays: drawn once, handed to every simulator.

W1 is the current-based network of Vogels & Abbott (2005) as used by Brette et al. (2007), W2 that
of Brunel (2000), W3 a feed-forward layer behind an event camera in which each synapse has a delay
of its own, W4 a large network that hardly fires, W5 pair STDP (Song, Miller & Abbott 2000).

Nothing but numpy is imported here: NEST may live in an environment of its own. Times are in ms,
voltages in mV; delays and events in whole ticks of the workload's dt. Membrane resistance is 1, so
currents have the numbers of voltages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CUBA = {
    "tau_m": 20.0, "tau_exc": 5.0, "tau_inh": 10.0, "v_rest": -49.0, "v_threshold": -50.0,
    "v_reset": -60.0, "refractory": 5.0, "w_exc": 1.62, "w_inh": 9.0, "delay": 0.1,
}  # fmt: skip
BRUNEL = {
    "tau_m": 20.0, "v_threshold": 20.0, "v_reset": 10.0, "refractory": 2.0, "delay": 1.5,
    "w_exc": 0.1, "w_inh": 0.5, "drive_hz": 20_000.0,
}  # fmt: skip
CHANNELS = 128 * 128 * 2
DELAYS = {"tau_m": 20.0, "v_threshold": 1.0, "v_reset": 0.0, "refractory": 2.0}
SPARSE = {
    "tau_m": 20.0, "v_threshold": 15.0, "v_reset": 0.0, "refractory": 2.0, "w": 1.0, "w_in": 20.0,
}  # fmt: skip
STDP = {
    "tau_m": 20.0, "tau_syn": 5.0, "v_threshold": 15.0, "v_reset": 0.0, "refractory": 2.0,
    "tau_plus": 20.0, "tau_minus": 20.0, "A_plus": 0.01, "A_minus": 0.0105, "w_max": 0.42,
    "delay": 0.1,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Workload:
    """One network and one duration.

    Attributes
    ----------
    name : str
    kind : str
        "cuba", "brunel", "delays", "sparse" or "stdp": which builder a simulator uses.
    dt, duration : float
        ms.
    neurons : int
        Neurons that are simulated (inputs not counted); rates are per one of them.
    parameters : dict of str to float
    arrays : dict of str to ndarray
        ``pre``, ``post``: synapses sorted by source. ``delay``: ticks. ``weight``.
        ``event_tick``, ``event_source``: input spikes, at most one of a source in a tick.
    """

    name: str
    kind: str
    dt: float
    duration: float
    neurons: int
    parameters: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def ticks(self) -> int:
        """Length of the run in ticks."""
        return round(self.duration / self.dt)

    @property
    def facts(self) -> dict[str, Any]:
        """What a table says about it."""
        synapses = self.arrays["pre"].size if "pre" in self.arrays else self.arrays["weight"].size
        return {
            "kind": self.kind,
            "dt_ms": self.dt,
            "duration_ms": self.duration,
            "neurons": self.neurons,
            "synapses": int(synapses),
            "input_events": int(self.arrays.get("event_tick", np.empty(0)).size),
        }

    def save(self, folder: Path) -> None:
        """Write everything to ``folder``, one file an array."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self.arrays.items():
            np.save(folder / f"{name}.npy", array)
        plain = ("name", "kind", "dt", "duration", "neurons", "parameters")
        meta = {key: getattr(self, key) for key in plain} | {"arrays": list(self.arrays)}
        (folder / "workload.json").write_text(json.dumps(meta))

    @classmethod
    def load(cls, folder: Path) -> Workload:
        """Read what :meth:`save` wrote."""
        meta = json.loads((folder / "workload.json").read_text())
        arrays = {name: np.load(folder / f"{name}.npy") for name in meta.pop("arrays")}
        return cls(**meta, arrays=arrays)


def _by_source(pre: np.ndarray, post: np.ndarray, sources: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort synapses by source, then target, in the smallest integers that hold them."""
    key = np.sort(pre.astype(np.int64).ravel() * sources + post.ravel())
    kind = np.uint16 if sources <= 2**16 else np.int32
    return (key // sources).astype(kind), (key % sources).astype(kind)


def _events(key: np.ndarray, sources: int) -> dict[str, np.ndarray]:
    """Return events from ``tick * sources + source``, doubles dropped."""
    key = np.unique(key)
    return {
        "event_tick": (key // sources).astype(np.int32),
        "event_source": (key % sources).astype(np.int32),
    }


def cuba(name: str, duration: float, neurons: int) -> Workload:
    """W1: 80 inputs a neuron, 64 of them from the excitatory four fifths."""
    rng = np.random.default_rng(1)
    excitatory = int(0.8 * neurons)
    sources = np.concatenate(
        [
            rng.integers(0, excitatory, (neurons, 64)),
            rng.integers(excitatory, neurons, (neurons, 16)),
        ],
        axis=1,
    )
    pre, post = _by_source(sources, np.repeat(np.arange(neurons), 80), neurons)
    start = CUBA["v_reset"] + 10.0 * rng.random(neurons)
    parameters = CUBA | {"excitatory": excitatory}
    arrays = {"pre": pre, "post": post, "v": start}
    return Workload(name, "cuba", 0.1, duration, neurons, parameters, arrays)


def brunel(name: str, duration: float, neurons: int = 12_500) -> Workload:
    """W2: each neuron has a tenth of the network as inputs, and a Poisson drive of 20 kHz.

    A smaller network keeps its 1,000 + 250 inputs a neuron, and so its regime.
    """
    rng = np.random.default_rng(2)
    excitatory = int(0.8 * neurons)
    sources = np.empty((neurons, 1250), np.int32)
    sources[:, :1000] = rng.integers(0, excitatory, (neurons, 1000))
    sources[:, 1000:] = rng.integers(excitatory, neurons, (neurons, 250))
    pre, post = _by_source(sources, np.repeat(np.arange(neurons), 1250), neurons)
    parameters = BRUNEL | {"excitatory": excitatory}
    return Workload(name, "brunel", 0.1, duration, neurons, parameters, {"pre": pre, "post": post})


def delays(name: str, duration: float, shape: str, dt: float) -> Workload:
    """W3: a million events a second on 128 x 128 x 2 channels; delays of 1 to 100 ms.

    ``conv``: each channel reaches a patch of 10 x 10 on a sheet of 128 x 128 (a torus);
    ``dense``: each reaches all of 64 neurons.
    """
    rng = np.random.default_rng(3)
    if shape == "conv":
        x, y, _ = np.unravel_index(np.arange(CHANNELS), (128, 128, 2))
        dx, dy = (d.ravel() for d in np.meshgrid(np.arange(-5, 5), np.arange(-5, 5), indexing="ij"))
        post = (x[:, None] + dx) % 128 * 128 + (y[:, None] + dy) % 128
        neurons, mean = 128 * 128, 0.010
    else:
        post = np.tile(np.arange(64), (CHANNELS, 1))
        neurons, mean = 64, 1.22 / 20_000.0
    fan = post.shape[1]
    weight = 2.0 * mean * rng.random(CHANNELS * fan)
    tenths = rng.integers(10, 1001, CHANNELS * fan)
    seconds = duration / 1000.0
    number = round(1_000_000 * seconds)
    when = rng.integers(0, round(10_000 * seconds), number)
    who = rng.integers(0, CHANNELS, number)
    arrays = {
        "pre": np.repeat(np.arange(CHANNELS, dtype=np.int32), fan),
        "post": post.ravel().astype(np.int32),
        "weight": weight,
        "delay": _on_grid(tenths, dt).astype(np.int32),
        **_events(_ticks(when, dt) * CHANNELS + who, CHANNELS),
    }
    return Workload(name, "delays", dt, duration, neurons, DELAYS, arrays)


def sparse(
    name: str, duration: float, dt: float, neurons: int = 100_000, rate: float = 0.1
) -> Workload:
    """W4: 100 delta synapses a neuron, delays 1 to 20 ms, single spikes forced at ``rate`` Hz."""
    rng = np.random.default_rng(4)
    pre = np.repeat(np.arange(neurons, dtype=np.int32), 100)
    post = rng.integers(0, neurons, pre.size).astype(np.int32)
    tenths = rng.integers(10, 201, pre.size)
    number = rng.poisson(neurons * rate * duration / 1000.0)
    when = rng.integers(0, round(10 * duration), number)
    who = rng.integers(0, neurons, number)
    arrays = {
        "pre": pre,
        "post": post,
        "delay": _on_grid(tenths, dt).astype(np.int32),
        **_events(_ticks(when, dt) * neurons + who, neurons),
    }
    return Workload(name, "sparse", dt, duration, neurons, SPARSE, arrays)


def stdp(name: str, duration: float, inputs: int = 1000, neurons: int = 1000) -> Workload:
    """W5: Poisson inputs of 15 Hz to all neurons, additive pair STDP at every synapse."""
    rng = np.random.default_rng(5)
    ticks = round(duration / 0.1)
    number = rng.poisson(15e-4 * ticks * inputs)
    key = rng.integers(0, ticks, number) * inputs + rng.integers(0, inputs, number)
    weight = STDP["w_max"] * rng.random((inputs, neurons)) * (1000.0 / inputs)
    parameters = STDP | {"inputs": inputs, "w_max": STDP["w_max"] * 1000.0 / inputs}
    arrays = {"weight": weight, **_events(key, inputs)}
    return Workload(name, "stdp", 0.1, duration, neurons, parameters, arrays)


def _on_grid(tenths: np.ndarray, dt: float) -> np.ndarray:
    """Turn delays in tenths of a ms into ticks, the nearest, at least one."""
    return np.maximum(1, np.floor(tenths * (0.1 / dt) + 0.5 + 1e-9)).astype(np.int64)


def _ticks(tenths: np.ndarray, dt: float) -> np.ndarray:
    """Turn times in tenths of a ms into the tick in which they lie."""
    return np.floor(tenths * (0.1 / dt) + 1e-9).astype(np.int64)


WORKLOADS: dict[str, Callable[[str, float], Workload]] = {
    "W1-4000": lambda name, ms: cuba(name, ms, 4_000),
    "W1-40000": lambda name, ms: cuba(name, ms, 40_000),
    "W2": brunel,
    "W3-conv": lambda name, ms: delays(name, ms, "conv", 0.1),
    "W3-conv-1ms": lambda name, ms: delays(name, ms, "conv", 1.0),
    "W3-dense": lambda name, ms: delays(name, ms, "dense", 0.1),
    "W3-dense-1ms": lambda name, ms: delays(name, ms, "dense", 1.0),
    "W4": lambda name, ms: sparse(name, ms, 0.1),
    "W4-1ms": lambda name, ms: sparse(name, ms, 1.0),
    "W4-0.01ms": lambda name, ms: sparse(name, ms, 0.01),
    "W5": stdp,
}
"""By name; call with the name and the duration in ms."""

DURATION = dict.fromkeys(WORKLOADS, 1000.0) | {"W5": 10_000.0}
"""Model time of a full run, ms."""

QUICK = {"W1-4000": 500.0, "W3-dense-1ms": 500.0, "W4": 200.0, "W5": 2000.0}
"""Model time of a quick run, ms; other workloads are left out."""

TOLERANCE = dict.fromkeys(WORKLOADS, 0.03) | {"W1-4000": 0.05, "W5": 0.05}
"""Relative difference of rates up to which a ratio of times means something. W1 with 4,000
neurons is chaotic; in W5 simulators differ by about 1 %."""

SLOW_IN_NEST = ("W1-40000", "W2", "W3-conv", "W3-conv-1ms", "W4")
"""NEST takes 8 to 45 s for each of these: fewer repeats, and the table says how many."""

LEARNING = ("W5",)
"""Where weights change: spikecore takes one thread."""

NOT_FOR = {"nest": ("W4-1ms", "W4-0.01ms")}
"""What a peer is not asked: these two compare a simulator with itself, over dt."""


def make(name: str, duration: float | None = None) -> Workload:
    """Draw the workload called ``name``, for its full duration or ``duration`` ms."""
    return WORKLOADS[name](name, DURATION[name] if duration is None else duration)
