"""``spikecore memory plot`` and ``demo``: the memory to look at."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from spikecore.cli.common import Output, backend_option, output_options, plotting
from spikecore.files import check_writable
from spikecore.memory import ContentMemory
from spikecore.memory.demo import run_demo

__all__ = ["demo_command", "plot_command"]


@click.command("plot")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("cue", required=False)
@click.option("--fragment", help="Search by content instead of by cue.")
@click.option("--threshold", type=float, help="Share of the fragment that must match.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("recall.png"), show_default=True
)
@backend_option
@output_options
def plot_command(
    file: Path,
    cue: str | None,
    fragment: str | None,
    threshold: float | None,
    out: Path,
    backend: str,
    output: Output,
) -> None:
    """Recall CUE (or a fragment) and draw the spikes of all populations."""
    if (cue is None) == (fragment is None):
        raise click.UsageError("give either a CUE or --fragment")
    check_writable(out)
    plot = plotting()
    with ContentMemory.open(file, backend=backend) as memory:
        report = (
            memory.recall(cue) if cue is not None else memory.search(fragment, threshold=threshold)
        )
        if not report.episodes:
            output.answer(
                f"{report.outcome}: nothing spiked, nothing to draw",
                {"outcome": report.outcome, "file": None},
            )
            return
        title = f"{report.operation} {cue or fragment!r}: {report.outcome}"
        plot.save(plot.episodes(report.episodes, title=title), out)
        output.answer(f"{title}; see {out}", {"outcome": report.outcome, "file": str(out)})


@click.command("demo")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("spikecore-demo.png"), show_default=True
)
@click.option("--seed", default=1, show_default=True, help="Where the pictures are covered.")
@backend_option
@output_options
def demo_command(out: Path, seed: int, backend: str, output: Output) -> None:
    """Store pictures, recall them from halves, overwrite one, forget one; draw it all."""
    check_writable(out)
    plot = plotting()
    output.say("storing five pictures, in spikes ...")
    story = run_demo(backend=backend, seed=seed)
    for step in story.steps:
        output.say(f"  {step.text}" + ("" if step.right else "  <- not as it should be"))
    plot.save(plot.demo(story), out)
    right = sum(step.right for step in story.steps)
    output.answer(
        f"{right} of {len(story.steps)} steps as they should be, {story.spikes} spikes, "
        f"{story.model_ms:g} ms model time; see {out}",
        {
            "file": str(out),
            "right": right,
            "steps": len(story.steps),
            "spikes": story.spikes,
            "model_ms": story.model_ms,
            "missing_pixels": int(np.sum([step.missing for step in story.steps])),
        },
    )
