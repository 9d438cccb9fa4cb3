"""Groups of neurons that excite one another: the loop by autograd, the kernel by the loop."""

from __future__ import annotations

import pytest
import torch
from test_nn_fused import assert_near, device, everywhere  # noqa: F401 - a fixture
from test_nn_scan import Step

from spikecore.nn import grouped
from spikecore.nn.grouped import GroupState, grouped_scan
from spikecore.nn.surrogates import ATan, QGate

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def kernels_where_asked_for(request, monkeypatch):
    """On a CPU the kernel runs only for tests that name a device."""
    on_cpu = request.node.callspec.params.get("device") if hasattr(request.node, "callspec") else 0
    if on_cpu == "cpu":
        monkeypatch.setattr(grouped, "can_fuse", lambda *_: True)


def drawn(shape, group, dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)

    def uniform(*size):
        return torch.rand(*size, generator=draw, dtype=torch.float64)

    neurons = shape[2]
    drive, grad = (1.2 * uniform(*shape)).to(dtype), torch.randn(shape, generator=draw).to(dtype)
    synapses = uniform(neurons // group, group, group) - 0.5
    constants = (0.2 + 0.7 * uniform(neurons), 0.5 + 0.5 * uniform(neurons))
    start = GroupState(0.4 * uniform(*shape[1:]), 2 * uniform(*shape[1:]))
    return drive, constants, synapses, start, grad


def by_autograd(drive, constants, synapses, surrogate, start, graded):
    """The equations of the docstring, tick by tick."""
    decay, threshold = constants
    group = synapses.shape[1]
    v, s = start
    out = []
    for t in range(len(drive)):
        heard = s.clamp(max=1.0).unflatten(1, (-1, group))
        back = torch.einsum("bgj,gji->bgi", heard, synapses).flatten(1)
        h = decay * v + drive[t] + back
        fires = Step.apply((h - threshold) / threshold, surrogate)
        s = fires.detach() * h + threshold * (fires - fires.detach()) if graded else fires
        v = torch.where(fires > 0, 0.0, h)
        out.append(s)
    return torch.stack(out), v


@pytest.mark.parametrize("graded", [True, False])
@pytest.mark.parametrize("group", [2, 4, 8])
def test_the_loop_is_what_the_equations_say(group, graded):
    drive, constants, synapses, start, grad = drawn((40, 3, 8), group)
    found = []
    for run in (grouped_scan, by_autograd):
        given = [t.clone().requires_grad_() for t in (drive, synapses)]
        if run is grouped_scan:
            spikes, state = run(given[0], constants, given[1], QGate(0.7), start, graded=graded)
            assert torch.equal(state.spikes, spikes[-1])
            last = state.membrane
        else:
            spikes, last = run(given[0], constants, given[1], QGate(0.7), start, graded)
        spikes.backward(grad)
        found.append([t.detach() for t in (spikes, last, *(g.grad for g in given))])
    assert 0.1 < (found[0][0] != 0).double().mean() < 0.9
    assert not graded or 0.1 < (found[0][0] > 1).double().mean() < 0.9
    for one, other in zip(*found, strict=True):
        assert other.abs().max() > 1e-3
        assert_near(one, other, 1e-12)


def test_a_group_that_excites_itself_does_not_grow_without_end():
    drive, constants, synapses, start, _ = drawn((200, 2, 8), 4)
    spikes, _ = grouped_scan(
        0 * drive, constants, torch.full_like(synapses, 2.0), ATan(), start, graded=True
    )
    assert spikes.max() == 8.0  # four neurons, each heard as 1


def test_without_synapses_it_is_the_lif_neuron():
    from spikecore.nn.scan import lif_scan

    drive, (decay, threshold), synapses, start, _ = drawn((40, 3, 8), 4)
    still = GroupState(*map(torch.zeros_like, start))
    ours, _ = grouped_scan(drive, (decay, threshold), 0 * synapses, QGate(), still)
    theirs = lif_scan(drive, decay, threshold, torch.zeros_like(threshold), QGate())
    assert torch.equal(ours, theirs)


def passed(device, dtype, case, surrogate, graded):  # noqa: F811
    """Return spikes, last membrane, and gradients by drive and synapses, in float64."""
    drive, constants, synapses, start, grad = case
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    drive = drive.to(device=device, dtype=dtype, copy=True).requires_grad_()
    synapses = synapses.to(device=device, dtype=wide, copy=True).requires_grad_()
    constants = tuple(c.to(device=device, dtype=wide) for c in constants)
    start = GroupState(*(s.to(device=device, dtype=wide) for s in start))
    spikes, state = grouped_scan(drive, constants, synapses, surrogate, start, graded=graded)
    spikes.backward(grad.to(device=device, dtype=dtype))
    found = (spikes, state.membrane, drive.grad, synapses.grad)
    return [t.detach().double().cpu() for t in found]


@everywhere
@pytest.mark.parametrize("graded", [True, False])
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize(
    ("shape", "group", "surrogate"),
    [((19, 3, 4), 4, ATan()), ((8, 2, 16), 8, QGate(0.7)), ((1, 1, 2), 2, QGate())],
    ids=repr,
)
def test_the_kernel_is_the_loop(shape, group, surrogate, dtype, graded, device):  # noqa: F811
    case = drawn(shape, group, dtype)
    here = passed(device, dtype, case, surrogate, graded)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouped, "can_fuse", lambda *_: False)
        there = passed("cpu", wide, case, surrogate, graded)
    assert torch.equal(here[0] != 0, there[0] != 0)
    for one, other in zip(here, there, strict=True):
        assert_near(one, other, TOLERANCE[dtype])


@everywhere
def test_a_stretch_in_pieces_is_the_whole(device):  # noqa: F811
    drive, constants, synapses, start, _ = drawn((30, 3, 8), 4)
    drive, synapses, *rest = (t.to(device) for t in (drive, synapses, *constants, *start))
    constants, start = tuple(rest[:2]), GroupState(*rest[2:])
    whole, end = grouped_scan(drive, constants, synapses, ATan(), start, graded=True)
    pieces, state = [], start
    for begin, stop in ((0, 1), (1, 14), (14, 30)):
        piece, state = grouped_scan(
            drive[begin:stop], constants, synapses, ATan(), state, graded=True
        )
        pieces.append(piece)
    assert torch.equal(torch.cat(pieces), whole)
    assert all(map(torch.equal, state, end))
