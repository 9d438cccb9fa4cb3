"""A run on the torch backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Options
from spikecore.backends.session import SteppedSession
from spikecore.backends.torch.engines import Engine, make_engine
from spikecore.backends.torch.ledger import Ledger
from spikecore.backends.torch.stepping import Block, SteppingEngine
from spikecore.results import Result

__all__ = ["TorchSession", "run_again"]

IndexArray = npt.NDArray[np.int64]


class TorchSession(SteppedSession):
    """One network, run by an engine.

    Parameters
    ----------
    lowered, options
    engine : Engine, optional
        One that runs several copies; :func:`run_copies` drives it. Default: one of its own.
    item : int
        Which of the copies this is.
    """

    packages = ("spikecore", "numpy", "torch")

    def __init__(
        self, lowered: Lowered, options: Options, engine: Engine | None = None, item: int = 0
    ) -> None:
        super().__init__(lowered, options, "torch")
        self.engine = engine or make_engine(lowered, 1, options, self._projection_weights)
        self.item = item
        self.ledger = Ledger(lowered, options.max_pending)

    def _reset(self) -> None:
        self.engine.reset()
        self.ledger.clear()

    def _run(self, stop: int, ticks: IndexArray, neurons: IndexArray) -> None:
        stop = self.tick + self.engine.convenient(stop - self.tick)
        before = ticks < stop
        ticks, neurons = ticks[before], neurons[before]
        self.engine.mark()
        start = self.tick
        end = self.take(self.engine.run(start, stop, [(ticks, neurons)]), stop, ticks, neurons)
        if end < stop:
            run_again(self.engine, start, end, [(ticks, neurons)])

    def _neurons(self, population: int) -> Any:
        assert isinstance(self.engine, SteppingEngine)  # no other takes stepped units
        return self.engine.neurons[population]

    def _states(self, population: int) -> npt.NDArray[Any]:
        x: npt.NDArray[Any] = self._neurons(population).x[self.item].numpy()
        return x

    def _put_states(self, population: int, x: npt.NDArray[Any]) -> None:
        n = self._neurons(population)
        n.x[self.item] = torch.from_numpy(x)
        n.last[self.item] = self.tick - 1

    def given(self, start: int, stop: int) -> tuple[IndexArray, IndexArray]:
        """Return the input spikes of ticks ``start`` to ``stop - 1``."""
        return self._sources(start, stop)

    def take(self, block: Block, stop: int, ticks: IndexArray, neurons: IndexArray) -> int:
        """Keep what ``block`` has up to ``stop``, or to where the run has to end.

        Returns
        -------
        int
            The end: ``stop``, or less if a state is no longer finite or too much is under
            way; :attr:`status` tells.
        """
        end = stop
        if block.bad:
            end, neuron = block.bad[0]
            self.status = "diverged"
            self.message = f"{self._name_of(neuron)} is not finite in tick {end}"
        when, who = _merged(block, ticks, neurons, end)
        beyond = self.ledger.first_beyond(self.tick, end, when, who)
        if beyond < end:
            end = beyond + 1
            self.status = "runaway"
            self.message = f"more than {self.options.max_pending} synaptic events in flight"
            when, who = when[when < end], who[when < end]
        if ticks.size:
            self._keep_spikes(when, who)
        else:
            self._spikes.append((when, who))
        for probe, rows, new in zip(self.lowered.probes, self._traces, block.traces, strict=True):
            rows.append(new[0, : -(-end // probe.every) - -(-self.tick // probe.every)])
        self.ledger.add(when, who, end)
        self.counters["updates"] += (end - self.tick) * self.lowered.n_neurons
        self.tick = end
        if self.status == "diverged":  # what was due in the last tick has arrived
            self._late = self.ledger.pending(end) - self.ledger.pending(end + 1)
        return end

    def _start(self) -> None:
        super()._start()
        self._late = 0

    def _count(self) -> None:
        """Bring the counters up to date."""
        pending = self.ledger.pending(self.tick) - self._late
        own = self.ledger.sent - pending
        drawn = self.engine.drawn()[self.item]
        ahead = self._drawn_ahead()
        self.counters["sent"] = self.ledger.sent + drawn + ahead
        self.counters["delivered"] = own + drawn
        self.counters["pending"] = pending + ahead

    def _drawn_ahead(self) -> int:
        """Count what is under way from inputs that the engine draws for itself."""
        found = 0
        for number in self.engine.draws:
            bound = self.lowered.inputs[number]
            first = self.lowered.groups[bound.input.name][0]
            leaving = [p for p in self.lowered.projections if p.source_start == first]
            longest = max((int(p.delay.max(initial=0)) for p in leaving), default=0)
            drawn = bound.spikes(max(0, self.tick - longest), self.tick)
            own = Ledger(self.lowered, 0)
            own.add(drawn.ticks, drawn.neurons + first, self.tick)
            found += own.pending(self.tick)
        return found

    def result(self, *, weights: bool = True) -> Result:
        """Return everything recorded so far; ``weights=False`` leaves the weights out."""
        self._count()
        return super().result(weights=weights)

    def weights(self, projection: int) -> npt.NDArray[np.float64]:
        """Return the current weights, in row order."""
        rule = self.lowered.projections[projection].plasticity
        if rule is None:
            return super().weights(projection)
        values = self.engine.weights(projection)[self.item].astype(np.float64)
        clipped: npt.NDArray[np.float64] = np.clip(values, *rule.bounds)
        return clipped

    def set_weights(self, projection: int, values: npt.NDArray[np.float64]) -> None:
        """Replace the weights, in row order (or the one weight that all share)."""
        self._fetch_weights()
        super().set_weights(projection, values)
        self.engine.set_weights(self._projection_weights)

    def _fetch_weights(self) -> None:
        for i, p in enumerate(self.lowered.projections):
            if p.plasticity is not None:
                self._projection_weights[i][:] = self.engine.weights(i)[self.item]

    def _settle_weights(self) -> None:
        self._fetch_weights()
        for i, p in enumerate(self.lowered.projections):
            if p.plasticity is not None:
                own = self._projection_weights[i]
                np.clip(own, *p.plasticity.bounds, out=own)
        self.engine.set_weights(self._projection_weights)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state, spikes in flight and everything recorded included."""
        self._count()
        self._fetch_weights()
        return super().snapshot()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from a snapshot."""
        for i, own in enumerate(self._projection_weights):
            own[:] = state.get(f"w_{i}", self.lowered.projections[i].weight)
        self.engine.reset()
        self.engine.set_weights(self._projection_weights)
        super().restore(state)

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        own = {
            "ledger_ticks": self.ledger.ticks,
            "ledger_neurons": self.ledger.neurons,
            "ledger_sent": np.array(self.ledger.sent),
            "late": np.array(self._late),
        }
        return {f"e_{name}": array for name, array in self.engine.state().items()} | own

    def _load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.engine.load({n[2:]: a for n, a in state.items() if n.startswith("e_")})
        self.ledger.ticks, self.ledger.neurons = state["ledger_ticks"], state["ledger_neurons"]
        self.ledger.sent, self._late = int(state["ledger_sent"]), int(state["late"])

    def _name_of(self, neuron: int) -> str:
        for p in self.lowered.populations:
            if p.start <= neuron < p.start + p.size:
                return f"{p.name}[{neuron - p.start}]"
        raise AssertionError("only populations have states")

    def _draws(self) -> frozenset[int]:
        return self.engine.draws


def run_again(
    engine: Engine, start: int, end: int, given: list[tuple[IndexArray, IndexArray]]
) -> None:
    """Return to the mark at ``start`` and run to ``end``: what came later never was."""
    engine.rewind()
    if end > start:
        engine.run(start, end, [(t[t < end], n[t < end]) for t, n in given])


def _merged(
    block: Block, ticks: IndexArray, neurons: IndexArray, end: int
) -> tuple[IndexArray, IndexArray]:
    """Return all spikes before tick ``end``, inputs included, sorted by tick and neuron."""
    own = slice(0, np.searchsorted(block.tick, end))
    if not ticks.size:
        return block.tick[own], block.neuron[own]
    given = slice(0, np.searchsorted(ticks, end))
    key = np.concatenate([ticks[given], block.tick[own]]) << 32
    key |= np.concatenate([neurons[given], block.neuron[own]])
    key.sort(kind="stable")  # two sorted runs: merged in linear time
    return key >> 32, key & 0xFFFFFFFF
