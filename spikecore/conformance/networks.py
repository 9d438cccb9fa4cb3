"""The networks of the conformance cases."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikecore.inputs import Input, Poisson, PoissonCounts, Train
from spikecore.memory import CA3Shape, ca3_network
from spikecore.modulation import ActsOn, Modulation
from spikecore.motifs import MotifLayer
from spikecore.network import Network, Population, Probe, Projection
from spikecore.plasticity import PairSTDP
from spikecore.quantities import Hz, MOhm, Quantity, ms, mV, nA, uM
from spikecore.units import (
    LIF,
    Alpha,
    Astrocyte,
    AstroLIF,
    Delta,
    Exponential,
    GChI,
    HeldCurrent,
    LinearUnit,
    LiRinzel,
    Port,
    SlowTrace,
    Unit,
)
from spikecore.wiring import AllToAll, Normal, OneToOne, Pairs, RandomPairs, RandomTotal, Uniform

__all__ = [
    "astrocytes",
    "busy",
    "calcium",
    "counted",
    "different_neurons",
    "feedable",
    "gliotransmission",
    "learning",
    "lif",
    "memory",
    "motifs",
    "noisy",
    "one_sum",
    "overflow",
    "own",
    "regular",
    "slow_traces",
    "tenths",
    "two_sums",
]


def noisy(unit: Unit, weight: Quantity, *, delay: Any = None, dt: float = 1.0) -> Network:
    """Neurons of one kind under noise, wired to one another, with all they show recorded."""
    return Network(
        [
            Input("noise", 10, Poisson(80 * Hz)),
            Population("n", 12, unit),
            Projection("noise", "n", RandomPairs(0.4), weight, Uniform(1 * ms, 9 * ms)),
            Projection("n", "n", RandomPairs(0.3), 0.25 * weight, delay or Uniform(1 * ms, 6 * ms)),
            Projection(
                "n", "n", RandomPairs(0.1), 0.2 * weight, 3 * ms, port="inh", name="inhibit"
            ),
            *(Probe("n", state) for state in unit.linear.states),
        ],
        dt=dt * ms,
    )


def slow_traces() -> Network:
    """Neurons with a second, slow excitatory synapse: what a SpiNNaker core can have."""
    unit = AstroLIF(
        LIF(refractory=2 * ms, step="spinnaker"), SlowTrace(400 * ms, None), current=2 * nA
    )
    plain = noisy(unit, 10 * nA)
    slow = [
        Projection(
            source, "n", RandomPairs(0.3), 0.3 * uM, 4 * ms, port="glia", name=f"{source} slow"
        )
        for source in ("noise", "n")
    ]
    return Network([*plain.groups, *plain.projections, *slow, *plain.probes])


def lif(synapse: Delta | Exponential | Alpha, step: Any = "exact", **more: Any) -> Network:
    """Neurons with one kind of synapse and a refractory period, as in :func:`noisy`."""
    weight = 6 * mV if isinstance(synapse, Delta) else 12 * nA
    return noisy(LIF(synapse=synapse, refractory=2 * ms, step=step, **more), weight)


def different_neurons() -> Network:
    """Neurons of which each has parameters of its own."""
    each = np.linspace(0.5, 2.0, 12)
    unit = LIF(
        tau_m=20 * each * ms,
        refractory=np.arange(12) % 6 * ms,
        v_threshold=(-50 - each) * mV,
        resistance=each[::-1] * MOhm,
        synapse=Exponential(5 * each[::-1] * ms, 3 * ms),
    )
    return noisy(unit, 12 * nA)


def own(matrix: list[list[float]], h: list[float], weight: Quantity) -> Network:
    """Units that LIF cannot describe: arrivals on u, reset of v, a jump of u at each spike."""
    unit = LinearUnit(
        name="own",
        states=("u", "v"),
        dimensions=("voltage", "voltage"),
        A=np.array([matrix]),
        b=np.array([[0.0, 0.02]]),
        rest=np.array([[0.0, -60.0]]),
        ports={"exc": Port("u", "voltage"), "inh": Port("v", "voltage", -1)},
        h=np.array(h),
        threshold=np.array([4.0]),
        reset={"v": np.array([0.5])},
        jump={"u": np.array([-0.25])},
        refractory=np.array([2.0]),
    )
    return noisy(unit, weight)


def _sums(*projections: list[tuple[int, int, float]]) -> Network:
    """Arrivals in tick 10 that cancel, from lists of (emission tick, source neuron, weight)."""
    spikes = sorted({(tick, neuron) for one in projections for tick, neuron, _ in one})
    parts: list[Any] = [
        Input("in", 5, Train([t for t, _ in spikes] * ms, [n for _, n in spikes])),
        Population("n", 1, LIF(synapse=Delta(), v_threshold=1e30 * mV)),
        Probe("n", "v", every=10 * ms),
    ]
    for number, one in enumerate(projections):
        tick, pre, weight = (np.array(column) for column in zip(*one, strict=True))
        pairs = Pairs(pre, np.zeros_like(pre), duplicates=True)
        parts.append(Projection("in", "n", pairs, weight * mV, (10 - tick) * ms, name=f"p{number}"))
    return Network(parts)


_BIG, _ONE = 2.0**90, 2.0**30


def regular(arrivals: list[float], unit: LIF, weight: Quantity, dt: float = 1.0) -> Network:
    """Six neurons that get the given spikes."""
    return Network(
        [
            Input("in", 1, Train(arrivals * ms, np.zeros(len(arrivals), np.int64))),
            Population("n", 6, unit),
            Projection("in", "n", RandomPairs(1.0), weight, (0.1 + 0.2 if dt < 1 else 2.0) * ms),
            Probe("n", "v"),
        ],
        dt=dt * ms,
    )


def learning(repeats: int = 1, **convention: Any) -> Network:
    """Pair STDP from an input and between neurons, its weights sweeping from bound to bound."""
    bounds: dict[str, Any] = {"w_min": 0 * mV, "w_max": 8 * mV}
    rule = PairSTDP(**bounds, A_plus=0.3, A_minus=1.9 * mV, **convention)
    rng = np.random.default_rng(7)
    ticks = np.repeat(np.sort(rng.integers(0, 90, 90)), repeats)
    return Network(
        [
            Input("in", 6, Train(ticks * ms, np.repeat(rng.integers(0, 6, 90), repeats))),
            Population("n", 8, LIF(refractory=2 * ms, synapse=Delta())),
            Projection(
                "in", "n", RandomPairs(0.7), 5 * mV, Uniform(1 * ms, 9 * ms), plasticity=rule
            ),
            Projection(
                "n", "n", RandomPairs(0.3), 2 * mV, Uniform(1 * ms, 5 * ms), plasticity=rule
            ),
            Probe("n", "v"),
        ]
    )


def memory(preset: str) -> Network:
    """Store two contents, recall both ways, overwrite one, recall it again."""
    cues = {0: 0, 10: 2, 30: 0, 50: 2, 60: 2}
    bits = {0: (0, 1, 5), 10: (1, 4, 6), 40: (4,), 50: (3, 5), 70: (5,)}
    trains = []
    for given in ({tick: (cue,) for tick, cue in cues.items()}, bits):
        spikes = [
            (tick + hold, neuron)
            for tick, on in given.items()
            for hold in range(3 if tick in (0, 10, 50) else 1)  # what is stored is shown for 3 ms
            for neuron in on
        ]
        ticks, neurons = np.array(spikes).T
        trains.append(Train(ticks * ms, neurons))
    return ca3_network(CA3Shape(4, 8, preset), *trains)


def busy() -> Network:
    """Everything drawn; recurrent and irregular, so that a small difference grows."""
    return Network(
        [
            Input("noise", 60, Poisson(40 * Hz)),
            Population(
                "e", 64, LIF(refractory=2 * ms), initial={"v": np.linspace(-65, -51, 64) * mV}
            ),
            Population("i", 16, LIF(tau_m=10 * ms, refractory=1 * ms)),
            Projection("noise", "e", RandomPairs(0.4), Uniform(2 * nA, 6 * nA), 1 * ms),
            *(
                Projection(
                    source,
                    target,
                    RandomPairs(0.3),
                    Normal(mean * nA, 0.05 * nA),
                    Uniform(1 * ms, 12 * ms),
                    port="exc" if source == "e" else "inh",
                )
                for source, target, mean in (
                    ("e", "e", 3.0),
                    ("e", "i", 4.0),
                    ("i", "e", 9.0),
                    ("i", "i", 3.0),
                )
            ),
            Probe("e", "v", neurons=(5, 2)),
        ]
    )


def counted() -> Network:
    """Drive neurons so fast that a source fires twice in a tick; join them by a given total."""
    return Network(
        [
            Input("drive", 20, PoissonCounts(np.linspace(0, 600, 20) * Hz)),
            Population("n", 20, LIF(refractory=2 * ms)),
            Projection("drive", "n", OneToOne(), 9 * nA, 2 * ms),
            Projection(
                "n",
                "n",
                RandomTotal(100),
                Normal(2 * nA, 1 * nA, low=0 * nA),
                Normal(4 * ms, 3 * ms, low=1 * ms),
            ),
            Probe("n", "v"),
        ]
    )


def astrocytes(acts_on: ActsOn) -> Network:
    """Astrocytes that hear an input, and act on what it sends to neurons or on how that learns."""
    rng = np.random.default_rng(3)
    rule = PairSTDP(w_min=0 * mV, w_max=8 * mV, A_plus=0.1, A_minus=0.1)
    acts = Modulation("astro", gain=2.0, acts_on=acts_on, index=np.arange(8) % 3)
    learns = None if acts_on == "delivery" else rule
    return Network(
        [
            Input("in", 6, Train(np.sort(rng.integers(0, 90, 90)) * ms, rng.integers(0, 6, 90))),
            Population("astro", 3, Astrocyte(SlowTrace(60 * ms, 5 * ms, 2.0))),
            Population("n", 8, LIF(refractory=2 * ms, synapse=Delta())),
            Projection("in", "astro", RandomPairs(0.5), 0.5 * uM, 2 * ms),
            Projection(
                "in",
                "n",
                RandomPairs(0.7),
                5 * mV,
                Uniform(1 * ms, 9 * ms),
                plasticity=learns,
                modulation=acts,
            ),
            Probe("n", "v"),
            Probe("astro", "A"),
        ]
    )


def calcium() -> Network:
    """Calcium in astrocytes, whose slow inward current reaches neurons."""
    return Network(
        [
            Input("in", 3, Poisson(150 * Hz)),
            Population("lr", 3, LiRinzel(step=5 * ms, C=0.21, I=0.9)),
            Population("n", 3, HeldCurrent(LIF(refractory=2 * ms))),
            Projection("in", "lr", OneToOne(), 0.1 * uM, 2 * ms),
            Projection("lr", "n", OneToOne(), 5 * nA, 3 * ms, port="held", carries="sic"),
            Probe("lr", "C"),
            Probe("n", "v"),
        ]
    )


def gliotransmission() -> Network:
    """Astrocytes coupled by gap junctions release onto neurons and act on their synapses."""
    start = {"C": np.array([0.44, 0.49, 0.3]) * uM, "I": np.array([2.0, 1.0, 0.5]) * uM}
    return Network(
        [
            Input("in", 3, Poisson(150 * Hz)),
            Population("g", 3, GChI(step=5 * ms, gap_junctions=((0, 1), (1, 2))), initial=start),
            Population("n", 3, LIF(refractory=2 * ms)),
            Projection("in", "g", OneToOne(), 20 * uM, 2 * ms),
            Projection("g", "n", AllToAll(), 30 * nA, 3 * ms),
            Projection(
                "in",
                "n",
                AllToAll(),
                3 * nA,
                1 * ms,
                modulation=Modulation("g", "Gamma_S", gain=4.0),
            ),
            Probe("g", "C"),
            Probe("g", "Gamma_S"),
            Probe("n", "v"),
        ]
    )


def motifs() -> Network:
    """Detectors of three motifs, which occur among other spikes."""
    rng = np.random.default_rng(11)
    source, delay = np.tile(np.arange(6), 3), rng.integers(1, 12, 18)
    target = np.repeat(np.arange(3), 6)
    weight = rng.integers(1, 5, 18) * 0.25
    layer = MotifLayer(source, target, weight, delay, 6, 3, threshold=0.8 * weight.sum() / 3)
    ticks, neurons = [rng.integers(0, 100, 60)], [rng.integers(0, 6, 60)]
    for motif, when in ((0, 20), (1, 45), (2, 70), (0, 95)):
        ticks.append(when - delay[target == motif])
        neurons.append(source[target == motif])
    given = np.concatenate(ticks)
    order = np.argsort(given, kind="stable")
    return layer.network(Train(given[order] * ms, np.concatenate(neurons)[order]))


def one_sum() -> Network:
    """Three arrivals from one projection."""
    return _sums([(5, 0, _ONE), (4, 1, -_BIG), (3, 2, _BIG)])


def two_sums() -> Network:
    """Three arrivals from two projections, in another order than projection by projection."""
    return _sums([(3, 0, _BIG), (3, 2, _ONE)], [(3, 1, -_BIG)])


def overflow() -> Network:
    """Two arrivals in tick 3 whose sum is not finite."""
    return Network(
        [
            Input("in", 1, Train(np.array([2, 2]) * ms, [0, 0])),
            Population("n", 2, LIF(synapse=Delta(), v_threshold=1e300 * mV)),
            Projection("in", "n", RandomPairs(1.0), 1.7e308 * mV, 1 * ms),
        ]
    )


def tenths() -> Network:
    """Ten times 0.1 is 1 - 2**-53 in doubles and more than 1 in single precision."""
    unit = LinearUnit(
        name="counter",
        states=("v",),
        dimensions=("voltage",),
        A=np.zeros((1, 1, 1)),
        b=np.zeros((1, 1)),
        rest=np.zeros((1, 1)),
        ports={"exc": Port("v", "voltage")},
        h=np.ones(1),
        threshold=np.ones(1),
        reset={"v": np.zeros(1)},
        refractory=np.zeros(1),
    )
    return Network(
        [
            Input("in", 1, Train(np.arange(90) * ms, np.zeros(90, np.int64))),
            Population("n", 1, unit),
            Projection("in", "n", OneToOne(), 0.1 * mV, 1 * ms),
            Probe("n", "v"),
        ]
    )


def feedable() -> Network:
    """Build a network that is fed, with one weight for each projection."""
    return Network(
        [
            Input("in", 3),
            Population("n", 3, LIF(synapse=Delta())),
            Projection("in", "n", OneToOne(), 16 * mV, 3 * ms),
            Projection("n", "n", RandomPairs(0.6), 9 * mV, 7 * ms),
            Probe("n", "v"),
        ]
    )
