"""Four overlapping letters held for seconds by astrocytes, after one showing each.

79 x 79 spiking neurons under 26 x 26 astrocytes. Each letter is shown once, for 200 ms; two
seconds later each is shown again, weakly, with a fifth of its pixels flipped. The picture
has, for each letter: template, cue, what the neurons make of it, the same without the
astrocytes, and the calcium when the cue came.

Run: python demos/working_memory.py [PICTURE.png [ANIMATION.gif]]
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from spikecore import ms, plot
from spikecore.memory import AstrocyteWorkingMemory, WorkingRecall
from spikecore.memory.working import flipped
from spikecore.memory.working_trial import correlation, letter

LETTERS = "TL+U"
DELAY = 2000


def main(path: str = "working-memory.png", animation: str = "") -> None:
    """Store, wait, recall, with the action of astrocytes and without; draw."""
    with_glia, without = AstrocyteWorkingMemory(seed=1), AstrocyteWorkingMemory(seed=1, gain=0.0)
    for memory in (with_glia, without):
        for name in LETTERS:
            memory.store(letter(name))
        memory.wait((DELAY - 100) * ms)  # the showing of the last has ended 100 ms ago
    rows = []
    for name in LETTERS:
        cue = flipped(letter(name), 0.2, seed=1, name=name)
        rows.append((name, cue, with_glia.copy().recall(cue), without.copy().recall(cue)))
    print("correlation with the template: cue, recalled, recalled without astrocytes")
    for name, cue, held, bare in rows:
        figures = [correlation(letter(name), p) for p in (cue, held.picture, bare.picture)]
        print(f"  {name}: " + ", ".join(f"{figure:.2f}" for figure in figures))
        assert figures[1] > 0.85, "the letter was not held"
        assert figures[2] < 0.5, "the letter was held without astrocytes"
    draw(rows, path)
    print(f"see {path}")
    if animation:
        animate(animation)
        print(f"see {animation}")


def draw(rows: list[tuple[str, np.ndarray, WorkingRecall, WorkingRecall]], path: str) -> None:
    """Draw a row for each letter."""
    figure = Figure(figsize=(9.6, 8.1), layout="constrained")
    grid = figure.subplots(len(rows), 5)
    titles = (
        "shown once",
        f"cue, {DELAY / 1000:g} s later:\n20 % flipped",
        "firing rates\nafter the cue",
        "the same without\nastrocytes",
        "calcium when the\ncue came",
    )
    for line, (name, cue, held, bare) in zip(grid, rows, strict=True):
        template = letter(name)
        line[0].imshow(template, cmap="Greys", vmax=1.25)
        line[1].imshow(cue, cmap="Greys", vmax=1.25)
        rates = line[2].imshow(held.rates, cmap="inferno", vmin=0, vmax=300)
        line[3].imshow(bare.rates, cmap="inferno", vmin=0, vmax=300)
        calcium = line[4].imshow(held.calcium, cmap="viridis", vmin=0, vmax=0.8)
        shown = (None, cue, held.picture, bare.picture)
        for axes, picture in zip(line, shown, strict=False):
            if picture is not None:
                r = correlation(template, picture)
                axes.set_xlabel(f"r = {r:.2f}", fontsize=9)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#d8dee3")
    figure.colorbar(rates, ax=grid[:, 2:4], location="bottom", shrink=0.5, label="Hz", aspect=30)
    figure.colorbar(calcium, ax=grid[:, 4], location="bottom", label="µM", aspect=12)
    plot.save(figure, path)


def animate(path: str) -> None:
    """Write a small GIF: spikes of 20 ms each beside the calcium, from showing to recall."""
    memory, frames = AstrocyteWorkingMemory(seed=1), []
    script = [(letter(name), 80.0, 200) for name in LETTERS]
    shows = [part for show in script for part in (show, (None, 0.0, 100))]
    shows.append((None, 0.0, 1900))
    for name in LETTERS:
        shows += [(flipped(letter(name), 0.2, seed=1, name=name), 8.0, 150), (None, 0.0, 250)]
    for picture, current, duration in shows:
        step = 20 if picture is not None or duration < 1000 else 100
        for _ in range(0, duration, step):
            spikes = memory.present(picture, step * ms, current)
            calcium = np.kron(np.clip(memory.calcium / 0.8, 0, 1), np.ones((3, 3)))
            side = np.minimum(spikes / 4, 1)[:78, :78]
            frame = np.hstack([side, np.ones((78, 2)), calcium])
            frames.append(Image.fromarray((255 * frame).astype(np.uint8)).resize((474, 234), 0))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=60, loop=0)


if __name__ == "__main__":
    main(*sys.argv[1:3])
