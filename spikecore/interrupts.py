"""Ctrl-C and SIGTERM that wait for a safe point, so that results are kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopRequest", "deferred_interrupts"]


class StopRequest:
    """Becomes true once the user has asked to stop."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0


@contextmanager
def deferred_interrupts() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a flag while the block runs.

    A second Ctrl-C raises KeyboardInterrupt at once, for users who will not wait.
    Outside the main thread, where Python allows no signal handlers, nothing changes.

    Yields
    ------
    StopRequest
        Test it at safe points.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt
        request.signal = number

    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in old:
            signal.signal(number, handle)
        yield request
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
