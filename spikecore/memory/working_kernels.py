"""The compiled steps of the neuron-astrocyte working memory.

One step of 0.1 ms: neurons (Izhikevich), synapses, what astrocytes see of them, calcium,
and what astrocytes do. The order of these, and the value of a spike (30 mV for one step),
are part of the model: synapses conduct while their source is above 0 mV, so a coarser or
finer step would be another network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from spikecore.memory.working_state import (
    STEP,
    FloatArray,
    IntArray,
    NeuronArrays,
    Pulses,
    Rules,
    ZoneArrays,
)

__all__ = ["advance", "calcium"]

# Neurons: Izhikevich's fast-spiking parameters, mV and ms; total input current.
A, B, RESET, JUMP, PEAK, LARGEST_CURRENT = 0.1, 0.2, -65.0, 2.0, 30.0, 25.0
# Glutamate: decay 10 /s, 600 /s while a spike lasts (one step).
GLUTAMATE_DECAY, GLUTAMATE_RELEASE, GLUTAMATE_SEEN = 10.0, 600.0, 0.7
# Synapses: conductance without astrocyte, slope of the sigmoid (mV). Below -8 mV it is < 5e-18.
CONDUCTANCE, SLOPE, SILENT = 0.025, 0.2, -8.0
# Calcium (Ullah et al. 2006 in the form of Gordleeva et al. 2021), uM and s.
C0, C1, V1, V2, V3, V4, V6 = 2.0, 0.185, 6.0, 0.11, 2.2, 0.3, 0.2
K1, K2, K3, K4, D1, D2, D3, D5 = 0.5, 1.0, 0.1, 1.1, 0.13, 1.049, 0.9434, 0.082
I_REST, I_RATE, PLC, A2 = 0.16, 0.14, 0.8, 0.14
COUPLING_C, COUPLING_I = 0.05, 0.1
# What makes an astrocyte: 8 of its 16 neurons seen, IP3 for 60 ms; 250 ms of amplification.
SEEN_NEEDED, DRIVE, DRIVE_STEPS, GAIN_STEPS = 8, 5.0, 600, 2500
CALCIUM_NEEDED, LOOK_EVERY, LOOK_BACK = 0.15, 10, 100
NOISE_STEPS = 300


_inner: Any = njit(cache=True)


@_inner
def _neurons(s: NeuronArrays, applied: FloatArray, now: int) -> None:
    for i in range(s.v.size):
        if s.v[i] >= PEAK:
            s.v[i] = RESET
            s.u[i] += JUMP
        current = applied[i] + s.synaptic[i]
        if s.noise_end[i] > now:
            current += s.noise[i]
        current = min(current, LARGEST_CURRENT)
        v = s.v[i]
        v += STEP * (0.04 * v * v + 5.0 * v + 140.0 + current - s.u[i])
        s.u[i] += STEP * A * (B * v - s.u[i])
        s.glutamate[i] -= 1e-3 * STEP * GLUTAMATE_DECAY * s.glutamate[i]
        if v >= PEAK:
            v = PEAK
            s.glutamate[i] += 1e-3 * STEP * GLUTAMATE_RELEASE
            s.last[i] = now
            s.counts[i] += 1
        s.v[i] = v


@_inner
def _synapses(
    s: NeuronArrays, gain_end: IntArray, gain: float, opened: FloatArray, now: int
) -> bool:
    """Set the synaptic currents; return whether a neuron is spiking."""
    opened[:] = 0.0
    spiking = False
    for i in range(s.v.size):
        if s.v[i] > SILENT:
            share = 1.0 / (1.0 + np.exp(-s.v[i] / SLOPE))
            for k in range(s.targets.shape[1]):
                opened[s.targets[i, k]] += share
            spiking = True
    for i in range(s.v.size):
        if opened[i] != 0.0:
            conductance = CONDUCTANCE
            if gain_end[s.home[i]] > now:
                conductance += gain
            s.synaptic[i] = -conductance * s.v[i] * opened[i]
        else:
            s.synaptic[i] = 0.0
    return spiking


@_inner
def _watch(s: NeuronArrays, z: ZoneArrays, rules: Rules, spiking: bool, now: int) -> None:
    """Let each astrocyte look at the 4 x 4 neurons of its zone."""
    zones = z.calcium.shape[0]
    side = 3 * zones + 1
    for row in range(zones):
        for column in range(zones):
            seen, together = 0, 0
            for r in range(3 * row, 3 * row + 4):
                for i in range(r * side + 3 * column, r * side + 3 * column + 4):
                    seen += s.glutamate[i] >= GLUTAMATE_SEEN
                    together += now - s.last[i] < rules.window
            if seen >= SEEN_NEEDED:
                z.drive_end[row, column] = now + DRIVE_STEPS
            if spiking and together >= rules.needed:
                z.coincident[row, column] = now


@_inner
def calcium(z: ZoneArrays, c: FloatArray, i: FloatArray, now: int) -> None:
    """Euler step of all astrocytes; ``c`` and ``i`` are room for the old values."""
    dt = 1e-3 * STEP
    c[:], i[:] = z.calcium, z.ip3
    rows, columns = c.shape
    for row in range(rows):
        for column in range(columns):
            C, p, h = c[row, column], i[row, column], z.h[row, column]
            from_c, from_i = 0.0, 0.0
            for r, q in (
                (row - 1, column),
                (row + 1, column),
                (row, column - 1),
                (row, column + 1),
            ):
                if 0 <= r < rows and 0 <= q < columns:
                    from_c += c[r, q] - C
                    from_i += i[r, q] - p
            store = (C0 - C) / C1 - C
            opening = p / (p + D1) * C / (C + D5) * h
            q2 = D2 * (p + D1) / (p + D3)
            drive = DRIVE if z.drive_end[row, column] > now else 0.0
            z.calcium[row, column] = C + dt * (
                C1 * V1 * opening * opening * opening * store
                - V3 * C * C / (C * C + K3 * K3)
                + C1 * V2 * store
                + V6 * p * p / (K2 * K2 + p * p)
                - K1 * C
                + COUPLING_C * from_c
            )
            z.h[row, column] = h + dt * A2 * (q2 + C) * (q2 / (q2 + C) - h)
            z.ip3[row, column] = p + dt * (
                (I_REST - p) * I_RATE
                + V4 * (C + (1.0 - PLC) * K4) / (C + K4)
                + drive
                + COUPLING_I * from_i
            )


@_inner
def _act(z: ZoneArrays, now: int) -> None:
    """Amplify where calcium is high and neurons have just fired together."""
    for row in range(z.calcium.shape[0]):
        for column in range(z.calcium.shape[1]):
            if (
                z.calcium[row, column] > CALCIUM_NEEDED
                and now - z.coincident[row, column] <= LOOK_BACK
            ):
                z.gain_end[row, column] = now + GAIN_STEPS


@_inner
def advance(
    s: NeuronArrays,
    z: ZoneArrays,
    rules: Rules,
    applied: FloatArray,
    pulses: Pulses,
    now: int,
    steps: int,
) -> None:
    """Take ``steps`` steps, the first of which has the number ``now``."""
    opened, c, i = np.empty(s.v.size), np.empty_like(z.calcium), np.empty_like(z.ip3)
    gain_end = z.gain_end.reshape(-1)
    pulse = np.searchsorted(pulses.steps, now)
    for n in range(now, now + steps):
        while pulse < pulses.steps.size and pulses.steps[pulse] <= n:
            neuron = pulses.neurons[pulse]
            s.noise[neuron] = pulses.amplitudes[pulse]
            s.noise_end[neuron] = n + NOISE_STEPS
            pulse += 1
        _neurons(s, applied, n)
        spiking = _synapses(s, gain_end, rules.gain, opened, n)
        _watch(s, z, rules, spiking, n)
        calcium(z, c, i, n)
        if n % LOOK_EVERY == 0:
            _act(z, n)
