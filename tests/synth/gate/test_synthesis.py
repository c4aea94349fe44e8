"""Yosys on a machine of blocks and the fixture's cells: names, boundaries, blocks, and that it still does the same."""

import json
import random
from pathlib import Path

import pytest

from hw.errors import BadInput
from synth.gate import synthesis
from synth.gate.netlist import ZERO
from synth.gate.synthesis import Options, synthesise
from synth.gate.yosys_json import read_netlist
from tests.synth.gate.circuits import FIXTURE, LIBRARY
from tests.synth.gate.machine import Machine

SOURCE = Path(__file__).parent / "blocks.v"
OPTIONS = Options(macros=("bank.words",), boundary=("outside",), clock_gate_bits=4)
BLOCKS = {"bank": "memory", "lane": "sums", "": "rest"}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return tmp_path_factory.mktemp("gate")


@pytest.fixture(scope="module")
def mapped(build):
    return synthesise(SOURCE, "top", [FIXTURE], OPTIONS, build)


def flops(netlist):
    return [i for i, kind in enumerate(netlist.types) if LIBRARY.cells[kind].sequential]


def test_every_flip_flop_has_its_registers_name(mapped):
    netlist = read_netlist(mapped, BLOCKS)
    nets = {netlist.pins[i]["Q"] for i in flops(netlist)}
    signals = netlist.signals
    words = [signals[f"lane.sums[{row}]"] for row in range(4)]
    kept = (*words, signals["lane.product"], signals["lane.wide"][:4], signals["lane.step"], signals["lane.first"])
    assert sorted(nets) == sorted(net for bits in kept for net in bits)
    assert len(nets) == 32 + 8 + 4 + 2 + 1
    # a merged register has both names, a constant one is a constant, high bits that are always 0 are none
    assert signals["lane.first"] == signals["lane.second"]
    assert signals["lane.never"] == (ZERO,)
    assert signals["lane.wide"][4:] == (ZERO,) * 4


def test_srams_and_instances_are_the_boundary(mapped):
    netlist = read_netlist(mapped, BLOCKS)
    assert set(netlist.inputs) == {
        *("clk", "rst", "write", "ask", "row", "word", "at", "take"), "outside_0.answer", "bank.data",
    }  # fmt: skip
    # the address, the enable of writing and the clock come from inputs as they are
    assert set(netlist.outputs) == {
        *("data", "held", "answer", "state", "same"), "outside_0.asked", "bank.reads", "bank.written",
    }  # fmt: skip
    assert netlist.signals["outside_0.asked"] == netlist.signals["held"]
    assert (netlist.top, netlist.clock) == ("top", "clk")


def test_cells_belong_to_their_block(mapped):
    netlist = read_netlist(mapped, BLOCKS)
    assert netlist.blocks == ("memory", "rest", "sums")
    blocks = {netlist.blocks[netlist.block[i]] for i in flops(netlist)}
    assert blocks == {"sums"}
    driver = {net: i for i, pins in enumerate(netlist.pins) for pin, net in pins.items() if pin == "Y"}
    made = {netlist.blocks[netlist.block[driver[net]]] for net in netlist.signals["bank.written"]}
    assert made == {"memory"}
    with pytest.raises(BadInput, match=r"netlist.json: cell .* lies in no block of lane$"):
        read_netlist(mapped, {"lane": "sums"})


@pytest.mark.parametrize("options", [{}, {"clock_gate_bits": 0}, {"booth": False}, {"flat": True}], ids=str)
def test_it_does_what_the_rtl_does(build, options):
    changed = Options(**{**OPTIONS.__dict__, **options})
    netlist = read_netlist(synthesise(SOURCE, "top", [FIXTURE], changed, build), {"": "all"})
    gates = [kind for kind in netlist.types if LIBRARY.cells[kind].clock_gate]
    # product and each of the four words
    assert len(gates) == (5 if changed.clock_gate_bits else 0)
    machine = Machine(netlist, LIBRARY)
    draw = random.Random(7)
    sums, product, wide, step, first, answer, data = [0] * 4, 0, 0, 0, 0, 0, 0
    resets = 0
    for cycle in range(300):
        rst, take, at = int(draw.random() < 0.1 or cycle == 0), draw.randrange(2), draw.randrange(4)
        resets += rst and not take
        write, ask, row, word = draw.randrange(2), draw.randrange(2), draw.randrange(16), draw.randrange(256)
        machine.settle(
            {
                "clk": 0, "rst": rst, "write": write, "ask": ask, "row": row, "word": word, "at": at, "take": take,
                "outside_0.answer": answer, "bank.data": data,
            }
        )  # fmt: skip
        held = sums[at] ^ wide
        want = {"data": data, "held": held, "outside_0.asked": held, "state": step, "same": first, "answer": answer}
        want |= {"bank.reads": ask & ~write & 1, "bank.written": word ^ (255 * (row & 1))}
        want |= {f"lane.sums[{k}]": sums[k] for k in range(4)} | {"lane.product": product, "lane.wide": wide}
        for name, value in want.items():
            assert machine.of(name) == value, (cycle, name)
        machine.step()
        if take:
            sums[at] = (sums[at] + product) & 255
        product = 0 if rst else (data & 15) * (data >> 4) if take else product
        wide, first = data & 15, take ^ (at & 1)
        step = 0 if rst else [take, 3 if at == 3 else 2, 0, 3 if take else 2][step]
        answer, data = draw.randrange(256), draw.randrange(256)
    assert resets > 5  # a reset must reach a gated register that is not enabled


def test_results_are_kept_by_content(mapped, build, monkeypatch, tmp_path):
    copy = tmp_path / "copy.v"
    copy.write_text(SOURCE.read_text())
    monkeypatch.setattr(synthesis, "run_yosys", lambda *_: pytest.fail("synthesised again"))
    assert synthesise(copy, "top", [FIXTURE], OPTIONS, build) == mapped
    stat = json.loads((mapped.parent / "stat.json").read_text())
    netlist = read_netlist(mapped, BLOCKS)
    assert stat["cells"] == len(netlist.cells) == sum(stat["types"].values())
    assert stat["area_um2"] == pytest.approx(sum(LIBRARY.cells[kind].area_um2 for kind in netlist.types))
    copy.write_text(SOURCE.read_text().replace("asked + 1", "asked + 2"))
    with pytest.raises(pytest.fail.Exception, match="synthesised again"):
        synthesise(copy, "top", [FIXTURE], OPTIONS, build)


@pytest.mark.parametrize(
    ("body", "options", "message"),
    [
        (
            "assign y = a; always @(posedge clk) assert (b);",
            {},
            r"library tilewatt_fixture has no cell for \$check, which .* of top wants",
        ),
        ("assign y = a +* b;", {}, r"Yosys stopped: .*ERROR: syntax error, .*\(its log: .*yosys.log\)$"),
        (
            "reg m [15:0]; assign y = m[{a, b, a, b}]; always @(posedge clk) m[{b, a, a, b}] <= a;",
            {"macros": ("top.m",)},
            "memory m is named as an SRAM but read without a clock: take it out of macros",
        ),
    ],
)  # fmt: skip
def test_refusals(tmp_path, body, options, message):
    source = tmp_path / "top.v"
    source.write_text(f"module top(input clk, input a, input b, output y); {body} endmodule\n")
    with pytest.raises(BadInput, match=message):
        synthesise(source, "top", [FIXTURE], Options(**options), tmp_path / "gate")


def test_missing_file(tmp_path):
    with pytest.raises(BadInput, match=r"synthesis wants a file, there is none at .*absent.v$"):
        synthesise(tmp_path / "absent.v", "top", [FIXTURE], Options(), tmp_path)


def without(name: str, tmp_path: Path) -> Path:
    """The fixture less one cell."""
    text = FIXTURE.read_text()
    start = text.index(f"  cell ({name}) {{")
    library = tmp_path / "bare.lib"
    library.write_text(text[:start] + text[text.index("  cell (", start + 1) :])
    return library


def test_latch_without_a_cell(tmp_path):
    source = tmp_path / "top.v"
    source.write_text("module top(input clk, input a, input b, output reg y); always @* if (a) y = b; endmodule\n")
    message = r"Yosys stopped: ERROR: FF .* \(type \$_DLATCH_P_\) cannot be legalized: D latches are not supported"
    with pytest.raises(BadInput, match=message):
        synthesise(source, "top", [without("LATCH", tmp_path)], Options(), tmp_path / "gate")


def test_library_without_a_buffer(tmp_path):
    library = without("BUF", tmp_path)
    library.write_text(library.read_text().replace("  cell (BUF_4) {", "  cell (BUF_4) { dont_use : true;"))
    with pytest.raises(BadInput, match="synthesis wants a library with a buffer, tilewatt_fixture has none"):
        synthesise(SOURCE, "top", [library], OPTIONS, tmp_path)


def test_library_without_a_clock_gate_gates_nothing(build, tmp_path):
    netlist = read_netlist(synthesise(SOURCE, "top", [without("CKGATE", tmp_path)], OPTIONS, build), BLOCKS)
    assert {netlist.pins[i]["CLK"] for i in flops(netlist)} == set(netlist.signals["clk"])
