"""One burst, and a synapse remembers it for seconds: an astrocyte that acts on delivery.

Run: python demos/astrocyte_gain.py [--plot FILE]
"""

from __future__ import annotations

import argparse

import numpy as np

from spikecore import (
    LIF,
    Astrocyte,
    Delta,
    Input,
    Modulation,
    Network,
    OneToOne,
    Population,
    Probe,
    Projection,
    Result,
    SlowTrace,
    Train,
    ms,
    mV,
    run,
    second,
    uM,
)


def network(gain: float) -> Network:
    """A weak synapse that is used every 100 ms; between 1 s and 1.2 s a burst at the astrocyte."""
    spikes, burst = np.arange(50, 8000, 100), np.arange(1000, 1200, 10)
    astro = Population("astro", 1, Astrocyte(SlowTrace(tau_A=2 * second, tau_y=25 * ms)))
    acts = Modulation(astro, gain=gain)
    return Network(
        [
            Input("in", 1, Train(spikes * ms, np.zeros(spikes.size, int))),
            Input("burst", 1, Train(burst * ms, np.zeros(burst.size, int))),
            Population("n", 1, LIF(synapse=Delta())),
            astro,
            Projection("burst", "astro", OneToOne(), 1 * uM, 1 * ms),
            Projection("in", "n", OneToOne(), 9 * mV, 1 * ms, modulation=acts),
            Probe("n", "v"),
            Probe("astro", "A"),
        ]
    )


def draw(result: Result, path: str) -> None:
    """Draw the astrocyte's state above the membrane."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    times = np.arange(result.ticks) / 1000
    above.plot(times, result.traces["astro.A"].values[:, 0], color="tab:green")
    above.set_ylabel("A (µM)")
    below.plot(times, result.traces["n.v"].values[:, 0], color="tab:blue", linewidth=0.7)
    fired = result.spikes["n"].times / 1000
    below.plot(fired, np.full(fired.size, -48.0), "k|")
    below.set(xlabel="time (s)", ylabel="v (mV)")
    above.set_title("a burst of 0.2 s; the same input makes the neuron fire for seconds")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run with and without the astrocyte's action; compare how long the burst is remembered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", metavar="FILE", help="draw it")
    options = parser.parse_args()
    with_glia, without = (run(network(gain), 8 * second) for gain in (20.0, 0.0))
    times = with_glia.spikes["n"].times
    print(f"without: {len(without.spikes['n'])} spikes")
    print(f"with: {times.size} spikes, from {times[0]:.0f} to {times[-1]:.0f} ms")
    assert len(without.spikes["n"]) == 0
    assert times[0] > 1000
    assert times[-1] > 1200 + 100 * 20  # a hundred membrane time constants after the burst
    assert with_glia.compare(run(network(20.0), 8 * second, backend="clocked")).identical
    if options.plot:
        draw(with_glia, options.plot)


if __name__ == "__main__":
    main()
