"""The compiled core of the gate simulation: built once, kept under the key of its content, called in process."""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np

from hw.errors import BadInput, atomic_path

BUILD = Path("build/gate")
SOURCES = ("gatesim.cpp", "gatesim.h", "gatesim_queue.h")
FLAGS = ("-std=c++20", "-O3", "-Wall", "-Wextra", "-shared", "-fPIC")

COUNTS = ("cells", "nets", "blocks", "levels", "cycles", "window", "columns", "inputs", "checks")
SETTINGS = ("period_ps", "longest_ps", "zero_delay", "clock_net")
TABLES = (
    *("kind", "instance", "next_outputs", "rules", "delay_choice", "energy_choice", "own_choice"),
    *("delay_ps", "energy_fj", "own_fj", "fanout_start", "fanout_cell", "fanout_pin", "net_fj", "net_block"),
    *("net_clock", "constants", "bits", "input_net", "input_column", "input_delay_ps"),
    *("check_net", "check_column"),
)
RESULTS = ("energy_fj", "transitions", "toggles", "high_ps")
NUMBERS = ("events", "evaluations", "failure", "cycle", "number")

KIND = np.dtype(
    [(name, "<i4") for name in ("inputs", "outputs", "store", "states", "clock_pins", "own_pins")]
    + [(name, "<i8") for name in ("small", "delay_table", "energy_table", "own_table")]
)
INSTANCE = np.dtype(
    [(name, "<i4") for name in ("kind", "output", "block", "level", "clock", "stored")]
    + [(name, "<i8") for name in ("delay", "energy", "own")]
)


class Problem(ctypes.Structure):
    """``struct Problem`` of gatesim.h."""

    _fields_ = [(name, ctypes.c_int64) for name in COUNTS + SETTINGS] + [(name, ctypes.c_void_p) for name in TABLES]


class Outcome(ctypes.Structure):
    """``struct Outcome`` of gatesim.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in RESULTS] + [(name, ctypes.c_int64) for name in NUMBERS]


def _compiler() -> str:
    names = [os.environ.get("CXX") or "c++", "g++", "clang++"]
    for name in names:
        if found := shutil.which(name):
            return found
    raise BadInput(
        f"a C++ compiler is wanted for the gate simulation, none of {', '.join(names)} is on PATH: install g++ or clang"
    )


def build(folder: Path = BUILD) -> Path:
    """The shared library, compiled unless ``folder`` holds it. BadInput without a compiler or where it fails."""
    cxx = _compiler()
    here = Path(__file__).parent
    version = subprocess.run([cxx, "--version"], capture_output=True, text=True, timeout=60).stdout
    parts = [version, platform.machine(), *FLAGS, *((here / name).read_text(encoding="utf-8") for name in SOURCES)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    target = folder / f"gatesim-{key}.so"
    if not target.exists():
        with atomic_path(target) as path:
            command = [cxx, *FLAGS, "-o", str(path), str(here / SOURCES[0])]
            result = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if result.returncode:
                log = folder / "gatesim.log"
                log.write_text(result.stdout + result.stderr, encoding="utf-8")
                raise BadInput(f"{cxx} does not compile the gate simulation, a compiler of C++20 is wanted: see {log}")
    return target


@functools.lru_cache(maxsize=2)
def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path.resolve()))
    library.gatesim_run.argtypes = [ctypes.POINTER(Problem), ctypes.POINTER(Outcome)]
    library.gatesim_run.restype = None
    return library


def call(values: dict[str, int], tables: dict[str, np.ndarray], results: dict[str, np.ndarray]) -> dict[str, int]:
    """Run the core on contiguous arrays; ``results`` are written in place, the numbers of the outcome come back."""
    problem = Problem(**values)
    for name in TABLES:
        setattr(problem, name, tables[name].ctypes.data)
    outcome = Outcome(**{name: results[name].ctypes.data for name in RESULTS})
    _load(build()).gatesim_run(ctypes.byref(problem), ctypes.byref(outcome))
    return {name: getattr(outcome, name) for name in NUMBERS}
