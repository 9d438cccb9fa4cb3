"""``spikecore memory``: the group, and its everyday commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from spikecore.cli.common import Output, backend_option, output_options
from spikecore.cli.memory_checks import replay_command, stress_command
from spikecore.cli.memory_pictures import demo_command, plot_command
from spikecore.errors import InvalidInput
from spikecore.memory import Answer, Bitmap, Codec, ContentMemory, Flags, Report, Text
from spikecore.memory.content import write_picture

__all__ = ["command"]

FILE = click.argument("file", type=click.Path(path_type=Path))


_EXAMPLE = """\b
spikecore memory init fruit.mem --flags red,yellow,round,long,sweet
spikecore memory store fruit.mem apple red,round,sweet
spikecore memory recall fruit.mem apple
spikecore memory recall fruit.mem --fragment red,sweet
spikecore memory forget fruit.mem apple
"""


@click.group(epilog=_EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Store content under names in spikes, recall it from any fragment, forget it."""


@command.command("init")
@FILE
@click.option("--flags", help="Content is a set of these names, joined by commas.")
@click.option("--text", "length", type=int, help="Content is text of up to so many bytes.")
@click.option("--image", "size", metavar="WxH", help="Content is a picture, e.g. 16x16.")
@click.option("--cues", default=16, show_default=True, help="How many memories it can hold.")
@click.option("--cue-names", help="The only cues allowed, joined by commas.")
@click.option("--preset", default="robust", show_default=True, help="robust, board or published.")
@click.option("--threshold", type=float, help="Default overlap of searches, above 0 to 1.")
@output_options
def init_command(
    file: Path,
    flags: str | None,
    length: int | None,
    size: str | None,
    cues: int,
    cue_names: str | None,
    preset: str,
    threshold: float | None,
    output: Output,
) -> None:
    """Make a new memory file for flags, text or pictures."""
    codec = _codec(flags, length, size)
    names = None if cue_names is None else [name.strip() for name in cue_names.split(",")]
    with ContentMemory.create(
        file, codec, cues, cue_names=names, preset=preset, threshold=threshold
    ) as memory:
        shape = memory.shape
        output.answer(
            f"{file}: a {preset} memory for {codec.kind}, {shape.cues} cues of {shape.bits} bits",
            {
                "file": str(file),
                "content": codec.to_dict(),
                "cues": shape.cues,
                "bits": shape.bits,
                "preset": preset,
                "threshold": memory.threshold,
            },
        )


def _codec(flags: str | None, length: int | None, size: str | None) -> Codec:
    given = [option for option in (flags, length, size) if option is not None]
    if len(given) != 1:
        raise click.UsageError("say what it is for: one of --flags, --text or --image")
    if flags is not None:
        return Flags(tuple(name.strip() for name in flags.split(",")))
    if length is not None:
        return Text(length)
    parts = str(size).lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):  # noqa: PLR2004
        raise InvalidInput("--image", "must be WIDTHxHEIGHT", got=size, fix="e.g. --image 16x16")
    return Bitmap(int(parts[0]), int(parts[1]))


@command.command("store")
@FILE
@click.argument("cue")
@click.argument("content")
@click.option("--no-overwrite", is_flag=True, help="Refuse a cue that is in use.")
@backend_option
@output_options
def store_command(
    file: Path, cue: str, content: str, no_overwrite: bool, backend: str, output: Output
) -> None:
    """Store CONTENT (flags, text, or the path of a picture) under CUE."""
    with ContentMemory.open(file, backend=backend) as memory:
        report = memory.store(cue, content, overwrite=not no_overwrite)
        _tell(memory, report, output)


@command.command("recall")
@FILE
@click.argument("cue", required=False)
@click.argument("more", nargs=-1)
@click.option(
    "--fragment",
    help="Search by content: flags, text ('?' is an unknown character), "
    "or the path of a partly covered picture.",
)
@click.option("--threshold", type=float, help="Share of the fragment that must match.")
@click.option(
    "--clean-up",
    is_flag=True,
    help="Mend wrong bits of the fragment first (a model of astrocytes, not of spikes).",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the best answer as a PNG.")
@backend_option
@output_options
def recall_command(
    file: Path,
    cue: str | None,
    more: tuple[str, ...],
    fragment: str | None,
    threshold: float | None,
    clean_up: bool,
    out: Path | None,
    backend: str,
    output: Output,
) -> None:
    """Recall what is stored under CUE, or all that matches a fragment, best first."""
    if more:
        raise InvalidInput(
            "recall",
            "takes one cue: two at once would be mixed up",
            got=f"{cue}, {', '.join(more)}",
            fix="one command for each cue",
        )
    if (cue is None) == (fragment is None):
        raise click.UsageError("give either a CUE or --fragment")
    if clean_up and fragment is None:
        raise click.UsageError("--clean-up goes with --fragment")
    with ContentMemory.open(file, backend=backend) as memory:
        if out is not None and memory.codec.kind != "image":
            raise InvalidInput("--out", "works with memories of pictures", got=memory.codec.kind)
        report = (
            memory.recall(cue)
            if cue is not None
            else memory.search(fragment, threshold=threshold, clean_up=clean_up)
        )
        if out is not None and report.best is not None:
            write_picture(report.best.content, out)
        _tell(memory, report, output)


@command.command("forget")
@FILE
@click.argument("cue")
@backend_option
@output_options
def forget_command(file: Path, cue: str, backend: str, output: Output) -> None:
    """Erase what is stored under CUE."""
    with ContentMemory.open(file, backend=backend) as memory:
        _tell(memory, memory.forget(cue), output)


@command.command("list")
@FILE
@output_options
def list_command(file: Path, output: Output) -> None:
    """List the cues in use, oldest first."""
    with ContentMemory.open(file) as memory:
        cues = memory.cues()
        output.answer("\n".join(cues) if cues else "nothing stored", {"cues": list(cues)})


@command.command("info")
@FILE
@click.option("--history", default=5, show_default=True, help="How many changes to show.")
@output_options
def info_command(file: Path, history: int, output: Output) -> None:
    """Show what a memory is and what was done to it last."""
    with ContentMemory.open(file) as memory:
        assert memory.file is not None
        settings, shape = memory.file.settings(), memory.shape
        used, changes = len(memory), memory.history(history)
        data: dict[str, Any] = {
            **settings,
            "file": str(file),
            "bytes": file.stat().st_size,
            "bits": shape.bits,
            "used": used,
            "history": changes,
        }
        text = [
            f"{file}: {memory.codec.kind}, {used} of {shape.cues} cues in use, {shape.bits} bits",
            f"preset {shape.preset}, search threshold {memory.threshold:g}, "
            f"made {settings['created'][:19]} by spikecore {settings['spikecore']}, "
            f"{data['bytes'] / 1024:.0f} kB",
            *(
                f"  {c['at'][:19]}  {c['operation']:<7} {c['cue'] or ''}  ({c['spikes']} spikes, "
                f"{c['model_ms']:g} ms model time)"
                for c in changes
            ),
        ]
        output.answer("\n".join(text), data)


def _tell(memory: ContentMemory, report: Report, output: Output) -> None:
    """Print a report."""
    lines = [_headline(report)]
    if report.cleaned is not None:
        lines.append(f"cleaned up to {len(report.cleaned)} bits before the search")
    for answer in report.answers:
        note = f", {answer.note}" if answer.note else ""
        shown = memory.codec.show(answer.bits)
        split = "\n" if memory.codec.kind == "image" else " "
        lines.append(f"{answer.cue} ({answer.overlap:.0%}{note}):{split}{shown}")
    if report.disturbed:
        lines.append(
            f"warning: this disturbed {', '.join(report.disturbed)} "
            "(a known weakness of preset published)"
        )
    if not output.quiet:
        lines.append(
            f"[{report.spikes} spikes, {report.model_ms:g} ms model time, "
            f"{report.wall_ms:.1f} ms wall time, backend {report.backend}]"
        )
    output.answer(
        "\n".join(lines),
        {
            "operation": report.operation,
            "outcome": report.outcome,
            "cue": report.cue,
            "answers": [_plain(answer) for answer in report.answers],
            "disturbed": list(report.disturbed),
            "model_ms": report.model_ms,
            "spikes": report.spikes,
            "wall_ms": round(report.wall_ms, 3),
            "backend": report.backend,
            "threshold": report.threshold,
            "cleaned": None if report.cleaned is None else sorted(report.cleaned),
        },
    )


def _headline(report: Report) -> str:
    if report.operation == "search":
        if not report.answers:
            return f"no match: nothing shares {report.threshold:.0%} of the fragment"
        return f"{len(report.answers)} found"
    return f"{report.outcome}: {report.cue}"


def _plain(answer: Answer) -> dict[str, Any]:
    content = answer.content
    if isinstance(content, np.ndarray):
        content = content.astype(int).tolist()
    return {
        "cue": answer.cue,
        "content": content,
        "bits": sorted(answer.bits),
        "overlap": round(answer.overlap, 6),
        "note": answer.note,
    }


for extra in (plot_command, demo_command, replay_command, stress_command):
    command.add_command(extra)
