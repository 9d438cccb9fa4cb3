"""The fused kernels against the loops over time, which test_nn_scan.py checks.

On a GPU where there is one; elsewhere their source is compiled for the CPU.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from cuda_on_cpu import HAS_COMPILER, Module

from spikecore.nn import fused, scan
from spikecore.nn.fused import can_fuse
from spikecore.nn.surrogates import ATan, Boxcar, FastSigmoid, Gaussian, QGate

HAS_GPU = torch.cuda.is_available()
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-2}
HOW = list(itertools.product(["hard", "subtract"], [False, True], [False, True]))

needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="needs an NVIDIA GPU")
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="needs g++")
everywhere = pytest.mark.parametrize(
    "device",
    [pytest.param("cuda", marks=needs_gpu), pytest.param("cpu", marks=needs_compiler)],
    indirect=True,
)


@pytest.fixture
def device(request, monkeypatch, tmp_path):
    """Where kernels run; on a CPU, compiled for it."""
    if request.param == "cpu":
        made = {}

        def module(source, options):
            if options not in made:
                made[options] = Module(source, options, tmp_path)
            return made[options]

        monkeypatch.setattr(fused, "module", module)
        monkeypatch.setattr(scan, "can_fuse", lambda *_: True)
    return request.param


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


def by_loop(call):
    """Return what ``call`` gives without kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "can_fuse", lambda *_: False)
        return call()


def assert_near(one, other, tolerance):
    assert (one - other).abs().max() <= tolerance * other.abs().max()


@everywhere
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize(
    ("shape", "surrogate"),
    [
        ((50, 4, 6), ATan()),
        ((33, 3, 5), FastSigmoid()),
        ((33, 2, 5), Gaussian()),
        ((1, 1, 1), Boxcar()),
        ((16, 3, 3), Boxcar()),
    ],
    ids=repr,
)
def test_spikes_and_gradients_are_those_of_the_loop(dtype, shape, surrogate, device):
    inputs = given(shape, dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for how in HOW:
        here = passed(inputs, device, dtype, surrogate, how)
        there = by_loop(lambda how=how: passed(inputs, "cpu", wide, surrogate, how))
        assert torch.equal(here[0], there[0]), how
        assert_near(here[1], there[1], TOLERANCE[dtype])
        assert_near(here[2], there[2], 10 * TOLERANCE[dtype])


def lifted(inputs, lift, device, dtype, surrogate, how):
    """Return spikes and gradients by drive and by what is added at the threshold."""
    drive, decay, threshold, reset, grad = inputs
    mode, detach, rests, graded = how
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    constants = [c.to(device=device, dtype=wide) for c in (decay, threshold, reset)]
    drive, lift = (
        given.to(device=device, dtype=dtype, copy=True).requires_grad_() for given in (drive, lift)
    )
    rest = torch.arange(len(decay), device=device) if rests else None
    options = {"refractory": rest, "mode": mode, "detach_reset": detach, "graded": graded}
    spikes = scan.lif_scan(drive, *constants, surrogate, lift=lift, **options)
    spikes.backward(grad.to(device=device, dtype=dtype))
    return [t.detach().double().cpu() for t in (spikes, drive.grad, lift.grad)]


@everywhere
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("surrogate", [ATan(), QGate(0.7)], ids=repr)
def test_lifts_and_graded_spikes_are_those_of_the_loop(dtype, surrogate, device):
    inputs = given((37, 3, 6), dtype)
    lift = (0.3 * inputs[4]).to(dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for how in itertools.product(["hard", "subtract"], *[[False, True]] * 3):
        here = lifted(inputs, lift, device, dtype, surrogate, how)
        there = by_loop(lambda how=how: lifted(inputs, lift, "cpu", wide, surrogate, how))
        assert torch.equal(here[0] != 0, there[0] != 0), how
        for one, other in zip(here, there, strict=True):
            assert_near(one, other, TOLERANCE[dtype])


@everywhere
def test_a_stretch_in_pieces_has_the_bits_of_the_whole(device):
    drive, decay, threshold, reset, _ = given((40, 3, 6), torch.float32)
    constants = tuple(c.float().to(device) for c in (decay, threshold, reset))
    drive = drive.to(device)
    lift = 0.1 * drive.flip(0)
    whole = scan.lif_scan(drive, *constants, ATan(), lift=lift)
    membrane, pieces = torch.zeros_like(drive[0]), []
    for begin, end in ((0, 1), (1, 18), (18, 40)):
        spikes, membrane = scan.lif_stream(
            drive[begin:end], constants, membrane, ATan(), lift=lift[begin:end]
        )
        pieces.append(spikes)
    assert torch.equal(torch.cat(pieces), whole)
    assert 0 < whole.mean() < 1


@everywhere
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_leaky_integration_is_that_of_the_loop(dtype, device):
    drive, decay, _, _, grad = given((37, 3, 5), dtype)

    def both_ways(where):
        x = drive.to(where, copy=True).requires_grad_()
        d = decay.to(device=where, dtype=dtype, copy=True).requires_grad_()
        y = scan.leaky_scan(x, d)
        y.backward(grad.to(where))
        return [t.detach().double().cpu() for t in (y, x.grad, d.grad)]

    here, there = both_ways(device), by_loop(lambda: both_ways("cpu"))
    for one, other in zip(here, there, strict=True):
        assert_near(one, other, TOLERANCE[dtype])


@needs_gpu
def test_two_passes_have_the_same_bits():
    inputs = given((64, 8, 32), torch.float32)
    first, second = (
        passed(inputs, "cuda", torch.float32, ATan(), ("hard", True, True)) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class Other:
    """A surrogate of another package."""

    def derivative(self, x):
        return torch.ones_like(x)


def test_what_has_no_kernel_goes_by_the_loop():
    drive = torch.zeros(2, 1, 1, device="cuda" if HAS_GPU else "cpu")
    assert can_fuse(drive, ATan()) is HAS_GPU
    assert not can_fuse(drive, Other())
    assert not can_fuse(drive.to(torch.float16), ATan())
