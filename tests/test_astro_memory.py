"""The astrocyte's memory: three forms of one recursion, its closed form, its rank, its events."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore.astro import EventMemory, Variant
from spikecore.astro.memory import Traffic, chunked, empty_memory, parallel, recurrent

STORING = [v for v in Variant if v is not Variant.NONE]
RELATIVE = 1e-5
each = pytest.mark.parametrize("variant", STORING, ids=lambda v: v.value)


def drawn(
    variant, ticks, *, seed=0, heads=2, d_k=8, d_v=5, batch=2, dtype=torch.float32, clock=False
):
    """Return traffic with keys of length 1, rates, and a memory that holds something.

    With a clock, time goes from hardly at all to a hundred times as quickly, tick by tick.
    """
    draw = torch.Generator().manual_seed(seed)
    d_v = d_k if variant is Variant.DIAG else d_v
    query, key, value, start = (
        torch.randn(batch, heads, n, m, generator=draw, dtype=torch.float64).to(dtype)
        for n, m in ((ticks, d_k), (ticks, d_k), (ticks, d_v), (d_v + 1, d_k))
    )
    if variant is Variant.NORMALISED:
        query, key, start = query.abs(), key.abs(), start.abs()
    key = torch.nn.functional.normalize(key, dim=-1)
    gate = torch.rand(batch, heads, ticks, generator=draw, dtype=torch.float64).to(dtype)
    rate = 1 / torch.logspace(0.5, 3, heads, dtype=dtype)
    if clock:
        pace = torch.rand(batch, heads, ticks, generator=draw, dtype=torch.float64)
        rate = rate[:, None] * 10 ** (6 * pace - 4).to(dtype)
    rows = empty_memory(variant, batch, (heads, d_k, d_v), key).shape[2]
    return Traffic(query, key, value, gate), rate, start[:, :, :rows]


def near(one, other, relative=RELATIVE):
    return (one - other).abs().max() <= relative * other.abs().max()


@settings(deadline=None, max_examples=40)
@given(
    variant=st.sampled_from(STORING),
    ticks=st.integers(1, 150),
    chunk=st.integers(1, 70),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 6)),
    seed=st.integers(0, 2**31),
    clock=st.booleans(),
)
def test_recurrent_parallel_and_chunked_agree(variant, ticks, chunk, sizes, seed, clock):
    heads, d_k, d_v = sizes
    traffic, rate, start = drawn(
        variant, ticks, seed=seed, heads=heads, d_k=d_k, d_v=d_v, clock=clock
    )
    read, memory = recurrent(variant, traffic, rate, start)
    for other in (
        parallel(variant, traffic, rate, start),
        chunked(variant, traffic, rate, start, chunk),
    ):
        assert near(other[0], read)
        assert near(other[1], memory)


@each
@pytest.mark.parametrize("clock", [False, True])
def test_the_forms_have_one_gradient(variant, clock):
    traffic, rate, start = drawn(variant, 37, dtype=torch.float64, clock=clock)
    grads = []
    for form in (recurrent, lambda *given: chunked(*given, 8)):
        inputs = [t.clone().requires_grad_() for t in (*traffic, rate, start)]
        read, memory = form(variant, Traffic(*inputs[:4]), *inputs[4:])
        (read.square().sum() + memory.sum()).backward()
        grads.append([t.grad for t in inputs])
    for one, other in zip(*grads, strict=True):
        assert near(one, other, 1e-9)


@each
def test_a_clock_at_rest_keeps_and_one_that_races_forgets(variant):
    traffic, rate, start = drawn(variant, 20, dtype=torch.float64, clock=True)
    silent = traffic._replace(gate=torch.zeros_like(traffic.gate))
    for form in (recurrent, parallel, lambda *given: chunked(*given, 8)):
        assert torch.equal(form(variant, silent, 0 * rate, start)[1], start)
        racing = rate.clone()
        racing[:, :, 10] = 1e6
        assert torch.count_nonzero(form(variant, silent, racing, start)[1]) == 0
        before, after = (form(variant, traffic, r, start)[0] for r in (rate, racing))
        assert near(after[:, :, :10], before[:, :, :10], 1e-12)
        alone = Traffic(*(t[:, :, 10:] for t in traffic))
        if variant is not Variant.DELTA:  # which compares with what was there a tick ago
            afresh, _ = form(variant, alone, rate[:, :, 10:], torch.zeros_like(start))
            assert near(after[:, :, 10:], afresh, 1e-12)


@pytest.mark.parametrize("clock", [False, True])
def test_what_is_read_is_the_closed_form(clock):
    traffic, rate, start = drawn(Variant.MATRIX, 30, dtype=torch.float64, clock=clock)
    read, _ = recurrent(Variant.MATRIX, traffic, rate, torch.zeros_like(start))
    query, key, value, gate = traffic
    for t in range(30):
        expected = 0.0
        for j in range(t + 1):
            since = rate[:, :, j + 1 : t + 1].sum(-1) if clock else rate[None] * (t - j)
            fade = torch.exp(-since)[..., None]
            match = (key[:, :, j] * query[:, :, t]).sum(-1, keepdim=True)
            expected = expected + fade * match * gate[:, :, j, None] * value[:, :, j]
        assert near(read[:, :, t], expected, 1e-12)


@pytest.mark.parametrize("variant", [Variant.MATRIX, Variant.DELTA], ids=lambda v: v.value)
@pytest.mark.parametrize("writes", [1, 3, 5])
def test_rank_is_at_most_the_number_of_writes(variant, writes):
    traffic, rate, start = drawn(variant, writes, dtype=torch.float64, d_k=8, d_v=8)
    _, memory = recurrent(variant, traffic, rate, torch.zeros_like(start))
    assert (torch.linalg.matrix_rank(memory) == writes).all()


def test_the_delta_rule_is_exact_for_orthonormal_keys_and_corrects_what_it_knew():
    draw = torch.Generator().manual_seed(0)
    key = torch.linalg.qr(torch.randn(16, 16, generator=draw, dtype=torch.float64)).Q
    value = torch.randn(2, 16, 3, generator=draw, dtype=torch.float64)
    # all keys twice, with new values: the old ones must leave no trace
    traffic = Traffic(
        torch.cat([key, key])[None, None],
        torch.cat([key, key])[None, None],
        value.reshape(1, 1, 32, 3),
        torch.ones(1, 1, 32, dtype=torch.float64),
    )
    start = empty_memory(Variant.DELTA, 1, (1, 16, 3), key)
    _, memory = chunked(Variant.DELTA, traffic, torch.zeros(1, dtype=torch.float64), start)
    assert near(key @ memory[0, 0].T, value[1], 1e-12)


def test_repeated_passes_of_the_delta_rule_store_independent_keys():
    draw = torch.Generator().manual_seed(1)
    key = torch.randn(6, 16, generator=draw, dtype=torch.float64)
    key = torch.nn.functional.normalize(key, dim=-1)
    value = torch.randn(6, 3, generator=draw, dtype=torch.float64)
    memory = empty_memory(Variant.DELTA, 1, (1, 16, 3), key)
    once = Traffic(*(t[None, None] for t in (key, key, value)), torch.ones(1, 1, 6).double())
    errors = []
    for _ in range(300):
        _, memory = chunked(Variant.DELTA, once, torch.zeros(1, dtype=torch.float64), memory)
        errors.append(float((key @ memory[0, 0].T - value).abs().max()))
    assert errors[0] > 0.1
    assert errors[-1] < 1e-6


@settings(deadline=None, max_examples=30)
@given(
    variant=st.sampled_from(STORING),
    chance=st.sampled_from([0.02, 0.2, 0.6]),
    seed=st.integers(0, 2**31),
    clock=st.booleans(),
)
def test_driven_by_events_is_the_dense_form(variant, chance, seed, clock):
    ticks, d_k, tau = 60, 6, 40.0
    d_v = d_k if variant is Variant.DIAG else 4
    rng = np.random.default_rng(seed)
    keys, queries = rng.random((2, ticks, d_k)) < chance
    value, gate = rng.normal(size=(ticks, d_v)), 0.3 * rng.random(ticks)
    dense = Traffic(
        *(torch.as_tensor(a, dtype=torch.float64)[None, None] for a in (queries, keys, value, gate))
    )
    start = empty_memory(variant, 1, (1, d_k, d_v), dense.key)
    paces = 10 ** rng.uniform(-2, 1, ticks) if clock else np.ones(ticks)
    times = paces.cumsum() if clock else np.arange(ticks)
    rate = torch.as_tensor(paces / tau)[None, None] if clock else torch.as_tensor(paces[:1] / tau)
    read, memory = recurrent(variant, dense, rate, start)
    events = EventMemory(variant, d_k=d_k, d_v=d_v, tau_a=tau)
    for t in range(ticks):
        if keys[t].any():
            events.write(times[t], np.flatnonzero(keys[t]), value[t], gate[t], paces[t])
        if queries[t].any():
            found = events.read(times[t], np.flatnonzero(queries[t]))
            np.testing.assert_allclose(found, read[0, 0, t].numpy(), rtol=1e-9, atol=1e-12)
    held = events.dense(times[-1])
    np.testing.assert_allclose(held, memory[0, 0].numpy(), rtol=1e-9, atol=1e-12)
    rows = {Variant.DIAG: 1, Variant.NORMALISED: d_v + 1}.get(variant, d_v)
    reads_by_keys = 2 if variant is Variant.DELTA else 1
    assert events.operations == rows * (reads_by_keys * keys.sum() + queries.sum())


def test_silence_costs_nothing():
    costs = []
    for silence in (1, 10**6):
        memory = EventMemory("matrix", d_k=4, d_v=3, tau_a=1e6)
        memory.write(0, [2], np.ones(3))
        memory.read(silence, [2])
        memory.write(silence, [], np.ones(3))
        costs.append(memory.operations)
    assert costs == [6, 6]
