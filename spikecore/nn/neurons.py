"""Neurons as torch modules: spikecore's LIF, differentiable through its spikes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spikecore import units
from spikecore.errors import InvalidInput, UnknownName
from spikecore.nn.checks import check_activity
from spikecore.nn.delays import check_size
from spikecore.nn.scan import Reset, leaky_scan, lif_scan
from spikecore.nn.surrogates import ATan, Surrogate
from spikecore.quantities import Quantity, magnitude, ms, require, ticks_of
from spikecore.units import Alpha, Exponential, LinearUnit

__all__ = ["LIF", "LeakyIntegrator"]

FloatArray = npt.NDArray[np.float64]

STANDARD = ATan()

SMALL = 1e-3
"""Relative difference of two time constants below which a series replaces 0/0."""


class _Membrane(nn.Module):
    """What the two modules share: time constants, synaptic currents, the drive."""

    def __init__(
        self, size: int, unit: units.LIF | None, dt: Quantity, learn: Collection[str]
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_size(f"{name}.size", size)
        self.unit: units.LIF = units.LIF() if unit is None else unit
        _check_unit(self.unit, name, size)
        self.size = size
        self.dt = float(magnitude(dt, "time", f"{name}.dt", above=0.0, single=True))
        self.exponential = isinstance(self.unit.synapse, Exponential)
        parameters = self.unit.parameters
        self._fixed: dict[str, FloatArray] = {
            key: np.broadcast_to(value.value, (size,)).copy() for key, value in parameters.items()
        }
        known = ("tau_m", "tau_exc") if self.exponential else ("tau_m",)
        for key in learn:
            if key not in known:
                raise UnknownName(f"{name}.learn", str(key), known)
            start = torch.as_tensor(np.log(self._fixed[key]), dtype=torch.get_default_dtype())
            self.register_parameter(f"log_{key}", nn.Parameter(start))
        self.learn = tuple(learn)

    def _constant(self, values: FloatArray, like: Tensor) -> Tensor:
        return torch.as_tensor(values, dtype=like.dtype, device=like.device)

    def time_constant(self, name: str, like: Tensor) -> Tensor:
        """Return ``tau_m`` or ``tau_exc`` in ms, shape (size,), in the type of ``like``."""
        if name in self.learn:
            tau = getattr(self, f"log_{name}").to(like.dtype).exp()
            if not bool((torch.isfinite(tau) & (tau > 0)).all()):
                fix = "train with a smaller learning rate, or clip the gradients"
                place = f"{type(self).__name__}.{name}"
                rule = "must stay positive and finite while it is learned"
                raise InvalidInput(place, rule, got=f"{tau.detach().cpu().numpy()} ms", fix=fix)
            return tau
        return self._constant(self._fixed[name], like)

    @property
    def settles(self) -> FloatArray:
        """Where the constant current alone leads, mV above rest, shape (size,)."""
        return self._fixed["resistance"] * self._fixed["i_offset"]

    def drive(self, arriving: Tensor) -> tuple[Tensor, Tensor]:
        """Return what moves the membrane in each tick, and its decay factor.

        The membrane counts from :attr:`settles` and starts at rest. The exact propagator
        of Rotter & Diesmann (1999), docs/semantics line 2.
        """
        check_activity(f"{type(self).__name__} input", arriving, self.size)
        tau_m = self.time_constant("tau_m", arriving)
        decay = torch.exp(-self.dt / tau_m)
        drive = arriving
        if self.exponential:
            tau_s = self.time_constant("tau_exc", arriving)
            current = leaky_scan(arriving, torch.exp(-self.dt / tau_s))
            resistance = self._constant(self._fixed["resistance"], arriving)
            gain = resistance * _rise(self.dt, tau_m, tau_s)
            drive = nn.functional.pad(gain * current[:-1], (0, 0, 0, 0, 1, 0))
        if self.settles.any():
            first = drive[:1] - decay * self._constant(self.settles, drive)
            drive = torch.cat([first, drive[1:]])
        return drive, decay

    def to_unit(self) -> units.LIF:
        """Return the spikecore unit with the time constants as they are now."""
        like = torch.empty(0, dtype=torch.float64)
        now = {
            name: Quantity(self.time_constant(name, like).detach().cpu().numpy(), "time")
            for name in self.learn
        }
        unit = replace(self.unit, tau_m=now.get("tau_m", self.unit.tau_m))
        if "tau_exc" in now and isinstance(unit.synapse, Exponential):
            unit = replace(unit, synapse=replace(unit.synapse, tau_exc=now["tau_exc"]))
        return unit

    def extra_repr(self) -> str:
        """Size, synapse and what is learned, for ``print(model)``."""
        synapse = type(self.unit.synapse).__name__
        return f"{self.size}, synapse={synapse}, dt={self.dt:g} ms, learn={self.learn}"


class LIF(_Membrane):
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

    Raises
    ------
    InvalidInput
        If the unit is of a kind that cannot be trained, a refractory period is off the
        grid, or array parameters have another length.
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
    ) -> None:
        super().__init__(size, unit, dt, learn)
        if reset not in ("hard", "subtract"):
            raise UnknownName("LIF.reset", str(reset), ("hard", "subtract"))
        self.surrogate, self.reset, self.detach_reset = surrogate, reset, detach_reset
        if reset == "subtract":  # a spike could not end the firing, and no network has such units
            settles, height = self.settles, self._fixed["v_threshold"] - self._fixed["v_rest"]
            rule = "must by itself stay below the threshold with reset='subtract'"
            fix = "lower i_offset, or use reset='hard'"
            require(settles, settles < height, "LIF.unit.i_offset", rule, "mV above rest", fix)
        period = Quantity(self._fixed["refractory"], "time")
        self._refractory = ticks_of(period, self.dt, "LIF.unit.refractory")

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
        p = self._fixed
        threshold = (p["v_threshold"] - p["v_rest"]) - self.settles
        reset = (p["v_reset"] - p["v_rest"]) - self.settles
        rests = torch.as_tensor(self._refractory, device=drive.device)
        return lif_scan(
            drive,
            decay,
            self._constant(threshold, drive),
            self._constant(reset, drive),
            self.surrogate,
            refractory=rests if self._refractory.any() else None,
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


class LeakyIntegrator(_Membrane):
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
        return membrane + self._constant(self.settles, membrane)

    def to_spikecore(self) -> LinearUnit:
        """Return the unit that a :class:`spikecore.Population` needs."""
        linear = self.to_unit().linear
        return replace(linear, threshold=np.full_like(linear.threshold, np.inf))


def _rise(dt: float, tau_m: Tensor, tau_s: Tensor) -> Tensor:
    """Return what a current of 1 adds to the membrane in a tick, for a resistance of 1.

    ``tau_s / (tau_s - tau_m) (exp(-dt / tau_s) - exp(-dt / tau_m))``, written so that equal
    time constants are no special case, in value and gradient.
    """
    z = dt / tau_m - dt / tau_s
    near = z.abs() < SMALL
    safe = torch.where(near, torch.ones_like(z), z)
    series = 1 + z / 2 * (1 + z / 3 * (1 + z / 4 * (1 + z / 5)))
    ratio = torch.where(near, series, torch.expm1(safe) / safe)
    return dt / tau_m * torch.exp(-dt / tau_m) * ratio


def _check_unit(unit: object, name: str, size: int) -> None:
    place = f"{name}.unit"
    if not isinstance(unit, units.LIF):
        fix = "write e.g. LIF(tau_m=20 * ms, synapse=Delta()) (from spikecore import LIF)"
        raise InvalidInput(place, "must be a spikecore.LIF", got=type(unit).__name__, fix=fix)
    if unit.linear.size not in (None, size):
        raise InvalidInput(
            place,
            "array parameters need one value per neuron",
            got=f"{unit.linear.size} values for {size} neurons",
            fix=f"give {size} values, or one for all",
        )
    exponential = isinstance(unit.synapse, Exponential)
    for refused, what, fix in (
        (isinstance(unit.synapse, Alpha), "synapse=Alpha(...)", "use Exponential or Delta"),
        (unit.adaptation is not None, "adaptation", "leave adaptation out"),
        (exponential and unit.step != "exact", "step='spinnaker'", "use step='exact'"),
    ):
        if refused:
            raise InvalidInput(place, "is of a kind that cannot be trained", got=what, fix=fix)
