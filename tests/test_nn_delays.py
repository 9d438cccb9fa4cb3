"""Layers with delays: what arrives when, how bumps become ticks, and checkpoints."""

from __future__ import annotations

import pytest
import torch

from spikecore import LIF, Delta, ms, mV, nn
from spikecore.nn.delays import delayed_sum

LAYER = {"max_delay": 6 * ms, "scale": 10 * mV}


def layer(n=3, m=2, **changes):
    torch.manual_seed(1)
    return nn.DelayedLinear(n, m, **LAYER | changes).double()


@pytest.mark.parametrize("fourier", [True, False])
@pytest.mark.parametrize(("ticks", "delays"), [(20, 6), (3, 6), (1, 2), (6, 1)])
def test_sums_and_their_gradients_are_those_of_the_definition(fourier, ticks, delays):
    torch.manual_seed(0)
    x = torch.randn(ticks, 2, 3, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(delays, 4, 3, dtype=torch.float64, requires_grad=True)
    rows = []
    for t in range(ticks):
        row = torch.zeros(2, 4, dtype=torch.float64)
        for k in range(1, min(delays, t) + 1):
            row = row + x[t - k] @ kernel[k - 1].T
        rows.append(row)
    wanted = torch.stack(rows)
    found = delayed_sum(x, kernel, fourier=fourier)
    torch.testing.assert_close(found, wanted)
    probe = torch.randn_like(wanted)
    if ticks > 1:
        for by in (x, kernel):
            pair = [
                torch.autograd.grad((y * probe).sum(), by, retain_graph=True)[0]
                for y in (found, wanted)
            ]
            torch.testing.assert_close(*pair)


def test_a_spike_arrives_as_its_weight_after_its_delay():
    some = layer()
    some.round_delays()
    spikes = torch.zeros(12, 1, 3, dtype=torch.float64)
    spikes[2, 0, 1] = 1.0
    arrived = some(spikes)
    for output in range(2):
        t = 2 + int(some.delay[output, 1])
        assert arrived[t, 0, output] == some.weights[output, 1]
    assert arrived.count_nonzero() == 2


@pytest.mark.parametrize("bump", ["gaussian", "triangular"])
def test_bumps_share_out_the_weight_and_narrow_to_one_tick(bump):
    some = layer(bump=bump)
    shares = some.kernel() / some.weights
    torch.testing.assert_close(shares.sum(0), torch.ones(2, 3, dtype=torch.float64))
    some.delay.data.round_()
    some.width = 1e-3 if bump == "gaussian" else 1.0
    narrow = some.kernel()
    some.width = 0.0
    torch.testing.assert_close(narrow, some.kernel())
    assert some.kernel().count_nonzero() == 6


def test_a_triangle_of_one_tick_interpolates_between_two():
    some = layer(bump="triangular")
    some.width = 1.0
    some.delay.data.fill_(2.25)
    shares = (some.kernel() / some.weights)[:, 0, 0]
    torch.testing.assert_close(shares, torch.tensor([0, 0.75, 0.25, 0, 0, 0]).double())


def test_delays_are_learned():
    """One synapse has to find the interval between two spikes, from far away."""
    some = layer(1, 1, max_delay=20 * ms)
    some.delay.data.fill_(4.0)
    spikes, wanted = torch.zeros(2, 40, 1, 1, dtype=torch.float64)
    spikes[3], wanted[3 + 13] = 1.0, 10.0
    schedule = nn.DelayAnnealing(some, steps=200)
    groups = [{"params": [some.delay], "lr": 0.2}, {"params": [some.weight], "lr": 0.02}]
    adam = torch.optim.Adam(groups)
    for number in range(450):
        loss = (some(spikes) - wanted).square().sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
        if number == 300:
            schedule.finish()  # from here on only the weight learns
            del adam.param_groups[0]
    assert some.delay.item() == 13
    torch.testing.assert_close(some(spikes), wanted, atol=0.1, rtol=0)


def test_annealing_is_geometric_and_stays_at_the_end():
    model = torch.nn.Sequential(
        layer(), layer(2, 2, max_delay=1 * ms), layer(2, 2, bump="triangular")
    )
    schedule = nn.DelayAnnealing(model, steps=2)
    widths = []
    for _ in range(4):
        widths.append([model[0].width, model[1].width, model[2].width])
        schedule.step()
    assert widths == [
        [3.0, 0.0, 3.0],
        [pytest.approx((3.0 * 0.5) ** 0.5), 0.0, pytest.approx(3.0**0.5)],
        [0.5, 0.0, 1.0],
        [0.5, 0.0, 1.0],
    ]
    schedule.finish()
    assert (model[0].width, model[2].width) == (0.0, 0.0)
    assert torch.equal(model[0].delay, model[0].ticks.double())


def test_delays_that_leave_the_bounds_come_back():
    some = layer()
    some.delay.data[0] = torch.tensor([-3.0, 2.0, 99.0])
    some(torch.zeros(2, 1, 3, dtype=torch.float64))
    assert some.delay[0].tolist() == [1.0, 2.0, 6.0]


def test_delays_that_are_not_learned_are_whole_and_no_parameters():
    fixed = layer(learn_delays=False)
    assert [name for name, _ in fixed.named_parameters()] == ["weight"]
    assert torch.equal(fixed.delay, fixed.delay.round())
    assert (fixed.delay.min() >= 1, fixed.delay.max() <= 6, fixed.width) == (True, True, 0.0)
    none = nn.DelayedLinear(3, 2, scale=1 * mV)
    assert none.delay.unique().tolist() == [1.0]


def test_a_checkpoint_brings_back_weights_delays_widths_and_schedule(tmp_path):
    def build():
        model = torch.nn.Sequential(
            layer(), nn.LIF(2, LIF(synapse=Delta()), learn=["tau_m"]).double()
        )
        return model, nn.DelayAnnealing(model, steps=5)

    one, schedule = build()
    schedule.step()
    one[1].log_tau_m.data += 0.1
    torch.save({"model": one.state_dict(), "schedule": schedule.state_dict()}, tmp_path / "c.pt")
    schedule.step()
    other, later = build()
    other[0].weight.data.zero_()
    saved = torch.load(tmp_path / "c.pt", weights_only=True)
    other.load_state_dict(saved["model"])
    later.load_state_dict(saved["schedule"])
    later.step()
    x = torch.randn(30, 2, 3, dtype=torch.float64)
    assert other[0].width == one[0].width != 3.0
    assert torch.equal(one[0](x), other[0](x))
    assert torch.equal(one[1].log_tau_m, other[1].log_tau_m)
