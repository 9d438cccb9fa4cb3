"""The published test of a motion kernel: decisions on movies of moving natural images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikecore.motifs.dense import DelayConv
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.scenes import Movies

__all__ = ["POOLED", "Score", "score"]

POOLED = 0.15
"""Share of voxels, those with most evidence, that take part in a decision."""


@dataclass(frozen=True)
class Score:
    """Shares of right decisions.

    Attributes
    ----------
    movie : float
        One decision for each whole movie, from the top 15 % of its voxels.
    step, step_mean : float
        One for each tick, from the top 15 % of its voxels, or the mean of all.
    settled : float
        As ``step``, where the motion has not changed for as long as the kernel looks back.
    movies : int
        How many movies were judged.
    """

    movie: float
    step: float
    step_mean: float
    settled: float
    movies: int


@torch.no_grad()
def score(kernel: DelayKernel, movies: list[Movies], device: str = "cpu", batch: int = 2) -> Score:
    """Judge movies by the protocol of Grimaldi & Perrinet (2023, notebook).

    The first D ticks and the rim of half a kernel are left out; a voxel counts with its
    largest evidence; all 36 classes are told apart.
    """
    layer = DelayConv(kernel).to(device)
    skip, rim = kernel.delays, kernel.size // 2
    whole, top, mean, settled = [], [], [], []
    for group in movies:
        for start in range(0, len(group.events), batch):
            events = group.events[start : start + batch].to(device)
            truth = group.labels[start : start + batch].to(device).argmax(-1)
            evidence = layer(torch.stack([events < 0, events > 0], 1))
            evidence = evidence[:, :, skip:, rim:-rim, rim:-rim]
            best = evidence.amax(1)
            whole.append(_pooled(evidence, best, (1, 2, 3)) == truth[:, skip])
            by_step = _pooled(evidence, best, (2, 3)) == truth[:, skip:]
            top.append(by_step)
            mean.append(evidence.mean((3, 4)).argmax(1) == truth[:, skip:])
            settled.append(by_step[_steady(truth, skip)])
    movie, step, step_mean, steady = (
        float(torch.cat([part.flatten() for part in parts]).float().mean())
        for parts in (whole, top, mean, settled)
    )
    return Score(movie, step, step_mean, steady, sum(len(group.events) for group in movies))


def _pooled(evidence: Tensor, best: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the class with most evidence over the top voxels along ``axes`` of ``best``."""
    flat = best.flatten(axes[0])
    count = flat.shape[-1]
    bound = flat.kthvalue(int((1 - POOLED) * count), dim=-1).values
    chosen = best > bound.reshape(*bound.shape, *(1 for _ in axes))
    pooled = (evidence * chosen[:, None]).sum(tuple(a + 1 for a in axes))
    return pooled.argmax(1)


def _steady(truth: Tensor, span: int) -> Tensor:
    """Return where the class has been the same for ``span`` ticks, of (B, T) from ``span`` on."""
    same = torch.ones_like(truth[:, span:], dtype=torch.bool)
    for back in range(1, span):
        same &= truth[:, span - back : truth.shape[1] - back] == truth[:, span:]
    return same
