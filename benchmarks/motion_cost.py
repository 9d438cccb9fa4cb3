"""What event-by-event evaluation gains over a dense convolution, against pruning and density.

    python benchmarks/motion_cost.py --kernel paper.npz --recording FILE --sensor WxH

One core, CPU time, medians. The dense layer is torch's, by Fourier transforms and as a direct
convolution, whichever is faster; it computes every voxel. The sparse layer computes the voxels
with events. `paper.npz` comes from `spikecore motion train --task paper`; without it, random
weights under the mask are used. Writes benchmarks/results/motion_cost.json and .png.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import machine, one_line, write_json
from matplotlib.figure import Figure

from spikecore import EventStream
from spikecore.cli.motion import parse_sensor
from spikecore.data import read_events
from spikecore.motifs import DelayKernel, EventLayer, detect, shipped_kernel
from spikecore.motifs.bank import ImageBank
from spikecore.motifs.dense import DelayConv
from spikecore.motifs.detect import hot_pixels
from spikecore.motifs.images import load_images, whiten
from spikecore.motifs.scenes import NaturalScenes
from spikecore.plot import save

FACTORS = (1, 10, 31, 115, 310, 670)
SELECTIVITY = (0.7, 1.4, 2.3, 3.4)
SHAPE = (100, 64, 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", type=Path)
    parser.add_argument("--recording", type=Path, nargs="*", default=[])
    parser.add_argument("--sensor")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kernel = random_kernel() if arguments.kernel is None else DelayKernel.load(arguments.kernel)
    bank = ImageBank(whiten(load_images()[:6]), upsample=4)
    dense = {m: dense_time(kernel, m, arguments.repeat) for m in ("fft", "direct")}
    print({name: f"{seconds:.2f} s" for name, seconds in dense.items()}, "for a movie of", SHAPE)
    rows = []
    for selectivity in SELECTIVITY:
        scenes = NaturalScenes(bank, SHAPE, selectivity=selectivity)
        torch.manual_seed(0)
        events = scenes.draw(1, torch.Generator().manual_seed(1)).events[0].numpy()
        stream = as_stream(events)
        for factor in FACTORS:
            seconds, answers = sparse_time(
                kernel.pruned(factor).snapped(), stream, arguments.repeat
            )
            rows.append(
                {
                    "density": len(stream) / events.size / 2,
                    "factor": factor,
                    "events": len(stream),
                    "seconds": seconds,
                    "events_a_second": answers.voxels / seconds,
                    "pairs_a_voxel": answers.pairs / max(1, answers.read),
                    "gain": min(dense.values()) / seconds,
                }
            )
            print({k: round(v, 4) for k, v in rows[-1].items()}, flush=True)
    recordings = [recorded(path, arguments) for path in arguments.recording]
    found = {
        "machine": machine(),
        "torch": torch.__version__,
        "dense_seconds": dense,
        "shape": SHAPE,
        "rows": rows,
        "recordings": recordings,
    }
    write_json("motion_cost.json", found)
    save(
        figure(rows, one_line(found["machine"])), Path(__file__).parent / "results/motion_cost.png"
    )


def random_kernel():
    first = DelayKernel.initial(36)
    rng = np.random.default_rng(0)
    mask = first.weights != 0
    return DelayKernel(np.where(mask, rng.standard_normal(mask.shape), 0.0), first.bias)


def as_stream(events):
    t, y, x = np.nonzero(events)
    return EventStream.checked(x, y, t * 1000, events[t, y, x] > 0, sensor=SHAPE[:0:-1])


def timed(run, repeat):
    spent = []
    for _ in range(repeat):
        begun = time.process_time()
        result = run()
        spent.append(time.process_time() - begun)
    return median(spent), result


@torch.no_grad()
def dense_time(kernel, method, repeat):
    layer = DelayConv(kernel, method)
    events = torch.rand(1, 2, *SHAPE) < 0.05
    return timed(lambda: layer(events), 3 if method == "fft" else 1)[0]


def sparse_time(kernel, stream, repeat):
    def run():
        return EventLayer(kernel, stream.width, stream.height, 1000).advance(stream)

    run()
    return timed(run, repeat)


def recorded(path, arguments):
    """Rate on a recording: the kernel that ships at each rung, and the whole detection."""
    events = read_events(path, sensor=parse_sensor(arguments.sensor))
    events = events.where(~hot_pixels(events))
    kernel, rungs = shipped_kernel(), {}
    for tick in (1000, 2000, 4000, 8000, 16000):

        def run(tick=tick):
            return EventLayer(kernel, events.width, events.height, tick).advance(events)

        seconds, answers = timed(run, arguments.repeat)
        rungs[f"{tick // 1000} ms"] = {
            "voxels_a_second": answers.voxels / seconds,
            "events_a_second": len(events) / seconds,
        }
    whole, _ = timed(lambda: detect(events).windows, arguments.repeat)
    found = {
        "recording": path.name,
        "rate": events.rate,
        "rungs": rungs,
        "detect_real_time_factor": whole / events.duration,
    }
    print(found, flush=True)
    return found


def figure(rows, caption):
    drawn = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = drawn.add_subplot()
    for density in sorted({row["density"] for row in rows}):
        own = [row for row in rows if row["density"] == density]
        axes.loglog(
            [r["factor"] for r in own],
            [r["gain"] for r in own],
            "o-",
            markersize=4,
            label=f"{density:.2%} of voxels of a polarity",
        )
    axes.axhline(1.0, color="#d8dee3")
    axes.set_xlabel("pruned so many times")
    axes.set_ylabel("times faster than the dense layer")
    axes.legend(fontsize=8, frameon=False)
    drawn.supxlabel(caption, fontsize=5)
    return drawn


if __name__ == "__main__":
    main()
