"""Training scenes cut from labelled recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from spikecore.camera import EventStream
from spikecore.errors import InvalidInput
from spikecore.motifs.labelled import Segment
from spikecore.motifs.labels import LADDER_CLASSES, MotionClasses
from spikecore.motifs.ladder import TICKS
from spikecore.motifs.scenes import Movies

__all__ = ["RecordedScenes"]

BOTH = 2
"""Code of a voxel with an ON and an OFF event: it counts twice and has no sign."""


@dataclass(frozen=True, eq=False)
class RecordedScenes:
    """Movies from recordings with known velocity, at any rung of the ladder.

    Each movie is a random crop in space and time of a random segment, binned with a
    random tick of those at which the speed is within the classes' range, and mirrored or
    transposed at random, which turns the true direction with it.

    Attributes
    ----------
    segments : tuple of (EventStream, float, float)
        Events from time 0, and velocity (pixels a second).
    shape : tuple of int
        Ticks, height and width of a movie.
    """

    segments: tuple[tuple[EventStream, float, float], ...]
    shape: tuple[int, int, int] = (48, 48, 48)
    classes: MotionClasses = LADDER_CLASSES
    device: str = "cpu"

    @classmethod
    def of(
        cls,
        segments: Sequence[Segment],
        streams: Mapping[Path, EventStream],
        device: str = "cpu",
    ) -> RecordedScenes:
        """Return scenes of all segments whose speed is known.

        Raises
        ------
        InvalidInput
            If there is none.
        """
        parts = []
        for s in segments:
            events = streams[s.path].between(s.start, s.stop)
            if s.timed and len(events):
                parts.append((events.shifted(-s.start), s.vx, s.vy))
        if not parts:
            raise InvalidInput(
                "recordings",
                "none of the labelled segments has events and a known speed",
                got=f"{len(segments)} segments",
                fix="label them with vx_px_s and vy_px_s",
            )
        return cls(tuple(parts), device=device)

    def draw(self, count: int, generator: torch.Generator) -> Movies:
        """Return ``count`` new movies; the generator must live on the CPU."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        rng = np.random.default_rng(seed)
        volumes, velocities = zip(*(self._one(rng) for _ in range(count)), strict=True)
        velocity = np.array(velocities)[:, None].repeat(self.shape[0], 1)
        labels = self.classes.soft(velocity[..., 0], velocity[..., 1])
        return Movies(
            torch.as_tensor(np.stack(volumes), device=self.device),
            torch.as_tensor(labels, dtype=torch.float32, device=self.device),
            torch.as_tensor(velocity, dtype=torch.float32, device=self.device),
        )

    def _one(self, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
        events, vx, vy = self.segments[rng.integers(len(self.segments))]
        ticks = np.asarray(TICKS)
        speeds = np.hypot(vx, vy) * ticks * 1e-6
        near = (speeds > self.classes.speeds[0] / 2) & (speeds < self.classes.speeds[-1] * 2)
        tick = int(rng.choice(ticks[near] if near.any() else ticks))
        length, height, width = self.shape
        last = int(events.t[-1]) // tick
        corner = [
            int(rng.integers(-side // 4, max(1, extent - 3 * side // 4)))
            for side, extent in ((length, last + 1), (height, events.height), (width, events.width))
        ]
        t = events.t // tick - corner[0]
        y, x = events.y.astype(np.int64) - corner[1], events.x.astype(np.int64) - corner[2]
        inside = (t >= 0) & (t < length) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        seen = np.zeros((2, *self.shape), np.int8)
        seen[events.p[inside], t[inside], y[inside], x[inside]] = 1
        volume = np.where(seen.sum(0) == BOTH, BOTH, seen[1] - seen[0]).astype(np.int8)
        vx, vy = vx * tick * 1e-6, vy * tick * 1e-6
        if rng.random() < 0.5:  # noqa: PLR2004
            volume, vx = volume[:, :, ::-1], -vx
        if rng.random() < 0.5:  # noqa: PLR2004
            volume, vy = volume[:, ::-1], -vy
        if rng.random() < 0.5 and height == width:  # noqa: PLR2004
            volume, vx, vy = volume.transpose(0, 2, 1), vy, vx
        return np.ascontiguousarray(volume), (vx, vy)
