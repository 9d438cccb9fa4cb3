"""The vendor's images, if they are installed and are those that the mirror was made for."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import pytest

# SHA-256 of the images of sPyNNaker 7.4.1 whose arithmetic is mirrored.
IMAGES = {
    "IF_curr_exp": "acd257c9da6fa23c8995a080aeadd591182716cc0f8b6f2b26a1fbbdc15bc556",
    "IF_curr_exp_dual": "1f307c32c02bbf9bd0c47df7b4fe04f8e1413686013b35743e7c5539a6c8dfbc",
    "IF_curr_exp_stdp_mad_pair_additive": (
        "36834f0a6c8e94852cb4148b5bd18769abea4021caa77d3d77ccd4a0aef6a1e2"
    ),
    "neuron_expander": "2be1dcfe4013a14fc8cd0b698ea8a34dd3434c3a411c755a31a872b5e1a9f401",
    "synapse_expander": "5592c7bcb8ebb0e31c50a73c2b61ace07065d0a05e50e386707bd06f82e4fe58",
}


def vendor_images():
    """Return the folder of the images; skip, saying why, where they are not those of 7.4.1."""
    for package in ("unicorn", "spynnaker"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'spikecore[vendor]'")
    folder = Path(find_spec("spynnaker").origin).parent / "pyNN" / "model_binaries"
    for name, digest in IMAGES.items():
        path = folder / f"{name}.aplx"
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no image"
        if found != digest:
            pytest.skip(f"{path.name} is not that of sPyNNaker 7.4.1: {found}")
    return folder
