"""Text for brian2: what one population is, written from its unit description.

States are relative to rest, as in the description, and dimensionless; rates are
in Hz. A coefficient that two entries share has one name, so that brian2 solves
equal time constants as the special case that they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import LoweredPopulation
from spikecore.units.linear import LinearUnit
from spikecore.units.propagator import step_system

__all__ = ["Method", "Model", "model_of", "names_of", "receive"]

FloatArray = npt.NDArray[np.float64]
Method = str | Callable[..., str]

_ACCURACY = 1e-11
_EPSILON = 2.0**-52
_SAME = 1e-13
_LEAST_LEAK = 1e-6


@dataclass
class Model:
    """One population as brian2 takes it.

    Attributes
    ----------
    equations, threshold, reset : str
    method : str or callable
        ``"exact"``, or a function that returns the update as code.
    states : tuple of str
        brian2's name of each state.
    before, after : str
        Code that adds the arrivals of the tick, before and after the states move.
    constants, parameters : dict of str to float, of str to ndarray
        One value for all; one for each neuron.
    namespace : dict of str to object
        Other things that the text names: functions, quantities.
    vectors : bool
        Whether it has a function of all neurons at once, for which code must be NumPy's.
    notes : list of str
        Where the promise of an independent integration is not kept.
    """

    states: tuple[str, ...]
    equations: str = ""
    threshold: str = ""
    reset: str = ""
    method: Method = "exact"
    before: str = ""
    after: str = ""
    constants: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, FloatArray] = field(default_factory=dict)
    namespace: dict[str, Any] = field(default_factory=dict)
    vectors: bool = False
    notes: list[str] = field(default_factory=list)


def model_of(p: LoweredPopulation, dt: float) -> Model:
    """Write the model of a population for ticks of ``dt`` ms."""
    model = Model(names_of(p.unit))
    writer = _Writer(model, p.size)
    reason = _why_not_exact(p.unit, dt, bool(p.refractory.any()))
    derivatives = _derivatives(p.unit, writer)
    if reason:
        model.method = _propagate(p, dt, writer)
        model.notes.append(
            f"population {p.name!r}: its states move by spikecore's own propagator, "
            f"because {reason}"
        )
    lines = [f"d{x}/dt = {dx} : 1" for x, dx in zip(model.states, derivatives, strict=True)]
    arrivals = [f"in_{n} : 1" for n in range(len(p.ports))]
    level = [writer.term(np.atleast_1d(w), s) for w, s in zip(p.unit.h, model.states, strict=True)]
    model.threshold = f"{_sum(level)} >= {writer.value(p.threshold)}"
    model.reset = _reset(p, writer)
    _hold(p, writer)
    _receive(p, dt, writer)
    if p.unit.step == "spinnaker":
        arrivals += [f"held_{name} : 1" for name in model.states]
        model.before += "".join(f"held_{name} = {name}\n" for name in model.states)
    parameters = [f"{name} : 1 (constant)" for name in model.parameters if name[0] != "k"]
    parameters += [f"{name} : Hz (constant)" for name in model.parameters if name[0] == "k"]
    model.equations = "\n".join([*lines, *arrivals, *parameters])
    return model


def names_of(unit: LinearUnit) -> tuple[str, ...]:
    """Return what brian2 calls the states of a unit."""
    return tuple(_name(i, state) for i, state in enumerate(unit.states))


def receive(p: LoweredPopulation, dt: float, model: Model) -> None:
    """Write into ``model`` what adds the arrivals of a tick to the states of a population."""
    _receive(p, dt, _Writer(model, p.size))


def _name(number: int, state: str) -> str:
    """Return a name that brian2 accepts: it reserves some, and takes letters and digits only."""
    plain = re.fullmatch(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*", state, re.ASCII)
    return f"x_{state}" if plain and not state.endswith(("_pre", "_post")) else f"y_{number}"


class _Writer:
    """Names coefficients; equal ones get one name."""

    def __init__(self, model: Model, size: int) -> None:
        self.model, self.size = model, size
        self._known: dict[str, list[tuple[FloatArray, str]]] = {"k": [], "c": []}

    def _named(self, values: FloatArray, kind: str) -> str:
        known = self._known[kind]
        for array, name in known:
            if array.shape == values.shape and np.allclose(array, values, rtol=_SAME, atol=0):
                return name
        name = f"{kind}{len(known)}"
        known.append((values, name))
        if values.size == 1:
            self.model.constants[name] = float(values[0])
        else:
            self.model.parameters[name] = values
        return name

    def rate(self, values: FloatArray, factor: str) -> str:
        """Return ``rate * factor``; an empty text if the rate is 0 (values in 1/ms)."""
        if not values.any():
            return ""
        values = values[:1] if np.all(values == values[0]) else values
        sign = "-" if np.all(values <= 0) else ""
        return f"{sign}{self._named(1e3 * (-values if sign else values), 'k')}*{factor}"

    def value(self, values: FloatArray) -> str:
        """Return a number as text, or the name of a parameter with one value for each neuron."""
        if np.all(values == values[0]) and np.isfinite(values[0]):
            return f"({float(values[0])!r})" if values[0] < 0 else repr(float(values[0]))
        return self._named(np.broadcast_to(values, (self.size,)), "c")

    def term(self, values: FloatArray, factor: str) -> str:
        """Return ``value * factor`` in the shortest way; an empty text for 0."""
        if not values.any():
            return ""
        return factor if np.all(values == 1.0) else f"{self.value(values)}*{factor}"


def _sum(terms: list[str]) -> str:
    return " + ".join(t for t in terms if t) or "0"


def _why_not_exact(unit: LinearUnit, dt: float, refractory: bool) -> str:
    """Return why brian2's solution would divide by zero or be inaccurate; empty if it is not."""
    coupled = np.any(unit.A != 0, axis=0, keepdims=True)[0]
    np.fill_diagonal(coupled, False)
    if unit.step == "spinnaker":  # currents and the other states do not see each other move
        current = np.array([s in unit.currents for s in unit.states])
        coupled &= current[:, None] == current[None, :]
    power, length = coupled.copy(), 0
    reach = coupled.copy()
    while power.any() and length < len(coupled):
        power, length = (power.astype(int) @ coupled.astype(int)) > 0, length + 1
        reach |= power
    if reach.diagonal().any():
        return "its states feed back on one another"
    mask = np.array([s in unit.reset for s in unit.states])
    if refractory and unit.A[:, ~mask][:, :, mask].any():
        return "other states go on from those that are held while it is refractory"
    rates = np.diagonal(unit.A, axis1=1, axis2=2)
    if np.any(np.abs(rates) * dt < _LEAST_LEAK):
        return "a state does not leak"
    gap = np.abs(rates[:, :, None] - rates[:, None, :])
    least = (_EPSILON / _ACCURACY) ** (1 / max(length, 1)) / dt
    for i, j in zip(*np.nonzero(reach), strict=True):
        same = np.all(gap[:, i, j] <= _SAME * np.abs(rates[:, i]))
        if not same and np.any(gap[:, i, j] < least):
            return "two time constants are nearly equal"
    return ""


def _derivatives(unit: LinearUnit, writer: _Writer) -> list[str]:
    names = writer.model.states
    current = [s in unit.currents for s in unit.states]
    found = []
    for i in range(len(names)):
        terms = []
        for j, name in enumerate(names):
            apart = unit.step == "spinnaker" and current[i] != current[j]
            terms.append(writer.rate(unit.A[:, i, j], f"held_{name}" if apart else name))
        terms.append(writer.rate(unit.b[:, i], "1"))
        found.append(_sum(terms) if any(terms) else "0*Hz")
    return found


def _propagate(p: LoweredPopulation, dt: float, writer: _Writer) -> Method:
    """Return a method that writes ``x = P x + q``, free or held, coefficient by coefficient."""
    names, s = writer.model.states, len(p.unit.states)
    free, held = (step_system(p.unit, dt, held)[:, :s] for held in (False, True))
    differs = p.refractory.any() & ~np.all(free == held, axis=(0, 2)) & ~p.reset_mask
    lines = []
    for i, name in enumerate(names):
        moved = _row(free[:, i], names, writer)
        if differs[i]:
            stays = _row(held[:, i], names, writer)
            moved = f"{_FREE}*({moved}) + (1 - {_FREE})*({stays})"
        lines.append(f"_{name} = {moved}")
    code = "\n".join([*lines, *(f"{name} = _{name}" for name in names)])

    def method(_equations: Any, _variables: Any, _options: Any = None) -> str:
        return code

    return method


def _row(coefficients: FloatArray, names: tuple[str, ...], writer: _Writer) -> str:
    constant = coefficients[:, -1]
    terms = [writer.term(coefficients[:, j], name) for j, name in enumerate(names)]
    return _sum([*terms, writer.value(constant) if constant.any() else ""])


def _reset(p: LoweredPopulation, writer: _Writer) -> str:
    lines = []
    for i, name in enumerate(writer.model.states):
        if p.reset_mask[i]:
            lines.append(f"{name} = {writer.value(p.reset_value[:, i])}")
        elif p.jump[:, i].any():
            lines.append(f"{name} += {writer.value(p.jump[:, i])}")
    return "\n".join(lines)


_FREE = "int(not_refractory)"


def _hold(p: LoweredPopulation, writer: _Writer) -> None:
    """Write what keeps the reset states where they are while a neuron is refractory.

    brian2's "(unless refractory)" would multiply their equations by 0 or 1, and the exact
    solution then divides by zero where other states feed them.
    """
    if not p.refractory.any():
        return
    for i in np.flatnonzero(p.reset_mask):
        name, value = writer.model.states[i], writer.value(p.reset_value[:, i])
        writer.model.after += f"{name} = {_FREE}*{name} + (1 - {_FREE})*{value}\n"


def _receive(p: LoweredPopulation, dt: float, writer: _Writer) -> None:
    """Write what adds the summed arrivals of a tick to the states, port by port."""
    unit, model = p.unit, writer.model
    for number, port in enumerate(unit.ports.values()):
        name, gain = model.states[unit.states.index(port.state)], np.array([float(port.sign)])
        if unit.step == "spinnaker" and port.state in unit.currents:
            assert port.tau is not None
            gain = port.sign * (port.tau / dt * -np.expm1(-dt / port.tau))
            model.before += f"{name} += {writer.term(gain, f'in_{number}')}\nin_{number} = 0\n"
        else:
            lost = port.state in unit.reset and p.refractory.any()
            arrived = f"in_{number}*{_FREE}" if lost else f"in_{number}"
            model.after += f"{name} += {writer.term(gain, arrived)}\nin_{number} = 0\n"
