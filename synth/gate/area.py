"""Area by component, as T16's Tables 1 and 2 list it: cells of the netlists and SRAM macros, before a layout.

Cells only: no clock tree, no room for wires, as after synthesis. "registers" are all flip-flops, latches and clock
gates of the tile; they stand in the other components too and add nothing to the whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hw.errors import BadInput
from hw.params import TileParams
from synth.gate.blocks import COMPONENTS
from synth.gate.library import Library
from synth.gate.macros import Composition
from synth.gate.netlist import Netlist

REGISTERS, TILE = "registers", "whole tile"
SRAMS = {"sb": "SB", "nbin": "NBin", "nbout": "NBout"}


@dataclass(frozen=True)
class Area:
    """cells_um2 without macros_um2; flops_um2 is the part of cells_um2 in flip-flops, latches and clock gates."""

    component: str
    cells: int
    cells_um2: float
    flops_um2: float
    macros: int
    macros_um2: float

    @property
    def um2(self) -> float:
        return self.cells_um2 + self.macros_um2

    def __add__(self, other: "Area") -> "Area":
        return Area(
            self.component,
            self.cells + other.cells,
            self.cells_um2 + other.cells_um2,
            self.flops_um2 + other.flops_um2,
            self.macros + other.macros,
            self.macros_um2 + other.macros_um2,
        )


def block_areas(netlist: Netlist, library: Library) -> dict[str, Area]:
    """Cells of each block of a netlist."""
    areas = {block: Area(block, 0, 0.0, 0.0, 0, 0.0) for block in netlist.blocks}
    for kind, number in zip(netlist.types, netlist.block, strict=True):
        cell = library.cells[kind]
        stores = cell.area_um2 if cell.sequential or cell.clock_gate else 0.0
        block = netlist.blocks[number]
        areas[block] += Area(block, 1, cell.area_um2, stores, 0, 0.0)
    return areas


def component_areas(
    neuron: Netlist, rest: Netlist, params: TileParams, library: Library, srams: Mapping[str, Composition]
) -> dict[str, Area]:
    """Area of each component, of all registers, and of the whole tile, in the order of the tables.

    neuron: one of the ``params.neurons`` equal neurons; rest: the tile without them, read with the blocks of
    `synth.gate.blocks`. srams: the macros of sb, nbin and nbout.
    """
    blocks: dict[str, Area] = {}
    for netlist, times in ((neuron, params.neurons), (rest, 1)):
        for block, one in block_areas(netlist, library).items():
            blocks[block] = Area(block, times * one.cells, times * one.cells_um2, times * one.flops_um2, 0, 0.0)
    listed = {block for members in COMPONENTS.values() for block in members}
    if strange := sorted(set(blocks) - listed):
        raise BadInput(f"areas want the blocks of synth.gate.blocks, not {', '.join(strange)}")
    found: dict[str, Area] = {}
    for component, members in COMPONENTS.items():
        found[component] = Area(component, 0, 0.0, 0.0, 0, 0.0)
        for block in members:
            if block in blocks:
                found[component] += blocks[block]
    for name, component in SRAMS.items():
        found[component] += Area(component, 0, 0.0, 0.0, srams[name].macros, srams[name].area_um2)
    whole = Area(TILE, 0, 0.0, 0.0, 0, 0.0)
    for one in found.values():
        whole += one
    cells = sum(
        times * sum(bool(library.cells[kind].sequential or library.cells[kind].clock_gate) for kind in netlist.types)
        for netlist, times in ((neuron, params.neurons), (rest, 1))
    )
    found[REGISTERS] = Area(REGISTERS, cells, whole.flops_um2, whole.flops_um2, 0, 0.0)
    found[TILE] = whole
    return found
