"""Units that move in steps of their own, among groups that move in every tick.

Calcium of astrocytes is integrated by brian2, from equations as text. A unit whose derivative is
a Python function is called at each step, and brian2 has everything but the integration.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.brian2.calcium import Calcium, calcium_of
from spikecore.backends.brian2.equations import Model, names_of, receive
from spikecore.backends.brian2.quiet import brian2
from spikecore.backends.lowering import Lowered, LoweredPopulation
from spikecore.backends.sweeps import Sweep
from spikecore.units.stepped import change_of

__all__ = ["Sender", "Stepping"]

IndexArray = npt.NDArray[np.int64]

_NOBODY = np.empty(0, np.int64)
_AFTER_OUTPUTS = 5  # within after_groups: outputs come at 0, arrivals at 10


@dataclass
class Sender:
    """A continuous output as a group that emits: a spike for each change that is not 0."""

    start: int
    spikes: IndexArray = field(default_factory=_NOBODY.copy)


class Stepping:
    """All stepped populations of a network that brian2 runs.

    Parameters
    ----------
    lowered : Lowered
    clock
        That of the ticks.
    """

    def __init__(self, lowered: Lowered, clock: Any) -> None:
        self.lowered, self.clock = lowered, clock
        self.sweeps = {lowered.populations[s.population].name: s for s in lowered.sweeps}
        self.text: dict[str, Calcium] = {}
        self.groups: dict[str, Any] = {}
        self.models: dict[str, Model] = {}
        self.broken = ""
        """The first unit that a step has made infinite or no number."""
        names = {start: name for name, (start, _) in lowered.groups.items()}
        self.senders = {
            names[first]: Sender(first) for s in lowered.sweeps for first, _ in s.carried
        }
        self.operations = [
            brian2.NetworkOperation(call, clock=clock, when=when, order=order, name=name)
            for call, when, order, name in (
                (self._begin, "before_groups", 0, "step_begins"),
                (self._end, "after_groups", _AFTER_OUTPUTS, "step_ends"),
            )
            if self.sweeps
        ]

    # -- making ---------------------------------------------------------------------

    def model(self, p: LoweredPopulation) -> Model:
        """Write the model of a stepped population."""
        unit = self.sweeps[p.name].unit
        model = Model(names_of(p.unit))
        given = {q.name: q.unit for q in self.lowered.network.populations}
        text = calcium_of(given[p.name], p.size)
        written = len(unit.states) if text else 0
        lines = [f"{x} : 1" for x in model.states[written:]]
        lines += [f"in_{n} : 1" for n in range(len(p.ports))]
        if text is None:
            model.threshold, model.reset = "fires > 0", "fires = 0"
            lines.append("fires : integer")
            model.notes.append(
                f"population {p.name!r}: its states move by spikecore's own integrator, "
                "because its derivative is a Python function"
            )
        else:
            self.text[p.name] = text
            lines.append(text.equations)
            model.threshold, model.reset = text.threshold or "False", text.reset
            model.namespace = text.namespace | {"own_step": float(unit.step.value) * brian2.ms}
            model.method = _runge_kutta
            model.vectors = text.vectors
        model.equations = "\n".join(lines)
        receive(p, self.lowered.dt, model)
        self.models[p.name] = model
        return model

    def adopt(self, p: LoweredPopulation, group: Any) -> None:
        """Let ``group`` move at the steps of its unit only."""
        self.groups[p.name] = group
        sweep, text = self.sweeps[p.name], self.text.get(p.name)
        if text is None:
            self._only_at_steps(group.state_updater, sweep, lambda: self._advance(p.name))
            return
        self._only_at_steps(group.state_updater, sweep, group.state_updater.run)
        if text.outputs:
            (output,) = sweep.unit.outputs
            change = self.models[p.name].states[p.unit.states.index(change_of(output))]
            code = text.outputs.format(change=change)
            outputs = group.run_regularly(code, clock=self.clock, when="after_groups", order=0)
            self._only_at_steps(outputs, sweep, outputs.run)

    def _only_at_steps(self, runner: Any, sweep: Sweep, work: Callable[[], None]) -> None:
        # A clock of brian2 ticks at 0, E, 2 E, ...; steps are in ticks E - 1, 2 E - 1, ...
        def run() -> None:
            if self._due(sweep):
                work()

        runner.run = run

    # -- running ----------------------------------------------------------------------

    def _due(self, sweep: Sweep) -> bool:
        t = int(self.clock.variables["timestep"].get_value().item())
        return (t + 1) % sweep.every == 0

    def _variable(self, name: str, state: str) -> Any:
        return self.groups[name].variables[state]

    def _begin(self) -> None:
        for name, text in self.text.items():
            for was, state in text.was.items():
                value = self._variable(name, state).get_value()
                self._variable(name, was).set_value(value.copy())

    def _states(self, name: str) -> npt.NDArray[np.float64]:
        """Return all states of a population, shape (size, S)."""
        return np.stack(
            [self._variable(name, s).get_value() for s in self.models[name].states], axis=1
        )

    def _advance(self, name: str) -> None:
        x, fires = self.sweeps[name].unit.advance(self._states(name))
        for state, values in zip(self.models[name].states, x.T, strict=True):
            self._variable(name, state).set_value(values)
        self._variable(name, "fires").set_value(fires.astype(np.int32))

    def _end(self) -> None:
        """Look at what the steps of this tick have made, before anything arrives."""
        self.broken = ""
        for sender in self.senders.values():
            sender.spikes = _NOBODY
        by_start = {s.start: s for s in self.senders.values()}
        for name, sweep in self.sweeps.items():
            if not self._due(sweep):
                continue
            x = self._states(name)
            finite = np.isfinite(x).all(axis=1)
            if not finite.all() and not self.broken:
                self.broken = f"{name}[{np.argmin(finite)}]"
            for first, state in sweep.carried:
                by_start[first].spikes = np.flatnonzero(x[:, state])

    def sent(self) -> list[IndexArray]:
        """Return who has sent a change of an output in this tick, by number."""
        return [s.start + s.spikes for s in self.senders.values()]


def _runge_kutta(equations: Any, variables: Any, options: Any = None) -> str:
    """Return brian2's own scheme of fourth order, over a step of the unit instead of a tick."""
    code: str = brian2.rk4(equations, variables, options)
    return re.sub(r"\bdt\b", "own_step", code)
