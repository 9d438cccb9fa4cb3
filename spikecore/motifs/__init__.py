"""Motifs in spike trains, found by layers of synapses with many delays."""

from spikecore.motifs.detector import MotifLayer
from spikecore.motifs.detector_learning import LearnedMotifs, learn_motifs
from spikecore.motifs.detector_scores import Detections, DetectionScore, score, strongest
from spikecore.motifs.spike_motifs import MotifModel, MotifRaster

__all__ = [
    "DetectionScore",
    "Detections",
    "LearnedMotifs",
    "MotifLayer",
    "MotifModel",
    "MotifRaster",
    "learn_motifs",
    "score",
    "strongest",
]
