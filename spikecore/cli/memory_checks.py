"""``spikecore memory replay`` and ``stress``: whether the memory is right."""

from __future__ import annotations

from pathlib import Path

import click

from spikecore.cli.common import Output, backend_option, output_options
from spikecore.memory import CA3Shape, Recording, StressTest, replay
from spikecore.memory.recording import as_layout

__all__ = ["replay_command", "stress_command"]

DIFFERENT = 1
INTERRUPTED = 130


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--preset", default="published", show_default=True, help="published or robust.")
@click.option(
    "--compare", is_flag=True, help="Compare with the recorded spikes; exit 1 on any difference."
)
@backend_option
@output_options
@click.pass_context
def replay_command(
    ctx: click.Context, file: Path, preset: str, compare: bool, backend: str, output: Output
) -> None:
    """Run a recorded session FILE and print every population's spikes.

    FILE is JSON: meta.cue_size, meta.content_size, meta.sim_time_ms, inputs.cue and
    inputs.cont, and, to compare with, outputs.
    """
    recording = Recording.load(file)
    result, difference = replay(recording, preset=preset, backend=backend)
    layout = as_layout(result, recording)
    if not compare:
        lines = [
            f"{name:<12} {neuron:>4}: {', '.join(map(str, times))}"
            for name, trains in layout.items()
            for neuron, times in trains.items()
            if times
        ]
        output.answer(
            "\n".join(lines),
            {
                "meta": {
                    "cue_size": recording.cues,
                    "content_size": recording.bits,
                    "sim_time_ms": recording.duration,
                    "preset": preset,
                    "backend": backend,
                },
                "outputs": layout,
            },
        )
        return
    lines = [str(difference)]
    for label, entries in (("missing", difference.missing), ("extra", difference.extra)):
        lines += [f"  {label} {name}[{neuron}] at {tick} ms" for name, neuron, tick in entries]
    output.answer(
        "\n".join(lines),
        {
            "matched": difference.matched,
            "missing": [list(entry) for entry in difference.missing],
            "extra": [list(entry) for entry in difference.extra],
            "identical": difference.identical,
            "preset": preset,
            "backend": backend,
            "outputs": layout,
        },
    )
    if not difference.identical:
        ctx.exit(DIFFERENT)


@click.command("stress")
@click.option("--cues", default=5, show_default=True)
@click.option("--bits", default=10, show_default=True)
@click.option("--operations", default=10_000, show_default=True)
@click.option("--learn-ms", default=7, show_default=True, help="Spacing after a learn.")
@click.option("--recall-ms", default=6, show_default=True, help="Spacing after a recall.")
@click.option(
    "--query-ms", default=9, show_default=True, help="Spacing after a query, with --completion."
)
@click.option("--density", default=0.3, show_default=True, help="Share of ones in contents.")
@click.option("--threshold", default=0.0, show_default=True, help="Overlap threshold; 0 is the OR.")
@click.option("--backward-weight", default=6.0, show_default=True, help="nA, 6 to 12.")
@click.option("--completion", is_flag=True, help="A cue that answers recalls its content.")
@click.option(
    "--noisy", is_flag=True, help="Query with stored contents, 40 % missing and 10 % wrong."
)
@click.option("--preset", default="robust", show_default=True, help="robust, board or published.")
@click.option("--seed", default=1, show_default=True)
@backend_option
@output_options
@click.pass_context
def stress_command(
    ctx: click.Context,
    cues: int,
    bits: int,
    operations: int,
    learn_ms: int,
    recall_ms: int,
    query_ms: int,
    density: float,
    threshold: float,
    backward_weight: float,
    completion: bool,
    noisy: bool,
    preset: str,
    seed: int,
    backend: str,
    output: Output,
) -> None:
    """Compare random operations with what a perfect memory would answer.

    Learns (mostly overwrites), recalls by cue and by content (one bit and several);
    every answer is checked, and every spike of the whole output raster.
    """
    shape = CA3Shape(
        cues,
        bits,
        preset,
        threshold=threshold,
        completion=completion,
        backward_weight=backward_weight,
    )
    test = StressTest(
        shape,
        operations,
        learn_ms,
        recall_ms,
        query_ms,
        density,
        "noisy" if noisy else "mixed",
        seed,
    )
    report = test.run(backend=backend, progress=not output.quiet and not output.as_json)
    rows = [[kind, str(report.counts[kind]), str(report.wrong[kind])] for kind in report.counts]
    output.table(
        f"{preset}, {cues} x {bits}, density {density:g}, {learn_ms}/{recall_ms} ms",
        ["operation", "number", "wrong answers"],
        rows,
    )
    output.answer(
        f"wrong answers: {report.wrong_total} of {report.operations} "
        f"({report.wrong_total / max(report.operations, 1):.1%}); output spikes: "
        f"{report.missing_spikes} missing, {report.extra_spikes} extra; "
        f"{report.model_ms / 1000:g} s model time in {report.wall_s:.2f} s",
        report.as_dict(),
    )
    if report.status == "interrupted":
        click.echo("interrupted: these are the operations that were finished", err=True)
        ctx.exit(INTERRUPTED)
