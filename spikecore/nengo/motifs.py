"""Layers of heterogeneous delays as nengo.Processes: motifs in spikes, motion in events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.camera import EventStream
from spikecore.errors import InvalidInput, UnknownName
from spikecore.inputs import check_size
from spikecore.motifs.detector import MotifLayer
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.layer import Sums
from spikecore.motifs.sparse import EventLayer
from spikecore.nengo.signals import CheckedProcess, ValueParam, as_spikes, ticks_per_step

__all__ = ["KernelProcess", "MotifProcess"]

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
Step = Callable[..., FloatArray]

MICROSECOND = 1e-3  # ms


class MotifProcess(CheckedProcess):
    """A motif layer that takes spikes and gives, in each step, spikes or evidence.

    One step of Nengo is one tick of the layer.

    Parameters
    ----------
    layer : MotifLayer
        Motifs to look for.
    output : {"spikes", "evidence"}
        A spike (1/dt) of each motif that is detected in the step, as
        :meth:`MotifLayer.detect`; or what :meth:`MotifLayer.evidence` returns.

    Raises
    ------
    InvalidInput, UnknownName
        If the layer or the output is something else. When a Simulator is made: if the
        node has another size. While it runs: if the input is anything but spikes.

    Examples
    --------
    >>> import numpy as np
    >>> from spikecore.motifs import MotifLayer
    >>> from spikecore.nengo import MotifProcess
    >>> layer = MotifLayer([0, 1, 2], [0, 0, 0], [1.0, 1.0, 1.0], [9, 5, 1], 3, 1, threshold=3)
    >>> x = np.zeros((12, 3))
    >>> x[[1, 5, 9], [0, 1, 2]] = 1000  # a spike is 1/dt
    >>> np.flatnonzero(MotifProcess(layer).apply(x))
    array([10])
    """

    layer: Any = ValueParam("layer")
    output: Any = ValueParam("output")

    def __init__(self, layer: MotifLayer, *, output: str = "spikes") -> None:
        if not isinstance(layer, MotifLayer):
            fix = "make one, e.g. MotifLayer.from_kernel(kernel)"
            got = type(layer).__name__
            raise InvalidInput("MotifProcess.layer", "must be a MotifLayer", got=got, fix=fix)
        if output not in ("spikes", "evidence"):
            raise UnknownName("MotifProcess.output", str(output), ("spikes", "evidence"))
        super().__init__(layer.n_inputs, layer.n_motifs, tick=None)
        self.layer = layer
        self.output = output

    def make_step(
        self,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        dt: float,
        rng: np.random.RandomState,
        state: dict[str, Any],
    ) -> Step:
        """Start with nothing on its way (Nengo calls this, also on reset)."""
        layer = self.layer
        level, evidence = layer.threshold - layer.bias, self.output == "evidence"
        arrivals = _Arrivals(layer)

        def step(t: float, x: FloatArray) -> FloatArray:
            sums = arrivals.step(as_spikes(x, dt, "MotifProcess: input"))
            found: FloatArray = sums + layer.bias if evidence else (sums >= level) / dt
            return found

        return step


class _Arrivals:
    """What is on its way to the motifs: one row of sums for each tick to come."""

    def __init__(self, layer: MotifLayer) -> None:
        # Sums are made in the order of MotifLayer.evidence, so that they are equal bit by bit.
        order = np.lexsort((layer.targets, layer.delays, layer.sources))
        self.row = np.searchsorted(layer.sources[order], np.arange(layer.n_inputs + 1))
        self.targets, self.weights = layer.targets[order], layer.weights[order]
        self.delays = layer.delays[order]
        self.sums = np.zeros((layer.max_delay + 1, layer.n_motifs))
        self.tick = -1

    def step(self, neurons: IndexArray) -> FloatArray:
        """Go on by a tick in which ``neurons`` spike; return what arrives in it."""
        length = self.sums.shape[0]
        if self.tick >= 0:
            self.sums[self.tick % length] = 0.0
        self.tick += 1
        for address, times in zip(*np.unique(neurons, return_counts=True), strict=True):
            own = np.repeat(np.arange(self.row[address], self.row[address + 1]), times)
            slot = (self.tick + self.delays[own]) % length
            np.add.at(self.sums, (slot, self.targets[own]), self.weights[own])
        arrived: FloatArray = self.sums[self.tick % length]
        return arrived.copy()


class KernelProcess(CheckedProcess):
    """A delay kernel on the events of a camera: evidence for each class in each step.

    One step of Nengo is one tick of the kernel. The output is the log posterior of each
    class (natural logarithm), summed over the events of the step; 0 without events.

    Parameters
    ----------
    kernel : DelayKernel
        What to look for, e.g. ``shipped_kernel()``.
    width, height : int
        Sensor, pixels.

    Attributes
    ----------
    size_in : int
        ``2 * height * width``: polarity (0 OFF, 1 ON), row, column; an event is a spike,
        1/dt. More than one of a pixel and polarity in a step count once.

    Raises
    ------
    InvalidInput
        If a size is not a positive integer, or the kernel not a DelayKernel. When a
        Simulator is made: if its dt is no whole number of us. While it runs: if the
        input is anything but spikes.
    """

    kernel: Any = ValueParam("kernel")
    width: Any = ValueParam("width")
    height: Any = ValueParam("height")

    def __init__(self, kernel: DelayKernel, width: int, height: int) -> None:
        if not isinstance(kernel, DelayKernel):
            fix = "load one: DelayKernel.load(path), or shipped_kernel()"
            got = type(kernel).__name__
            raise InvalidInput("KernelProcess.kernel", "must be a DelayKernel", got=got, fix=fix)
        check_size(width, "KernelProcess.width")
        check_size(height, "KernelProcess.height")
        super().__init__(2 * height * width, kernel.classes, MICROSECOND)
        self.kernel, self.width, self.height = kernel, width, height

    def make_step(
        self,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        dt: float,
        rng: np.random.RandomState,
        state: dict[str, Any],
    ) -> Step:
        """Start with an empty view (Nengo calls this, also on reset)."""
        tick = ticks_per_step(dt, MICROSECOND, "KernelProcess")
        layer = EventLayer(self.kernel, self.width, self.height, tick)
        grid = (2, self.height, self.width)
        passed = 0

        def step(t: float, x: FloatArray) -> FloatArray:
            nonlocal passed
            pixels = np.unique(as_spikes(x, dt, "KernelProcess: input"))
            polarity, row, column = np.unravel_index(pixels, grid)
            events = EventStream(
                column.astype(np.int16),
                row.astype(np.int16),
                np.full(pixels.size, passed * tick, np.int64),
                polarity.astype(np.uint8),
                self.width,
                self.height,
            )
            sums = Sums.zeros(1, self.kernel.classes)
            layer.advance(events, sums=sums)
            passed += 1
            evidence: FloatArray = sums.log_posterior[0].astype(np.float64)
            return evidence

        return step
