"""Ways through a graph from one group to the next: matrices, scales and delays on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from spikecore_hardware.nir_exchange.conventions import PORT

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

    def follow(self, nodes: dict[str, Any], size: int, wanted: int) -> list[str]:
        """Work out weights and delays (s) from ``size`` sources; return why that fails."""
        reasons = []
        for name in self.through:
            node = nodes[name]
            takes, gives = _sizes(node)
            if takes != size:
                reasons.append(f"node {name!r}: takes {takes} values, and gets {size}")
            elif isinstance(node, nir.Delay):
                self._delay(node.delay)
            elif isinstance(node, nir.Scale):
                self._scale(node.scale)
            elif self.matrix is not None:
                reasons.append(f"node {name!r}: a second matrix with no neurons before it")
            else:
                self._multiply(name, node)
            size = gives
        if size != wanted:
            reasons.append(f"node {self.target!r}: has {wanted} neurons, and gets {size} values")
        return reasons

    def _delay(self, delay: FloatArray) -> None:
        self.delayed = True
        if self.matrix is None:
            self.delay_in = self.delay_in + delay
        else:
            self.delay_out = self.delay_out + delay

    def _scale(self, scale: FloatArray) -> None:
        if self.matrix is None:
            self.scale = self.scale * scale
        else:
            self.matrix = self.matrix * np.asarray(scale)[:, np.newaxis]
            self.biases = {name: scale * bias for name, bias in self.biases.items()}

    def _multiply(self, name: str, node: Any) -> None:
        weight = np.asarray(node.weight, np.float64)
        self.matrix = weight if np.all(np.equal(self.scale, 1.0)) else weight * self.scale
        self.name = name
        port = node.metadata.get(PORT)
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


def _sizes(node: Any) -> tuple[int, int]:
    """Return how many values a transform takes and gives; more than one axis is no number."""
    if isinstance(node, nir.Delay | nir.Scale):
        values = np.asarray(node.delay if isinstance(node, nir.Delay) else node.scale)
        return (values.size, values.size) if values.ndim == 1 else (-1, -1)
    shape = np.shape(node.weight)
    return (shape[1], shape[0]) if len(shape) == 2 else (-1, -1)  # noqa: PLR2004


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
