"""What an engine of the torch backend does, and which one a run gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Options
from spikecore.backends.torch.stepping import Block, SteppingEngine
from spikecore.errors import InvalidInput

__all__ = ["Engine", "make_engine"]

IndexArray = npt.NDArray[np.int64]

MAX_RING_BYTES = {"cpu": 8_000_000_000, "cuda": 32_000_000_000}


class Engine(Protocol):
    """Runs a batch of copies of one network that differ in their input."""

    draws: frozenset[int]
    """Numbers of the inputs that it draws for itself."""

    def run(self, start: int, stop: int, sources: list[tuple[IndexArray, IndexArray]]) -> Block:
        """Run ticks ``start`` to ``stop - 1`` with these (ticks, neurons) for each item."""
        ...

    def convenient(self, ticks: int) -> int:
        """Return how many of ``ticks`` ticks to run at a time: at least one."""
        ...

    def reset(self) -> None:
        """Return states and queues to the start; keep the weights."""
        ...

    def weights(self, projection: int) -> npt.NDArray[Any]:
        """Return the weights of a projection now, in row order, shape (items, M)."""
        ...

    def set_weights(self, weights: list[npt.NDArray[Any]]) -> None:
        """Take over the weights of all projections."""
        ...

    def drawn(self) -> list[int]:
        """Return, for each item, how many events of the inputs in :attr:`draws` have arrived."""
        ...

    def mark(self) -> None:
        """Remember the present state."""
        ...

    def rewind(self) -> None:
        """Return to the state of the last :meth:`mark`."""
        ...

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole dynamic state."""
        ...

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what :meth:`state` returned."""
        ...


def make_engine(
    lowered: Lowered, items: int, options: Options, weights: list[npt.NDArray[Any]]
) -> Engine:
    """Return the engine for ``options``: a device, and a precision.

    Raises
    ------
    BackendUnavailable
        If there is no such device here.
    InvalidInput
        If the ring of arrivals would not fit into :data:`MAX_RING_BYTES`.
    """
    device = options.own["device"]
    each = 8 + 4 if options.precision == "float64" else 4
    wanted = each * (lowered.max_delay + 1) * items * lowered.n_neurons * lowered.n_ports
    if wanted > MAX_RING_BYTES[device]:
        raise InvalidInput(
            f"backend 'torch', device {device!r}",
            f"may use {MAX_RING_BYTES[device] / 1e9:g} GB for spikes on their way",
            got=f"{wanted / 1e9:.1f} GB for a delay of {lowered.max_delay * lowered.dt:g} ms",
            fix="use backend='event', or shorter delays",
        )
    dtype = getattr(torch, options.precision)
    if device == "cpu":
        return SteppingEngine(lowered, items, dtype, torch.device("cpu"), weights)
    from spikecore.backends.torch.cuda.engine import CudaEngine

    return CudaEngine(lowered, items, dtype, weights)
