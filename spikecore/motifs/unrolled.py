"""A delay kernel as a network that a neuromorphic board can run.

A kernel has one set of weights for all pixels. A board has no such thing: every pixel of
the region gets detectors of its own, and every weight becomes as many synapses.
"""

from __future__ import annotations

import numpy as np

from spikecore.errors import InvalidInput
from spikecore.inputs import Input, Train, check_size
from spikecore.motifs.detector import MotifLayer
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.sparse import taps_of
from spikecore.network import Network, Part, Population, Projection
from spikecore.quantities import MOhm, Quantity, magnitude, ms, mV, nA, require
from spikecore.units import LIF, Exponential
from spikecore.wiring import Pairs

__all__ = ["board_network", "unrolled"]

_SHARE = 2.0**-4
"""Time constants as a share of a tick: exp(-16) is 0 in the numbers of a SpiNNaker core."""


def unrolled(kernel: DelayKernel, width: int, height: int, *, threshold: float = 0.0) -> MotifLayer:
    """Return the layer of all detectors of a region of pixels.

    Parameters
    ----------
    kernel : DelayKernel
        Without normalisation.
    width, height : int
        Region, pixels. Nothing is seen outside it.
    threshold : float
        Evidence (bias included) that a detector takes to spike.

    Returns
    -------
    MotifLayer
        Addresses are ``(polarity * height + y) * width + x``, motifs
        ``(class * height + y) * width + x``. A kernel that is ``"invariant"`` to polarity has
        as many motifs again, with ON and OFF exchanged: the larger evidence reaches the
        threshold where either does. Detections come one tick later than the evidence of
        the kernel, as synapses take at least a tick.

    Raises
    ------
    InvalidInput
        If the kernel has a normalisation, or a side is not a positive integer.
    """
    check_size(width, "unrolled: width")
    check_size(height, "unrolled: height")
    if kernel.gamma > 0.0:
        raise InvalidInput(
            "unrolled: kernel.gamma",
            "must be 0: no neuron divides by the number of events around it",
            got=kernel.gamma,
            fix="dataclasses.replace(kernel, gamma=0.0), with a threshold chosen for that",
        )
    taps = taps_of(kernel)
    parts = []
    for exchanged in (False, True) if kernel.polarity == "invariant" else (False,):
        first = kernel.classes * height * width if exchanged else 0
        polarity = kernel.polarities - 1 - taps.polarities if exchanged else taps.polarities
        for y in range(height):
            for x in range(width):
                row, column = y + taps.rows, x + taps.columns
                seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                source = (polarity * height + row) * width + column
                target = first + (taps.classes * height + y) * width + x
                parts.append(
                    [array[seen] for array in (source, target, taps.weights, taps.delays + 1)]
                )
    sides = 2 if kernel.polarity == "invariant" else 1
    source, target, weight, delay = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    return MotifLayer(
        source,
        target,
        weight,
        delay,
        kernel.polarities * height * width,
        sides * kernel.classes * height * width,
        bias=np.tile(np.repeat(kernel.bias, height * width), sides),
        threshold=threshold,
    )


def board_network(
    layer: MotifLayer, train: Train | None = None, *, dt: Quantity = 1.0 * ms
) -> Network:
    """Return a motif layer as a network for SpiNNaker.

    As :meth:`MotifLayer.network`, with the neurons and synapses that the chip has. Membrane
    and synaptic currents decay by exp(-16), which its fixed point makes 0: the potential
    after a tick is what has arrived in it, one mV for a unit of evidence. Excitation and
    inhibition are two projections, because weights have no sign.

    Parameters
    ----------
    layer : MotifLayer
        E.g. of :func:`unrolled`.
    train : Train, optional
        Spikes of the group ``"inputs"``. Default: they are fed.
    dt : Quantity
        Length of a tick (time).

    Raises
    ------
    InvalidInput
        If a detector would spike without any input: bias at the threshold or above.
    """
    level = layer.threshold - layer.bias
    rule = "must exceed the bias, or detectors spike in every tick"
    fix = "use a higher threshold"
    require(layer.threshold, level > 0.0, "board_network: threshold", rule, fix=fix)
    tick = float(magnitude(dt, "time", "dt", above=0.0, single=True))
    tau = _SHARE * tick * ms
    unit = LIF(
        tau_m=tau,
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=level * mV,
        resistance=1.0 / _SHARE * MOhm,
        refractory=0 * ms,
        synapse=Exponential(tau, tau),
        step="spinnaker",
    )
    parts: list[Part] = [
        Input("inputs", layer.n_inputs, train),
        Population("motifs", layer.n_motifs, unit),
    ]
    for port, chosen in (("exc", layer.weights > 0.0), ("inh", layer.weights < 0.0)):
        if chosen.any():
            wiring = Pairs(layer.sources[chosen], layer.targets[chosen], duplicates=True)
            parts.append(
                Projection(
                    "inputs",
                    "motifs",
                    wiring,
                    weight=np.abs(layer.weights[chosen]) * nA,
                    delay=layer.delays[chosen] * (tick * ms),
                    port=port,
                    name=f"inputs->motifs {port}",
                )
            )
    return Network(parts, dt=dt)
