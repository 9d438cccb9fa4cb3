"""Surrogate gradients: what the backward pass takes for the derivative of a spike.

The spike is a step, whose derivative is zero or infinite; training uses a smooth
bump instead (Neftci, Mostafa & Zenke 2019). All are written for
``x = (v - threshold) / (threshold - reset)``: -1 at the reset, 0 at the threshold, so
a slope means the same whatever the voltages are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from spikecore.errors import InvalidInput

__all__ = ["ATan", "Boxcar", "FastSigmoid", "Gaussian", "QGate", "Surrogate"]


class Surrogate(Protocol):
    """Anything with a derivative."""

    def derivative(self, x: Tensor) -> Tensor:
        """Return what stands for ds/dx, in the shape of ``x``."""


@dataclass(frozen=True)
class ATan:
    r"""Derivative of an arc tangent, ``(a/2) / (1 + (pi a x / 2)^2)``.

    Attributes
    ----------
    alpha : float
        Steepness a. Source: Fang et al. (2021), "Incorporating learnable membrane time
        constant to enhance learning of spiking neural networks", ICCV.
    """

    alpha: float = 2.0

    def __post_init__(self) -> None:
        _positive("ATan.alpha", self.alpha)

    def derivative(self, x: Tensor) -> Tensor:
        """Return what stands for ds/dx."""
        return (self.alpha / 2) / (1 + (math.pi / 2 * self.alpha * x).square())


@dataclass(frozen=True)
class FastSigmoid:
    """SuperSpike: the derivative of a fast sigmoid, ``1 / (1 + b |x|)^2``.

    Attributes
    ----------
    beta : float
        Steepness b. Source: Zenke & Ganguli (2018), "SuperSpike", Neural Computation 30;
        scaled to 1 at the threshold as in Zenke & Vogels (2021), Neural Computation 33.
    """

    beta: float = 10.0

    def __post_init__(self) -> None:
        _positive("FastSigmoid.beta", self.beta)

    def derivative(self, x: Tensor) -> Tensor:
        """Return what stands for ds/dx."""
        return 1 / (1 + self.beta * x.abs()).square()


@dataclass(frozen=True)
class Gaussian:
    """A normal density around the threshold.

    Attributes
    ----------
    sigma : float
        Standard deviation. Source: the density of escape noise; Yin, Corradi & Bohté
        (2021), Nature Machine Intelligence 3, use sums of it.
    """

    sigma: float = 0.5

    def __post_init__(self) -> None:
        _positive("Gaussian.sigma", self.sigma)

    def derivative(self, x: Tensor) -> Tensor:
        """Return what stands for ds/dx."""
        peak = 1 / (self.sigma * math.sqrt(2 * math.pi))
        return peak * torch.exp(-(x / self.sigma).square() / 2)


@dataclass(frozen=True)
class Boxcar:
    """A rectangle of area 1 around the threshold.

    Attributes
    ----------
    width : float
        From edge to edge. Source: Wu, Deng, Li, Zhu & Shi (2018), "Spatio-temporal
        backpropagation", Frontiers in Neuroscience 12.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        _positive("Boxcar.width", self.width)

    def derivative(self, x: Tensor) -> Tensor:
        """Return what stands for ds/dx."""
        return (x.abs() < self.width / 2).to(x.dtype) / self.width


@dataclass(frozen=True)
class QGate:
    """A triangle of area 1 around the threshold, ``a - a^2 |x|`` for ``|x| <= 1/a``.

    Attributes
    ----------
    alpha : float
        Height a. Source: the LIF nodes of BrainCog, where x is not divided by
        threshold - reset: its default of 2 at a threshold of 0.5 is 1 here.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _positive("QGate.alpha", self.alpha)

    def derivative(self, x: Tensor) -> Tensor:
        """Return what stands for ds/dx."""
        return (self.alpha - self.alpha**2 * x.abs()).clamp(min=0.0)


def _positive(place: str, value: float) -> None:
    if not 0 < value < math.inf:
        rule = "must be positive and finite"
        raise InvalidInput(place, rule, got=value, fix="leave it out for the usual value")
