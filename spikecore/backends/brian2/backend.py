"""The backend: options, limits, and which kind of session opens."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from spikecore.backends.brian2.quiet import brian2
from spikecore.backends.brian2.session import Brian2Session, RuntimeSession
from spikecore.backends.brian2.standalone import StandaloneSession
from spikecore.backends.lowering import Lowered
from spikecore.backends.protocol import EVERY_MODULATION, Capabilities, Choice, Options
from spikecore.errors import BackendUnavailable

__all__ = ["Brian2Backend"]

MAX_DELAY_TICKS = 2**20
"""Slots of one queue of brian2; it keeps a list for each, in every projection."""

_TICK_COST = (6e-4, 1e-9)  # measured: 100 to 3000 neurons with 1000 to 900,000 synapses

_SUMS = "brian2 adds up projection by projection: sums of floats may differ in the last bit"
_WEIGHTS = "weights cannot be set while spikes are on their way through the synapses"
_TIES = "a threshold reached to within rounding (10⁻¹³) may be passed a tick earlier or later"
_ONE_PIECE = "its steps are taken from Python, and a C++ program runs without it"


class Brian2Backend:
    """brian2 integrates equations written from the unit descriptions."""

    name = "brian2"
    version: str = brian2.__version__
    choices: Mapping[str, Choice] = {
        "target": Choice(
            ("numpy", "cython", "cpp_standalone"),
            "how brian2 makes code: with NumPy, compiled piece by piece, or as one C++ program",
        )
    }

    def capabilities(self, options: Options) -> Capabilities:
        """Everything but the order of sums; a C++ program runs in one piece."""
        one_piece = options.own.get("target") == "cpp_standalone"
        return Capabilities(
            units=frozenset({"any"} if one_piece else {"any", "stepped"}),
            step_rules=frozenset({"exact", "spinnaker"}),
            precisions=frozenset({"float64", "float32"}),
            plasticity=frozenset({"PairSTDP"}),
            max_delay_ticks=MAX_DELAY_TICKS,
            checkpoint=not one_piece,
            pieces=not one_piece,
            modulation=frozenset() if one_piece else EVERY_MODULATION,
            tick_cost=(0.0, 0.0) if one_piece else _TICK_COST,
            why={"stepped": _ONE_PIECE},
            departs={"order of sums": _SUMS, "ties": _TIES, "set_weights": _WEIGHTS},
        )

    def prepare(self, lowered: Lowered, options: Options) -> Brian2Session:
        """Open a session.

        Raises
        ------
        BackendUnavailable
            If the target needs a compiler and there is none.
        """
        target = options.own.get("target", "numpy")
        tools = {"cython": ["g++"], "cpp_standalone": ["g++", "make"]}.get(target, [])
        missing = [tool for tool in tools if shutil.which(tool) is None]
        if missing:
            raise BackendUnavailable(
                f"backend 'brian2', target {target!r}",
                f"needs {' and '.join(missing)}",
                fix="install a C++ compiler and make, or use target='numpy'",
            )
        if target == "cpp_standalone":
            return StandaloneSession(lowered, options)
        return RuntimeSession(lowered, options, target)
