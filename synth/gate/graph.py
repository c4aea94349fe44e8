"""A netlist as arrays: pins by type of cell, loads, clock nets, and the ways edges take, level by level."""

from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.arcs import TypeArcs, type_arcs
from synth.gate.library import Library
from synth.gate.lookup import Tables
from synth.gate.netlist import ONE, Netlist
from synth.gate.wires import Wires


@dataclass(frozen=True)
class Members:
    """The cells of one type: their numbers [n] and nets [n, inputs], [n, outputs]; -1 for an output left open."""

    arcs: TypeArcs
    cells: np.ndarray
    in_nets: np.ndarray
    out_nets: np.ndarray


@dataclass(frozen=True)
class Rows:
    """All rows of all cells (see `synth.gate.arcs.Row`), sorted by level; entry counts over the whole netlist.

    delay, slew: numbers of tables. level: 0 for rows that nothing passes along (asynchronous, from a constant, of a
    clock net); starts [levels + 1]: first row of each level.
    """

    cell: np.ndarray
    entry: np.ndarray
    in_net: np.ndarray
    out_net: np.ndarray
    edge_in: np.ndarray
    edge_out: np.ndarray
    delay: np.ndarray
    slew: np.ndarray
    used: np.ndarray
    starts: np.ndarray


class Graph:
    """Netlist, library and wires joined.

    fanout, load_pf [nets]: sinks, and capacitance of pins and wire; a bit that the outside reads counts as one sink of
    the mean capacitance of the netlist's own sinks. A clock net has no wire here: its tree has (see clock_tree).
    is_clock [nets]: the clock and what clock gates, buffers and inverters make of it.
    delay_first [cells + 1]: first entry of each cell's delays.

    Raises BadInput for a cell that the library lacks, an input left open, a loop of combinational cells.
    """

    def __init__(self, netlist: Netlist, library: Library, wires: Wires) -> None:
        self.netlist, self.library, self.wires = netlist, library, wires
        self.types = tuple(sorted(set(netlist.types)))
        missing = [name for name in self.types if name not in library.cells]
        if missing:
            raise BadInput(f"the library {library.name} has no cell {missing[0]} of the netlist {netlist.top}")
        number = {name: i for i, name in enumerate(self.types)}
        self.type_of = np.array([number[name] for name in netlist.types], dtype=np.int32)
        self.members = tuple(self._members(i) for i in range(len(self.types)))
        self.is_clock = self._clock_nets()
        self.fanout, self.pins_pf, self.load_pf = self._loads()
        counts = np.array([len(group.arcs.used) for group in self.members], dtype=np.int64)[self.type_of]
        self.delay_first = np.concatenate([[0], np.cumsum(counts)]) if len(counts) else np.zeros(1, dtype=np.int64)
        self.tables = Tables()
        self.rows = self._rows()

    def _members(self, number: int) -> Members:
        arcs = type_arcs(self.library.cells[self.types[number]])
        cells = np.flatnonzero(self.type_of == number)
        pins = [self.netlist.pins[cell] for cell in cells]
        try:
            in_nets = [[pin[name] for name in arcs.inputs] for pin in pins]
        except KeyError as error:
            cell = next(cell for cell, pin in zip(cells, pins, strict=True) if error.args[0] not in pin)
            where = f"{self.netlist.cells[cell]} ({self.types[number]})"
            raise BadInput(f"input {error.args[0]} of cell {where} is connected to nothing") from None
        out_nets = [[pin.get(name, -1) for name in arcs.outputs] for pin in pins]
        shape = (len(cells), -1)
        return Members(
            arcs,
            cells,
            np.array(in_nets, dtype=np.int32).reshape(shape if arcs.inputs else (len(cells), 0)),
            np.array(out_nets, dtype=np.int32).reshape(shape if arcs.outputs else (len(cells), 0)),
        )

    def _clock_nets(self) -> np.ndarray:
        clock = np.zeros(self.netlist.nets, dtype=bool)
        if self.netlist.clock:
            clock[list(self.netlist.signals[self.netlist.clock])] = True
        passing = []
        for group in self.members:
            cell = group.arcs.cell
            gates = [i for i, name in enumerate(group.arcs.inputs) if cell.pins[name].gate_role == "clock"]
            if cell.clock_gate or (cell.sequential is None and len(group.arcs.inputs) == 1 and group.arcs.outputs):
                passing.append((group.in_nets[:, gates[0] if gates else 0], group.out_nets[:, 0]))
        while True:
            reached = clock.copy()
            for source, target in passing:
                reached[target[clock[source] & (target > ONE)]] = True
            if np.array_equal(reached, clock):
                return clock
            clock = reached

    def _loads(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        fanout = np.zeros(self.netlist.nets, dtype=np.int64)
        pins_pf = np.zeros(self.netlist.nets)
        for group in self.members:
            for place, name in enumerate(group.arcs.inputs):
                sinks = np.bincount(group.in_nets[:, place], minlength=self.netlist.nets)
                fanout += sinks
                pins_pf += sinks * group.arcs.cell.pins[name].capacitance_pf
        outside = sorted({net for name in self.netlist.outputs for net in self.netlist.signals[name] if net > ONE})
        pins_pf[outside] += pins_pf.sum() / max(int(fanout.sum()), 1)
        fanout[outside] += 1
        return fanout, pins_pf, pins_pf + np.where(self.is_clock, 0.0, self.wires.capacitance_pf(fanout))

    def _rows(self) -> Rows:
        parts: dict[str, list[np.ndarray]] = {name: [] for name in Rows.__dataclass_fields__ if name != "starts"}
        passes = []
        for group in self.members:
            first = self.delay_first[group.cells]
            for row in group.arcs.rows:
                source, target = group.in_nets[:, row.source], group.out_nets[:, row.target]
                kept = target > ONE
                count = int(kept.sum())
                parts["cell"].append(group.cells[kept])
                parts["entry"].append(first[kept] + row.entry)
                parts["in_net"].append(source[kept])
                parts["out_net"].append(target[kept])
                parts["edge_in"].append(np.full(count, row.edge_in, dtype=np.int8))
                parts["edge_out"].append(np.full(count, row.edge_out, dtype=np.int8))
                parts["delay"].append(np.full(count, self.tables.add(row.delay), dtype=np.int32))
                slew = self.tables.add(row.slew) if row.slew is not None else -1
                parts["slew"].append(np.full(count, slew, dtype=np.int32))
                parts["used"].append(np.full(count, group.arcs.used[row.entry]))
                passes.append((source > ONE)[kept] & ~self.is_clock[target[kept]] & (row.through and slew >= 0))
        joined = {name: np.concatenate([np.zeros(0, dtype=np.int64), *part]) for name, part in parts.items()}
        rows = {name: joined[name].astype(part[0].dtype) if part else joined[name] for name, part in parts.items()}
        level = self._levels(rows, np.concatenate([np.zeros(0, dtype=bool), *passes]))
        order = np.argsort(level, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(level))]) if len(level) else np.zeros(2, dtype=np.int64)
        return Rows(starts=starts, **{name: array[order] for name, array in rows.items()})

    def _levels(self, rows: dict[str, np.ndarray], passes: np.ndarray) -> np.ndarray:
        """Level [rows]: one more than the greatest level of the rows into the row's input net."""
        source, target = rows["in_net"][passes], rows["out_net"][passes]
        waiting = np.bincount(target, minlength=self.netlist.nets)
        order = np.argsort(source, kind="stable")
        begins = np.searchsorted(source[order], np.arange(self.netlist.nets + 1))
        net_level = np.zeros(self.netlist.nets, dtype=np.int64)
        front, depth = np.flatnonzero(waiting == 0), 0
        while len(front):
            counts = begins[front + 1] - begins[front]
            at = np.repeat(begins[front] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            reached = target[order[at]]
            np.subtract.at(waiting, reached, 1)
            depth += 1
            reached = np.unique(reached)
            front = reached[waiting[reached] == 0]
            net_level[front] = depth
        stuck = np.flatnonzero(waiting > 0)
        if len(stuck):
            cell = rows["cell"][passes][np.flatnonzero(waiting[target] > 0)[0]]
            name = f"{self.netlist.cells[cell]} ({self.netlist.types[cell]})"
            raise BadInput(f"netlist {self.netlist.top} has a loop of combinational cells at or before {name}")
        level = np.zeros(len(passes), dtype=np.int64)
        level[passes] = net_level[target]
        return level
