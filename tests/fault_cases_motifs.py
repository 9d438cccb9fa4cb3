"""Mistakes with motif layers: rows of docs/errors.md."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fault_cases import NAN

from spikecore import Spikes, Train, ms, mV
from spikecore.motifs import MotifLayer, MotifModel, learn_motifs


def layer(sources=(0, 1, 2), targets=(0, 0, 1), weights=(1.0, 1.0, 2.0), delays=(3, 2, 1), **more):
    return MotifLayer(sources, targets, weights, delays, 3, 2, **more)


def small():
    return MotifModel.random(2, 3, 4, density=0.5)


def rasters(**changes):
    return [replace(small(), **changes).draw(50, number=n) for n in range(3)]


FAULTS = {
    "Motif layers": {
        "an address that does not exist": lambda: layer(sources=[0, 3, 5]),
        "a motif that does not exist": lambda: layer(targets=[0, -1, 1]),
        "addresses that are not integers": lambda: layer(sources=[0.0, 1.0, 2.0]),
        "too few delays": lambda: layer(delays=[1, 2]),
        "a delay below one tick": lambda: layer(delays=[2, 0, 1]),
        "delays that are not integers": lambda: layer(delays=[2.5, 1, 1]),
        "NaN or infinity as weight": lambda: layer(weights=[1, NAN, NAN]),
        "a bias of another length": lambda: layer(bias=[1, 2, 3]),
        "an infinite threshold": lambda: layer(threshold=np.inf),
        "a kernel without an axis for the motifs": lambda: MotifLayer.from_kernel(np.ones((3, 4))),
        "NaN or infinity in a kernel": lambda: MotifLayer.from_kernel([[[1, NAN], [2, 3]]]),
        "a share of synapses in per cent": lambda: layer().prune(30),
        "a train with more addresses than the layer": lambda: layer().detect(
            Spikes(np.array([1, 2]), np.array([0, 3]))
        ),
        "a train that is not sorted": lambda: layer().detect(
            Spikes(np.array([4, 2, 1]), np.array([0, 1, 2]))
        ),
        "a train of 0 ticks": lambda: layer().detect(Spikes(np.array([1]), np.array([0])), 0),
        "a train for the network with more addresses": lambda: layer().network(
            Train([1] * ms, [3])
        ),
        "a voltage as membrane time constant": lambda: layer().network(tau_m=2 * mV),
        "a chance that is none": lambda: MotifModel(np.ones((1, 1, 1)), rate=2.0),
        "a density that is none": lambda: MotifModel.random(density=0.0),
        "a raster shorter than a motif": lambda: small().draw(4),
        "no raster to learn from": lambda: learn_motifs([], (2, 3, 4)),
        "rasters without any motif": lambda: learn_motifs(rasters(rate=1e-9), (2, 3, 4)),
        "rasters with more addresses than the shape": lambda: learn_motifs(
            rasters(background=0.5, rate=0.05), (2, 2, 4)
        ),
        "rasters with motifs after their end": lambda: learn_motifs(
            [replace(raster, ticks=9) for raster in rasters(background=1e-9, rate=0.05)], (2, 3, 4)
        ),
        "a learning rate of 0 or below": lambda: learn_motifs(
            rasters(rate=0.05), (2, 3, 4), learning_rate=0
        ),
    },
}
