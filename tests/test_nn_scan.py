"""The loops over time, and their gradients, against autograd through the equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spikecore import LIF, Delta, Exponential, MOhm, ms, mV, nA, nn
from spikecore.nn.membrane import rise

SURROGATES = [nn.ATan(), nn.FastSigmoid(), nn.Gaussian(), nn.Boxcar(), nn.QGate()]


class Step(torch.autograd.Function):
    """A spike with a surrogate gradient, for one tick."""

    @staticmethod
    def forward(ctx, x, surrogate):
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * ctx.surrogate.derivative(x), None


def by_autograd(
    drive,
    decay,
    threshold,
    reset,
    surrogate,
    refractory,
    mode,
    detach_reset,
    *,
    recurrent=(),
    lift=None,
    graded=False,
):
    """The equations as they stand in docs/training, one tick after another."""
    height = threshold - reset
    v = torch.zeros_like(drive[0])
    since = torch.full_like(drive[0], math.inf)  # ticks since the last spike
    spikes = []
    for t in range(len(drive)):
        now = drive[t]
        for k, synapses in enumerate(recurrent[:t], 1):
            now = now + spikes[t - k] @ synapses.T
        rests = since < refractory
        h = decay * v + now
        if mode == "hard":
            h = torch.where(rests, v, h)
        tested = h if lift is None else h + lift[t]
        s = Step.apply((tested - threshold) / height, surrogate) * (~rests)
        cut = s.detach() if detach_reset else s
        v = h + cut * (reset - h) if mode == "hard" else h - cut * height
        since = torch.where(s > 0, 0.0, since + 1)
        # a graded spike has a height, and where it begins it jumps to the threshold
        height_of = s.detach() * tested + threshold * (s - s.detach())
        spikes.append(height_of if graded else s)
    return torch.stack(spikes)


def random_case(seed, refractory):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape, low, high):
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)

    drive = draw(40, 3, 5, low=-1.0, high=3.0)
    decay, reset = draw(5, low=0.3, high=1.0), draw(5, low=-2.0, high=0.5)
    threshold = draw(5, low=1.0, high=4.0)
    rests = torch.randint(0, 4, (5,), generator=generator) if refractory else torch.zeros(5)
    return drive.requires_grad_(), decay.requires_grad_(), threshold, reset, rests.long()


@pytest.mark.parametrize("detach_reset", [True, False])
@pytest.mark.parametrize("mode", ["hard", "subtract"])
@pytest.mark.parametrize("refractory", [True, False])
@pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda s: type(s).__name__)
def test_spikes_and_gradients_are_those_of_the_equations(surrogate, refractory, mode, detach_reset):
    drive, decay, threshold, reset, rests = random_case(3, refractory)
    weight = torch.linspace(-1, 1, drive.numel(), dtype=torch.float64).reshape(drive.shape).sin()
    ours = nn.lif_scan(
        *(drive, decay, threshold, reset, surrogate),
        refractory=rests if refractory else None,
        mode=mode,
        detach_reset=detach_reset,
    )
    theirs = by_autograd(drive, decay, threshold, reset, surrogate, rests, mode, detach_reset)
    assert torch.equal(ours, theirs)
    assert 0.05 < ours.mean() < 0.8
    ours_by, theirs_by = (
        torch.autograd.grad((spikes * weight).sum(), (drive, decay)) for spikes in (ours, theirs)
    )
    for mine, other in zip(ours_by, theirs_by, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)
        assert other.abs().max() > 1e-3


@pytest.mark.parametrize("graded", [True, False])
@pytest.mark.parametrize("detach_reset", [True, False])
@pytest.mark.parametrize("mode", ["hard", "subtract"])
@pytest.mark.parametrize("refractory", [True, False])
def test_lifts_and_graded_spikes_are_those_of_the_equations(refractory, mode, detach_reset, graded):
    drive, decay, threshold, reset, rests = random_case(4, refractory)
    lift = (0.8 * drive.detach().flip(0)).requires_grad_()
    weight = torch.linspace(-1, 1, drive.numel(), dtype=torch.float64).reshape(drive.shape).sin()
    surrogate = nn.QGate(0.7)
    ours = nn.lif_scan(
        *(drive, decay, threshold, reset, surrogate),
        refractory=rests if refractory else None,
        lift=lift,
        mode=mode,
        detach_reset=detach_reset,
        graded=graded,
    )
    theirs = by_autograd(
        *(drive, decay, threshold, reset, surrogate, rests, mode, detach_reset),
        lift=lift,
        graded=graded,
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    plain = nn.lif_scan(*(drive, decay, threshold, reset, surrogate), mode=mode)
    assert not torch.equal(ours != 0, plain != 0)
    ours_by, theirs_by = (
        torch.autograd.grad((spikes * weight).sum(), (drive, decay, lift))
        for spikes in (ours, theirs)
    )
    for mine, other in zip(ours_by, theirs_by, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)
        assert other.abs().max() > 1e-3


@pytest.mark.parametrize("detach_reset", [True, False])
@pytest.mark.parametrize("mode", ["hard", "subtract"])
@pytest.mark.parametrize("refractory", [True, False])
@pytest.mark.parametrize("delays", [1, 3, 50])
def test_recurrent_spikes_and_gradients_are_those_of_the_equations(
    delays, refractory, mode, detach_reset
):
    drive, decay, threshold, reset, rests = random_case(5, refractory)
    generator = torch.Generator().manual_seed(1)
    recurrent = torch.randn(delays, 5, 5, generator=generator, dtype=torch.float64) / delays**0.5
    recurrent.requires_grad_()
    weight = torch.linspace(-1, 1, drive.numel(), dtype=torch.float64).reshape(drive.shape).sin()
    surrogate = nn.ATan()
    ours = nn.lif_scan(
        *(drive, decay, threshold, reset, surrogate),
        refractory=rests if refractory else None,
        recurrent=recurrent,
        mode=mode,
        detach_reset=detach_reset,
    )
    case = (drive, decay, threshold, reset, surrogate, rests, mode, detach_reset)
    theirs = by_autograd(*case, recurrent=recurrent)
    assert torch.equal(ours, theirs)
    assert 0.05 < ours.mean() < 0.8
    of = (drive, decay, recurrent)
    ours_by, theirs_by = (torch.autograd.grad((s * weight).sum(), of) for s in (ours, theirs))
    for mine, other in zip(ours_by, theirs_by, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-11)
        assert other.abs().max() > 1e-3


def test_the_gradient_of_leaky_integration_is_exact():
    drive = torch.randn(7, 2, 3, dtype=torch.float64, requires_grad=True)
    decay = torch.tensor([0.2, 0.9, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nn.leaky_scan, (drive, decay))


@pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda s: type(s).__name__)
def test_surrogates_are_symmetric_bumps_with_their_published_peak(surrogate):
    x = torch.linspace(-50, 50, 200_001, dtype=torch.float64)
    bump = surrogate.derivative(x)
    torch.testing.assert_close(bump, bump.flip(0))
    assert bump.max() == bump[100_000]
    area = {nn.FastSigmoid: 2 / 10}.get(type(surrogate), 1.0)
    peak = {nn.Gaussian: 2 / math.sqrt(2 * math.pi)}.get(type(surrogate), 1.0)
    assert torch.trapezoid(bump, x) == pytest.approx(area, rel=0.01)
    assert surrogate.derivative(torch.zeros(1)).item() == pytest.approx(peak)


def test_what_a_current_adds_in_a_tick_with_time_constants_near_and_far():
    tau_s = torch.tensor([2.0, 5.0, 5.0, 5.0, 30.0], dtype=torch.float64)
    tau_m = torch.tensor([20.0, 5.0, 5.001, 5.0 * (1 + 1e-9), 4.0], dtype=torch.float64)
    found = rise(1.0, tau_m, tau_s).numpy()
    for value, m, s in zip(found, tau_m.numpy(), tau_s.numpy(), strict=True):
        grid = (np.arange(200_000) + 0.5) / 200_000
        integral = np.mean(np.exp(-(1 - grid) / m) * np.exp(-grid / s)) / m
        assert value == pytest.approx(integral, rel=1e-9)
    tau_m.requires_grad_(), tau_s.requires_grad_()
    assert torch.autograd.gradcheck(lambda m, s: rise(1.0, m, s), (tau_m, tau_s))


def test_learned_time_constants_have_the_gradient_of_the_membrane():
    unit = LIF(
        tau_m=[5, 10, 5] * ms, resistance=2 * MOhm, synapse=Exponential(5 * ms), i_offset=0.3 * nA
    )
    readout = nn.LeakyIntegrator(3, unit, learn=["tau_m", "tau_exc"]).double()
    arriving = torch.randn(9, 2, 3, dtype=torch.float64)

    def membrane(tau_m, tau_exc):
        readout.log_tau_m.data, readout.log_tau_exc.data = tau_m, tau_exc
        return torch.func.functional_call(
            readout, {"log_tau_m": tau_m, "log_tau_exc": tau_exc}, (arriving,)
        )

    start = [p.detach().clone().requires_grad_() for p in readout.parameters()]
    assert torch.autograd.gradcheck(membrane, start)


def test_gradients_find_the_weight_that_makes_a_neuron_fire_at_the_right_rate():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        nn.DelayedLinear(5, 1, scale=15 * mV), nn.LIF(1, LIF(synapse=Delta()))
    )
    spikes = (torch.rand(200, 4, 5) < 0.1).float()
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        loss = (model(spikes).mean() - 0.12) ** 2
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert model(spikes).mean().item() == pytest.approx(0.12, abs=0.02)


def test_float32_stays_float32():
    layer = nn.LIF(2, LIF(synapse=Delta(), refractory=2 * ms))
    out: Tensor = layer(torch.full((5, 1, 2), 20.0))
    assert out.dtype == torch.float32
    assert out[:, 0, 0].tolist() == [1, 0, 0, 1, 0]
