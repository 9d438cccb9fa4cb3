"""The workloads in spikecore, through its public interface alone."""

from __future__ import annotations

import gc
from importlib.metadata import version
from typing import Any

import numpy as np
from speed_one import Clock
from speed_workloads import Workload

from spikecore import (
    LIF,
    Delta,
    Exponential,
    Hz,
    Input,
    MOhm,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    PoissonCounts,
    Population,
    Projection,
    Simulation,
    Train,
    __version__,
    ms,
    mV,
    nA,
)


def run_spikecore(peer: str, workload: Workload, clock: Clock) -> dict[str, Any]:
    """Build, run once to have all kernels loaded (or compiled), clear, and run again, measured.

    The second run does everything the first did but load kernels: states, delays under way,
    weights and spikes recorded start as they did. What the first costs is reported as ``first``.
    """
    backend, _, precision = peer.partition("@")
    with clock.measure("build"):
        simulation = Simulation(
            network(workload), backend=backend, precision=precision or "float64"
        )
    duration = workload.ticks * workload.dt * ms
    with clock.measure("first"):
        simulation.run(duration, weights=False)
    simulation.clear()
    if workload.kind == "stdp":  # clearing keeps what was learned
        simulation.set_weights("input->cells", workload.arrays["weight"].ravel())
    gc.collect()
    with clock.measure("loop"):
        result = simulation.run(duration, weights=False)
    if result.status != "complete":
        raise RuntimeError(f"the run was {result.status}: {result.message}")
    found: dict[str, Any] = {
        "spikes": len(result.spikes["cells"]),
        "counters": dict(result.counters),
        "versions": {"spikecore": __version__, "numba": version("numba")},
        "provenance": {k: str(v) for k, v in result.provenance.items() if k != "versions"},
    }
    if workload.kind == "stdp":
        found["mean_weight"] = float(simulation.weights("input->cells").mean())
    return found


def network(w: Workload) -> Network:
    """Return the workload as a network; its neurons are the population "cells"."""
    return Network(_PARTS[w.kind](w), dt=w.dt * ms)


def _lif(w: Workload, synapse: Delta | Exponential, v_rest: float = 0.0) -> LIF:
    p = w.parameters
    return LIF(
        tau_m=p["tau_m"] * ms,
        v_rest=v_rest * mV,
        v_reset=p["v_reset"] * mV,
        v_threshold=p["v_threshold"] * mV,
        refractory=p["refractory"] * ms,
        resistance=1.0 * MOhm,
        synapse=synapse,
    )


def _events(w: Workload, name: str, size: int) -> Input:
    train = Train(w.arrays["event_tick"] * w.dt * ms, w.arrays["event_source"])
    return Input(name, size, train, record=False)


def _recurrent(w: Workload, unit: Any) -> list[Any]:
    """Two projections of one population: the excitatory sources', and the inhibitory ones'."""
    p, pre, post = w.parameters, w.arrays["pre"], w.arrays["post"]
    cut = int(np.searchsorted(pre, p["excitatory"]))
    parts = []
    for port, own in (("exc", slice(None, cut)), ("inh", slice(cut, None))):
        wiring = Pairs(pre[own], post[own], duplicates=True)
        weight = p[f"w_{port}"] * unit
        parts.append(Projection("cells", "cells", wiring, weight, p["delay"] * ms, port, name=port))
    return parts


def _cuba(w: Workload) -> list[Any]:
    p = w.parameters
    unit = _lif(w, Exponential(p["tau_exc"] * ms, p["tau_inh"] * ms), p["v_rest"])
    cells = Population("cells", w.neurons, unit, initial={"v": w.arrays["v"] * mV})
    return [cells, *_recurrent(w, nA)]


def _brunel(w: Workload) -> list[Any]:
    p = w.parameters
    return [
        Input("drive", w.neurons, PoissonCounts(p["drive_hz"] * Hz), record=False),
        Population("cells", w.neurons, _lif(w, Delta())),
        Projection("drive", "cells", OneToOne(), p["w_exc"] * mV, w.dt * ms),
        *_recurrent(w, mV),
    ]


def _delays(w: Workload) -> list[Any]:
    a = w.arrays
    return [
        _events(w, "input", int(a["pre"][-1]) + 1),
        Population("cells", w.neurons, _lif(w, Delta())),
        Projection(
            "input",
            "cells",
            Pairs(a["pre"], a["post"]),
            a["weight"] * mV,
            a["delay"] * w.dt * ms,
        ),
    ]


def _sparse(w: Workload) -> list[Any]:
    a, p = w.arrays, w.parameters
    wiring = Pairs(a["pre"], a["post"], duplicates=True)
    return [
        _events(w, "input", w.neurons),
        Population("cells", w.neurons, _lif(w, Delta())),
        Projection("input", "cells", OneToOne(), p["w_in"] * mV, w.dt * ms),
        Projection("cells", "cells", wiring, p["w"] * mV, a["delay"] * w.dt * ms),
    ]


def _stdp(w: Workload) -> list[Any]:
    p = w.parameters
    rule = PairSTDP(
        tau_plus=p["tau_plus"] * ms,
        tau_minus=p["tau_minus"] * ms,
        A_plus=p["A_plus"],
        A_minus=p["A_minus"],
        w_max=p["w_max"] * nA,
        post_delay="none",
    )
    sources, targets = (index.ravel() for index in np.indices(w.arrays["weight"].shape))
    return [
        _events(w, "input", int(p["inputs"])),
        Population("cells", w.neurons, _lif(w, Exponential(p["tau_syn"] * ms, p["tau_syn"] * ms))),
        Projection(
            "input",
            "cells",
            Pairs(sources, targets),
            w.arrays["weight"].ravel() * nA,
            p["delay"] * ms,
            plasticity=rule,
        ),
    ]


_PARTS = {
    "cuba": _cuba, "brunel": _brunel, "delays": _delays, "sparse": _sparse, "stdp": _stdp,
}  # fmt: skip
