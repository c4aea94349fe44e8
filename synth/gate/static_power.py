"""Energy from each net's transitions and share of time at 1 alone, by the rules that OpenSTA's report_power has.

The own gate simulation knows which input moved an output in which state; this calculation, like OpenSTA's, does not, so
what it differs by from the simulation is the price of that ignorance, and what it differs by from OpenSTA is an error
in reading tables, loads or slews. The rules: signals are independent; an energy is the mean of rise and fall; an
input pin's own groups are weighed by the probability of their conditions; an output's groups by how often their input
moves and would move the output, whatever their conditions.
"""

import re
from dataclasses import dataclass

import numpy as np

from synth.gate.delays import Delays
from synth.gate.library import Cell, Library, Pin, Power
from synth.gate.logic import table
from synth.gate.lookup import Tables
from synth.gate.netlist import ONE, Netlist
from synth.gate.sta_files import Activity

_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class _Cells:
    """The cells of one type. nets, high, toggles by pin [cells]: number, probability of 1, transitions of its net."""

    cell: Cell
    nets: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    toggles: dict[str, np.ndarray]
    count: int

    def probability(self, text: str) -> np.ndarray:
        """Of a function of pins; what is not a pin, a state, is 1 half of the time."""
        names = tuple(sorted(set(_NAME.findall(text))))
        ones = [self.high.get(name, np.full(self.count, 0.5)) for name in names]
        truth, total = table(text, names), np.zeros(self.count)
        for state in range(1 << len(names)):
            if truth >> state & 1:
                parts = [one if state >> place & 1 else 1 - one for place, one in enumerate(ones)]
                total += np.prod(parts, axis=0)
        return total

    def passes(self, function: str, pin: str) -> np.ndarray:
        """Probability that ``pin`` decides ``function``."""
        high, low = (re.sub(rf"\b{pin}\b", str(value), function) for value in (1, 0))
        return self.probability(f"({high}) ^ ({low})")


def _groups(powers: tuple[Power, ...]) -> list[tuple[Power, str]]:
    """Power groups and their conditions; one without holds where no other one of its cause does."""
    found = []
    for power in powers:
        others = [other.when for other in powers if other.related == power.related and other.when]
        rest = f"!({' | '.join(f'({when})' for when in others)})" if others else ""
        found.append((power, power.when or rest))
    return found


class _Power:
    def __init__(self, netlist: Netlist, library: Library, delays: Delays, activity: Activity) -> None:
        self.library, self.delays, self.tables = library, delays, Tables()
        share = activity.high_ps / activity.duration_ps
        share[ONE] = 1.0
        self.share, self.toggles = share, activity.toggles.astype(float)
        self.toggles[: ONE + 1] = 0.0
        self.netlist = netlist

    def members(self, kind: str, numbers: np.ndarray) -> _Cells:
        cell = self.library.cells[kind]
        pins = [self.netlist.pins[number] for number in numbers]
        nets = {name: np.array([pin.get(name, 0) for pin in pins]) for name in cell.pins}
        high = {name: self.share[at] for name, at in nets.items()}
        return _Cells(cell, nets, high, {name: self.toggles[at] for name, at in nets.items()}, len(pins))

    def mean_fj(self, power: Power, slews: tuple[np.ndarray, np.ndarray], loads_pf: np.ndarray) -> np.ndarray:
        """Mean of rise and fall; slews of the causing edge for the pin's (rise, fall)."""
        made = [
            self.tables.at(np.full(len(loads_pf), self.tables.add(values)), slew, loads_pf)
            for values, slew in ((power.rise, slews[0]), (power.fall, slews[1]))
            if values is not None
        ]
        return 1e3 * np.mean(made, axis=0) if made else np.zeros(len(loads_pf))

    def slews(self, nets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.delays.slew_ns[nets, 1], self.delays.slew_ns[nets, 0]

    def of_input(self, cells: _Cells, pin: Pin) -> np.ndarray:
        nets, energy = cells.nets[pin.name], np.zeros(cells.count)
        for power, when in _groups(pin.power):
            share = np.ones(cells.count)
            if when:
                functions = [
                    cells.cell.pins[name].function for name in _NAME.findall(when) if name in cells.cell.outputs
                ]
                moved = [text for text in functions[:1] if pin.name in _NAME.findall(text)]
                share = cells.passes(moved[0], pin.name) if moved else cells.probability(when)
            energy += share * self.mean_fj(power, self.slews(nets), np.zeros(cells.count))
        return energy * cells.toggles[pin.name]

    def of_output(self, cells: _Cells, pin: Pin) -> np.ndarray:
        """Groups of one output, weighed by the transitions of their inputs that can pass."""
        loads_pf = self.delays.load_ff[cells.nets[pin.name]] * 1e-3
        senses = {arc.related: arc.sense for arc in reversed(pin.arcs)}
        weighed, weights = np.zeros(cells.count), np.zeros(cells.count)
        inputs = set(_NAME.findall(pin.function))
        for power, when in _groups(pin.power):
            if not power.related:
                continue
            if power.related in inputs:
                share = cells.passes(pin.function, power.related)
            else:
                share = cells.probability(when) if when else np.full(cells.count, 0.5)
            slews = self.slews(cells.nets[power.related])
            if senses.get(power.related) == "negative_unate":
                slews = slews[::-1]
            weight = share * cells.toggles[power.related]
            weights += weight
            weighed += weight * self.mean_fj(power, slews, loads_pf)
        return np.where(weights > 0, weighed / np.where(weights > 0, weights, 1), 0) * cells.toggles[pin.name]


def static_energy(netlist: Netlist, library: Library, delays: Delays, activity: Activity) -> np.ndarray:
    """fJ [blocks, (internal, switching, leakage)] over the whole activity; nets that the outside drives are in none."""
    power = _Power(netlist, library, delays, activity)
    energy = np.zeros((3, len(netlist.cells)))
    for number, kind in enumerate(delays.types):
        members = np.flatnonzero(delays.type_of == number)
        if not len(members):
            continue
        cells = power.members(kind, members)
        for pin in cells.cell.pins.values():
            if pin.direction == "input":
                energy[0, members] += power.of_input(cells, pin)
            elif pin.direction == "output":
                energy[0, members] += power.of_output(cells, pin)
                load_ff = delays.load_ff[cells.nets[pin.name]]
                energy[1, members] += 0.5 * load_ff * delays.voltage_v**2 * cells.toggles[pin.name]
    energy[2] = delays.leakage_nw * activity.duration_ps * 1e-6
    return np.stack([np.bincount(netlist.block, row, len(netlist.blocks)) for row in energy], axis=1)
