"""Neurons whose spikes reach the others of a small group a tick later: a loop, and a kernel.

Groups keep a recurrent layer cheap: a group is a part of a warp, so on CUDA its spikes go from
thread to thread without touching memory (grouped.cu).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikecore.nn.fused import can_fuse, compiled
from spikecore.nn.surrogates import Surrogate

__all__ = ["GROUPS", "GroupState", "grouped_scan"]

GROUPS = (2, 4, 8, 16, 32)
"""Sizes that a group may have."""

_THREADS, _CHUNK = 128, 8


class GroupState(NamedTuple):
    """What is left after a tick.

    Attributes
    ----------
    membrane, spikes : Tensor, shape (B, N)
    """

    membrane: Tensor
    spikes: Tensor


def grouped_scan(
    drive: Tensor,
    constants: tuple[Tensor, Tensor],
    synapses: Tensor,
    surrogate: Surrogate,
    start: GroupState,
    *,
    graded: bool = False,
) -> tuple[Tensor, GroupState]:
    """Return the spikes of leaky integrate-and-fire neurons that excite one another in groups.

    ``h[t] = decay v[t-1] + drive[t] + sum over j of synapses[g, j, i] min(s[t-1, j], 1)``; a
    spike is fired where ``h[t] >= threshold``, and then ``v[t] = 0``, otherwise ``v[t] = h[t]``.
    That a group hears of no spike as more than 1 keeps one that excites itself from growing
    without end.

    Parameters
    ----------
    drive : Tensor, shape (T, B, N)
        Differentiable.
    constants : (decay, threshold), each of shape (N,)
        No gradient.
    synapses : Tensor, shape (N / G, G, G)
        For each group of G neighbours: from the middle axis to the last. G is one of ``GROUPS``.
        Differentiable.
    surrogate : Surrogate
        Takes the place of the derivative of a spike; the reset has no gradient.
    start : GroupState
        After the tick before. No gradient.
    graded : bool
        A spike carries ``h[t]`` instead of 1.

    Returns
    -------
    spikes : Tensor, shape (T, B, N)
    state : GroupState
        After the last tick. No gradient.
    """
    run = _Fused if can_fuse(drive, surrogate) else _Loop
    out, *state = run.apply(drive, *constants, synapses, *start, (surrogate, graded))
    return out, GroupState(*state)


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        decay: Tensor,
        threshold: Tensor,
        synapses: Tensor,
        v: Tensor,
        s: Tensor,
        how: tuple[Surrogate, bool],
    ) -> tuple[Tensor, Tensor, Tensor]:
        matrix = torch.block_diag(*synapses)
        membrane, spikes = torch.empty_like(drive), torch.empty_like(drive)
        before, one = s, drive.new_ones(())
        for t in range(len(drive)):
            h = torch.addcmul(drive[t], decay, v).addmm_(s.clamp(max=1.0), matrix)
            fires = h >= threshold
            s = torch.where(fires, h if how[1] else one, 0.0)
            v = torch.where(fires, 0.0, h)
            membrane[t], spikes[t] = h, s
        ctx.save_for_backward(membrane, spikes, decay, threshold, synapses, before)
        ctx.how = how
        ctx.mark_non_differentiable(v, s)
        return spikes, v, s

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_state: Tensor) -> tuple[Tensor | None, ...]:
        membrane, spikes, decay, threshold, synapses, before = ctx.saved_tensors
        surrogate, graded = ctx.how
        fired = membrane >= threshold
        shows = surrogate.derivative((membrane - threshold) / threshold) / threshold
        heard = torch.ones_like(grad)
        if graded:  # a spike has a height, and where it begins it jumps to the threshold
            shows = shows * threshold + fired
            heard = (~fired | (membrane <= 1)).to(grad.dtype)  # more than 1 is heard as 1
        through = torch.where(fired, 0.0, decay)
        matrix = torch.block_diag(*synapses).T
        back = torch.empty_like(grad)
        later = torch.zeros_like(grad[0])
        for t in range(len(grad) - 1, -1, -1):
            by_spike = shows[t] * (grad[t] + heard[t] * (later @ matrix))
            later = torch.addcmul(by_spike, through[t], later, out=back[t])
        earlier = torch.cat([before[None], spikes[:-1]]).clamp(max=1.0)
        ends, starts = (a.unflatten(2, synapses.shape[:2]).flatten(0, 1) for a in (back, earlier))
        by_synapses = torch.einsum("xgj,xgi->gji", starts, ends)
        return back, None, None, by_synapses, None, None, None


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        decay: Tensor,
        threshold: Tensor,
        synapses: Tensor,
        v: Tensor,
        s: Tensor,
        how: tuple[Surrogate, bool],
    ) -> tuple[Tensor, Tensor, Tensor]:
        drive = drive.contiguous()
        kind = torch.float64 if drive.dtype == torch.float64 else torch.float32
        constants = [c.to(kind).contiguous() for c in (decay, threshold, synapses, v, s)]
        numbers = {"GROUP": synapses.shape[-1], "GRADED": int(how[1])}
        kernels = compiled("grouped.cu", drive.dtype, how[0], numbers)
        spikes = torch.empty_like(drive)
        last, fired = torch.empty_like(constants[3]), torch.empty_like(constants[4])
        chunks = -(-len(drive) // _CHUNK)
        kept, kept_spikes = torch.empty(
            (2, chunks, *drive.shape[1:]), dtype=kind, device=drive.device
        )
        out = (spikes, kept, kept_spikes, last, fired)
        grid, head = _sizes(drive)
        kernels.launch("forward", grid, _THREADS, *head, drive, *constants, *out)
        ctx.save_for_backward(drive, *constants[:3], kept, kept_spikes)
        ctx.kernels, ctx.kind = kernels, synapses.dtype
        ctx.mark_non_differentiable(last, fired)
        return spikes, last, fired

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_state: Tensor) -> tuple[Tensor | None, ...]:
        drive, decay, threshold, synapses, kept, kept_spikes = ctx.saved_tensors
        back = torch.empty_like(drive)
        by_synapses = torch.empty(
            (drive.shape[1], *synapses.shape), dtype=synapses.dtype, device=drive.device
        )
        grid, head = _sizes(drive)
        given = (drive, grad.contiguous(), decay, threshold, synapses, kept, kept_spikes)
        ctx.kernels.launch("backward", grid, _THREADS, *head, *given, back, by_synapses)
        return back, None, None, by_synapses.sum(0).to(ctx.kind), None, None, None


def _sizes(drive: Tensor) -> tuple[tuple[int, int], tuple[np.int32, np.int32, np.int32]]:
    ticks, batch, neurons = drive.shape
    size = batch * neurons
    return (-(-size // _THREADS), 1), (np.int32(ticks), np.int32(size), np.int32(neurons))
