"""The working memory as Brian2 integrates it: equations as text, discrete rules in numpy."""

from __future__ import annotations

import numpy as np

NEURON = """
dv/dt = (0.04*v**2 + 5*v + 140 + clip(applied + synaptic, -1e9, 25) - w)/ms : 1
dg/dt = -10*g/second : 1
opened : 1
synaptic : 1
conductance : 1
applied : 1
w : 1 (linked)
"""
RECOVERY = """
du/dt = 0.1*(0.2*x - u)/ms : 1
x : 1 (linked)
"""
CALCIUM = """
dC/dt = (0.185*6*(p/(p+0.13)*C/(C+0.082)*h)**3*E - 2.2*C**2/(C**2+0.01) + 0.185*0.11*E
         + 0.2*p**2/(1+p**2) - 0.5*C + 0.05*from_c)/second : 1
dh/dt = 0.14*(Q+C)*(Q/(Q+C) - h)/second : 1
dp/dt = ((0.16-p)*0.14 + 0.3*(C+0.22)/(C+1.1) + drive + 0.1*from_p)/second : 1
E = (2-C)/0.185 - C : 1
Q = 1.049*(p+0.13)/(p+0.9434) : 1
drive : 1
from_c : 1
from_p : 1
"""


def brian2_run(memory, picture, shown, rest):  # noqa: PLR0915 - one network, in its order
    """Return spike counts and final states of a copy of ``memory`` under Brian2."""
    import brian2 as b2

    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    s, z, zones, side = memory._neurons, memory._zones, memory.zones, memory.side
    clock = b2.Clock(0.1 * b2.ms)
    dt = clock.dt
    # v takes its step with the old u, then u with the new v; then the peak is cut off,
    # synapses conduct, and only then is the neuron reset.
    n = b2.NeuronGroup(
        side**2, NEURON, threshold="v >= 30", reset="v = -65", method="euler", clock=clock, order=0
    )
    r = b2.NeuronGroup(side**2, RECOVERY, method="euler", clock=clock, order=1)
    n.w, r.x = b2.linked_var(r, "u"), b2.linked_var(n, "v")
    n.v, r.u, n.g, n.applied = s.v, s.u, s.glutamate, 9.0 * picture.ravel()
    jump = b2.Synapses(n, r, on_pre="u_post += 2", clock=clock)
    jump.connect(j="i")
    n.run_regularly("v = clip(v, -1e9, 30)", when="after_groups", order=0, clock=clock)
    syn = b2.Synapses(n, n, "opened_post = 1/(1 + exp(-v_pre/0.2)) : 1 (summed)", clock=clock)
    source = np.repeat(np.arange(side**2), s.targets.shape[1])
    syn.connect(i=source, j=s.targets.ravel())
    for updater in syn.summed_updaters.values():
        updater.when, updater.order = "after_groups", 1
    n.run_regularly("synaptic = -conductance*v*opened", when="after_groups", order=2, clock=clock)
    a = b2.NeuronGroup(zones**2, CALCIUM, method="euler", clock=clock, order=9)
    a.C, a.h, a.p = z.calcium.ravel(), z.h.ravel(), z.ip3.ravel()
    row, column = np.divmod(np.arange(zones**2), zones)
    i, j = np.nonzero(np.abs(row[:, None] - row) + np.abs(column[:, None] - column) == 1)
    gap = b2.Synapses(
        a,
        a,
        "from_c_post = C_pre - C_post : 1 (summed)\nfrom_p_post = p_pre - p_post : 1 (summed)",
        clock=clock,
    )
    gap.connect(i=i, j=j)
    for updater in gap.summed_updaters.values():
        updater.when, updater.order = "groups", 8
    spikes = np.zeros(side**2, np.int64)
    state = {
        "last": np.full(side**2, -9999),
        "gain": np.full(zones**2, -9999),
        "drive": np.full(zones**2, -9999),
        "together": np.full(zones**2, -9999),
    }
    inside = [
        ((np.arange(4) + 3 * q)[:, None] * side + np.arange(4) + 3 * c).ravel()
        for q in range(zones)
        for c in range(zones)
    ]

    # Calcium's state update needs the drive of the same step, which needs the spikes.
    @b2.network_operation(when="groups", order=5, clock=clock)
    def watch(t):
        now = round(float(t / dt))
        fired = np.asarray(n.v) >= 30
        spikes[fired] += 1
        state["last"][fired] = now
        n.g_ = np.asarray(n.g) + 0.06 * fired
        seen, recent = np.asarray(n.g) >= 0.7, now - state["last"] < 4
        for zone, members in enumerate(inside):
            if seen[members].sum() >= 8:
                state["drive"][zone] = now + 600
            if (np.asarray(n.v) > -8).any() and recent[members].sum() >= 9:
                state["together"][zone] = now
        a.drive = 5.0 * (state["drive"] > now)
        n.conductance = 0.025 + 0.5 * (state["gain"] > now)[s.home]

    @b2.network_operation(when="end", clock=clock)
    def act(t):
        now = round(float(t / dt))
        if now % 10 == 0:
            on = (np.asarray(a.C) > 0.15) & (now - state["together"] <= 100)
            state["gain"][on] = now + 2500

    net = b2.Network(n, r, jump, syn, a, gap, watch, act)
    net.run(shown * b2.ms, namespace={})
    n.applied = 0.0
    net.run(rest * b2.ms, namespace={})
    return {
        "counts": spikes,
        "v": reset_undone(np.asarray(n.v), state, shown + rest),
        "calcium": np.asarray(a.C),
        "ip3": np.asarray(a.p),
    }


def reset_undone(v, state, duration):
    """Return v with the spikes of the last step still standing: the kernel resets later."""
    return np.where(state["last"] == 10 * duration - 1, 30.0, v)
