"""Structures that the kernels read, as numpy sees them; kernels.cu has their meaning."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import torch

from spikecore.backends.lowering import Lowered, LoweredPopulation
from spikecore.backends.torch.cuda.nvrtc import Module, module

__all__ = [
    "BLOCK",
    "DRIVE",
    "LEARNING",
    "NET",
    "NETWORK_TENSORS",
    "POPULATION",
    "PROBE",
    "STATE_TENSORS",
    "WEIGHT_TENSORS",
    "compiled",
    "options_of",
]

BLOCK = 128
"""Threads of a block; populations are filled up to whole blocks. As in kernels.cu."""


def _fields(*names: str) -> np.dtype[np.void]:
    """Return a structure of 8-byte fields; ``f:`` marks floats, ``name*4`` arrays."""
    fields: list[tuple[str, str] | tuple[str, str, int]] = []
    for name in names:
        kind, _, rest = name.rpartition(":")
        label, _, number = rest.partition("*")
        code = "<f8" if kind == "f" else "<i8"
        fields.append((label, code, int(number)) if number else (label, code))
    return np.dtype(fields)


POPULATION = _fields(
    "first", "size", "number", "kinds", "radix_bits", "positions", "kind", "cell*4", "f:step*4",
    "free", "held", "gain", "gain_held", "h", "threshold", "reset", "jump", "refractory",
    "reset_mask", "drive_first", "drives", "x",
)  # fmt: skip
NET = _fields(
    "items", "slots", "cells", "words", "neurons", "population",
    "block_population", "row", "synapse", "ring", "due", "x", "last", "until", "count", "list",
    "who", "bits", "bad", "clock", "source_row", "source", "drive", "drive_steps", "drawn", "fired",
    "history", "steps",
)  # fmt: skip
STATE_TENSORS = (
    "ring", "due", "x", "last", "until", "count", "list", "who", "bits", "bad", "clock",
    "source_row", "source", "fired",
)  # fmt: skip
"""Fields of :data:`NET` that are addresses of the engine's tensors of that name."""
NETWORK_TENSORS = ("row", "synapse")
"""The same, of those of the network."""
WEIGHT_TENSORS = ("drive", "drive_steps")
"""The same, of those that depend on weights."""
LEARNING = _fields(
    "synapses", "source_first", "target_first", "cell_first", "f:per_unit", "row",
    "source", "target", "delay", "lag", "weight", "sent", "x", "y", "x_at", "y_at", "k_plus",
    "k_minus", "last_plus", "last_minus", "f:a_plus", "f:a_minus", "f:low", "f:high",
    "source_size", "nearest", "multiplicative", "clamp_pair", "coincidence",
)  # fmt: skip
PROBE = _fields("population", "state", "every", "neurons", "neuron", "out", "rows")
DRIVE = np.dtype(
    [
        ("key", "<u4"),
        ("neuron", "<u4"),
        ("delay", "<i4"),
        ("port", "<i4"),
        ("steps", "<i4"),
        ("begin", "<i4"),
        ("weight", "<i8"),
    ]
)


def shape_of(p: LoweredPopulation) -> tuple[int, int]:
    """Return the numbers of states and ports."""
    return len(p.unit.states), len(p.ports)


def options_of(
    lowered: Lowered, dtype: torch.dtype, delay_bits: int, resident: int
) -> tuple[str, ...]:
    """Return what the kernels are compiled with."""
    double = dtype == torch.float64
    shapes = sorted({shape_of(p) for p in lowered.populations}) or [(1, 1)]
    sizes = [
        f"-D{what}_{k}={size}"
        for k, shape in enumerate(shapes)
        for what, size in zip(("STATES", "PORTS"), shape, strict=True)
    ]
    cases = " ".join(f"f({k})" for k in range(len(shapes)))
    return (
        "--fmad=false",
        f"-DREAL={'double' if double else 'float'}",
        f"-DACC={'long long' if double else 'int'}",
        f"-DUACC={'unsigned long long' if double else 'unsigned'}",
        f"-DCOUNTED={int(double)}",
        f"-DDELAY_BITS={delay_bits}",
        f"-DBLOCK={BLOCK}",
        f"-DRESIDENT={resident}",
        f"-DMOST_STATES={max(states for states, _ in shapes)}",
        f"-DMOST_PORTS={max(ports for _, ports in shapes)}",
        *sizes,
        f"-DCASES(f)={cases}",
    )


def source_text() -> str:
    """Return the kernels as they are compiled."""
    return files(__package__).joinpath("kernels.cu").read_text()


def compiled(lowered: Lowered, dtype: torch.dtype, delay_bits: int, resident: int) -> Module:
    """Return the kernels for the units of ``lowered``."""
    return module(source_text(), options_of(lowered, dtype, delay_bits, resident))
