"""Astrocyte-modulated units for torch: spiking neurons with a memory that outlasts them.

Activity has the shape (T, B, N) everywhere: ticks, samples of the batch, neurons.
"""

from spikecore.need_torch import need_torch

need_torch()  # before the modules below fail with an error that names no remedy

from spikecore.astro.block import AstroBlock, BlockState  # noqa: E402
from spikecore.astro.events import EventMemory  # noqa: E402
from spikecore.astro.gated import GatedBlock, GatedBlockState  # noqa: E402
from spikecore.astro.language import ByteModel, ModelSizes, generate  # noqa: E402
from spikecore.astro.memory import Variant  # noqa: E402
from spikecore.astro.training import LanguageTraining, Recipe  # noqa: E402
from spikecore.astro.unit import AMSU, AMSUState  # noqa: E402

__all__ = [
    "AMSU",
    "AMSUState",
    "AstroBlock",
    "BlockState",
    "ByteModel",
    "EventMemory",
    "GatedBlock",
    "GatedBlockState",
    "LanguageTraining",
    "ModelSizes",
    "Recipe",
    "Variant",
    "generate",
]
