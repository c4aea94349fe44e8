"""Liberty files to a `Library`: units made one, templates filled in, what cannot be used refused."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from hw.errors import BadInput
from synth.gate.liberty_syntax import Group, parse
from synth.gate.library import Arc, Cell, Library, Pin, Power, Sequential, Table, WireLoad

PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
FIRST_AXIS = {"input_net_transition", "input_transition_time", "constrained_pin_transition"}
SECOND_AXIS = {"total_output_net_capacitance", "related_pin_transition", "related_out_total_output_net_capacitance"}
GATE_ROLES = {f"clock_gate_{pin}_pin": pin for pin in ("clock", "enable", "test", "out")}


def _unit(path: Path, library: Group, name: str, symbol: str) -> float:
    """The unit's size in SI units; refused where it is missing or not a number with a prefix and ``symbol``."""
    if name == "capacitive_load_unit":
        lists = [words for key, words in library.lists if key == name]
        text = "".join(lists[0]) if lists else library.attributes.get(name, "")
    else:
        text = library.attributes.get(name, "")
    match = re.fullmatch(rf"([0-9.]+)\s*([fpnumk]?)(?i:{symbol})", text.strip())
    if match is None:
        got = f"'{text}'" if text else "none"
        raise BadInput(f"{path}: wanted a {name} such as 1n{symbol}, got {got}; energies need known units")
    return float(match[1]) * PREFIXES[match[2]]


class _Reader:
    """Reads one library group; factors turn the file's numbers into ns, pF, pJ and nW."""

    def __init__(self, path: Path, library: Group) -> None:
        self.path, self.library = path, library
        self.ns = _unit(path, library, "time_unit", "s") * 1e9
        self.pf = _unit(path, library, "capacitive_load_unit", "f") * 1e12
        self.volt = _unit(path, library, "voltage_unit", "V")
        self.pj = self.pf * self.volt**2  # Liberty: the unit of internal energy follows from these two
        self.nw = _unit(path, library, "leakage_power_unit", "W") * 1e9
        self.templates = {
            group.arguments[0]: group
            for group in library.of("lu_table_template", "power_lut_template")
            if group.arguments
        }
        self.widths = {
            group.arguments[0]: int(group.attributes["bit_width"])
            for group in library.of("type")
            if group.arguments and "bit_width" in group.attributes
        }

    def number(self, group: Group, name: str, default: float | None = None) -> float:
        text = group.attributes.get(name)
        if text is None and default is not None:
            return default
        try:
            return float(text or "")
        except ValueError:
            where = f"{group.name} ({', '.join(group.arguments)})"
            got = "none" if text is None else f"'{text}'"
            raise BadInput(f"{self.path}: wanted a number for {name} of {where}, got {got}") from None

    def table(self, group: Group, scale: float, loads: float) -> Table:
        """values times ``scale``; ``loads`` scales the second axis: pF, or ns where it is a slew of a constraint."""
        template = self.templates.get(group.arguments[0] if group.arguments else "scalar")
        variables, axes = [], []
        try:
            for place in (1, 2, 3):
                variable = template.attributes.get(f"variable_{place}") if template else None
                if variable is None:
                    break
                index = group.numbers(f"index_{place}") or (template.numbers(f"index_{place}") if template else None)
                variables.append(variable)
                axes.append(np.array(sum(index or [], [])))
            values = np.array(sum(group.numbers("values") or [], []))
            values = values.reshape([len(axis) for axis in axes])
        except ValueError:
            sizes = " x ".join(str(len(axis)) for axis in axes) or "1"
            raise BadInput(f"{self.path}: a table {group.name} ({', '.join(group.arguments)}) is not {sizes}") from None
        for axis in axes:
            if np.any(np.diff(axis) <= 0):
                raise BadInput(
                    f"{self.path}: an index of {group.name} ({', '.join(group.arguments)}) does not increase"
                )
        kinds = [0 if variable in FIRST_AXIS else 1 if variable in SECOND_AXIS else -1 for variable in variables]
        if -1 in kinds or len(set(kinds)) != len(kinds):
            raise BadInput(f"{self.path}: wanted tables over a slew and a load, got {' and '.join(variables)}")
        single = np.zeros(1)
        first = axes[kinds.index(0)] * self.ns if 0 in kinds else single
        second = axes[kinds.index(1)] * loads if 1 in kinds else single
        if kinds == [1, 0]:
            values = values.T
        return Table(first, second, (values * scale).reshape(len(first), len(second)))

    def within(self, group: Group, names: tuple[str, ...], scale: float, loads: float) -> Table | None:
        found = next(group.of(*names), None)
        return None if found is None else self.table(found, scale, loads)

    def arcs(self, group: Group) -> list[Arc]:
        made = []
        for timing in group.of("timing"):
            text = timing.attributes
            constraint = any(timing.of("rise_constraint", "fall_constraint"))
            loads = self.ns if constraint else self.pf
            tables = [
                self.within(timing, names, self.ns, loads)
                for names in (
                    ("cell_rise", "rise_constraint"),
                    ("cell_fall", "fall_constraint"),
                    ("rise_transition",),
                    ("fall_transition",),
                )
            ]
            kind = text.get("timing_type", "combinational")
            sense = text.get("timing_sense", "non_unate")
            for related in (text.get("related_pin") or text.get("related_bus_pins") or "").split():
                made.append(Arc(related, kind, sense, text.get("when", ""), *tables))
        return made

    def power(self, group: Group) -> list[Power]:
        """Tables of one condition that differ in the supply (related_pg_pin) are added: all supplies are drawn from."""
        made: dict[tuple[str, str, str], Power] = {}
        for internal in group.of("internal_power"):
            both = self.within(internal, ("power",), self.pj, self.pf)
            rise = self.within(internal, ("rise_power",), self.pj, self.pf) or both
            fall = self.within(internal, ("fall_power",), self.pj, self.pf) or both
            when, supply = internal.attributes.get("when", ""), internal.attributes.get("related_pg_pin", "")
            for related in internal.attributes.get("related_pin", "").split() or [""]:
                made.setdefault((supply, related, when), Power(related, when, rise, fall))
        summed: dict[tuple[str, str], Power] = {}
        for (_, related, when), power in made.items():
            other = summed.get((related, when))
            if other is not None:
                power = Power(related, when, self.sum(other.rise, power.rise), self.sum(other.fall, power.fall))
            summed[related, when] = power
        return list(summed.values())

    def sum(self, a: Table | None, b: Table | None) -> Table | None:
        if a is None or b is None:
            return a or b
        if a.values.shape != b.values.shape:
            raise BadInput(f"{self.path}: power tables of two supplies of one pin differ in size; they cannot be added")
        return replace(a, values=a.values + b.values)

    def pin(self, name: str, group: Group, width: int = 1) -> Pin:
        text = group.attributes
        direction = text.get("direction", "")
        if direction not in ("input", "output", "inout", "internal"):
            raise BadInput(
                f"{self.path}: wanted a direction (input, output, inout, internal) of pin {name}, got '{direction}'"
            )
        default = self.number(self.library, "default_input_pin_cap", 0.0) if direction == "input" else 0.0
        edges = [self.number(group, edge) for edge in ("rise_capacitance", "fall_capacitance") if edge in text]
        capacitance = self.number(group, "capacitance", sum(edges) / len(edges) if edges else default)
        most = self.number(group, "max_capacitance", -1.0)
        return Pin(
            name=name,
            direction=direction,
            capacitance_pf=capacitance * self.pf,
            function=text.get("function", ""),
            clock=text.get("clock", "false") == "true" or text.get("clock_gate_clock_pin", "false") == "true",
            most_capacitance_pf=most * self.pf if most >= 0 else None,
            arcs=tuple(self.arcs(group)),
            power=tuple(self.power(group)),
            gate_role=next((role for key, role in GATE_ROLES.items() if text.get(key) == "true"), ""),
            width=width,
        )

    def pins(self, cell: Group) -> dict[str, Pin]:
        """Pins of a cell; a bus (of a macro) is one pin with its width, holding what its ranges of pins say."""
        made = {name: self.pin(name, group) for group in cell.of("pin") for name in group.arguments}
        for bus in cell.of("bus"):
            inner = list(bus.of("pin"))
            whole = Group(
                "pin", bus.arguments, dict(bus.attributes), [], bus.groups + sum((p.groups for p in inner), [])
            )
            if "direction" not in whole.attributes and inner:
                whole.attributes["direction"] = inner[0].attributes.get("direction", "")
            width = self.widths.get(bus.attributes.get("bus_type", ""))
            if width is None:
                raise BadInput(f"{self.path}: bus {', '.join(bus.arguments)} has no bus_type with a bit_width")
            made |= {name: self.pin(name, whole, width) for name in bus.arguments}
        return made

    def sequential(self, cell: Group) -> Sequential | None:
        group = next(cell.of("ff", "latch"), None)
        if group is None:
            return None
        latch, text = group.name == "latch", group.attributes
        if len(group.arguments) != 2:
            raise BadInput(f"{self.path}: wanted two state names in {group.name} of cell {cell.arguments[0]}")
        state, inverted = group.arguments
        data, clock = ("data_in", "enable") if latch else ("next_state", "clocked_on")
        rules = (text.get(key, "") for key in (data, clock, "clear", "preset"))
        return Sequential(latch, state, inverted, *rules)

    def cell(self, group: Group) -> Cell:
        conditions: dict[str, float] = {}
        for leakage in group.of("leakage_power"):  # one per supply: added
            when = leakage.attributes.get("when", "")
            conditions[when] = conditions.get(when, 0.0) + self.number(leakage, "value") * self.nw
        default = self.number(self.library, "default_cell_leakage_power", 0.0) * self.nw
        mean = sum(conditions.values()) / len(conditions) if conditions else default
        text = group.attributes
        return Cell(
            name=group.arguments[0],
            area_um2=self.number(group, "area", 0.0),
            leakage_nw=self.number(group, "cell_leakage_power") * self.nw if "cell_leakage_power" in text else mean,
            leakage_when=tuple(conditions.items()),
            pins=self.pins(group),
            sequential=self.sequential(group),
            clock_gate=text.get("clock_gating_integrated_cell", ""),
            dont_use=text.get("dont_use", "false") == "true",
            macro=text.get("is_macro_cell", "false") == "true" or any(group.of("memory")),
        )

    def wire_loads(self) -> dict[str, WireLoad]:
        made = {}
        for group in self.library.of("wire_load"):
            name = group.arguments[0]
            lengths = sorted((int(float(a)), float(b)) for key, (a, b, *_) in group.lists if key == "fanout_length")
            capacitance = self.number(group, "capacitance", 0.0) * self.pf
            made[name] = WireLoad(name, capacitance, tuple(lengths), self.number(group, "slope", 0.0))
        return made

    def wire_load_by_area(self) -> tuple[tuple[float, float, str], ...]:
        wanted = self.library.attributes.get("default_wire_load_selection", "")
        tables = {group.arguments[0]: group for group in self.library.of("wire_load_selection") if group.arguments}
        table = tables.get(wanted) or next(iter(tables.values()), None)
        lists = table.lists if table else []
        return tuple((float(a), float(b), name) for key, (a, b, name, *_) in lists if key == "wire_load_from_area")

    def read(self, digest: str) -> Library:
        wanted = self.library.attributes.get("default_operating_conditions", "")
        conditions = {group.arguments[0]: group for group in self.library.of("operating_conditions") if group.arguments}
        voltage, temperature = (
            self.number(self.library, "nom_voltage"),
            self.number(self.library, "nom_temperature", 25.0),
        )
        if wanted in conditions:
            voltage = self.number(conditions[wanted], "voltage", voltage)
            temperature = self.number(conditions[wanted], "temperature", temperature)
        return Library(
            name=self.library.arguments[0] if self.library.arguments else self.path.stem,
            files=((self.path.name, digest),),
            voltage_v=voltage * self.volt,
            temperature_c=temperature,
            cells={group.arguments[0]: self.cell(group) for group in self.library.of("cell")},
            wire_loads=self.wire_loads(),
            wire_load_by_area=self.wire_load_by_area(),
            default_wire_load=self.library.attributes.get("default_wire_load", ""),
        )


@cache
def _read(path: Path, digest: str) -> Library:
    library = _Reader(path, parse(path, path.read_text(encoding="utf-8", errors="replace"))).read(digest)
    if not library.cells:
        raise BadInput(f"{path} has no cells; wanted a standard-cell library")
    if not any(pin.power for cell in library.cells.values() for pin in cell.pins.values()):
        raise BadInput(f"{path} has no power tables (internal_power); energies need a library that has them")
    return library


def read_library(paths: Sequence[Path]) -> Library:
    """The cells of all files as one library; voltage and wire loads are the first file's. Parsed once per process.

    Axes: tables of delay, slew and energy are [input slew, load of the pin]; constraints are [slew of the pin, slew of
    the related pin], both ns. Leakage of a cell is cell_leakage_power or, without it, the mean over its conditions.
    Slews are kept as the tables have them (slew_derate_from_library is not applied): they only meet their own tables.

    Raises BadInput: no such file, no Liberty syntax, unknown units, no cells, no power tables, a table whose size or
    axes do not fit, a cell that two files have, files of different voltage.
    """
    if not paths:
        raise BadInput("wanted at least one Liberty file, got none; see --liberty")
    libraries = []
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise BadInput(f"cannot read the Liberty file {path}: {error.strerror}; check --liberty") from None
        libraries.append(_read(Path(path), sha256(content).hexdigest()))
    first, cells = libraries[0], dict(libraries[0].cells)
    for path, library in zip(paths[1:], libraries[1:], strict=True):
        both = sorted(cells.keys() & library.cells.keys())
        if both:
            raise BadInput(f"{path} has the cell {both[0]} that an earlier Liberty file has; give each cell once")
        if library.voltage_v != first.voltage_v:
            raise BadInput(f"{path} is for {library.voltage_v} V, {paths[0]} for {first.voltage_v} V; give one corner")
        cells |= library.cells
    return replace(first, cells=cells, files=tuple(file for library in libraries for file in library.files))
