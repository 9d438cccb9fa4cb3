"""Tasks that ask how long, and how much, a network remembers. All are drawn from a seed.

A task is spikes in, and an answer at the end, which is one of a few classes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from spikecore.astro.checks import check_number
from spikecore.astro.memory import Traffic, Variant, chunked, empty_memory
from spikecore.errors import BackendUnavailable

__all__ = [
    "Trials",
    "associative_recall",
    "capacity",
    "capacity_law",
    "copy_sequence",
    "delayed_recall",
    "sequential_digits",
]

CUE = 4
"""Ticks that a question lasts."""


class Trials(NamedTuple):
    """A batch of trials.

    Attributes
    ----------
    spikes : Tensor, shape (T, B, channels)
    answers : Tensor of int, shape (A, B)
        Classes; answer a belongs to the a-th of the last A stretches of ``each`` ticks.
    each : int
    classes : int
    """

    spikes: Tensor
    answers: Tensor
    each: int
    classes: int

    def scores(self, output: Tensor) -> Tensor:
        """Return the class scores of the answers, (A, B, classes), from output (T, B, classes)."""
        ends = output[-len(self.answers) * self.each :]
        return ends.unflatten(0, (len(self.answers), self.each)).mean(1)

    def accuracy(self, output: Tensor) -> float:
        """Return the share of right answers."""
        return float((self.scores(output).argmax(-1) == self.answers).float().mean())


def delayed_recall(
    batch: int, delay: int, draw: Generator, *, symbols: int = 8, noise: float = 0.1
) -> Trials:
    """Show a symbol with a flag, then distractors; ask for the symbol after a delay.

    Channels: the symbols, the flag "store", the flag "recall". Distractors are spikes on the
    symbols' own channels, without the flag.

    Parameters
    ----------
    batch : int
    delay : int
        Ticks between symbol and question.
    draw : torch.Generator
    symbols : int
    noise : float
        Spikes a tick on each symbol channel during delay and question.

    Raises
    ------
    InvalidInput
        If a size is below 1.
    """
    for name, value in (("batch", batch), ("delay", delay), ("symbols", symbols)):
        check_number(f"delayed_recall.{name}", value, above=0, whole=True)
    ticks = delay + CUE
    spikes = torch.zeros(ticks, batch, symbols + 2)
    spikes[1:, :, :symbols] = _bernoulli((ticks - 1, batch, symbols), noise, draw)
    answer = torch.randint(symbols, (batch,), generator=draw)
    spikes[0, torch.arange(batch), answer] = 1.0
    spikes[0, :, symbols] = 1.0
    spikes[delay:, :, symbols + 1] = 1.0
    return Trials(spikes, answer[None], CUE, symbols)


def associative_recall(
    batch: int, items: int, draw: Generator, *, keys: int = 16, values: int = 8
) -> Trials:
    """Show pairs of a key and a value, one a tick; ask for the value of one of the keys.

    Channels: keys, values, the flag "recall". No key comes twice.

    Parameters
    ----------
    batch, items : int
        ``items`` pairs, at most ``keys``.
    draw : torch.Generator
    keys, values : int

    Raises
    ------
    InvalidInput
        If a size is below 1, or there are more items than keys.
    """
    for name, value in (("batch", batch), ("items", items), ("keys", keys), ("values", values)):
        check_number(f"associative_recall.{name}", value, above=0, whole=True)
    check_number("associative_recall.keys", keys, above=items - 1, whole=True)
    order = torch.rand(batch, keys, generator=draw).argsort(1)[:, :items].T
    value = torch.randint(values, (items, batch), generator=draw)
    spikes = torch.zeros(items + CUE, batch, keys + values + 1)
    spikes[:items].scatter_(2, order[..., None], 1.0)
    spikes[:items].scatter_(2, keys + value[..., None], 1.0)
    which = torch.randint(items, (batch,), generator=draw)
    sample = torch.arange(batch)
    spikes[items:, sample, order[which, sample]] = 1.0
    spikes[items:, :, -1] = 1.0
    return Trials(spikes, value[which, sample][None], CUE, values)


def copy_sequence(
    batch: int, length: int, draw: Generator, *, pause: int = 10, symbols: int = 8
) -> Trials:
    """Show a sequence, one symbol a tick; after a pause ask for all of it, in order.

    Channels: symbols, the flag "go", which is on while answers are wanted.

    Parameters
    ----------
    batch, length : int
    draw : torch.Generator
    pause : int
        Ticks.
    symbols : int

    Raises
    ------
    InvalidInput
        If a size is below 1.
    """
    sizes = (("batch", batch), ("length", length), ("pause", pause), ("symbols", symbols))
    for name, value in sizes:
        check_number(f"copy_sequence.{name}", value, above=0, whole=True)
    shown = torch.randint(symbols, (length, batch), generator=draw)
    spikes = torch.zeros(2 * length + pause, batch, symbols + 1)
    spikes[:length].scatter_(2, shown[..., None], 1.0)
    spikes[-length:, :, -1] = 1.0
    return Trials(spikes, shown, 1, symbols)


def sequential_digits(*, rows: bool = False) -> tuple[Trials, Trials]:
    """Return handwritten digits of 8 x 8 pixels, pixel by pixel or row by row.

    They are those of scikit-learn (from the UCI repository), in their order: the first 1,437
    to train, the last 360 to test.

    Parameters
    ----------
    rows : bool
        8 ticks of 8 pixels instead of 64 ticks of one.

    Returns
    -------
    train, test : Trials
        Brightness from 0 to 1 on the first channels, and on the last a flag in four more ticks,
        in which the answer is read.

    Raises
    ------
    BackendUnavailable
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    except ImportError as error:
        fix = "pip install scikit-learn"
        raise BackendUnavailable("sequential digits", "need scikit-learn", fix=fix) from error
    pictures, labels = load_digits(return_X_y=True)
    width = 8 if rows else 1
    shown = torch.as_tensor(pictures / 16).float().T.reshape(64 // width, width, -1).mT
    spikes = torch.zeros(len(shown) + CUE, shown.shape[1], width + 1)
    spikes[: len(shown), :, :width] = shown
    spikes[len(shown) :, :, -1] = 1.0
    answers = torch.as_tensor(labels)[None].long()
    parts = (slice(1437), slice(1437, None))
    train, test = (Trials(spikes[:, p], answers[:, p], CUE, 10) for p in parts)
    return train, test


def capacity(
    variant: Variant,
    items: int,
    d_k: int,
    draw: Generator,
    *,
    trials: int = 64,
    orthonormal: bool = False,
    d_v: int = 64,
) -> float:
    """Return the share of bits that an astrocyte which fades not at all gives back.

    Random keys of length 1, values of -1 and 1, each pair written once; every item is read once,
    by its key; a bit is the sign of what is read. Nothing is trained.

    Parameters
    ----------
    variant : Variant
        MATRIX, NORMALISED or DELTA. (Keys of normalised reads are drawn positive.)
    items, d_k : int
    draw : torch.Generator
    trials : int
    orthonormal : bool
        Keys at right angles; at most ``d_k`` items.
    d_v : int
    """
    key = torch.randn(trials, 1, items, d_k, generator=draw)
    if orthonormal:
        check_number("capacity.d_k", d_k, above=items - 1, whole=True)
        key = torch.linalg.qr(key.mT).Q.mT
    if variant is Variant.NORMALISED:
        key = key.abs()
    key = torch.nn.functional.normalize(key, dim=-1)
    value = 2.0 * torch.randint(2, (trials, 1, items, d_v), generator=draw) - 1
    traffic = Traffic(torch.zeros_like(key), key, value, torch.ones(trials, 1, items))
    sizes = (1, d_k, d_v)
    _, memory = chunked(variant, traffic, torch.zeros(1), empty_memory(variant, trials, sizes, key))
    found = key @ memory[:, :, :d_v].mT
    return float(((found > 0) == (value > 0)).float().mean())


def capacity_law(items: int, d_k: int) -> float:
    """Return the share of right bits for a matrix of outer products, Phi(sqrt(d_k / (K - 1))).

    A read is the value plus what K - 1 others leave, a sum of about normal numbers of variance
    1 / d_k each.
    """
    if items == 1:
        return 1.0
    return 0.5 * (1 + math.erf(math.sqrt(d_k / (items - 1) / 2)))


def _bernoulli(shape: tuple[int, ...], chance: float, draw: Generator) -> Tensor:
    return (torch.rand(shape, generator=draw) < chance).float()
