"""A robot's map in a spiking memory.

Each cell of a grid is a cue, its state (free, obstacle, path, ...) the content. One
query by content returns, in a single read-out, every cell with that state: the
robot's whole route at once. Then an obstacle appears: one cell is overwritten, and
the next read-out no longer has it. (An application of the kind that Casanueva-Morato
et al. 2024 show on a robot; the map here is this project's own.)

Run: python demos/state_map.py [PICTURE.png]
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from spikecore import plot
from spikecore.memory import CA3Memory, CA3Shape

STATES = ("free", "start", "path", "goal", "obstacle")
MAP = (
    "start path free obstacle free",
    "obstacle path path free free",
    "free obstacle path obstacle free",
    "free free path path goal",
)
ROUTE = ("start", "path", "goal")


def main(path: str = "state-map.png") -> None:
    """Store the map, read the route, block a cell, read it again, draw it."""
    cells = np.array([STATES.index(state) for row in MAP for state in row.split()])
    memory = CA3Memory(CA3Shape(cues=cells.size, bits=len(STATES)))
    for cell, state in enumerate(cells):
        memory.learn(cell, {int(state)})
    before = route(memory)
    blocked = 12
    memory.learn(blocked, {STATES.index("obstacle")})
    after = route(memory)

    expected = {int(cell) for cell in np.flatnonzero(np.isin(cells, [1, 2, 3]))}
    print(f"route read in one query:     {sorted(before)}")
    print(f"after cell {blocked} was blocked:   {sorted(after)}")
    assert before == expected, "the route is not the one that was stored"
    assert after == expected - {blocked}, "the blocked cell is still on the route"
    draw(cells, before, after, blocked, path)
    print(f"see {path}")


def route(memory: CA3Memory) -> frozenset[int]:
    """Return the cells whose state is start, path or goal, as the output spikes tell."""
    return memory.query({STATES.index(state) for state in ROUTE}).cues


def draw(
    cells: np.ndarray, before: frozenset[int], after: frozenset[int], blocked: int, path: str
) -> None:
    """Draw the map before and after, with the cells that answered."""
    rows, columns = len(MAP), cells.size // len(MAP)
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    colours = ListedColormap(["#f4f4f1", "#35b779", "#cfe3f2", "#fde725", "#4a4a4a"])
    for axes, answer, title in zip(
        figure.subplots(1, 2), (before, after), ("one read-out", "after one overwrite"), strict=True
    ):
        shown = cells.copy()
        if answer is after:
            shown[blocked] = STATES.index("obstacle")
        axes.imshow(shown.reshape(rows, columns), cmap=colours, vmin=0, vmax=len(STATES) - 1)
        for cell in range(cells.size):
            y, x = divmod(cell, columns)
            dark = shown[cell] == STATES.index("obstacle")
            axes.text(
                x,
                y + 0.32,
                STATES[shown[cell]],
                ha="center",
                fontsize=8,
                color="white" if dark else "black",
            )
            if cell in answer:
                axes.plot(x, y - 0.05, "o", markersize=15, color="#c8442f")
        axes.set_title(f"{title}: {len(answer)} cells answer", fontsize=11)
        axes.set_xticks([])
        axes.set_yticks([])
    plot.save(figure, path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
