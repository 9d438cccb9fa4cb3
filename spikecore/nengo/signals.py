"""What passes between Nengo and spikecore: steps of time, spikes scaled by 1/dt, on and off."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from nengo.base import Process
from nengo.params import Parameter

from spikecore.errors import InvalidInput
from spikecore.quantities import GRID_TOLERANCE, require

__all__ = ["CheckedProcess", "ValueParam", "as_spikes", "spiking", "ticks_per_step"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

WHOLE = 1e-6
"""How far a number of spikes may be from a whole one: sums of 1/dt are rounded."""


class ValueParam(Parameter):
    """A parameter of a process, compared by value where the value can be."""

    equatable = True

    def __init__(self, name: str) -> None:
        super().__init__(name, optional=True, readonly=True)


def ticks_per_step(step: float, dt: float, place: str) -> int:
    """Return how many ticks of ``dt`` ms a step of Nengo, ``step`` seconds, takes.

    Raises
    ------
    InvalidInput
        If that is not a whole number, or less than one.
    """
    exact = step * 1e3 / dt
    ticks = round(exact)
    if ticks < 1 or abs(exact - ticks) > GRID_TOLERANCE * exact:
        raise InvalidInput(
            f"{place}: dt of the nengo.Simulator",
            f"must be a whole multiple of the network's dt = {dt:g} ms",
            got=f"{step * 1e3:g} ms",
            fix=f"nengo.Simulator(model, dt={max(ticks, 1) * dt * 1e-3:g}), or make the network "
            f"with dt={step * 1e3 / max(ticks, 1):g} * ms",
        )
    return ticks


class CheckedProcess(Process):
    """A process that has one size and one tick, and is refused anything else.

    Nengo calls :meth:`make_state` while it builds a model, so nothing has begun then.

    Parameters
    ----------
    size_in, size_out : int
        Of the node.
    tick : float or None
        Length of a tick, ms; None for whatever step Nengo takes.
    default_dt : float
        Step (s) where Nengo names none: ``process.apply(x)``.
    seed : int, optional
        Of Nengo.
    """

    tick: Any = ValueParam("tick")

    def __init__(
        self,
        size_in: int,
        size_out: int,
        tick: float | None,
        default_dt: float = 1e-3,
        seed: int | None = None,
    ) -> None:
        super().__init__(size_in, size_out, default_dt, seed)
        self.tick = tick

    def make_state(
        self,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        dt: float,
        dtype: object = None,
    ) -> dict[str, Any]:
        """Raise InvalidInput unless sizes and dt are right; there is no state to allocate."""
        place = type(self).__name__
        if (shape_in, shape_out) != ((self.default_size_in,), (self.default_size_out,)):
            raise InvalidInput(
                place,
                f"needs a node with size_in={self.default_size_in} and "
                f"size_out={self.default_size_out}",
                got=f"{shape_in} and {shape_out}",
                fix="leave size_in and size_out out: nengo.Node(process)",
            )
        if self.tick is not None:
            ticks_per_step(dt, self.tick, place)
        return {}


def as_spikes(x: FloatArray, step: float, place: str) -> IndexArray:
    """Return which neurons spike, as often as they do, given Nengo's spikes.

    Parameters
    ----------
    x : ndarray, shape (N,)
        A spike is 1/step, as Nengo has it; two in one step are 2/step.
    step : float
        Length of a step, s.

    Raises
    ------
    InvalidInput
        If a value is not a whole number of spikes.
    """
    if not x.any():
        return np.empty(0, np.int64)
    number = x * step
    spikes = np.rint(number)
    holds = (np.abs(number - spikes) <= WHOLE) & (spikes >= 0)
    require(
        x,
        holds,
        place,
        f"takes spikes: 0, or whole multiples of 1/dt = {1 / step:g}",
        fix="connect neurons to it with synapse=None and weights of 1, or scale spikes by 1/dt",
    )
    return np.repeat(np.arange(x.size), spikes.astype(np.int64))


def spiking(neurons: IndexArray, size: int, step: float) -> FloatArray:
    """Return the spikes of one step as Nengo has them, shape (size,): 1/step each."""
    return np.bincount(neurons, minlength=size) / step
