"""The two loops over time: leaky integration, and leaky integration with spikes.

Everything else in :mod:`spikecore.nn` is free of time; on CUDA, fused.py takes their place.
Both are autograd functions with a backward pass of their own, which is itself a leaky
integration that runs backwards: one multiply-add for each tick.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikecore.nn.fused import can_fuse, fused_leaky, fused_lif
from spikecore.nn.surrogates import Surrogate

__all__ = ["Reset", "leaky_scan", "lif_scan"]

Reset = Literal["hard", "subtract"]


def leaky_scan(drive: Tensor, decay: Tensor) -> Tensor:
    """Return y with ``y[t] = decay * y[t - 1] + drive[t]`` and y = 0 before tick 0.

    Parameters
    ----------
    drive : Tensor, shape (T, B, N)
    decay : Tensor, shape (N,)
        Differentiable, as ``drive`` is.

    Returns
    -------
    Tensor, shape (T, B, N)
    """
    return _LeakyScan.apply(drive, decay)


def lif_scan(  # noqa: PLR0913 - all but five are by keyword
    drive: Tensor,
    decay: Tensor,
    threshold: Tensor,
    reset: Tensor,
    surrogate: Surrogate,
    *,
    refractory: Tensor | None = None,
    recurrent: Tensor | None = None,
    mode: Reset = "hard",
    detach_reset: bool = True,
) -> Tensor:
    """Return the spikes of leaky integrate-and-fire neurons that start from 0.

    In tick t the membrane is ``h[t] = decay * v[t - 1] + drive[t]``, and a spike is
    fired where ``h[t] >= threshold``. Then ``v[t]`` is ``h[t]``, or after a spike
    ``reset`` ("hard") or ``h[t] - (threshold - reset)`` ("subtract"). For r ticks after
    a spike none is fired; a hard reset moreover holds the membrane and ``drive`` is
    lost meanwhile (the tick contract, lines 2 and 3, docs/semantics).

    Parameters
    ----------
    drive : Tensor, shape (T, B, N)
        What is added in each tick, in the unit of the membrane. Differentiable.
    decay : Tensor, shape (N,)
        Factor of a tick, 0 to 1. Differentiable.
    threshold, reset : Tensor, shape (N,)
        Relative to the point where the membrane settles without drive. No gradient.
    surrogate : Surrogate
        Takes the place of the derivative of a spike.
    refractory : Tensor of int, shape (N,), optional
        Ticks r.
    recurrent : Tensor, shape (D, N, N), optional
        What a spike of the last axis adds to ``drive`` of the middle one, 1 to D ticks
        later. Differentiable.
    mode : {"hard", "subtract"}
        What a spike does to the membrane.
    detach_reset : bool
        Let no gradient through the reset (Zenke & Vogels 2021); False: the gradient of
        the written equations, with the surrogate for that of the spike.

    Returns
    -------
    Tensor, shape (T, B, N)
        0 or 1, in the type of ``drive``.

    Notes
    -----
    On CUDA the loop is one kernel (:mod:`spikecore.nn.fused`), but for recurrent synapses and
    surrogates of other packages; there ``drive`` may be bfloat16.
    """
    if recurrent is None and can_fuse(drive, surrogate):
        constants = (decay, threshold, reset)
        hard = mode == "hard"
        return fused_lif(drive, constants, refractory, surrogate, hard=hard, detach=detach_reset)
    how = _How(surrogate, mode, detach_reset)
    if recurrent is not None and refractory is None:
        refractory = torch.zeros_like(threshold, dtype=torch.int64)
    return _LIFScan.apply(drive, decay, threshold, reset, refractory, recurrent, how)


class _How(NamedTuple):
    surrogate: Surrogate
    mode: Reset
    detach_reset: bool


def _integrate(drive: Tensor, factor: Tensor) -> Tensor:
    """Run the recursion; ``factor`` has shape (N,)."""
    out = torch.empty_like(drive)
    y = torch.zeros_like(drive[0])
    for t in range(len(drive)):
        y = torch.addcmul(drive[t], factor, y, out=out[t])
    return out


def _leaky(drive: Tensor, factor: Tensor, *, reverse: bool = False) -> Tensor:
    """Integrate forwards, or backwards in time."""
    if can_fuse(drive):
        return fused_leaky(drive, factor, reverse=reverse)
    return _integrate(drive.flip(0), factor).flip(0) if reverse else _integrate(drive, factor)


class _LeakyScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drive: Tensor, decay: Tensor) -> Tensor:
        out = _leaky(drive, decay)
        ctx.save_for_backward(decay, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        decay, out = ctx.saved_tensors
        back = _leaky(grad, decay, reverse=True)
        needs = ctx.needs_input_grad[1]
        return back, (back[1:] * out[:-1]).sum((0, 1)) if needs else None


class _LIFScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        decay: Tensor,
        threshold: Tensor,
        reset: Tensor,
        refractory: Tensor | None,
        recurrent: Tensor | None,
        how: _How,
    ) -> Tensor:
        constants = (decay, threshold, reset)
        if refractory is None:
            membrane, fired = _fire(drive, *constants, how.mode)
            blocked = None
        else:
            membrane, fired, blocked = _fire_and_rest(
                drive, *constants, refractory, recurrent, how.mode
            )
        ctx.save_for_backward(*constants, recurrent, membrane, fired, blocked)
        ctx.how = how
        return fired.to(drive.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        decay, threshold, reset, recurrent, membrane, fired, blocked = ctx.saved_tensors
        how: _How = ctx.how
        height = threshold - reset
        hard = how.mode == "hard"
        slope = how.surrogate.derivative((membrane - threshold) / height) / height
        if blocked is not None:
            slope = slope.masked_fill_(blocked, 0.0)
        # d v[t] / d h[t], times d h[t + 1] / d v[t]: by this product gradients go back a tick.
        through = (~fired).to(grad.dtype) if hard else torch.ones_like(grad)
        if not how.detach_reset:
            through += ((reset - membrane) if hard else -height) * slope
        holds = hard and blocked is not None
        through[:-1] *= torch.where(blocked[1:], 1.0, decay) if holds else decay
        by_recurrent = None
        if recurrent is None:
            back = slope.mul_(grad)  # becomes d loss / d h
            for t in range(len(back) - 2, -1, -1):
                back[t].addcmul_(through[t], back[t + 1])
            if holds:
                back.masked_fill_(blocked, 0.0)
        else:
            back = _back_recurrent(grad, slope, through, recurrent, blocked if holds else None)
            by_recurrent = _by_kernel(back, fired.to(back.dtype), len(recurrent))
        by_decay = None
        if ctx.needs_input_grad[1]:
            after = torch.where(fired, reset, membrane) if hard else membrane - height * fired
            by_decay = (back[1:] * after[:-1]).sum((0, 1))
        return back, by_decay, None, None, None, by_recurrent, None


def _fire(
    drive: Tensor, decay: Tensor, threshold: Tensor, reset: Tensor, mode: Reset
) -> tuple[Tensor, Tensor]:
    """Return membrane before reset and spikes."""
    membrane = torch.empty_like(drive)
    fired = torch.empty_like(drive, dtype=torch.bool)
    v = torch.zeros_like(drive[0])
    height = threshold - reset
    for t in range(len(drive)):
        h = torch.addcmul(drive[t], decay, v, out=membrane[t])
        s = torch.ge(h, threshold, out=fired[t])
        v = torch.where(s, reset if mode == "hard" else h - height, h)
    return membrane, fired


def _fire_and_rest(
    drive: Tensor,
    decay: Tensor,
    threshold: Tensor,
    reset: Tensor,
    refractory: Tensor,
    recurrent: Tensor | None,
    mode: Reset,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return membrane before reset, spikes, and who was refractory."""
    membrane = torch.empty_like(drive)
    fired = torch.empty_like(drive, dtype=torch.bool)
    blocked = torch.empty_like(fired)
    v = torch.zeros_like(drive[0])
    left = torch.zeros_like(fired[0], dtype=refractory.dtype)
    height = threshold - reset
    delays = 0 if recurrent is None else len(recurrent)
    past = drive.new_zeros(len(drive) + delays if delays else 0, *drive.shape[1:])
    synapses = None if recurrent is None else recurrent.flip(0).mT  # the longest delay first
    for t in range(len(drive)):
        now = drive[t]
        if synapses is not None:
            now = now + torch.bmm(past[t : t + delays], synapses).sum(0)
        rests = torch.gt(left, 0, out=blocked[t])
        h = torch.addcmul(now, decay, v, out=membrane[t])
        if mode == "hard":
            membrane[t] = h = torch.where(rests, v, h)
        s = torch.logical_and(h >= threshold, ~rests, out=fired[t])
        v = torch.where(s, reset if mode == "hard" else h - height, h)
        left = torch.where(s, refractory, (left - 1).clamp(min=0))
        if delays:
            past[t + delays] = s
    return membrane, fired, blocked


def _back_recurrent(
    grad: Tensor, slope: Tensor, through: Tensor, recurrent: Tensor, held: Tensor | None
) -> Tensor:
    """Return d loss / d drive where spikes come back as drive."""
    ticks, delays = len(grad), len(recurrent)
    back = grad.new_zeros(ticks + delays, *grad.shape[1:])
    membrane = torch.zeros_like(grad[0])  # d loss / d h of the tick after
    for t in range(ticks - 1, -1, -1):
        spike = grad[t] + torch.bmm(back[t + 1 : t + 1 + delays], recurrent).sum(0)
        membrane = torch.addcmul(spike * slope[t], through[t], membrane)
        back[t] = membrane if held is None else membrane.masked_fill(held[t], 0.0)
    return back[:ticks]


def _by_kernel(back: Tensor, spikes: Tensor, delays: int) -> Tensor:
    """Return d loss / d recurrent, shape (delays, N, N)."""
    size = back.shape[2]
    by = back.new_zeros(delays, size, size)
    for k in range(1, min(delays + 1, len(back))):
        by[k - 1] = back[k:].reshape(-1, size).T @ spikes[:-k].reshape(-1, size)
    return by
