"""Options and output that all sub-commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import click

from spikecore.errors import BackendUnavailable

__all__ = ["Output", "backend_option", "output_options", "plotting"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """How a command talks: as text or JSON, with or without remarks."""

    as_json: bool
    quiet: bool

    def say(self, text: str) -> None:
        """Print a line for people; nothing with ``--json`` or ``--quiet``."""
        if not self.as_json and not self.quiet:
            click.echo(text)

    def answer(self, text: str, data: dict[str, Any]) -> None:
        """Print the answer itself: as text, or as one JSON object with ``--json``."""
        click.echo(json.dumps(data) if self.as_json else text)

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """Print a table for people."""
        if self.as_json:
            return
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        Console().print(table)


def output_options(command: F) -> F:
    """Add ``--json`` and ``--quiet``, given to the command as one ``output`` argument."""
    from functools import wraps

    @wraps(command)
    def wrapped(*args: Any, as_json: bool, quiet: bool, **kwargs: Any) -> Any:
        return command(*args, output=Output(as_json, quiet), **kwargs)

    wrapped = click.option("--quiet", "-q", is_flag=True, help="No remarks, no progress bar.")(
        wrapped
    )
    return click.option("--json", "as_json", is_flag=True, help="Answer as one JSON object.")(
        wrapped
    )  # type: ignore[return-value]


backend_option = click.option(
    "--backend",
    default="event",
    show_default=True,
    help="Where the spikes run: see spikecore backends.",
)


def plotting() -> ModuleType:
    """Return :mod:`spikecore.plot`.

    Raises
    ------
    BackendUnavailable
        If matplotlib is not installed.
    """
    try:
        from spikecore import plot
    except ImportError as error:
        raise BackendUnavailable(
            "pictures",
            "need matplotlib, which is not installed",
            fix="pip install 'spikecore[plot]'",
        ) from error
    return plot
