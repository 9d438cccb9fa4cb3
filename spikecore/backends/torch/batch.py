"""Copies of one network that differ in what is fed to them, run at the same time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import Options
from spikecore.backends.session import check_trace_memory
from spikecore.backends.torch.engines import make_engine
from spikecore.backends.torch.session import TorchSession, run_again
from spikecore.backends.torch.stepping import Block
from spikecore.interrupts import deferred_interrupts
from spikecore.progress import OnProgress
from spikecore.results import Result

__all__ = ["run_copies"]

IndexArray = npt.NDArray[np.int64]

_TICKS_AT_ONCE = 1024


def run_copies(
    lowered: Lowered,
    options: Options,
    feeds: list[tuple[IndexArray, IndexArray]],
    ticks: int,
    on_progress: OnProgress | None = None,
) -> list[Result]:
    """Run one copy for each of ``feeds``, pairs of (ticks, neuron numbers)."""
    check_trace_memory(lowered, options, ticks)
    weights = [p.weight.astype(options.precision) for p in lowered.projections]
    engine = make_engine(lowered, len(feeds), options, weights)
    copies = [TorchSession(lowered, options, engine, item) for item in range(len(feeds))]
    for copy, (when, who) in zip(copies, feeds, strict=True):
        copy.feed(when, who)
    results: list[Result | None] = [None] * len(copies)
    tick = 0
    with deferred_interrupts() as stop_asked:
        while tick < ticks and not all(results):
            stop = tick + engine.convenient(min(_TICKS_AT_ONCE, ticks - tick))
            given = [copy.given(tick, stop) for copy in copies]
            engine.mark()
            block = engine.run(tick, stop, given)
            for item, copy in enumerate(copies):
                if results[item] is not None:
                    continue
                own = _part(block, item)
                end = copy.take(own, stop, *given[item])
                if end < stop or copy.status != "complete":
                    results[item] = _ended(copy, tick, end, given)
            if on_progress is not None:
                on_progress(stop - tick)
            tick = stop
            if stop_asked:
                break
    found = []
    for copy, ended in zip(copies, results, strict=True):
        if ended is None and tick < ticks:
            copy.status = "interrupted"
            copy.message = f"stopped on request after {tick} ticks"
        found.append(copy.result() if ended is None else ended)
    return found


def _part(block: Block, item: int) -> Block:
    lo, hi = np.searchsorted(block.item, [item, item + 1])
    bad = {0: block.bad[item]} if item in block.bad else {}
    traces = [rows[item : item + 1] for rows in block.traces]
    return replace(
        block,
        item=block.item[lo:hi],
        tick=block.tick[lo:hi],
        neuron=block.neuron[lo:hi],
        traces=traces,
        bad=bad,
    )


def _ended(
    copy: TorchSession, start: int, end: int, given: list[tuple[IndexArray, IndexArray]]
) -> Result:
    """Return the result of a copy that has ended early, with the weights of that moment."""
    engine = copy.engine
    ahead = engine.state()
    run_again(engine, start, end, given)
    result = copy.result()
    engine.load(ahead)
    return result
