"""The hippocampal CA3 content-addressable memory."""

from spikecore.memory.ca3 import POPULATIONS, PRESETS, CA3Preset, CA3Shape, ca3_network
from spikecore.memory.cam import CA3Memory, Episode
from spikecore.memory.content import Bitmap, Codec, Flags, Text
from spikecore.memory.content_memory import ContentMemory
from spikecore.memory.recording import Recording, replay
from spikecore.memory.report import Answer, Report
from spikecore.memory.session import Presentation, recall_session, session_network
from spikecore.memory.stress import StressReport, StressTest

__all__ = [
    "POPULATIONS",
    "PRESETS",
    "Answer",
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
    "ca3_network",
    "recall_session",
    "replay",
    "session_network",
]
