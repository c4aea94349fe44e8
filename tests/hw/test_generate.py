"""Generated Verilog: the same bytes twice, a sidecar that tells what is there, registers counted by hand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.errors import BadInput
from hw.events import event_names
from hw.generate import generate
from hw.isa import isa
from hw.monitor import registers
from hw.params import RESULT_CELLS, TileParams, preset

KEYS = {"schema", "top", "parameters", "hash", "ports", "snapshot", "instruction_beats", "register_bits", "versions"}
KEYS |= {"annotation"}

BY_HAND = """\
module leaf(clk, rst, q);
  input clk;
  input rst;
  output [3:0] q;
  reg [3:0] q = 4'h0;
  reg ready = 1'h1;
  reg signed [2:0] low = 3'h0;
  reg [3:0] \\$next ;
  reg [7:0] \\$auto$memory$1 = 8'h00;
  reg [15:0] words [7:0];
  wire [3:0] other;
endmodule

module \\top.inner (clk, rst);
  input clk;
  input rst;
  reg [9:0] count = 10'h000;
  leaf one (
    .clk(clk),
    .rst(rst)
  );
endmodule

module tile(clk, rst);
  input clk;
  input rst;
  reg [1:0] state = 2'h0;
  leaf \\leaf_0 (
    .clk(clk)
  );
  leaf leaf_1 (
    .clk(clk)
  );
  \\top.inner inner (
    .clk(clk)
  );
endmodule
"""


def bits(text: str) -> int:
    return sum(register.width for register in registers(text, "tile"))


def self_reads(text: str) -> list[str]:
    """Signals that a combinational block both makes and reads: it would read their bits of before, which Amaranth's
    own simulator does not."""
    found, name = [], re.compile(r"\\\S+|\b[a-zA-Z_]\w*")
    for block in re.findall(r"^  always @\* begin\n(.*?)^  end\n", text, re.MULTILINE | re.DOTALL):
        made: set[str] = set()
        read: set[str] = set()
        for line in block.splitlines():
            assignment = re.fullmatch(r" *(?!if |case)(.+?) = (.*);", line)
            made |= set(name.findall(assignment[1])) if assignment else set()
            read |= set(name.findall(assignment[2] if assignment else line))
        found += sorted(made & read)
    return found


def check(p: TileParams, source: Path, side: Path) -> dict[str, Any]:
    """The Verilog and its sidecar tell the same."""
    text, sidecar = source.read_text(), json.loads(side.read_text())
    assert set(sidecar) >= KEYS
    assert TileParams.from_dict(sidecar["parameters"]) == p
    assert sidecar["hash"] == p.hash
    assert sidecar["instruction_beats"] == isa(p).instruction_beats
    assert text.count("  always @* begin\n") > 100
    assert self_reads(text) == []
    modules = re.findall(r"^module \\?([\w.$]+)", text, re.MULTILINE)
    assert len(modules) == len(set(modules))
    assert modules.count("neuron") == 1  # equal neurons are one module
    assert len(re.findall(r"^  neuron \\?neuron_\d+", text, re.MULTILINE)) == p.neurons
    assert sidecar["ports"]["dram__req_data"] == {"direction": "output", "width": p.beat_bits}
    assert sidecar["ports"]["dram__rsp_data"] == {"direction": "input", "width": p.beat_bits}
    assert sidecar["ports"]["out__data"]["width"] == RESULT_CELLS * p.cell_words * p.fmt.width
    assert sidecar["ports"]["out__mask"]["width"] == RESULT_CELLS * p.cell_words
    assert sidecar["ports"]["start"] == {"direction": "input", "width": 1}
    # the registers of products and operands alone
    least = p.neurons * p.synapses * 2 * p.fmt.width + p.groups * p.synapses * p.fmt.width
    assert least < sidecar["register_bits"] < 10 * least
    shares = sidecar["annotation"].values()
    assert sum(share["bits"] for share in shares) == sidecar["register_bits"]
    assert all(0 <= share["counted"] <= share["bits"] for share in shares)
    return sidecar


def test_the_same_parameters_give_the_same_bytes(tmp_path: Path) -> None:
    p = preset("small").replace(activity=True)
    first, second = generate(p, tmp_path / "a"), generate(p, tmp_path / "b")
    assert [path.name for path in first] == ["tile.v", "tile.json"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["tile.json", "tile.v"]
    sidecar, text = check(p, *first), first[0].read_text()
    assert sidecar["snapshot"]["events"] == list(event_names(activity=True))
    annotation = sidecar["annotation"]
    products = p.neurons * p.synapses * 2 * p.fmt.width
    assert products < annotation["neurons"]["counted"] <= annotation["neurons"]["bits"]
    assert all(share["counted"] == share["bits"] for name, share in annotation.items() if name != "neurons")
    assert annotation.keys() >= {"nfu", "post", "engine", "control", "dma", "arbiter", "margin", "tile"}
    width = sidecar["snapshot"]["counter_bits"] * len(event_names(activity=True))
    assert sidecar["ports"]["snapshot"] == {"direction": "output", "width": width}
    for cell in ("toggle_register", "toggle_probe"):
        assert len(re.findall(rf"^module {cell}\b", text, re.MULTILINE)) == 1
        assert len(re.findall(rf"^  {cell} ", text, re.MULTILINE)) > 0


def test_without_counters_there_is_no_snapshot(tmp_path: Path) -> None:
    p = preset("odd").replace(counters=False)
    source, side = generate(p, tmp_path)
    sidecar = check(p, source, side)
    assert sidecar["snapshot"] is None
    assert "snapshot" not in sidecar["ports"]
    assert {share["counted"] for share in sidecar["annotation"].values()} == {0}
    assert sidecar["register_bits"] == bits(source.read_text())
    assert "toggle" not in source.read_text().replace("toggles", "").replace("clear_toggle", "")


BUDGET_PORTS = {"image_energy": 48, "image_cycles": 32, "capacity": 3, "impossible": 1, "settled": 1}


@pytest.mark.parametrize("name", ["small", "odd"])
def test_meter_and_controller_are_there_on_request_only(name: str, tmp_path: Path) -> None:
    """They need no counters, and what they take is no part of a tile without them."""
    p = preset(name)
    source, side = generate(p, tmp_path / "without")
    without = check(p, source, side)
    assert not BUDGET_PORTS.keys() & without["ports"].keys()
    assert not re.search(r"\bmodule \\?tile\.(meter|budget)\b", source.read_text())
    for counters in (True, False):
        q = p.replace(budget=True, counters=counters)
        source, side = generate(q, tmp_path / f"with-{counters}")
        found = check(q, source, side)
        assert {port: found["ports"][port]["width"] for port in BUDGET_PORTS} == BUDGET_PORTS
        assert re.search(r"\bmodule \\?tile\.meter\b", source.read_text())
        more = sum(found["annotation"][part]["bits"] for part in ("meter", "budget"))
        assert found["register_bits"] == without["register_bits"] + more
        assert more < 500


def test_register_bits_of_a_text_by_hand() -> None:
    leaf = 4 + 1 + 3  # no memory, no memory output, no combinational reg
    assert bits(BY_HAND) == 2 + 2 * leaf + (10 + leaf)
    assert bits(BY_HAND.replace("reg [9:0] count", "reg [19:0] count")) == 2 + 2 * leaf + (20 + leaf)
    assert bits(BY_HAND.replace("  leaf leaf_1 (\n    .clk(clk)\n  );\n", "")) == 2 + leaf + (10 + leaf)


def test_a_self_read_is_found() -> None:
    """A field of a signal made from another one of its fields, under a condition."""

    class Careless(Component):
        def __init__(self, careful: bool) -> None:
            self.careful = careful
            super().__init__({"on": In(1), "a": In(4), "b": Out(8)})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            with m.If(self.on):
                m.d.comb += [self.b[:4].eq(self.a if self.careful else self.b[4:]), self.b[4:].eq(self.a)]
            return m

    assert self_reads(verilog.convert(Careless(True), emit_src=False)) == []
    assert len(self_reads(verilog.convert(Careless(False), emit_src=False))) == 1


def test_a_refused_machine_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neurons wants"):
        generate(preset("small").replace(neurons=0), tmp_path / "out")
    assert not (tmp_path / "out").exists()
