"""A block of a deep network: astrocyte-modulated units mix ticks, LIF neurons mix channels."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikecore.astro.checks import check_number
from spikecore.astro.unit import AMSU, THRESHOLD, AMSUState, Firing
from spikecore.errors import InvalidInput
from spikecore.nn.grouped import GROUPS, GroupState, grouped_scan
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
    fired : Tensor, shape (B, hidden)
        Their last spikes; of length 0 without feedback.
    """

    recent: Tensor
    unit: AMSUState
    membrane: Tensor
    fired: Tensor


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
    feedback : int
        Size of the groups of mixing neurons, neighbours, whose spikes reach one another a tick
        later by learned synapses: 2, 4, 8, 16 or 32, a divisor of ``hidden``; 0 for none.
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
        feedback: int = 0,
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
        self.among = _synapses(hidden, feedback) if feedback else None
        self.dropout = nn.Dropout(dropout)
        self.surrogate = QGate() if surrogate is None else surrogate
        self.rates = (0.0, 0.0)

    def start(self, batch: int) -> BlockState:
        """Return the state before the first tick, for :meth:`stream`."""
        like = self.out.weight
        recent = like.new_zeros(self.taps - 1, batch, self.norm.weight.numel())
        hidden = self.into.out_features
        fired = like.new_zeros(batch, 0 if self.among is None else hidden)
        return BlockState(recent, self.unit.start(batch), like.new_zeros(batch, hidden), fired)

    def forward(self, stream: Tensor) -> Tensor:
        """Return the stream after the block, shape (T, B, features)."""
        spikes = self.unit(self._delayed(self.norm(stream), None)[0])
        stream = stream + self.dropout(self.out(spikes))
        drive, worth = self._drive(stream)
        if self.among is None:
            constants = self._constants(drive)
            fired = lif_scan(drive, *constants, self.surrogate, graded=self.graded)
        else:
            nothing = drive.new_zeros(drive.shape[1:])
            fired = self._exciting(drive, GroupState(nothing, nothing))[0]
        return self._mixed(stream, spikes, fired, worth)

    def stream(self, stream: Tensor, state: BlockState) -> tuple[Tensor, BlockState]:
        """Go on from a state: piece by piece what :meth:`forward` gives at once."""
        delayed, recent = self._delayed(self.norm(stream), state.recent)
        spikes, unit = self.unit.stream(delayed, state.unit)
        stream = stream + self.dropout(self.out(spikes))
        drive, worth = self._drive(stream)
        before = state.fired
        if self.among is None:
            constants, graded = self._constants(drive), self.graded
            fired, membrane = lif_stream(
                drive, constants, state.membrane, self.surrogate, graded=graded
            )
        else:
            fired, (membrane, before) = self._exciting(drive, GroupState(state.membrane, before))
        after = BlockState(recent, unit, membrane, before)
        return self._mixed(stream, spikes, fired, worth), after

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

    def _exciting(self, drive: Tensor, start: GroupState) -> tuple[Tensor, GroupState]:
        """Return spikes of mixing neurons that reach one another, and what is left."""
        assert self.among is not None
        with torch.autocast(drive.device.type, enabled=False):
            constants = self._constants(self.among.detach())[:2]
            if not drive.is_cuda:  # the loop computes in one type
                drive = drive.to(self.among.dtype)
            start = GroupState(*(s.to(self.among.dtype) for s in start))
            return grouped_scan(
                drive, constants, self.among, self.surrogate, start, graded=self.graded
            )

    def _mixed(self, stream: Tensor, spikes: Tensor, fired: Tensor, worth: Tensor | None) -> Tensor:
        """Return the stream with what the mixing neurons add."""
        if not self.training:
            shares = (float((each != 0).float().mean()) for each in (spikes, fired))
            self.rates = (next(shares), next(shares))
        mixed = fired if worth is None else worth * fired
        return stream + self.dropout(self.out_mix(mixed))


def _synapses(neurons: int, group: int) -> nn.Parameter:
    """Return weak random synapses within groups, shape (neurons / group, group, group)."""
    if group not in GROUPS or neurons % group:
        raise InvalidInput(
            "AstroBlock.feedback",
            f"must be one of {', '.join(map(str, GROUPS))} and divide hidden, {neurons}",
            got=group,
            fix="use 8 and a multiple of 8 for hidden, or 0 for no feedback",
        )
    return nn.Parameter(torch.randn(neurons // group, group, group) * 0.3 * group**-0.5)
