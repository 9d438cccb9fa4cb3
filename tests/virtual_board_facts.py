"""Run by the tests inside the vendor's tool chain: an exported run.py, and what became of it.

The script runs as it is. Before it lets go of the tool chain, ``facts.json`` is written: cores of
every vertex, keys, and entries of the fullest router. Imports nothing of spikecore.
"""

import json
import runpy
import sys
from pathlib import Path

import pyNN.spiNNaker as sim  # noqa: N813 - as PyNN's own examples have it
from spynnaker.pyNN.data import SpynnakerDataView
from spynnaker.pyNN.models.utility_models.delays import DelayExtensionVertex
from spynnaker.pyNN.utilities.constants import SPIKE_PARTITION_ID


def core_of(vertex):
    place = SpynnakerDataView.get_placement_of_vertex(vertex)
    infos, key = SpynnakerDataView.get_routing_infos(), None
    if infos.has_info_from(vertex, SPIKE_PARTITION_ID):
        key = int(infos.get_key_from(vertex, SPIKE_PARTITION_ID))
    atoms = vertex.vertex_slice
    steps = SpynnakerDataView.get_plan_n_timestep()
    return {
        "place": [place.x, place.y, place.p],
        "first": int(atoms.lo_atom),
        "atoms": int(atoms.n_atoms),
        "key": key,
        "image": vertex.get_binary_file_name(),
        "sdram": int(vertex.sdram_required.get_total_sdram(0)),
        "sdram_and_recording": int(vertex.sdram_required.get_total_sdram(steps)),
    }


def vertex_facts(vertex):
    delays = isinstance(vertex, DelayExtensionVertex)
    found = {
        "name": (vertex.source_vertex if delays else vertex).label,
        "kind": "delays" if delays else "neurons",
        "cores": [core_of(part) for part in vertex.machine_vertices],
    }
    if hasattr(vertex, "get_ring_buffer_shifts"):
        found["shifts"] = [int(shift) for shift in vertex.get_ring_buffer_shifts()]
        found["slots"] = int(vertex.splitter.max_support_delay())
    elif not delays:
        found["kind"] = "input"
    return found


def main():
    end = sim.end

    def write_and_end():
        tables = SpynnakerDataView.get_uncompressed().routing_tables
        facts = {
            "vertices": [vertex_facts(v) for v in SpynnakerDataView.iterate_vertices()],
            "entries": max((table.number_of_entries for table in tables), default=0),
        }
        Path("facts.json").write_text(json.dumps(facts))
        end()

    sim.end = write_and_end
    sys.argv = ["run.py", "spinnaker"]
    runpy.run_path("run.py", run_name="__main__")


if __name__ == "__main__":
    main()
