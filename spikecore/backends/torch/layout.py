"""A lowered network as tensors: rows that cross projections, and cells that can be reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered, LoweredProjection

__all__ = ["Cells", "Rows", "cells_of", "merge_rows"]


@dataclass(frozen=True)
class Cells:
    """Where spikes arrive: the ports that have synapses, and no others.

    Attributes
    ----------
    first : dict of (int, int) to int
        First cell of (population, port); cell + i belongs to neuron i of the population.
    number : int
        Cells in all.
    """

    first: dict[tuple[int, int], int]
    number: int

    def of(self, lowered: Lowered, projection: LoweredProjection) -> int:
        """Return the first cell that ``projection`` reaches."""
        starts = [p.start for p in lowered.populations]
        return self.first[starts.index(projection.target_start), projection.port]


def cells_of(lowered: Lowered) -> Cells:
    """Give each cell of ``lowered`` a number."""
    reached = {(p.target_start, p.port) for p in lowered.projections}
    first: dict[tuple[int, int], int] = {}
    number = 0
    for i, p in enumerate(lowered.populations):
        for port in range(len(p.ports)):
            if (p.start, port) in reached:
                first[i, port] = number
                number += p.size
    return Cells(first, number)


@dataclass(frozen=True)
class Rows:
    """All synapses in the order of the contract: source, projection, row order.

    Attributes
    ----------
    start : tensor of int64, shape (n_neurons + 1,)
        Synapses of neuron i are ``start[i] .. start[i+1] - 1``.
    cell, delay : tensor of int32, shape (M,)
        Where and how many ticks later a spike arrives.
    where : tuple of tensor of int64
        For each projection: the place of each of its synapses among all. Empty for those
        that were left out.
    """

    start: torch.Tensor
    cell: torch.Tensor
    delay: torch.Tensor
    where: tuple[torch.Tensor, ...]

    def spread(self, weights: list[torch.Tensor]) -> torch.Tensor:
        """Return one weight per synapse from those of each projection, shape (M,)."""
        dtype = weights[0].dtype if weights else torch.float64
        out = torch.zeros(self.cell.numel(), dtype=dtype, device=self.cell.device)
        for where, own in zip(self.where, weights, strict=True):
            if where.numel():
                out[where] = own.expand(where.numel())
        return out


def merge_rows(
    lowered: Lowered, cells: Cells, device: torch.device, keep: npt.NDArray[np.bool_]
) -> Rows:
    """Merge the rows of the projections that ``keep`` names, on ``device``."""
    length = np.zeros(lowered.n_neurons, np.int64)
    before: list[npt.NDArray[np.int64]] = []
    for p, wanted in zip(lowered.projections, keep, strict=True):
        here = slice(p.source_start, p.source_start + p.source_size)
        before.append(length[here].copy())
        if wanted:
            length[here] += np.diff(p.row)
    start = np.zeros(lowered.n_neurons + 1, np.int64)
    np.cumsum(length, out=start[1:])
    total = int(start[-1])
    cell = torch.empty(total, dtype=torch.int32, device=device)
    delay = torch.empty(total, dtype=torch.int32, device=device)
    where = []
    for p, ahead, wanted in zip(lowered.projections, before, keep, strict=True):
        if not wanted:
            where.append(torch.empty(0, dtype=torch.int64, device=device))
            continue
        # Synapse j of source i moves by a shift that all synapses of i have in common.
        shift = start[p.source_start : p.source_start + p.source_size] + ahead - p.row[:-1]
        each = torch.from_numpy(np.diff(p.row)).to(device)
        place = torch.arange(p.size, device=device)
        place += torch.repeat_interleave(torch.from_numpy(shift).to(device), each)
        target = torch.from_numpy(p.target.view(np.int32)).to(device)
        cell[place] = target + cells.of(lowered, p)
        delay[place] = torch.from_numpy(p.delay.view(np.int32)).to(device).expand(p.size)
        where.append(place)
    return Rows(torch.from_numpy(start).to(device), cell, delay, tuple(where))
