"""``spikecore export compare``: a run elsewhere against what spikecore expects."""

from __future__ import annotations

from pathlib import Path

import click

from spikecore.cli.common import Output, output_options

__all__ = ["compare_command"]

DIFFERS = 1


@click.command("compare")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("result", type=click.Path(path_type=Path))
@output_options
@click.pass_context
def compare_command(ctx: click.Context, folder: Path, result: Path, output: Output) -> None:
    """Compare RESULT, which an exported script wrote, with what spikecore expects.

    FOLDER is the one that was exported. Exit status 1 if a spike differs.

    Example: spikecore export compare exported exported/result-nest.npz
    """
    from spikecore_hardware.comparison import compare_export

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
    output.answer(str(found.comparison), found.as_dict())
    if not found.comparison.identical:
        ctx.exit(DIFFERS)
