"""Small networks for NIR, and how they go there and back."""

from __future__ import annotations

import io

import nir
import numpy as np

from spikecore import (
    AllToAll,
    Input,
    LinearUnit,
    Network,
    Population,
    Projection,
    Simulation,
    ms,
    mV,
)
from spikecore.units import Port
from spikecore_hardware.nir_exchange import from_nir, to_nir


def feed(network, trains, duration, **options):
    """Run a network whose inputs get the spikes of ``trains`` (name to Spikes)."""
    simulation = Simulation(network, **options)
    for source in network.inputs:
        spikes = trains[source.name]
        simulation.feed(source.name, spikes.times * ms, spikes.neurons)
    return simulation.run(duration)


def there_and_back(network, **options):
    buffer = io.BytesIO()
    nir.write(buffer, to_nir(network, **options))
    buffer.seek(0)
    return from_nir(nir.read(buffer), network.dt * ms)


def pair(unit, dt=0.1 * ms, weight=2 * mV, port="exc", delay=0.3 * ms):
    parts = [Input("in", 3), Population("n", 2, unit)]
    parts += [Projection("in", "n", AllToAll(), weight=weight, delay=delay, port=port)]
    return Network(parts, dt=dt)


def counter(threshold=5.0, reset=0.0, size=1, leak=0.0):
    """Return an integrator, or (reset None) something that does not reset."""
    return LinearUnit(
        name="counter",
        states=("v",),
        dimensions=("voltage",),
        A=np.full((size, 1, 1), -leak),
        b=np.zeros((size, 1)),
        rest=np.zeros((size, 1)),
        ports={"exc": Port("v", "voltage"), "inh": Port("v", "voltage", -1)},
        h=np.ones(1),
        threshold=np.full(size, threshold),
        reset={} if reset is None else {"v": np.full(size, reset)},
        refractory=np.zeros(size),
    )
