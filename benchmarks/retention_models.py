"""Networks of a given number of parameters that may or may not remember: spikes (T, B, C) in,
class scores (T, B, classes) out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from spikecore.astro import AMSU, AstroBlock
from spikecore.nn.scan import lif_scan
from spikecore.nn.surrogates import ATan

TAU_M = 5.0
THRESHOLD = 0.5
SLOW = (64.0, 4096.0)
ASTRO = ("diag", "matrix", "normalised", "delta")
NAMES = ("lif", "lif, recurrent", "adaptive lif", "gru", *ASTRO)


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad * ATan().derivative(ctx.saved_tensors[0])


class RecurrentLIF(nn.Module):
    """LIF neurons with synapses among them; with ``beta``, thresholds that adapt (LSNN).

    Bellec et al. (2018), "Long short-term memory and learning-to-learn in networks of spiking
    neurons": a spike raises the threshold, which sinks back with a time constant of ``tau`` ticks.
    """

    def __init__(self, channels, size, beta=0.0, tau=200.0):
        super().__init__()
        self.into = nn.Linear(channels, size)
        self.among = nn.Parameter(torch.randn(size, size) / math.sqrt(size))
        self.beta, self.keep = beta, math.exp(-1 / tau)

    def forward(self, given: Tensor) -> Tensor:
        drive = self.into(given) / TAU_M
        v = s = a = torch.zeros_like(drive[0])
        out = []
        for now in drive:
            v = v * (1 - s.detach()) * (1 - 1 / TAU_M) + now + s @ self.among / TAU_M
            a = self.keep * a + (1 - self.keep) * s
            s = Spike.apply((v - THRESHOLD - self.beta * a) / THRESHOLD)
            out.append(s)
        return torch.stack(out)


class FeedForwardLIF(nn.Module):
    """LIF neurons of spikecore.nn behind a linear map."""

    def __init__(self, channels, size):
        super().__init__()
        self.into = nn.Linear(channels, size)

    def forward(self, given: Tensor) -> Tensor:
        drive = self.into(given)
        constants = [torch.full_like(drive[0, 0], c) for c in (1 - 1 / TAU_M, THRESHOLD, 0.0)]
        return lif_scan(drive, *constants, ATan())


class Last(nn.Module):
    """A GRU without its second output."""

    def __init__(self, channels, size):
        super().__init__()
        self.gru = nn.GRU(channels, size)

    def forward(self, given):
        return self.gru(given)[0]


def core(name: str, channels: int, size: int) -> nn.Module:
    """Return one layer of ``size`` neurons."""
    common = {"tau_m": TAU_M, "surrogate": ATan()}
    if name == "lif":
        return FeedForwardLIF(channels, size)
    if name in ASTRO:
        heads = 2
        d_k = {} if name == "diag" else {"d_k": 16}
        return AMSU(channels, size // 2 * 2, variant=name, heads=heads, tau_a=SLOW, **d_k, **common)
    if name == "gru":
        return Last(channels, size)
    return RecurrentLIF(channels, size, beta=1.8 if name == "adaptive lif" else 0.0)


def one_layer(name: str, channels: int, classes: int) -> Callable[[int], nn.Module]:
    """Return what makes a layer and a readout."""

    def make(size: int) -> nn.Module:
        layer = core(name, channels, size)
        width = layer.sizes.size if isinstance(layer, AMSU) else size
        return nn.Sequential(layer, nn.Linear(width, classes))

    return make


def two_layers(name: str, channels: int, classes: int) -> Callable[[int], nn.Module]:
    """Return what makes two layers and a readout; LIF and AM-SU as blocks with residuals."""

    def make(size: int) -> nn.Module:
        if name in ("lif", *ASTRO):
            width, more = 4 * max(1, size // 16), size % 16  # both, to meet a number of parameters
            plain = name == "lif"
            options = {} if plain else {"heads": 4, "tau_a": (4.0, 1024.0), "read_norm": True}
            blocks = [
                AstroBlock(
                    width,
                    hidden=width + more * width // 12,
                    variant="none" if plain else name,
                    taps=1 if plain else 4,
                    surrogate=ATan(),
                    **options,
                )
                for _ in range(2)
            ]
            return nn.Sequential(nn.Linear(channels, width), *blocks, nn.Linear(width, classes))
        second = core(name, size, size)
        return nn.Sequential(core(name, channels, size), second, nn.Linear(size, classes))

    return make


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def fitted(make: Callable[[int], nn.Module], target: int) -> nn.Module:
    """Return the model whose number of parameters is nearest to ``target``."""
    sizes = {}
    for size in range(4, 400):
        with torch.device("meta"):
            sizes[size] = count(make(size))
        if sizes[size] > 1.2 * target:
            break
    return make(min(sizes, key=lambda size: abs(sizes[size] - target)))
