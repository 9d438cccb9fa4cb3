"""Contrast maximisation, the measure that every motion figure is put beside.

Events are moved back along a velocity and counted by pixel; the velocity of which the
picture is sharpest, that is the sum of squares of the counts is largest, is the answer
(Gallego, Rebecq & Scaramuzza 2018, doi 10.1109/CVPR.2018.00407; the variance criterion).
One answer for the whole window, whatever moves in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from spikecore.camera import EventStream
from spikecore.errors import InvalidInput

__all__ = ["contrast_maximisation"]


@njit(cache=True, nogil=True)
def _sharpness(
    x: Any, y: Any, t: Any, p: Any, vx: float, vy: float, width: int, height: int
) -> float:
    """Return the sum of squared counts over the counts, for one velocity."""
    counts = np.zeros((2, height + 1, width + 1), np.float32)
    for i in range(x.shape[0]):
        u, v = x[i] - vx * t[i], y[i] - vy * t[i]
        if u < 0.0 or v < 0.0 or u >= width - 1 or v >= height - 1:
            continue
        a, b = int(u), int(v)
        fu, fv = u - a, v - b
        image = counts[p[i]]
        image[b, a] += (1.0 - fu) * (1.0 - fv)
        image[b, a + 1] += fu * (1.0 - fv)
        image[b + 1, a] += (1.0 - fu) * fv
        image[b + 1, a + 1] += fu * fv
    total: Any = 1e-9
    squares: Any = 0.0
    for value in counts.ravel():
        total += value
        squares += value * value
    return float(squares / total)


@njit(cache=True, nogil=True)
def _search(
    x: Any, y: Any, t: Any, p: Any, width: int, height: int, fastest: float, levels: int
) -> Any:
    """Search a grid of 17 x 17 velocities, then finer grids around the best."""
    best, best_x, best_y = -1.0, 0.0, 0.0
    step, reach = fastest / 8.0, 8
    for _ in range(levels):
        centre_x, centre_y = best_x, best_y
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                vx, vy = centre_x + i * step, centre_y + j * step
                value = _sharpness(x, y, t, p, vx, vy, width, height)
                if value > best:
                    best, best_x, best_y = value, vx, vy
        step, reach = step / 2.5, 2
    return best_x, best_y


def contrast_maximisation(
    events: EventStream, *, fastest: float = 300.0, levels: int = 5
) -> tuple[float, float]:
    """Return the one velocity that makes the picture of moved-back events sharpest.

    Parameters
    ----------
    events : EventStream
        A short window, in which motion is steady.
    fastest : float
        Largest component searched, pixels a second.
    levels : int
        Grids, each 2.5 times finer than the one before.

    Returns
    -------
    vx, vy : float
        Pixels a second, x right and y down.

    Raises
    ------
    InvalidInput
        If there are no events.
    """
    if not len(events):
        raise InvalidInput(
            "events",
            "is empty: there is no motion to see",
            got="0 events",
            fix="check the recording and the time window",
        )
    middle = (events.t[0] + events.t[-1]) / 2.0
    seconds = (events.t - middle) * 1e-6
    x, y = events.x.astype(np.float64), events.y.astype(np.float64)
    found = _search(
        x, y, seconds, events.p.astype(np.int64), events.width, events.height, fastest, levels
    )
    return float(found[0]), float(found[1])
