"""Random small networks for the SpiNNaker mirror, and the same for the vendor's tool chain."""

from __future__ import annotations

import numpy as np

from spikecore import (
    LIF,
    AstroLIF,
    CapabilityRefused,
    Exponential,
    Input,
    MOhm,
    Network,
    Pairs,
    PairSTDP,
    Population,
    Probe,
    Projection,
    Simulation,
    SlowTrace,
    Train,
    ms,
    mV,
    nA,
    uM,
)

TICKS = 160
KINDS = (
    *("static", "stdp", "saturated", "saturated stdp", "delayed", "delayed stdp", "busy stdp"),
    *("slow", "delayed slow"),
)


def draw(seed, dt=1.0, ticks=TICKS):
    """Return a network that the chip can run; its kind goes by the seed."""
    kind = KINDS[seed % len(KINDS)]
    for attempt in range(100):
        network = _draw(np.random.default_rng([seed, attempt]), kind, dt, ticks)
        try:
            Simulation(network, backend="spinnaker")
        except CapabilityRefused:  # weights that are lost, delays that the tool chain loses
            continue
        return network
    raise AssertionError(f"seed {seed}: nothing that the chip can run")


def _draw(rng, kind, dt, ticks):
    first = kind.split()[0]
    rule = _rule(rng, dt) if kind.endswith("stdp") else None
    size, sources = int(rng.integers(2, 25)), int(rng.integers(2, 13))
    density, weight, longest = 0.3, 4.0, 20
    slow = kind.endswith("slow")
    if first == "delayed":  # 64 slots (32 with three receptors): two stages of extension, or more
        size = sources = int(rng.integers(65, 90))
        density, weight, longest = 0.05, 8.0, 140
    elif first == "saturated":  # more at once than the tool chain expects
        sources, weight = int(rng.integers(30, 41)), 12.0
    parts = [
        _input(rng, sources, ticks, dt, often=3 if first == "busy" else 8),
        _cells(
            rng,
            size,
            dt,
            drive=9.0 if first == "busy" else float(rng.choice([0.0, 0.3])),
            slow=slow,
        ),
    ]
    wires = [("in", "exc", 2.5), ("in", "inh", 1.0), ("n", "exc", 0.5)]
    wires += [("in", "glia", 0.7), ("n", "glia", 0.3)] if slow else []
    for source, port, share in wires:
        parts.append(
            _synapses(
                rng,
                (source, port),
                (sources if source == "in" else size, size),
                3.3 * density if first == "saturated" and port == "exc" else share * density,
                weight,
                2 if first == "saturated" and source == "in" else longest,
                rule if port == "exc" else None,
                dt,
            )
        )
    parts.append(_synapses(rng, ("n", "inh"), (size, size), density, weight, longest, None, dt))
    return Network([*parts, Probe("n", "v")], dt=dt * ms)


def _input(rng, size, ticks, dt, *, often):
    """Return spikes that often come together, so that their sums are large."""
    together = rng.integers(1, ticks, 6)
    at, who = [], []
    for source in range(size):
        own = np.concatenate([rng.integers(1, ticks, often), together[rng.random(6) < 0.1 * often]])
        own = np.unique(own)
        at += own.tolist()
        who += [source] * own.size
    return Input("in", size, Train(np.array(at) * dt * ms, np.array(who)))


def _cells(rng, size, dt, *, drive, slow):
    alike = rng.random() < 0.4
    spread = 1.0 if alike else rng.uniform(0.7, 1.4, size)
    unit = LIF(
        tau_m=spread * rng.choice([0.4, 3.0, 20.0, rng.uniform(1.0, 40.0)]) * ms,
        v_rest=-65 * mV,
        v_reset=float(rng.choice([-65.0, -70.3])) * mV,
        v_threshold=rng.uniform(-58, -50) * mV,
        refractory=int(rng.integers(0, 4)) * dt * ms,
        resistance=rng.uniform(2.0, 25.0) * MOhm,
        i_offset=drive * nA,
        synapse=Exponential(rng.uniform(0.2, 10.0) * ms, rng.uniform(0.2, 10.0) * ms),
        step="spinnaker",
    )
    if slow:
        tau = rng.choice([0.3, 20.0, 797.0, 2000.0, rng.uniform(1.0, 500.0)])
        gain = rng.uniform(0.02, 0.5, 1 if alike else size)
        unit = AstroLIF(unit, SlowTrace(spread * tau * ms, tau_y=None), current=gain * nA)
    start = rng.uniform(-70, -55, None if alike else size)
    return Population("n", size, unit, initial={"v": start * mV})


def _rule(rng, dt):
    high = float(rng.uniform(3.0, 15.0))
    return PairSTDP(
        tau_plus=rng.choice([0.24, 3.0, 20.0, 60.0]) * dt * ms,
        tau_minus=rng.choice([0.24, 3.0, 20.0, 60.0]) * dt * ms,
        A_plus=float(rng.choice([0.01, 0.3, 80.0])) * nA,
        A_minus=float(rng.choice([0.01, 0.2, 80.0])) * nA,
        w_max=high * nA,
        w_min=float(rng.choice([0.0, 0.5])) * nA,
        post_delay=str(rng.choice(["dendritic", "dendritic", "none"])),
        window="table2048",
    )


def _synapses(rng, ends, sizes, density, weight, longest, rule, dt):
    source, port = ends
    pre, post = np.nonzero(rng.random(sizes) < density)
    low, high = (0.0, weight) if rule is None else rule.bounds
    delay = rng.integers(1, longest + 1, pre.size)
    if rule is not None:
        delay[delay % 64 == 0] += 1  # the chip loses plastic synapses of full turns of its ring
    return Projection(
        source,
        "n",
        Pairs(pre, post),
        weight=rng.uniform(low + 0.05 * (high - low), high, pre.size)
        * (uM if port == "glia" else nA),
        delay=delay * dt * ms,
        port=port,
        plasticity=rule,
        name=f"{source} {port}",
    )


def spikes_by_tick(network):
    source = network.group("in").source
    found = {}
    for tick, neuron in zip(np.rint(source.times.value / network.dt), source.neurons, strict=True):
        found.setdefault(int(tick), []).append(int(neuron))
    return found


def for_vendor(network):
    """Return the network as plain values, for ``spin1_vendor.py``."""
    source, cells = network.group("in"), network.group("n")
    p = cells.linear.parameters
    plain = {
        "tau_m": p["tau_m"].value,
        "cm": p["tau_m"].value / p["resistance"].value,
        "v_rest": p["v_rest"].value,
        "v_reset": p["v_reset"].value,
        "v_thresh": p["v_threshold"].value,
        "tau_refrac": p["refractory"].value,
        "tau_syn_E": p["tau_exc"].value,
        "tau_syn_I": p["tau_inh"].value,
        "i_offset": p["i_offset"].value,
    } | ({"tau_syn_E2": p["tau_A"].value} if "tau_A" in p else {})
    times = [[] for _ in range(source.size)]
    for time, neuron in zip(source.source.times.value, source.source.neurons, strict=True):
        times[neuron].append(float(time))
    return {
        "sources": source.size,
        "spikes": times,
        "neurons": cells.size,
        "parameters": {name: np.asarray(value).tolist() for name, value in plain.items()},
        "v": np.asarray(cells.initial["v"].value).tolist(),
        "projections": [
            {
                "source": projection.pre_name,
                "port": projection.port,
                "synapses": np.stack(
                    [
                        projection.wiring.pre,
                        projection.wiring.post,
                        _currents(projection, cells),
                        projection.delay.value,
                    ],
                    axis=1,
                ).tolist(),
                "rule": _plain_rule(projection.plasticity),
            }
            for projection in network.projections
        ],
    }


def _currents(projection, cells):
    """Return weights in nA: of a slow trace, what it makes of them."""
    weight = projection.weight.value
    if projection.port != "glia":
        return weight
    gain = np.broadcast_to(cells.linear.parameters["g_a"].value, cells.size)
    return weight * gain[projection.wiring.post]


def _plain_rule(rule):
    if rule is None:
        return None
    return {
        "tau_plus": float(rule.tau_plus.value),
        "tau_minus": float(rule.tau_minus.value),
        "A_plus": rule.amplitudes[0],
        "A_minus": rule.amplitudes[1],
        "w_min": rule.bounds[0],
        "w_max": rule.bounds[1],
        "backprop_delay": rule.post_delay == "dendritic",
    }
