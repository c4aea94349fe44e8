"""The longest path against sums by hand."""

from dataclasses import replace

import pytest

from hw.errors import BadInput
from synth.gate.graph import Graph
from synth.gate.slack import worst_path
from synth.gate.wires import stated
from tests.synth.gate.circuits import LIBRARY, circuit

FF = stated(1.0)
PAIR = [
    ("f", "DFF", "D=d CLK=clk Q=q"),
    ("i", "INV", "A=q Y=y"),
    ("g", "DFF", "D=y CLK=clk Q=z"),
]


def graph_of(cells, inputs, outputs=(), clock="clk"):
    return Graph(circuit(cells, inputs, outputs, clock), LIBRARY, FF)


def test_flip_flop_to_flip_flop_by_hand():
    path = worst_path(graph_of(PAIR, ["clk", "d"]), clock_slew_ns=0.1)
    # q falls (0.084), y rises (0.010); loads: q 2 + 1 fF, y 1.5 + 1 fF
    fall_q, slew_q = 0.084 + 0.01 + 3 * 0.003, 0.042 + 0.005 + 6 * 0.003
    rise_y, slew_y = 0.010 + 0.1 * slew_q + 4 * 0.0025, 0.005 + 0.05 * slew_q + 8 * 0.0025
    setup = 0.04 + 0.1 * slew_y - 0.05 * 0.1
    assert [(step.cell, step.type, step.edge, step.fanout) for step in path.steps] == [
        ("f", "DFF", "fall", 1),
        ("i", "INV", "rise", 1),
    ]
    assert (path.start, path.end) == ("f", "g.D")
    assert path.steps[0].delay_ns == pytest.approx(fall_q)
    assert path.steps[1].arrival_ns == pytest.approx(fall_q + rise_y)
    assert path.setup_ns == pytest.approx(setup)
    assert path.least_period_ns == pytest.approx(fall_q + rise_y + setup)
    assert path.slack_ns(1.0) == pytest.approx(1.0 - path.least_period_ns)
    assert path.endpoints == 2  # two D pins


def test_inputs_and_outputs():
    gates = [("i", "INV", "A=a Y=y"), ("j", "INV", "A=y Y=z")]
    graph = graph_of(gates, ["a"], ["z"], clock="")
    path = worst_path(graph, input_delay_ns=2.0, output_delay_ns=3.0)
    assert (path.start, path.end, path.setup_ns) == ("a[0]", "z[0]", 3.0)
    assert path.least_period_ns == pytest.approx(5.0 + sum(step.delay_ns for step in path.steps))
    assert len(path.steps) == 2


def test_worst_edge_and_worst_slew_are_taken():
    # y is reached fast through one gate and late through two; XOR's arc without a condition is the slowest
    cells = [("i", "INV", "A=a Y=u"), ("j", "INV", "A=u Y=v"), ("x", "XOR2", "A=a B=v Y=y")]
    path = worst_path(graph_of(cells, ["a"], ["y"], clock=""))
    assert [step.cell for step in path.steps] == ["i", "j", "x"]
    load = (0.002 + 0.002 + 0.004 + 0.004) / 4 + 0.001
    last = path.steps[-1]
    assert last.edge == "rise"
    slew_v = 0.005 + 0.05 * (0.004 + 0.05 * 0.1 + 6 * 0.003) + 8 * 0.005  # v rises, as u falls
    assert last.delay_ns == pytest.approx(0.034 + 0.1 * slew_v + 5 * load)


def test_worst_slew_of_a_net_comes_from_any_of_its_arcs():
    # w rises slowly, as its NOR2 drives five more gates; z falls by it with a worse slew than by b
    load = [(f"s{k}", "INV", f"A=w Y=n{k}") for k in range(5)]
    cells = [("o", "NOR2", "A=a B=a Y=w"), *load, ("g", "NAND2", "A=w B=b Y=z"), ("i", "INV", "A=z Y=y")]
    path = worst_path(graph_of(cells, ["a", "b"], ["y"], clock=""))
    assert [(step.cell, step.edge) for step in path.steps] == [("o", "rise"), ("g", "fall"), ("i", "rise")]
    slew_w = 0.010 + 0.05 * 0.1 + 12 * 0.018  # through B of NOR2: 2 ps more
    slew_z = 0.007 + 0.05 * slew_w + 8 * 0.003
    mean = (8 * 0.002 + 2 * 0.0022) / 10
    assert path.steps[-1].delay_ns == pytest.approx(0.010 + 0.1 * slew_z + 4 * (mean + 0.001))


def test_the_clock_is_not_late_with_the_inputs():
    path = worst_path(graph_of(PAIR, ["clk", "d"]), input_delay_ns=2.0)
    assert (path.start, path.end, path.steps) == ("d[0]", "f.D", ())
    assert path.least_period_ns == pytest.approx(2.0 + 0.04 + 0.1 * 0.1 - 0.05 * 0.1)


def test_gated_clock_is_the_same_edge():
    cells = [("g", "CKGATE", "CLK=clk EN=q GCLK=gated"), ("f", "DFF", "D=d CLK=gated Q=q")]
    path = worst_path(graph_of(cells, ["clk", "d"]))
    assert (path.start, path.end) == ("f", "g.EN")
    assert [step.cell for step in path.steps] == ["f"]
    assert path.setup_ns > 0.05


def test_refusals():
    latch = [("l", "LATCH", "D=d G=clk Q=q")]
    with pytest.raises(BadInput, match=r"between rising edges of one clock; l \(LATCH\) is not on it"):
        worst_path(graph_of(latch, ["clk", "d"], ["q"]))
    ripple = [*PAIR, ("r", "DFF", "D=d CLK=z Q=w")]
    with pytest.raises(BadInput, match=r"between rising edges of one clock; r \(DFF\) is not on it"):
        worst_path(graph_of(ripple, ["clk", "d"]))
    flop = LIBRARY.cells["DFF"]
    arcs = tuple(replace(arc, kind=arc.kind.replace("rising", "falling")) for arc in flop.pins["D"].arcs)
    falling = replace(flop, pins=flop.pins | {"D": replace(flop.pins["D"], arcs=arcs)})
    library = replace(LIBRARY, cells=LIBRARY.cells | {"DFF": falling})
    with pytest.raises(BadInput, match=r"between rising edges of one clock; f \(DFF\) is not on it"):
        worst_path(Graph(circuit(PAIR, ["clk", "d"], clock="clk"), library, FF))
    with pytest.raises(BadInput, match="netlist circuit has no flip-flop and no output; there is no path"):
        worst_path(graph_of([("i", "INV", "A=a Y=y")], ["a"], clock=""))
