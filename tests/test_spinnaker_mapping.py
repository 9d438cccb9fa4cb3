"""What the tool chain makes of a network: shifts of ring buffers, delay slots, cores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spikecore import (
    LIF,
    AllToAll,
    Input,
    Network,
    OneToOne,
    Pairs,
    PairSTDP,
    Population,
    Projection,
    ms,
    nA,
)
from spikecore.backends.lowering import lower
from spikecore_hardware.spinnaker.limits import LIMITS
from spikecore_hardware.spinnaker.mapping import map_populations
from spikecore_hardware.spinnaker.scaling import (
    largest_sum,
    quantise,
    ring_buffer_shift,
    weight_step,
)

UNIT = LIF(step="spinnaker")


def mapped(*projections, sources=10, size=10):
    """Return the map of population n, and the lowered projections."""
    network = Network([Input("in", sources), Population("n", size, UNIT), *projections])
    lowered = lower(network, 0)
    (found,) = map_populations(lowered, LIMITS)
    return found, lowered.projections


def wired(weight, delay, pre=None, post=None, **options):
    pre = np.repeat(np.arange(10), 10) if pre is None else pre
    post = np.tile(np.arange(10), 10) if post is None else post
    return Projection("in", "n", Pairs(pre, post), weight * nA, delay * ms, **options)


@pytest.mark.parametrize(
    ("largest", "shift"),
    [(0.0, 0), (0.3, 0), (0.999, 0), (1.0, 1), (1.5, 1), (2.0, 2), (6.0, 3), (1e5, 17)],
)
def test_shift_is_the_smallest_power_above_the_largest_sum(largest, shift):
    assert ring_buffer_shift(largest) == shift


def test_weights_are_whole_steps_rounded_half_to_even():
    assert weight_step(3) == 2.0**-12
    weight = np.array([0.0, 6.0, 2.5 * 2**-12, 3.5 * 2**-12, -1.0])
    assert quantise(weight, 3).tolist() == [0, 24576, 2, 4, 4096]


def test_equal_delays_scale_by_the_sum_if_all_sources_fire():
    found, projections = mapped(wired(0.7, 3))
    assert largest_sum(projections, 1.0, LIMITS) == pytest.approx(7.0)
    assert found.shifts == (3, 0)


def test_mixed_delays_scale_by_mean_and_margin():
    delay = np.tile([1, 2], 50)
    rate = 10 * 30 / 1000  # arrivals at one neuron in a tick
    _, projections = mapped(wired(2.0, delay))
    assert largest_sum(projections, 1.0, LIMITS) == pytest.approx(
        rate * 2.0 + 5.0 * math.sqrt(rate * 4.0)
    )
    weight = np.linspace(1.0, 3.0, 100)
    _, projections = mapped(wired(weight, delay))
    # The variance is scaled up as for a sample of ten; the sum runs to 0.3 + 3 sqrt(0.3) = 2.
    below = math.exp(-rate) * (1 + rate)
    spread = rate * (weight.mean() ** 2 + weight.var() * 9 / 9 * below)
    assert largest_sum(projections, 1.0, LIMITS) == pytest.approx(
        rate * weight.mean() + 5.0 * math.sqrt(spread)
    )


def test_margin_never_exceeds_the_sum_nor_falls_below_the_largest_weight():
    _, few = mapped(wired(np.array([1.0, 1.0]), np.array([1, 2]), [0, 1], [0, 0]))
    assert largest_sum(few, 1.0, LIMITS) == pytest.approx(min(2.0, 0.06 + 5 * math.sqrt(0.06)))
    weight = np.r_[np.full(99, 0.01), 500.0]
    _, one_large = mapped(wired(weight, np.tile([1, 2], 50)))
    assert largest_sum(one_large, 1.0, LIMITS) == 500.0


def test_plastic_weights_count_as_if_all_were_largest():
    rule = PairSTDP(w_max=6 * nA)
    plastic = Projection("in", "n", AllToAll(), 0 * nA, 1 * ms, plasticity=rule)
    found, projections = mapped(plastic)
    assert largest_sum(projections, 1.0, LIMITS) == 60.0
    assert found.shifts == (6, 0)


def test_each_receptor_has_its_own_scale():
    inhibition = wired(30.0, 2, name="inh", port="inh")
    found, _ = mapped(wired(0.05, 1), inhibition)
    assert found.shifts == (0, 9)


@pytest.mark.parametrize(
    ("size", "delay", "slots", "limit"),
    [
        (256, 300, 32, 288),  # sizes and limits as the vendor's tool chain gave them
        (10, 1000, 512, 4608),
        (16, 1000, 512, 4608),
        (17, 1000, 256, 2304),
        (10, 1, 2, 18),
        (10, 3, 4, 36),
        (10, 16, 16, 144),
        (10, 17, 32, 288),
    ],
)
def test_delay_slots(size, delay, slots, limit):
    found, _ = mapped(
        Projection("in", "n", OneToOne(), 1 * nA, delay * ms), sources=size, size=size
    )
    assert (found.layout.slots, found.layout.max_delay) == (slots, limit)


def test_cores_hold_the_default_number_of_neurons_if_memory_allows():
    found, _ = mapped(Projection("in", "n", AllToAll(), 1 * nA, 32 * ms), sources=2, size=1000)
    assert (found.layout.neurons, found.layout.cores) == (256, 4)


def test_learning_neurons_with_many_slots_are_spread_over_more_cores():
    rule = PairSTDP(w_max=6 * nA)
    learning = Projection("in", "n", AllToAll(), 1 * nA, 31 * ms, plasticity=rule)
    found, _ = mapped(learning, sources=2, size=1000)
    assert (found.layout.neurons, found.layout.cores) == (128, 8)
    assert found.layout.dtcm_bytes <= LIMITS.dtcm_usable_bytes


def test_rows_of_plastic_synapses_are_longer():
    rule = PairSTDP(w_max=6 * nA)
    static = Projection("in", "n", AllToAll(), 1 * nA, 1 * ms)
    plastic = Projection("in", "n", AllToAll(), 1 * nA, 1 * ms, plasticity=rule)
    found, _ = mapped(static, sources=2, size=256)
    assert (found.layout.neurons, found.layout.longest_row) == (256, 256)
    found, _ = mapped(plastic, sources=2, size=256)  # would need 258 words
    assert (found.layout.neurons, found.layout.longest_row) == (128, 130)
