"""Buffers: the same logic, no net with too many sinks, nothing else changed."""

from dataclasses import replace

import numpy as np

from synth.gate.buffers import FANOUT, buffered, without_buffers
from synth.gate.graph import Graph
from synth.gate.timing import annotate
from synth.gate.wires import stated
from tests.synth.gate.circuits import LIBRARY, circuit

FF = stated(1.0)


def source_of(netlist, net):
    """The net that drives ``net`` through buffers, and how many they are."""
    drivers = {pins["Y"]: pins["A"] for pins, kind in zip(netlist.pins, netlist.types, strict=True) if "BUF" in kind}
    count = 0
    while net in drivers:
        net, count = drivers[net], count + 1
    return net, count


def many(sinks):
    cells = [("g", "INV", "A=a Y=y"), *((f"s{k}", "INV", f"A=y Y=n{k}") for k in range(sinks))]
    return circuit(cells, ["a"], ["y", "n0"])


def test_every_sink_is_still_driven_by_its_net():
    for sinks in (17, 40, 300):
        netlist = many(sinks)
        made = buffered(netlist, LIBRARY, FF)
        y = netlist.signals["y"][0]
        found = [source_of(made, pins["A"]) for pins in made.pins[1 : sinks + 1]]
        assert {net for net, _ in found} == {y}
        assert len({depth for _, depth in found}) == 1, "balanced"
        assert made.pins[0] == netlist.pins[0]
        assert made.cells[: sinks + 1] == netlist.cells
        assert made.signals == netlist.signals
        graph = Graph(made, LIBRARY, FF)
        assert graph.fanout.max() <= FANOUT + 1  # and the bit that the outside reads
        assert len(annotate(made, LIBRARY, FF).overloaded) == 0
        assert len(made.block) == len(made.cells) == len(made.types) == len(made.pins)
        assert len(set(made.cells)) == len(made.cells)


def test_chains_of_buffers_go():
    chain = [("b0", "BUF", "A=a Y=c0"), ("b1", "BUF_4", "A=c0 Y=c1"), ("b2", "BUF", "A=c1 Y=c2")]
    gates = [(f"s{k}", "INV", f"A=c{k} Y=n{k}") for k in range(3)]
    netlist = circuit([*chain, *gates], ["a"], ["n0", "c2"])
    made = buffered(netlist, LIBRARY, FF)
    assert made.cells == ("s0", "s1", "s2")
    a = netlist.signals["a"]
    assert {pins["A"] for pins in made.pins} == set(a)
    assert made.signals["c2"] == made.signals["c0"] == a  # the names stay
    assert len(made.block) == 3


def test_load_beyond_the_limit_is_buffered_below_the_fanout():
    heavy = stated(40.0)  # 3 * 44 fF beyond the 100 fF that NOR2 may drive
    sinks = [("i", "INV", "A=y Y=z"), ("j", "INV", "A=y Y=w"), ("k", "INV", "A=y Y=v")]
    netlist = circuit([("g", "NOR2", "A=a B=a Y=y"), *sinks], ["a"], ["z"])
    made = buffered(netlist, LIBRARY, heavy)
    assert made.types[4:] == ("BUF_4",)
    assert annotate(made, LIBRARY, heavy).overloaded.tolist() == []


def test_clocks_constants_and_small_nets_stay():
    flops = [(f"f{k}", "DFF", f"D=1 CLK=late Q=q{k}") for k in range(40)]
    netlist = circuit([("b", "BUF", "A=clk Y=late"), ("t", "BUF", "A=1 Y=one"), *flops], ["clk"], ["q0"], "clk")
    made = buffered(netlist, LIBRARY, FF)
    assert (made.cells, made.pins, made.nets) == (netlist.cells, netlist.pins, netlist.nets)


def test_blocks():
    netlist = many(20)
    block = np.arange(21, dtype=np.int32) % 2
    made = buffered(replace(netlist, blocks=("a", "b"), block=block), LIBRARY, FF)
    assert made.block.tolist() == [*block, 0, 0]  # that of the driver
    assert without_buffers(made, LIBRARY).block.tolist() == block.tolist()
