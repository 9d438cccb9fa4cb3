"""``spikecore doctor``: what is wrong with this installation, and the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import click

from spikecore.backends.registry import get_backend
from spikecore.cli.common import Output, output_options
from spikecore.errors import BackendUnavailable

__all__ = ["command"]

State = Literal["ok", "absent", "wrong"]
BROKEN = 4

_OLDEST_PYTHON = (3, 11)

_CUDA = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
_EXTRAS = {
    "plot": "matplotlib",
    "events": "tonic",
    "nengo": "nengo",
    "nir": "nir",
    "pynn": "PyNN",
    "nest": "nest-simulator",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``absent`` is optional and not there, ``wrong`` needs mending."""

    what: str
    state: State
    found: str
    fix: str = ""


@click.command("doctor")
@output_options
def command(output: Output) -> int:
    """Look at the installation: what is wrong, what is missing, and the command that mends it.

    Exit status 4 if something is wrong; what is optional and absent is not.
    """
    findings = [check() for check in _CHECKS]
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if not output.quiet:
        rows = [[f.what, f.state, f.found, f.fix] for f in findings]
        output.table("doctor", ["what", "state", "found", "to mend or add it"], rows)
    output.answer(
        "nothing is wrong" if not wrong else f"wrong: {', '.join(f.what for f in wrong)}",
        {"wrong": len(wrong), "findings": [asdict(finding) for finding in findings]},
    )
    return BROKEN if wrong else 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _python() -> Finding:
    found = platform.python_version()
    if tuple(map(int, platform.python_version_tuple()[:2])) >= _OLDEST_PYTHON:
        return Finding("python", "ok", found)
    return Finding("python", "wrong", found, "install Python 3.11 or newer")


def _core() -> Finding:
    """Numpy and numba fit each other only in certain pairs: importing them tells."""
    found = f"numpy {_version('numpy')}, numba {_version('numba')}"
    try:
        get_backend("event")
    except (BackendUnavailable, RuntimeError) as error:
        got = f"{found}: {getattr(error, 'got', error)}"
        return Finding("event core", "wrong", got, "pip install --upgrade numba numpy")
    return Finding("event core", "ok", found)


def _cache() -> Finding:
    """Without a place to keep compiled kernels, every start costs their compilation."""
    what, fix = "cache of kernels", "export NUMBA_CACHE_DIR=~/.cache/numba"
    try:
        from spikecore.backends.event.kernels import run
    except (ImportError, RuntimeError) as error:  # numba says so if it finds no place at all
        return Finding(what, "wrong", str(error), fix)
    folder = Path(str(run.stats.cache_path))
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if os.access(there, os.W_OK):
        return Finding(what, "ok", str(folder))
    return Finding(what, "wrong", f"{folder} is not writable", fix)


def _brian2() -> Finding:
    found = _version("brian2")
    if not found:
        return Finding("brian2", "absent", "", "pip install 'spikecore[brian2]'")
    try:
        get_backend("brian2")
    except BackendUnavailable as error:
        got = f"{found} with numpy {_version('numpy')}: {error.got}"
        return Finding("brian2", "wrong", got, "pip install 'spikecore[brian2]'")
    return Finding("brian2", "ok", found)


def _compiler() -> Finding:
    missing = [tool for tool in ("g++", "make") if shutil.which(tool) is None]
    if missing:
        fix = "install a C++ compiler and make: only brian2's targets cython, cpp_standalone use it"
        return Finding("C++ compiler", "absent", f"no {' and no '.join(missing)}", fix)
    return Finding("C++ compiler", "ok", str(shutil.which("g++")))


def _torch() -> Finding:
    found = _version("torch")
    if not found:
        return Finding("torch", "absent", "", "pip install 'spikecore[torch]'")
    try:  # in a process of its own: it is heavy, and a broken driver may end it
        ran = subprocess.run(
            [sys.executable, "-c", _CUDA], capture_output=True, text=True, timeout=120, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("torch", "wrong", f"{found}: {error}", "pip install 'spikecore[torch]'")
    return Finding("torch", "ok", f"{found}, {ran.stdout.strip() or 'no CUDA device'}")


def _extra(name: str, package: str) -> Finding:
    found = _version(package)
    if found:
        return Finding(package, "ok", found)
    return Finding(package, "absent", "", f"pip install 'spikecore[{name}]'")


_CHECKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _core,
    _cache,
    _brian2,
    _compiler,
    _torch,
    *(lambda n=name, p=package: _extra(n, p) for name, package in _EXTRAS.items()),
)
