"""The cortical microcircuit of Potjans and Diesmann (2014) on one GPU.

77,169 neurons, 299 million synapses, 0.1 ms, Poisson drive. The real-time factor is wall time
over model time; below 1 is faster than the brain. The network has the conventions of NEST's
reference model: multapses with given totals, clipped weights, delays drawn again below one
tick, a spike sent at t acts from t + delay on.

    python benchmarks/microcircuit.py                    # full scale, 10 s of model time
    python benchmarks/microcircuit.py --scale 0.1 --backend event
"""

from __future__ import annotations

import time
from typing import Any

import click
import numpy as np
from machine import machine, write_json

from spikecore import (
    LIF,
    Exponential,
    Hz,
    Input,
    MOhm,
    Network,
    Normal,
    OneToOne,
    PoissonCounts,
    Population,
    Projection,
    RandomTotal,
    Simulation,
    ms,
    mV,
    pA,
)
from spikecore.backends.registry import get_backend

# Potjans and Diesmann (2014), table 5 and figure 1.
SIZES = {
    "L23E": 20683, "L23I": 5834, "L4E": 21915, "L4I": 5479,
    "L5E": 4850, "L5I": 1065, "L6E": 14395, "L6I": 2948,
}  # fmt: skip
EXTERNAL = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)  # synapses of each neuron, at 8 Hz
PROBABILITY = np.array(  # row: target, column: source
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ]
)
WEIGHT, RELATIVE_SD, INHIBITION = 87.81, 0.1, -4.0  # pA
PUBLISHED = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)
"""Rates in Hz that come with NEST's reference implementation (`full_mean_rates`)."""


def synapses(probability: float, n_source: int, n_target: int) -> int:
    """Return how many synapses give a pair this probability of being connected."""
    if probability == 0.0:
        return 0
    return round(np.log(1.0 - probability) / np.log(1.0 - 1.0 / (n_source * n_target)))


def microcircuit(scale: float = 1.0, seed: int = 0) -> Network:
    """Return the network; ``scale`` thins neurons, and synapses with them."""
    rng = np.random.default_rng(seed)
    sizes = {name: max(1, round(scale * size)) for name, size in SIZES.items()}
    unit = LIF(
        tau_m=10 * ms,
        v_rest=-65 * mV,
        v_reset=-65 * mV,
        v_threshold=-50 * mV,
        refractory=2 * ms,
        resistance=40 * MOhm,
        synapse=Exponential(0.5 * ms, 0.5 * ms),
    )
    parts: list[Any] = []
    for (name, size), number in zip(sizes.items(), EXTERNAL, strict=True):
        start = np.minimum(rng.normal(-58.0, 10.0, size), -50.001) * mV
        parts += [
            Input(f"drive {name}", size, PoissonCounts(number * 8 * Hz), record=False),
            Population(name, size, unit, initial={"v": start}),
            Projection(f"drive {name}", name, OneToOne(), WEIGHT * pA, 1.5 * ms),
        ]
    for j, (source, n_source) in enumerate(SIZES.items()):
        for i, (target, n_target) in enumerate(SIZES.items()):
            total = round(scale * scale * synapses(PROBABILITY[i, j], n_source, n_target))
            if total:
                parts.append(_recurrent(source, target, total))
    return Network(parts, dt=0.1 * ms)


def _recurrent(source: str, target: str, total: int) -> Projection:
    excites = source.endswith("E")
    mean = WEIGHT * (1.0 if excites else INHIBITION)
    if (source, target) == ("L4E", "L23E"):
        mean *= 2.0
    edge = {"low": 0 * pA} if excites else {"high": 0 * pA}
    weight = Normal(mean * pA, RELATIVE_SD * abs(mean) * pA, **edge)
    middle = 1.5 if excites else 0.75
    delay = Normal(middle * ms, 0.5 * middle * ms, low=0.1 * ms)
    return Projection(source, target, RandomTotal(total), weight, delay)


@click.command()
@click.option("--scale", default=1.0, help="Fraction of the neurons.")
@click.option("--seconds", default=10.0, help="Model time that is measured.")
@click.option("--backend", default="torch:device=cuda")
@click.option("--precision", default="float32")
@click.option("--seed", default=0)
@click.option("--out", default="", help="Name of the result file.")
def main(scale: float, seconds: float, backend: str, precision: str, seed: int, out: str) -> None:
    """Build, warm up for half a second of model time, measure."""
    get_backend(backend.partition(":")[0])  # imports are no part of building
    began = time.perf_counter()
    network = microcircuit(scale)
    simulation = Simulation(network, backend=backend, precision=precision, seed=seed)
    built = time.perf_counter() - began
    warm = simulation.run(500 * ms)
    before, spent = len_by_group(warm), warm.provenance["wall_s"]
    began = time.perf_counter()
    result = simulation.run(round(seconds * 1000) * ms)
    wall = time.perf_counter() - began  # with all spikes brought back and put in order
    rates = {
        name: round((len_by_group(result)[name] - before[name]) / size / seconds, 3)
        for name, size in ((n, max(1, round(scale * s))) for n, s in SIZES.items())
    }
    found = {
        "neurons": sum(p.size for p in network.populations),
        "built_s": round(built, 1),
        "model_s": seconds,
        "real_time_factor": round(wall / seconds, 4),
        "real_time_factor_stepping": round((result.provenance["wall_s"] - spent) / seconds, 4),
        "rates_hz": rates,
        "published_hz": dict(zip(SIZES, PUBLISHED, strict=True)),
        "counters": dict(result.counters),
        "backend": backend,
        "precision": precision,
        "seed": seed,
        "machine": machine() | {"device": _device(backend)},
    }
    for key in ("built_s", "real_time_factor", "real_time_factor_stepping", "rates_hz"):
        print(f"{key}: {found[key]}")
    if out:
        print(write_json(out, found))


def len_by_group(result: Any) -> dict[str, int]:
    return {name: len(spikes) for name, spikes in result.spikes.items()}


def _device(backend: str) -> str:
    if "cuda" not in backend:
        return "cpu"
    import torch

    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
