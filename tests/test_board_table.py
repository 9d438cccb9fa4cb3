"""The same networks on `event`, `brian2` and `spinnaker`: the table of docs/hardware.md.

``python tests/test_board_table.py`` prints its rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from board_networks import NETWORKS

from spikecore import Network, Probe, ms, run

PAGE = Path(__file__).parents[1] / "docs" / "hardware.md"


def difference(result, reference):
    found = result.compare(reference)
    if found.identical:
        return "identical"
    return f"{len(found.missing):,} missing, {len(found.extra):,} extra"


def why(network, result, reference):
    """Say which spike differs first, and how far the other run is from the threshold."""
    found = result.compare(reference)
    if found.identical:
        return "none"
    group, neuron, tick = min((*found.missing, *found.extra), key=lambda s: s[2])
    fires, other = ("event", "spinnaker")
    if (group, neuron, tick) in found.extra:
        fires, other = other, fires
    probed = Network([*network.groups, *network.projections, Probe(group, "v")])
    trace = run(probed, (tick + 1) * ms, backend=other).traces[f"{group}.v"].values
    unit = next(p.unit for p in network.populations if p.name == group)
    threshold = np.broadcast_to(unit.linear.parameters["v_threshold"].value, trace.shape[1])[neuron]
    short = (threshold - trace[tick, neuron]) * 1e3
    return (
        f"`{group}[{neuron}]` in tick {tick}, on `{fires}` only; `{other}` is {short:.2g} µV short"
    )


def row(name):
    network, duration = NETWORKS[name]()
    event, brian2, spinnaker = (
        run(network, duration * ms, backend=backend) for backend in ("event", "brian2", "spinnaker")
    )
    cells = [
        name,
        f"{event.counters['spikes']:,}",
        difference(brian2, event),
        difference(spinnaker, event),
        why(network, spinnaker, event),
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_table_of_three_backends(name):
    pytest.importorskip("brian2")
    assert row(name) in PAGE.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    for each in NETWORKS:
        print(row(each), flush=True)
