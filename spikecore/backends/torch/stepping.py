"""The network in plain tensor operations, tick by tick: works on every device, quick on none.

States are committed at events and read in closed form, operation by operation as in
``clocked``, so that in one precision both have the same bits. On a CPU the sums of arrivals
are made one by one in the order of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered, LoweredPopulation
from spikecore.backends.torch.acting import Acting
from spikecore.backends.torch.layout import cells_of, merge_rows
from spikecore.backends.torch.learning import Learning

__all__ = ["Block", "SteppingEngine"]

IndexArray = npt.NDArray[np.int64]

_LONG_AGO = -1


@dataclass(frozen=True)
class Block:
    """What happened in some ticks.

    Attributes
    ----------
    item, tick, neuron : ndarray of int64, shape (N,)
        Spikes, those of inputs left out, sorted by item, tick, neuron.
    traces : list of ndarray, shape (items, rows, neurons)
        One for each probe.
    bad : dict of int to (int, int)
        By item: tick and neuron of the first state that is not finite. What the item
        shows from that tick on means nothing.
    """

    item: IndexArray
    tick: IndexArray
    neuron: IndexArray
    traces: list[npt.NDArray[np.float64]]
    bad: dict[int, tuple[int, int]]


class _Neurons:
    """States of one population, for all items at once: shape (items, size, states)."""

    def __init__(
        self, p: LoweredPopulation, items: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        def tensor(a: npt.NDArray[Any]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(a)).to(device=device, dtype=dtype)

        self.p = p
        self.free, self.held = tensor(p.table.free), tensor(p.table.held)
        kinds = p.table.free.shape[0]
        self.kind = torch.arange(p.size, device=device) if kinds > 1 else None
        self.gain, self.gain_held = tensor(p.port_gain), tensor(p.port_gain_held)
        self.h = [float(w) for w in p.unit.h.astype(str(dtype).removeprefix("torch."))]
        self.threshold = tensor(p.threshold)
        self.reset, self.jump = tensor(p.reset_value), tensor(p.jump)
        self.mask = torch.from_numpy(p.reset_mask).to(device)
        self.refractory = torch.from_numpy(p.refractory).to(device)
        self.x = tensor(p.initial).expand(items, -1, -1).clone()
        self.last = torch.full((items, p.size), _LONG_AGO, dtype=torch.int64, device=device)
        self.until = self.last.clone()

    def propagate(self, x: torch.Tensor, gap: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        radix, position = self.p.table.radix, 0
        while bool(gap.any()):
            digit = gap % radix
            m = (
                table[0, position][digit]
                if self.kind is None
                else table[self.kind, position, digit]
            )
            moved = torch.empty_like(x)
            for i in range(x.shape[-1]):
                total = m[..., i, -1].clone()
                for j in range(x.shape[-1]):
                    total = total + m[..., i, j] * x[..., j]
                moved[..., i] = total
            x = torch.where((digit > 0)[..., None], moved, x)
            gap, position = gap // radix, position + 1
        return x

    def at(self, t: int) -> torch.Tensor:
        """Return the state in tick t, before the arrivals of t."""
        rest_of_hold = (self.until.clamp(max=t) - self.last).clamp(min=0)
        x = self.propagate(self.x, rest_of_hold, self.held)
        return self.propagate(x, t - self.last - rest_of_hold, self.free)

    def step(
        self, t: int, arrived: list[tuple[int, torch.Tensor, torch.Tensor]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return who fires in tick t, and whose state is not finite: shape (items, size)."""
        x = self.at(t)
        holds = (t <= self.until)[..., None]
        hit = torch.zeros_like(self.last, dtype=torch.bool)
        for _, _, due in arrived:
            hit |= due > 0
        for port, amount, _ in arrived:
            gain = torch.where(holds, self.gain_held[:, port], self.gain[:, port])
            x = torch.where(hit[..., None], x + gain * amount[..., None], x)
        level = torch.zeros_like(x[..., 0])
        for i, weight in enumerate(self.h):
            level = level + weight * x[..., i]
        fires = (level >= self.threshold) & (self.threshold < torch.inf) & ~holds[..., 0]
        commit = hit | fires
        bad = ~torch.isfinite(x).all(dim=-1) & commit
        jumped = torch.where(self.mask, self.reset, x + self.jump)
        x = torch.where(fires[..., None], jumped, x)
        self.x = torch.where(commit[..., None], x, self.x)
        self.last = torch.where(commit, t, self.last)
        self.until = torch.where(fires, t + self.refractory, self.until)
        return fires, bad


class SteppingEngine:
    """Runs a batch of copies of one network that differ in their input.

    Parameters
    ----------
    lowered : Lowered
    items : int
        Copies.
    dtype : torch.dtype
        float64 or float32.
    device : torch.device
    weights : list of ndarray
        Those of each projection, in row order; what learns is changed in place at
        :meth:`weights`.
    """

    def __init__(
        self,
        lowered: Lowered,
        items: int,
        dtype: torch.dtype,
        device: torch.device,
        weights: list[npt.NDArray[Any]],
    ) -> None:
        self.draws: frozenset[int] = frozenset()
        self.lowered, self.items, self.dtype, self.device = lowered, items, dtype, device
        self.cells = cells_of(lowered)
        everything = np.ones(len(lowered.projections), bool)
        self.rows = merge_rows(lowered, self.cells, device, everything)
        self.length = torch.diff(self.rows.start)
        starts = [p.start for p in lowered.populations]
        self.acting = {
            (i, of): Acting(m, starts.index(m.start), dtype, device)
            for i, p in enumerate(lowered.projections)
            for m in p.modulations
            for of in m.covers
        }
        self.modulated = [i for i, of in self.acting if of == "delivery"]
        self.set_weights(weights)
        self.reset()

    def set_weights(self, weights: list[npt.NDArray[Any]]) -> None:
        """Take over the weights of all projections."""
        self.given = [w.copy() for w in weights]
        flat = [torch.from_numpy(w).to(device=self.device, dtype=self.dtype) for w in weights]
        self.weight = self.rows.spread(flat).expand(self.items, -1).clone()

    def convenient(self, ticks: int) -> int:
        """Return how many of ``ticks`` ticks to run at a time."""
        return ticks

    def reset(self) -> None:
        """Return states and queues to the start."""
        low = self.lowered
        shape = (low.max_delay + 1, self.items, self.cells.number)
        self.ring = torch.zeros(shape, dtype=self.dtype, device=self.device)
        self.due = torch.zeros(shape, dtype=torch.int32, device=self.device)
        self.neurons = [_Neurons(p, self.items, self.dtype, self.device) for p in low.populations]
        self.learning = {
            i: Learning(p, p.plasticity, low.dt, self.items, self.dtype, self.device)
            for i, p in enumerate(low.projections)
            if p.plasticity is not None
        }

    def run(self, start: int, stop: int, sources: list[tuple[IndexArray, IndexArray]]) -> Block:
        """Run ticks ``start`` to ``stop - 1`` with these (ticks, neurons) for each item."""
        given = [np.searchsorted(ticks, np.arange(start, stop + 1)) for ticks, _ in sources]
        found: list[torch.Tensor] = []
        traces: list[list[torch.Tensor]] = [[] for _ in self.lowered.probes]
        bad: dict[int, tuple[int, int]] = {}
        for t in range(start, stop):
            number = torch.zeros(
                (self.items, self.lowered.n_neurons), dtype=torch.int64, device=self.device
            )
            for item, (_, neurons) in enumerate(sources):
                lo, hi = given[item][t - start : t - start + 2]
                own = torch.from_numpy(neurons[lo:hi]).to(self.device)
                number[item] += torch.bincount(own, minlength=self.lowered.n_neurons)
            fired = self._neurons(t, number, bad)
            found.append(torch.cat([torch.full_like(fired[:, :1], t), fired], dim=1))
            self._deliver(t, number)
            for probe, rows in zip(self.lowered.probes, traces, strict=True):
                if t % probe.every == 0:
                    rows.append(self._read(probe.neurons, probe.state, t))
            if len(bad) == self.items:  # nobody is left
                break
        spikes = torch.cat(found).cpu().numpy()
        order = np.lexsort((spikes[:, 2], spikes[:, 0], spikes[:, 1]))
        tick, item, neuron = spikes[order].T
        rows_of = [
            torch.stack(rows, dim=1).cpu().numpy().astype(np.float64)
            if rows
            else np.empty((self.items, 0, p.neurons.size))
            for rows, p in zip(traces, self.lowered.probes, strict=True)
        ]
        return Block(item.copy(), tick.copy(), neuron.copy(), rows_of, bad)

    def _neurons(
        self, t: int, number: torch.Tensor, bad: dict[int, tuple[int, int]]
    ) -> torch.Tensor:
        """Move all neurons; add their spikes to ``number``; return (item, neuron) pairs."""
        slot = t % len(self.ring)
        found = []
        for i, n in enumerate(self.neurons):
            arrived = []
            for port in range(len(n.p.ports)):
                first = self.cells.first.get((i, port))
                if first is not None:
                    here = slice(first, first + n.p.size)
                    arrived.append((port, self.ring[slot, :, here], self.due[slot, :, here]))
            fires, broken = n.step(t, arrived)
            number[:, n.p.start : n.p.start + n.p.size] += fires
            pairs = fires.nonzero()
            pairs[:, 1] += n.p.start
            found.append(pairs)
            for item, neuron in broken.nonzero().tolist():
                bad.setdefault(item, (t, neuron + n.p.start))
        self.ring[slot], self.due[slot] = 0, 0
        nobody = torch.empty((0, 2), dtype=torch.int64, device=self.device)
        return torch.cat([nobody, *found])

    def _deliver(self, t: int, number: torch.Tensor) -> None:
        for i, rule in self.learning.items():
            p = self.lowered.projections[i]
            pre = number[:, p.source_start : p.source_start + p.source_size] > 0
            post = number[:, p.target_start : p.target_start + p.target_size] > 0
            where = self.rows.where[i]
            weight = self.weight[:, where]
            factors = (self._factor(i, "potentiation", t), self._factor(i, "depression", t))
            self.weight[:, where], rule.sent = rule.tick(t, weight, (pre, post), factors)
        carried = self._carried(t)
        for item in range(self.items):
            source = number[item].nonzero()[:, 0]
            length = self.length[source]
            begin = torch.cumsum(length, 0) - length
            synapse = torch.arange(int(length.sum()), device=self.device)
            synapse += torch.repeat_interleave(self.rows.start[source] - begin, length)
            times = torch.repeat_interleave(number[item][source], length)
            synapse = torch.repeat_interleave(synapse, times)
            weight = carried[item]
            slot = (t + self.rows.delay[synapse].long()) % len(self.ring)
            cell = (slot * self.items + item) * self.cells.number + self.rows.cell[synapse]
            self.ring.view(-1).index_add_(0, cell, weight[synapse])
            one = torch.ones_like(cell, dtype=torch.int32)
            self.due.view(-1).index_add_(0, cell, one)

    def _carried(self, t: int) -> torch.Tensor:
        """Return the weights that the spikes of tick t carry, shape (items, M)."""
        if not self.learning and not self.modulated:
            return self.weight
        weight = self.weight.clone()
        for i, rule in self.learning.items():
            weight[:, self.rows.where[i]] = rule.sent
        for i in self.modulated:
            where, factor = self.rows.where[i], self._factor(i, "delivery", t)
            weight[:, where] = weight[:, where] * factor
        return weight

    def _factor(self, projection: int, of: str, t: int) -> torch.Tensor | None:
        """Return what multiplies each synapse at the end of tick t, shape (items, M)."""
        m = self.acting.get((projection, of))
        return None if m is None else m.factor(self.neurons[m.population].at(t))

    def _read(self, neurons: IndexArray, state: int, t: int) -> torch.Tensor:
        for n in self.neurons:
            if n.p.start <= neurons[0] < n.p.start + n.p.size:
                index = torch.from_numpy(neurons - n.p.start).to(self.device)
                return n.at(t)[:, index, state]
        raise AssertionError("a probe belongs to a population")

    def weights(self, projection: int) -> npt.NDArray[Any]:
        """Return the weights of a projection now, in row order, shape (items, M)."""
        where = self.rows.where[projection]
        values: npt.NDArray[Any] = self.weight[:, where].cpu().numpy()
        return values

    def drawn(self) -> list[int]:
        """Return, for each item, how many events of inputs drawn here have arrived: none."""
        return [0] * self.items

    def _tensors(self) -> dict[str, torch.Tensor]:
        tensors = {"ring": self.ring, "due": self.due, "weight": self.weight}
        for i, n in enumerate(self.neurons):
            tensors |= {f"n{i}_{a}": getattr(n, a) for a in ("x", "last", "until")}
        for i, rule in self.learning.items():
            tensors |= {f"l{i}_{a}": getattr(rule, a) for a in rule.STATE}
        return tensors

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole dynamic state."""
        return {name: tensor.cpu().numpy().copy() for name, tensor in self._tensors().items()}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what :meth:`state` returned."""
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(state[name].copy()))

    def mark(self) -> None:
        """Remember the present state."""
        self._marked = {name: tensor.clone() for name, tensor in self._tensors().items()}

    def rewind(self) -> None:
        """Return to the state of the last :meth:`mark`."""
        for name, tensor in self._tensors().items():
            tensor.copy_(self._marked[name])
