"""One set of small networks that every backend runs: the promise, tested.

``spikecore backends --check NAME`` runs it on any registered backend.
"""

from spikecore.conformance.cases import CASES, Case
from spikecore.conformance.suite import Outcome, check_backend, check_case

__all__ = ["CASES", "Case", "Outcome", "check_backend", "check_case"]
