"""``spikecore backends``: what is installed, what it can do, and whether it keeps its promise."""

from __future__ import annotations

from typing import Any

import click

from spikecore.backends.protocol import Options, checked_options
from spikecore.backends.registry import backend_names, get_backend
from spikecore.cli.common import Output, output_options
from spikecore.errors import BackendUnavailable
from spikecore.progress import progress_bar

__all__ = ["command"]

_EXAMPLE = """\b
spikecore backends
spikecore backends --check brian2
spikecore backends --check brian2:target=cython
"""


@click.command("backends", epilog=_EXAMPLE)
@click.option("--check", metavar="NAME", help="Run the conformance suite on this backend.")
@click.option(
    "--precision",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="Arithmetic for --check.",
)
@output_options
def command(check: str | None, precision: str, output: Output) -> int:
    """List the backends: installed or why not, version, options, limits.

    With --check: run every network of the conformance suite and compare with the oracle; exit
    status 1 if the backend breaks a promise.
    """
    if check is not None:
        return _check(check, precision, output)
    found = [_describe(name) for name in backend_names()]
    if output.as_json:
        output.answer("", {"backends": found})
        return 0
    rows = [
        [
            entry["name"],
            entry["version"] if entry["available"] else "not available",
            _abilities(entry) if entry["available"] else f"{entry['reason']}\n{entry['fix']}",
        ]
        for entry in found
    ]
    output.table("backends", ["name", "version", "options and limits"], rows)
    return 0


def _describe(name: str) -> dict[str, Any]:
    try:
        backend = get_backend(name)
    except BackendUnavailable as error:
        return {"name": name, "available": False, "reason": str(error.got), "fix": error.fix}
    options = Options(own=checked_options(backend, {}))
    can = backend.capabilities(options)
    return {
        "name": name,
        "available": True,
        "version": backend.version,
        "options": {option: list(c.values) for option, c in backend.choices.items()},
        "units": sorted(can.units),
        "step_rules": sorted(can.step_rules),
        "precisions": sorted(can.precisions, reverse=True),
        "plasticity": sorted(can.plasticity),
        "max_delay_ticks": can.max_delay_ticks,
        "checkpoint": can.checkpoint,
        "pieces": can.pieces,
        "departs": dict(can.departs),
    }


def _abilities(entry: dict[str, Any]) -> str:
    """Return what a backend can do, line by line; what all can is left out."""
    lines = [f"{option}: {', '.join(values)}" for option, values in entry["options"].items()]
    lines.append(f"{', '.join(entry['precisions'])}; delays up to {entry['max_delay_ticks']} ticks")
    lines += [
        f"no {what}"
        for what, there in (("checkpoints", entry["checkpoint"]), ("pieces", entry["pieces"]))
        if not there
    ]
    lines += [f"{topic}: {reason}" for topic, reason in entry["departs"].items()]
    return "\n".join(lines)


def _check(name: str, precision: str, output: Output) -> int:
    from spikecore.conformance import CASES, check_case

    outcomes = []
    quiet = output.quiet or output.as_json
    with progress_bar(f"checking {name}", len(CASES), enabled=not quiet) as advance:
        for case in CASES:
            outcomes.append(check_case(case, name, precision))
            advance(1)
    broken = [outcome for outcome in outcomes if not outcome.ok]
    rows = [[case.name, case.covers, str(o)] for case, o in zip(CASES, outcomes, strict=True)]
    if not output.quiet:
        output.table(f"conformance of {name} in {precision}", ["network", "covers", "result"], rows)
    output.answer(
        f"{len(outcomes) - len(broken)} of {len(outcomes)} as promised",
        {
            "backend": name,
            "precision": precision,
            "kept": not broken,
            "outcomes": [
                {"network": o.case, "verdict": o.verdict, "detail": o.detail} for o in outcomes
            ],
        },
    )
    return 1 if broken else 0
