"""A NIR graph as a network."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.inputs import Input
from spikecore.network import Network, Part, Projection
from spikecore.quantities import Quantity, magnitude, ms, mV, nA, off_grid
from spikecore.wiring import Pairs
from spikecore_hardware.nir_exchange.conventions import (
    DT,
    GROUPS,
    NIRRefused,
    alike,
    from_seconds,
    to_seconds,
)
from spikecore_hardware.nir_exchange.paths import TRANSFORMS, Way, ways_to
from spikecore_hardware.nir_exchange.units_in import NEURONS, SILENT, UnitIn

__all__ = ["from_nir"]

FloatArray = npt.NDArray[np.float64]


def from_nir(graph: nir.NIRGraph, dt: Quantity, *, pulse: Quantity | None = None) -> Network:
    """Return the network that a NIR graph describes.

    Parameters
    ----------
    graph : nir.NIRGraph
        Input, Output, LIF, IF, LI, I, CubaLIF, CubaLI, Threshold after one of the three
        that do not spike, Linear, Affine, Scale and Delay.
    dt : Quantity
        Tick of the network (time).
    pulse : Quantity, optional
        How long a spike of height 1 lasts in the graph (time). Default: what spikecore has
        noted in the graph, else dt. It is the dt of the program that wrote the graph.

    Returns
    -------
    Network
        Input and neuron nodes as groups of the same names, whose inputs are fed
        (:meth:`spikecore.Simulation.feed`); one projection for each matrix, named after it,
        or two, where one has weights of both signs.

    Raises
    ------
    NIRRefused
        If a node or connection cannot be run; all reasons are listed.
    InvalidInput, UnitMismatch
        If dt or pulse is not a positive time.

    Notes
    -----
    A connection without Delay takes one tick, the least there is. Neurons start at
    ``v_leak``: NIR says nothing about the start. They fire at ``v >= v_threshold``, where NIR
    says ``>``. Values that pass through seconds are rounded to 15 digits.
    """
    if not isinstance(graph, nir.NIRGraph):
        got = type(graph).__name__
        raise InvalidInput(
            "from_nir", "must be a NIRGraph", got=got, fix="read one: nir.read(path)"
        )
    tick = float(magnitude(dt, "time", "from_nir: dt", above=0.0, single=True))
    width = float(to_seconds(tick)) if pulse is None else None
    if width is None:
        width = float(to_seconds(magnitude(pulse, "time", "from_nir: pulse", above=0.0)))
    elif DT in graph.metadata:
        width = float(graph.metadata[DT])
    reader = _Reader(graph, tick, width)
    parts = reader.parts()
    if reader.reasons:
        fix = "change the graph, or read it with a program that knows these"
        raise NIRRefused("NIR graph", "cannot be run", reader.reasons, fix)
    return Network(parts, dt=tick * ms)


class _Reader:
    """A graph being read; what cannot be run is collected in ``reasons``."""

    def __init__(self, graph: nir.NIRGraph, dt: float, pulse: float) -> None:
        self.dt = dt
        noted = _text(graph.metadata.get(GROUPS, "")).split("\n")
        added = {n for n in graph.inputs if noted != [""] and n not in noted and _added(graph, n)}
        self.nodes: dict[str, Any] = {n: x for n, x in graph.nodes.items() if n not in added}
        self.edges = [(str(a), str(b)) for a, b in graph.edges if a not in added]
        self.reasons: list[str] = []
        self.units = {
            name: UnitIn(name, node, pulse)
            for name, node in self.nodes.items()
            if isinstance(node, NEURONS)
        }
        self.sends = {name: name for name in self.units}
        self.order = self._order(noted)
        self._check_kinds()
        self._join_thresholds()
        for unit in self.units.values():
            self.reasons += unit.reasons()

    def parts(self) -> list[Part]:
        """Return inputs, populations and projections; nothing that counts after a reason."""
        if self.reasons:
            return []
        projections, biases = self._projections()
        if self.reasons:
            return []
        groups: list[Part] = []
        for name in self.order:
            if name in self.units:
                groups.append(self.units[name].population(biases.get(name)))
            else:
                groups.append(Input(name, self._size(name)))
        return [*groups, *projections]

    def _size(self, name: str) -> int:
        return int(np.prod(self.nodes[name].output_type["output"]))

    def _order(self, noted: list[str]) -> list[str]:
        """Return the groups in the order noted in the graph, else in that of its edges."""
        groups = [n for n, x in self.nodes.items() if isinstance(x, (*NEURONS, nir.Input))]
        if sorted(noted) == sorted(groups):
            return noted
        seen = [name for edge in self.edges for name in edge if name in groups]
        return list(dict.fromkeys([*seen, *groups]))

    def _check_kinds(self) -> None:
        known = (*NEURONS, *TRANSFORMS, nir.Input, nir.Output, nir.Threshold)
        for name, node in self.nodes.items():
            if not isinstance(node, known):
                self.reasons.append(f"node {name!r}: {type(node).__name__} is not supported")
            elif "\n" in name or not name.isprintable():
                self.reasons.append(f"node {name!r}: its name is not printable")
        for edge in self.edges:
            for end in edge:
                if end not in self.nodes:
                    self.reasons.append(f"edge {edge}: there is no node {end!r}")

    def _join_thresholds(self) -> None:
        for name, node in self.nodes.items():
            if not isinstance(node, nir.Threshold):
                continue
            before = [a for a, b in self.edges if b == name]
            if len(before) == 1 and isinstance(self.nodes.get(before[0]), SILENT):
                self.units[before[0]].threshold = node
                self.sends[before[0]] = name
            else:
                self.reasons.append(f"node {name!r}: a Threshold must follow one LI, I or CubaLI")

    def _projections(self) -> tuple[list[Projection], dict[str, FloatArray]]:
        projections: list[Projection] = []
        biases: dict[str, FloatArray] = {}
        speakers = {self.sends[name]: name for name in self.units}
        for last, target in self.edges:
            if target not in self.units:
                continue
            counted: set[str] = set()
            for way in self._ways(target, last):
                source = speakers.get(way.source, way.source)
                self._check_source(way.source, source, target)
                size, wanted = self._size(way.source), self._size(target)
                self.reasons += way.follow(self.nodes, size, wanted)
                if self.reasons:
                    continue
                for name, bias in way.biases.items():
                    if name not in counted:
                        counted.add(name)
                        biases[target] = biases.get(target, 0.0) + bias
                taken = {p.name for p in projections}
                projections += self._wire(way, source, taken)
        for name in biases:
            if isinstance(self.units[name].node, nir.CubaLIF | nir.CubaLI):
                self.reasons.append(
                    f"node {name!r}: a bias into a {type(self.units[name].node).__name__} rises "
                    "with tau_syn, which no constant current does"
                )
        return projections, biases

    def _ways(self, target: str, last: str) -> list[Way]:
        try:
            return list(ways_to(target, last, self.nodes, self.edges))
        except RecursionError as error:
            self.reasons.append(f"node {error.args[0]!r}: a circle without neurons")
            return []

    def _check_source(self, node: str, source: str, target: str) -> None:
        unit = self.units.get(source)
        if unit is not None and isinstance(unit.node, SILENT) and node == source:
            self.reasons.append(
                f"node {node!r}: {type(unit.node).__name__} gives a signal, not spikes, to "
                f"{target!r}"
            )

    def _wire(self, way: Way, source: str, taken: set[str]) -> list[Projection]:
        """Return the projection of one way, or two where weights have both signs."""
        unit = self.units[way.target]
        pre, post, weight, delay = way.synapses(self._size(way.source))
        jump = unit.jump()
        if jump is not None:
            weight = weight * jump[post]
        time = from_seconds(delay) if way.delayed else np.full(pre.size, self.dt)
        place = " -> ".join((source, *way.through, way.target))
        for wrong, what in (
            (off_grid(time, self.dt), f"delays off the grid of dt = {self.dt:g} ms"),
            (time < self.dt / 2, "delays below one tick"),
            (~np.isfinite(weight), "weights that are not finite"),
        ):
            if wrong.any():
                self.reasons.append(f"{place}: {int(wrong.sum())} {what}")
                return []
        dimension = nA if isinstance(unit.node, nir.CubaLIF | nir.CubaLI) else mV
        name = way.name or f"{source}->{way.target}"
        while name in taken:
            name += "'"
        found: list[Projection] = []
        for port, sign, own in _ports(way.port, weight):
            if own.any():
                found.append(
                    Projection(
                        source,
                        way.target,
                        Pairs(pre[own], post[own]),
                        weight=sign * weight[own] * dimension,
                        delay=alike(time[own]) * ms,
                        port=port,
                        name=name if not found else f"{name} {port}",
                    )
                )
        return found


def _added(graph: nir.NIRGraph, name: str) -> bool:
    """Return whether the library nir has added this Input, for a neuron that hears nothing."""
    target = name.removeprefix("input_")
    around = [edge for edge in graph.edges if name in edge or edge[1] == target]
    return around == [(name, target)]


def _text(value: str | bytes) -> str:
    """Return text that may have come from a file."""
    return value.decode() if isinstance(value, bytes) else value


def _ports(noted: str | None, weight: FloatArray) -> list[tuple[str, float, npt.NDArray[np.bool_]]]:
    """Return port, sign and synapses: as noted, or by the signs of the weights."""
    every = np.ones(weight.size, bool)
    if noted == "exc":
        return [("exc", 1.0, every)]
    if noted == "inh" and np.all(weight <= 0):
        return [("inh", -1.0, every)]
    return [("exc", 1.0, weight > 0), ("inh", -1.0, weight < 0)]
