"""NIR files: written whole or not at all, read or refused."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import nir

from spikecore.errors import FileRefused
from spikecore.files import atomic_write, check_writable
from spikecore.network import Network
from spikecore.quantities import Quantity
from spikecore_hardware.nir_exchange.reading import from_nir
from spikecore_hardware.nir_exchange.writing import to_nir

__all__ = ["read_nir", "write_nir"]


def write_nir(path: str | os.PathLike[str], network: Network, **options: Any) -> nir.NIRGraph:
    """Write ``network`` to a NIR file, and return the graph.

    Parameters
    ----------
    path : path
        File; an older one is replaced.
    network, **options
        As in :func:`to_nir`.

    Raises
    ------
    NIRRefused, UnknownName
        As :func:`to_nir`; nothing is written.
    FileRefused
        If the file cannot be written; an older file stays as it was.
    """
    check_writable(path)
    graph = to_nir(network, **options)
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
    return graph


def read_nir(path: str | os.PathLike[str], dt: Quantity, **options: Any) -> Network:
    """Read a network from a NIR file.

    Parameters
    ----------
    path : path
        File.
    dt, **options
        As in :func:`from_nir`.

    Raises
    ------
    FileRefused
        If the file does not exist, is damaged, or is not a NIR file.
    NIRRefused, InvalidInput
        As :func:`from_nir`.
    """
    place = os.fspath(path)
    if not Path(path).is_file():
        raise FileRefused(place, "does not exist", fix="check the path")
    try:
        graph = nir.read(place)
    except Exception as error:  # whatever h5py and nir raise over foreign bytes
        raise FileRefused(
            place,
            "is damaged or not a NIR file",
            got=f"{type(error).__name__}: {error}",
            fix="use a file that nir.write wrote, or a whole copy of this one",
        ) from error
    return from_nir(graph, dt, **options)
