"""Mistakes with the memories that have astrocytes: rows of docs/errors.md."""

from __future__ import annotations

import numpy as np
from fault_cases import NAN

from spikecore import ms
from spikecore.memory import (
    AstrocyteAssociativeMemory,
    AstrocyteWorkingMemory,
    Bitmap,
    ContentMemory,
    Text,
    calcium_response,
)
from spikecore.memory.working import flipped
from spikecore.memory.working_trial import letter, measure_retention


def sheet(**options):
    return AstrocyteWorkingMemory(zones=2, **options)


def picture(side=7):
    return np.ones((side, side), bool)


def associative(patterns=((1, -1, 1), (1, 1, -1))):
    memory = AstrocyteAssociativeMemory(3)
    memory.store(patterns)
    return memory


FAULTS = {
    "Memories with astrocytes": {
        "a sheet of one zone": lambda: AstrocyteWorkingMemory(zones=1),
        "a preset of a working memory that does not exist": lambda: sheet(preset="publisht"),
        "a negative gain": lambda: sheet(gain=-0.5),
        "NaN as rate of noise": lambda: sheet(noise_rate=NAN),
        "a picture of another size than the sheet": lambda: sheet().store(picture(8)),
        "numbers as picture": lambda: sheet().recall(picture() * 1.0),
        "a share of noise in per cent": lambda: sheet().store(picture(), noise=5),
        "a cue with a negative share of noise": lambda: flipped(picture(), -0.2, seed=1),
        "an infinite current": lambda: sheet().present(picture(), 10 * ms, np.inf),
        "a wait between two steps": lambda: sheet().wait(0.25 * ms),
        "a pulse of 0 ms": lambda: calcium_response(0 * ms, 100 * ms),
        "a letter that does not exist": lambda: letter("t"),
        "a letter for a sheet that is too small": lambda: letter("T", 4),
        "a retention curve without pictures": lambda: measure_retention(sheet(), {}, (100,)),
        "a retention curve with delays off the grid": lambda: measure_retention(
            sheet(), {"a": picture()}, (100, 250)
        ),
        "an associative memory that would not fit": lambda: AstrocyteAssociativeMemory(5000),
        "a mean of patterns that are all on": lambda: AstrocyteAssociativeMemory(9, mean=1.0),
        "bits instead of signs as patterns": lambda: associative([[0, 1, 1], [1, 1, -1]]),
        "a pattern of another length": lambda: associative([[1, 1, -1, 1]]),
        "a pattern that is stored already": lambda: associative().store([1, -1, 1]),
        "a pattern that is not stored, to forget": lambda: associative().forget([-1, -1, -1]),
        "a recall from an empty associative memory": lambda: AstrocyteAssociativeMemory(3).recall(
            [1, 1, 1]
        ),
        "a cue with other values": lambda: associative().recall([1, 2, 1]),
        "no step at all": lambda: associative().recall([1, 1, 1], steps=0),
        "a clean-up of text": lambda: ContentMemory(Text(4)).search("ab", clean_up=True),
        "a clean-up of too large pictures": lambda: ContentMemory(Bitmap(64, 64)).search(
            np.ones((64, 64), bool), clean_up=True
        ),
    },
}
