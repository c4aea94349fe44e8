"""Prices of a technology profile from the calibrated model: rows of synth/tech/data/ihp130_logic.csv."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from hw.errors import write_atomic
from hw.events import TOGGLES, WORK
from hw.params import TileParams
from synth.gate.blocks import NEURON_BLOCKS
from synth.gate.calibrate import CYCLES, PARTS, windows_of
from synth.gate.check import Checked, Tested
from synth.gate.reference import NEURON_CYCLES
from synth.technology import DRAM_EVENTS, EVENT_KEYS, RATES

COLUMNS = ("format", "key", "value", "low", "high", "component", "level", "source")
SUPPLY = (0.81, 1.21)  # (1.08, 1.32 V over 1.2 V) squared
MEMORY_EVENTS = ("sb_read", "sb_write", "nbin_read", "nbin_write", "nbout_read", "nbout_write")
NFU, CLOCK, CONTROL = "nfu", "clock", "control"
#: Where the report shows what validation calls buffers: their logic beside the SRAMs is control.
SHOWN = {"nfu": NFU, "buffers": CONTROL, "control": CONTROL}
TABLE_KEY = "compute_cycles"  # what a measurement without toggles is charged by

Row = tuple[str, str, str, str, str, str, str, str]


def _price(fmt: str, key: str, value: float, error: float, component: str, level: str, source: str) -> Row:
    low, high = value * SUPPLY[0] * max(0.0, 1 - error), value * SUPPLY[1] * (1 + error)
    return (fmt, key, f"{value:.5g}", f"{low:.5g}", f"{high:.5g}", component, level, source)


def _rows(fmt: str, found: Tested, params: TileParams, made_by: str) -> Iterator[Row]:
    """Every event and rate of a format but those of the SRAMs, priced or free."""
    validation = found.validation
    error = {name: shown.largest_increment_error_percent / 100 for name, shown in validation.blocks.items()}
    every_cycle, every_neuron_cycle = 0.0, 0.0
    priced: dict[str, tuple[float, str]] = {}
    for name, part in PARTS.items():
        for activity, price in found.model.models[name].prices_pj.items():
            if activity == CYCLES:
                every_cycle += price
            elif activity == NEURON_CYCLES:
                every_neuron_cycle += price
            else:
                before, component = priced.get(activity, (0.0, part.component))
                if SHOWN[component] != SHOWN[part.component]:
                    raise RuntimeError(f"{activity} prices {component} and {part.component}")
                # what prices two parts takes the wider band of the two
                wider = max(component, part.component, key=error.__getitem__)
                priced[activity] = before + price, wider
    for activity, (price, component) in sorted(priced.items()):
        source = f"{made_by}: fitted to the gate level, {component}"
        yield _price(fmt, EVENT_KEYS[activity], price, error[component], SHOWN[component], "rtl_activity", source)
    clock_pj = every_cycle + params.neurons * every_neuron_cycle
    total = validation.total.largest_increment_error_percent / 100
    bits = found.register_bits
    source = f"{made_by}: {clock_pj:.4g} pJ in every cycle (clock, ungated registers, leakage) over {bits} bits"
    yield _price(fmt, "clock_pj_per_bit_cycle", clock_pj / bits, total, CLOCK, "both", source)
    yield _table_row(fmt, found, params, clock_pj, made_by)
    kept = {EVENT_KEYS[name] for name in (*priced, TABLE_KEY, *MEMORY_EVENTS)}
    for event in WORK + TOGGLES:
        if event.name not in DRAM_EVENTS and EVENT_KEYS[event.name] not in kept:
            yield (fmt, event.name, "", "", "", "", "both", "other activity of the calibrated model stands for it")
    for name in priced:
        if not name.startswith("toggle_"):
            yield (fmt, name, "", "", "", "", "table", f"without toggles {TABLE_KEY} stands for all logic")
    yield (fmt, TABLE_KEY, "", "", "", "", "rtl_activity", "the toggles price it")
    for rate in ("nfu_pj_per_lane_cycle", "control_pj_per_cycle"):
        assert rate in RATES
        yield (fmt, rate, "", "", "", "", "both", "in clock_pj_per_bit_cycle and in the activity")


def _table_row(fmt: str, found: Tested, params: TileParams, clock_pj: float, made_by: str) -> Row:
    """Energy of a compute cycle of all logic, over the fitted stimulus: for measurements without toggles."""
    energy = cycles = computes = 0.0
    for part in PARTS.values():
        windows = windows_of(found.simulated["fit"], part.blocks)
        inside = set(part.blocks) <= set(NEURON_BLOCKS.values())
        energy += float(windows.energy_pj.sum()) * (params.neurons / found.recorded_neurons if inside else 1.0)
        cycles, computes = float(windows.column("cycles").sum()), float(windows.column(TABLE_KEY).sum())
    value = max(0.0, energy - clock_pj * cycles) / computes
    wide = found.validation.total.constant_power_error_percent / 100
    source = f"{made_by}: mean of all logic per compute cycle; band: a constant's error on other networks"
    return _price(fmt, EVENT_KEYS[TABLE_KEY], value, wide, NFU, "table", source)


def table(found: Checked) -> str:
    """The CSV's text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    made_by = found.validation.command
    for fmt, tested in found.tiles.items():
        writer.writerows(_rows(fmt, tested, tested.tile.params, made_by))
    return text.getvalue()


def write_prices(path: Path, found: Checked) -> Path:
    """Write the prices of every checked format."""
    return write_atomic(path, table(found))
