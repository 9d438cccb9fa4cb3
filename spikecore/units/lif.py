"""Leaky integrate-and-fire neurons.

Sources: delta, exponential and alpha currents as in Gerstner, Kistler, Naud &
Paninski, *Neuronal Dynamics* (2014), sections 1.3 and 5.2; adaptive threshold as
in Bellec et al. (2018), "Long short-term memory and learning-to-learn in
networks of spiking neurons".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnitMismatch, names_its_parameters
from spikecore.quantities import MOhm, Quantity, magnitude, ms, mV, nA, require
from spikecore.units.linear import LinearUnit, Port, StepRule

__all__ = ["LIF", "AdaptiveThreshold", "Alpha", "Delta", "Exponential"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Delta:
    """Synapses that lift the membrane at once; weights are voltages (mV)."""


@names_its_parameters
@dataclass(frozen=True)
class Exponential:
    """Synaptic currents that jump by the weight (nA) and decay exponentially.

    Attributes
    ----------
    tau_exc, tau_inh : Quantity
        Time constants (time) of the ports ``"exc"`` and ``"inh"``.
    """

    tau_exc: Quantity = 5.0 * ms
    tau_inh: Quantity = 5.0 * ms


@names_its_parameters
@dataclass(frozen=True)
class Alpha:
    """Synaptic currents ``w (t/tau) exp(1 - t/tau)``: the weight (nA) is the peak, at ``tau``.

    Attributes
    ----------
    tau_exc, tau_inh : Quantity
        Time constants (time) of the ports ``"exc"`` and ``"inh"``.
    """

    tau_exc: Quantity = 5.0 * ms
    tau_inh: Quantity = 5.0 * ms


@names_its_parameters
@dataclass(frozen=True)
class AdaptiveThreshold:
    """A threshold that rises with each spike and falls back exponentially.

    Attributes
    ----------
    step : Quantity
        Rise of the threshold at each spike (voltage, not negative).
    tau : Quantity
        Time constant of its return (time).
    """

    step: Quantity = 1.0 * mV
    tau: Quantity = 100.0 * ms


@names_its_parameters
@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire neuron, ``tau_m dv/dt = -(v - v_rest) + R I``.

    Every parameter is one value, or an array with one value for each neuron.

    Parameters
    ----------
    tau_m : Quantity
        Membrane time constant (time).
    v_rest, v_reset, v_threshold : Quantity
        Resting, reset and threshold potential (voltage).
    refractory : Quantity
        After a spike in tick t the neuron may fire again at t + refractory + 1
        tick at the earliest; the membrane is held at ``v_reset`` meanwhile.
    resistance : Quantity
        Membrane resistance R (``tau_m / capacitance``).
    i_offset : Quantity
        Constant current (current).
    synapse : Delta, Exponential or Alpha
        Shape of the synaptic input. Ports: ``"exc"`` adds, ``"inh"`` subtracts.
    adaptation : AdaptiveThreshold, optional
        Makes the threshold rise with each spike.
    step : {"exact", "spinnaker"}
        Step rule, see docs/semantics.

    Raises
    ------
    UnitMismatch
        If a parameter lacks its unit or has a wrong one.
    InvalidInput
        If a time constant or the resistance is not positive, the refractory
        period is negative, a value is not finite, ``v_reset >= v_threshold``, or
        parameters have different lengths.

    Examples
    --------
    >>> from spikecore import LIF, Exponential, ms, mV
    >>> LIF(tau_m=20 * ms, v_threshold=-50 * mV).linear.states
    ('i_exc', 'i_inh', 'v')
    """

    tau_m: Quantity = 20.0 * ms
    v_rest: Quantity = -65.0 * mV
    v_reset: Quantity = -65.0 * mV
    v_threshold: Quantity = -50.0 * mV
    refractory: Quantity = 0.0 * ms
    resistance: Quantity = 1.0 * MOhm
    i_offset: Quantity = 0.0 * nA
    synapse: Delta | Exponential | Alpha = Exponential()
    adaptation: AdaptiveThreshold | None = None
    step: StepRule = "exact"

    def __post_init__(self) -> None:
        _ = self.linear  # all checks happen when the description is derived

    @cached_property
    def linear(self) -> LinearUnit:
        """The description that backends consume."""
        p = self._checked()
        size = max(value.size for value in p.values())
        full = {name: np.broadcast_to(value, (size,)) for name, value in p.items()}
        states, ports = self._ports(full)
        if self.adaptation is not None:
            states = (*states, "theta")
        states = (*states, "v")
        return LinearUnit(
            name="lif",
            states=states,
            dimensions=tuple("voltage" if s in ("v", "theta") else "current" for s in states),
            A=self._matrix(full, states),
            b=self._drive(full, states),
            rest=_place(states, size, v=full["v_rest"]),
            ports=ports,
            h=np.array([{"v": 1.0, "theta": -1.0}.get(s, 0.0) for s in states]),
            threshold=full["v_threshold"] - full["v_rest"],
            reset={"v": full["v_reset"] - full["v_rest"]},
            jump={"theta": full["theta_step"]} if self.adaptation else {},
            refractory=full["refractory"],
            currents=tuple(s for s in states if s not in ("v", "theta")),
            step=self.step,
            parameters=self.parameters,
        )

    @cached_property
    def parameters(self) -> dict[str, Quantity]:
        """All parameters by name, those of synapse and adaptation included."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        if isinstance(self.synapse, Exponential | Alpha):
            found |= {"tau_exc": self.synapse.tau_exc, "tau_inh": self.synapse.tau_inh}
        if self.adaptation is not None:
            found |= {"theta_step": self.adaptation.step, "tau_theta": self.adaptation.tau}
        for name in ("synapse", "adaptation", "step"):
            found.pop(name)
        return found

    def _checked(self) -> dict[str, FloatArray]:
        if not isinstance(self.synapse, Delta | Exponential | Alpha):
            raise UnitMismatch(
                "LIF.synapse",
                "must be Delta, Exponential or Alpha",
                got=repr(self.synapse),
                fix="write e.g. synapse=Exponential(5 * ms)",
            )
        rules: dict[str, tuple[str, dict[str, Any]]] = {
            "tau_m": ("time", {"above": 0.0}),
            "refractory": ("time", {"at_least": 0.0}),
            "resistance": ("resistance", {"above": 0.0}),
            "i_offset": ("current", {}),
            "v_rest": ("voltage", {}),
            "v_reset": ("voltage", {}),
            "v_threshold": ("voltage", {}),
            "tau_exc": ("time", {"above": 0.0}),
            "tau_inh": ("time", {"above": 0.0}),
            "theta_step": ("voltage", {"at_least": 0.0}),
            "tau_theta": ("time", {"above": 0.0}),
        }
        values: dict[str, FloatArray] = {}
        for name, given in self.parameters.items():
            dimension, bounds = rules[name]
            values[name] = np.atleast_1d(magnitude(given, dimension, f"LIF.{name}", **bounds))
        sizes = {value.size for value in values.values()} - {1}
        if len(sizes) > 1 or 0 in sizes:
            found = {name: value.size for name, value in values.items() if value.size != 1}
            fix = "give one value, or one for each neuron"
            raise InvalidInput("LIF", "arrays must have one length", got=found, fix=fix)
        reset, threshold = np.broadcast_arrays(values["v_reset"], values["v_threshold"])
        require(
            reset,
            reset < threshold,
            "LIF.v_reset",
            "must lie below v_threshold",
            "mV",
            fix="lower v_reset, or raise v_threshold",
        )
        return values

    def _ports(self, p: dict[str, FloatArray]) -> tuple[tuple[str, ...], dict[str, Port]]:
        if isinstance(self.synapse, Delta):
            return (), {"exc": Port("v", "voltage"), "inh": Port("v", "voltage", -1)}
        if isinstance(self.synapse, Exponential):
            return ("i_exc", "i_inh"), {
                "exc": Port("i_exc", "current", tau=p["tau_exc"]),
                "inh": Port("i_inh", "current", tau=p["tau_inh"]),
            }
        return ("a_exc", "a_inh", "i_exc", "i_inh"), {
            "exc": Port("a_exc", "current", tau=p["tau_exc"]),
            "inh": Port("a_inh", "current", tau=p["tau_inh"]),
        }

    def _matrix(self, p: dict[str, FloatArray], states: tuple[str, ...]) -> FloatArray:
        index = {name: i for i, name in enumerate(states)}
        a = np.zeros((p["tau_m"].size, len(states), len(states)))
        a[:, index["v"], index["v"]] = -1.0 / p["tau_m"]
        for side, sign in (("exc", 1.0), ("inh", -1.0)):
            current, rise = index.get(f"i_{side}"), index.get(f"a_{side}")
            if current is not None:
                a[:, current, current] = -1.0 / p[f"tau_{side}"]
                a[:, index["v"], current] = sign * p["resistance"] / p["tau_m"]
            if current is not None and rise is not None:
                a[:, rise, rise] = -1.0 / p[f"tau_{side}"]
                a[:, current, rise] = math.e / p[f"tau_{side}"]
        if "theta" in index:
            a[:, index["theta"], index["theta"]] = -1.0 / p["tau_theta"]
        return a

    def _drive(self, p: dict[str, FloatArray], states: tuple[str, ...]) -> FloatArray:
        drive = p["resistance"] * p["i_offset"] / p["tau_m"]
        return _place(states, p["tau_m"].size, v=drive)


def _place(states: tuple[str, ...], size: int, **values: FloatArray) -> FloatArray:
    """Return zeros of shape (size, S) with the named states filled in."""
    out = np.zeros((size, len(states)))
    for name, value in values.items():
        out[:, states.index(name)] = value
    return out
