"""The dense form of the layer: evidence at every voxel of a movie, as a torch module."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spikecore.camera import EventStream
from spikecore.errors import InvalidInput
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.layer import Answers, IndexArray, KernelLayer, Sums, read_out

__all__ = ["DelayConv", "DenseLayer"]

CHUNK = 32
"""Ticks that :class:`DenseLayer` convolves at a time."""


class DelayConv(nn.Module):
    """A causal convolution over polarity, delay, row and column.

    The same numbers as the event-by-event form (:class:`~spikecore.motifs.sparse.DelayTaps`)
    at voxels with events, and everything between. Differentiable with autograd.

    Parameters
    ----------
    kernel : DelayKernel
        Weights and biases; they become parameters.
    method : {"fft", "direct"}
        Fourier transforms in three dimensions, or the convolution as written (exact to
        rounding, slow for large kernels).

    Raises
    ------
    InvalidInput
        If the method is something else.
    """

    def __init__(self, kernel: DelayKernel, method: str = "fft") -> None:
        super().__init__()
        if method not in ("fft", "direct"):
            raise InvalidInput("method", "must be 'fft' or 'direct'", got=method)
        self.method = method
        self.polarity, self.gamma, self.half = kernel.polarity, kernel.gamma, kernel.half
        self.weight = nn.Parameter(torch.as_tensor(kernel.weights).clone())
        self.bias = nn.Parameter(torch.as_tensor(kernel.bias).clone())
        self.register_buffer("window", torch.as_tensor(kernel.window).to(self.weight.dtype))
        self.window: Tensor

    def forward(self, events: Tensor) -> Tensor:
        """Return the evidence of every class at every voxel.

        Parameters
        ----------
        events : Tensor, shape (B, P, T, H, W)
            1 where an event of a polarity (0 OFF, 1 ON) fell, else 0.

        Returns
        -------
        Tensor, shape (B, C, T, H, W)

        Raises
        ------
        InvalidInput
            If there are not five axes, or another number of polarities.
        """
        if events.ndim != 5 or events.shape[1] != self.weight.shape[1]:  # noqa: PLR2004
            raise InvalidInput(
                "events",
                f"must have shape (B, {self.weight.shape[1]}, T, H, W)",
                got=tuple(events.shape),
                fix="one volume for each polarity",
            )
        events = events.to(self.weight.dtype)
        if self.polarity == "invariant":
            # With S = ON + OFF and D = ON - OFF, max(as it is, exchanged) = Ks*S + |Kd*D|.
            both, signed = events.sum(1, keepdim=True), events[:, 1:] - events[:, :1]
            even = (self.weight[:, 1:] + self.weight[:, :1]) / 2
            odd = (self.weight[:, 1:] - self.weight[:, :1]) / 2
            evidence = self._convolve(both, even) + self._convolve(signed, odd).abs()
        else:
            evidence = self._convolve(events, self.weight)
        if self.gamma:
            near = self._convolve(events.sum(1, keepdim=True), self.window[None, None])
            evidence = evidence * (self.half / (self.half + near.clamp(min=0))) ** self.gamma
        return evidence + self.bias[None, :, None, None, None]

    def _convolve(self, events: Tensor, weight: Tensor) -> Tensor:
        """Convolve (B, P, T, H, W) with (C, P, D, K, K): causal in time, centred in space."""
        delays, size = weight.shape[2], weight.shape[-1]
        h = size // 2
        if self.method == "direct":
            padded = nn.functional.pad(events, (h, h, h, h, delays - 1, 0))
            return nn.functional.conv3d(padded, weight.flip(2, 3, 4))
        t, y, x = events.shape[2:]
        shape = (_good(t + delays - 1), _good(y + size - 1), _good(x + size - 1))
        axes = (-3, -2, -1)
        spectrum = torch.einsum(
            "bp...,cp...->bc...",
            torch.fft.rfftn(events, shape, axes),
            torch.fft.rfftn(weight, shape, axes),
        )
        return torch.fft.irfftn(spectrum, shape, axes)[:, :, :t, h : h + y, h : h + x]


class DenseLayer(KernelLayer):
    """Runs :class:`DelayConv` over chunks of ticks and reads it at the events."""

    def __init__(self, kernel: DelayKernel, width: int, height: int, tick: int) -> None:
        super().__init__(kernel, width, height, tick)
        self._layer = DelayConv(kernel)
        self._before = np.zeros((kernel.polarities, kernel.delays - 1, height, width), bool)
        self._next = 0

    @torch.no_grad()
    def _advance(
        self,
        events: EventStream,
        ticks: IndexArray,
        polarity: IndexArray,
        cells: npt.NDArray[np.int32],
        sums: Sums,
        every: int,
        keep_evidence: bool,
    ) -> Answers:
        fresh, read = self._chosen(events, ticks, polarity, cells, every)
        evidence = np.zeros((len(events), self.kernel.classes), np.float32)
        history = self.kernel.delays - 1
        start = 0
        while start < len(events):
            first = int(ticks[start])
            stop = int(np.searchsorted(ticks, first + CHUNK))
            part = slice(start, stop)
            length = int(ticks[stop - 1]) - first + 1
            polarities, _, height, width = self._before.shape
            volume = np.zeros((polarities, history + length, height, width), bool)
            gap = min(first - self._next, history)
            if history:
                volume[:, : history - gap] = self._before[:, gap:]
            when = ticks[part] - first + history
            volume[polarity[part], when, events.y[part], events.x[part]] = True
            found = self._layer(torch.as_tensor(volume)[None])[0]
            t, y, x = (
                torch.as_tensor(a.astype(np.int64)) for a in (when, events.y[part], events.x[part])
            )
            evidence[part] = found[:, t, y, x].T.numpy()
            self._before = volume[:, length:]
            self._next = first + length
            start = stop
        return read_out(evidence[read], fresh, read, cells, sums, keep_evidence)


def _good(size: int) -> int:
    """Return the least size of factors 2, 3 and 5 that is not smaller and even."""
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1 and size % 2 == 0:
            return size
        size += 1
