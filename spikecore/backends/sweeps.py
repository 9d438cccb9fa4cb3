"""Stepped populations on the grid: who moves them, and who sends what they put out."""

from __future__ import annotations

from dataclasses import dataclass

from spikecore.network import Network, Population, Projection
from spikecore.quantities import ticks_of
from spikecore.units.stepped import SteppedUnit, change_of

__all__ = ["Sweep", "sender", "senders", "sweeps_of"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """A stepped population: who moves it, and when.

    Attributes
    ----------
    population : int
        Its number among the populations.
    unit : SteppedUnit
    every : int
        Ticks of a step.
    carried : tuple of (int, int)
        For each continuous output that projections carry: first number of the senders that
        stand for it, and the state that holds its change.
    """

    population: int
    unit: SteppedUnit
    every: int
    carried: tuple[tuple[int, int], ...]


def senders(network: Network) -> dict[tuple[str, str], str]:
    """Name a group of senders for each continuous output (population, output) that is carried."""
    return {(p.pre_name, p.carries): sender(p) for p in network.projections if p.carries}


def sender(p: Projection) -> str:
    """Return the group whose spikes a projection sends on."""
    # No group of a user has a line end in its name.
    return f"{p.pre_name}: {p.carries}\n" if p.carries else p.pre_name


def sweeps_of(
    network: Network,
    ordered: list[Population],
    groups: dict[str, tuple[int, int]],
    sending: dict[tuple[str, str], str],
) -> tuple[Sweep, ...]:
    """Return the stepped ones among the populations.

    Parameters
    ----------
    network : Network
    ordered : list of Population
        In the order of their numbers.
    groups : dict of str to (int, int)
        First number and size of every group.
    sending : dict
        From :func:`senders`.
    """
    found = []
    for i, p in enumerate(ordered):
        if p.stepped is not None:
            every = int(ticks_of(p.stepped.step, network.dt, p.name, minimum=1))
            carried = tuple(
                (groups[name][0], p.linear.states.index(change_of(output)))
                for (pop, output), name in sending.items()
                if pop == p.name
            )
            found.append(Sweep(i, p.stepped, every, carried))
    return tuple(found)
