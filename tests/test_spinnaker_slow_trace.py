"""Neurons with slow traces on the mirror: IF_curr_dual_exp, and what becomes of its weights.

The vendor's image itself is compared in test_spinnaker_oracle (kinds "slow").
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spikecore import (
    LIF,
    AstroLIF,
    Exponential,
    Hz,
    Input,
    InvalidInput,
    MOhm,
    Network,
    OneToOne,
    Pairs,
    Poisson,
    Population,
    Probe,
    Projection,
    Simulation,
    SlowTrace,
    Train,
    ms,
    mV,
    nA,
    run,
    uM,
)
from spikecore.backends.lowering import lower
from spikecore.cli import main
from spikecore_hardware.spinnaker import arithmetic as fixed
from spikecore_hardware.spinnaker.export import export_spinnaker
from spikecore_hardware.spinnaker.limits import LIMITS
from spikecore_hardware.spinnaker.mapping import map_populations
from spikecore_hardware.spinnaker.report import check_export
from spikecore_hardware.spinnaker.slow_trace import check_slow_trace, in_currents

NEURON = LIF(tau_m=20 * ms, resistance=20 * MOhm, refractory=2 * ms, step="spinnaker")


def traced(tau_A=797 * ms, current=2 * nA, lif=NEURON):
    return AstroLIF(lif, SlowTrace(tau_A, tau_y=None), current=current)


def network(unit, *projections, times=(3.0,), size=1, **options):
    spikes = Train(np.array(times) * ms, np.zeros(len(times), int))
    parts = [Input("in", size, spikes), Population("n", size, unit, **options), *projections]
    return Network([*parts, Probe("n", "v")])


def slow(weight=0.1 * uM, delay=1 * ms, wiring=None):
    return Projection("in", "n", wiring or OneToOne(), weight, delay, port="glia", name="slow")


def test_a_slow_trace_is_an_excitatory_synapse_of_its_time_constant():
    """With the same currents, IF_curr_dual_exp and IF_curr_exp do the same, to the last bit."""
    times = (3.0, 4.0, 40.0, 41.0, 42.0, 43.0, 90.0)
    rng = np.random.default_rng(0)
    for tau in (0.3, 7.0, 797.0, 2000.0):
        weight, gain = rng.uniform(0.1, 0.7), rng.uniform(0.3, 3.0)
        plain = LIF(
            **{name: getattr(NEURON, name) for name in ("tau_m", "resistance", "refractory")},
            synapse=Exponential(tau * ms, 5 * ms),
            step="spinnaker",
        )
        fast = Projection("in", "n", OneToOne(), weight * gain * nA, 2 * ms)
        one = run(network(plain, fast, times=times), 160 * ms, backend="spinnaker")
        unit = traced(tau * ms, gain * nA)
        two = run(
            network(unit, slow(weight * uM, 2 * ms), times=times), 160 * ms, backend="spinnaker"
        )
        assert np.array_equal(one.traces["n.v"].values, two.traces["n.v"].values)
        assert np.ptp(one.traces["n.v"].values) > 0.3


def test_all_three_currents_add_up():
    """Against whole numbers by hand: add what is due, move the membrane, decay."""
    unit = traced(400 * ms, 1.5 * nA, lif=NEURON)
    made = network(
        unit,
        slow(0.1 * uM),
        Projection("in", "n", OneToOne(), 0.3 * nA, 1 * ms),
        Projection("in", "n", OneToOne(), 0.1 * nA, 2 * ms, port="inh", name="inh"),
        times=(3.0, 10.0, 11.0),
    )
    found = run(made, 60 * ms, backend="spinnaker").traces["n.v"].values[:, 0]
    one = 1 << 15
    constants = {tau: fixed.tau_constants(tau * one, one) for tau in (400, 5)}
    leak, resistance = fixed.exp_s1615(-fixed.divide(one, 20 * one)), fixed.divide(20 * one, one)
    weights = {"glia": (0.1 * 1.5, 400, 1), "exc": (0.3, 5, 1), "inh": (0.1, 5, 2)}
    current, v, expected = dict.fromkeys(weights, 0), -65 * one, []
    for t in range(60):
        for name, (weight, tau, delay) in weights.items():
            if t - delay in (3, 10, 11):
                current[name] += round(weight * one) * constants[tau][1] >> 32
        total = current["exc"] + current["glia"] - current["inh"]
        aim = (total * resistance >> 15) - 65 * one
        v = aim - (leak * (aim - v) >> 15)
        expected.append(v)
        for name, (_, tau, _) in weights.items():
            current[name] = current[name] * constants[tau][0] >> 32
    assert (found * one).tolist() == expected


def test_the_trace_is_shown_in_its_own_unit_and_close_to_the_exact_one():
    gain = np.array([0.5, 4.0])
    wiring = Pairs([0, 0], [0, 1])
    made = network(
        traced(797 * ms, gain * nA), slow(0.8 * uM, 3 * ms, wiring), size=2, initial={"A": 0.1 * uM}
    )
    made = Network([*made.groups, *made.projections, Probe("n", "A")])
    fixed_point = run(made, 300 * ms, backend="spinnaker").traces["n.A"].values
    exact = run(made, 300 * ms, backend="clocked").traces["n.A"].values
    steps = fixed_point * gain * 2**15
    assert np.abs(steps - np.rint(steps)).max() < 1e-6
    assert np.abs(fixed_point - exact).max() < 0.02
    assert exact.max() > 0.85


@pytest.mark.parametrize(("tau_A", "tau_y"), [(2000, 25), (400, 25), (100, 5)])
def test_a_trace_that_follows_y_is_two_currents(tau_A, tau_y):
    """Against the cascade in floating point, which does not know of the two."""
    lif = replace(NEURON, synapse=Exponential(5 * ms, tau_y * ms), v_threshold=0 * mV)
    unit = AstroLIF(lif, SlowTrace(tau_A * ms, tau_y * ms, 2.0), current=10 * nA)
    made = network(unit, slow(1 * uM, 2 * ms), times=(10.0, 50.0, 60.0))
    mirror, exact = (
        run(made, 400 * ms, backend=name).traces["n.v"].values[:, 0]
        for name in ("spinnaker", "clocked")
    )
    assert exact.max() > -60
    assert np.abs(mirror - exact)[:20].max() < 1e-3  # it begins alike, at nothing
    assert np.abs(mirror - exact).max() < 0.01 * np.ptp(exact)


def test_both_halves_of_a_weight_are_set():
    lif = replace(NEURON, synapse=Exponential(5 * ms, 25 * ms))
    made = network(AstroLIF(lif, SlowTrace(400 * ms, 25 * ms, 2.0), current=10 * nA), slow(1 * uM))
    one, two = Simulation(made, backend="spinnaker"), Simulation(made, backend="spinnaker")
    two.set_weights("slow", 0.5)
    assert one.weights("slow") == pytest.approx(1.0, rel=1e-4)
    assert two.weights("slow") == pytest.approx(0.5, rel=1e-4)
    for half in (0, 1):
        before, after = (s._session.stored_weights(half)[0] for s in (one, two))
        assert after == pytest.approx(before / 2, abs=2**-14)
    assert [p.name for p in one._session.lowered.projections] == ["slow", "slow (y)"]
    with pytest.raises(InvalidInput, match="must lie in 0"):
        two.set_weights("slow", 90.0)
    assert two.weights("slow") == pytest.approx(0.5, rel=1e-4)


def test_small_currents_fall_in_a_straight_line():
    """Products are cut off: below tau / dt steps of 2**-15 nA, one step is lost in each tick."""
    unit = traced(797 * ms, 1 * nA)
    check = check_slow_trace(lower(network(unit), 0).populations[0], 1.0)
    start = check.linear_below * 0.9
    made = network(unit, initial={"A": start * uM})
    made = Network([*made.groups, Probe("n", "A")])
    steps = run(made, 900 * ms, backend="spinnaker").traces["n.A"].values[:, 0] * 2**15
    begin = round(start * 2**15)
    assert np.rint(steps).tolist() == [max(0, begin - 1 - t) for t in range(900)]


@pytest.mark.parametrize(
    ("tau", "dt", "chip", "share"),
    [(100, 1.0, 100.2, 0.998), (2000, 1.0, 2043.6, 0.979), (7142, 1.0, 8113, 0.880)],
)
def test_what_the_chip_makes_of_slow_time_constants(tau, dt, chip, share):
    """dt / tau is known in steps of 2**-15: of 1 / 7142 four are left, which are 1 / 8192."""
    (population,) = lower(network(traced(tau * ms)), 0).populations
    found = check_slow_trace(population, dt)
    assert (found.tau_A, found.tau_chip) == (tau, pytest.approx(chip, rel=1e-3))
    assert found.gain == pytest.approx(share, abs=1e-3)
    made = network(traced(tau * ms), initial={"A": 1000 * uM})
    made = Network([*made.groups, Probe("n", "A", every=tau * ms)])
    first, later = run(made, (tau + 1) * ms, backend="spinnaker").traces["n.A"].values[:2, 0]
    assert later / first == pytest.approx(np.exp(-tau / chip), rel=2e-3)


def test_weights_are_concentrations_and_stored_as_currents():
    gain = np.array([0.5, 2.0])
    wired = slow(np.full(2, 0.3) * uM, wiring=Pairs([0, 1], [0, 1]))
    made = network(traced(797 * ms, gain * nA), wired, size=2)
    simulation = Simulation(made, backend="spinnaker")
    stored = np.rint(0.3 * gain * 2**15)
    assert simulation._session.stored_weights(0).tolist() == (stored / 2**15).tolist()
    assert simulation.weights("slow") == pytest.approx(stored / 2**15 / gain, rel=1e-12)
    simulation.set_weights("slow", [0.7, 0.2])
    assert simulation._session.stored_weights(0) * 2**15 == pytest.approx(
        np.rint(np.array([0.7, 0.2]) * gain * 2**15)
    )
    with pytest.raises(InvalidInput, match=r"must lie in 0 \.\. 1\.99997 nA"):
        simulation.set_weights("slow", [0.1, 5.0])


def test_three_receptors_take_two_bits_of_the_ring_and_a_scale_each():
    parts = [
        Projection("in", "n", OneToOne(), 6 * nA, 40 * ms),
        Projection("in", "n", OneToOne(), 30 * nA, 1 * ms, port="inh", name="inh"),
    ]
    layouts = []
    for unit, own in ((NEURON, []), (traced(current=1.5 * nA), [slow(2 * uM)])):
        made = network(unit, *parts, *own, size=256)
        (found,) = map_populations(in_currents(lower(made, 0)), LIMITS)
        layouts.append(found.layout)
    assert [layout.slots for layout in layouts] == [32, 16]
    assert [layout.max_delay for layout in layouts] == [288, 144]
    assert layouts[1].dtcm_bytes - layouts[0].dtcm_bytes == 256 * 12
    assert (found.shifts, found.chip_shifts) == ((3, 5, 2), (3, 2, 5))
    assert found.receptors == ("exc", "glia", "inh")


def test_the_report_tells_of_slow_traces(tmp_path, capsys):
    made = network(traced(2000 * ms), slow(0.0123 * uM))
    checked = check_export(made)
    assert (checked.refused, checked.cores) == ((), 2)
    (found,) = checked.projections
    assert (found.port, found.step) == ("glia", 2**-15)
    assert found.largest_error == pytest.approx(abs(0.0246 - round(0.0246 * 2**15) / 2**15))
    (trace,) = checked.slow_traces
    assert trace.text.startswith("tau_A = 2000 ms becomes 2044 ms on the chip")
    (tmp_path / "model.py").write_text(
        "from spikecore import *\n"
        "unit = AstroLIF(LIF(step='spinnaker'), SlowTrace(2 * second, None), current=1 * nA)\n"
        "net = Network([Population('n', 1, unit)])\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["export", "check", f"{tmp_path / 'model.py'}:net"])
    assert ended.value.code == 0
    assert "slow trace: n: tau_A = 2000 ms becomes 2044 ms" in capsys.readouterr().out


def test_an_export_names_the_cell_and_holds_currents(tmp_path):
    gain = np.array([0.5, 2.0])
    made = network(
        traced(2000 * ms, gain * nA, NEURON),
        slow(0.3 * uM, wiring=Pairs([0, 1], [0, 1])),
        Projection("in", "n", OneToOne(), 40 * nA, 1 * ms, name="fast"),
        size=2,
        initial={"v": -60 * mV},
    )
    written = export_spinnaker(made, 50 * ms, tmp_path / "out")
    assert written.expected["n"] > 0
    description = json.loads((tmp_path / "out" / "network.json").read_text())
    (cells,) = description["populations"]
    assert cells["cell"] == "IF_curr_dual_exp"
    with np.load(tmp_path / "out" / "arrays.npz") as arrays:
        assert arrays[cells["parameters"]["tau_syn_E2"]].tolist() == [2000.0]
        number = [p["name"] for p in description["projections"]].index("slow")
        assert arrays[f"projection{number}_weight"] == pytest.approx(0.3 * gain)
    assert description["projections"][number]["port"] == "glia"


def test_all_delays_within_a_tick_of_noise_agree_with_the_float_backend():
    """A population under noise: rates of both agree, and most spikes."""
    rng = np.random.default_rng(4)
    pre, post = np.nonzero(rng.random((40, 30)) < 0.4)
    made = Network(
        [
            Input("in", 40, Poisson(20 * Hz)),
            Population("n", 30, traced(500 * ms, 1 * nA)),
            Projection("in", "n", Pairs(pre, post), 0.3 * nA, 1 * ms),
            Projection(
                "in",
                "n",
                Pairs(pre, post),
                0.01 * uM,
                rng.integers(1, 30, pre.size) * ms,
                port="glia",
                name="slow",
            ),
        ]
    )
    floating, mirror = (run(made, 400 * ms, backend=name) for name in ("event", "spinnaker"))
    a, b = (len(result.spikes["n"]) for result in (floating, mirror))
    assert a > 200
    assert b == pytest.approx(a, rel=0.03)
