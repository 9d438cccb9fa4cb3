"""A lowered network in PyNN's terms: what run.py reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection
from spikecore.plasticity import PairSTDP
from spikecore.units.propagator import step_system
from spikecore_hardware.spinnaker import slow_trace

__all__ = ["cell_of", "describe", "gains"]

Arrays = dict[str, npt.NDArray[Any]]

_CELLS = {
    ("i_exc", "i_inh", "v"): "IF_curr_exp",
    ("a_exc", "a_inh", "i_exc", "i_inh", "v"): "IF_curr_alpha",
    ("v",): "IF_curr_delta",
}
_DEPENDENCES = {
    "additive": "AdditiveWeightDependence",
    "multiplicative": "MultiplicativeWeightDependence",
}


def cell_of(p: LoweredPopulation) -> str | None:
    """Return the name of PyNN's cell that ``p`` is, or None if there is none.

    IF_curr_dual_exp is sPyNNaker's own.
    """
    if slow_trace.is_dual(p):
        fast = tuple(s for s in p.unit.states if s not in ("y", "A"))
        alike = _CELLS.get(fast) == "IF_curr_exp" and not any(slow_trace.refusals(p))
        return "IF_curr_dual_exp" if alike else None
    return _CELLS.get(p.unit.states) if p.unit.name == "lif" else None


def describe(lowered: Lowered, ticks: int) -> tuple[dict[str, Any], Arrays]:
    """Return the network as plain values and arrays.

    Parameters
    ----------
    lowered : Lowered
        A network of cells that PyNN has (:func:`cell_of`).
    ticks : int
        Length of the run.

    Returns
    -------
    network : dict
        For ``network.json``. Arrays are referred to by their key, or by number:
        ``population0_refractory``, ``projection0_pre``, ``input0_ticks``.
    arrays : dict of str to ndarray
        For ``arrays.npz``. Times in ticks, weights in nA (delta synapses: mV), not negated.
        ``population0_gain_exc``: what multiplies weights where the step rule is the exact one.
    """
    lowered = slow_trace.in_currents(lowered)
    arrays: Arrays = {}
    names = {start: name for name, (start, _) in lowered.groups.items()}
    inputs = []
    for number, bound in enumerate(lowered.inputs):
        spikes = bound.spikes(0, ticks)
        arrays[f"input{number}_ticks"] = spikes.ticks
        arrays[f"input{number}_neurons"] = spikes.neurons
        inputs.append({"name": bound.input.name, "size": bound.input.size})
    populations = []
    for number, p in enumerate(lowered.populations):
        parameters = {f"population{number}_{name}": value for name, value in _parameters(p).items()}
        arrays |= parameters
        arrays[f"population{number}_refractory"] = p.refractory
        keys = {key.partition("_")[2]: key for key in parameters}
        scaled = gains(p, lowered.dt)
        arrays |= {f"population{number}_gain_{port}": gain for port, gain in scaled.items()}
        populations.append({"name": p.name, "size": p.size, "cell": cell_of(p), "parameters": keys})
    projections = []
    for number, c in enumerate(lowered.projections):
        arrays |= {f"projection{number}_{name}": value for name, value in _synapses(c).items()}
        target = next(p for p in lowered.populations if p.start == c.target_start)
        gain = f"population{lowered.populations.index(target)}_gain_{target.ports[c.port]}"
        projections.append(
            {
                "name": c.name,
                "source": names[c.source_start],
                "target": target.name,
                "port": target.ports[c.port],
                "gain": gain if gain in arrays else None,
                "delta": cell_of(target) == "IF_curr_delta",
                "rule": None if c.plasticity is None else _rule(c.plasticity),
            }
        )
    network = {
        "format": "spikecore-pynn-1",
        "hash": lowered.network.hash,
        "seed": lowered.seed,
        "dt": lowered.dt,
        "ticks": ticks,
        "longest_delay": lowered.max_delay,
        "inputs": inputs,
        "populations": populations,
        "projections": projections,
    }
    return network, arrays


def gains(p: LoweredPopulation, dt: float) -> Arrays:
    """Return what makes weights under the rule "spinnaker" act alike under the exact one.

    Both rules are linear and let a current fall by the same factor in a tick. They differ in how
    far it moves the membrane meanwhile; the ratio is the same in every tick.

    Returns
    -------
    dict of str to ndarray, shape (K,)
        By port. Empty if there is nothing to scale.
    """
    if p.unit.step != "spinnaker" or cell_of(p) != "IF_curr_exp":
        return {}
    exact = step_system(replace(p.unit, step="exact"), dt, held=False)
    v = p.unit.states.index("v")
    return {
        port: p.port_gain[:, number, v] / exact[:, v, p.unit.states.index(f"i_{port}")]
        for number, port in enumerate(p.ports)
    }


def _parameters(p: LoweredPopulation) -> Arrays:
    """Return the parameters of a cell under PyNN's names, in ms, mV, nF and nA."""
    given = {n: np.atleast_1d(np.asarray(q.value)) for n, q in p.unit.parameters.items()}
    found = {name: given[name] for name in ("v_rest", "v_reset", "tau_m", "i_offset")}
    found["v_thresh"] = given["v_threshold"]
    found["cm"] = given["tau_m"] / given["resistance"]
    if "tau_exc" in given:
        found["tau_syn_E"], found["tau_syn_I"] = given["tau_exc"], given["tau_inh"]
    if "tau_A" in given:
        found["tau_syn_E2"] = given["tau_A"]
    return found


def _synapses(c: LoweredProjection) -> Arrays:
    """Return the synapses in the order in which the user gave them."""
    order = slice(None) if c.order is None else np.argsort(c.order)
    each: Arrays = {"pre": c.source, "post": c.target, "weight": c.weight, "delay": c.delay}
    return {n: v if v.size != c.size else v[order] for n, v in each.items()}


def _rule(rule: PairSTDP) -> dict[str, Any]:
    low, high = rule.bounds
    plus, minus = rule.amplitudes
    return {
        "tau_plus": float(rule.tau_plus.value),
        "tau_minus": float(rule.tau_minus.value),
        "A_plus": plus,
        "A_minus": minus,
        "w_min": low,
        "w_max": high,
        "dependence": _DEPENDENCES[rule.dependence],
        "post_delay": rule.post_delay,
        "coincidence": rule.coincidence,
    }
