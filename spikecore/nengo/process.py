"""A spikecore network as a nengo.Process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName
from spikecore.nengo.signals import CheckedProcess, ValueParam, as_spikes, spiking, ticks_per_step
from spikecore.network import Network
from spikecore.quantities import ms
from spikecore.simulate import Simulation

__all__ = ["NetworkProcess"]

FloatArray = npt.NDArray[np.float64]
Step = Callable[..., FloatArray]


class NetworkProcess(CheckedProcess):
    """A network that takes spikes from a Nengo model and gives spikes to it.

    In step s of Nengo (time s dt) the network runs the ticks of ``(s - 1) dt <= t < s dt``;
    spikes that come in arrive in the first of them. What an input sends therefore reaches
    a population, at the earliest, one step later, as its delay of one tick says.

    Parameters
    ----------
    network : Network
        What to run. Its dt must divide that of the nengo.Simulator.
    inputs, outputs : str or sequence of str
        Inputs that Nengo feeds and groups that it reads. Several are joined, in this order.
    backend : str
        Where the spikes run.
    seed : int, optional
        Seed of all draws of the network, as in :func:`spikecore.run`. Default: drawn from
        the seed of the nengo.Simulator.

    Raises
    ------
    InvalidInput, UnknownName
        If a name is not a group of the network, or the network has probes. When a
        Simulator is made: if the node has another size, or the Simulator a dt that is no
        multiple. While it runs: if the input is anything but spikes.

    Notes
    -----
    A spike is 1/dt, in and out, with Nengo's dt: its integral over the step is 1. The
    state is in the core, not in Nengo's signals; ``Simulator.reset`` starts anew.

    Examples
    --------
    >>> import nengo
    >>> from spikecore import *
    >>> from spikecore.nengo import NetworkProcess
    >>> net = Network(
    ...     [
    ...         Input("in", 1),
    ...         Population("out", 1, LIF(synapse=Delta())),
    ...         Projection("in", "out", OneToOne(), weight=20 * mV, delay=2 * ms),
    ...     ]
    ... )
    >>> with nengo.Network() as model:
    ...     source = nengo.Node(lambda t: 1000.0 * (round(t * 1000) == 3))
    ...     node = nengo.Node(NetworkProcess(net, "in", "out"))
    ...     _ = nengo.Connection(source, node, synapse=None)
    ...     probe = nengo.Probe(node)
    >>> with nengo.Simulator(model, progress_bar=False) as sim:
    ...     sim.run(0.01)
    ...     print(sim.trange()[sim.data[probe][:, 0] > 0])
    [0.005]
    """

    network: Any = ValueParam("network")
    inputs: Any = ValueParam("inputs")
    outputs: Any = ValueParam("outputs")
    backend: Any = ValueParam("backend")

    def __init__(
        self,
        network: Network,
        inputs: str | Sequence[str],
        outputs: str | Sequence[str],
        *,
        backend: str = "event",
        seed: int | None = None,
    ) -> None:
        if not isinstance(network, Network):
            raise InvalidInput(
                "NetworkProcess.network",
                "must be a Network",
                got=type(network).__name__,
                fix="build one: Network([...])",
            )
        if network.probes:
            raise InvalidInput(
                "NetworkProcess.network",
                "must not have probes: Nengo reads spikes only",
                got=network.probes[0].key,
                count=len(network.probes),
                fix="leave them out, or run the network without Nengo",
            )
        sizes_in = _sizes(inputs, {g.name: g.size for g in network.inputs}, "inputs")
        sizes_out = _sizes(outputs, {g.name: g.size for g in network.groups}, "outputs")
        super().__init__(
            sum(sizes_in.values()), sum(sizes_out.values()), network.dt, network.dt * 1e-3, seed
        )
        self.network = network
        self.inputs, self.outputs = tuple(sizes_in), tuple(sizes_out)
        self.backend = backend

    def make_step(
        self,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        dt: float,
        rng: np.random.RandomState,
        state: dict[str, Any],
    ) -> Step:
        """Open a session of its own for one Simulator (Nengo calls this, also on reset)."""
        ticks = ticks_per_step(dt, self.network.dt, "NetworkProcess")
        seed = int(rng.randint(np.iinfo(np.int32).max)) if self.seed is None else self.seed
        simulation = Simulation(self.network, backend=self.backend, seed=seed)
        duration = ticks * self.network.dt * ms
        sizes = [self.network.group(name).size for name in self.outputs]
        bounds = np.cumsum([0, *(self.network.group(name).size for name in self.inputs)])

        def step(t: float, x: FloatArray | None = None) -> FloatArray:
            if x is not None:
                neurons = as_spikes(x, dt, "NetworkProcess: input")
                cuts = np.searchsorted(neurons, bounds)
                for i, name in enumerate(self.inputs):
                    own = neurons[cuts[i] : cuts[i + 1]] - bounds[i]
                    if own.size:
                        simulation.feed(name, np.full(own.size, simulation.time) * ms, own)
            spikes = simulation.step(duration)
            return np.concatenate(
                [
                    spiking(spikes[name].neurons, size, dt)
                    for name, size in zip(self.outputs, sizes, strict=True)
                ]
            )

        return step


def _sizes(names: str | Sequence[str], known: dict[str, int], what: str) -> dict[str, int]:
    """Return the size of each group named."""
    given = (names,) if isinstance(names, str) else tuple(names)
    for name in given:
        if name not in known:
            raise UnknownName(f"NetworkProcess.{what}", name, known)
    if len(set(given)) < len(given):
        raise InvalidInput(
            f"NetworkProcess.{what}", "must not name a group twice", got=given, fix="name it once"
        )
    if not given and what == "outputs":
        raise InvalidInput("NetworkProcess.outputs", "must name a group", fix="name a population")
    return {name: known[name] for name in given}
