"""A block of a deep network: astrocyte-modulated units mix ticks, LIF neurons mix channels."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikecore.astro.checks import check_number
from spikecore.astro.unit import AMSU, THRESHOLD, AMSUState, Firing
from spikecore.nn.scan import lif_scan, lif_stream
from spikecore.nn.surrogates import QGate, Surrogate

__all__ = ["AstroBlock", "BlockState"]


class BlockState(NamedTuple):
    """All that a block remembers.

    Attributes
    ----------
    recent : Tensor, shape (taps - 1, B, features)
        Normalised inputs of the ticks before, for the short delays.
    unit : AMSUState
    membrane : Tensor, shape (B, hidden)
        Of the neurons that mix channels.
    """

    recent: Tensor
    unit: AMSUState
    membrane: Tensor


class AstroBlock(nn.Module):
    """Pre-norm, astrocyte-modulated units, residual; pre-norm, spiking channel mixing, residual.

    Parameters
    ----------
    features : int
        Length of the residual stream.
    size : int, optional
        Neurons of the :class:`AMSU`; default ``features``.
    hidden : int, optional
        LIF neurons that mix channels; default ``2 * features``.
    taps : int
        Each feature arrives with delays of 0 to taps - 1 ticks, weighted by learned factors,
        before the unit sees it; 1 for none.
    dropout : float
        Share of what both halves add to the stream that is left out in training.
    firing : {"binary", "graded"}
        For both halves, as in :class:`AMSU`.
    surrogate : Surrogate, optional
        For both halves.
    tau_mix : float
        Membrane time constant of the mixing neurons in ticks, more than 1.
    mix_gate : bool
        Learn what a spike of a mixing neuron is worth in each tick: a linear map of the stream
        that it came from is its factor. Where no spike is, nothing is multiplied.
    **unit
        Other arguments of :class:`AMSU`.

    Notes
    -----
    ``rates`` holds the share of neurons that fired a tick, (unit, mixing), after each pass in
    evaluation mode.
    """

    def __init__(  # noqa: PLR0913 - all but one by keyword
        self,
        features: int,
        *,
        size: int | None = None,
        hidden: int | None = None,
        taps: int = 4,
        dropout: float = 0.0,
        firing: Firing = "binary",
        surrogate: Surrogate | None = None,
        tau_mix: float = 1.25,
        mix_gate: bool = False,
        **unit: Any,
    ) -> None:
        super().__init__()
        for name, value in (("features", features), ("taps", taps)):
            check_number(f"AstroBlock.{name}", value, above=0, whole=True)
        check_number("AstroBlock.tau_mix", tau_mix, above=1.0)
        self.tau_mix = tau_mix
        size, hidden = size or features, hidden or 2 * features
        self.taps, self.graded = taps, firing == "graded"
        self.worth = nn.Linear(features, hidden) if mix_gate else None
        self.norm, self.norm_mix = nn.RMSNorm(features), nn.RMSNorm(features)
        delays = torch.zeros(taps, features)
        delays[0] = 1.0
        self.delays = nn.Parameter(delays)
        self.unit = AMSU(features, size, firing=firing, surrogate=surrogate, **unit)
        self.out = nn.Linear(size, features, bias=False)
        self.into, self.out_mix = nn.Linear(features, hidden), nn.Linear(hidden, features)
        self.dropout = nn.Dropout(dropout)
        self.surrogate = QGate() if surrogate is None else surrogate
        self.rates = (0.0, 0.0)

    def start(self, batch: int) -> BlockState:
        """Return the state before the first tick, for :meth:`stream`."""
        like = self.out.weight
        recent = like.new_zeros(self.taps - 1, batch, self.norm.weight.numel())
        hidden = like.new_zeros(batch, self.into.out_features)
        return BlockState(recent, self.unit.start(batch), hidden)

    def forward(self, stream: Tensor) -> Tensor:
        """Return the stream after the block, shape (T, B, features)."""
        delayed = self._delayed(self.norm(stream), None)[0]
        spikes = self.unit(delayed)
        stream = stream + self.dropout(self.out(spikes))
        drive, worth = self._drive(stream)
        constants = self._constants(drive)
        fired = lif_scan(drive, *constants, self.surrogate, graded=self.graded)
        self._note(spikes, fired)
        mixed = fired if worth is None else worth * fired
        return stream + self.dropout(self.out_mix(mixed))

    def stream(self, stream: Tensor, state: BlockState) -> tuple[Tensor, BlockState]:
        """Go on from a state: piece by piece what :meth:`forward` gives at once."""
        delayed, recent = self._delayed(self.norm(stream), state.recent)
        spikes, unit = self.unit.stream(delayed, state.unit)
        stream = stream + self.out(spikes)
        drive, worth = self._drive(stream)
        fired, membrane = lif_stream(
            drive, self._constants(drive), state.membrane, self.surrogate, graded=self.graded
        )
        self._note(spikes, fired)
        mixed = fired if worth is None else worth * fired
        return stream + self.out_mix(mixed), BlockState(recent, unit, membrane)

    def _delayed(self, given: Tensor, recent: Tensor | None) -> tuple[Tensor, Tensor]:
        if recent is None:
            recent = given.new_zeros(self.taps - 1, *given.shape[1:])
        padded = torch.cat([recent.to(given.dtype), given])
        ticks = len(given)
        total = given * self.delays[0]
        for lag in range(1, self.taps):
            at = self.taps - 1 - lag
            total = total + self.delays[lag] * padded[at : at + ticks]
        return total, padded[ticks:]

    def _drive(self, stream: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what drives the mixing neurons, and what each of their spikes is worth."""
        given = self.norm_mix(stream)
        worth = None if self.worth is None else self.worth(given)
        return self.into(given) / self.tau_mix, worth

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = (1 - 1 / self.tau_mix, THRESHOLD, 0.0)
        size = self.into.out_features
        decay, threshold, reset = (like.new_full((size,), value) for value in given)
        return decay, threshold, reset

    def _note(self, spikes: Tensor, fired: Tensor) -> None:
        if not self.training:
            self.rates = (
                float((spikes != 0).float().mean()),
                float((fired != 0).float().mean()),
            )
