"""Forward and backward through one layer of LIF neurons on a GPU: samples a second.

256 samples of 1024 neurons. Beside it, the same layer as a plain loop over ticks, as most
libraries have it, and, where they are installed, snnTorch and SpikingJelly.

    python benchmarks/lif_training.py            # needs an NVIDIA GPU
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from machine import machine, write_json

from spikecore.nn.scan import lif_scan
from spikecore.nn.surrogates import ATan

BATCH, NEURONS = 256, 1024


def timed(call: Callable[[], None], repeats: int) -> float:
    """Return the median time of a call, in milliseconds."""
    call()
    spent = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        spent.append(begin.elapsed_time(end))
    return statistics.median(spent)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return grad * ATan().derivative(x)


def plain_loop(drive: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
    """Return the spikes by a loop that autograd follows."""
    v, out = torch.zeros_like(drive[0]), []
    for x in drive:
        h = decay * v + x
        s = _Spike.apply(h - 1.0)
        v = h * (1.0 - s.detach())
        out.append(s)
    return torch.stack(out)


def both_passes(layer: Callable[[torch.Tensor], torch.Tensor], ticks: int, dtype: torch.dtype):
    """Return a call that runs ``layer`` forward and backward."""
    drive = (0.3 * torch.rand(ticks, BATCH, NEURONS, device="cuda")).to(dtype).requires_grad_()
    grad = torch.randn(ticks, BATCH, NEURONS, device="cuda").to(dtype)

    def call() -> None:
        drive.grad = None
        layer(drive).backward(grad)

    return call


def main() -> None:
    """Measure, print, write the results."""
    decay = torch.full((NEURONS,), 0.9, device="cuda")
    one, zero = torch.ones(NEURONS, device="cuda"), torch.zeros(NEURONS, device="cuda")

    def fused(drive: torch.Tensor) -> torch.Tensor:
        return lif_scan(drive, decay, one, zero, ATan())

    rows = []
    for ticks in (250, 1000):
        for name, layer, dtype in (
            ("spikecore.nn, float32", fused, torch.float32),
            ("spikecore.nn, bfloat16", fused, torch.bfloat16),
            ("plain loop, float32", lambda x: plain_loop(x, decay), torch.float32),
        ):
            repeats = 7 if layer is fused else 3
            spent = timed(both_passes(layer, ticks, dtype), repeats)
            rows.append({"ticks": ticks, "layer": name, "ms": round(spent, 3)})
            rows[-1]["samples_per_s"] = round(BATCH / spent * 1e3)
            print(rows[-1], flush=True)
            torch.cuda.empty_cache()
    device = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    found = {"batch": BATCH, "neurons": NEURONS, "rows": rows}
    print(write_json("lif_training.json", found | {"machine": machine() | {"device": device}}))


if __name__ == "__main__":
    main()
