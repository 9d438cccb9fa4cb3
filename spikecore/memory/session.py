"""A whole session of a CA3 memory as one network: for boards, where nothing is fed in between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput
from spikecore.inputs import Train
from spikecore.memory.ca3 import CA3Shape, ca3_network
from spikecore.memory.cam import BACKWARD, FORWARD
from spikecore.memory.content_memory import ContentMemory
from spikecore.network import Network
from spikecore.quantities import ms, nA
from spikecore.wiring import Pairs

__all__ = ["Presentation", "recall_session", "session_network"]

FloatArray = npt.NDArray[np.float64]

SPACING = 16
"""Ticks from one operation to the next, after which nothing moves any more."""


@dataclass(frozen=True)
class Presentation:
    """What is shown to a memory, at once.

    A cue and bits are learnt, a cue alone recalls its content, bits alone are a query.

    Attributes
    ----------
    cue : int or None
    bits : tuple of int
    """

    cue: int | None = None
    bits: tuple[int, ...] = ()


def session_network(
    shape: CA3Shape,
    shown: Iterable[Presentation],
    *,
    forward: FloatArray | None = None,
    backward: FloatArray | None = None,
    spacing: int = SPACING,
) -> tuple[Network, int]:
    """Return a memory with the spikes of a session at its inputs.

    Presentation n begins in tick ``1 + n * spacing``; when its answer is read is told in
    docs/memory.md, "One operation, tick by tick".

    Parameters
    ----------
    shape : CA3Shape
        Size and options; ``preset="board"`` for a board.
    shown : iterable of Presentation
        In their order.
    forward, backward : ndarray of float64, optional
        What the memory holds at first (nA), shapes (cues, bits) and (bits, cues).
    spacing : int
        Ticks from one presentation to the next.

    Returns
    -------
    Network
    int
        How long to run it, ms.

    Raises
    ------
    InvalidInput
        If a cue or bit does not exist, nothing is shown, or an array has another shape.
    """
    presentations = list(shown)
    for index, p in enumerate(presentations):
        _check(p, shape, index)
    cues, bits = [], []
    for n, p in enumerate(presentations):
        learns = p.cue is not None and p.bits
        for after in shape.parameters.shown if learns else (0,):
            tick = 1 + n * spacing + after
            cues += [] if p.cue is None else [(tick, p.cue)]
            bits += [(tick, bit) for bit in sorted(p.bits)]
    # Nothing is erased here, and an input that is never fed would be refused by exports.
    network = ca3_network(replace(shape, forget_line=False), _train(cues), _train(bits))
    held = {
        FORWARD: (forward, shape.cues, shape.bits),
        BACKWARD: (backward, shape.bits, shape.cues),
    }
    return _with_weights(network, held), 1 + len(presentations) * spacing


def recall_session(memory: ContentMemory, *, spacing: int = SPACING) -> tuple[Network, int]:
    """Return a memory with what it holds, and with every cue in use recalled, oldest first.

    Parameters
    ----------
    memory : ContentMemory
        Its file, if it has one, is only read.
    spacing : int
        Ticks from one recall to the next.

    Returns
    -------
    Network
    int
        How long to run it, ms.

    Raises
    ------
    InvalidInput
        If the memory is empty.
    """
    forward, backward, numbers = memory.contents()
    if not numbers:
        raise InvalidInput("recall_session", "the memory is empty", fix="store something first")
    shown = [Presentation(cue=number) for number in numbers.values()]
    return session_network(memory.shape, shown, forward=forward, backward=backward, spacing=spacing)


def _check(p: Presentation, shape: CA3Shape, index: int) -> None:
    if p.cue is None and not p.bits:
        raise InvalidInput("Presentation", "shows nothing", index=index, fix="give a cue or bits")
    if p.cue is not None and not 0 <= p.cue < shape.cues:
        raise InvalidInput(
            "Presentation.cue",
            f"must lie in 0 .. {shape.cues - 1}",
            got=p.cue,
            index=index,
            fix="cues are numbered from 0",
        )
    wrong = [bit for bit in p.bits if not 0 <= bit < shape.bits]
    if wrong:
        raise InvalidInput(
            "Presentation.bits",
            f"must lie in 0 .. {shape.bits - 1}",
            got=wrong[0],
            index=index,
            fix="bits are numbered from 0",
        )


def _train(spikes: list[tuple[int, int]]) -> Train:
    ticks, neurons = np.array(spikes, np.int64).reshape(-1, 2).T
    return Train(ticks * 1.0 * ms, neurons)


def _with_weights(network: Network, held: dict[str, tuple[FloatArray | None, int, int]]) -> Network:
    projections = []
    for p in network.projections:
        values, *wanted = held.get(p.name, (None,))
        if values is not None:
            if values.shape != tuple(wanted):
                raise InvalidInput(
                    f"weights {p.name}",
                    f"must have shape {tuple(wanted)}",
                    got=values.shape,
                    fix="one row for each source, one column for each target",
                )
            pre, post = np.indices(values.shape).reshape(2, -1)
            p = replace(p, wiring=Pairs(pre, post), weight=values.ravel() * nA)  # noqa: PLW2901
        projections.append(p)
    return Network([*network.groups, *projections], dt=network.dt * ms)
