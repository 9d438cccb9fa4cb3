"""PyTorch as a backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Capabilities, Choice, Options
from spikecore.backends.torch.batch import run_copies
from spikecore.backends.torch.session import TorchSession
from spikecore.errors import BackendUnavailable, CapabilityRefused
from spikecore.progress import OnProgress
from spikecore.results import Result

__all__ = ["TorchBackend"]

IndexArray = npt.NDArray[np.int64]

_ANOTHER_SUM = "arrivals of one tick are summed as whole numbers: exactly, whatever their order"


class TorchBackend:
    """Tensor operations on a CPU, kernels of our own on a CUDA device."""

    name = "torch"
    version = torch.__version__
    choices: ClassVar[Mapping[str, Choice]] = {
        "device": Choice(("cpu", "cuda"), "where it runs: cuda is one NVIDIA GPU"),
    }

    def capabilities(self, options: Options) -> Capabilities:
        """Everything the network description can say."""
        everything = Capabilities.everything(_CPU_COST)
        if options.own.get("device", "cpu") == "cpu":
            return everything
        return OnGpu(
            **vars(everything)
            | {
                "tick_cost": _GPU_COST,
                "departs": {"order of sums": _ANOTHER_SUM},
                "modulation": frozenset(),
                "units": frozenset({"any"}),
            }
        )

    def prepare(self, lowered: Lowered, options: Options) -> TorchSession:
        """Open a session.

        Raises
        ------
        BackendUnavailable
            If the device is not there.
        InvalidInput
            If the ring of arrivals would not fit into memory.
        """
        need_device(options.own["device"])
        return TorchSession(lowered, options)

    def run_copies(
        self,
        lowered: Lowered,
        options: Options,
        feeds: list[tuple[IndexArray, IndexArray]],
        ticks: int,
        on_progress: OnProgress | None = None,
    ) -> list[Result]:
        """Run one copy of the network for each of ``feeds``, all at the same time.

        Raises
        ------
        BackendUnavailable, InvalidInput
            As for :meth:`prepare`.
        CapabilityRefused
            If a unit is stepped: copies that run together move tick by tick.
        """
        if lowered.sweeps:
            names = (lowered.populations[s.population].name for s in lowered.sweeps)
            reasons = [f"population {n!r}: stepped units do not run as copies" for n in names]
            raise CapabilityRefused(self.name, reasons)
        need_device(options.own["device"])
        return run_copies(lowered, options, feeds, ticks, on_progress)


def need_device(device: str) -> None:
    """Raise if ``device`` is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        raise BackendUnavailable(
            "backend 'torch', device 'cuda'",
            "needs an NVIDIA GPU and a build of torch for CUDA",
            got=f"torch {torch.__version__}, "
            + ("built without CUDA" if built is None else f"built for CUDA {built}, no GPU found"),
            fix="use device='cpu', or backend='event', which is faster than torch on a CPU",
        )


# Seconds of a tick, and of each neuron and synapse in it. Measured: on a CPU with 2 to 20,000
# neurons, on an H100 with 23,000 and 77,000.
_CPU_COST = (5e-4, 8e-9)
_GPU_COST = (8e-6, 1e-14)
_EVENT_COST = (4e-7, 5e-8)  # of the event core: a tick, and each neuron and delivered event in it
_TYPICAL_RATE = 10e-3  # spikes of a neuron in a millisecond, where nothing is known
WORTH_SAYING = 2.0  # how many times faster the event core has to be


@dataclass(frozen=True)
class OnGpu(Capabilities):
    """Everything, with a word of advice for networks that are too small."""

    def advice(self, lowered: Lowered, ticks: int) -> str:
        """Say so if the event core would be quicker, by measured cost."""
        events = sum(p.size for p in lowered.projections) * _TYPICAL_RATE * lowered.dt
        fixed, each = _EVENT_COST
        ratio = self.seconds(lowered, 1) / (fixed + each * (lowered.n_neurons + events))
        if ratio < WORTH_SAYING:
            return ""
        return (
            f"this network is too small for a GPU: at 10 Hz the event core is about "
            f"{ratio:.0f} times faster, by measured cost"
        )
