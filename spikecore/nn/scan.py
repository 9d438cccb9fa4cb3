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

from spikecore.errors import InvalidInput
from spikecore.nn.fused import can_fuse, fused_leaky, fused_lif
from spikecore.nn.surrogates import Surrogate

__all__ = ["Reset", "leaky_scan", "lif_scan", "lif_stream"]

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
    lift: Tensor | None = None,
    mode: Reset = "hard",
    detach_reset: bool = True,
    graded: bool = False,
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
    lift : Tensor, shape (T, B, N), optional
        Added to ``h[t]`` where the threshold is tested, and nowhere else: it brings a spike
        nearer and leaves no trace in the membrane. Differentiable.
    mode : {"hard", "subtract"}
        What a spike does to the membrane.
    detach_reset : bool
        Let no gradient through the reset (Zenke & Vogels 2021); False: the gradient of
        the written equations, with the surrogate for that of the spike.
    graded : bool
        A spike carries ``h[t] + lift[t]``, what passed the threshold, instead of 1.

    Returns
    -------
    Tensor, shape (T, B, N)
        0 or 1, in the type of ``drive``; or 0 and what the spikes carry.

    Raises
    ------
    InvalidInput
        If ``recurrent`` comes with ``lift`` or ``graded``.

    Notes
    -----
    On CUDA the loop is one kernel (:mod:`spikecore.nn.fused`), but for recurrent synapses and
    surrogates of other packages; there ``drive`` may be bfloat16.
    """
    if recurrent is not None and (graded or lift is not None):
        rule = "goes neither with lift nor with graded spikes"
        raise InvalidInput("lif_scan.recurrent", rule, fix="use nn.LIF, or leave one out")
    constants = (decay, threshold, reset)
    how = _How(surrogate, mode, detach_reset, graded)
    return _scan(drive, constants, how, refractory, recurrent, lift)[0]


def lif_stream(
    drive: Tensor,
    constants: tuple[Tensor, Tensor, Tensor],
    start: Tensor,
    surrogate: Surrogate,
    *,
    lift: Tensor | None = None,
    graded: bool = False,
) -> tuple[Tensor, Tensor]:
    """Go on from a membrane: :func:`lif_scan` piece by piece, with hard resets.

    Parameters
    ----------
    drive : Tensor, shape (T, B, N)
    constants : (decay, threshold, reset), each of shape (N,)
    start : Tensor, shape (B, N)
        The membrane after the tick before.
    surrogate, lift, graded
        As in :func:`lif_scan`.

    Returns
    -------
    spikes : Tensor, shape (T, B, N)
    membrane : Tensor, shape (B, N)
        After the last tick: the ``start`` of the next piece. No gradient.
    """
    first = torch.addcmul(drive[:1], constants[0].to(drive.dtype), start.to(drive.dtype))
    drive = torch.cat([first, drive[1:]])
    how = _How(surrogate, "hard", True, graded)
    return _scan(drive, constants, how, None, None, lift)


def _scan(
    drive: Tensor,
    constants: tuple[Tensor, Tensor, Tensor],
    how: _How,
    refractory: Tensor | None,
    recurrent: Tensor | None,
    lift: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Choose kernel or loop; return spikes and the last membrane."""
    if recurrent is None and can_fuse(drive, how.surrogate):
        flags = {
            "hard": how.mode == "hard",
            "detach": how.detach_reset,
            "graded": how.graded,
        }
        return fused_lif(drive, constants, refractory, how.surrogate, lift=lift, **flags)
    if recurrent is not None and refractory is None:
        refractory = torch.zeros_like(constants[1], dtype=torch.int64)
    out: tuple[Tensor, Tensor] = _LIFScan.apply(drive, *constants, refractory, recurrent, lift, how)
    return out


class _How(NamedTuple):
    surrogate: Surrogate
    mode: Reset
    detach_reset: bool
    graded: bool = False


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
    def forward(  # noqa: PLR0913, PLR0917 - torch wants tensors one by one
        ctx: Any,
        drive: Tensor,
        decay: Tensor,
        threshold: Tensor,
        reset: Tensor,
        refractory: Tensor | None,
        recurrent: Tensor | None,
        lift: Tensor | None,
        how: _How,
    ) -> tuple[Tensor, Tensor]:
        constants = (decay, threshold, reset)
        if refractory is None:
            membrane, fired, last = _fire(drive, *constants, lift, how.mode)
            blocked = None
        else:
            membrane, fired, blocked, last = _fire_and_rest(
                drive, *constants, refractory, recurrent, lift, how.mode
            )
        ctx.save_for_backward(*constants, recurrent, membrane, fired, blocked, lift)
        ctx.how = how
        ctx.mark_non_differentiable(last)
        if how.graded:
            tested = membrane if lift is None else membrane + lift
            return torch.where(fired, tested, 0.0), last
        return fired.to(drive.dtype), last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _last: Tensor) -> tuple[Tensor | None, ...]:
        decay, threshold, reset, recurrent, membrane, fired, blocked, lift = ctx.saved_tensors
        how: _How = ctx.how
        height = threshold - reset
        hard = how.mode == "hard"
        tested = membrane if lift is None else membrane + lift
        slope = how.surrogate.derivative((tested - threshold) / height) / height
        if blocked is not None:
            slope = slope.masked_fill_(blocked, 0.0)
        # d v[t] / d h[t], times d h[t + 1] / d v[t]: by this product gradients go back a tick.
        through = (~fired).to(grad.dtype) if hard else torch.ones_like(grad)
        by_reset = None
        if not how.detach_reset:
            by_reset = ((reset - membrane) if hard else -height) * slope
            through += by_reset
        holds = hard and blocked is not None
        kept = torch.where(blocked[1:], 1.0, decay) if holds else decay
        through[:-1] *= kept
        by_recurrent = None
        if how.graded:  # a spike has a height, and where it begins it jumps to the threshold
            slope = slope.mul_(threshold).add_(fired)
        if recurrent is None:
            back = slope.mul_(grad)  # becomes d loss / d h
            by_lift = back.clone() if ctx.needs_input_grad[6] else None
            for t in range(len(back) - 2, -1, -1):
                back[t].addcmul_(through[t], back[t + 1])
            if by_lift is not None and by_reset is not None:
                by_lift[:-1] += by_reset[:-1] * kept * back[1:]
            if holds:
                back.masked_fill_(blocked, 0.0)
        else:
            by_lift = None
            back = _back_recurrent(grad, slope, through, recurrent, blocked if holds else None)
            by_recurrent = _by_kernel(back, fired.to(back.dtype), len(recurrent))
        by_decay = None
        if ctx.needs_input_grad[1]:
            after = torch.where(fired, reset, membrane) if hard else membrane - height * fired
            by_decay = (back[1:] * after[:-1]).sum((0, 1))
        return back, by_decay, None, None, None, by_recurrent, by_lift, None


def _fire(
    drive: Tensor,
    decay: Tensor,
    threshold: Tensor,
    reset: Tensor,
    lift: Tensor | None,
    mode: Reset,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return membrane before reset, spikes, and the membrane at the end."""
    membrane = torch.empty_like(drive)
    fired = torch.empty_like(drive, dtype=torch.bool)
    v = torch.zeros_like(drive[0])
    height = threshold - reset
    for t in range(len(drive)):
        h = torch.addcmul(drive[t], decay, v, out=membrane[t])
        s = torch.ge(h if lift is None else h + lift[t], threshold, out=fired[t])
        v = torch.where(s, reset if mode == "hard" else h - height, h)
    return membrane, fired, v


def _fire_and_rest(
    drive: Tensor,
    decay: Tensor,
    threshold: Tensor,
    reset: Tensor,
    refractory: Tensor,
    recurrent: Tensor | None,
    lift: Tensor | None,
    mode: Reset,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return membrane before reset, spikes, who was refractory, and the membrane at the end."""
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
        tested = h if lift is None else h + lift[t]
        s = torch.logical_and(tested >= threshold, ~rests, out=fired[t])
        v = torch.where(s, reset if mode == "hard" else h - height, h)
        left = torch.where(s, refractory, (left - 1).clamp(min=0))
        if delays:
            past[t + delays] = s
    return membrane, fired, blocked, v


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
