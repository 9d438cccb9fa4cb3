"""Writing files so that nothing is ever half-written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from spikecore.errors import FileRefused

__all__ = ["atomic_write", "check_writable"]


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` only if the block succeeds.

    The old file stays as it is if anything goes wrong: full disk, kill, error.

    Raises
    ------
    FileRefused
        If the folder does not exist, is read-only, or the disk is full.
    """
    target = Path(path)
    check_writable(target)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except OSError as error:
        raise FileRefused(
            str(target),
            f"could not be written: {error.strerror}",
            fix="free some space or choose another folder; "
            "a file that was there before is unchanged",
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise before long work if ``path`` could not be written at its end.

    Raises
    ------
    FileRefused
        If the folder is missing or read-only, or ``path`` is a folder.
    """
    target = Path(path)
    folder = target.parent
    if target.is_dir():
        raise FileRefused(str(target), "is a folder", fix="name a file")
    if not folder.is_dir():
        raise FileRefused(str(target), f"the folder {folder} does not exist", fix="create it first")
    if not os.access(folder, os.W_OK) or (target.exists() and not os.access(target, os.W_OK)):
        raise FileRefused(str(target), "is not writable", fix="choose another folder")
