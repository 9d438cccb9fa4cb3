"""Artificial movies of known motion: gratings and Motion Clouds."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["gratings", "motion_clouds"]


def gratings(
    velocity: Tensor, shape: tuple[int, int, int], frequency: float, generator: torch.Generator
) -> Tensor:
    """Return drifting sine gratings, perpendicular to their motion.

    Parameters
    ----------
    velocity : Tensor, shape (B, 2)
        Pixels a tick.
    shape : tuple of int
        Ticks, height, width.
    frequency : float
        Cycles a pixel.
    generator : torch.Generator
        Of the phases.

    Returns
    -------
    Tensor of float32, shape (B, T, H, W)
        In [-1, 1].
    """
    ticks, height, width = shape
    speed = velocity.norm(dim=1).clamp(min=1e-9)
    ux, uy = (velocity / speed[:, None]).T
    t = torch.arange(ticks, dtype=torch.float32)[None, :, None, None]
    y = torch.arange(height, dtype=torch.float32)[None, None, :, None]
    x = torch.arange(width, dtype=torch.float32)[None, None, None, :]
    phase = torch.rand(len(velocity), generator=generator)
    along, v, start = (
        ux[:, None, None, None] * x + uy[:, None, None, None] * y,
        speed[:, None, None, None],
        phase[:, None, None, None],
    )
    return torch.sin(2 * math.pi * (frequency * (along - v * t) + start))


def motion_clouds(
    velocity: Tensor,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    *,
    frequency: float = 0.15,
    bandwidth: float = 0.15,
    orientation: Tensor | None = None,
    orientation_spread: float = math.pi / 12,
    speed_spread: float = 0.05,
) -> Tensor:
    """Return Motion Clouds: random textures with a given motion (Leon et al. 2012).

    Noise whose spectrum is a product of three envelopes: a log-normal band of spatial
    frequency, a von Mises band of orientation, and a Gaussian around the plane of the
    velocity, ``f_t + v_x f_x + v_y f_y = 0``.

    Parameters
    ----------
    velocity : Tensor, shape (B, 2)
        Pixels a tick.
    shape : tuple of int
        Ticks, height, width.
    generator : torch.Generator
        Of the phases, on the CPU.
    frequency, bandwidth : float
        Centre and width of the spatial frequency, cycles a pixel.
    orientation : Tensor, shape (B,), optional
        Direction of the frequency vector, rad. Default: that of the motion.
    orientation_spread : float
        Width of the orientation, rad.
    speed_spread : float
        Width of the speed, relative.

    Returns
    -------
    Tensor of float32, shape (B, T, H, W)
        tanh of the texture scaled to [-1, 1].
    """
    device = velocity.device
    ticks, height, width = shape
    ft = torch.fft.fftfreq(ticks, device=device)[:, None, None]
    fy = torch.fft.fftfreq(height, device=device)[None, :, None]
    fx = torch.fft.rfftfreq(width, device=device)[None, None, :]
    space = torch.sqrt(fx**2 + fy**2).clamp(min=1e-9)
    radius = torch.sqrt(space**2 + ft**2).clamp(min=1e-9)
    log_width = math.log(1 + bandwidth / frequency)
    band = torch.exp(-0.5 * (torch.log(space / frequency) / log_width) ** 2) / space
    band = torch.where(space < 1e-6, torch.zeros((), device=device), band)  # noqa: PLR2004
    angle = torch.atan2(fy, fx)
    movies = []
    for i, (vx, vy) in enumerate(velocity):
        theta = torch.atan2(vy, vx) if orientation is None else orientation[i].to(device)
        turned = torch.exp((torch.cos(2 * (angle - theta)) - 1) / (2 * orientation_spread) ** 2)
        plane = torch.exp(-0.5 * ((ft + fx * vx + fy * vy) / (speed_spread * radius)) ** 2)
        white = torch.fft.rfftn(torch.randn(shape, generator=generator).to(device))
        movie = torch.fft.irfftn(white * band * turned * plane, s=shape)
        movies.append(torch.tanh(movie / movie.abs().max()))
    return torch.stack(movies)
