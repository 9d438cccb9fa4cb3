"""brian2 imported and used without leaving traces in the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_hook = sys.excepthook
_main = threading.current_thread() is threading.main_thread()
_handler = signal.getsignal(signal.SIGINT)
try:
    # brian2 takes over Ctrl-C and the hook for uncaught errors; both belong to the user.
    import brian2
    from brian2.devices.device import reset_device
    from brian2.utils.logger import catch_logs
finally:
    sys.excepthook = _hook
    if _main:
        signal.signal(signal.SIGINT, _handler)

__all__ = ["brian2", "code_target", "standalone"]

# brian2's own flags include -ffast-math, which lets the compiler change the order of sums.
_FLAGS = ["-w", "-O2", "-ffp-contract=off"]


@contextmanager
def code_target(target: str) -> Iterator[None]:
    """Let brian2 make code for ``target`` within the block, and say nothing."""
    prefs = brian2.prefs
    before = prefs.codegen.target, prefs.codegen.cpp.extra_compile_args_gcc
    prefs.codegen.target = target
    prefs.codegen.cpp.extra_compile_args_gcc = _FLAGS
    try:
        with catch_logs(), np.errstate(over="ignore", invalid="ignore", under="ignore"):
            yield
    finally:
        prefs.codegen.target, prefs.codegen.cpp.extra_compile_args_gcc = before


@contextmanager
def standalone(folder: str) -> Iterator[Any]:
    """Make brian2 write, compile and run a C++ program in ``folder`` within the block."""
    options = brian2.prefs.devices.cpp_standalone
    before = options.extra_make_args_unix
    # Not a word on standard output, and not all files at once, which is brian2's way.
    options.extra_make_args_unix = ["-s", f"-j{os.cpu_count() or 1}"]
    with code_target("numpy"):
        brian2.set_device("cpp_standalone", build_on_run=False, directory=folder)
        device = brian2.device
        try:
            yield device
        finally:
            options.extra_make_args_unix = before
            device.reinit()
            reset_device()
