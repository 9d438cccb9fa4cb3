"""Astrocyte-modulated units and blocks as torch modules."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecore import LIF, Delta, mV, nn
from spikecore.astro import AMSU, AstroBlock, GatedBlock, Variant
from spikecore.nn.surrogates import ATan, FastSigmoid, QGate
from spikecore.quantities import ms

VARIANTS = list(Variant)
each = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.value)
GATED = {"clock": True, "read_gate": True}
gated = pytest.mark.parametrize("more", [{}, GATED], ids=["plain", "gated"])


def by_definition(unit, given):
    """The equations of the docstring, as written, one tick at a time, in float64."""
    s = unit.sizes
    parts = (given @ unit.project.weight.T + unit.project.bias).split(unit._parts, -1)
    u = torch.zeros(given.shape[1], s.size, dtype=given.dtype)
    memory = torch.zeros(given.shape[1], s.heads, s.d_v, s.d_k, dtype=given.dtype)
    out = []
    for t in range(len(given)):
        x, q, k, v, w, *more = (part[t] for part in parts)
        strength = 2 / (1 + torch.exp(-more[0])) if unit.read_gate else torch.ones_like(w)
        pace = torch.log2(1 + torch.exp(more[-1])) if unit.clock else torch.ones_like(w)
        fade = torch.exp(-pace / unit.tau_a)[..., None, None]
        q, k, v = (a.unflatten(-1, (s.heads, -1)) for a in (q, k, v))
        q, k = (a / a.norm(dim=-1, keepdim=True) for a in (q, k))
        u = u + (torch.sigmoid(x) - u) / unit.tau_m
        write = torch.sigmoid(w)[..., None, None] * v[..., :, None] * k[..., None, :]
        memory = fade * memory + write
        o = (strength[..., None] * torch.einsum("bhvk,bhk->bhv", memory, q)).flatten(1)
        fires = u + unit.gamma * o >= unit.threshold
        out.append(fires.to(given.dtype))
        u = u * ~fires
    return torch.stack(out)


@pytest.mark.parametrize("more", [{}, {"clock": True}, {"read_gate": True}, GATED], ids=str)
def test_a_unit_does_what_its_equations_say(more):
    torch.manual_seed(0)
    unit = AMSU(6, 8, variant="matrix", heads=2, d_k=3, tau_a=(10.0, 50.0), **more).double()
    given = torch.randn(60, 3, 6, dtype=torch.float64)
    spikes = unit(given)
    assert torch.equal(spikes, by_definition(unit, given))
    assert 0.05 < spikes.mean() < 0.95


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_without_an_astrocyte_it_is_the_lif_neuron_bit_for_bit(dtype):
    torch.manual_seed(0)
    tau = 2.0
    unit = AMSU(6, 9, variant="none", tau_m=tau).to(dtype)
    given = 3 * torch.randn(200, 4, 6, dtype=dtype)
    drive = torch.sigmoid(unit.project(given)) / tau
    neuron = LIF(
        tau_m=-1 / math.log(1 - 1 / tau) * ms,
        synapse=Delta(),
        v_rest=0 * mV,
        v_reset=0 * mV,
        v_threshold=0.5 * mV,
    )
    plain = nn.LIF(9, neuron, surrogate=QGate())
    assert float(plain.drive(drive)[1][0]) == 1 - 1 / tau
    spikes = unit(given)
    assert torch.equal(spikes, plain(drive))
    assert 0.05 < spikes.mean() < 0.95
    weight = torch.randn_like(spikes)
    by_unit = torch.autograd.grad((unit(given) * weight).sum(), unit.project.weight)[0]
    by_lif = torch.autograd.grad((plain(drive) * weight).sum(), unit.project.weight)[0]
    assert torch.equal(by_unit, by_lif)


@each
@gated
@pytest.mark.parametrize("key_map", ["identity", "unit", "positive", "spike"])
def test_all_forms_fire_the_same_spikes(variant, key_map, more):
    torch.manual_seed(1)
    unit = AMSU(5, 8, variant=variant, heads=2, key_map=key_map, chunk=16, **more).double()
    given = 0.7 * torch.randn(70, 2, 5, dtype=torch.float64)
    chunked, parallel, recurrent = (unit(given, f) for f in ("chunked", "parallel", "recurrent"))
    assert torch.equal(chunked, recurrent)
    assert torch.equal(parallel, recurrent)


def tensors(state):
    """Return all tensors of a nest of tuples."""
    if isinstance(state, torch.Tensor):
        return [state]
    return [tensor for part in state for tensor in tensors(part)]


@settings(deadline=None, max_examples=25)
@given(
    variant=st.sampled_from(VARIANTS),
    firing=st.sampled_from(["binary", "graded"]),
    cuts=st.lists(st.integers(1, 49), max_size=4, unique=True),
    more=st.sampled_from([{}, GATED | {"mix_gate": True}, {"feedback": 4}]),
)
def test_a_block_streams_what_it_gives_at_once(variant, firing, cuts, more):
    torch.manual_seed(2)
    block = AstroBlock(8, variant=variant, heads=2, firing=firing, read_norm=True, **more)
    block = block.double().eval()
    given = torch.randn(50, 2, 8, dtype=torch.float64)
    state, pieces = block.start(2), []
    sizes = [tuple(t.shape) for t in tensors(state)]
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 50], strict=True):
        piece, state = block.stream(given[begin:end], state)
        pieces.append(piece)
        # the state knows nothing of how long it has gone on
        assert [tuple(t.shape) for t in tensors(state)] == sizes
    assert (torch.cat(pieces) - block(given)).abs().max() < 1e-9


@each
@pytest.mark.parametrize(
    "more", [{}, GATED | {"mix_gate": True, "feedback": 4}], ids=["plain", "gated"]
)
def test_everything_that_is_learned_gets_a_gradient(variant, more):
    torch.manual_seed(3)
    block = AstroBlock(8, variant=variant, heads=2, surrogate=ATan(), **more)
    block(torch.randn(40, 2, 8)).square().mean().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@each
def test_weights_survive_a_round_trip(variant, tmp_path):
    torch.manual_seed(4)
    one, other = (AstroBlock(8, variant=variant, heads=2) for _ in range(2))
    given = torch.randn(30, 1, 8)
    assert not torch.equal(one(given), other(given))
    torch.save(one.state_dict(), tmp_path / "block.pt")
    other.load_state_dict(torch.load(tmp_path / "block.pt", weights_only=True))
    assert torch.equal(one(given), other(given))


@settings(deadline=None, max_examples=15)
@given(
    variant=st.sampled_from(VARIANTS),
    firing=st.sampled_from(["binary", "graded"]),
    cuts=st.lists(st.integers(1, 39), max_size=3, unique=True),
)
def test_a_block_of_gated_neurons_streams_what_it_gives_at_once(variant, firing, cuts):
    torch.manual_seed(2)
    more = GATED if variant is not Variant.NONE else {}
    block = GatedBlock(8, 12, size=6, variant=variant, heads=2, firing=firing, **more)
    block = block.double().eval()
    given = torch.randn(40, 2, 8, dtype=torch.float64)
    state, pieces = block.start(2), []
    sizes = [tuple(t.shape) for t in tensors(state)]
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 40], strict=True):
        piece, state = block.stream(given[begin:end], state)
        pieces.append(piece)
        assert [tuple(t.shape) for t in tensors(state)] == sizes
    assert (torch.cat(pieces) - block(given)).abs().max() < 1e-9


@each
def test_everything_in_a_block_of_gated_neurons_gets_a_gradient(variant):
    torch.manual_seed(3)
    block = GatedBlock(8, 12, size=6, variant=variant, heads=2, surrogate=ATan())
    block(torch.randn(40, 2, 8)).square().mean().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_gated_neurons_hear_the_input_and_what_the_astrocytes_let_through():
    torch.manual_seed(8)
    block = GatedBlock(8, 12, size=6, heads=2, firing="graded", threshold=0.2).double().eval()
    given = torch.randn(40, 2, 8, dtype=torch.float64)
    with torch.no_grad():
        sent = block(given)
        spikes = block.unit(block.norm(given))
        assert torch.equal(sent, block.gated(torch.cat([given, spikes], -1)))
        held = torch.cat([torch.zeros_like(sent[:1]), sent[:-1]])
        shares = [float((a != 0).double().mean()) for a in (spikes, sent - held)]
        assert block.rates == pytest.approx(shares, abs=1e-6)
        assert all(0.05 < share < 0.95 for share in shares)
        block.unit.gamma.zero_()  # astrocytes that let nothing through
        assert not torch.equal(block(given), sent)


def test_a_mixing_neuron_that_is_silent_adds_nothing_whatever_its_spikes_are_worth():
    torch.manual_seed(6)
    block = AstroBlock(8, heads=2, hidden=5, mix_gate=True, taps=1).eval()
    given = torch.randn(40, 2, 8)
    with torch.no_grad():
        block.into.bias.fill_(-100.0)
        silent = block(given)
        block.worth.weight.mul_(50)
        assert torch.equal(block(given), silent)
        block.into.bias.zero_()
        assert not torch.equal(block(given), silent)


@pytest.mark.parametrize("firing", ["binary", "graded"])
def test_feedback_reaches_the_group_a_tick_later_and_no_other_neuron(firing):
    torch.manual_seed(7)
    block = AstroBlock(8, heads=2, hidden=8, feedback=4, taps=1, tau_mix=2.0, firing=firing)
    block.double().eval()
    drives = []
    block.into.register_forward_hook(lambda _m, _given, out: drives.append(out.detach() / 2))
    spikes = []
    block.out_mix.register_forward_hook(lambda _m, given, _out: spikes.append(given[0].detach()))
    with torch.no_grad():
        block.among.mul_(6)
        block(torch.randn(60, 2, 8, dtype=torch.float64))
    u = s = torch.zeros(2, 8, dtype=torch.float64)
    for drive, found in zip(drives[0], spikes[0], strict=True):
        s = s.clamp(max=1.0)
        back = torch.cat([s[:, :4] @ block.among[0], s[:, 4:] @ block.among[1]], 1)
        u = u / 2 + drive + back.detach()
        s = (u >= 0.5) * (u if firing == "graded" else torch.ones_like(u))
        u = u * (s == 0)
        torch.testing.assert_close(found, s, rtol=1e-10, atol=1e-12)
    assert 0.05 < (spikes[0] != 0).double().mean() < 0.95


def test_graded_spikes_carry_what_passed_the_threshold():
    torch.manual_seed(5)
    binary = AMSU(6, 8, heads=2).double()
    graded = AMSU(6, 8, heads=2, firing="graded").double()
    graded.load_state_dict(binary.state_dict())
    given = torch.randn(50, 2, 6, dtype=torch.float64)
    fired, carried = binary(given), graded(given)
    assert torch.equal(carried != 0, fired != 0)
    assert (carried[fired != 0] >= graded.threshold).all()
    assert carried.max() > 2 * graded.threshold


@pytest.mark.parametrize("surrogate", [QGate(), QGate(0.5), QGate(3.0), ATan(), FastSigmoid(1.0)])
def test_surrogates_have_the_area_they_should(surrogate):
    x = torch.linspace(-4000, 4000, 8_000_001, dtype=torch.float64)
    area = torch.trapezoid(surrogate.derivative(x), x)
    expected = 2.0 if isinstance(surrogate, FastSigmoid) else 1.0  # that one is 1 at its peak
    assert float(area) == pytest.approx(expected, rel=1e-3)


def test_time_constants_of_astrocytes_are_spaced_by_equal_factors():
    unit = AMSU(4, 8, heads=4, tau_a=(8.0, 1000.0))
    factors = unit.tau_a[1:] / unit.tau_a[:-1]
    assert torch.allclose(factors, factors[:1], rtol=1e-5)
    assert unit.tau_a[[0, -1]].tolist() == pytest.approx([8.0, 1000.0], rel=1e-5)
