"""What a figure was measured on, and where results go."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import spikecore

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what a reader needs to compare figures with their own."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "os": _os_name(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "numba": version("numba"),
        "spikecore": spikecore.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }


def one_line(found: dict[str, Any]) -> str:
    """Return the machine as a sentence for tables and figures."""
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['os']}; Python {found['python']}, "
        f"numpy {found['numpy']}, numba {found['numba']}, spikecore {found['spikecore']}; "
        f"{found['date']}"
    )


def write_json(name: str, data: dict[str, Any]) -> Path:
    """Write ``data`` to ``results/name`` and return where that is."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
