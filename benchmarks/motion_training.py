"""Training of motion kernels on a GPU: time, accuracy on the published task, pruning.

    python benchmarks/motion_training.py ship --seeds 5 --out DIR     # the model that ships
    python benchmarks/motion_training.py paper --images DIR           # the published task
    python benchmarks/motion_training.py clouds --images DIR          # Motion Clouds
    python benchmarks/motion_training.py speed                        # a step of the protocol

Needs torch with CUDA (``--device cpu`` works, slowly) and, for `paper`, at least 20 pictures:
four fifths to train on, the rest to test on. Writes benchmarks/results/motion_*.json.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from machine import machine, write_json

from spikecore.motifs.bank import ImageBank
from spikecore.motifs.dense import DelayConv
from spikecore.motifs.images import load_images, whiten
from spikecore.motifs.kernel import DelayKernel
from spikecore.motifs.labels import LADDER_CLASSES, PAPER_CLASSES
from spikecore.motifs.protocol import score
from spikecore.motifs.scenes import (
    LadderScenes,
    Movies,
    NaturalScenes,
    difference_events,
)
from spikecore.motifs.textures import motion_clouds
from spikecore.motifs.training import Recipe, Trainer
from spikecore.motifs.workflow import LADDER, PAPER, Training

FACTORS = (3.2, 10, 31, 62, 115, 200, 310, 670, 1340)
SHAPE = (200, 128, 128)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("ship", "paper", "clouds", "speed"))
    parser.add_argument("--images", help="folder of pictures; default: the packaged ones")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--movies", type=int, default=200)
    parser.add_argument("--steps", type=int, default=PAPER.recipe.steps)
    parser.add_argument("--out", type=Path, default=Path(), help="where kernels go")
    arguments = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    globals()[arguments.what](arguments)


def card(device):
    return {
        **machine(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if device != "cpu" else None,
    }


def note(started, *text):
    print(f"[{time.perf_counter() - started:6.1f} s]", *text, flush=True)


def trained(plan, scenes, device):
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    training = Training(plan, scenes, device=device)
    kernel = training.run(lambda _steps: None)
    return kernel, time.perf_counter() - start, training.trainer.losses


def held_out_loss(kernel, scenes, device, seed=987):
    """Mean loss of voxels and of pooled decisions, on scenes that no training saw."""
    recipe = Recipe(steps=1, movies=256, reuse=1, voxels=65536, skip=3, pooled=1.0, seed=seed)
    judge = Trainer(scenes, recipe, kernel, device=device)
    with torch.no_grad():
        patches, labels, weights, steady = judge._sample(judge._draw_movies())
        evidence = judge._evidence(patches)
        each = -(torch.log_softmax(evidence, 1) * labels).sum(1)
        pooled = judge._pooled_loss(evidence, labels, weights, steady)
        return {"voxel": float((each * weights).mean()), "pooled": float(pooled)}


def ship(arguments):
    """Train the model that ships, several seeds; the least held-out pooled loss wins."""
    begun, device = time.perf_counter(), arguments.device
    scenes = LadderScenes.of(load_images(arguments.images), device)
    note(begun, "scenes ready")
    other = LadderScenes.of(load_images(arguments.images)[:, ::-1].copy(), device)
    runs = []
    for seed in range(arguments.seeds):
        kernel, seconds, losses = trained(LADDER.with_seed(seed), scenes, device)
        kernel.save(arguments.out / f"ladder_{seed}.npz")
        runs.append(
            {
                "seed": seed,
                "seconds": seconds,
                "synapses": kernel.synapses,
                "losses": losses,
                "held_out": held_out_loss(kernel, other, device),
            }
        )
        note(begun, {k: v for k, v in runs[-1].items() if k != "losses"})
    best = min(runs, key=lambda run: run["held_out"]["pooled"])
    write_json("motion_ship.json", {"machine": card(device), "runs": runs, "best": best["seed"]})


def movies_of(bank, count, switch, seed=77):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    scenes = NaturalScenes(bank, SHAPE, switch)
    return [scenes.draw(min(8, count - i), generator) for i in range(0, count, 8)]


def banks(arguments):
    pictures = whiten(load_images(arguments.images))
    split = len(pictures) * 4 // 5
    return ImageBank(pictures[:split], arguments.device), ImageBank(
        pictures[split:], arguments.device
    )


def paper(arguments):
    """The published task: accuracy on unseen images, and what pruning does to it."""
    begun, device = time.perf_counter(), arguments.device
    seen, unseen = banks(arguments)
    scenes = NaturalScenes(seen)
    constant = movies_of(unseen, arguments.movies, 0.0)
    switching = movies_of(unseen, arguments.movies // 2, 1 / 24, 78)
    density = float(np.mean([m.events.abs().float().mean().cpu() for m in constant])) / 2
    note(begun, "test movies ready, density", round(density, 3))
    results = {
        "machine": card(device),
        "density": density,
        "movies": arguments.movies,
        "images": [len(seen), len(unseen)],
        "seeds": [],
    }

    def accuracy(kernel):
        return score(kernel, constant, device, 4).movie

    for seed in range(arguments.seeds):
        plan = replace(PAPER, recipe=replace(PAPER.recipe, steps=arguments.steps)).with_seed(seed)
        kernel, seconds, _ = trained(plan, scenes, device)
        found = {
            "seed": seed,
            "seconds": seconds,
            "constant": asdict(score(kernel, constant, device, 4)),
            "switching": asdict(score(kernel, switching, device, 4)),
        }
        factors = FACTORS if seed == 0 else (31, 115, 310, 670)
        found["pruned"] = {str(f): accuracy(kernel.pruned(f)) for f in factors}
        kernel.save(arguments.out / f"paper_{seed}.npz")
        results["seeds"].append(found)
        note(begun, found)
        retrain = replace(plan.recipe, steps=2000, rate=1e-3, seed=seed + 1000)
        found["retrained"] = {
            str(f): retrained(scenes, retrain, kernel.pruned(f), constant, device)
            for f in (115, 310, 670)
        }
        note(begun, "retrained", found["retrained"])
        if seed == 0:  # what loses, once and on half the movies
            half = constant[: len(constant) // 2]
            found["structured"] = {
                str(f): score(kernel.pruned(f, structured=True), half, device, 4).movie
                for f in FACTORS[1:7]
            }
            found["structured_retrained"] = {
                str(f): retrained(scenes, retrain, kernel.pruned(f, structured=True), half, device)
                for f in (31, 115)
            }
            found["delays"] = {
                str(d): score(kernel.shortened(d), half, device, 4).movie
                for d in (3, 5, 7, 9, 12, 15, 19)
            }
            note(begun, found["structured"], found["structured_retrained"], found["delays"])
        write_json("motion_paper.json", results)


def retrained(scenes, recipe, kernel, movies, device):
    """Accuracy and seconds of retraining with the zeros held at zero."""
    trainer = Trainer(scenes, recipe, kernel, fixed=True, device=device)
    start = time.perf_counter()
    trainer.run()
    seconds = time.perf_counter() - start
    return {"movie": score(trainer.result(), movies, device, 4).movie, "seconds": seconds}


def clouds(arguments):
    """Motion Clouds, with their texture across the motion or at random (the aperture problem)."""
    begun, device = time.perf_counter(), arguments.device
    kernel = DelayKernel.load(arguments.out / "paper_0.npz")
    scans = {
        "frequency": [0.15 * 8.0**e for e in np.linspace(-0.7, 1.3, 6)],
        "bandwidth": [0.15 * 10.0**e for e in np.linspace(-1, 1, 6)],
        "orientation_spread": [np.pi / 12 * 4.0**e for e in np.linspace(-1.5, 0.5, 6)],
        "speed_spread": [0.05 * 10.0**e for e in np.linspace(-1, 1, 6)],
    }
    results = {"machine": card(device), "movies": arguments.movies // 5, "scans": {}}
    for name, values in scans.items():
        rows = []
        for value in values:
            options = {name: value} | ({"bandwidth": value} if name == "frequency" else {})
            row = {"value": value}
            for free in (False, True):
                row["aperture" if free else "across"] = cloud_score(
                    kernel, options, free, arguments
                )
            rows.append(row)
        results["scans"][name] = rows
        note(begun, name, [(round(r["value"], 3), r["across"], r["aperture"]) for r in rows])
    write_json("motion_clouds.json", results)


def cloud_score(kernel, options, free, arguments):
    generator = torch.Generator().manual_seed(5)
    right = []
    velocities = NaturalScenes.velocities(NaturalScenes(None))
    for _ in range(0, arguments.movies // 5, 5):
        chosen = torch.randint(36, (5,), generator=generator)
        angle = torch.rand(5, generator=generator) * 2 * np.pi if free else None
        movie = motion_clouds(
            velocities[chosen].to(arguments.device), SHAPE, generator, orientation=angle, **options
        )
        change = movie[:, 1:] - movie[:, :-1]
        events = difference_events(movie, change.flatten(1).std(1))
        labels = torch.nn.functional.one_hot(chosen, 36).float()[:, None].expand(5, SHAPE[0], 36)
        velocity = velocities[chosen][:, None].expand(5, SHAPE[0], 2)
        found = score(kernel, [Movies(events, labels.contiguous(), velocity)], arguments.device, 5)
        right.append(found.movie)
    return float(np.mean(right))


def speed(arguments):
    """What one step costs, for the shipped recipe and for every voxel of the paper's movies."""
    begun, device = time.perf_counter(), arguments.device
    bank = ImageBank(whiten(load_images(arguments.images))[:20], device)
    found = {"machine": card(device)}

    def timed(step, count):
        for _ in range(3):
            step()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            step()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / count * 1e3

    kernel = DelayKernel.initial(36)
    large = NaturalScenes(bank, SHAPE)
    sampled = Trainer(
        large,
        Recipe(steps=10**6, movies=16, reuse=16, voxels=16384, gated=False, background=1.0),
        kernel,
        device=device,
    )
    found["sampled_16384_of_a_movie_ms"] = timed(lambda: sampled.run(until=sampled.step + 1), 160)
    note(begun, found)
    layer = DelayConv(kernel).to(device)
    adam = torch.optim.Adam(layer.parameters(), 2e-4, fused=True)
    generator = torch.Generator().manual_seed(0)
    store = []

    def every_voxel():
        if not store:
            drawn = large.draw(16, generator)
            store.extend(zip(drawn.events, drawn.labels.argmax(-1), strict=True))
        events, label = store.pop()
        evidence = layer(torch.stack([events < 0, events > 0])[None])
        wanted = label[None, :, None, None].expand(evidence.shape[:1] + evidence.shape[2:])
        loss = torch.nn.functional.cross_entropy(evidence, wanted)
        adam.zero_grad()
        loss.backward()
        adam.step()

    found["every_voxel_ms"] = timed(every_voxel, 32)
    for name in ("sampled_16384_of_a_movie_ms", "every_voxel_ms"):
        found[name.replace("_ms", "_80000_steps_min")] = found[name] * 80_000 / 60_000
    note(begun, json.dumps(found, indent=1))
    write_json("motion_speed.json", found)


if __name__ == "__main__":
    assert PAPER_CLASSES.count == 36
    assert LADDER_CLASSES.count == 38
    main()
