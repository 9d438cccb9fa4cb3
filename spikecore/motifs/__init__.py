"""Delay kernels: learnt on event streams, pruned, run event by event; motion from events."""

from spikecore.motifs.detect import Motion, MovingPart, detect
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.ladder import Velocity, shipped_kernel
from spikecore.motifs.layer import Answers, KernelLayer, Sums
from spikecore.motifs.sparse import EventLayer, taps_of

__all__ = [
    "Answers",
    "DelayKernel",
    "EventLayer",
    "KernelLayer",
    "Motion",
    "MovingPart",
    "Sums",
    "Velocity",
    "detect",
    "shipped_kernel",
    "taps_of",
]
