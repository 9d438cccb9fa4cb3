"""Layers of synapses with many delays: motifs in spike trains, motion from event cameras."""

from spikecore.motifs.detect import Motion, MovingPart, detect
from spikecore.motifs.detector import MotifLayer
from spikecore.motifs.detector_learning import LearnedMotifs, learn_motifs
from spikecore.motifs.detector_scores import Detections, DetectionScore, score, strongest
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.ladder import shipped_kernel
from spikecore.motifs.layer import Answers, KernelLayer, Sums
from spikecore.motifs.sparse import EventLayer, taps_of
from spikecore.motifs.spike_motifs import MotifModel, MotifRaster
from spikecore.motifs.unrolled import board_network, unrolled
from spikecore.motifs.velocity import Velocity

__all__ = [
    "Answers",
    "DelayKernel",
    "DetectionScore",
    "Detections",
    "EventLayer",
    "KernelLayer",
    "LearnedMotifs",
    "MotifLayer",
    "MotifModel",
    "MotifRaster",
    "Motion",
    "MovingPart",
    "Sums",
    "Velocity",
    "board_network",
    "detect",
    "learn_motifs",
    "score",
    "shipped_kernel",
    "strongest",
    "taps_of",
    "unrolled",
]
