"""brian2 as a backend: equations from the unit description, integrated by brian2 itself."""

from __future__ import annotations

from spikecore.backends.brian2.backend import Brian2Backend

__all__ = ["Brian2Backend"]
