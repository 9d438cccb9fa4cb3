"""Pair-based spike-timing-dependent plasticity, with every convention spelled out.

Sources: Song, Miller & Abbott (2000) for the additive pair rule; Morrison,
Diesmann & Gerstner (2008), "Phenomenological models of synaptic plasticity based
on spike timing", sections 4.1-4.2, for pairing schemes and weight dependence;
Casanueva-Morato et al. (2024) for the use made of it in the CA3 memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName, names_its_parameters
from spikecore.quantities import Quantity, magnitude, ms, nA

__all__ = ["PairSTDP"]

Pairing = Literal["all", "nearest"]
Coincidence = Literal["depress", "potentiate", "ignore"]
PostDelay = Literal["dendritic", "none"]
Clamp = Literal["pair", "update"]
Window = Literal["exponential", "table2048"]
Dependence = Literal["additive", "multiplicative"]

_NEGLIGIBLE = 2.0**-53


@names_its_parameters
@dataclass(frozen=True)
class PairSTDP:
    """Pair STDP.

    A presynaptic spike depresses by ``A_minus * y`` and is then transmitted with
    the new weight; a postsynaptic spike potentiates by ``A_plus * x``. The traces
    x (pre) and y (post) jump at their own spikes and fall with the learning window.
    The options name the conventions in which published rules differ; the defaults
    are those of SpiNNaker, which the recordings of the CA3 memory need.

    Parameters
    ----------
    tau_plus, tau_minus : Quantity
        Time constants of the windows (time).
    A_plus, A_minus : Quantity or float
        Amplitudes: absolute (in the unit of the weight), or a plain number as a
        fraction of ``w_max``. Not negative.
    w_max, w_min : Quantity
        Bounds of the weight; ``w_min`` None means 0.
    pairing : {"all", "nearest"}
        All pairs, or only the nearest spike on the other side.
    coincidence : {"depress", "potentiate", "ignore"}
        A pre and a post spike that reach the synapse in one tick: post is taken
        first and the pair depresses; pre is taken first and it potentiates; or
        the pair does not count (NEST).
    post_delay : {"dendritic", "none"}
        Whether a post spike reaches the synapse one synaptic delay later, or in
        its own tick.
    clamp : {"pair", "update"}
        Bounds applied after each pair, or once at each presynaptic spike.
    window : {"exponential", "table2048"}
        The exponential, cut off below 2**-53; or SpiNNaker's look-up table, which
        is ``floor(2048 exp(-t/tau)) / 2048`` and zero beyond ``tau ln 2048``.
    dependence : {"additive", "multiplicative"}
        Steps of fixed size, or steps in proportion to the distance from the bound.

    Raises
    ------
    InvalidInput, UnitMismatch, UnknownName
        If a value is out of range, of a wrong unit, or an option is unknown.

    Notes
    -----
    Traces are committed at spikes and read in closed form, as states are: a read
    k ticks after the spike is ``K[k] * trace`` with the tabulated window K.
    """

    tau_plus: Quantity = 20.0 * ms
    tau_minus: Quantity = 20.0 * ms
    A_plus: Quantity | float = 0.01
    A_minus: Quantity | float = 0.012
    w_max: Quantity = 1.0 * nA
    w_min: Quantity | None = None
    pairing: Pairing = "all"
    coincidence: Coincidence = "depress"
    post_delay: PostDelay = "dendritic"
    clamp: Clamp = "pair"
    window: Window = "exponential"
    dependence: Dependence = "additive"

    def __post_init__(self) -> None:
        for name in ("tau_plus", "tau_minus"):
            magnitude(getattr(self, name), "time", f"PairSTDP.{name}", above=0.0, single=True)
        for name in ("w_max",) if self.w_min is None else ("w_max", "w_min"):
            magnitude(getattr(self, name), self.dimension, f"PairSTDP.{name}", single=True)
        if self.bounds[0] >= self.bounds[1]:
            raise InvalidInput(
                "PairSTDP.w_min",
                "must lie below w_max",
                fix="lower it, or raise w_max",
                got=self.w_min or 0,
            )
        _ = self.amplitudes
        for name, options in (
            ("pairing", Pairing),
            ("coincidence", Coincidence),
            ("post_delay", PostDelay),
            ("clamp", Clamp),
            ("window", Window),
            ("dependence", Dependence),
        ):
            if getattr(self, name) not in get_args(options):
                raise UnknownName(f"PairSTDP.{name}", str(getattr(self, name)), get_args(options))
        if self.dependence == "multiplicative" and self.clamp == "update":
            raise InvalidInput(
                "PairSTDP.clamp",
                "must be 'pair' where steps depend on the weight",
                got="clamp='update', dependence='multiplicative'",
                fix="use clamp='pair'",
            )

    @property
    def dimension(self) -> str:
        """Dimension of the weight."""
        return getattr(self.w_max, "dimension", "current")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound of the weight, canonical unit."""
        low = 0.0 if self.w_min is None else float(self.w_min.value)
        return low, float(self.w_max.value)

    @property
    def amplitudes(self) -> tuple[float, float]:
        """``A_plus`` and ``A_minus`` in the canonical unit of the weight."""
        found = []
        for name in ("A_plus", "A_minus"):
            given, place = getattr(self, name), f"PairSTDP.{name}"
            if isinstance(given, Quantity):
                value = float(magnitude(given, self.dimension, place, at_least=0.0, single=True))
            elif isinstance(given, int | float) and 0 <= given < np.inf:
                value = float(given) * self.bounds[1]
            else:
                raise InvalidInput(
                    place,
                    "must be a finite amplitude, not negative",
                    got=repr(given),
                    fix="a quantity, or a fraction of w_max",
                )
            found.append(value)
        return found[0], found[1]

    def windows(self, dt: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the tabulated windows ``K_plus`` and ``K_minus`` for ticks of ``dt`` ms.

        Entry k is the factor k ticks after the spike; beyond the table it is 0.
        """
        return (
            self._window(float(self.tau_plus.value), dt),
            self._window(float(self.tau_minus.value), dt),
        )

    def _window(self, tau: float, dt: float) -> npt.NDArray[np.float64]:
        floor = 1.0 / 2048.0 if self.window == "table2048" else _NEGLIGIBLE
        length = int(np.floor(-np.log(floor) * tau / dt)) + 2
        table: npt.NDArray[np.float64] = np.exp(-np.arange(length) * dt / tau)
        if self.window == "table2048":
            table = np.floor(2048.0 * table) / 2048.0
        table[table < floor] = 0.0
        return table
