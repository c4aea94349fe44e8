"""The tile's buffers composed of SRAM macros: which macro, how many, what is left unused, area and energy of an access.

Only macros of one port serve: a bank of the tile has one access a cycle. A bank whose words are written apart wants a
macro with a write mask. A bank's row lies in macros side by side, all of one kind, which read together; a bank of more
rows than a macro has is a stack of macros, one of which is selected by the upper address bits. Their decoder and
multiplexer are cells, not part of the figures here.
"""

import csv
import functools
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from hw.errors import BadInput
from hw.params import TileParams

TABLE = Path(__file__).parent.parent / "tech" / "data" / "ihp130_sram.csv"
Rule = Literal["area", "energy"]


@dataclass(frozen=True)
class Macro:
    """One SRAM macro. read_pj, write_pj: one access at its clock edge, all pins at rest. <pin>_pj: a transition of one
    pin of that kind (mean of rise and fall) in a macro that is selected, and idle_<pin>_pj in one that is not; <pin>_ff
    its capacitance. access_ns: clock to data; setup_ns: the longest setup of its inputs to the clock."""

    name: str
    rows: int
    bits: int
    ports: int
    masked: bool
    area_um2: float
    leakage_nw: float
    access_ns: float
    setup_ns: float
    read_pj: float
    write_pj: float
    address_pj: float
    idle_address_pj: float
    data_pj: float
    idle_data_pj: float
    mask_pj: float
    idle_mask_pj: float
    clock_ff: float
    enable_ff: float
    address_ff: float
    data_ff: float
    mask_ff: float
    file: str
    sha256: str


@dataclass(frozen=True)
class Memory:
    """A buffer as the tile organises it: ``banks`` memories, each read or written on its own, of ``rows`` rows of
    ``words`` words of ``width`` bits; the words of a row are read together and written each by its enable."""

    name: str
    banks: int
    rows: int
    words: int
    width: int

    @property
    def bits(self) -> int:
        return self.banks * self.rows * self.words * self.width


@dataclass(frozen=True)
class Composition:
    """``memory`` in macros: ``across`` side by side for a bank's row, ``stacked`` for its rows."""

    memory: Memory
    macro: Macro
    across: int
    stacked: int

    @property
    def macros(self) -> int:
        return self.memory.banks * self.across * self.stacked

    @property
    def used(self) -> float:
        """Share of the macros' bits that hold words."""
        return self.memory.bits / (self.macros * self.macro.rows * self.macro.bits)

    @property
    def used_width(self) -> float:
        return self.memory.words * self.memory.width / (self.across * self.macro.bits)

    @property
    def used_depth(self) -> float:
        return self.memory.rows / (self.stacked * self.macro.rows)

    @property
    def area_um2(self) -> float:
        return self.macros * self.macro.area_um2

    @property
    def leakage_nw(self) -> float:
        return self.macros * self.macro.leakage_nw

    @property
    def read_pj(self) -> float:
        """One read of one bank, all its words."""
        return self.across * self.macro.read_pj

    @property
    def write_pj(self) -> float:
        """One write of one bank, whichever words it writes."""
        return self.across * self.macro.write_pj

    @property
    def text(self) -> str:
        m = self.memory
        stack = f"{self.across} across x {self.stacked} deep"
        return (
            f"{m.name}: {m.banks} banks of {m.rows} x {m.words * m.width} bits, each {stack} of {self.macro.name}; "
            f"{100 * self.used_width:.0f} % of width and {100 * self.used_depth:.0f} % of depth used"
        )


def memories(params: TileParams) -> dict[str, Memory]:
    """SB, NBin and NBout as hw/buffers.py builds them: SB a memory for each lane, a neuron buffer one for each bank."""
    width = params.fmt.width
    return {
        "sb": Memory("sb", params.neurons * params.synapses, params.sb_rows, 1, width),
        "nbin": Memory("nbin", params.banks, params.nbin_rows, params.cell_words, width),
        "nbout": Memory("nbout", params.banks, params.nbout_rows, params.cell_words, width),
    }


def shared_sb(params: TileParams) -> Memory:
    """SB with a line of all of a neuron's lanes in common macros. It reads lanes that no one takes, and a lane that is
    not read does not hold its word: not what the tile has, but what wide macros would cost."""
    return Memory("sb", params.neurons, params.sb_rows, params.synapses, params.fmt.width)


def compose(memory: Memory, macros: dict[str, Macro], rule: Rule = "area") -> Composition:
    """The composition of least area, or of least energy of a read, the other deciding between equals."""
    found = [
        Composition(
            memory,
            macro,
            math.ceil(memory.words * memory.width / macro.bits),
            math.ceil(memory.rows / macro.rows),
        )
        for macro in macros.values()
        if macro.ports == 1 and (macro.masked or memory.words == 1)
    ]
    if not found:
        raise BadInput(
            f"{memory.name} wants a macro of one port{' with a write mask' if memory.words > 1 else ''}, "
            f"none of {', '.join(macros) or 'no macros'} is"
        )

    def order(item: Composition) -> tuple[float, float, str]:
        first, second = item.area_um2, item.read_pj
        return (first, second, item.macro.name) if rule == "area" else (second, first, item.macro.name)

    return min(found, key=order)


@functools.cache
def macro_table(path: Path = TABLE) -> dict[str, Macro]:
    """Macros by name from the table that ships with the profile (``synth.tech_ihp`` makes it from the PDK)."""
    if not path.is_file():
        raise BadInput(f"SRAM macros want the table {path.name}: make it with python -m synth.tech_ihp")
    kinds = {field.name: field.type for field in fields(Macro)}
    macros = {}
    with path.open(encoding="utf-8", newline="") as handle:
        for number, item in enumerate(csv.DictReader(handle), 2):
            if set(item) != set(kinds):
                raise BadInput(f"{path.name} wants the columns {', '.join(kinds)}")
            try:
                values = {name: _read(name, kinds[name], text) for name, text in item.items()}
            except ValueError as error:
                raise BadInput(f"{path.name} line {number} wants numbers: {error}") from None
            macros[item["name"]] = Macro(**values)  # type: ignore[arg-type]
    return macros


def _read(name: str, kind: object, text: str) -> object:
    if kind is bool:
        if text not in ("True", "False"):
            raise ValueError(f"{name} is True or False, not {text}")
        return text == "True"
    return text if kind is str else int(text) if kind is int else float(text)
