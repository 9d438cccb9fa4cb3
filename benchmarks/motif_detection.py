"""Motif detection in the setting of Perrinet (ICANN 2023): right motif, in the very tick.

Known, learned and cross-correlated motifs; sweeps over the number of motifs, addresses
and delays and the strength of the motifs; events per second on one core.

    python benchmarks/motif_detection.py            # about 8 minutes
    python benchmarks/motif_detection.py --quick    # about a minute, writes nothing
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from machine import RESULTS, machine, one_line, write_json

from spikecore import Simulation, Spikes, Train, ms
from spikecore.motifs import (
    DetectionScore,
    MotifLayer,
    MotifModel,
    MotifRaster,
    learn_motifs,
    score,
    strongest,
)
from spikecore.progress import progress_bar

SETTING = {"n_motifs": 144, "n_inputs": 128, "delays": 31}
SWEEPS: dict[str, tuple[float, ...]] = {
    "n_motifs": (16, 64, 144, 400, 800, 1364, 2000),
    "delays": (5, 11, 21, 31, 41, 61),
    "n_inputs": (32, 64, 128, 256),
    "strength": (1.5, 2.0, 2.5, 2.6, 3.0, 4.0),
}
DETECTORS = ("kernel as evidence", "Bayes", "cross-correlation")


def known(model: MotifModel) -> dict[str, MotifLayer]:
    """Return the detectors that are told the motifs."""
    plain = MotifLayer.from_kernel(model.kernel)
    layers = (plain, model.layer(), model.correlation_layer())
    return dict(zip(DETECTORS, layers, strict=True))


def as_many(layer: MotifLayer, rasters: list[MotifRaster]) -> DetectionScore:
    """Score the strongest, as many as occurred in each raster: the rule of the paper."""
    total = DetectionScore(0, 0, 0)
    for raster in rasters:
        evidence = layer.evidence(raster.spikes, raster.ticks)
        total += score(strongest(evidence, len(raster.occurrences)), raster.occurrences)
    return total


def at_threshold(layer: MotifLayer, rasters: list[MotifRaster]) -> DetectionScore:
    """Score what reaches the threshold of the layer, which knows nothing of the number."""
    total = DetectionScore(0, 0, 0)
    for raster in rasters:
        total += score(layer.detect(raster.spikes, raster.ticks), raster.occurrences)
    return total


def both(layer: MotifLayer, rasters: list[MotifRaster]) -> dict[str, float]:
    """Return accuracy by the rule of the paper; accuracy and precision at the threshold."""
    found = at_threshold(layer, rasters)
    return {
        "accuracy": as_many(layer, rasters).accuracy,
        "at_threshold": found.accuracy,
        "precision": found.precision,
    }


# -- the ICANN setting ------------------------------------------------------------------


def setting(seed: int, number: int, lessons: int, advance: Callable[[int], None]) -> dict[str, Any]:
    """Measure one set of motifs: ``number`` rasters, unseen by what learns from ``lessons``."""
    model = MotifModel.random(**SETTING, seed=seed)
    rasters = [model.draw(seed=seed, number=n) for n in range(number)]
    rows = {name: both(layer, rasters) for name, layer in known(model).items()}
    training = [model.draw(seed=seed, number=number + n) for n in range(lessons)]
    began = time.perf_counter()
    learned = learn_motifs(training, model.shape, seed=seed)
    seconds = time.perf_counter() - began
    rows["learned"] = both(learned.layer(), rasters)
    rows["learned, 1 % of the synapses"] = both(learned.layer().prune(0.01), rasters)
    advance(1)
    return {
        "seed": seed,
        "occurrences": sum(len(raster.occurrences) for raster in rasters),
        "spikes_per_raster": float(np.mean([len(raster.spikes) for raster in rasters])),
        "rows": rows,
        "learning_seconds": seconds,
        "match": match(learned.kernel, model.kernel),
    }


def match(learned: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Correlate every learned kernel with every true one, and with its exciting part."""

    def correlations(of: np.ndarray) -> np.ndarray:
        flat = [kernel.reshape(len(kernel), -1) for kernel in (learned, of)]
        return np.corrcoef(*flat)[: len(learned), len(learned) :]

    table = correlations(true)
    others = table - np.diag(np.diag(table))
    right = table.argmax(axis=0) == np.arange(len(table))
    return {
        "own": float(np.diag(table).mean()),
        "smallest_own": float(np.diag(table).min()),
        "largest_other": float(np.abs(others).max()),
        "own_exciting": float(np.diag(correlations(np.maximum(true, 0.0))).mean()),
        "matched": float(right.mean()),
    }


# -- sweeps -----------------------------------------------------------------------------


def sweep(
    parameter: str, seeds: int, number: int, advance: Callable[[int], None]
) -> list[dict[str, Any]]:
    """Vary one parameter of the setting."""
    rows = []
    for value in SWEEPS[parameter]:
        whole = int(value) if parameter in SETTING else value
        accuracy: dict[str, list[float]] = {name: [] for name in DETECTORS}
        occurred = []
        for seed in range(seeds):
            model = MotifModel.random(**SETTING | {parameter: whole}, seed=100 + seed)
            rasters = [model.draw(seed=seed, number=n) for n in range(number)]
            occurred += [len(raster.occurrences) for raster in rasters]
            for name, layer in known(model).items():
                accuracy[name].append(as_many(layer, rasters).accuracy)
            advance(1)
        rows.append({"value": value, "occurrences": float(np.mean(occurred)), "seeds": accuracy})
    return rows


# -- speed ------------------------------------------------------------------------------


def speed(ticks: int, repeats: int) -> list[dict[str, Any]]:
    """Time detection in one long train, on one core; best of ``repeats``."""
    model = MotifModel.random(**SETTING)
    raster = model.draw(ticks)
    known_layer = model.layer()
    full = learn_motifs([model.draw(number=n) for n in range(50)], model.shape).layer()
    short = raster.spikes.between(0, ticks // 10)
    jobs = [
        ("known motifs, 1 % of the synapses", "detect", known_layer, raster.spikes, ticks),
        ("learned motifs, all synapses", "detect", full, short, ticks // 10),
        ("known motifs, 1 % of the synapses", "network", known_layer, raster.spikes, ticks),
        ("known motifs, dense kernel", "dense", known_layer, short, ticks // 10),
    ]
    return [timed(*job, repeats=repeats) for job in jobs]


def timed(
    what: str, how: str, layer: MotifLayer, spikes: Spikes, ticks: int, repeats: int
) -> dict[str, Any]:
    """Time one way of detecting, after a first time that compiles.

    In seconds of processor time, all threads together: other programs do not count.
    """
    ways = {"detect": detect, "network": network, "dense": dense}
    seconds = []
    for _ in range(repeats + 1):
        began = time.process_time()
        prepared = ways[how](layer, spikes, ticks)
        if prepared is not None:  # without building the network
            began = time.process_time()
            prepared.run(ticks * ms)
        seconds.append(time.process_time() - began)
    best = min(seconds[1:])
    fan_out = np.bincount(layer.sources, minlength=layer.n_inputs)
    events = int(fan_out[spikes.neurons].sum())
    return {
        "what": what,
        "how": how,
        "synapses": int(layer.weights.size),
        "spikes": len(spikes),
        "ticks": ticks,
        "seconds": best,
        "spikes_per_second": len(spikes) / best,
        "synaptic_events_per_second": None if how == "dense" else events / best,
        "ticks_per_second": ticks / best,
    }


def detect(layer: MotifLayer, spikes: Spikes, ticks: int) -> None:
    """Spike by spike."""
    layer.detect(spikes, ticks)


def network(layer: MotifLayer, spikes: Spikes, ticks: int) -> Simulation:
    """Return the network, ready to run on the event backend."""
    return Simulation(layer.network(Train(spikes.times * ms, spikes.neurons)))


def dense(layer: MotifLayer, spikes: Spikes, ticks: int) -> None:
    """Correlate the whole raster with the whole kernel, one matrix product for each delay."""
    raster = np.zeros((ticks, layer.n_inputs))
    raster[spikes.ticks, spikes.neurons] = 1.0
    kernel = layer.to_kernel()
    sums = np.zeros((ticks, layer.n_motifs))
    for late in range(1, kernel.shape[2] + 1):
        sums[late:] += raster[:-late] @ kernel[:, :, late - 1].T
    np.nonzero(sums >= layer.threshold - layer.bias)


# -- tables -----------------------------------------------------------------------------


def percent(values: list[float]) -> str:
    """Return mean and standard deviation in per cent."""
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def markdown(data: dict[str, Any]) -> str:
    """Return all tables."""
    runs = data["setting"]
    lines = [
        "# Motif detection, ICANN 2023 setting",
        "",
        f"{one_line(data['machine'])}. {data['seconds'] / 60:.1f} minutes.",
        "",
        "144 motifs, 128 addresses, 31 delays, 1,000 ticks, each motif once per 1,000 ticks on",
        "average, 1 % of the kernel not 0, strength 2.6. A detection is right if it has the motif",
        "and the very tick. Per cent, mean ± standard deviation over the seeds.",
        "",
        f"## The setting: {len(runs)} seeds (motifs and rasters), "
        f"{sum(run['occurrences'] for run in runs):,} occurrences",
        "",
        *setting_table(runs),
        *learning_lines(runs, data["lessons"]),
    ]
    for parameter, rows in data["sweeps"].items():
        lines += sweep_table(parameter, rows)
    return "\n".join([*lines, *speed_table(data["speed"])]).rstrip() + "\n"


def setting_table(runs: list[dict[str, Any]]) -> Iterator[str]:
    """Known, learned, correlated."""
    yield "| detector | accuracy (number known) | accuracy at threshold 0 | precision there |"
    yield "|---|---|---|---|"
    for name in runs[0]["rows"]:
        columns = {
            key: percent([run["rows"][name][key] for run in runs])
            for key in ("accuracy", "at_threshold", "precision")
        }
        if name in ("kernel as evidence", "cross-correlation"):  # their sums are no odds
            columns |= {"at_threshold": "-", "precision": "-"}
        yield f"| {name} | " + " | ".join(columns.values()) + " |"
    yield ""


def learning_lines(runs: list[dict[str, Any]], lessons: int) -> Iterator[str]:
    """Learned against known, and against the true kernels."""
    gain = [run["rows"]["learned"]["accuracy"] - run["rows"]["Bayes"]["accuracy"] for run in runs]
    error = np.std(gain, ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
    found = {key: [run["match"][key] for run in runs] for key in runs[0]["match"]}
    yield (
        f"Learned from {lessons:,} rasters in {np.mean([r['learning_seconds'] for r in runs]):.0f} "
        f"s. Learned − Bayes: {100 * np.mean(gain):+.2f} ± {100 * error:.2f} points (standard "
        f"error). {100 * np.mean(found['matched']):.0f} % of the learned kernels correlate most "
        f"with their own true one: by {np.mean(found['own']):.2f} on average (smallest "
        f"{min(found['smallest_own']):.2f}), by {max(found['largest_other']):.2f} at most with "
        f"another, and by {np.mean(found['own_exciting']):.2f} with the exciting part of their own."
    )
    yield ""


def sweep_table(parameter: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    """One parameter."""
    yield f"## {parameter}: {len(rows[0]['seeds'][DETECTORS[0]])} seeds, number known"
    yield ""
    yield f"| {parameter} | occurrences a raster | " + " | ".join(DETECTORS) + " |"
    yield "|---" * (len(DETECTORS) + 2) + "|"
    for row in rows:
        cells = [f"{row['value']:g}", f"{row['occurrences']:,.0f}"]
        yield "| " + " | ".join([*cells, *map(percent, row["seeds"].values())]) + " |"
    yield ""


def speed_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Events per second."""
    ways = {
        "detect": "`detect`, spike by spike",
        "network": "network, event backend",
        "dense": "NumPy, dense correlation",
    }
    yield from ("## Speed, per second of one core", "")
    yield "| motifs | how | synapses | spikes | synaptic events | ticks |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        rates = (row[k] for k in ("synaptic_events_per_second", "ticks_per_second"))
        cells = [row["what"], ways[row["how"]], f"{row['synapses']:,}"]
        cells += [f"{row['spikes_per_second']:.3g}"]
        cells += ["-" if rate is None else f"{rate:.3g}" for rate in rates]
        yield "| " + " | ".join(cells) + " |"
    yield ""


def main() -> None:
    """Run, print, and (unless quick) write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two seeds; writes nothing")
    options = parser.parse_args()
    quick: bool = options.quick
    seeds, number, lessons, each = (2, 5, 300, 1) if quick else (5, 20, 2000, 3)
    began = time.perf_counter()
    total = seeds * (1 + sum(len(values) for values in SWEEPS.values()))
    with progress_bar("sets of motifs", total) as advance:
        data: dict[str, Any] = {
            "machine": machine(),
            "lessons": lessons,
            "setting": [setting(seed, number, lessons, advance) for seed in range(seeds)],
            "sweeps": {name: sweep(name, seeds, each, advance) for name in SWEEPS},
        }
    data["speed"] = speed(20_000 if quick else 200_000, 3)
    data["seconds"] = round(time.perf_counter() - began, 1)
    text = markdown(data)
    print(text)
    if quick:
        return
    print("wrote", write_json("motif_detection.json", data))
    path = RESULTS / "motif_detection.md"
    path.write_text(text)
    print("wrote", path)


if __name__ == "__main__":
    main()
