"""``spikecore export``: networks for other simulators and boards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spikecore.cli.common import Output, output_options, plotting
from spikecore.cli.export_compare import compare_command
from spikecore.cli.export_nir import nir_command
from spikecore.cli.export_pynn import pynn_command
from spikecore.cli.export_spinnaker import spinnaker_command
from spikecore.cli.network_file import load_network
from spikecore.files import check_writable
from spikecore.quantities import Hz, ms

if TYPE_CHECKING:
    from spikecore_hardware.spinnaker.report import ExportCheck
    from spikecore_hardware.spinnaker.side_by_side import SideBySide

__all__ = ["command"]

REFUSED = 5


@click.group("export")
def command() -> None:
    """Take networks to other simulators and neuromorphic boards."""


command.add_command(pynn_command)
command.add_command(spinnaker_command)
command.add_command(compare_command)
command.add_command(nir_command)


@command.command("check")
@click.argument("network")
@click.option("--board", default="spin5", show_default=True, help="spin3 or spin5.")
@click.option("--rate", default=30.0, show_default=True, help="Spikes per second of each neuron.")
@click.option("--run", "duration", type=float, help="Run so many ms in float and fixed point.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw both runs into this file.")
@click.option("--map", "picture", type=click.Path(path_type=Path), help="Draw cores and memory.")
@click.option("--seed", default=0, show_default=True)
@output_options
@click.pass_context
def check_command(
    ctx: click.Context,
    network: str,
    board: str,
    rate: float,
    duration: float | None,
    plot: Path | None,
    picture: Path | None,
    seed: int,
    output: Output,
) -> None:
    """Report what a board's 16-bit weights, shared scales and delay slots do to NETWORK.

    NETWORK is FILE.py:NAME, a Network, or a function that returns one, in a Python file.
    Exit status 5 if the board cannot run it; all reasons are listed.

    Example: spikecore export check model.py:network --run 1000
    """
    from spikecore_hardware.spinnaker.report import check_export
    from spikecore_hardware.spinnaker.side_by_side import compare_with_float

    if plot is not None:
        if duration is None:
            raise click.UsageError("--plot needs --run")
        check_writable(plot)
    if picture is not None:
        check_writable(picture)
    found = load_network(network)
    report = check_export(found, board=board, rate=rate * Hz, seed=seed)
    _tables(report, output)
    if picture is not None:
        _draw_map(report, board, network, picture)
    both = None
    if duration is not None and not report.refused:
        both = compare_with_float(found, duration * ms, seed=seed, progress=not output.quiet)
        if plot is not None:
            _draw(both, plot)
    data = report.as_dict() | ({"run": both.as_dict()} if both else {})
    output.answer("\n".join(_lines(report, both)), data)
    if report.refused:
        ctx.exit(REFUSED)


def _tables(report: ExportCheck, output: Output) -> None:
    output.table(
        f"{report.board}: {report.cores} of {report.board_cores} cores, {report.chips} chip(s), "
        f"at most {report.routing_entries} routing entries",
        ["population", "neurons", "cores", "per core", "local memory", "chip's memory", "work"],
        [
            [
                p.name,
                *map(str, (p.neurons, p.cores, p.neurons_per_core)),
                *(f"{value} B" for value in (p.dtcm_bytes, p.sdram_bytes)),
                f"{p.work:.0%}",
            ]
            for p in report.populations
        ],
    )
    output.table(
        "projections",
        ["projection", "synapses", "step nA", "worst error", "typical", "lost", "load", "delay"],
        [
            [
                p.name,
                str(p.synapses),
                *(f"{value:.3g}" for value in (p.step, p.largest_error, p.typical_error)),
                str(p.lost),
                f"{p.load:.0%}",
                f"{p.longest_delay} of {p.slots}" + (f", {p.too_long} cut" if p.too_long else ""),
            ]
            for p in report.projections
        ],
    )


def _lines(report: ExportCheck, both: SideBySide | None) -> list[str]:
    lines = [f"needs {report.boards} board(s)"] if report.boards > 1 else []
    lines += [
        f"may saturate: {p.name} ({p.load:.0%} of 16 bits)"
        for p in report.projections
        if p.load > 1
    ]
    lines += [f"slow trace: {t.name}: {t.text}" for t in report.slow_traces]
    lines += [
        f"may fall behind: {p.name} ({p.work:.0%} of the synaptic events planned for a core)"
        for p in report.populations
        if p.work > 1
    ]
    lines += [
        f"may come late: {i.name} ({i.at_once} spikes in one tick, planned are up to {i.limit})"
        for i in report.inputs
        if i.at_once > i.limit
    ]
    if both is not None:
        lines.append(f"mirror against event: {both.comparison}")
        lines += [f"mirror: {note}" for note in both.fixed.notes]
        lines += [
            f"{name}: {floating:.3g} and {fixed:.3g} Hz (float, fixed), distance "
            f"{both.distance[name]:.3g}"
            for name, (floating, fixed) in both.rates.items()
        ]
    lines += [f"refused: {reason}" for reason in report.refused]
    return lines or ["nothing is lost but precision"]


def _draw(both: SideBySide, path: Path) -> None:
    plot = plotting()
    plot.save(plot.divergence(both.floating, both.fixed, "float (+) and fixed point (x)"), path)


def _draw_map(report: ExportCheck, board: str, network: str, path: Path) -> None:
    plot = plotting()
    from spikecore.plot_board import board_figure

    plot.save(board_figure(report, board, f"{network} on {report.board}"), path)
