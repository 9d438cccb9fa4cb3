"""Trainable spiking layers with learnable delays, for torch; trained models become networks.

Activity has the shape (T, B, N) everywhere: ticks, samples of the batch, neurons.
"""

from spikecore.need_torch import need_torch

need_torch()  # before the modules below fail with an error that names no remedy

from spikecore.nn.annealing import DelayAnnealing  # noqa: E402
from spikecore.nn.delays import DelayedLinear  # noqa: E402
from spikecore.nn.export import spikes_to_tensor, tensor_to_train, to_network  # noqa: E402
from spikecore.nn.gated import EventGRU, GatedState, gated_scan  # noqa: E402
from spikecore.nn.grouped import GroupState, grouped_scan  # noqa: E402
from spikecore.nn.neurons import LIF, LeakyIntegrator  # noqa: E402
from spikecore.nn.scan import leaky_scan, lif_scan, lif_stream  # noqa: E402
from spikecore.nn.surrogates import (  # noqa: E402
    ATan,
    Boxcar,
    FastSigmoid,
    Gaussian,
    QGate,
    Surrogate,
)

__all__ = [
    "LIF",
    "ATan",
    "Boxcar",
    "DelayAnnealing",
    "DelayedLinear",
    "EventGRU",
    "FastSigmoid",
    "GatedState",
    "Gaussian",
    "GroupState",
    "LeakyIntegrator",
    "QGate",
    "Surrogate",
    "gated_scan",
    "grouped_scan",
    "leaky_scan",
    "lif_scan",
    "lif_stream",
    "spikes_to_tensor",
    "tensor_to_train",
    "to_network",
]
