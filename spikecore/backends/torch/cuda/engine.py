"""The network on a GPU: one kernel for many ticks, or two a tick (docs/decisions/0009)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered, LoweredPopulation
from spikecore.backends.torch.cuda.scales import MOST_GIVEN, Scale, scales_of
from spikecore.backends.torch.cuda.tables import (
    BLOCK,
    DRIVE,
    LEARNING,
    NET,
    NET_TENSORS,
    POPULATION,
    PROBE,
    compiled,
    shape_of,
)
from spikecore.backends.torch.layout import cells_of, merge_rows
from spikecore.backends.torch.learning import LONG_AGO
from spikecore.backends.torch.stepping import Block
from spikecore.errors import InvalidInput
from spikecore.inputs import PoissonCounts

__all__ = ["CudaEngine"]

IndexArray = npt.NDArray[np.int64]
AnyArray = npt.NDArray[Any]

GRAPH_TICKS = 64
MOST_GROUPS = {torch.float32: 8, torch.float64: 4}
"""Groups of BLOCK threads for which a multiprocessor has registers."""

LAST_TICK = 2**30
"""Ticks that a run may have: states keep the tick of their last event in 32 bits."""

_BUFFER_BYTES = 128_000_000  # of spikes and traces that are fetched at a time
_MOST_TICKS = 16384
_NOTHING_BAD = -1  # as unsigned: the largest


class CudaEngine:
    """Runs a batch of copies of one network, which share their static synapses.

    Parameters
    ----------
    lowered, items, dtype, weights
        As for :class:`~spikecore.backends.torch.stepping.SteppingEngine`. In float64 sums
        have 64 bits, in float32 they have 32.
    """

    def __init__(
        self, lowered: Lowered, items: int, dtype: torch.dtype, weights: list[AnyArray]
    ) -> None:
        self.lowered, self.items, self.dtype = lowered, items, dtype
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.sum_dtype = torch.int64 if dtype == torch.float64 else torch.int32
        self.cells = cells_of(lowered)
        self.draws = _drawn_here(lowered)
        self.plastic = [i for i, p in enumerate(lowered.projections) if p.plasticity is not None]
        self.driving = [i for i in range(len(lowered.projections)) if self._input(i) in self.draws]
        self._kept: list[torch.Tensor] = []  # what structures point at
        self._place()
        self._load_rows()
        self._make_state()
        self._make_learning()
        self._make_buffers()
        self.scales: dict[int, Scale] = {}
        self.entries = [self._population(i, p) for i, p in enumerate(lowered.populations)]
        learning = [i for i in self.plastic if lowered.projections[i].size]
        self.learning = {i: self._learning_entry(i) for i in learning}
        self.block_table = self._keep(self.block_population)
        self.sms = torch.cuda.get_device_properties(self.device).multi_processor_count
        self.resident = self._resident_threads()
        self.kernels = compiled(lowered, dtype, self.delay_bits, self.resident)
        self._graph: torch.cuda.CUDAGraph | None = None
        self.set_weights(weights)
        self.reset()

    # -- making the tables ---------------------------------------------------------

    def _input(self, projection: int) -> int:
        """Return the number of the input that a projection comes from, or -1."""
        starts = [self.lowered.groups[b.input.name][0] for b in self.lowered.inputs]
        first = self.lowered.projections[projection].source_start
        return starts.index(first) if first in starts else -1

    def _keep(self, array: AnyArray | torch.Tensor) -> int:
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
        self.block_population = np.array(blocks, np.int32)

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

    def _make_state(self) -> None:
        low, items = self.lowered, self.items

        def zeros(*shape: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=self.device)

        sums = (low.max_delay + 1, items, max(1, self.cells.number))
        self.ring = zeros(*sums, dtype=self.sum_dtype)
        counted = sums if self.dtype == torch.float64 else (1,)
        self.due = zeros(*counted, dtype=torch.int32)
        self.x_first = np.cumsum([0, *(items * p.initial.size for p in low.populations)])
        self.x = zeros(max(1, int(self.x_first[-1])), dtype=self.dtype)
        self.last = zeros(items, low.n_neurons, dtype=torch.int32)
        self.until = torch.zeros_like(self.last)
        self.drawn_events = zeros(items * self.words, dtype=torch.int32)
        self.gate = zeros(1, dtype=torch.int32)
        self.drawn_before = np.zeros(items, np.int64)
        lags = [1 + int(low.projections[i].delay.max(initial=0)) for i in self.plastic]
        self.history = max(lags, default=0)
        self.fired = zeros(max(1, self.history), items, low.n_neurons, dtype=torch.uint8)
        self.count = zeros(3, dtype=torch.int32)
        self.list = zeros(items * low.n_neurons, 4, dtype=torch.int32)
        self.who = zeros(items * low.n_neurons, dtype=torch.int32)
        self.bad = zeros(items, dtype=torch.int64)
        self.clock = zeros(2, dtype=torch.int32)
        initial = [np.tile(p.initial.T.ravel(), items) for p in low.populations]
        flat = np.concatenate([*initial, np.zeros(0 if initial else 1)])
        self.initial = torch.from_numpy(flat).to(device=self.device, dtype=self.dtype)

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

    def _make_buffers(self) -> None:
        low, items = self.lowered, self.items
        each = 4.0 * items * self.words
        each += sum(8 * items * p.neurons.size / p.every for p in low.probes)
        self.most_ticks = int(min(_MOST_TICKS, max(GRAPH_TICKS, _BUFFER_BYTES // max(each, 1))))
        self.bits = torch.zeros(
            (self.most_ticks, items, self.words), dtype=torch.int32, device=self.device
        )
        self.source_row = torch.zeros(self.most_ticks + 1, dtype=torch.int32, device=self.device)
        self.source = torch.zeros(1, dtype=torch.int32, device=self.device)
        starts = [p.start for p in low.populations]
        self.probes, self.shown = [], []
        for probe in low.probes:
            number = max(i for i, start in enumerate(starts) if start <= probe.neurons[0])
            rows = self.most_ticks // probe.every + 2
            out = torch.zeros(
                (items, rows, probe.neurons.size), dtype=torch.float64, device=self.device
            )
            entry = np.zeros((), PROBE)
            entry["population"], entry["state"], entry["every"] = number, probe.state, probe.every
            entry["neurons"], entry["rows"] = probe.neurons.size, rows
            entry["neuron"] = self._keep((probe.neurons - starts[number]).astype(np.int32))
            entry["out"] = out.data_ptr()
            self.probes.append(entry)
            self.shown.append(out)

    def _population(self, i: int, p: LoweredPopulation) -> np.ndarray[Any, Any]:
        def real(array: AnyArray) -> int:
            return self._keep(torch.from_numpy(np.ascontiguousarray(array)).to(self.dtype))

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
        entry["refractory"] = self._keep(
            np.minimum(p.refractory, LAST_TICK).astype(np.int32)  # for ever
        )
        entry["reset_mask"] = sum(1 << k for k, on in enumerate(p.reset_mask) if on)
        entry["x"] = int(self.x_first[i])
        return entry

    # -- weights ---------------------------------------------------------------------

    def set_weights(self, weights: list[AnyArray]) -> None:
        """Take over the weights of all projections, and choose the steps of sums anew."""
        low = self.lowered
        most = {i: self._most_given(self._input(i)) for i in range(len(weights))}
        before = self.scales
        size = self.ring.element_size()
        self.scales = scales_of(low, self.cells, weights, size, most, self._under_way())
        if before and before != self.scales:
            self._rescale(before)
        self._apply(weights)

    def _apply(self, weights: list[AnyArray]) -> None:
        """Enter ``weights`` into the synapses, in the present steps."""
        self.given = [weight.copy() for weight in weights]
        for i, weight in enumerate(weights):
            p = self.lowered.projections[i]
            values = torch.from_numpy(weight).to(device=self.device, dtype=self.dtype)
            if i in self.learned:
                self.learned[i]["weight"][:] = values
            elif p.size:
                self._write(i, values)
        self._enter_weights(weights)
        self._graph = None  # it holds some of the steps

    def _most_given(self, number: int) -> int:
        """Return how many spikes of a source the sums have room for in a tick."""
        if number < 0:
            return 1
        bound = self.lowered.inputs[number]
        counted = isinstance(bound.input.source, PoissonCounts)
        return MOST_GIVEN + (int(bound.counts.steps.shape[1]) if counted else 0)

    def _under_way(self) -> dict[int, float]:
        """Return the largest sum that is waiting, for each group of cells."""
        if not self.scales or not bool(self.ring.any()):
            return {}
        found = {}
        for (i, _), first in self.cells.first.items():
            here = self.ring[:, :, first : first + self.lowered.populations[i].size]
            found[first] = float(here.double().abs().max()) * self.scales[first].step
        return found

    def _write(self, i: int, weight: torch.Tensor) -> None:
        p, where = self.lowered.projections[i], self.where[i]
        per_unit = self.scales[self.cells.of(self.lowered, p)].per_unit
        steps = torch.round(weight.double() * per_unit).to(torch.int64)
        if self.delay_bits:
            self.synapse[where, 1] = steps.to(torch.int32).expand(p.size)
        else:
            halves = steps.view(torch.int32).view(-1, 2).expand(p.size, 2)
            self.synapse[where, 2:] = halves

    def _rescale(self, before: dict[int, Scale]) -> None:
        for (i, _), first in self.cells.first.items():
            size = self.lowered.populations[i].size
            here = self.ring[:, :, first : first + size]
            moved = here.double() * 2.0 ** (self.scales[first].exponent - before[first].exponent)
            here.copy_(torch.round(moved).to(self.sum_dtype))

    def _enter_weights(self, weights: list[AnyArray]) -> None:
        """Enter what depends on the weights into the tables."""
        self._enter_drives(weights)
        for entry in self.entries:
            for port, first in enumerate(entry["cell"].tolist()):
                entry["step"][port] = self.scales[first].step if first >= 0 else 0.0
        table = np.array(self.entries, POPULATION).view(np.int64).reshape(-1)
        self.population_table = torch.from_numpy(table.copy()).to(self.device)
        for i, entry in self.learning.items():
            first = self.cells.of(self.lowered, self.lowered.projections[i])
            entry["per_unit"] = self.scales[first].per_unit

    def _enter_drives(self, weights: list[AnyArray]) -> None:
        """List, for each neuron, the synapses from inputs that are drawn here.

        All neurons of a population have the same number of places, some of them empty.
        """
        low = self.lowered
        steps, begin = [np.empty(0, np.uint64)], 0
        begins: dict[int, int] = {}
        for number in sorted(self.draws):
            begins[number] = begin
            steps.append(low.inputs[number].counts.steps.ravel())
            begin += steps[-1].size
        drives = [np.empty(0, DRIVE)]
        for entry, population in zip(self.entries, low.populations, strict=True):
            entry["drive_first"], entry["drives"] = sum(d.size for d in drives), 0
            own = [i for i in self.driving if low.projections[i].target_start == population.start]
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
        self.drive = torch.from_numpy(flat).to(self.device)
        self.drive_steps = torch.from_numpy(np.concatenate(steps).view(np.int64)).to(self.device)

    def _drive(
        self, i: int, weight: AnyArray, begins: dict[int, int]
    ) -> tuple[npt.NDArray[np.void], IndexArray]:
        p = self.lowered.projections[i]
        number = self._input(i)
        counts = self.lowered.inputs[number].counts
        entry = np.zeros(p.size, DRIVE)
        entry["key"], entry["neuron"] = counts.key, p.source
        entry["delay"], entry["port"] = p.delay, p.port
        entry["steps"] = counts.steps.shape[1]
        entry["begin"] = begins[number] + counts.kind[p.source] * counts.steps.shape[1]
        per_unit = self.scales[self.cells.of(self.lowered, p)].per_unit
        entry["weight"] = np.rint(weight.astype(np.float64) * per_unit).astype(np.int64)
        return entry, p.target.astype(np.int64)

    def weights(self, projection: int) -> AnyArray:
        """Return the weights of a plastic projection now, shape (items, M)."""
        values: AnyArray = self.learned[projection]["weight"].cpu().numpy()
        return values

    # -- running -----------------------------------------------------------------------

    def _resident_threads(self) -> int:
        """Return the threads of a block if all neurons find room in registers, else 0.

        Then one kernel runs many ticks, which is quicker than two kernels a tick.
        """
        groups = -(-self.blocks * self.items // self.sms)
        if self.plastic or self.probes or not 0 < groups <= MOST_GROUPS[self.dtype]:
            return 0
        return int(groups) * BLOCK

    def run(self, start: int, stop: int, sources: list[tuple[IndexArray, IndexArray]]) -> Block:
        """Run ticks ``start`` to ``stop - 1`` with these (ticks, neurons) for each item.

        Raises
        ------
        InvalidInput
            If an input neuron fires more often in a tick than the sums have room for.
        """
        if stop > LAST_TICK:
            raise InvalidInput(
                "backend 'torch', device 'cuda'",
                f"runs at most {LAST_TICK} ticks",
                got=stop,
                fix="use a larger dt, device='cpu' or backend='event'",
            )
        self._give(start, stop, sources)
        self.clock.fill_(start)
        self.count.zero_()
        self.bad.fill_(_NOTHING_BAD)
        if self.resident:
            self._run_resident(stop - start)
        else:
            self._run_graph(stop - start)
        return self._fetch(start, stop)

    def _run_resident(self, ticks: int) -> None:
        self.gate.zero_()
        blocks = -(-self.blocks * self.items * BLOCK // self.resident)
        arguments = (self._net(), np.int32(ticks), np.int32(self.blocks), self.gate)
        self.kernels.launch("run_resident", (blocks, 1), self.resident, *arguments, resident=True)

    def _run_graph(self, left: int) -> None:
        if self._graph is None and left > GRAPH_TICKS:
            self._ticks(1)  # loads the kernels, which a capture cannot
            left -= 1
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._ticks(GRAPH_TICKS)
        while left >= GRAPH_TICKS and self._graph is not None:
            self._graph.replay()
            left -= GRAPH_TICKS
        if left:
            self._ticks(left)

    def convenient(self, ticks: int) -> int:
        """Return how many of ``ticks`` ticks to run at a time: whole graphs, if it can be."""
        ticks = min(ticks, self.most_ticks)
        if self.resident:
            return ticks
        return ticks if ticks <= GRAPH_TICKS else ticks - ticks % GRAPH_TICKS

    def _give(self, start: int, stop: int, sources: list[tuple[IndexArray, IndexArray]]) -> None:
        """Put the given spikes on the device, tick by tick."""
        neurons = self.lowered.n_neurons
        tick = np.concatenate([ticks for ticks, _ in sources]) - start
        who = np.concatenate([own + item * neurons for item, (_, own) in enumerate(sources)])
        key = tick * (neurons * self.items) + who
        key.sort()
        run = np.flatnonzero(np.diff(key, prepend=-1, append=-1))
        number = np.diff(run)
        if key.size and number.max() > MOST_GIVEN:
            self._check_given(key[run[:-1]], number, start)
        row = np.searchsorted(key, np.arange(stop - start + 1) * (neurons * self.items))
        self.source_row[: row.size] = torch.from_numpy(row.astype(np.int32)).to(self.device)
        if key.size > self.source.numel():
            room = 2 * key.size
            self.source = torch.zeros(room, dtype=torch.int32, device=self.device)
            self._graph = None  # it holds the old address
        given = torch.from_numpy((key % (neurons * self.items)).astype(np.int32))
        self.source[: key.size] = given.to(self.device)

    def _check_given(self, key: IndexArray, number: IndexArray, start: int) -> None:
        low = self.lowered
        tick, who = np.divmod(key, low.n_neurons * self.items)
        neuron = who % low.n_neurons
        for i, bound in enumerate(low.inputs):
            first, size = low.groups[bound.input.name]
            own = (neuron >= first) & (neuron < first + size)
            over = np.flatnonzero(own & (number > self._most_given(i)))
            if over.size:
                k = over[0]
                raise InvalidInput(
                    "backend 'torch', device 'cuda'",
                    f"takes at most {self._most_given(i)} spikes of a neuron of "
                    f"Input {bound.input.name!r} in a tick",
                    got=f"{number[k]} of neuron {neuron[k] - first} in tick {tick[k] + start}",
                    fix="use device='cpu', or spread them over more neurons",
                )

    def _net(self) -> np.generic:
        net = np.zeros((), NET)
        low = self.lowered
        net["items"], net["slots"], net["cells"] = self.items, len(self.ring), self.ring.shape[2]
        net["words"], net["neurons"] = self.words, low.n_neurons
        net["population"] = self.population_table.data_ptr()
        net["block_population"] = self.block_table
        net["drawn"] = self.drawn_events.data_ptr()
        net["history"], net["steps"] = self.history, self.drive_steps.numel()
        for name in NET_TENSORS:
            net[name] = getattr(self, name).data_ptr()
        return cast(np.generic, net[()])

    def _ticks(self, number: int) -> None:
        """Launch ``number`` ticks, and move the clock."""
        net, launch = self._net(), self.kernels.launch
        learning = [entry[()] for entry in self.learning.values()]
        inputs = np.int32(sum(b.input.size for b in self.lowered.inputs))
        for k in range(number):
            ahead = np.int32(k)
            if self.blocks:
                launch("move_neurons", (self.blocks, self.items), BLOCK, net, ahead)
            if learning:
                launch("mark_sources", (1, self.items), BLOCK, net, ahead, inputs)
            for entry in learning:
                blocks = -(-int(entry["synapses"]) // BLOCK)
                launch("learn", (blocks, self.items), BLOCK, net, ahead, entry)
            if self.synapses:
                launch("deliver", (4 * self.sms, 1), 2 * BLOCK, net, ahead)
            for entry in learning:
                launch("deliver_learned", (self.sms, 1), BLOCK, net, ahead, entry)
            for entry in self.probes:
                blocks = -(-int(entry["neurons"]) // BLOCK)
                launch("show", (blocks, self.items), BLOCK, net, ahead, entry[()])
        launch("advance_clock", (1, 1), 1, self.clock, np.int32(number))

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
        entry["row"] = self._keep(p.row)
        entry["source"] = self._keep(p.source.astype(np.int32))
        entry["target"] = self._keep(p.target.astype(np.int32))
        entry["delay"], entry["lag"] = self._keep(delay), self._keep(lag)
        for name, tensor in self.learned[i].items():
            entry[name] = tensor.data_ptr()
        for sign, window in zip(("plus", "minus"), rule.windows(self.lowered.dt), strict=True):
            table = torch.from_numpy(np.append(window, 0.0)).to(self.dtype)
            entry[f"k_{sign}"], entry[f"last_{sign}"] = self._keep(table), window.size
        entry["a_plus"], entry["a_minus"] = rule.amplitudes
        entry["low"], entry["high"] = rule.bounds
        entry["nearest"] = rule.pairing == "nearest"
        entry["multiplicative"] = rule.dependence == "multiplicative"
        entry["clamp_pair"] = rule.clamp == "pair"
        entry["coincidence"] = ("depress", "potentiate", "ignore").index(rule.coincidence)
        return entry

    def _fetch(self, start: int, stop: int) -> Block:
        """Bring spikes and traces back."""
        bits = self.bits[: stop - start]
        tick, item, word = bits.nonzero(as_tuple=True)
        value = bits[tick, item, word].to(torch.int64) & 0xFFFFFFFF
        lanes = torch.arange(32, device=self.device)
        spike, lane = ((value[:, None] >> lanes) & 1).nonzero(as_tuple=True)
        neuron = self.number[word[spike] * 32 + lane]
        found = torch.stack([item[spike], tick[spike] + start, neuron]).cpu().numpy()
        if self.items > 1:
            found = found[:, np.lexsort((found[2], found[1], found[0]))]
        bad = {}
        for number, code in enumerate(self.bad.cpu().numpy().view(np.uint64)):
            if code != np.uint64(2**64 - 1):
                bad[number] = (int(code >> np.uint64(32)), int(code & np.uint64(0xFFFFFFFF)))
        traces = []
        for probe, out in zip(self.lowered.probes, self.shown, strict=True):
            rows = -(-stop // probe.every) - -(-start // probe.every)
            traces.append(out[:, :rows].cpu().numpy().copy())
        self._collect_drawn()
        return Block(found[0].copy(), found[1].copy(), found[2].copy(), traces, bad)

    def _collect_drawn(self) -> None:
        """Move the counts of drawn events to the host, long before they overflow."""
        if self.draws:
            fresh = self.drawn_events.view(self.items, -1).sum(1, dtype=torch.int64)
            self.drawn_before = self.drawn_before + fresh.cpu().numpy()
            self.drawn_events.zero_()

    def drawn(self) -> list[int]:
        """Return, for each item, how many events of the inputs in :attr:`draws` have arrived."""
        found: list[int] = self.drawn_before.tolist()
        return found

    # -- states --------------------------------------------------------------------------

    def reset(self) -> None:
        """Return states and queues to the start; keep the weights."""
        self.x.copy_(self.initial)
        for tensor in (self.ring, self.due, self.fired, self.drawn_events):
            tensor.zero_()
        for tensor in (self.last, self.until):
            tensor.fill_(-1)
        for own in self.learned.values():
            for name in ("x", "y"):
                own[name].zero_()
                own[f"{name}_at"].fill_(LONG_AGO)
        self.drawn_before = np.zeros(self.items, np.int64)

    def _tensors(self) -> dict[str, torch.Tensor]:
        tensors = {
            name: getattr(self, name) for name in ("ring", "due", "x", "last", "until", "fired")
        }
        for i, own in self.learned.items():
            tensors |= {f"l{i}_{name}": tensor for name, tensor in own.items()}
        return tensors

    def state(self) -> dict[str, AnyArray]:
        """Return the whole dynamic state."""
        arrays = {name: tensor.cpu().numpy().copy() for name, tensor in self._tensors().items()}
        scales = [(scale.exponent, scale.log_bound) for scale in self.scales.values()]
        return arrays | {
            "drawn": self.drawn_before.copy(),
            "scales": np.array(scales, np.float64).reshape(-1, 2),
        }

    def load(self, state: Mapping[str, AnyArray]) -> None:
        """Take over what :meth:`state` returned; the weights have been set before."""
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(state[name].copy()))
        self.drawn_before = state["drawn"].copy()
        stored = {
            first: Scale(int(exponent), float(bound))
            for first, (exponent, bound) in zip(self.scales, state["scales"], strict=True)
        }
        if stored != self.scales:
            learned = {i: own["weight"].clone() for i, own in self.learned.items()}
            self.scales = stored
            self._apply(self.given)
            for i, weight in learned.items():
                self.learned[i]["weight"].copy_(weight)

    def mark(self) -> None:
        """Remember the present state."""
        self._marked = {name: tensor.clone() for name, tensor in self._tensors().items()}
        self._marked_drawn = self.drawn_before

    def rewind(self) -> None:
        """Return to the state of the last :meth:`mark`."""
        for name, tensor in self._tensors().items():
            tensor.copy_(self._marked[name])
        self.drawn_before = self._marked_drawn


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
