"""The promise: whatever the pieces, the restores and the number of threads, the same result."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import DURATION, WHATEVER, assert_same, networks

from spikecore import Simulation, ms, run


@pytest.mark.parametrize("backend", ["event", "clocked"])
@settings(WHATEVER, max_examples=40)
@given(
    network=networks(),
    cuts=st.lists(st.integers(1, DURATION - 1), min_size=1, max_size=3, unique=True),
)
def test_pieces_and_checkpoints_equal_the_whole(backend, network, cuts):
    whole = run(network, DURATION * ms, backend=backend)
    pieces = Simulation(network, backend=backend)
    restored = Simulation(network, backend=backend)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint")
        last = 0
        for cut in [*sorted(cuts), DURATION]:
            pieces.run((cut - last) * ms)
            restored.run((cut - last) * ms)
            restored.save(path)
            restored = Simulation(network, backend=backend)
            restored.restore(path)
            last = cut
    assert_same(pieces.result(), whole)
    assert_same(restored.result(), whole)


@pytest.mark.parametrize("backend", ["event", "clocked"])
@settings(WHATEVER, max_examples=20)
@given(network=networks(), cut=st.integers(1, DURATION - 1))
def test_a_cleared_simulation_starts_again(backend, network, cut):
    """Except for what it has learnt."""
    simulation = Simulation(network, backend=backend)
    simulation.run(cut * ms)
    simulation.clear()
    for projection in network.projections:
        fresh = Simulation(network, backend=backend).weights(projection.name)
        if fresh.size and projection.plasticity is not None:
            simulation.set_weights(projection.name, fresh)
    assert_same(simulation.run(DURATION * ms), run(network, DURATION * ms, backend=backend))


SCRIPT = """
    import hashlib
    import sys
    sys.path[:0] = sys.argv[1:]
    from random_networks import busy_network
    from spikecore import ms, run
    result, digest = run(busy_network(), 500 * ms), hashlib.sha256()
    for spikes in result.spikes.values():
        digest.update(spikes.ticks.tobytes() + spikes.neurons.tobytes())
    for arrays in (result.weights.values(), (t.values for t in result.traces.values())):
        for array in arrays:
            digest.update(array.tobytes())
    print(len(result.spikes["a"]), digest.hexdigest())
"""


def test_the_number_of_threads_does_not_matter():
    answers = set()
    for threads in ("1", "2"):
        environment = os.environ | {
            "NUMBA_NUM_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "PYTHONHASHSEED": threads,
        }
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), *sys.path],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        answers.add(done.stdout)
    assert len(answers) == 1
    assert int(answers.pop().split()[0]) > 100
