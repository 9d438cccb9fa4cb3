"""Training of delay kernels: sampled voxels, mask clamp, pruning, checkpoints.

The evidence at a voxel depends only on the events of its past neighbourhood. So a step
draws voxels, reads their neighbourhoods, and multiplies them with the weights: the
gradient is that of the loss over all voxels on a random part of them, and a step costs
a matrix product instead of a three-dimensional convolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from spikecore.errors import InvalidInput, UnknownName
from spikecore.motifs.kernel import DelayKernel, causal_mask
from spikecore.motifs.labels import MotionClasses
from spikecore.motifs.scenes import Movies

__all__ = ["Recipe", "Scenes", "Trainer"]

LOSSES = ("cross-entropy", "bce")


class Scenes(Protocol):
    """Where labelled movies come from."""

    @property
    def classes(self) -> MotionClasses:
        """What the labels stand for."""

    def draw(self, count: int, generator: torch.Generator) -> Movies:
        """Return ``count`` new movies."""


@dataclass(frozen=True)
class Recipe:
    """How a kernel is trained.

    Attributes
    ----------
    steps : int
        Steps of Adam.
    rate : float
        Learning rate at its peak; cosine decay, 50 steps of warm-up.
    movies, reuse : int
        Movies drawn at a time, and how many steps they serve (each with other voxels).
    voxels : int
        Voxels a step.
    background : float
        How often a voxel without an event is drawn, where one with an event is drawn 1 more.
    gated : bool
        Prefer voxels with events; False draws all alike, as the paper's loss has it.
    skip, border : int
        Ticks at the start and pixels at the rim that are left out.
    loss : {"cross-entropy", "bce"}
        Softmax cross-entropy over the classes, or binary cross-entropy of each.
    pooled : float
        Weight of a second loss, on the mean log-probability of voxels that see one motion:
        a voxel at a straight edge cannot know where along the edge it moves, but many
        voxels together can, if their evidence adds up without bias.
    votes : float
        How many independent voxels such a mean stands for.
    group : int
        Voxels in such a mean.
    seed : int
        Of the scenes, the voxels and the initial kernel.
    """

    steps: int = 3000
    rate: float = 2e-3
    movies: int = 512
    reuse: int = 64
    voxels: int = 16384
    background: float = 0.02
    gated: bool = True
    skip: int = 20
    border: int = 8
    loss: str = "cross-entropy"
    pooled: float = 0.0
    votes: float = 10.0
    group: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownName("Recipe.loss", self.loss, LOSSES)
        for name in ("steps", "movies", "reuse", "voxels"):
            if getattr(self, name) < 1:
                raise InvalidInput(
                    f"Recipe.{name}",
                    "must be at least 1",
                    got=getattr(self, name),
                    fix="leave it out for the recipe's own",
                )


class Trainer:
    """Trains one kernel on scenes; can be stopped, saved and resumed at any step.

    Parameters
    ----------
    scenes : Scenes
        Where movies come from.
    recipe : Recipe
        How to train.
    kernel : DelayKernel
        Where to start. Weights that are zero in a pruned kernel stay zero if ``fixed``.
    fixed : bool
        Keep zero weights at zero (retraining after pruning).
    device : str
        "cpu", "cuda", ...
    """

    def __init__(
        self,
        scenes: Scenes,
        recipe: Recipe,
        kernel: DelayKernel,
        *,
        fixed: bool = False,
        device: str = "cpu",
    ) -> None:
        self.scenes, self.recipe, self.kernel = scenes, recipe, kernel
        self.device = torch.device(device)
        mask = torch.as_tensor(causal_mask(kernel.delays, kernel.size), device=self.device)
        self._mask = mask
        self._window = torch.as_tensor(kernel.window, device=self.device).float()
        weights = torch.as_tensor(kernel.weights, device=self.device)
        self._kept = (weights != 0).float() if fixed else None
        self._weights = weights.clone().requires_grad_(True)
        self._bias = torch.as_tensor(kernel.bias, device=self.device).clone().requires_grad_(True)
        self._adam = torch.optim.Adam(
            [self._weights, self._bias], lr=recipe.rate, fused=self.device.type == "cuda"
        )
        self._draws = torch.Generator().manual_seed(recipe.seed)
        self._voxel_draws = torch.Generator(self.device).manual_seed(recipe.seed)
        self._before_draw = self._draws.get_state()
        self._movies: Movies | None = None
        self._movies_a_step = 1
        self.step = 0
        self.losses: list[float] = []

    def run(
        self, on_step: Callable[[int], Any] = lambda _n: None, until: int | None = None
    ) -> None:
        """Train until step ``until`` (default: the recipe's end) or until told to stop.

        ``on_step`` is called with the number of steps done since the last call; if it
        returns True, training stops there.
        """
        stop = self.recipe.steps if until is None else min(until, self.recipe.steps)
        running: list[Tensor] = []
        while self.step < stop:
            running.append(self._one_step())
            if on_step(1):
                break
            if len(running) == 100:  # noqa: PLR2004
                self.losses.append(float(torch.stack(running).mean()))
                running.clear()
        if running:
            self.losses.append(float(torch.stack(running).mean()))

    def _one_step(self) -> Tensor:
        r = self.recipe
        if self._movies is None or self.step % r.reuse == 0:
            self._movies = self._draw_movies()
        warm = min(1.0, (self.step + 1) / 50)
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / r.steps))
        for group in self._adam.param_groups:
            group["lr"] = r.rate * warm * (0.02 + 0.98 * cosine)
        patches, labels, weights, steady = self._sample(self._movies)
        evidence = self._evidence(patches)
        if r.loss == "bce":
            each = torch.nn.functional.binary_cross_entropy_with_logits(
                evidence, labels, reduction="none"
            ).sum(1)
        else:
            each = -(torch.log_softmax(evidence, 1) * labels).sum(1)
        loss = (each * weights).mean()
        if r.pooled:
            loss = loss + r.pooled * self._pooled_loss(evidence, labels, weights, steady)
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        self._adam.step()
        self._clamp()
        self.step += 1
        return loss.detach()

    def _draw_movies(self) -> Movies:
        """Draw the movies of this step, without touching the program's own random state."""
        first = self.step - self.step % self.recipe.reuse
        self._before_draw = self._draws.get_state()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.recipe.seed * 1_000_003 + first)
            return self.scenes.draw(self.recipe.movies, self._draws)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return everything that :meth:`restore` needs to go on exactly from here."""
        under_way = self.step % self.recipe.reuse != 0  # these movies must be drawn again
        arrays = {
            "weights": self._weights.detach(),
            "bias": self._bias.detach(),
            "draws": self._before_draw if under_way else self._draws.get_state(),
            "voxel_draws": self._voxel_draws.get_state(),
            "losses": torch.tensor(self.losses),
            "step": torch.tensor(self.step),
        }
        for i, state in enumerate(self._adam.state.values()):
            arrays |= {f"adam{i}_{name}": value for name, value in state.items()}
        return {name: value.cpu().numpy() for name, value in arrays.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot of a trainer made with the same arguments."""
        tensors = {name: torch.as_tensor(value) for name, value in arrays.items()}
        with torch.no_grad():
            self._weights.copy_(tensors["weights"])
            self._bias.copy_(tensors["bias"])
        self.step, self.losses = int(tensors["step"]), tensors["losses"].tolist()
        for i, parameter in enumerate((self._weights, self._bias)):
            names = ("step", "exp_avg", "exp_avg_sq")
            if f"adam{i}_step" in tensors:
                self._adam.state[parameter] = {
                    n: tensors[f"adam{i}_{n}"].clone().to(self.device) for n in names
                }
        self._draws.set_state(tensors["draws"])
        self._movies = self._draw_movies() if self.step % self.recipe.reuse else None
        self._voxel_draws.set_state(tensors["voxel_draws"])

    def _sample(self, movies: Movies) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw voxels; return their past neighbourhoods, labels and weights.

        Every movie counts alike, unless it has next to no events.
        """
        r, (delays, size) = self.recipe, (self.kernel.delays, self.kernel.size)
        part, count = self.step % r.reuse, len(movies.events)
        first = part * count // r.reuse
        group = slice(first, max(first + 1, (part + 1) * count // r.reuse))
        events, labels, velocity = (
            values[group] for values in (movies.events, movies.labels, movies.velocity)
        )
        inner = events[:, r.skip :, r.border : -r.border or None, r.border : -r.border or None]
        share = inner.abs().float() if r.gated else torch.zeros(inner.shape, device=inner.device)
        share = (share + r.background).flatten(1)
        total = share.sum(1)
        self._movies_a_step = len(events)
        each = max(1, r.voxels // len(events))
        flat = _draw_from(share, each, self._voxel_draws)
        b = torch.arange(len(events), device=inner.device)[:, None].expand_as(flat).reshape(-1)
        flat = flat.reshape(-1)
        t = flat // (inner.shape[2] * inner.shape[3]) + r.skip
        y = flat // inner.shape[3] % inner.shape[2] + r.border
        x = flat % inner.shape[3] + r.border
        h = size // 2
        padded = torch.nn.functional.pad(events, (h, h, h, h, delays - 1, 0))
        s = padded.stride()
        shape = (*events.shape, delays, size, size)
        blocks = padded.as_strided(shape, (*s, s[1], s[2], s[3]))
        patches = blocks[b, t, y, x].reshape(len(b), -1)
        weights = (total / 200.0).clamp(max=1.0) if r.gated else torch.ones_like(total)
        steady = (velocity == velocity[:, :1]).all(2).all(1)
        return patches, labels[b, t], weights[b], steady[b]

    def _each(self, voxels: int) -> int:
        """Return how many of so many voxels come from one movie."""
        return min(voxels, max(1, self.recipe.voxels // self._movies_a_step))

    def _pooled_loss(
        self, evidence: Tensor, labels: Tensor, weights: Tensor, steady: Tensor
    ) -> Tensor:
        """Return the loss of decisions on groups of voxels that see one motion."""
        each = self._each(len(evidence))
        size = min(self.recipe.group, each)
        whole = slice(0, each // size * size)  # of each movie

        def grouped(values: Tensor) -> Tensor:
            by_movie = values.reshape(-1, each, *values.shape[1:])[:, whole]
            return by_movie.reshape(-1, size, *values.shape[1:])

        logp = grouped(torch.log_softmax(evidence, 1))
        together = torch.log_softmax(self.recipe.votes * logp.mean(1), 1)
        wanted, counts = grouped(labels)[:, 0], grouped(weights * steady)[:, 0]
        return -((together * wanted).sum(1) * counts).sum() / counts.sum().clamp(min=1.0)

    def _evidence(self, patches: Tensor) -> Tensor:
        """Return the evidence of each class (M, C) for patches (M, D K K), oldest first."""
        half = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        count = patches.abs().to(half)  # 2: an ON and an OFF event, which have no sign
        signed = torch.where(patches > 1, 0, patches).to(half)
        w = self._weights.flip(2, 3, 4).flatten(2)
        if self.kernel.polarity == "invariant":
            even, odd = (w[:, 1] + w[:, 0]) / 2, (w[:, 1] - w[:, 0]) / 2
            evidence = (count @ even.T.to(half)).float() + (signed @ odd.T.to(half)).float().abs()
        else:
            on, off = (patches > 0).to(half), ((patches < 0) | (patches > 1)).to(half)
            evidence = (on @ w[:, 1].T.to(half) + off @ w[:, 0].T.to(half)).float()
        if self.kernel.gamma:
            near = (count @ self._window.flip(0, 1, 2).reshape(-1, 1).to(half)).float()
            half_n = self.kernel.half
            evidence = evidence * (half_n / (half_n + near)) ** self.kernel.gamma
        return evidence + self._bias

    @torch.no_grad()
    def _clamp(self) -> None:
        """Hold the weights within the mask times the largest, and dropped ones at zero."""
        bound = self._mask * self._weights.abs().max()
        self._weights.copy_(torch.minimum(torch.maximum(self._weights, -bound), bound))
        if self._kept is not None:
            self._weights.mul_(self._kept)

    def result(self) -> DelayKernel:
        """Return the kernel as it is now."""
        return replace(
            self.kernel,
            weights=self._weights.detach().cpu().numpy(),
            bias=self._bias.detach().cpu().numpy(),
            votes=self.recipe.votes,
        )

    @torch.no_grad()
    def calibrated(self) -> DelayKernel:
        """Return the kernel scaled so that single events are as sure as they are right.

        Training on pooled decisions fixes the evidence of many events together, not how
        sharp that of one is. Of the powers of two, the one with the least loss on voxels
        of fresh movies wins.
        """
        patches, labels, weights, _ = self._sample(self._draw_movies())
        evidence = torch.cat([self._evidence(part) for part in patches.split(8192)])

        def loss(factor: float) -> float:
            log_posterior = torch.log_softmax(factor * evidence, 1)
            return float(-((log_posterior * labels).sum(1) * weights).mean())

        return self.result().scaled(min((1.0, 2.0, 4.0, 8.0, 16.0), key=loss))


def _draw_from(share: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw ``count`` columns of each row of ``share`` with these probabilities, (B, count)."""
    steps = share.double().cumsum(1)
    u = torch.rand(len(share), count, generator=generator, device=share.device).double()
    found = torch.searchsorted(steps, u * steps[:, -1:])
    return found.clamp(max=share.shape[1] - 1)
