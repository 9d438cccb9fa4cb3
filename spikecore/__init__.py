"""spikecore: describe a spiking network once, run it anywhere, get the same spikes."""

from spikecore.camera import EventStream
from spikecore.errors import (
    BackendUnavailable,
    CapabilityRefused,
    FileRefused,
    InvalidInput,
    SpikecoreError,
    StoreBusy,
    UnitMismatch,
    UnknownName,
)
from spikecore.events import Spikes
from spikecore.inputs import Input, Poisson, PoissonCounts, Train
from spikecore.modulation import Modulation
from spikecore.network import Network, Population, Probe, Projection
from spikecore.plasticity import PairSTDP
from spikecore.quantities import (
    Hz,
    MOhm,
    Quantity,
    mM,
    ms,
    mV,
    nA,
    nF,
    pA,
    pF,
    second,
    uM,
    us,
)
from spikecore.results import Comparison, Result, Trace
from spikecore.simulate import Simulation, run, run_batch
from spikecore.units import (
    LIF,
    AdaptiveThreshold,
    Alpha,
    Astrocyte,
    AstroLIF,
    Delta,
    Exponential,
    GChI,
    HeldCurrent,
    LinearUnit,
    LiRinzel,
    SlowTrace,
)
from spikecore.wiring import AllToAll, Normal, OneToOne, Pairs, RandomPairs, RandomTotal, Uniform

__version__ = "0.1.0"

__all__ = [
    "LIF",
    "AdaptiveThreshold",
    "AllToAll",
    "Alpha",
    "AstroLIF",
    "Astrocyte",
    "BackendUnavailable",
    "CapabilityRefused",
    "Comparison",
    "Delta",
    "EventStream",
    "Exponential",
    "FileRefused",
    "GChI",
    "HeldCurrent",
    "Hz",
    "Input",
    "InvalidInput",
    "LiRinzel",
    "LinearUnit",
    "MOhm",
    "Modulation",
    "Network",
    "Normal",
    "OneToOne",
    "PairSTDP",
    "Pairs",
    "Poisson",
    "PoissonCounts",
    "Population",
    "Probe",
    "Projection",
    "Quantity",
    "RandomPairs",
    "RandomTotal",
    "Result",
    "Simulation",
    "SlowTrace",
    "SpikecoreError",
    "Spikes",
    "StoreBusy",
    "Trace",
    "Train",
    "Uniform",
    "UnitMismatch",
    "UnknownName",
    "mM",
    "mV",
    "ms",
    "nA",
    "nF",
    "pA",
    "pF",
    "run",
    "run_batch",
    "second",
    "uM",
    "us",
]
