"""Running networks: ``run`` for one go, ``Simulation`` for pieces."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredProjection, lower
from spikecore.backends.protocol import Backend, Options, checked_options
from spikecore.backends.registry import get_backend, split_backend
from spikecore.checkpoint import read_checkpoint, write_checkpoint
from spikecore.errors import CapabilityRefused, InvalidInput, SpikecoreError, UnknownName
from spikecore.events import Spikes
from spikecore.inputs import Input
from spikecore.network import Network
from spikecore.progress import progress_bar
from spikecore.quantities import Quantity, ticks_of
from spikecore.randomness import check_seed
from spikecore.results import Result

__all__ = ["Simulation", "run", "run_batch"]


def run(  # noqa: PLR0913 - all but two are by keyword
    network: Network,
    duration: Quantity,
    *,
    backend: str = "event",
    seed: int = 0,
    precision: str = "float64",
    progress: bool = False,
    max_pending: int = Options.max_pending,
    max_trace_bytes: int = Options.max_trace_bytes,
    options: Mapping[str, str] | None = None,
) -> Result:
    """Run ``network`` for ``duration`` and return what happened.

    Parameters
    ----------
    network : Network
        What to run.
    duration : Quantity
        Model time (time), on the grid.
    backend : str
        ``"event"`` (default), ``"clocked"``, ``"brian2"`` or any registered name; options
        may follow after a colon, ``"brian2:target=cython"``.
    seed : int
        Seed of all random draws, 0 to 2**64 - 1. Recorded in the result.
    precision : {"float64", "float32"}
        Arithmetic of states and weights.
    progress : bool
        Show a bar (never where standard error is not a terminal).
    max_pending : int
        Budget of synaptic events in flight; beyond it the run stops with status
        "runaway".
    max_trace_bytes : int
        Memory that probes may fill; a run that would need more is refused.
    options : mapping of str to str, optional
        Options of the backend itself, e.g. ``{"target": "cython"}``; see docs/backends.

    Returns
    -------
    Result
        Complete, or with a status that says why it is partial: "interrupted"
        (Ctrl-C, SIGTERM), "diverged" (a state is no longer finite), "runaway".

    Raises
    ------
    InvalidInput, UnitMismatch
        If the duration, seed or precision is wrong.
    UnknownName, BackendUnavailable, CapabilityRefused
        If the backend does not exist, cannot start, or cannot run this network.
    """
    simulation = Simulation(
        network,
        backend=backend,
        seed=seed,
        precision=precision,
        max_pending=max_pending,
        max_trace_bytes=max_trace_bytes,
        options=options,
    )
    return simulation.run(duration, progress=progress)


def run_batch(  # noqa: PLR0913 - all but three are by keyword
    network: Network,
    duration: Quantity,
    feeds: Sequence[Mapping[str, tuple[Quantity, npt.ArrayLike]]],
    *,
    backend: str = "event",
    seed: int = 0,
    precision: str = "float64",
    progress: bool = False,
    max_pending: int = Options.max_pending,
    max_trace_bytes: int = Options.max_trace_bytes,
    options: Mapping[str, str] | None = None,
) -> list[Result]:
    """Run copies of ``network`` that differ in what is fed to them.

    All have the same wiring, weights and drawn inputs, those of ``seed``. A backend that can
    (``torch``) runs them at the same time, others one after the other: the results are the
    same.

    Parameters
    ----------
    network, duration, backend, seed, precision, progress, max_pending, max_trace_bytes, options
        As in :func:`run`; ``max_trace_bytes`` is for each copy.
    feeds : sequence of mapping of str to (Quantity, array_like of int)
        For each copy: by input, times (time) and neurons, as in :meth:`Simulation.feed`.

    Returns
    -------
    list of Result
        One for each copy, as from :func:`run`.

    Raises
    ------
    InvalidInput, UnitMismatch, UnknownName, BackendUnavailable, CapabilityRefused
        As in :func:`run` and :meth:`Simulation.feed`, before anything is run.
    """
    if not feeds:
        raise InvalidInput("feeds", "must hold at least one mapping", got=0, fix="use [{}]")
    ticks = int(ticks_of(duration, network.dt, "duration", minimum=1, single=True))
    start: dict[str, Any] = {
        "backend": backend,
        "seed": seed,
        "precision": precision,
        "max_pending": max_pending,
        "max_trace_bytes": max_trace_bytes,
        "options": options,
    }
    chosen, how, lowered = _prepared(network, **start)
    lowered = replace(lowered, shared=True)
    spikes = [_fed_spikes(lowered, feed, f"feeds[{i}]") for i, feed in enumerate(feeds)]
    together = getattr(chosen, "run_copies", None)
    with progress_bar("running", ticks * len(feeds), enabled=progress) as advance:
        if together is not None:
            return list(together(lowered, how, spikes, ticks, lambda n: advance(n * len(feeds))))
        results = []
        for when, who in spikes:
            session = chosen.prepare(lowered, how)
            session.feed(when, who)
            session.advance(ticks, advance)
            results.append(session.result())
            if results[-1].status == "interrupted":
                break
    return results


def _prepared(
    network: Network,
    *,
    backend: str,
    seed: int,
    precision: str,
    max_pending: int,
    max_trace_bytes: int,
    options: Mapping[str, str] | None,
) -> tuple[Backend, Options, Lowered]:
    """Check everything that can be checked before a session is opened."""
    if precision not in ("float64", "float32"):
        raise UnknownName("precision", str(precision), ("float64", "float32"))
    if not isinstance(network, Network):
        raise InvalidInput(
            "network",
            "must be a Network",
            got=type(network).__name__,
            fix="build one: Network([...])",
        )
    name, own = split_backend(backend)
    chosen = get_backend(name)
    own = checked_options(chosen, own | dict(options or {}))
    how = Options(precision, max_pending, max_trace_bytes, own)
    lowered = lower(network, check_seed(seed))
    reasons = chosen.capabilities(how).refusals(lowered, how)
    if reasons:
        raise CapabilityRefused(name, reasons)
    return chosen, how, lowered


def _fed_spikes(
    lowered: Lowered, feed: Mapping[str, tuple[Quantity, npt.ArrayLike]], place: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    known = [i.name for i in lowered.network.inputs]
    ticks, neurons = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for name, (times, who) in feed.items():
        if name not in known:
            raise UnknownName(place, name, known)
        start, size = lowered.groups[name]
        spikes = Spikes.checked(times, who, size=size, dt=lowered.dt, place=f"{place}[{name!r}]")
        ticks.append(spikes.ticks)
        neurons.append(spikes.neurons + start)
    when, own = np.concatenate(ticks), np.concatenate(neurons)
    order = np.lexsort((own, when))
    return when[order], own[order]


class Simulation:
    """A network that is run in pieces, fed while it runs, saved and restored.

    ``run(100 ms)`` gives the same spikes as ``run(40 ms)`` then ``run(60 ms)``, with or
    without :meth:`save` and :meth:`restore` in between.

    Parameters
    ----------
    network, backend, seed, precision, max_pending, max_trace_bytes, options
        As in :func:`run`.

    Examples
    --------
    >>> from spikecore import *
    >>> net = Network(
    ...     [
    ...         Input("in", 1),
    ...         Population("out", 1, LIF(synapse=Delta())),
    ...         Projection("in", "out", OneToOne(), weight=20 * mV, delay=2 * ms),
    ...     ]
    ... )
    >>> simulation = Simulation(net)
    >>> simulation.feed("in", [3] * ms, [0])
    >>> simulation.run(10 * ms).spikes["out"].times
    array([5.])
    """

    def __init__(
        self,
        network: Network,
        *,
        backend: str = "event",
        seed: int = 0,
        precision: str = "float64",
        max_pending: int = Options.max_pending,
        max_trace_bytes: int = Options.max_trace_bytes,
        options: Mapping[str, str] | None = None,
    ) -> None:
        chosen, how, lowered = _prepared(
            network,
            backend=backend,
            seed=seed,
            precision=precision,
            max_pending=max_pending,
            max_trace_bytes=max_trace_bytes,
            options=options,
        )
        self._capabilities = chosen.capabilities(how)
        self._advice: tuple[str, ...] = ()
        self.network = network
        self._lowered = lowered
        self._session = chosen.prepare(lowered, how)
        self._identity: dict[str, Any] = {
            "network": network.hash,
            "seed": lowered.seed,
            "backend": split_backend(backend)[0],
            "precision": precision,
        }

    @property
    def time(self) -> float:
        """Model time run so far, ms."""
        return self._session.tick * self._lowered.dt

    def advice(self, duration: Quantity) -> tuple[str, ...]:
        """Say, before anything runs, whether another backend is the better choice for this.

        From costs that were measured; :meth:`run` adds it to the notes of the result.

        Parameters
        ----------
        duration : Quantity
            Model time (time), on the grid.
        """
        found = self._capabilities.advice(self._lowered, self._checked_ticks(duration))
        return (f"backend {self._identity['backend']!r}: {found}",) if found else ()

    def run(self, duration: Quantity, *, progress: bool = False, weights: bool = True) -> Result:
        """Go on for ``duration``; return everything since the start.

        Parameters
        ----------
        duration : Quantity
            Model time (time), on the grid.
        progress : bool
            Show a bar (never where standard error is not a terminal).
        weights : bool
            As in :meth:`result`.

        Raises
        ------
        InvalidInput
            If the duration is not a positive time on the grid, or the simulation has
            ended (diverged, runaway).
        CapabilityRefused
            If the backend runs in one piece, and has.
        """
        ticks = self._checked_ticks(duration)
        self._advice = self.advice(duration)
        with progress_bar("running", ticks, enabled=progress) as advance:
            self._session.advance(self._session.tick + ticks, advance)
        return self.result(weights=weights)

    def step(self, duration: Quantity) -> dict[str, Spikes]:
        """Go on for ``duration``; return the spikes of that time alone.

        For closed loops, in which each short step depends on the one before:
        :meth:`run` would return everything since the start each time.

        Parameters
        ----------
        duration : Quantity
            Model time (time), on the grid.

        Returns
        -------
        dict of str to Spikes
            By group; ticks count from the start of the simulation.

        Raises
        ------
        InvalidInput
            As :meth:`run`.
        CapabilityRefused
            If the backend runs in one piece.
        SpikecoreError
            If the run ends before its time: diverged or runaway.
        KeyboardInterrupt
            On Ctrl-C or SIGTERM, at the end of a tick.
        """
        if not self._capabilities.pieces:
            self._refuse("it runs in one piece, not in steps")
        before = self._session.tick
        status = self._session.advance(before + self._checked_ticks(duration))
        if status == "interrupted":
            raise KeyboardInterrupt
        if status != "complete":
            message = self.result(weights=False).message
            fix = "look for weights or currents that are far too large; clear() starts again"
            raise SpikecoreError("Simulation.step", f"the run was {status}: {message}", fix=fix)
        return self._session.spikes_since(before)

    def result(self, *, weights: bool = True) -> Result:
        """Return everything since the start.

        Parameters
        ----------
        weights : bool
            False leaves the final weights out, which saves time where synapses are many.
        """
        result = self._session.result(weights=weights)
        return replace(result, notes=(*result.notes, *self._advice))

    def feed(self, source: Input | str, times: Quantity, neurons: npt.ArrayLike) -> None:
        """Add spikes of an input, at or after the present time.

        Parameters
        ----------
        source : Input or str
            Which input.
        times : Quantity, shape (N,)
            Absolute model times (time), on the grid.
        neurons : array_like of int, shape (N,)
            Which of its neurons.

        Raises
        ------
        InvalidInput
            If a time lies in the past or off the grid, or a neuron does not exist.
        UnknownName
            If there is no such input.
        """
        name = source if isinstance(source, str) else source.name
        if name not in {i.name for i in self.network.inputs}:
            raise UnknownName("Simulation.feed", name, [i.name for i in self.network.inputs])
        start, size = self._lowered.groups[name]
        spikes = Spikes.checked(
            times, neurons, size=size, dt=self._lowered.dt, place=f"feed to {name!r}"
        )
        self._session.feed(spikes.ticks, spikes.neurons + start)

    def weights(self, projection: str) -> npt.NDArray[np.float64]:
        """Return the weights of a projection now, one per synapse, in the order given.

        Raises
        ------
        UnknownName
            If there is no such projection.
        """
        number, p = self._find(projection)
        return p.in_given_order(self._session.weights(number))

    def set_weights(self, projection: str, values: npt.ArrayLike) -> None:
        """Replace the weights of a projection, in the unit of its port.

        Parameters
        ----------
        projection : str
            Its name.
        values : array_like of float
            One per synapse, in the order given; or a single value where the
            projection was made with one weight for all.

        Raises
        ------
        InvalidInput
            If the number of values is wrong, one is not finite, or lies outside the
            bounds of the learning rule.
        """
        number, p = self._find(projection)
        array = np.asarray(values, dtype=np.float64)
        wanted = p.synapses.weight_shape
        if array.shape not in ((), wanted):
            raise InvalidInput(
                f"Projection {projection!r}.weight",
                f"must have shape {wanted}",
                got=array.shape,
                fix="give one value per synapse, in the order of weights()",
            )
        self.network.check_weights(self.network.projection(projection), array)
        self._session.set_weights(number, p.in_row_order(np.broadcast_to(array, wanted)))

    def _checked_ticks(self, duration: Quantity) -> int:
        """Return a duration in ticks, if the simulation can go on for so long."""
        ticks = int(ticks_of(duration, self._lowered.dt, "duration", minimum=1, single=True))
        if self._session.status in ("diverged", "runaway"):
            raise InvalidInput(
                "Simulation.run",
                f"this simulation has {self._session.status}",
                fix="start a new one",
            )
        if self._session.tick > 0 and not self._capabilities.pieces:
            self._refuse("it runs in one piece: what has ended cannot go on")
        return ticks

    def _find(self, projection: str) -> tuple[int, LoweredProjection]:
        names = [p.name for p in self._lowered.projections]
        if projection not in names:
            raise UnknownName("projection", projection, names)
        number = names.index(projection)
        return number, self._lowered.projections[number]

    def clear(self) -> None:
        """Start again at time 0 with all states at rest; the weights stay as they are."""
        self._session.clear()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: states, weights, spikes in flight and all results so far.

        Raises
        ------
        FileRefused
            If the file cannot be written; an older file stays as it was.
        CapabilityRefused
            If the backend has no checkpoints.
        """
        self._needs_checkpoints()
        write_checkpoint(path, self._identity, self._session.snapshot())

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint of the same network, seed, backend and precision.

        Raises
        ------
        FileRefused
            If the file is damaged or belongs to something else; nothing has changed then.
        CapabilityRefused
            If the backend has no checkpoints.
        """
        self._needs_checkpoints()
        self._session.restore(read_checkpoint(path, self._identity))

    def _needs_checkpoints(self) -> None:
        if not self._capabilities.checkpoint:
            self._refuse("it has no checkpoints")

    def _refuse(self, reason: str) -> NoReturn:
        raise CapabilityRefused(self._identity["backend"], [reason])
