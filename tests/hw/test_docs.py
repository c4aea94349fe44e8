"""The pages about the machine say what the sources say."""

import ast
import re
from pathlib import Path

from amaranth.lib.wiring import Component

from hw.control import Control
from hw.dma import PATIENCE
from hw.events import CYCLE_KINDS, METERED
from hw.fetch import FETCH_AHEAD
from hw.instructions import Opcode
from hw.isa import OPCODE_BITS, Isa, isa
from hw.margin import MarginController
from hw.meter import EnergyMeter
from hw.nfu_array import NfuArray
from hw.params import preset
from hw.tile import COMPUTE_QUEUE, TRANSFER_QUEUE
from tests.hw.sim import elaborated

ROOT = Path(__file__).resolve().parent.parent.parent
BEGIN, END = "<!-- fields of paper32: begin -->\n", "<!-- fields of paper32: end -->\n"


def field_table(i: Isa) -> str:
    """Every field of every instruction: its lowest bit, width, number of values and sign."""
    lines = ["| instruction | field | lowest bit | width | values | range |", "|---|---|---|---|---|---|"]
    for opcode in Opcode:
        lines.append(f"| **{opcode.name}** = {opcode:d} | opcode | 0 | {OPCODE_BITS} | 1 | {opcode:d} |")
        at = OPCODE_BITS
        for field in i.fields[opcode]:
            low = -(1 << (field.width - 1)) if field.signed else 0
            high = (1 << (field.width - field.signed)) - 1
            lines.append(f"| | `{field.name}` | {at} | {field.width} | {field.count} | {low} to {high} |")
            at += field.bits
    return "\n".join(lines) + "\n"


def test_the_table_of_fields_is_the_encoders() -> None:
    """On a failure the wanted table is in the message: put it between the two marks of docs/program.md."""
    i = isa(preset("paper32"))
    text = (ROOT / "docs" / "program.md").read_text(encoding="utf-8")
    table = text.partition(BEGIN)[2].partition(END)[0]
    assert table == field_table(i)
    assert len(table.splitlines()) == 2 + len(Opcode) + sum(len(fields) for fields in i.fields.values())
    assert f"{i.instruction_beats} bursts ({i.instruction_bytes} bytes)" in text


def components() -> dict[str, Path]:
    """Every hardware block of the tile, by class name."""
    found = {}
    for path in sorted((ROOT / "hw").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] == [Component.__name__]:
                found[node.name] = path
    return found


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def test_every_block_has_its_section_with_signals_handshake_and_latency() -> None:
    blocks, page = components(), sections((ROOT / "docs" / "tile.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 20
    assert set(page) == {f"{name} (`hw/{path.name}`)" for name, path in blocks.items()}
    for title, text in page.items():
        assert "| signal | dir | meaning |" in text, title
        assert re.search(r"^Handshake: ", text, re.MULTILINE), title
        assert re.search(r"^Latency: ", text, re.MULTILINE), title


def test_every_signal_named_is_a_member() -> None:
    """Each signal of each table occurs in the source of its block as a member's name."""
    page, named = sections((ROOT / "docs" / "tile.md").read_text(encoding="utf-8")), 0
    for name, path in components().items():
        source = path.read_text()
        cells = re.findall(r"^\| (`.+?) \| (in|out|both) \|", page[f"{name} (`hw/{path.name}`)"], re.MULTILINE)
        assert cells, name
        for cell, _ in cells:
            for signal in re.findall(r"`(\w+?)(?:_<\w>)?`", cell):
                assert re.search(rf'"{signal}(_|")', source), f"{name} has no {signal}"
                named += 1
    assert named > 150


def test_the_numbers_are_the_sources() -> None:
    tile = (ROOT / "docs" / "tile.md").read_text(encoding="utf-8")
    program = (ROOT / "docs" / "program.md").read_text(encoding="utf-8")
    assert f"{NfuArray.latency} cycles after its issue" in tile
    assert f"{MarginController.latency} cycles" in tile
    assert f"{EnergyMeter.latency} cycles after `done`: one visit of each of {len(METERED)} events" in tile
    assert f"{FETCH_AHEAD} instructions ahead" in tile
    assert f"waited for {PATIENCE} cycles" in tile
    assert f"{TRANSFER_QUEUE} transfers" in program
    assert f"{COMPUTE_QUEUE} windows and computes" in program
    p = preset("paper32")
    assert f"{p.cell_words} neighbouring words of a map row for `paper32`, {p.banks} banks" in program
    assert f"meets {p.row_words} words" in program.replace("\n", " ")
    for kind in CYCLE_KINDS:
        assert f"`{kind.name}`" in tile
    fragment, found = elaborated(Control(isa(preset("small"))))
    assert fragment
    assert any(path.startswith("capacity") for path in found)
