"""The gate-level reference of recorded windows: energy of every block, window by window, beside the RTL's activity.

A window is simulated once: its result is kept under the content of the netlist, of the recording and of the features.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm import tqdm

from hw.errors import atomic_path
from hw.monitor import counted, registers
from hw.params import TileParams
from synth.gate.blocks import NEURON_BLOCKS, TILE_BLOCKS
from synth.gate.buffers import buffered
from synth.gate.delays import Delays
from synth.gate.features import neuron_activity, rest_activity, table_hash
from synth.gate.graph import Graph
from synth.gate.library import Library
from synth.gate.macros import compose, macro_table, memories
from synth.gate.netlist import Netlist
from synth.gate.recording import RecordedWindow, Recording
from synth.gate.simulate import run
from synth.gate.slack import Path as WorstPath
from synth.gate.slack import worst_path
from synth.gate.synthesis import Options, synthesise
from synth.gate.timing import annotate
from synth.gate.trace import Trace
from synth.gate.wires import Wires, wires_of
from synth.gate.yosys_json import read_netlist

WINDOW = 100  # cycles
#: Cycles times the neurons whose energies are summed: what a neuron costs in every cycle is its price.
NEURON_CYCLES = "neuron_cycles"
FORMAT = 1  # of a kept result


@dataclass(frozen=True)
class Design:
    """A netlist ready to be simulated. key: of its content. slowest: its longest path at the worst slews."""

    netlist: Netlist
    library: Library
    delays: Delays
    wires: Wires
    slowest: WorstPath
    late_ps: dict[str, int]
    key: str


@dataclass(frozen=True)
class Machine:
    """The two netlists of a tile: one of its equal neurons, and the rest of it. registers: paths in the RTL of those of
    the rest, by the event that counts their changes."""

    params: TileParams
    neuron: Design
    rest: Design
    registers: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Simulated:
    """A recorded window at gate level: of 100-cycle windows the energy [windows, blocks, ENERGIES] in pJ of the blocks
    (those of the neurons summed over the ones that were recorded) and the activity [windows, names]."""

    window: RecordedWindow
    blocks: tuple[str, ...]
    energy_pj: np.ndarray
    names: tuple[str, ...]
    activity: np.ndarray
    checked: int


def sram_late_ps(netlist: Netlist, params: TileParams) -> dict[str, int]:
    """When the words that SRAMs give change after the clock's edge, from the macros' access times.

    Such inputs are no ports of the RTL: inside of an SB bank, without a name of their own at the tile's top (words of a
    neuron buffer), or the SB line that a neuron passes on.
    """
    table = macro_table()
    ns = {name: compose(memory, table).macro.access_ns for name, memory in memories(params).items()}
    late = {}
    for name in netlist.inputs:
        if name.startswith("bank.") or name.endswith(".weights"):
            late[name] = round(1000 * ns["sb"])
        elif name.startswith("$"):
            late[name] = round(1000 * max(ns["nbin"], ns["nbout"]))
    return late


def design(
    verilog: Path,
    top: str,
    params: TileParams,
    library: Library,
    liberty: Sequence[Path],
    wire_load: str,
    options: Options,
    build: Path,
) -> Design:
    """Synthesise ``top`` (neuron, or tile with its neurons left out), buffer it and compute delays and energies."""
    blocks = NEURON_BLOCKS if top == "neuron" else TILE_BLOCKS
    path = synthesise(verilog, top, liberty, options, build)
    mapped = read_netlist(path, blocks)
    wires = wires_of(library, sum(library.cells[kind].area_um2 for kind in mapped.types), wire_load)
    netlist = buffered(mapped, library, wires)
    graph = Graph(netlist, library, wires)
    delays = annotate(netlist, library, wires, graph=graph)
    late = sram_late_ps(netlist, params)
    key = hashlib.sha256(f"{FORMAT} {path.parent.name} {wires} {sorted(late.items())}".encode()).hexdigest()[:16]
    return Design(netlist, library, delays, wires, worst_path(graph), late, key)


def machine(
    verilog: Path, params: TileParams, library: Library, liberty: Sequence[Path], wire_load: str, build: Path
) -> Machine:
    """Both netlists of the tile in ``verilog``."""
    common = (params, library, liberty, wire_load)
    neuron = design(verilog, "neuron", *common, Options(), build)
    rest = design(verilog, "tile", *common, Options(boundary=("neuron",)), build)
    found = counted(registers(verilog.read_text(encoding="utf-8"), "tile"))
    return Machine(params, neuron, rest, {event: [one.inside for one in group] for event, group in found.items()})


def traces(recording: Recording, window: RecordedWindow) -> tuple[list[Trace], Trace]:
    """The neurons' traces and the rest's."""
    neurons = [recording.neuron(window, number) for number in recording.neurons]
    return neurons, recording.rest(window)


def _simulate(made: Design, trace: Trace) -> tuple[np.ndarray, int]:
    result = run(made.netlist, made.library, made.delays, trace, window=WINDOW, late_ps=made.late_ps)
    return result.energy_fj / 1e3, result.checked * result.cycles


def _kept(folder: Path, what: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Arrays kept in ``folder`` under the hash of ``what``, made where they are not there."""
    path = folder / f"{hashlib.sha256(what.encode()).hexdigest()[:24]}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(handle, allow_pickle=False, **make())
    with np.load(path) as data:
        return dict(data)


def _energies(tile: Machine, recording: Recording, window: RecordedWindow) -> dict[str, Any]:
    neurons, rest = traces(recording, window)
    inside = [_simulate(tile.neuron, trace) for trace in neurons]
    outside, checked = _simulate(tile.rest, rest)
    return {
        "energy_pj": np.concatenate([np.sum([energy for energy, _ in inside], axis=0), outside], axis=1),
        "checked": checked + sum(bits for _, bits in inside),
    }


def _activity(tile: Machine, recording: Recording, window: RecordedWindow) -> dict[str, Any]:
    neurons, rest = traces(recording, window)
    counts = rest_activity(rest, tile.params, tile.registers)
    for trace in neurons:
        for name, found in neuron_activity(trace, tile.params).items():
            counts[name] = counts.get(name, 0) + found
    counts[NEURON_CYCLES] = len(neurons) * counts["cycles"]
    counts["compute_cycles"] = rest.of("engine.issue")[:-1, 0].astype(np.int64)
    starts = np.arange(0, window.cycles - 1, WINDOW)
    columns = [np.add.reduceat(each, starts) for each in counts.values()]
    return {"names": np.array(list(counts)), "activity": np.stack(columns, axis=1)}


def _simulated(tile: Machine, recording: Recording, window: RecordedWindow, kept: Path) -> Simulated:
    content = hashlib.sha256((recording.folder / window.file).read_bytes()).hexdigest()
    which = f"{FORMAT} {content} {recording.neurons}"
    energies = _kept(kept, f"{which} {tile.neuron.key} {tile.rest.key}", lambda: _energies(tile, recording, window))
    counts = _kept(kept, f"{which} {table_hash()} with compute_cycles", lambda: _activity(tile, recording, window))
    return Simulated(
        window,
        (*tile.neuron.netlist.blocks, *tile.rest.netlist.blocks),
        energies["energy_pj"],
        tuple(str(name) for name in counts["names"]),
        counts["activity"],
        int(energies["checked"]),
    )


def simulate_recording(tile: Machine, recording: Recording, kept: Path, *, jobs: int) -> list[Simulated]:
    """Every window of a recording, ``jobs`` side by side, with a progress bar on a terminal."""
    work = (joblib.delayed(_simulated)(tile, recording, window, kept) for window in recording.windows)
    found = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(work)
    return list(tqdm(found, desc=recording.what, total=len(recording.windows), unit="window", disable=None))
