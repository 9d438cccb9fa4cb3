"""The event-driven core. Start reading in ``kernels.py``."""

from spikecore.backends.event.session import EventBackend

__all__ = ["EventBackend"]
