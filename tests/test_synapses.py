"""How synapses are laid out: the same ones whatever the way, and no more memory than they need."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import (
    LIF,
    AllToAll,
    Delta,
    InvalidInput,
    Network,
    Normal,
    Pairs,
    PairSTDP,
    Population,
    Projection,
    RandomPairs,
    RandomTotal,
    Simulation,
    Uniform,
    ms,
    mV,
    run_batch,
)
from spikecore.backends import rows, synapses
from spikecore.backends.lowering import lower
from spikecore.randomness import stream


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    sources=st.integers(1, 40),
    targets=st.sampled_from([1, 3, 1000, 2**27]),
    delays=st.sampled_from([1, 5, 2**24]),
    size=st.integers(0, 400),
    piece=st.sampled_from([1, 16, 4096]),
)
def test_rows_are_sorted_as_lexsort_would(seed, sources, targets, delays, size, piece):
    rng = np.random.default_rng(seed)
    pre, post = rng.integers(0, sources, size), rng.integers(0, targets, size)
    delay = rng.integers(1, delays + 1, size) if delays > 1 else np.ones(1, np.int64)
    wanted = np.lexsort((post, np.broadcast_to(delay, pre.shape), pre))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PIECE", piece)
        row, grouped = rows.group_by_source(pre, sources)
        order = np.arange(size, dtype=np.uint32) if grouped is None else grouped
        target = post[order].astype(np.uint32)
        late = (delay[order] if delay.size > 1 else delay).astype(np.uint32)
        fixed = order.copy()
        fixed.flags.writeable = False  # as arrays of the user are
        others = [order, fixed]
        moved = rows.sort_rows(row, target, late, others)
    assert row.tolist() == np.searchsorted(np.sort(pre), np.arange(sources + 1)).tolist()
    assert target.tolist() == post[wanted].tolist()
    assert late.tolist() == (delay[wanted] if delay.size > 1 else delay).tolist()
    assert others[0].tolist() == others[1].tolist() == wanted.tolist()
    assert moved or (others[1] is fixed and np.all(np.diff(fixed[grouped is None :]) != 0))


def test_keys_that_are_too_long_are_sorted_column_by_column():
    """A row of 2**16 synapses, 2**24 ticks and 2**31 targets: more than 64 bits."""
    rng = np.random.default_rng(1)
    target = rng.integers(0, 2**31, 70_000).astype(np.uint32)
    delay = rng.integers(2**24 - 3, 2**24, 70_000).astype(np.uint32)
    wanted = np.lexsort((target, delay))
    order = np.arange(70_000, dtype=np.uint32)
    assert rows.sort_rows(np.array([0, 70_000]), target, delay, [order])
    assert np.array_equal(order, wanted)
    assert np.all(np.diff(delay.astype(np.int64) << 32 | target) >= 0)
    assert not rows.sort_rows(np.array([0, 70_000]), target, delay, [order])


def random_pairs(probability, n_source, n_target, rng):
    """Draw as before rows: all in one go."""
    total, found, last = n_source * n_target, [], -1
    while last < total:
        left = (total - last) * probability
        jumps = np.cumsum(rng.geometric(probability, int(left + 4.0 * np.sqrt(left) + 16))) + last
        found.append(jumps)
        last = int(jumps[-1])
    flat = np.concatenate(found)
    flat = flat[flat < total]
    return flat // n_target, flat % n_target


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("probability", [0.001, 0.2, 0.5, 1.0])
def test_random_pairs_in_pieces_are_those_of_one_go(probability, own):
    sizes = (700, 600)
    pre, post = random_pairs(probability, *sizes, stream(3, "w"))
    keep = own | (pre != post)
    found = RandomPairs(probability, self_connections=own).pairs(*sizes, stream(3, "w"))
    assert np.array_equal(found, (pre[keep], post[keep]))


def test_totals_in_pieces_are_those_of_one_go():
    rng = stream(3, "w")
    each = rng.multinomial(200_000, np.full(300, 1 / 300))
    wanted = (np.repeat(np.arange(300), each), rng.integers(0, 500, 200_000))
    assert np.array_equal(RandomTotal(200_000).pairs(300, 500, stream(3, "w")), wanted)


@pytest.mark.parametrize("sizes", [(4, 4), (3, 5), (5, 3)])
def test_all_to_all_but_themselves(sizes):
    pre, post = (a.ravel() for a in np.indices(sizes))
    found = AllToAll(self_connections=False).pairs(*sizes, stream(0, "w"))
    assert np.array_equal(found, (pre[pre != post], post[pre != post]))


@pytest.mark.parametrize("spread", [Uniform(1 * ms, 30 * ms), Normal(9 * ms, 3 * ms, low=1 * ms)])
def test_delays_in_pieces_are_those_of_one_go(spread):
    net = network(RandomTotal(200_000), delay=spread)
    p = lower(net, 5).projections[0]
    drawn = spread.draw(200_000, "time", "", stream(5, "n->n/delay"))
    row, target = RandomTotal(200_000).rows(400, 400, stream(5, "n->n/wiring"))
    pre = np.repeat(np.arange(400), np.diff(row))
    ticks = np.rint(drawn / 0.1).astype(int)
    assert p.delay.tolist() == ticks[np.lexsort((target, ticks, pre))].tolist()


def test_a_delay_drawn_too_short_is_counted_over_all():
    net = network(RandomTotal(200_000), delay=Uniform(0 * ms, 1 * ms))
    drawn = Uniform(0 * ms, 1 * ms).draw(200_000, "time", "", stream(0, "n->n/delay"))
    wrong = np.flatnonzero(np.rint(drawn / 0.1) < 1)
    with pytest.raises(InvalidInput) as caught:
        lower(net, 0)
    assert (caught.value.index, caught.value.count) == (wrong[0], wrong.size)


def network(wiring, weight=1 * mV, delay=1 * ms, size=400, **more):
    cells = Population("n", size, LIF(synapse=Delta()))
    projection = Projection("n", "n", wiring, weight, delay, **more)
    return Network([cells, projection], dt=0.1 * ms)


SPREAD = {"weight": Uniform(0 * mV, 1 * mV), "delay": Uniform(1 * ms, 20 * ms)}


@pytest.mark.parametrize(
    ("precision", "more", "wanted"),
    [
        ("float32", SPREAD, 8),
        ("float64", SPREAD, 12),
        ("float32", {"delay": SPREAD["delay"]}, 4),
        ("float64", {}, 4),
    ],
)
def test_a_synapse_needs_four_bytes_and_its_weight(precision, more, wanted):
    def built(size):
        tracemalloc.start()
        try:
            described = network(RandomTotal(size), **more)
            simulation = Simulation(described, backend="event:dense=lists", precision=precision)
            gc.collect()
            assert simulation._session.way.delivery == "ring"
            return np.array(tracemalloc.get_traced_memory())
        finally:
            tracemalloc.stop()

    built(200_000)  # kernels loaded
    held, peak = (built(1_000_000) - built(200_000)) / 800_000
    assert wanted - 0.01 <= held <= wanted + 0.1
    assert held <= peak <= wanted + 20


@pytest.mark.parametrize("arrive", ["sorted", "shuffled"])
@pytest.mark.parametrize("delivery", ["ring", "calendar"])
def test_weights_keep_the_order_of_the_user_after_the_synapses_were_let_go(delivery, arrive):
    rng = np.random.default_rng(2)
    pre, post = rng.integers(0, 400, (2, 3000))
    pre = np.sort(pre) if arrive == "sorted" else pre
    weight = rng.random(3000)
    net = network(
        Pairs(pre, post, duplicates=True), weight * mV, rng.integers(10, 99, 3000) * 0.1 * ms
    )
    simulation = Simulation(net, backend=f"event:delivery={delivery}")
    assert np.array_equal(simulation.weights("n->n"), weight)
    simulation.set_weights("n->n", weight[::-1])
    assert np.array_equal(simulation.weights("n->n"), weight[::-1])
    assert np.array_equal(net.projections[0].weight.value, weight)  # what was given stays


def test_a_checkpoint_holds_weights_that_were_set_and_only_those(tmp_path):
    net = network(RandomTotal(3000), **SPREAD)
    first, other = (Simulation(net, backend="event:delivery=ring") for _ in range(2))
    start = first.weights("n->n")
    assert not [name for name in first._session.snapshot() if name.startswith("w_")]
    first.save(tmp_path / "start")
    first.set_weights("n->n", start / 2)
    first.save(tmp_path / "half")
    other.restore(tmp_path / "half")
    assert np.array_equal(other.weights("n->n"), start / 2)
    other.restore(tmp_path / "start")
    assert np.array_equal(other.weights("n->n"), start)


def test_weights_learnt_come_in_the_order_given():
    pre, post = np.random.default_rng(3).permuted(np.indices((30, 30)).reshape(2, -1), axis=1)
    weight = np.linspace(0, 1, 900)
    rule = PairSTDP(w_max=1 * mV)
    net = network(Pairs(pre, post, duplicates=True), weight * mV, size=30, plasticity=rule)
    simulation = Simulation(net, backend="event:delivery=ring")
    assert np.array_equal(simulation.run(5 * ms).weights["n->n"], weight)


def test_copies_of_a_batch_are_laid_out_from_one_drawing(monkeypatch):
    drawn = []
    draw = synapses.draw_synapses

    def counted(*args, **more):
        drawn.append(1)
        return draw(*args, **more)

    monkeypatch.setattr("spikecore.backends.lowering.draw_synapses", counted)
    run_batch(network(RandomTotal(3000), **SPREAD), 5 * ms, [{}, {}, {}])
    assert len(drawn) == 1
