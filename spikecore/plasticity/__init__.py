"""Learning rules: declarations that every backend reads."""

from spikecore.plasticity.stdp import PairSTDP

__all__ = ["PairSTDP"]
