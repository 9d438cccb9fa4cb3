"""Units that are no linear systems: a derivative, integrated in steps of their own.

The rest of a network stays event-driven. A stepped unit shows it a linear face: its states stand
still between its steps (so they can be probed, act on synapses, and be raised by arrivals at any
time) and are moved by the integrator at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName
from spikecore.quantities import Quantity, magnitude, ms
from spikecore.units.linear import LinearUnit, Port

__all__ = ["Crossing", "SteppedUnit"]

FloatArray = npt.NDArray[np.float64]
Integrator = Literal["rk4", "heun"]


@dataclass(frozen=True)
class Crossing:
    """A spike of a stepped unit, whenever a state rises above a level.

    Attributes
    ----------
    state : str
    level : float
        In the canonical unit of the state.
    change : callable, optional
        Takes the states (shape (S, n)) of the units that fire, and returns them as the spike
        leaves them.
    """

    state: str
    level: float
    change: Callable[[FloatArray], FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class SteppedUnit:
    """A unit given by its derivative.

    Parameters
    ----------
    name : str
    states : mapping of str to (str, float)
        Dimension and initial value of each state.
    derivative : callable
        Takes the states, shape (S, n), and returns their rates, 1/ms, of the same shape. It may
        couple the n units of a population.
    ports : mapping of str to Port
        Where spikes may arrive; they raise a state at once.
    step : Quantity
        Length of a step (time), a multiple of dt.
    integrator : {"rk4", "heun"}
        Runge-Kutta of fourth order, or Heun's rule.
    substeps : int
        Parts into which a step is divided.
    crossing : Crossing, optional
        What makes it send spikes. Default: it sends none.
    outputs : mapping of str to callable, optional
        Continuous outputs, functions of the states (shape (S, n) to (n,)), for
        ``Projection(..., carries=name)``.
    identity : str
        What tells two units of one name apart, for the hash of a network.
    least : int
        The smallest population that the equations describe, where they name single units.

    Raises
    ------
    InvalidInput, UnknownName
        If a name is unknown, used twice or the integrator has no steps.
    """

    name: str
    states: Mapping[str, tuple[str, float]]
    derivative: Callable[[FloatArray], FloatArray]
    ports: Mapping[str, Port]
    step: Quantity = 1.0 * ms
    integrator: Integrator = "rk4"
    substeps: int = 1
    crossing: Crossing | None = None
    outputs: Mapping[str, Callable[[FloatArray], FloatArray]] = field(default_factory=dict)
    identity: str = ""
    least: int = 1

    def __post_init__(self) -> None:
        place = f"{self.name} unit"
        magnitude(self.step, "time", f"{place}.step", above=0.0, single=True)
        if self.integrator not in ("rk4", "heun"):
            raise UnknownName(f"{place}.integrator", str(self.integrator), ("rk4", "heun"))
        if not isinstance(self.substeps, int) or self.substeps < 1:
            raise InvalidInput(
                f"{place}.substeps",
                "must be an integer of at least 1",
                got=repr(self.substeps),
                fix="use 1, or more for stiff equations",
            )
        if self.crossing is not None and self.crossing.state not in self.states:
            raise UnknownName(f"{place}.crossing", self.crossing.state, self.states)
        twice = set(self.states) & set(self.outputs)
        if twice:
            raise InvalidInput(
                f"{place}.outputs",
                "must have names that no state has",
                got=", ".join(sorted(twice)),
                fix="rename one of them",
            )

    @cached_property
    def linear(self) -> LinearUnit:
        """What the network sees: states, outputs and their latest changes, which stand still."""
        extra = [name for o in self.outputs for name in (o, change_of(o))]
        n = len(self.states) + len(extra)
        return LinearUnit(
            name=self.name,
            states=(*self.states, *extra),
            dimensions=(*(d for d, _ in self.states.values()), *("number" for _ in extra)),
            A=np.zeros((1, n, n)),
            b=np.zeros((1, n)),
            rest=np.zeros((1, n)),
            ports=dict(self.ports),
            h=np.zeros(n),
            threshold=np.array([np.inf]),
            reset={},
            refractory=np.zeros(1),
            parameters={"identity": Quantity(np.frombuffer(self._mark(), np.uint8), "number")},
        )

    def _mark(self) -> bytes:
        text = (self.identity, self.integrator, self.substeps, repr(self.step), dict(self.states))
        return repr(text).encode()

    @property
    def stepped(self) -> SteppedUnit:
        """The unit itself."""
        return self

    @cached_property
    def start(self) -> FloatArray:
        """Initial values of all states that the network sees, shape (S,); outputs begin at 0."""
        x = [value for _, value in self.states.values()]
        return np.array(x + [0.0] * (2 * len(self.outputs)))

    def advance(self, x: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Move the states by one step.

        Parameters
        ----------
        x : ndarray, shape (n, S)
            All that the network sees.

        Returns
        -------
        ndarray, shape (n, S)
        ndarray of bool, shape (n,)
            Who fires.
        """
        own = np.ascontiguousarray(x[:, : len(self.states)].T)
        before = own.copy()
        h = float(self.step.value) / self.substeps
        for _ in range(self.substeps):
            own = (
                _rk4(self.derivative, own, h)
                if self.integrator == "rk4"
                else _heun(self.derivative, own, h)
            )
        fires = np.zeros(own.shape[1], bool)
        if self.crossing is not None:
            i = list(self.states).index(self.crossing.state)
            fires = (before[i] <= self.crossing.level) & (own[i] > self.crossing.level)
            if self.crossing.change is not None and fires.any():
                own[:, fires] = self.crossing.change(own[:, fires])
        out = x.copy()
        out[:, : len(self.states)] = own.T
        for k, output in enumerate(self.outputs.values()):
            at = len(self.states) + 2 * k
            out[:, at] = output(own)
            out[:, at + 1] = out[:, at] - x[:, at]
        return out, fires


def change_of(output: str) -> str:
    """Return the name of the state that holds the latest change of an output."""
    return f"{output} (change)"


def _rk4(f: Callable[[FloatArray], FloatArray], x: FloatArray, h: float) -> FloatArray:
    k1 = f(x)
    k2 = f(x + h / 2 * k1)
    k3 = f(x + h / 2 * k2)
    k4 = f(x + h * k3)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _heun(f: Callable[[FloatArray], FloatArray], x: FloatArray, h: float) -> FloatArray:
    k1 = f(x)
    return x + h / 2 * (k1 + f(x + h * k1))
