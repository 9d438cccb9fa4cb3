"""A trained model and the network it becomes fire the same spikes."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import WHATEVER

from spikecore import LIF, Delta, Exponential, MOhm, Quantity, ms, mV, nA, nn, run

TICKS = 70
DT = 0.5

times = st.floats(0.5, 30.0)


@st.composite
def unit_of(draw, size):
    tau_exc = draw(times)
    tau_m = draw(st.one_of(times, st.just(tau_exc)))
    if draw(st.booleans()):
        tau_m = tau_m * np.linspace(0.5, 2.0, size)
    rests = draw(st.integers(0, 4))
    if draw(st.booleans()):
        rests = np.arange(size) % (rests + 1)
    return LIF(
        tau_m=tau_m * ms,
        v_rest=-60 * mV,
        v_reset=draw(st.sampled_from([-60.0, -66.5, -58.1])) * mV,
        v_threshold=draw(st.sampled_from([-57.0, np.linspace(-58, -50, size)])) * mV,
        refractory=rests * DT * ms,
        resistance=draw(st.floats(0.5, 10.0)) * MOhm,
        i_offset=draw(st.sampled_from([0.0, 0.0, 0.31, -0.2])) * nA,
        synapse=draw(st.sampled_from([Delta(), Exponential(tau_exc * ms, 3 * ms)])),
    )


@st.composite
def models(draw):
    """One to three layers, sometimes with a readout; whole delays; time constants moved."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    layers: list[torch.nn.Module] = []
    for number, (n, m) in enumerate(pairwise(sizes)):
        unit = draw(unit_of(m))
        exponential = isinstance(unit.synapse, Exponential)
        layers.append(
            nn.DelayedLinear(
                n,
                m,
                max_delay=draw(st.integers(1, 12)) * DT * ms,
                scale=draw(st.floats(2.0, 12.0)) * (nA if exponential else mV),
                dt=DT * ms,
                learn_delays=draw(st.booleans()),
            )
        )
        learn = draw(st.sampled_from([(), ("tau_m",), ("tau_m", "tau_exc")]))
        learn = learn if exponential else learn[:1]
        if number == len(sizes) - 2 and draw(st.booleans()):
            layers.append(nn.LeakyIntegrator(m, unit, dt=DT * ms, learn=learn))
        else:
            driven = unit.resistance * unit.i_offset.value
            fires_alone = bool(np.any(driven.value >= unit.v_threshold.value + 60))
            reset = "hard" if fires_alone else draw(st.sampled_from(["hard", "subtract"]))
            own = None
            if not exponential and draw(st.booleans()):
                longest = draw(st.integers(1, 9)) * DT * ms
                own = nn.DelayedLinear(m, m, longest, scale=3 * mV, dt=DT * ms)
            how = {"dt": DT * ms, "learn": learn, "reset": reset, "recurrent": own}
            layers.append(nn.LIF(m, unit, **how))
    model = torch.nn.Sequential(*layers).double()
    for name, parameter in model.named_parameters():
        if "log_tau" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
        elif name.endswith("weight"):
            parameter.data += 0.5
            parameter.data *= torch.rand_like(parameter) > 0.2
    for layer in model.modules():
        if isinstance(layer, nn.DelayedLinear):
            layer.round_delays()
    return model.eval()


@settings(WHATEVER, max_examples=60)
@given(
    models(), st.integers(0, 2**31), st.sampled_from(["event", "event", "clocked"]), st.booleans()
)
def test_the_network_fires_the_spikes_of_the_forward_pass(model, seed, backend, prune):
    generator = torch.Generator().manual_seed(seed)
    spikes = (torch.rand(TICKS, 1, model[0].in_features, generator=generator) < 0.25).double()
    spikes *= 1 + (torch.rand(spikes.shape, generator=generator) < 0.1)  # sometimes two in a tick
    net = nn.to_network(model, nn.tensor_to_train(spikes[:, 0], DT * ms), prune=prune)
    result = run(net, TICKS * DT * ms, backend=backend)
    assert result.status == "complete"
    activity = spikes
    for number, (synapses, neurons) in enumerate(zip(model[::2], model[1::2], strict=True), 1):
        activity = neurons(synapses(activity))
        if isinstance(neurons, nn.LeakyIntegrator):
            trace = result.traces[f"layer{number}.v"].values
            rest = np.broadcast_to(neurons.unit.v_rest.value, neurons.size)
            membrane = activity[:, 0].detach().numpy() + rest
            np.testing.assert_allclose(
                trace, membrane, rtol=0, atol=1e-9 * (1 + np.abs(trace).max())
            )
            assert not len(result.spikes[f"layer{number}"])
        else:
            found = nn.spikes_to_tensor(result.spikes[f"layer{number}"], TICKS, neurons.size)
            assert torch.equal(found.double(), activity[:, 0].detach())


@pytest.mark.parametrize("reset", ["hard", "subtract"])
@pytest.mark.parametrize("refractory", [0, 2])
def test_a_membrane_that_meets_its_threshold_exactly_fires(reset, refractory):
    unit = LIF(synapse=Delta(), refractory=refractory * ms)
    model = torch.nn.Sequential(
        nn.DelayedLinear(1, 1, scale=15 * mV), nn.LIF(1, unit, reset=reset)
    ).double()
    model[0].weight.data.fill_(1.0)
    spikes = torch.zeros(9, 1, 1).double()
    spikes[4] = 1.0
    assert model.eval()(spikes).flatten().nonzero().tolist() == [[5]]
    result = run(nn.to_network(model, nn.tensor_to_train(spikes[:, 0])), 9 * ms)
    assert result.spikes["layer1"].ticks.tolist() == [5]


def test_the_random_models_do_fire():
    """Or the test above would compare silence with silence."""
    rates = []

    @settings(WHATEVER, max_examples=40, derandomize=True, database=None)
    @given(models())
    def collect(model):
        x = (torch.rand(TICKS, 1, model[0].in_features) < 0.25).double()
        out = model[1](model[0](x))
        if isinstance(model[1], nn.LIF):
            rates.append(out.mean().item())

    collect()
    assert np.mean(np.array(rates) > 0.01) > 0.5
    assert np.mean(np.array(rates) > 0.5) < 0.5


def test_pruned_weights_are_left_out_and_the_spikes_stay():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        nn.DelayedLinear(30, 20, max_delay=9 * ms, scale=15 * mV),
        nn.LIF(20, LIF(synapse=Delta())),
    ).double()
    model[0].weight.data[model[0].weight.abs() < 0.15] = 0.0
    model[0].round_delays()
    model.eval()
    x = (torch.rand(100, 1, 30) < 0.1).double()
    nets = [nn.to_network(model, nn.tensor_to_train(x[:, 0]), prune=p) for p in (False, True)]
    sizes = [net.projections[0].wiring.pre.size for net in nets]
    assert sizes == [600, int(model[0].weight.count_nonzero())]
    one, other = (run(net, 100 * ms) for net in nets)
    assert one.compare(other).identical
    assert len(one.spikes["layer1"]) == int(model(x).sum()) > 0


def test_dropout_and_identity_are_passed_over():
    model = torch.nn.Sequential(
        nn.DelayedLinear(2, 2, scale=1 * mV),
        torch.nn.Dropout(0.5),
        nn.LIF(2, LIF(synapse=Delta())),
        torch.nn.Identity(),
    )
    assert [p.name for p in nn.to_network(model).populations] == ["layer1"]


def test_spikecore_itself_imports_no_torch():
    code = "import sys, spikecore; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_spikes_there_and_back():
    counts = torch.tensor([[0, 2], [1, 0], [0, 0], [0, 1]]).float()
    train = nn.tensor_to_train(counts, 0.5 * ms)
    assert train.times == Quantity([0.0, 0.0, 0.5, 1.5], "time")
    model = torch.nn.Sequential(
        nn.DelayedLinear(2, 1, scale=1 * mV, dt=0.5 * ms),
        nn.LIF(1, LIF(synapse=Delta()), dt=0.5 * ms),
    )
    result = run(nn.to_network(model, train), 2 * ms)
    assert torch.equal(nn.spikes_to_tensor(result.spikes["input"], 4, 2), counts)


def test_a_model_in_float32_becomes_the_network_of_its_weights():
    model = torch.nn.Sequential(
        nn.DelayedLinear(2, 2, scale=0.3 * nA), nn.LIF(2, LIF(), learn=["tau_m"])
    )
    net = nn.to_network(model)
    wanted = (model[0].weight.double() * 0.3).T.flatten()
    assert net.projections[0].weight.value.tolist() == wanted.tolist()
    assert net.populations[0].unit.tau_m.value == pytest.approx([20.0, 20.0], rel=1e-6)
