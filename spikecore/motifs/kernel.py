"""The delay kernel: one weight for every class, polarity, delay and pixel offset.

The layer of Grimaldi & Perrinet (2023, doi 10.1007/s00422-023-00975-8): the evidence
for class c at pixel (x, y) and tick t is

    B(c, t, y, x) = sum over p, d, dy, dx of  w[c, p, d, dy, dx] * A(p, t - d, y - dy, x - dx)

where A is 1 where an event of polarity p fell. Each weight is a synapse with a delay,
shared by all pixels.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spikecore.errors import FileRefused, InvalidInput, UnknownName
from spikecore.files import read_archive, write_archive
from spikecore.quantities import require
from spikecore.randomness import stream

__all__ = ["DelayKernel", "causal_mask"]

FORMAT = "spikecore-delay-kernel-1"
WINDOW = 0.05
"""Where the mask exceeds this, an event counts for the normalisation."""

POLARITY = ("invariant", "signed")

FloatArray = npt.NDArray[np.float32]


def causal_mask(delays: int, size: int) -> FloatArray:
    """Return the prior on where weights may lie: the shorter the delay, the nearer.

    ``mask = ((1 + cos(pi r)) / 2)^(1/4) * exp(-r^2 / (2 (2.5 a + 0.05)^2))`` for r < 1,
    with r the radius (1 at the rim) and a the age, 0 for the latest tick and 1 for the
    oldest (the authors' notebook of October 2023).

    Parameters
    ----------
    delays : int
        Number of delays D; delay 0 is the tick itself.
    size : int
        Side K of the receptive field, pixels, odd.

    Returns
    -------
    ndarray of float32, shape (D, K, K)
        In [0, 1]; 1 at the centre.

    Raises
    ------
    InvalidInput
        If ``delays`` is below 1 or ``size`` is not odd and positive.
    """
    if delays < 1:
        raise InvalidInput("delays", "must be at least 1", got=delays, fix="21 is the paper's")
    if size < 1 or size % 2 == 0:
        raise InvalidInput("size", "must be odd", got=size, fix="17 is the paper's")
    line = np.linspace(-1.0, 1.0, size + 2)[1:-1]
    radius = np.hypot(line[:, None], line[None, :])
    age = np.arange(delays) / max(delays - 1, 1)
    disc = np.where(radius < 1.0, (1.0 + np.cos(np.pi * radius)) / 2.0, 0.0) ** 0.25
    spread = 2.5 * age[:, None, None] + 0.05
    window: FloatArray = (disc * np.exp(-0.5 * (radius / spread) ** 2)).astype(np.float32)
    return window


@dataclass(frozen=True, eq=False)
class DelayKernel:
    """Weights and delays of a motif layer, shared by all pixels.

    Attributes
    ----------
    weights : ndarray of float32, shape (C, P, D, K, K)
        By class, polarity (0 OFF, 1 ON), delay (ticks), row and column offset. Offset
        index ``K // 2`` is the pixel itself; larger indices look further up and left.
    bias : ndarray of float32, shape (C,)
        Evidence of each class without any event.
    polarity : {"invariant", "signed"}
        "invariant": the larger of the evidence as it is and with ON and OFF exchanged,
        for each class (needs P = 2). "signed": as it is.
    gamma, half : float
        Divisive normalisation: evidence before the bias is multiplied by
        ``(half / (half + n))**gamma``, n being the events within the mask's window.
        ``gamma=0`` switches it off.
    votes : float
        How many independent events the mean log posterior of many counts as, when the
        answers of a region are combined; neighbours see the same edge.
    directions, speeds : ndarray of float64, shape (C,), optional
        What the classes stand for: direction of motion (rad, x right and y down, so
        positive is clockwise on screen) and speed (pixels a tick). NaN for classes that
        are not a direction: "slower" (speed 0) and "faster" (speed infinite).

    Raises
    ------
    InvalidInput
        If shapes do not fit, the field is not square and odd, a number is not finite,
        or "invariant" is asked of a layer without two polarities.
    UnknownName
        If ``polarity`` is something else.
    """

    weights: FloatArray
    bias: FloatArray
    polarity: str = "invariant"
    gamma: float = 0.0
    half: float = 20.0
    votes: float = 10.0
    directions: npt.NDArray[np.float64] | None = None
    speeds: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        w = np.ascontiguousarray(self.weights, np.float32)
        object.__setattr__(self, "weights", w)
        object.__setattr__(self, "bias", np.ascontiguousarray(self.bias, np.float32))
        if w.ndim != 5 or not w.size or w.shape[3] != w.shape[4] or w.shape[3] % 2 == 0:  # noqa: PLR2004
            raise InvalidInput(
                "DelayKernel.weights",
                "must have shape (classes, polarities, delays, K, K) with K odd",
                got=w.shape,
                fix="e.g. np.zeros((36, 2, 21, 17, 17))",
            )
        if self.polarity not in POLARITY:
            raise UnknownName("DelayKernel.polarity", self.polarity, POLARITY)
        if self.polarity == "invariant" and self.polarities != 2:  # noqa: PLR2004
            raise InvalidInput(
                "DelayKernel.polarity",
                "'invariant' needs two polarities to exchange",
                got=self.polarities,
                fix="use polarity='signed'",
            )
        for name in ("bias", "directions", "speeds"):
            values = getattr(self, name)
            if values is not None and values.shape != (self.classes,):
                raise InvalidInput(
                    f"DelayKernel.{name}",
                    f"must have shape ({self.classes},)",
                    got=values.shape,
                    fix="one value for each class",
                )
        for name in ("weights", "bias"):
            values = getattr(self, name).ravel()
            fix = "check where it comes from: a training that diverged, missing data"
            require(values, np.isfinite(values), f"DelayKernel.{name}", "must be finite", fix=fix)
        if not (self.gamma >= 0.0 and self.half > 0.0 and self.votes > 0.0):
            raise InvalidInput(
                "DelayKernel",
                "needs gamma of at least 0, half and votes above 0",
                got=f"gamma={self.gamma}, half={self.half}, votes={self.votes}",
                fix="gamma=0 switches the normalisation off",
            )

    @classmethod
    def initial(
        cls, classes: int, *, delays: int = 21, size: int = 17, seed: int = 0, centre: float = 4.0
    ) -> DelayKernel:
        """Return the untrained kernel of the paper: noise under the mask, a strong centre.

        ``0.01 N(0, 1) mask``, and ``+centre`` (ON) and ``-centre`` (OFF) at the pixel itself
        with the shortest delay, for every class.
        """
        mask = causal_mask(delays, size)
        noise = stream(seed, "motifs/initial").standard_normal((classes, 2, *mask.shape))
        weights = (0.01 * noise * mask).astype(np.float32)
        weights[:, 0, 0, size // 2, size // 2] = -centre
        weights[:, 1, 0, size // 2, size // 2] = centre
        return cls(weights, np.zeros(classes, np.float32))

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return int(self.weights.shape[0])

    @property
    def polarities(self) -> int:
        """Number of polarities P."""
        return int(self.weights.shape[1])

    @property
    def delays(self) -> int:
        """Number of delays D; the longest is D - 1 ticks."""
        return int(self.weights.shape[2])

    @property
    def size(self) -> int:
        """Side K of the receptive field, pixels."""
        return int(self.weights.shape[3])

    @property
    def synapses(self) -> int:
        """How many weights are not zero, for each pixel."""
        return int(np.count_nonzero(self.weights))

    @cached_property
    def grid(self) -> float | None:
        """The power of two of which all weights are 16-bit multiples, or None.

        On a grid the event-driven layer sums integers: exact, in any order, and faster.
        """
        step = _grid_step(self.weights)
        steps = self.weights / np.float32(step)
        return step if bool(np.all(steps == np.rint(steps))) else None

    def snapped(self) -> DelayKernel:
        """Return the kernel with weights rounded to a grid of 16 bits (:attr:`grid`)."""
        step = np.float32(_grid_step(self.weights))
        return replace(self, weights=np.rint(self.weights / step) * step)

    @cached_property
    def window(self) -> npt.NDArray[np.bool_]:
        """Where events count for the normalisation, shape (D, K, K)."""
        inside: npt.NDArray[np.bool_] = causal_mask(self.delays, self.size) > WINDOW
        return inside

    def pruned(self, factor: float, *, structured: bool = False) -> DelayKernel:
        """Return the kernel with only one in ``factor`` weights kept, the largest.

        Parameters
        ----------
        factor : float
            How many times fewer weights than there are places, 1 or more.
        structured : bool
            Keep or drop an offset, delay and polarity for all classes at once, by the
            root of the sum of squares over the classes.

        Raises
        ------
        InvalidInput
            If ``factor`` is below 1 or not a number.
        """
        if not factor >= 1.0:
            raise InvalidInput("factor", "must be at least 1", got=factor, fix="115 keeps 1/115")
        keep = max(1, round(self.weights.size / factor))
        if structured:
            size = np.sqrt((self.weights**2).sum(0))
            kept = _largest(size, max(1, round(keep / self.classes)))[None]
        else:
            kept = _largest(np.abs(self.weights), keep)
        return replace(self, weights=np.where(kept, self.weights, np.float32(0.0)))

    def scaled(self, factor: float) -> DelayKernel:
        """Return the kernel with all evidence multiplied by ``factor``, votes divided by it.

        Answers of regions stay the same; the posterior of single events becomes sharper.
        """
        by = np.float32(factor)
        return replace(
            self, weights=self.weights * by, bias=self.bias * by, votes=self.votes / factor
        )

    def shortened(self, delays: int) -> DelayKernel:
        """Return the kernel with the weights of only its ``delays`` shortest delays.

        Raises
        ------
        InvalidInput
            If ``delays`` is not in 1 .. D.
        """
        if not 1 <= delays <= self.delays:
            raise InvalidInput(
                "delays",
                f"must lie in 1 .. {self.delays}",
                got=delays,
                fix="keep as many as the kernel has, or fewer",
            )
        weights = self.weights.copy()
        weights[:, :, delays:] = 0.0
        return replace(self, weights=weights)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the kernel to one ``.npz`` file, atomically.

        Raises
        ------
        FileRefused
            If the file cannot be written; an older file stays as it was.
        """
        arrays = {"weights": self.weights, "bias": self.bias}
        for name in ("directions", "speeds"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        meta = {n: getattr(self, n) for n in ("polarity", "gamma", "half", "votes")}
        write_archive(path, FORMAT, meta, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DelayKernel:
        """Read a kernel that :meth:`save` wrote.

        Raises
        ------
        FileRefused
            If the file is missing, damaged or of another kind.
        """
        meta, arrays = read_archive(path, FORMAT)
        try:
            return cls(
                arrays["weights"],
                arrays["bias"],
                str(meta["polarity"]),
                float(meta["gamma"]),
                float(meta["half"]),
                float(meta["votes"]),
                arrays.get("directions"),
                arrays.get("speeds"),
            )
        except (InvalidInput, KeyError, TypeError, ValueError) as error:
            raise FileRefused(
                os.fspath(path), "does not hold a delay kernel", got=str(error)
            ) from error


def _largest(size: FloatArray, count: int) -> npt.NDArray[np.bool_]:
    """Return where the ``count`` largest values are; of equal ones, not more than that."""
    kept = np.zeros(size.size, bool)
    kept[np.argpartition(size.ravel(), size.size - count)[size.size - count :]] = True
    return kept.reshape(size.shape)


def _grid_step(weights: FloatArray) -> float:
    """Return the smallest power of two by which all weights fit into 16 bits."""
    largest = float(np.abs(weights).max())
    return 2.0 ** math.ceil(math.log2(largest / 32767.0)) if largest > 0.0 else 1.0
