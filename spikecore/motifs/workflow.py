"""A training from start to end: train, prune, retrain; stopped and resumed at any step."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spikecore.errors import FileRefused
from spikecore.files import check_writable, read_archive, write_archive
from spikecore.motifs.images import load_images, whiten
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.labels import LADDER_CLASSES, PAPER_CLASSES
from spikecore.motifs.scenes import ImageBank, LadderScenes, NaturalScenes
from spikecore.motifs.training import Recipe, Scenes, Trainer

__all__ = ["LADDER", "PAPER", "Plan", "Training", "scenes_for"]

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
    """

    task: str
    recipe: Recipe
    prune: float = 1.0
    structured: bool = False
    retrain: Recipe | None = None
    gamma: float = 0.0

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

        while True:
            self.trainer.run(on_step)
            if stop:
                self.save()
                return None
            if self.retraining or self.plan.prune <= 1.0:
                break
            kernel = self.trainer.result().pruned(
                self.plan.prune, structured=self.plan.structured
            )
            if self.plan.retrain is None:
                return kernel.snapped()
            self._retrain(kernel)
        return self.trainer.result().snapped()

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
