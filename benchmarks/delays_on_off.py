"""What learned delays are worth: the same training with delays on and off.

Two tasks. "volleys", generated: 700 channels in 14 bands; every class fires the same
volleys in another order, so that only relative timing tells 20 classes apart. "digits":
N-MNIST recordings, 480 to train and 60 to test, from a folder that is given.

    python benchmarks/delays_on_off.py                                # volleys
    python benchmarks/delays_on_off.py --task digits --data FOLDER
    python benchmarks/delays_on_off.py --quick                        # a minute, writes nothing
    python benchmarks/delays_on_off.py --device cuda --seeds 10 --hidden 128 --epochs 60
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import RESULTS, machine, one_line, write_json
from torch import Tensor

from spikecore import LIF, Delta, Quantity, ms, mV, nn, run
from spikecore.data import read_events
from spikecore.progress import progress_bar

SCALE = 15 * mV  # from rest to threshold
BATCH = 64


@dataclass(frozen=True)
class Task:
    """Spikes (ticks, samples, channels) as bytes, and labels."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    classes: int
    dt: float
    longest: int  # delay, ticks


@dataclass(frozen=True)
class Arm:
    """One way of using delays; ``wide`` multiplies the hidden neurons."""

    name: str
    delays: str
    wide: int = 1


ARMS = (
    Arm("learned delays", "learned"),
    Arm("random delays, as many neurons", "random"),
    Arm("random delays, as many parameters", "random", 2),
    Arm("no delays, as many neurons", "none"),
    Arm("no delays, as many parameters", "none", 2),
    Arm("no delays, twice the parameters", "none", 4),
)


# -- volleys ------------------------------------------------------------------------------


def volleys(seed: int, train: int, test: int) -> Task:
    """Draw classes and samples.

    A class is an order of 14 bands of 50 channels, one volley every 5 ms. In a sample the
    first volley starts within 20 ms, each volley and each of its spikes is moved (standard
    deviation 1 ms each), a channel takes part with probability 0.3; three volleys of
    random bands at random times and 70 single spikes distract.
    """
    rng = np.random.default_rng(seed)
    classes, bands, size, slot, ticks = 20, 14, 50, 5.0, 100
    order = np.stack([rng.permutation(bands) for _ in range(classes)])
    labels = np.arange(train + test) % classes
    spikes = np.zeros((ticks, labels.size, bands * size), np.uint8)
    for sample, label in enumerate(labels):
        at = order[label] * slot + rng.uniform(0, 20) + rng.normal(0, 1, bands)
        band = np.append(np.arange(bands), rng.integers(0, bands, 3))
        at = np.append(at, rng.uniform(0, ticks, 3))
        which, channel = np.nonzero(rng.random((band.size, size)) < 0.3)
        when = at[which] + rng.normal(0, 1, which.size)
        where = band[which] * size + channel
        when = np.append(when, rng.uniform(0, ticks, 70)).astype(int)
        where = np.append(where, rng.integers(0, bands * size, 70))
        inside = (when >= 0) & (when < ticks)
        spikes[when[inside], sample, where[inside]] = 1
    data, target = torch.as_tensor(spikes), torch.as_tensor(labels)
    parts = (data[:, :train], target[:train], data[:, train:], target[train:])
    return Task(*parts, classes, 1.0, 30)


# -- digits -------------------------------------------------------------------------------


def digits(folder: Path) -> Task:
    """Read N-MNIST: 17 x 17 pixels, two polarities, 105 ticks of 3 ms."""
    found: dict[str, list[tuple[np.ndarray, int]]] = {"Train": [], "Test": []}
    with (folder / "index.csv").open() as index:
        rows = [row for row in csv.DictReader(index) if row["dataset"] == "nmnist"]
    for row in rows:
        events = read_events(folder / row["path"])
        volume = np.zeros((105, 2, 17, 17), np.uint8)
        when = np.minimum(events.t // 3000, 104)
        volume[when, events.p, events.y // 2, events.x // 2] = 1
        found[row["path"].split("/")[1]].append((volume.reshape(105, -1), int(row["label"])))
    parts = []
    for name in ("Train", "Test"):
        parts.append(torch.as_tensor(np.stack([volume for volume, _ in found[name]], 1)))
        parts.append(torch.as_tensor([label for _, label in found[name]]))
    return Task(*parts, 10, 3.0, 20)


# -- training -----------------------------------------------------------------------------


def build(task: Task, arm: Arm, hidden: int) -> torch.nn.Sequential:
    """Return one hidden layer and a readout, both behind synapses with or without delays."""
    dt, size = task.dt * ms, hidden * arm.wide
    longest = (1 if arm.delays == "none" else task.longest) * dt
    how: dict[str, Any] = {"scale": SCALE, "dt": dt, "learn_delays": arm.delays == "learned"}
    tau_m = Quantity(task.dt * np.geomspace(3, 30, size), "time")  # short and long memories
    return torch.nn.Sequential(
        nn.DelayedLinear(task.train.shape[2], size, longest, **how),
        nn.LIF(size, LIF(tau_m=tau_m, synapse=Delta()), dt=dt, learn=["tau_m"]),
        nn.DelayedLinear(size, task.classes, longest, **how),
        nn.LeakyIntegrator(task.classes, LIF(tau_m=20 * dt, synapse=Delta()), dt=dt),
    )


def scores(model: torch.nn.Module, spikes: Tensor) -> Tensor:
    """Return class scores: the readout's mean membrane, in units of the threshold."""
    return model(spikes.float()).mean(0) / float(SCALE.to(mV))


def train(
    task: Task, arm: Arm, options: argparse.Namespace, seed: int, advance: Callable[[int], None]
) -> dict[str, Any]:
    """Train one model; test it once, at the end, with whole delays."""
    torch.manual_seed(seed)
    device = torch.device(options.device)
    model = build(task, arm, options.hidden).to(device)
    delays = [p for name, p in model.named_parameters() if name.endswith("delay")]
    others = [p for name, p in model.named_parameters() if not name.endswith("delay")]
    groups = [{"params": others, "lr": options.rate}, {"params": delays, "lr": 0.2}]
    adam = torch.optim.Adam([group for group in groups if group["params"]])
    whole = max(1, options.epochs * 4 // 5)  # then the delays are rounded, and weights adapt
    annealing = nn.DelayAnnealing(model, whole) if delays else None
    spikes, labels = task.train.to(device), task.train_labels.to(device)
    began = time.perf_counter()
    losses = []
    for epoch in range(options.epochs):
        if annealing and epoch == whole:
            annealing.finish()
        total = 0.0
        for batch in torch.randperm(len(labels)).to(device).split(BATCH):
            loss = torch.nn.functional.cross_entropy(scores(model, spikes[:, batch]), labels[batch])
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            total += float(loss.detach()) * len(batch)
        losses.append(total / len(labels))
        if annealing:
            annealing.step()
        advance(1)
    seconds = time.perf_counter() - began
    if annealing:
        annealing.finish()  # where there was but one epoch
    model.eval()
    return {
        "arm": arm.name,
        "seed": seed,
        "hidden": options.hidden * arm.wide,
        "parameters": sum(p.numel() for p in model.parameters()),
        "accuracy": accuracy(model, task.test, task.test_labels, device),
        "training_accuracy": accuracy(model, task.train, task.train_labels, device),
        "losses": [round(loss, 4) for loss in losses],
        "seconds": round(seconds, 1),
        "network": as_network(model, task),
    }


@torch.no_grad()
def accuracy(model: torch.nn.Module, spikes: Tensor, labels: Tensor, device: torch.device) -> float:
    """Return the share of samples whose class scores highest."""
    right = 0
    for batch in torch.arange(len(labels)).split(BATCH):
        found = scores(model, spikes[:, batch].to(device)).argmax(1).cpu()
        right += int((found == labels[batch]).sum())
    return right / len(labels)


@torch.no_grad()
def as_network(model: torch.nn.Sequential, task: Task, samples: int = 3) -> dict[str, Any]:
    """Run the first test samples event by event and compare spikes with the model's."""
    model = model.cpu().double().eval()
    ticks, different, fired = len(task.test), 0, 0
    for sample in range(samples):
        spikes = task.test[:, sample : sample + 1].double()
        train = nn.tensor_to_train(spikes[:, 0], task.dt * ms)
        result = run(nn.to_network(model, train), ticks * task.dt * ms)
        hidden = model[1](model[0](spikes))[:, 0]
        found = nn.spikes_to_tensor(result.spikes["layer1"], ticks, hidden.shape[1])
        different += int((found.double() != hidden).sum())
        fired += int(hidden.sum())
    return {"samples": samples, "hidden_spikes": fired, "different": different}


# -- tables -------------------------------------------------------------------------------


def markdown(data: dict[str, Any], runs: list[dict[str, Any]]) -> str:
    """Return the table of one task."""
    seeds = len({run["seed"] for run in runs})
    lines = [
        f"# Delays on and off: {data['task']}",
        "",
        f"{one_line(data['machine'])}, torch {data['torch']}, on {data['device']}. "
        f"{data['seconds'] / 60:.1f} minutes.",
        "",
        f"{data['train']:,} samples to train, {data['test']} to test, {data['options']['epochs']} "
        f"epochs, {seeds} seeds. Per cent right,",
        "mean ± standard error over the seeds; tested once, with whole delays. Random delays are",
        f"not learned. Chance is {100 / data['classes']:.0f} per cent.",
        "",
        "| | hidden neurons | parameters | test | training | seconds a run |",
        "|---|---|---|---|---|---|",
    ]
    for arm in ARMS:
        own = [run for run in runs if run["arm"] == arm.name]
        cells = [arm.name, f"{own[0]['hidden']}", f"{own[0]['parameters']:,}"]
        cells += [percent([run[key] for run in own]) for key in ("accuracy", "training_accuracy")]
        cells += [f"{np.mean([run['seconds'] for run in own]):.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    fired = sum(run["network"]["hidden_spikes"] for run in runs)
    wrong = sum(run["network"]["different"] for run in runs)
    middle = np.mean([run["accuracy"] for run in runs])
    alone = 100 * np.sqrt(middle * (1 - middle) / data["test"])
    lines += [
        "",
        f"The size of the test set alone gives a run a standard error of about {alone:.1f} points;",
        "seeds that share a test set share that error, and it is not in the table.",
        "",
        f"Each trained model also ran as a network, event by event, on three test samples: "
        f"{wrong} of {fired:,} hidden spikes differ from the model's.",
    ]
    return "\n".join(lines) + "\n"


def percent(values: list[float]) -> str:
    """Return mean and standard error in per cent."""
    if len(values) == 1:
        return f"{100 * values[0]:.1f}"
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{100 * np.mean(values):.1f} ± {100 * error:.1f}"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--task", choices=("volleys", "digits"), default="volleys")
    parser.add_argument("--data", type=Path, help="folder with index.csv and NMNIST/")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate of weights")
    parser.add_argument("--samples", type=int, default=1000, help="volleys to train with")
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--quick", action="store_true", help="one seed, writes nothing")
    return parser.parse_args()


def main() -> None:
    """Run, print, and (unless quick) write."""
    options = parse()
    torch.set_num_threads(options.threads)
    if options.quick:
        options.seeds, options.epochs, options.samples = 1, min(options.epochs, 8), 400
    if options.task == "digits":
        if options.data is None or not (options.data / "index.csv").exists():
            print("skipped: the digits need --data FOLDER with index.csv and NMNIST/")
            return
        tasks = [digits(options.data)] * options.seeds
    else:
        tasks = [volleys(seed, options.samples, 400) for seed in range(options.seeds)]
    began = time.perf_counter()
    with progress_bar("epochs", len(ARMS) * options.seeds * options.epochs) as advance:
        runs = [
            train(task, arm, options, seed, advance)
            for seed, task in enumerate(tasks)
            for arm in ARMS
        ]
    asked = {name: value for name, value in vars(options).items() if name != "data"}
    on_gpu = torch.device(options.device).type == "cuda"
    data: dict[str, Any] = {
        "machine": machine(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if on_gpu else "the CPU",
        "task": options.task,
        "options": asked,
        "classes": tasks[0].classes,
        "train": len(tasks[0].train_labels),
        "test": len(tasks[0].test_labels),
        "seconds": round(time.perf_counter() - began, 1),
    }
    text = markdown(data, runs)
    print(text)
    if options.quick:
        return
    name = f"delays_{options.task}"
    print("wrote", write_json(f"{name}.json", data | {"runs": runs}))
    path = RESULTS / f"{name}.md"
    path.write_text(text)
    print("wrote", path)


if __name__ == "__main__":
    main()
