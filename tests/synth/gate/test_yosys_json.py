"""Small netlists in Yosys's JSON: numbers, names and what is refused."""

import json

import pytest

from hw.errors import BadInput
from synth.gate.netlist import GONE, ONE, ZERO
from synth.gate.yosys_json import read_netlist

BLACK = {"attributes": {"blackbox": "1"}, "ports": {}, "cells": {}, "netnames": {}}
SRAM = {"RD_CLK": "input", "RD_ADDR": "input", "RD_DATA": "output"}


def cell(kind, directions, **connections):
    return {"type": kind, "port_directions": directions, "connections": connections}


def gate(a, y):
    return cell("INV", {"A": "input", "Y": "output"}, A=[a], Y=[y])


def netlist(tmp_path, cells, blocks=None, **names):
    ports = {"clk": {"direction": "input", "bits": [2]}, "a": {"direction": "input", "bits": [3, 4]}}
    ports["y"] = {"direction": "output", "bits": [5]}
    hidden = {"$1": {"hide_name": 1, "bits": [3]}}
    shown = {name: {"hide_name": 0, "bits": bits} for name, bits in names.items()}
    module = {"attributes": {"top": "1"}, "ports": ports, "cells": cells, "netnames": hidden | shown}
    path = tmp_path / "netlist.json"
    boundary = {"attributes": {"blackbox": "1", "boundary": "1"}}
    path.write_text(json.dumps({"modules": {"m": module, "INV": BLACK, "part": boundary}}))
    return read_netlist(path, blocks or {"": "all"})


def test_constants_lost_bits_and_aliases(tmp_path):
    found = netlist(tmp_path, {"g": gate(3, 5)}, r=["1", "0", "x", 5, 9], other=[5], lost=[9, 10], w=[4])
    assert found.signals["r"][:3] == (ONE, ZERO, ZERO)
    assert found.signals["r"][3:] == (*found.signals["y"], GONE)
    assert found.signals["other"] == found.signals["y"]
    assert "lost" not in found.signals
    assert "$1" not in found.signals
    assert found.pins == ({"A": found.signals["a"][0], "Y": found.signals["y"][0]},)
    assert max(net for nets in found.signals.values() for net in nets) < found.nets


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("$flatten\\p.q.$abc$1$blif$2", "deep"),
        ("$flatten\\p.$auto$ff.cc:337:slice$3", "p"),
        ("$flatten\\p$12.$auto$ff.cc:337:slice$3", "p"),
        ("p.named", "p"),
        ("$flatten\\pq.$abc$1", "top"),
        ("$abc$1$blif$2", "top"),
    ],
)
def test_block_of_a_cell(tmp_path, name, block):
    found = netlist(tmp_path, {name: gate(3, 5)}, {"": "top", "p": "p", "p.q": "deep"})
    assert found.blocks[found.block[0]] == block


def test_instance_at_the_boundary(tmp_path):
    part = cell("part", {"clk": "input", "i": "input", "o": "output"}, clk=[2], i=[3, 5], o=[7, 8])
    found = netlist(tmp_path, {"g": gate(7, 5), "s.part_0": part})
    assert found.inputs == ("clk", "a", "s.part_0.o")
    assert found.outputs == ("y", "s.part_0.i")
    assert len(found.cells) == 1
    assert found.signals["s.part_0.i"] == (found.signals["a"][0], found.signals["y"][0])


def test_names_of_an_srams_pins(tmp_path):
    sram = cell("$mem_v2", SRAM, RD_CLK=[2], RD_ADDR=[4, 5], RD_DATA=[7, 8])
    names = {"s.wide": [7, 8, 5], "s.data": [7, 8], "s._0_": [7, 8], "s.low": [7], "data": [7, 8], "\\$5": [7, 8]}
    found = netlist(tmp_path, {"g": gate(7, 5), "s.words": sram}, **names)
    assert found.inputs == ("clk", "a", "s.data")  # its own, no underscore, no $, no other nets, the whole word
    assert found.signals["$5"] == found.signals["s.data"]  # a public name that begins with $, as a trace has it
    assert found.outputs == ("y",)  # bit 4 of the address is an input, bit 5 is y itself


@pytest.mark.parametrize(
    ("cells", "names", "message"),
    [
        ({"g": gate(6, 5)}, {}, "nothing drives pin A of g"),
        ({"g": cell("$_DLATCH_P_", {}, E=[3])}, {}, r"a netlist of library cells is wanted, g is a \$_DLATCH_P_"),
        (
            {"g": gate(7, 5), "s": cell("$mem_v2", SRAM, RD_CLK=[2], RD_ADDR=[3], RD_DATA=[7])},
            {},
            "pin RD_DATA of SRAM s has no name for a trace to hold: name its net in the RTL",
        ),
        (
            {"g": gate(7, 5), "h": gate(3, 9), "s": cell("$mem_v2", SRAM, RD_CLK=[2], RD_ADDR=[9], RD_DATA=[7])},
            {"d": [7]},
            "pin RD_ADDR of SRAM s has no name for a trace to hold: name its net in the RTL",
        ),
    ],
)
def test_refusals(tmp_path, cells, names, message):
    with pytest.raises(BadInput, match=message):
        netlist(tmp_path, cells, **names)
