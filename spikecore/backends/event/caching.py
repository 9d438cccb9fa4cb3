"""How kernels are compiled: with as little as can be, and kept on disk while sources stay."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit

__all__ = ["inlined", "inner", "kept_with_sources", "source_digest"]

# Functions that only other kernels call need no wrapper for Python, and none of them allocates,
# so none needs reference counts: half of the compile time that a user waits for once
# (docs/decisions/0006).
inner: Any = njit(  # type: ignore[call-overload]
    no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False
)

inlined: Any = njit(  # type: ignore[call-overload]
    no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False, forceinline=True
)
"""For short ones that are handed the tuples of arrays: a call copies seven values of each array."""


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
    cache = dispatcher._cache
    file = getattr(cache, "_cache_file", None)
    if file is not None:  # there is none where nothing can be written
        file._source_stamp = (file._source_stamp, source_digest())
        runtime = _runtime()
        if runtime is not None and hasattr(cache, "_load_overload"):
            cache.load_overload = _loaded_at_once(cache, runtime)
    return dispatcher


def _runtime() -> Any:
    """Return numba's runtime, or None: it is numba's own business, and nobody promises it."""
    try:
        from numba.core.runtime.nrt import rtsys
    except ImportError:
        return None
    return rtsys


def _loaded_at_once(cache: Any, runtime: Any) -> Any:
    """Return what loads compiled code from ``cache`` without all that compiling would need.

    numba first imports what it knows of Python and numpy, and scipy.linalg, which takes longer
    than all else before the first spike. Linking what is on file needs its runtime only. Where
    there is nothing on file, numba goes its own way and compiles.
    """
    load = cache.load_overload

    def loaded(signature: Any, target: Any) -> Any:
        runtime.initialize(target)
        with cache._guard_against_spurious_io_errors():
            found = cache._load_overload(signature, target)
            if found is not None:
                return found
        return load(signature, target)

    return loaded
