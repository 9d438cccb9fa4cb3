"""Backends that tests run on; one that is not installed is skipped, and says why."""

from __future__ import annotations

import pytest
import torch

from spikecore import BackendUnavailable
from spikecore.backends.registry import get_backend


def missing(name):
    """Return why a backend cannot be loaded here; an empty text if it can."""
    try:
        get_backend(name)
    except BackendUnavailable as error:
        return str(error)
    return ""


NO_BRIAN2 = missing("brian2")
needs_brian2 = pytest.mark.skipif(bool(NO_BRIAN2), reason=NO_BRIAN2)
BRIAN2 = pytest.param("brian2", marks=needs_brian2)

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
CUDA = pytest.param("torch:device=cuda", marks=needs_gpu)
