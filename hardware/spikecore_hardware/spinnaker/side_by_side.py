"""A network in floating point and in the chip's arithmetic, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikecore.network import Network
from spikecore.quantities import Quantity
from spikecore.results import Comparison, Result
from spikecore.simulate import run
from spikecore_hardware.spike_distance import van_rossum

__all__ = ["SideBySide", "compare_with_float"]


@dataclass(frozen=True, eq=False)
class SideBySide:
    """A network in floating point and in the chip's arithmetic.

    Attributes
    ----------
    floating, fixed : Result
    comparison : Comparison
        Missing: spikes of the float run only. Extra: of the mirror only.
    rates : dict of str to (float, float)
        Spikes per second and neuron of each population, float and mirror.
    distance : dict of str to float
        Squared distance of van Rossum (2001), "A novel spike distance", mean over the
        neurons, time constant 10 ms. A spike that only one run has adds 0.5 to its neuron.
    """

    floating: Result
    fixed: Result
    comparison: Comparison
    rates: dict[str, tuple[float, float]]
    distance: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as plain values."""
        return {
            "matched": self.comparison.matched,
            "missing": len(self.comparison.missing),
            "extra": len(self.comparison.extra),
            "first_divergence": self.comparison.first_divergence,
            "rates": self.rates,
            "distance": self.distance,
        }


def compare_with_float(
    network: Network, duration: Quantity, *, seed: int = 0, progress: bool = False
) -> SideBySide:
    """Run a network on ``event`` and on the mirror.

    Raises
    ------
    CapabilityRefused
        If the mirror cannot run it.
    """
    fixed = run(network, duration, backend="spinnaker", seed=seed, progress=progress)
    floating = run(network, duration, backend="event", seed=seed, progress=progress)
    sizes = {p.name: p.size for p in network.populations}
    seconds = fixed.duration * 1e-3
    return SideBySide(
        floating=floating,
        fixed=fixed,
        comparison=fixed.compare(floating),
        rates={
            name: (
                len(floating.spikes[name]) / size / seconds,
                len(fixed.spikes[name]) / size / seconds,
            )
            for name, size in sizes.items()
        },
        distance={
            name: van_rossum(
                floating.spikes[name], fixed.spikes[name], size=size, ticks=fixed.ticks
            )
            for name, size in sizes.items()
        },
    )
