"""The workloads in NEST, one thread, all synapses and input events handed over as arrays.

Only numpy and NEST are imported, so this runs where spikecore is not installed.

Its devices cannot feed plastic synapses: in W5 a parrot neuron repeats each input. Its
poisson_generator draws its own noise. Membranes have a capacitance of ``tau_m`` pF, so that 1 pA
drives 1 mV.
"""

from __future__ import annotations

from typing import Any

import nest
import numpy as np
from speed_one import Clock
from speed_workloads import Workload


def run_nest(workload: Workload, options: dict[str, str], clock: Clock) -> dict[str, Any]:
    """Build (``Prepare`` included) and run. ``options["delay"]``: delay of W1 in ms.

    W1 has 1.5 ms by default, NEST's best case: it exchanges spikes once per smallest delay, and
    with 0.1 ms, as in the other simulators, it takes two to four times as long.
    """
    with clock.measure("build"):
        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.ResetKernel()
        nest.SetKernelStatus({"resolution": workload.dt, "local_num_threads": 1, "rng_seed": 1})
        cells, found = _PARTS[workload.kind](workload, options)
        recorder = nest.Create("spike_recorder")
        nest.Connect(cells, recorder)
        nest.Prepare()
    with clock.measure("loop"):
        nest.Run(workload.ticks * workload.dt)
    nest.Cleanup()
    found = {"spikes": int(recorder.n_events), "versions": {"nest": nest.__version__}} | found
    if workload.kind == "stdp":
        # The mean alone: reading a million weights takes NEST gigabytes (not measured above).
        found["mean_weight"] = float(
            np.mean(nest.GetConnections(synapse_model="plastic")[::50].weight)
        )
    return found


def _neurons(w: Workload, model: str, **extra: Any) -> Any:
    p = w.parameters
    rest = p.get("v_rest", 0.0)
    return nest.Create(
        model,
        w.neurons,
        {
            "C_m": p["tau_m"],
            "tau_m": p["tau_m"],
            "E_L": rest,
            "V_m": rest,
            "V_th": p["v_threshold"],
            "V_reset": p["v_reset"],
            "t_ref": p["refractory"],
            "I_e": 0.0,
            **extra,
        },
    )


def _wire(pre: Any, post: Any, weight: Any, delay: Any, **more: Any) -> None:
    """Connect neuron numbers pairwise, in pieces: NEST copies what it is given several times."""
    piece = 2_000_000
    for at in range(0, pre.size, piece):
        own = slice(at, at + piece)
        size = pre[own].size
        syn_spec = {
            "weight": np.broadcast_to(np.asarray(weight)[own] if np.ndim(weight) else weight, size),
            "delay": np.broadcast_to(np.asarray(delay)[own] if np.ndim(delay) else delay, size),
            **more,
        }
        syn_spec |= {key: np.array(syn_spec[key], np.float64) for key in ("weight", "delay")}
        nest.Connect(pre[own].astype(np.int64), post[own].astype(np.int64), "one_to_one", syn_spec)


def _generators(w: Workload) -> tuple[Any, np.ndarray]:
    """One spike_generator for each source that has events; which it stands for.

    NEST has no spikes at time 0, so all events come one tick later than in the arrays.
    """
    source, tick = w.arrays["event_source"], w.arrays["event_tick"]
    order = np.lexsort((tick, source))
    who, first = np.unique(source[order], return_index=True)
    times = np.round((tick[order] + 1) * w.dt, 6)
    generators = nest.Create("spike_generator", who.size)
    generators.set([{"spike_times": own} for own in np.split(times, first[1:])])
    return generators, who


def _first(nodes: Any) -> int:
    return int(nodes[0].global_id)


def _recurrent(w: Workload, cells: Any, delay: float) -> None:
    p, pre, post = w.parameters, w.arrays["pre"], w.arrays["post"]
    cut, first = int(np.searchsorted(pre, p["excitatory"])), _first(cells)
    for own, weight in ((slice(None, cut), p["w_exc"]), (slice(cut, None), -p["w_inh"])):
        sources, targets = pre[own].astype(np.int64), post[own].astype(np.int64)
        _wire(sources + first, targets + first, weight, delay)


def _cuba(w: Workload, options: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    p, delay = w.parameters, float(options.get("delay", 1.5))
    cells = _neurons(w, "iaf_psc_exp", tau_syn_ex=p["tau_exc"], tau_syn_in=p["tau_inh"])
    cells.V_m = list(w.arrays["v"])
    _recurrent(w, cells, delay)
    return cells, {"delay_ms": delay}


def _brunel(w: Workload, _options: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    p = w.parameters
    cells = _neurons(w, "iaf_psc_delta")
    _recurrent(w, cells, p["delay"])
    drive = nest.Create("poisson_generator", params={"rate": p["drive_hz"]})
    nest.Connect(drive, cells, syn_spec={"weight": p["w_exc"], "delay": p["delay"]})
    return cells, {}


def _delays(w: Workload, _options: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    a = w.arrays
    cells = _neurons(w, "iaf_psc_delta")
    generators, who = _generators(w)
    number = np.full(int(a["pre"][-1]) + 1, -1)
    number[who] = np.arange(who.size) + _first(generators)
    sources = number[a["pre"]]
    used = sources >= 0
    targets = a["post"][used] + _first(cells)
    _wire(sources[used], targets, a["weight"][used], a["delay"][used] * w.dt)
    return cells, {}


def _sparse(w: Workload, _options: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    a, p = w.arrays, w.parameters
    cells = _neurons(w, "iaf_psc_delta")
    first = _first(cells)
    generators, who = _generators(w)
    _wire(np.arange(who.size) + _first(generators), who + first, p["w_in"], w.dt)
    _wire(a["pre"] + first, a["post"] + first, p["w"], a["delay"] * w.dt)
    return cells, {}


def _stdp(w: Workload, _options: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    p = w.parameters
    cells = _neurons(
        w,
        "iaf_psc_exp",
        tau_syn_ex=p["tau_syn"],
        tau_syn_in=p["tau_syn"],
        tau_minus=p["tau_minus"],
    )
    generators, who = _generators(w)
    parrots = nest.Create("parrot_neuron", int(p["inputs"]))
    _wire(np.arange(who.size) + _first(generators), who + _first(parrots), 1.0, w.dt)
    rule = {
        "tau_plus": p["tau_plus"],
        "lambda": p["A_plus"],
        "alpha": p["A_minus"] / p["A_plus"],
        "mu_plus": 0.0,
        "mu_minus": 0.0,
        "Wmax": p["w_max"],
    }
    nest.CopyModel("stdp_synapse", "plastic", rule)
    weight = w.arrays["weight"]
    syn_spec = {"synapse_model": "plastic", "weight": weight.T, "delay": p["delay"]}
    nest.Connect(parrots, cells, "all_to_all", syn_spec)
    return cells, {}


_PARTS = {
    "cuba": _cuba, "brunel": _brunel, "delays": _delays, "sparse": _sparse, "stdp": _stdp,
}  # fmt: skip
