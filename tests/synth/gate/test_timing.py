"""Delays and energies of small netlists against sums by hand from fixture.lib's formulas."""

import numpy as np
import pytest

from hw.errors import BadInput
from synth.gate.delays import NONE
from synth.gate.graph import Graph
from synth.gate.timing import annotate, clock_trees
from synth.gate.wires import stated
from tests.synth.gate.circuits import LIBRARY, circuit

FF = stated(1.0)
FALL, RISE = 0, 1


def choose(delays, netlist, cell, what, source, edge, state, target=0):
    """The number that a simulation would read; None for no entry."""
    at = netlist.cells.index(cell)
    kind = delays.type_of[at]
    pins = delays.inputs[kind] + delays.outputs[kind]
    place = source * 2 + edge if what == "own" else (target * delays.inputs[kind] + source) * 2 + edge
    choice, first = getattr(delays, f"{what}_choice"), getattr(delays, f"{what}_choice_first")
    entry = int(choice[first[kind] + (place << pins) + state])
    values = {"delay": delays.delay_ps, "energy": delays.energy_fj, "own": delays.own_fj}[what]
    return None if entry == NONE else values[getattr(delays, f"{what}_first")[at] + entry]


def test_two_gates_by_hand():
    netlist = circuit([("g1", "INV", "A=a Y=y"), ("g2", "NAND2", "A=y B=b Y=z")], ["a", "b"], ["z"])
    delays = annotate(netlist, LIBRARY, FF, input_slew_ns=0.1)
    y, z = netlist.signals["y"][0], netlist.signals["z"][0]
    load_z = (0.002 + 0.002 + 0.0022) / 3 + 0.001
    np.testing.assert_allclose(delays.load_ff[[y, z]], [3.0, load_z * 1000])
    # INV: fall of a makes the rise of y (state bit 0 = a = 0, y before = 0)
    assert choose(delays, netlist, "g1", "delay", 0, RISE, 0b00) == pytest.approx(10 + 10 + 4 * 3)
    assert choose(delays, netlist, "g1", "delay", 0, FALL, 0b11) == pytest.approx(8 + 10 + 3 * 3)
    rise, fall = 0.005 + 0.05 * 0.1 + 8 * 0.003, 0.004 + 0.05 * 0.1 + 6 * 0.003
    np.testing.assert_allclose(delays.slew_ns[y], [fall, rise])
    assert choose(delays, netlist, "g1", "energy", 0, RISE, 0b00) == pytest.approx(1 + 0.1 + 0.002 * 3)
    # NAND2: z rises when y falls; through B it has 2 ps and 0.2 fJ more, and the input's slew
    assert choose(delays, netlist, "g2", "delay", 0, RISE, 0b010) == pytest.approx(12 + 100 * fall + 4000 * load_z)
    assert choose(delays, netlist, "g2", "delay", 1, RISE, 0b001) == pytest.approx(14 + 10 + 4000 * load_z)
    assert choose(delays, netlist, "g2", "energy", 0, RISE, 0b010) == pytest.approx(1.2 + fall + 2 * load_z)
    assert choose(delays, netlist, "g2", "energy", 1, FALL, 0b111) == pytest.approx(1 + 0.1 + 2 * load_z)
    through_a, through_b = 0.006 + 0.05 * fall, 0.007 + 0.05 * 0.1
    assert delays.slew_ns[z, RISE] == pytest.approx((through_a + through_b) / 2 + 8 * load_z)
    assert delays.leakage_nw.tolist() == [0.1, 0.15]
    assert (delays.voltage_v, delays.overloaded.tolist()) == (1.0, [])


def test_flip_flop_by_hand():
    netlist = circuit([("f", "DFF", "D=d CLK=clk Q=q")], ["clk", "d"], ["q"], "clk")
    delays = annotate(netlist, LIBRARY, FF, clock_slew_ns=0.2, input_slew_ns=0.1)
    load = (0.0015 + 0.002) / 2 + 0.001
    rising = 0b011  # D = 1, CLK = 1 after the edge, Q = 0 before it
    assert choose(delays, netlist, "f", "delay", 1, RISE, rising) == pytest.approx(80 + 20 + 3000 * load)
    assert choose(delays, netlist, "f", "energy", 1, RISE, rising) == pytest.approx(10 + 0.2 + 2 * load)
    assert choose(delays, netlist, "f", "energy", 0, RISE, rising) is None  # D moves nothing
    assert choose(delays, netlist, "f", "own", 1, RISE, rising) == 0  # Q will rise: its arc has it all
    assert choose(delays, netlist, "f", "own", 1, RISE, 0b111) == pytest.approx(6.0 + 0.4)
    assert choose(delays, netlist, "f", "own", 1, FALL, 0b101) == pytest.approx(4.0 + 0.4)
    assert choose(delays, netlist, "f", "own", 0, RISE, 0b001) == pytest.approx(2.0 + 0.1)
    assert choose(delays, netlist, "f", "own", 0, RISE, 0b011) == pytest.approx(1.0 + 0.1)
    clk = netlist.signals["clk"][0]
    assert delays.is_clock.tolist() == [net == clk for net in range(netlist.nets)]
    assert delays.load_ff[clk] == pytest.approx(2.0)
    assert delays.extra_fj[clk] == pytest.approx(0.5)  # 1 fF of wire at 1 V, one edge
    assert np.count_nonzero(delays.extra_fj) == 1


def test_condition_of_xor():
    netlist = circuit([("x", "XOR2", "A=a B=b Y=y")], ["a", "b"], ["y"])
    delays = annotate(netlist, LIBRARY, FF)
    load = 0.004 + 0.001
    assert choose(delays, netlist, "x", "delay", 0, RISE, 0b001) == pytest.approx(30 + 10 + 4000 * load)  # B = 0
    assert choose(delays, netlist, "x", "delay", 0, RISE, 0b010) == pytest.approx(22 + 10 + 5000 * load)  # B = 1
    assert choose(delays, netlist, "x", "energy", 0, RISE, 0b001) == pytest.approx(4 + 0.1 + 2 * load)
    assert choose(delays, netlist, "x", "energy", 0, RISE, 0b010) == pytest.approx(2 + 0.1 + 2 * load)
    y = netlist.signals["y"][0]
    # two ways by A and two by B (their intrinsic delay 4 ps more); the arcs that hold always are not ways
    wanted = 0.005 + np.mean(
        [(0.030 / 2 + 8 * load), (0.022 / 2 + 10 * load), (0.034 / 2 + 8 * load), (0.026 / 2 + 10 * load)]
    )
    assert delays.slew_ns[y, RISE] == pytest.approx(wanted)


def test_clock_gates_are_ideal_and_their_tree_is_counted():
    flops = [(f"f{k}", "DFF", f"D=d CLK=gated Q=q{k}") for k in range(40)]
    netlist = circuit([("g", "CKGATE", "CLK=clk EN=en GCLK=gated"), *flops], ["clk", "en", "d"], ["q0"], "clk")
    graph = Graph(netlist, LIBRARY, FF)
    delays = annotate(netlist, LIBRARY, FF, clock_slew_ns=0.1, graph=graph)
    gated, q = netlist.signals["gated"][0], netlist.signals["q0"][0]
    assert choose(delays, netlist, "g", "delay", 0, RISE, 0b011) == 0
    assert delays.slew_ns[gated].tolist() == [0.1, 0.1]
    tree = clock_trees(graph, 0.1)[gated]
    assert tree.buffers == 3
    assert delays.extra_fj[gated] == tree.edge_fj > 0
    assert delays.load_ff[gated] == pytest.approx(40 * 2)
    energy = choose(delays, netlist, "g", "energy", 0, RISE, 0b011)
    assert energy == pytest.approx(5.0 + 0.1 + 2 * tree.root_load_pf)
    assert delays.slew_ns[q, RISE] == pytest.approx(0.04 + 0.005 + 6 * delays.load_ff[q] / 1000)


def test_overloaded_cells_are_named():
    sinks = [(f"s{k}", "INV", f"A=y Y=n{k}") for k in range(40)]
    netlist = circuit([("k", "INV", "A=b Y=w"), ("g", "INV", "A=a Y=y"), *sinks], ["a", "b"], ["w"])
    assert annotate(netlist, LIBRARY, FF).overloaded.tolist() == [1]  # 40 * 3 fF beyond 100 fF


def test_constants_and_open_outputs():
    netlist = circuit([("g", "NAND2", "A=a B=1 Y=y"), ("open", "DFF", "D=y CLK=clk")], ["a", "clk"], ["y"], "clk")
    delays = annotate(netlist, LIBRARY, FF)
    y = netlist.signals["y"][0]
    assert delays.slew_ns[y, RISE] == pytest.approx(0.006 + 0.005 + 8 * delays.load_ff[y] / 1000)  # by A alone
    assert np.all(np.isfinite(delays.delay_ps))
    assert delays.delay_first.tolist() == [0, 4, 6]
    assert delays.delay_ps[4:].tolist() == [0, 0]


def test_arrays_fit_together():
    netlist = circuit(
        [(f"c{k}", name, " ".join(f"{pin}=n{k}{pin}" for pin in cell.inputs + cell.outputs))
         for k, (name, cell) in enumerate(LIBRARY.cells.items())],
        [f"n{k}{pin}" for k, cell in enumerate(LIBRARY.cells.values()) for pin in cell.inputs],
    )  # fmt: skip
    delays = annotate(netlist, LIBRARY, FF)
    assert len(delays.types) == len(LIBRARY.cells) == 15
    for what, values in (("delay", delays.delay_ps), ("energy", delays.energy_fj), ("own", delays.own_fj)):
        choice, first = getattr(delays, f"{what}_choice"), getattr(delays, f"{what}_choice_first")
        counts = np.diff(getattr(delays, f"{what}_first"))
        assert getattr(delays, f"{what}_first")[-1] == len(values)
        assert choice.dtype == np.uint16
        for kind in range(15):
            pins = delays.inputs[kind] + delays.outputs[kind]
            places = delays.inputs[kind] * 2 * (1 if what == "own" else delays.outputs[kind])
            part = choice[first[kind] : first[kind + 1]]
            assert len(part) == places << pins
            (cell,) = np.flatnonzero(delays.type_of == kind)
            assert np.all((part == NONE) | (part < counts[cell]))
            assert set(range(counts[cell])) >= set(part[part != NONE].tolist())


@pytest.mark.parametrize(("clock", "inputs"), [(0.0, 0.1), (0.1, -1.0), (float("nan"), 0.1)])
def test_bad_slews(clock, inputs):
    netlist = circuit([("g", "INV", "A=a Y=y")], ["a"], ["y"])
    with pytest.raises(BadInput, match="wanted slews above 0 ns, got"):
        annotate(netlist, LIBRARY, FF, clock_slew_ns=clock, input_slew_ns=inputs)
