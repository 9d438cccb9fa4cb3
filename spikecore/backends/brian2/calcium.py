"""Text for brian2: the calcium of astrocytes, from its sources and not from spikecore's derivative.

Li & Rinzel (1994) with the slow inward current of Nadkarni & Jung (2003); G-ChI of Stimberg,
Goodman, Brette & De Pitta (2019). States are called x_C, x_I, ... and have the numbers of uM.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.brian2.quiet import brian2
from spikecore.units import GChI, LiRinzel

__all__ = ["Calcium", "calcium_of"]

FloatArray = npt.NDArray[np.float64]

_LI_RINZEL = """
stored = (Ca_tot - x_C)/rho : 1
opened = x_I/(x_I + d1)*x_C/(x_C + d5)*x_h : 1
dx_C/dt = (rho*(r_IP3R*opened**3 + r_L)*(stored - x_C)
           - r_SERCA*x_C**2/(x_C**2 + K_SERCA**2))/ms : 1
dx_h/dt = k*(d2*(x_I + d1)/(x_I + d3)*(1 - x_h) - x_C*x_h)/ms : 1
dx_I/dt = (I_0 - x_I)/(tau_IP3*ms) : 1
"""

_G_CHI = """
gradient = C_T - (1 + rho_A)*x_C : 1
opened = x_I/(x_I + d1)*x_C/(x_C + d5)*x_h : 1
unbinding = Omega_N*(1 + zeta*x_C/(x_C + K_KC)) : 1
delta = O_delta/(1 + x_I/kappa_delta)*x_C**2/(x_C**2 + K_delta**2) : 1
kinase = O_3K*x_C**4/(x_C**4 + K_D**4)*x_I/(x_I + K_3K) : 1
dx_Gamma_A/dt = (O_N*x_Y*(1 - x_Gamma_A) - unbinding*x_Gamma_A)/second : 1
dx_I/dt = (O_beta*x_Gamma_A + delta - kinase - Omega_5P*x_I{exchanged})/second : 1
dx_C/dt = ((O_C*opened**3 + O_L)*gradient - O_P*x_C**2/(x_C**2 + K_P**2))/second : 1
dx_h/dt = O_2*(d2*(x_I + d1)/(x_I + d3)*(1 - x_h) - x_C*x_h)/second : 1
dx_Y/dt = -Omega_c*x_Y/second : 1
dx_G_A/dt = -Omega_e*x_G_A/second : 1
dx_x_A/dt = Omega_A*(1 - x_x_A)/second : 1
dx_Gamma_S/dt = (O_G*x_G_A*(1 - x_Gamma_S) - Omega_G*x_Gamma_S)/second : 1
was_C : 1
"""
_BIAS = " - F/2*(1 + tanh((abs(x_I - I_bias) - I_Theta)/omega_I))*sign(x_I - I_bias)"


@dataclass(frozen=True)
class Calcium:
    """What a model of calcium is to brian2.

    Attributes
    ----------
    equations : str
    outputs : str
        Code that computes the continuous outputs after a step; ``{change}`` is the state that
        holds the latest change.
    threshold, reset : str
    namespace : dict
        Constants and functions that the text names.
    was : dict of str to str
        Variables that hold the value that a state had before the tick.
    vectors : bool
        Whether a function wants all units at once, which NumPy code gives it and compiled does not.
    """

    equations: str
    outputs: str = ""
    threshold: str = ""
    reset: str = ""
    namespace: dict[str, Any] = field(default_factory=dict)
    was: dict[str, str] = field(default_factory=dict)
    vectors: bool = False


def calcium_of(unit: object, size: int) -> Calcium | None:
    """Write the model of ``size`` units, or return None if there is no text for them."""
    # A class made from one of these may have another derivative.
    if type(unit) is LiRinzel:
        return _li_rinzel(unit)
    return _g_chi(unit, size) if type(unit) is GChI else None


def _constants(unit: Any) -> dict[str, Any]:
    own = {f.name: getattr(unit, f.name) for f in fields(unit)}
    return {name: float(v) for name, v in own.items() if isinstance(v, int | float | np.number)}


def _li_rinzel(unit: LiRinzel) -> Calcium:
    return Calcium(
        _LI_RINZEL,
        outputs="now = log(clip((x_C - C_th)*1000.0, 1.0, inf))\n"
        "{change} = now - x_sic\nx_sic = now\n",
        namespace=_constants(unit),
    )


def _g_chi(unit: GChI, size: int) -> Calcium:
    constants, exchanged = _constants(unit), ""
    if unit.I_bias is not None:
        exchanged += _BIAS
    if unit.gap_junctions:
        exchanged += " + from_neighbours(x_I)"
        constants["from_neighbours"] = _coupling(unit, size)
    return Calcium(
        _G_CHI.format(exchanged=exchanged),
        threshold="was_C <= C_Theta and x_C > C_Theta",
        reset="x_G_A += release*U_A*x_x_A\nx_x_A -= U_A*x_x_A",
        namespace=constants,
        was={"was_C": "x_C"},
        vectors=bool(unit.gap_junctions),
    )


def _coupling(unit: GChI, size: int) -> Any:
    """Return a function of brian2: what flows into each astrocyte, from the IP3 of all of them.

    brian2's own way, a summed variable of synapses, stands still during a step; the stages of
    Runge-Kutta need it anew.
    """
    one, other = np.array(unit.gap_junctions).T

    def from_neighbours(x: FloatArray) -> FloatArray:
        lead = x[other] - x[one]
        steep = np.tanh((np.abs(lead) - unit.I_Theta) / unit.omega_I)
        flow = np.sign(lead) * (1 + steep) * unit.F / 2
        inwards = np.zeros(size)
        inwards += np.bincount(one, flow, size)
        inwards -= np.bincount(other, flow, size)
        return inwards

    function = brian2.Function(from_neighbours, arg_units=[1], return_unit=1)
    function.implementations.add_numpy_implementation(from_neighbours, discard_units=True)
    return function
