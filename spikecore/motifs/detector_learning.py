"""Learning motifs from spike trains in which it is known what occurred when.

Logistic regression over addresses and delays, as in Perrinet (2023), ICANN: a spike of
address a, d + 1 ticks ago, adds a weight to the log-odds of every motif. The optimiser
is Adam (Kingma & Ba 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.inputs import check_size
from spikecore.motifs.detector import MotifLayer
from spikecore.motifs.detector_kernels import add_gradient, add_kernels
from spikecore.motifs.spike_motifs import MotifRaster
from spikecore.progress import progress_bar
from spikecore.quantities import require
from spikecore.randomness import check_seed, stream

__all__ = ["LearnedMotifs", "learn_motifs"]

FloatArray = npt.NDArray[np.float64]

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam, as published


@dataclass(frozen=True, eq=False)
class LearnedMotifs:
    """What was learned.

    Attributes
    ----------
    kernel : ndarray, shape (n_motifs, n_inputs, D)
        Weights, as :meth:`MotifLayer.from_kernel` takes them.
    bias : ndarray, shape (n_motifs,)
        Log-odds of an occurrence without any spike.
    losses : ndarray, shape (steps,)
        Binary cross-entropy per tick, summed over motifs, before each step.
    """

    kernel: FloatArray
    bias: FloatArray
    losses: FloatArray

    def layer(self, cut: float = 0.0) -> MotifLayer:
        """Return the detector: threshold 0, weights whose magnitude exceeds ``cut``."""
        return MotifLayer.from_kernel(self.kernel, self.bias, cut=cut)


def learn_motifs(
    rasters: Sequence[MotifRaster],
    shape: tuple[int, int, int],
    *,
    epochs: int = 1,
    learning_rate: float = 0.02,
    seed: int = 0,
    progress: bool = False,
) -> LearnedMotifs:
    """Learn motifs by logistic regression, one raster a step.

    Parameters
    ----------
    rasters : sequence of MotifRaster
        Spikes with the motifs that occurred.
    shape : (int, int, int)
        Number of motifs, of addresses, and of delays to consider.
    epochs : int
        How often each raster is used, every time in another order.
    learning_rate : float
        Of Adam, at the start; it falls to zero along a straight line.
    seed : int
        Of the order. Equal seeds give equal weights, to the last bit.
    progress : bool
        Show a bar (never where standard error is not a terminal).

    Raises
    ------
    InvalidInput
        If there is no raster or no occurrence, a raster has an address or motif that
        ``shape`` does not, or a number is not positive.
    """
    n_motifs, n_inputs, delays = (check_size(size, "learn_motifs.shape") for size in shape)
    check_size(epochs, "learn_motifs.epochs")
    rate = np.asarray(learning_rate, dtype=np.float64)
    fix = "use e.g. 0.02"
    positive = np.isfinite(rate) & (rate > 0)
    require(rate, positive, "learn_motifs.learning_rate", "must be positive", fix=fix)
    check_seed(seed)
    _check_rasters(rasters, n_motifs, n_inputs)
    kernel = _Adam(np.zeros((n_inputs, delays, n_motifs)))  # motifs last: contiguous sums
    bias = _Adam(np.full(n_motifs, _prior(rasters, n_motifs)))
    steps = epochs * len(rasters)
    losses = np.empty(steps)
    with progress_bar("learning motifs", steps, enabled=progress) as advance:
        for step in range(steps):
            epoch, place = divmod(step, len(rasters))
            if place == 0:
                order = stream(seed, "motifs/learning", epoch).permutation(len(rasters))
            losses[step], *gradients = _loss(rasters[order[place]], kernel.value, bias.value)
            for parameter, gradient in zip((kernel, bias), gradients, strict=True):
                parameter.step(gradient, learning_rate * (1.0 - step / steps))
            advance(1)
    return LearnedMotifs(np.moveaxis(kernel.value, 2, 0).copy(), bias.value, losses)


def _loss(
    raster: MotifRaster, kernel: FloatArray, bias: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Return the loss per tick and its gradients with respect to kernel and bias."""
    occurs = raster.labels(bias.size)
    evidence = np.tile(bias, (raster.ticks, 1))
    add_kernels(raster.spikes.ticks, raster.spikes.neurons, kernel, evidence)
    loss = float(np.logaddexp(0.0, np.where(occurs, -evidence, evidence)).sum()) / raster.ticks
    error = (0.5 * (1.0 + np.tanh(0.5 * evidence)) - occurs) / raster.ticks
    gradient = np.zeros_like(kernel)
    add_gradient(raster.spikes.ticks, raster.spikes.neurons, error, gradient)
    return loss, gradient, error.sum(axis=0)


class _Adam:
    """One array of parameters, with the running moments of its gradient."""

    def __init__(self, value: FloatArray) -> None:
        self.value = value
        self.mean, self.square = np.zeros_like(value), np.zeros_like(value)
        self.steps = 0

    def step(self, gradient: FloatArray, rate: float) -> None:
        self.steps += 1
        self.mean += (1.0 - BETA_1) * (gradient - self.mean)
        self.square += (1.0 - BETA_2) * (gradient**2 - self.square)
        mean = self.mean / (1.0 - BETA_1**self.steps)
        size = np.sqrt(self.square / (1.0 - BETA_2**self.steps))
        self.value -= rate * mean / (size + EPSILON)


def _prior(rasters: Sequence[MotifRaster], n_motifs: int) -> float:
    occurred = sum(len(raster.occurrences) for raster in rasters)
    possible = n_motifs * sum(raster.ticks for raster in rasters)
    if occurred == 0:
        fix = "give rasters in which motifs occur"
        raise InvalidInput("learn_motifs.rasters", "show no occurrence of any motif", fix=fix)
    return float(np.log(occurred / possible))


def _check_rasters(rasters: Sequence[MotifRaster], n_motifs: int, n_inputs: int) -> None:
    if not len(rasters):
        fix = "draw some: [model.draw(number=i) for i in range(1000)]"
        raise InvalidInput("learn_motifs.rasters", "must not be empty", fix=fix)
    for i, raster in enumerate(rasters):
        for what, found, size in (
            ("addresses", raster.spikes.neurons, n_inputs),
            ("motifs", raster.occurrences.neurons, n_motifs),
        ):
            require(
                found,
                (found >= 0) & (found < size),
                f"learn_motifs.rasters[{i}]",
                f"{what} must lie in 0 .. {size - 1}",
                fix="make shape larger",
            )
