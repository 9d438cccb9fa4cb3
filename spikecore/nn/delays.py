"""A layer of synapses with a weight and a delay each, both learnable.

Delays are learned as positions of a bump in time, which is wide at first and is
narrowed until it is one tick: dilated convolution with learnable spacings, DCLS
(Khalfaoui-Hassani, Pellegrini & Masquelier 2023), used for delays by Hammouamri,
Khalfaoui-Hassani & Masquelier (2024), "Learning delays in spiking neural networks
using dilated convolutions with learnable spacings", ICLR.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikecore.errors import InvalidInput, UnknownName
from spikecore.nn.checks import check_activity
from spikecore.quantities import CANONICAL, Quantity, magnitude, ms, ticks_of

__all__ = ["DelayedLinear", "delayed_sum"]

Bump = Literal["gaussian", "triangular"]
BUMPS: dict[str, float] = {"gaussian": 0.5, "triangular": 1.0}
"""Kinds of bumps, and the width to which each is narrowed."""

FEW = 8
"""Delays up to which Fourier transforms do not pay (measured, 32 to 64 outputs)."""


def delayed_sum(spikes: Tensor, kernel: Tensor, *, fourier: bool = False) -> Tensor:
    """Return what arrives in each tick, ``out[t] = sum over k of kernel[k - 1] @ spikes[t - k]``.

    Parameters
    ----------
    spikes : Tensor, shape (T, B, I)
    kernel : Tensor, shape (D, O, I)
        Weights at delays of 1 to D ticks.
    fourier : bool
        By Fourier transforms: the same up to rounding, and two to four times as fast with
        30 delays on a processor. False: one matrix product for each delay.

    Returns
    -------
    Tensor, shape (T, B, O)
    """
    ticks, delays = len(spikes), len(kernel)
    if fourier:
        size = -(-(ticks + delays - 1) // 32) * 32  # such lengths are quick to transform
        spectrum = torch.fft.rfft(spikes, size, 0) @ torch.fft.rfft(kernel, size, 0).mT
        out = torch.fft.irfft(spectrum, size, 0)[: ticks - 1]
        return nn.functional.pad(out, (0, 0, 0, 0, 1, 0))
    out = spikes.new_zeros(ticks, spikes.shape[1], kernel.shape[1])
    for k in range(1, min(delays + 1, ticks)):
        out[k:] += spikes[:-k] @ kernel[k - 1].T
    return out


class DelayedLinear(nn.Module):
    """Synapses from every input to every output, each with its own weight and delay.

    A spike in tick t arrives, as its weight, in tick t + delay; a delay is at least one
    tick. The output is what arrives: the argument of :class:`~spikecore.nn.LIF`. It is summed
    by Fourier transforms, whose rounding does no harm in training; after ``eval()``, with
    whole delays, by the plain sums that a network has.

    Parameters
    ----------
    in_features, out_features : int
        Number of neurons at both ends.
    max_delay : Quantity
        Longest delay (time), on the grid; default one tick, which leaves nothing to learn
        about delays.
    scale : Quantity
        What a learned weight of 1 stands for: a voltage for delta synapses, a current for
        exponential ones. Weights start uniform in ±scale sqrt(3 / in_features). Take
        the distance from rest to threshold, and optimisers meet numbers of order 1.
    dt : Quantity
        Length of a tick (time).
    learn_delays : bool
        False: the delays stay at the whole ticks, 1 to the longest, that they are drawn at.
    bump : {"gaussian", "triangular"}
        Shape of the bump.

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
        In units of ``scale``.
    delay : Parameter or buffer, shape (out_features, in_features)
        In ticks, 1 to D. What an optimiser's step has carried out of the bounds, the next
        forward pass puts back to them, as the authors of DCLS do.
    width : float
        Of the bump, in ticks: standard deviation, or half the base of the triangle. 0: one
        tick, at the nearest whole delay. Starts at D / 2; part of the state dictionary.

    Raises
    ------
    InvalidInput
        If a size is below 1, or ``max_delay`` is below a tick or off the grid.
    UnitMismatch
        If a quantity has a wrong unit.

    Examples
    --------
    >>> import torch
    >>> from spikecore import ms, mV, nn
    >>> layer = nn.DelayedLinear(3, 2, max_delay=4 * ms, scale=15 * mV)
    >>> layer(torch.zeros(10, 1, 3)).shape
    torch.Size([10, 1, 2])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        max_delay: Quantity | None = None,
        *,
        scale: Quantity,
        dt: Quantity = 1.0 * ms,
        learn_delays: bool = True,
        bump: Bump = "gaussian",
    ) -> None:
        super().__init__()
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            check_size(f"DelayedLinear.{name}", size)
        if bump not in BUMPS:
            raise UnknownName("DelayedLinear.bump", str(bump), BUMPS)
        self.in_features, self.out_features, self.bump = in_features, out_features, bump
        self.dt = float(magnitude(dt, "time", "DelayedLinear.dt", above=0.0, single=True))
        longest = Quantity(self.dt, "time") if max_delay is None else max_delay
        place = "DelayedLinear.max_delay"
        self.max_ticks = int(ticks_of(longest, self.dt, place, minimum=1, single=True))
        kind = scale.dimension if isinstance(scale, Quantity) else "voltage"
        self.dimension = "current" if kind == "current" else "voltage"
        self.scale = float(
            magnitude(scale, self.dimension, "DelayedLinear.scale", above=0.0, single=True)
        )
        bound = math.sqrt(3 / in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        learns = learn_delays and self.max_ticks > 1
        if learns:
            drawn = torch.empty(out_features, in_features).uniform_(1, self.max_ticks)
            self.delay = nn.Parameter(drawn)
        else:
            whole = torch.randint(1, self.max_ticks + 1, (out_features, in_features))
            self.register_buffer("delay", whole.to(self.weight.dtype))
        self._width = self.max_ticks / 2 if learns else 0.0

    @property
    def width(self) -> float:
        """Width of the bump, ticks."""
        return self._width

    @width.setter
    def width(self, value: float) -> None:
        least = BUMPS["triangular"] if self.bump == "triangular" else 0.0
        if not (value == 0 or (least <= value < math.inf and value > 0)):
            rule = f"must be 0 (whole ticks) or {'at least 1' if least else 'positive'}, and finite"
            raise InvalidInput("DelayedLinear.width", rule, got=value, fix="use DelayAnnealing")
        self._width = float(value)

    @property
    def weights(self) -> Tensor:
        """Weights in mV or nA, shape (out_features, in_features)."""
        return self.weight * self.scale

    @property
    def ticks(self) -> Tensor:
        """Delays in whole ticks (int64), shape (out_features, in_features)."""
        return self.delay.detach().clamp(1, self.max_ticks).round().long()

    @torch.no_grad()
    def round_delays(self) -> None:
        """Move the delays to whole ticks and the width to 0: what a network can have."""
        self.delay.copy_(self.ticks)
        self._width = 0.0

    def kernel(self) -> Tensor:
        """Return the weights at every delay, shape (D, out_features, in_features)."""
        with torch.no_grad():
            self.delay.clamp_(1, self.max_ticks)
        shape = (self.max_ticks, self.out_features, self.in_features)
        if self._width == 0:
            at = self.ticks[None] - 1
            return self.weights.new_zeros(shape).scatter(0, at, self.weights[None])
        k = torch.arange(1, self.max_ticks + 1, device=self.delay.device)[:, None, None]
        away = (k - self.delay) / self._width
        if self.bump == "gaussian":
            share = torch.softmax(away.square() / -2, 0)  # exp(-x^2/2), normalised
        else:
            height = (1 - away.abs()).clamp(min=0)
            share = height / height.sum(0)
        return share * self.weights

    def forward(self, spikes: Tensor) -> Tensor:
        """Return what arrives in each tick.

        Parameters
        ----------
        spikes : Tensor, shape (T, B, in_features)
            Spikes (or any numbers) in each tick.

        Returns
        -------
        Tensor, shape (T, B, out_features)
            In mV, or nA.

        Raises
        ------
        InvalidInput
            If the shape is another, or a value is not finite.
        """
        check_activity("DelayedLinear input", spikes, self.in_features)
        exact = self.max_ticks <= FEW or (self._width == 0 and not self.training)
        return delayed_sum(spikes, self.kernel(), fourier=not exact)

    def get_extra_state(self) -> Tensor:
        """Return the width, which belongs to a checkpoint."""
        return torch.tensor(self._width, dtype=torch.float64)

    def set_extra_state(self, state: Any) -> None:
        """Take the width from a checkpoint."""
        self.width = float(state)

    def extra_repr(self) -> str:
        """Sizes and delays, for ``print(model)``."""
        unit = CANONICAL[self.dimension]
        return (
            f"{self.in_features}, {self.out_features}, max_delay={self.max_ticks * self.dt:g} ms, "
            f"scale={self.scale:g} {unit}, width={self._width:g} ticks"
        )


def check_size(place: str, size: object) -> None:
    """Raise unless ``size`` is an integer of at least 1."""
    if not isinstance(size, int) or size < 1:
        raise InvalidInput(place, "must be an integer of at least 1", got=size, fix="use 1 or more")
