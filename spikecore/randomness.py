"""Named random streams: every draw depends on the seed and on its own name only.

Adding a projection, or changing the order of two, leaves the draws of all the
others as they were; a longer run starts with the same input as a shorter one.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput

__all__ = ["LARGEST", "check_seed", "counter_bits", "counter_key", "poisson_steps", "stream"]

MAX_SEED = 2**64 - 1
LARGEST = np.uint64(2**64 - 1)

_MULTIPLIER, _WEYL, _ROUNDS = np.uint64(0xD256D193), 0x9E3779B9, 10
_LOW = np.uint64(0xFFFFFFFF)


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


def counter_key(seed: int, name: str) -> int:
    """Return the 32-bit key that belongs to ``(seed, name)``."""
    digest = hashlib.sha256(f"{check_seed(seed)}/{name}/counter".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def counter_bits(
    first: npt.NDArray[np.uint32], second: np.uint32, key: int
) -> npt.NDArray[np.uint64]:
    """Return 64 random bits for each counter ``(first[i], second)``: Philox2x32-10.

    Whole numbers all the way, so that every machine draws the same.

    Parameters
    ----------
    first : ndarray of uint32, shape (N,)
    second : uint32
    key : int
        32 bits.

    Returns
    -------
    ndarray of uint64, shape (N,)
    """
    a = first.astype(np.uint64)
    b = np.full(a.shape, second, np.uint64)
    for number in range(_ROUNDS):
        product = a * _MULTIPLIER
        round_key = np.uint64((key + number * _WEYL) & 0xFFFFFFFF)
        a, b = (product >> np.uint64(32)) ^ round_key ^ b, product & _LOW
    bits: npt.NDArray[np.uint64] = (a << np.uint64(32)) | b
    return bits


def poisson_steps(mean: float) -> npt.NDArray[np.uint64]:
    """Return where the number drawn from 64 random bits grows by one.

    ``(bits >= steps).sum()`` is Poisson distributed with ``mean`` at most 50, to a
    resolution of 2**-53; what is less likely than 2**-53 is never drawn.
    """
    steps, term, total = [], float(np.exp(-mean)), 0.0
    for count in range(1, 1000):
        total += term
        term *= mean / count
        if total >= 1.0 - 2.0**-53 or (count > mean and term < 2.0**-54):
            break
        steps.append(min(int(total * 2.0**53), 2**53 - 1) << 11)
    return np.array(steps, np.uint64)
