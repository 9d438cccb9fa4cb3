"""Named random streams: every draw depends on the seed and on its own name only.

Adding a projection, or changing the order of two, leaves the draws of all the
others as they were; a longer run starts with the same input as a shorter one.
"""

from __future__ import annotations

import hashlib

import numpy as np

from spikecore.errors import InvalidInput

__all__ = ["check_seed", "stream"]

MAX_SEED = 2**64 - 1


def check_seed(seed: object, place: str = "seed") -> int:
    """Return ``seed`` as an int, or say why it is not one.

    Raises
    ------
    InvalidInput
        If the seed is not an integer from 0 to 2**64 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise InvalidInput(place, "must be an integer", got=repr(seed), fix="use e.g. seed=0")
    if not 0 <= int(seed) <= MAX_SEED:
        raise InvalidInput(place, f"must lie in 0 .. {MAX_SEED}", got=seed, fix="use e.g. seed=0")
    return int(seed)


def stream(seed: int, name: str, block: int = 0) -> np.random.Generator:
    """Return the generator that belongs to ``(seed, name, block)``.

    Parameters
    ----------
    seed : int
        The seed of the run.
    name : str
        What the draws are for, e.g. ``"projection/3/weight"``.
    block : int
        Number of the time block, for inputs that are drawn piece by piece.

    Returns
    -------
    numpy.random.Generator
        A Philox counter-based generator: its output is the same on every platform.
    """
    digest = hashlib.sha256(f"{check_seed(seed)}/{name}/{block}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
