"""Buffers for nets that drive too much, as layout tools insert them.

Mapping alone does badly here: ABC makes chains of buffers and counts several flip-flops behind a net as one sink.
"""

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np

from synth.gate.clock_tree import buffer_of, is_buffer
from synth.gate.graph import Graph
from synth.gate.library import Cell, Library
from synth.gate.netlist import ONE, Netlist
from synth.gate.wires import Wires, stated

FANOUT = 16  # most sinks of a net
SLEW_NS = 0.3  # a buffer is chosen to give FANOUT mean sinks this slew

Sink = tuple[int, str]  # cell and pin


def buffered(netlist: Netlist, library: Library, wires: Wires) -> Netlist:
    """The netlist with its buffers taken out, and then a balanced tree of buffers behind every net, other than clocks
    and constants, that has more than ``FANOUT`` sinks or loads its driver beyond the library's limit.

    Sinks keep their order, so that neighbours share a buffer; bits that the outside reads stay at the net itself, whose
    RTL name stays with it. A buffer belongs to the block of the net's driver, or of its first sink at an input. Raises
    BadInput for a library without buffers, and what `Graph` raises.
    """
    netlist = without_buffers(netlist, library)
    graph = Graph(netlist, library, wires)
    limits = np.full(netlist.nets, np.inf)
    driver = np.full(netlist.nets, -1, dtype=np.int64)
    sinks: dict[int, list[Sink]] = defaultdict(list)
    for number, (kind, pins) in enumerate(zip(netlist.types, netlist.pins, strict=True)):
        cell = library.cells[kind]
        for pin, net in pins.items():
            if cell.pins[pin].direction == "output":
                driver[net] = number
                limits[net] = cell.pins[pin].most_capacitance_pf or np.inf
            elif net > ONE:
                sinks[net].append((number, pin))
    heavy = [
        net
        for net in sorted(sinks)
        if not graph.is_clock[net] and (len(sinks[net]) > FANOUT or graph.load_pf[net] > limits[net])
    ]
    mean_pf = float(graph.pins_pf[ONE + 1 :].sum()) / max(int(graph.fanout[ONE + 1 :].sum()), 1)
    buffer = buffer_of(library, SLEW_NS, FANOUT * mean_pf + float(wires.capacitance_pf(FANOUT)))
    tree = _Tree(netlist, library, wires, buffer)
    for net in heavy:
        owner = driver[net] if driver[net] >= 0 else sinks[net][0][0]
        tree.split(net, sinks[net], float(limits[net]), int(netlist.block[owner]))
    return tree.netlist()


def without_buffers(netlist: Netlist, library: Library) -> Netlist:
    """The netlist less every buffer, except those of clocks and constants; what they drove is driven by their input."""
    clocks = Graph(netlist, library, stated(0.0)).is_clock
    joined, kept = np.arange(netlist.nets), []
    for number, (kind, pins) in enumerate(zip(netlist.types, netlist.pins, strict=True)):
        cell = library.cells[kind]
        nets = [pins.get(pin, -1) for pin in (*cell.inputs, *cell.outputs)]
        if is_buffer(cell) and nets[0] > ONE and nets[1] > ONE and not clocks[nets[0]]:
            joined[nets[1]] = nets[0]
        else:
            kept.append(number)
    while not np.array_equal(joined, joined[joined]):  # buffers behind buffers
        joined = joined[joined]
    return replace(
        netlist,
        cells=tuple(netlist.cells[at] for at in kept),
        types=tuple(netlist.types[at] for at in kept),
        pins=tuple({pin: int(joined[net]) for pin, net in netlist.pins[at].items()} for at in kept),
        block=netlist.block[kept],
        signals={
            name: tuple(int(joined[net]) if net > ONE else net for net in nets)
            for name, nets in netlist.signals.items()
        },
    )


class _Tree:
    """Cells and pins of the netlist while buffers are added."""

    def __init__(self, netlist: Netlist, library: Library, wires: Wires, buffer: Cell) -> None:
        self.source, self.library, self.wires, self.buffer = netlist, library, wires, buffer
        self.pins = [dict(pins) for pins in netlist.pins]
        self.cells, self.types = list(netlist.cells), list(netlist.types)
        self.block, self.nets = list(map(int, netlist.block)), netlist.nets

    def _load_pf(self, sinks: list[Sink]) -> float:
        pins = sum(self.library.cells[self.types[cell]].pins[pin].capacitance_pf for cell, pin in sinks)
        return pins + float(self.wires.capacitance_pf(len(sinks)))

    def split(self, net: int, sinks: list[Sink], limit_pf: float, block: int) -> None:
        """Levels of buffers between ``net`` and ``sinks``, until the net's driver can drive what is left."""
        while len(sinks) > FANOUT or (len(sinks) > 1 and self._load_pf(sinks) > limit_pf):
            count = max(1, math.ceil(len(sinks) / FANOUT))
            bounds = [len(sinks) * i // count for i in range(count + 1)]
            sinks = [self._add(net, sinks[a:b], block) for a, b in zip(bounds, bounds[1:], strict=False)]

    def _add(self, net: int, sinks: list[Sink], block: int) -> Sink:
        number, made = len(self.cells), self.nets
        self.nets += 1
        for cell, pin in sinks:
            self.pins[cell][pin] = made
        self.cells.append(f"buffer_{number - len(self.source.cells)}_of_net_{net}")
        self.types.append(self.buffer.name)
        self.pins.append({self.buffer.inputs[0]: net, self.buffer.outputs[0]: made})
        self.block.append(block)
        return number, self.buffer.inputs[0]

    def netlist(self) -> Netlist:
        return replace(
            self.source,
            nets=self.nets,
            cells=tuple(self.cells),
            types=tuple(self.types),
            pins=tuple(self.pins),
            block=np.array(self.block, dtype=self.source.block.dtype),
        )
