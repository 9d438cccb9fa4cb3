"""Neurons with an astrocyte of their own, as the chip has them: a second excitatory receptor.

``AstroLIF`` with ``SlowTrace(tau_y=None)`` and no effect on its threshold is the neuron
IF_curr_dual_exp of the tool chain: what arrives at the port ``"glia"`` jumps and decays with
``tau_A``, as a current. The chip holds g A in nA, so weights (uM) become currents here, once.
Source: sPyNNaker 7.4.1, if_curr_dual_exp_base.py and synapse_type_dual_exponential.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredPopulation
from spikecore_hardware.spinnaker import arithmetic as fixed

__all__ = [
    "GLIA",
    "RECEPTORS",
    "SlowTraceCheck",
    "check_slow_trace",
    "gain_of",
    "in_currents",
    "is_dual",
    "refusals",
]

FloatArray = npt.NDArray[np.float64]

GLIA = 2
"""Number of the port ``"glia"``."""

RECEPTORS = {("exc", "inh"): ("exc", "inh"), ("exc", "inh", "glia"): ("exc", "glia", "inh")}
"""Ports of units that are mirrored, in the order of the chip's receptors."""

_STEP = 2.0**-15  # nA


def is_dual(p: LoweredPopulation) -> bool:
    """Whether a population is of neurons with a slow trace (if the chip can have it or not)."""
    return p.unit.name == "astro_lif"


def gain_of(p: LoweredPopulation) -> FloatArray:
    """Return the current (nA) that each uM of the slow state makes, one value for each neuron."""
    return np.broadcast_to(np.asarray(p.unit.parameters["g_a"].value, np.float64), (p.size,))


def in_currents(lowered: Lowered) -> Lowered:
    """Return a network as the chip sees it: all weights are currents, nA."""
    dual = {p.start: gain_of(p) for p in lowered.populations if is_dual(p)}
    made = []
    for c in lowered.projections:
        if c.target_start not in dual or c.port != GLIA:
            made.append(c)
            continue
        gain = dual[c.target_start]
        alike = gain.size == 0 or (gain == gain[0]).all()
        made.append(replace(c, weight=c.weight * (gain[:1] if alike else gain[c.target])))
    return replace(lowered, projections=tuple(made))


def refusals(p: LoweredPopulation) -> Iterator[str]:
    """List why neurons with a slow trace are not IF_curr_dual_exp."""
    if "y" in p.unit.states:
        yield (
            "two traces in cascade are not on the chip, whose synapses have one time constant; "
            "use SlowTrace(tau_y=None)"
        )
    given = {name: np.asarray(p.unit.parameters[name].value) for name in ("g_a", "theta_a", "own")}
    if given["theta_a"].any():
        yield "a trace cannot raise a threshold, which is constant on the chip; use current="
    if given["own"].any():
        yield (
            "spikes of a neuron reach its astrocyte through synapses only; use a projection of "
            "the population onto its own port 'glia' instead of own="
        )
    wrong = ~(given["g_a"] > 0.0)
    if wrong.any():
        yield (
            f"current = {given['g_a'][wrong].flat[0]:g} nA: the second receptor of the chip is "
            "excitatory, so it must be positive"
        )


@dataclass(frozen=True)
class SlowTraceCheck:
    """What becomes of a slow trace.

    Attributes
    ----------
    name : str
        Of the population.
    tau_A, tau_chip : float
        Time constant that was asked for, and that of the decay on the chip (0 if nothing is left
        after a tick), ms.
    gain : float
        Share of a weight that a spike leaves there, next to what the same rule leaves in floating
        point.
    linear_below : float
        Current (nA) below which the trace falls in a straight line, by one step of 2**-15 nA in
        each tick, because products are cut off.
    """

    name: str
    tau_A: float
    tau_chip: float
    gain: float
    linear_below: float

    @property
    def apart(self) -> float:
        """The larger of the relative errors of time constant and gain."""
        return max(abs(self.tau_chip / self.tau_A - 1.0), abs(self.gain - 1.0))

    @property
    def text(self) -> str:
        """What the chip makes of it, in words."""
        return (
            f"tau_A = {self.tau_A:g} ms becomes {self.tau_chip:.0f} ms on the chip, and a spike "
            f"leaves {self.gain:.1%} of its weight"
        )


def check_slow_trace(p: LoweredPopulation, dt: float) -> SlowTraceCheck:
    """Return what the chip makes of ``tau_A``, for ticks of ``dt`` ms.

    It knows dt / tau_A in steps of 2**-15 only: few of them where the trace is slow. The
    neuron where it errs most is shown.
    """
    tick, found = int(fixed.encode(dt)), []
    for tau in np.unique(np.asarray(p.unit.parameters["tau_A"].value)):
        coded = int(fixed.encode(tau))
        decay, gain = fixed.tau_constants(coded, tick) if coded else (0, 0)
        chip = -dt / np.log(decay / 2**32) if decay else 0.0
        share = gain / 2**32 / (tau / dt * -np.expm1(-dt / tau))
        found.append(SlowTraceCheck(p.name, float(tau), chip, float(share), chip / dt * _STEP))
    return max(found, key=lambda check: check.apart)
