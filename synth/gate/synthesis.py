"""Verilog to library cells with Yosys and ABC, so that a trace of the RTL can drive the result and be compared with it.

What the flow promises. Every flip-flop keeps its register's name: nothing is retimed, no state machine is encoded anew.
A memory word that became flip-flops is called ``name[row]``, as Verilator's traces call it. The modules directly below
the top are mapped each by itself and joined at the end: a cell's name begins with its block, and the blocks' ports keep
their names. SRAMs stay memories and are not mapped; modules named as boundary stay instances.
"""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hw.errors import BadInput
from synth.gate.liberty import read_library
from synth.gate.library import Cell, Library
from synth.gate.yosys import find_yosys, run_yosys

VERILOG = "design.v"
FORMAT = 1  # of what a folder of a synthesis holds
# Equal nodes are merged and the structure is kept otherwise: what reduces nodes (dc2, dch) makes ripple-carry adders of
# parallel-prefix ones, which costs a neuron half of its clock rate and saves no area.
ABC = "strash; &get -n; &fraig -x; &nf -p; &put; topo"
SIZED = f"{ABC}; buffer -N 16; topo; upsize; dnsize"
LEGAL = " ".join(f"-cell $_{kind}_ 01" for kind in ("DFF_?", "DFFE_?P", "DFF_???", "DFFE_???P", "DLATCH_?"))
SYNCHRONOUS = "-cell $_SDFF_??0_ 01 -cell $_SDFF_??1_ 01 -cell $_SDFFCE_??0P_ 01 -cell $_SDFFCE_??1P_ 01"


@dataclass(frozen=True)
class Options:
    """booth: Booth multipliers. clock_gate_bits: fewest flip-flops behind a common enable that get a clock gate, 0 for
    no clock gates. flat: map the top as one block, which loses the blocks' names. macros: memories that are SRAMs,
    patterns of "block.memory". boundary: modules that stay instances. sized: buffers and sizes of cells for speed (a
    neuron's clock is 10 % faster; blocks of 100,000 cells take many minutes). load_ff: what each output of a block then
    drives. Without it no net is buffered here: `synth.gate.buffers` does that for a netlist.
    """

    booth: bool = True
    clock_gate_bits: int = 8
    flat: bool = False
    macros: tuple[str, ...] = ("bank.lane_*", "nbin.bank_*", "nbout.bank_*")
    boundary: tuple[str, ...] = ()
    sized: bool = False
    load_ff: float = 10.0


DEFAULT = Options()


def synthesise(
    verilog: Path,
    top: str,
    liberty: Sequence[Path],
    options: Options = DEFAULT,
    build: Path = Path("build/gate"),
) -> Path:
    """Map module ``top`` of ``verilog`` to the library; returns the netlist, Yosys's JSON.

    Beside it lie stat.json (cells and area by type, seconds it took) and yosys.log. All of it is kept under
    ``build`` by its content: the script, the Verilog, the Liberty files and the version of Yosys. BadInput names a cell
    that could not be mapped.
    """
    for path in (verilog, *liberty):
        if not path.is_file():
            raise BadInput(f"synthesis wants a file, there is none at {path}")
    library = read_library(liberty)
    given = {f"cells_{number}.lib": path for number, path in enumerate(liberty)}
    script = _script(library, top, options, tuple(given))
    sources = [hashlib.sha256(verilog.read_bytes()).hexdigest(), *(digest for _, digest in library.files)]
    constraint = f"set_driving_cell {_driver(library).name}\nset_load {options.load_ff}\n"
    parts = [str(FORMAT), find_yosys().version, script, constraint, *sources]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    folder = build / f"{top}-{key}"
    if not (folder / "netlist.json").exists():
        build.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=build, prefix=f".{top}."))
        given[VERILOG] = verilog
        for name, path in given.items():  # copies: the WebAssembly Yosys has a /tmp of its own
            shutil.copyfile(path, scratch / name)
        (scratch / "abc.constr").write_text(constraint, encoding="utf-8")
        start = time.monotonic()
        run_yosys(script, scratch)
        _check(scratch / "netlist.json", top, library, options)
        _statistics(scratch, top, library, options, time.monotonic() - start)
        for name in given:
            (scratch / name).unlink()
        if folder.exists():
            shutil.rmtree(folder)
        scratch.replace(folder)
    return folder / "netlist.json"


def _script(library: Library, top: str, options: Options, liberty: Sequence[str]) -> str:
    given = " ".join(f"-liberty {path}" for path in liberty)
    srams = [pattern for macro in options.macros for pattern in _patterns(*macro.rsplit(".", 1))]
    small = " ".join(["t:$mem_v2", *(f"{pattern} %d" for pattern in srams)])
    gate = _clock_gate(library) if options.clock_gate_bits else None
    lines = [
        *(f"read_liberty -lib -ignore_miss_func {path}" for path in liberty),
        f"read_verilog -sv {VERILOG}",
        *(f"setattr -mod -set boundary 1 {module}" for module in options.boundary),
        *(f"blackbox {module}" for module in options.boundary),
        f"hierarchy -check -top {top}",
        # blocks: modules placed by the top itself
        "" if options.flat else f"setattr -mod -set keep_hierarchy 1 {top}/c:* %M",
        "proc -norom",  # no table of a case becomes a memory
        "flatten",
        "opt_expr",
        "opt_clean",
        "check -assert",
        "opt -nodffe -nosdff",
        "opt",  # enables and resets of flip-flops
        "wreduce",
        "peepopt",
        "opt_clean",
        "booth" if options.booth else "",
        "alumacc",
        "opt",
        "memory -nomap",
        "opt -fast -mux_undef -undriven -fine",
        f"memory_map {small}",
        "opt -undriven -fine",
        "techmap",
        "opt -fast",
        # a synchronous reset goes into the enable and the data: clockgate would gate it away
        *(f"dfflegalize {LEGAL} {kinds}" for kinds in (SYNCHRONOUS, "") if gate),
        *(("opt_merge", "opt_clean") if gate else ()),  # each bit got an enable of its own
        f"clockgate {gate} -min_net_size {options.clock_gate_bits}" if gate else "",
        f"dfflibmap {given}",
        "opt",
        f"abc {given} -constr abc.constr -script +{(SIZED if options.sized else ABC).replace(' ', ',')}",
        "setattr -mod -unset keep_hierarchy *",
        "flatten",
        "opt_clean",
        "delete t:$scopeinfo",
        "setattr -unset src *",
        "setattr -unset src */*",
        "write_json netlist.json",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _patterns(block: str, memory: str) -> tuple[str, ...]:
    """Yosys's for a memory of a block: in a module of its own (whose name may have got a number), or flattened."""
    own = [f"{module}{end}/{memory}" for module in (block, f"*.{block}") for end in ("", "$*")]
    return (*own, f"*/{block}.{memory}", f"*/*.{block}.{memory}")


def _clock_gate(library: Library) -> str | None:
    """The smallest clock gate for flip-flops of rising edges, as `clockgate` wants it; None if the library has none.

    A cell marked dont_use serves too: libraries mark theirs so that only clock gating places them.
    """
    gates = [cell for cell in library.cells.values() if cell.clock_gate.startswith("latch_posedge")]
    if not gates:
        return None
    cell = min(gates, key=lambda cell: (len(cell.inputs), cell.area_um2, cell.name))
    pins = {pin.gate_role: pin.name for pin in cell.pins.values() if pin.gate_role}
    tied = f" -tie_lo {pins['test']}" if "test" in pins else ""
    return f"-pos {cell.name} {pins['enable']}:{pins['clock']}:{pins['out']}{tied}"


def _driver(library: Library) -> Cell:
    """The smallest buffer: what ABC assumes to drive the inputs of a block."""

    def buffers(cell: Cell) -> bool:
        simple = len(cell.inputs) == len(cell.outputs) == 1 and not (cell.sequential or cell.clock_gate)
        return simple and not cell.dont_use and cell.pins[cell.outputs[0]].function.strip("() ") == cell.inputs[0]

    found = [cell for cell in library.cells.values() if buffers(cell)]
    if not found:
        raise BadInput(f"synthesis wants a library with a buffer, {library.name} has none")
    return min(found, key=lambda cell: (cell.area_um2, cell.name))


def _check(path: Path, top: str, library: Library, options: Options) -> None:
    """Every cell is the library's, a boundary or an SRAM that can be one."""
    for name, cell in json.loads(path.read_text())["modules"][top]["cells"].items():
        kind = cell["type"]
        if kind == "$mem_v2":
            if "0" in cell["parameters"]["RD_CLK_ENABLE"]:
                raise BadInput(f"memory {name} is named as an SRAM but read without a clock: take it out of macros")
        elif kind not in library.cells and kind not in options.boundary:
            raise BadInput(f"library {library.name} has no cell for {kind}, which {name} of {top} wants")


def _statistics(folder: Path, top: str, library: Library, options: Options, seconds: float) -> None:
    cells: dict[str, int] = {}
    for cell in json.loads((folder / "netlist.json").read_text())["modules"][top]["cells"].values():
        cells[cell["type"]] = cells.get(cell["type"], 0) + 1
    mapped = {kind: count for kind, count in sorted(cells.items()) if kind in library.cells}
    values = {
        "top": top,
        "library": library.name,
        "yosys": find_yosys().version,
        "options": asdict(options),
        "cells": sum(mapped.values()),
        "area_um2": round(sum(count * library.cells[kind].area_um2 for kind, count in mapped.items()), 3),
        "seconds": round(seconds, 1),
        "types": mapped,
    }
    (folder / "stat.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
