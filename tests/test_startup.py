"""What a first spike needs, in a process of its own: kernels on file, and little else."""

from __future__ import annotations

import json
import subprocess
import sys

CHILD = """
import json, sys
import numpy as np
import spikecore as sc

net = sc.Network(
    [
        sc.Input("in", 3, sc.Train([1.0] * sc.ms, [0])),
        sc.Population("n", 5, sc.LIF(synapse=sc.Delta())),
        sc.Projection("in", "n", sc.AllToAll(), 20 * sc.mV, 2 * sc.ms),
    ]
)
spikes = sc.run(net, 9 * sc.ms, backend="event:delivery=" + sys.argv[1]).spikes["n"].ticks.tolist()
loaded = [name for name in ("scipy.linalg", "numba.np.arraymath") if name in sys.modules]

from numba import njit


@njit
def other(x):
    return np.sort(x).sum() + np.cumsum(x)[-1]


print(json.dumps([spikes, loaded, other(np.arange(4.0))]))
"""


def first_spikes(delivery):
    command = [sys.executable, "-c", CHILD, delivery]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_kernels_on_file_are_linked_without_what_compiling_needs():
    first_spikes("calendar")  # now on file
    for _ in range(2):
        spikes, loaded, own = first_spikes("calendar")
        assert spikes == [3] * 5
        assert loaded == []
        assert own == 12.0  # numba compiles functions of the user's as ever, afterwards
