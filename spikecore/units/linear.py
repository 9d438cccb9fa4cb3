"""The one description of a unit that every backend reads.

A unit is a linear system with a threshold. Written relative to rest, its state
``x`` obeys ``dx/dt = A x + b`` between events, jumps at events, and is reset
when ``h . x`` reaches the threshold. Leaky integrators, LIF neurons with delta,
exponential or alpha currents, adaptive thresholds and slow traces all have this
form, so each of them is described once and runs everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName
from spikecore.quantities import Quantity, require

__all__ = ["LinearUnit", "Port", "StepRule", "Unit"]

FloatArray = npt.NDArray[np.float64]
StepRule = Literal["exact", "spinnaker"]

NEGLIGIBLE = 1e-12
"""Rates (1/ms) below this count as none."""


@dataclass(frozen=True)
class Port:
    """Where synapses of one kind arrive.

    Attributes
    ----------
    state : str
        The state that jumps by ``sign * weight``.
    dimension : str
        Dimension of the weights, e.g. ``"current"``.
    sign : int
        +1 or -1; a port with -1 takes magnitudes and subtracts them.
    tau : ndarray or None
        Time constant (ms) of the state, where the ``spinnaker`` step rule has to
        scale an arrival by it; None where it does not.
    """

    state: str
    dimension: str
    sign: int = 1
    tau: FloatArray | None = None


class Unit(Protocol):
    """Anything that can be put into a :class:`~spikecore.Population`."""

    @property
    def linear(self) -> LinearUnit:
        """The description that backends consume."""
        ...


@dataclass(frozen=True, eq=False)
class LinearUnit:
    """A linear system with a threshold.

    Parameters
    ----------
    name : str
        Kind of unit, e.g. ``"lif"``.
    states : tuple of str
        State names, length S.
    dimensions : tuple of str
        Dimension of each state, e.g. ``("current", "voltage")``.
    A : ndarray, shape (K, S, S)
        System matrix, 1/ms. K is 1 (all neurons alike) or the population size.
    b : ndarray, shape (K, S)
        Constant drive, state unit per ms.
    rest : ndarray, shape (K, S)
        Added to ``x`` when a state is shown to the user.
    ports : mapping of str to Port
        Where synapses may arrive.
    h : ndarray, shape (S,)
        The unit fires when ``h . x >= threshold``.
    threshold : ndarray, shape (K,)
        Relative to rest. ``inf`` for a unit that never fires.
    reset : mapping of str to ndarray, shape (K,)
        States that a spike sets, relative to rest. They are also held at that
        value while the unit is refractory.
    jump : mapping of str to ndarray, shape (K,)
        States that a spike increases.
    refractory : ndarray, shape (K,)
        Refractory period, ms.
    currents : tuple of str
        States that count as synaptic currents under the ``spinnaker`` step rule;
        the other states move with these held constant over the step.
    step : {"exact", "spinnaker"}
        Step rule, see docs/semantics.
    parameters : mapping of str to Quantity
        What the user gave, for reports, exports and generated equations.

    Raises
    ------
    InvalidInput
        If shapes disagree, a value is not finite, or the system is unstable.
    UnknownName
        If a port, reset or jump names a state that does not exist.
    """

    name: str
    states: tuple[str, ...]
    dimensions: tuple[str, ...]
    A: FloatArray
    b: FloatArray
    rest: FloatArray
    ports: Mapping[str, Port]
    h: FloatArray
    threshold: FloatArray
    reset: Mapping[str, FloatArray]
    refractory: FloatArray
    jump: Mapping[str, FloatArray] = field(default_factory=dict)
    currents: tuple[str, ...] = ()
    step: StepRule = "exact"
    parameters: Mapping[str, Quantity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        s, place = len(self.states), f"{self.name} unit"
        if self.step not in ("exact", "spinnaker"):
            raise UnknownName(f"{place}.step", str(self.step), ("exact", "spinnaker"))
        if self.A.shape[1:] != (s, s):
            fix = f"one row and one column for each of {self.states}"
            raise InvalidInput(
                f"{place}.A", f"must have shape (K, {s}, {s})", got=self.A.shape, fix=fix
            )
        k = self.A.shape[0]
        for label, array, shape in (
            ("b", self.b, (k, s)),
            ("rest", self.rest, (k, s)),
            ("h", self.h, (s,)),
            ("threshold", self.threshold, (k,)),
            ("refractory", self.refractory, (k,)),
            *((f"reset[{name}]", value, (k,)) for name, value in self.reset.items()),
            *((f"jump[{name}]", value, (k,)) for name, value in self.jump.items()),
        ):
            if array.shape != shape:
                fix = "K is the first length of A, S the number of states"
                raise InvalidInput(
                    f"{place}.{label}", f"must have shape {shape}", got=array.shape, fix=fix
                )
            finite = np.isfinite(array) | ((array == np.inf) & (label == "threshold"))
            require(array.ravel(), finite.ravel(), f"{place}.{label}", "must be finite")
        require(self.A.ravel(), np.isfinite(self.A).ravel(), f"{place}.A", "must be finite")
        targets = [port.state for port in self.ports.values()]
        for state in (*targets, *self.reset, *self.jump, *self.currents):
            if state not in self.states:
                raise UnknownName(place, state, self.states)
        for name, port in self.ports.items():
            if self.step == "spinnaker" and port.state in self.currents and port.tau is None:
                raise InvalidInput(
                    f"{place}.ports[{name}].tau",
                    "is needed by the spinnaker step rule",
                    fix=f"Port({port.state!r}, ..., tau=np.array([5.0]))",
                )
        growth = np.linalg.eigvals(self.A).real.max(axis=1)
        require(
            growth,
            growth <= NEGLIGIBLE,
            place,
            "must be stable (no state may grow by itself)",
            "1/ms",
            fix="check the signs of A",
        )
        self._check_reset(place)

    def _check_reset(self, place: str) -> None:
        after = np.zeros_like(self.threshold)
        for name, value in self.reset.items():
            after = after + self.h[self.states.index(name)] * value
        require(
            after,
            after < self.threshold,
            place,
            "reset must lie below the threshold, or the unit would fire for ever",
            fix="lower the reset, or raise the threshold",
        )

    @property
    def linear(self) -> LinearUnit:
        """The unit itself: it is the description."""
        return self

    @property
    def size(self) -> int | None:
        """Population size that the parameters imply; None if one value serves all."""
        return self.A.shape[0] if self.A.shape[0] > 1 else None
