"""Writing files so that nothing is ever half-written."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from spikecore.errors import FileRefused

__all__ = [
    "atomic_folder",
    "atomic_write",
    "check_folder",
    "check_writable",
    "read_archive",
    "write_archive",
]


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
    name = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with name.open("xb") as file:  # not mkstemp, which would hide the file from other users
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        name.replace(target)
    except OSError as error:
        raise FileRefused(
            str(target),
            f"could not be written: {error.strerror}",
            fix="free some space or choose another folder; "
            "a file that was there before is unchanged",
        ) from error
    finally:
        name.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """Open a temporary folder that becomes ``path`` only if the block succeeds.

    Parameters
    ----------
    path : path
        The folder to make.
    force : bool
        Replace a folder that holds something; it stays as it is if anything goes wrong.

    Raises
    ------
    FileRefused
        As :func:`check_folder`, or if the disk is full.
    """
    target = Path(path)
    check_folder(target, force=force)
    token = secrets.token_hex(8)
    new, old = (target.with_name(f".{target.name}.{token}.{which}") for which in ("new", "old"))
    try:
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        new.rename(target)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        raise FileRefused(
            str(target),
            f"could not be written: {error.strerror}",
            fix="free some space or choose another folder; "
            "a folder that was there before is unchanged",
        ) from error
    finally:
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)


def check_folder(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raise before long work if a folder ``path`` could not be made at its end.

    Raises
    ------
    FileRefused
        If ``path`` is a file, or holds something and ``force`` is not given, or the folder
        around it is missing or read-only.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise FileRefused(str(target), "is a file", fix="name a folder")
    around = target.absolute().parent
    if not around.is_dir():
        raise FileRefused(str(target), f"the folder {around} does not exist", fix="create it first")
    if not os.access(around, os.W_OK):
        raise FileRefused(str(target), f"{around} is not writable", fix="choose another folder")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise FileRefused(
            str(target), "is not empty", fix="choose another folder, or --force to replace it"
        )


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


def write_archive(
    path: str | os.PathLike[str],
    kind: str,
    meta: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Write ``arrays`` and a JSON header to one ``.npz`` file, atomically.

    Raises
    ------
    FileRefused
        If the file cannot be written; an older file stays as it was.
    """
    with atomic_write(path) as file:
        header = np.array(json.dumps({"format": kind, "arrays": sorted(arrays), **meta}))
        np.savez_compressed(file, meta=header, **arrays)  # type: ignore[arg-type]


def read_archive(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Read an ``.npz`` file with a JSON header and check its format name.

    Raises
    ------
    FileRefused
        If the file is missing, truncated, damaged or of another format.
    """
    place = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("not an archive, or cut off")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        meta: dict[str, Any] = json.loads(str(arrays.pop("meta")))
        found, listed = meta["format"], meta["arrays"]
    except FileNotFoundError:
        raise FileRefused(place, "does not exist", fix="check the path") from None
    except Exception as error:  # whatever NumPy and zipfile raise over foreign bytes
        raise FileRefused(
            place,
            "is damaged or not a spikecore file",
            got=str(error),
            fix="use a file that spikecore wrote, or an older copy of this one",
        ) from error
    if found != kind:
        raise FileRefused(
            place,
            f"is not a {kind} file",
            got=found,
            fix="open it with the version or command that wrote it",
        )
    if listed != sorted(arrays):
        raise FileRefused(place, "is not complete", fix="use an older copy of this file")
    return meta, arrays
