"""Build a design with Verilator and run cocotb benches on it.

A build lives in ``<build_root>/<name>-<hash>``; the hash covers every source, parameter, flag and tool version, so an
edit builds anew and a repetition does not. A run passes only on positive evidence. docs/cosim.md has measured speeds.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import find_libpython
from cocotb_tools import config

from cosim.toolchain import Toolchain, find_toolchain
from hw.errors import BadInput, CheckFailed

_FOLDER = Path(__file__).resolve().parent
MAIN = _FOLDER / "main.cpp"
PAIRS = _FOLDER / "pairs.cpp"  # functions that hw.monitor imports
POPCOUNT = _FOLDER / "popcount.h"  # included in all that Verilator writes
WAIVERS = _FOLDER / "waivers.vlt"
BUILD_ROOT = Path("build/cosim")


class CosimFailed(CheckFailed):
    """A build or a run that did not succeed; the text names the log."""


@dataclass(frozen=True)
class Build:
    """A simulation program. ``reused`` is True when an earlier build of the same inputs was taken."""

    folder: Path
    top: str
    key: str
    clock_ps: int
    saif: bool
    toolchain: str
    seconds: float
    reused: bool
    vcd: bool = False

    @property
    def executable(self) -> Path:
        return self.folder / "Vtop"


@dataclass(frozen=True)
class RunResult:
    """A run that passed: its tests, clock cycles, and host seconds inside the simulator."""

    tests: tuple[str, ...]
    seed: int
    cycles: int
    seconds: float
    log: Path
    workdir: Path

    @property
    def cycles_per_second(self) -> float:
        return self.cycles / self.seconds


def _public_control(public: Sequence[tuple[str, str]], writable: Sequence[tuple[str, str]]) -> str:
    """Verilator control file that opens only the named variables; everything else stays optimised."""
    lines = [f'public_flat_rd -module "{module}" -var "{variable}"' for module, variable in public]
    lines += [f'public_flat_rw -module "{module}" -var "{variable}"' for module, variable in writable]
    return "`verilator_config\n" + "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class _Source:
    """A file as it was read once: what is hashed is what is built, whatever another process writes meanwhile."""

    name: str
    content: bytes

    @classmethod
    def read(cls, path: Path) -> "_Source":
        return cls(path.name, path.read_bytes())


def _key(parts: Mapping[str, object], sources: Sequence[_Source]) -> str:
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for source in sources:
        digest.update(f"{source.name}\n".encode() + hashlib.sha256(source.content).digest())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _logged(command: Sequence[str | Path], log: Path, environment: Mapping[str, str], what: str) -> None:
    with log.open("a") as handle:
        handle.write(f"$ {' '.join(str(part) for part in command)}\n")
        handle.flush()
        code = subprocess.run(
            [str(part) for part in command], stdout=handle, stderr=subprocess.STDOUT, env=dict(environment)
        ).returncode
    if code:
        lines = log.read_text(errors="replace").splitlines()
        first = next((line for line in lines if re.search(r"%Error|%Warning|error:|Error ", line)), f"exit code {code}")
        raise CosimFailed(f"{what} failed: {first.strip()} (log: {log})")


def build(
    sources: Sequence[str | Path],
    top: str,
    *,
    name: str | None = None,
    build_root: str | Path = BUILD_ROOT,
    parameters: Mapping[str, int | str] | None = None,
    defines: Mapping[str, int | str] | None = None,
    public: Sequence[tuple[str, str]] = (),
    writable: Sequence[tuple[str, str]] = (),
    clock_ps: int = 4000,
    trace_saif: bool = False,
    trace_vcd: bool = False,
    jobs: int = 2,
) -> Build:
    """Verilate and compile ``sources`` (.v, .sv, .vlt) with top module ``top``, which has an input ``clk``.

    parameters, defines: of the top module and the preprocessor. public: (module, variable) pairs a bench reads or
    views; writable: pairs it writes through VPI, and the top's ports.
    clock_ps: period of ``clk``. trace_saif: build with activity traces (slower). trace_vcd: build with recordings of
    every signal (cosim.memory.vcd_window); one of the two. Raises BadInput for wrong input or
    missing tools, CosimFailed with the log when Verilator or the compiler refuses.
    """
    files = [Path(source).resolve() for source in sources]
    for file in files:
        if not file.is_file():
            raise BadInput(f"a simulation source is wanted, {file} is not a file")
    if not files:
        raise BadInput(f"at least one source is wanted to simulate {top}, not none")
    if clock_ps <= 0 or clock_ps % 2:
        raise BadInput(f"clock_ps wants a positive even number (two equal halves), not {clock_ps}")
    if trace_saif and trace_vcd:
        raise BadInput(f"one kind of trace is wanted in a simulation of {top}, not both: build it twice")
    tools = find_toolchain()
    flags = [
        "-cc",
        "--exe",
        "--vpi",
        "--no-timing",
        "--assert",
        "-Wall",
        "-O3",
        "--x-assign",
        "fast",
        "--x-initial",
        "fast",
        "--output-split-cfuncs",  # of a longer function the compiler's analysis of aliases takes minutes
        "500",
    ]
    flags += ["--timescale", "1ps/1ps", "--prefix", "Vtop", "-o", "Vtop", "--top-module", top]
    flags += [f"-G{key}={value}" for key, value in (parameters or {}).items()]
    flags += [f"-D{key}={value}" for key, value in (defines or {}).items()]
    if trace_saif:
        flags += ["--trace-saif", "--trace-structs", "--trace-underscore", "-CFLAGS", "-DVM_TRACE=1"]
    if trace_vcd:
        flags += ["--trace-vcd", "--trace-structs", "--trace-underscore", "-CFLAGS", "-DVM_TRACE=1"]
        flags += ["--trace-max-width", str(1 << 16)]
    if trace_saif or trace_vcd:
        flags += ["--trace-max-array", "64"]  # accumulators and pooling windows; SB would be most of the file
    flags += ["-CFLAGS", f"-DTILEWATT_HALF_PERIOD_PS={clock_ps // 2} -DVL_TIME_CONTEXT"]
    flags += ["--compiler-include", POPCOUNT.name]
    flags += [flag for option in tools.processor for flag in ("-CFLAGS", option)]
    libraries = config.libs_dir
    flags += ["-LDFLAGS", f"-rdynamic -Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"]
    control = _public_control(public, writable)
    versions = [tools.verilator_version, str(tools.root), tools.cxx_version, importlib.metadata.version("cocotb")]
    read = [_Source("public.vlt", control.encode()), *(_Source.read(file) for file in [WAIVERS, *files, MAIN, PAIRS])]
    popcount = _Source.read(POPCOUNT)
    key = _key({"flags": flags, "make": tools.make_variables, "versions": versions}, [*read, popcount])
    folder = Path(build_root).resolve() / f"{name or top}-{key}"
    start = time.monotonic()
    reused = True
    if not folder.exists():
        with _lock(folder.with_suffix(".lock")):
            if not folder.exists():  # another process may have built it meanwhile
                parts = {"saif": trace_saif, "vcd": trace_vcd, "versions": versions, "processor": tools.processor}
                runtime = folder.parent / f"runtime-{_key(parts, [])}"
                _build_in(folder, runtime, tools, flags, read, popcount, jobs)
                reused = False
    return Build(folder, top, key, clock_ps, trace_saif, tools.summary, time.monotonic() - start, reused, trace_vcd)


def _build_in(
    folder: Path,
    runtime: Path,
    tools: Toolchain,
    flags: Sequence[str],
    sources: Sequence[_Source],
    included: _Source,
    jobs: int,
) -> None:
    """Build beside ``folder`` and move the whole there; what stays of a failure is the log. included: the header that
    the flags name.

    ``runtime`` keeps the objects of Verilator's own library, which are the same for every design and take 11 s.
    """
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    files = [partial / "sources" / str(number) / source.name for number, source in enumerate(sources)]
    for file, source in zip(files, sources, strict=True):
        file.parent.mkdir(parents=True)
        file.write_bytes(source.content)
    (partial / included.name).write_bytes(included.content)
    # the verilator command is a perl script; its first line may name a perl that is not there
    verilator: list[str | Path] = [tools.perl, tools.verilator, *flags, "-Mdir", partial]
    _logged([*verilator, *files], log, tools.environment, "verilator")
    if runtime.is_dir():
        for kept in runtime.iterdir():
            shutil.copy(kept, partial)  # newer than its source: make takes it as it is
    make: list[str | Path] = [tools.make, "-C", partial, "-f", "Vtop.mk", f"-j{jobs}", *tools.make_variables]
    _logged(make, log, tools.environment, "compiling the simulation")
    _keep_runtime(partial, runtime)
    for left_over in (*partial.glob("*.o"), *partial.glob("*.gch"), *partial.glob("*.a")):
        left_over.unlink()
    partial.rename(folder)


def _keep_runtime(partial: Path, runtime: Path) -> None:
    if runtime.is_dir():
        return
    with tempfile.TemporaryDirectory(dir=runtime.parent) as scratch:
        whole = Path(scratch) / "runtime"
        whole.mkdir()
        for compiled in partial.glob("verilated*.o"):
            shutil.copy(compiled, whole)
        with contextlib.suppress(OSError):  # another build was first
            whole.rename(runtime)


def run(
    simulation: Build,
    test_module: str,
    testcase: str | Sequence[str] | None = None,
    *,
    seed: int,
    workdir: str | Path,
    plusargs: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
    cycle_limit: int = 0,
    min_tests: int = 1,
    python_path: Sequence[str | Path] = (),
) -> RunResult:
    """Run the cocotb tests of ``test_module`` and return their evidence.

    testcase: name or names, all when None. env: more variables for the bench. cycle_limit: clock cycles after which the
    run fails (0: none). Passes only if the program ended with code 0, results.xml exists and holds at least
    ``min_tests`` tests, each passed; otherwise CosimFailed names what was missing and the log.
    """
    if min_tests < 1:
        raise BadInput(f"min_tests wants at least 1, not {min_tests}: a run of no tests proves nothing")
    workdir = Path(workdir).resolve()
    workdir.mkdir(parents=True, exist_ok=True)
    results, statistics, log = workdir / "results.xml", workdir / "statistics.json", workdir / "run.log"
    for stale in (results, statistics, log):
        stale.unlink(missing_ok=True)
    variables = _run_environment(simulation, test_module, testcase, seed, python_path)
    variables["COCOTB_RESULTS_FILE"] = str(results)
    variables["TILEWATT_STATS"] = str(statistics)
    variables["TILEWATT_CYCLE_LIMIT"] = str(cycle_limit)
    variables.update(env or {})
    command = [str(simulation.executable), *plusargs]
    with log.open("w") as handle:
        print(f"seed {seed}: {test_module} on {simulation.folder.name}", file=handle, flush=True)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=handle, stderr=subprocess.STDOUT, env=variables, cwd=workdir
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise CosimFailed(f"{test_module} (seed {seed}): not done after {timeout_s:g} s (log: {log})") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code == 3 and cycle_limit:
        raise CosimFailed(f"{test_module} (seed {seed}): not done after {cycle_limit} cycles (log: {log})")
    tests = _evidence(results, f"{test_module} (seed {seed})", log, code, min_tests)
    numbers = json.loads(statistics.read_text())
    return RunResult(tests, seed, numbers["cycles"], numbers["seconds"], log, workdir)


def _run_environment(
    simulation: Build,
    test_module: str,
    testcase: str | Sequence[str] | None,
    seed: int,
    python_path: Sequence[str | Path],
) -> dict[str, str]:
    """The variables by which cocotb's libraries find Python, the top module, the tests and the seed."""
    variables = dict(os.environ)
    libpython = find_libpython.find_libpython()
    if libpython is None:
        raise BadInput(f"a shared libpython of {sys.executable} is wanted by cocotb, none was found: install it")
    variables["GPI_USERS"] = f"{libpython};{config.pygpi_entry_point()}"
    variables["PYGPI_PYTHON_BIN"] = sys.executable
    folders = [str(Path(folder).resolve()) for folder in python_path] + [str(_FOLDER.parent)]
    variables["PYTHONPATH"] = os.pathsep.join([*folders, *(entry for entry in sys.path if entry)])
    variables["COCOTB_TOPLEVEL"] = simulation.top
    variables["COCOTB_TEST_MODULES"] = test_module
    variables["COCOTB_RANDOM_SEED"] = str(seed)
    variables["COCOTB_TRUST_INERTIAL_WRITES"] = "1"
    variables["COCOTB_ANSI_OUTPUT"] = "0"
    variables["TOPLEVEL_LANG"] = "verilog"
    variables.pop("COCOTB_TEST_FILTER", None)
    if testcase is not None:
        names = [testcase] if isinstance(testcase, str) else list(testcase)
        variables["COCOTB_TEST_FILTER"] = r"\.(" + "|".join(re.escape(name) for name in names) + ")$"
    return variables


def _evidence(results: Path, what: str, log: Path, code: int, min_tests: int) -> tuple[str, ...]:
    """Names of the tests that passed; CosimFailed unless exit code and results file both prove it."""
    if not results.exists():
        raise CosimFailed(f"{what}: ended with code {code} and no results file (log: {log})")
    try:
        cases = list(ElementTree.parse(results).iter("testcase"))
    except ElementTree.ParseError:
        raise CosimFailed(f"{what}: ended with code {code} and a broken results file (log: {log})") from None
    for case in cases:
        for outcome in ("failure", "error", "skipped"):
            if (element := case.find(outcome)) is not None:
                reason = (element.get("message") or element.get("error_msg") or "").strip().splitlines()
                raise CosimFailed(f"{what}: {case.get('name')} {outcome}: {' '.join(reason[:1])} (log: {log})")
    if len(cases) < min_tests:
        raise CosimFailed(f"{what}: {min_tests} tests wanted, {len(cases)} ran (log: {log})")
    if code:
        raise CosimFailed(f"{what}: ended with code {code} after its tests (log: {log})")
    return tuple(str(case.get("name")) for case in cases)
