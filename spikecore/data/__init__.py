"""Event-camera files and datasets, all into one validated array of events."""

from spikecore.data.datasets import EventDataset, dataset_names, open_dataset
from spikecore.data.reading import FORMATS, read_events
from spikecore.data.writing import as_structured, write_events

__all__ = [
    "FORMATS",
    "EventDataset",
    "as_structured",
    "dataset_names",
    "open_dataset",
    "read_events",
    "write_events",
]
