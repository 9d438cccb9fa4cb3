"""A language model over bytes, made of astrocyte-modulated blocks."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from spikecore.astro.block import AstroBlock, BlockState
from spikecore.astro.checks import check_choice
from spikecore.astro.gated import GatedBlock, GatedBlockState
from spikecore.errors import FileRefused, InvalidInput
from spikecore.files import read_archive, write_archive
from spikecore.nn.surrogates import QGate
from spikecore.progress import OnProgress

__all__ = ["ByteModel", "ModelSizes", "generate"]

State = BlockState | GatedBlockState

BYTES = 256
SURROGATE = QGate(0.5)
"""Twice as wide as the usual one: trains better here."""

Mixing = Literal["lif", "gated"]

FORMAT = "spikecore-astro-language-1"


@dataclass(frozen=True)
class ModelSizes:
    """What a :class:`ByteModel` is built from.

    The names are those of its blocks and of `AMSU`.

    Attributes
    ----------
    features, layers, size, hidden, heads, d_k : int
    tau_a : (float, float)
    variant, firing : str
    dropout : float
    clock, read_gate : bool
    mixing : {"lif", "gated"}
        Blocks of :class:`AstroBlock`, or of :class:`GatedBlock`.
    taps, mix_gate, feedback
        Of an :class:`AstroBlock`.
    threshold : float
        Of a :class:`GatedBlock`.
    tied : bool
        Whether the weights that read out bytes are those that embed them; only between blocks of
        :class:`AstroBlock`.
    """

    features: int = 128
    layers: int = 3
    size: int = 128
    hidden: int = 256
    heads: int = 4
    d_k: int = 32
    taps: int = 4
    tau_a: tuple[float, float] = (8.0, 1024.0)
    variant: str = "delta"
    firing: str = "graded"
    dropout: float = 0.1
    clock: bool = False
    read_gate: bool = False
    mix_gate: bool = False
    tied: bool = True
    feedback: int = 0
    mixing: str = "lif"
    threshold: float = 0.1


class ByteModel(nn.Module):
    """Bytes in, logits of the next byte out.

    Parameters
    ----------
    sizes : ModelSizes
    seed : int, optional
        Seeds torch, of which weights and dropout are drawn.

    Examples
    --------
    >>> from spikecore.astro import ByteModel, ModelSizes
    >>> model = ByteModel(ModelSizes(features=16, size=16, hidden=32, layers=1, d_k=4))
    >>> import torch
    >>> model(torch.zeros(5, 2, dtype=torch.int64)).shape
    torch.Size([5, 2, 256])
    """

    def __init__(self, sizes: ModelSizes, *, seed: int | None = None) -> None:
        super().__init__()
        if seed is not None:
            torch.manual_seed(seed)
        self.sizes = sizes
        gated = check_choice("ModelSizes.mixing", sizes.mixing, Mixing) == "gated"
        self.embed = nn.Embedding(BYTES, sizes.features)
        self._scale = 1.0 if gated else sizes.features**0.5
        nn.init.normal_(self.embed.weight, std=1.0 if gated else sizes.features**-0.5)
        self.dropout = nn.Dropout(sizes.dropout)
        self.between = nn.Dropout(sizes.dropout) if gated else nn.Identity()
        self.blocks = nn.ModuleList(_gated_blocks(sizes) if gated else _blocks(sizes))
        width = sizes.hidden if gated else sizes.features
        self.norm = nn.Identity() if gated else nn.RMSNorm(width)
        self.head = None if sizes.tied else nn.Linear(width, BYTES)

    def forward(self, given: Tensor) -> Tensor:
        """Return logits, shape (T, B, 256), for bytes of shape (T, B)."""
        stream = self._embedded(given)
        for i, block in enumerate(self.blocks):
            stream = block(self.between(stream) if i else stream)
        return self._logits(stream)

    def start(self, batch: int = 1) -> list[State]:
        """Return the state before the first byte."""
        return [block.start(batch) for block in self.blocks]

    def stream(self, given: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """Go on from a state; its size is the same after every byte."""
        stream = self._embedded(given)
        after = []
        for i, (block, one) in enumerate(zip(self.blocks, state, strict=True)):
            stream, new = block.stream(self.between(stream) if i else stream, one)
            after.append(new)
        return self._logits(stream), after

    @property
    def rates(self) -> list[tuple[float, float]]:
        """Share of neurons that fired (with gates: sent something) a byte.

        In the last pass in evaluation mode.
        """
        return [block.rates for block in self.blocks]

    def _embedded(self, given: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.embed(given)) * self._scale
        return out

    def _logits(self, stream: Tensor) -> Tensor:
        given = self.dropout(self.norm(stream))
        if self.head is None:
            return nn.functional.linear(given, self.embed.weight)
        out: Tensor = self.head(given)
        return out

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model in half precision.

        Raises
        ------
        FileRefused
            If the file cannot be written.
        """
        arrays = {k: v.detach().half().cpu().numpy() for k, v in self.state_dict().items()}
        write_archive(path, FORMAT, {"sizes": asdict(self.sizes)}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> ByteModel:
        """Read what :meth:`save` wrote; without a path, the model that ships.

        That one (473,512 parameters; units with graded spikes and the delta rule, and neurons with
        gates that hear them and one another) was trained on tiny Shakespeare; docs/astro.md says
        how well it does.

        Raises
        ------
        FileRefused
            If the file is missing, damaged, or of another kind.
        """
        if path is None:
            path = str(files(__package__).joinpath("models/shakespeare.npz"))
        meta, arrays = read_archive(path, FORMAT)
        try:
            sizes = meta["sizes"]
            model = cls(ModelSizes(**{**sizes, "tau_a": tuple(sizes["tau_a"])}))
            model.load_state_dict({k: torch.from_numpy(v).float() for k, v in arrays.items()})
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise FileRefused(
                os.fspath(path),
                "does not fit the model it describes",
                got=str(error).splitlines()[0],
                fix="use a file that this version wrote",
            ) from error
        model.eval()
        return model


def _shared(sizes: ModelSizes) -> dict[str, Any]:
    """Return what both kinds of blocks take."""
    return {
        "size": sizes.size,
        "dropout": sizes.dropout,
        "firing": sizes.firing,
        "variant": sizes.variant,
        "heads": sizes.heads,
        "d_k": sizes.d_k,
        "tau_a": sizes.tau_a,
        "read_norm": True,
        "clock": sizes.clock,
        "read_gate": sizes.read_gate,
        "surrogate": SURROGATE,
    }


def _blocks(sizes: ModelSizes) -> list[nn.Module]:
    return [
        AstroBlock(
            sizes.features,
            hidden=sizes.hidden,
            taps=sizes.taps,
            mix_gate=sizes.mix_gate,
            feedback=sizes.feedback,
            **_shared(sizes),
        )
        for _ in range(sizes.layers)
    ]


def _gated_blocks(sizes: ModelSizes) -> list[nn.Module]:
    alien = [name for name in ("tied", "mix_gate", "feedback") if getattr(sizes, name)]
    if alien:
        raise InvalidInput(
            f"ModelSizes.{alien[0]}",
            "does not go with mixing='gated'",
            got=getattr(sizes, alien[0]),
            fix=f"add {alien[0]}={0 if alien[0] == 'feedback' else False}, or use mixing='lif'",
        )
    widths = [sizes.features, *[sizes.hidden] * (sizes.layers - 1)]
    return [
        GatedBlock(width, sizes.hidden, threshold=sizes.threshold, **_shared(sizes))
        for width in widths
    ]


@torch.no_grad()
def generate(
    model: ByteModel,
    prompt: bytes,
    length: int,
    *,
    seed: int = 0,
    temperature: float = 0.8,
    on: OnProgress = lambda _done: None,
) -> bytes:
    """Continue a prompt, byte by byte, with a state of constant size.

    Parameters
    ----------
    model : ByteModel
        In evaluation mode.
    prompt : bytes
        At least one.
    length : int
        Bytes to add.
    seed : int
    temperature : float
        What logits are divided by; 0 takes the likeliest byte.
    on : callable
        Called with 1 after each byte.

    Returns
    -------
    bytes
        Without the prompt.

    Raises
    ------
    InvalidInput
        If there is no prompt.
    """
    if not prompt:
        raise InvalidInput("prompt", "must hold at least one byte", fix="give e.g. 'ROMEO:'")
    draw = np.random.default_rng(seed)
    device = model.embed.weight.device
    given = torch.tensor(list(prompt), device=device)[:, None]
    state, out = model.start(), bytearray()
    for _ in range(length):
        logits, state = model.stream(given, state)
        out.append(_drawn(logits[-1, 0], temperature, draw))
        given = torch.tensor([[out[-1]]], device=device)
        on(1)
    return bytes(out)


def _drawn(logits: Tensor, temperature: float, draw: np.random.Generator) -> int:
    """Draw a byte."""
    values = logits.double().cpu().numpy()
    if not temperature:
        return int(values.argmax())
    chances = np.exp((values - values.max()) / temperature).cumsum()
    return int(chances.searchsorted(draw.random() * chances[-1], side="right"))


def number_of_parameters(model: Any) -> int:
    """Return how many numbers are learned."""
    return sum(p.numel() for p in model.parameters())
