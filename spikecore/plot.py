"""Figures. The only file that imports matplotlib."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spikecore.events import Spikes
from spikecore.files import atomic_write
from spikecore.memory.cam import Episode
from spikecore.memory.demo import PICTURES, REPLACEMENT, Step, Story
from spikecore.motifs import Detections, MotifLayer
from spikecore.results import Result

__all__ = ["demo", "divergence", "episodes", "motifs", "raster", "save"]

INK, PALE, SIGNAL = "#20303c", "#d8dee3", "#c8442f"
_GAP = 4  # ms between operations drawn side by side
_COLOURS = ("#31688e", "#35b779", "#443983", "#90643c", "#7a0403", "#21918c")


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write ``figure`` as a PNG, atomically.

    Raises
    ------
    FileRefused
        If the file cannot be written.
    """
    FigureCanvasAgg(figure)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=110)


def raster(result: Result, groups: Sequence[str] | None = None, title: str = "") -> Figure:
    """Draw the spikes of a run, one band for each group.

    Parameters
    ----------
    result : Result
        The run.
    groups : sequence of str, optional
        Which groups, from top to bottom. Default: all that spiked.
    title : str
        Above the picture.
    """
    names = list(groups) if groups else [n for n, s in result.spikes.items() if len(s)]
    figure = Figure(figsize=(9, 0.8 + 0.55 * max(len(names), 1)), layout="constrained")
    axes = figure.subplots()
    _bands(axes, names, [(0.0, result.spikes)])
    axes.set_xlim(0, result.duration)
    axes.set_title(title, loc="left", fontsize=10)
    return figure


def divergence(one: Result, other: Result, title: str = "") -> Figure:
    """Draw the spikes of two runs of one network: shared ones pale, the others marked.

    Parameters
    ----------
    one, other : Result
        Spikes of ``one`` only are drawn as upright, of ``other`` only as sloping crosses.
    title : str
        Above the picture.
    """
    comparison = other.compare(one)
    names = [n for n in one.spikes if len(one.spikes[n]) or len(other.spikes[n])]
    figure = Figure(figsize=(9, 0.8 + 0.8 * max(len(names), 1)), layout="constrained")
    axes = figure.subplots()
    _bands(axes, names, [(0.0, one.spikes), (0.0, other.spikes)])
    for line in axes.get_lines():
        if line.get_linestyle() == "None":
            line.set_color(PALE)
    for entries, marker in ((comparison.missing, "+"), (comparison.extra, "x")):
        for band, name in enumerate(reversed(names)):
            spikes = (one.spikes[name].neurons, other.spikes[name].neurons)
            size = 1 + max(int(s.max(initial=0)) for s in spikes)
            own = np.array([(tick, n) for group, n, tick in entries if group == name])
            if own.size:
                height = band + 0.1 + 0.8 * (own[:, 1] + 0.5) / size
                axes.plot(own[:, 0] * one.dt, height, marker, color=SIGNAL, markersize=5)
    axes.set_xlim(0, one.duration)
    axes.set_title(title, loc="left", fontsize=10)
    return figure


def episodes(shown: Sequence[Episode], title: str = "") -> Figure:
    """Draw the spikes of operations of a CA3 memory, one after the other."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    _episode_bands(axes, [(episode.operation, episode) for episode in shown])
    axes.set_title(title, loc="left", fontsize=10)
    return figure


def demo(story: Story) -> Figure:
    """Draw the demo: what was stored, what was shown, what came back, and the spikes."""
    recalls = [step for step in story.steps if step.covered is not None]
    figure = Figure(figsize=(12, 11), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.05, 1))
    top, bottom = halves
    grid = top.subplots(3, len(recalls))
    for column, step in enumerate(recalls):
        _recall_column(grid[:, column], step, replaced=column >= len(PICTURES))
    for row, label in enumerate(("stored", "shown", "recalled")):
        grid[row, 0].set_ylabel(label, fontsize=11)
    top.suptitle("A spiking CA3 memory: pictures recalled from one half", fontsize=13)
    axes = bottom.subplots()
    chosen = [
        (step.label.replace(" ", "\n", 1), step.report.episodes[0]) for step in _chosen(story)
    ]
    _episode_bands(axes, chosen)
    axes.set_title(
        f"Every operation ran as spikes: {story.spikes} in "
        f"{story.model_ms:g} ms of model time; some of them:",
        loc="left",
        fontsize=10,
    )
    return figure


def motifs(
    spikes: Spikes,
    found: Detections,
    layer: MotifLayer,
    occurrences: Spikes | None = None,
    title: str = "",
) -> Figure:
    """Draw a spike train with the motifs found in it.

    Parameters
    ----------
    spikes : Spikes
        The train, drawn below: one row for each address. Spikes that excite the detector
        of a motif that was found have its colour.
    found : Detections
        Drawn above: one row for each motif.
    layer : MotifLayer
        What they were found with.
    occurrences : Spikes, optional
        The truth, drawn as rings: a ring without a dot was missed, a dot without a ring
        is a false alarm.
    title : str
        Above the picture.
    """
    figure = Figure(figsize=(10, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2.4))
    bottom.plot(spikes.ticks, spikes.neurons, ".", color="#b4bdc5", markersize=4)
    for motif in np.unique(found.motifs):
        colour = _COLOURS[motif % len(_COLOURS)]
        ticks = found.ticks[found.motifs == motif]
        top.plot(ticks, np.full(ticks.size, motif), "o", color=colour, markersize=5)
        own = _exciting(spikes, ticks, layer, motif)
        bottom.plot(spikes.ticks[own], spikes.neurons[own], ".", color=colour, markersize=7)
    if occurrences is not None:
        style = {"markersize": 11, "fillstyle": "none", "color": INK, "markeredgewidth": 1}
        top.plot(occurrences.ticks, occurrences.neurons, "o", **style)
    top.set_ylim(-0.7, layer.n_motifs - 0.3)
    bottom.set_ylim(-1, layer.n_inputs)
    for axes, label in ((top, "motif"), (bottom, "address")):
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    bottom.set_xlabel("tick")
    top.set_title(title, loc="left", fontsize=10)
    return figure


def _exciting(
    spikes: Spikes, ticks: npt.NDArray[np.int64], layer: MotifLayer, motif: int
) -> npt.NDArray[np.bool_]:
    """Return which spikes add evidence for ``motif`` in one of ``ticks``."""
    synapses = (layer.targets == motif) & (layer.weights > 0)
    sent = ticks[:, None] - layer.delays[synapses]
    wanted = sent * layer.n_inputs + layer.sources[synapses]
    return np.isin(spikes.ticks * layer.n_inputs + spikes.neurons, wanted)


def _chosen(story: Story) -> list[Step]:
    """Pick a store, a recall, the replacement, its recall, a forget and what is left."""
    number = len(PICTURES)
    stored = [s for s in story.steps[:number] if s.cue == "key"]
    recalled = [s for s in story.steps[number : 2 * number] if s.cue == "key"]
    rest = [s for s in story.steps[2 * number :] if s.report.episodes]
    return [*stored, *recalled, *rest]


def _recall_column(column: npt.NDArray[Any], step: Step, *, replaced: bool) -> None:
    original = REPLACEMENT if replaced and step.shown is not None else PICTURES[step.cue]
    gone = replaced and step.shown is None
    _picture(column[0], original, "old " + step.cue if gone else step.cue, crossed=gone)
    assert step.covered is not None
    _picture(column[1], original, "", seen=step.covered)
    if step.shown is None:
        _picture(column[2], np.zeros_like(original), "no match")
    else:
        answer = step.report.best
        assert answer is not None
        verdict = "exact" if step.missing == 0 else f"{step.missing} pixels wrong"
        _picture(column[2], step.shown, f"{answer.cue}, {verdict}")


def _picture(
    axes: Axes,
    picture: npt.NDArray[np.bool_],
    title: str,
    *,
    seen: npt.NDArray[np.bool_] | None = None,
    crossed: bool = False,
) -> None:
    """Draw a picture; what is not ``seen`` of it is pale."""
    shade = np.where(picture, 1.0, 0.0)
    if seen is not None:
        shade = np.where(picture & ~seen, 0.18, shade)
    axes.imshow(shade, cmap="Greys", vmin=0, vmax=1.15, interpolation="nearest")
    if crossed:
        height, width = picture.shape
        axes.plot([0, width - 1], [height - 1, 0], color=SIGNAL, linewidth=2)
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(PALE)


def _episode_bands(axes: Axes, shown: Sequence[tuple[str, Episode]]) -> None:
    """Draw episodes side by side, each with its name on top."""
    names = list(shown[0][1].result.spikes)
    names = [n for n in names if any(len(e.result.spikes[n]) for _, e in shown)]
    start, parts = 0.0, []
    for number, (label, episode) in enumerate(shown):
        parts.append((start, episode.result.spikes))
        axes.text(start, len(names) + 0.15, label, fontsize=8, va="bottom", color=INK)
        if number:
            axes.axvline(start - _GAP / 2, color=PALE, linewidth=1)
        start += episode.model_ms + _GAP
    _bands(axes, names, parts)
    axes.set_xlim(-1, start)
    axes.set_ylim(-0.1, len(names) + 1.0)
    axes.set_xlabel("model time, ms (each operation starts at rest)")


def _bands(
    axes: Axes, names: Sequence[str], parts: Sequence[tuple[float, Mapping[str, Spikes]]]
) -> None:
    """Draw one band for each group; neurons spread evenly over its height."""
    for band, name in enumerate(reversed(names)):
        size = 1 + max((int(s[name].neurons.max(initial=0)) for _, s in parts), default=0)
        for start, spikes in parts:
            own = spikes[name]
            height = band + 0.1 + 0.8 * (own.neurons + 0.5) / size
            axes.plot(
                own.times + start,
                height,
                ".",
                markersize=3 if size > 8 else 5,  # noqa: PLR2004
                color=_COLOURS[band % len(_COLOURS)],
            )
        axes.axhline(band, color=PALE, linewidth=0.6)
    axes.set_yticks(np.arange(len(names)) + 0.5, list(reversed(names)), fontsize=8)
    axes.set_ylim(0, len(names))
    axes.set_xlabel("model time, ms")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
