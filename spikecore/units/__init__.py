"""Units: what a population is made of, each described once."""

from spikecore.units.calcium import GChI, LiRinzel
from spikecore.units.glia import Astrocyte, AstroLIF, HeldCurrent, SlowTrace
from spikecore.units.lif import LIF, AdaptiveThreshold, Alpha, Delta, Exponential
from spikecore.units.linear import LinearUnit, Port, StepRule, Unit
from spikecore.units.stepped import Crossing, SteppedUnit

__all__ = [
    "LIF",
    "AdaptiveThreshold",
    "Alpha",
    "AstroLIF",
    "Astrocyte",
    "Crossing",
    "Delta",
    "Exponential",
    "GChI",
    "HeldCurrent",
    "LiRinzel",
    "LinearUnit",
    "Port",
    "SlowTrace",
    "StepRule",
    "SteppedUnit",
    "Unit",
]
