"""A progress bar for people, silence for pipes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["OnProgress", "progress_bar"]

OnProgress = Callable[[int], None]
"""Called with the amount of work done since the last call."""


@contextmanager
def progress_bar(label: str, total: int, *, enabled: bool = True) -> Iterator[OnProgress]:
    """Show a bar on standard error while the block runs.

    Parameters
    ----------
    label : str
        What is going on.
    total : int
        Amount of work (ticks, operations, files).
    enabled : bool
        False switches the bar off; it is off in any case where standard error
        is not a terminal.

    Yields
    ------
    callable
        Call it with the amount of work done since the last call.
    """
    if not enabled or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeRemainingColumn

    columns = (SpinnerColumn(), *Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)
