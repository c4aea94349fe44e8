"""Loads, clock nets and levels of small netlists, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from hw.errors import BadInput
from synth.gate.graph import Graph
from synth.gate.wires import stated
from tests.synth.gate.circuits import LIBRARY, circuit

FF = stated(1.0)  # 1 fF of wire per sink


def test_loads():
    netlist = circuit(
        [("g1", "INV", "A=a Y=y"), ("g2", "NAND2", "A=y B=b Y=z"), ("g3", "BUF_4", "A=y Y=w")], ["a", "b"], ["z", "y"]
    )
    graph = Graph(netlist, LIBRARY, FF)
    y, z, w = (netlist.signals[name][0] for name in "yzw")
    mean = (0.002 + 0.002 + 0.0022 + 0.004) / 4  # what a bit that the outside reads counts for
    assert graph.fanout[[y, z, w]].tolist() == [3, 1, 0]
    np.testing.assert_allclose(graph.load_pf[[y, z, w]], [0.002 + 0.004 + mean + 0.003, mean + 0.001, 0.0])


def test_clock_nets_go_through_gates_and_buffers():
    netlist = circuit(
        [
            ("b", "BUF", "A=clk Y=buffered"),
            ("g", "CKGATE", "CLK=buffered EN=en GCLK=gated"),
            ("i", "INV", "A=gated Y=inverted"),
            ("n", "INV", "A=en Y=off"),
            ("f", "DFF", "D=d CLK=gated Q=q"),
        ],
        ["clk", "en", "d"],
        ["q"],
        "clk",
    )
    graph = Graph(netlist, LIBRARY, FF)
    clocks = {name for name, (net,) in netlist.signals.items() if graph.is_clock[net]}
    assert clocks == {"clk", "buffered", "gated", "inverted"}
    gated = netlist.signals["gated"][0]
    assert graph.load_pf[gated] == pytest.approx(0.004)  # pins alone: the wire is the tree's


def test_levels():
    chain = [(f"g{k}", "INV", f"A=n{k} Y=n{k + 1}") for k in range(5)]
    graph = Graph(circuit([*chain[::-1], ("x", "XOR2", "A=n2 B=n5 Y=z")], ["n0"], ["z"]), LIBRARY, FF)
    rows = graph.rows
    level = np.searchsorted(rows.starts, np.arange(len(rows.cell)), side="right") - 1
    of_cell = {graph.netlist.cells[cell]: int(depth) for cell, depth in zip(rows.cell, level, strict=True)}
    assert of_cell == {"g0": 1, "g1": 2, "g2": 3, "g3": 4, "g4": 5, "x": 6}


def test_a_loop_through_a_flip_flop_is_none():
    loop = [("f", "DFF", "D=d CLK=clk Q=q"), ("i", "INV", "A=q Y=d")]
    assert len(Graph(circuit(loop, ["clk"], ["q"], "clk"), LIBRARY, FF).rows.cell) == 4


def test_refusals():
    with pytest.raises(BadInput, match="the library tilewatt_fixture has no cell OR9 of the netlist circuit"):
        Graph(circuit([("g", "OR9", "A=a Y=y")], ["a"], ["y"]), LIBRARY, FF)
    with pytest.raises(BadInput, match=r"input B of cell g \(NAND2\) is connected to nothing"):
        Graph(circuit([("k", "NAND2", "A=a B=a Y=z"), ("g", "NAND2", "A=a Y=y")], ["a"], ["y"]), LIBRARY, FF)
    ring = [("g", "NAND2", "A=a B=z Y=y"), ("h", "INV", "A=y Y=x"), ("k", "INV", "A=x Y=z"), ("o", "INV", "A=z Y=o")]
    with pytest.raises(BadInput, match=r"has a loop of combinational cells at or before [ghko] \("):
        Graph(circuit(ring, ["a"], ["o"]), LIBRARY, FF)


def test_an_empty_netlist():
    graph = Graph(replace(circuit([], ["a"], ["a"])), LIBRARY, FF)
    assert len(graph.rows.cell) == 0
    assert graph.delay_first.tolist() == [0]
