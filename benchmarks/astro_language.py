"""A small language model of astrocyte-modulated blocks, a GRU and a transformer, as large each.

Same text, windows, steps, schedule and dropout; of each the weights that did best on a validation
part are tested, once. Then: time and memory a byte against the length of what was read before.

    python benchmarks/astro_language.py TEXT --quick                              # minutes, a CPU
    python benchmarks/astro_language.py TEXT --device cuda --bfloat16 --graph     # an NVIDIA GPU
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from language_peers import GRU, Transformer, count, fitted
from machine import RESULTS, machine
from torch import nn

from spikecore.astro.language import ByteModel, ModelSizes, generate
from spikecore.astro.training import LanguageTraining, Recipe
from spikecore.interrupts import StopRequest, deferred_interrupts
from spikecore.progress import OnProgress, progress_bar

CONTEXTS = (512, 2048, 8192, 16384, 32768, 65536)
RATES = {"gru": 4e-3, "gru1": 6e-3, "transformer": 3e-3}


def built(name: str, sizes: ModelSizes, target: int | None = None) -> nn.Module:
    """Return a model by name: gru, gru1 (one layer), transformer, or a spiking one.

    Spiking ones are a variant and a kind of spike joined by a hyphen, e.g. delta-binary;
    delta-graded-gated has gates, clock and a readout of its own, and fewer mixing neurons for it;
    delta-graded-recurrent has clock, read gate and blocks whose neurons hear one another.
    """
    drop, width = sizes.dropout, sizes.features
    group = sizes.feedback or 1
    plain = replace(sizes, feedback=0)
    fixed, target = target is not None, target or count(ByteModel(plain))
    peers: dict[str, Callable[[int], nn.Module]] = {
        "gru": lambda h: GRU(h, 2, width, drop),
        "gru1": lambda h: GRU(h, 1, width, drop),
        "transformer": lambda h: Transformer(h, width, sizes.layers, sizes.heads, drop),
    }
    if name in peers:
        return fitted(peers[name], target)
    variant, firing, *kind = name.split("-")
    sizes = replace(sizes, variant=variant, firing=firing)
    if kind == ["recurrent"]:
        group = 4
        sizes = replace(sizes, clock=True, read_gate=True, tied=False, mixing="gated", feedback=0)
    elif kind:
        sizes = replace(sizes, clock=True, read_gate=True, mix_gate=True, tied=False)
    elif not fixed:
        return ByteModel(sizes)
    whole = lambda hidden: max(group, hidden // group * group)  # noqa: E731 - whole groups
    return fitted(lambda hidden: ByteModel(replace(sizes, hidden=whole(hidden))), target)


def train(
    name: str, text: bytes, sizes: ModelSizes, recipe: Recipe, given: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train a model, once for each seed and all of them at once; return rows of results."""
    usual = RATES.get(name, recipe.rate)
    rate = given.peer_rate if given.peer_rate and name in RATES else usual
    graph = given.graph and not name.startswith("gru")
    trainings = []
    for seed in given.seeds:
        torch.manual_seed(seed)
        checkpoint = given.out / f"astro_language_{name}_{seed}.checkpoint.npz"
        training = LanguageTraining(
            built(name, sizes, given.parameters),
            text,
            replace(recipe, rate=rate, seed=seed),
            device=given.device,
            bfloat16=given.bfloat16,
            graph=graph,
            checkpoint=None if given.no_checkpoint else checkpoint,
            resume=given.resume and checkpoint.exists(),
        )
        trainings.append(training)
    first = sum(training.done for training in trainings)
    steps = recipe.steps * len(trainings)
    begin = time.perf_counter()
    with deferred_interrupts() as stop, progress_bar(name, steps - first) as on:
        complete = all(run_all(trainings, on, stop))
    synchronize(given.device)
    seconds = time.perf_counter() - begin
    taken = sum(training.done for training in trainings) - first
    speed = {
        "seconds": round(seconds, 1),
        "bytes_a_second": round(taken * recipe.batch * recipe.ticks / seconds),
    }
    rows = [row_of(name, training, given) | speed for training in trainings]
    for row in rows:
        print(json.dumps({k: v for k, v in row.items() if k != "curve"}), flush=True)
    if given.contexts and not stop:
        rows[0]["stream"] = against_context(trainings[0].model, given.device)
        print(name, json.dumps(rows[0]["stream"]), flush=True)
    if not complete:
        sys.exit(130)
    return rows


def run_all(
    trainings: list[LanguageTraining], on: OnProgress, stop: StopRequest | None
) -> list[bool]:
    """Run trainings to their end, several in a thread and on a CUDA stream each."""
    if len(trainings) == 1:
        return [trainings[0].run(on, stop)]

    def run(training: LanguageTraining) -> bool:
        if not training.train.is_cuda:
            return training.run(on, stop)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.default_stream())
        with torch.cuda.stream(stream):
            complete = training.run(on, stop)
        stream.synchronize()
        return complete

    with ThreadPoolExecutor(len(trainings)) as pool:
        return list(pool.map(run, trainings))


def row_of(name: str, training: LanguageTraining, given: argparse.Namespace) -> dict[str, Any]:
    """Return what a training came to; write its model to a file."""
    model, recipe, curve = training.model, training.recipe, training.curve
    complete = training.done == recipe.steps
    row: dict[str, Any] = {
        "model": name,
        "seed": recipe.seed,
        "parameters": count(model),
        "complete": complete,
        "steps": training.done,
        "rate": recipe.rate,
        "curve": {k: [round(v, 4) for v in values] for k, values in asdict(curve).items()},
    }
    if complete:
        row["validation"] = min(curve.validation)
        row["test"] = training.test_bits()
    if isinstance(model, ByteModel):
        row["sizes"] = asdict(model.sizes)
        row["firing_rates"] = [[round(r, 4) for r in rates] for rates in model.eval().rates]
        if model.sizes.variant != "none":
            row["tau_a"] = [[round(t, 1) for t in b.unit.tau_a.tolist()] for b in model.blocks]
        if complete:
            model.save(given.out / f"astro_language_{name}_{recipe.seed}.npz")
            row["sample"] = generate(model, b"ROMEO:\n", 300).decode("latin-1")
    return row


@torch.no_grad()
def against_context(model: nn.Module, device: str) -> list[dict[str, float]]:
    """Return milliseconds and state a byte after contexts of growing length."""
    model.eval()
    contexts = CONTEXTS
    draw = torch.Generator().manual_seed(0)
    text = torch.randint(97, 123, (contexts[-1], 1), generator=draw).to(device)
    states, state, done = [], model.start(1) if isinstance(model, ByteModel) else model.start(), 0
    for length in contexts:
        while done < length:
            # a transformer may take a first piece of any length, then one byte at a time
            if isinstance(model, nn.Module) and type(model).__name__ == "Transformer":
                state, done = model.stream(text[:length], model.start())[1], length
            else:
                _, state = model.stream(text[done : done + 512], state)
                done += 512
        states.append(state)
    spent: list[list[float]] = [[] for _ in contexts]
    peak = [0] * len(contexts)
    byte = text[:1]
    repeats = 40
    for _ in range(repeats):  # round by round, so that a slow moment meets all contexts
        for i, at in enumerate(states):
            synchronize(device)
            if device != "cpu":
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
            begin = time.perf_counter() if device != "cpu" else time.process_time()
            now = at
            for _ in range(8):
                now = model.stream(byte, now)[1]
            synchronize(device)
            end = time.perf_counter() if device != "cpu" else time.process_time()
            spent[i].append((end - begin) / 8 * 1e3)
            if device != "cpu":
                peak[i] = torch.cuda.max_memory_allocated() - before
    return [
        {
            "context": length,
            "ms_a_byte": round(statistics.median(times), 4),
            "state_bytes": size_of(at),
            "working_bytes": used,
        }
        for length, times, at, used in zip(contexts, spent, states, peak, strict=True)
    ]


def size_of(state: Any) -> int:
    """Return the bytes of all tensors in a nest of tuples and lists."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    return sum(size_of(part) for part in state or ())


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def seeds(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--models", default="delta-graded,delta-binary,gru,transformer")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--graph", action="store_true", help="replay steps as CUDA graphs")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--ticks", type=int, default=512)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--size", type=int, help="neurons of a unit; default --features")
    parser.add_argument("--hidden", type=int, help="mixing neurons; default twice --features")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--d-k", type=int, help="length of keys; default features / heads")
    parser.add_argument("--feedback", type=int, default=0, help="mixing neurons of a group, or 0")
    parser.add_argument("--threshold", type=float, default=0.1, help="of neurons with gates")
    parser.add_argument("--parameters", type=int, help="fit all models to so many")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--rate", type=float, default=6e-3)
    parser.add_argument("--peer-rate", type=float, help="of GRU and transformer")
    parser.add_argument("--noise", type=float, default=0.0, help="share of bytes replaced")
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--seeds", type=seeds, default=(0,), help="e.g. 0,1,2: all at once")
    parser.add_argument("--evaluate", type=int, default=200)
    parser.add_argument("--contexts", action="store_true", help="measure time and memory a byte")
    parser.add_argument("--only", type=Path, help="a model on file: measure that, train nothing")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--no-checkpoint", action="store_true")
    parser.add_argument("--quick", action="store_true", help="small models, few steps")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--name", default="astro_language")
    given = parser.parse_args()
    if given.quick:
        given.features, given.layers, given.steps, given.batch = 32, 1, 60, 8
        given.ticks, given.evaluate = 128, 30
    return given


def main() -> None:
    given = arguments()
    torch.set_float32_matmul_precision("high")
    width = given.features
    sizes = ModelSizes(
        features=width,
        layers=given.layers,
        size=given.size or width,
        hidden=given.hidden or 2 * width,
        heads=given.heads,
        d_k=given.d_k or width // given.heads,
        dropout=given.dropout,
        feedback=given.feedback,
        threshold=given.threshold,
    )
    recipe = Recipe(
        steps=given.steps,
        batch=given.batch,
        ticks=given.ticks,
        rate=given.rate,
        evaluate=given.evaluate,
        save=max(500, given.evaluate),
        noise=given.noise,
        weight_decay=given.weight_decay,
    )
    if given.only:
        measured = against_context(ByteModel.load(given.only).to(given.device), given.device)
        data = {"machine": machine(), "model": given.only.name, "stream": measured}
        path = given.out / f"{given.name}.json"
        path.write_text(json.dumps(data, indent=1) + "\n")
        print(json.dumps(measured, indent=1))
        return
    text = given.text.read_bytes()
    found = machine() | {"torch": torch.__version__}
    if given.device != "cpu":
        found["gpu"] = torch.cuda.get_device_name()
    results = {"machine": found, "sizes": asdict(sizes), "recipe": asdict(recipe), "models": []}
    for name in given.models.split(","):
        results["models"] += train(name, text, sizes, recipe, given)
        path = given.out / f"{given.name}.json"
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
