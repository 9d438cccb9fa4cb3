"""What was found, and how much of it is right: the motif, in the very tick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.events import Spikes

__all__ = ["DetectionScore", "Detections", "score", "strongest"]


@dataclass(frozen=True, eq=False)
class Detections:
    """Motifs found, sorted by tick, then by motif.

    Attributes
    ----------
    ticks, motifs : ndarray of int64, shape (K,)
        When and which.
    evidence : ndarray of float64, shape (K,)
        How sure: natural logarithm of the odds, where the layer is a model of the data.
    """

    ticks: npt.NDArray[np.int64]
    motifs: npt.NDArray[np.int64]
    evidence: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.ticks.size)

    def winners(self) -> Detections:
        """Keep the strongest of each tick; of equals, the one with the lowest number."""
        order = np.lexsort((self.motifs, -self.evidence, self.ticks))
        kept = order[np.diff(self.ticks[order], prepend=-1) > 0]
        return Detections(self.ticks[kept], self.motifs[kept], self.evidence[kept])


@dataclass(frozen=True)
class DetectionScore:
    """Detections held against the ground truth.

    Attributes
    ----------
    correct : int
        Detections with the right motif in the right tick.
    detected, occurred : int
        Detections and occurrences in all.
    """

    correct: int
    detected: int
    occurred: int

    @property
    def accuracy(self) -> float:
        """Share of the occurrences that were detected (not a number if there were none)."""
        return self.correct / self.occurred if self.occurred else float("nan")

    @property
    def precision(self) -> float:
        """Share of the detections that are right (not a number if there were none)."""
        return self.correct / self.detected if self.detected else float("nan")

    def __add__(self, other: DetectionScore) -> DetectionScore:
        return DetectionScore(
            self.correct + other.correct,
            self.detected + other.detected,
            self.occurred + other.occurred,
        )


def score(found: Detections, occurrences: Spikes) -> DetectionScore:
    """Count detections that have both the motif and the tick of an occurrence.

    Parameters
    ----------
    found : Detections
        From :meth:`MotifLayer.detect` or :func:`strongest`.
    occurrences : Spikes
        The ground truth: motifs and the ticks in which they are complete.
    """
    seen = set(zip(found.ticks.tolist(), found.motifs.tolist(), strict=True))
    true = set(zip(occurrences.ticks.tolist(), occurrences.neurons.tolist(), strict=True))
    return DetectionScore(len(seen & true), len(seen), len(true))


def strongest(evidence: npt.NDArray[np.float64], number: int) -> Detections:
    """Return the ``number`` entries with the most evidence, all motifs and ticks together.

    This is the rule of the ICANN paper, which takes as many as there were occurrences.

    Parameters
    ----------
    evidence : ndarray, shape (ticks, n_motifs)
        From :meth:`MotifLayer.evidence`.
    number : int
        How many. Of equal ones, the first by tick and motif are taken.
    """
    flat = evidence.ravel()
    best = np.sort(np.argsort(-flat, kind="stable")[:number])
    tick, motif = np.divmod(best, evidence.shape[1])
    return Detections(tick, motif, flat[best])
