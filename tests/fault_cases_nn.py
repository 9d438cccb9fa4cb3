"""What a user may do wrong with trainable layers; tests/test_faults.py holds the answers."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from unittest import mock

import numpy as np
import torch

from spikecore import LIF, AdaptiveThreshold, Alpha, Delta, Exponential, Spikes, ms, mV, nA, nn


def synapses(n=3, m=2, max_delay=4, **changes):
    return nn.DelayedLinear(n, m, max_delay * ms, **{"scale": 10 * mV} | changes)


def neurons(size=2, **changes):
    return nn.LIF(size, LIF(**{"synapse": Delta()} | changes))


def whole(*layers):
    """Return a model whose delays are whole ticks, as after training."""
    for layer in layers:
        if isinstance(layer, nn.DelayedLinear):
            layer.round_delays()
    return torch.nn.Sequential(*layers)


def export(*layers):
    return nn.to_network(whole(*layers))


def without_torch():
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name == "spikecore.nn"}
    try:
        with mock.patch("spikecore.need_torch.find_spec", return_value=None):
            importlib.import_module("spikecore.nn")
    finally:
        sys.modules.update(kept)


def with_a_weight_of_nan():
    layer = synapses()
    layer.weight.data[1, 2] = torch.nan
    return export(layer, neurons())


def with_a_time_constant_that_ran_away():
    layer = nn.LIF(1, LIF(synapse=Delta()), learn=["tau_m"])
    layer.log_tau_m.data.fill_(1000.0)
    layer(torch.zeros(2, 1, 1))


def some_spikes():
    return Spikes(np.array([1, 7]), np.array([0, 3]))


def set_width(width, **changes):
    synapses(**changes).width = width


ZEROS = torch.zeros(5, 1, 3)
INFINITE = ZEROS.index_fill(0, torch.tensor(2), torch.inf)

FAULTS = {
    "Trainable layers": {
        "`import spikecore.nn` without torch": without_torch,
        "a longest delay of 0 or below": partial(synapses, max_delay=0),
        "a longest delay between two ticks": partial(synapses, max_delay=2.5),
        "neurons with gates, of size 0": partial(nn.EventGRU, 3, 0),
        "neurons with gates that send no change": partial(nn.EventGRU, 3, 4, threshold=0.0),
        "neurons with gates, given other features": lambda: nn.EventGRU(3, 4)(torch.zeros(5, 1, 4)),
        "a scale without its unit": partial(synapses, scale=10),
        "a scale of 0 or below": partial(synapses, scale=0 * nA),
        "a layer of size 0": partial(synapses, n=0),
        "neurons of size 0": partial(neurons, 0),
        "a bump that does not exist": partial(synapses, bump="gauss"),
        "a width that a bump cannot have": partial(set_width, -1.0),
        "a triangle narrower than a tick": partial(set_width, 0.5, bump="triangular"),
        "another number of neurons": lambda: synapses()(torch.zeros(5, 1, 4)),
        "no batch axis": lambda: neurons()(torch.zeros(5, 2)),
        "no ticks": lambda: neurons()(torch.zeros(0, 1, 2)),
        "integers": lambda: synapses()(ZEROS.int()),
        "an array": lambda: synapses()(ZEROS.numpy()),
        "NaN or infinity in the input": lambda: synapses()(INFINITE),
        "something else as unit of neurons": lambda: nn.LIF(2, Delta()),
        "alpha currents": partial(neurons, synapse=Alpha()),
        "an adaptive threshold": partial(neurons, adaptation=AdaptiveThreshold()),
        "the spinnaker step rule with currents": partial(
            neurons, synapse=Exponential(), step="spinnaker"
        ),
        "parameters of neurons of another length": partial(neurons, 3, tau_m=[10, 20] * ms),
        "a refractory period of neurons between two ticks": partial(neurons, refractory=0.5 * ms),
        "learning what cannot be learned": lambda: nn.LIF(
            2, LIF(synapse=Delta()), learn=["tau_exc"]
        ),
        "a time constant that training has carried away": with_a_time_constant_that_ran_away,
        "a reset of neurons that does not exist": lambda: nn.LIF(2, reset="soft"),
        "`reset='subtract'` where a constant current passes the threshold": lambda: nn.LIF(
            2, LIF(i_offset=20 * nA), reset="subtract"
        ),
        "recurrent synapses with currents": lambda: nn.LIF(2, recurrent=synapses(2, 2)),
        "recurrent synapses of another size": lambda: nn.LIF(
            2, LIF(synapse=Delta()), recurrent=synapses(3, 2)
        ),
        "recurrent synapses of another tick": lambda: nn.LIF(
            2, LIF(synapse=Delta()), recurrent=synapses(2, 2, dt=0.5 * ms)
        ),
        "a surrogate of width 0 or below": lambda: nn.Boxcar(0.0),
        "an annealing of no steps": lambda: nn.DelayAnnealing(synapses(), 0),
        "an annealing of delays that are fixed": lambda: nn.DelayAnnealing(
            synapses(learn_delays=False), 5
        ),
        "an annealing without delays": lambda: nn.DelayAnnealing(neurons(), 5),
        "a model that is not a Sequential": lambda: nn.to_network(synapses()),
        "a model with a layer that no network has": lambda: export(
            synapses(), torch.nn.ReLU(), neurons()
        ),
        "a model with a readout in its middle": lambda: export(
            synapses(), nn.LeakyIntegrator(2), synapses(2, 2), neurons()
        ),
        "a model that ends with synapses": lambda: export(synapses()),
        "a model whose layers have other sizes": lambda: export(synapses(), neurons(3)),
        "a model of several ticks": lambda: export(
            synapses(), nn.LIF(2, LIF(synapse=Delta()), dt=0.5 * ms)
        ),
        "a model with mV for exponential synapses": lambda: export(synapses(), nn.LIF(2)),
        "a model whose delays are not yet whole": lambda: nn.to_network(
            torch.nn.Sequential(synapses(), neurons())
        ),
        "a model with a weight that is NaN": with_a_weight_of_nan,
        "spikes after the last tick of a tensor": lambda: nn.spikes_to_tensor(some_spikes(), 7, 4),
        "spikes of neurons that a tensor has not": lambda: nn.spikes_to_tensor(some_spikes(), 8, 3),
        "a batch as a train": lambda: nn.tensor_to_train(ZEROS),
        "parts of spikes as a train": lambda: nn.tensor_to_train(ZEROS[:, 0] + 0.5),
    },
}
