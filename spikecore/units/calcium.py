"""Astrocytic calcium: Li-Rinzel (as NEST's ``astrocyte_lr_1994``) and G-ChI (De Pitta).

Sources: Li & Rinzel (1994); Nadkarni & Jung (2003) for the slow inward current; constants of
:class:`LiRinzel` as in NEST's model of that name. Stimberg, Goodman, Brette & De Pitta (2019),
"Modeling neuron-glia interactions with the Brian 2 simulator", for :class:`GChI`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from numbers import Real

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, names_its_parameters
from spikecore.quantities import Quantity, ms
from spikecore.units.linear import LinearUnit, Port
from spikecore.units.stepped import Crossing, SteppedUnit

__all__ = ["GChI", "LiRinzel"]

FloatArray = npt.NDArray[np.float64]


def _check_constants(unit: object, divisors: frozenset[str]) -> None:
    """Raise unless all constants are finite and none is negative; ``divisors`` must not be 0."""
    for name in (f.name for f in fields(unit) if f.type == "float"):  # type: ignore[arg-type]
        value, place = getattr(unit, name), f"{type(unit).__name__}.{name}"
        fix = f"leave it out for the published value, {_default(unit, name)}"
        if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
            raise InvalidInput(place, "must be a finite number", got=repr(value), fix=fix)
        if value < 0 or (name in divisors and value == 0):
            rule = "must be greater than 0" if name in divisors else "must not be negative"
            raise InvalidInput(place, rule, got=value, fix=fix)


def _default(unit: object, name: str) -> object:
    return next(f.default for f in fields(unit) if f.name == name)  # type: ignore[arg-type]


@names_its_parameters
@dataclass(frozen=True)
class LiRinzel:
    """Calcium C, open channels h and IP3 I of an astrocyte; uM and ms.

    Spikes raise I at the port ``"exc"`` (weights in uM). The output ``"sic"`` is the slow inward
    current ``ln((C - C_th) / 1 nM)`` in pA, 0 below; ``Projection(..., carries="sic")`` brings it
    to neurons.

    Parameters
    ----------
    step : Quantity
        Step of the integrator, Runge-Kutta of fourth order (time, a multiple of dt).
    Ca_tot, I_0, d1, d2, d3, d5, K_SERCA, rho, r_IP3R, r_L, r_SERCA, k, tau_IP3, C_th : float
        Constants of the equations; concentrations in uM, rates in 1/ms.
    C, h, I : float
        Initial values.

    Raises
    ------
    UnitMismatch, InvalidInput
        If ``step`` is no positive time, or a constant is negative, not finite, or 0 where it
        divides.
    """

    step: Quantity = 1.0 * ms
    Ca_tot: float = 2.0
    I_0: float = 0.16
    d1: float = 0.13
    d2: float = 1.049
    d3: float = 0.9434
    d5: float = 0.08234
    K_SERCA: float = 0.1
    rho: float = 0.185
    r_IP3R: float = 0.006
    r_L: float = 1.1e-4
    r_SERCA: float = 9e-4
    k: float = 2e-4
    tau_IP3: float = 7142.0
    C_th: float = 0.19669
    C: float = 0.073
    h: float = 0.793
    I: float = 0.16  # noqa: E741 - the name that it has in the literature

    def __post_init__(self) -> None:
        _check_constants(self, frozenset({"d1", "d3", "d5", "K_SERCA", "rho", "tau_IP3"}))
        _ = self.stepped

    @cached_property
    def stepped(self) -> SteppedUnit:
        """The description that backends consume."""
        return SteppedUnit(
            name="li_rinzel",
            states={
                "C": ("concentration", self.C),
                "h": ("number", self.h),
                "I": ("concentration", self.I),
            },
            derivative=self._derivative,
            ports={"exc": Port("I", "concentration")},
            step=self.step,
            outputs={"sic": self._sic},
            identity=repr(self),
        )

    @property
    def linear(self) -> LinearUnit:
        """What the network sees of it."""
        return self.stepped.linear

    def _derivative(self, x: FloatArray) -> FloatArray:
        c, h, i = x
        er = (self.Ca_tot - c) / self.rho
        open_share = i / (i + self.d1) * (c / (c + self.d5)) * h
        channel = self.rho * self.r_IP3R * open_share**3 * (er - c)
        leak = self.rho * self.r_L * (er - c)
        pump = self.r_SERCA * c**2 / (self.K_SERCA**2 + c**2)
        alpha = self.k * self.d2 * (i + self.d1) / (i + self.d3)
        return np.stack(
            [
                channel + leak - pump,
                alpha * (1 - h) - self.k * c * h,
                (self.I_0 - i) / self.tau_IP3,
            ]
        )

    def _sic(self, x: FloatArray) -> FloatArray:
        current: FloatArray = np.log(np.maximum((x[0] - self.C_th) * 1e3, 1.0))
        return current


def _are_two(pair: object) -> bool:
    if not isinstance(pair, tuple) or len(pair) != 2:  # noqa: PLR2004
        return False
    numbers = all(isinstance(n, int | np.integer) and n >= 0 for n in pair)
    return numbers and pair[0] != pair[1]


@names_its_parameters
@dataclass(frozen=True)
class GChI:
    """Calcium C, IP3 I and gliotransmission of an astrocyte; uM and s in its constants.

    States: bound receptors Gamma_A, I, C, open channels h, transmitter Y in the cleft (port
    ``"exc"``, weights in uM), gliotransmitter G_A and its store x_A, and bound presynaptic
    receptors Gamma_S. It fires, and releases gliotransmitter, whenever C rises above C_Theta.
    Release changes by the factor ``1 + (alpha / U0 - 1) Gamma_S`` in the source's model:
    ``Modulation(astrocytes, state="Gamma_S", gain=alpha / U0 - 1)``.

    Parameters
    ----------
    step : Quantity
        Step of the integrator, Runge-Kutta of fourth order (time, a multiple of dt).
    I_bias : float or None
        IP3 outside, uM, with which the astrocyte exchanges; None: it does not.
    F : float
        Strength of that exchange and of gap junctions, uM/s.
    gap_junctions : tuple of (int, int)
        Pairs of astrocytes that exchange IP3.
    rho_A, C_T, O_C, O_L, O_P, K_P, d1, d2, d3, d5, O_2, O_N, Omega_N, K_KC, zeta, O_beta, O_delta,
    kappa_delta, K_delta, O_3K, K_D, K_3K, Omega_5P, I_Theta, omega_I, Omega_c, O_G, Omega_G,
    C_Theta, Omega_A, U_A, release, Omega_e : float
        Constants of the equations; ``release`` is rho_e G_T in uM.
    C, h, I : float
        Initial values.

    Raises
    ------
    UnitMismatch, InvalidInput
        As for :class:`LiRinzel`; or if a gap junction does not join two astrocytes.
    """

    step: Quantity = 10.0 * ms
    I_bias: float | None = None
    F: float = 2.0
    gap_junctions: tuple[tuple[int, int], ...] = ()
    rho_A: float = 0.18
    C_T: float = 2.0
    O_C: float = 6.0
    O_L: float = 0.1
    O_P: float = 0.9
    K_P: float = 0.05
    d1: float = 0.13
    d2: float = 1.05
    d3: float = 0.9434
    d5: float = 0.08
    O_2: float = 0.2
    O_N: float = 0.3
    Omega_N: float = 0.5
    K_KC: float = 0.5
    zeta: float = 10.0
    O_beta: float = 0.5
    O_delta: float = 0.6
    kappa_delta: float = 1.5
    K_delta: float = 0.1
    O_3K: float = 4.5
    K_D: float = 0.7
    K_3K: float = 1.0
    Omega_5P: float = 0.05
    I_Theta: float = 0.3
    omega_I: float = 0.05
    Omega_c: float = 40.0
    O_G: float = 1.5
    Omega_G: float = 0.5 / 60.0
    C_Theta: float = 0.5
    Omega_A: float = 0.6
    U_A: float = 0.6
    release: float = 130.0
    Omega_e: float = 60.0
    C: float = 0.0
    h: float = 0.9
    I: float = 0.4  # noqa: E741 - the name that it has in the literature

    def __post_init__(self) -> None:
        divisors = {"d1", "d3", "d5", "K_P", "K_KC", "kappa_delta", "K_delta", "K_D", "K_3K"}
        _check_constants(self, frozenset(divisors | {"omega_I"}))
        if self.I_bias is not None and not np.isfinite(self.I_bias):
            raise InvalidInput(
                "GChI.I_bias", "must be finite, or None", got=self.I_bias, fix="give uM"
            )
        for number, pair in enumerate(self.gap_junctions):
            if not _are_two(pair):
                raise InvalidInput(
                    "GChI.gap_junctions",
                    "must hold pairs of two different astrocytes, numbered from 0",
                    got=repr(pair),
                    index=number,
                    fix="write e.g. gap_junctions=((0, 1), (1, 2))",
                )
        _ = self.stepped

    @cached_property
    def stepped(self) -> SteppedUnit:
        """The description that backends consume."""
        return SteppedUnit(
            name="g_chi",
            states={
                "Gamma_A": ("number", 0.0),
                "I": ("concentration", self.I),
                "C": ("concentration", self.C),
                "h": ("number", self.h),
                "Y": ("concentration", 0.0),
                "G_A": ("concentration", 0.0),
                "x_A": ("number", 1.0),
                "Gamma_S": ("number", 0.0),
            },
            derivative=self._derivative,
            ports={"exc": Port("Y", "concentration")},
            step=self.step,
            crossing=Crossing("C", self.C_Theta, self._release),
            identity=repr(self),
            least=1 + max((n for pair in self.gap_junctions for n in pair), default=0),
        )

    @property
    def linear(self) -> LinearUnit:
        """What the network sees of it."""
        return self.stepped.linear

    def _release(self, x: FloatArray) -> FloatArray:
        used = self.U_A * x[6]
        x = x.copy()
        x[5] += self.release * used
        x[6] -= used
        return x

    def _derivative(self, x: FloatArray) -> FloatArray:
        bound, i, c, h, y, g, store, pre = x
        er = self.C_T - (1 + self.rho_A) * c
        m = i / (i + self.d1) * (c / (c + self.d5))
        q2 = self.d2 * (i + self.d1) / (i + self.d3)
        made = self.O_beta * bound + self.O_delta / (1 + i / self.kappa_delta) * (
            c**2 / (c**2 + self.K_delta**2)
        )
        kinase = self.O_3K * (c**4 / (c**4 + self.K_D**4)) * (i / (i + self.K_3K))
        off = self.Omega_N * (1 + self.zeta * c / (c + self.K_KC))
        rates = [
            self.O_N * y * (1 - bound) - off * bound,
            made - kinase - self.Omega_5P * i + self._exchange(i),
            self.O_C * (m * h) ** 3 * er + self.O_L * er - self.O_P * c**2 / (c**2 + self.K_P**2),
            self.O_2 * (q2 * (1 - h) - c * h),
            -self.Omega_c * y,
            -self.Omega_e * g,
            self.Omega_A * (1 - store),
            self.O_G * g * (1 - pre) - self.Omega_G * pre,
        ]
        return 1e-3 * np.stack(rates)

    def _exchange(self, i: FloatArray) -> FloatArray:
        flow = np.zeros_like(i)
        if self.I_bias is not None:
            flow += self._flux(i - self.I_bias)
        if self.gap_junctions:
            a, b = np.array(self.gap_junctions).T
            exchanged = self._flux(i[a] - i[b])
            np.add.at(flow, a, exchanged)
            np.subtract.at(flow, b, exchanged)
        return flow

    def _flux(self, difference: FloatArray) -> FloatArray:
        steep = np.tanh((np.abs(difference) - self.I_Theta) / self.omega_I)
        flux: FloatArray = -self.F / 2 * (1 + steep) * np.sign(difference)
        return flux
