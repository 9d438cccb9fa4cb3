"""The one description of a network that every backend consumes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from spikecore.errors import InvalidInput, UnknownName
from spikecore.inputs import Input, check_size
from spikecore.modulation import Modulation
from spikecore.plasticity import PairSTDP
from spikecore.quantities import CANONICAL, FloatArray, Quantity, magnitude, ms, require, ticks_of
from spikecore.units import LinearUnit, Port, SteppedUnit, Unit
from spikecore.wiring import Normal, Pairs, Uniform, Wiring

__all__ = ["Network", "Population", "Probe", "Projection"]

RESERVED = frozenset({"spikes", "weights", "traces", "all", "meta"})


@dataclass(frozen=True, eq=False)
class Population:
    """A group of neurons of one kind.

    Parameters
    ----------
    name : str
        Unique in the network.
    size : int
        Number of neurons.
    unit : LIF, LinearUnit or any object with a ``linear`` description
        What the neurons are. Parameters are single values or arrays of length ``size``.
    initial : mapping of str to Quantity, optional
        Initial value of states, as the user sees them (``v`` in mV). Default: rest.

    Raises
    ------
    InvalidInput
        If the size is not a positive integer, or array parameters have another length.
    UnknownName
        If an initial value names a state that does not exist.
    """

    name: str
    size: int
    unit: Unit
    initial: Mapping[str, Quantity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        place = f"Population {self.name!r}"
        check_size(self.size, f"{place}.size")
        if not hasattr(self.unit, "linear"):
            raise InvalidInput(
                f"{place}.unit",
                "must be a unit",
                got=type(self.unit).__name__,
                fix="use LIF(...) or a LinearUnit",
            )
        if self.linear.size not in (None, self.size):
            raise InvalidInput(
                f"{place}.unit",
                "array parameters need one value per neuron",
                got=f"{self.linear.size} values for {self.size} neurons",
                fix=f"give {self.size} values, or one for all",
            )
        if self.stepped is not None and self.size < self.stepped.least:
            raise InvalidInput(
                f"{place}.size",
                f"must be at least {self.stepped.least}: the unit names that many by number",
                got=self.size,
                fix="make it larger, or leave out what names them (gap_junctions)",
            )
        for state, value in self.initial.items():
            if state not in self.linear.states:
                raise UnknownName(f"{place}.initial", state, self.linear.states)
            dimension = self.linear.dimensions[self.linear.states.index(state)]
            array = magnitude(value, dimension, f"{place}.initial[{state!r}]")
            if array.ndim and array.size != self.size:
                raise InvalidInput(
                    f"{place}.initial[{state!r}]",
                    "needs one value per neuron",
                    got=f"{array.size} values for {self.size} neurons",
                    fix=f"give {self.size} values, or one for all",
                )

    @property
    def linear(self) -> LinearUnit:
        """The description of the unit that backends consume."""
        return self.unit.linear

    @property
    def stepped(self) -> SteppedUnit | None:
        """The description of a unit that is no linear system; None for all others."""
        found: SteppedUnit | None = getattr(self.unit, "stepped", None)
        return found


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one group to another.

    Parameters
    ----------
    source, target : Population, Input or str
        Groups, or their names. An Input cannot be a target.
    wiring : Wiring
        ``OneToOne()``, ``AllToAll()``, ``Pairs(pre, post)``, ``RandomPairs(p)``,
        ``RandomTotal(n)``.
    weight : Quantity, Uniform or Normal
        One value, one per synapse (in the order of ``Pairs``), or a distribution.
        The dimension is that of the port: current (nA) for exponential and alpha
        synapses, voltage (mV) for delta synapses.
    delay : Quantity, Uniform or Normal
        At least one tick, on the grid. Drawn delays are rounded to the grid.
    port : str
        Where the synapses arrive, e.g. ``"exc"`` or ``"inh"``.
    plasticity : PairSTDP, optional
        Learning rule; the weight is then the initial weight.
    name : str, optional
        Default ``"source->target"``; needed where two projections share both ends.
    rounding : {"refuse", "nearest"}
        What to do with delays between two ticks.
    modulation : Modulation or tuple of Modulation, optional
        Lets a slow state act on what is delivered or learnt; at most one of them on each.
    carries : str
        Name of a continuous output of a stepped source, e.g. ``"sic"``: at each of its steps the
        change of the output, times the weight, is sent. Default: spikes.

    Raises
    ------
    InvalidInput, UnitMismatch
        If a weight is not finite or negative on a subtracting port, a delay is
        negative, zero or of a wrong unit. Checks that need the grid or the groups
        are made by :class:`Network`.
    """

    source: Population | Input | str
    target: Population | str
    wiring: Wiring
    weight: Quantity | Uniform | Normal
    delay: Quantity | Uniform | Normal
    port: str = "exc"
    plasticity: PairSTDP | None = None
    name: str = ""
    rounding: str = "refuse"
    modulation: Modulation | tuple[Modulation, ...] = ()
    carries: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"{self.pre_name}->{self.post_name}")
        if not isinstance(self.wiring, Wiring):
            raise InvalidInput(
                f"{self.place}.wiring",
                "must be a wiring",
                got=repr(self.wiring),
                fix="use OneToOne(), AllToAll(), Pairs(pre, post), RandomPairs(p) or "
                "RandomTotal(n)",
            )
        if not isinstance(self.delay, Uniform | Normal):
            delay = magnitude(self.delay, "time", f"{self.place}.delay")
            rule, fix = "must be positive: the minimum is one tick", "use at least one tick"
            require(delay, delay > 0, f"{self.place}.delay", rule, "ms", fix)
        if self.rounding not in ("refuse", "nearest"):
            raise UnknownName(f"{self.place}.rounding", self.rounding, ("refuse", "nearest"))
        self._check_modulations()

    def _check_modulations(self) -> None:
        taken: set[str] = set()
        for modulation in self.modulations:
            if not isinstance(modulation, Modulation):
                raise InvalidInput(
                    f"{self.place}.modulation",
                    "must be a Modulation, or a tuple of them",
                    got=repr(modulation),
                    fix='write modulation=Modulation(by="astrocytes")',
                )
            if self.plasticity is None and modulation.acts_on != "delivery":
                raise InvalidInput(
                    f"{self.place}.modulation",
                    f"of {modulation.acts_on} needs a learning rule",
                    got="plasticity=None",
                    fix="give plasticity, or use acts_on='delivery'",
                )
            if taken & modulation.covers:
                raise InvalidInput(
                    f"{self.place}.modulation",
                    "may hold one for each of delivery, potentiation and depression",
                    got=f"two for {', '.join(sorted(taken & modulation.covers))}",
                    fix="leave one out",
                )
            taken |= modulation.covers

    @property
    def modulations(self) -> tuple[Modulation, ...]:
        """All its modulations."""
        given = self.modulation
        return given if isinstance(given, tuple) else (given,)

    @property
    def place(self) -> str:
        """How errors name the projection."""
        return f"Projection {self.name!r}"

    @property
    def pre_name(self) -> str:
        """Name of the source group."""
        return self.source if isinstance(self.source, str) else self.source.name

    @property
    def post_name(self) -> str:
        """Name of the target population."""
        return self.target if isinstance(self.target, str) else self.target.name


@dataclass(frozen=True, eq=False)
class Probe:
    """Records a state of a population at regular times. Spikes are recorded always.

    Parameters
    ----------
    population : Population or str
        Whose state.
    state : str
        Which, e.g. ``"v"`` or ``"i_exc"``.
    neurons : sequence of int, optional
        Default: all.
    every : Quantity, optional
        Interval (time), a multiple of dt. Default: every tick.
    """

    population: Population | str
    state: str
    neurons: tuple[int, ...] | None = None
    every: Quantity | None = None

    @property
    def pop_name(self) -> str:
        """Name of the population."""
        return self.population if isinstance(self.population, str) else self.population.name

    @property
    def key(self) -> str:
        """Name under which the trace is found in a Result."""
        return f"{self.pop_name}.{self.state}"


Part = Population | Input | Projection | Probe


@dataclass(frozen=True, eq=False, init=False)
class Network:
    """Everything that a run needs, checked as a whole.

    Parameters
    ----------
    parts : iterable of Population, Input, Projection and Probe
        In any order; the order of groups and projections is part of the network.
    dt : Quantity
        Length of a tick (time).

    Raises
    ------
    InvalidInput, UnknownName, UnitMismatch
        If a name is used twice, reserved or unknown, a port does not exist, a
        synapse points outside its group, a time is off the grid, ...

    Examples
    --------
    >>> from spikecore import *
    >>> net = Network(
    ...     [
    ...         Input("in", 1, Train([1, 2] * ms, [0, 0])),
    ...         Population("out", 1, LIF(synapse=Delta())),
    ...         Projection("in", "out", OneToOne(), weight=20 * mV, delay=1 * ms),
    ...     ],
    ...     dt=1 * ms,
    ... )
    >>> run(net, 10 * ms).spikes["out"].times
    array([2., 3.])
    """

    populations: tuple[Population, ...]
    inputs: tuple[Input, ...]
    projections: tuple[Projection, ...]
    probes: tuple[Probe, ...]
    dt: float

    def __init__(self, parts: Iterable[Part], dt: Quantity = 1.0 * ms) -> None:
        kinds: dict[type, list[Part]] = {Population: [], Input: [], Projection: [], Probe: []}
        for part in parts:
            if type(part) not in kinds:
                raise InvalidInput(
                    "Network",
                    "takes Population, Input, Projection and Probe",
                    got=type(part).__name__,
                    fix="leave it out",
                )
            kinds[type(part)].append(part)
        for attribute, kind in (
            ("populations", Population),
            ("inputs", Input),
            ("projections", Projection),
            ("probes", Probe),
        ):
            object.__setattr__(self, attribute, tuple(kinds[kind]))
        object.__setattr__(
            self, "dt", float(magnitude(dt, "time", "Network.dt", above=0.0, single=True))
        )
        self._check()

    def _check(self) -> None:
        if not self.groups:
            rule = "needs at least one population or input"
            raise InvalidInput("Network", rule, fix="add a Population")
        for what, names in (
            ("group", [group.name for group in self.groups]),
            ("projection", [projection.name for projection in self.projections]),
            ("probe", [probe.key for probe in self.probes]),
        ):
            _check_names(what, names)
        for projection in self.projections:
            self._check_projection(projection)
        for population in self.populations:
            ticks_of(
                Quantity(population.linear.refractory.squeeze(), "time"),
                self.dt,
                f"Population {population.name!r}.refractory",
            )
            if population.stepped is not None:
                place = f"Population {population.name!r}.step"
                ticks_of(population.stepped.step, self.dt, place, minimum=1, single=True)
        for probe in self.probes:
            self._check_probe(probe)
        for source in self.inputs:
            source.bind(self.dt, 0).spikes(0, 0)

    def _check_projection(self, p: Projection) -> None:
        source = self.group(p.pre_name, f"{p.place}.source")
        target = self.group(p.post_name, f"{p.place}.target")
        port = self.port(p)
        for given, found in ((p.source, source), (p.target, target)):
            if not isinstance(given, str) and given is not found:
                raise InvalidInput(
                    p.place,
                    "refers to a group that is not the one in the network",
                    got=found.name,
                    fix="use one object, or the name",
                )
        p.wiring.check(source.size, target.size, p.place)
        if isinstance(p.weight, Quantity) or not isinstance(p.weight, Uniform | Normal):
            weight = magnitude(p.weight, port.dimension, f"{p.place}.weight")
            self.check_weights(p, weight)
            self._check_length(p, weight.size if weight.ndim else None, "weight")
        if p.plasticity is not None and p.plasticity.dimension != port.dimension:
            raise InvalidInput(
                f"{p.place}.plasticity",
                f"needs bounds that are a {port.dimension}",
                got=p.plasticity.w_max,
                fix=f"give w_max and w_min in {CANONICAL[port.dimension]}",
            )
        if isinstance(p.delay, Quantity):
            delay = ticks_of(p.delay, self.dt, f"{p.place}.delay", minimum=1, rounding=p.rounding)
            self._check_length(p, delay.size if delay.ndim else None, "delay")
        self._check_stepped(p, source, target)
        for modulation in p.modulations:
            self._check_modulation(p, modulation, source.size, target.size)

    def _check_stepped(self, p: Projection, source: Any, target: Any) -> None:
        unit = None if isinstance(source, Input) else source.stepped
        if p.carries and p.carries not in (unit.outputs if unit is not None else ()):
            raise UnknownName(f"{p.place}.carries", p.carries, unit.outputs if unit else ())
        if p.carries and p.modulations:
            raise InvalidInput(
                f"{p.place}.modulation",
                "is not possible where a continuous output is carried",
                got=f"carries={p.carries!r}",
                fix="leave one of them out",
            )
        for group in (target, source) if p.plasticity is not None else ():
            if isinstance(group, Population) and group.stepped is not None:
                raise InvalidInput(
                    f"{p.place}.plasticity",
                    "is not possible with a stepped unit at either end",
                    got=group.name,
                    fix="let it learn between neurons, and a Modulation act on it",
                )

    def _check_modulation(self, p: Projection, m: Modulation, n_source: int, n_target: int) -> None:
        place = f"{p.place}.modulation"
        actors = self.group(m.by_name, f"{place}.by")
        if isinstance(actors, Input):
            raise InvalidInput(
                f"{place}.by",
                "must be a population; an input has no states",
                got=m.by_name,
                fix="name a population, e.g. one of Astrocyte()",
            )
        if not isinstance(m.by, str) and m.by is not actors:
            raise InvalidInput(
                f"{place}.by",
                "refers to a group that is not the one in the network",
                got=actors.name,
                fix="use one object, or the name",
            )
        if m.state not in actors.linear.states:
            raise UnknownName(f"{place}.state", m.state, actors.linear.states)
        dimension = actors.linear.dimensions[actors.linear.states.index(m.state)]
        pairs = np.asarray(p.wiring.pre).size if isinstance(p.wiring, Pairs) else None
        entries = {"source": n_source, "target": n_target, "synapse": pairs}[m.per]
        m.check(place, entries, actors.size, dimension)

    @staticmethod
    def _check_length(p: Projection, size: int | None, what: str) -> None:
        if size is None:
            return
        if not isinstance(p.wiring, Pairs):
            raise InvalidInput(
                f"{p.place}.{what}",
                "may be an array only with Pairs(pre, post)",
                got=f"{size} values",
                fix="use one value, Uniform or Normal",
            )
        wanted = np.asarray(p.wiring.pre).size
        if size != wanted:
            raise InvalidInput(
                f"{p.place}.{what}",
                "needs one value per synapse",
                got=f"{size} values for {wanted} synapses",
                fix=f"give {wanted} values, or one for all",
            )

    def _check_probe(self, probe: Probe) -> None:
        place = f"Probe {probe.key!r}"
        group = self.group(probe.pop_name, place)
        if isinstance(group, Input):
            raise InvalidInput(
                place,
                "an input has no states",
                fix="leave the probe out: spikes are recorded always",
            )
        if probe.state not in group.linear.states:
            raise UnknownName(place, probe.state, group.linear.states)
        if probe.neurons is not None:
            index = np.asarray(probe.neurons)
            if index.ndim != 1 or not index.size or index.dtype.kind not in "iu":
                raise InvalidInput(
                    f"{place}.neurons",
                    "must list one or more integers",
                    got=probe.neurons,
                    fix="leave it out to record all",
                )
            require(
                index,
                (index >= 0) & (index < group.size),
                f"{place}.neurons",
                f"must lie in 0 .. {group.size - 1}",
                fix=f"the group has {group.size} neurons, numbered from 0",
            )
        if probe.every is not None:
            ticks_of(probe.every, self.dt, f"{place}.every", minimum=1, single=True)

    @property
    def groups(self) -> tuple[Input | Population, ...]:
        """Inputs, stepped populations, all others: the order in which neurons are numbered."""
        stepped = tuple(p for p in self.populations if p.stepped is not None)
        return (*self.inputs, *stepped, *(p for p in self.populations if p not in stepped))

    def group(self, name: str, place: str = "Network") -> Input | Population:
        """Return the group called ``name``.

        Raises
        ------
        UnknownName
            If there is none; the message offers the nearest name.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise UnknownName(place, name, [group.name for group in self.groups])

    def projection(self, name: str) -> Projection:
        """Return the projection called ``name``.

        Raises
        ------
        UnknownName
            If there is none.
        """
        for projection in self.projections:
            if projection.name == name:
                return projection
        raise UnknownName("Network", name, [p.name for p in self.projections])

    def port(self, p: Projection) -> Port:
        """Return the port at which ``p`` arrives.

        Raises
        ------
        InvalidInput
            If its target is an input or does not exist, or the target has no such port.
        """
        target = self.group(p.post_name, f"{p.place}.target")
        if isinstance(target, Input):
            raise InvalidInput(
                f"{p.place}.target",
                "must be a population; an input takes no synapses",
                got=p.post_name,
                fix="exchange source and target, or replace the input by a Population",
            )
        if p.port not in target.linear.ports:
            raise UnknownName(f"{p.place}.port", p.port, target.linear.ports)
        return target.linear.ports[p.port]

    def check_weights(self, p: Projection, weight: FloatArray) -> None:
        """Raise unless ``weight`` (given, drawn or set later) is one that ``p`` may have.

        Raises
        ------
        InvalidInput
            If a weight is not finite, is negative on a port that subtracts, or lies
            outside the bounds of the learning rule.
        """
        place, port = f"{p.place}.weight", self.port(p)
        unit = CANONICAL[port.dimension]
        fix = "check where it comes from: 0/0, overflow, missing data"
        require(weight, np.isfinite(weight), place, "must be finite", unit, fix)
        if port.sign < 0 or p.port == "inh":
            rule = f"must not be negative: port {p.port!r} subtracts already"
            fix = "use magnitudes, or a distribution that stays positive"
            require(weight, weight >= 0, place, rule, unit, fix)
        if p.plasticity is not None:
            low, high = p.plasticity.bounds
            rule = f"must lie within the bounds {low:g} .. {high:g} of its learning rule"
            fix = "start within the bounds, or widen them"
            require(weight, (weight >= low) & (weight <= high), place, rule, unit, fix)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the whole description: equal networks have equal hashes."""
        return self._digest()

    @property
    def unchanged(self) -> bool:
        """Whether all arrays hold what they held when :attr:`hash` was first asked for."""
        return self.hash == self._digest()

    def _digest(self) -> str:
        digest = hashlib.sha256()
        _feed(digest, (self.dt, self.groups, self.projections, self.probes))
        return digest.hexdigest()


def _check_names(what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise InvalidInput(
                f"{what} name",
                "must be printable text, not empty",
                got=repr(name),
                fix="use a short name",
            )
        if name in RESERVED:
            raise InvalidInput(f"{what} name", "is reserved", got=repr(name), fix="choose another")
        if name in seen:
            raise InvalidInput(
                f"{what} name",
                "is used twice",
                got=repr(name),
                fix=f"give each {what} a name of its own",
            )
        seen.add(name)


def _feed(digest: hashlib._Hash, value: object) -> None:
    """Add ``value`` to ``digest``, with its type, so that different values differ."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        digest.update(f"array{array.dtype.str}{array.shape}".encode())
        if array.dtype.kind in "biuf":  # they are large at times: no copy of their bytes
            digest.update(array.reshape(-1).view(np.uint8).data)
        else:
            digest.update(array.tobytes())
    elif isinstance(value, tuple | list):
        digest.update(f"tuple{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif isinstance(value, Mapping):
        _feed(digest, [(key, value[key]) for key in sorted(value)])
    elif isinstance(value, Quantity) or is_dataclass(value):
        digest.update(type(value).__name__.encode())
        _feed(digest, _contents(value))
    else:
        digest.update(f"{type(value).__name__}:{value!r};".encode())


def _contents(value: Any) -> tuple[object, ...]:
    """Return what tells ``value`` from others of its type; groups are referred to by name."""
    if isinstance(value, Quantity):
        return value.dimension, np.asarray(value.value)
    if isinstance(value, Population):
        return value.name, value.size, value.linear, value.initial
    if isinstance(value, Probe):
        return value.key, value.neurons, value.every
    if isinstance(value, Modulation):
        value = replace(value, by=value.by_name, index=_array(value.index))
    left_out: tuple[str, ...] = ()
    if isinstance(value, Projection):
        value = replace(value, source=value.pre_name, target=value.post_name)
        unused = {"modulation": not value.modulations, "carries": not value.carries}
        left_out = tuple(name for name, absent in unused.items() if absent)  # as hashes were
    return tuple(getattr(value, f.name) for f in fields(value) if f.name not in left_out)


def _array(given: Any) -> Any:
    return None if given is None else np.asarray(given, np.int64)
