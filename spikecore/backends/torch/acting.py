"""What a slow state multiplies weights and learning rates by, in tensor operations."""

from __future__ import annotations

import numpy as np
import torch

from spikecore.backends.modulated import LoweredModulation

__all__ = ["Acting"]


class Acting:
    """One modulation; ``population`` is the number of the population that acts."""

    def __init__(
        self, m: LoweredModulation, population: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        def tensor(values: object) -> torch.Tensor:
            return torch.as_tensor(values, dtype=dtype, device=device)

        self.population, self.state = population, m.state
        self.who = torch.from_numpy(m.who.astype(np.int64)).to(device)
        self.base, self.gain, self.floor = tensor(m.base), tensor(m.gain), tensor(m.floor)
        self.threshold = None if m.threshold is None else tensor(m.threshold)

    def factor(self, x: torch.Tensor) -> torch.Tensor:
        """Return the factor of each synapse, shape (items, M), from states (items, size, S)."""
        own = x[..., self.state]
        if self.threshold is None:
            found = self.base + self.gain * own
        else:
            found = torch.where(own > self.threshold, self.base + self.gain, self.base)
        return torch.maximum(found, self.floor)[:, self.who]
