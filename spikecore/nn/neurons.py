"""Neurons as torch modules: spikecore's LIF, differentiable through its spikes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spikecore import units
from spikecore.errors import InvalidInput, UnknownName
from spikecore.nn.delays import DelayedLinear
from spikecore.nn.membrane import Membrane
from spikecore.nn.scan import Reset, leaky_scan, lif_scan
from spikecore.nn.surrogates import ATan, Surrogate
from spikecore.quantities import Quantity, ms, require, ticks_of
from spikecore.units import LinearUnit

__all__ = ["LIF", "LeakyIntegrator"]

STANDARD = ATan()


class LIF(Membrane):
    """Leaky integrate-and-fire neurons: :class:`spikecore.LIF`, trained through its spikes.

    Every forward pass starts at rest; nothing is kept between calls.

    Parameters
    ----------
    size : int
        Number of neurons.
    unit : spikecore.LIF, optional
        What the neurons are; parameters may be arrays. ``synapse`` is ``Delta()`` or
        ``Exponential(...)``: all weights, negative ones too, arrive at the port ``"exc"``.
        Default ``spikecore.LIF()``.
    dt : Quantity
        Length of a tick (time).
    learn : collection of str
        Time constants that are learned, one for each neuron: ``"tau_m"``, ``"tau_exc"``.
        Their logarithms are the parameters, so they stay positive, and every step is stable.
    surrogate : Surrogate
        See :mod:`spikecore.nn.surrogates`.
    reset : {"hard", "subtract"}
        Set the membrane to ``v_reset``, or lower it by ``v_threshold - v_reset``. With
        "subtract" a refractory neuron goes on integrating.
    detach_reset : bool
        Let no gradient through the reset (Zenke & Vogels 2021).
    recurrent : DelayedLinear, optional
        Synapses among the neurons; for delta synapses. Slower: the delays are summed tick
        by tick.

    Raises
    ------
    InvalidInput
        If the unit is of a kind that cannot be trained, a refractory period is off the
        grid, array parameters have another length, or ``recurrent`` does not fit.
    UnknownName
        If ``learn`` or ``reset`` names what does not exist.

    Examples
    --------
    >>> import torch
    >>> from spikecore import LIF, Delta, ms, nn
    >>> neurons = nn.LIF(2, LIF(synapse=Delta()), learn=["tau_m"])
    >>> arriving = torch.zeros(4, 1, 2)  # mV
    >>> arriving[1:3, 0, 0] = 10.0
    >>> neurons(arriving)[:, 0, 0]
    tensor([0., 0., 1., 0.], grad_fn=...)
    """

    def __init__(
        self,
        size: int,
        unit: units.LIF | None = None,
        *,
        dt: Quantity = 1.0 * ms,
        learn: Collection[str] = (),
        surrogate: Surrogate = STANDARD,
        reset: Reset = "hard",
        detach_reset: bool = True,
        recurrent: DelayedLinear | None = None,
    ) -> None:
        super().__init__(size, unit, dt, learn)
        if reset not in ("hard", "subtract"):
            raise UnknownName("LIF.reset", str(reset), ("hard", "subtract"))
        self.surrogate, self.reset, self.detach_reset = surrogate, reset, detach_reset
        if reset == "subtract":  # a spike could not end the firing, and no network has such units
            settles, height = self.settles, self.fixed["v_threshold"] - self.fixed["v_rest"]
            rule = "must by itself stay below the threshold with reset='subtract'"
            fix = "lower i_offset, or use reset='hard'"
            require(settles, settles < height, "LIF.unit.i_offset", rule, "mV above rest", fix)
        period = Quantity(self.fixed["refractory"], "time")
        self._refractory = ticks_of(period, self.dt, "LIF.unit.refractory")
        if recurrent is not None:
            self._check_recurrent(recurrent)
        self.recurrent = recurrent

    def _check_recurrent(self, synapses: DelayedLinear) -> None:
        ends = (synapses.in_features, synapses.out_features)
        for wrong, rule, got, fix in (
            (self.exponential, "needs neurons with delta synapses", "Exponential", "use Delta()"),
            (
                ends != (self.size, self.size),
                f"must join {self.size} neurons to {self.size}",
                ends,
                "give both sizes the number of neurons",
            ),
            (
                (synapses.dt, synapses.dimension) != (self.dt, "voltage"),
                f"needs the tick of the neurons, {self.dt:g} ms, and a scale in mV",
                f"{synapses.dt:g} ms, a {synapses.dimension}",
                "give both one dt",
            ),
        ):
            if wrong:
                raise InvalidInput("LIF.recurrent", rule, got=got, fix=fix)

    def forward(self, arriving: Tensor) -> Tensor:
        """Return the spikes.

        Parameters
        ----------
        arriving : Tensor, shape (T, B, size)
            What arrives in each tick: mV for delta synapses, nA for exponential ones.

        Returns
        -------
        Tensor, shape (T, B, size)
            1 where a neuron fires, else 0.

        Raises
        ------
        InvalidInput
            If the shape is another, or a value is not finite.
        """
        drive, decay = self.drive(arriving)
        p = self.fixed
        threshold = (p["v_threshold"] - p["v_rest"]) - self.settles
        reset = (p["v_reset"] - p["v_rest"]) - self.settles
        rests = torch.as_tensor(self._refractory, device=drive.device)
        return lif_scan(
            drive,
            decay,
            self.constant(threshold, drive),
            self.constant(reset, drive),
            self.surrogate,
            refractory=rests if self._refractory.any() else None,
            recurrent=None if self.recurrent is None else self.recurrent.kernel(),
            mode=self.reset,
            detach_reset=self.detach_reset,
        )

    def to_spikecore(self) -> units.LIF | LinearUnit:
        """Return the unit that a :class:`spikecore.Population` needs."""
        unit = self.to_unit()
        if self.reset == "hard":
            return unit
        linear = unit.linear
        drop = np.broadcast_to(linear.reset["v"] - linear.threshold, linear.threshold.shape)
        return replace(linear, reset={}, jump={"v": drop})


class LeakyIntegrator(Membrane):
    """A readout: membranes of :class:`spikecore.LIF` that never fire.

    Parameters
    ----------
    size, unit, dt, learn
        As in :class:`LIF`; threshold, reset and refractory period do not matter.

    Examples
    --------
    >>> import torch
    >>> from spikecore import LIF, Delta, ms, nn
    >>> readout = nn.LeakyIntegrator(1, LIF(tau_m=10 * ms, synapse=Delta()))
    >>> arriving = torch.zeros(3, 1, 1)
    >>> arriving[0] = 1.0
    >>> readout(arriving).flatten()
    tensor([1.0000, 0.9048, 0.8187])
    """

    def __init__(
        self,
        size: int,
        unit: units.LIF | None = None,
        *,
        dt: Quantity = 1.0 * ms,
        learn: Collection[str] = (),
    ) -> None:
        super().__init__(size, unit, dt, learn)

    def forward(self, arriving: Tensor) -> Tensor:
        """Return the membranes in mV above rest, shape (T, B, size); argument as in LIF."""
        membrane = leaky_scan(*self.drive(arriving))
        return membrane + self.constant(self.settles, membrane)

    def to_spikecore(self) -> LinearUnit:
        """Return the unit that a :class:`spikecore.Population` needs."""
        linear = self.to_unit().linear
        return replace(linear, threshold=np.full_like(linear.threshold, np.inf))
