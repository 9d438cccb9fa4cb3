"""What the classes of a motion layer stand for: directions, speeds, and the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LADDER_CLASSES", "PAPER_CLASSES", "MotionClasses"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MotionClasses:
    """A grid of directions and speeds, with or without classes for anything outside.

    Attributes
    ----------
    directions : int
        How many, evenly spaced; the first is 0 rad (rightwards).
    speeds : tuple of float
        Pixels a tick, increasing by one factor.
    stagger : bool
        Turn every other ring of speeds by half a step, as the paper does.
    outside : bool
        Add one class for slower motion and one for faster motion than the grid.
    """

    directions: int = 12
    speeds: tuple[float, ...] = (0.25, 0.25 * 2 ** (2 / 3), 0.25 * 2 ** (4 / 3))
    stagger: bool = False
    outside: bool = True

    @property
    def count(self) -> int:
        """Number of classes, those outside included."""
        return self.inside + 2 * self.outside

    @property
    def inside(self) -> int:
        """Number of classes that are a direction and a speed."""
        return self.directions * len(self.speeds)

    @property
    def angle(self) -> FloatArray:
        """Direction of each class, rad, shape (C,); NaN outside the grid."""
        ring, step = np.divmod(np.arange(self.inside), self.directions)
        turn = 0.5 * (ring % 2) * self.stagger
        angle = 2.0 * np.pi * (step + turn) / self.directions
        return np.concatenate([angle, np.full(2 * self.outside, np.nan)])

    @property
    def speed(self) -> FloatArray:
        """Speed of each class, pixels a tick, shape (C,); 0 slower, infinite faster."""
        speed = np.repeat(np.asarray(self.speeds), self.directions)
        return np.concatenate([speed, [0.0, np.inf] if self.outside else []])

    def soft(self, vx: npt.ArrayLike, vy: npt.ArrayLike) -> FloatArray:
        """Return how a velocity is shared among its neighbouring classes.

        Piecewise linear in direction and in the logarithm of speed, so that the mean of
        many answers interpolates between classes.

        Parameters
        ----------
        vx, vy : array_like of float, shape S
            Velocity, pixels a tick, x right and y down.

        Returns
        -------
        ndarray of float64, shape (*S, C)
            Non-negative, adding up to 1.
        """
        vx, vy = np.asarray(vx, np.float64), np.asarray(vy, np.float64)
        log = np.log2(np.maximum(np.hypot(vx, vy), 1e-9))
        centre = np.log2(np.asarray(self.speeds))
        width = centre[1] - centre[0] if len(centre) > 1 else 1.0
        ring = np.arange(-1, len(centre) + 1) * width + centre[0]
        if not self.outside:
            log = np.clip(log, centre[0], centre[-1])
        log = np.clip(log, ring[0], ring[-1])
        by_speed = np.clip(1.0 - np.abs(log[..., None] - ring) / width, 0.0, None)
        n = self.directions
        turns = np.arctan2(vy, vx) / (2.0 * np.pi) * n
        shares = []
        for number in range(len(centre)):
            off = turns[..., None] - np.arange(n) - 0.5 * (number % 2) * self.stagger
            distance = np.abs((off + n / 2) % n - n / 2)
            by_direction = np.clip(1.0 - distance, 0.0, None)
            shares.append(by_speed[..., 1 + number, None] * by_direction)
        if self.outside:
            shares += [by_speed[..., :1], by_speed[..., -1:]]
        return np.concatenate(shares, axis=-1)


PAPER_CLASSES = MotionClasses(stagger=True, outside=False)
"""The 36 classes of Grimaldi & Perrinet (2023)."""

LADDER_CLASSES = MotionClasses()
"""The 38 classes of the model that ships: 36, slower, faster."""
