"""The network of the hippocampal CA3 content-addressable memory.

Source: Casanueva-Morato, Ayuso-Martinez, Dominguez-Morales, Jimenez-Fernandez &
Jimenez-Moreno (2024), "A bio-inspired hippocampal memory ... CA3", Neural
Networks 178:106474 (arXiv 2310.05868): populations, projections and parameters of
the preset ``published``. Everything else (``robust``, ``board``, overlap threshold, completion,
forget line) is this project's own; docs/memory tells why each change is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from spikecore.errors import InvalidInput, UnknownName
from spikecore.inputs import Input, Train, check_size
from spikecore.network import Network, Part, Population, Projection
from spikecore.plasticity import PairSTDP
from spikecore.quantities import MOhm, ms, mV, nA
from spikecore.units import LIF, Exponential
from spikecore.wiring import AllToAll, OneToOne, Wiring

__all__ = [
    "FIRING_WEIGHT",
    "POPULATIONS",
    "PRESETS",
    "CA3Preset",
    "CA3Shape",
    "ca3_network",
]

POPULATIONS = (
    "CueCue",
    "ContCue",
    "ContCond",
    "ContCondInt",
    "CueCont",
    "ContCont",
    "MergeCue",
    "MergeCont",
    "OUTcue",
    "OUTcont",
)
"""The populations that were recorded, in the order of the recordings."""

FIRING_WEIGHT = 3.358
"""Smallest single weight (nA) that fires a neuron of type B (and, less 2 %, type A)."""

_BYTES_PER_SYNAPSE = 20  # while the network is built, at the most
_MAX_BYTES = 16_000_000_000

_SPIKE = 6.0  # nA, a weight that makes one spike suffice


@dataclass(frozen=True)
class CA3Preset:
    """What distinguishes one set of parameters from another.

    Attributes
    ----------
    stdp_tau : float
        Time constant of both learning windows, ms.
    stdp_per_weight : float
        Amplitude of both windows as a multiple of the largest weight.
    window : {"exponential", "table2048"}
        Form of the learning windows.
    gate_tau_m, gate_tau_syn, gate_resistance : float
        Neurons of type B (gate, interneuron, CueCont): ms, ms, MOhm.
    gate_inhibition, gate_drive : float
        CueCue -> ContCond and ContCondInt -> ContCond, nA.
    feed_forward : bool
        Second inhibition of CueCont from the one active cue instead of from all
        recalled ones.
    gate_refractory : float
        Refractory period of type B, ms.
    shown : tuple of int
        Ticks of a learn in which its input spikes.
    """

    stdp_tau: float
    stdp_per_weight: float
    window: str
    gate_tau_m: float
    gate_tau_syn: float
    gate_resistance: float
    gate_inhibition: float
    gate_drive: float
    feed_forward: bool
    gate_refractory: float = 1.0
    shown: tuple[int, ...] = (0, 1, 2)


PRESETS: dict[str, CA3Preset] = {
    "published": CA3Preset(
        stdp_tau=3.0,
        stdp_per_weight=1.0,
        window="exponential",
        gate_tau_m=0.5,
        gate_tau_syn=0.3,
        gate_resistance=0.5 / 0.14,
        gate_inhibition=6.0,
        gate_drive=2.0,
        feed_forward=False,
    ),
    # The windows act as a set/reset latch: coincidence sets a weight to its maximum,
    # post one or two ticks before pre resets it to 0, everything else leaves it alone.
    "robust": CA3Preset(
        stdp_tau=0.24,
        stdp_per_weight=80.0,
        window="table2048",
        gate_tau_m=0.2,
        gate_tau_syn=0.2,
        gate_resistance=4.5277,
        gate_inhibition=6.75,
        gate_drive=2.25,
        feed_forward=True,
    ),
}
# A SpiNNaker core applies post spikes when the source fires next, and remembers 15 of them.
# With two spikes three ticks apart the second one sets what the first has taught and resets
# nothing, so no memory hangs on a spike that could be forgotten. It also delivers what it has
# just set, to neurons that must therefore be refractory for two ticks.
PRESETS["board"] = replace(PRESETS["robust"], gate_refractory=2.0, shown=(0, 3))
"""Presets by name; see docs/memory."""


@dataclass(frozen=True)
class CA3Shape:
    """Size and options of a CA3 memory.

    Parameters
    ----------
    cues, bits : int
        Number of cues (addresses) and of content bits.
    preset : {"published", "robust", "board"}
        Parameters.
    threshold : float
        Share of the query bits that a stored content must have for its cue to
        answer, 0 (the published OR: one bit is enough) to below 1.
    completion : bool
        A cue that answers a query recalls its whole content at once.
    backward_weight : float
        Largest weight of content -> cue synapses (nA); 12 lets a threshold decide
        queries of one bit.
    forget_line : bool
        An input that opens the gate without content, so that a cue can be erased.

    Raises
    ------
    InvalidInput, UnknownName
        If a size is not a positive integer or, except for ``published``, too large (12 326
        bits, 6163 with a backward weight of 12), the threshold is outside 0 .. 1, or the
        preset does not exist.
    """

    cues: int
    bits: int
    preset: str = "robust"
    threshold: float = 0.0
    completion: bool = False
    backward_weight: float = 6.0
    forget_line: bool = False

    def __post_init__(self) -> None:
        check_size(self.cues, "CA3 memory: cues")
        check_size(self.bits, "CA3 memory: bits")
        if self.preset not in PRESETS:
            raise UnknownName("CA3 memory: preset", self.preset, PRESETS)
        if not 0.0 <= self.threshold < 1.0:
            raise InvalidInput(
                "CA3 memory: threshold",
                "must lie in 0 .. 1 (1 excluded)",
                got=self.threshold,
                fix="0 is the OR of the paper, 0.6 a good choice",
            )
        if not _SPIKE <= self.backward_weight <= 2 * _SPIKE:
            raise InvalidInput(
                "CA3 memory: backward_weight", "must lie in 6 .. 12 nA", got=self.backward_weight
            )
        # What the teacher, the strongest input, leaves behind two ticks later must not fire again.
        left = math.exp(-2.0 / self.parameters.gate_tau_syn)
        most = int((FIRING_WEIGHT / left - _SPIKE) / self.backward_weight)
        if self.preset != "published" and self.bits > most:
            raise InvalidInput(
                "CA3 memory: bits",
                f"must not exceed {most}: the currents of more would fire neurons twice",
                got=self.bits,
                fix="use a smaller picture, a shorter text or fewer flags",
            )
        needed = _BYTES_PER_SYNAPSE * self.synapses
        if needed > _MAX_BYTES:
            raise InvalidInput(
                "CA3 memory: size",
                f"must not need more than {_MAX_BYTES / 1e9:g} GB",
                got=f"{self.cues} cues of {self.bits} bits: {needed / 1e9:.1f} GB",
                fix="use fewer cues or shorter contents",
            )

    @property
    def synapses(self) -> int:
        """Number of synapses that are kept in full, about."""
        return 5 * self.cues * self.bits + 2 * self.cues**2

    @property
    def parameters(self) -> CA3Preset:
        """The parameters of the preset."""
        return PRESETS[self.preset]

    def needed_overlap(self, query_bits: int) -> int:
        """Return how many of ``query_bits`` a content must share for its cue to answer."""
        if self.threshold == 0.0:
            return 1
        needed = self.threshold * query_bits + FIRING_WEIGHT / self.backward_weight
        return max(1, int(-(-needed // 1)))


def ca3_network(
    shape: CA3Shape,
    cue_train: Train | None = None,
    content_train: Train | None = None,
) -> Network:
    """Build the network.

    Parameters
    ----------
    shape : CA3Shape
        Size and options.
    cue_train, content_train : Train, optional
        Input spikes; without them the inputs are fed while the network runs.

    Returns
    -------
    Network
        Inputs ``INcue``, ``INcont`` (and ``INforget``), the populations of
        :data:`POPULATIONS` (and ``Compl``), on a grid of 1 ms.
    """
    return Network(
        [
            Input("INcue", shape.cues, cue_train),
            Input("INcont", shape.bits, content_train),
            *_populations(shape),
            *_forward_path(shape),
            *_backward_path(shape),
            *_output_path(),
            *(_completion(shape) if shape.completion else ()),
            *(_forget_line() if shape.forget_line else ()),
        ],
        dt=1 * ms,
    )


def _populations(shape: CA3Shape) -> list[Part]:
    p = shape.parameters
    a = _unit(tau_m=3.0, resistance=3.0 / 0.27, tau_syn=0.3, threshold=-57.0)
    b = _unit(
        tau_m=p.gate_tau_m,
        resistance=p.gate_resistance,
        tau_syn=p.gate_tau_syn,
        threshold=-57.0,
        refractory=p.gate_refractory,
    )
    out = _unit(tau_m=3.0, resistance=3.0 / 0.27, tau_syn=0.3, threshold=-57.5)
    kinds = {
        "CueCue": a,
        "ContCue": a,
        "ContCond": b,
        "ContCondInt": b,
        "CueCont": b,
        "ContCont": a,
        "MergeCue": a,
        "MergeCont": a,
        "OUTcue": out,
        "OUTcont": out,
    }
    sizes = dict.fromkeys(("CueCue", "CueCont", "MergeCue", "OUTcue"), shape.cues)
    sizes["ContCondInt"] = 1
    found: list[Part] = [
        Population(name, sizes.get(name, shape.bits), unit) for name, unit in kinds.items()
    ]
    if shape.completion:
        found.append(Population("Compl", shape.cues, b))
    return found


def _unit(
    *,
    tau_m: float,
    resistance: float,
    tau_syn: float,
    threshold: float,
    refractory: float = 1.0,
) -> LIF:
    return LIF(
        tau_m=tau_m * ms,
        v_rest=-60 * mV,
        v_reset=-60 * mV,
        v_threshold=threshold * mV,
        refractory=refractory * ms,
        resistance=resistance * MOhm,
        synapse=Exponential(tau_syn * ms, tau_syn * ms),
        step="spinnaker",
    )


def _static(
    source: str,
    target: str,
    wiring: Wiring,
    weight: float,
    delay: int,
    *,
    inhibits: bool = False,
    label: str = "",
) -> Projection:
    return Projection(
        source,
        target,
        wiring,
        weight=weight * nA,
        delay=delay * ms,
        port="inh" if inhibits else "exc",
        name=f"{source}->{target}" + (f" {label}" if label else ""),
    )


def _plastic(shape: CA3Shape, source: str, target: str, w_max: float) -> Projection:
    p = shape.parameters
    amplitude = p.stdp_per_weight * w_max
    rule = PairSTDP(
        tau_plus=p.stdp_tau * ms,
        tau_minus=p.stdp_tau * ms,
        A_plus=amplitude * nA,
        A_minus=amplitude * nA,
        w_max=w_max * nA,
        window="table2048" if p.window == "table2048" else "exponential",
    )
    return Projection(source, target, AllToAll(), weight=0 * nA, delay=1 * ms, plasticity=rule)


def _forward_path(shape: CA3Shape) -> list[Part]:
    """Cue to content (S1), and the gate that lets content learn."""
    p = shape.parameters
    return [
        _static("INcue", "CueCue", OneToOne(), _SPIKE, 1),
        _static("INcont", "ContCue", OneToOne(), _SPIKE, 1),
        _plastic(shape, "CueCue", "ContCue", _SPIKE),
        _static("CueCue", "ContCond", AllToAll(), p.gate_inhibition, 2, inhibits=True),
        _static("ContCue", "ContCond", OneToOne(), 9.0, 1),
        _static("ContCue", "ContCondInt", AllToAll(), _SPIKE, 1),
        _static("ContCondInt", "ContCond", AllToAll(), p.gate_drive, 1),
        _static("ContCond", "ContCont", OneToOne(), _SPIKE, 1),
    ]


def _backward_path(shape: CA3Shape) -> list[Part]:
    """Content to cue (S2), and the inhibition that lets only one cue learn."""
    w2, others = shape.backward_weight, AllToAll(self_connections=False)
    silence = w2 * shape.bits
    # The teacher must win against the threshold's inhibition while old content passes by, and
    # against what is left of the inhibition by all cues that a completed query recalled.
    teacher = silence + _SPIKE if shape.threshold > 0 or shape.completion else _SPIKE
    parts: list[Part] = [
        _static("CueCue", "CueCont", OneToOne(), teacher, 2, label="teacher"),
        _static("CueCue", "CueCont", others, silence, 3, inhibits=True, label="others"),
        _plastic(shape, "ContCont", "CueCont", w2),
    ]
    if shape.parameters.feed_forward:
        parts.append(
            _static("CueCue", "CueCont", others, silence, 4, inhibits=True, label="others again")
        )
    else:
        parts.append(_static("CueCont", "CueCont", others, silence, 2, inhibits=True))
    if shape.threshold > 0:
        parts.append(
            _static(
                "ContCont",
                "CueCont",
                AllToAll(),
                shape.threshold * w2,
                1,
                inhibits=True,
                label="threshold",
            )
        )
    return parts


def _output_path() -> list[Part]:
    return [
        _static("CueCue", "MergeCue", OneToOne(), _SPIKE, 3),
        _static("CueCont", "MergeCue", OneToOne(), _SPIKE, 1),
        _static("ContCue", "MergeCont", OneToOne(), _SPIKE, 3),
        _static("ContCont", "MergeCont", OneToOne(), _SPIKE, 1),
        _static("MergeCue", "OUTcue", OneToOne(), _SPIKE, 1),
        _static("MergeCont", "OUTcont", OneToOne(), _SPIKE, 1),
    ]


def _completion(shape: CA3Shape) -> list[Part]:
    """Return what lets a cue recalled from content (and only such a one) recall its content."""
    return [
        _static("CueCont", "Compl", OneToOne(), _SPIKE, 1),
        _static("CueCue", "Compl", AllToAll(), 2 * _SPIKE, 3, inhibits=True),
        _static("Compl", "CueCue", OneToOne(), _SPIKE, 1),
    ]


def _forget_line() -> list[Part]:
    """Return an input that opens the gate without content, so that a held cue is erased."""
    return [
        Input("INforget", 1),
        _static("INforget", "ContCondInt", OneToOne(), _SPIKE, 1),
    ]
