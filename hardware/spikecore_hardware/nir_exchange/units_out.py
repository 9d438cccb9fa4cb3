"""Populations as NIR's neurons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from spikecore.network import Network, Population
from spikecore.quantities import magnitude
from spikecore.units.linear import NEGLIGIBLE, LinearUnit
from spikecore_hardware.nir_exchange.conventions import rounded, to_seconds

__all__ = ["UnitOut", "describe"]

FloatArray = npt.NDArray[np.float64]

CURRENTS = ("i_exc", "i_inh", "v")


@dataclass
class UnitOut:
    """A population on its way out.

    Attributes
    ----------
    name, size : str, int
        Of the population.
    reasons : list of str
        Why NIR cannot say it.
    node, threshold : nir.NIRNode or None
        What it becomes.
    sends : str
        Node that its spikes come from.
    signs : dict of str to float
        +1 or -1 for each port.
    bias : ndarray or None
        Constant input, where there is one.
    """

    name: str
    size: int
    reasons: list[str] = field(default_factory=list)
    node: Any = None
    threshold: Any = None
    sends: str = ""
    signs: dict[str, float] = field(default_factory=dict)
    bias: FloatArray | None = None


def describe(network: Network, population: Population) -> UnitOut:
    """Return the nodes of a population, or why there are none."""
    unit, out = population.linear, UnitOut(population.name, population.size)
    out.sends = out.name
    used = {p.port for p in network.projections if p.post_name == population.name}
    out.reasons = [f"population {out.name!r}: {r}" for r in _reasons(population, unit, used)]
    if not out.reasons:
        ports = unit.ports.items()
        if len(unit.states) == 1:
            out.signs = {name: float(port.sign) for name, port in ports}
            _one_state(out, unit, network.dt)
        else:
            coupling = dict(zip(unit.states, unit.A[0, -1], strict=True))
            out.signs = {name: float(np.sign(coupling[port.state])) for name, port in ports}
            _currents(out, unit, network.dt, used)
    return out


def _reasons(population: Population, unit: LinearUnit, used: set[str]) -> list[str]:
    reasons = []
    if unit.step != "exact":
        reasons.append(f"step rule {unit.step!r}: NIR's neurons move in continuous time")
    if np.any(unit.refractory > 0):
        reasons.append("a refractory period")
    if unit.jump:
        reasons.append("an adaptive threshold")
    started = [s for s, value in population.initial.items() if not _at_rest(unit, s, value)]
    if started:
        reasons.append(f"an initial value of {', '.join(started)}")
    core = tuple(s for s in unit.states if s != "theta")
    if any(state.startswith("a_") for state in core):
        reasons.append("alpha synapses")
    elif len(core) > 1 and (core != CURRENTS or "tau_exc" not in unit.parameters):
        reasons.append(f"states {', '.join(core)}: NIR has neurons of one state, and CubaLIF")
    elif len(core) > 1:
        reasons += _current_reasons(unit, used)
    if not unit.jump and not np.array_equal(unit.h, np.eye(len(unit.states))[-1]):
        reasons.append("a threshold on something else than its last state")
    if len(core) == 1 and np.any(unit.b != 0) and not used:
        reasons.append("a constant current, which needs a projection to arrive with")
    never = np.isinf(unit.threshold)
    if never.any() and not never.all():
        reasons.append("neurons with a threshold and neurons without")
    leaks = -unit.A[:, -1, -1] > NEGLIGIBLE
    if leaks.any() and not leaks.all():
        reasons.append("neurons with a leak and neurons without")
    return reasons


def _current_reasons(unit: LinearUnit, used: set[str]) -> list[str]:
    reasons = []
    if np.any(unit.b[:, -1] != 0):
        reasons.append("a constant current beside exponential synapses")
    taus = [magnitude(unit.parameters[f"tau_{s}"], "time", "tau") for s in ("exc", "inh")]
    if used >= {"exc", "inh"} and np.any(taus[0] != taus[1]):
        reasons.append("synapses of two time constants")
    return reasons


def _at_rest(unit: LinearUnit, state: str, value: Any) -> bool:
    i = unit.states.index(state)
    return bool(np.all(magnitude(value, unit.dimensions[i], "initial") == unit.rest[:, i]))


def _full(out: UnitOut, values: Any) -> FloatArray:
    return np.broadcast_to(np.asarray(values, np.float64), (out.size,)).copy()


def _tau(unit: LinearUnit) -> FloatArray:
    """Return the membrane time constant, ms."""
    if "tau_m" in unit.parameters:
        return magnitude(unit.parameters["tau_m"], "time", "tau_m")
    return rounded(-1.0 / unit.A[:, -1, -1])


def _one_state(out: UnitOut, unit: LinearUnit, dt: float) -> None:
    leaks = bool(unit.A[0, 0, 0] < -NEGLIGIBLE)
    never, kept = bool(np.isinf(unit.threshold[0])), not unit.reset
    threshold = _full(out, unit.threshold)
    reset = _full(out, next(iter(unit.reset.values()), 0.0))
    zero, pulse = np.zeros(out.size), float(to_seconds(dt))
    if leaks:
        tau = _full(out, to_seconds(_tau(unit)))
        if never or kept:
            out.node = nir.LI(tau=tau, r=tau / pulse, v_leak=zero)
        else:
            out.node = nir.LIF(tau, tau / pulse, zero, threshold, reset)
    elif never or kept:
        out.node = nir.I(r=_full(out, 1.0 / pulse))
    else:
        out.node = nir.IF(_full(out, 1.0 / pulse), threshold, reset)
    if kept and not never:
        out.threshold = nir.Threshold(threshold)
    if np.any(unit.b != 0):
        out.bias = _full(out, unit.b[:, 0] * dt)


def _currents(out: UnitOut, unit: LinearUnit, dt: float, used: set[str]) -> None:
    side = "inh" if used == {"inh"} else "exc"
    tau_syn = _full(out, to_seconds(magnitude(unit.parameters[f"tau_{side}"], "time", "tau_syn")))
    resistance = _full(out, magnitude(unit.parameters["resistance"], "resistance", "resistance"))
    tau, zero = _full(out, to_seconds(_tau(unit))), np.zeros(out.size)
    common = {
        "tau_syn": tau_syn,
        "tau_mem": tau,
        "r": tau / float(to_seconds(dt)),
        "v_leak": zero,
        "w_in": resistance * tau_syn / tau,
    }
    threshold = _full(out, unit.threshold)
    if np.isinf(unit.threshold[0]) or not unit.reset:
        out.node = nir.CubaLI(**common)
        if not np.isinf(unit.threshold[0]):
            out.threshold = nir.Threshold(threshold)
    else:
        out.node = nir.CubaLIF(**common, v_threshold=threshold, v_reset=_full(out, unit.reset["v"]))
