"""`tilewatt energy-check`: fit the calibrated model to recorded windows at gate level and test it on others."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.errors import write_atomic
from hw.params import TileParams
from synth.gate.area import TILE, component_areas
from synth.gate.blocks import COMPONENTS as TABLE_2
from synth.gate.blocks import NEURON_BLOCKS
from synth.gate.calibrate import COMPONENTS, Calibrated, blocks_of, calibrate, errors_of, windows_of
from synth.gate.compare import compare
from synth.gate.layers import product_energies
from synth.gate.liberty import read_library
from synth.gate.library import Library
from synth.gate.macros import compose, macro_table, memories
from synth.gate.opensta import find_sta
from synth.gate.recording import Recording, read_recording
from synth.gate.reference import Machine, Simulated, machine, simulate_recording, traces
from synth.gate.simulate import run
from synth.gate.timing import CLOCK_SLEW_NS, INPUT_SLEW_NS
from synth.gate.trace import Trace
from synth.gate.validation import Errors, FormatValidation, Validation, worst

Step = Callable[[str], None]
DELAYS = "Liberty tables at typical slews and loads, pin to pin, inertial; SRAM words at the macros' access time"
STA_WINDOW = 200  # cycles that OpenSTA's activity comes from


@dataclass(frozen=True)
class Job:
    """A tile to check: the Verilog that was recorded, and its folders of recordings by role, "fit" and "test"."""

    params: TileParams
    verilog: Path
    recordings: Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class Tested:
    """One tile: its netlists, the model, the simulated windows by role and recording, and its validation.

    register_bits: of the tile.json beside the Verilog. recorded_neurons: those whose energies a window sums.
    """

    tile: Machine
    model: Calibrated
    simulated: Mapping[str, Mapping[str, Sequence[Simulated]]]
    validation: FormatValidation
    register_bits: int
    recorded_neurons: int


@dataclass(frozen=True)
class Checked:
    """All tiles by number format, and the validation that was written."""

    tiles: Mapping[str, Tested]
    validation: Validation


def _opensta(tile: Machine, recording: Recording, liberty: Sequence[Path]) -> dict[str, tuple[float, float]]:
    """(same rules, simulated) over OpenSTA less one, in percent, by component and of "total"; empty without OpenSTA."""
    sta = find_sta()
    if sta is None:
        return {}
    sums: dict[str, np.ndarray] = {}
    window = recording.windows[-1]
    neurons, rest = traces(recording, window)
    for made, trace in ((tile.neuron, neurons[0]), (tile.rest, rest)):
        short = Trace(trace.places, trace.bits[: STA_WINDOW + 1])
        result = run(made.netlist, made.library, made.delays, short, late_ps=made.late_ps)
        slews = (CLOCK_SLEW_NS, INPUT_SLEW_NS)
        found = compare(made.netlist, made.library, liberty, made.delays, result, slews, sta)
        for block, energies in zip(
            found.blocks, np.stack([found.static_fj, found.simulated_fj, found.opensta_fj], axis=1), strict=True
        ):
            for component in (*COMPONENTS, "total"):
                if block in blocks_of(component):
                    sums[component] = sums.get(component, np.zeros(3)) + energies
    return {name: (100 * (own / sta - 1), 100 * (sim / sta - 1)) for name, (own, sim, sta) in sums.items()}


def _increments(model: Calibrated, tested: Mapping[str, Sequence[Simulated]]) -> dict[str, dict[str, float]]:
    """By increment of the test stimulus: reference and model, pJ per cycle of the simulated part of the tile."""
    found: dict[str, dict[str, float]] = {}
    windows = windows_of(tested, blocks_of("total"))
    guess = model.of("total").energy_pj(windows)
    cycles = windows.column("cycles")
    for label in dict.fromkeys(windows.increments.tolist()):
        rows = windows.increments == label
        found[label] = {
            "cycles": float(cycles[rows].sum()),
            "reference_pj_per_cycle": _figure(windows.energy_pj[rows].sum() / cycles[rows].sum()),
            "model_pj_per_cycle": _figure(guess[rows].sum() / cycles[rows].sum()),
        }
    return found


def _areas(tile: Machine) -> dict[str, float]:
    """By component of T16's Table 2 and "whole tile": cells after synthesis, and macros."""
    table = macro_table()
    srams = {name: compose(memory, table) for name, memory in memories(tile.params).items()}
    netlists = tile.neuron.netlist, tile.rest.netlist
    found = component_areas(*netlists, tile.params, tile.neuron.library, srams)
    return {name: _figure(area.um2) for name, area in found.items()}


def _powers(tested: Mapping[str, Sequence[Simulated]], times: float) -> dict[str, float]:
    """By component of T16's Table 2 and "whole tile": pJ per cycle of the cells over the test stimulus.

    times: neurons of the tile for each one simulated.
    """
    whole = windows_of(tested, blocks_of("total"))
    cycles, inside = whole.column("cycles").sum(), set(NEURON_BLOCKS.values())
    found = {}
    for component, members in TABLE_2.items():
        picojoules = 0.0
        for block in members:
            energy = windows_of(tested, (block,)).energy_pj.sum()
            picojoules += energy * (times if block in inside else 1.0)
        found[component] = _figure(picojoules / cycles)
    return found | {TILE: _figure(sum(found.values()))}


def check_tile(
    job: Job, library: Library, liberty: Sequence[Path], wire_load: str, build: Path, *, jobs: int, step: Step
) -> Tested:
    """Synthesise the recorded tile, simulate every window, fit on the recordings of "fit", test on those of "test"."""
    name = job.params.name
    step(f"{name}: synthesis")
    tile = machine(job.verilog, job.params, library, liberty, wire_load, build / "netlists")
    simulated: dict[str, dict[str, list[Simulated]]] = {}
    for role, folders in job.recordings.items():
        simulated[role] = {}
        for folder in folders:
            recording = read_recording(folder)
            step(f"{name}: {folder.name}, {len(recording.windows)} windows at gate level")
            simulated[role][folder.name] = simulate_recording(tile, recording, build / "windows", jobs=jobs)
    model = calibrate(simulated["fit"])
    errors = errors_of(model, simulated["test"])
    for component, (own, seen) in _opensta(tile, read_recording(job.recordings["test"][-1]), liberty).items():
        errors[component] |= {"opensta_difference_percent": own, "simulated_difference_percent": seen}
    shown = {
        component: Errors.model_validate({key: _figure(value) for key, value in found.items()})
        for component, found in errors.items()
    }
    designs = {"neuron": tile.neuron, "rest": tile.rest}
    neurons = len(read_recording(job.recordings["fit"][0]).neurons)
    validation = FormatValidation(
        preset=name,
        total=shown["total"],
        blocks={component: shown[component] for component in COMPONENTS},
        windows={role: sum(map(len, found.values())) for role, found in simulated.items()},
        checked_bits=sum(item.checked for found in simulated.values() for items in found.values() for item in items),
        cells={part: len(made.netlist.cells) for part, made in designs.items()},
        least_period_ns={part: _figure(made.slowest.least_period_ns) for part, made in designs.items()},
        increments=_increments(model, simulated["test"]),
        products={
            label: {name: _figure(value) for name, value in figures.items()}
            for label, figures in product_energies(model, simulated["fit"], simulated["test"]).items()
        },
        area_um2=_areas(tile),
        cells_pj_per_cycle=_powers(simulated["test"], tile.params.neurons / neurons),
    )
    sidecar = json.loads(job.verilog.with_suffix(".json").read_text(encoding="utf-8"))
    return Tested(tile, model, simulated, validation, sidecar["register_bits"], neurons)


def check(
    work: Sequence[Job],
    liberty: Sequence[Path],
    wire_load: str,
    build: Path,
    *,
    jobs: int,
    step: Step,
    command: str,
    commit: str,
) -> Checked:
    """Check every tile and write ``build``/validation.json. wire_load: the library's to take, "" for it to choose.

    What was synthesised or simulated before, from the same files, is taken as it is.
    """
    library = read_library(liberty)
    tiles = {
        str(job.params.fmt): check_tile(job, library, liberty, wire_load, build, jobs=jobs, step=step) for job in work
    }
    formats = {fmt: tested.validation for fmt, tested in tiles.items()}
    first = next(iter(tiles.values()))
    validation = Validation.model_validate(
        {
            "schema": 1,
            "command": command,
            "commit": commit,
            "library": {
                "name": library.name,
                "files": dict(library.files),
                "voltage_v": library.voltage_v,
                "temperature_c": library.temperature_c,
            },
            "delays": DELAYS,
            "wires": str(first.tile.neuron.wires),
            "stimulus": {role: [read_recording(f).what for f in work[0].recordings[role]] for role in ("fit", "test")},
            "total": worst([found.total for found in formats.values()]),
            "blocks": {name: worst([found.blocks[name] for found in formats.values()]) for name in COMPONENTS},
            "formats": formats,
        }
    )
    text = json.dumps(validation.model_dump(by_alias=True, mode="json"), indent=2) + "\n"
    write_atomic(build / "validation.json", text)
    return Checked(tiles, validation)


def _figure(value: float) -> float:
    """Five significant digits: the same on every machine."""
    return float(f"{float(value):.5g}")
