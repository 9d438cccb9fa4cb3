"""spikecore inside Nengo models: networks, the CA3 memory, motif layers and the LIF neuron.

Needs the extra ``nengo``; everything of it is imported here and below, and nowhere else.
"""

from spikecore.errors import BackendUnavailable

try:
    import nengo as _nengo  # noqa: F401 - only to say what is missing
except ImportError as error:
    raise BackendUnavailable(
        "package 'nengo'", "is not installed", fix="pip install 'spikecore[nengo]'"
    ) from error

from spikecore.nengo.memory import MemoryProcess
from spikecore.nengo.motifs import KernelProcess, MotifProcess
from spikecore.nengo.neurons import SpikecoreLIF
from spikecore.nengo.process import NetworkProcess

__all__ = ["KernelProcess", "MemoryProcess", "MotifProcess", "NetworkProcess", "SpikecoreLIF"]
