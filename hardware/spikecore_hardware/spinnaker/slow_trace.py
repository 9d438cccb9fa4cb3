"""Neurons with an astrocyte of their own, as the chip has them: a second excitatory receptor.

``AstroLIF`` with ``SlowTrace(tau_y=None)`` and no effect on its threshold is the neuron
IF_curr_dual_exp of the tool chain: what arrives at the port ``"glia"`` jumps and decays with
``tau_A``, as a current. The chip holds g A in nA, so weights (uM) become currents here, once.

An A that follows y is a difference of two exponentials, ``A(t) = K (exp(-t/tau_A) -
exp(-t/tau_y))`` with ``K = kappa tau_y / (tau_A - tau_y)``. Where inhibition decays with
``tau_y``, each synapse of the astrocyte is two on the chip: one at the slow receptor, and one of
the same current at the inhibitory receptor, which takes away what is not there yet.
Source: sPyNNaker 7.4.1, if_curr_dual_exp_base.py and synapse_type_dual_exponential.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection
from spikecore_hardware.spinnaker import arithmetic as fixed

__all__ = [
    "GLIA",
    "RECEPTORS",
    "SlowTraceCheck",
    "Split",
    "check_slow_trace",
    "gain_of",
    "in_currents",
    "is_dual",
    "refusals",
    "split",
]

FloatArray = npt.NDArray[np.float64]

INH, GLIA = 1, 2
"""Numbers of the ports ``"inh"`` and ``"glia"``."""

RECEPTORS = {("exc", "inh"): ("exc", "inh"), ("exc", "inh", "glia"): ("exc", "glia", "inh")}
"""Ports of units that are mirrored, in the order of the chip's receptors."""

_STEP = 2.0**-15  # nA


def is_dual(p: LoweredPopulation) -> bool:
    """Whether a population is of neurons with a slow trace (if the chip can have it or not)."""
    return p.unit.name == "astro_lif"


def gain_of(p: LoweredPopulation) -> FloatArray:
    """Return the current (nA) that each uM of the slow state makes, one value for each neuron."""
    return np.broadcast_to(np.asarray(p.unit.parameters["g_a"].value, np.float64), (p.size,))


@dataclass(frozen=True, eq=False)
class Split:
    """What a weight of 1 uM becomes on the chip, for each neuron.

    Attributes
    ----------
    slow : ndarray of float64, shape (size,)
        Current at the slow receptor, nA.
    rise : ndarray of float64, shape (size,), or None
        Current at the inhibitory receptor, nA; None without y.
    """

    slow: FloatArray
    rise: FloatArray | None


def split(p: LoweredPopulation, dt: float) -> Split:
    """Return what becomes of the weights onto the astrocytes of ``p``, in ticks of ``dt`` ms.

    With y, the gains of the chip are taken out, so that both currents begin alike and leave
    what the step rule leaves in floating point.
    """
    g = gain_of(p)
    if "y" not in p.unit.states or any(refusals(p)):
        return Split(g, None)
    tau_A, tau_y, kappa = (_each(p, name) for name in ("tau_A", "tau_y", "kappa"))
    arrives = tau_y / dt * -np.expm1(-dt / tau_y)
    tail = g * kappa * tau_y / (tau_A - tau_y) * arrives
    return Split(tail / _chip_gain(tau_A, dt), tail / _chip_gain(tau_y, dt))


def _each(p: LoweredPopulation, name: str) -> FloatArray:
    return np.broadcast_to(np.asarray(p.unit.parameters[name].value, np.float64), (p.size,))


def _chip_gain(tau: FloatArray, dt: float) -> FloatArray:
    """Return which share of a weight arrives on the chip; 1 where it cannot have ``tau``."""
    tick = int(fixed.encode(dt))
    kinds, back = np.unique(fixed.encode(tau), return_inverse=True)
    gains = [fixed.tau_constants(int(k), tick)[1] / 2**32 if k else 1.0 for k in kinds]
    return np.array([gain or 1.0 for gain in gains])[back]


def in_currents(lowered: Lowered) -> Lowered:
    """Return a network as the chip sees it: all weights are currents, nA.

    The second half of what follows y is appended, behind all projections of the network, in
    their order; its name is that of the first half and ``" (y)"``.
    """
    dual = {p.start: split(p, lowered.dt) for p in lowered.populations if is_dual(p)}
    made, second = [], []
    for c in lowered.projections:
        if c.target_start not in dual or c.port != GLIA:
            made.append(c)
            continue
        parts = dual[c.target_start]
        made.append(replace(c, synapses=c.synapses.with_weights(_scaled(c, parts.slow))))
        if parts.rise is not None:
            synapses = c.synapses.with_weights(_scaled(c, parts.rise))
            half = replace(c, name=f"{c.name} (y)", port=INH, synapses=synapses, plasticity=None)
            second.append(half)
    return replace(lowered, projections=(*made, *second))


def _scaled(c: LoweredProjection, scale: FloatArray) -> FloatArray:
    """Return the weights of ``c`` times those of their targets; one value where all are alike."""
    alike = scale.size == 0 or (scale == scale[0]).all()
    scaled: FloatArray = c.weight * (scale[:1] if alike else scale[c.target])
    return scaled


def refusals(p: LoweredPopulation) -> Iterator[str]:
    """List why neurons with a slow trace are not IF_curr_dual_exp."""
    if "y" in p.unit.states:
        yield from _cascade_refusals(p)
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


def _cascade_refusals(p: LoweredPopulation) -> Iterator[str]:
    tau_A, tau_y, kappa = (_each(p, name) for name in ("tau_A", "tau_y", "kappa"))
    inhibition = _each(p, "tau_inh") if "tau_inh" in p.unit.parameters else np.zeros(p.size)
    wrong = inhibition != tau_y
    if wrong.any():
        i = int(np.argmax(wrong))
        yield (
            f"tau_y = {tau_y[i]:g} ms, and inhibition of {inhibition[i]:g} ms: an A that follows "
            "y takes an inhibitory current of the same time constant on the chip; use "
            "Exponential(..., tau_inh=tau_y), or SlowTrace(tau_y=None)"
        )
    if (tau_A <= tau_y).any():
        yield "tau_A must be longer than tau_y: the slow receptor is excitatory"
    if (kappa <= 0.0).any():
        yield "kappa must be positive: the slow receptor is excitatory"


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
        point; 1 with y, where the weights make up for it.
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
        left = "" if self.gain == 1.0 else f", and a spike leaves {self.gain:.1%} of its weight"
        return f"tau_A = {self.tau_A:g} ms becomes {self.tau_chip:.0f} ms on the chip{left}"


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
        share = 1.0 if "y" in p.unit.states else share  # split() makes up for it
        found.append(SlowTraceCheck(p.name, float(tau), chip, float(share), chip / dt * _STEP))
    return max(found, key=lambda check: check.apart)
