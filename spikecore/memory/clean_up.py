"""Fragments mended before the spikes see them, by the memory with astrocytes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spikecore.errors import InvalidInput
from spikecore.memory.associative import MAX_NEURONS, AstrocyteAssociativeMemory

__all__ = ["check_clean_up", "cleaned_up"]

Bits = frozenset[int]

STEPS, PRESENTATIONS = 80, 3
_LARGEST_MEAN = 0.98


def check_clean_up(kind: str, size: int) -> None:
    """Raise if fragments of this kind of content cannot be mended.

    Raises
    ------
    InvalidInput
        For texts, whose fragments are parts and say nothing of the rest; and beyond 2048 bits.
    """
    if kind == "text":
        raise InvalidInput(
            "clean-up",
            "mends whole contents with wrong bits, which a fragment of text is not",
            got=kind,
            fix="search without it, with a lower threshold",
        )
    if size > MAX_NEURONS:
        raise InvalidInput(
            "clean-up",
            f"works with up to {MAX_NEURONS} bits",
            got=size,
            fix="search without it, with a lower threshold",
        )


def cleaned_up(fragment: Bits, contents: Iterable[Bits], size: int) -> Bits:
    """Return the bits that the network shows after it has been shown ``fragment``.

    Parameters
    ----------
    fragment : frozenset of int
        Bits that are on; all others count as off.
    contents : iterable of frozenset of int
        What is stored.
    size : int
        Number of bits.
    """
    different = sorted({tuple(sorted(bits)) for bits in contents})
    if not different:
        return fragment
    patterns = np.full((len(different), size), -1, np.int8)
    for row, bits in zip(patterns, different, strict=True):
        row[list(bits)] = 1
    mean = float(np.clip(patterns.mean(), -_LARGEST_MEAN, _LARGEST_MEAN))
    network = AstrocyteAssociativeMemory(size, mean=mean)
    network.store(patterns)
    cue = np.full(size, -1, np.int8)
    cue[list(fragment)] = 1
    # Two more showings than in the paper, shorter ones: what is mended at all is mended then.
    found = network.recall(cue, presentations=PRESENTATIONS, steps=STEPS)
    if not len(found.patterns):
        raise KeyboardInterrupt
    return frozenset(np.flatnonzero(found.patterns[0] > 0).tolist())
