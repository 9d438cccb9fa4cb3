"""Running the cases on a backend, against the oracle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from spikecore.backends.protocol import Capabilities, Options, checked_options
from spikecore.backends.registry import get_backend, split_backend
from spikecore.conformance.cases import CASES, Case
from spikecore.errors import BackendUnavailable, CapabilityRefused, UnknownName
from spikecore.results import Result
from spikecore.simulate import Simulation

__all__ = ["ORACLE", "Outcome", "check_backend", "check_case"]

FloatArray = npt.NDArray[np.float64]

ORACLE = "clocked"
TOLERANCE = 1e-9
"""How far states and weights may be from those of the oracle, in float64."""

_COUNTERS = ("spikes", "sent", "delivered", "pending")

Verdict = Literal["identical", "same", "differs", "declared", "refused"]


@dataclass(frozen=True)
class Outcome:
    """What became of one case on one backend.

    Attributes
    ----------
    case : str
    verdict : {"identical", "same", "differs", "declared", "refused"}
        identical: the same spikes, and the same bits of states and weights. same: the
        same spikes, states and weights to 1e-9. differs: not that. declared: not that,
        as the backend says of itself. refused: the backend says why it cannot.
    detail : str
        First divergence and error of the rate; or the reasons.
    """

    case: str
    verdict: Verdict
    detail: str = ""

    @property
    def ok(self) -> bool:
        """False if the backend breaks a promise."""
        return self.verdict != "differs"

    def __str__(self) -> str:
        return f"{self.verdict}: {self.detail}" if self.detail else self.verdict


def check_backend(
    backend: str, *, precision: str = "float64", cases: Iterable[Case] = CASES
) -> list[Outcome]:
    """Run the cases on ``backend`` and compare each with the oracle in float64.

    Parameters
    ----------
    backend : str
        Name, with options if need be: ``"brian2:target=cython"``.
    precision : {"float64", "float32"}
        In float32 nothing but the kind of difference is promised.
    cases : iterable of Case
        Default: all.

    Raises
    ------
    UnknownName, BackendUnavailable
        If the backend does not exist or cannot be loaded.
    """
    return [check_case(case, backend, precision) for case in cases]


def check_case(case: Case, backend: str, precision: str = "float64") -> Outcome:
    """Run one case on ``backend`` and compare it with the oracle in float64."""
    network = case.network()
    try:
        result = case.play(lambda: Simulation(network, backend=backend, precision=precision))
    except CapabilityRefused as refusal:
        return Outcome(case.name, "refused", "; ".join(refusal.reasons))
    except (BackendUnavailable, UnknownName):
        raise
    except Exception as error:  # whatever a backend does wrong is a result of the suite
        return Outcome(case.name, "differs", f"raises {type(error).__name__}: {error}")
    oracle = _oracle(case)
    difference = _difference(result, oracle, 1.0 if precision == "float32" else TOLERANCE)
    if not difference:
        same = _difference(result, oracle, 0.0) == ""
        return Outcome(case.name, "identical" if same else "same")
    if precision == "float32":
        return Outcome(case.name, "declared", difference)
    declared = _capabilities(backend, precision).departs
    if case.topic in declared:
        return Outcome(case.name, "declared", f"{difference}: {declared[case.topic]}")
    return Outcome(case.name, "differs", difference)


@cache
def _oracle(case: Case) -> Result:
    network = case.network()
    return case.play(lambda: Simulation(network, backend=ORACLE))


def _capabilities(backend: str, precision: str) -> Capabilities:
    name, own = split_backend(backend)
    chosen = get_backend(name)
    return chosen.capabilities(Options(precision, own=checked_options(chosen, own)))


def _difference(result: Result, oracle: Result, tolerance: float) -> str:
    """Return how two results differ; an empty text if they do not."""
    return (
        _other_spikes(result, oracle)
        or _other_ending(result, oracle)
        or _other_values("states", _traces(result), _traces(oracle), tolerance)
        or _other_values("weights", result.weights, oracle.weights, tolerance)
    )


def _traces(result: Result) -> dict[str, FloatArray]:
    return {name: trace.values for name, trace in result.traces.items()}


def _other_spikes(result: Result, oracle: Result) -> str:
    first = result.compare(oracle).first_divergence
    if first is None:
        return ""
    group, neuron, tick = first
    wanted = sum(len(spikes) for spikes in oracle.spikes.values())
    error = sum(len(spikes) for spikes in result.spikes.values()) / max(wanted, 1) - 1
    return f"from tick {tick} ({group}[{neuron}]), rate {error:+.1%}"


def _other_ending(result: Result, oracle: Result) -> str:
    if (result.status, result.message, result.ticks) != (
        oracle.status,
        oracle.message,
        oracle.ticks,
    ):
        return f"ends as {result.status} after {result.ticks} ticks"
    for counter in _COUNTERS:
        if result.counters[counter] != oracle.counters[counter]:
            return f"counts {result.counters[counter]} {counter}, not {oracle.counters[counter]}"
    return ""


def _other_values(
    what: str,
    found: Mapping[str, FloatArray],
    wanted: Mapping[str, FloatArray],
    tolerance: float,
) -> str:
    if found.keys() != wanted.keys():
        return f"lacks {what}"
    for name, own in found.items():
        if own.shape != wanted[name].shape:
            return f"{what} of {name} have shape {own.shape}, not {wanted[name].shape}"
        furthest = np.abs(own - wanted[name]).max(initial=0.0)
        if furthest > tolerance:
            return f"{what} of {name} are {furthest:.1g} off"
    return ""
