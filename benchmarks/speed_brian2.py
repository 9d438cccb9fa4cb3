"""The workloads in Brian2's fastest mode, cpp_standalone, with its own compiler flags, one thread.

Written as its users would write them, and held to the same network: Brian2 delivers after it tests
thresholds, so that an input acts a tick later than in the other simulators; here it delivers before
(``SCHEDULE``, with delays a tick shorter and refractory periods a tick longer, as Brian2 counts
them). What arrives at a refractory neuron with delta synapses is lost, as in NEST.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np
from speed_one import Clock
from speed_workloads import Workload

b2.BrianLogger.suppress_hierarchy("brian2")

TIMING = "speed-timing.txt"
SCHEDULE = ["start", "groups", "synapses", "thresholds", "resets", "end"]
ARRIVE = "v_post += {w} * int(not_refractory_post)"


def run_brian2(workload: Workload, clock: Clock, folder: Path) -> dict[str, Any]:
    """Run the compiled program; write and compile it first where ``folder`` has none yet.

    The program itself says how much CPU time its loop took; the rest of its time, loading and
    connecting, is ``load``. ``build`` is what the compiled program took to make; it is made
    once, so only the first repeat has it.
    """
    project = folder / "brian2"
    program, done = project / "main", project / "built.json"
    found: dict[str, Any] = {"versions": {"brian2": b2.__version__}}
    if not done.exists():
        with clock.measure("build"):
            _write_program(workload, project)
        done.write_text(json.dumps(clock.times))
    with clock.measure("program"):
        found["peak_mb"] = _run_program(program)
    cpu, wall = map(float, (project / TIMING).read_text().split())
    clock.times |= {"loop_cpu_s": cpu, "loop_wall_s": wall}
    clock.times["load_cpu_s"] = clock.times.pop("program_cpu_s") - cpu
    clock.times["load_wall_s"] = clock.times.pop("program_wall_s") - wall
    found["spikes"] = _written(project, "fired_i", np.int32).size
    if workload.kind == "stdp":
        found["mean_weight"] = float(_written(project, "plastic_w", np.float64).mean())
    return found


def _write_program(workload: Workload, project: Path) -> None:
    b2.set_device("cpp_standalone", build_on_run=False)
    b2.defaultclock.dt = workload.dt * b2.ms
    b2.seed(1)
    cells, *others = _PARTS[workload.kind](workload)
    network = b2.Network(cells, *others, b2.SpikeMonitor(cells, name="fired"))
    network.schedule = SCHEDULE
    device = b2.get_device()
    now = (
        '{ std::ofstream speed_file("%s", std::ios::%s); timespec cpu, wall; '
        "clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu); clock_gettime(CLOCK_MONOTONIC, &wall); "
        "speed_file.precision(17); "
        "speed_file << cpu.tv_sec + 1e-9 * cpu.tv_nsec << ' ' "
        "<< wall.tv_sec + 1e-9 * wall.tv_nsec << std::endl; }"
    )
    device.insert_code("main", now % ("speed-times.txt", "trunc"))
    network.run(workload.ticks * workload.dt * b2.ms)
    device.insert_code("main", now % ("speed-times.txt", "app"))
    device.build(directory=str(project), compile=True, run=False)


def _run_program(program: Path) -> float:
    """Run it; return its largest resident memory in MB."""
    with subprocess.Popen([f"./{program.name}"], cwd=program.parent) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the compiled program ended with {process.returncode}")
    (cpu0, wall0), (cpu1, wall1) = np.loadtxt(program.parent / "speed-times.txt")
    (program.parent / TIMING).write_text(f"{cpu1 - cpu0} {wall1 - wall0}")
    return usage.ru_maxrss / 1024


def _written(project: Path, name: str, dtype: Any) -> np.ndarray:
    (path,) = (project / "results").glob(f"_dynamic_array_{name}_*")
    return np.fromfile(path, dtype)


def _neurons(w: Workload, equations: str, reset: float) -> Any:
    p = w.parameters
    group = b2.NeuronGroup(
        w.neurons,
        equations,
        threshold="v > v_threshold",
        reset="v = v_reset",
        refractory=(p["refractory"] + w.dt) * b2.ms,
        method="exact",
        namespace={
            "tau_m": p["tau_m"] * b2.ms,
            "v_threshold": p["v_threshold"],
            "v_reset": p["v_reset"],
            "v_rest": p.get("v_rest", 0.0),
            **{k: p[k] * b2.ms for k in ("tau_exc", "tau_inh", "tau_syn") if k in p},
        },
        name="cells",
    )
    group.v = reset
    return group


DELTA = "dv/dt = -v / tau_m : 1 (unless refractory)"


def _events(w: Workload, size: int) -> Any:
    when = w.arrays["event_tick"] * w.dt * b2.ms
    return b2.SpikeGeneratorGroup(size, w.arrays["event_source"], when, name="source", sorted=True)


def _recurrent(w: Workload, cells: Any, on_pre: dict[str, str]) -> list[Any]:
    p, pre, post = w.parameters, w.arrays["pre"], w.arrays["post"]
    cut = int(np.searchsorted(pre, p["excitatory"]))
    parts = []
    for port, own in (("exc", slice(None, cut)), ("inh", slice(cut, None))):
        synapses = b2.Synapses(
            cells, cells, on_pre=on_pre[port], delay=(p["delay"] - w.dt) * b2.ms, name=port
        )
        synapses.connect(i=pre[own].astype(np.int32), j=post[own].astype(np.int32))
        parts.append(synapses)
    return parts


def _cuba(w: Workload) -> list[Any]:
    p = w.parameters
    equations = """dv/dt = (g_exc - g_inh - (v - v_rest)) / tau_m : 1 (unless refractory)
                   dg_exc/dt = -g_exc / tau_exc : 1
                   dg_inh/dt = -g_inh / tau_inh : 1"""
    cells = _neurons(w, equations, p["v_reset"])
    cells.v = w.arrays["v"]
    on_pre = {port: f"g_{port}_post += {p[f'w_{port}']}" for port in ("exc", "inh")}
    return [cells, *_recurrent(w, cells, on_pre)]


def _brunel(w: Workload) -> list[Any]:
    p = w.parameters
    cells = _neurons(w, DELTA, 0.0)
    on_pre = {"exc": ARRIVE.format(w=p["w_exc"]), "inh": ARRIVE.format(w=-p["w_inh"])}
    # PoissonInput would also lift the membrane of refractory neurons: 5 % more spikes.
    mean = p["drive_hz"] * w.dt / 1000
    code = f"v += {p['w_exc']} * poisson({mean}) * int(not_refractory)"
    cells.run_regularly(code, when="after_groups")
    return [cells, *_recurrent(w, cells, on_pre)]


def _delays(w: Workload) -> list[Any]:
    a = w.arrays
    cells, source = _neurons(w, DELTA, 0.0), _events(w, int(a["pre"][-1]) + 1)
    synapses = b2.Synapses(source, cells, "w : 1", on_pre=ARRIVE.format(w="w"), name="wires")
    synapses.connect(i=a["pre"], j=a["post"])
    synapses.w = a["weight"]
    synapses.delay = (a["delay"] - 1) * w.dt * b2.ms
    return [cells, source, synapses]


def _sparse(w: Workload) -> list[Any]:
    a, p = w.arrays, w.parameters
    cells, source = _neurons(w, DELTA, 0.0), _events(w, w.neurons)
    forced = b2.Synapses(source, cells, on_pre=ARRIVE.format(w=p["w_in"]), name="forced")
    forced.connect(j="i")
    wires = b2.Synapses(cells, cells, on_pre=ARRIVE.format(w=p["w"]), name="wires")
    wires.connect(i=a["pre"], j=a["post"])
    wires.delay = (a["delay"] - 1) * w.dt * b2.ms
    return [cells, source, forced, wires]


def _stdp(w: Workload) -> list[Any]:
    p = w.parameters
    equations = """dv/dt = (g - v) / tau_m : 1 (unless refractory)
                   dg/dt = -g / tau_syn : 1"""
    cells, source = _neurons(w, equations, 0.0), _events(w, int(p["inputs"]))
    plastic = b2.Synapses(
        source,
        cells,
        """w : 1
           dx/dt = -x / tau_plus : 1 (event-driven)
           dy/dt = -y / tau_minus : 1 (event-driven)""",
        on_pre="""x += step_up
                  w = clip(w - y, 0, w_max)
                  g_post += w""",
        on_post="""y += step_down
                   w = clip(w + x, 0, w_max)""",
        namespace={
            "tau_plus": p["tau_plus"] * b2.ms,
            "tau_minus": p["tau_minus"] * b2.ms,
            "step_up": p["A_plus"] * p["w_max"],
            "step_down": p["A_minus"] * p["w_max"],
            "w_max": p["w_max"],
        },
        name="plastic",
    )
    plastic.post.order = -2  # of a pair in one tick the post spike counts first
    plastic.connect()
    plastic.w = w.arrays["weight"].ravel()
    return [cells, source, plastic]


_PARTS = {
    "cuba": _cuba, "brunel": _brunel, "delays": _delays, "sparse": _sparse, "stdp": _stdp,
}  # fmt: skip
