"""Energy of a neuron's multipliers at gate level, built in several ways and given what a recorded tile gave them.

``python -m hw.variants PRESET FOLDER`` writes the Verilog of the variants, and
``python -m synth.gate.lanes --variants FOLDER --recording FOLDER`` measures them into docs/results/lanes-ihp130.json.
What was simulated is kept under build/gate/lanes by its content, so that a stopped command goes on where it was.
"""

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from hw.errors import BadInput, CheckFailed, write_atomic
from hw.params import TileParams
from synth.gate.buffers import buffered
from synth.gate.delays import Delays
from synth.gate.graph import Graph
from synth.gate.lanes_stimulus import REGISTERS, Stimulus, in_halves, stimulus, variant_trace
from synth.gate.liberty import read_library
from synth.gate.library import Library
from synth.gate.macros import compose, macro_table, memories
from synth.gate.netlist import Netlist
from synth.gate.pdk import find_liberty, pdk_of
from synth.gate.recording import Recording, read_recording
from synth.gate.simulate import ENERGIES, run
from synth.gate.slack import worst_path
from synth.gate.synthesis import Options, synthesise
from synth.gate.timing import annotate
from synth.gate.wires import wires_of
from synth.gate.yosys import find_yosys
from synth.gate.yosys_json import read_netlist

ROOT = Path(__file__).parent.parent.parent
RESULT = ROOT / "docs" / "results" / "lanes-ihp130.json"
TOP = "products"
GATED_BITS = 8
#: Long enough for the slowest variant behind SB's access; leakage counts for that time in all.
PERIOD_PS = 12_000
FORMAT = 1  # of what is kept


@dataclass(frozen=True)
class Case:
    """A variant of hw/variants.py, and how it is synthesised. aligned: the operands come when SB's words do, instead of
    at the clock's edge, as latches in front of all neurons would give them; these are not in the case."""

    kind: str
    booth: bool = True
    clock_gates: bool = True
    aligned: bool = False

    @property
    def options(self) -> Options:
        return Options(booth=self.booth, clock_gate_bits=GATED_BITS if self.clock_gates else 0)


CASES = (
    *(Case(kind, clock_gates=gates) for kind in REGISTERS for gates in (True, False)),
    *(Case("plain", booth=False, clock_gates=gates) for gates in (True, False)),
    *(Case("plain", booth=booth, aligned=True) for booth in (True, False)),
)


@dataclass(frozen=True)
class Built:
    """A case's netlist. key: of its content. least_period_ns: of itself, all inputs at the clock's edge;
    behind_sram_ns: with inputs when SB's words arrive."""

    netlist: Netlist
    library: Library
    delays: Delays
    key: str
    late_ps: int
    area_um2: float
    least_period_ns: float
    behind_sram_ns: float


def build(
    case: Case, verilog: Path, library: Library, liberty: Sequence[Path], wire_load: str, late_ps: int, kept: Path
) -> Built:
    """Synthesise a case out of the folder ``verilog`` and make it ready to be simulated; late_ps: SB's access."""
    path = synthesise(verilog / f"{case.kind}.v", TOP, liberty, case.options, kept)
    mapped = read_netlist(path, {"": TOP})
    wires = wires_of(library, sum(library.cells[kind].area_um2 for kind in mapped.types), wire_load)
    netlist = buffered(mapped, library, wires)
    graph = Graph(netlist, library, wires)
    return Built(
        netlist,
        library,
        annotate(netlist, library, wires, graph=graph),
        f"{path.parent.name} {wires}",
        late_ps,
        sum(library.cells[kind].area_um2 for kind in netlist.types),
        worst_path(graph).least_period_ns,
        worst_path(graph, input_delay_ns=late_ps / 1000).least_period_ns,
    )


def simulate(
    built: Built, case: Case, given: Stimulus, params: TileParams, zero_delay: bool, kept: Path
) -> list[float]:
    """Energy of a stimulus in pJ, one of each of ENERGIES; kept by its content."""
    trace = variant_trace(case.kind, given, params)
    late_ps = dict.fromkeys(("weights", "operands") if case.aligned else ("weights",), built.late_ps)
    text = f"{FORMAT} {built.key} {late_ps} {PERIOD_PS} {zero_delay} {sorted(trace.places.items())}"
    digest = hashlib.sha256(text.encode() + np.packbits(trace.bits).tobytes()).hexdigest()[:24]
    path = kept / "lanes" / f"{digest}.json"
    if not path.exists():
        result = run(
            built.netlist,
            built.library,
            built.delays,
            trace,
            window=trace.cycles,
            period_ps=PERIOD_PS,
            late_ps=late_ps,
            zero_delay=zero_delay,
        )
        write_atomic(path, json.dumps((result.energy_fj.sum(axis=(0, 1)) / 1e3).tolist()))
    return [float(value) for value in json.loads(path.read_text())]


def measure(
    built: Built, case: Case, stimuli: Sequence[Stimulus], params: TileParams, kept: Path, step: Callable[[], None]
) -> dict[str, Any]:
    """A row of the result: energies by layer in pJ, with delays by kind and at zero delay in all."""
    layers: dict[str, dict[str, Any]] = {}
    for given in stimuli:
        row = layers.setdefault(given.layer, dict.fromkeys(("energy_pj", "zero_delay_pj"), 0.0))
        found = [simulate(built, case, given, params, zero, kept) for zero in (False, True)]
        row["energy_pj"] += sum(found[0])
        row["zero_delay_pj"] += sum(found[1])
        for name, value in zip(ENERGIES, found[0], strict=True):
            row[f"{name}_pj"] = row.get(f"{name}_pj", 0.0) + value
        step()
    return asdict(case) | {
        "cells": len(built.netlist.cells),
        "area_um2": built.area_um2,
        "least_period_ns": built.least_period_ns,
        "behind_sram_ns": built.behind_sram_ns,
        "layers": layers,
    }


def weights(
    built: Built, stimuli: Sequence[Stimulus], params: TileParams, kept: Path, step: Callable[[], None]
) -> dict[str, dict[str, float]]:
    """By layer: energy of the plain lanes with SB's output as recorded, 0 in cycles in which no lane computes, and 0
    between any two uses; the last against its own ``halves_held``, in halves of cycles as it is."""
    layers: dict[str, dict[str, float]] = {}
    for given in stimuli:
        busy = given.on.any(axis=1, keepdims=True)
        forms = {
            "held": given,
            "zero_when_idle": replace(given, weights=np.where(busy, given.weights, 0)),
            "halves_held": in_halves(given, zeroed=False),
            "halves_zero": in_halves(given, zeroed=True),
        }
        row = layers.setdefault(given.layer, dict.fromkeys((f"{name}_pj" for name in forms), 0.0))
        for name, form in forms.items():
            row[f"{name}_pj"] += sum(simulate(built, CASES[0], form, params, False, kept))
        step()
    return layers


def stimuli_of(recording: Recording, fraction: float) -> list[Stimulus]:
    """Every layer of every window of the network at ``fraction``, in every recorded neuron."""
    found = []
    windows = [window for window in recording.windows if window.fraction == fraction]
    for window in windows:
        starts = [max(first - 1, 0) for _, first in window.layers]  # the state before
        for number in recording.neurons:
            trace = recording.neuron(window, number)
            for (layer, _), first, last in zip(window.layers, starts, [*starts[1:], trace.cycles], strict=True):
                if layer != "start":
                    found.append(stimulus(trace, recording.params, layer, first, last))
    if not found:
        known = ", ".join(f"{value:g}" for value in sorted({window.fraction for window in recording.windows}))
        raise BadInput(f"a recorded fraction is wanted, one of {known}, not {fraction:g}")
    return found


def described(recording: Recording, fraction: float) -> dict[str, Any]:
    """What was recorded, for the result."""
    windows = []
    for window in recording.windows:
        if window.fraction == fraction:
            digest = hashlib.sha256((recording.folder / window.file).read_bytes()).hexdigest()
            windows.append(asdict(window) | {"sha256": digest})
    return {
        "what": recording.what,
        **recording.header,
        "tile": recording.params.as_dict(),
        "verilog_sha256": recording.verilog_sha256,
        "neurons": list(recording.neurons),
        "windows": windows,
    }


def work(stimuli: Sequence[Stimulus]) -> dict[str, dict[str, int]]:
    """By layer: cycles (of neurons), those in which a lane computes, products, weights read from SB for them."""
    layers: dict[str, dict[str, int]] = {}
    for given in stimuli:
        row = layers.setdefault(given.layer, dict.fromkeys(("cycles", "busy", "multiplies", "lane_reads"), 0))
        row["cycles"] += given.cycles
        row["busy"] += int(given.on[1:].any(axis=1).sum())
        row["multiplies"] += given.multiplies
        row["lane_reads"] += given.lane_reads
    return layers


def commit() -> str:
    """The checkout's commit, with ``+`` when files differ from it."""
    called = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    done = subprocess.run(called, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip() or "unknown"


def lanes(verilog: Path, recorded: Path, fraction: float, liberty: Sequence[Path], kept: Path) -> dict[str, Any]:
    """The whole result; see the module's text."""
    recording = read_recording(recorded)
    params = recording.params
    paths = find_liberty(liberty)
    library = read_library(paths)
    wire_load = "" if liberty else pdk_of("ihp-sg13g2").wire_load
    bank = compose(memories(params)["sb"], macro_table())
    late_ps = round(1000 * bank.macro.access_ns)
    stimuli = stimuli_of(recording, fraction)
    rows = []
    with tqdm(total=len(stimuli) * (len(CASES) + 1), unit="run", disable=None) as bar:
        for case in CASES:
            built = build(case, verilog, library, paths, wire_load, late_ps, kept)
            rows.append(measure(built, case, stimuli, params, kept, bar.update))
            if case == CASES[0]:
                held = weights(built, stimuli, params, kept, bar.update)
    return {
        "schema": 1,
        "commit": commit(),
        "library": {"name": library.name, "files": [[Path(name).name, digest] for name, digest in library.files]},
        "wire_load": wire_load,
        "yosys": find_yosys().version,
        "verilog": {kind: hashlib.sha256((verilog / f"{kind}.v").read_bytes()).hexdigest() for kind in REGISTERS},
        "recording": described(recording, fraction),
        "period_ps": PERIOD_PS,
        "sb": {"macro": bank.macro.name, "late_ps": late_ps, "read_pj": bank.read_pj},
        "work": work(stimuli),
        "variants": rows,
        "weights": held,
    }


@click.command(help=__doc__)
@click.option("--variants", "verilog", type=click.Path(path_type=Path), required=True, help="folder of their Verilog")
@click.option("--recording", type=click.Path(path_type=Path), required=True, help="folder of recorded windows")
@click.option("--fraction", default=1.0, show_default=True, help="which increment's windows")
@click.option("--liberty", type=click.Path(path_type=Path), multiple=True, help="standard cells; else $PDK_ROOT's")
@click.option("--build", "kept", type=click.Path(path_type=Path), default=Path("build/gate"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, show_default="docs/results/lanes-ihp130.json")
def main(verilog: Path, recording: Path, fraction: float, liberty: tuple[Path, ...], kept: Path, out: Path) -> None:
    try:
        found = lanes(verilog, recording, fraction, liberty, kept)
    except (BadInput, CheckFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, BadInput) else 1)
    command = "python -m synth.gate.lanes " + shlex.join(sys.argv[1:])
    write_atomic(out, json.dumps({"command": command, **found}, indent=1) + "\n")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
