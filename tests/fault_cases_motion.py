"""Wrong kernels, recordings and trainings, and the call that shows each: rows of docs/errors.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikecore import EventStream
from spikecore.motifs import DelayKernel, EventLayer, detect
from spikecore.motifs.images import load_images
from spikecore.motifs.kernel import causal_mask
from spikecore.motifs.labelled import find_labels
from spikecore.motifs.training import Recipe


def events(count=1, width=8):
    zeros = np.zeros(count, int)
    return EventStream.checked(zeros, zeros, np.arange(count), zeros, sensor=(width, 8))


def kernel(shape=(2, 2, 3, 3, 3), bias=None, **options):
    return DelayKernel(np.ones(shape), np.zeros(shape[0]) if bias is None else bias, **options)


def layer(**options):
    return EventLayer(kernel(**options), 8, 8, 1000)


def folder_with(name, text):
    Path("data").mkdir()
    (Path("data") / name).write_text(text)
    return "data"


def labels(row):
    table = f"path,t_start_us,t_end_us,vx_px_s,vy_px_s\n{row}\n"
    return lambda: find_labels(folder_with("labels.csv", table))


def second_time():
    once = layer()
    once.advance(events())
    once.advance(events())


FAULTS = {
    "Motion from events": {
        "a recording without events": lambda: detect(events(0)),
        "a backend that does not run such layers": lambda: detect(events(), backend="brian"),
        "cells of 0 pixels": lambda: detect(events(), cell=0),
        "a kernel that knows no motions": lambda: detect(events(), kernel=kernel()),
        "weights of another shape": lambda: kernel((2, 2, 3, 3, 4)),
        "too few biases": lambda: kernel(bias=np.zeros(3)),
        "NaN as bias": lambda: kernel(bias=np.array([0.0, np.nan])),
        "exchanged polarities where there is one": lambda: kernel((2, 1, 3, 3, 3)),
        "a treatment of polarity that does not exist": lambda: kernel(polarity="invariantt"),
        "a negative exponent of the normalisation": lambda: kernel(gamma=-1.0),
        "a receptive field of even size": lambda: causal_mask(21, 16),
        "pruning to more than all weights": lambda: kernel().pruned(0.5),
        "more delays kept than there are": lambda: kernel().shortened(4),
        "more than 64 delays, event by event": lambda: layer(shape=(1, 2, 65, 1, 1)),
        "a tick of 0": lambda: EventLayer(kernel(), 8, 8, 0),
        "events of a larger sensor": lambda: layer().advance(events(width=9)),
        "events of a tick that is over": second_time,
        "a folder of recordings that does not exist": lambda: find_labels("absent"),
        "a folder without labels": lambda: find_labels(folder_with("notes.txt", "")),
        "labels that are not numbers": labels("a.bin,0,1000,fast,0"),
        "labels of a file that is not there": labels("a.bin,0,1000,10,0"),
        "a folder without pictures": lambda: load_images(folder_with("notes.txt", "")),
        "a picture that cannot be read": lambda: load_images(folder_with("a.png", "no picture")),
        "a loss that does not exist": lambda: Recipe(loss="cross_entropy"),
        "a training of 0 steps": lambda: Recipe(steps=0),
        "a kernel file of something else": lambda: DelayKernel.load(
            Path(folder_with("k.npz", "no kernel")) / "k.npz"
        ),
    }
}
