"""Text for brian2: pair STDP, with every convention of the rule.

brian2 reads a weight when a spike arrives; the rule says that a spike carries the
weight of the tick in which it was fired. So each synapse keeps two copies of
everything: copy 1 learns in the tick of the spikes and is the weight that users
see; copy 2 learns the same, one transmission delay later, and is what arrives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spikecore.plasticity import PairSTDP

__all__ = ["LearningCode", "learning_code", "synapse_variables"]

LONG_AGO = -(2**30)


@dataclass(frozen=True)
class LearningCode:
    """What a spike on either side does to one copy; ``pre_first`` is their order in a tick."""

    pre: str
    post: str
    pre_first: bool


def synapse_variables(copies: tuple[int, ...] = (1, 2)) -> str:
    """Return the variables of a synapse that learns."""
    return "\n".join(
        f"w{c} : 1\nx{c} : 1\ny{c} : 1\nz{c} : 1\nxt{c} : integer\nyt{c} : integer\nzt{c} : integer"
        for c in copies
    )


def learning_code(
    rule: PairSTDP, dt: float, copy: int, factors: tuple[str, str] = ("", "")
) -> LearningCode:
    """Write the rule for one copy of the synapse, for ticks of ``dt`` ms.

    ``factors`` name the variables that multiply A_plus and A_minus, if any.

    w is the weight, x and y are the traces of pre and post with the ticks of their last
    change, z is y as it was before this tick.
    """
    tau_plus, tau_minus = float(rule.tau_plus.value), float(rule.tau_minus.value)
    tables = rule.windows(dt)
    plus, minus = (
        _Window(tau, dt, int((table > 0).sum()), rule.window == "table2048")
        for tau, table in ((tau_plus, tables[0]), (tau_minus, tables[1]))
    )
    low, high = rule.bounds
    a_plus, a_minus = (
        (f"{a!r}*{factor}" if factor else repr(a)) if a else ""
        for a, factor in zip(rule.amplitudes, factors, strict=True)
    )
    bounded = f"w = clip(w, {low!r}, {high!r})"
    gain = f"{a_plus}*({plus.read('x', 'xt')})"
    loss = f"{a_minus}*({minus.read('y', 'yt')})"
    if rule.coincidence == "ignore":  # the post spike of this very tick does not count
        now = "int(yt == t_in_timesteps)"
        before = f"{a_minus}*({minus.read('z', 'zt')})"
        loss = f"({now}*({before}) + (1 - {now})*({loss}))"
    if rule.dependence == "multiplicative":
        gain = f"({gain})/{high!r}*({high!r} - w)"
        loss = f"({loss})/{high!r}*(w - ({low!r}))"
    all_pairs = rule.pairing == "all"
    post = [
        *([f"w = w + {gain}"] if a_plus else []),  # brian2 stumbles over 0*x
        *([bounded] if rule.clamp == "pair" else []),
        *(["z = y", "zt = yt"] if rule.coincidence == "ignore" else []),
        f"y = {minus.read('y', 'yt')} + 1" if all_pairs else "y = 1",
        "yt = t_in_timesteps",
    ]
    pre = [
        *([f"w = w - {loss}"] if a_minus else []),
        bounded,
        f"x = {plus.read('x', 'xt')} + 1" if all_pairs else "x = 1",
        "xt = t_in_timesteps",
    ]
    return LearningCode(
        _numbered("\n".join(pre), copy),
        _numbered("\n".join(post), copy),
        rule.coincidence == "potentiate",
    )


@dataclass(frozen=True)
class _Window:
    tau: float
    dt: float
    length: int
    table: bool

    def read(self, trace: str, at: str) -> str:
        elapsed = f"(t_in_timesteps - {at})"
        factor = f"exp(-{elapsed}*{self.dt!r}/{self.tau!r})"
        if self.table:
            factor = f"floor(2048.0*{factor})/2048.0"
        return f"{trace}*{factor}*int({elapsed} < {self.length})"


def _numbered(code: str, copy: int) -> str:
    return re.sub(r"\b(w|x|y|z|xt|yt|zt)\b", rf"\g<1>{copy}", code)
