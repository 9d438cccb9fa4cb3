"""Small networks: the tick contract, every unit, every rule, the memory and the motif layer.

The numbers in ``covers`` are the lines of the contract in docs/semantics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spikecore.conformance import networks
from spikecore.modulation import ActsOn
from spikecore.network import Network
from spikecore.quantities import Quantity, ms, mV, nA, uM
from spikecore.results import Result
from spikecore.simulate import Simulation
from spikecore.units import LIF, AdaptiveThreshold, Alpha, AstroLIF, Delta, Exponential, SlowTrace
from spikecore.wiring import Uniform

__all__ = ["CASES", "Case"]

New = Callable[[], Simulation]


@dataclass(frozen=True)
class Case:
    """One network and what is done with it.

    Attributes
    ----------
    name : str
    covers : str
        Lines of the contract, or what else it stands for.
    network : callable
        Builds the network.
    play : callable
        Takes a maker of simulations; returns the result that backends are compared by.
    topic : str
        Key of :attr:`Capabilities.departs` under which a backend may declare that its
        result differs.
    """

    name: str
    covers: str
    network: Callable[[], Network]
    play: Callable[[New], Result]
    topic: str = ""


def _plain(duration: Quantity) -> Callable[[New], Result]:
    return lambda new: new().run(duration)


# -- what is done with them ---------------------------------------------------------


def _pieces(new: New) -> Result:
    simulation = new()
    simulation.run(40 * ms)
    return simulation.run(60 * ms)


def _checkpoint(new: New) -> Result:
    simulation, other = new(), new()
    simulation.run(40 * ms)
    with TemporaryDirectory() as folder:
        simulation.save(Path(folder) / "checkpoint")
        other.restore(Path(folder) / "checkpoint")
    return other.run(60 * ms)


def _fed(new: New) -> Result:
    simulation = new()
    simulation.feed("in", np.array([1, 3, 3, 40]) * ms, [0, 1, 2, 1])
    simulation.run(20 * ms)
    simulation.feed("in", np.array([20, 25]) * ms, [2, 0])
    return simulation.run(40 * ms)


def _set_and_cleared(new: New) -> Result:
    simulation = new()
    simulation.feed("in", np.array([0, 4]) * ms, [0, 1])
    simulation.run(60 * ms)
    simulation.clear()
    simulation.set_weights("in->n", 15.5)
    simulation.feed("in", np.array([0, 4]) * ms, [0, 1])
    return simulation.run(60 * ms)


_run = _plain(100 * ms)
_delta = LIF(synapse=Delta())
_every_refractory = LIF(synapse=Delta(), refractory=np.arange(6) * ms)
_fine = LIF(synapse=Delta(), refractory=0.3 * ms)
_adapts = {"adaptation": AdaptiveThreshold(2 * mV, 30 * ms), "i_offset": 8 * nA}

_glia = AstroLIF(
    LIF(refractory=2 * ms),
    SlowTrace(80 * ms, 10 * ms, 3.0),
    current=4 * nA,
    threshold=1 * mV,
    own=0.5 * uM,
)
_ACTIONS: tuple[ActsOn, ...] = ("delivery", "learning", "depression")

_SYNAPSES: dict[str, Delta | Exponential | Alpha] = {
    "delta": Delta(),
    "exponential": Exponential(5 * ms, 3 * ms),
    "exponential, tau_m equal": Exponential(20 * ms, 3 * ms),
    "alpha": Alpha(4 * ms, 4 * ms),
}
_CONVENTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "nearest pairs": {"pairing": "nearest"},
    "coincidence potentiates": {"coincidence": "potentiate"},
    "coincidence ignored": {"coincidence": "ignore"},
    "no post delay": {"post_delay": "none"},
    "clamp at updates": {"clamp": "update"},
    "table of 2048": {"window": "table2048"},
    "multiplicative": {"dependence": "multiplicative"},
}


def _own(matrix: list[list[float]], h: list[float], weight: float) -> Callable[[], Network]:
    return partial(networks.own, matrix, h, weight * mV)


CASES: tuple[Case, ...] = (
    Case(
        "a grid of 0.1 ms",
        "1",
        partial(networks.regular, [0.7, 0.9], _fine, 20 * mV, 0.1),
        _plain(4 * ms),
    ),
    *(
        Case(f"{name}, {step}", f"2; {step} rule", partial(networks.lif, synapse, step), _run)
        for name, synapse in _SYNAPSES.items()
        for step in ("exact", "spinnaker")
    ),
    Case(
        "a threshold met exactly",
        "2",
        partial(networks.regular, [3, 9], _delta, 15 * mV),
        _plain(20 * ms),
    ),
    Case("a threshold met by rounding", "2", networks.tenths, _run, "ties"),
    Case("adaptive threshold", "unit", partial(networks.lif, Exponential(), **_adapts), _run),
    Case("every neuron different", "unit", networks.different_neurons, _run),
    Case("own unit", "unit", _own([[-0.2, 0.0], [0.3, -0.05]], [0.25, 1.0], 6), _run),
    Case("own unit, no leak", "unit", _own([[-0.2, 0.0], [0.3, 0.0]], [0.0, 1.0], 4), _run),
    Case("own unit, resonates", "unit", _own([[-0.1, -0.3], [0.3, -0.1]], [0.0, 1.0], 6), _run),
    Case(
        "refractory periods 0 to 5",
        "3",
        partial(networks.regular, list(range(40)), _every_refractory, 20 * mV),
        _plain(45 * ms),
    ),
    Case("sums in one projection", "4", networks.one_sum, _plain(11 * ms), "order of sums"),
    Case("sums over projections", "4", networks.two_sums, _plain(11 * ms), "order of sums"),
    Case(
        "two spikes in a tick",
        "4",
        partial(networks.regular, [3, 3, 9, 9, 9], _delta, 8 * mV),
        _plain(20 * ms),
    ),
    Case("two spikes in a tick, learning", "4", partial(networks.learning, 2), _run),
    Case("everything drawn", "5", networks.busy, _plain(400 * ms)),
    Case("counts drawn tick by tick", "5", networks.counted, _run),
    Case("pieces", "6", networks.learning, _pieces),
    Case("a checkpoint", "6", networks.learning, _checkpoint),
    Case("fed while it runs", "6", networks.feedable, _fed),
    Case("weights set, states cleared", "6", networks.feedable, _set_and_cleared),
    Case(
        "delays longer than the run",
        "7",
        partial(networks.noisy, _delta, 6 * mV, delay=Uniform(1 * ms, 300 * ms)),
        _run,
    ),
    *(
        Case(f"STDP: {name}", "rule", partial(networks.learning, **convention), _run)
        for name, convention in _CONVENTIONS.items()
    ),
    Case("neurons with astrocytes", "glia; unit", partial(networks.noisy, _glia, 12 * nA), _run),
    Case("neurons with slow traces, spinnaker", "glia; unit", networks.slow_traces, _run),
    *(
        Case(f"astrocytes act on {what}", "glia", partial(networks.astrocytes, what), _run)
        for what in _ACTIONS
    ),
    Case("calcium and slow inward current", "glia; stepped", networks.calcium, _run),
    Case("gliotransmitter and gap junctions", "glia; stepped", networks.gliotransmission, _run),
    Case("a state overflows", "ending", networks.overflow, _plain(20 * ms)),
    Case("delay-motif layer", "motifs", networks.motifs, _run),
    Case("CA3 memory, published", "memory", partial(networks.memory, "published"), _plain(90 * ms)),
    Case("CA3 memory, robust", "memory", partial(networks.memory, "robust"), _plain(90 * ms)),
)
