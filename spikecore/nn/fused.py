"""The loops over time as one CUDA kernel each, forward and backward.

What costs most there is moving memory, so states are kept for every 16th tick only and computed
again on the way back, and drives may be bfloat16 (float inside).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikecore.backends.torch.cuda.nvrtc import Module, module
from spikecore.nn.surrogates import ATan, Boxcar, FastSigmoid, Gaussian, QGate, Surrogate

__all__ = ["can_fuse", "compiled", "fused_leaky", "fused_lif"]

_THREADS, _CHUNK = 256, 16
_NAMES = {
    torch.float32: ("float", "float"),
    torch.float64: ("double", "double"),
    torch.bfloat16: ("unsigned short", "float"),
}

_SLOPES: dict[type, Callable[[Any], str]] = {
    ATan: lambda s: f"{s.alpha / 2!r} / (1 + {(math.pi / 2 * s.alpha) ** 2!r} * (x) * (x))",
    FastSigmoid: lambda s: f"1 / ((1 + {s.beta!r} * fabs(x)) * (1 + {s.beta!r} * fabs(x)))",
    Gaussian: lambda s: (
        f"{1 / (s.sigma * math.sqrt(2 * math.pi))!r} * exp({-0.5 / s.sigma**2!r} * (x) * (x))"
    ),
    Boxcar: lambda s: f"(fabs(x) < {s.width / 2!r} ? {1 / s.width!r} : 0)",
    QGate: lambda s: (
        f"(fabs(x) < {1 / s.alpha!r} ? {float(s.alpha)!r} - {float(s.alpha**2)!r} * fabs(x) : 0)"
    ),
}


def can_fuse(drive: Tensor, surrogate: Surrogate | None = None) -> bool:
    """Return whether there is a kernel for this: on CUDA, with a surrogate of this package."""
    known = surrogate is None or type(surrogate) in _SLOPES
    return drive.is_cuda and drive.dtype in _NAMES and known and drive.numel() > 0


def fused_lif(
    drive: Tensor,
    constants: tuple[Tensor, Tensor, Tensor],
    refractory: Tensor | None,
    surrogate: Surrogate,
    *,
    lift: Tensor | None,
    hard: bool,
    detach: bool,
    graded: bool,
) -> tuple[Tensor, Tensor]:
    """Return spikes and the last membrane, as :func:`spikecore.nn.scan.lif_stream` does.

    Parameters
    ----------
    drive : Tensor, shape (T, B, N)
    constants : (decay, threshold, reset), each of shape (N,)
    refractory : Tensor, shape (N,), optional
    lift : Tensor, shape (T, B, N), optional
    """
    how = _How(surrogate, hard, detach, graded)
    out: tuple[Tensor, Tensor] = _FusedLIF.apply(drive, *constants, refractory, lift, how)
    return out


class _How(NamedTuple):
    surrogate: Surrogate
    hard: bool
    detach: bool
    graded: bool = False


def fused_leaky(drive: Tensor, decay: Tensor, *, reverse: bool = False) -> Tensor:
    """Return ``y[t] = decay * y[t - 1] + drive[t]``; no gradient of its own."""
    drive = drive.contiguous()
    out = torch.empty_like(drive)
    width, blocks, head = _sizes(drive)
    kernels = _kernels(drive.dtype, width)
    given = (np.int32(reverse), drive, _wide(decay, drive), out)
    kernels.launch("leaky", (blocks, 1), _THREADS, *head, *given)
    return out


class _FusedLIF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        decay: Tensor,
        threshold: Tensor,
        reset: Tensor,
        refractory: Tensor | None,
        lift: Tensor | None,
        how: _How,
    ) -> tuple[Tensor, Tensor]:
        drive = drive.contiguous()
        width, blocks, head = _sizes(drive)
        flags = {"RESTS": refractory is not None, "LIFTS": lift is not None}
        flags["BY_DECAY"] = ctx.needs_input_grad[1]
        kernels = _kernels(drive.dtype, width, how, flags)
        constants = [_wide(c, drive) for c in (decay, threshold, reset)]
        kind = constants[0].dtype
        chunks = -(-len(drive) // _CHUNK)
        kept = torch.empty((chunks, *drive.shape[1:]), dtype=kind, device=drive.device)
        rest = left = torch.empty(1, dtype=torch.int32, device=drive.device)
        if refractory is not None:
            rest = refractory.to(device=drive.device, dtype=torch.int32).contiguous()
            left = torch.empty_like(kept, dtype=torch.int32)
        spikes = torch.empty_like(drive)
        last = torch.empty(drive.shape[1:], dtype=kind, device=drive.device)
        above = drive if lift is None else lift.to(drive.dtype).contiguous()
        given = (drive, above, *constants, rest, spikes, kept, left, last)
        kernels.launch("forward", (blocks, 1), _THREADS, *head, *given)
        ctx.save_for_backward(drive, above, *constants, rest, kept, left)
        ctx.kernels, ctx.decay_type, ctx.lifts = kernels, decay.dtype, lift is not None
        ctx.mark_non_differentiable(last)
        return spikes, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _last: Tensor) -> tuple[Tensor | None, ...]:
        drive, lift, decay, threshold, reset, rest, kept, left = ctx.saved_tensors
        _, blocks, head = _sizes(drive)
        back = torch.empty_like(drive)
        needs = ctx.needs_input_grad[1]
        by_decay = torch.empty(
            drive.shape[1:] if needs else 1, dtype=decay.dtype, device=drive.device
        )
        by_lift = torch.empty_like(drive) if ctx.lifts else back
        given = (drive, grad.contiguous(), lift, decay, threshold, reset, rest, kept, left)
        out = (back, by_decay, by_lift)
        ctx.kernels.launch("backward", (blocks, 1), _THREADS, *head, *given, *out)
        summed = by_decay.sum(0).to(ctx.decay_type) if needs else None
        return back, summed, None, None, None, by_lift if ctx.lifts else None, None


def _sizes(drive: Tensor) -> tuple[int, int, tuple[np.int32, np.int32, np.int32]]:
    ticks, batch, neurons = drive.shape
    width = 2 - (batch * neurons) % 2
    threads = batch * neurons // width
    head = (np.int32(ticks), np.int32(threads), np.int32(neurons))
    return width, -(-threads // _THREADS), head


def _wide(constant: Tensor, drive: Tensor) -> Tensor:
    kind = torch.float64 if drive.dtype == torch.float64 else torch.float32
    expanded = constant.to(device=drive.device, dtype=kind).expand(drive.shape[-1])
    return expanded.contiguous()


def _kernels(
    dtype: torch.dtype,
    width: int,
    how: _How | None = None,
    flags: dict[str, bool] | None = None,
) -> Module:
    how = how or _How(Boxcar(), hard=True, detach=True)  # of no account for leaky integration
    flags = flags or dict.fromkeys(("RESTS", "LIFTS", "BY_DECAY"), False)
    flags |= {"HARD": how.hard, "DETACH": how.detach, "GRADED": how.graded}
    numbers = {"VECTOR": width} | {name: int(on) for name, on in flags.items()}
    return compiled("lif.cu", dtype, how.surrogate, numbers)


def compiled(
    source: str, dtype: torch.dtype, surrogate: Surrogate, numbers: dict[str, int]
) -> Module:
    """Return the kernels of a file of this package, with REAL, WIDE, HALF and SLOPE defined."""
    real, wide = _NAMES[dtype]
    slope = _SLOPES[type(surrogate)](surrogate)
    if wide == "float":  # and nothing of it in double precision
        slope = re.sub(r"(\d\.\d+(?:e-?\d+)?)", r"\1f", slope)
        slope = slope.replace("fabs(", "fabsf(").replace("exp(", "expf(")
    folder = files(__package__)
    return module(
        "".join(folder.joinpath(name).read_text() for name in ("reals.cu", source)),
        (
            "--fmad=false",
            "--prec-div=false",  # of float: the slope of a surrogate needs no last bit
            f"-DREAL={real}",
            f"-DWIDE={wide}",
            f"-DHALF={int(dtype == torch.bfloat16)}",
            *(f"-D{name}={number}" for name, number in numbers.items()),
            f"-DSLOPE(x)=({slope})",
        ),
    )
