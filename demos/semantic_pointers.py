"""Semantic pointers in a spiking memory, inside a Nengo model.

Scenes ("the dog chases the cat") are semantic pointers: sums of roles bound to fillers
(Plate 2003; Eliasmith 2013). Each is coded by the few units that respond to it most, and
stored in the CA3 memory. Then the model sees noisy scenes, halves of them, or only who
acts; the memory completes them, and unbinding names who was acted on.

Run: python demos/semantic_pointers.py [--plot FILE.png]   (needs spikecore[nengo])
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nengo
import numpy as np
from nengo import spa

from spikecore.memory import CA3Shape
from spikecore.nengo import MemoryProcess

DIMENSIONS, UNITS, ACTIVE = 256, 1024, 40
SCENES = {
    "dog chases cat": "AGENT*DOG + VERB*CHASES + PATIENT*CAT",
    "cat sees mouse": "AGENT*CAT + VERB*SEES + PATIENT*MOUSE",
    "mouse eats cheese": "AGENT*MOUSE + VERB*EATS + PATIENT*CHEESE",
    "owl chases mouse": "AGENT*OWL + VERB*CHASES + PATIENT*MOUSE",
    "girl sees owl": "AGENT*GIRL + VERB*SEES + PATIENT*OWL",
}
NAMES = ("DOG", "CAT", "MOUSE", "OWL", "GIRL", "CHEESE")
STEPS = 25  # a presentation; an operation of the memory takes 14
ON = 15  # steps of it for which the command is on


def main(plot: str | None = None) -> None:
    """Store the scenes, show damaged ones, print what comes back, draw it if asked."""
    rng = np.random.default_rng(4)
    words = spa.Vocabulary(DIMENSIONS, rng=np.random.RandomState(4))
    scenes = np.array([unit(words.parse(text).v) for text in SCENES.values()])
    shown = [(name, "whole", scene) for name, scene in zip(SCENES, scenes, strict=True)]
    for (name, text), scene in zip(SCENES.items(), scenes, strict=True):
        noise = unit(rng.normal(size=DIMENSIONS))
        half = np.where(np.arange(DIMENSIONS) < DIMENSIONS // 2, scene, 0.0)
        shown.append((name, "noise as strong", unit(scene + noise)))
        shown.append((name, "one half missing", unit(half)))
        shown.append((name, "agent only", unit(words.parse(text.split(" + ")[0]).v)))

    recalled = present([pointer for _, _, pointer in shown], len(SCENES))[len(SCENES) :]
    rows = []
    for (name, damage, pointer), answer in zip(shown[len(SCENES) :], recalled, strict=True):
        before = patient(words, pointer)
        after = patient(words, answer)
        best = list(SCENES)[int(np.argmax(scenes @ answer))]
        rows.append((name, damage, scenes @ pointer, scenes @ answer, before, after, best))
    table(rows)
    for name, damage, _, _, _, after, best in rows:
        assert best == name, f"{name} ({damage}) was recalled as {best}"
        assert after == SCENES[name].rsplit("*", 1)[1], f"{name} ({damage}): {after}"
    if plot:
        draw(rows, plot)
        print(f"see {plot}")


def present(pointers: list[np.ndarray], stored: int) -> np.ndarray:
    """Store the first pointers, search for the others; return what the memory decodes each to."""
    encoders = unit(np.random.default_rng(5).normal(size=(UNITS, DIMENSIONS)))
    shape = CA3Shape(stored, UNITS, threshold=0.15, completion=True, backward_weight=12.0)
    process = MemoryProcess(shape)

    def sparse(_t: float, x: np.ndarray) -> np.ndarray:
        response = encoders @ x
        return response >= np.partition(response, -ACTIVE)[-ACTIVE]

    def command(t: float) -> np.ndarray:
        number, step = divmod(round(t / 0.001) - 1, STEPS)
        lines = np.zeros(process.default_size_in)
        if step < ON and number < stored:
            lines[[process.cue.start + number, process.store.start]] = 1
        elif step < ON:
            lines[process.search] = 1
        return lines

    with nengo.Network() as model:
        source = nengo.Node(nengo.processes.PresentInput(pointers, STEPS * 0.001))
        code = nengo.Node(sparse, size_in=DIMENSIONS, size_out=UNITS)
        memory = nengo.Node(process)
        decoded = nengo.Node(size_in=DIMENSIONS)
        nengo.Connection(source, code, synapse=None)
        nengo.Connection(code, memory[process.content], synapse=None)
        nengo.Connection(nengo.Node(command), memory, synapse=None)
        answer = memory[process.answer_content]
        nengo.Connection(answer, decoded, transform=encoders.T, synapse=None)
        probe = nengo.Probe(decoded)
    with nengo.Simulator(model, progress_bar=False) as sim:
        sim.run_steps(STEPS * len(pointers))
        return unit(np.array(sim.data[probe])[STEPS - 1 :: STEPS])


def patient(words: spa.Vocabulary, scene: np.ndarray) -> str:
    """Return the name that is most like what is bound to PATIENT."""
    found = (spa.SemanticPointer(scene) * ~words["PATIENT"]).v
    return max(NAMES, key=lambda name: float(words[name].v @ found))


def unit(x: np.ndarray) -> np.ndarray:
    """Return vectors of length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def table(rows: list[tuple]) -> None:
    """Print how alike the scene is to what was shown, and to what was recalled."""
    columns = f"{'stored':18s} {'shown':17s} {'likeness':>8s} {'recalled':>8s} {'next':>6s}"
    print(f"{columns}   acted on: shown, recalled")
    for name, damage, seen, answer, before, after, _ in rows:
        own = list(SCENES).index(name)
        rest = np.delete(answer, own).max()
        likeness = f"{seen[own]:8.2f} {answer[own]:8.2f} {rest:6.2f}"
        print(f"{name:18s} {damage:17s} {likeness}   {before:>15s}, {after}")


def draw(rows: list[tuple], path: str) -> None:
    """Draw both likenesses to all stored scenes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, column, title in ((axes[0], 2, "shown"), (axes[1], 3, "recalled")):
        image = ax.imshow([row[column] for row in rows], vmin=0, vmax=1, aspect="auto")
        ax.set_title(f"likeness of what was {title}")
        ax.set_xticks(range(len(SCENES)), list(SCENES), rotation=40, ha="right")
        ax.set_yticks(range(len(rows)), [f"{row[0]}: {row[1]}" for row in rows])
    figure.colorbar(image, ax=axes, label="cosine")
    figure.savefig(Path(path), dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the likenesses into this file")
    main(parser.parse_args().plot)
