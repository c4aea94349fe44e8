"""A netlist without delays, one cycle a call: for tests of what synthesis made."""

from synth.gate.library import Library
from synth.gate.logic import table
from synth.gate.netlist import ONE, ZERO, Netlist


class Machine:
    """Flip-flops of one clock's rising edge, clock gates on it, and combinational cells. All states start at 0."""

    def __init__(self, netlist: Netlist, library: Library) -> None:
        self.signals = netlist.signals
        self.clock = netlist.signals[netlist.clock][0]
        self.values: dict[int, int] = {}
        self.flops: list[tuple[int, int, int]] = []  # Q, D, clock
        self.enables: dict[int, int] = {}  # of each gated clock
        waiting: list[tuple[int, list[int], int]] = []  # output, inputs, table
        for kind, pins in zip(netlist.types, netlist.pins, strict=True):
            cell = library.cells[kind]
            if cell.clock_gate:
                roles = {pin.gate_role: name for name, pin in cell.pins.items()}
                self.enables[pins[roles["out"]]] = pins[roles["enable"]]
            elif cell.sequential:
                self.flops.append((pins["Q"], pins["D"], pins["CLK"]))
            else:
                for name in set(cell.outputs) & set(pins):
                    nets = [pins[pin] for pin in cell.inputs]
                    waiting.append((pins[name], nets, table(cell.pins[name].function, cell.inputs)))
        self.state = {q: 0 for q, _, _ in self.flops}
        known = {ZERO, ONE, *self.state, *(net for name in netlist.inputs for net in netlist.signals[name])}
        self.gates: list[tuple[int, list[int], int]] = []
        while waiting:
            ready = [gate for gate in waiting if known.issuperset(gate[1])]
            assert ready, "cells in a loop, or without a driver"
            self.gates += ready
            known |= {gate[0] for gate in ready}
            waiting = [gate for gate in waiting if gate[0] not in known]

    def settle(self, inputs: dict[str, int]) -> None:
        values = {ZERO: 0, ONE: 1} | self.state
        for name, value in inputs.items():
            for at, net in enumerate(self.signals[name]):
                values.setdefault(net, value >> at & 1)
        for output, nets, function in self.gates:
            values[output] = function >> sum(values[net] << at for at, net in enumerate(nets)) & 1
        self.values = values

    def step(self) -> None:
        """The clock's edge."""
        values, clock, enables = self.values, self.clock, self.enables
        self.state |= {q: values[d] for q, d, c in self.flops if c == clock or values[enables[c]]}

    def of(self, name: str) -> int:
        return sum(self.values[net] << at for at, net in enumerate(self.signals[name]))
