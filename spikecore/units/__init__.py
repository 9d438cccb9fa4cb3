"""Units: what a population is made of, each described once."""

from spikecore.units.glia import Astrocyte, AstroLIF, SlowTrace
from spikecore.units.lif import LIF, AdaptiveThreshold, Alpha, Delta, Exponential
from spikecore.units.linear import LinearUnit, Port, StepRule, Unit

__all__ = [
    "LIF",
    "AdaptiveThreshold",
    "Alpha",
    "AstroLIF",
    "Astrocyte",
    "Delta",
    "Exponential",
    "LinearUnit",
    "Port",
    "SlowTrace",
    "StepRule",
    "Unit",
]
