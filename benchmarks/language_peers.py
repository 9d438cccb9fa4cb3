"""A GRU and a transformer to compare language models with, of a given number of parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

BYTES = 256


class GRU(nn.Module):
    def __init__(self, hidden, layers=2, embedding=128, dropout=0.1):
        super().__init__()
        self.embed = nn.Embedding(BYTES, embedding)
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(embedding, hidden, layers, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, BYTES)

    def forward(self, given: Tensor) -> Tensor:
        return self.head(self.dropout(self.gru(self.dropout(self.embed(given)))[0]))

    def start(self):
        return None

    def stream(self, given, state):
        out, state = self.gru(self.embed(given), state)
        return self.head(out), state


class Attention(nn.Module):
    def __init__(self, width, heads, hidden, dropout):
        super().__init__()
        self.heads = heads
        self.norm, self.norm_mix = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mix = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, cache=None):
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).permute(1, 2, 0, 3)
            for part in self.qkv(self.norm(x)).chunk(3, -1)
        )
        past = 0 if cache is None else cache[0].shape[2]
        q, k = rotated(q, past), rotated(k, past)
        if cache is not None:
            k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=past == 0)
        x = x + self.dropout(self.out(mixed.permute(2, 0, 1, 3).flatten(2)))
        return x + self.dropout(self.mix(self.norm_mix(x))), (k, v)


def rotated(x, past):
    """Rotary positions (Su et al. 2021)."""
    half = x.shape[-1] // 2
    turns = 10_000 ** -(torch.arange(half, device=x.device) / half)
    angle = (past + torch.arange(x.shape[2], device=x.device))[:, None] * turns
    one, other = x[..., :half], x[..., half:]
    c, s = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.cat([one * c - other * s, one * s + other * c], -1)


class Transformer(nn.Module):
    def __init__(self, hidden, width=128, layers=3, heads=4, dropout=0.1):
        super().__init__()
        self.embed = nn.Embedding(BYTES, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        self.blocks = nn.ModuleList(Attention(width, heads, hidden, dropout) for _ in range(layers))
        self.norm, self.dropout, self.width = nn.RMSNorm(width), nn.Dropout(dropout), width

    def forward(self, given: Tensor) -> Tensor:
        return self.stream(given, [None] * len(self.blocks))[0]

    def start(self):
        return [None] * len(self.blocks)

    def stream(self, given, state):
        x = self.dropout(self.embed(given)) * self.width**0.5
        after = []
        for block, cache in zip(self.blocks, state, strict=True):
            x, new = block(x, cache)
            after.append(new)
        return functional.linear(self.dropout(self.norm(x)), self.embed.weight), after


def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


def fitted(make: Callable[[int], nn.Module], target: int) -> nn.Module:
    """Return the model whose size is nearest to ``target`` parameters."""
    low, high = 4, 4096
    while high - low > 1:
        middle = (low + high) // 2
        with torch.device("meta"):
            low, high = (middle, high) if count(make(middle)) <= target else (low, middle)
    return make(low)
