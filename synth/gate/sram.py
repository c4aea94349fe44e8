"""Reads IHP's SRAM macros from their Liberty files: what one access and one transition of a pin cost, area, times."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from hw.errors import BadInput
from synth.gate.liberty import read_library
from synth.gate.library import Cell, Library, Pin, Table
from synth.gate.logic import table
from synth.gate.macros import Macro

SLEW_NS, LOAD_PF = 0.1, 0.02  # conditions of the access and setup times
SELECT, WRITE, READ = "A_MEN", "A_WEN", "A_REN"
CONTROLS = (SELECT, WRITE, READ)


def _at(values: Table, first: float, second: float) -> float:
    """A table's value between its points, both axes held to their ends."""
    if values.values.size == 1:
        return float(values.values.item())
    axes = [axis for axis in (values.slews_ns, values.loads_pf) if len(axis) > 1]
    wanted = [
        float(np.clip(point, axis[0], axis[-1]))
        for point, axis in ((first, values.slews_ns), (second, values.loads_pf))
        if len(axis) > 1
    ]
    return float(RegularGridInterpolator(axes, values.values.squeeze())(wanted).item())


def _pin(cell: Cell, name: str) -> Pin:
    if name not in cell.pins:
        raise BadInput(f"an SRAM macro wants IHP's pin {name}, {cell.name} has {', '.join(cell.pins) or 'none'}")
    return cell.pins[name]


def _edge_pj(cell: Cell, pin: Pin, state: int, rise: bool, fall: bool) -> float:
    """Own energy of a pin's rise, fall or both in the state ``state`` of CONTROLS, bit i = CONTROLS[i]."""
    energy = 0.0
    for power in pin.power:
        if power.when and not table(power.when, CONTROLS) >> state & 1:
            continue
        for wanted, values in ((rise, power.rise), (fall, power.fall)):
            if wanted and values is not None:
                energy += _at(values, SLEW_NS, LOAD_PF)
    return energy


def _toggle_pj(cell: Cell, pin: Pin, selected: bool) -> float:
    """Mean of rise and fall of one bit of ``pin`` in a macro that is selected to write, or in an idle one."""
    state = 0b011 if selected else 0
    return _edge_pj(cell, pin, state, True, True) / 2


def _times(cell: Cell, names: Sequence[str]) -> tuple[float, float]:
    """(clock to data, longest setup of the inputs ``names``), ns, worse edge."""
    data = [arc for arc in _pin(cell, "A_DOUT").arcs if arc.kind == "rising_edge"]
    setups = [arc for name in names for arc in _pin(cell, name).arcs if arc.kind == "setup_rising"]
    if not data or not setups:
        raise BadInput(f"an SRAM macro wants timing of its data and setup of its inputs, {cell.name} lacks it")
    delays = [_at(t, SLEW_NS, LOAD_PF) for arc in data for t in (arc.rise, arc.fall) if t is not None]
    margins = [_at(t, SLEW_NS, SLEW_NS) for arc in setups for t in (arc.rise, arc.fall) if t is not None]
    return max(delays), max(margins)


def macro(library: Library) -> Macro:
    """The one macro of a macro's own Liberty file, its port A. Raises BadInput for a cell without IHP's pins."""
    if len(library.cells) != 1:
        raise BadInput(f"an SRAM macro's Liberty file wants one cell, {library.name} has {len(library.cells)}")
    cell = next(iter(library.cells.values()))
    clock, address, data = (_pin(cell, f"A_{name}") for name in ("CLK", "ADDR", "DIN"))
    mask = cell.pins.get("A_BM")
    inputs = [*CONTROLS, "A_ADDR", "A_DIN", *(["A_BM"] if mask else [])]
    access_ns, setup_ns = _times(cell, inputs)
    file, digest = library.files[0]
    return Macro(
        name=cell.name,
        rows=1 << address.width,
        bits=_pin(cell, "A_DOUT").width,
        ports=2 if "B_CLK" in cell.pins else 1,
        masked=mask is not None,
        area_um2=cell.area_um2,
        leakage_nw=cell.leakage_nw,
        access_ns=access_ns,
        setup_ns=setup_ns,
        read_pj=_edge_pj(cell, clock, 0b101, True, True),
        write_pj=_edge_pj(cell, clock, 0b011, True, True),
        address_pj=_toggle_pj(cell, address, True),
        idle_address_pj=_toggle_pj(cell, address, False),
        data_pj=_toggle_pj(cell, data, True),
        idle_data_pj=_toggle_pj(cell, data, False),
        mask_pj=_toggle_pj(cell, mask, True) if mask else 0.0,
        idle_mask_pj=_toggle_pj(cell, mask, False) if mask else 0.0,
        clock_ff=1e3 * clock.capacitance_pf,
        enable_ff=1e3 * _pin(cell, SELECT).capacitance_pf,
        address_ff=1e3 * address.capacitance_pf,
        data_ff=1e3 * data.capacitance_pf,
        mask_ff=1e3 * mask.capacitance_pf if mask else 0.0,
        file=Path(file).name,
        sha256=digest,
    )


def read_macros(paths: Sequence[Path]) -> tuple[Macro, ...]:
    """A macro of each file, by ports, rows and bits."""
    found = [macro(read_library([path])) for path in paths]
    return tuple(sorted(found, key=lambda item: (item.ports, item.rows, item.bits)))
