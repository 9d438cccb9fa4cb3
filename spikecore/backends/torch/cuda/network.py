"""A network in the memory of a GPU: what stays as it is while it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered, LoweredPopulation
from spikecore.backends.torch.cuda.tables import BLOCK, LEARNING, POPULATION, shape_of
from spikecore.backends.torch.layout import cells_of, merge_rows
from spikecore.inputs import PoissonCounts

__all__ = ["LAST_TICK", "DeviceNetwork"]

AnyArray = npt.NDArray[Any]

LAST_TICK = 2**30
"""Ticks that a run may have: states keep the tick of their last event in 32 bits."""


class DeviceNetwork:
    """Where the neurons and synapses of a batch of copies of one network lie on the device.

    Parameters
    ----------
    lowered : Lowered
    items : int
        Copies, which share their static synapses.
    dtype : torch.dtype
        Of states and weights.

    Attributes
    ----------
    cells : Cells
        Where arrivals are summed.
    draws : frozenset of int
        The inputs whose spikes are drawn on the device.
    plastic, driving : list of int
        Projections that learn, and those from the inputs in ``draws``.
    populations, learning : list, dict of structure
        What kernels read of populations and of projections that learn.
    learned : dict of int to dict of tensor
        Weights and traces of the projections that learn, shape (items, M) each.
    row, synapse : tensor
        Static synapses, by source: target cell, delay, weight.
    """

    def __init__(self, lowered: Lowered, items: int, dtype: torch.dtype) -> None:
        self.lowered, self.items, self.dtype = lowered, items, dtype
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.cells = cells_of(lowered)
        self.draws = _drawn_here(lowered)
        self.plastic = [i for i, p in enumerate(lowered.projections) if p.plasticity is not None]
        self.driving = [
            i for i in range(len(lowered.projections)) if self.input_of(i) in self.draws
        ]
        self._kept: list[torch.Tensor] = []  # what structures point at
        self._place()
        self._load_rows()
        self._make_learning()
        self.x_first = np.cumsum([0, *(items * p.initial.size for p in lowered.populations)])
        self.populations = [self._population(i, p) for i, p in enumerate(lowered.populations)]
        learning = [i for i in self.plastic if lowered.projections[i].size]
        self.learning = {i: self._learning_entry(i) for i in learning}

    def input_of(self, projection: int) -> int:
        """Return the number of the input that a projection comes from, or -1."""
        starts = [self.lowered.groups[b.input.name][0] for b in self.lowered.inputs]
        first = self.lowered.projections[projection].source_start
        return starts.index(first) if first in starts else -1

    def keep(self, array: AnyArray | torch.Tensor) -> int:
        """Put ``array`` on the device for good and return its address."""
        given = array if isinstance(array, torch.Tensor) else torch.from_numpy(array.copy())
        tensor = given.to(self.device).contiguous()
        self._kept.append(tensor)
        return int(tensor.data_ptr())

    def _place(self) -> None:
        """Fill populations up to whole blocks of threads."""
        blocks: list[int] = []
        numbers = [np.empty(0, np.int64)]
        self.first: list[int] = []
        for i, p in enumerate(self.lowered.populations):
            self.first.append(len(blocks) * BLOCK)
            count = -(-p.size // BLOCK)
            blocks += [i] * count
            number = np.full(count * BLOCK, -1)
            number[: p.size] = np.arange(p.size) + p.start
            numbers.append(number)
        self.blocks = len(blocks)
        self.words = max(1, self.blocks * BLOCK // 32)
        self.number = torch.from_numpy(np.concatenate(numbers)).to(self.device)
        self.block_table = self.keep(np.array(blocks, np.int32))

    def _load_rows(self) -> None:
        low = self.lowered
        keep = np.ones(len(low.projections), bool)
        keep[self.plastic] = False
        rows = merge_rows(low, self.cells, self.device, keep)
        self.row, self.where = rows.start, rows.where
        bits = low.max_delay.bit_length()
        fits = self.cells.number.bit_length() + bits <= 32  # noqa: PLR2004 - a word
        self.delay_bits = bits if self.dtype == torch.float32 and fits else 0
        self.synapses = count = rows.cell.numel()  # and room for whole prefetches behind them
        if self.delay_bits:
            self.synapse = torch.zeros((count + 2, 2), dtype=torch.int32, device=self.device)
            self.synapse[:count, 0] = (rows.cell << self.delay_bits) | rows.delay
        else:
            self.synapse = torch.zeros((count + 1, 4), dtype=torch.int32, device=self.device)
            self.synapse[:count, 0], self.synapse[:count, 1] = rows.cell, rows.delay

    def _make_learning(self) -> None:
        self.learned: dict[int, dict[str, torch.Tensor]] = {}
        for i in self.plastic:
            size = self.lowered.projections[i].size
            real = torch.zeros((self.items, size), dtype=self.dtype, device=self.device)
            at = torch.zeros((self.items, size), dtype=torch.int64, device=self.device)
            self.learned[i] = {
                "weight": real,
                "sent": real.clone(),
                "x": real.clone(),
                "y": real.clone(),
                "x_at": at,
                "y_at": at.clone(),
            }

    def _population(self, i: int, p: LoweredPopulation) -> np.ndarray[Any, Any]:
        def real(array: AnyArray) -> int:
            return self.keep(torch.from_numpy(np.ascontiguousarray(array)).to(self.dtype))

        entry = np.zeros((), POPULATION)
        entry["first"], entry["size"], entry["number"] = self.first[i], p.size, p.start
        entry["kinds"] = p.table.free.shape[0]
        entry["radix_bits"] = p.table.radix.bit_length() - 1
        entry["positions"] = p.table.free.shape[1]
        shapes = sorted({shape_of(other) for other in self.lowered.populations})
        entry["kind"] = shapes.index(shape_of(p))
        entry["cell"] = -1
        for port in range(len(p.ports)):
            entry["cell"][port] = self.cells.first.get((i, port), -1)
        entry["free"], entry["held"] = real(p.table.free), real(p.table.held)
        entry["gain"], entry["gain_held"] = real(p.port_gain), real(p.port_gain_held)
        entry["h"], entry["threshold"] = real(p.unit.h), real(p.threshold)
        entry["reset"], entry["jump"] = real(p.reset_value), real(p.jump)
        entry["refractory"] = self.keep(
            np.minimum(p.refractory, LAST_TICK).astype(np.int32)  # for ever
        )
        entry["reset_mask"] = sum(1 << k for k, on in enumerate(p.reset_mask) if on)
        entry["x"] = int(self.x_first[i])
        return entry

    def _learning_entry(self, i: int) -> np.ndarray[Any, Any]:
        p = self.lowered.projections[i]
        rule = p.plasticity
        assert rule is not None
        entry = np.zeros((), LEARNING)
        entry["synapses"], entry["source_size"] = p.size, p.source_size
        entry["source_first"], entry["target_first"] = p.source_start, p.target_start
        entry["cell_first"] = self.cells.of(self.lowered, p)
        delay = np.broadcast_to(p.delay, (p.size,)).astype(np.int32)
        lag = delay if rule.post_delay == "dendritic" else np.zeros_like(delay)
        entry["row"] = self.keep(p.row)
        entry["source"] = self.keep(p.source.astype(np.int32))
        entry["target"] = self.keep(p.target.astype(np.int32))
        entry["delay"], entry["lag"] = self.keep(delay), self.keep(lag)
        for name, tensor in self.learned[i].items():
            entry[name] = tensor.data_ptr()
        for sign, window in zip(("plus", "minus"), rule.windows(self.lowered.dt), strict=True):
            table = torch.from_numpy(np.append(window, 0.0)).to(self.dtype)
            entry[f"k_{sign}"], entry[f"last_{sign}"] = self.keep(table), window.size
        entry["a_plus"], entry["a_minus"] = rule.amplitudes
        entry["low"], entry["high"] = rule.bounds
        entry["nearest"] = rule.pairing == "nearest"
        entry["multiplicative"] = rule.dependence == "multiplicative"
        entry["clamp_pair"] = rule.clamp == "pair"
        entry["coincidence"] = ("depress", "potentiate", "ignore").index(rule.coincidence)
        return entry


def _drawn_here(lowered: Lowered) -> frozenset[int]:
    """Return the inputs whose spikes nobody wants to see and no rule learns from."""
    found = set()
    for number, bound in enumerate(lowered.inputs):
        first = lowered.groups[bound.input.name][0]
        learns = any(
            p.plasticity is not None and p.source_start == first for p in lowered.projections
        )
        if isinstance(bound.input.source, PoissonCounts) and not bound.input.record and not learns:
            found.add(number)
    return frozenset(found)
