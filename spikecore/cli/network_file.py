"""Networks that a command line names: FILE.py:NAME."""

from __future__ import annotations

import runpy
from pathlib import Path

from spikecore.errors import FileRefused, InvalidInput, UnknownName
from spikecore.network import Network

__all__ = ["load_network"]


def load_network(place: str) -> Network:
    """Return the network called NAME in a Python file, given FILE.py:NAME.

    Raises
    ------
    FileRefused
        If the file does not exist or cannot be run.
    UnknownName
        If it defines no such name.
    InvalidInput
        If that is not a network, or no name is given.
    """
    file, _, name = place.rpartition(":")
    if not file:
        raise InvalidInput("NETWORK", "must be FILE.py:NAME", got=place, fix="e.g. model.py:net")
    if not Path(file).is_file():
        raise FileRefused(file, "does not exist", fix="check the path")
    try:
        names = runpy.run_path(file)
    except Exception as error:
        raise FileRefused(
            file,
            "cannot be run",
            got=f"{type(error).__name__}: {error}",
            fix=f"python {file} shows where",
        ) from error
    if name not in names:
        raise UnknownName(file, name, [n for n in names if not n.startswith("_")])
    found = names[name]
    if callable(found):
        found = found()
    if not isinstance(found, Network):
        raise InvalidInput(
            place,
            "must be a Network",
            got=type(found).__name__,
            fix="name a Network, or a function that makes one",
        )
    return found
