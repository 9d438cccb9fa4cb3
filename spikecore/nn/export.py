"""From a trained model to a network that runs event by event, and spikes both ways."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from spikecore.errors import InvalidInput
from spikecore.events import Spikes
from spikecore.inputs import Input, Poisson, Train
from spikecore.network import Network, Population, Probe, Projection
from spikecore.nn.delays import DelayedLinear
from spikecore.nn.neurons import LIF, LeakyIntegrator
from spikecore.quantities import Quantity, ms
from spikecore.units import Exponential
from spikecore.wiring import Pairs

__all__ = ["spikes_to_tensor", "tensor_to_train", "to_network"]

Neurons = LIF | LeakyIntegrator
PASSED = (nn.Identity, nn.Dropout)
"""Layers that do nothing once a model is trained."""


def to_network(
    model: nn.Sequential, source: Train | Poisson | None = None, *, prune: bool = False
) -> Network:
    """Return the network that a model is, with whole delays.

    Its spikes are those of the model's forward pass after ``model.double().eval()``, tick
    for tick: float32 may round a membrane over its threshold, and so may the Fourier
    transforms of training, where a membrane meets its threshold exactly.

    Parameters
    ----------
    model : torch.nn.Sequential
        :class:`DelayedLinear` and :class:`LIF` by turns; the last may be a
        :class:`LeakyIntegrator`, which becomes a population that never fires, with a probe.
    source : Train, Poisson or None
        What the input does; None: fed while the simulation runs.
    prune : bool
        Leave synapses out whose weight is 0.

    Returns
    -------
    Network
        Input ``"input"``, populations ``"layer1"``, ``"layer2"``, ...; a synapse for each
        weight, in the order of the source neurons.

    Raises
    ------
    InvalidInput
        If the layers do not fit (order, sizes, ticks, units), delays are not yet whole
        ticks, or a weight is not finite.

    Examples
    --------
    >>> import torch
    >>> from spikecore import LIF, Delta, ms, mV, nn, run
    >>> model = torch.nn.Sequential(
    ...     nn.DelayedLinear(1, 1, max_delay=5 * ms, scale=20 * mV),
    ...     nn.LIF(1, LIF(synapse=Delta())),
    ... )
    >>> with torch.no_grad():
    ...     _ = model[0].weight.fill_(1.0), model[0].delay.fill_(2.9)
    >>> model[0].round_delays()
    >>> spikes = torch.zeros(10, 1)
    >>> spikes[4] = 1.0
    >>> net = nn.to_network(model, nn.tensor_to_train(spikes))
    >>> run(net, 10 * ms).spikes["layer1"].ticks
    array([7])
    """
    pairs = _pairs(model)
    dt = Quantity(pairs[0][0].dt, "time")
    parts: list[Input | Population | Projection | Probe] = []
    parts.append(Input("input", pairs[0][0].in_features, source))
    before = "input"
    for number, (synapses, neurons) in enumerate(pairs, 1):
        name = f"layer{number}"
        parts.append(Population(name, neurons.size, neurons.to_spikecore()))
        parts.append(_projection(synapses, before, name, prune))
        if isinstance(neurons, LeakyIntegrator):
            parts.append(Probe(name, "v"))
        elif neurons.recurrent is not None:
            parts.append(_projection(neurons.recurrent, name, name, prune))
        before = name
    return Network(parts, dt)


def spikes_to_tensor(spikes: Spikes, ticks: int, size: int) -> Tensor:
    """Return how often each neuron fires in each tick, shape (ticks, size).

    Batches are made of these with ``torch.stack(..., dim=1)``.

    Raises
    ------
    InvalidInput
        If a spike lies beyond ``ticks`` or ``size``.
    """
    for what, found, limit in (("ticks", spikes.ticks, ticks), ("size", spikes.neurons, size)):
        largest = int(found.max(initial=-1))
        if largest >= limit:
            rule = f"must exceed the largest in the train, {largest}"
            raise InvalidInput(
                f"spikes_to_tensor.{what}", rule, got=limit, fix="cut the train with .between()"
            )
    counts = np.zeros((ticks, size))
    np.add.at(counts, (spikes.ticks, spikes.neurons), 1.0)
    return torch.as_tensor(counts, dtype=torch.get_default_dtype())


def tensor_to_train(spikes: Tensor, dt: Quantity = 1.0 * ms) -> Train:
    """Return one sample, shape (T, N), as the spike train of an input.

    Raises
    ------
    InvalidInput
        If there are not two axes, or a value is not a whole number of spikes.
    """
    counts = spikes.detach().cpu().numpy()
    place = "tensor_to_train.spikes"
    if counts.ndim != 2:  # noqa: PLR2004
        fix = "take one sample: spikes[:, 0]"
        raise InvalidInput(place, "must have shape (T, N)", got=counts.shape, fix=fix)
    wrong = (counts < 0) | (counts != np.rint(counts))
    if wrong.any():
        raise InvalidInput(
            place,
            "must hold whole numbers of spikes",
            got=counts[wrong][0],
            count=int(wrong.sum()),
            fix="give 0 or 1 (or more spikes in a tick) for each tick and neuron",
        )
    ticks, neurons = np.nonzero(counts)
    often = counts[ticks, neurons].astype(np.int64)
    times = np.repeat(ticks, often) * float(dt.to(ms))
    return Train(times * ms, np.repeat(neurons, often))


def _pairs(model: nn.Module) -> list[tuple[DelayedLinear, Neurons]]:
    """Return synapses and neurons of each layer, checked against one another."""
    if not isinstance(model, nn.Sequential):
        fix = "torch.nn.Sequential(DelayedLinear(...), LIF(...), ...)"
        raise InvalidInput(
            "to_network.model", "must be a Sequential", got=type(model).__name__, fix=fix
        )
    layers = [(i, layer) for i, layer in enumerate(model) if not isinstance(layer, PASSED)]
    for place, (i, layer) in enumerate(layers):
        last = place == len(layers) - 1
        wanted = (
            (LIF, LeakyIntegrator) if place % 2 and last else LIF if place % 2 else DelayedLinear
        )
        if not isinstance(layer, wanted):
            raise InvalidInput(
                f"model[{i}]",
                "must be LIF" if place % 2 else "must be DelayedLinear",
                got=type(layer).__name__,
                fix="alternate DelayedLinear and LIF; a LeakyIntegrator may be the last",
            )
    if not layers or len(layers) % 2:
        rule = "must end with neurons"
        raise InvalidInput("model", rule, got=f"{len(layers)} layers", fix="add LIF(...)")
    found = [(layers[k][1], layers[k + 1][1]) for k in range(0, len(layers), 2)]
    sizes = [found[0][0].in_features]
    for k, (synapses, neurons) in enumerate(found):
        first, second = (f"model[{layers[2 * k + i][0]}]" for i in (0, 1))
        _check_pair(first, synapses, neurons, sizes[-1], found[0][0].dt)
        _check_trained(first, synapses)
        if isinstance(neurons, LIF) and neurons.recurrent is not None:
            _check_trained(f"{second}.recurrent", neurons.recurrent)
        sizes.append(neurons.size)
    return found


def _check_pair(
    place: str, synapses: DelayedLinear, neurons: Neurons, before: int, dt: float
) -> None:
    got = (synapses.in_features, synapses.out_features)
    if got != (before, neurons.size):
        rule = f"must join {before} neurons to {neurons.size}"
        raise InvalidInput(place, rule, got=got, fix="give each layer the size of its neighbours")
    if {synapses.dt, neurons.dt} != {dt}:
        got_dt = f"{synapses.dt:g} and {neurons.dt:g} ms"
        fix = "give all layers one dt"
        raise InvalidInput(
            place, f"needs the tick of the first layer, {dt:g} ms", got=got_dt, fix=fix
        )
    exponential = isinstance(neurons.unit.synapse, Exponential)
    if (synapses.dimension == "current") != exponential:
        kind = type(neurons.unit.synapse).__name__
        raise InvalidInput(
            f"{place}.scale",
            f"must be a {'current' if exponential else 'voltage'} for {kind} synapses",
            got=f"a {synapses.dimension}",
            fix=f"give scale in {'nA' if exponential else 'mV'}",
        )


def _check_trained(place: str, synapses: DelayedLinear) -> None:
    if synapses.width:
        raise InvalidInput(
            f"{place}.delay",
            "is not yet in whole ticks",
            got=f"a bump {synapses.width:g} ticks wide",
            fix="call DelayAnnealing.finish(), or round_delays() of the layer",
        )
    finite = torch.isfinite(synapses.weight)
    if not bool(finite.all()):
        wrong = (~finite).nonzero()
        raise InvalidInput(
            f"{place}.weight",
            "must be finite",
            got=f"output, input {tuple(wrong[0].tolist())}",
            count=len(wrong),
            fix="train with a smaller learning rate, or clip the gradients",
        )


def _projection(synapses: DelayedLinear, source: str, target: str, prune: bool) -> Projection:
    weights = (synapses.weight.detach().cpu().double() * synapses.scale).T.numpy()
    ticks = synapses.ticks.cpu().T.numpy()
    kept = weights != 0 if prune else np.ones(weights.shape, bool)
    pre, post = np.nonzero(kept)
    return Projection(
        source,
        target,
        Pairs(pre, post),
        weight=Quantity(weights[kept], synapses.dimension),
        delay=Quantity(ticks[kept] * synapses.dt, "time"),
    )
