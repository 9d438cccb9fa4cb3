"""Figures of motion: what a recording shows, what a kernel looks like, what pruning costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from spikecore.motifs.detect import LEAST_EVENTS, LEAST_STRENGTH, Motion
from spikecore.motifs.kernel import DelayKernel
from spikecore.plot import INK, PALE, SIGNAL

__all__ = ["kernel_figure", "motion_figure", "pruning_figure"]


def direction_colour(direction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a colour for each direction (rad), shape (*S, 3)."""
    hue = (np.asarray(direction) / (2 * np.pi)) % 1.0
    colour: npt.NDArray[np.float64] = hsv_to_rgb(
        np.stack([hue, np.full_like(hue, 0.85), np.full_like(hue, 0.8)], -1)
    )
    return colour


def motion_figure(motion: Motion, title: str = "") -> Figure:
    """Draw where things move (arrows on the events) and how it changes over time."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[1.15, 1])
    picture = figure.add_subplot(grid[:, 0])
    _arrows(picture, motion)
    picture.set_title(title, fontsize=9, loc="left")
    direction, speed = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    middle = motion.times.mean(1) * 1e-6
    angle = np.degrees(motion.windows.direction)
    direction.scatter(middle, angle, c=direction_colour(motion.windows.direction), s=22)
    direction.set_ylim(-190, 190)
    direction.set_yticks([-180, -90, 0, 90, 180], ["left", "up", "right", "down", "left"])
    # The labels show what the colours stand for.
    for label, degrees in zip(direction.get_yticklabels(), (-180, -90, 0, 90, 180), strict=True):
        label.set_color(tuple(direction_colour(np.array(np.radians(degrees)))))
        label.set_fontweight("bold")
    direction.set_ylabel("direction")
    speed.plot(middle, motion.windows.speed, ".-", color=INK, linewidth=1)
    speed.set_ylabel("speed, px/s")
    speed.set_xlabel("time, s")
    speed.set_ylim(0, None)
    for axes in (direction, speed):
        axes.grid(color=PALE, linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure


def _arrows(axes: Axes, motion: Motion) -> None:
    events, field, cell = motion.events, motion.field, motion.sums.cell
    counts = np.zeros((events.height, events.width))
    np.add.at(counts, (events.y, events.x), 1.0)
    top = np.percentile(counts[counts > 0], 98)
    axes.imshow(np.minimum(counts / top, 1.0), cmap="Greys", vmax=1.5, interpolation="nearest")
    moving = (field.events >= LEAST_EVENTS) & (field.strength >= LEAST_STRENGTH)
    rows, columns = np.nonzero(moving)
    if rows.size:
        v, d = field.speed[moving], field.direction[moving]
        length = 0.85 * cell * v / np.percentile(v, 90)
        x, y = (columns + 0.5) * cell - 0.5, (rows + 0.5) * cell - 0.5
        x, y = np.minimum(x, events.width - 1), np.minimum(y, events.height - 1)
        axes.quiver(
            x,
            y,
            length * np.cos(d),
            length * np.sin(d),
            color=direction_colour(d),
            angles="xy",
            scale_units="xy",
            scale=1.0,
            pivot="mid",
            width=0.007,
        )
    axes.set_xlim(-0.5, events.width - 0.5)
    axes.set_ylim(events.height - 0.5, -0.5)
    axes.set_xlabel("x, px")
    axes.set_ylabel("y, px")


def kernel_figure(kernel: DelayKernel, classes: Sequence[int], delays: Sequence[int]) -> Figure:
    """Draw ON minus OFF weights: a row for each class, a column for each delay."""
    shape = (len(classes), len(delays))
    figure = Figure(figsize=(1.0 * shape[1] + 1.2, 1.05 * shape[0] + 0.4), layout="constrained")
    panels = figure.subplots(*shape, squeeze=False)
    odd = kernel.weights[:, -1] - kernel.weights[:, 0]
    for row, c in enumerate(classes):
        for column, d in enumerate(delays):
            axes: Axes = panels[row, column]
            # Index 0 looks furthest down and right; flipped, the picture is where events lie.
            weights = odd[c, d, ::-1, ::-1]
            bound = max(float(np.abs(odd[c, 1:]).max()), 1e-6)
            axes.imshow(weights, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(f"delay {d}", fontsize=8)
            if column == 0:
                axes.set_ylabel(_class_name(kernel, c), fontsize=8)
    return figure


def _class_name(kernel: DelayKernel, number: int) -> str:
    if kernel.directions is None or kernel.speeds is None:
        return f"class {number}"
    if not np.isfinite(kernel.directions[number]):
        return "slower" if kernel.speeds[number] == 0 else "faster"
    angle = np.degrees(kernel.directions[number])
    return f"{angle:.0f}°, {kernel.speeds[number]:.2f} px"


def pruning_figure(curves: Mapping[str, Mapping[float, float]], chance: float) -> Figure:
    """Draw accuracy against the share of weights kept, one line for each way of pruning."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    colours = [INK, SIGNAL, "#3f7f93", "#b98b2f", "#7a6a8f"]
    for number, (name, curve) in enumerate(curves.items()):
        factors = sorted(curve)
        axes.semilogx(
            [1 / f for f in factors],
            [100 * curve[f] for f in factors],
            "o-",
            markersize=4,
            color=colours[number % len(colours)],
            label=name,
        )
    axes.axhline(100 * chance, color=PALE, linewidth=1)
    axes.text(
        1.0,
        100 * chance,
        "chance",
        transform=axes.get_yaxis_transform(),
        fontsize=7,
        ha="right",
        va="bottom",
        color=INK,
    )
    axes.set_xlabel("share of weights kept")
    axes.set_ylabel("right decisions, %")
    axes.set_ylim(0, 102)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(color=PALE, linewidth=0.6)
    return figure
