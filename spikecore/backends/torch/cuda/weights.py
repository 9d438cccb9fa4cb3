"""Weights in the tables of a GPU, as whole numbers of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered
from spikecore.backends.torch.cuda.network import DeviceNetwork
from spikecore.backends.torch.cuda.scales import MOST_GIVEN, Scale, scales_of
from spikecore.backends.torch.cuda.tables import DRIVE, POPULATION
from spikecore.inputs import PoissonCounts

__all__ = ["WeightTables", "most_given"]

IndexArray = npt.NDArray[np.int64]
AnyArray = npt.NDArray[Any]


def most_given(lowered: Lowered, number: int) -> int:
    """Return how many spikes of a neuron of input ``number`` sums have room for in a tick."""
    bound = lowered.inputs[number]
    counted = isinstance(bound.input.source, PoissonCounts)
    return MOST_GIVEN + (int(bound.counts.steps.shape[1]) if counted else 0)


class WeightTables:
    """Everything on the device that depends on weights.

    Parameters
    ----------
    network : DeviceNetwork
    ring : tensor, shape (slots, items, cells)
        Sums on their way, in steps; when the steps change, they change too.

    Attributes
    ----------
    scales : dict of int to Scale
        The step of sums, for each first cell of a population's port.
    population_table, drive, drive_steps : tensor
        What kernels read.
    """

    def __init__(self, network: DeviceNetwork, ring: torch.Tensor) -> None:
        self.network, self.ring = network, ring
        self.scales: dict[int, Scale] = {}

    def set(self, weights: list[AnyArray]) -> None:
        """Take over the weights of all projections, and choose the steps of sums anew."""
        low, net = self.network.lowered, self.network
        sources = [net.input_of(i) for i in range(len(weights))]
        most = {i: most_given(low, k) if k >= 0 else 1 for i, k in enumerate(sources)}
        before, size = self.scales, self.ring.element_size()
        self.scales = scales_of(low, net.cells, weights, size, most, self._under_way())
        if before and before != self.scales:
            self._rescale(before)
        self._apply(weights)

    def restore(self, scales: AnyArray) -> None:
        """Return to steps that :meth:`stored` gave, with the weights as they were set last."""
        stored = {
            first: Scale(int(exponent), float(bound))
            for first, (exponent, bound) in zip(self.scales, scales, strict=True)
        }
        if stored != self.scales:
            learned = {i: own["weight"].clone() for i, own in self.network.learned.items()}
            self.scales = stored
            self._apply(self.given)
            for i, weight in learned.items():
                self.network.learned[i]["weight"].copy_(weight)

    def stored(self) -> AnyArray:
        """Return the steps as an array, shape (groups of cells, 2)."""
        scales = [(scale.exponent, scale.log_bound) for scale in self.scales.values()]
        return np.array(scales, np.float64).reshape(-1, 2)

    def _apply(self, weights: list[AnyArray]) -> None:
        """Enter ``weights`` into the synapses, in the present steps."""
        self.given = [weight.copy() for weight in weights]
        for i, weight in enumerate(weights):
            p = self.network.lowered.projections[i]
            values = torch.from_numpy(weight).to(
                device=self.network.device, dtype=self.network.dtype
            )
            if i in self.network.learned:
                self.network.learned[i]["weight"][:] = values
            elif p.size:
                self._write(i, values)
        self._enter_weights(weights)

    def _under_way(self) -> dict[int, float]:
        """Return the largest sum that is waiting, for each group of cells."""
        if not self.scales or not bool(self.ring.any()):
            return {}
        found = {}
        for (i, _), first in self.network.cells.first.items():
            here = self.ring[:, :, first : first + self.network.lowered.populations[i].size]
            found[first] = float(here.double().abs().max()) * self.scales[first].step
        return found

    def _write(self, i: int, weight: torch.Tensor) -> None:
        p, where = self.network.lowered.projections[i], self.network.where[i]
        per_unit = self.scales[self.network.cells.of(self.network.lowered, p)].per_unit
        steps = torch.round(weight.double() * per_unit).to(torch.int64)
        if self.network.delay_bits:
            self.network.synapse[where, 1] = steps.to(torch.int32).expand(p.size)
        else:
            halves = steps.view(torch.int32).view(-1, 2).expand(p.size, 2)
            self.network.synapse[where, 2:] = halves

    def _rescale(self, before: dict[int, Scale]) -> None:
        for (i, _), first in self.network.cells.first.items():
            size = self.network.lowered.populations[i].size
            here = self.ring[:, :, first : first + size]
            moved = here.double() * 2.0 ** (self.scales[first].exponent - before[first].exponent)
            here.copy_(torch.round(moved).to(self.ring.dtype))

    def _enter_weights(self, weights: list[AnyArray]) -> None:
        """Enter what depends on the weights into the tables."""
        self._enter_drives(weights)
        for entry in self.network.populations:
            for port, first in enumerate(entry["cell"].tolist()):
                entry["step"][port] = self.scales[first].step if first >= 0 else 0.0
        table = np.array(self.network.populations, POPULATION).view(np.int64).reshape(-1)
        self.population_table = torch.from_numpy(table.copy()).to(self.network.device)
        for i, entry in self.network.learning.items():
            first = self.network.cells.of(self.network.lowered, self.network.lowered.projections[i])
            entry["per_unit"] = self.scales[first].per_unit

    def _enter_drives(self, weights: list[AnyArray]) -> None:
        """List, for each neuron, the synapses from inputs that are drawn here.

        All neurons of a population have the same number of places, some of them empty.
        """
        low = self.network.lowered
        steps, begin = [np.empty(0, np.uint64)], 0
        begins: dict[int, int] = {}
        for number in sorted(self.network.draws):
            begins[number] = begin
            steps.append(low.inputs[number].counts.steps.ravel())
            begin += steps[-1].size
        drives = [np.empty(0, DRIVE)]
        for entry, population in zip(self.network.populations, low.populations, strict=True):
            entry["drive_first"], entry["drives"] = sum(d.size for d in drives), 0
            own = [
                i
                for i in self.network.driving
                if low.projections[i].target_start == population.start
            ]
            if not own:
                continue
            found, target = zip(*(self._drive(i, weights[i], begins) for i in own), strict=True)
            who = np.concatenate(target)
            order = np.argsort(who, kind="stable")
            each = np.bincount(who, minlength=population.size)
            width = int(each.max())
            places = np.zeros((population.size, width), DRIVE)
            rank = np.arange(who.size) - np.repeat(np.cumsum(each) - each, each)
            places[who[order], rank] = np.concatenate(found)[order]
            entry["drives"] = width
            drives.append(places.ravel())
        flat = np.concatenate(drives).view(np.int64).reshape(-1)
        self.drive = torch.from_numpy(flat).to(self.network.device)
        self.drive_steps = torch.from_numpy(np.concatenate(steps).view(np.int64)).to(
            self.network.device
        )

    def _drive(
        self, i: int, weight: AnyArray, begins: dict[int, int]
    ) -> tuple[npt.NDArray[np.void], IndexArray]:
        p = self.network.lowered.projections[i]
        number = self.network.input_of(i)
        counts = self.network.lowered.inputs[number].counts
        entry = np.zeros(p.size, DRIVE)
        entry["key"], entry["neuron"] = counts.key, p.source
        entry["delay"], entry["port"] = p.delay, p.port
        entry["steps"] = counts.steps.shape[1]
        entry["begin"] = begins[number] + counts.kind[p.source] * counts.steps.shape[1]
        per_unit = self.scales[self.network.cells.of(self.network.lowered, p)].per_unit
        entry["weight"] = np.rint(weight.astype(np.float64) * per_unit).astype(np.int64)
        return entry, p.target.astype(np.int64)
