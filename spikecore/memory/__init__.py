"""The hippocampal CA3 content-addressable memory, and two memories with astrocytes."""

from spikecore.memory.associative import AssociativeRecall, AstrocyteAssociativeMemory
from spikecore.memory.ca3 import POPULATIONS, PRESETS, CA3Preset, CA3Shape, ca3_network
from spikecore.memory.cam import CA3Memory, Episode
from spikecore.memory.content import Bitmap, Codec, Flags, Text
from spikecore.memory.content_memory import ContentMemory
from spikecore.memory.recording import Recording, replay
from spikecore.memory.report import Answer, Report
from spikecore.memory.session import Presentation, recall_session, session_network
from spikecore.memory.stress import StressReport, StressTest
from spikecore.memory.working import AstrocyteWorkingMemory, WorkingRecall, calcium_response

__all__ = [
    "POPULATIONS",
    "PRESETS",
    "Answer",
    "AssociativeRecall",
    "AstrocyteAssociativeMemory",
    "AstrocyteWorkingMemory",
    "Bitmap",
    "CA3Memory",
    "CA3Preset",
    "CA3Shape",
    "Codec",
    "ContentMemory",
    "Episode",
    "Flags",
    "Presentation",
    "Recording",
    "Report",
    "StressReport",
    "StressTest",
    "Text",
    "WorkingRecall",
    "ca3_network",
    "calcium_response",
    "recall_session",
    "replay",
    "session_network",
]
