"""Pair STDP in tensor operations, online: one entry per synapse for everything."""

from __future__ import annotations

import numpy as np
import torch

from spikecore.backends.lowering import LoweredProjection
from spikecore.plasticity import PairSTDP

__all__ = ["LONG_AGO", "Learning"]

LONG_AGO = -(2**40)


class Learning:
    """One plastic projection, for all items of a batch: tensors of shape (items, M)."""

    STATE = ("x", "y", "x_at", "y_at", "fired")

    def __init__(
        self,
        p: LoweredProjection,
        rule: PairSTDP,
        dt: float,
        items: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.rule = rule
        self.source = torch.from_numpy(p.source).to(device)
        self.target = torch.from_numpy(p.target.astype(np.int64)).to(device)
        self.k_plus, self.k_minus = (
            torch.from_numpy(np.append(k, 0.0)).to(device=device, dtype=dtype)
            for k in rule.windows(dt)
        )
        kind = np.dtype(str(dtype).removeprefix("torch.")).type
        self.a_plus, self.a_minus = (float(kind(a)) for a in rule.amplitudes)
        self.low, self.high = (float(kind(b)) for b in rule.bounds)
        delay = np.broadcast_to(p.delay, (p.size,)).astype(np.int64)
        lag = delay if rule.post_delay == "dendritic" else np.zeros_like(delay)
        self.lag = torch.from_numpy(lag).to(device)
        self.x = torch.zeros((items, p.size), dtype=dtype, device=device)
        self.y = self.x.clone()
        self.x_at = torch.full_like(self.x, LONG_AGO, dtype=torch.int64)
        self.y_at = self.x_at.clone()
        slots = int(lag.max(initial=0)) + 1
        self.fired = torch.zeros((slots, items, p.target_size), dtype=torch.bool, device=device)
        self.sent = self.x

    def tick(
        self,
        t: int,
        weight: torch.Tensor,
        fired: tuple[torch.Tensor, torch.Tensor],
        factors: tuple[torch.Tensor | None, torch.Tensor | None],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weights after tick t, and those that its spikes carry.

        ``fired`` says which sources and which targets have fired, ``factors`` what A_plus and
        A_minus are multiplied by, if by anything.
        """
        (pre, post), (plus, minus) = fired, factors
        slots = len(self.fired)
        self.fired[t % slots] = post
        reached = self.fired[(t - self.lag) % slots, :, self.target].T
        sent = pre[:, self.source]
        before = (self.y, self.y_at)
        if self.rule.coincidence == "potentiate":
            weight = carried = self._pre(t, weight, sent, before, minus)
            return self._post(t, weight, reached, plus), carried
        weight = self._post(t, weight, reached, plus)
        ignore = self.rule.coincidence == "ignore"
        weight = self._pre(t, weight, sent, before if ignore else (self.y, self.y_at), minus)
        return weight, weight

    @staticmethod
    def _read(trace: torch.Tensor, at: torch.Tensor, t: int, window: torch.Tensor) -> torch.Tensor:
        return trace * window[(t - at).clamp(max=len(window) - 1)]

    def _post(
        self, t: int, weight: torch.Tensor, reached: torch.Tensor, factor: torch.Tensor | None
    ) -> torch.Tensor:
        a_plus = self.a_plus if factor is None else self.a_plus * factor
        gain = a_plus * self._read(self.x, self.x_at, t, self.k_plus)
        if self.rule.dependence == "multiplicative":
            gain = gain / self.high * (self.high - weight)
        fresh = torch.ones_like(self.y)
        if self.rule.pairing == "all":
            fresh = self._read(self.y, self.y_at, t, self.k_minus) + 1
        self.y = torch.where(reached, fresh, self.y)
        self.y_at = torch.where(reached, t, self.y_at)
        return torch.where(reached, self._bounded(weight + gain), weight)

    def _pre(
        self,
        t: int,
        weight: torch.Tensor,
        sent: torch.Tensor,
        post: tuple[torch.Tensor, torch.Tensor],
        factor: torch.Tensor | None,
    ) -> torch.Tensor:
        a_minus = self.a_minus if factor is None else self.a_minus * factor
        loss = a_minus * self._read(*post, t, self.k_minus)
        if self.rule.dependence == "multiplicative":
            loss = loss / self.high * (weight - self.low)
        changed = self._bounded(weight - loss)
        if self.rule.clamp == "update":
            changed = changed.clamp(self.low, self.high)
        fresh = torch.ones_like(self.x)
        if self.rule.pairing == "all":
            fresh = self._read(self.x, self.x_at, t, self.k_plus) + 1
        self.x = torch.where(sent, fresh, self.x)
        self.x_at = torch.where(sent, t, self.x_at)
        return torch.where(sent, changed, weight)

    def _bounded(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.clamp(self.low, self.high) if self.rule.clamp == "pair" else weight
