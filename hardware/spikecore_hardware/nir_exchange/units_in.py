"""NIR's neurons as populations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from spikecore.network import Population
from spikecore.quantities import MOhm, Quantity, ms, mV, nA
from spikecore.units import LIF, Delta, Exponential, LinearUnit, Port
from spikecore_hardware.nir_exchange.conventions import alike, from_seconds, rounded

__all__ = ["NEURONS", "SILENT", "UnitIn"]

FloatArray = npt.NDArray[np.float64]

NEURONS = (nir.LIF, nir.IF, nir.LI, nir.I, nir.CubaLIF, nir.CubaLI)
SILENT = (nir.LI, nir.I, nir.CubaLI)
"""What gives a signal, not spikes, unless a Threshold follows."""


@dataclass
class UnitIn:
    """A neuron node on its way in.

    Attributes
    ----------
    name : str
        Of the node, and the population.
    node : nir.NIRNode
        The neuron.
    threshold : nir.Threshold or None
        What follows it, where it does not spike by itself.
    pulse : float
        Length of a spike, s.
    """

    name: str
    node: Any
    pulse: float
    threshold: Any = None

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.size(self.node.r))

    def reasons(self) -> list[str]:
        """Return why it cannot be run."""
        node, place = self.node, f"node {self.name!r}"
        values = {
            name: getattr(node, name)
            for name in ("tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_reset")
            if hasattr(node, name)
        }
        level = self.threshold.threshold if self.threshold is not None else None
        level = getattr(node, "v_threshold", level)
        if level is not None:
            values["v_threshold"] = level
        found = []
        for name, value in values.items():
            if not np.all(np.isfinite(value)):
                found.append(f"{place}: {name} is not finite")
            elif name[0] in "trw" and not np.all(np.asarray(value) > 0):
                found.append(f"{place}: {name} must be positive")
        if level is not None:
            low = values.get("v_reset", values.get("v_leak", 0.0))
            if not np.all(np.asarray(low) < level):
                what = "v_reset" if "v_reset" in values else "v_leak"
                found.append(f"{place}: {what} must lie below the threshold")
        if np.ndim(node.r) != 1:
            found.append(f"{place}: has {np.ndim(node.r)} axes: flatten it")
        return found

    def jump(self) -> FloatArray | None:
        """Return what a spike of weight 1 lifts the state by; None for by 1, everywhere."""
        if isinstance(self.node, nir.CubaLIF | nir.CubaLI):
            return None  # a current, in nA: the resistance has the rest
        per_s = (
            self.node.r if isinstance(self.node, nir.IF | nir.I) else self.node.r / self.node.tau
        )
        jump = rounded(per_s * self.pulse)
        return None if np.all(jump == 1.0) else jump

    def population(self, bias: FloatArray | None) -> Population:
        """Return the population, with a constant input if there is one."""
        build: Callable[[FloatArray], LIF | LinearUnit]
        if isinstance(self.node, nir.CubaLIF | nir.CubaLI):
            build = self._currents
        else:
            build = self._integrator if isinstance(self.node, nir.IF | nir.I) else self._leaky
        return Population(self.name, self.size, build(np.zeros(1) if bias is None else bias))

    def _leaky(self, bias: FloatArray) -> LIF | LinearUnit:
        return self._spiking(
            tau_m=alike(from_seconds(self.node.tau)) * ms,
            i_offset=alike(rounded(self.node.r * bias)) * nA,
            synapse=Delta(),
        )

    def _currents(self, bias: FloatArray) -> LIF | LinearUnit:
        node = self.node
        tau = alike(from_seconds(node.tau_syn)) * ms
        return self._spiking(
            tau_m=alike(from_seconds(node.tau_mem)) * ms,
            resistance=alike(rounded(node.r * node.w_in * self.pulse / node.tau_syn)) * MOhm,
            synapse=Exponential(tau, tau),
        )

    def _spiking(self, **parameters: Any) -> LIF | LinearUnit:
        """Return a LIF neuron, or one that does not reset or never fires."""
        node, rest = self.node, alike(self.node.v_leak)
        if not isinstance(node, SILENT):
            return LIF(
                v_rest=rest * mV,
                v_reset=alike(node.v_reset) * mV,
                v_threshold=alike(node.v_threshold) * mV,
                **parameters,
            )
        if self.threshold is not None:
            level: Quantity = alike(self.threshold.threshold) * mV
        else:
            level = (rest + 1.0) * mV  # any will do: it is taken away below
        unit = LIF(v_rest=rest * mV, v_reset=(rest - 1.0) * mV, v_threshold=level, **parameters)
        if self.threshold is not None:
            return replace(unit.linear, name="li", reset={})
        never = np.full_like(unit.linear.threshold, np.inf)
        return replace(unit.linear, name="li", reset={}, threshold=never)

    def _integrator(self, bias: FloatArray) -> LinearUnit:
        node = self.node
        drive = np.atleast_1d(alike(rounded(node.r * bias * 1e-3)))  # mV/ms
        level = np.atleast_1d(np.inf)
        reset: dict[str, Any] = {}
        if isinstance(node, nir.IF):
            level = np.atleast_1d(alike(node.v_threshold))
            reset = {"v": np.atleast_1d(alike(node.v_reset))}
        elif self.threshold is not None:
            level = np.atleast_1d(alike(self.threshold.threshold))
        k = max(drive.size, level.size, *(r.size for r in reset.values()), 1)
        return LinearUnit(
            name="if",
            states=("v",),
            dimensions=("voltage",),
            A=np.zeros((k, 1, 1)),
            b=np.broadcast_to(drive, (k,)).reshape(k, 1).copy(),
            rest=np.zeros((k, 1)),
            ports={"exc": Port("v", "voltage"), "inh": Port("v", "voltage", -1)},
            h=np.ones(1),
            threshold=np.broadcast_to(level, (k,)).copy(),
            reset={name: np.broadcast_to(value, (k,)).copy() for name, value in reset.items()},
            refractory=np.zeros(k),
        )
