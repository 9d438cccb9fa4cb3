"""Delays learned by gradient descent: a detector for each of four speeds.

Something moves over 24 addresses, upwards or downwards, fast or slowly, and every address
fires once as it passes. Which address fires says nothing; when it fires, relative to the
others, says all. One LIF neuron for each speed is trained, first with learned delays, then
without. The learned delays make up for the time that the motion takes: spikes that set out
one after another arrive together. The trained model then runs as a network, event by event.

Run: python demos/train_delays.py
"""

from __future__ import annotations

import numpy as np
import torch

from spikecore import LIF, Delta, ms, mV, nn, run

ADDRESSES, TICKS = 24, 50
SPEEDS = (1.0, 2.0, -1.0, -2.0)  # addresses a tick
STEPS = 300


def draw(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return spikes (ticks, samples, addresses) and which speed each sample has."""
    label = torch.randint(len(SPEEDS), (samples,))
    speed = torch.tensor(SPEEDS)[label, None]
    address = torch.arange(ADDRESSES)
    passed = torch.where(speed > 0, address, ADDRESSES - 1 - address) / speed.abs()
    tick = passed + 10 * torch.rand(samples, 1) + 0.7 * torch.randn(samples, ADDRESSES)
    spikes = (torch.rand(TICKS, samples, ADDRESSES) < 0.01).float()
    spikes.scatter_(0, tick.round().long().clamp(0, TICKS - 1)[None], 1.0)
    return spikes, label


def train(longest: float) -> torch.nn.Sequential:
    """Train four neurons behind synapses with delays of up to ``longest`` ms."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        nn.DelayedLinear(ADDRESSES, len(SPEEDS), longest * ms, scale=15 * mV),
        nn.LIF(len(SPEEDS), LIF(tau_m=4 * ms, synapse=Delta()), learn=["tau_m"]),
    )
    if longest > 1:
        model[0].weight.data.abs_()  # costs some accuracy, but makes the delays easy to read
    rates = {True: 0.3, False: 0.02}  # of delays, in ticks; of the rest
    adam = torch.optim.Adam(
        {"params": p, "lr": rates[name.endswith("delay")]} for name, p in model.named_parameters()
    )
    annealing = nn.DelayAnnealing(model, STEPS * 3 // 4) if longest > 1 else None
    for step in range(STEPS):
        spikes, label = draw(64)
        loss = torch.nn.functional.cross_entropy(model(spikes).sum(0), label)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if annealing:
            annealing.step()
        if annealing and step == STEPS * 4 // 5:
            annealing.finish()  # whole ticks; the weights adapt in the steps that are left
    return model.double().eval()


def slopes(layer: nn.DelayedLinear) -> list[float]:
    """Return by how much delays fall from address to address, weighted by what excites."""
    weights = layer.weight.detach().clamp(min=0).sqrt().numpy()
    lines = zip(layer.delay.detach().numpy(), weights, strict=True)
    return [-np.polyfit(np.arange(ADDRESSES), delays, 1, w=w)[0] for delays, w in lines]


def main() -> None:
    """Train with delays and without, look at the delays, run the network."""
    torch.set_num_threads(1)
    accuracy = {}
    for name, longest in (("without delays", 1), ("with learned delays", 30)):
        model = train(longest)
        spikes, label = draw(1000)
        with torch.no_grad():
            found = model(spikes.double())
        accuracy[name] = float((found.sum(0).argmax(1) == label).double().mean())
        print(f"{name}: {100 * accuracy[name]:.0f} % of 1000 unseen samples right (chance: 25 %)")
    print("\nspeed, addresses a tick    ticks from address to address    delays fall by")
    for speed, fall in zip(SPEEDS, slopes(model[0]), strict=True):
        print(f"{speed:23} {1 / speed:32.2f} {fall:17.2f}")
        assert speed * fall > 0
    net = nn.to_network(model, nn.tensor_to_train(spikes[:, 0]))
    result = run(net, TICKS * ms)
    same = nn.spikes_to_tensor(result.spikes["layer1"], TICKS, len(SPEEDS)).double()
    assert torch.equal(same, found[:, 0]), "the network fires other spikes than the model"
    assert accuracy["with learned delays"] > accuracy["without delays"] + 0.2
    print("\nas a network, event by event: the same spikes as the model's")


if __name__ == "__main__":
    main()
