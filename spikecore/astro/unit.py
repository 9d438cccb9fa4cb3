"""Astrocyte-modulated spiking units: LIF neurons beside a memory that outlasts their membranes.

Shen et al. (2023, arXiv 2312.07625) show three equations: ``I = sigma(x)``, ``o = H q`` and
``s = g(u + o)``. How H is written is our reconstruction (:mod:`spikecore.astro.memory`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikecore.astro.checks import check_activity, check_choice, check_number
from spikecore.astro.memory import Traffic, Variant, chunked, empty_memory, parallel, recurrent
from spikecore.errors import InvalidInput
from spikecore.nn.scan import lif_scan, lif_stream
from spikecore.nn.surrogates import QGate, Surrogate

__all__ = ["AMSU", "AMSUState", "Features", "Firing", "Form"]

Form = Literal["chunked", "parallel", "recurrent"]
Features = Literal["identity", "unit", "positive", "spike"]
Firing = Literal["binary", "graded"]

THRESHOLD = 0.5
TAU_M = 2.0


class AMSUState(NamedTuple):
    """All that a unit remembers; its size knows nothing of time.

    Attributes
    ----------
    memory : Tensor, shape (B, heads, rows, d_k)
        H, as :func:`spikecore.astro.memory.empty_memory` describes it.
    membrane : Tensor, shape (B, size)
    """

    memory: Tensor
    membrane: Tensor


class _Inflow(NamedTuple):
    """What reaches the astrocytes; with clock and read gate, of shape (B, heads, T).

    Pace: how much of an astrocyte's own time a tick is. Strength: how strongly it is read.
    """

    traffic: Traffic
    pace: Tensor | None
    strength: Tensor | None


@dataclass(frozen=True)
class _Sizes:
    features: int
    size: int
    heads: int
    d_k: int

    @property
    def d_v(self) -> int:
        return self.size // self.heads


class AMSU(nn.Module):
    """Astrocyte-modulated spiking units, for activity of shape (T, B, features).

    With z the input, and a linear map of z for each of x, q, k, v and w::

        u[t] = u'[t-1] + (sigma(x[t]) - u'[t-1]) / tau_m
        H[t] = exp(-1 / tau_a) H[t-1] + w[t] v[t] k[t]^T
        s[t] = u[t] + gamma H[t] q[t] >= threshold
        u'[t] = 0 if s[t] else u[t]

    Parameters
    ----------
    features : int
        Length of the input's last axis.
    size : int
        Number of neurons; ``heads`` divides it.
    variant : Variant or str
        What the astrocyte stores; "none" leaves LIF neurons. "diag" takes d_k = size / heads.
    heads : int
        Astrocytes: memories of their own.
    d_k : int, optional
        Length of keys and queries; default size / heads.
    tau_a : (float, float)
        Time constants of the first and the last astrocyte, in ticks; spaced by equal factors
        between, and learned.
    tau_m : float
        That of the membranes, in ticks, more than 1; the default is that of the authors' other
        code.
    threshold : float
    key_map : {"identity", "unit", "positive", "spike"}, optional
        What makes queries and keys: the map alone; divided by its length; elu + 1; or a spike
        where it passes 0 (surrogate gradient behind). Default "unit", for "normalised"
        "positive".
    write_gate : bool
        Learn w, in (0, 1); otherwise 1.
    read_norm : bool
        Divide what is read by its root mean square, head by head: one choice of the n in
        ``o = H q / n``.
    read_gate : bool
        Learn how strongly each astrocyte is read: 2 sigma(a linear map of z) times as much.
    clock : bool
        Learn how quickly an astrocyte's own time passes: in tick t it fades by
        ``exp(-c[t] / tau_a)`` with ``c = log2(1 + exp(a linear map of z))``, which is 1 where
        that map is 0. An input may so make it forget, or hold on.
    firing : {"binary", "graded"}
        A spike is 1, or carries what passed the threshold.
    surrogate : Surrogate
        Default the triangle that the authors' other code uses.
    chunk : int
        Of the chunked form.

    Notes
    -----
    Gates and clock are ours. H stays linear in time with either: they depend on the input
    alone, not on H or the spikes of this unit.

    Raises
    ------
    InvalidInput
        If a size is below 1, ``heads`` does not divide ``size``, or a time constant is out of
        range.
    UnknownName
        If a choice does not exist.

    Examples
    --------
    >>> import torch
    >>> from spikecore.astro import AMSU
    >>> _ = torch.manual_seed(0)
    >>> unit = AMSU(8, 16, variant="delta", heads=2)
    >>> spikes = unit(torch.randn(50, 1, 8))
    >>> spikes.shape, spikes.unique()
    (torch.Size([50, 1, 16]), tensor([0., 1.], grad_fn=...))
    """

    def __init__(  # noqa: PLR0913 - all but two by keyword
        self,
        features: int,
        size: int,
        *,
        variant: Variant | str = Variant.MATRIX,
        heads: int = 1,
        d_k: int | None = None,
        tau_a: tuple[float, float] = (32.0, 1024.0),
        tau_m: float = TAU_M,
        threshold: float = THRESHOLD,
        key_map: Features | None = None,
        write_gate: bool = True,
        read_norm: bool = False,
        read_gate: bool = False,
        clock: bool = False,
        firing: Firing = "binary",
        surrogate: Surrogate | None = None,
        chunk: int = 64,
    ) -> None:
        super().__init__()
        self.variant = check_choice("AMSU.variant", variant, Variant)
        self.sizes = _sizes(self.variant, features, size, heads, d_k)
        check_number("AMSU.tau_m", tau_m, above=1.0)
        check_number("AMSU.threshold", threshold, above=0.0)
        for tau in tau_a:
            check_number("AMSU.tau_a", tau, above=0.0)
        check_number("AMSU.chunk", chunk, above=0, whole=True)
        self.key_map: str = check_choice("AMSU.key_map", key_map or self._usual_map, Features)
        self.firing: str = check_choice("AMSU.firing", firing, Firing)
        self.tau_m, self.threshold, self.chunk = float(tau_m), float(threshold), chunk
        self.surrogate = QGate() if surrogate is None else surrogate
        self.write_gate, self.read_norm = write_gate, read_norm
        self.read_gate, self.clock = read_gate, clock
        s = self.sizes
        if self.variant is Variant.NONE:
            self._parts = [size]
        else:
            gates = [heads] * (write_gate + clock + read_gate)
            self._parts = [size, heads * s.d_k, heads * s.d_k, size, *gates]
            spaced = torch.linspace(math.log(tau_a[0]), math.log(tau_a[1]), heads)
            self.log_tau_a = nn.Parameter(spaced)
            self.gamma = nn.Parameter(torch.ones(size))
        self.project = nn.Linear(features, sum(self._parts))

    @property
    def _usual_map(self) -> str:
        return "positive" if self.variant is Variant.NORMALISED else "unit"

    @property
    def tau_a(self) -> Tensor:
        """Time constants of the astrocytes in ticks, shape (heads,)."""
        return self.log_tau_a.exp()

    def start(self, batch: int) -> AMSUState:
        """Return the state before the first tick, for :meth:`stream`."""
        s = self.sizes
        like = self.project.weight
        memory = empty_memory(self.variant, batch, (s.heads, s.d_k, s.d_v), like)
        return AMSUState(memory, like.new_zeros(batch, s.size))

    def forward(self, given: Tensor, form: Form = "chunked") -> Tensor:
        """Return the spikes of activity that starts from nothing.

        Parameters
        ----------
        given : Tensor, shape (T, B, features)
        form : {"chunked", "parallel", "recurrent"}
            How the memory is computed: the same numbers, but for rounding.

        Returns
        -------
        Tensor, shape (T, B, size)
            0, or 1 (graded: what passed the threshold).

        Raises
        ------
        InvalidInput
            If the shape is another.
        UnknownName
            If there is no such form.
        """
        drive, inflow = self._arriving(given)
        lift = None
        if inflow is not None:
            start = self.start(given.shape[1]).memory
            lift = self._lift(inflow, start, form)[0].to(drive.dtype)
        decay, threshold, reset = self.constants(drive)
        graded = self.firing == "graded"
        return lif_scan(drive, decay, threshold, reset, self.surrogate, lift=lift, graded=graded)

    def stream(
        self, given: Tensor, state: AMSUState, form: Form | None = None
    ) -> tuple[Tensor, AMSUState]:
        """Go on from a state: piece by piece what :meth:`forward` gives at once.

        Parameters
        ----------
        given : Tensor, shape (T, B, features)
            T may be 1.
        state : AMSUState
            From :meth:`start` or the piece before.
        form : {"chunked", "parallel", "recurrent"}, optional
            Default "recurrent" for a single tick, otherwise "chunked".

        Returns
        -------
        spikes : Tensor, shape (T, B, size)
        state : AMSUState
        """
        drive, inflow = self._arriving(given)
        form = form or ("recurrent" if len(given) == 1 else "chunked")
        lift, memory = None, state.memory
        if inflow is not None:
            lift, memory = self._lift(inflow, memory, form)
            lift = lift.to(drive.dtype)
        constants = self.constants(drive)
        graded = self.firing == "graded"
        spikes, membrane = lif_stream(
            drive, constants, state.membrane, self.surrogate, lift=lift, graded=graded
        )
        return spikes, AMSUState(memory, membrane)

    def constants(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return decay factor, threshold and reset of the membranes, each of shape (size,)."""
        size = self.sizes.size
        given = (1 - 1 / self.tau_m, self.threshold, 0.0)
        decay, threshold, reset = (like.new_full((size,), value) for value in given)
        return decay, threshold, reset

    def _arriving(self, given: Tensor) -> tuple[Tensor, _Inflow | None]:
        """Return the drive of the membranes, (T, B, size), and what reaches the memory."""
        check_activity("AMSU input", given, self.sizes.features)
        parts = self.project(given).split(self._parts, -1)
        drive = torch.sigmoid(parts[0]) / self.tau_m
        if self.variant is Variant.NONE:
            return drive, None
        query, key, value, *gates = (
            part.unflatten(-1, (self.sizes.heads, -1)).permute(1, 2, 0, 3).float()
            if part.dtype is not torch.float64
            else part.unflatten(-1, (self.sizes.heads, -1)).permute(1, 2, 0, 3)
            for part in parts[1:]
        )
        gates = [gate[..., 0] for gate in gates]
        opened = torch.sigmoid(gates.pop(0)) if self.write_gate else torch.ones_like(key[..., 0])
        strength = 2 * torch.sigmoid(gates.pop(0)) if self.read_gate else None
        pace = functional.softplus(gates.pop(0)) / math.log(2) if self.clock else None
        traffic = Traffic(self._features(query), self._features(key), value, opened)
        return drive, _Inflow(traffic, pace, strength)

    def _features(self, given: Tensor) -> Tensor:
        if self.key_map == "unit":
            return functional.normalize(given, dim=-1)
        if self.key_map == "positive":
            return functional.elu(given) + 1
        if self.key_map == "spike":
            return spike_of(given, self.surrogate)
        return given

    def _lift(self, inflow: _Inflow, memory: Tensor, form: Form) -> tuple[Tensor, Tensor]:
        """Return what the astrocyte adds to the membranes, (T, B, size), and its memory."""
        forms = {"recurrent": recurrent, "parallel": parallel, "chunked": chunked}
        check_choice("AMSU form", form, Form)
        options = (self.chunk,) if form == "chunked" else ()
        traffic, pace, strength = inflow
        with torch.autocast(traffic.key.device.type, enabled=False):
            rate = torch.exp(-self.log_tau_a).to(traffic.key.dtype)
            if pace is not None:
                rate = rate[:, None] * pace
            read, memory = forms[form](self.variant, traffic, rate, memory, *options)
            if self.read_norm:
                read = functional.rms_norm(read, read.shape[-1:], eps=1e-5)
            if strength is not None:
                read = strength[..., None] * read
            return self.gamma * read.permute(2, 0, 1, 3).flatten(2), memory


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, given: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(given)  # type: ignore[attr-defined]
        ctx.surrogate = surrogate  # type: ignore[attr-defined]
        return (given >= 0).to(given.dtype)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:
        (given,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad * ctx.surrogate.derivative(given), None  # type: ignore[attr-defined]


def spike_of(given: Tensor, surrogate: Surrogate) -> Tensor:
    """Return 1 where ``given`` is at least 0, else 0, with the surrogate's gradient."""
    return _Spike.apply(given, surrogate)


def _sizes(variant: Variant, features: int, size: int, heads: int, d_k: int | None) -> _Sizes:
    for name, value in (("features", features), ("size", size), ("heads", heads)):
        check_number(f"AMSU.{name}", value, above=0, whole=True)
    if size % heads:
        rule, fix = "must divide size", f"use a divisor of {size}"
        raise InvalidInput("AMSU.heads", rule, got=heads, fix=fix)
    length = size // heads if d_k is None else d_k
    check_number("AMSU.d_k", length, above=0, whole=True)
    if variant is Variant.DIAG and length != size // heads:
        raise InvalidInput(
            "AMSU.d_k", "must be size / heads for 'diag'", got=length, fix="leave it out"
        )
    return _Sizes(features, size, heads, length)
