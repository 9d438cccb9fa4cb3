"""From log posteriors to one velocity: how the rungs of the ladder are combined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.motifs.kernel import DelayKernel

__all__ = ["Velocity", "decode", "motions_of"]

FULL_VOTES = 120
"""Events from which a region has all of the kernel's votes; a single event has one."""

DIRECTION_POWER, SPEED_POWER = 2, 4
"""How much a rung that agrees with itself counts more than one that does not."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Velocity:
    """Motion of one or many cells.

    Attributes
    ----------
    direction : ndarray of float64, shape S
        rad, x right and y down (positive is clockwise on screen); NaN without events.
    speed : ndarray of float64, shape S
        Pixels a second.
    strength : ndarray of float64, shape S
        Length of the strongest resultant, 0 (no motion, or no agreement) to 1.
    events : ndarray of int64, shape S
        Events read on the rung that read most.
    """

    direction: FloatArray
    speed: FloatArray
    strength: FloatArray
    events: npt.NDArray[np.int64]

    @property
    def x(self) -> FloatArray:
        """Pixels a second to the right."""
        along: FloatArray = self.speed * np.cos(self.direction)
        return along

    @property
    def y(self) -> FloatArray:
        """Pixels a second downwards."""
        along: FloatArray = self.speed * np.sin(self.direction)
        return along


def decode(
    log_posterior: FloatArray,
    counts: npt.NDArray[np.int64],
    ticks: tuple[int, ...],
    kernel: DelayKernel,
) -> Velocity:
    """Combine the rungs of the ladder into one velocity.

    On each rung, the mean log posterior over the events, times a number of votes, gives
    the posterior q of the cell: a product over events, as independent witnesses' should
    be, tempered because neighbours are not independent. The classes of one speed v make
    a resultant Z = sum q exp(i phi). The direction is that of sum Z |Z|; the speed is the
    mean of log v, weighted by the fourth power of each Z's length along that direction.

    Parameters
    ----------
    log_posterior : ndarray of float64, shape (*S, R, C)
        Summed over events, by rung and class.
    counts : ndarray of int64, shape (*S, R)
        Events, by rung.
    ticks : tuple of int
        Rungs, us.
    kernel : DelayKernel
        With ``directions`` and ``speeds``.

    Returns
    -------
    Velocity
        With arrays of shape S.

    Raises
    ------
    InvalidInput
        If the kernel's classes are not motions.
    """
    directions, speeds = motions_of(kernel)
    n = counts[..., None]
    votes = 1.0 + (kernel.votes - 1.0) * np.minimum(1.0, n / FULL_VOTES)
    logits = votes * log_posterior / np.maximum(n, 1)
    q = np.exp(logits - logits.max(-1, keepdims=True))
    q = np.where(n > 0, q / q.sum(-1, keepdims=True), 0.0)
    inside = np.isfinite(directions)
    rings = np.unique(speeds[inside])
    unit = np.where(inside, np.exp(1j * np.where(inside, directions, 0.0)), 0.0)
    by_ring = np.stack([np.where(speeds == ring, unit, 0.0) for ring in rings], -1)
    z = q @ by_ring  # (*S, R, rings)
    z = z.reshape(*z.shape[:-2], -1)
    length = np.abs(z)
    together = (z * length ** (DIRECTION_POWER - 1)).sum(-1)
    direction = np.angle(together)
    along = np.clip((z * np.exp(-1j * direction)[..., None]).real, 0.0, None)
    log_speed = np.log(rings[None, :] / (np.asarray(ticks)[:, None] * 1e-6)).ravel()
    weight = along**SPEED_POWER
    total = weight.sum(-1)
    some = total > 0.0
    speed = np.exp((weight * log_speed).sum(-1) / np.where(some, total, 1.0))
    return Velocity(
        np.where(some, direction, np.nan),
        np.where(some, speed, np.nan),
        length.max(-1),
        counts.max(-1),
    )


def motions_of(kernel: DelayKernel) -> tuple[FloatArray, FloatArray]:
    """Return directions and speeds of the classes, or say that they are no motions."""
    if kernel.directions is None or kernel.speeds is None:
        raise InvalidInput(
            "kernel", "has no motions as classes", fix="train it with spikecore motion train"
        )
    return kernel.directions, kernel.speeds
