"""A layer of heterogeneous delays: finds motifs in any spike train.

Source: Grimaldi & Perrinet (2023), *Biological Cybernetics*, "Learning heterogeneous
delays in a layer of spiking neurons for fast motion detection", and Perrinet (2023),
ICANN, "Accurate detection of spiking motifs by learning heterogeneous delays of a
spiking neural network".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.events import Spikes
from spikecore.files import read_archive, write_archive
from spikecore.inputs import Input, Train, check_size
from spikecore.motifs.detector_checks import (
    below,
    checked_kernel,
    checked_spikes,
    checked_ticks,
    finite,
    per_motif,
    per_synapse,
    whole,
)
from spikecore.motifs.detector_kernels import add_arrivals
from spikecore.motifs.detector_scores import Detections
from spikecore.network import Network, Population, Projection
from spikecore.quantities import Quantity, magnitude, ms, mV, require
from spikecore.units import LIF, Delta
from spikecore.wiring import Pairs

__all__ = ["MotifLayer"]

IndexArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

FORMAT = "spikecore-motif-layer-1"
FORGETFUL = 1e-3
"""Membrane time constant, in ticks, of a unit that keeps nothing: exp(-1000) is 0."""
_BLOCK = 4096  # ticks of evidence held at a time


@dataclass(frozen=True, eq=False, init=False)
class MotifLayer:
    """Synapses (address, motif, weight, delay) onto detectors, one detector per motif.

    A spike of an address in tick t adds ``weight`` to the evidence of a motif in tick
    t + ``delay``. The evidence is the bias plus what arrives in that very tick; where
    it reaches the threshold, the motif is detected: its spikes, each delayed by as much
    as it came early, have met.

    Parameters
    ----------
    sources, targets : array_like of int, shape (S,)
        Address and motif of each synapse. A pair may have several synapses.
    weights : array_like of float, shape (S,)
        Evidence that one spike brings.
    delays : array_like of int, shape (S,)
        Ticks, at least 1.
    n_inputs, n_motifs : int
        Number of addresses and of motifs.
    bias : float or array_like, shape (n_motifs,)
        Evidence without any spike.
    threshold : float or array_like, shape (n_motifs,)
        Evidence that it takes.

    Raises
    ------
    InvalidInput
        If arrays differ in length, an index is out of range, a delay is below one
        tick, or a number is not finite.

    Examples
    --------
    >>> from spikecore import Spikes
    >>> import numpy as np
    >>> layer = MotifLayer([0, 1, 2], [0, 0, 0], [1.0, 1.0, 1.0], [9, 5, 1], 3, 1, threshold=3)
    >>> found = layer.detect(Spikes(np.array([1, 5, 9]), np.array([0, 1, 2])))
    >>> found.ticks, found.motifs
    (array([10]), array([0]))
    """

    sources: IndexArray
    targets: IndexArray
    weights: FloatArray
    delays: IndexArray
    n_inputs: int
    n_motifs: int
    bias: FloatArray
    threshold: FloatArray

    def __init__(
        self,
        sources: npt.ArrayLike,
        targets: npt.ArrayLike,
        weights: npt.ArrayLike,
        delays: npt.ArrayLike,
        n_inputs: int,
        n_motifs: int,
        bias: npt.ArrayLike = 0.0,
        threshold: npt.ArrayLike = 0.0,
    ) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("n_inputs", check_size(n_inputs, "MotifLayer.n_inputs"))
        put("n_motifs", check_size(n_motifs, "MotifLayer.n_motifs"))
        put("sources", whole(sources, np.size(sources), "MotifLayer.sources"))
        n = self.sources.size
        put("targets", whole(targets, n, "MotifLayer.targets"))
        put("delays", whole(delays, n, "MotifLayer.delays", "count them in whole ticks"))
        put("weights", finite(per_synapse(weights, n, "MotifLayer.weights"), "MotifLayer.weights"))
        below(self.sources, self.n_inputs, "MotifLayer.sources", "n_inputs")
        below(self.targets, self.n_motifs, "MotifLayer.targets", "n_motifs")
        fix = "add 1 to all delays: each detection then comes one tick later"
        rule = "must be at least one tick"
        require(self.delays, self.delays >= 1, "MotifLayer.delays", rule, fix=fix)
        put("bias", per_motif(bias, self.n_motifs, "MotifLayer.bias"))
        put("threshold", per_motif(threshold, self.n_motifs, "MotifLayer.threshold"))

    # -- dense and sparse ---------------------------------------------------------

    @classmethod
    def from_kernel(
        cls,
        kernel: npt.ArrayLike,
        bias: npt.ArrayLike = 0.0,
        threshold: npt.ArrayLike = 0.0,
        cut: float = 0.0,
    ) -> Self:
        """Make a layer from a dense kernel.

        Parameters
        ----------
        kernel : array_like, shape (n_motifs, n_inputs, D)
            ``kernel[m, a, d]``: evidence for motif m of a spike of address a, d + 1 ticks ago.
        bias, threshold
            As in the class.
        cut : float
            Only entries whose magnitude exceeds it become synapses.

        Raises
        ------
        InvalidInput
            If the kernel has another number of axes or is not finite.
        """
        array = checked_kernel(kernel)
        target, source, late = np.nonzero(np.abs(array) > cut)
        weight = array[target, source, late]
        n_motifs, n_inputs, _ = array.shape
        return cls(source, target, weight, late + 1, n_inputs, n_motifs, bias, threshold)

    def to_kernel(self) -> FloatArray:
        """Return the dense kernel, shape (n_motifs, n_inputs, longest delay)."""
        kernel = np.zeros((self.n_motifs, self.n_inputs, self.max_delay))
        np.add.at(kernel, (self.targets, self.sources, self.delays - 1), self.weights)
        return kernel

    def prune(self, keep: float) -> MotifLayer:
        """Keep a share of the synapses: those with the largest weights, whatever the sign.

        Parameters
        ----------
        keep : float
            From 0 to 1. Of equal weights, the first ones are kept.

        Raises
        ------
        InvalidInput
            If the share is not one.
        """
        if not 0.0 <= keep <= 1.0:
            fix = "use a fraction, not per cent"
            raise InvalidInput("prune(keep)", "must lie in 0 .. 1", got=keep, fix=fix)
        number = round(keep * self.weights.size)
        kept = np.sort(np.argsort(-np.abs(self.weights), kind="stable")[:number])
        return replace(
            self,
            sources=self.sources[kept],
            targets=self.targets[kept],
            weights=self.weights[kept],
            delays=self.delays[kept],
        )

    @property
    def max_delay(self) -> int:
        """The longest delay, in ticks."""
        return int(self.delays.max(initial=1))

    # -- detection ------------------------------------------------------------------

    def evidence(self, spikes: Spikes, ticks: int | None = None) -> FloatArray:
        """Return the evidence for every motif in every tick, summed spike by spike.

        Parameters
        ----------
        spikes : Spikes
            The train; its neurons are the addresses. Two spikes of one address in one
            tick count twice.
        ticks : int, optional
            How many ticks, from 0. Default: until the last spike has arrived everywhere.

        Returns
        -------
        ndarray, shape (ticks, n_motifs)

        Raises
        ------
        InvalidInput
            If the train has an address that does not exist or is not in order, or
            ``ticks`` is not a positive integer.
        """
        blocks = [block + self.bias for _, block in self._sums(spikes, ticks)]
        return np.concatenate([np.empty((0, self.n_motifs)), *blocks])

    def detect(
        self, spikes: Spikes, ticks: int | None = None, *, winners_only: bool = False
    ) -> Detections:
        """Return the ticks and motifs whose evidence reaches the threshold.

        Parameters
        ----------
        spikes, ticks
            As in :meth:`evidence`.
        winners_only : bool
            Keep only the strongest detection of each tick (winner-take-all).

        Raises
        ------
        InvalidInput
            As :meth:`evidence`.
        """
        found = []
        for first, sums in self._sums(spikes, ticks):
            tick, motif = np.nonzero(sums >= self._level)
            evidence = sums[tick, motif] + self.bias[motif]
            found.append((tick + first, motif, evidence))
        parts = [np.concatenate(part) for part in zip(*found, strict=True)] if found else None
        if parts is None:
            parts = [np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)]
        detections = Detections(*parts)
        return detections.winners() if winners_only else detections

    def _sums(self, spikes: Spikes, ticks: int | None) -> Iterator[tuple[int, FloatArray]]:
        """Yield (first tick, what arrives in each tick from there on) block by block."""
        checked_spikes(spikes, self.n_inputs, "spikes", "n_inputs of the layer")
        last = int(spikes.ticks.max(initial=-1))
        end = last + 1 + self.max_delay if ticks is None else checked_ticks(ticks)
        sums = np.zeros((_BLOCK + self.max_delay, self.n_motifs))
        for first in range(0, end, _BLOCK):
            own = spikes.between(first, first + _BLOCK)
            add_arrivals(own.ticks - first, own.neurons, *self._rows, sums)
            yield first, sums[: min(_BLOCK, end - first)]
            sums[: self.max_delay] = sums[_BLOCK:]  # what arrives in the next block
            sums[self.max_delay :] = 0.0

    @cached_property
    def _rows(self) -> tuple[IndexArray, IndexArray, FloatArray, IndexArray]:
        order = np.lexsort((self.targets, self.delays, self.sources))
        row = np.zeros(self.n_inputs + 1, np.int64)
        np.cumsum(np.bincount(self.sources, minlength=self.n_inputs), out=row[1:])
        return row, self.targets[order], self.weights[order], self.delays[order]

    @property
    def _level(self) -> FloatArray:
        """What has to arrive: compared in this form everywhere, so that no rounding differs."""
        return self.threshold - self.bias

    def network(
        self, train: Train | None = None, *, dt: Quantity = 1.0 * ms, tau_m: Quantity | None = None
    ) -> Network:
        """Return the layer as a network, to be run on any backend.

        Parameters
        ----------
        train : Train, optional
            Spikes of the input group ``"inputs"``. Default: they are fed.
        dt : Quantity
            Length of a tick (time).
        tau_m : Quantity, optional
            Membrane time constant (time). Default: a thousandth of a tick.

        Returns
        -------
        Network
            ``"inputs"`` and ``"motifs"``, joined by delta synapses; 1 mV stands for one
            unit of evidence.

        Notes
        -----
        All spikes of a motif arrive in one tick, so the windowed sum without leak needs
        no memory at all: a LIF unit whose membrane decays by exp(-1000) = 0 from one
        tick to the next holds exactly what arrives in this tick, and spikes exactly
        where :meth:`detect` detects, tick for tick. (A perfect integrator would also
        keep what arrived before, and would need a second, subtracting synapse for each
        to forget it.) With a ``tau_m`` of a few ticks the units are coincidence
        detectors that forgive jitter; their spikes are then their own.

        Winner-take-all is not part of the network: synapses take at least a tick.
        """
        level = self._level
        unit = LIF(
            tau_m=FORGETFUL * dt if tau_m is None else tau_m,
            v_rest=0 * mV,
            v_reset=np.where(level > 0.0, 0.0, level - 1.0) * mV,
            v_threshold=level * mV,
            synapse=Delta(),
        )
        tick = float(magnitude(dt, "time", "dt", above=0.0, single=True))
        synapses = Projection(
            "inputs",
            "motifs",
            Pairs(self.sources, self.targets, duplicates=True),
            weight=self.weights * mV,
            delay=self.delays * (tick * ms),
        )
        inputs = Input("inputs", self.n_inputs, train)
        return Network([inputs, Population("motifs", self.n_motifs, unit), synapses], dt=dt)

    # -- files ----------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the layer to one ``.npz`` file, atomically.

        Raises
        ------
        FileRefused
            If the file cannot be written; an older file stays as it was.
        """
        names = ("sources", "targets", "weights", "delays", "bias", "threshold")
        meta = {"n_inputs": self.n_inputs, "n_motifs": self.n_motifs}
        write_archive(path, FORMAT, meta, {name: getattr(self, name) for name in names})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a layer written by :meth:`save`.

        Raises
        ------
        FileRefused
            If the file is missing, damaged or of another kind.
        """
        meta, arrays = read_archive(path, FORMAT)
        return cls(n_inputs=meta["n_inputs"], n_motifs=meta["n_motifs"], **arrays)
