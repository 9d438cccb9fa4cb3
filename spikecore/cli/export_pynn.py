"""``spikecore export pynn``: a network as one script for NEST, brian2 and sPyNNaker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spikecore.cli.common import Output, output_options
from spikecore.cli.network_file import load_network
from spikecore.quantities import ms

if TYPE_CHECKING:
    from spikecore_hardware.pynn.export import Export

__all__ = ["pynn_command"]


@click.command("pynn")
@click.argument("network")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--run", "duration", default=1000.0, show_default=True, help="Length, ms.")
@click.option(
    "--for", "targets", help="nest, brian2, spinnaker, with commas.  [default: all that can]"
)
@click.option("--backend", default="event", show_default=True, help="What the result should equal.")
@click.option("--seed", default=0, show_default=True)
@click.option("--force", is_flag=True, help="Replace a folder that holds something.")
@output_options
def pynn_command(
    network: str,
    folder: Path,
    duration: float,
    targets: str | None,
    backend: str,
    seed: int,
    force: bool,
    output: Output,
) -> None:
    """Write NETWORK as one PyNN script with its arrays into FOLDER.

    NETWORK is FILE.py:NAME, a Network, or a function that returns one. The script needs PyNN,
    numpy and a simulator, not spikecore. Exit status 5 if no simulator (with --for: not each
    of them) can run it; all reasons are listed.

    Example: spikecore export pynn model.py:net exported && python exported/run.py nest
    """
    from spikecore_hardware.pynn.export import export_pynn

    written = export_pynn(
        load_network(network),
        duration * ms,
        folder,
        seed=seed,
        targets=targets.split(",") if targets else None,
        backend=backend,
        force=force,
    )
    output.answer("\n".join(_lines(written)), written.as_dict())


def _lines(written: Export) -> list[str]:
    lines = []
    for name, reasons in written.differences.items():
        lines.append(f"python {written.folder}/run.py {name}")
        lines += [f"  differs: {reason}" for reason in reasons]
    for name, reasons in written.refused.items():
        lines.append(f"not on {name}:")
        lines += [f"  {reason}" for reason in reasons]
    return lines
