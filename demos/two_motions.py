"""Two halves of one view that move differently: told apart by the layer, and drawn.

Run it in any folder: it writes two_motions.png. Contrast maximisation, which has one answer
for the whole view, is put beside it.
"""

from __future__ import annotations

import numpy as np

from spikecore import EventStream
from spikecore.motifs import detect
from spikecore.motifs.contrast import contrast_maximisation
from spikecore.plot import save
from spikecore.plot_motion import motion_figure

SENSOR, SECONDS, THRESHOLD = (128, 96), 0.4, 0.35
LEFT, RIGHT = (110.0, 0.0), (-20.0, -70.0)  # pixels a second, x right and y down


def texture(rng, side=256, scale=2.5):
    """A smooth random texture that repeats."""
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    spectrum = np.fft.fft2(rng.standard_normal((side, side)))
    smooth = np.fft.ifft2(spectrum * np.exp(-0.5 * (2 * np.pi * f * scale) ** 2)).real
    return smooth / smooth.std()


def shifted(image, dx, dy):
    """The texture moved by a fraction of a pixel, exactly."""
    height, width = image.shape
    phase = np.fft.fftfreq(height)[:, None] * dy + np.fft.fftfreq(width)[None] * dx
    return np.fft.ifft2(np.fft.fft2(image) * np.exp(-2j * np.pi * phase)).real


def record(rng):
    """Events of pixels that keep the level of their last event, 1 ms at a time."""
    images = [texture(rng) for _ in range(2)]
    level, found = None, []
    for ms in range(round(SECONDS * 1000)):
        left, right = (
            shifted(image, vx * ms / 1000, vy * ms / 1000)[: SENSOR[1], : SENSOR[0]]
            for image, (vx, vy) in zip(images, (LEFT, RIGHT), strict=True)
        )
        view = np.where(np.arange(SENSOR[0]) < SENSOR[0] // 2, left, right)
        level = view.copy() if level is None else level
        for sign in (1, -1):
            crossed = np.floor(np.maximum(sign * (view - level), 0.0) / THRESHOLD)
            level += sign * crossed * THRESHOLD
            y, x = np.nonzero(crossed)
            t = ms * 1000 + rng.integers(0, 1000, y.size)
            found.append(np.stack([x, y, t, np.full(y.size, sign > 0)]))
    events = np.concatenate(found, 1)
    events = events[:, np.argsort(events[2], kind="stable")].astype(np.int64)
    return EventStream.checked(*events, sensor=SENSOR)


def main():
    events = record(np.random.default_rng(3))
    motion = detect(events)
    print(f"{len(events):,} events, {motion.seconds:.2f} s")
    for part in motion.parts:
        print(
            f"  {np.degrees(part.direction):6.1f} degrees, {part.speed:5.1f} px/s, "
            f"{part.share:.0%} of the events"
        )
    x, y = contrast_maximisation(events.between(100_000, 200_000))
    print(
        f"contrast maximisation has one answer: {np.degrees(np.arctan2(y, x)):.1f} degrees, "
        f"{np.hypot(x, y):.1f} px/s"
    )
    for vx, vy in (LEFT, RIGHT):
        near = [
            part
            for part in motion.parts
            if abs(np.angle(np.exp(1j * (part.direction - np.arctan2(vy, vx))))) < np.radians(15)
            and abs(part.speed / np.hypot(vx, vy) - 1) < 0.2
        ]
        assert near, f"nothing found that moves with ({vx}, {vy})"
    save(motion_figure(motion, "two halves that move differently"), "two_motions.png")
    print("see two_motions.png")


if __name__ == "__main__":
    main()
