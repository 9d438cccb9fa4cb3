"""Says what is missing where torch is needed and is not there."""

from __future__ import annotations

from importlib.util import find_spec

from spikecore.errors import BackendUnavailable

__all__ = ["gpu_in_words", "need_torch"]


def need_torch(device: str = "cpu") -> None:
    """Raise unless torch is installed and has ``device``.

    Raises
    ------
    BackendUnavailable
        With the command that mends it.
    """
    if find_spec("torch") is None:
        raise BackendUnavailable("torch", "is not installed", fix="pip install 'spikecore[torch]'")
    import torch

    if device.split(":", maxsplit=1)[0] == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable(
            "device 'cuda'",
            "torch sees no GPU here",
            got=f"torch {torch.__version__}",
            fix="use device='cpu', or install torch with CUDA for your driver",
        )


def gpu_in_words() -> str:
    """Return the GPU that torch uses, and torch's version.

    Raises
    ------
    BackendUnavailable
        If there is no GPU.
    """
    need_torch("cuda")
    import torch

    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
