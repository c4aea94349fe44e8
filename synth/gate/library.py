"""A standard-cell library as the gate level needs it: what `synth.gate.liberty` reads from Liberty files.

Units everywhere: ns, pF, pJ (internal energy of one transition), nW (leakage), um2.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Table:
    """A number over input slew (ns) and load (pF); an axis of one point is no axis. values [slews, loads]."""

    slews_ns: np.ndarray
    loads_pf: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Arc:
    """Timing from ``related`` to the pin that holds it.

    kind: Liberty's timing_type (combinational, rising_edge, setup_rising, ...). sense: positive_unate, negative_unate
    or non_unate. when: the condition's text, "" for always. Delays and slews of the pin's rise and fall, ns; for
    setup and hold arcs the constraints stand in rise and fall and the slews are None.
    """

    related: str
    kind: str
    sense: str
    when: str
    rise: Table | None
    fall: Table | None
    rise_slew: Table | None
    fall_slew: Table | None


@dataclass(frozen=True)
class Power:
    """Internal energy of one transition of the pin that holds it, pJ. related: "" for a pin's own power."""

    related: str
    when: str
    rise: Table | None
    fall: Table | None


@dataclass(frozen=True)
class Pin:
    """function: text of an output's function, "" for none. tables of an output have the load of this pin as axis.

    gate_role: "clock", "enable", "test" or "out" for the pins of an integrated clock gate, "" for others.
    width: bits of a bus of a macro, whose capacitance and power are those of one bit; 1 for pins.
    """

    name: str
    direction: str
    capacitance_pf: float
    function: str
    clock: bool
    most_capacitance_pf: float | None
    arcs: tuple[Arc, ...] = ()
    power: tuple[Power, ...] = ()
    gate_role: str = ""
    width: int = 1


@dataclass(frozen=True)
class Sequential:
    """ff or latch group: state variables and the texts that rule them ("" where the cell has none)."""

    latch: bool
    state: str
    state_inverted: str
    next_state: str  # data_in of a latch
    clocked_on: str  # enable of a latch
    clear: str
    preset: str


@dataclass(frozen=True)
class Cell:
    name: str
    area_um2: float
    leakage_nw: float
    leakage_when: tuple[tuple[str, float], ...]
    pins: dict[str, Pin]
    sequential: Sequential | None
    clock_gate: str  # clock_gating_integrated_cell, "" for none
    dont_use: bool
    macro: bool  # is_macro_cell or a memory group

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name, pin in self.pins.items() if pin.direction == "input")

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(name for name, pin in self.pins.items() if pin.direction == "output")


@dataclass(frozen=True)
class WireLoad:
    """capacitance_pf_per_um and length in um by fanout, as the library states them."""

    name: str
    capacitance_pf: float
    lengths: tuple[tuple[int, float], ...]
    slope: float


@dataclass(frozen=True)
class Library:
    """files: name and SHA-256 of each file read, in order."""

    name: str
    files: tuple[tuple[str, str], ...]
    voltage_v: float
    temperature_c: float
    cells: dict[str, Cell]
    wire_loads: dict[str, WireLoad] = field(default_factory=dict)
    wire_load_by_area: tuple[tuple[float, float, str], ...] = ()  # least area, most area (um2), name
    default_wire_load: str = ""
