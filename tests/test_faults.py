"""Every mistake is answered as docs/errors.md says: place, rule, value, index, count, and fix."""

from __future__ import annotations

import re
from pathlib import Path

import fault_cases
import fault_cases_astro
import fault_cases_astrocytes
import fault_cases_backends
import fault_cases_camera
import fault_cases_glia
import fault_cases_hardware
import fault_cases_motifs
import fault_cases_motion
import fault_cases_nengo
import fault_cases_nir
import fault_cases_nn
import fault_cases_pynn
import fault_cases_running
import pytest

from spikecore import CapabilityRefused, InvalidInput, SpikecoreError, UnknownName

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
FAULTS = (
    fault_cases.FAULTS
    | fault_cases_running.FAULTS
    | fault_cases_backends.FAULTS
    | fault_cases_camera.FAULTS
    | fault_cases_astrocytes.FAULTS
    | fault_cases_hardware.FAULTS
    | fault_cases_motion.FAULTS
    | fault_cases_motifs.FAULTS
    | fault_cases_nn.FAULTS
    | fault_cases_astro.FAULTS
    | fault_cases_pynn.FAULTS
    | fault_cases_nengo.FAULTS
    | fault_cases_nir.FAULTS
    | fault_cases_glia.FAULTS
)
ANSWERS = {
    "Answers of a memory": fault_cases_running.OUTCOMES,
    "How a run may end": fault_cases_running.ENDINGS,
    "Notes": fault_cases_running.NOTES | fault_cases_hardware.NOTES,
}


def documented():
    """Return (heading, what was done) -> (answer, what to do), from the tables of the page."""
    rows, heading = {}, ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and heading in FAULTS | ANSWERS and len(cells) == 3:
            rows[heading, cells[0]] = (cells[1].strip("`"), cells[2])
    return {key: row for key, row in rows.items() if key[1] != "what you did"}


DOCUMENTED = documented()


def each(groups):
    return [
        pytest.param(heading, did, call, id=f"{heading}: {did}")
        for heading, cases in groups.items()
        for did, call in cases.items()
    ]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fits(text, found):
    """Compare with a cell of the page, in which … stands for what differs from run to run."""
    return re.fullmatch(re.escape(text).replace("…", ".*"), found) is not None


@pytest.mark.parametrize(("heading", "did", "call"), each(FAULTS))
def test_fault(heading, did, call):
    with pytest.raises(SpikecoreError) as caught:
        call()
    error = caught.value
    answer = str(error).removesuffix(f". Fix: {error.fix}")
    row = f"| {did} | `{type(error).__name__}: {answer}` | {error.fix} |"
    assert (heading, did) in DOCUMENTED, f"a row for docs/errors.md: {row}"
    text, mend = DOCUMENTED[heading, did]
    assert fits(text, f"{type(error).__name__}: {answer}"), row
    assert mend == (error.fix or mend) != "", row


@pytest.mark.parametrize(("heading", "did", "call"), each(ANSWERS))
def test_answers_that_are_no_errors(heading, did, call):
    answer = call()
    assert (heading, did) in DOCUMENTED, f"| {did} | `{answer}` | ... |"
    text, mend = DOCUMENTED[heading, did]
    assert fits(text, answer), answer
    assert mend


def test_every_row_of_the_page_has_a_case():
    cases = {(heading, did) for heading, group in (FAULTS | ANSWERS).items() for did in group}
    assert set(DOCUMENTED) == cases


def test_names_are_offered_even_in_the_wrong_case():
    assert UnknownName("x", "TAU_M", ["tau_m", "v_rest"]).fix == "did you mean 'tau_m'?"
    assert UnknownName("x", "zzz", ["b", "a"]).fix == "use one of 'a', 'b'"
    assert UnknownName("x", "zzz", map(str, range(20))).fix.endswith(", ...")
    assert UnknownName("x", "zzz", []).fix == "nothing of this kind has been defined yet"


def test_errors_can_be_read_by_programs():
    with pytest.raises(InvalidInput) as caught:
        fault_cases.synapses(delay=[2, -1, -3] * fault_cases.ms)
    error = caught.value
    assert (error.place, error.index, error.count) == ("Projection 'in->n'.delay", 1, 2)
    assert isinstance(error, ValueError)
    assert error.exit_code == 3
    with pytest.raises(CapabilityRefused) as caught:
        fault_cases_running.backend("modest", "fault_cases_running:Modest")
    assert len(caught.value.reasons) == 3
    assert caught.value.exit_code == 5
