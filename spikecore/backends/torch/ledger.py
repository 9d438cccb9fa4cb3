"""How many synaptic events are under way, worked out from the spikes that sent them.

The engines do not count arrivals: every spike that is recorded says when its synapses deliver.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered

__all__ = ["Ledger"]

IndexArray = npt.NDArray[np.int64]

_AT_ONCE = 20_000_000  # events that are spread out in memory at a time


class Ledger:
    """Events sent, delivered and pending.

    Parameters
    ----------
    lowered : Lowered
    budget : int
        Events that may be pending after a tick.
    """

    def __init__(self, lowered: Lowered, budget: int) -> None:
        self.lowered, self.budget = lowered, budget
        self.out_degree = np.zeros(lowered.n_neurons, np.int64)
        for p in lowered.projections:
            self.out_degree[p.source_start : p.source_start + p.source_size] += np.diff(p.row)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.sent = 0
        self.ticks = self.neurons = np.empty(0, np.int64)

    def first_beyond(self, start: int, stop: int, ticks: IndexArray, neurons: IndexArray) -> int:
        """Return the first tick after which more is pending than may be; ``stop`` if none.

        ``ticks, neurons`` are all spikes of ticks ``start`` to ``stop - 1``, sorted by tick.
        """
        reach = self.lowered.max_delay
        when = np.concatenate([self.ticks, ticks])
        who = np.concatenate([self.neurons, neurons])
        # No more can be pending than was sent within the longest delay.
        recent = when >= start - reach
        sent = np.bincount(when[recent] - start + reach, self.out_degree[who[recent]])
        total = np.concatenate([np.zeros(reach), np.cumsum(sent)])
        if (total[reach:] - total[: sent.size]).max(initial=0) <= self.budget:
            return stop
        leaves = np.bincount(ticks - start, self.out_degree[neurons], stop - start)
        arrives = self._arrivals(when, who, start, stop)
        pending = self.pending(start) + np.cumsum(leaves - arrives)
        beyond = np.flatnonzero(pending > self.budget)
        return start + int(beyond[0]) if beyond.size else stop

    def add(self, ticks: IndexArray, neurons: IndexArray, now: int) -> None:
        """Enter spikes up to, not including, tick ``now``; forget what has arrived by then."""
        self.sent += int(self.out_degree[neurons].sum())
        ticks = np.concatenate([self.ticks, ticks])
        keep = ticks + self.lowered.max_delay >= now
        self.ticks, self.neurons = ticks[keep], np.concatenate([self.neurons, neurons])[keep]

    def pending(self, now: int) -> int:
        """Return how many events arrive in tick ``now`` or later."""
        last = now + self.lowered.max_delay + 1
        return int(self._arrivals(self.ticks, self.neurons, now, last).sum())

    def _arrivals(
        self, ticks: IndexArray, neurons: IndexArray, start: int, stop: int
    ) -> IndexArray:
        """Count the events that arrive in each of the ticks ``start`` to ``stop - 1``."""
        found = np.zeros(stop - start, np.int64)
        for p in self.lowered.projections:
            mine = (neurons >= p.source_start) & (neurons < p.source_start + p.source_size)
            when, source = ticks[mine], neurons[mine] - p.source_start
            length = np.diff(p.row)[source]
            parts = max(1, -(-int(length.sum()) // _AT_ONCE)) if p.delay.size > 1 else 1
            for part in np.array_split(np.arange(when.size), parts):
                each = length[part]
                if p.delay.size > 1:
                    row = np.repeat(p.row[source[part]] - np.cumsum(each) + each, each)
                    delay = p.delay[row + np.arange(row.size)]
                    found += _count(np.repeat(when[part], each) + delay, None, start, stop)
                elif p.size:
                    found += _count(when[part] + int(p.delay[0]), each, start, stop)
        return found


def _count(ticks: IndexArray, weight: IndexArray | None, start: int, stop: int) -> IndexArray:
    inside = (ticks >= start) & (ticks < stop)
    chosen = None if weight is None else weight[inside]
    return np.bincount(ticks[inside] - start, chosen, stop - start).astype(np.int64)
