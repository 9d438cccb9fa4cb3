"""Nengo models that present a raster to a process, and their runs."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.processes import PresentInput

DT = 1e-3  # of Nengo, s


def raster(steps=200, neurons=20, chance=0.05, seed=0):
    return np.random.default_rng(seed).random((steps, neurons)) < chance


def model_of(process, x, dt=DT, presented=None):
    """Return a model that presents the rows of ``x`` to a process, and the probe of its output."""
    with nengo.Network(seed=3) as model:
        source = nengo.Node(PresentInput(x.astype(float), presented or dt))
        node = nengo.Node(process)
        nengo.Connection(source, node, synapse=None)
        model.probe = nengo.Probe(node)
    return model


def simulate(model, steps, dt=DT, **options):
    with nengo.Simulator(model, dt=dt, progress_bar=False, **options) as sim:
        sim.run_steps(steps)
        return np.array(sim.data[model.probe])
