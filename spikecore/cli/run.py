"""``spikecore run``: run a network from a Python file, on any backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikecore.cli.common import Output, backend_option, output_options, plotting
from spikecore.cli.network_file import load_network
from spikecore.files import check_writable
from spikecore.quantities import ms

if TYPE_CHECKING:
    from spikecore.results import Result

__all__ = ["command"]

DIFFERS, INTERRUPTED, ENDED = 1, 130, 6
"""Exit statuses: another backend gave other spikes; Ctrl-C; diverged or runaway."""

_EXAMPLE = """\b
spikecore run model.py:net --duration 500 --plot raster.png
spikecore run model.py:net --backend torch:device=cuda --precision float32 --out result.npz
spikecore run model.py:net --compare brian2
"""


@click.command("run", epilog=_EXAMPLE)
@click.argument("network")
@click.option("--duration", default=1000.0, show_default=True, help="Model time, ms.")
@backend_option
@click.option("--seed", default=0, show_default=True, help="Of all that is drawn.")
@click.option(
    "--precision",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the result (.npz) there.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the spikes there (.png).")
@click.option(
    "--compare", metavar="BACKEND", help="Run it there too; exit status 1 if they differ."
)
@click.option("--explain", is_flag=True, help="Say how the backend ran it, and why.")
@output_options
def command(
    network: str,
    duration: float,
    backend: str,
    seed: int,
    precision: str,
    out: Path | None,
    plot: Path | None,
    compare: str | None,
    explain: bool,
    output: Output,
) -> int:
    """Run NETWORK, which is FILE.py:NAME: a Network, or a function that returns one.

    Ctrl-C ends the run and keeps the results so far (exit status 130). A run that diverges or
    runs away keeps its results too (exit status 6).
    """
    from spikecore.simulate import Simulation, run

    for path in filter(None, (out, plot)):
        check_writable(path)
    pictures = plotting() if plot else None
    found = load_network(network)
    options: dict[str, Any] = {"seed": seed, "precision": precision}
    shown = not (output.quiet or output.as_json)
    simulation = Simulation(found, backend=backend, **options)
    advice = simulation.advice(duration * ms)
    if shown:
        for text in advice:
            click.echo(f"advice: {text}", err=True)
    result = simulation.run(duration * ms, progress=shown)
    data = _summary(result)
    lines = [_line(name, entry) for name, entry in data["groups"].items()]
    lines += [f"note: {note}" for note in result.notes if note not in advice]
    if explain:
        lines += _explained(result)
    if result.status != "complete":
        lines.append(f"{result.status}: {result.message}")
    if out:
        result.save(out)
        lines.append(f"result in {out}")
    if pictures and plot:
        pictures.save(pictures.raster(result, title=network), plot)
        lines.append(f"picture in {plot}")
    status = {"complete": 0, "interrupted": INTERRUPTED}.get(result.status, ENDED)
    if compare and status == 0:
        comparison = result.compare(
            run(found, duration * ms, backend=compare, progress=shown, **options)
        )
        lines.append(f"{backend} beside {compare}: {comparison}")
        data["comparison"] = {
            "backend": compare,
            "matched": comparison.matched,
            "missing": len(comparison.missing),
            "extra": len(comparison.extra),
            "first_divergence": comparison.first_divergence,
        }
        status = 0 if comparison.identical else DIFFERS
    output.answer("\n".join(lines), data)
    return status


def _summary(result: Result) -> dict[str, Any]:
    seconds = result.duration * 1e-3
    return {
        "status": result.status,
        "message": result.message,
        "ticks": result.ticks,
        "dt_ms": result.dt,
        "groups": {
            name: {"spikes": len(spikes), "spikes_per_s": len(spikes) / seconds if seconds else 0.0}
            for name, spikes in result.spikes.items()
        },
        "counters": dict(result.counters),
        "notes": list(result.notes),
        "provenance": dict(result.provenance),
    }


def _explained(result: Result) -> list[str]:
    """Return lines that say which way was taken."""
    provenance = result.provenance
    way = provenance.get("way")
    if way is None:
        return [f"way: backend {provenance['backend']!r} has one only"]
    lines = [f"way: delivery by {way['delivery']} ({way['why']})"]
    lines += [f"way: {name} by {how}" for name, how in way["neurons"].items()]
    if "threads" in way:
        number = "one thread" if way["threads"] == 1 else "two threads"
        lines.append(f"way: in {number} ({way['why_threads']})")
    for name, how in way.get("dense", {}).items():
        lines.append(f"way: {name} {'as bitmaps' if how == 'bitmap' else f'no bitmap ({how})'}")
    for name, how in way.get("ahead", {}).items():
        said = "ahead in blocks of time" if how == "blocks" else f"tick by tick ({how})"
        lines.append(f"way: {name} {said}")
    return lines


def _line(name: str, entry: dict[str, Any]) -> str:
    return f"{name}: {entry['spikes']} spikes, {entry['spikes_per_s']:.4g} a second in all"
