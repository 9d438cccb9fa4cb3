"""What a memory answers, and what each operation did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikecore.memory.cam import Episode

__all__ = ["Answer", "Report"]

Bits = frozenset[int]


@dataclass(frozen=True, eq=False)
class Answer:
    """One memory that answered.

    Attributes
    ----------
    cue : str
        Its name.
    content : object
        Decoded content: a tuple of names, a str, or an array of bool.
    bits : frozenset of int
        The content bits that spiked.
    overlap : float
        How sure: for a search, the share of the fragment's bits that the content has;
        for a recall, how far both directions of the association agree (Jaccard).
    note : str
        Which reading of the fragment fits best, where there are several.
    """

    cue: str
    content: Any
    bits: Bits
    overlap: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """What one operation did.

    Attributes
    ----------
    operation : {"store", "recall", "search", "forget"}
    outcome : str
        ``"stored"``, ``"replaced"``, ``"recalled"``, ``"found"``, ``"forgotten"``,
        ``"nothing stored"`` or ``"no match"``.
    cue : str or None
        The cue the user named.
    answers : tuple of Answer
        Best first.
    disturbed : tuple of str
        Other memories whose content this operation changed (preset ``published`` only).
    model_ms, wall_ms : float
        Model time and wall-clock time.
    spikes : int
        Spikes of all populations.
    backend : str
        Where they ran.
    threshold : float or None
        Overlap asked for in a search.
    episodes : tuple of Episode
        Everything that ran, for plots.
    cleaned : frozenset of int or None
        The fragment after a clean-up, None without one. (Its time is not in ``wall_ms``.)
    """

    operation: str
    outcome: str
    cue: str | None
    answers: tuple[Answer, ...]
    disturbed: tuple[str, ...]
    model_ms: float
    spikes: int
    wall_ms: float
    backend: str
    threshold: float | None = None
    episodes: tuple[Episode, ...] = ()
    cleaned: Bits | None = None

    @property
    def best(self) -> Answer | None:
        """The first answer, if any."""
        return self.answers[0] if self.answers else None
