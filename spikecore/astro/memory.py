"""The astrocyte's memory: what is written by key and value, fades slowly, and is read by query.

One step (specification A.3, our reconstruction of what Shen et al. 2023 leave open)::

    H[t] = exp(-1 / tau) H[t - 1] + w[t] v[t] k[t]^T         o[t] = H[t] q[t]

The three forms below compute the same numbers. H is linear in time, so a whole stretch is a few
matrix products: the parallel form of linear attention with decay (Katharopoulos et al. 2020; Sun
et al. 2023, "Retentive network"), chunk by chunk; for the delta rule with the WY representation of
Yang et al. (2024), "Parallelizing linear transformers with the delta rule over sequence length".
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["Traffic", "Variant", "chunked", "empty_memory", "parallel", "recurrent", "step"]

FLOOR = 1e-6
"""Least divisor of a normalised read."""


class Variant(Enum):
    """What an astrocyte stores.

    Attributes
    ----------
    NONE
        Nothing: H = 0, plain LIF neurons.
    DIAG
        A second slow trace for each neuron, ``a = lambda a + w v * k``, ``o = a * q``.
    MATRIX
        A matrix for each head, as above.
    NORMALISED
        The same, divided by the keys' sum read by the query: ``o = H q / max(r . q, 1e-6)``,
        ``r = lambda r + w k`` (Kozachkov, Kastanenka & Krotov 2023, PNAS 120).
    DELTA
        Corrects instead of adding: ``H = lambda H + w (v - H k) k^T``, for keys of length 1.
    """

    NONE = "none"
    DIAG = "diag"
    MATRIX = "matrix"
    NORMALISED = "normalised"
    DELTA = "delta"


class Traffic(NamedTuple):
    """What reaches the memory in a stretch of T ticks.

    Attributes
    ----------
    query, key : Tensor, shape (B, heads, T, d_k)
    value : Tensor, shape (B, heads, T, d_v)
        d_v = d_k for DIAG.
    gate : Tensor, shape (B, heads, T)
        Strength w of the write, 0 to 1.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    gate: Tensor


def empty_memory(variant: Variant, batch: int, sizes: tuple[int, int, int], like: Tensor) -> Tensor:
    """Return H = 0.

    Parameters
    ----------
    variant : Variant
    batch : int
    sizes : (heads, d_k, d_v)
    like : Tensor
        Gives type and device.

    Returns
    -------
    Tensor, shape (B, heads, rows, d_k)
        rows is d_v, 1 for DIAG, d_v + 1 for NORMALISED (r is the last row), 0 for NONE.
    """
    heads, d_k, d_v = sizes
    rows = {Variant.NONE: 0, Variant.DIAG: 1, Variant.NORMALISED: d_v + 1}.get(variant, d_v)
    return like.new_zeros(batch, heads, rows, d_k)


def step(variant: Variant, now: Traffic, rate: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is read in one tick, and the memory after it: the definition.

    Parameters
    ----------
    variant : Variant
    now : Traffic
        Without the axis T.
    rate : Tensor, shape (heads,) or (B, heads)
        1 / tau in 1/ticks, or what it is in this tick.
    memory : Tensor
        As :func:`empty_memory` gives it.

    Returns
    -------
    read : Tensor, shape (B, heads, d_v)
    memory : Tensor
    """
    query, key, value, gate = now
    decay = torch.exp(-rate)[..., None, None]
    if variant is Variant.DIAG:
        memory = decay * memory + (gate[..., None] * value * key)[:, :, None]
        return memory[:, :, 0] * query, memory
    if variant is Variant.NORMALISED:
        value = pad(value, (0, 1), value=1.0)
    elif variant is Variant.DELTA:
        value = value - (memory @ key[..., None])[..., 0]
    memory = decay * memory + (gate[..., None] * value)[..., None] * key[:, :, None]
    return _divided(variant, (memory @ query[..., None])[..., 0]), memory


def recurrent(
    variant: Variant, traffic: Traffic, rate: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Run :func:`step` tick by tick.

    Returns
    -------
    read : Tensor, shape (B, heads, T, d_v)
    memory : Tensor
        After the last tick.
    """
    reads = []
    for t in range(traffic.query.shape[2]):
        now = Traffic(*(each[:, :, t] for each in traffic))
        read, memory = step(variant, now, rate if rate.ndim == 1 else rate[:, :, t], memory)
        reads.append(read)
    return torch.stack(reads, 2), memory


def parallel(
    variant: Variant, traffic: Traffic, rate: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the stretch as one chunk, ``O = ((Q K^T) * D) V``; returns as :func:`recurrent`."""
    return chunked(variant, traffic, rate, memory, traffic.query.shape[2])


def chunked(
    variant: Variant, traffic: Traffic, rate: Tensor, memory: Tensor, chunk: int = 64
) -> tuple[Tensor, Tensor]:
    """Compute the stretch in chunks; what is left over is one more, shorter chunk.

    Parameters
    ----------
    variant, traffic, memory
        As in :func:`step`.
    rate : Tensor, shape (heads,) or (B, heads, T)
    chunk : int
        Its length in ticks: a matter of speed alone.

    Returns
    -------
    read, memory
        As :func:`recurrent`.
    """
    ticks = traffic.query.shape[2]
    whole = ticks // chunk * chunk
    parts = [(0, whole, chunk)] * (whole > 0) + [(whole, ticks, ticks - whole)] * (ticks > whole)
    if variant is Variant.NORMALISED:
        padded = pad(traffic.value, (0, 1), value=1.0)
        traffic = traffic._replace(value=padded)
    reads = []
    for begin, end, length in parts:
        part = Traffic(
            *(
                each[:, :, begin:end].unflatten(2, ((end - begin) // length, length))
                for each in traffic
            )
        )
        if rate.ndim == 1:
            fades = rate[None, :, None, None].expand(-1, -1, -1, length)
        else:
            fades = rate[:, :, begin:end].unflatten(2, ((end - begin) // length, length))
        run = {Variant.DIAG: _diagonal, Variant.DELTA: _corrected}.get(variant, _summed)
        read, memory = run(part, _Fading(fades), memory)
        reads.append(read.flatten(2, 3))
    read = reads[0] if len(reads) == 1 else torch.cat(reads, 2)
    return _divided(variant, read), memory


class _Fading:
    """Decay within and between n chunks of C ticks, from what each tick takes off the logarithm.

    Axes (B or 1, heads, n or 1, ticks). Each stretch is a sum of its own: where time races, the
    difference of two long sums would lose the digits of a short one.
    """

    def __init__(self, rate: Tensor) -> None:
        total = rate.cumsum(-1)
        self.since_start = torch.exp(-total)[..., None]
        self.until_tick = torch.exp(-pad(total, (1, 0))[..., :-1])[..., None]  # a tick fewer
        self.between = _falling(rate)
        self.until_end = self.between[..., -1, :, None]
        self.whole = self.since_start[..., -1:, :]
        self._chunks = total[..., -1]

    def before(self) -> Tensor:
        """Return how far what tick l wrote has faded the tick before j > l; 0 elsewhere."""
        return pad(self.between, (0, 0, 1, 0))[..., :-1, :]

    def carried(self, writes: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the memory before each of n chunks, (B, h, n, rows, d_k), and at the end."""
        chunks = self._chunks.expand(*self._chunks.shape[:2], writes.shape[2])
        all_of_them = torch.cat([memory[:, :, None], writes], 2)  # the start, then each chunk
        fades = _falling(pad(chunks, (1, 0)))
        states = (fades @ all_of_them.flatten(3)).view_as(all_of_them)
        return states[:, :, :-1], states[:, :, -1]


def _falling(rate: Tensor) -> Tensor:
    """Return exp(-(rate[l + 1] + ... + rate[j])) for l <= j, 0 elsewhere: (..., j, l)."""
    ticks = rate.shape[-1]
    full = torch.ones(ticks, ticks, dtype=torch.bool, device=rate.device)
    each = rate[..., None].masked_fill(~full.tril(-1), 0.0)
    return torch.exp(-each.cumsum(-2)).masked_fill(~full.tril(), 0.0)


def _summed(part: Traffic, fading: _Fading, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Add each write to a matrix."""
    value = part.value * part.gate[..., None]
    before, memory = fading.carried((value * fading.until_end).mT @ part.key, memory)
    scores = (part.query @ part.key.mT) * fading.between
    return scores @ value + (part.query * fading.since_start) @ before.mT, memory


def _diagonal(part: Traffic, fading: _Fading, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Do the same element by element: a trace for each neuron."""
    writes = part.gate[..., None] * part.value * part.key
    ends = (writes * fading.until_end).sum(3, keepdim=True)
    before, memory = fading.carried(ends, memory)
    return part.query * (fading.between @ writes + fading.since_start * before), memory


def _corrected(part: Traffic, fading: _Fading, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Add corrections: what is added in tick j, ``x[j]``, depends on what was added before.

    ``x[j] = w[j] (v[j] - lambda^j H k[j] - sum over l < j of lambda^(j-1-l) (k[l] . k[j]) x[l])``:
    a triangular system for each chunk, solved for all chunks at once with H left open, as
    ``x = fresh - stale H^T``.
    """
    query, key, value, gate = part
    gate = gate[..., None]
    system = gate * (key @ key.mT) * fading.before()  # the diagonal, of ones, is not stored
    right = torch.cat([gate * value, gate * fading.until_tick * key], -1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    fresh, stale = solved.split([value.shape[-1], key.shape[-1]], -1)
    late = key * fading.until_end
    turn, add = stale.mT @ late, fresh.mT @ late
    states = []
    whole = fading.whole.expand(-1, -1, key.shape[2], -1, -1)
    for c in range(key.shape[2]):
        states.append(memory)
        memory = whole[:, :, c] * memory - memory @ turn[:, :, c] + add[:, :, c]
    before = torch.stack(states, 2)
    written = fresh - stale @ before.mT
    scores = (query @ key.mT) * fading.between
    return scores @ written + (query * fading.since_start) @ before.mT, memory


def _divided(variant: Variant, read: Tensor) -> Tensor:
    if variant is not Variant.NORMALISED:
        return read
    return read[..., :-1] / read[..., -1:].clamp(min=FLOOR)
