"""Run the network in this folder on a simulator, through PyNN.

    python run.py nest --threads 2
    python run.py brian2
    python run.py spinnaker

Needs PyNN, numpy and the simulator. Reads network.json and arrays.npz, which lie beside it, and
writes result-SIMULATOR.npz. README.txt says what differs between the simulators.

The virtual board of sPyNNaker maps a network but runs nothing. There the script writes
mapped-spinnaker.npz, with the synapses as they would be loaded.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FORMAT = "spikecore-pynn-result-1"
MODULES = {"nest": "pyNN.nest", "brian2": "pyNN.brian2", "spinnaker": "pyNN.spiNNaker"}
PACKAGES = {"nest": "nest-simulator", "brian2": "brian2", "spinnaker": "sPyNNaker"}
RECEPTORS = {"exc": "excitatory", "inh": "inhibitory", "glia": "excitatory2"}

# PyNN's own equations for brian2, with their parameters marked as constant (without that, brian2
# integrates by forward Euler) and with tau_syn_i in the inhibitory alpha current.
MEMBRANE = """
    dv/dt = (v_rest - v)/tau_m + (i_syn + i_offset + i_inj)/c_m : volt (unless refractory)
    tau_m : second (constant)
    c_m : farad (constant)
    v_rest : volt (constant)
    i_offset : amp (constant)
    i_inj : amp (constant)
"""
CURRENTS = {
    "IF_curr_exp": """
    die/dt = -ie/tau_syn_e : amp
    dii/dt = -ii/tau_syn_i : amp
    i_syn = ie + ii : amp
    tau_syn_e : second (constant)
    tau_syn_i : second (constant)
""",
    "IF_curr_alpha": """
    die/dt = (2.718281828459045*ye - ie)/tau_syn_e : amp
    dye/dt = -ye/tau_syn_e : amp
    dii/dt = (2.718281828459045*yi - ii)/tau_syn_i : amp
    dyi/dt = -yi/tau_syn_i : amp
    i_syn = ie + ii : amp
    tau_syn_e : second (constant)
    tau_syn_i : second (constant)
""",
}

# Added to PyNN's pair rule for brian2 where a pair in one time step does not count: post spikes
# are taken first, and a pre spike leaves out the jump of a post spike in its own step.
LAST = "\nlast : integer"
MARK = "\nlast = t_in_timesteps"
IGNORING = ("w_max * M", "w_max * (M + A_minus*int(last == t_in_timesteps))")

Arrays = dict[str, npt.NDArray[Any]]


class Run:
    """One run of the network on one simulator."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self.name, self.folder = name, folder
        self.network = json.loads((folder / "network.json").read_text())
        with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
            self.arrays: Arrays = dict(archive)
        if name not in self.network["targets"]:
            reasons = self.network["refused"].get(name, ["it was not exported for it"])
            sys.exit("\n".join([f"{name} cannot run this network:", *map(str, reasons)]))
        self.target = self.network["targets"][name]
        self.dt = self.network["dt"]
        try:
            self.sim = importlib.import_module(MODULES[name])
        except ImportError as error:
            sys.exit(
                f"needs PyNN and {PACKAGES[name]} ({error}); README.txt says how to install them"
            )
        self.set_up(threads)
        self.groups: dict[str, Any] = {}
        for number, given in enumerate(self.network["inputs"]):
            self.groups[given["name"]] = self.spike_source(number, given)
        for number, given in enumerate(self.network["populations"]):
            self.groups[given["name"]] = self.population(number, given)
        self.projections = {
            given["name"]: self.projection(number, given)
            for number, given in enumerate(self.network["projections"])
            if self.arrays[f"projection{number}_pre"].size
        }

    def set_up(self, threads: int) -> None:
        """Start the simulator."""
        longest = self.dt * (self.network["longest_delay"] + 2)
        options: dict[str, Any] = {"timestep": self.dt}
        if self.name == "nest":
            options |= {"min_delay": self.dt, "max_delay": max(longest, 10.0)}
            options |= {"spike_precision": "on_grid", "threads": threads}
        elif self.name == "brian2":
            options |= {"min_delay": self.dt, "max_delay": longest}
            brian2 = importlib.import_module("brian2")
            brian2.defaultclock.dt = self.dt * brian2.ms  # its spike sources go by this clock
        self.sim.setup(**options)

    def spike_source(self, number: int, given: dict[str, Any]) -> Any:
        """Make spike sources that replay the drawn and given spikes of an input."""
        ticks = self.arrays[f"input{number}_ticks"] + self.target["inputs"][given["name"]]
        neurons = self.arrays[f"input{number}_neurons"]
        order = np.lexsort((ticks, neurons))
        times = ticks[order] * self.dt
        if self.name == "nest":  # it rounds up: a rounding error would cost a tick
            times -= self.dt / 4
        ends = np.searchsorted(neurons[order], np.arange(given["size"] + 1))
        trains = [times[a:b].tolist() for a, b in pairwise(ends)]
        cells = self.sim.SpikeSourceArray(spike_times=trains)
        return self.sim.Population(given["size"], cells, label=given["name"])

    def population(self, number: int, given: dict[str, Any]) -> Any:
        """Make neurons, with their parameters and initial potentials."""
        values = {name: self.arrays[key] for name, key in given["parameters"].items()}
        refractory = self.arrays[f"population{number}_refractory"]
        values["tau_refrac"] = (refractory + self.target["refractory"]) * self.dt
        own = given["cell"] == "IF_curr_dual_exp"  # of sPyNNaker
        model = getattr(self.sim.extra_models if own else self.sim, given["cell"])
        if self.name == "nest" and given["cell"] == "IF_curr_delta":
            # PyNN 0.13 has forgotten it here, and would leave initial potentials as they are.
            model.variable_map, model.scale_factors = {"v": "V_m"}, {"v": 1}
        if self.name == "brian2":
            brian2 = importlib.import_module("brian2")
            synapses = CURRENTS.get(given["cell"], "i_syn = 0*amp : amp")
            model.eqs = brian2.Equations(MEMBRANE + synapses)
            for tau in ("tau_syn_E", "tau_syn_I"):
                if tau in values:
                    values[tau] = apart(values[tau], values["tau_m"])
        plain = {n: float(v[0]) if v.size == 1 else v.tolist() for n, v in values.items()}
        cells = self.sim.Population(
            given["size"],
            model(**plain),
            label=given["name"],
            **self.target["options"].get(given["name"], {}),
        )
        initial = self.arrays[self.target["initial"][given["name"]]]
        cells.initialize(v=float(initial[0]) if initial.size == 1 else initial)
        if self.name == "brian2":  # it fires above the threshold, the others at the threshold
            group = cells.brian2_group
            group.v_thresh_ = np.nextafter(group.v_thresh_[:], -np.inf)
        cells.record("spikes")
        return cells

    def projection(self, number: int, given: dict[str, Any]) -> Any:
        """Make the synapses of a projection, one by one."""
        part = {n: self.arrays[f"projection{number}_{n}"] for n in ("pre", "post", "delay")}
        weight = self.arrays[f"projection{number}_weight"]
        ticks = np.maximum(
            part["delay"].astype(np.int64) + self.target["delays"][given["name"]],
            self.target["shortest"],
        )
        gain = self.gain(given)
        if gain.size > 1:
            gain = gain[part["post"]]
        weight = weight * gain
        if given["port"] == "inh":
            weight = -weight  # PyNN's sign for synapses that are no conductances
        columns = np.broadcast_arrays(part["pre"], part["post"], weight, ticks * self.dt)
        synapses = np.stack(columns, axis=1)
        if self.name == "spinnaker":
            # Version 7.4 miscounts how many synapses a source has on a core unless they are sorted.
            synapses = synapses[np.lexsort(synapses.T[1::-1])]
        made = self.sim.Projection(
            self.groups[given["source"]],
            self.groups[given["target"]],
            self.sim.FromListConnector(synapses),
            synapse_type=self.synapse(given["rule"], float(self.gain(given)[0])),
            receptor_type=RECEPTORS[given["port"]],
            label=given["name"],
        )
        if self.name == "brian2":
            self.line_up(made, given, ticks, np.broadcast_to(part["delay"], columns[0].shape))
        return made

    def line_up(
        self,
        made: Any,
        given: dict[str, Any],
        ticks: npt.NDArray[np.int64],
        delay: npt.NDArray[Any],
    ) -> None:
        """Place what synapses do within brian2's time step."""
        synapses = made._brian2_synapses[0][0]
        if given["delta"]:  # what arrives counts for the threshold test of its tick
            synapses.pre.when = "before_thresholds"
        if given["rule"] is None:
            return
        # PyNN lets a pre spike act when it arrives. So post spikes wait as long, and where the
        # delay counts as dendritic, once more.
        dendritic = given["rule"]["post_delay"] == "dendritic"
        wait = np.broadcast_to(ticks, delay.shape) + dendritic * delay
        spread = np.zeros((made.pre.size, made.post.size))
        number = self.network["projections"].index(given)
        pre, post = (self.arrays[f"projection{number}_{end}"] for end in ("pre", "post"))
        spread[pre, post] = wait
        brian2 = importlib.import_module("brian2")
        synapses.post.delay = spread[synapses.i[:], synapses.j[:]] * self.dt * brian2.ms
        pre_first = given["rule"]["coincidence"] == "potentiate"
        synapses.pre.order, synapses.post.order = (-1, 1) if pre_first else (1, -1)

    def gain(self, given: dict[str, Any]) -> npt.NDArray[Any]:
        """Return what multiplies the weights: 1 on a board, whose step rule is the network's."""
        if given["gain"] is None or self.name == "spinnaker":
            return np.ones(1)
        return self.arrays[given["gain"]]

    def synapse(self, rule: dict[str, Any] | None, gain: float) -> Any:
        """Make the type of a synapse."""
        if rule is None:
            return self.sim.StaticSynapse()
        # sPyNNaker takes amplitudes as they are, the others as fractions of w_max.
        unit = 1.0 if self.name == "spinnaker" else rule["w_max"]
        timing = self.sim.SpikePairRule(
            tau_plus=rule["tau_plus"],
            tau_minus=rule["tau_minus"],
            A_plus=rule["A_plus"] / unit,
            A_minus=rule["A_minus"] / unit,
        )
        dependence = getattr(self.sim, rule["dependence"])
        weights = dependence(w_min=rule["w_min"] * gain, w_max=rule["w_max"] * gain)
        dendritic = rule["post_delay"] == "dendritic"
        where: dict[str, Any] = {
            "nest": {"dendritic_delay_fraction": 1.0},
            "brian2": {"dendritic_delay_fraction": 0.0},
            "spinnaker": {"backprop_delay": dendritic},
        }[self.name]
        made = self.sim.STDPMechanism(timing_dependence=timing, weight_dependence=weights, **where)
        if self.name == "brian2" and rule["coincidence"] == "ignore":
            made.eqs, made.post = made.eqs + LAST, made.post + MARK
            made.pre = made.pre.replace(*IGNORING)
            made.initial_conditions = made.initial_conditions | {"last": -1}
        return made

    def go(self) -> Arrays:
        """Run, and return the spikes of each population in ticks; none of a virtual board."""
        first = self.target["first"]
        self.sim.run((self.network["ticks"] + first) * self.dt)
        found: Arrays = {}
        if self.virtual():
            return found
        for number, given in enumerate(self.network["populations"]):
            trains = self.groups[given["name"]].get_data("spikes").segments[0].spiketrains
            times = [np.asarray(train.rescale("ms").magnitude) for train in trains]
            neurons = np.repeat(np.arange(len(times)), [t.size for t in times])
            ticks = np.rint(np.concatenate([np.empty(0), *times]) / self.dt).astype(np.int64)
            ticks -= first
            inside = ticks < self.network["ticks"]
            order = np.lexsort((neurons[inside], ticks[inside]))
            found[f"s{number}t"] = ticks[inside][order]
            found[f"s{number}n"] = neurons[inside][order].astype(np.int64)
        return found

    def virtual(self) -> bool:
        """Return whether this is a board that does not exist, where no neuron has run."""
        if self.name != "spinnaker":
            return False
        settings = importlib.import_module("spinn_utilities.config_holder")
        return bool(settings.get_config_bool("Machine", "virtual_board"))

    def synapses(self) -> Arrays:
        """Return pre, post, delay (ticks) and weight of all synapses that a board may change.

        Of a virtual board, of all. Sorted.
        """
        found: Arrays = {}
        for number, given in enumerate(self.network["projections"]):
            wanted = given["rule"] is not None or self.virtual()
            if given["name"] not in self.projections or not wanted:
                continue
            rows = self.projections[given["name"]].get(["delay", "weight"], format="list")
            columns = np.array([tuple(row) for row in rows], np.float64).reshape(-1, 4)
            columns[:, 2] = np.rint(columns[:, 2] / self.dt)
            found[f"p{number}"] = columns[np.lexsort(columns.T[::-1])]
        return found

    def save(self, spikes: Arrays, path: Path) -> None:
        """Write the result; under MPI, once."""
        if self.sim.rank() != 0:
            return
        synapses = self.synapses() if self.name == "spinnaker" else {}
        header = {
            "format": FORMAT,
            "arrays": sorted([*spikes, *synapses]),
            "populations": [given["name"] for given in self.network["populations"]],
            "sizes": [given["size"] for given in self.network["populations"]],
            "simulator": self.name,
            "virtual": self.virtual(),
            "projections": {
                given["name"]: f"p{number}"
                for number, given in enumerate(self.network["projections"])
                if f"p{number}" in synapses
            },
            "versions": {n: metadata.version(n) for n in ("PyNN", PACKAGES[self.name], "numpy")},
            "dt": self.dt,
            "ticks": self.network["ticks"],
            "hash": self.network["hash"],
            "seed": self.network["seed"],
        }
        arrays: dict[str, Any] = {"meta": np.array(json.dumps(header)), **spikes, **synapses}
        part = path.with_name(f".{path.name}.part.npz")
        np.savez_compressed(part, **arrays)
        part.replace(path)


def apart(tau: npt.NDArray[Any], tau_m: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``tau``, a little longer where brian2 would divide by its difference to tau_m."""
    tau, tau_m = np.broadcast_arrays(tau, tau_m)
    return np.where(np.isclose(tau, tau_m, rtol=1e-5, atol=0.0), tau_m * (1.0 + 1e-5), tau)


def main() -> None:
    """Run the network on the simulator that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("simulator", choices=MODULES)
    parser.add_argument("--threads", type=int, default=1, help="of NEST; default: 1")
    parser.add_argument("--output", type=Path, help="default: result-SIMULATOR.npz, beside run.py")
    given = parser.parse_args()
    if given.threads != 1 and given.simulator != "nest":
        parser.error("--threads is for NEST")
    folder = Path(__file__).resolve().parent
    path = given.output or folder / f"result-{given.simulator}.npz"
    if not path.absolute().parent.is_dir():
        parser.error(f"the folder {path.absolute().parent} does not exist")
    run = Run(given.simulator, folder, given.threads)
    spikes = run.go()
    if run.virtual() and given.output is None:
        path = folder / f"mapped-{given.simulator}.npz"
    run.save(spikes, path)
    run.sim.end()
    count = f"{sum(v.size for k, v in spikes.items() if k.endswith('t'))} spikes"
    if run.virtual():
        count = "mapped on a virtual board, where nothing runs: no spikes, but the synapses"
    print(f"{count}, in {path}")


if __name__ == "__main__":
    main()
