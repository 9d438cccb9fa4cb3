"""Compiled code that is kept on disk, and made anew when any of its sources has changed."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["kept_with_sources", "source_digest"]


@cache
def source_digest(folder: Path = Path(__file__).parent) -> str:
    """Return a digest of all source files of ``folder``."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kept_with_sources(dispatcher: Any) -> Any:
    """Let the cache of a compiled function notice changes in all files of this package.

    numba compares the date of the file that holds the function. The functions that it calls
    are compiled into it but lie in other files: a change in one of those would go unnoticed,
    and old code would run.
    """
    file = getattr(dispatcher._cache, "_cache_file", None)
    if file is not None:  # there is none where nothing can be written
        file._source_stamp = (file._source_stamp, source_digest())
    return dispatcher
