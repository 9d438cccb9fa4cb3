"""Associative memory in which astrocytes couple synapses: more patterns than neurons.

A rate model in continuous time: no spikes. It can stand in front of the spiking CA3 memory
and mend cues (:meth:`spikecore.memory.ContentMemory.search`, ``clean_up=True``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.progress import progress_bar

__all__ = ["AssociativeRecall", "AssociativeState", "AstrocyteAssociativeMemory"]

FloatArray = npt.NDArray[np.float64]
Signs = npt.NDArray[np.int8]

GAIN, STEP, STEPS = 5.0, 0.05, 200
MAX_NEURONS = 2048
_SATURATED = 1.0 - 1e-12  # arctanh of more would be infinite


@dataclass(frozen=True, eq=False)
class AssociativeState:
    """State of the network.

    Attributes
    ----------
    x : ndarray of float64, shape (n,)
        Neurons.
    s, p : ndarray of float64, shape (n, n)
        Synapses, and the astrocyte processes at them.
    """

    x: FloatArray
    s: FloatArray
    p: FloatArray


@dataclass(frozen=True, eq=False)
class AssociativeRecall:
    """What cues brought back.

    Attributes
    ----------
    patterns : ndarray of int8, shape (done, n)
        Signs of the neurons at the end, for the cues that were finished.
    overlap : ndarray of float64, shape (done,)
        Share of neurons in which the result equals the nearest stored pattern.
    nearest : ndarray of int64, shape (done,)
        Number of that pattern, in the order of :attr:`AstrocyteAssociativeMemory.patterns`.
    status : {"complete", "interrupted"}
        After Ctrl-C fewer cues than given are done.
    """

    patterns: Signs
    overlap: FloatArray
    nearest: npt.NDArray[np.int64]
    status: str


class AstrocyteAssociativeMemory:
    """Neuron-astrocyte associative memory of Kozachkov, Slotine and Krotov.

    Every synapse between ``n`` neurons is a three-part one, and the astrocyte processes of
    all synapses are coupled. With h = tanh(5 x), g = tanh(5 S), psi = tanh(5 P):

        x' = -x + g h
        S' = -S + h h^T + psi
        P' = -P + T[psi] + g,  T[psi] = n^-3 sum_k e_k e_k^T (e_k^T psi e_k)

    with the stored patterns e_k. T is evaluated by projecting on the patterns first, which
    takes K n^2 operations. A cue x0 sets psi = -h h^T and g = -T[psi].

    Parameters
    ----------
    neurons : int
        From 2 to 2048.
    mean : float
        Mean of the patterns, -1 to 1 (excluded): 2 d - 1 if a share d of the neurons is on.
        e_k is the pattern less this mean, over its standard deviation; n^-3 becomes
        n^-3 (1 - mean^2)^-1.5. (Ours: without it, patterns that have most neurons off would
        all resemble one another. 0 is the published model.)

    Raises
    ------
    InvalidInput
        If a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> patterns = rng.choice([-1, 1], (100, 64))  # 100 patterns in 64 neurons
    >>> memory = AstrocyteAssociativeMemory(64)
    >>> memory.store(patterns)
    >>> cue = patterns[7].copy()
    >>> cue[:6] *= -1
    >>> bool((memory.recall(cue).patterns[0] == patterns[7]).all())
    True
    >>> memory.forget(patterns[7])
    >>> len(memory)
    99
    """

    def __init__(self, neurons: int, *, mean: float = 0.0) -> None:
        if isinstance(neurons, bool) or not isinstance(neurons, int) or not _fits(neurons):
            raise InvalidInput(
                "associative memory: neurons",
                f"must be an integer from 2 to {MAX_NEURONS}: states of n x n must fit",
                got=neurons,
                fix="use fewer neurons",
            )
        if not -1.0 < mean < 1.0:
            raise InvalidInput(
                "associative memory: mean",
                "must lie between -1 and 1",
                got=mean,
                fix="2 d - 1, if a share d of the neurons is on",
            )
        self.neurons, self.mean = neurons, float(mean)
        self._patterns = np.empty((0, neurons), np.int8)

    @property
    def patterns(self) -> Signs:
        """The stored patterns, oldest first, shape (K, n)."""
        return self._patterns.copy()

    def __len__(self) -> int:
        return len(self._patterns)

    def store(self, patterns: npt.ArrayLike) -> None:
        """Store one pattern or several.

        Parameters
        ----------
        patterns : array of -1 and 1, shape (n,) or (K, n)

        Raises
        ------
        InvalidInput
            If the shape is wrong, an entry is neither -1 nor 1, or a pattern is stored
            already. Nothing is stored then.
        """
        new = self._checked(patterns, "pattern", (-1, 1))
        held = {row.tobytes() for row in self._patterns}
        for number, row in enumerate(new):
            if row.tobytes() in held:
                raise InvalidInput(
                    "pattern",
                    "is stored already: it would count twice",
                    index=number,
                    fix="store each pattern once",
                )
            held.add(row.tobytes())
        self._patterns = np.concatenate([self._patterns, new])

    def forget(self, pattern: npt.ArrayLike) -> None:
        """Take a pattern out again: its term leaves the sum, the others stay as they are.

        Raises
        ------
        InvalidInput
            If it is not stored, or not a pattern.
        """
        gone = self._checked(pattern, "pattern", (-1, 1))
        match = (self._patterns == gone[0]).all(axis=1)
        if len(gone) != 1 or not match.any():
            raise InvalidInput("forget", "this pattern is not stored", fix="see .patterns")
        self._patterns = self._patterns[~match]

    def recall(
        self,
        cues: npt.ArrayLike,
        *,
        presentations: int = 1,
        steps: int = STEPS,
        progress: bool = False,
    ) -> AssociativeRecall:
        """Let the network run from each cue, one after another.

        Parameters
        ----------
        cues : array of -1, 0 and 1, shape (n,) or (B, n)
            0 is a neuron of which nothing is known.
        presentations : int
            How often: each further time, the result is the new cue. (Ours; once in the
            paper. Synapses come to hold whatever the neurons show within a time constant
            or two, so a cue that was not mended until then needs another showing.)
        steps : int
            Euler steps of 0.05 time constants for each presentation.
        progress : bool
            Show a bar on a terminal.

        Raises
        ------
        InvalidInput
            If nothing is stored, a cue has a wrong shape or value, or a number is below 1.
        """
        given = self._checked(cues, "cue", (-1, 0, 1))
        if not len(self._patterns):
            raise InvalidInput("recall", "nothing is stored", fix="store patterns first")
        for name, value in (("presentations", presentations), ("steps", steps)):
            if value < 1:
                raise InvalidInput(
                    name, "must be at least 1", got=value, fix=f"leave {name} out for the default"
                )
        found, status = [], "complete"
        try:
            with progress_bar("recalling", len(given), enabled=progress) as done:
                for cue in given:
                    x = cue.astype(float)
                    for _ in range(presentations):
                        state = self.start(x)
                        for _ in range(steps):
                            state = self.step(state)
                        x = np.where(state.x < 0, -1.0, 1.0)
                    found.append(x.astype(np.int8))
                    done(1)
        except KeyboardInterrupt:
            status = "interrupted"
        results = np.array(found, np.int8).reshape(-1, self.neurons)
        agree = (results.astype(float) @ self._patterns.T.astype(float) / self.neurons + 1) / 2
        nearest = agree.argmax(axis=1)
        return AssociativeRecall(
            results, agree[np.arange(len(results)), nearest], nearest.astype(np.int64), status
        )

    # -- the model ----------------------------------------------------------------------

    def start(self, cue: npt.ArrayLike) -> AssociativeState:
        """Return the state in which a cue sets the network, shape (n,)."""
        x = np.array(cue, float)
        h = np.tanh(GAIN * x)
        psi = -np.outer(h, h)
        g = np.clip(-self.coupling(psi), -_SATURATED, _SATURATED)
        p = np.arctanh(np.clip(psi, -_SATURATED, _SATURATED)) / GAIN
        return AssociativeState(x, np.arctanh(g) / GAIN, p)

    def step(self, state: AssociativeState, dt: float = STEP) -> AssociativeState:
        """Return the state an Euler step of ``dt`` time constants later."""
        x, s, p = state.x, state.s, state.p
        h, g, psi = np.tanh(GAIN * x), np.tanh(GAIN * s), np.tanh(GAIN * p)
        return AssociativeState(
            x + dt * (g @ h - x),
            s + dt * (np.outer(h, h) + psi - s),
            p + dt * (self.coupling(psi) + g - p),
        )

    def coupling(self, psi: FloatArray) -> FloatArray:
        """Return T[psi], shape (n, n)."""
        e = self._centred()
        strength = np.einsum("kn,kn->k", e @ psi, e)
        scale = self.neurons**3 * (1.0 - self.mean**2) ** 1.5
        coupled: FloatArray = (e.T * (strength / scale)) @ e
        return coupled

    def energy(self, state: AssociativeState) -> float:
        """Return the quantity that never grows while the network runs.

        Each of x, S, P contributes (its value times its rate, less the integral of the rate);
        pairs of S and of P are counted by half. From that comes half of h^T g h, half of the
        sum of g psi, and a quarter of the sum of psi T[psi].
        """
        h, g, psi = (np.tanh(GAIN * value) for value in (state.x, state.s, state.p))

        def own(value: FloatArray, rate: FloatArray) -> float:
            return float((value * rate - np.logaddexp(GAIN * value, -GAIN * value) / GAIN).sum())

        return (
            own(state.x, h)
            + (own(state.s, g) + own(state.p, psi)) / 2
            - float(h @ g @ h) / 2
            - float((g * psi).sum()) / 2
            - float((psi * self.coupling(psi)).sum()) / 4
        )

    def _centred(self) -> FloatArray:
        spread = np.sqrt(1.0 - self.mean**2)
        centred: FloatArray = (self._patterns - self.mean) / spread
        return centred

    def _checked(self, given: npt.ArrayLike, place: str, allowed: tuple[int, ...]) -> Signs:
        values = np.asarray(given)
        rows = values[None] if values.ndim == 1 else values
        if rows.ndim != 2 or rows.shape[1] != self.neurons:  # noqa: PLR2004
            raise InvalidInput(
                place,
                f"must have shape ({self.neurons},) or (K, {self.neurons})",
                got=values.shape,
                fix="one column for each neuron",
            )
        wrong = np.flatnonzero(~np.isin(rows, allowed).all(axis=1))
        if wrong.size:
            raise InvalidInput(
                place,
                f"must hold nothing but {', '.join(map(str, allowed))}",
                index=int(wrong[0]),
                count=int(wrong.size),
                fix="2 * bits - 1 turns 0 and 1 into -1 and 1",
            )
        return rows.astype(np.int8)


def _fits(neurons: int) -> bool:
    return 2 <= neurons <= MAX_NEURONS  # noqa: PLR2004
