"""From runs to figures that can be believed: medians, the guard on rates, ratios, tables."""

from __future__ import annotations

from statistics import median
from typing import Any

TARGETS: dict[str, dict[str, tuple[float, float]]] = {
    "W1-4000": {"brian2": (3, 6), "nest": (15, 25)},
    "W1-40000": {"brian2": (3, 6), "nest": (15, 25)},
    "W2": {"brian2": (5, 20), "nest": (30, 100)},
    "W3-conv": {"brian2": (3, 4), "nest": (15, 25)},
    "W3-conv-1ms": {"brian2": (5, 7), "nest": (20, 30)},
    "W4": {"brian2": (40, 80), "nest": (1000, 2500)},
    "W5": {"brian2": (15, 40), "nest": (35, 100)},
}
"""Ratios that spikecore must reach, and those that it aims at."""

GAIN = {"W1-40000": 1.7, "W2": 1.7}
"""What two threads must gain, in wall time."""

TWO = 2

OFFLINE: dict[str, dict[str, tuple[float, float]]] = {
    "W3-conv": {"brian2": (4, 7), "nest": (15, 25)},
    "W3-conv-1ms": {"brian2": (10, 20), "nest": (20, 30)},
    "W3-dense": {},
    "W3-dense-1ms": {},
}
"""The same where input may be known beforehand, in blocks of time (``ahead=off``: it is not)."""

Entry = dict[str, Any]
"""What is kept of one workload: ``facts``, ``tolerance``, ``runs`` by peer."""


def good(entry: Entry, peer: str) -> list[dict[str, Any]]:
    """Return the runs of ``peer`` that came to an end."""
    return [run for run in entry["runs"].get(peer, []) if "error" not in run]


def middle(entry: Entry, peer: str, what: str) -> float | None:
    """Return the median of ``what`` over the good runs that have it."""
    values = [run[what] for run in good(entry, peer) if what in run]
    return median(values) if values else None


def rate(entry: Entry, peer: str) -> float | None:
    """Return the mean rate of a neuron in Hz."""
    spikes = middle(entry, peer, "spikes")
    facts = entry["facts"]
    return spikes and 1000.0 * spikes / facts["neurons"] / facts["duration_ms"]


def doubt(entry: Entry, ours: str, peer: str) -> str:
    """Return why the times of two simulators cannot be compared, or "" if they can.

    They can if both ran and the rates differ by no more than the tolerance of the workload,
    relative to the peer's.
    """
    for name in (ours, peer):
        if not good(entry, name):
            failed = [run["error"] for run in entry["runs"].get(name, [])]
            return f"{name} failed: {failed[-1]}" if failed else f"{name} did not run"
    own, other = rate(entry, ours), rate(entry, peer)
    if not own or not other:
        return f"no spikes in {ours if not own else peer}"
    apart = abs(own - other) / other
    if apart > entry["tolerance"]:
        return (
            f"rates differ by {100 * apart:.1f} % ({own:.4g} Hz, {peer} {other:.4g} Hz); "
            f"up to {100 * entry['tolerance']:g} % are allowed"
        )
    return ""


def ratio(entry: Entry, ours: str, peer: str, what: str = "loop_cpu_s") -> float | None:
    """Return how many times faster ``ours`` is, or None where :func:`doubt` has a reason."""
    if doubt(entry, ours, peer):
        return None
    own, other = middle(entry, ours, what), middle(entry, peer, what)
    return other / own if own and other else None


def is_ours(peer: str) -> bool:
    """Return whether a peer is spikecore itself."""
    return peer.partition("@")[0].partition(":")[0] not in ("brian2", "nest")


def threads_of(peer: str) -> int:
    """Return in how many threads a peer runs, as far as its name says."""
    options = peer.partition("@")[0].partition(":")[2].split(",")
    return max((int(o[8:]) for o in options if o.startswith("threads=")), default=1)


def peer_table(name: str, entry: Entry) -> str:
    """Return the table of one workload: a row for each simulator."""
    lines = [
        f"{name}: {_facts(entry['facts'])}",
        "",
        "| simulator | runs | loop, CPU s | loop, wall s | build, CPU s | peak MB | rate, Hz |",
        "|---|---|---|---|---|---|---|",
    ]
    for peer, runs in entry["runs"].items():
        done = good(entry, peer)
        if not done:
            lines.append(f"| {peer} | 0 of {len(runs)} | {runs[-1]['error']} | | | | |")
            continue
        times = [run["loop_cpu_s"] for run in done]
        cells = [
            peer,
            str(len(done)),
            f"{median(times):.4g} ({min(times):.4g}-{max(times):.4g})",
            f"{middle(entry, peer, 'loop_wall_s'):.4g}",
            f"{middle(entry, peer, 'build_cpu_s'):.3g}",
            f"{middle(entry, peer, 'peak_mb'):.0f}",
            f"{rate(entry, peer):.4g}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratio_table(workloads: dict[str, Entry]) -> str:
    """Return the table of ratios: a row for each workload and kind of spikecore."""
    lines = [
        "| workload | spikecore | CPU s | Brian2 | must / aim | NEST | must / aim |",
        "|---|---|---|---|---|---|---|",
    ]
    doubts = []
    for name, entry in workloads.items():
        others = [peer for peer in entry["runs"] if not is_ours(peer)]
        for ours in (p for p in entry["runs"] if is_ours(p) and threads_of(p) == 1):
            own = middle(entry, ours, "loop_cpu_s")
            said = f"{name} offline" if _offline(name, ours) else name
            cells = [said, ours, "failed" if own is None else f"{own:.4g}"]
            for kind in ("brian2", "nest"):
                found = [peer for peer in others if peer.partition(":")[0] == kind]
                cells += [
                    ", ".join(_cell(entry, ours, peer) for peer in found) or "-",
                    _target(name, ours, kind),
                ]
                doubts += [
                    f"{name}, {ours}: {reason}"
                    for peer in found
                    if (reason := doubt(entry, ours, peer))
                ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(["", "No ratio where:"] if doubts else []), *doubts])


def threads_table(workloads: dict[str, Entry]) -> str:
    """Return what two threads gain: a row for each workload that was run with one and with two."""
    lines = [
        "| workload | one thread, wall s | two threads, wall s | gain | must |",
        "|---|---|---|---|---|",
    ]
    for name, entry in workloads.items():
        for two in (p for p in entry["runs"] if threads_of(p) == TWO):
            one = two.replace("threads=2", f"threads=1{',ahead=off' if name in OFFLINE else ''}")
            times = [middle(entry, peer, "loop_wall_s") for peer in (one, two)]
            if times[0] is None or times[1] is None:
                continue
            must = GAIN.get(name)
            cells = [name, *(f"{t:.3g}" for t in times), f"{times[0] / times[1]:.2f}x"]
            lines.append(f"| {' | '.join(cells)} | {f'{must:g}x' if must else '-'} |")
    return "\n".join(lines)


def _cell(entry: Entry, ours: str, peer: str) -> str:
    found = ratio(entry, ours, peer)
    text = "no ratio" if found is None else f"{found:.3g}x"
    options = peer.partition(":")[2]
    return f"{text} ({options})" if options else text


def _offline(name: str, ours: str) -> bool:
    return name in OFFLINE and "ahead=off" not in ours


def _target(name: str, ours: str, kind: str) -> str:
    found = (OFFLINE if _offline(name, ours) else TARGETS).get(name, {}).get(kind)
    return f"{found[0]:g}x / {found[1]:g}x" if found else "-"


def _facts(facts: dict[str, Any]) -> str:
    return (
        f"{facts['neurons']:,} neurons, {facts['synapses']:,} synapses, "
        f"{facts['input_events']:,} input events, {facts['duration_ms']:g} ms at dt "
        f"{facts['dt_ms']:g} ms"
    )
