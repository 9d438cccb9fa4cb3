"""How a slow state (of an astrocyte, as a rule) acts on the synapses of a projection.

Sources: presynaptic gain in a step of the astrocytic state as in Gordleeva et al.
(2021), "Modeling working memory in a spiking neuron network accompanied by
astrocytes"; depression that follows the state as in Ivanov & Michmizos (2021),
"Increasing liquid state machine performance with edge-of-chaos dynamics organized
by astrocyte-modulated plasticity" (NALSM). The linear gain and the common form are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName, names_its_parameters
from spikecore.quantities import Quantity, magnitude, require

__all__ = ["ActsOn", "Modulation", "Per"]

ActsOn = Literal["delivery", "learning", "potentiation", "depression"]
Per = Literal["target", "source", "synapse"]

IndexArray = npt.NDArray[np.int64]


class Named(Protocol):
    """A population: what is needed of one here."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


@names_its_parameters
@dataclass(frozen=True, eq=False)
class Modulation:
    """A factor on the weights, or on the learning rate, of a projection.

    The factor of a synapse is ``max(0, base + gain * A)``, with A the state of the neuron (of
    the astrocyte) that :attr:`index` assigns to it; with a ``threshold`` it is ``base + gain``
    while A lies above the threshold, and ``base`` otherwise. A is read at the end of the tick
    in which a spike is sent, or a pair of spikes is learnt from (docs/semantics).

    Parameters
    ----------
    by : Population or str
        The population whose state acts, e.g. one of :class:`~spikecore.Astrocyte`.
    state : str
        Which of its states.
    gain : float
        Change of the factor per unit of the state (1/uM for a concentration); with a
        ``threshold``, the change of the factor above it.
    base : float
        Factor where the state is 0. With ``base=0, gain=1`` the factor is the state itself.
    threshold : Quantity, optional
        Makes the factor a step; of the dimension of the state.
    acts_on : {"delivery", "learning", "potentiation", "depression"}
        What is multiplied: the weight that a spike carries; ``A_plus`` and ``A_minus`` of
        the learning rule; only ``A_plus``; only ``A_minus``.
    per : {"target", "source", "synapse"}
        What :attr:`index` has one entry for: each target neuron, each source neuron, or each
        synapse (in the order of ``Pairs``).
    index : array_like of int, optional
        Number of the acting neuron. Default: 0 where there is only one, or else the number
        of the target neuron (source neuron, synapse).

    Raises
    ------
    InvalidInput, UnknownName
        If a number is not finite, an option is unknown, or ``index`` is no list of integers.
        What needs the network is checked by :class:`~spikecore.Network`.
    """

    by: Named | str
    state: str = "A"
    gain: float = 1.0
    base: float = 1.0
    threshold: Quantity | None = None
    acts_on: ActsOn = "delivery"
    per: Per = "target"
    index: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        for name in ("gain", "base"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not np.isfinite(value):
                raise InvalidInput(
                    f"Modulation.{name}",
                    "must be a finite number",
                    got=repr(value),
                    fix="give the change of the factor per unit of the state, without a unit",
                )
        for name, options in (("acts_on", ActsOn), ("per", Per)):
            if getattr(self, name) not in get_args(options):
                raise UnknownName(f"Modulation.{name}", str(getattr(self, name)), get_args(options))
        index = np.asarray(0 if self.index is None else self.index)
        if self.index is not None and (index.ndim != 1 or index.dtype.kind not in "iu"):
            raise InvalidInput(
                "Modulation.index",
                "must be a list of integers",
                got=f"{index.dtype} of shape {index.shape}",
                fix="give the number of the acting neuron for each entry, or leave it out",
            )

    @property
    def by_name(self) -> str:
        """Name of the population that acts."""
        return self.by if isinstance(self.by, str) else self.by.name

    @property
    def covers(self) -> frozenset[str]:
        """What it multiplies: delivery, potentiation, depression."""
        if self.acts_on == "learning":
            return frozenset({"potentiation", "depression"})
        return frozenset({self.acts_on})

    def check(self, place: str, entries: int | None, actors: int, dimension: str) -> None:
        """Raise if it does not fit its network.

        Parameters
        ----------
        place : str
            How errors name it.
        entries : int or None
            How many entries ``index`` has to have; None where no array is possible.
        actors : int
            Size of the population that acts.
        dimension : str
            Of the state that acts.
        """
        if self.threshold is not None:
            magnitude(self.threshold, dimension, f"{place}.threshold", single=True)
        if entries is None:
            raise InvalidInput(
                f"{place}.per",
                "may be 'synapse' only with Pairs(pre, post)",
                got=repr(self.per),
                fix="use per='target' or per='source'",
            )
        if self.index is None:
            if actors not in (1, entries):
                raise InvalidInput(
                    f"{place}.index",
                    f"is needed: one acting neuron for each of {entries} entries ({self.per})",
                    got=f"{actors} neurons in {self.by_name!r}",
                    fix=f"give index, or a population of 1 or {entries}",
                )
            return
        index = np.asarray(self.index)
        if index.size != entries:
            raise InvalidInput(
                f"{place}.index",
                f"needs one entry for each {self.per}",
                got=f"{index.size} entries for {entries}",
                fix=f"give {entries} entries",
            )
        require(
            index,
            (index >= 0) & (index < actors),
            f"{place}.index",
            f"must lie in 0 .. {actors - 1}",
            fix=f"{self.by_name!r} has {actors} neurons, numbered from 0",
        )

    def numbers(self, entries: int, actors: int) -> IndexArray:
        """Return the acting neuron of each entry."""
        if self.index is not None:
            return np.asarray(self.index, np.int64)
        return np.zeros(entries, np.int64) if actors == 1 else np.arange(entries)
