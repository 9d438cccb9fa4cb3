"""Write a network for a SpiNNaker board: a PyNN script, and what the mirror expects of it."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import CapabilityRefused, InvalidInput
from spikecore.files import check_folder
from spikecore.network import Network
from spikecore.quantities import Quantity
from spikecore.simulate import Simulation
from spikecore_hardware.pynn.export import Export, Extra, export_pynn
from spikecore_hardware.spinnaker.backend import SpinnakerSession
from spikecore_hardware.spinnaker.report import check_export
from spikecore_hardware.spinnaker.scaling import weight_step

__all__ = ["MIRROR_FORMAT", "TOOL_CHAIN", "export_spinnaker", "mirror"]

MIRROR_FORMAT = "spikecore-mirror-1"
TOOL_CHAIN = "sPyNNaker==1!7.4.1"
"""The version whose arithmetic is mirrored. The epoch, "1!", is part of it."""

_VERSIONS = {"spin3": 3, "spin5": 5}

_VIRTUAL = """\
# For sPyNNaker: map everything on a virtual board, run nothing.
# Copy to spynnaker.cfg in this folder (and, before the first use, to ~/.spynnaker.cfg).
[Machine]
virtual_board = True
version = {version}

[Reports]
write_network_graph = False
max_reports_kept = 10
"""
_REAL = """\
# For sPyNNaker: run on a board in your network.
# Fill in its address, then copy to spynnaker.cfg in this folder (and, before the first use, to
# ~/.spynnaker.cfg). On the Jupyter service of the SpiNNaker machine leave this file alone: the
# service has its own configuration.
[Machine]
machine_name = ADDRESS.OF.YOUR.BOARD
version = {version}
# Instead of both, for boards that are lent by a spalloc server:
# spalloc_server = https://...

[Reports]
write_network_graph = False
max_reports_kept = 10
"""
_STEPS = """\
For a SpiNNaker board
=====================

1. pip install -r requirements.txt
2. Without a board: cp virtual.cfg spynnaker.cfg. With one: fill in board.cfg, then
   cp board.cfg spynnaker.cfg. If you have no ~/.spynnaker.cfg yet, copy it there too.
3. Here, in this folder: python run.py spinnaker
   A board gives result-spinnaker.npz. The virtual board maps the network and runs nothing: it
   gives mapped-spinnaker.npz, which has weights and delays as they would be loaded, no spikes.
4. Where spikecore is installed:
   spikecore export compare . result-spinnaker.npz           (spikes and final weights)
   spikecore export compare . mapped-spinnaker.npz --mapping (weights and delays before the run)

checked.json is what was checked, and what it needs of a board; mirror.npz holds the scales, the
weights before and after the run, and the delays that the mirror of the chip expects.
Written for {tool_chain}; other versions may round, scale and place differently.

"""


def export_spinnaker(
    network: Network,
    duration: Quantity,
    folder: str | os.PathLike[str],
    *,
    board: str = "spin5",
    seed: int = 0,
    force: bool = False,
) -> Export:
    """Write a network for a SpiNNaker board.

    As :func:`~spikecore_hardware.pynn.export.export_pynn` for sPyNNaker alone, with the mirror's
    run as the expectation, and with ``virtual.cfg``, ``board.cfg``, ``requirements.txt``,
    ``checked.json`` (:class:`~spikecore_hardware.spinnaker.report.ExportCheck`) and
    ``mirror.npz``.

    Parameters
    ----------
    network : Network
    duration : Quantity
        Length of the run (time).
    folder : path
        Made if need be. Written at once or not at all.
    board : str
        ``"spin3"`` or ``"spin5"``.
    seed : int
        Of everything that is drawn.
    force : bool
        Replace a folder that holds something.

    Raises
    ------
    CapabilityRefused
        If the board cannot run the network as it is.
    UnknownName, InvalidInput
        If there is no such board, or the mirror does not get through the run.
    FileRefused
        If the folder holds something, or cannot be written.
    """
    check_folder(folder, force=force)
    checked = check_export(network, board=board, seed=seed)
    if checked.refused:
        raise CapabilityRefused("spinnaker", list(checked.refused))
    version = _VERSIONS[board]
    texts = {
        "virtual.cfg": _VIRTUAL.format(version=version),
        "board.cfg": _REAL.format(version=version),
        "requirements.txt": f"{TOOL_CHAIN}\n",
        "checked.json": json.dumps(checked.as_dict(), indent=1) + "\n",
    }
    return export_pynn(
        network,
        duration,
        folder,
        seed=seed,
        targets=("spinnaker",),
        backend="spinnaker",
        extra=Extra(
            texts,
            lambda: {"mirror.npz": (MIRROR_FORMAT, *mirror(network, duration, seed))},
            _STEPS.format(tool_chain=TOOL_CHAIN),
        ),
        force=force,
    )


def mirror(
    network: Network, duration: Quantity, seed: int
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return what the chip should hold: scales, and synapses before and after a run.

    Returns
    -------
    meta : dict
        ``populations`` (name, neurons per core, cores, receptors and their shifts in the order of
        the chip, slots) and ``projections`` (names).
    arrays : dict of str to ndarray
        For projection number i, its synapses in the order of (pre, post, delay, first weight):
        ``p{i}`` with pre, post, delay (ticks) and the stored weight before the run, as whole
        steps; ``f{i}`` the same after it, as the board holds it (behind by the post spikes
        since the last spike of a source); ``s{i}`` the step, nA.
    """
    simulation = Simulation(network, backend="spinnaker", seed=seed)
    session = simulation._session
    assert isinstance(session, SpinnakerSession)
    projections = session.lowered.projections
    before = [session.stored_weights(i) for i in range(len(projections))]
    result = simulation.run(duration, weights=False)
    if result.status != "complete":
        raise InvalidInput(
            "export",
            f"needs a complete run of the mirror, this one ended as {result.status!r}",
            got=result.message,
            fix="shorten the run, or mend the network",
        )
    arrays: dict[str, npt.NDArray[Any]] = {}
    for i, p in enumerate(projections):
        shift = session._shift(i)
        delay = np.broadcast_to(p.delay, (p.size,))
        first, last = (
            np.rint(w / weight_step(shift)).astype(np.int64)
            for w in (before[i], session.stored_weights(i))
        )
        order = np.lexsort((first, delay, p.target, p.source))
        columns = (p.source, p.target, delay, first)
        arrays[f"p{i}"] = np.stack([np.asarray(c, np.int64)[order] for c in columns], axis=1)
        arrays[f"f{i}"] = last[order]
        arrays[f"s{i}"] = np.array(weight_step(shift))
    populations = [
        {
            "name": m.lowered.name,
            "neurons_per_core": m.layout.neurons,
            "cores": m.layout.cores,
            "receptors": list(m.receptors),
            "shifts": list(m.chip_shifts),
            "slots": m.layout.slots,
        }
        for m in session.maps
    ]
    return {"populations": populations, "projections": [p.name for p in projections]}, arrays
