"""Sessions of the brian2 backend as a compiled C++ program: target cpp_standalone."""

from __future__ import annotations

import time
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.brian2.build import Built
from spikecore.backends.brian2.quiet import brian2, standalone
from spikecore.backends.brian2.session import Brian2Session
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Options
from spikecore.backends.session import check_trace_memory
from spikecore.errors import BackendUnavailable
from spikecore.progress import OnProgress
from spikecore.results import Status

__all__ = ["StandaloneSession"]

IndexArray = npt.NDArray[np.int64]


def _build(device: Any, folder: str) -> None:
    try:
        device.build(directory=folder, compile=True, run=True)
    except RuntimeError as error:
        raise BackendUnavailable(
            "backend 'brian2', target 'cpp_standalone'",
            "the program could not be compiled or run",
            got=str(error).partition("\n")[0],
            fix="read what the compiler says, or use target='numpy'",
        ) from error


class StandaloneSession(Brian2Session):
    """One run, written, compiled and executed by brian2 in one go."""

    def __init__(self, lowered: Lowered, options: Options) -> None:
        super().__init__(lowered, options)
        self._reset()

    def _reset(self) -> None:
        self._begin()

    def advance(self, to_tick: int, on_progress: OnProgress | None = None) -> Status:
        """Run up to, not including, ``to_tick``."""
        check_trace_memory(self.lowered, self.options, to_tick)
        began = time.perf_counter()
        self._now = self._sources(0, to_tick)
        with (
            TemporaryDirectory(prefix="spikecore-brian2-") as folder,
            standalone(folder) as device,
        ):
            built = Built(self.lowered, self.dtype, self._projection_weights, self._repeats)
            monitors = self._monitors(built)
            built.give(*self._now)
            built.network.run(to_tick * self.lowered.dt * brian2.ms, namespace={})
            _build(device, folder)
            self._take(built, monitors, to_tick)
        self._model_notes = tuple(n for m in built.models.values() for n in m.notes)
        self._wall += time.perf_counter() - began
        if on_progress is not None:
            on_progress(self.tick)
        return self.status

    def _monitors(self, built: Built) -> dict[str, Any]:
        monitors: dict[str, Any] = {}
        for number, p in enumerate(self.lowered.populations):
            group = built.groups[p.name]
            monitors[f"fired {p.name}"] = brian2.SpikeMonitor(group, name=f"fired{number}")
            monitors[f"broken {p.name}"] = brian2.EventMonitor(
                group, "broken", name=f"broken{number}"
            )
        for number, probe in enumerate(self.lowered.probes):
            for p in self.lowered.populations:
                if p.start <= probe.neurons[0] < p.start + p.size:
                    monitors[f"probe {number}"] = brian2.StateMonitor(
                        built.groups[p.name],
                        built.models[p.name].states[probe.state],
                        record=probe.neurons - p.start,
                        dt=probe.every * self.lowered.dt * brian2.ms,
                        when="end",
                        name=f"probe{number}",
                    )
        built.network.add(*monitors.values())
        return monitors

    def _take(self, built: Built, monitors: dict[str, Any], to_tick: int) -> None:
        """Record what the program has written, tick by tick, as if it were running now."""
        fired, broken = (self._events(monitors, kind) for kind in ("fired", "broken"))
        for t in range(to_tick):
            lo, hi = np.searchsorted(broken[0], [t, t + 1])
            name = self._name_of(int(broken[1][lo])) if hi > lo else ""
            lo, hi = np.searchsorted(fired[0], [t, t + 1])
            if not self._record(fired[1][lo:hi], name) or self.status != "complete":
                break
        for number, probe in enumerate(self.lowered.probes):
            monitor = monitors[f"probe {number}"]
            (variable,) = monitor.record_variables
            values = np.asarray(getattr(monitor, f"{variable}_"), np.float64).T
            self._traces[number] = [values[: -(-self.tick // probe.every)]]
        for number, synapses in built.synapses.items():
            if self.lowered.projections[number].plasticity is not None:
                self._projection_weights[number][:] = np.asarray(synapses.w1_)

    def _events(self, monitors: dict[str, Any], kind: str) -> tuple[IndexArray, IndexArray]:
        ticks, neurons = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for p in self.lowered.populations:
            monitor = monitors[f"{kind} {p.name}"]
            ticks.append(np.rint(np.asarray(monitor.t_) * 1e3 / self.lowered.dt).astype(np.int64))
            neurons.append(np.asarray(monitor.i[:], np.int64) + p.start)
        when, who = np.concatenate(ticks), np.concatenate(neurons)
        order = np.lexsort((who, when))
        return when[order], who[order]

    def _name_of(self, neuron: int) -> str:
        for p in self.lowered.populations:
            if p.start <= neuron < p.start + p.size:
                return f"{p.name}[{neuron - p.start}]"
        raise AssertionError("only populations have states")
