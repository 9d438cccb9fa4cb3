"""Simulators that run.py can name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from spikecore.backends.lowering import Lowered, LoweredPopulation
from spikecore.backends.protocol import Options
from spikecore_hardware.pynn.software import Brian2, Nest
from spikecore_hardware.pynn.target import Settings, Target
from spikecore_hardware.spinnaker.backend import SpinnakerBackend
from spikecore_hardware.spinnaker.limits import LIMITS
from spikecore_hardware.spinnaker.mapping import map_populations
from spikecore_hardware.spinnaker.slow_trace import in_currents

__all__ = ["TARGETS", "Spinnaker", "Target"]


class Spinnaker(Target):
    """sPyNNaker, on a board or on its virtual one. What the mirror refuses is refused here."""

    name = "spinnaker"

    def refusals(self, lowered: Lowered) -> Iterator[str]:
        """List what the mirror of the board refuses."""
        backend = SpinnakerBackend()
        yield from backend.capabilities(Options()).refusals(lowered, Options())

    def differences(self, lowered: Lowered) -> Iterator[str]:
        """List what a board does differently from a float backend."""
        yield (
            "32-bit fixed point and 16-bit weights: spikecore's backend 'spinnaker' mirrors them "
            "(spikecore export check)"
        )
        yield "packets that come late or are lost, and their order within a tick, are not mirrored"

    def settings(self, lowered: Lowered) -> Settings:
        """Return how to line it up: ticks are the same, cores as the mirror has them."""
        lowered = in_currents(lowered)
        options: dict[str, dict[str, Any]] = {
            m.lowered.name: {
                "additional_parameters": {
                    "n_synapse_cores": 0,
                    "neurons_per_core": int(m.layout.neurons),
                }
            }
            for m in map_populations(lowered, LIMITS)
        }
        return replace(super().settings(lowered), options=options)

    def _shift(self, p: LoweredPopulation) -> int:
        return 0  # its step rule is the network's


TARGETS: dict[str, Target] = {t.name: t for t in (Nest(), Brian2(), Spinnaker())}
