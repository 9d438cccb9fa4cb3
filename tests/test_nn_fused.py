"""The fused kernels of a GPU against the loops of a CPU, which test_nn_scan.py checks."""

from __future__ import annotations

import itertools

import pytest
import torch

from spikecore.nn import scan
from spikecore.nn.fused import can_fuse
from spikecore.nn.surrogates import ATan, Boxcar, FastSigmoid, Gaussian

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-2}
HOW = list(itertools.product(["hard", "subtract"], [False, True], [False, True]))


def given(shape, dtype):
    generator = torch.Generator().manual_seed(0)

    def uniform(*size):
        return torch.rand(*size, generator=generator, dtype=torch.float64)

    neurons = shape[2]
    drive = (0.6 * uniform(*shape)).to(dtype)
    decay, threshold = 0.45 + 0.5 * uniform(neurons), 0.5 + uniform(neurons)
    reset, grad = -0.3 * uniform(neurons), torch.randn(shape, generator=generator).to(dtype)
    return drive, decay, threshold, reset, grad


def passed(inputs, device, dtype, surrogate, how):
    """Return spikes and gradients by drive and decay, on the CPU in float64."""
    drive, decay, threshold, reset, grad = inputs
    mode, detach, rests = how
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    constants = [c.to(device=device, dtype=wide, copy=True) for c in (decay, threshold, reset)]
    constants[0].requires_grad_()
    drive = drive.to(device=device, dtype=dtype, copy=True).requires_grad_()
    rest = torch.arange(len(decay), device=device) if rests else None
    spikes = scan.lif_scan(
        drive, *constants, surrogate, refractory=rest, mode=mode, detach_reset=detach
    )
    spikes.backward(grad.to(device=device, dtype=dtype))
    return [t.detach().double().cpu() for t in (spikes, drive.grad, constants[0].grad)]


def assert_near(one, other, tolerance):
    assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("shape", [(50, 4, 6), (33, 3, 5), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("surrogate", [ATan(), FastSigmoid(), Gaussian(), Boxcar()], ids=repr)
def test_spikes_and_gradients_are_those_of_the_loop(dtype, shape, surrogate):
    inputs = given(shape, dtype)
    assert can_fuse(inputs[0].cuda(), surrogate)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for how in HOW:
        here = passed(inputs, "cuda", dtype, surrogate, how)
        there = passed(inputs, "cpu", wide, surrogate, how)
        assert torch.equal(here[0], there[0]), how
        assert_near(here[1], there[1], TOLERANCE[dtype])
        assert_near(here[2], there[2], 10 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_leaky_integration_is_that_of_the_loop(dtype):
    drive, decay, _, _, grad = given((37, 3, 5), dtype)
    found = []
    for device in ("cuda", "cpu"):
        x = drive.to(device, copy=True).requires_grad_()
        d = decay.to(device=device, dtype=dtype, copy=True).requires_grad_()
        y = scan.leaky_scan(x, d)
        y.backward(grad.to(device))
        found.append([t.detach().double().cpu() for t in (y, x.grad, d.grad)])
    for here, there in zip(*found, strict=True):
        assert_near(here, there, TOLERANCE[dtype])


def test_two_passes_have_the_same_bits():
    inputs = given((64, 8, 32), torch.float32)
    first, second = (
        passed(inputs, "cuda", torch.float32, ATan(), ("hard", True, True)) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
