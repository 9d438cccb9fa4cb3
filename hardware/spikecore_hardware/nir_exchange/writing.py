"""A network as a NIR graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import LoweredProjection, lower
from spikecore.errors import InvalidInput, UnknownName
from spikecore.network import Network
from spikecore_hardware.nir_exchange.conventions import (
    DT,
    GROUPS,
    PORT,
    NIRRefused,
    rounded,
    to_seconds,
)
from spikecore_hardware.nir_exchange.units_out import UnitOut, describe

__all__ = ["to_nir"]

FloatArray = npt.NDArray[np.float64]

MAX_BYTES = 4_000_000_000
DELAYS = ("all", "longer")


def to_nir(
    network: Network, *, seed: int = 0, delays: str = "all", outputs: Sequence[str] | None = None
) -> nir.NIRGraph:
    """Return ``network`` as a NIR graph.

    Parameters
    ----------
    network : Network
        LIF neurons without adaptation and refractory period, under the step rule
        ``exact``; units of one state; static synapses. Trains, noise and probes are no
        part of a graph: an input becomes a place where spikes come in.
    seed : int
        Of the wiring, weights and delays that are drawn.
    delays : {"all", "longer"}
        Which delays get a Delay node: all, or those longer than one tick. Few readers
        know Delay nodes; where there is none, a reader that steps layer by layer takes
        no time or a step, and :func:`from_nir` takes one tick.
    outputs : sequence of str, optional
        Populations with an Output node. Default: those that send to no other; all, if
        every one does.

    Returns
    -------
    nir.NIRGraph
        One node for each group, and for each projection and delay a Linear (Affine, where
        a constant current is added) after a Delay.

    Raises
    ------
    NIRRefused
        If NIR has no words for a part of the network; all reasons are listed.
    UnknownName
        If an output is no population, or ``delays`` is something else.

    Notes
    -----
    Times in s. Voltages in mV, relative to rest: ``v_leak = 0``. Weights in mV (delta
    synapses) or nA. A spike is a pulse of height 1 and one tick long, so
    ``r = tau / dt``, and ``w_in = R tau_syn / tau_mem`` for exponential synapses. This is
    what snnTorch writes and reads, at its dt of 0.1 ms.
    """
    if not isinstance(network, Network):
        got = type(network).__name__
        raise InvalidInput("to_nir", "must be a Network", got=got, fix="build one: Network([...])")
    if delays not in DELAYS:
        raise UnknownName("to_nir: delays", str(delays), DELAYS)
    names = [p.name for p in network.populations]
    for name in outputs or ():
        if name not in names:
            raise UnknownName("to_nir: outputs", name, names)
    units = {p.name: describe(network, p) for p in network.populations}
    lowered = lower(network, seed)
    reasons = [reason for unit in units.values() for reason in unit.reasons]
    reasons += [r for p in lowered.projections for r in _projection_reasons(p)]
    reasons += _name_reasons(network)
    if not _entries(network):
        reasons.append("nothing comes in: every population hears from another, none from an input")
    needed = sum(8 * p.source_size * p.target_size * _distinct(p) for p in lowered.projections)
    if needed > MAX_BYTES:
        reasons.append(f"its weights as matrices would take {needed / 1e9:.1f} GB")
    if reasons:
        fix = "leave these out, or change them"
        raise NIRRefused("NIR", "cannot say this network", reasons, fix)
    graph = _Graph(network.dt, units)
    for group in network.inputs:
        graph.nodes[group.name] = nir.Input(input_type={"input": np.array([group.size])})
    for unit in units.values():
        graph.add_unit(unit)
    for p in lowered.projections:
        graph.add_projection(network, p, delays)
    for name in outputs or _ends(network):
        node = graph.new(f"{name} output", nir.Output({"output": np.array([units[name].size])}))
        graph.edges.append((units[name].sends, node))
    metadata = {
        DT: float(to_seconds(network.dt)),
        GROUPS: "\n".join(g.name for g in network.groups),
    }
    return nir.NIRGraph(graph.nodes, graph.edges, metadata=metadata)


class _Graph:
    """Nodes and edges in the making."""

    def __init__(self, dt: float, units: dict[str, UnitOut]) -> None:
        self.dt = dt
        self.units = units
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.pending = {name: u.bias for name, u in units.items() if u.bias is not None}

    def new(self, name: str, node: Any) -> str:
        """Add a node under this name, or, if that is taken, one like it."""
        while name in self.nodes or name in self.units:
            name += "'"
        self.nodes[name] = node
        return name

    def add_unit(self, unit: UnitOut) -> None:
        """Add the node of a population, and the threshold that it may have apart."""
        self.nodes[unit.name] = unit.node
        if unit.threshold is not None:
            unit.sends = self.new(f"{unit.name} threshold", unit.threshold)
            self.edges.append((unit.name, unit.sends))

    def add_projection(self, network: Network, p: LoweredProjection, delays: str) -> None:
        """Add the matrix of each delay."""
        described = network.projection(p.name)
        source, target = described.pre_name, described.post_name
        start = self.units[source].sends if source in self.units else source
        sign = self.units[target].signs[described.port]
        matrices = list(_matrices(p))
        for ticks, weight in matrices:
            name = p.name if len(matrices) == 1 else f"{p.name} after {ticks * self.dt:g} ms"
            bias = self.pending.pop(target, None)
            if bias is None:
                node: Any = nir.Linear(weight=sign * weight, metadata={PORT: described.port})
            else:
                node = nir.Affine(weight=sign * weight, bias=bias, metadata={PORT: described.port})
            name = self.new(name, node)
            before = start
            if delays == "all" or ticks > 1:
                delay = np.full(p.source_size, to_seconds(rounded(ticks * self.dt)))
                before = self.new(f"{name} delay", nir.Delay(delay))
                self.edges.append((start, before))
            self.edges += [(before, name), (name, target)]


def _matrices(p: LoweredProjection) -> Iterator[tuple[int, FloatArray]]:
    """Yield each delay (ticks) and its weights, shape (targets, sources)."""
    weight = np.broadcast_to(p.weight, (p.size,))
    delay = np.broadcast_to(p.delay, (p.size,))
    for ticks in np.unique(delay):
        own = delay == ticks
        matrix = np.zeros((p.target_size, p.source_size))
        matrix[p.target[own], p.source[own]] = weight[own]
        yield int(ticks), matrix


def _distinct(p: LoweredProjection) -> int:
    return int(np.unique(p.delay).size) if p.size else 0


def _projection_reasons(p: LoweredProjection) -> list[str]:
    reasons, place = [], f"projection {p.name!r}"
    if p.plasticity is not None:
        reasons.append(f"{place}: {type(p.plasticity).__name__}: NIR has no learning rules")
    if p.modulations:
        reasons.append(f"{place}: a modulation: NIR's weights do not depend on states")
    if not p.size:
        reasons.append(f"{place}: has no synapses")
    delay = np.broadcast_to(p.delay, (p.size,)).astype(np.int64)
    key = np.stack([p.source, p.target.astype(np.int64), delay])
    again = p.size - np.unique(key, axis=1).shape[1]
    if again:
        reasons.append(
            f"{place}: {again} synapse(s) with the source, target and delay of another: a matrix "
            "has one entry for them"
        )
    return reasons


def _name_reasons(network: Network) -> list[str]:
    named = [("group", g.name) for g in network.groups]
    named += [("projection", p.name) for p in network.projections]
    return [f"{what} {n!r}: a file cannot hold this name" for what, n in named if _parts(n)]


def _parts(name: str) -> bool:
    """Return whether HDF5 would take a name for a path."""
    return "/" in name or name == "."


def _entries(network: Network) -> set[str]:
    """Return the inputs that send, and the populations that nothing sends to."""
    sending = {p.pre_name for p in network.projections}
    reached = {p.post_name for p in network.projections}
    entries = {i.name for i in network.inputs} & sending
    return entries | ({p.name for p in network.populations} - reached)


def _ends(network: Network) -> list[str]:
    """Return the populations that send to no other, or all, if every one does."""
    sending = {p.pre_name for p in network.projections if p.pre_name != p.post_name}
    names = [p.name for p in network.populations]
    return [name for name in names if name not in sending] or names
