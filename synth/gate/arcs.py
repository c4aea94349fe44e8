"""Arcs and energies of one cell type, numbered, with tables that choose among them by state."""

from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.delays import NONE
from synth.gate.library import Arc, Cell, Table
from synth.gate.logic import table

FALL, RISE = 0, 1
MOST_PINS = 12  # a choice has 2 ** pins states
WITHIN_A_CYCLE = {"combinational", "combinational_rise", "combinational_fall"}
ASYNCHRONOUS = {"clear", "preset"}
CLOCKED = {"rising_edge": RISE, "falling_edge": FALL}


@dataclass(frozen=True)
class Row:
    """One way an edge of an input makes an edge of an output. An entry with a non-unate arc has two rows.

    through: delays pass on along it when arrival times are found; not so for clear, preset and the data of latches.
    """

    entry: int
    source: int
    target: int
    edge_in: int
    edge_out: int
    when: str
    delay: Table
    slew: Table | None
    through: bool


@dataclass(frozen=True)
class Energy:
    """Internal energy of an edge of output ``target`` that an edge in ``edges_in`` of input ``source`` causes; for an
    own energy of an input, target is -1 and edges_in its one edge."""

    source: int
    target: int
    edges_in: tuple[int, ...]
    energy: Table


@dataclass(frozen=True)
class TypeArcs:
    """Everything of one cell type. Choices are laid out as `Delays` says. used [entries]: delays that a state chooses
    for their own condition and sense, not for want of a better one."""

    cell: Cell
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: tuple[Row, ...]
    used: np.ndarray
    delay_choice: np.ndarray
    energies: tuple[Energy, ...]
    energy_choice: np.ndarray
    own: tuple[Energy, ...]
    own_choice: np.ndarray


def _edges_in(arc: Arc, edge_out: int) -> tuple[int, ...]:
    if arc.kind in CLOCKED:
        return (CLOCKED[arc.kind],)
    if arc.sense == "positive_unate":
        return (edge_out,)
    return (1 - edge_out,) if arc.sense == "negative_unate" else (FALL, RISE)


class _Choice:
    """Entries by place and state; what is filled in later goes before what was filled in earlier."""

    def __init__(self, cell: Cell, places: int) -> None:
        self.cell = cell
        self.pins = (*cell.inputs, *cell.outputs)
        self.states = np.arange(1 << len(self.pins))
        self.choice = np.full((places, len(self.states)), NONE, dtype=np.uint16)

    def where(self, when: str) -> np.ndarray:
        """bool [states]: where the condition holds."""
        if not when:
            return np.ones(len(self.states), dtype=bool)
        try:
            held = table(when, self.pins)
        except BadInput as error:
            raise BadInput(f"cell {self.cell.name}: {error}") from None
        bits = np.frombuffer(held.to_bytes((len(self.states) + 7) // 8, "little"), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little")[: len(self.states)].astype(bool)

    def value(self, pin: int) -> np.ndarray:
        return self.states >> pin & 1

    def fill(self, place: int, where: np.ndarray, entry: int) -> None:
        self.choice[place, where] = entry


def _rows(cell: Cell) -> list[Row]:
    """The rows of all outputs, in the order of the library."""
    inputs, rows, entry = cell.inputs, [], 0
    latch = cell.sequential is not None and cell.sequential.latch
    for target, name in enumerate(cell.outputs):
        for arc in cell.pins[name].arcs:
            if arc.kind not in WITHIN_A_CYCLE | ASYNCHRONOUS | CLOCKED.keys() or arc.related not in inputs:
                continue
            through = arc.kind in CLOCKED or (arc.kind in WITHIN_A_CYCLE and not latch)
            for edge, delay, slew in ((FALL, arc.fall, arc.fall_slew), (RISE, arc.rise, arc.rise_slew)):
                if delay is None or arc.kind.endswith("_rise" if edge == FALL else "_fall"):
                    continue
                for edge_in in _edges_in(arc, edge):
                    at = (entry, inputs.index(arc.related), target, edge_in, edge)
                    rows.append(Row(*at, arc.when, delay, slew, through))
                entry += 1
    return rows


def _can_happen(choice: _Choice, row: Row) -> np.ndarray:
    """bool [states]: where the function turns the row's edge of its input into its edge of the output."""
    cell, pin = choice.cell, choice.cell.pins[choice.cell.outputs[row.target]]
    right_edge = choice.value(row.source) == row.edge_in
    if cell.sequential is not None or not pin.function:
        return right_edge
    function = choice.where(pin.function)
    before = function[choice.states ^ (1 << row.source)]
    return right_edge & (function == row.edge_out) & (before != row.edge_out)


def _delay_choice(cell: Cell, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Best last: any entry of the output's edge, of the same input, one without a condition, one whose condition holds,
    and the last two again where the input's edge is also right."""
    inputs = len(cell.inputs)
    choice = _Choice(cell, len(cell.outputs) * inputs * 2)
    backwards = rows[::-1]  # so that the first of equals stays
    everywhere = choice.where("")
    for source in range(inputs):
        for row in backwards:
            choice.fill((row.target * inputs + source) * 2 + row.edge_out, everywhere, row.entry)
    place = [(row.target * inputs + row.source) * 2 + row.edge_out for row in backwards]
    for at, row in zip(place, backwards, strict=True):
        choice.fill(at, everywhere, row.entry)
    for right_edge in (False, True):
        for conditional in (False, True):
            for at, row in zip(place, backwards, strict=True):
                if bool(row.when) == conditional:
                    fits = (choice.value(row.source) == row.edge_in) | (not right_edge)
                    choice.fill(at, choice.where(row.when) & fits, row.entry)
    used = np.zeros(max((row.entry for row in rows), default=-1) + 1, dtype=bool)
    for at, row in zip(place, backwards, strict=True):
        used[row.entry] |= bool(np.any(choice.choice[at][_can_happen(choice, row)] == row.entry))
    return choice.choice.ravel(), used


def _energies(cell: Cell, rows: list[Row]) -> tuple[list[Energy], np.ndarray]:
    inputs = cell.inputs
    made: list[Energy] = []
    choice = _Choice(cell, len(cell.outputs) * len(inputs) * 2)
    for conditional in (False, True):  # conditions last: they go before what holds always
        for target, name in enumerate(cell.outputs):
            for power in reversed([p for p in cell.pins[name].power if bool(p.when) == conditional]):
                if power.related not in inputs:
                    continue
                source = inputs.index(power.related)
                for edge, energy in ((FALL, power.fall), (RISE, power.rise)):
                    if energy is None:
                        continue
                    ways = [row for row in rows if (row.source, row.target, row.edge_out) == (source, target, edge)]
                    same = [row for row in ways if row.when == power.when] or ways
                    edges_in = tuple(sorted({row.edge_in for row in same})) or (FALL, RISE)
                    choice.fill((target * len(inputs) + source) * 2 + edge, choice.where(power.when), len(made))
                    made.append(Energy(source, target, edges_in, energy))
    return made, choice.choice.ravel()


def _own(cell: Cell) -> tuple[list[Energy], np.ndarray]:
    made: list[Energy] = []
    choice = _Choice(cell, len(cell.inputs) * 2)
    for conditional in (False, True):
        for source, name in enumerate(cell.inputs):
            for power in reversed([p for p in cell.pins[name].power if bool(p.when) == conditional and not p.related]):
                for edge, energy in ((FALL, power.fall), (RISE, power.rise)):
                    if energy is not None:
                        choice.fill(source * 2 + edge, choice.where(power.when), len(made))
                        made.append(Energy(source, -1, (edge,), energy))
    return made, choice.choice.ravel()


def type_arcs(cell: Cell) -> TypeArcs:
    """Arcs of one cell. Raises BadInput for a cell of too many pins or a condition that names no pin."""
    if len(cell.inputs) + len(cell.outputs) > MOST_PINS:
        pins = len(cell.inputs) + len(cell.outputs)
        raise BadInput(f"cell {cell.name} has {pins} pins, at most {MOST_PINS} are simulated; exclude it from mapping")
    rows = _rows(cell)
    delay_choice, used = _delay_choice(cell, rows)
    energies, energy_choice = _energies(cell, rows)
    own, own_choice = _own(cell)
    return TypeArcs(
        cell,
        cell.inputs,
        cell.outputs,
        tuple(rows),
        used,
        delay_choice,
        tuple(energies),
        energy_choice,
        tuple(own),
        own_choice,
    )
