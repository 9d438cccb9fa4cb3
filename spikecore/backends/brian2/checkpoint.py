"""The state of a brian2 network as plain arrays, spikes under way included.

brian2's own ``store`` pickles; a checkpoint of spikecore must not need code to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.brian2.build import Built

__all__ = ["flat", "restore"]

Arrays = dict[str, npt.NDArray[Any]]

# The input spikes are drawn or fed again; everything else of a generator is made from them.
_FROM_INPUT = "input"


def flat(built: Built) -> Arrays:
    """Return the values of all variables and the contents of all queues."""
    found: Arrays = {}
    for name, state in built.network._full_state().items():
        if name == "0_t":
            found["time"] = np.asarray(state)
        elif not name.startswith(_FROM_INPUT):
            for variable, value in state.items():
                key = f"{name}/{variable}"
                if variable == "_spikequeue":
                    found |= _queue(key, value)
                else:
                    found[key] = np.array(value[0])
    return found


def _queue(key: str, value: Any) -> Arrays:
    if value is None:
        return {}
    offset, slots = value
    return {
        f"{key}/offset": np.asarray(offset),
        f"{key}/sizes": np.array([len(slot) for slot in slots], np.int64),
        f"{key}/synapses": np.array([s for slot in slots for s in slot], np.int32),
    }


def restore(built: Built, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Take over what :func:`flat` returned for the same network."""
    by_name = {thing.name: thing for thing in built.network.sorted_objects}
    by_name[built.clock.name] = built.clock
    for name, thing in by_name.items():
        own = {k.removeprefix(f"{name}/"): v for k, v in arrays.items() if k.startswith(f"{name}/")}
        if not own:
            continue
        state: dict[str, Any] = {k: (v, v.size) for k, v in own.items() if "/" not in k}
        if "_spikequeue/offset" in own:
            ends = np.cumsum(own["_spikequeue/sizes"])[:-1]
            slots = np.split(own["_spikequeue/synapses"], ends)
            state["_spikequeue"] = (
                int(own["_spikequeue/offset"]),
                [slot.tolist() for slot in slots],
            )
        thing._restore_from_full_state(state)
    built.network.t_ = float(arrays["time"])
