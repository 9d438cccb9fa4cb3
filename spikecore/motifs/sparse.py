"""The sparse form of the layer: a list of taps, run event by event on a stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.camera import EventStream
from spikecore.errors import InvalidInput
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.layer import FLOOR, UNREAD, Answers, KernelLayer, Sums

__all__ = ["EventLayer", "Taps", "taps_of"]

LANES = 32
"""Rows of weights are padded to a multiple of this, so that the sums use whole registers."""


@dataclass(frozen=True, eq=False)
class Taps:
    """The weights of a kernel that are not zero, one entry each.

    Attributes
    ----------
    classes, polarities, delays, rows, columns : ndarray of int, shape (S,)
        Class, polarity, delay (ticks), and where the event lies from the pixel that
        reads it (an event at ``(x + column, y + row)`` counts for pixel ``(x, y)``).
    weights : ndarray of float32, shape (S,)
    """

    classes: npt.NDArray[np.int64]
    polarities: npt.NDArray[np.int64]
    delays: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.weights.size)


def taps_of(kernel: DelayKernel) -> Taps:
    """Return the taps of a kernel, by class, polarity, delay, row and column."""
    c, p, d, i, j = np.nonzero(kernel.weights)
    h = kernel.size // 2
    return Taps(c, p, d, h - i, h - j, kernel.weights[c, p, d, i, j])


class EventLayer(KernelLayer):
    """Runs event by event: work follows the events, not the pixels or ticks.

    The default. Kernels on a grid (:attr:`DelayKernel.grid`) are summed in integers.

    Raises
    ------
    InvalidInput
        If the kernel has more than 64 delays.
    """

    def __init__(self, kernel: DelayKernel, width: int, height: int, tick: int) -> None:
        super().__init__(kernel, width, height, tick)
        if kernel.delays > 64:  # noqa: PLR2004
            raise InvalidInput(
                "EventLayer.kernel",
                "may have up to 64 delays",
                got=kernel.delays,
                fix="use a longer tick, or backend='clocked'",
            )
        self._ring = 32 if kernel.delays <= 32 else 64  # noqa: PLR2004
        self._h = kernel.size // 2
        self._stride = width + 2 * self._h
        self._depth = -(-kernel.polarities * self._ring // 64)
        pixels = self._stride * (height + 2 * self._h)
        self._history = np.zeros(pixels * self._depth, np.uint64)
        self._table, self._rows = _weight_rows(kernel, self._ring, self._depth)
        self._zero_row = np.zeros(self._rows.shape[1], np.float32)
        scale = 1.0
        if kernel.grid is not None:
            scale = kernel.grid
            self._rows = np.rint(self._rows / np.float32(scale)).astype(np.int16)
            self._zero_row = self._zero_row.astype(np.int32)
        self._masks = _masks(kernel, self._ring, self._depth)
        self._spans = _spans(self._masks, kernel.size, self._stride, self._depth)
        nearby = np.arange(kernel.polarities * int(kernel.window.sum()) + 1)
        norm = scale * (kernel.half / (kernel.half + nearby)) ** kernel.gamma
        self._norm = norm.astype(np.float32)
        self._recent = _Events.empty()

    def _advance(
        self,
        events: EventStream,
        ticks: npt.NDArray[np.int64],
        polarity: npt.NDArray[np.int64],
        cells: npt.NDArray[np.int32],
        sums: Sums,
        every: int,
        keep_evidence: bool,
    ) -> Answers:
        from spikecore.motifs.sparse_kernels import run

        row = events.y.astype(np.int64) + self._h
        pixels = row * self._stride + events.x + self._h
        ahead = self._recent.joined(_Events(ticks, pixels, polarity))
        first, total = len(self._recent.ticks), len(ahead.ticks)
        best = np.full(total, UNREAD, np.int16)
        confidence = np.zeros(total, np.float32)
        evidence = np.zeros((total if keep_evidence else 0, self.kernel.classes), np.float32)
        voxels, read, pairs = run(
            ahead.ticks,
            ahead.pixels,
            ahead.polarities,
            np.concatenate([np.full(first, -1, np.int32), cells]),
            first,
            every,
            self._voxels,
            self._history,
            self._depth,
            self._masks.reshape(2, -1),
            self._spans,
            self._table,
            self._rows,
            self._zero_row,
            self.kernel.bias,
            self._norm,
            self._ring,
            self.kernel.polarity == "invariant",
            sums.log_posterior,
            sums.counts,
            best,
            confidence,
            evidence,
            FLOOR,
        )
        self._recent = ahead.since(self._ring)
        kept = evidence[first:] if keep_evidence else None
        return Answers(best[first:], confidence[first:], kept, voxels, read, int(pairs))


@dataclass(frozen=True, eq=False)
class _Events:
    """Events as the compiled part takes them."""

    ticks: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.int64]
    polarities: npt.NDArray[np.int64]

    @classmethod
    def empty(cls) -> _Events:
        return cls(*(np.empty(0, np.int64) for _ in range(3)))

    def joined(self, other: _Events) -> _Events:
        return _Events(
            np.concatenate([self.ticks, other.ticks]),
            np.concatenate([self.pixels, other.pixels]),
            np.concatenate([self.polarities, other.polarities]),
        )

    def since(self, span: int) -> _Events:
        """Return the events of the last ``span`` ticks."""
        if not len(self.ticks):
            return self
        low = int(np.searchsorted(self.ticks, self.ticks[-1] - span, side="right"))
        return _Events(self.ticks[low:], self.pixels[low:], self.polarities[low:])


def _weight_rows(
    kernel: DelayKernel, ring: int, depth: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return a row of weights for each (place, polarity, delay) that has any, and where it is.

    Row 0 is all zeros.

    With "invariant", a row holds the classes as they are and with polarities exchanged.
    Places run over rows and columns of the field from the upper left.
    """
    c, p, d, k = kernel.classes, kernel.polarities, kernel.delays, kernel.size
    seen = kernel.weights[..., ::-1, ::-1].transpose(3, 4, 1, 2, 0).reshape(k * k, p, d, c)
    parts = [seen, seen[:, ::-1]] if kernel.polarity == "invariant" else [seen]
    together = np.concatenate(parts, -1)
    place, polarity, delay = np.nonzero(together.any(-1))
    width = -(-together.shape[-1] // LANES) * LANES
    rows = np.zeros((1 + place.size, width), np.float32)
    rows[1:, : together.shape[-1]] = together[place, polarity, delay]
    table = np.zeros(k * k * depth * 64, np.int32)
    table[place * depth * 64 + polarity * ring + delay] = np.arange(1, 1 + place.size)
    return table, rows


def _masks(kernel: DelayKernel, ring: int, depth: int) -> npt.NDArray[np.uint64]:
    """Return where weights lie (0) and where events count (1), shape (2, K K, depth).

    Bit ``polarity * ring + (-delay mod ring)``: turned by the tick, it meets the history.
    """
    p, d, k = kernel.polarities, kernel.delays, kernel.size
    used: npt.NDArray[np.bool_] = np.asarray(kernel.weights.any(0))
    if kernel.polarity == "invariant":
        used = used | used[::-1]
    counted = np.broadcast_to(kernel.window, used.shape) if kernel.gamma else np.zeros_like(used)
    masks = np.zeros((2, k * k, depth), np.uint64)
    for which, inside in enumerate((used, counted)):
        places = inside[..., ::-1, ::-1].reshape(p, d, k * k)
        for polarity, delay in np.ndindex(p, d):
            field = polarity * ring + (-delay) % ring
            bit = np.uint64(1) << np.uint64(field % 64)
            masks[which, places[polarity, delay], field // 64] |= bit
    return masks


def _spans(
    masks: npt.NDArray[np.uint64], size: int, stride: int, depth: int
) -> npt.NDArray[np.int64]:
    """Return, for each row of the field, where to start, its first place, and how many."""
    used: npt.NDArray[np.bool_] = np.asarray(masks.any((0, 2))).reshape(size, size)
    h = size // 2
    spans = []
    for row in range(size):
        columns = np.flatnonzero(used[row])
        if columns.size:
            low, high = int(columns[0]), int(columns[-1]) + 1
            spans.append(((row - h) * stride + low - h, row * size + low, high - low))
    return np.array(spans, np.int64).reshape(-1, 3) * depth
