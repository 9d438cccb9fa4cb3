"""The schedule by which learned delays become whole ticks."""

from __future__ import annotations

from typing import Any

from torch import nn

from spikecore.errors import InvalidInput
from spikecore.nn.delays import BUMPS, DelayedLinear

__all__ = ["DelayAnnealing"]


class DelayAnnealing:
    """Narrows the bumps of all :class:`DelayedLinear` layers of a model, step by step.

    The width falls geometrically, from what it is now to half a tick (Gaussian; 1 tick
    for triangles) after ``steps`` steps, and stays there (Hammouamri et al. 2024). Go
    on training for a while, then call :meth:`finish`.

    Parameters
    ----------
    model : torch.nn.Module
        The model, before training.
    steps : int
        Calls of :meth:`step` until the bumps are narrow: epochs, or batches.

    Raises
    ------
    InvalidInput
        If ``steps`` is below 1, or no layer of the model learns delays.

    Examples
    --------
    >>> from spikecore import ms, mV, nn
    >>> layer = nn.DelayedLinear(3, 2, max_delay=8 * ms, scale=15 * mV)
    >>> schedule = nn.DelayAnnealing(layer, steps=3)
    >>> for _ in range(3):
    ...     print(layer.width)  # train an epoch here
    ...     schedule.step()
    4.0
    2.0
    1.0
    >>> layer.width
    0.5
    >>> schedule.finish()
    >>> layer.width
    0.0
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        if not isinstance(steps, int) or steps < 1:
            rule, fix = "must be an integer of at least 1", "count the calls of step()"
            raise InvalidInput("DelayAnnealing.steps", rule, got=steps, fix=fix)
        layers = [m for m in model.modules() if isinstance(m, DelayedLinear)]
        self._layers = [layer for layer in layers if isinstance(layer.delay, nn.Parameter)]
        if not self._layers:
            raise InvalidInput(
                "DelayAnnealing.model",
                "needs a DelayedLinear that learns its delays",
                got=f"{len(layers)} with fixed delays" if layers else None,
                fix="DelayedLinear(..., max_delay=...) of more than one tick, or no schedule",
            )
        self.steps = steps
        self.done = 0
        self._start = [layer.width for layer in self._layers]

    def step(self) -> None:
        """Narrow all bumps by one step; delays that are whole ticks already stay so."""
        self.done += 1
        share = min(1.0, self.done / self.steps)
        for layer, start in zip(self._layers, self._start, strict=True):
            end = min(start, BUMPS[layer.bump])
            if layer.width > 0:
                layer.width = start ** (1 - share) * end**share

    def finish(self) -> None:
        """Round all delays to whole ticks: the model is now what a network can be."""
        for layer in self._layers:
            layer.round_delays()

    def state_dict(self) -> dict[str, Any]:
        """Return what :meth:`load_state_dict` needs to go on from here."""
        return {"done": self.done, "start": list(self._start)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; the widths themselves are in the model's state."""
        self.done, self._start = state["done"], list(state["start"])
