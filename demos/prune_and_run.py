"""Accuracy against pruning, and what it buys: the published curve, with time beside it.

Reads a kernel (default: the one that ships, which is pruned 115-fold already), prunes it
further, and for each step measures how well it tells directions and how fast it runs event by
event. Writes prune_and_run.png. Needs torch: pip install 'spikecore[motion]'.
"""

from __future__ import annotations

import sys
import time

from spikecore.cli.motion_study import synthetic_edges
from spikecore.motifs import DelayKernel, EventLayer, shipped_kernel
from spikecore.motifs.workflow import PruningStudy
from spikecore.plot import save
from spikecore.plot_motion import pruning_figure


def main():
    kernel = DelayKernel.load(sys.argv[1]) if len(sys.argv) > 1 else shipped_kernel()
    study = PruningStudy(kernel, None, movies=8, size=48)
    events = synthetic_edges(seconds=0.1)
    curve = {}
    for factor in (115, 310, 670, 3000):
        row = study.row(factor, structured=False)
        layer = EventLayer(kernel.pruned(factor).snapped(), events.width, events.height, 8000)
        layer.advance(events.between(0, 0))
        begun = time.process_time()
        answers = layer.advance(events)
        rate = answers.voxels / (time.process_time() - begun)
        curve[factor] = row["accuracy"]
        print(
            f"{factor:5d}x: {row['synapses']:5d} weights, {row['accuracy']:4.0%} right, "
            f"{rate / 1e3:5.0f} thousand events/s"
        )
    assert curve[115] > curve[3000]
    save(pruning_figure({"no retraining": curve}, study.chance), "prune_and_run.png")
    print("see prune_and_run.png")


if __name__ == "__main__":
    main()
