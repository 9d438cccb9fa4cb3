"""Spike trains made of overlapping motifs, with the ground truth: a generative model.

Source: Perrinet (2023), ICANN, "Accurate detection of spiking motifs by learning
heterogeneous delays of a spiking neural network". What that paper leaves open is
settled in docs/motif_detection.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.events import Spikes
from spikecore.inputs import check_size
from spikecore.motifs.detector import MotifLayer
from spikecore.motifs.detector_checks import chance, checked_kernel, checked_ticks
from spikecore.randomness import stream

__all__ = ["MotifModel", "MotifRaster", "sigmoid"]

FloatArray = npt.NDArray[np.float64]

_BINS = 8192  # of the grid on which the influence of other motifs is held
_STEPS = 513  # weights at which the chance of a spike is averaged; between them, interpolated
_SPREAD = 8.0  # standard deviations that the grid covers


@dataclass(frozen=True, eq=False)
class MotifRaster:
    """Spikes drawn from a :class:`MotifModel`, and the motifs that caused them.

    Attributes
    ----------
    spikes : Spikes
        Of the addresses.
    occurrences : Spikes
        The ground truth: ``neurons`` are motifs, ``ticks`` when they are complete,
        which is when :class:`MotifLayer` can detect them.
    ticks : int
        Length.
    """

    spikes: Spikes
    occurrences: Spikes
    ticks: int

    def labels(self, n_motifs: int) -> npt.NDArray[np.bool_]:
        """Return whether motif m occurs in tick t, shape (ticks, n_motifs)."""
        occurs = np.zeros((self.ticks, n_motifs), bool)
        occurs[self.occurrences.ticks, self.occurrences.neurons] = True
        return occurs


@dataclass(frozen=True, eq=False)
class MotifModel:
    """Each motif, when it occurs, makes some spikes likely and others unlikely.

    Motifs occur independently, in every tick with the chance ``rate``. An address
    spikes in a tick with a chance whose log-odds are those of the background plus
    ``kernel[m, a, d]`` for every motif m that is complete d + 1 ticks later.

    Parameters
    ----------
    kernel : ndarray, shape (n_motifs, n_inputs, D)
        What a motif adds to the log-odds of a spike.
    background : float
        Chance of a spike per address and tick while no motif occurs.
    rate : float
        Chance of an occurrence per motif and tick.

    Raises
    ------
    InvalidInput
        If the kernel is not finite or has other than three axes, or a chance is not
        between 0 and 1.
    """

    kernel: FloatArray
    background: float = 1e-3
    rate: float = 1e-3

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", checked_kernel(self.kernel))
        for name in ("background", "rate"):
            chance(getattr(self, name), f"MotifModel.{name}")

    @classmethod
    def random(
        cls,
        n_motifs: int = 144,
        n_inputs: int = 128,
        delays: int = 31,
        *,
        density: float = 0.01,
        strength: float = 2.6,
        seed: int = 0,
    ) -> MotifModel:
        """Draw independent, sparse, balanced motifs. The defaults are the ICANN setting.

        Parameters
        ----------
        n_motifs, n_inputs, delays : int
            Shape of the kernel.
        density : float
            Share of entries that are not 0.
        strength : float
            The entries are the largest, by magnitude, of normal numbers with this
            standard deviation.
        seed : int
            Of the draw.

        Raises
        ------
        InvalidInput
            If a size is not a positive integer or the density not between 0 and 1.
        """
        shape = tuple(
            check_size(size, f"MotifModel.random.{name}")
            for name, size in (("n_motifs", n_motifs), ("n_inputs", n_inputs), ("delays", delays))
        )
        chance(density, "MotifModel.random.density")
        normal = stream(seed, "motifs/kernel").standard_normal(shape)
        smallest = NormalDist().inv_cdf(1.0 - density / 2.0)
        return cls(np.where(np.abs(normal) > smallest, strength * normal, 0.0))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of motifs, of addresses, and of delays."""
        n_motifs, n_inputs, delays = self.kernel.shape
        return n_motifs, n_inputs, delays

    def draw(self, ticks: int = 1000, *, seed: int = 0, number: int = 0) -> MotifRaster:
        """Draw occurrences, and the spikes that they cause.

        Parameters
        ----------
        ticks : int
            Length; motifs that would begin before tick 0 do not occur.
        seed, number : int
            Different numbers under one seed are independent rasters.

        Raises
        ------
        InvalidInput
            If there is no room for a whole motif.
        """
        n_motifs, n_inputs, delays = self.shape
        if checked_ticks(ticks) <= delays:
            fix = f"use more than {delays} ticks"
            raise InvalidInput("ticks", "must be longer than a motif", got=ticks, fix=fix)
        rng = stream(seed, "motifs/raster", number)
        occurs = rng.random((ticks, n_motifs)) < self.rate
        occurs[:delays] = False
        tick, motif = np.nonzero(occurs)
        log_odds = np.full((ticks, n_inputs), _logit(self.background))
        backwards = self.kernel[:, :, ::-1]
        for t, m in zip(tick, motif, strict=True):
            log_odds[t - delays : t] += backwards[m].T
        at, address = np.nonzero(rng.random((ticks, n_inputs)) < sigmoid(log_odds))
        return MotifRaster(Spikes(at, address), Spikes(tick, motif), ticks)

    # -- detectors ----------------------------------------------------------------

    def layer(self) -> MotifLayer:
        """Return the detector that knows the motifs: its evidence is that of Bayes' rule.

        The evidence for a motif is the logarithm of the odds that it occurs, given the
        spikes in its window: for every entry of its kernel the log-likelihood ratio of a
        spike, or of none, plus the prior odds. The other motifs, which occur meanwhile,
        are averaged over, each address by itself. The threshold is 0: more likely than not.
        """
        with_motif, without = self._chances
        weights = np.where(self.kernel == 0.0, 0.0, _logit(with_motif) - _logit(without))
        silent = np.where(self.kernel == 0.0, 0.0, np.log1p(-with_motif) - np.log1p(-without))
        return MotifLayer.from_kernel(weights, silent.sum(axis=(1, 2)) + _logit(self.rate))

    def correlation_layer(self) -> MotifLayer:
        """Return the cross-correlation detector, for comparison.

        It matches the train with the mean spikes of each motif, over the background. Its
        sums are no odds: choose the threshold, or take the :func:`strongest`.
        """
        return MotifLayer.from_kernel(
            sigmoid(_logit(self.background) + self.kernel) - self.background
        )

    @cached_property
    def _chances(self) -> tuple[FloatArray, FloatArray]:
        """Chance of a spike at each entry of the kernel with its motif, and without.

        Shapes (n_motifs, n_inputs, D) and (1, n_inputs, 1). What the others add to the
        log-odds of an address is a compound Poisson sum, whose distribution has the
        characteristic function ``exp(rate * sum(exp(i w k) - 1))``.
        """
        by_address = self.kernel.swapaxes(0, 1).reshape(self.shape[1], -1)
        largest = float(np.abs(by_address).max())
        spread = float(np.sqrt(self.rate * (by_address**2).sum(axis=1).max()))
        drift = float(np.abs(self.rate * by_address.sum(axis=1)).max())
        width = 2.0 * (4.0 * largest + _SPREAD * spread + drift + 1.0) / _BINS
        bins = np.rint(by_address / width).astype(np.int64) % _BINS  # negative ones wrap round
        asked = np.linspace(-largest, largest, _STEPS)
        grid = np.fft.fftfreq(_BINS, 1.0 / (_BINS * width))
        spikes = sigmoid(_logit(self.background) + asked[:, None] + grid)
        with_motif, without = np.empty_like(self.kernel), np.empty((1, self.shape[1], 1))
        for a, own in enumerate(bins):
            counts = np.bincount(own, minlength=_BINS)
            pull = np.fft.rfft(counts) - own.size
            density = np.fft.irfft(np.exp(self.rate * pull), _BINS)
            curve = spikes @ density
            with_motif[:, a] = np.interp(self.kernel[:, a], asked, curve)
            without[0, a, 0] = np.interp(0.0, asked, curve)
        return with_motif, without


def sigmoid(x: FloatArray) -> FloatArray:
    """Return the chance that belongs to log-odds ``x``."""
    found: FloatArray = 0.5 * (1.0 + np.tanh(0.5 * x))
    return found


def _logit(p: npt.ArrayLike) -> FloatArray:
    chance = np.asarray(p, dtype=np.float64)
    found: FloatArray = np.log(chance) - np.log1p(-chance)
    return found
