"""``spikecore export nir``: a network as a NIR file, for other programs to read."""

from __future__ import annotations

from pathlib import Path

import click

from spikecore.cli.common import Output, output_options
from spikecore.files import check_writable
from spikecore.network import Network

__all__ = ["nir_command"]


@click.command("nir")
@click.argument("network")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--delays",
    type=click.Choice(["all", "longer"]),
    default="all",
    show_default=True,
    help="Delay nodes for all delays, or only for those longer than a tick.",
)
@click.option("--seed", default=0, show_default=True, help="Of what is drawn.")
@output_options
def nir_command(network: str, out: Path, delays: str, seed: int, output: Output) -> None:
    """Write NETWORK to OUT in the Neuromorphic Intermediate Representation.

    NETWORK is FILE.py:NAME, a Network, or a function that returns one, in a Python file.
    Exit status 5 if NIR cannot say it; all reasons are listed.

    Example: spikecore export nir model.py:network model.nir --delays longer
    """
    from spikecore.cli.network_file import load_network
    from spikecore_hardware.nir_exchange import write_nir

    check_writable(out)
    found = load_network(network)
    graph = write_nir(out, found, delays=delays, seed=seed)
    left_out = _left_out(found)
    for what in left_out:
        output.say(f"not part of a graph: {what}")
    nodes, edges = len(graph.nodes), len(graph.edges)
    data = {"file": str(out), "nodes": nodes, "edges": edges, "left_out": left_out}
    output.answer(f"wrote {out}: {nodes} nodes, {edges} edges", data)


def _left_out(network: Network) -> list[str]:
    """Return what of the network no graph holds."""
    trains = [f"the spikes of input {i.name!r}" for i in network.inputs if i.source is not None]
    return trains + [f"probe {probe.key!r}" for probe in network.probes]
