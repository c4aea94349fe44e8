"""Estimate of the clock tree, as no clock tree is built: buffers, wires, and the energy of one edge.

The rule: a net drives at most ``FANOUT`` sinks; more are grouped below buffers, evenly, and the buffers below buffers,
until the root drives no more than that. The buffer is the smallest one of the library that gives ``FANOUT`` sinks with
their wire the slew that is asked for. A net's wire is what the wire rule gives for its fan-out, times the square root
of ``FANOUT`` for every level above the sinks, as the points it joins lie that much farther apart.
"""

import math
from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.library import Cell, Library, Table
from synth.gate.logic import table
from synth.gate.lookup import Tables
from synth.gate.wires import Wires

FANOUT = 16  # sinks below one buffer; usual groups of clock tree synthesis have 10 to 30


@dataclass(frozen=True)
class ClockTree:
    """Tree of one clock net. buffer: its cell. edge_fj: energy of one edge, of buffers and wires, without the sinks'
    own pins; a cycle has two edges. root_load_pf: what the net's driver sees."""

    buffer: str
    buffers: int
    levels: int
    area_um2: float
    leakage_nw: float
    edge_fj: float
    root_load_pf: float


def _value(tables: list[Table | None], slew_ns: float, load_pf: float) -> np.ndarray:
    stack = Tables()
    numbers = np.array([stack.add(entry) for entry in tables if entry is not None], dtype=np.int64)
    return stack.at(numbers, np.full(len(numbers), slew_ns), np.full(len(numbers), load_pf))


def is_buffer(cell: Cell) -> bool:
    """Whether a cell does nothing but drive what it reads, and mapping may use it."""
    if len(cell.inputs) != 1 or len(cell.outputs) != 1 or cell.sequential or cell.clock_gate or cell.dont_use:
        return False
    output = cell.pins[cell.outputs[0]]
    return bool(output.function and output.arcs and output.power) and table(output.function, cell.inputs) == 0b10


def _slew(cell: Cell, slew_ns: float, load_pf: float) -> float:
    arc = cell.pins[cell.outputs[0]].arcs[0]
    return float(np.max(_value([arc.rise_slew, arc.fall_slew], slew_ns, load_pf)))


def buffer_of(library: Library, slew_ns: float, load_pf: float) -> Cell:
    """The smallest buffer that keeps ``slew_ns`` at ``load_pf``, or the fastest. Raises BadInput without buffers."""
    buffers = sorted((cell for cell in library.cells.values() if is_buffer(cell)), key=lambda cell: cell.area_um2)
    if not buffers:
        raise BadInput(f"the library {library.name} has no buffer; a clock tree needs one")
    slews = [_slew(cell, slew_ns, load_pf) for cell in buffers]
    good = [cell for cell, slew in zip(buffers, slews, strict=True) if slew <= slew_ns]
    return good[0] if good else buffers[int(np.argmin(slews))]


def clock_tree(library: Library, wires: Wires, sinks: int, pins_pf: float, slew_ns: float) -> ClockTree:
    """Tree to ``sinks`` clock pins of ``pins_pf`` altogether, with slews of ``slew_ns`` at its buffers."""
    if sinks == 0:
        return ClockTree("", 0, 0, 0.0, 0.0, 0.0, 0.0)
    pin_pf, points, spread, levels, used = pins_pf / sinks, sinks, 1.0, 0, 0
    switched_pf, internal_fj = 0.0, 0.0
    buffer = buffer_of(library, slew_ns, FANOUT * pin_pf + float(wires.capacitance_pf(FANOUT)))
    output = buffer.pins[buffer.outputs[0]]
    while points > FANOUT:
        groups = math.ceil(points / FANOUT)
        wire_pf = float(np.interp(points / groups, range(FANOUT + 1), wires.capacitance_pf(np.arange(FANOUT + 1))))
        load_pf = points / groups * pin_pf + wire_pf * spread
        pin_pf = buffer.pins[buffer.inputs[0]].capacitance_pf
        switched_pf += groups * (wire_pf * spread + pin_pf)
        edges = _value([output.power[0].rise, output.power[0].fall], slew_ns, load_pf)
        internal_fj += groups * float(edges.sum()) / 2 * 1000
        used, levels, points, spread = used + groups, levels + 1, groups, spread * math.sqrt(FANOUT)
    root_wire_pf = float(wires.capacitance_pf(points)) * spread
    edge_fj = internal_fj + 0.5 * (switched_pf + root_wire_pf) * library.voltage_v**2 * 1000
    return ClockTree(
        buffer.name if used else "",
        used,
        levels,
        used * buffer.area_um2,
        used * buffer.leakage_nw,
        edge_fj,
        points * pin_pf + root_wire_pf,
    )
