"""Neurons with gates that send how they changed: the loop by autograd, the kernel by the loop."""

from __future__ import annotations

import pytest
import torch
from test_nn_fused import assert_near, device, everywhere  # noqa: F401 - a fixture
from test_nn_scan import Step

from spikecore.nn import EventGRU, gated
from spikecore.nn.gated import GatedState, gated_scan
from spikecore.nn.surrogates import ATan, Gaussian, QGate

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 4e-2}
THRESHOLD = 0.25


@pytest.fixture(autouse=True)
def kernels_where_asked_for(request, monkeypatch):
    """On a CPU the kernel runs only for tests that name a device."""
    on_cpu = request.node.callspec.params.get("device") if hasattr(request.node, "callspec") else 0
    if on_cpu == "cpu":
        monkeypatch.setattr(gated, "can_fuse", lambda *_: True)


def drawn(shape, dtype=torch.float64):
    """Return drive, synapses, start and gradient; in float64, but numbers that ``dtype`` has."""
    draw = torch.Generator().manual_seed(0)

    def normal(*size):
        return torch.randn(*size, generator=draw, dtype=torch.float64).to(dtype).double()

    ticks, batch, neurons = shape
    drive, grad = normal(ticks, batch, 3 * neurons), normal(*shape)
    synapses = (2 * neurons**-0.5 * normal(neurons, 3 * neurons)).to(dtype).double()
    return drive, synapses, GatedState(normal(batch, neurons), normal(batch, neurons)), grad


def by_autograd(drive, synapses, surrogate, start, threshold):
    """The equations of the docstring, tick by tick."""
    c, y = start
    out = []
    for t in range(len(drive)):
        (au, ar, az), (su, sr, sz) = drive[t].chunk(3, 1), (y @ synapses).chunk(3, 1)
        u, r = torch.sigmoid(au + su), torch.sigmoid(ar + sr)
        c = u * c + (1 - u) * torch.tanh(az + r * sz)
        change = c - y
        sends = Step.apply(change.abs() / threshold - 1, surrogate)
        whether = sends.detach()
        # where an event begins, y jumps by the threshold
        jump = threshold * change.detach().sign() * (sends - whether)
        y = y + whether * change + jump
        out.append(y)
    return torch.stack(out), c


@pytest.mark.parametrize("surrogate", [QGate(0.7), ATan()], ids=repr)
def test_the_loop_is_what_the_equations_say(surrogate):
    drive, synapses, start, grad = drawn((30, 3, 8))
    found = []
    for run in (gated_scan, by_autograd):
        given = [t.clone().requires_grad_() for t in (drive, synapses)]
        sent, last = run(*given, surrogate, start, THRESHOLD)
        if run is gated_scan:
            assert torch.equal(last.sent, sent[-1])
            last = last.carrier
        sent.backward(grad)
        found.append([t.detach() for t in (sent, last, *(g.grad for g in given))])
    events = found[0][0][1:] != found[0][0][:-1]
    assert 0.1 < events.double().mean() < 0.9
    for one, other in zip(*found, strict=True):
        assert other.abs().max() > 1e-3
        assert_near(one, other, 1e-12)


def test_without_a_threshold_it_is_a_gru():
    torch.manual_seed(0)
    gru = torch.nn.GRU(5, 6).double()
    ours = EventGRU(5, 6, threshold=1e-12).double()
    order = torch.tensor([1, 0, 2])  # torch puts the reset gate first
    turn = lambda t: t.unflatten(0, (3, 6))[order].flatten(0, 1)  # noqa: E731
    with torch.no_grad():
        gru.bias_hh_l0.zero_()
        ours.into.weight.copy_(turn(gru.weight_ih_l0))
        ours.into.bias.copy_(turn(gru.bias_ih_l0))
        ours.among.copy_(turn(gru.weight_hh_l0).T)
    given = torch.randn(40, 2, 5, dtype=torch.float64)
    assert (ours(given) - gru(given)[0]).abs().max() < 1e-10


def test_a_state_that_does_not_change_sends_nothing():
    drive, synapses, _, _ = drawn((20, 2, 4))
    nothing = torch.zeros(2, 4, dtype=torch.float64)
    start = GatedState(nothing + 0.5, nothing + 0.5)
    drive[:, :, :4] = 100.0  # update gates hold what there is
    sent, _ = gated_scan(drive, synapses, QGate(), start, THRESHOLD)
    assert torch.equal(sent, start.sent.expand_as(sent))


def test_what_receivers_hold_is_less_than_a_threshold_off():
    drive, synapses, start, _ = drawn((40, 3, 8))
    for t in range(len(drive)):
        _, start = gated_scan(drive[t : t + 1], synapses, QGate(), start, THRESHOLD)
        assert (start.carrier - start.sent).abs().max() < THRESHOLD


def passed(device, dtype, case, surrogate):  # noqa: F811
    """Return what was sent, the last state, and gradients by drive and synapses, in float64."""
    drive, synapses, start, grad = case
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    drive = drive.to(device=device, dtype=dtype, copy=True).requires_grad_()
    synapses = synapses.to(device=device, dtype=wide, copy=True).requires_grad_()
    start = GatedState(*(s.to(device=device, dtype=wide) for s in start))
    sent, state = gated_scan(drive, synapses, surrogate, start, THRESHOLD)
    sent.backward(grad.to(device=device, dtype=dtype))
    found = (sent, state.carrier, state.sent, drive.grad, synapses.grad)
    return [t.detach().double().cpu() for t in found]


@everywhere
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize(
    ("shape", "surrogate"),
    [((19, 3, 4), ATan()), ((9, 2, 12), QGate(0.7)), ((1, 1, 8), Gaussian()), ((5, 2, 20), ATan())],
    ids=repr,
)
def test_the_kernel_is_the_loop(shape, surrogate, dtype, device):  # noqa: F811
    case = drawn(shape, dtype)
    here = passed(device, dtype, case, surrogate)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gated, "can_fuse", lambda *_: False)
        there = passed("cpu", wide, case, surrogate)
    events = [torch.cat([case[2].sent[None], one[0]]).diff(dim=0) for one in (here, there)]
    assert torch.equal(*(e.abs() > THRESHOLD / 2 for e in events))
    for one, other in zip(here, there, strict=True):
        assert_near(one, other, TOLERANCE[dtype])


@everywhere
def test_a_stretch_in_pieces_is_the_whole(device):  # noqa: F811
    drive, synapses, start, _ = drawn((30, 3, 8))
    drive, synapses, *start = (t.to(device) for t in (drive, synapses, *start))
    state = start = GatedState(*start)
    whole, end = gated_scan(drive, synapses, ATan(), start, THRESHOLD)
    pieces = []
    for begin, stop in ((0, 1), (1, 14), (14, 30)):
        piece, state = gated_scan(drive[begin:stop], synapses, ATan(), state, THRESHOLD)
        pieces.append(piece)
    assert torch.equal(torch.cat(pieces), whole)
    assert all(map(torch.equal, state, end))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("neurons", [10, 152, 340])
def test_a_layer_on_a_gpu_is_the_layer_on_a_cpu(neurons):
    """Sizes of real layers, and one for which there is no kernel."""
    torch.manual_seed(1)
    layer = EventGRU(16, neurons).double()
    given = torch.randn(20, 3, 16, dtype=torch.float64)
    found = []
    for place in ("cpu", "cuda"):
        layer.to(place).zero_grad()
        sent = layer(given.to(place))
        sent.square().sum().backward()
        grads = [p.grad.cpu().clone() for p in layer.parameters()]  # .to() moves gradients too
        found.append([sent.detach().cpu(), *grads])
    for one, other in zip(*found, strict=True):
        assert_near(other, one, 1e-9)
