"""``spikecore export compare``: a run elsewhere against what spikecore expects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spikecore.cli.common import Output, output_options

if TYPE_CHECKING:
    from spikecore_hardware.spinnaker.readback import SynapseAgreement

__all__ = ["compare_command"]

DIFFERS = 1


@click.command("compare")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--mapping", is_flag=True, help="Of a virtual board: weights and delays, no spikes.")
@output_options
@click.pass_context
def compare_command(
    ctx: click.Context, folder: Path, result: Path, mapping: bool, output: Output
) -> None:
    """Compare RESULT, which an exported script wrote, with what spikecore expects.

    FOLDER is the one that was exported. Exit status 1 if a spike (or a final weight of a
    SpiNNaker board) differs.

    Example: spikecore export compare exported exported/result-nest.npz
    """
    from spikecore_hardware.comparison import compare_export, compare_mapping

    if mapping:
        mapped = compare_mapping(folder, result)
        equal = all(s.equal for s in mapped)
        _synapses(mapped, output)
        count = f"{sum(s.synapses for s in mapped)} synapses"
        verdict = "as the mirror has them" if equal else "differ from the mirror"
        output.answer(
            f"mapped, not run: {count} {verdict}",
            {"mapped": [vars(s) for s in mapped], "identical": equal},
        )
        if not equal:
            ctx.exit(DIFFERS)
        return
    found = compare_export(folder, result)
    output.table(
        found.simulator,
        ["population", "expected", "found", "same tick", "rates, Hz", "distance"],
        [
            [
                p.name,
                *map(str, (p.expected, p.found, p.matched)),
                f"{p.expected_rate:.3g} and {p.found_rate:.3g}",
                f"{p.distance:.3g}",
            ]
            for p in found.populations
        ],
    )
    if found.synapses:
        _synapses(found.synapses, output)
    output.answer(str(found.comparison), found.as_dict())
    if not found.identical:
        ctx.exit(DIFFERS)


def _synapses(found: tuple[SynapseAgreement, ...], output: Output) -> None:
    output.table(
        "synapses",
        ["projection", "expected", "found", "other ends or delay", "other weight", "by up to nA"],
        [
            [
                s.name,
                *map(str, (s.synapses, s.found, s.astray, s.differing)),
                f"{s.largest:.3g}",
            ]
            for s in found
        ],
    )
