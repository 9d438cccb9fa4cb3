"""The oracle: the layer as its definition says, tick by tick, in plain NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikecore.camera import EventStream
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.layer import Answers, IndexArray, KernelLayer, Sums, read_out

__all__ = ["ClockedLayer"]


class ClockedLayer(KernelLayer):
    """Keeps the last D frames and multiplies each neighbourhood with the whole kernel.

    Slow and obvious: what the other executors are compared with.
    """

    def __init__(self, kernel: DelayKernel, width: int, height: int, tick: int) -> None:
        super().__init__(kernel, width, height, tick)
        h = kernel.size // 2
        shape = (kernel.delays, kernel.polarities, height + 2 * h, width + 2 * h)
        self._frames = np.zeros(shape, np.float32)  # frames[d]: d ticks ago
        self._now = -1

    def _advance(
        self,
        events: EventStream,
        ticks: IndexArray,
        polarity: IndexArray,
        cells: npt.NDArray[np.int32],
        sums: Sums,
        every: int,
        keep_evidence: bool,
    ) -> Answers:
        fresh, read = self._chosen(events, ticks, polarity, cells, every)
        h = self.kernel.size // 2
        evidence = [np.empty((0, self.kernel.classes), np.float32)]
        for tick in np.unique(ticks):
            own = ticks == tick
            gone = min(int(tick) - self._now, self.kernel.delays)
            self._frames = np.roll(self._frames, gone, axis=0)
            self._frames[:gone] = 0.0
            self._frames[0, polarity[own], events.y[own] + h, events.x[own] + h] = 1.0
            self._now = int(tick)
            wanted = np.flatnonzero(own & read)
            if wanted.size:
                rows = [self._evidence(int(events.x[i]), int(events.y[i])) for i in wanted]
                evidence.append(np.stack(rows))
        return read_out(np.concatenate(evidence), fresh, read, cells, sums, keep_evidence)

    def _evidence(self, x: int, y: int) -> npt.NDArray[np.float32]:
        """Return the evidence of every class at a pixel, now."""
        k = self.kernel
        # A larger index of the weights looks further up and left.
        near = self._frames[:, :, y : y + k.size, x : x + k.size][:, :, ::-1, ::-1]
        near = near.transpose(1, 0, 2, 3)
        total = np.tensordot(k.weights, near, axes=4)
        if k.polarity == "invariant":
            total = np.maximum(total, np.tensordot(k.weights, near[::-1], axes=4))
        count = float((near * k.window).sum())
        evidence: npt.NDArray[np.float32] = (
            total * np.float32((k.half / (k.half + count)) ** k.gamma) + k.bias
        )
        return evidence
