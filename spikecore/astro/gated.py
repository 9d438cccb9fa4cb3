"""A block whose neurons hear one another: astrocyte-modulated units, and neurons with gates."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikecore.astro.checks import check_number
from spikecore.astro.unit import AMSU, AMSUState
from spikecore.nn.gated import EventGRU, GatedState
from spikecore.nn.surrogates import Surrogate

__all__ = ["GatedBlock", "GatedBlockState"]


class GatedBlockState(NamedTuple):
    """All that a block remembers.

    Attributes
    ----------
    unit : AMSUState
    gated : GatedState
        Its last axis is ``hidden`` long.
    """

    unit: AMSUState
    gated: GatedState


class GatedBlock(nn.Module):
    """Astrocyte-modulated units beside the input; neurons with gates hear both, and one another.

    With z the input: ``s = AMSU(norm(z))``, and :class:`spikecore.nn.EventGRU` of z and s, whose
    neurons send how their states changed. The astrocytes' memory is linear in time and hears
    nothing of this block's other neurons; those are what follows a rule from tick to tick.
    Without a residual stream: what leaves the block is what its neurons sent.

    Parameters
    ----------
    features : int
        Length of the input's last axis.
    hidden : int
        Neurons with gates, and length of the output's last axis. A multiple of 4 where it is to be
        quick on CUDA.
    size : int, optional
        Neurons of the :class:`AMSU`; default ``hidden``.
    threshold : float
        Change of a gated neuron's state that is sent; see :class:`spikecore.nn.EventGRU`. Its
        events carry the change, whatever ``firing`` says of the unit's spikes.
    dropout : float
        Share of the unit's spikes that do not reach the other neurons in training.
    surrogate : Surrogate, optional
        For both kinds of neurons.
    **unit
        Other arguments of :class:`AMSU`.

    Notes
    -----
    ``rates`` holds the share of neurons that sent something a tick, (unit, gated), after each
    pass in evaluation mode.

    Examples
    --------
    >>> import torch
    >>> from spikecore.astro import GatedBlock
    >>> _ = torch.manual_seed(0)
    >>> block = GatedBlock(8, 12, size=6, variant="delta", heads=2)
    >>> block(torch.randn(50, 1, 8)).shape
    torch.Size([50, 1, 12])
    """

    def __init__(
        self,
        features: int,
        hidden: int,
        *,
        size: int | None = None,
        threshold: float = 0.1,
        dropout: float = 0.0,
        surrogate: Surrogate | None = None,
        **unit: Any,
    ) -> None:
        super().__init__()
        for name, value in (("features", features), ("hidden", hidden)):
            check_number(f"GatedBlock.{name}", value, above=0, whole=True)
        size = size or hidden
        self.norm = nn.RMSNorm(features)
        self.unit = AMSU(features, size, surrogate=surrogate, **unit)
        self.dropout = nn.Dropout(dropout)
        self.gated = EventGRU(features + size, hidden, threshold=threshold, surrogate=surrogate)
        self.rates = (0.0, 0.0)

    def start(self, batch: int) -> GatedBlockState:
        """Return the state before the first tick, for :meth:`stream`."""
        return GatedBlockState(self.unit.start(batch), self.gated.start(batch))

    def forward(self, given: Tensor) -> Tensor:
        """Return what was sent so far, shape (T, B, hidden), for input (T, B, features)."""
        spikes = self.unit(self.norm(given))
        sent = self.gated(self._heard(given, spikes))
        self._count(spikes, sent, self.gated.start(given.shape[1]))
        return sent

    def stream(self, given: Tensor, state: GatedBlockState) -> tuple[Tensor, GatedBlockState]:
        """Go on from a state: piece by piece what :meth:`forward` gives at once."""
        spikes, unit = self.unit.stream(self.norm(given), state.unit)
        sent, gated = self.gated.stream(self._heard(given, spikes), state.gated)
        self._count(spikes, sent, state.gated)
        return sent, GatedBlockState(unit, gated)

    def _heard(self, given: Tensor, spikes: Tensor) -> Tensor:
        return torch.cat([given, self.dropout(spikes).to(given.dtype)], -1)

    def _count(self, spikes: Tensor, sent: Tensor, before: GatedState) -> None:
        if self.training:
            return
        held = torch.cat([before.sent[None].to(sent.dtype), sent[:-1]])
        shares = [float((spikes != 0).float().mean()), float((sent != held).float().mean())]
        self.rates = (shares[0], shares[1])
