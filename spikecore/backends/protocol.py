"""What a backend is: it tells what it can do, and opens sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredProjection
from spikecore.errors import UnknownName
from spikecore.events import Spikes
from spikecore.progress import OnProgress
from spikecore.results import Result, Status

__all__ = [
    "EVERY_MODULATION",
    "Backend",
    "Capabilities",
    "Choice",
    "Options",
    "Session",
    "checked_options",
]

IndexArray = npt.NDArray[np.int64]

LONG_RUN_SECONDS = 20
"""Runs on a slow backend that should take longer get a note."""


EVERY_MODULATION = frozenset({"delivery", "potentiation", "depression"})


@dataclass(frozen=True)
class Choice:
    """An option of one backend.

    Attributes
    ----------
    values : tuple of str
        What it may be; the first is the default.
    meaning : str
        What it decides, for ``spikecore backends``.
    """

    values: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Options:
    """How to run, apart from what is run.

    Attributes
    ----------
    precision : {"float64", "float32"}
        Arithmetic of states and weights.
    max_pending : int
        Budget of synaptic events in flight; a run that exceeds it stops with
        status "runaway" and keeps its results.
    max_trace_bytes : int
        Memory that probes may need before a run is refused.
    own : mapping of str to str
        Options of the backend itself, all of them, checked.
    """

    precision: str = "float64"
    max_pending: int = 200_000_000
    max_trace_bytes: int = 4_000_000_000
    own: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Capabilities:
    """What a backend keeps its promise for.

    Attributes
    ----------
    units, step_rules, precisions, plasticity : frozenset of str
        Names that it accepts; of units also "any" (every linear one) and "stepped".
    max_delay_ticks : int
        Longest delay.
    checkpoint : bool
        Whether sessions can be saved and restored with spikes in flight.
    pieces : bool
        Whether a run can go on after it has ended.
    modulation : frozenset of str
        What a slow state may act on: delivery, potentiation, depression.
    departs : mapping of str to str
        Where it departs from what the others promise: topic, and the reason. Such
        differences are no refusals; the conformance suite lists them.
    why : mapping of str to str
        Reasons for what is not supported, by name of the unit, of what is modulated, or
        ``"stepped"``.
    tick_cost : tuple of float
        Seconds that a tick takes, and that each neuron and synapse adds to it, measured:
        what a run will roughly take. (0, 0) for a backend that is never the slow choice.
    """

    units: frozenset[str]
    step_rules: frozenset[str]
    precisions: frozenset[str]
    plasticity: frozenset[str]
    max_delay_ticks: int
    checkpoint: bool
    pieces: bool = True
    modulation: frozenset[str] = frozenset()
    departs: Mapping[str, str] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    tick_cost: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def everything(cls, tick_cost: tuple[float, float] = (0.0, 0.0)) -> Capabilities:
        """Return the capabilities of a backend that runs all a Network can say."""
        return cls(
            units=frozenset({"any", "stepped"}),
            step_rules=frozenset({"exact", "spinnaker"}),
            precisions=frozenset({"float64", "float32"}),
            plasticity=frozenset({"PairSTDP"}),
            max_delay_ticks=2**24,
            checkpoint=True,
            modulation=EVERY_MODULATION,
            tick_cost=tick_cost,
        )

    def seconds(self, lowered: Lowered, ticks: int) -> float:
        """Estimate how long a run will take."""
        fixed, each = self.tick_cost
        return ticks * (
            fixed + each * (lowered.n_neurons + sum(p.size for p in lowered.projections))
        )

    def advice(self, lowered: Lowered, ticks: int) -> str:
        """Say, before ``ticks`` ticks are run, where another backend is the better choice."""
        seconds = self.seconds(lowered, ticks)
        if seconds <= LONG_RUN_SECONDS:
            return ""
        return (
            f"this backend is the slow choice for this network: about {seconds:.0f} s by "
            "measured cost; 'event' gives the same spikes"
        )

    def refusals(self, lowered: Lowered, options: Options) -> list[str]:
        """List every reason why ``lowered`` cannot be run as promised."""
        reasons = []
        if options.precision not in self.precisions:
            reasons.append(
                f"precision {options.precision!r} is not one of "
                f"{', '.join(sorted(self.precisions))}"
            )
        stepped = {lowered.populations[s.population].start for s in lowered.sweeps}
        for p in lowered.populations:
            if "any" not in self.units and p.unit.name not in self.units:
                what = f"unit {p.unit.name!r} is not supported{self._why(p.unit.name)}"
                reasons.append(f"population {p.name!r}: {what}")
            if p.start in stepped and "stepped" not in self.units:
                what = f"stepped unit {p.unit.name!r} is not supported{self._why('stepped')}"
                reasons.append(f"population {p.name!r}: {what}")
            if p.unit.step not in self.step_rules:
                reasons.append(f"population {p.name!r}: step rule {p.unit.step!r} is not supported")
        for c in lowered.projections:
            reasons += [
                f"projection {c.name!r}: {reason}" for reason in self._objections(c, options)
            ]
        if lowered.max_delay > self.max_delay_ticks:
            reasons.append(
                f"the longest delay is {lowered.max_delay} ticks, the limit {self.max_delay_ticks}"
            )
        return reasons

    def _objections(self, c: LoweredProjection, options: Options) -> Iterator[str]:
        largest = max(c.weight.max(initial=0.0), -c.weight.min(initial=0.0))
        if options.precision == "float32" and largest > np.finfo(np.float32).max:
            yield "weights exceed the range of float32"
        if c.plasticity is not None and type(c.plasticity).__name__ not in self.plasticity:
            yield f"{type(c.plasticity).__name__} is not supported"
        for what in sorted(c.modulated - self.modulation):
            yield f"modulation of {what} is not supported{self._why(what)}"

    def _why(self, name: str) -> str:
        return f": {self.why[name]}" if name in self.why else ""


class Session(Protocol):
    """A network that is being run."""

    @property
    def tick(self) -> int:
        """The next tick to be run."""
        ...

    @property
    def status(self) -> Status:
        """``"complete"`` while all is well."""
        ...

    def advance(self, to_tick: int, on_progress: OnProgress | None = None) -> Status:
        """Run up to, not including, ``to_tick``."""
        ...

    def feed(self, ticks: IndexArray, neurons: IndexArray) -> None:
        """Add source spikes at or after the current tick, by neuron number."""
        ...

    def result(self, *, weights: bool = True) -> Result:
        """Return everything recorded so far; ``weights=False`` leaves the weights out."""
        ...

    def spikes_since(self, tick: int) -> dict[str, Spikes]:
        """Return the spikes of ``tick`` and later, by group."""
        ...

    def weights(self, projection: int) -> npt.NDArray[np.float64]:
        """Return the current weights, in row order."""
        ...

    def set_weights(self, projection: int, values: npt.NDArray[np.float64]) -> None:
        """Replace the weights, in row order."""
        ...

    def clear(self) -> None:
        """Return states, traces, queues and clock to the start; keep the weights."""
        ...

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state, spikes in flight included."""
        ...

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from a snapshot."""
        ...


class Backend(Protocol):
    """A way to run networks."""

    @property
    def name(self) -> str:
        """Name used with ``backend=`` and ``--backend``."""
        ...

    @property
    def version(self) -> str:
        """Version of the program that does the work."""
        ...

    @property
    def choices(self) -> Mapping[str, Choice]:
        """Options of its own, by name."""
        ...

    def capabilities(self, options: Options) -> Capabilities:
        """Say what it can do with these options."""
        ...

    def prepare(self, lowered: Lowered, options: Options) -> Session:
        """Open a session."""
        ...


def checked_options(backend: Backend, given: Mapping[str, str]) -> dict[str, str]:
    """Return the options of ``backend`` itself: those given, and defaults for the rest.

    Raises
    ------
    UnknownName
        If it has no such option, or the option no such value.
    """
    for name, value in given.items():
        if name not in backend.choices:
            raise UnknownName(f"backend {backend.name!r}: options", name, backend.choices)
        if value not in backend.choices[name].values:
            known = backend.choices[name].values
            raise UnknownName(f"backend {backend.name!r}: option {name!r}", str(value), known)
    return {name: choice.values[0] for name, choice in backend.choices.items()} | dict(given)
