"""Synapses of a projection: drawn or taken as given, and sorted into rows.

They can be let go and made again: what is drawn comes from named streams, and what was given is
still there. So a session that has laid them out for itself need not keep them twice.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.rows import group_by_source, sort_rows
from spikecore.errors import InvalidInput
from spikecore.network import Network, Projection
from spikecore.quantities import Quantity, magnitude, off_grid, require, ticks_of
from spikecore.randomness import stream
from spikecore.wiring import Normal, Pairs, RowWiring, Uniform

__all__ = ["MAX_DELAY_TICKS", "HeldSynapses", "Synapses", "draw_synapses"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint32]

MAX_DELAY_TICKS = 2**24
"""Ring slots that a run may need: 16.7 M ticks, 400 MB of slot heads."""

PIECE = 1 << 16
"""Delays that are drawn or converted at a time: what is needed on the way stays in the cache."""


@dataclass(frozen=True, eq=False)
class Synapses:
    """Rows by source neuron, sorted by (source, delay, target).

    Attributes
    ----------
    row : ndarray of int64, shape (source_size + 1,)
    target : ndarray of uint32, shape (M,)
    weight : ndarray of float64, shape (M,) or (1,)
    delay : ndarray of uint32, shape (M,) or (1,)
    order : ndarray of uint32, shape (M,), or None
        Position of each in the user's order; None if it is the same, or nobody asked.
    reordered : bool
        Whether it is another.
    notes : tuple of str
        What the user should know.
    """

    row: IndexArray
    target: Counts
    weight: FloatArray
    delay: Counts
    order: Counts | None
    reordered: bool
    notes: tuple[str, ...]


class HeldSynapses:
    """Synapses that are held until they are let go, and made again if they are needed later.

    Parameters
    ----------
    make : callable
        Makes them, with their order if its argument is true.
    network : Network
        What they are made from.
    keep_order : bool
        Whether the order is known, and kept, from the beginning.
    """

    def __init__(
        self, make: Callable[[bool], Synapses], network: Network, *, keep_order: bool
    ) -> None:
        self._make, self._network = make, network
        made = make(keep_order)
        self._held: Synapses | None = made
        self._order, self.reordered, self.notes = made.order, made.reordered, made.notes
        self.weight_shape = made.weight.shape

    @property
    def held(self) -> Synapses:
        """The synapses: those held, or made again.

        Raises
        ------
        InvalidInput
            If they cannot be made again, as arrays of the network have been changed.
        """
        return self._again(ordered=False) if self._held is None else self._held

    @property
    def order(self) -> Counts | None:
        """Position of each in the user's order, None if it is the same; kept once asked for."""
        if self.reordered and self._order is None:
            self._order = self._again(ordered=True).order
        return self._order

    def with_weights(self, weight: FloatArray) -> HeldSynapses:
        """Return the same synapses with other weights, in row order, or with one for all."""
        other, make = copy(self), self._make
        other._make = lambda ordered: replace(make(ordered), weight=weight)
        other._held = replace(self.held, weight=weight)
        other.weight_shape = weight.shape
        return other

    def let_go(self) -> None:
        """Hold them no longer."""
        _ = self._network.hash  # of the arrays as they are now
        self._held = None

    def _again(self, *, ordered: bool) -> Synapses:
        if not self._network.unchanged:
            raise InvalidInput(
                "Network",
                "has arrays that were changed after a simulation was made of it, "
                "and they are needed once more",
                fix="give it copies of arrays that you change",
            )
        return self._make(ordered)


def draw_synapses(
    p: Projection, network: Network, sizes: tuple[int, int], seed: int, *, ordered: bool
) -> Synapses:
    """Draw the synapses of ``p``, or take those given, and sort them into rows.

    Parameters
    ----------
    sizes : (int, int)
        Neurons at both ends.
    ordered : bool
        Whether the order is asked for.

    Raises
    ------
    InvalidInput
        If a drawn weight or delay breaks a rule, or a delay exceeds :data:`MAX_DELAY_TICKS`.
    """
    notes: list[str] = []
    row, target, grouped = _ends(p, sizes, seed)
    size = target.size
    if size == 0:
        notes.append(f"{p.place} has no synapses")
    weight = _weights(p, size, network, seed)
    delay = _delays(p, size, network.dt, seed, notes)
    if grouped is not None:
        target = target[grouped]
        weight = weight if weight.size == 1 else weight[grouped]
        delay = delay if delay.size == 1 else delay[grouped]
    others: list[npt.NDArray[Any]] = []
    if weight.size > 1:
        others.append(weight if grouped is not None else _not_ours(weight, p))
    if ordered:
        others.append(np.arange(size, dtype=np.uint32) if grouped is None else grouped)
    reordered = sort_rows(row, target, delay, others) or grouped is not None
    if reordered and weight.size > 1:
        weight = others[0].astype(np.float64, copy=False)
    return Synapses(
        row=row,
        target=target,
        weight=weight,
        delay=delay,
        order=others[-1].astype(np.uint32, copy=False) if ordered and reordered else None,
        reordered=reordered,
        notes=tuple(notes),
    )


def _not_ours(weight: FloatArray, p: Projection) -> FloatArray:
    """Return ``weight`` as it is not to be written to, if it is an array of the user's."""
    seen = weight.view()
    seen.flags.writeable = not isinstance(p.weight, Quantity)
    return seen


def _ends(
    p: Projection, sizes: tuple[int, int], seed: int
) -> tuple[IndexArray, Counts, Counts | None]:
    """Return rows and targets, and the permutation that groups synapses given in another order."""
    rng = stream(seed, f"{p.name}/wiring")
    if isinstance(p.wiring, RowWiring):
        return *p.wiring.rows(*sizes, rng), None
    if isinstance(p.wiring, Pairs):
        pre, post = np.asarray(p.wiring.pre), np.asarray(p.wiring.post)
    else:
        pre, post = p.wiring.pairs(*sizes, rng)
    row, grouped = group_by_source(pre, sizes[0])
    return row, post.astype(np.uint32), grouped


def _weights(p: Projection, size: int, network: Network, seed: int) -> FloatArray:
    place, port = f"{p.place}.weight", network.port(p)
    if isinstance(p.weight, Quantity):
        weight = np.atleast_1d(magnitude(p.weight, port.dimension, place))
    else:
        weight = p.weight.draw(size, port.dimension, place, stream(seed, f"{p.name}/weight"))
        network.check_weights(p, weight)
    if p.plasticity is not None or size == 0:
        return np.array(np.broadcast_to(weight, (size,)))
    return weight


def _delays(p: Projection, size: int, dt: float, seed: int, notes: list[str]) -> Counts:
    place = f"{p.place}.delay"
    if isinstance(p.delay, Quantity):
        ticks = np.atleast_1d(ticks_of(p.delay, dt, place, minimum=1, rounding=p.rounding))
        if p.rounding == "nearest":
            moved = int(off_grid(p.delay.value, dt).sum())
            if moved:
                notes.append(f"{place}: {moved} rounded to the grid")
        _check_longest(ticks, dt, place)
        return ticks.astype(np.uint32)
    for piece in (PIECE, size):  # all at once where one is wrong: the error counts them all
        rng = stream(seed, f"{p.name}/delay")
        try:
            return _drawn_delays(p.delay, (size, piece), dt, place, rng)
        except InvalidInput:
            if piece >= size:
                raise
    raise AssertionError("the last piece is all")


def _drawn_delays(
    spread: Uniform | Normal,
    sizes: tuple[int, int],
    dt: float,
    place: str,
    rng: np.random.Generator,
) -> Counts:
    size, piece = sizes
    found = np.empty(size, np.uint32)
    # What lies outside the limits of a normal distribution is drawn again after all others.
    piece = piece if isinstance(spread, Uniform) else max(1, size)
    for begin in range(0, size, piece):
        own = found[begin : begin + piece]
        drawn = spread.draw(own.size, "time", place, rng)
        ticks = np.rint(drawn / dt).astype(np.int64)
        require(
            drawn,
            ticks >= 1,
            place,
            f"drawn below the minimum of one tick ({dt:g} ms)",
            "ms",
            fix="choose a distribution that stays above one tick",
        )
        _check_longest(ticks, dt, place)
        own[:] = ticks
    return found


def _check_longest(ticks: IndexArray, dt: float, place: str) -> None:
    if ticks.size and ticks.max() > MAX_DELAY_TICKS:
        raise InvalidInput(
            place,
            f"must not exceed {MAX_DELAY_TICKS} ticks "
            f"({MAX_DELAY_TICKS * dt:g} ms): the ring would need "
            f"{int(ticks.max()) * 24 / 1e9:.1f} GB",
            got=f"{ticks.max() * dt:g} ms",
            fix="use a larger dt or a relay population",
        )
