"""The README.txt of an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["readme"]

_INSTALL = {
    "nest": "pip install PyNN nest-simulator",
    "brian2": "pip install PyNN brian2 'numpy<2.4'",
    "spinnaker": "pip install 'sPyNNaker>=1!7.4'",
}
_RUN = {
    "nest": "python run.py nest --threads 4\n"
    "mpirun -n 4 python run.py nest   (a NEST built with MPI)",
    "brian2": "python run.py brian2",
    "spinnaker": "python run.py spinnaker   (a board, or the virtual one, by its .spynnaker.cfg)",
}


def readme(manifest: Mapping[str, Any]) -> str:
    """Return how to run an export, and what differs, as text."""
    dt, ticks = manifest["dt"], manifest["ticks"]
    parts = [
        "A spiking network as one PyNN script",
        f"{ticks} ticks of {dt:g} ms, seed {manifest['seed']}, network {manifest['hash'][:12]}, "
        f"written by spikecore {manifest['spikecore']}.\n"
        "Wiring, weights, delays and input spikes are in arrays.npz; nothing is drawn again.\n"
        "run.py needs PyNN, numpy and a simulator, not spikecore.",
    ]
    for name, found in manifest["simulators"].items():
        listed = [f"  differs: {reason}" for reason in found["differs"]]
        parts.append("\n".join([name, _INSTALL[name], _RUN[name], *listed]))
    for name, reasons in manifest["refused"].items():
        parts.append("\n".join([f"{name} cannot run it:", *(f"  {reason}" for reason in reasons)]))
    parts.append(
        "run.py writes result-SIMULATOR.npz. Compare it with what spikecore expects "
        "(expected.npz):\nspikecore export compare . result-SIMULATOR.npz"
    )
    return "\n\n".join(parts) + "\n"
