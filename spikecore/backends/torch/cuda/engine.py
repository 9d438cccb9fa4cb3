"""The network on a GPU: one kernel for many ticks, or two a tick (docs/decisions/0009)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered
from spikecore.backends.torch.cuda.network import LAST_TICK, DeviceNetwork
from spikecore.backends.torch.cuda.scales import MOST_GIVEN
from spikecore.backends.torch.cuda.tables import (
    BLOCK,
    NET,
    NETWORK_TENSORS,
    PROBE,
    STATE_TENSORS,
    WEIGHT_TENSORS,
    compiled,
)
from spikecore.backends.torch.cuda.weights import WeightTables, most_given
from spikecore.backends.torch.learning import LONG_AGO
from spikecore.backends.torch.stepping import Block
from spikecore.errors import InvalidInput

__all__ = ["CudaEngine"]

IndexArray = npt.NDArray[np.int64]
AnyArray = npt.NDArray[Any]

GRAPH_TICKS = 64
MOST_GROUPS = {torch.float32: 8, torch.float64: 4}
"""Groups of BLOCK threads for which a multiprocessor has registers."""

SUMS = {torch.float32: torch.int32, torch.float64: torch.int64}
"""The whole numbers in which arrivals are summed."""

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
        self.network = DeviceNetwork(lowered, items, dtype)
        self.device, self.draws = self.network.device, self.network.draws
        self._make_state()
        self._make_buffers()
        self._tables = WeightTables(self.network, self.ring)
        self.sms = torch.cuda.get_device_properties(self.device).multi_processor_count
        self.resident = self._resident_threads()
        self.kernels = compiled(lowered, dtype, self.network.delay_bits, self.resident)
        if self.resident and not self._fits():
            self.resident = 0
            self.kernels = compiled(lowered, dtype, self.network.delay_bits, self.resident)
        self._graph: torch.cuda.CUDAGraph | None = None
        self.set_weights(weights)
        self.reset()

    def _make_state(self) -> None:
        low, net, items = self.lowered, self.network, self.items

        def zeros(*shape: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=self.device)

        sums = (low.max_delay + 1, items, max(1, net.cells.number))
        self.ring = zeros(*sums, dtype=SUMS[self.dtype])
        counted = sums if self.dtype == torch.float64 else (1,)
        self.due = zeros(*counted, dtype=torch.int32)
        self.x = zeros(max(1, int(net.x_first[-1])), dtype=self.dtype)
        self.last = zeros(items, low.n_neurons, dtype=torch.int32)
        self.until = torch.zeros_like(self.last)
        self.drawn_events = zeros(items * net.words, dtype=torch.int32)
        self.gate = zeros(1, dtype=torch.int32)
        self.drawn_before = np.zeros(items, np.int64)
        lags = [1 + int(low.projections[i].delay.max(initial=0)) for i in net.plastic]
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

    def _make_buffers(self) -> None:
        low, items = self.lowered, self.items
        words = self.network.words
        each = 4.0 * items * words
        each += sum(8 * items * p.neurons.size / p.every for p in low.probes)
        self.most_ticks = int(min(_MOST_TICKS, max(GRAPH_TICKS, _BUFFER_BYTES // max(each, 1))))
        shape = (self.most_ticks, items, words)
        self.bits = torch.zeros(shape, dtype=torch.int32, device=self.device)
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
            entry["neuron"] = self.network.keep((probe.neurons - starts[number]).astype(np.int32))
            entry["out"] = out.data_ptr()
            self.probes.append(entry)
            self.shown.append(out)

    # -- weights ---------------------------------------------------------------------

    def set_weights(self, weights: list[AnyArray]) -> None:
        """Take over the weights of all projections."""
        self._tables.set(weights)
        self._graph = None  # it holds some of the steps

    def weights(self, projection: int) -> AnyArray:
        """Return the weights of a plastic projection now, shape (items, M)."""
        values: AnyArray = self.network.learned[projection]["weight"].cpu().numpy()
        return values

    # -- running -----------------------------------------------------------------------

    def _resident_threads(self) -> int:
        """Return the threads of a block if all neurons find room in registers, else 0.

        Then one kernel runs many ticks, which is quicker than two kernels a tick.
        """
        groups = -(-self.network.blocks * self.items // self.sms)
        if self.network.plastic or self.probes or not 0 < groups <= MOST_GROUPS[self.dtype]:
            return 0
        return int(groups) * BLOCK

    def _resident_blocks(self) -> int:
        return -(-self.network.blocks * self.items * BLOCK // self.resident)

    def _fits(self) -> bool:
        """Tell whether all blocks of the one kernel can be on this GPU at the same time.

        They wait for one another; how many registers a thread takes is known only now.
        """
        each: int = self.kernels.blocks_per_multiprocessor("run_resident", self.resident)
        room: int = each * self.sms
        return self._resident_blocks() <= room

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
        blocks = (self._resident_blocks(), 1)
        arguments = (self._net(), np.int32(ticks), np.int32(self.network.blocks), self.gate)
        self.kernels.launch("run_resident", blocks, self.resident, *arguments, resident=True)

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
            over = np.flatnonzero(own & (number > most_given(low, i)))
            if over.size:
                k = over[0]
                raise InvalidInput(
                    "backend 'torch', device 'cuda'",
                    f"takes at most {most_given(low, i)} spikes of a neuron of "
                    f"Input {bound.input.name!r} in a tick",
                    got=f"{number[k]} of neuron {neuron[k] - first} in tick {tick[k] + start}",
                    fix="use device='cpu', or spread them over more neurons",
                )

    def _net(self) -> np.generic:
        net = np.zeros((), NET)
        own = self.network
        net["items"], net["slots"], net["cells"] = self.items, len(self.ring), self.ring.shape[2]
        net["words"], net["neurons"] = own.words, self.lowered.n_neurons
        net["population"] = self._tables.population_table.data_ptr()
        net["block_population"] = own.block_table
        net["drawn"] = self.drawn_events.data_ptr()
        net["history"], net["steps"] = self.history, self._tables.drive_steps.numel()
        for names, holder in (
            (STATE_TENSORS, self),
            (NETWORK_TENSORS, own),
            (WEIGHT_TENSORS, self._tables),
        ):
            for name in names:
                net[name] = getattr(holder, name).data_ptr()
        return cast(np.generic, net[()])

    def _ticks(self, number: int) -> None:
        """Launch ``number`` ticks, and move the clock."""
        net, launch = self._net(), self.kernels.launch
        learning = [entry[()] for entry in self.network.learning.values()]
        inputs = np.int32(sum(b.input.size for b in self.lowered.inputs))
        for k in range(number):
            ahead = np.int32(k)
            if self.network.blocks:
                launch("move_neurons", (self.network.blocks, self.items), BLOCK, net, ahead)
            if learning:
                launch("mark_sources", (1, self.items), BLOCK, net, ahead, inputs)
            for entry in learning:
                blocks = -(-int(entry["synapses"]) // BLOCK)
                launch("learn", (blocks, self.items), BLOCK, net, ahead, entry)
            if self.network.synapses:
                launch("deliver", (4 * self.sms, 1), 2 * BLOCK, net, ahead)
            for entry in learning:
                launch("deliver_learned", (self.sms, 1), BLOCK, net, ahead, entry)
            for entry in self.probes:
                blocks = -(-int(entry["neurons"]) // BLOCK)
                launch("show", (blocks, self.items), BLOCK, net, ahead, entry[()])
        launch("advance_clock", (1, 1), 1, self.clock, np.int32(number))

    def _fetch(self, start: int, stop: int) -> Block:
        """Bring spikes and traces back."""
        bits = self.bits[: stop - start]
        tick, item, word = bits.nonzero(as_tuple=True)
        value = bits[tick, item, word].to(torch.int64) & 0xFFFFFFFF
        lanes = torch.arange(32, device=self.device)
        spike, lane = ((value[:, None] >> lanes) & 1).nonzero(as_tuple=True)
        neuron = self.network.number[word[spike] * 32 + lane]
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
        for own in self.network.learned.values():
            for name in ("x", "y"):
                own[name].zero_()
                own[f"{name}_at"].fill_(LONG_AGO)
        self.drawn_before = np.zeros(self.items, np.int64)

    def _tensors(self) -> dict[str, torch.Tensor]:
        tensors = {
            name: getattr(self, name) for name in ("ring", "due", "x", "last", "until", "fired")
        }
        for i, own in self.network.learned.items():
            tensors |= {f"l{i}_{name}": tensor for name, tensor in own.items()}
        return tensors

    def state(self) -> dict[str, AnyArray]:
        """Return the whole dynamic state."""
        arrays = {name: tensor.cpu().numpy().copy() for name, tensor in self._tensors().items()}
        return arrays | {"drawn": self.drawn_before.copy(), "scales": self._tables.stored()}

    def load(self, state: Mapping[str, AnyArray]) -> None:
        """Take over what :meth:`state` returned; the weights have been set before."""
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(state[name].copy()))
        self.drawn_before = state["drawn"].copy()
        self._tables.restore(state["scales"])
        self._graph = None

    def mark(self) -> None:
        """Remember the present state."""
        self._marked = {name: tensor.clone() for name, tensor in self._tensors().items()}
        self._marked_drawn = self.drawn_before

    def rewind(self) -> None:
        """Return to the state of the last :meth:`mark`."""
        for name, tensor in self._tensors().items():
            tensor.copy_(self._marked[name])
        self.drawn_before = self._marked_drawn
