"""Networks to and from NIR, the Neuromorphic Intermediate Representation.

Needs the extra ``nir``; the library ``nir`` is imported here and below, and nowhere else.
"""

from spikecore.errors import BackendUnavailable

try:
    import nir as _nir  # noqa: F401 - only to say what is missing
except ImportError as error:
    raise BackendUnavailable(
        "package 'nir'", "is not installed", fix="pip install 'spikecore[nir]'"
    ) from error

from spikecore_hardware.nir_exchange.conventions import NIRRefused
from spikecore_hardware.nir_exchange.files import read_nir, write_nir
from spikecore_hardware.nir_exchange.reading import from_nir
from spikecore_hardware.nir_exchange.writing import to_nir

__all__ = ["NIRRefused", "from_nir", "read_nir", "to_nir", "write_nir"]
