"""Saving a simulation and going on from it, spikes in flight included."""

from __future__ import annotations

import os
from typing import Any

import numpy.typing as npt

from spikecore.errors import FileRefused
from spikecore.files import read_archive, write_archive

__all__ = ["read_checkpoint", "write_checkpoint"]

FORMAT = "spikecore-checkpoint-2"


def write_checkpoint(
    path: str | os.PathLike[str], identity: dict[str, Any], state: dict[str, npt.NDArray[Any]]
) -> None:
    """Write ``state`` with what identifies it (network hash, seed, backend, precision).

    Raises
    ------
    FileRefused
        If the file cannot be written; an older file stays as it was.
    """
    write_archive(path, FORMAT, identity, state)


def read_checkpoint(
    path: str | os.PathLike[str], identity: dict[str, Any]
) -> dict[str, npt.NDArray[Any]]:
    """Read a checkpoint, after checking that it belongs to ``identity``.

    Raises
    ------
    FileRefused
        If the file is missing, damaged, of another version, network, seed, backend
        or precision. Nothing is ever loaded in part.
    """
    meta, state = read_archive(path, FORMAT)
    for key, wanted in identity.items():
        if meta.get(key) != wanted:
            raise FileRefused(
                os.fspath(path),
                f"belongs to another {key}",
                got=meta.get(key),
                fix=f"this simulation has {key} = {wanted}; open it with the one it was saved from",
            )
    return state
