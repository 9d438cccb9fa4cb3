"""What passes between Nengo and spikecore: steps of time, spikes scaled by 1/dt, on and off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from nengo.params import Parameter

from spikecore.errors import InvalidInput
from spikecore.quantities import GRID_TOLERANCE, require

__all__ = ["ValueParam", "as_spikes", "check_shapes", "spiking", "ticks_per_step"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

WHOLE = 1e-6
"""How far a number of spikes may be from a whole one: sums of 1/dt are rounded."""


class ValueParam(Parameter):
    """A parameter of a process, compared by value where the value can be."""

    equatable = True

    def __init__(self, name: str) -> None:
        super().__init__(name, readonly=True)


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


def check_shapes(
    shape_in: tuple[int, ...], shape_out: tuple[int, ...], sizes: tuple[int, int], place: str
) -> None:
    """Raise InvalidInput unless the node has the sizes that the process needs."""
    if (shape_in, shape_out) != ((sizes[0],), (sizes[1],)):
        raise InvalidInput(
            place,
            f"needs a node with size_in={sizes[0]} and size_out={sizes[1]}",
            got=f"{shape_in} and {shape_out}",
            fix="leave size_in and size_out out: nengo.Node(process)",
        )


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
