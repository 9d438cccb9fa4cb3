"""Moving natural images and shapes turned into events, with their labels.

Everything is drawn from a seed, made on the device that trains, and never stored. A
movie is a tensor of grey values, shape (B, T, H, W); its events are a tensor of the same
shape, +1 ON, -1 OFF, 0 none. x points right, y down; velocities are in pixels a tick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from spikecore.motifs.bank import ImageBank
from spikecore.motifs.images import draw_shapes, log_contrast, whiten
from spikecore.motifs.labels import LADDER_CLASSES, PAPER_CLASSES, MotionClasses

__all__ = [
    "Augmentation",
    "LadderScenes",
    "Movies",
    "NaturalScenes",
    "difference_events",
]

MARGIN = 6
"""A path stays so many pixels inside the image."""


SLOW = 0.5
"""Share of movies whose pixels are slow to follow."""


@dataclass(frozen=True)
class Movies:
    """A batch of labelled event movies.

    Attributes
    ----------
    events : Tensor of int8, shape (B, T, H, W)
        +1 ON, -1 OFF, 0 none, 2 both.
    labels : Tensor of float32, shape (B, T, C)
        Share of each class at each tick; the same for all pixels.
    velocity : Tensor of float32, shape (B, T, 2)
        (vx, vy), pixels a tick.
    """

    events: Tensor
    labels: Tensor
    velocity: Tensor


def difference_events(movie: Tensor, threshold: Tensor) -> Tensor:
    """Return the events of the paper's pixel: a change that exceeds a threshold.

    ``r(t) = I(t) - I(t - 1) - theta s(t - 1)``, and s(t) = 1 where r exceeds theta, -1
    where it is below -theta, else 0 (Grimaldi & Perrinet 2023, notebook: what is left
    below the threshold is not carried over).

    Parameters
    ----------
    movie : Tensor, shape (B, T, H, W)
        Grey values.
    threshold : Tensor, shape (B,)
        theta of each movie.

    Returns
    -------
    Tensor of int8, shape (B, T, H, W)
    """
    theta = threshold[:, None, None]
    events = torch.zeros(movie.shape, dtype=torch.int8, device=movie.device)
    last = torch.zeros_like(movie[:, 0])
    for t in range(1, movie.shape[1]):
        rest = movie[:, t] - movie[:, t - 1] - theta * last
        last = (rest > theta).float() - (rest < -theta).float()
        events[:, t] = last.to(torch.int8)
    return events


def _hold(values: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Keep each of ``values`` (B, T, ...) until a redraw, which comes with ``chance`` a tick."""
    b, t = values.shape[:2]
    redraw = torch.rand(b, t, generator=generator) < chance
    redraw[:, 0] = True
    steps = torch.arange(t).expand(b, t)
    source = torch.where(redraw, steps, torch.zeros_like(steps)).cummax(1).values
    return values[torch.arange(b)[:, None], source]


def _corners(
    path_x: Tensor, path_y: Tensor, size: tuple[int, int], bank: ImageBank, draw: Tensor
) -> tuple[Tensor, Tensor]:
    """Return corners (B,) drawn so that the window stays inside the image all the way."""
    corners = []
    for path, side, extent, u in zip(
        (path_x, path_y), (size[1], size[0]), (bank.shape[1], bank.shape[0]), draw, strict=True
    ):
        low = MARGIN + path.amax(1).clamp(min=0)
        high = extent - 1 - MARGIN - (side - 1) + path.amin(1).clamp(max=0)
        corners.append(low + u * (high - low))
    return corners[0], corners[1]


def _moving_windows(
    bank: ImageBank, velocity: Tensor, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Move a window so that the image moves with ``velocity`` (B, T, 2); return the movie."""
    b = velocity.shape[0]
    index = torch.randint(len(bank), (b,), generator=generator)
    path = velocity.cumsum(1)
    draw = torch.rand(2, b, generator=generator)
    x0, y0 = _corners(path[..., 0], path[..., 1], size, bank, draw)
    x = (x0[:, None] - path[..., 0]).to(bank.device)
    y = (y0[:, None] - path[..., 1]).to(bank.device)
    return bank.windows(index.to(bank.device), x, y, *size)


@dataclass(frozen=True)
class NaturalScenes:
    """Moving natural images by the protocol of Grimaldi & Perrinet (2023).

    One of 36 motions, redrawn with probability ``switch`` a tick; each movie is centred
    and scaled to [-1, 1], gets noise of 0.001, and gives an event where the change from
    one tick to the next exceeds ``selectivity`` standard deviations of all its changes.

    Attributes
    ----------
    bank : ImageBank
        Whitened images.
    shape : tuple of int
        Ticks, height and width of a movie.
    switch : float
        Chance of a new motion a tick; 0 keeps one motion for the whole movie.
    selectivity : float
        Threshold, standard deviations.
    """

    bank: ImageBank
    shape: tuple[int, int, int] = (100, 64, 64)
    switch: float = 1 / 24
    selectivity: float = 1.0
    classes: MotionClasses = PAPER_CLASSES

    def draw(self, count: int, generator: torch.Generator) -> Movies:
        """Return ``count`` new movies; the generator must live on the CPU."""
        ticks, *size = self.shape
        chosen = torch.randint(self.classes.count, (count, ticks), generator=generator)
        if self.switch:
            chosen = _hold(chosen, self.switch, generator)
        else:
            chosen = chosen[:, :1].expand(count, ticks).contiguous()
        velocity = self.velocities()[chosen]
        movie = _moving_windows(self.bank, velocity, (size[0], size[1]), generator)
        events = protocol_events(movie, self.selectivity)
        labels = torch.nn.functional.one_hot(chosen, self.classes.count).float()
        return Movies(events, labels.to(movie.device), velocity.to(movie.device))

    def velocities(self) -> Tensor:
        """Return the velocity of each class, shape (C, 2)."""
        angle, speed = self.classes.angle, self.classes.speed
        both = np.stack([speed * np.cos(angle), speed * np.sin(angle)], -1)
        return torch.as_tensor(both, dtype=torch.float32)


def protocol_events(movie: Tensor, selectivity: float = 1.0) -> Tensor:
    """Return the paper's events of movies (B, T, H, W): scaled, with noise, thresholded."""
    movie = movie - movie.mean((1, 2, 3), keepdim=True)
    movie = movie / movie.abs().amax((1, 2, 3), keepdim=True)
    movie = (movie + 0.001 * torch.randn_like(movie)).clamp(-1, 1)
    change = movie[:, 1:] - movie[:, :-1]
    return difference_events(movie, selectivity * change.flatten(1).std(1))


@dataclass(frozen=True)
class Augmentation:
    """How unlike the protocol a recording may be; each factor is drawn for each movie.

    Attributes
    ----------
    speeds : tuple of float
        Range of log2 of the speed (pixels a tick).
    still : float
        Share of time without motion.
    switch : float
        Chance of a new motion a tick.
    steady : float
        Share of movies with one motion throughout.
    contrast : tuple of float
        Range of the pixel's threshold, in standard deviations of the movie.
    asymmetry : float
        Largest ratio of the ON threshold to its mean with the OFF threshold.
    mismatch : float
        Spread of the logarithm of each pixel's own thresholds.
    drop : float
        Largest share of events lost.
    noise : tuple of float
        Range of the chance of a false event a pixel and tick.
    onset : float
        Share of movies that start late.
    small : float
        Share of movies in which only a part of the sensor sees anything.
    merged : float
        Share of movies without polarity: every event counts as ON.
    """

    speeds: tuple[float, float] = (-3.4, 0.6)
    still: float = 0.06
    switch: float = 1 / 40
    steady: float = 0.5
    contrast: tuple[float, float] = (0.12, 1.6)
    asymmetry: float = 1.45
    mismatch: float = 0.15
    drop: float = 0.5
    noise: tuple[float, float] = (1e-5, 4e-3)
    onset: float = 0.5
    small: float = 0.35
    merged: float = 0.25


@dataclass(frozen=True)
class LadderScenes:
    """Scenes for the model that ships: any direction and speed, any contrast, and noise.

    A pixel keeps the level of its last event and fires when the (possibly low-passed)
    grey value leaves it by more than a threshold, as event cameras do.

    Attributes
    ----------
    banks : tuple of ImageBank
        A movie comes from one of these, in turn.
    shape : tuple of int
        Ticks, height and width of a movie.
    """

    banks: tuple[ImageBank, ...]
    shape: tuple[int, int, int] = (96, 64, 64)
    classes: MotionClasses = LADDER_CLASSES
    augmentation: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def of(cls, images: np.ndarray, device: str = "cpu", upsample: int = 8) -> LadderScenes:
        """Return scenes of natural images, whitened and logarithmic, and of drawn shapes."""
        sets = (whiten(images), log_contrast(images), draw_shapes(100))
        return cls(tuple(ImageBank(s, device, upsample) for s in sets))

    def draw(self, count: int, generator: torch.Generator) -> Movies:
        """Return ``count`` new movies; the generator must live on the CPU."""
        a, (ticks, height, width) = self.augmentation, self.shape
        low, high = a.speeds
        drawn = torch.rand(count, ticks, 3, generator=generator)
        steady = torch.rand(count, generator=generator) < a.steady
        held = _hold(drawn, a.switch, generator)
        drawn = torch.where(steady[:, None, None], drawn[:, :1], held)
        speed = torch.exp2(low + (high - low) * drawn[..., 0]) * (drawn[..., 1] >= a.still)
        angle = 2 * math.pi * drawn[..., 2]
        velocity = torch.stack([speed * angle.cos(), speed * angle.sin()], -1)
        parts = torch.tensor_split(velocity, len(self.banks))
        movie = torch.cat(
            [
                _moving_windows(bank, part, (height, width), generator)
                for bank, part in zip(self.banks, parts, strict=True)
                if len(part)
            ]
        )
        events = self._pixels(movie, generator)
        labels = torch.as_tensor(
            self.classes.soft(velocity[..., 0].numpy(), velocity[..., 1].numpy()),
            dtype=torch.float32,
        )
        return Movies(events, labels.to(movie.device), velocity.to(movie.device))

    def _pixels(self, movie: Tensor, generator: torch.Generator) -> Tensor:
        """Return the events of level-keeping pixels, with everything that can go wrong."""
        a, device = self.augmentation, movie.device
        count, ticks, height, width = movie.shape

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator)

        def between(low: float, high: float) -> Tensor:
            log = math.log(low) + math.log(high / low) * uniform(count)
            return log.exp().to(device)[:, None, None]

        spread = movie.flatten(1).std(1).clamp(min=0.05)[:, None, None]
        theta = spread * between(*a.contrast)
        ratio = between(1 / a.asymmetry, a.asymmetry)
        on, off = (
            theta * r * torch.exp(a.mismatch * torch.randn(count, height, width, device=device))
            for r in (ratio, 1 / ratio)
        )
        follow = (1 / (1 + 2 * uniform(count) * (uniform(count) < SLOW))).to(device)[:, None, None]
        lost = (a.drop * uniform(count) ** 1.5).to(device)[:, None, None, None]
        false = between(*a.noise)[..., None]
        start = (uniform(count) < a.onset) * uniform(count) * ticks * 0.6

        events = torch.zeros(movie.shape, dtype=torch.int8, device=device)
        seen = movie[:, 0]
        level = seen + (torch.rand_like(seen) - 0.5) * (on + off) * 0.9
        for t in range(1, ticks):
            seen = seen + follow * (movie[:, t] - seen)
            change = seen - level
            up = torch.floor(change.clamp(min=0) / on)
            down = torch.floor((-change).clamp(min=0) / off)
            level = level + up * on - down * off
            events[:, t] = (up > 0).to(torch.int8) - (down > 0).to(torch.int8)
        luck = torch.rand(movie.shape, device=device)
        events = events * (luck >= lost)
        noise = torch.rand(movie.shape, device=device)
        sign = torch.where(noise < false / 2, 1, -1).to(torch.int8)
        events = torch.where((events == 0) & (noise < false), sign, events)
        late = torch.arange(ticks) >= start[:, None]
        events = events * late.to(device)[:, :, None, None]
        events = events * self._seen_part(uniform, count).to(device)[:, None]
        merged = (uniform(count) < a.merged).to(device)[:, None, None, None]
        return torch.where(merged, events.abs(), events)

    def _seen_part(self, uniform: object, count: int) -> Tensor:
        """Return which pixels see anything, (B, H, W): all of them, or a rectangle."""
        _, height, width = self.shape
        assert callable(uniform)
        whole = uniform(count) >= self.augmentation.small
        sides = 16 + 30 * uniform(count, 2)
        centre = uniform(count, 2) * torch.tensor([width, height])
        inside = [
            ((torch.arange(n) - centre[:, i, None]).abs() < sides[:, i, None] / 2 + 1)
            for i, n in enumerate((width, height))
        ]
        part = inside[1][:, :, None] & inside[0][:, None, :]
        return part | whole[:, None, None]
