"""Events of a texture that moves as told, seen by pixels that keep a level."""

from __future__ import annotations

import numpy as np

from spikecore import EventStream

SIDE = 128


def texture(seed=0, scale=2.5):
    """A periodic random texture, smooth over ``scale`` pixels."""
    noise = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
    f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    smooth = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-0.5 * (2 * np.pi * f * scale) ** 2)).real
    return smooth / smooth.std()


def warped(source, seconds=0.3, sensor=(48, 48), seed=0, threshold=0.4):
    """Events where ``source(t, x, y)`` says which point of the texture a pixel sees at t (s)."""
    rng = np.random.default_rng(seed)
    image, (width, height) = texture(seed), sensor
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    level, found = None, []
    for step in range(round(seconds * 1000)):
        u, v = source(step / 1000, x, y)
        i, j = np.floor(v).astype(int), np.floor(u).astype(int)
        a, b = v - i, u - j
        grey = (1 - a) * ((1 - b) * image[i % SIDE, j % SIDE] + b * image[i % SIDE, (j + 1) % SIDE])
        grey += a * (
            (1 - b) * image[(i + 1) % SIDE, j % SIDE] + b * image[(i + 1) % SIDE, (j + 1) % SIDE]
        )
        if level is None:
            level = grey + threshold * rng.uniform(-0.5, 0.5, grey.shape)
        for sign in (1, -1):
            over = np.floor(np.maximum(sign * (grey - level), 0) / threshold)
            level += sign * over * threshold
            rows, columns = np.nonzero(over)
            us = step * 1000 + rng.integers(0, 1000, rows.size)
            found.append(np.stack([columns, rows, us, np.full(rows.size, sign > 0)]))
    events = np.concatenate(found, 1)
    events = events[:, np.argsort(events[2], kind="stable")].astype(np.int64)
    return EventStream.checked(*events, sensor=sensor)


def straight(vx, vy, **options):
    """A texture that moves with (vx, vy), pixels a second."""
    return warped(lambda t, x, y: (x - vx * t, y - vy * t), **options)


def together(one, other):
    """Two streams of one sensor as one."""
    parts = [np.concatenate([getattr(one, n), getattr(other, n)]) for n in "xytp"]
    order = np.argsort(parts[2], kind="stable")
    return EventStream.checked(*(part[order] for part in parts), sensor=(one.width, one.height))


def angle_between(found, wanted):
    """Degrees between two directions in rad."""
    return np.degrees(np.abs((found - wanted + np.pi) % (2 * np.pi) - np.pi))
