"""The conformance suite: every backend keeps its promise, and the suite would notice if not."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from backend_params import needs_brian2

from spikecore import AdaptiveThreshold, BackendUnavailable
from spikecore.backends import registry
from spikecore.backends.clocked import ClockedBackend
from spikecore.backends.protocol import Capabilities, Options
from spikecore.conformance import CASES, check_backend, check_case
from spikecore.conformance.table import COLUMNS, COMPILED, GPU_COLUMNS, cell, gpu_page

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
GPU_PAGE = PAGE.with_name("conformance_gpu.md")
NOT_RUN = "not run"
BY_NAME = {case.name: case for case in CASES}
QUICK = [
    pytest.param(heading, marks=needs_brian2 if backend == "brian2" else ())
    for heading, (backend, _) in COLUMNS.items()
    if backend != COMPILED
]


def documented(page=PAGE, columns=COLUMNS):
    """Return name -> heading -> cell, from the page."""
    rows = {}
    for line in page.read_text().split("## Refused")[0].split("## Results")[1].splitlines():
        cells = [text.strip() for text in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == len(columns) + 2:
            rows[cells[0]] = dict(zip(("covers", *columns), cells[1:], strict=True))
    return {name: row for name, row in rows.items() if name != "network"}


def test_the_page_has_every_case_and_breaks_no_promise():
    page = documented()
    assert {name: row["covers"] for name, row in page.items()} == {
        case.name: case.covers for case in CASES
    }
    assert "**differs**" not in PAGE.read_text()
    for heading in ("`event`", "`torch`, CPU"):
        assert {row[heading] for row in page.values()} == {"identical"}


def test_every_cell_of_the_page_was_run():
    assert NOT_RUN not in {text for row in documented().values() for text in row.values()}


@pytest.mark.parametrize("heading", QUICK)
def test_the_page_says_what_happens(heading):
    """If this fails, and should: python -m spikecore.conformance > docs/conformance.md."""
    backend, precision = COLUMNS[heading]
    page = {n: row[heading] for n, row in documented().items() if row[heading] != NOT_RUN}
    cases = [case for case in CASES if case.name in page]
    outcomes = check_backend(backend, precision=precision, cases=cases)
    assert {o.case: cell(o, precision) for o in outcomes} == page


def test_the_page_of_the_gpu_has_every_case_and_breaks_no_promise():
    page = documented(GPU_PAGE, GPU_COLUMNS)
    assert {name: row["covers"] for name, row in page.items()} == {
        case.name: case.covers for case in CASES
    }
    assert "**differs**" not in GPU_PAGE.read_text()


@pytest.mark.parametrize("heading", list(GPU_COLUMNS))
def test_the_page_of_the_gpu_says_what_happens(heading):
    """If this fails, and should: python -m spikecore.conformance --gpu."""
    if not torch.cuda.is_available():
        with pytest.raises(BackendUnavailable, match="no GPU"):
            gpu_page()
        pytest.skip("needs an NVIDIA GPU")
    backend, precision = GPU_COLUMNS[heading]
    outcomes = check_backend(backend, precision=precision)
    page = {n: row[heading] for n, row in documented(GPU_PAGE, GPU_COLUMNS).items()}
    assert {o.case: cell(o, precision) for o in outcomes} == page


@pytest.mark.slow
@needs_brian2
def test_the_page_says_what_happens_to_a_compiled_program():
    name = "exponential, exact"
    outcome = check_case(BY_NAME[name], COMPILED)
    assert cell(outcome, "float64") == documented()[name]["`brian2`, compiled"]


def test_the_suite_covers_every_line_of_the_contract_and_every_convention():
    covered = {number for case in CASES for number in re.findall(r"\d", case.covers)}
    assert covered == set("1234567")
    networks = [case.network() for case in CASES]
    rules = [p.plasticity for n in networks for p in n.projections if p.plasticity]
    for option in ("pairing", "coincidence", "post_delay", "clamp", "window", "dependence"):
        values = {getattr(rule, option) for rule in rules}
        assert len(values) == {"coincidence": 3}.get(option, 2), option
    units = [p.unit for n in networks for p in n.populations]
    assert {type(getattr(unit, "synapse", None)).__name__ for unit in units} == {
        *("Delta", "Exponential", "Alpha", "NoneType")
    }
    assert any(isinstance(getattr(u, "adaptation", None), AdaptiveThreshold) for u in units)


class Mutant(ClockedBackend):
    """The oracle, with something done wrong."""

    name = "mutant"

    def prepare(self, lowered, options):
        return super().prepare(self.change(lowered), options)


def each(lowered, what, **change):
    return replace(
        lowered,
        **{
            what: tuple(
                replace(x, **{k: f(x) for k, f in change.items()}) for x in getattr(lowered, what)
            )
        },
    )


def late(lowered):
    later = each(lowered, "projections", delay=lambda p: p.delay + 1)
    return replace(later, max_delay=lowered.max_delay + 1)


def other_rule(option, wrong, right):
    def change(lowered):
        def rule(p):
            own = p.plasticity
            swapped = own is not None and getattr(own, option) == right
            return replace(own, **{option: wrong}) if swapped else own

        return each(lowered, "projections", plasticity=rule)

    return change


# What is done wrong, and the network that finds it out.
MUTANTS = {
    "delays one tick longer": ("a grid of 0.1 ms", late),
    "refractory periods one tick longer": (
        "refractory periods 0 to 5",
        lambda low: each(low, "populations", refractory=lambda p: p.refractory + 1),
    ),
    "a threshold that must be passed, not reached": (
        "a threshold met exactly",
        lambda low: each(low, "populations", threshold=lambda p: np.nextafter(p.threshold, np.inf)),
    ),
    "no jump at spikes": (
        "adaptive threshold",
        lambda low: each(low, "populations", jump=lambda p: 0 * p.jump),
    ),
    "arrivals that reach refractory neurons": (
        "delta, exact",
        lambda low: each(low, "populations", port_gain_held=lambda p: p.port_gain),
    ),
    "currents that count from their own tick on": (
        "exponential, spinnaker",
        lambda low: each(low, "populations", port_gain=lambda p: 1.02 * p.port_gain),
    ),
    "probes that forget rest": (
        "delays longer than the run",
        lambda low: each(low, "probes", offset=lambda p: 0 * p.offset),
    ),
    "pre and post in the wrong order": (
        "STDP: defaults",
        other_rule("coincidence", "potentiate", "depress"),
    ),
    "ignored coincidences that count": (
        "STDP: coincidence ignored",
        other_rule("coincidence", "depress", "ignore"),
    ),
    "post spikes without delay": (
        "STDP: defaults",
        other_rule("post_delay", "none", "dendritic"),
    ),
    "all pairs for nearest": ("STDP: nearest pairs", other_rule("pairing", "all", "nearest")),
    "windows without a table": (
        "STDP: table of 2048",
        other_rule("window", "exponential", "table2048"),
    ),
    "bounds too early": ("STDP: clamp at updates", other_rule("clamp", "pair", "update")),
    "additive for multiplicative": (
        "STDP: multiplicative",
        other_rule("dependence", "additive", "multiplicative"),
    ),
}


def registered(monkeypatch, backend):
    entry = EntryPoint("mutant", f"{__name__}:Registered", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "_entries", lambda: registry_entries | {"mutant": entry})
    monkeypatch.setitem(globals(), "Registered", backend)


registry_entries = dict(registry._entries())


@pytest.mark.parametrize("wrong", MUTANTS)
def test_a_backend_that_does_it_wrong_is_found_out(wrong, monkeypatch):
    name, change = MUTANTS[wrong]
    registered(monkeypatch, type("Wrong", (Mutant,), {"change": staticmethod(change)}))
    outcome = check_case(BY_NAME[name], "mutant")
    assert outcome.verdict == "differs"
    assert outcome.detail


def test_a_backend_that_says_what_it_cannot_do_is_refused_case_by_case(monkeypatch):
    class Modest(ClockedBackend):
        def capabilities(self, options: Options) -> Capabilities:
            everything = super().capabilities(options)
            return replace(
                everything, step_rules=frozenset({"exact"}), checkpoint=False, pieces=False
            )

    registered(monkeypatch, Modest)
    names = ("delta, exact", "delta, spinnaker", "pieces", "a checkpoint")
    outcomes = check_backend("mutant", cases=[BY_NAME[name] for name in names])
    assert [outcome.verdict for outcome in outcomes] == ["identical"] + 3 * ["refused"]
    assert outcomes[1].detail == "population 'n': step rule 'spinnaker' is not supported"
    assert all(outcome.ok for outcome in outcomes)


def test_a_declared_difference_is_not_a_broken_promise(monkeypatch):
    class Declares(Mutant):
        change = staticmethod(
            lambda low: each(low, "populations", threshold=lambda p: p.threshold - 1e-12)
        )

        def capabilities(self, options: Options) -> Capabilities:
            return replace(super().capabilities(options), departs={"ties": "told you"})

    registered(monkeypatch, Declares)
    outcome = check_case(BY_NAME["a threshold met by rounding"], "mutant")
    assert outcome.verdict == "declared"
    assert str(outcome) == "declared: from tick 10 (n[0]), rate +1.0%: told you"


def test_a_backend_that_breaks_down_is_a_result(monkeypatch):
    class Breaks(Mutant):
        def change(self, lowered):
            raise ZeroDivisionError("oh")

    registered(monkeypatch, Breaks)
    assert str(check_case(CASES[0], "mutant")) == "differs: raises ZeroDivisionError: oh"
