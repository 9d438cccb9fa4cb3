"""PyTorch as a backend: on a CPU step by step, on a GPU by kernels of our own."""

from spikecore.backends.torch.backend import TorchBackend
from spikecore.backends.torch.session import TorchSession

__all__ = ["TorchBackend", "TorchSession"]
