"""Slow traces of astrocytes, exact between events.

Two cascaded traces, as the transmitter that spills over and the calcium (or IP3) that follows
it: ``tau_y dy/dt = -y`` and ``tau_A dA/dt = -A + kappa y``. The form is ours, the simplest that
keeps a closed solution between events; its time constants are of the order of those in Stimberg,
Goodman, Brette & De Pitta (2019), "Modeling neuron-glia interactions with the Brian 2 simulator"
(clearance of transmitter at 40/s), and of NEST's ``astrocyte_lr_1994`` (decay of IP3 in 7.142 s).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnitMismatch, names_its_parameters
from spikecore.quantities import Quantity, magnitude, ms, mV, nA, uM
from spikecore.units.lif import LIF
from spikecore.units.linear import LinearUnit, Port

__all__ = ["AstroLIF", "Astrocyte", "HeldCurrent", "SlowTrace"]

FloatArray = npt.NDArray[np.float64]


@names_its_parameters
@dataclass(frozen=True)
class SlowTrace:
    """The states y and A of an astrocyte, ``tau_A dA/dt = -A + kappa y``, ``tau_y dy/dt = -y``.

    Every parameter is one value, or an array with one value for each neuron.

    Parameters
    ----------
    tau_A : Quantity
        Time constant of the slow state A (time).
    tau_y : Quantity or None
        Time constant of the transmitter y (time). None: there is no y, and A itself jumps by
        the weight (``kappa`` is then 1).
    kappa : float
        Gain from y to A: where y is constant, A settles at ``kappa y``.

    Raises
    ------
    UnitMismatch, InvalidInput
        If a time constant has a wrong unit or is not positive, or ``kappa`` is not finite.
    """

    tau_A: Quantity = 2000.0 * ms
    tau_y: Quantity | None = 25.0 * ms
    kappa: float | FloatArray = 1.0

    def __post_init__(self) -> None:
        _ = self.values

    @cached_property
    def values(self) -> dict[str, FloatArray]:
        """The parameters as arrays, ms."""
        found = {"tau_A": magnitude(self.tau_A, "time", "SlowTrace.tau_A", above=0.0)}
        if self.tau_y is not None:
            found["tau_y"] = magnitude(self.tau_y, "time", "SlowTrace.tau_y", above=0.0)
        kappa = np.asarray(self.kappa, np.float64)
        if not np.isfinite(kappa).all():
            fix = "check where it comes from: 0/0, overflow, missing data"
            raise InvalidInput("SlowTrace.kappa", "must be finite", got=self.kappa, fix=fix)
        if self.tau_y is None and np.any(kappa != 1.0):
            rule = "must be 1 where tau_y is None: A itself takes the weight"
            raise InvalidInput("SlowTrace.kappa", rule, got=self.kappa, fix="scale the weights")
        return {name: np.atleast_1d(v) for name, v in (found | {"kappa": kappa}).items()}

    @property
    def parameters(self) -> dict[str, Quantity]:
        """What the user gave, by name."""
        found = {"tau_A": self.tau_A, "kappa": Quantity(self.kappa, "number")}
        return found if self.tau_y is None else found | {"tau_y": self.tau_y}

    @property
    def states(self) -> tuple[str, ...]:
        """Names of its states."""
        return ("A",) if self.tau_y is None else ("y", "A")

    def port(self, size: int) -> Port:
        """Return the port at which its transmitter arrives, for ``size`` kinds of neurons."""
        state = self.states[0]
        tau = np.broadcast_to(self.values["tau_A" if state == "A" else "tau_y"], (size,))
        return Port(state, "concentration", tau=tau)

    def matrix(self, size: int) -> FloatArray:
        """Return its part of the system matrix, shape (size, states, states), 1/ms."""
        values = {name: np.broadcast_to(v, (size,)) for name, v in self.values.items()}
        n = len(self.states)
        a = np.zeros((size, n, n))
        a[:, -1, -1] = -1.0 / values["tau_A"]
        if n > 1:
            a[:, 0, 0] = -1.0 / values["tau_y"]
            a[:, 1, 0] = values["kappa"] / values["tau_A"]
        return a


def _size(place: str, *lengths: int) -> int:
    sizes = {length for length in lengths if length != 1}
    if len(sizes) > 1 or 0 in sizes:
        fix = "give one value, or one for each neuron"
        raise InvalidInput(place, "arrays must have one length", got=sorted(sizes), fix=fix)
    return max(lengths)


@names_its_parameters
@dataclass(frozen=True)
class Astrocyte:
    """An astrocyte as a unit: spikes raise its transmitter y, its slow state A acts elsewhere.

    It has no threshold and sends no spikes. Spikes reach it through ordinary projections with
    weights in uM (port ``"exc"``); it acts through :class:`~spikecore.Modulation`.

    Parameters
    ----------
    trace : SlowTrace
        Its two states.

    Examples
    --------
    >>> from spikecore import Astrocyte, SlowTrace, second
    >>> Astrocyte(SlowTrace(tau_A=5 * second)).linear.states
    ('y', 'A')
    """

    trace: SlowTrace = field(default_factory=SlowTrace)

    def __post_init__(self) -> None:
        _ = self.linear

    @cached_property
    def linear(self) -> LinearUnit:
        """The description that backends consume."""
        trace = _checked_trace("Astrocyte", self.trace)
        size = _size("SlowTrace", *(v.size for v in trace.values.values()))
        states = trace.states
        return LinearUnit(
            name="astrocyte",
            states=states,
            dimensions=("concentration",) * len(states),
            A=trace.matrix(size),
            b=np.zeros((size, len(states))),
            rest=np.zeros((size, len(states))),
            ports={"exc": trace.port(size)},
            h=np.zeros(len(states)),
            threshold=np.full(size, np.inf),
            reset={},
            refractory=np.zeros(size),
            parameters=trace.parameters,
        )


def _checked_trace(place: str, trace: object) -> SlowTrace:
    if not isinstance(trace, SlowTrace):
        raise UnitMismatch(
            f"{place}.trace",
            "must be a SlowTrace",
            got=repr(trace),
            fix="write e.g. trace=SlowTrace(tau_A=2 * second)",
        )
    return trace


@names_its_parameters
@dataclass(frozen=True)
class AstroLIF:
    """A LIF neuron with an astrocyte of its own, which acts on it directly.

    ``tau_m dv/dt = -(v - v_rest) + R (I + g_a A)``, and a spike when
    ``v - theta_a A >= v_threshold``. Spikes reach the astrocyte at the port ``"glia"``, with
    weights in uM; the other ports are those of the neuron.

    Parameters
    ----------
    lif : LIF
        The neuron.
    trace : SlowTrace
        The states y and A of the astrocyte.
    current : Quantity
        g_a, the current that each uM of A adds to the membrane (current).
    threshold : Quantity
        theta_a, by how much each uM of A raises the threshold (voltage); negative: lowers it.
    own : Quantity
        What each spike of the neuron itself adds to its astrocyte (concentration).

    Raises
    ------
    UnitMismatch, InvalidInput
        If a parameter is of a wrong type or unit, or arrays have different lengths.

    Notes
    -----
    All of it is one linear system with a threshold, so it is exact between events and runs on
    every backend. With ``SlowTrace(tau_y=None)`` and no effect on the threshold it is a neuron
    with a second, slow excitatory synapse (``IF_curr_dual_exp`` of SpiNNaker).
    """

    lif: LIF = field(default_factory=LIF)
    trace: SlowTrace = field(default_factory=SlowTrace)
    current: Quantity = 0.0 * nA
    threshold: Quantity = 0.0 * mV
    own: Quantity = 0.0 * uM

    def __post_init__(self) -> None:
        _ = self.linear

    @cached_property
    def linear(self) -> LinearUnit:
        """The description that backends consume."""
        if not isinstance(self.lif, LIF):
            raise UnitMismatch(
                "AstroLIF.lif", "must be a LIF", got=repr(self.lif), fix="write lif=LIF(...)"
            )
        trace, neuron = _checked_trace("AstroLIF", self.trace), self.lif.linear
        current = np.atleast_1d(magnitude(self.current, "current", "AstroLIF.current"))
        theta = magnitude(self.threshold, "voltage", "AstroLIF.threshold", single=True)
        own = np.atleast_1d(magnitude(self.own, "concentration", "AstroLIF.own", at_least=0.0))
        own_size = max(v.size for v in trace.values.values())
        size = _size("AstroLIF", neuron.A.shape[0], own_size, current.size, own.size)
        new, old = len(trace.states), len(neuron.states)
        drive = self.lif.resistance.value * current / np.asarray(self.lif.tau_m.value)
        a = np.zeros((size, new + old, new + old))
        a[:, :new, :new] = trace.matrix(size)
        a[:, new:, new:] = neuron.A
        a[:, -1, new - 1] = drive

        def spread(values: FloatArray) -> FloatArray:
            return np.broadcast_to(values, (size, *values.shape[1:]))

        def behind(values: FloatArray) -> FloatArray:
            return np.concatenate([np.zeros((size, new)), spread(values)], axis=1)

        tau = {n: p.tau if p.tau is None else spread(p.tau) for n, p in neuron.ports.items()}
        return replace(
            neuron,
            name="astro_lif",
            states=(*trace.states, *neuron.states),
            dimensions=("concentration",) * new + neuron.dimensions,
            A=a,
            b=behind(neuron.b),
            rest=behind(neuron.rest),
            ports={n: replace(p, tau=tau[n]) for n, p in neuron.ports.items()}
            | {"glia": trace.port(size)},
            h=np.concatenate([np.zeros(new - 1), [0.0 - float(theta)], neuron.h]),
            threshold=spread(neuron.threshold),
            reset={n: spread(v) for n, v in neuron.reset.items()},
            jump={n: spread(v) for n, v in neuron.jump.items()}
            | ({trace.states[0]: spread(own)} if own.any() else {}),
            refractory=spread(neuron.refractory),
            currents=(*trace.states, *neuron.currents),
            parameters=dict(neuron.parameters) | trace.parameters | self._own_parameters(),
        )

    def _own_parameters(self) -> dict[str, Quantity]:
        return {"g_a": self.current, "theta_a": self.threshold, "own": self.own}


@names_its_parameters
@dataclass(frozen=True)
class HeldCurrent:
    """A LIF neuron with a current that keeps its value until it is changed.

    ``tau_m dv/dt = -(v - v_rest) + R (I + i_held)``. What arrives at the port ``"held"`` (weights
    in nA) is added to i_held for good; continuous outputs of stepped units arrive there as their
    changes (``Projection(..., port="held", carries="sic")``).

    Parameters
    ----------
    lif : LIF
        The neuron.
    """

    lif: LIF = field(default_factory=LIF)

    def __post_init__(self) -> None:
        _ = self.linear

    @cached_property
    def linear(self) -> LinearUnit:
        """The description that backends consume."""
        if not isinstance(self.lif, LIF):
            raise UnitMismatch(
                "HeldCurrent.lif", "must be a LIF", got=repr(self.lif), fix="write lif=LIF(...)"
            )
        neuron = self.lif.linear
        size, old = neuron.b.shape
        a = np.zeros((size, old + 1, old + 1))
        a[:, 1:, 1:] = neuron.A
        a[:, -1, 0] = self.lif.resistance.value / np.asarray(self.lif.tau_m.value)

        def behind(values: FloatArray) -> FloatArray:
            return np.concatenate([np.zeros((size, 1)), values], axis=1)

        return replace(
            neuron,
            name="held_lif",
            states=("i_held", *neuron.states),
            dimensions=("current", *neuron.dimensions),
            A=a,
            b=behind(neuron.b),
            rest=behind(neuron.rest),
            ports=dict(neuron.ports) | {"held": Port("i_held", "current")},
            h=np.concatenate([[0.0], neuron.h]),
        )
