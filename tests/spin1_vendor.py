"""Run by the tests inside the vendor's tool chain, on its virtual board.

Reads ``networks.json`` from the working folder, maps all networks in one go (which fills
``ds.sqlite3``), and writes ``cores.json``: where each population went, with which image,
keys and scales. Imports nothing of spikecore, so that nothing is compared with itself.
"""

import json
from pathlib import Path

import pyNN.spiNNaker as sim  # noqa: N813 - as PyNN's own examples have it
from spynnaker.pyNN.data import SpynnakerDataView
from spynnaker.pyNN.utilities.constants import SPIKE_PARTITION_ID

RECEPTORS = {"exc": "excitatory", "inh": "inhibitory", "glia": "excitatory2"}


def mechanism(rule):
    if rule is None:
        return sim.StaticSynapse()
    return sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(
            **{name: rule[name] for name in ("tau_plus", "tau_minus", "A_plus", "A_minus")}
        ),
        weight_dependence=sim.AdditiveWeightDependence(w_min=rule["w_min"], w_max=rule["w_max"]),
        backprop_delay=rule["backprop_delay"],
    )


def build(number, network):
    source = sim.Population(
        network["sources"],
        sim.SpikeSourceArray(spike_times=network["spikes"]),
        label=f"source {number}",
    )
    slow = "tau_syn_E2" in network["parameters"]
    model = sim.extra_models.IF_curr_dual_exp if slow else sim.IF_curr_exp
    cells = sim.Population(
        network["neurons"],
        model(**network["parameters"]),
        label=f"cells {number}",
        additional_parameters={"n_synapse_cores": 0},
    )
    cells.initialize(v=network["v"])
    ends = {"in": source, "n": cells}
    projections = [
        sim.Projection(
            ends[p["source"]],
            cells,
            sim.FromListConnector([tuple(synapse) for synapse in p["synapses"]]),
            receptor_type=RECEPTORS[p["port"]],
            synapse_type=mechanism(p["rule"]),
        )
        for p in network["projections"]
    ]
    cells.record(["spikes", "v"])
    return source, cells, projections


def key_of(vertex):
    infos = SpynnakerDataView.get_routing_infos()
    (machine_vertex,) = vertex.machine_vertices
    if not infos.has_info_from(machine_vertex, SPIKE_PARTITION_ID):
        return None
    return int(infos.get_key_from(machine_vertex, SPIKE_PARTITION_ID))


def delay_key_of(projections, source):
    for p in projections:
        edge = p._projection_edge
        if edge.pre_vertex is source._vertex and edge.delay_edge is not None:
            return key_of(edge.delay_edge.pre_vertex)
    return None


def describe(source, cells, projections):
    vertex = cells._vertex
    (machine_vertex,) = vertex.machine_vertices
    place = SpynnakerDataView.get_placement_of_vertex(machine_vertex)
    return {
        "core": [place.x, place.y, place.p],
        "image": machine_vertex.get_binary_file_name(),
        "sizes": {"in": source.size, "n": cells.size},
        "keys": {"in": key_of(source._vertex), "n": key_of(vertex)},
        "delay_keys": {
            "in": delay_key_of(projections, source),
            "n": delay_key_of(projections, cells),
        },
        "shifts": [int(s) for s in vertex.get_ring_buffer_shifts()],
        "slots": int(vertex.splitter.max_support_delay()),
    }


def main():
    task = json.loads(Path("networks.json").read_text())
    sim.setup(timestep=task["dt"])
    built = [build(i, network) for i, network in enumerate(task["networks"])]
    sim.run(task["duration"])
    Path("cores.json").write_text(json.dumps([describe(*parts) for parts in built]))
    sim.end()


if __name__ == "__main__":
    main()
