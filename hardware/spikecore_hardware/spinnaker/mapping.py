"""What the tool chain makes of a network before it runs: layouts, shifts, constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection
from spikecore.network import Population
from spikecore.plasticity import PairSTDP
from spikecore_hardware.board import CoreLimits
from spikecore_hardware.spinnaker import arithmetic as fixed
from spikecore_hardware.spinnaker.cores import CoreLayout, lay_out
from spikecore_hardware.spinnaker.scaling import largest_sum, ring_buffer_shift
from spikecore_hardware.spinnaker.slow_trace import RECEPTORS, gain_of, is_dual

__all__ = [
    "PARAMETERS",
    "PopulationMap",
    "map_populations",
    "neuron_constants",
    "parameters_of",
    "window",
]

IntArray = npt.NDArray[np.int64]

PARAMETERS = (
    *("tau_m", "v_rest", "v_reset", "v_threshold", "refractory"),
    *("resistance", "i_offset", "tau_exc", "tau_inh"),
)
"""What a neuron of the kind IF_curr_exp has; IF_curr_dual_exp also has ``tau_slow``."""

TRACE_ONE = 1 << 11
"""1.0 in the format of learning windows and traces."""


@dataclass(frozen=True, eq=False)
class PopulationMap:
    """One population as the tool chain maps it.

    Attributes
    ----------
    lowered : LoweredPopulation
    declared : Population
        As the user gave it (initial values).
    incoming : tuple of LoweredProjection
        In the order of the network.
    layout : CoreLayout
    shifts : tuple of int
        Left shift of the ring buffers of each port, in the order of ``lowered.ports``.
    """

    lowered: LoweredPopulation
    declared: Population
    incoming: tuple[LoweredProjection, ...]
    layout: CoreLayout
    shifts: tuple[int, ...]

    @property
    def receptors(self) -> tuple[str, ...]:
        """The ports, in the order of the chip's receptors."""
        return RECEPTORS[self.lowered.ports]

    @property
    def chip_shifts(self) -> tuple[int, ...]:
        """The shifts in the order of the chip's receptors."""
        return tuple(self.shifts[self.lowered.ports.index(port)] for port in self.receptors)

    @property
    def rule(self) -> PairSTDP | None:
        """The learning rule of the population, which all its plastic synapses share."""
        return next((p.plasticity for p in self.incoming if p.plasticity is not None), None)


def map_populations(lowered: Lowered, limits: CoreLimits) -> tuple[PopulationMap, ...]:
    """Map every population that has the receptors of a chip.

    The weights of the network must be currents
    (:func:`~spikecore_hardware.spinnaker.slow_trace.in_currents`).
    """
    found = []
    for p, declared in zip(lowered.populations, lowered.network.populations, strict=True):
        if p.ports not in RECEPTORS:
            continue  # refused by name
        incoming = tuple(c for c in lowered.projections if c.target_start == p.start)
        shifts = tuple(
            ring_buffer_shift(
                largest_sum([c for c in incoming if c.port == port], lowered.dt, limits)
            )
            for port in range(len(p.ports))
        )
        layout = lay_out(p.size, incoming, lowered.dt, limits, len(p.ports))
        found.append(PopulationMap(p, declared, incoming, layout, shifts))
    return tuple(found)


def parameters_of(p: LoweredPopulation) -> dict[str, npt.NDArray[np.float64]]:
    """Return the parameters of IF_curr_exp (ms, mV, nA, nF), one value for each neuron.

    With ``tau_slow`` where it is IF_curr_dual_exp.
    """
    given = {name: p.unit.parameters[name] for name in PARAMETERS}
    if is_dual(p):
        given["tau_slow"] = p.unit.parameters["tau_A"]
    values = {name: np.broadcast_to(np.asarray(q.value), (p.size,)) for name, q in given.items()}
    values["cm"] = values["tau_m"] / values.pop("resistance")
    return values


def neuron_constants(
    m: PopulationMap, dt: float
) -> tuple[dict[str, IntArray], dict[str, IntArray]]:
    """Return what a core derives from the parameters when it starts, and the initial state.

    Returns
    -------
    constants : dict of str to ndarray of int64, shape (size,)
        ``rest, reset, threshold, offset, resistance`` and ``leak`` (``exp(-dt/tau_m)``) in
        s16.15, ``refractory`` in ticks, ``decay_*`` and ``gain_*`` in u0.32.
    state : dict of str to ndarray of int64, shape (size,)
        ``v, i_exc, i_inh`` and, of a neuron with a slow trace, ``i_slow`` in s16.15.
    """
    given, tick = parameters_of(m.lowered), int(fixed.encode(dt))
    coded = {name: fixed.encode(value) for name, value in given.items()}
    membrane = _per_kind(
        lambda tau, cm: (fixed.divide(tau, cm), fixed.exp_s1615(-fixed.divide(tick, tau))),
        coded["tau_m"],
        coded["cm"],
    )
    constants = {
        "rest": coded["v_rest"],
        "reset": coded["v_reset"],
        "threshold": coded["v_threshold"],
        "offset": coded["i_offset"],
        "resistance": membrane[0],
        "leak": membrane[1],
        "refractory": _per_kind(
            lambda period: (fixed.whole_ticks(period, tick),), coded["refractory"]
        )[0],
    }
    for side in ("exc", "inh", "slow") if is_dual(m.lowered) else ("exc", "inh"):
        constants[f"decay_{side}"], constants[f"gain_{side}"] = _per_kind(
            lambda tau: fixed.tau_constants(tau, tick), coded[f"tau_{side}"]
        )
    state = {"v": coded["v_rest"], "i_exc": np.zeros_like(coded["v_rest"])}
    state["i_inh"] = state["i_exc"]
    for name, value in m.declared.initial.items():
        if name == "A":
            state["i_slow"] = fixed.encode(value.value * gain_of(m.lowered))
        else:
            state[name] = np.broadcast_to(fixed.encode(value.value), (m.lowered.size,))
    return constants, state


def _per_kind(derive: Callable[..., tuple[int, ...]], *columns: IntArray) -> IntArray:
    """Apply ``derive`` once to each distinct combination of parameters."""
    kinds, back = np.unique(np.stack(columns), axis=1, return_inverse=True)
    derived = np.array([derive(*(int(x) for x in kind)) for kind in kinds.T], np.int64)
    columns_again: IntArray = derived.T[:, back.ravel()]
    return columns_again


def window(tau: float, dt: float) -> IntArray:
    """Return a learning window as the tool chain tabulates it, in units of 2**-11.

    ``floor(2048 exp(-k dt/tau))``, up to where that is below one; an even number of entries.
    """
    rate = dt / tau
    size = 2 * int(-(-np.log(TRACE_ONE) / rate // 2))
    table: IntArray = np.floor(np.exp(np.arange(size) * -rate) * TRACE_ONE).astype(np.int64)
    return table
