"""What neurons that fire and neurons that do not have in common: the way to the membrane."""

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
from spikecore.nn.scan import leaky_scan
from spikecore.quantities import Quantity, magnitude
from spikecore.units import Alpha, Exponential

__all__ = ["Membrane", "rise"]

FloatArray = npt.NDArray[np.float64]

SMALL = 1e-3
"""Relative difference of two time constants below which a series replaces 0/0."""


class Membrane(nn.Module):
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
        self.fixed: dict[str, FloatArray] = {
            key: np.broadcast_to(value.value, (size,)).copy() for key, value in parameters.items()
        }
        known = ("tau_m", "tau_exc") if self.exponential else ("tau_m",)
        for key in learn:
            if key not in known:
                raise UnknownName(f"{name}.learn", str(key), known)
            start = torch.as_tensor(np.log(self.fixed[key]), dtype=torch.get_default_dtype())
            self.register_parameter(f"log_{key}", nn.Parameter(start))
        self.learn = tuple(learn)

    def constant(self, values: FloatArray, like: Tensor) -> Tensor:
        """Return ``values`` in the type and on the device of ``like``.

        They are kept in float64, whatever the model's type is: ``model.double()`` finds
        them unrounded.
        """
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
        return self.constant(self.fixed[name], like)

    @property
    def settles(self) -> FloatArray:
        """Where the constant current alone leads, mV above rest, shape (size,)."""
        return self.fixed["resistance"] * self.fixed["i_offset"]

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
            resistance = self.constant(self.fixed["resistance"], arriving)
            gain = resistance * rise(self.dt, tau_m, tau_s)
            drive = nn.functional.pad(gain * current[:-1], (0, 0, 0, 0, 1, 0))
        if self.settles.any():
            first = drive[:1] - decay * self.constant(self.settles, drive)
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


def rise(dt: float, tau_m: Tensor, tau_s: Tensor) -> Tensor:
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
