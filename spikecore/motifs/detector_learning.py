"""Learning motifs from spike trains in which it is known what occurred when.

Logistic regression over addresses and delays, as in Perrinet (2023), ICANN: a spike of
address a, d + 1 ticks ago, adds a weight to the log-odds of every motif. Plain stochastic
gradient descent, as there: weights of pairs that never spike together stay at zero, where
optimisers that rescale each gradient (Adam) would blow up their noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.inputs import check_size
from spikecore.motifs.detector import MotifLayer
from spikecore.motifs.detector_checks import checked_spikes
from spikecore.motifs.detector_kernels import add_gradient, add_kernels
from spikecore.motifs.spike_motifs import MotifRaster, sigmoid
from spikecore.progress import progress_bar
from spikecore.quantities import require
from spikecore.randomness import check_seed, stream

__all__ = ["LearnedMotifs", "learn_motifs"]

FloatArray = npt.NDArray[np.float64]


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
        Binary cross-entropy of each raster, summed over ticks and motifs, before its step.
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
    learning_rate: float = 0.1,
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
        Step along the gradient of the cross-entropy summed over the ticks of a raster,
        at the start; it falls to zero along a straight line.
    seed : int
        Of the order. Equal seeds give equal weights, to the last bit.
    progress : bool
        Show a bar (never where standard error is not a terminal).

    Raises
    ------
    InvalidInput
        If there is no raster or no occurrence, a raster has an address or motif that
        ``shape`` does not, its spikes are not in order, or a number is not positive.
    """
    n_motifs, n_inputs, delays = (check_size(size, "learn_motifs.shape") for size in shape)
    check_size(epochs, "learn_motifs.epochs")
    rate = np.asarray(learning_rate, dtype=np.float64)
    positive = np.isfinite(rate) & (rate > 0)
    rule, fix = "must be positive", "use e.g. 0.1"
    require(rate, positive, "learn_motifs.learning_rate", rule, fix=fix)
    check_seed(seed)
    _check_rasters(rasters, n_motifs, n_inputs)
    kernel = np.zeros((n_inputs, delays, n_motifs))  # motifs last: contiguous sums
    bias = np.full(n_motifs, _prior(rasters, n_motifs))
    steps = epochs * len(rasters)
    losses = np.empty(steps)
    with progress_bar("learning motifs", steps, enabled=progress) as advance:
        for step in range(steps):
            epoch, place = divmod(step, len(rasters))
            if place == 0:
                order = stream(seed, "motifs/learning", epoch).permutation(len(rasters))
            raster = rasters[order[place]]
            losses[step] = _learn(raster, kernel, bias, learning_rate * (1.0 - step / steps))
            advance(1)
    return LearnedMotifs(np.moveaxis(kernel, 2, 0).copy(), bias, losses)


def _learn(raster: MotifRaster, kernel: FloatArray, bias: FloatArray, rate: float) -> float:
    """Move kernel and bias down the gradient of the loss of one raster; return the loss."""
    occurs = raster.labels(bias.size)
    evidence = np.tile(bias, (raster.ticks, 1))
    spikes = raster.spikes
    add_kernels(spikes.ticks, spikes.neurons, kernel, evidence)
    error = occurs - sigmoid(evidence)
    add_gradient(spikes.ticks, spikes.neurons, rate * error, kernel)
    bias += rate * error.sum(axis=0)
    return float(np.logaddexp(0.0, np.where(occurs, -evidence, evidence)).sum())


def _prior(rasters: Sequence[MotifRaster], n_motifs: int) -> float:
    occurred = sum(len(raster.occurrences) for raster in rasters)
    possible = n_motifs * sum(raster.ticks for raster in rasters)
    if not 0 < occurred < possible:
        raise InvalidInput(
            "learn_motifs.rasters",
            "must show motifs in some ticks, and not in all",
            got=f"{occurred} occurrences in {possible} ticks of all motifs",
            fix="give rasters in which motifs occur",
        )
    return float(np.log(occurred / (possible - occurred)))


def _check_rasters(rasters: Sequence[MotifRaster], n_motifs: int, n_inputs: int) -> None:
    if not len(rasters):
        fix = "draw some: [model.draw(number=i) for i in range(1000)]"
        raise InvalidInput("learn_motifs.rasters", "must not be empty", fix=fix)
    for i, raster in enumerate(rasters):
        for what, size in (("spikes", n_inputs), ("occurrences", n_motifs)):
            place, train = f"learn_motifs.rasters[{i}].{what}", getattr(raster, what)
            checked_spikes(train, size, place, "shape")
            rule = f"must lie in 0 .. {raster.ticks - 1}"
            fix = "make ticks of the raster larger"
            require(train.ticks, train.ticks < raster.ticks, f"{place}.ticks", rule, fix=fix)
