"""``spikecore motion train`` and ``prune``: kernels of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from spikecore.cli.common import Output, output_options, plotting
from spikecore.errors import InvalidInput
from spikecore.files import check_writable
from spikecore.interrupts import StopRequest, deferred_interrupts
from spikecore.motifs.kernel import DelayKernel
from spikecore.need_torch import need_torch
from spikecore.progress import progress_bar

__all__ = ["prune_command", "train_command"]

IMAGES = click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of pictures for the scenes. Default: those of scikit-image and scikit-learn.",
)
DEVICE = click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")


@click.command("train")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--task",
    type=click.Choice(["ladder", "paper"]),
    default="ladder",
    show_default=True,
    help="The 38 classes of the model that ships, or the 36 of the published task.",
)
@IMAGES
@click.option(
    "--data", type=click.Path(path_type=Path), help="Labelled recordings to train on instead."
)
@click.option("--steps", type=int, help="Steps of training before pruning.")
@click.option("--prune", type=float, help="Keep one weight in so many, 1 for all.")
@click.option("--structured", is_flag=True, help="Prune places for all classes at once.")
@click.option("--retrain", type=int, help="Steps of training after pruning, 0 for none.")
@click.option(
    "--loss",
    type=click.Choice(["cross-entropy", "bce"]),
    default="cross-entropy",
    show_default=True,
)
@click.option("--voxels", type=int, help="Voxels a step.")
@click.option("--movies", type=int, help="Movies drawn at a time.")
@click.option("--seed", default=0, show_default=True)
@DEVICE
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="Written every 500 steps and on Ctrl-C."
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint.")
@output_options
def train_command(
    out: Path,
    task: str,
    images: Path | None,
    data: Path | None,
    steps: int | None,
    prune: float | None,
    structured: bool,
    retrain: int | None,
    loss: str,
    voxels: int | None,
    movies: int | None,
    seed: int,
    device: str,
    checkpoint: Path | None,
    resume: bool,
    output: Output,
) -> int:
    """Train a motion kernel and write it to OUT (.npz)."""
    need_torch(device)
    check_writable(out)
    if resume and checkpoint is None:
        raise click.UsageError("--resume needs --checkpoint")
    from spikecore.motifs.training import Scenes
    from spikecore.motifs.workflow import LADDER, PAPER, Plan, Training, scenes_for

    plan: Plan = PAPER if task == "paper" else LADDER
    sizes: dict[str, Any] = {
        name: value for name, value in (("voxels", voxels), ("movies", movies)) if value is not None
    }
    recipe = replace(plan.recipe, loss=loss, **sizes)
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    after = plan.retrain and replace(plan.retrain, loss=loss, **sizes)
    if retrain is not None:
        after = replace(after or recipe, steps=retrain, rate=1e-3) if retrain else None
    plan = replace(
        plan,
        recipe=recipe,
        retrain=after,
        structured=structured,
        prune=plan.prune if prune is None else prune,
        task="recordings" if data is not None else task,
    ).with_seed(seed)
    scenes: Scenes = scenes_for(task, images, device) if data is None else _recorded(data, device)
    training = Training(plan, scenes, device=device, checkpoint=checkpoint, resume=resume)
    with (
        deferred_interrupts() as stop,
        progress_bar(
            "training",
            plan.steps - training.done,
            enabled=not (output.quiet or output.as_json),
        ) as on,
    ):
        kernel = training.run(on, stop)
    if kernel is None:
        kept = f"go on with --resume --checkpoint {checkpoint}" if checkpoint else "nothing kept"
        output.answer(
            f"interrupted after {training.done} of {plan.steps} steps: {kept}",
            {"complete": False, "steps": training.done, "checkpoint": str(checkpoint or "")},
        )
        return 130
    kernel.save(out)
    losses = training.trainer.losses
    output.answer(
        f"{out}: {kernel.classes} classes, {kernel.synapses:,} of {kernel.weights.size:,} weights, "
        f"loss {losses[0]:.3f} -> {losses[-1]:.3f}",
        {
            "complete": True,
            "file": str(out),
            "steps": training.done,
            "synapses": kernel.synapses,
            "losses": [round(value, 5) for value in losses],
        },
    )
    return 0


def _recorded(folder: Path, device: str) -> Any:
    """Return scenes cut from the labelled recordings of a folder."""
    from spikecore.data import read_events
    from spikecore.motifs.labelled import find_labels
    from spikecore.motifs.recorded import RecordedScenes

    segments = find_labels(folder).segments
    read = {s.path: s.sensor for s in segments}
    streams = {path: read_events(path, sensor=sensor) for path, sensor in read.items()}
    return RecordedScenes.of(segments, streams, device)


@click.command("prune")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--factors",
    default="1,3.2,10,31,62,115,200,310,670,1340",
    show_default=True,
    help="Keep one weight in so many, for each of these.",
)
@click.option("--structured", is_flag=True, help="Prune places for all classes at once, too.")
@click.option("--retrain", default=0, show_default=True, help="Steps of training after each.")
@click.option("--movies", default=50, show_default=True, help="Test movies.")
@click.option("--size", default=64, show_default=True, help="Side of a test movie, px.")
@IMAGES
@DEVICE
@click.option("--plot", type=click.Path(path_type=Path), help="Write the curve (PNG).")
@click.option("--out", type=click.Path(path_type=Path), help="Write the last kernel (.npz).")
@click.option("--seed", default=0, show_default=True)
@output_options
def prune_command(
    model: Path,
    factors: str,
    structured: bool,
    retrain: int,
    movies: int,
    size: int,
    images: Path | None,
    device: str,
    plot: Path | None,
    out: Path | None,
    seed: int,
    output: Output,
) -> int:
    """Show what pruning costs: accuracy on the published task against weights kept.

    Test movies have one motion each, of the directions and speeds that MODEL knows.
    """
    need_torch(device)
    for target in (plot, out):
        if target is not None:
            check_writable(target)
    kernel = DelayKernel.load(model)
    wanted = _factors(factors)
    if movies < 1 or size < 2 * kernel.size:
        raise InvalidInput(
            "--movies, --size",
            f"need at least 1 movie of at least {2 * kernel.size} pixels",
            got=f"{movies}, {size}",
        )
    from spikecore.motifs.workflow import PruningStudy

    study = PruningStudy(kernel, images, movies, size, retrain=retrain, seed=seed, device=device)
    ways = (False, True) if structured else (False,)
    rows: list[dict[str, Any]] = []
    with (
        deferred_interrupts() as stop,
        progress_bar(
            "pruning", len(wanted) * len(ways), enabled=not (output.quiet or output.as_json)
        ) as on,
    ):
        for way in ways:
            for factor in wanted:
                if stop:
                    break
                rows.append(study.row(factor, structured=way))
                on(1)
    if out is not None and study.last is not None:
        study.last.save(out)
    if plot is not None and rows:
        _draw(rows, study.chance, plot)
    _tell(rows, stop, output)
    return 130 if stop else 0


def _factors(text: str) -> list[float]:
    try:
        wanted = [float(part) for part in text.split(",")]
    except ValueError:
        wanted = [0.0]
    if not wanted or any(not factor >= 1.0 for factor in wanted):
        raise InvalidInput(
            "--factors", "must be numbers of at least 1, joined by commas", got=text, fix="1,31,115"
        )
    return wanted


def _draw(rows: list[dict[str, Any]], chance: float, path: Path) -> None:
    plotting()
    from spikecore.plot import save
    from spikecore.plot_motion import pruning_figure

    curves: dict[str, dict[float, float]] = {}
    for row in rows:
        name = "structured" if row["structured"] else "single weights"
        curves.setdefault(name, {})[row["factor"]] = row["accuracy"]
        if row["retrained"] is not None:
            curves.setdefault(f"{name}, retrained", {})[row["factor"]] = row["retrained"]
    save(pruning_figure(curves, chance), path)


def _tell(rows: list[dict[str, Any]], stop: StopRequest, output: Output) -> None:
    if output.as_json:
        output.answer("", {"rows": rows, "complete": not stop})
        return
    output.table(
        "Right decisions on movies with one motion",
        ["pruned", "how", "weights", "accuracy", "retrained"],
        [
            [
                f"{row['factor']:g}x",
                "structured" if row["structured"] else "single",
                f"{row['synapses']:,}",
                f"{row['accuracy']:.1%}",
                "" if row["retrained"] is None else f"{row['retrained']:.1%}",
            ]
            for row in rows
        ],
    )
