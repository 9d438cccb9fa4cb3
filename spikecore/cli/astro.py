"""``spikecore astro``: language models of astrocyte-modulated units, trained and sampled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spikecore.cli.common import Output, output_options
from spikecore.errors import FileRefused, InvalidInput
from spikecore.files import check_writable
from spikecore.interrupts import deferred_interrupts
from spikecore.need_torch import need_torch
from spikecore.progress import progress_bar

if TYPE_CHECKING:
    from spikecore.astro import LanguageTraining

__all__ = ["command"]

_EXAMPLE = """\b
spikecore astro generate --prompt 'ROMEO:'
spikecore astro train book.txt my.npz --checkpoint my.checkpoint.npz
spikecore astro generate my.npz --prompt 'Once upon' --bytes 400
"""
HEADS = 4
_PATH = click.Path(path_type=Path)


@click.group(epilog=_EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Train a small spiking language model on a text; let it write."""


@command.command("generate")
@click.argument("model", type=_PATH, required=False)
@click.option("--prompt", default="\n", help="What to continue. Default: a new line.")
@click.option("--bytes", "length", default=400, show_default=True, help="How many to write.")
@click.option("--seed", default=0, show_default=True, help="Of what is drawn.")
@click.option("--temperature", default=0.8, show_default=True, help="0: the likeliest byte.")
@output_options
def generate_command(
    model: Path | None, prompt: str, length: int, seed: int, temperature: float, output: Output
) -> int:
    """Continue a prompt with MODEL (.npz), byte by byte, with a state of constant size.

    Without MODEL: with the one that ships, which has read some Shakespeare.
    """
    need_torch()
    if length < 1:
        raise InvalidInput("--bytes", "must be at least 1", got=length, fix="use 1 or more")
    if not 0 <= temperature < float("inf"):
        fix = "use 0 to 1"
        raise InvalidInput("--temperature", "must be at least 0", got=temperature, fix=fix)
    if seed < 0:
        raise InvalidInput("--seed", "must be at least 0", got=seed, fix="use 0 or more")
    from spikecore.astro import ByteModel, generate

    made = ByteModel.load(model)
    given = prompt.encode("utf-8", "surrogateescape")
    with progress_bar("writing", length, enabled=not (output.quiet or output.as_json)) as on:
        out = generate(made, given, length, seed=seed, temperature=temperature, on=on)
    text = out.decode("utf-8", "replace")
    output.answer(prompt + text, {"prompt": prompt, "text": text, "seed": seed, "bytes": length})
    return 0


@command.command("train")
@click.argument("text", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--features", default=64, show_default=True, help="Width of the model.")
@click.option("--layers", default=2, show_default=True, help="Blocks.")
@click.option(
    "--variant",
    type=click.Choice(["none", "diag", "matrix", "normalised", "delta"]),
    default="delta",
    show_default=True,
    help="What the astrocytes store.",
)
@click.option(
    "--firing",
    type=click.Choice(["binary", "graded"]),
    default="graded",
    show_default=True,
    help="Spikes of 1, or spikes that carry what passed the threshold.",
)
@click.option(
    "--mixing",
    type=click.Choice(["lif", "gated"]),
    default="lif",
    show_default=True,
    help="What stands behind the units of a block: LIF neurons, or neurons with gates that hear "
    "one another: better where each byte is read fifty times.",
)
@click.option(
    "--threshold",
    default=0.1,
    show_default=True,
    help="Change of state that neurons with gates send.",
)
@click.option(
    "--feedback",
    type=int,
    help="LIF neurons that mix whose spikes reach one another: 2, 4, 8, 16 or 32, or 0 for none. "
    "Default 8; neurons with gates have none, as all of them hear one another.",
)
@click.option(
    "--dropout",
    default=0.1,
    show_default=True,
    help="Share of what a block adds that is left out in training.",
)
@click.option(
    "--noise",
    default=0.0,
    show_default=True,
    help="Share of the bytes read in training that are replaced by others of the text; "
    "0.05 where each byte is read fifty times.",
)
@click.option(
    "--weight-decay", default=1.0, show_default=True, help="Of matrices, as AdamW takes it."
)
@click.option("--steps", default=1000, show_default=True, help="Steps of the optimiser.")
@click.option("--batch", default=16, show_default=True, help="Windows a step.")
@click.option("--window", default=128, show_default=True, help="Bytes a window.")
@click.option("--rate", default=6e-3, show_default=True, help="Highest learning rate.")
@click.option("--evaluate", default=100, show_default=True, help="Steps between validations.")
@click.option(
    "--seed", default=0, show_default=True, help="Of weights, windows, noise and dropout."
)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--bfloat16", is_flag=True, help="Multiply matrices in bfloat16.")
@click.option(
    "--checkpoint", type=_PATH, help="To go on from: written at every validation and on Ctrl-C."
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint.")
@output_options
def train_command(
    text: Path,
    out: Path,
    features: int,
    layers: int,
    variant: str,
    firing: str,
    mixing: str,
    threshold: float,
    feedback: int | None,
    dropout: float,
    noise: float,
    weight_decay: float,
    steps: int,
    batch: int,
    window: int,
    rate: float,
    evaluate: int,
    seed: int,
    device: str,
    bfloat16: bool,
    checkpoint: Path | None,
    resume: bool,
    output: Output,
) -> int:
    """Train a model on TEXT and write it to OUT (.npz).

    The first 86 per cent of the text train, the next 4 choose the best weights, the last 10
    test them.
    """
    need_torch(device)
    check_writable(out)
    if resume and checkpoint is None:
        raise click.UsageError("--resume needs --checkpoint")
    if features < HEADS or features % HEADS:
        rule = f"must be a multiple of {HEADS}, for the {HEADS} astrocytes of a block"
        raise InvalidInput("--features", rule, got=features, fix="use e.g. 64")
    if not 0 <= dropout < 1:
        raise InvalidInput("--dropout", "must lie in [0, 1)", got=dropout, fix="use e.g. 0.1")
    if layers < 1:
        raise InvalidInput("--layers", "must be at least 1", got=layers, fix="use 1 or more")
    from spikecore.astro import ByteModel, LanguageTraining, ModelSizes, Recipe

    sizes = ModelSizes(
        features=features,
        layers=layers,
        size=features,
        hidden=2 * features,
        heads=HEADS,
        d_k=features // HEADS,
        variant=variant,
        firing=firing,
        dropout=dropout,
        clock=True,
        read_gate=True,
        mix_gate=mixing == "lif",
        mixing=mixing,
        threshold=threshold,
        feedback=_feedback(feedback, mixing),
        tied=False,
    )
    recipe = Recipe(
        steps=steps,
        batch=batch,
        ticks=window,
        rate=rate,
        evaluate=evaluate,
        save=evaluate,
        seed=seed,
        noise=noise,
        weight_decay=weight_decay,
    )
    model = ByteModel(sizes, seed=seed)
    training = LanguageTraining(
        model,
        _read(text),
        recipe,
        device=device,
        bfloat16=bfloat16,
        checkpoint=checkpoint,
        resume=resume,
    )
    show = not (output.quiet or output.as_json)
    with (
        deferred_interrupts() as stop,
        progress_bar("training", steps - training.done, enabled=show) as on,
    ):
        complete = training.run(on, stop)
    if not complete:
        return _interrupted(training, out, checkpoint, output)
    bits = training.test_bits()
    model.save(out)
    rates = model.rates
    firing_share = sum(map(sum, rates)) / (2 * len(rates))
    output.answer(
        f"{out}: {bits:.3f} bits a byte on the last tenth of {text}, "
        f"{firing_share:.0%} of neurons firing a byte",
        {
            "complete": True,
            "file": str(out),
            "steps": training.done,
            "bits_a_byte": bits,
            "firing_rates": rates,
        },
    )
    return 0


def _feedback(asked: int | None, mixing: str) -> int:
    """Return how many neurons a group has."""
    if asked and mixing == "gated":
        rule = "does not go with --mixing gated, whose neurons all hear one another"
        raise InvalidInput("--feedback", rule, got=asked, fix="leave one of them out")
    usual = 8 if mixing == "lif" else 0
    return usual if asked is None else asked


def _interrupted(
    training: LanguageTraining, out: Path, checkpoint: Path | None, output: Output
) -> int:
    """Say how to go on; without a checkpoint, keep the best weights so far in ``out``."""
    file = ""
    if checkpoint:
        kept = f"go on with --resume --checkpoint {checkpoint}"
    elif training.take_best():
        training.model.save(out)
        file, kept = str(out), f"{out} has the best weights so far"
    else:
        kept = "nothing was validated yet, so nothing is kept"
    output.answer(
        f"interrupted after {training.done} of {training.recipe.steps} steps: {kept}",
        {
            "complete": False,
            "steps": training.done,
            "checkpoint": str(checkpoint or ""),
            "file": file,
        },
    )
    return 130


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileRefused(str(path), "does not exist", fix="check the path") from None
    except OSError as error:
        fix = "choose another file"
        raise FileRefused(str(path), f"cannot be read: {error.strerror}", fix=fix) from error
