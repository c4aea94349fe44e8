"""Power of a netlist by OpenSTA's ``report_power``, from the activity of the own gate simulation.

OpenSTA knows each pin's transitions and share of time at 1, not which input caused a transition: it charges an output's
internal energy as the mean of rise and fall, shared among the input arcs by their densities, and takes the inputs of a
condition as independent. Nets that the outside drives (inputs, the clock) are in no instance's power.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.errors import BadInput
from synth.gate.explicit import explicit_defaults
from synth.gate.netlist import Netlist
from synth.gate.sta_files import Activity, Conditions, clock_net, commands, saif, verilog, write_lines

LEAST_VERSION = (2, 6)  # the first with read_saif
KINDS = ("internal", "switching", "leakage")
_ROW = re.compile(r"^((?:\s*-?\d\.\d+e[+-]\d+){4}) c(\d+)$", re.MULTILINE)
_ANNOTATION = re.compile(r"^(\w+)\s+(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class PowerReport:
    """energy_fj [blocks, KINDS] over the activity's whole time; annotated: share of pins with activity of the file."""

    version: str
    energy_fj: np.ndarray
    annotated: float


def find_sta() -> tuple[Path, str] | None:
    """``sta`` on PATH and its version; None where there is none. Refuses one too old to compute power from activity."""
    found = shutil.which("sta")
    if found is None:
        return None
    try:
        done = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60, check=False)
        output = done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        output = str(error)
    match = re.search(r"^(\d+)\.(\d+)(?:\.\d+)?$", output, re.MULTILINE)
    if match is None:
        raise BadInput(f"OpenSTA wants to print its version, {found} -version printed {output[:80]!r}")
    if (int(match[1]), int(match[2])) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise BadInput(
            f"OpenSTA wants version {least} or newer, the first that reads SAIF, {found} is {match[0]}: "
            "build a recent one or take this one off PATH"
        )
    return Path(found), match[0]


def parse_power(text: str, netlist: Netlist) -> np.ndarray:
    """Watts [blocks, KINDS] of a ``report_power -instances`` text over all cells; refuses one that lacks cells."""
    watts = np.zeros((len(netlist.blocks), len(KINDS)))
    seen = set()
    for row in _ROW.finditer(text):
        number = int(row[2])
        watts[netlist.block[number]] += [float(value) for value in row[1].split()[:3]]
        seen.add(number)
    if missing := len(netlist.cells) - len(seen):
        raise BadInput(
            f"OpenSTA's power report wants all {len(netlist.cells)} cells, {missing} are missing or unreadable"
        )
    return watts


def parse_annotation(text: str, netlist: Netlist) -> float:
    """Share of pins whose activity is the file's, of a report_activity_annotation text. The pins of the clock's own net
    need none; a cell's unconnected output lacks it."""
    counts = {name: int(count) for name, count in _ANNOTATION.findall(text)}
    if "unannotated" not in counts:
        raise BadInput(f"OpenSTA's report of annotated pins wants a row unannotated, it is {text[:80]!r}")
    clock = clock_net(netlist)
    by_clock = 1 + sum(net == clock for pins in netlist.pins for net in pins.values())
    total = sum(counts.values()) - by_clock
    return (total - (counts["unannotated"] - by_clock)) / total


def report_power(
    netlist: Netlist,
    liberty: Sequence[Path],
    load_ff: np.ndarray,
    activity: Activity,
    conditions: Conditions,
    sta: tuple[Path, str],
) -> PowerReport:
    """Runs OpenSTA (``sta`` of find_sta) on ``netlist`` with loads load_ff [nets], wires included, in a folder of its
    own. Refuses, in one line, a run that failed, with what OpenSTA said last."""
    path, version = sta
    with tempfile.TemporaryDirectory(prefix="tilewatt-sta-") as name:
        folder = Path(name)
        explicit = [folder / f"{number}.lib" for number in range(len(liberty))]
        for source, target in zip(liberty, explicit, strict=True):
            target.write_text(explicit_defaults(source.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")
        write_lines(folder / "netlist.v", verilog(netlist))
        write_lines(folder / "activity.saif", saif(netlist, activity))
        write_lines(folder / "power.tcl", commands(netlist, explicit, load_ff, conditions))
        done = subprocess.run(
            [path, "-no_init", "-no_splash", "-exit", "power.tcl"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        reports = [folder / "power.txt", folder / "annotation.txt"]
        if done.returncode or not all(report.is_file() for report in reports):
            said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["nothing"]
            errors = [line for line in said if line.startswith("Error")] or said
            raise BadInput(f"OpenSTA {version} wants a netlist and activity it can read, it said: {errors[-1][:200]}")
        watts = parse_power(reports[0].read_text(encoding="utf-8"), netlist)
        annotated = parse_annotation(reports[1].read_text(encoding="utf-8"), netlist)
    return PowerReport(version, watts * activity.duration_ps * 1e3, annotated)
