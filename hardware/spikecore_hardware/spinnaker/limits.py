"""What a SpiNNaker core cannot do, or would do differently: refused, all reasons at once.

Much of this the tool chain accepts without a word: negative weights lose their sign, small
ones become zero, synapses beyond the local memory stop the board.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spikecore.backends.lowering import Lowered, LoweredPopulation, LoweredProjection
from spikecore.backends.protocol import Capabilities, Options
from spikecore.plasticity import PairSTDP
from spikecore.quantities import off_grid
from spikecore_hardware.board import CoreLimits, load_board
from spikecore_hardware.spinnaker import arithmetic as fixed
from spikecore_hardware.spinnaker.mapping import (
    PARAMETERS,
    PopulationMap,
    map_populations,
    parameters_of,
)
from spikecore_hardware.spinnaker.scaling import quantise, weight_step
from spikecore_hardware.spinnaker.slow_trace import (
    GLIA,
    gain_of,
    in_currents,
    is_dual,
)
from spikecore_hardware.spinnaker.slow_trace import refusals as slow_trace_refusals

__all__ = ["ABSENT", "LIMITS", "SpinnakerCapabilities"]

_STATES = ("i_exc", "i_inh", "v")
_OUTSIDE = "is outside -65536 .. 65536"
_NAMES = {name: name for name in PARAMETERS}
_NAMES |= {"cm": "tau_m / resistance", "tau_slow": "tau_A"}
_TAUS = ("tau_exc", "tau_inh", "tau_slow")

_CALCIUM = "its equations are not linear, and no neuron of the tool chain has them"
_FIXED = "the amplitudes of a learning rule are constant on the chip"
ABSENT = {
    "astrocyte": (
        "the chip has neurons only; where its trace acts as a current, give each neuron its own: "
        "AstroLIF(..., SlowTrace(tau_y=None), current=...)"
    ),
    "held_lif": "currents of the chip decay",
    "li_rinzel": _CALCIUM,
    "g_chi": _CALCIUM,
    "delivery": "a row of the chip holds one weight for each synapse, which nothing multiplies",
    "potentiation": _FIXED,
    "depression": _FIXED,
}
"""Why the chip does not have a unit, or what a state acts on."""


def _spin1_limits() -> CoreLimits:
    core = load_board("spin5").core
    assert core is not None
    return core


LIMITS = _spin1_limits()
"""Limits of a SpiNNaker 1 core; they are the same on every board."""


@dataclass(frozen=True)
class SpinnakerCapabilities(Capabilities):
    """What the mirror keeps its promise for: what the images of 7.4.1 do on a core."""

    limits: CoreLimits = field(default=LIMITS)

    def refusals(self, lowered: Lowered, options: Options) -> list[str]:
        """List every reason why ``lowered`` cannot be run as promised."""
        reasons = super().refusals(lowered, options)
        microseconds = lowered.dt * 1000.0
        if off_grid(microseconds, 1.0).any():
            reasons.append(f"dt = {lowered.dt:g} ms is not a whole number of microseconds")
        for p in lowered.populations:
            reasons += _unit_reasons(p, lowered.dt)
        reasons += _probe_reasons(lowered)
        return [*reasons, *_mapping_reasons(in_currents(lowered), self.limits)]


def _mapping_reasons(lowered: Lowered, limits: CoreLimits) -> Iterator[str]:
    maps = map_populations(lowered, limits)
    # The tool chain puts all neurons of a source array on one core.
    on_core = dict(lowered.groups.values())
    on_core |= {m.lowered.start: m.layout.neurons for m in maps}
    for m in maps:
        yield from _initial_reasons(m)
        yield from _core_reasons(m, limits)
        yield from _rule_reasons(m)
        for c in m.incoming:
            yield from _synapse_reasons(c, m)
            if m.layout.slots < c.delay.max(initial=0) <= m.layout.max_delay:
                yield from _extension_reasons(c, m, on_core[c.source_start])


def _probe_reasons(lowered: Lowered) -> Iterator[str]:
    cascades = {p.name for p in lowered.populations if is_dual(p) and "y" in p.unit.states}
    for probe in lowered.network.probes:
        if probe.pop_name in cascades and probe.state in ("y", "A"):
            yield (
                f"probe {probe.key!r}: an A that follows y is spread over two currents of the chip"
            )


def _unit_reasons(p: LoweredPopulation, dt: float) -> Iterator[str]:
    place = f"population {p.name!r}"
    if p.unit.name not in ("lif", "astro_lif"):
        return  # refused by name already
    if is_dual(p):
        yield from (f"{place}: {reason}" for reason in slow_trace_refusals(p))
    if tuple(s for s in p.unit.states if s not in ("y", "A")) != _STATES:
        yield f"{place}: only Exponential synapses without an adaptive threshold are mirrored"
        return
    given, tick = parameters_of(p), int(fixed.encode(dt))
    reasons = [
        f"{place}: {_first(_NAMES[name], value, wrong)} {what}"
        for name, value in given.items()
        for wrong, what in _parameter_faults(name, value, tick)
    ]
    yield from reasons
    if reasons:
        return  # what follows divides by them
    wrong = ~fixed.in_range(given["tau_m"] / given["cm"])
    if wrong.any():
        yield f"{place}: {_first('resistance', given['tau_m'] / given['cm'], wrong)} {_OUTSIDE}"
    asked = np.broadcast_to(p.refractory, (p.size,))
    made = np.array([fixed.whole_ticks(int(c), tick) for c in fixed.encode(given["refractory"])])
    if (made != asked).any():
        i = int(np.argmax(made != asked))
        yield (
            f"{place}: a refractory period of {given['refractory'][i]:g} ms would last "
            f"{made[i]} ticks, not {asked[i]}: dt = {dt:g} ms is inexact in s16.15"
        )


def _parameter_faults(
    name: str, value: npt.NDArray[np.float64], tick: int
) -> Iterator[tuple[npt.NDArray[np.bool_], str]]:
    """Find values of a parameter that s16.15, or what the chip derives from it, cannot hold."""
    outside = ~fixed.in_range(value)
    if outside.any():
        yield outside, _OUTSIDE
        return
    if name not in ("tau_m", "cm", *_TAUS):
        return
    coded = fixed.encode(value)
    lost = coded == 0
    if name != "cm":
        lost |= coded > tick << 15  # dt / tau would be 0
    if lost.any():
        yield lost, "is rounded away in s16.15"
    elif name in _TAUS:
        kinds, back = np.unique(coded, return_inverse=True)
        gain = np.array([fixed.tau_constants(int(tau), tick)[1] for tau in kinds])
        overflows = ((kinds > tick) & (gain < 1 << 31))[back]
        if overflows.any():
            yield overflows, "makes the gain of the synapse overflow to almost 0 on the chip"


def _first(what: str, value: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_]) -> str:
    """Name the first offending value, and how many there are."""
    count, i = int(wrong.sum()), int(np.argmax(wrong))
    more = f" (first at index {i}, {count} in all)" if count > 1 else ""
    return f"{what} = {value[i]:g}{more}"


def _initial_reasons(m: PopulationMap) -> Iterator[str]:
    for name, value in m.declared.initial.items():
        if name == "y":
            yield f"population {m.lowered.name!r}: an initial y has no place on the chip"
            continue
        slow = name == "A"
        values = np.atleast_1d(value.value * gain_of(m.lowered) if slow else value.value)
        wrong = ~fixed.in_range(values)
        if wrong.any():
            what = _first("initial current x A" if slow else f"initial {name}", values, wrong)
            yield f"population {m.lowered.name!r}: {what} {_OUTSIDE}"


def _core_reasons(m: PopulationMap, limits: CoreLimits) -> Iterator[str]:
    place, layout = f"population {m.lowered.name!r}", m.layout
    if layout.dtcm_bytes > limits.dtcm_usable_bytes:
        yield (
            f"{place}: one neuron needs {layout.dtcm_bytes} bytes of local memory, a core has "
            f"{limits.dtcm_usable_bytes}"
        )
    if layout.longest_row > limits.row_words:
        yield (
            f"{place}: a source has more synapses onto one neuron than a row of "
            f"{limits.row_words} words holds"
        )


def _rule_reasons(m: PopulationMap) -> Iterator[str]:
    plastic = [c for c in m.incoming if c.plasticity is not None]
    for c in plastic[1:]:
        if _coded(c.plasticity) != _coded(plastic[0].plasticity):
            yield (
                f"projection {c.name!r}: all synapses onto one population learn by one rule, and "
                f"{plastic[0].name!r} has another"
            )
    for c in plastic:
        assert c.plasticity is not None
        if is_dual(m.lowered):
            yield (
                f"projection {c.name!r}: the tool chain has no image in which synapses onto "
                "neurons with a slow trace learn"
            )
        yield from (f"projection {c.name!r}: {reason}" for reason in _option_reasons(c.plasticity))


def _coded(rule: PairSTDP | None) -> object:
    assert rule is not None
    taus = (float(rule.tau_plus.value), float(rule.tau_minus.value))
    return taus, rule.amplitudes, rule.bounds, rule.post_delay


def _option_reasons(rule: PairSTDP) -> Iterator[str]:
    for name, wanted in (
        ("pairing", "all"),
        ("coincidence", "depress"),
        ("clamp", "pair"),
        ("dependence", "additive"),
    ):
        if getattr(rule, name) != wanted:
            yield f"PairSTDP.{name} must be {wanted!r}, not {getattr(rule, name)!r}"
    if rule.bounds[0] < 0.0:
        yield f"w_min = {rule.bounds[0]:g} nA is negative: weights have no sign"
    largest = max(*rule.amplitudes, *rule.bounds)
    if not fixed.in_range(largest):
        yield f"an amplitude or bound of {largest:g} nA is outside 0 .. 65536"


def _synapse_reasons(c: LoweredProjection, m: PopulationMap) -> Iterator[str]:
    place, shift = f"projection {c.name!r}", m.shifts[c.port]
    weight = "weight x current" if is_dual(m.lowered) and c.port == GLIA else "weight"
    negative = c.weight < 0.0
    if negative.any():
        what = _first(weight, c.weight, negative)
        instead = "" if c.port == GLIA else ", use port='inh'"
        yield f"{place}: {what} nA is negative: weights have no sign{instead}"
    large = ~fixed.in_range(c.weight)
    if large.any():
        yield f"{place}: {_first(weight, c.weight, large)} nA overflows 32 bits on the chip"
    lost = (c.weight != 0.0) & (quantise(c.weight, shift) == 0)
    if lost.any():
        yield (
            f"{place}: {_first(weight, c.weight, lost)} nA becomes 0: the weights of this "
            f"receptor have steps of {weight_step(shift):g} nA"
        )
    slots, longest = m.layout.slots, int(c.delay.max(initial=0))
    lost = c.delay % slots == 0
    if c.plasticity is not None and lost.any():
        count = int(np.broadcast_to(lost, (c.size,)).sum())
        yield (
            f"{place}: the chip would lose the spikes of {count} plastic synapses, whose delay is "
            f"a multiple of the {slots} ticks that its ring buffers hold here; use another delay, "
            "or give the population one synapse with a longer one"
        )
    if longest > m.layout.max_delay:
        yield (
            f"{place}: the longest delay is {longest} ticks, the limit {m.layout.max_delay} with "
            f"{m.layout.neurons} neurons per core"
        )


def _extension_reasons(c: LoweredProjection, m: PopulationMap, on_core: int) -> Iterator[str]:
    """Refuse what sPyNNaker 7.4 loses: it packs rows of delayed synapses for the wrong core size.

    The rows are laid out by the number of neurons on a core of the target, and looked up by
    that on the core of the source: ``on_core``, on the last core of a population often fewer.
    The latter matters from the second stage of an extension on.
    """
    slots, host = m.layout.slots, m.layout.neurons
    stage = (np.broadcast_to(c.delay, (c.size,)).astype(np.int64) - 1) // slots
    stages, source = int(stage.max()), c.source
    whole = source // on_core * on_core
    found = np.minimum(on_core, c.source_size - whole)  # neurons on the core of each source
    laid = (source // host) * host * stages + (stage - 1) * host + source % host
    looked_up = whole * stages + (stage - 1) * found + source - whole
    wrong = int(((laid != looked_up) & (stage > 0)).sum())
    if wrong:
        last = f"the last core of the source holds {found.min()} neurons, the others {on_core}"
        sizes = f"cores hold {on_core} neurons of the source and {host} of the target"
        yield (
            f"projection {c.name!r}: sPyNNaker would give {wrong} synapses, which are delayed by "
            f"more than the {slots} ticks of a ring buffer, to other sources: "
            f"{last if host == on_core else sizes}"
        )
