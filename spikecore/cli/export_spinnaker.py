"""``spikecore export spinnaker``: a network, or a memory, for a SpiNNaker board."""

from __future__ import annotations

from pathlib import Path

import click

from spikecore.cli.common import Output, output_options
from spikecore.cli.network_file import load_network
from spikecore.network import Network
from spikecore.quantities import ms

__all__ = ["spinnaker_command"]


@click.command("spinnaker")
@click.argument("network")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--memory", is_flag=True, help="NETWORK is a memory file; all its cues are recalled.")
@click.option("--run", "duration", type=float, help="Length, ms.  [default: 1000, or all recalls]")
@click.option("--board", default="spin5", show_default=True, help="spin3 or spin5.")
@click.option("--seed", default=0, show_default=True)
@click.option("--force", is_flag=True, help="Replace a folder that holds something.")
@output_options
def spinnaker_command(
    network: str,
    folder: Path,
    memory: bool,
    duration: float | None,
    board: str,
    seed: int,
    force: bool,
    output: Output,
) -> None:
    """Write NETWORK for a SpiNNaker board into FOLDER: a PyNN script, and what to expect.

    NETWORK is FILE.py:NAME, a Network, or a function that returns one; with --memory a file
    of "spikecore memory". README.txt in FOLDER has the steps. Exit status 5 if a board cannot
    run it; all reasons are listed.

    Example: spikecore export spinnaker model.py:net exported --run 500
    """
    from spikecore_hardware.spinnaker.export import export_spinnaker

    found, length = _memory(network) if memory else (load_network(network), 1000)
    written = export_spinnaker(
        found,
        (duration if duration is not None else length) * ms,
        folder,
        board=board,
        seed=seed,
        force=force,
    )
    spikes = sum(written.expected.values())
    lines = [
        f"{written.folder}: {len(written.files)} files; the mirror of the board fires {spikes} "
        "spikes in it",
        f"next: {written.folder}/README.txt",
        *(f"a board differs: {reason}" for reason in written.differences["spinnaker"]),
    ]
    output.answer("\n".join(lines), written.as_dict())


def _memory(path: str) -> tuple[Network, int]:
    from spikecore.memory import ContentMemory, recall_session

    with ContentMemory.open(path) as memory:
        return recall_session(memory)
