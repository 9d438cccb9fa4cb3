"""Our leaky integrate-and-fire neuron as a Nengo neuron type."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from nengo.builder import Builder
from nengo.builder.neurons import build_neurons
from nengo.dists import Choice, Uniform
from nengo.neurons import LIFRate
from nengo.params import IntParam

from spikecore.quantities import ms, ticks_of

__all__ = ["SpikecoreLIF"]

FloatArray = npt.NDArray[np.float64]


class SpikecoreLIF(LIFRate):
    """The neuron that :class:`spikecore.LIF` describes, for ensembles of Nengo.

    ``tau_rc dv/dt = J - v``; at a tick where ``v >= 1`` it spikes, v is set to 0 and held
    there for ``tau_ref``, a whole number of ticks (docs/semantics, contract line 3). J is
    constant over a step. nengo.LIF differs in that it corrects each spike for the moment,
    within the step, at which v reached 1, and that v never falls below 0.

    Parameters
    ----------
    tau_rc : float
        Membrane time constant, s.
    tau_ref : float
        Refractory period, s, a whole number of ticks.
    ticks : int
        Ticks in a step of Nengo. Intervals between spikes are whole numbers of ticks, and
        longer than nengo.LIF's by half a tick on average (one at most): more ticks, less
        of that. With 1 the spikes are those of a spikecore network with Nengo's dt.
    amplitude : float
        Scale of the output; a spike is amplitude/dt.
    initial_state : dict, optional
        Distribution of ``voltage`` (default: uniform, 0 to 1) and of ``refractory_ticks``.

    Raises
    ------
    InvalidInput
        When a Simulator is made, if ``tau_ref`` is no whole number of ticks.

    Notes
    -----
    ``rates``, and with it Nengo's solvers, use the analytic curve,
    ``1 / (tau_ref + tau_rc log(1 + 1 / (J - 1)))``, which it shares with nengo.LIF.
    """

    state: ClassVar[dict[str, Any]] = {
        "voltage": Uniform(low=0, high=1),
        "refractory_ticks": Choice([0]),
    }
    spiking = True

    ticks = IntParam("ticks", low=1)

    def __init__(
        self,
        tau_rc: float = 0.02,
        tau_ref: float = 0.002,
        ticks: int = 10,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(tau_rc, tau_ref, amplitude, initial_state)
        self.ticks = ticks

    def rates(self, x: npt.ArrayLike, gain: npt.ArrayLike, bias: npt.ArrayLike) -> FloatArray:
        """Return the analytic rate of each neuron for each input."""
        current = self.current(x, gain, bias)
        out: FloatArray = np.zeros_like(current)
        LIFRate.step(self, dt=1, J=current, output=out)
        return out

    def step(
        self,
        dt: float,
        J: FloatArray,
        output: FloatArray,
        voltage: FloatArray,
        refractory_ticks: FloatArray,
    ) -> None:
        """Run the ticks of one step of Nengo (Nengo calls this)."""
        kept = np.exp(-dt / self.ticks / self.tau_rc)
        held = round(self.tau_ref * self.ticks / dt)
        output[:] = 0.0
        for _ in range(self.ticks):
            free = refractory_ticks == 0
            voltage[free] = J[free] + (voltage[free] - J[free]) * kept
            refractory_ticks[~free] -= 1
            spiked = free & (voltage >= 1.0)
            output[spiked] += self.amplitude / dt
            voltage[spiked] = 0.0
            refractory_ticks[spiked] = held


@Builder.register(SpikecoreLIF)
def build_spikecore_lif(model: Any, neuron: SpikecoreLIF, neurons: Any, **signals: Any) -> None:
    """Refuse a refractory period that does not fit the ticks, then build as Nengo does."""
    ticks_of(neuron.tau_ref * 1e3 * ms, model.dt * 1e3 / neuron.ticks, "SpikecoreLIF.tau_ref")
    build_neurons(model, neuron, neurons, **signals)
