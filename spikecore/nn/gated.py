"""Neurons that hold a state by gates and send one another how it changed: a loop, and a kernel.

Sources: gates as in the GRU (Cho et al. 2014, EMNLP, in the form that cuDNN has); recurrence by
events alone as in the event-based GRU (Subramoney, Nazeer, Schoene, Mayr & Kappel 2023, "Efficient
recurrent architectures through activity sparsity and sparse back-propagation through time", ICLR),
whose events carry the state and reset it; events that carry a change, and leave the state as it is,
as in delta networks (Neil, Lee, Delbruck & Liu 2017, "Delta networks for optimized recurrent
network computation", ICML). The surrogate gradient of such an event is ours.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikecore.errors import InvalidInput
from spikecore.nn.checks import check_activity
from spikecore.nn.fused import can_fuse, compiled
from spikecore.nn.surrogates import QGate, Surrogate

__all__ = ["EventGRU", "GatedState", "gated_scan"]

_WARP, _MOST, _WIDEST = 32, 1024, 512


class GatedState(NamedTuple):
    """What is left after a tick.

    Attributes
    ----------
    carrier, sent : Tensor, shape (B, N)
        The state that the gates hold, and the sum of what was sent of it.
    """

    carrier: Tensor
    sent: Tensor


def gated_scan(
    drive: Tensor,
    synapses: Tensor,
    surrogate: Surrogate,
    start: GatedState,
    threshold: float,
) -> tuple[Tensor, GatedState]:
    """Return what neurons have sent, whose states are held by gates.

    With a the drive and R the synapses, for each of u, r and z::

        u[t] = sigma(a_u[t] + R_u y[t-1])
        r[t] = sigma(a_r[t] + R_r y[t-1])
        z[t] = tanh(a_z[t] + r[t] (R_z y[t-1]))
        c[t] = u[t] c[t-1] + (1 - u[t]) z[t]
        y[t] = c[t] if |c[t] - y[t-1]| >= threshold else y[t-1]

    A neuron sends an event where y changes, which carries by how much; y is the sum that those
    who receive it hold. Between events nothing travels.

    Parameters
    ----------
    drive : Tensor, shape (T, B, 3 N)
        For update gates, reset gates and candidates. Differentiable.
    synapses : Tensor, shape (N, 3 N)
        From the first axis to the gates and candidates of the second. Differentiable.
    surrogate : Surrogate
        Takes the place of the derivative of whether an event is sent, of
        ``|c[t] - y[t-1]| / threshold - 1``.
    start : GatedState
        After the tick before. No gradient.
    threshold : float

    Returns
    -------
    sent : Tensor, shape (T, B, N)
        y.
    state : GatedState
        After the last tick. No gradient.

    Notes
    -----
    On CUDA one kernel for all ticks, where N is a multiple of 4 and at most 512.
    """
    run = _Fused if _can_fuse(drive, surrogate) else _Loop
    sent, *state = run.apply(drive, synapses, *start, surrogate, threshold)
    return sent, GatedState(*state)


class EventGRU(nn.Module):
    """Neurons with gates, all connected to all, for activity of shape (T, B, features).

    :func:`gated_scan`, whose drive is a linear map of the input.

    Parameters
    ----------
    features : int
        Length of the input's last axis.
    size : int
        Number of neurons.
    threshold : float
        Change of a state that is sent. The state lies between -1 and 1. The lower, the more
        changes are sent, and the nearer it comes to a GRU.
    surrogate : Surrogate, optional
        Default a triangle of twice the threshold to each side.

    Raises
    ------
    InvalidInput
        If the size is below 1 or the threshold is not positive.

    Examples
    --------
    >>> import torch
    >>> from spikecore.nn import EventGRU
    >>> _ = torch.manual_seed(0)
    >>> neurons = EventGRU(8, 16, threshold=0.2)
    >>> sent = neurons(torch.randn(50, 1, 8))
    >>> events = sent[1:] != sent[:-1]
    >>> bool(0.1 < events.float().mean() < 0.9)
    True
    """

    def __init__(
        self,
        features: int,
        size: int,
        *,
        threshold: float = 0.1,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("features", features), ("size", size)):
            if not isinstance(value, int) or value < 1:
                rule = "must be a whole number above 0"
                raise InvalidInput(f"EventGRU.{name}", rule, got=value, fix="use 1 or more")
        if not 0 < threshold < math.inf:
            raise InvalidInput(
                "EventGRU.threshold",
                "must be positive and finite",
                got=threshold,
                fix="use e.g. 0.1; a state lies between -1 and 1",
            )
        self.features, self.size, self.threshold = features, size, float(threshold)
        self.surrogate = QGate(0.5) if surrogate is None else surrogate
        self.into = nn.Linear(features, 3 * size)
        self.among = nn.Parameter(torch.empty(size, 3 * size))
        nn.init.uniform_(self.among, -(size**-0.5), size**-0.5)

    def start(self, batch: int) -> GatedState:
        """Return the state before the first tick, for :meth:`stream`."""
        nothing = self.among.new_zeros(batch, self.size)
        return GatedState(nothing, nothing)

    def forward(self, given: Tensor) -> Tensor:
        """Return what was sent so far, of activity that starts from nothing.

        Parameters
        ----------
        given : Tensor, shape (T, B, features)

        Returns
        -------
        Tensor, shape (T, B, size)

        Raises
        ------
        InvalidInput
            If the shape is another.
        """
        check_activity("EventGRU input", given, self.features, finite=False)
        return self.stream(given, self.start(given.shape[1]))[0]

    def stream(self, given: Tensor, state: GatedState) -> tuple[Tensor, GatedState]:
        """Go on from a state: piece by piece what :meth:`forward` gives at once.

        Parameters
        ----------
        given : Tensor, shape (T, B, features)
            T may be 1.
        state : GatedState
            From :meth:`start` or the piece before.

        Returns
        -------
        sent : Tensor, shape (T, B, size)
        state : GatedState
        """
        check_activity("EventGRU input", given, self.features, finite=False)
        drive = self.into(given)
        with torch.autocast(drive.device.type, enabled=False):
            if not drive.is_cuda:  # the loop computes in one type
                drive = drive.to(self.among.dtype)
            start = GatedState(*(s.to(self.among.dtype) for s in state))
            return gated_scan(drive, self.among, self.surrogate, start, self.threshold)


def _can_fuse(drive: Tensor, surrogate: Surrogate) -> bool:
    neurons = drive.shape[2] // 3
    return can_fuse(drive, surrogate) and neurons % 4 == 0 and neurons <= _WIDEST


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        synapses: Tensor,
        carrier: Tensor,
        before: Tensor,
        surrogate: Surrogate,
        threshold: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ticks, (batch, neurons) = len(drive), carrier.shape
        kept = drive.new_empty(ticks, batch, 5, neurons)
        sent = drive.new_empty(ticks, batch, neurons)
        c, y = carrier, before
        for t in range(ticks):
            at_gates, at_candidate = drive[t].split([2 * neurons, neurons], 1)
            by_gates, s = (y @ synapses).split([2 * neurons, neurons], 1)
            u, r = torch.sigmoid(at_gates + by_gates).chunk(2, 1)
            z = torch.tanh(at_candidate + r * s)
            c = u * c + (1 - u) * z
            y = torch.where((c - y).abs() >= threshold, c, y)
            sent[t] = y
            torch.stack([c, u, r, s, z], 1, out=kept[t])
        ctx.save_for_backward(synapses, carrier, before, sent, kept)
        ctx.surrogate, ctx.threshold = surrogate, threshold
        ctx.mark_non_differentiable(c, y)
        return sent, c, y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_state: Tensor) -> tuple[Tensor | None, ...]:
        synapses, carrier, before, sent, kept = ctx.saved_tensors
        c, u, r, s, z = kept.unbind(2)
        earlier = torch.cat([carrier[None], c[:-1]])
        held = torch.cat([before[None], sent[:-1]])
        # of what was sent by the state: that of its value, and of the jump of a threshold
        jump = ctx.surrogate.derivative((c - held).abs() / ctx.threshold - 1)
        shows = (sent != held) + jump
        by_update = (earlier - z) * u * (1 - u)
        by_candidate = (1 - u) * (1 - z * z)
        by_reset = by_candidate * s * r * (1 - r)
        factors = torch.stack([by_update, by_reset, by_candidate], 2)
        back = torch.empty_like(factors)
        later = torch.zeros_like(factors[0])
        by_state, by_held = torch.zeros_like(grad[0]), torch.zeros_like(grad[0])
        for t in range(len(grad) - 1, -1, -1):
            out = grad[t] + by_held + later.flatten(1) @ synapses.T
            by_c = shows[t] * out + by_state
            by_held = (1 - shows[t]) * out
            by_state = by_c * u[t]
            back[t] = by_c[:, None] * factors[t]
            later = back[t].clone()
            later[:, 2] *= r[t]
        return back.flatten(2), _by_synapses(back, r, held, synapses), *[None] * 4


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        synapses: Tensor,
        carrier: Tensor,
        before: Tensor,
        surrogate: Surrogate,
        threshold: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        drive = drive.contiguous()
        ticks, (batch, neurons) = len(drive), carrier.shape
        kind = torch.float64 if drive.dtype == torch.float64 else torch.float32
        start = [s.to(kind).contiguous() for s in (carrier, before)]
        threads = _threads(neurons)
        numbers = {"NEURONS": neurons, "THREADS": threads, "THRESHOLD": threshold}
        kernels = compiled("gated.cu", drive.dtype, surrogate, numbers)
        sent = drive.new_empty(ticks, batch, neurons)
        kept = drive.new_empty(ticks, batch, 5, neurons)
        last, last_sent = torch.empty_like(start[0]), torch.empty_like(start[0])
        matrix = synapses.to(drive.dtype).contiguous()
        given = (np.int32(ticks), np.int32(batch), drive, matrix, *start)
        kernels.launch("forward", (batch, 1), threads, *given, sent, kept, last, last_sent)
        ctx.save_for_backward(synapses, matrix, *start, sent, kept)
        ctx.kernels = kernels
        ctx.mark_non_differentiable(last, last_sent)
        return sent, last, last_sent

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_state: Tensor) -> tuple[Tensor | None, ...]:
        synapses, matrix, carrier, before, sent, kept = ctx.saved_tensors
        ticks, batch, neurons = sent.shape
        back = sent.new_empty(ticks, batch, 3, neurons)
        given = (grad.contiguous(), matrix.T.contiguous(), carrier, before, sent, kept)
        sizes = (np.int32(ticks), np.int32(batch))
        ctx.kernels.launch("backward", (batch, 1), _threads(neurons), *sizes, *given, back)
        held = torch.cat([before[None].to(sent.dtype), sent[:-1]])
        return back.flatten(2), _by_synapses(back, kept[:, :, 2], held, synapses), *[None] * 4


def _by_synapses(back: Tensor, reset_gate: Tensor, held: Tensor, synapses: Tensor) -> Tensor:
    """Return d loss / d synapses from d loss / d drive, shape (T, B, 3, N)."""
    update, reset, candidate = back.unbind(2)
    arriving = torch.cat([update, reset, candidate * reset_gate], 2)
    return (held.flatten(0, 1).T @ arriving.flatten(0, 1)).to(synapses.dtype)


def _threads(neurons: int) -> int:
    """Return the threads of a block: four columns of the synapses each, and a part of the rows."""
    across = 3 * neurons // 4
    wanted = across * max(1, min(neurons, _MOST // across))
    return min(_MOST, -(-wanted // _WARP) * _WARP)
