"""The pages docs/conformance*.md: what every backend makes of every case."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spikecore.backends.protocol import Options, checked_options
from spikecore.backends.registry import get_backend, split_backend
from spikecore.conformance.cases import CASES
from spikecore.conformance.suite import Outcome, check_case
from spikecore.need_torch import gpu_in_words

__all__ = ["COLUMNS", "COMPILED", "GPU_COLUMNS", "cell", "gpu_page", "page"]

COMPILED = "brian2:target=cpp_standalone"
COLUMNS: Mapping[str, tuple[str, str]] = {
    "`event`": ("event", "float64"),
    "`brian2`": ("brian2", "float64"),
    "`brian2`, compiled": (COMPILED, "float64"),
    "`torch`, CPU": ("torch", "float64"),
    "`event`, float32": ("event", "float32"),
    "`clocked`, float32": ("clocked", "float32"),
    "`brian2`, float32": ("brian2", "float32"),
    "`torch`, CPU, float32": ("torch", "float32"),
}
"""Heading of each column: backend and precision."""

GPU_COLUMNS: Mapping[str, tuple[str, str]] = {
    "`torch`, CUDA": ("torch:device=cuda", "float64"),
    "`torch`, CUDA, float32": ("torch:device=cuda", "float32"),
}
"""The columns of the page that is made on a machine with a GPU."""

_HEAD = """\
# Conformance

What every backend makes of one set of small networks: each line of the
[tick contract](semantics.md), every unit, both step rules, every convention of learning, the
CA3 memory with a few operations, and a layer of delay motifs. Each is run on the backend and on
the oracle, `clocked` in float64, and compared.

`spikecore backends --check NAME` does this for any backend, your own included: a backend registers
by the entry point `spikecore.backends`. This page is the output of `python -m
spikecore.conformance`; `tests/test_conformance.py` compares it with what happens.

`torch` on a GPU has [a page of its own](conformance_gpu.md), because this one is made without a
GPU. The spikes that a SpiNNaker board recorded are not here either, as they may not be shared:
`tests/test_memory_recordings.py` compares them where they are.

"""

_LEGEND = """\
| in the table | means |
|---|---|
| identical | same spikes and counters, states and weights equal to the last bit |
| same | same spikes and counters, states and weights to 10⁻⁹ (in float32: to 1) |
| from tick t (neuron), rate | the first spike that differs, and the error of the number of spikes |
| declared | another result, and the backend says so beforehand: see below |
| refused | the backend says why it cannot run this: see below |
"""


def cell(outcome: Outcome, precision: str) -> str:
    """Return what the table says of an outcome."""
    if outcome.verdict == "declared" and precision == "float32":
        return outcome.detail
    return f"**{outcome.verdict}**: {outcome.detail}" if not outcome.ok else outcome.verdict


_GPU_HEAD = """\
# Conformance on a GPU

The table of [Conformance](conformance.md) for `torch` on an NVIDIA GPU: made by
`python -m spikecore.conformance --gpu` on {device}, and compared with what happens by
`tests/test_conformance.py` wherever there is a GPU.

"""


def page(on_case: Callable[[str], None] = lambda _name: None) -> str:
    """Run everything and write the page; ``on_case`` is told each case that begins."""
    return _page(_HEAD, COLUMNS, on_case)


def gpu_page(on_case: Callable[[str], None] = lambda _name: None) -> str:
    """Write the page of the backends that need a GPU.

    Raises
    ------
    BackendUnavailable
        If there is none.
    """
    return _page(_GPU_HEAD.format(device=f"one {gpu_in_words()}"), GPU_COLUMNS, on_case)


def _page(head: str, columns: Mapping[str, tuple[str, str]], on_case: Callable[[str], None]) -> str:
    rows, refused = [], []
    for case in CASES:
        on_case(case.name)
        cells = []
        for heading, (backend, precision) in columns.items():
            outcome = check_case(case, backend, precision)
            cells.append(cell(outcome, precision))
            if outcome.verdict == "refused":
                refused.append(f"| {case.name} | {heading} | {outcome.detail} |")
        rows.append(f"| {case.name} | {case.covers} | {' | '.join(cells)} |")
    top = [
        "",
        f"| network | covers | {' | '.join(columns)} |",
        "|---|---|" + "---|" * len(columns),
    ]
    return "\n".join(
        [
            head + _LEGEND,
            "## Results",
            *top,
            *rows,
            "",
            "## Refused",
            "",
            "| network | backend | reason |",
            "|---|---|---|",
            *refused,
            "",
            "## Declared",
            "",
            "What a backend says of itself beforehand.",
            "",
            "| backend | topic | reason |",
            "|---|---|---|",
            *_declared(columns),
            "",
        ]
    )


def _declared(columns: Mapping[str, tuple[str, str]]) -> list[str]:
    rows = []
    for heading, (backend, precision) in columns.items():
        name, own = split_backend(backend)
        chosen = get_backend(name)
        options = Options(precision, own=checked_options(chosen, own))
        if precision == "float64":
            departs = chosen.capabilities(options).departs
            rows += [f"| {heading} | {topic} | {reason} |" for topic, reason in departs.items()]
    return rows
