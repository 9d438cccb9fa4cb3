"""The figure of the speed comparison: CPU time of the loop, simulator by simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from speed_table import is_ours, middle, threads_of

OTHERS = {"brian2": "#7f7f7f", "nest": "#c7c7c7"}
OURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728")


def draw(entries: dict[str, Any], path: Path) -> Path:
    """Draw medians on a logarithmic axis, least to most; return ``path``."""
    every = dict.fromkeys(peer for entry in entries.values() for peer in entry["runs"])
    one_thread = [peer for peer in every if threads_of(peer) == 1]
    peers = sorted(one_thread, key=is_ours, reverse=True)
    ours = [peer for peer in peers if is_ours(peer)]
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.62 * len(entries)), layout="constrained")
    height = 0.8 / len(peers)
    for number, peer in enumerate(peers):
        kind = peer.partition(":")[0]
        color = OTHERS.get(kind) or OURS[ours.index(peer) % len(OURS)]
        where, values = [], []
        for row, entry in enumerate(entries.values()):
            found = middle(entry, peer, "loop_cpu_s")
            if found is not None:
                where.append(row + (number - (len(peers) - 1) / 2) * height)
                values.append(found)
        bars = axes.barh(where, values, height, color=color, label=peer)
        axes.bar_label(bars, [f"{v:.2g}" for v in values], padding=2, fontsize=6)
    axes.set_yticks(range(len(entries)), list(entries))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("CPU time of the simulation loop, s (one thread)")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return path
