"""A slow gate simulation for tests: functions of fixture.lib written here, every ps looked at."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from synth.gate.delays import NONE, Delays
from synth.gate.netlist import Netlist
from synth.gate.trace import Trace
from tests.synth.gate.circuits import LIBRARY

FUNCTIONS: dict[str, Callable[..., int]] = {
    "INV": lambda a: 1 - a,
    "BUF": lambda a: a,
    "BUF_4": lambda a: a,
    "NAND2": lambda a, b: 1 - (a & b),
    "NOR2": lambda a, b: 1 - (a | b),
    "AND2": lambda a, b: a & b,
    "AOI21": lambda a1, a2, b: 1 - ((a1 & a2) | b),
    "XOR2": lambda a, b: a ^ b,
    "MUX2": lambda a, b, s: b if s else a,
    "TIEHI": lambda: 1,
    "TIELO": lambda: 0,
}
STORES = ("DFF", "DFFR", "LATCH", "CKGATE")


@dataclass
class Naive:
    """One netlist in a state: values of nets, stored bits of cells; activity and energy of what happened."""

    netlist: Netlist
    values: list[int]
    stored: dict[int, int]
    toggles: Counter[int] = field(default_factory=Counter)
    high_ps: Counter[int] = field(default_factory=Counter)
    energy: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def output(self, cell: int) -> int:
        """Value of the cell's output for its inputs, its stored bit brought up to date where that is by level."""
        kind, pins, v = self.netlist.types[cell], self.netlist.pins[cell], self.values
        if kind not in STORES:
            return FUNCTIONS[kind](*(v[pins[name]] for name in LIBRARY.cells[kind].inputs))
        if kind == "LATCH" and v[pins["G"]]:
            self.stored[cell] = v[pins["D"]]
        if kind == "CKGATE":
            if not v[pins["CLK"]]:
                self.stored[cell] = v[pins["EN"]]
            return v[pins["CLK"]] & self.stored[cell]
        if kind == "DFFR" and not v[pins["RESET_B"]]:
            self.stored[cell] = 0
        return self.stored[cell]

    def out_net(self, cell: int) -> int:
        return next(self.netlist.pins[cell][name] for name in LIBRARY.cells[self.netlist.types[cell]].outputs)

    def settle(self) -> None:
        """Bring every net to its value, without time."""
        for _ in range(len(self.netlist.cells) + 1):
            for cell in range(len(self.netlist.cells)):
                self.values[self.out_net(cell)] = self.output(cell)

    def clock_flops(self) -> None:
        """A rising edge that all flip-flops with an enabled clock see at once, without time."""
        clock = self.netlist.signals[self.netlist.clock][0]
        taken = {}
        for cell, kind in enumerate(self.netlist.types):
            if kind in ("DFF", "DFFR"):
                driver = next((c for c in range(len(self.netlist.cells)) if self.out_net(c) == self.clock_of(cell)), -1)
                cleared = kind == "DFFR" and not self.values[self.netlist.pins[cell]["RESET_B"]]
                if not cleared and (self.clock_of(cell) == clock or self.stored[driver]):
                    taken[cell] = self.values[self.netlist.pins[cell]["D"]]
        self.stored |= taken

    def clock_of(self, cell: int) -> int:
        return self.netlist.pins[cell]["CLK"]


def start(netlist: Netlist, inputs: dict[str, int], stored: dict[int, int]) -> Naive:
    """A netlist at rest with its clock low."""
    naive = Naive(netlist, [0] * netlist.nets, dict(stored))
    naive.values[1] = 1
    for cell, kind in enumerate(netlist.types):
        if kind in STORES:
            naive.stored.setdefault(cell, 0)
    for name, value in inputs.items():
        naive.values[netlist.signals[name][0]] = value
    naive.settle()
    return naive


def record(netlist: Netlist, rows: list[dict[str, int]], stored: dict[int, int]) -> Trace:
    """What the RTL would show: all named signals after each cycle, inputs as in ``rows``."""
    naive = start(netlist, rows[0], stored)
    names = [name for name in netlist.signals if name != netlist.clock]
    found = []
    for k, row in enumerate(rows):
        if k:
            naive.clock_flops()
            for name, value in row.items():
                naive.values[netlist.signals[name][0]] = value
            naive.settle()
        found.append([naive.values[netlist.signals[name][0]] for name in names])
    return Trace({name: (at, 1) for at, name in enumerate(names)}, np.array(found, np.uint8))


def simulate(
    netlist: Netlist,
    delays: Delays,
    rows: list[dict[str, int]],
    stored: dict[int, int],
    period_ps: int,
    input_delay_ps: int,
) -> Naive:
    """Every cycle with delays, one ps after the other; the clock's network at once and before the data."""
    naive = start(netlist, rows[0], stored)
    naive.toggles.clear()
    clock = netlist.signals[netlist.clock][0]
    pending: dict[int, tuple[int, float]] = {}  # net: due, internal energy
    readers: dict[int, list[tuple[int, int]]] = {}
    for cell, pins in enumerate(netlist.pins):
        for at, name in enumerate(LIBRARY.cells[netlist.types[cell]].inputs):
            readers.setdefault(pins[name], []).append((cell, at))

    def state(cell: int) -> int:
        kind, pins = LIBRARY.cells[netlist.types[cell]], netlist.pins[cell]
        return sum(naive.values[pins[name]] << at for at, name in enumerate((*kind.inputs, *kind.outputs)))

    def flip(net: int, now: int, internal: float, changed: dict[int, set[int]]) -> None:
        naive.values[net] ^= 1
        naive.toggles[net] += 1
        naive.high_ps[net] += now * (1 - 2 * naive.values[net])
        switching = 0.5 * delays.load_ff[net] * delays.voltage_v**2 + delays.extra_fj[net]
        naive.energy["clock_pin" if delays.is_clock[net] else "switching"] += switching
        naive.energy["clock_pin" if delays.is_clock[net] else "internal"] += internal
        for cell, at in readers.get(net, ()):
            changed.setdefault(cell, set()).add(at)

    def evaluate(cell: int, pins: set[int], now: int) -> tuple[int, int, float] | None:
        """Net, due and energy of the flip that the cell's output begins."""
        kind, type_number, s = LIBRARY.cells[netlist.types[cell]], delays.type_of[cell], state(cell)
        width = len(kind.inputs) + len(kind.outputs)
        for at in sorted(pins):
            place = delays.own_choice_first[type_number] + ((at * 2 + (s >> at & 1)) << width) + s
            if (own := delays.own_choice[place]) != NONE:
                on_clock = delays.is_clock[netlist.pins[cell][kind.inputs[at]]]
                naive.energy["clock_pin" if on_clock else "internal"] += delays.own_fj[delays.own_first[cell] + own]
        if kind.name in ("DFF", "DFFR") and kind.inputs.index("CLK") in pins and naive.values[naive.clock_of(cell)]:
            naive.stored[cell] = naive.values[netlist.pins[cell]["D"]]
        value, net = naive.output(cell), naive.out_net(cell)
        if value == naive.values[net]:
            pending.pop(net, None)
            return None
        for at in sorted(pins):
            row = (at * 2 + value) << width  # of the first output, the only one
            choice = delays.delay_choice[delays.delay_choice_first[type_number] + row + s]
            if choice != NONE:
                break
        energy = delays.energy_choice[delays.energy_choice_first[type_number] + row + s]
        internal = 0.0 if energy == NONE else delays.energy_fj[delays.energy_first[cell] + energy]
        due = now + max(1, round(delays.delay_ps[delays.delay_first[cell] + choice]))
        return net, due, internal

    def react(changed: dict[int, set[int]], now: int) -> None:
        while changed:
            following: dict[int, set[int]] = {}
            clock_flips = []
            for cell, pins in changed.items():
                made = evaluate(cell, pins, now)
                if made is None:
                    continue
                net, due, internal = made
                if delays.is_clock[net]:
                    clock_flips.append((net, internal))
                elif net not in pending or pending[net][0] > due:
                    pending[net] = (due, internal)
            for net, internal in clock_flips:
                flip(net, now, internal, following)
            changed = following

    for k, row in enumerate(rows[1:]):
        first = k * period_ps
        for now in range(first, first + period_ps):
            changed: dict[int, set[int]] = {}
            if now - first in (0, period_ps // 2):
                flip(clock, now, 0.0, changed)
                react(changed, now)
                changed = {}
            if now - first == input_delay_ps:
                for name, value in row.items():
                    if naive.values[netlist.signals[name][0]] != value:
                        flip(netlist.signals[name][0], now, 0.0, changed)
            for net in [net for net, (due, _) in pending.items() if due == now]:
                flip(net, now, pending.pop(net)[1], changed)
            react(changed, now)
        assert not pending
    for net, value in enumerate(naive.values):
        naive.high_ps[net] += value * (len(rows) - 1) * period_ps
    return naive
