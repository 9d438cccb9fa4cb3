"""Working memory in a sheet of spiking neurons under a sheet of astrocytes.

Neurons forget a picture within milliseconds. Astrocytes that have seen it keep their
calcium high for seconds, and amplify the synapses of neurons that fire together again.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName
from spikecore.interrupts import deferred_interrupts
from spikecore.memory.working_state import (
    STEP,
    Pulses,
    Rules,
    resting_neurons,
    resting_zones,
)
from spikecore.progress import progress_bar
from spikecore.quantities import Quantity, ms, ticks_of
from spikecore.randomness import check_seed, stream

__all__ = [
    "WORKING_PRESETS",
    "AstrocyteWorkingMemory",
    "WorkingRecall",
    "calcium_response",
    "flipped",
]

Picture = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Preset = Literal["robust", "published"]

WORKING_PRESETS: dict[str, tuple[int, int]] = {"published": (6, 1), "robust": (9, 4)}
"""Preset -> neurons of a zone that must fire together, and within how many steps of 0.1 ms."""

STORE_CURRENT, CUE_CURRENT, NOISE_CURRENT = 80.0, 8.0, 20.0
STORE_NOISE = 0.05
SHOWN, PAUSE, CUE, READ = 2000, 1000, 1500, 2500  # steps
ACTIVE_RATE = 90.0
_CHUNK, _BLOCK = 100, 1000  # steps between looks at Ctrl-C; steps of one draw of noise


@dataclass(frozen=True, eq=False)
class WorkingRecall:
    """What a cue brought back.

    Attributes
    ----------
    rates : ndarray of float64, shape (side, side)
        Firing rate of each neuron in the 250 ms after the cue came on, Hz.
    picture : ndarray of bool, shape (side, side)
        Neurons that fired with 90 Hz or more.
    calcium : ndarray of float64, shape (zones, zones)
        Calcium when the cue came on, uM.
    amplified : ndarray of bool, shape (zones, zones)
        Astrocytes that amplified at the end.
    """

    rates: FloatArray
    picture: Picture
    calcium: FloatArray
    amplified: Picture


class AstrocyteWorkingMemory:
    """A neuron-astrocyte network that holds several overlapping pictures for seconds.

    A sheet of ``3 zones + 1`` squared Izhikevich neurons, each with 40 synapses onto
    neighbours (distances exponential, 5 neurons in the mean), under ``zones`` squared
    astrocytes, each above 4 x 4 neurons. A picture is shown once. Where 8 of the 16
    neurons of a zone fire long enough, IP3 rises and calcium follows, for seconds. Where
    calcium is above 0.15 uM and neurons of the zone fire together, the synapses onto that
    zone conduct 21 times as well, for 250 ms. So a weak and noisy cue is completed where
    pictures have been, and not elsewhere.

    Equations and constants are those of Gordleeva et al. (2021) and their program, with
    Euler steps of 0.1 ms throughout (theirs takes Runge-Kutta steps for the astrocytes).

    Parameters
    ----------
    zones : int
        Astrocytes along a side, at least 2; 26 in the paper (79 x 79 neurons).
    preset : {"robust", "published"}
        How many neurons of a zone must fire how nearly together to be amplified: 6 in
        one step of 0.1 ms (``published``), or 9 within 0.4 ms (``robust``, ours).
    gain : float
        What an active astrocyte adds to the conductance of a synapse (0.025 without).
        0 switches the astrocytes' action off: the control.
    noise_rate : float
        Pulses of noise current a second, for each neuron: 30 ms, amplitude uniform in
        -20 .. 20. 1.5 in the paper.
    seed : int
        For wiring and noise.

    Raises
    ------
    InvalidInput, UnknownName
        If a parameter is out of range, or the preset does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from spikecore import ms
    >>> memory = AstrocyteWorkingMemory(zones=10, seed=1)
    >>> bar = np.zeros(memory.shape, bool)
    >>> bar[:, 9:21] = True
    >>> memory.store(bar)
    >>> memory.wait(1000 * ms)
    >>> cue = flipped(bar, 0.2, seed=1)
    >>> round(float((cue == bar).mean()), 2), (memory.recall(cue).picture == bar).mean() > 0.95
    (0.8, np.True_)
    """

    def __init__(
        self,
        zones: int = 26,
        *,
        preset: Preset = "robust",
        gain: float = 0.5,
        noise_rate: float = 1.5,
        seed: int = 0,
    ) -> None:
        if isinstance(zones, bool) or not isinstance(zones, int) or zones < 2:  # noqa: PLR2004
            raise InvalidInput(
                "working memory: zones",
                "must be an integer, at least 2",
                got=zones,
                fix="26 zones a side are 79 x 79 neurons",
            )
        if preset not in WORKING_PRESETS:
            raise UnknownName("working memory: preset", str(preset), get_args(Preset))
        self.zones, self.preset, self.seed = zones, preset, check_seed(seed)
        self.gain = _not_negative(gain, "gain")
        self.noise_rate = _not_negative(noise_rate, "noise_rate")
        needed, window = WORKING_PRESETS[preset]
        self._rules = Rules(self.gain, needed, window)
        self._neurons = resting_neurons(zones, self.seed)
        self._zones = resting_zones(zones)
        self._step = 0
        self._drawn: tuple[int, Pulses] | None = None
        self._stores = 0

    @property
    def side(self) -> int:
        """Neurons along a side."""
        return 3 * self.zones + 1

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of pictures."""
        return (self.side, self.side)

    @property
    def time(self) -> float:
        """Model time since the beginning, ms."""
        return self._step * STEP

    @property
    def calcium(self) -> FloatArray:
        """Calcium of the astrocytes, uM, shape (zones, zones)."""
        return self._zones.calcium.copy()

    @property
    def ip3(self) -> FloatArray:
        """IP3 of the astrocytes, uM, shape (zones, zones)."""
        return self._zones.ip3.copy()

    @property
    def voltage(self) -> FloatArray:
        """Membrane potential, mV, shape (side, side)."""
        return self._neurons.v.reshape(self.shape).copy()

    @property
    def amplified(self) -> Picture:
        """Astrocytes that amplify now, shape (zones, zones)."""
        return np.asarray(self._zones.gain_end >= self._step)

    def copy(self) -> AstrocyteWorkingMemory:
        """Return a memory in the same state, which goes on alike but by itself."""
        return copy.deepcopy(self)

    # -- what it does -------------------------------------------------------------------

    def store(self, picture: npt.ArrayLike, *, noise: float = STORE_NOISE) -> None:
        """Show a picture once: 200 ms with strong current, then 100 ms without.

        Parameters
        ----------
        picture : array of bool, shape (side, side)
        noise : float
            Share of pixels that are flipped before it is shown; 0.05 in the paper.

        Raises
        ------
        InvalidInput
            If the picture has another shape or type, or the share is out of 0 .. 1.
        """
        shown = flipped(self._checked(picture), noise, seed=self.seed, name=f"store {self._stores}")
        self._stores += 1
        self.present(shown, SHOWN * STEP * ms, STORE_CURRENT)
        self.wait(PAUSE * STEP * ms)

    def recall(self, cue: npt.ArrayLike) -> WorkingRecall:
        """Show a cue for 150 ms with weak current, and read 250 ms from its beginning.

        Recalling takes part in what is remembered: neurons that fire fast for long enough
        raise IP3 again.

        Parameters
        ----------
        cue : array of bool, shape (side, side)

        Raises
        ------
        InvalidInput
            If the cue has another shape or type.
        """
        cue, before = self._checked(cue), self.calcium
        counts = self.present(cue, CUE * STEP * ms, CUE_CURRENT)
        counts = counts + self.present(None, (READ - CUE) * STEP * ms)
        rates = counts / (READ * STEP * 1e-3)
        return WorkingRecall(rates, rates >= ACTIVE_RATE, before, self.amplified)

    def wait(self, duration: Quantity, *, progress: bool = False) -> None:
        """Let time pass without input.

        Raises
        ------
        InvalidInput
            If the duration is not a positive time on the grid of 0.1 ms.
        """
        self.present(None, duration, progress=progress)

    def present(
        self,
        picture: npt.ArrayLike | None,
        duration: Quantity,
        current: float = STORE_CURRENT,
        *,
        progress: bool = False,
    ) -> IntArray:
        """Feed the neurons of a picture, and let time pass.

        Ctrl-C ends it at the next hundredth of a second of model time: the memory is
        whole and stands at :attr:`time`, and KeyboardInterrupt is raised.

        Parameters
        ----------
        picture : array of bool, shape (side, side), or None
            Neurons that get current; None is none of them.
        duration : Quantity
            Time, on the grid of 0.1 ms.
        current : float
            In the units of Izhikevich's equation. The total of a neuron, synapses and
            noise included, is cut off at 25.
        progress : bool
            Show a bar on a terminal.

        Returns
        -------
        ndarray of int64, shape (side, side)
            Spikes of each neuron.

        Raises
        ------
        InvalidInput
            If the picture has another shape or type, the duration is not positive or not
            on the grid, or the current is not finite.
        """
        from spikecore.memory.working_kernels import advance  # numba: only where it is needed

        steps = int(ticks_of(duration, STEP, "duration", minimum=1, single=True))
        if not np.isfinite(current):
            raise InvalidInput(
                "current", "must be finite", got=current, fix="80 to store, 8 to cue"
            )
        applied = np.zeros(self.side**2)
        if picture is not None:
            applied[self._checked(picture).ravel()] = current
        self._neurons.counts[:] = 0
        end = self._step + steps
        with progress_bar("working memory", steps, enabled=progress) as done:
            while self._step < end:
                with deferred_interrupts() as stop:
                    some = min(end - self._step, _CHUNK - self._step % _CHUNK)
                    advance(
                        self._neurons,
                        self._zones,
                        self._rules,
                        applied,
                        self._pulses(),
                        self._step,
                        some,
                    )
                    self._step += some
                if stop:
                    raise KeyboardInterrupt
                done(some)
        return self._neurons.counts.reshape(self.shape).copy()

    # -- inside -------------------------------------------------------------------------

    def _pulses(self) -> Pulses:
        """Return the noise of the block of time that begins now or has begun."""
        block = self._step // _BLOCK
        if self._drawn is None or self._drawn[0] != block:
            rng = stream(self.seed, "working memory/noise", block)
            count = rng.poisson(self.noise_rate * _BLOCK * STEP * 1e-3 * self.side**2)
            steps = np.sort(rng.integers(block * _BLOCK, (block + 1) * _BLOCK, count))
            self._drawn = (
                block,
                Pulses(
                    steps,
                    rng.integers(0, self.side**2, count),
                    rng.uniform(-NOISE_CURRENT, NOISE_CURRENT, count),
                ),
            )
        return self._drawn[1]

    def _checked(self, picture: npt.ArrayLike) -> Picture:
        checked = _boolean(picture)
        if checked.shape != self.shape:
            raise InvalidInput(
                "picture",
                f"must have shape {self.shape}, one pixel for each neuron",
                got=checked.shape,
                fix="resize it, or make a memory with other zones: side = 3 zones + 1",
            )
        return checked


def flipped(picture: npt.ArrayLike, share: float, *, seed: int, name: str = "cue") -> Picture:
    """Return a picture with a share of its pixels flipped, chosen at random.

    Parameters
    ----------
    picture : array of bool
    share : float
        From 0 to 1; rounded to whole pixels.
    seed : int
    name : str
        Names the draw: other names flip other pixels.

    Raises
    ------
    InvalidInput
        If the picture is not of booleans, or the share out of range.
    """
    noisy = _boolean(picture).copy()
    if not 0.0 <= share <= 1.0:
        raise InvalidInput(
            "noise", "must lie in 0 .. 1", got=share, fix="0.2 flips every fifth pixel"
        )
    chosen = stream(seed, f"flipped/{name}").permutation(noisy.size)[: round(share * noisy.size)]
    noisy.reshape(-1)[chosen] ^= True
    return noisy


def calcium_response(drive: Quantity, duration: Quantity) -> FloatArray:
    """Return the calcium of one astrocyte by itself after a pulse of IP3 production.

    Parameters
    ----------
    drive : Quantity
        How long IP3 is produced, at 5 uM/s, from the beginning.
    duration : Quantity
        How long to look, on the grid of 0.1 ms.

    Returns
    -------
    ndarray of float64, shape (steps,)
        Calcium at the end of each step of 0.1 ms, uM.

    Raises
    ------
    InvalidInput
        If a time is not positive or not on the grid.
    """
    from spikecore.memory.working_kernels import calcium

    pulse = int(ticks_of(drive, STEP, "drive", minimum=1, single=True))
    steps = int(ticks_of(duration, STEP, "duration", minimum=1, single=True))
    one = resting_zones(1)
    one.drive_end[:] = pulse
    trace, old_c, old_i = np.empty(steps), np.empty((1, 1)), np.empty((1, 1))
    for step in range(steps):
        calcium(one, old_c, old_i, step)
        trace[step] = one.calcium[0, 0]
    return trace


def _boolean(picture: npt.ArrayLike) -> Picture:
    checked = np.asarray(picture)
    if checked.dtype != np.bool_:
        raise InvalidInput(
            "picture", "must be an array of booleans", got=checked.dtype, fix="e.g. picture > 0.5"
        )
    return checked


def _not_negative(value: Any, name: str) -> float:
    if not np.isfinite(value) or value < 0:
        raise InvalidInput(
            f"working memory: {name}",
            "must be finite, and at least 0",
            got=value,
            fix="0 switches it off",
        )
    return float(value)
