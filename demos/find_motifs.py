"""Motifs in a noisy spike train: learned, pruned, and found by a spiking network.

Forty addresses fire at random. Hidden in it are five motifs, each a set of spikes at
certain delays, which overlap as they please. A layer of synapses with many delays learns
them from examples, loses all but its 150 strongest synapses, and becomes a network whose
spikes name the motif and the very tick in which it is complete.

Run: python demos/find_motifs.py [PICTURE.png]
"""

from __future__ import annotations

import sys
from dataclasses import replace

from spikecore import Spikes, Train, ms, plot, run
from spikecore.motifs import Detections, MotifModel, learn_motifs, score

MOTIFS, ADDRESSES, DELAYS = 5, 40, 31
TICKS = 500


def main(path: str = "motifs.png") -> None:
    """Draw spike trains, learn from most of them, find the motifs in the last."""
    motifs = MotifModel.random(MOTIFS, ADDRESSES, DELAYS, density=0.02, strength=4.0, seed=3)
    world = replace(motifs, rate=0.008, background=0.005)
    examples = [world.draw(TICKS, seed=1, number=n) for n in range(300)]
    learned = learn_motifs(examples, world.shape, progress=True).layer()
    layer = learned.prune(150 / learned.weights.size)
    unseen = world.draw(TICKS, seed=2)

    network = layer.network(Train(unseen.spikes.times * ms, unseen.spikes.neurons))
    answer = run(network, TICKS * ms).spikes["motifs"]
    found = layer.detect(unseen.spikes, TICKS)
    assert agree(answer, found), "the network spikes where the layer does not detect"

    result = score(found, unseen.occurrences)
    print(f"{len(unseen.spikes)} spikes, {result.occurred} occurrences of {MOTIFS} motifs")
    print(f"{result.correct} found, motif and tick exact; {result.detected - result.correct} false")
    print(f"with {layer.weights.size} of {learned.weights.size} learned synapses")
    assert result.accuracy > 0.9
    assert result.precision > 0.9
    title = f"{result.correct} of {result.occurred} motifs found (rings: where they are)"
    plot.save(plot.motifs(unseen.spikes, found, layer, unseen.occurrences, title), path)
    print(f"see {path}")


def agree(spikes: Spikes, found: Detections) -> bool:
    """Return whether the network spiked where the layer detects, and nowhere else."""
    return list(zip(spikes.ticks, spikes.neurons, strict=True)) == list(
        zip(found.ticks, found.motifs, strict=True)
    )


if __name__ == "__main__":
    main(*sys.argv[1:2])
