"""The figure of a network on a board: which cores hold what, and how full their memory is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from spikecore.plot import INK, PALE, SIGNAL
from spikecore_hardware.board import Board, load_board
from spikecore_hardware.spinnaker.placement import CoreBlock, chip_places, free_cores
from spikecore_hardware.spinnaker.report import ExportCheck

__all__ = ["board_figure"]

Colour = tuple[float, float, float, float]

_MOST_BOARDS = 3
_MOST_BLOCKS = 24  # that get a line of the legend, and a bar
_SIDE = 4  # cores of a chip are drawn in rows of four
_HATCH = {"neurons": "", "input": "///", "delays": "..."}


def board_figure(report: ExportCheck, board: str, title: str = "") -> Figure:
    """Draw the cores of a network on their chips, and the memory of each population.

    Parameters
    ----------
    report : ExportCheck
        From :func:`~spikecore_hardware.spinnaker.report.check_export`.
    board : str
        The board it was made for.
    title : str
        Above the picture.

    Notes
    -----
    A square is a chip, a cell in it a core. Which chips the tool chain chooses is not
    modelled; that cells of one colour lie together is.
    """
    described = load_board(board)
    boards = min(report.boards, _MOST_BOARDS)
    figure = Figure(figsize=(4.3 * boards + 6.2, 6.2), layout="constrained")
    columns = figure.subplots(1, boards + 1, width_ratios=[*[1.0] * boards, 0.85], squeeze=False)[0]
    colours = _colours(report.blocks)
    for number in range(boards):
        _draw_board(columns[number], described, report.blocks, colours, number)
    if report.boards > boards:
        columns[boards - 1].set_xlabel(f"and {report.boards - boards} more boards", fontsize=9)
    _draw_memory(columns[-1], report, described, colours)
    _legend(figure, report.blocks, colours)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=INK)
    return figure


def _colours(blocks: Sequence[CoreBlock]) -> dict[str, Colour]:
    """Return a colour for each group; its delay extensions share it."""
    names = list(dict.fromkeys(block.name for block in blocks))
    shades = colormaps["turbo"](np.linspace(0.05, 0.95, len(names)))
    return dict(zip(names, (tuple(shade) for shade in shades), strict=True))


def _draw_board(
    axes: Axes,
    board: Board,
    blocks: Sequence[CoreBlock],
    colours: dict[str, Colour],
    number: int,
) -> None:
    """Draw one board: chips from the socket at the lower left, taken cores coloured."""
    taken: dict[tuple[int, int], list[CoreBlock]] = {}
    for block in blocks:
        for share in block.chips:
            if share.board == number:
                taken.setdefault((share.x, share.y), []).extend([block] * share.cores)
    for x, y in chip_places(board):
        axes.add_patch(
            Rectangle((x + 0.03, y + 0.03), 0.94, 0.94, facecolor="white", edgecolor=INK)
        )
        owners = taken.get((x, y), [])
        for i in range(free_cores(board, x, y)):
            _draw_core(axes, x, y, i, owners[i] if i < len(owners) else None, colours)
    places = np.array(chip_places(board))
    axes.set_xlim(-0.1, places[:, 0].max() + 1.1)
    axes.set_ylim(-0.1, places[:, 1].max() + 1.1)
    axes.set_aspect("equal")
    axes.set_xticks(np.unique(places[:, 0]) + 0.5, np.unique(places[:, 0]), fontsize=8)
    axes.set_yticks(np.unique(places[:, 1]) + 0.5, np.unique(places[:, 1]), fontsize=8)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    used = sum(len(owners) for owners in taken.values())
    where = "one chip" if len(taken) == 1 else f"{len(taken)} chips"
    axes.set_title(f"board {number}: {used} cores on {where}", fontsize=9, loc="left")


def _draw_core(
    axes: Axes, x: int, y: int, core: int, owner: CoreBlock | None, colours: dict[str, Colour]
) -> None:
    size = 0.9 / _SIDE
    corner = (x + 0.05 + core % _SIDE * size, y + 0.05 + core // _SIDE * size)
    axes.add_patch(
        Rectangle(
            corner,
            0.86 * size,
            0.86 * size,
            facecolor=PALE if owner is None else colours[owner.name],
            hatch="" if owner is None else 2 * _HATCH[owner.kind],
            edgecolor="white",
            linewidth=0.0,
        )
    )


def _draw_memory(axes: Axes, report: ExportCheck, board: Board, colours: dict[str, Colour]) -> None:
    """Draw how much of its memory the fullest core of each population needs."""
    limits = board.machine["dtcm_usable_bytes"], board.machine["sdram_bytes"] / 16
    shown = sorted(report.populations, key=lambda p: -p.dtcm_bytes)[:_MOST_BLOCKS]
    for row, p in enumerate(shown):
        needed = (p.dtcm_bytes, p.sdram_bytes)
        for lower, value, limit in zip((0.0, 0.42), needed, limits, strict=True):
            share = value / limit
            colour = colours[p.name] if share <= 1.0 else SIGNAL
            axes.barh(row + lower, share, 0.38, color=colour, align="edge", alpha=1.0 - lower)
            text = f" {value / 1024:.3g} KB"
            axes.text(min(share, 1.0), row + lower + 0.19, text, fontsize=7, va="center", zorder=3)
    axes.axvline(1.0, color=SIGNAL, linewidth=1, zorder=0)
    axes.set_yticks(np.arange(len(shown)) + 0.4, [p.name for p in shown], fontsize=8)
    axes.set_ylim(max(len(shown), 4), -0.2)
    axes.set_xlim(0.0, 1.25)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=8)
    axes.set_title(
        "memory of the fullest core: local (upper bar, of "
        f"{limits[0] / 1024:.0f} KB)\nand its share of the chip's (lower, of "
        f"{limits[1] / 2**20:.1f} MB)",
        fontsize=9,
        loc="left",
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure, blocks: Sequence[CoreBlock], colours: dict[str, Colour]) -> None:
    names = {"neurons": "", "input": " (input)", "delays": " (delays)"}
    entries = [
        Patch(
            facecolor=colours[block.name],
            hatch=2 * _HATCH[block.kind],
            edgecolor="white",
            label=f"{block.name}{names[block.kind]}: {block.cores}",
        )
        for block in blocks[:_MOST_BLOCKS]
    ]
    if len(blocks) > _MOST_BLOCKS:
        more = sum(block.cores for block in blocks[_MOST_BLOCKS:])
        entries.append(Patch(facecolor="white", label=f"{len(blocks) - _MOST_BLOCKS} more: {more}"))
    figure.legend(handles=entries, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
