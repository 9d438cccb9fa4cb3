"""A training from start to end: train, prune, retrain; stopped and resumed at any step."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spikecore.errors import FileRefused, InvalidInput
from spikecore.files import check_writable, read_archive, write_archive
from spikecore.motifs.bank import ImageBank
from spikecore.motifs.images import load_images, whiten
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.labels import LADDER_CLASSES, PAPER_CLASSES
from spikecore.motifs.protocol import score
from spikecore.motifs.scenes import LadderScenes, NaturalScenes
from spikecore.motifs.training import Recipe, Scenes, Trainer

__all__ = ["LADDER", "PAPER", "Plan", "PruningStudy", "Training", "scenes_for"]

FORMAT = "spikecore-motion-training-1"
SAVE_EVERY = 500
"""Steps between checkpoints."""


@dataclass(frozen=True)
class Plan:
    """What is trained, and how.

    Attributes
    ----------
    task : {"ladder", "paper", "recordings"}
        The 38 classes of the model that ships on augmented scenes; the 36 classes of
        Grimaldi & Perrinet (2023) by their protocol; or the 38 classes on recordings.
    recipe : Recipe
        Of the whole kernel.
    prune : float
        Factor, 1 for none.
    structured : bool
        Prune places for all classes at once.
    retrain : Recipe or None
        Of the pruned kernel.
    gamma : float
        Divisive normalisation.
    calibrate : bool
        Scale the evidence at the end so that posteriors of single events are right.
    """

    task: str
    recipe: Recipe
    prune: float = 1.0
    structured: bool = False
    retrain: Recipe | None = None
    gamma: float = 0.0
    calibrate: bool = False

    @property
    def steps(self) -> int:
        """All steps together."""
        return self.recipe.steps + (self.retrain.steps if self.retrain else 0)

    @property
    def hash(self) -> str:
        """Tells one plan from another."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def with_seed(self, seed: int) -> Plan:
        """Return the plan with other draws throughout."""
        retrain = self.retrain and replace(self.retrain, seed=seed + 1000)
        return replace(self, recipe=replace(self.recipe, seed=seed), retrain=retrain)


LADDER = Plan(
    "ladder",
    Recipe(steps=4000, pooled=1.0, skip=3),
    prune=115.0,
    retrain=Recipe(steps=1500, rate=1e-3, pooled=1.0, skip=3, seed=1000),
    gamma=0.5,
    calibrate=True,
)
"""How the model that ships was made."""

PAPER = Plan("paper", Recipe(steps=6000, background=0.1, skip=20))
"""The published task; pruning is studied afterwards."""


def scenes_for(
    task: str, images: str | os.PathLike[str] | None = None, device: str = "cpu"
) -> NaturalScenes | LadderScenes:
    """Return the scenes of a task, of the pictures in a folder or the packaged ones."""
    upsample = 8 if device != "cpu" else 4  # a coarser bank fits an ordinary computer
    pictures = load_images(images)
    if task == "paper":
        return NaturalScenes(ImageBank(whiten(pictures), device, upsample))
    return LadderScenes.of(pictures, device, upsample)


class Training:
    """A plan under way.

    Parameters
    ----------
    plan : Plan
        What to do.
    scenes : Scenes
        Where movies come from.
    device : str
        "cpu", "cuda", ...
    checkpoint : path, optional
        Written every 500 steps and when stopped.
    resume : bool
        Go on from the checkpoint.

    Raises
    ------
    FileRefused
        If the checkpoint cannot be written, or (with ``resume``) is missing, damaged or
        of another plan.
    """

    def __init__(
        self,
        plan: Plan,
        scenes: Scenes,
        *,
        device: str = "cpu",
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> None:
        self.plan, self.scenes, self.device = plan, scenes, device
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        if self.checkpoint is not None:
            check_writable(self.checkpoint)
        self.trainer = self._first()
        self.retraining = False
        if resume:
            self._load()

    @property
    def done(self) -> int:
        """Steps done, of ``plan.steps``."""
        return self.trainer.step + self.retraining * self.plan.recipe.steps

    def run(self, on_progress: Callable[[int], Any], stop: Any = False) -> DelayKernel | None:
        """Train to the end and return the kernel on its grid, or None if stopped."""

        def on_step(steps: int) -> bool:
            on_progress(steps)
            if self.done % SAVE_EVERY == 0:
                self.save()
            return bool(stop)

        self.save()  # a checkpoint that cannot be written is found now, not in an hour
        while True:
            self.trainer.run(on_step)
            if stop:
                self.save()
                return None
            if self.retraining or self.plan.prune <= 1.0:
                break
            kernel = self.trainer.result().pruned(self.plan.prune, structured=self.plan.structured)
            if self.plan.retrain is None:
                pruned = Trainer(self.scenes, self.plan.recipe, kernel, device=self.device)
                return self._finished(pruned)
            self._retrain(kernel)
        return self._finished(self.trainer)

    def _finished(self, trainer: Trainer) -> DelayKernel:
        kernel = trainer.calibrated() if self.plan.calibrate else trainer.result()
        return kernel.snapped()

    def save(self) -> None:
        """Write the checkpoint, if there is one."""
        if self.checkpoint is None:
            return
        meta = {"plan": self.plan.hash, "retraining": self.retraining, "device": self.device}
        write_archive(self.checkpoint, FORMAT, meta, self.trainer.snapshot())

    def _first(self) -> Trainer:
        classes = PAPER_CLASSES if self.plan.task == "paper" else LADDER_CLASSES
        kernel = DelayKernel.initial(classes.count, seed=self.plan.recipe.seed)
        kernel = replace(
            kernel, gamma=self.plan.gamma, directions=classes.angle, speeds=classes.speed
        )
        return Trainer(self.scenes, self.plan.recipe, kernel, device=self.device)

    def _retrain(self, kernel: DelayKernel) -> None:
        assert self.plan.retrain is not None
        losses = self.trainer.losses
        self.trainer = Trainer(
            self.scenes, self.plan.retrain, kernel, fixed=True, device=self.device
        )
        self.trainer.losses = losses
        self.retraining = True

    def _load(self) -> None:
        assert self.checkpoint is not None
        place = os.fspath(self.checkpoint)
        meta, arrays = read_archive(self.checkpoint, FORMAT)
        if meta.get("plan") != self.plan.hash:
            raise FileRefused(
                place,
                "belongs to another training (task, steps, seed or pruning)",
                fix="give the options it was started with, or another checkpoint",
            )
        try:
            if meta["retraining"]:
                self._retrain(replace(self.trainer.kernel, weights=arrays["weights"]))
            self.trainer.restore(arrays)
        except (KeyError, RuntimeError, ValueError) as error:
            raise FileRefused(place, "does not hold a training", got=str(error)) from error


class PruningStudy:
    """What pruning costs a kernel, on movies with one motion each (the published test).

    Parameters
    ----------
    kernel : DelayKernel
        With motions as classes.
    images : path or None
        Folder of pictures; default: the packaged ones. A fifth is kept for testing.
    movies, size : int
        How many test movies, and their side, pixels.
    retrain : int
        Steps of training after pruning, 0 for none.
    seed : int
        Of movies and retraining.
    device : str
        "cpu", "cuda", ...

    Raises
    ------
    InvalidInput
        If the kernel's classes are not those of the published task or of the ladder.
    """

    def __init__(
        self,
        kernel: DelayKernel,
        images: str | os.PathLike[str] | None,
        movies: int,
        size: int,
        *,
        retrain: int = 0,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        classes = {
            PAPER_CLASSES.count: PAPER_CLASSES,
            LADDER_CLASSES.count: replace(LADDER_CLASSES, outside=False),
        }.get(kernel.classes)
        if classes is None or kernel.directions is None:
            raise InvalidInput(
                "kernel",
                "must have the 36 classes of the paper or the 38 of the ladder",
                got=f"{kernel.classes} classes",
                fix="train it with spikecore motion train",
            )
        self.kernel, self.retrain, self.seed, self.device = kernel, retrain, seed, device
        self.chance = 1.0 / classes.count
        self.last: DelayKernel | None = None
        pictures = whiten(load_images(images))
        upsample = 8 if device != "cpu" else 4
        split = max(1, len(pictures) * 4 // 5)
        shape = (3 * kernel.delays, size, size)
        unseen = ImageBank(pictures[split:], device, upsample)
        scenes = NaturalScenes(unseen, shape, 0.0, classes=classes)
        draws = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._movies = [scenes.draw(1, draws) for _ in range(movies)]
        if retrain:
            seen = ImageBank(pictures[:split], device, upsample)
            labels = PAPER_CLASSES if classes is PAPER_CLASSES else LADDER_CLASSES
            self._scenes = NaturalScenes(seen, classes=labels)
        self._classes = classes

    def row(self, factor: float, *, structured: bool) -> dict[str, Any]:
        """Prune, judge, retrain and judge again; return the figures."""
        pruned = self.kernel.pruned(factor, structured=structured)
        row: dict[str, Any] = {
            "factor": factor,
            "structured": structured,
            "synapses": pruned.synapses,
            "accuracy": self._accuracy(pruned),
            "retrained": None,
        }
        if self.retrain:
            recipe = replace(PAPER.recipe, steps=self.retrain, rate=1e-3, seed=self.seed + 1000)
            trainer = Trainer(self._scenes, recipe, pruned, fixed=True, device=self.device)
            trainer.run()
            pruned = trainer.result().snapped()
            row["retrained"] = self._accuracy(pruned)
        self.last = pruned
        return row

    def _accuracy(self, kernel: DelayKernel) -> float:
        count = self._classes.count
        inner = replace(
            kernel,
            weights=kernel.weights[:count],
            bias=kernel.bias[:count],
            directions=self._classes.angle,
            speeds=self._classes.speed,
        )
        found: float = score(inner, self._movies, self.device, batch=1).movie
        return found
