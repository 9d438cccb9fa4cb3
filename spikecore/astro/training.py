"""Training of language models: windows of a text, checkpoints, the best of a validation part."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spikecore.astro.checks import check_number, check_range
from spikecore.errors import FileRefused, InvalidInput
from spikecore.files import check_writable, read_archive, write_archive
from spikecore.interrupts import StopRequest
from spikecore.progress import OnProgress

__all__ = ["LanguageTraining", "Recipe", "bits_a_byte", "parts_of"]

FORMAT = "spikecore-astro-training-1"


@dataclass(frozen=True)
class Recipe:
    """How a language model is trained.

    Attributes
    ----------
    steps, batch, ticks : int
        Steps of the optimiser, windows a step, bytes a window.
    rate : float
        Highest learning rate of AdamW: reached after ``warmup`` steps, then a cosine down to a
        tenth.
    weight_decay : float
        Of matrices; biases, gains and time constants have none.
    clip : float
        Longest gradient.
    evaluate, save : int
        Steps between looks at the validation part, and between checkpoints.
    noise : float
        Share of the bytes given (not of those asked for) that are replaced by others of the
        text: keeps a model from trusting a context too much.
    seed : int
    """

    steps: int = 2000
    batch: int = 32
    ticks: int = 256
    rate: float = 4e-3
    warmup: int = 100
    weight_decay: float = 0.1
    clip: float = 1.0
    evaluate: int = 200
    save: int = 200
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "ticks", "evaluate", "save"):
            check_number(f"Recipe.{name}", getattr(self, name), above=0, whole=True)
        check_number("Recipe.rate", self.rate, above=0.0)
        check_range("Recipe.noise", self.noise, 0.0, 1.0)
        check_range("Recipe.weight_decay", self.weight_decay, 0.0, math.inf)


def parts_of(text: bytes, ticks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return training, validation and test part of a text: 86, 4 and 10 per cent, in order.

    Raises
    ------
    InvalidInput
        If a part is shorter than a window.
    """
    data = torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(0)
    ends = [0, int(0.86 * len(data)), int(0.9 * len(data)), len(data)]
    first, second, third = (data[a:b] for a, b in pairwise(ends))
    if min(map(len, (first, second, third))) < ticks + 2:
        raise InvalidInput(
            "text",
            f"must be so long that 4 per cent of it hold a window of {ticks} bytes and two more",
            got=f"{len(data)} bytes",
            fix="give more text, or shorter windows",
        )
    return first, second, third


@torch.no_grad()
def bits_a_byte(
    model: nn.Module, part: Tensor, ticks: int, *, batch: int = 256, bfloat16: bool = False
) -> float:
    """Return the cross-entropy over a text in bits a byte.

    The text is cut into windows of ``ticks`` bytes that overlap by half; of each only the second
    half counts, so that every byte has at least half a window before it, for models with a
    memory and without.

    Parameters
    ----------
    model : nn.Module
        Bytes (T, B) to logits (T, B, 256).
    part : Tensor of uint8
    ticks : int
    batch : int
        Windows at once.
    bfloat16 : bool
        Multiply matrices in bfloat16.
    """
    was = model.training
    model.eval()
    windows = part.unfold(0, ticks + 1, ticks - ticks // 2).long()
    half, total = ticks // 2, 0.0
    for some in windows.split(batch):
        with torch.autocast(part.device.type, torch.bfloat16, enabled=bfloat16):
            logits = model(some.T[:-1])[half:].float()
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), some.T[half + 1 :].flatten(), reduction="sum"
        )
        total += float(loss)
    model.train(was)
    return total / math.log(2) / (len(windows) * (ticks - half))


@dataclass
class _Curve:
    steps: list[int] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)


class LanguageTraining:
    """The training of one model, stopped and resumed at any step.

    Parameters
    ----------
    model : nn.Module
        Bytes (T, B) to logits (T, B, 256).
    text : bytes
    recipe : Recipe
    device : str
    bfloat16 : bool
        Multiply matrices in bfloat16.
    graph : bool
        Replay a step as one CUDA graph: quicker where kernels are small.
    checkpoint : path, optional
        Written every ``recipe.save`` steps and where training ends.
    resume : bool
        Go on from the checkpoint.

    Attributes
    ----------
    done : int
        Steps so far.
    curve
        Bits a byte of training and validation by step.

    Raises
    ------
    InvalidInput
        If the text is too short.
    FileRefused
        If the checkpoint cannot be written, or (with ``resume``) is missing, damaged or of
        another training.
    """

    def __init__(
        self,
        model: nn.Module,
        text: bytes,
        recipe: Recipe,
        *,
        device: str = "cpu",
        bfloat16: bool = False,
        graph: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> None:
        self.model, self.recipe, self.bfloat16 = model.to(device), recipe, bfloat16
        parts = parts_of(text, recipe.ticks)
        self.train, self.validation, self.test = (part.to(device) for part in parts)
        self.identity = {
            "recipe": asdict(recipe),
            "text": hashlib.sha256(text).hexdigest(),
            "model": [[name, list(p.shape)] for name, p in model.named_parameters()],
        }
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        if self.checkpoint is not None:
            check_writable(self.checkpoint)
        self.done, self.curve = 0, _Curve()
        self.best: dict[str, Tensor] = {}
        self._draw = torch.Generator().manual_seed(recipe.seed)
        cuda = torch.device(device).type == "cuda"
        self.optimiser = torch.optim.AdamW(
            _groups(model, recipe.weight_decay),
            lr=torch.tensor(0.0, device=device) if graph else 0.0,
            betas=(0.9, 0.98),
            capturable=graph,
            fused=cuda,
        )
        shape = (recipe.ticks, recipe.batch)
        self._given, self._wanted = torch.zeros(2, *shape, dtype=torch.int64, device=device)
        self._loss = torch.zeros((), device=device)
        if resume:
            self._restore()
        self._replay: Callable[[], None] = self._capture() if graph else self._update

    def run(self, on: OnProgress = lambda _done: None, stop: StopRequest | None = None) -> bool:
        """Train to the end, or until ``stop`` is true; the model then has its best weights.

        Returns
        -------
        bool
            Whether it came to the end; otherwise the checkpoint has what is needed to go on.
        """
        self.save()  # a checkpoint that cannot be written is found now, not in an hour
        recipe = self.recipe
        self.model.train()
        while self.done < recipe.steps and not stop:
            self.step()
            on(1)
            last = self.done == recipe.steps
            if last or self.done % recipe.evaluate == 0:
                self._look()
            if self.done % recipe.save == 0 and not last:
                self.save()
        self.save()
        if self.done < recipe.steps:
            return False
        self.take_best()
        return True

    def take_best(self) -> bool:
        """Give the model the weights that did best so far; False if none were validated yet."""
        if self.best:
            self.model.load_state_dict(self.best)
        self.model.eval()
        return bool(self.best)

    def step(self) -> None:
        """Draw windows and let the optimiser take one step."""
        recipe = self.recipe
        begin = torch.randint(len(self.train) - recipe.ticks, (recipe.batch,), generator=self._draw)
        at = begin[None] + torch.arange(recipe.ticks + 1)[:, None]
        given = at[:-1]
        if recipe.noise:
            other = torch.randint(len(self.train), given.shape, generator=self._draw)
            hit = torch.rand(given.shape, generator=self._draw) < recipe.noise
            given = torch.where(hit, other, given)
        device = self.train.device
        self._given.copy_(self.train[given.to(device)])
        self._wanted.copy_(self.train[at[1:].to(device)])
        self._set_rate()
        self._replay()
        self.done += 1

    def _set_rate(self) -> None:
        recipe, n = self.recipe, self.done
        warm = min(1.0, (n + 1) / max(1, recipe.warmup))
        rate = recipe.rate * warm * (0.55 + 0.45 * math.cos(math.pi * n / recipe.steps))
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _update(self) -> None:
        device = self._given.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bfloat16):
            logits = self.model(self._given)
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), self._wanted.flatten())
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip, foreach=True)
        self.optimiser.step()
        self._loss.copy_(loss.detach())

    def _capture(self) -> Callable[[], None]:
        """Record a step as a CUDA graph; weights and averages are what they were before."""
        state = {k: v.clone() for k, v in self.model.state_dict().items()}
        kept = {k: v.clone() for k, v in self._averages().items()}
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        self.model.train()
        with torch.cuda.stream(aside):
            for _ in range(3):
                self._update()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=aside):  # streams do not share scratch memory
            self._update()
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                value.copy_(state[name])
            for name, value in self._averages().items():
                value.copy_(kept[name]) if name in kept else value.zero_()
        replay: Callable[[], None] = graph.replay
        return replay

    def _look(self) -> None:
        bits = bits_a_byte(self.model, self.validation, self.recipe.ticks, bfloat16=self.bfloat16)
        if not self.curve.validation or bits < min(self.curve.validation):
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.curve.steps.append(self.done)
        self.curve.train.append(float(self._loss) / math.log(2))
        self.curve.validation.append(bits)

    def test_bits(self) -> float:
        """Return bits a byte on the test part."""
        bits: float = bits_a_byte(self.model, self.test, self.recipe.ticks, bfloat16=self.bfloat16)
        return bits

    def save(self) -> None:
        """Write the checkpoint, if there is one."""
        if self.checkpoint is None:
            return
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        tensors |= {f"average/{k}": v for k, v in self._averages().items()}
        tensors |= {"draw": self._draw.get_state(), "dropout": torch.get_rng_state()}
        arrays = {k: v.detach().cpu().numpy() for k, v in tensors.items()}
        meta = {"identity": self.identity, "done": self.done, "curve": asdict(self.curve)}
        write_archive(self.checkpoint, FORMAT, meta, arrays)

    def _averages(self) -> dict[str, Tensor]:
        """Return the moments of the optimiser, which appear with its first step."""
        names = {p: name for name, p in self.model.named_parameters()}
        return {
            f"{kind}/{names[parameter]}": value
            for parameter, moments in self.optimiser.state.items()
            for kind, value in moments.items()
        }

    def _restore(self) -> None:
        assert self.checkpoint is not None
        place = os.fspath(self.checkpoint)
        meta, arrays = read_archive(self.checkpoint, FORMAT)
        for key, wanted in self.identity.items():
            if meta["identity"].get(key) != wanted:
                raise FileRefused(
                    place,
                    f"belongs to a training with another {key}",
                    fix="give the options it was started with, or another checkpoint",
                )
        device = self._given.device

        def those(kind: str) -> dict[str, Tensor]:
            return {
                k.removeprefix(kind): _tensor(v).to(device)
                for k, v in arrays.items()
                if k.startswith(kind)
            }

        self.model.load_state_dict(those("model/"))
        self.best = those("best/")
        parameters = dict(self.model.named_parameters())
        for key, value in those("average/").items():
            kind, name = key.split("/", 1)
            self.optimiser.state[parameters[name]][kind] = value
        self._draw.set_state(_tensor(arrays["draw"]))
        torch.set_rng_state(_tensor(arrays["dropout"]))
        self.done, self.curve = meta["done"], _Curve(**meta["curve"])


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array))


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return parameters with and without weight decay."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
