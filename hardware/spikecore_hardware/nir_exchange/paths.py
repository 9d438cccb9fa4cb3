"""Ways through a graph from one group to the next: matrices, scales and delays on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

__all__ = ["TRANSFORMS", "Way", "ways_to"]

FloatArray = npt.NDArray[np.float64]

TRANSFORMS = (nir.Linear, nir.Affine, nir.Scale, nir.Delay)


@dataclass
class Way:
    """One way from a source to a neuron.

    Attributes
    ----------
    source, target : str
        Nodes at its ends.
    through : tuple of str
        Nodes between, in the order of the signal.
    """

    source: str
    target: str
    through: tuple[str, ...]
    matrix: FloatArray | None = None
    scale: Any = 1.0
    delay_in: Any = 0.0
    delay_out: Any = 0.0
    name: str = ""
    port: str | None = None
    delayed: bool = False
    biases: dict[str, FloatArray] = field(default_factory=dict)

    def follow(self, nodes: dict[str, Any], port_key: str) -> list[str]:
        """Work out weights and delays (s); return why that fails."""
        reasons = []
        for name in self.through:
            node = nodes[name]
            if isinstance(node, nir.Delay):
                self.delayed = True
                if self.matrix is None:
                    self.delay_in = self.delay_in + node.delay
                else:
                    self.delay_out = self.delay_out + node.delay
            elif isinstance(node, nir.Scale):
                self._scale(node.scale)
            elif self.matrix is not None:
                reasons.append(f"node {name!r}: a second matrix with no neurons before it")
            elif np.ndim(node.weight) != 2:  # noqa: PLR2004
                reasons.append(
                    f"node {name!r}: its weights have {np.ndim(node.weight)} axes, not 2"
                )
            else:
                self._multiply(name, node, port_key)
        return reasons

    def _scale(self, scale: FloatArray) -> None:
        if self.matrix is None:
            self.scale = self.scale * scale
        else:
            self.matrix = self.matrix * np.asarray(scale)[:, np.newaxis]
            self.biases = {name: scale * bias for name, bias in self.biases.items()}

    def _multiply(self, name: str, node: Any, port_key: str) -> None:
        weight = np.asarray(node.weight, np.float64)
        self.matrix = weight if np.all(np.equal(self.scale, 1.0)) else weight * self.scale
        self.name = name
        port = node.metadata.get(port_key)
        self.port = port.decode() if isinstance(port, bytes) else port
        if isinstance(node, nir.Affine) and np.any(node.bias):
            self.biases[name] = np.asarray(node.bias, np.float64)

    def synapses(self, size: int) -> tuple[Any, Any, FloatArray, FloatArray]:
        """Return source, target, weight and delay (s) of each synapse."""
        if self.matrix is None:
            weight = np.broadcast_to(np.asarray(self.scale, np.float64), (size,))
            pre = post = np.arange(size)
        else:
            post, pre = np.nonzero(self.matrix)
            weight = self.matrix[post, pre]
        before, after = (np.asarray(d, np.float64) for d in (self.delay_in, self.delay_out))
        delay = np.broadcast_to(before, before.shape or (1,))
        delay = delay[pre] if delay.size > 1 else np.full(pre.size, float(delay[0]))
        late = np.broadcast_to(after, after.shape or (1,))
        return pre, post, weight, delay + (late[post] if late.size > 1 else float(late[0]))


def ways_to(
    target: str, last: str, nodes: dict[str, Any], edges: list[tuple[str, str]]
) -> Iterator[Way]:
    """Yield all ways to ``target`` whose last edge comes from the node ``last``.

    Raises
    ------
    RecursionError
        If transforms send to one another in a circle.
    """

    def back(node: str, through: tuple[str, ...]) -> Iterator[Way]:
        if not isinstance(nodes[node], TRANSFORMS):
            yield Way(node, target, through)
            return
        if node in through:
            raise RecursionError(node)
        for before, after in edges:
            if after == node:
                yield from back(before, (node, *through))

    yield from back(last, ())
