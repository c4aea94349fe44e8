"""Reads activity windows: SAIF files of Verilator, number by number."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hw.errors import BadInput

# the net comes first: nearly every line is one
_TOKEN = re.compile(
    r"\((?P<net>\S+) \(T0 (?P<t0>\d+)\) \(T1 (?P<t1>\d+)\) \(TZ \d+\) \(TX \d+\) \(TB \d+\) \(TC (?P<tc>\d+)\)\)"
    r"|\(INSTANCE (?P<instance>\S+)"
    r"|(?P<close>\))"
    r"|(?P<open>\((?=SAIFILE|NET\b))"
    r"|\(DURATION (?P<duration>\d+)\)"
    r"|\((?:SAIFVERSION|DIRECTION|PROGRAM_NAME|VENDOR|VERSION|DATE|DIVIDER|TIMESCALE)[^()]*\)"
)


@dataclass(frozen=True)
class Net:
    """One bit: time at 0 and at 1 in ps, and toggles."""

    t0_ps: int
    t1_ps: int
    toggles: int


@dataclass(frozen=True)
class Activity:
    """Nets by path: instances and net parted by ``/``, bits and array elements in brackets, lowest instance last."""

    duration_ps: int
    nets: dict[str, Net]

    def matching(self, pattern: str) -> dict[str, Net]:
        """Nets whose whole path the regular expression matches; refuses one that finds none."""
        compiled = re.compile(pattern)
        found = {path: net for path, net in self.nets.items() if compiled.fullmatch(path)}
        if not found:
            raise BadInput(f"a pattern that names a net is wanted, {pattern!r} names none of {len(self.nets)}")
        return found

    def toggles(self, pattern: str) -> int:
        """Toggles of all matching nets together."""
        return sum(net.toggles for net in self.matching(pattern).values())


def read(path: str | os.PathLike[str], keep: str = "") -> Activity:
    """The nets of one SAIF file whose path the regular expression ``keep`` finds; BadInput for a cut-off file."""
    text = Path(path).read_text()
    wanted = re.compile(keep).search
    duration: int | None = None
    nets: dict[str, Net] = {}
    scopes: list[str] = []  # one for every open parenthesis, "" when it is no instance
    prefix = ""
    end = 0
    for match in _TOKEN.finditer(text):
        end = match.end()
        kind = match.lastgroup
        if kind == "tc":
            net, t0, t1, toggles = match.group("net", "t0", "t1", "tc")
            name = prefix + net.replace("\\", "")
            if wanted(name):
                found = Net(int(t0), int(t1), int(toggles))
                # Amaranth names array elements: one of a single bit is that bit of the vector once more
                if nets.setdefault(name, found) != found:
                    raise BadInput(f"a SAIF file has one activity of each net, {path} has two of {name}")
            continue
        if kind == "instance":
            scopes.append(match["instance"].replace("\\", "") + "/")
        elif kind == "open":
            scopes.append("")
        elif kind == "close":
            if not scopes:
                raise BadInput(f"a SAIF file with matching parentheses is wanted, {path} closes too many")
            scopes.pop()
        elif kind == "duration":
            duration = int(match["duration"])
        prefix = "".join(scopes)
    if duration is None or scopes or text[end:].strip():
        raise BadInput(f"a whole SAIF file of Verilator is wanted, {path} is cut off or another's: dump it anew")
    return Activity(duration, nets)


def window(path: str | os.PathLike[str], keep: str = "") -> Activity:
    """Activity of a window that `cosim.memory.saif_open` dumped to ``path``: the file less ``path``.base."""
    whole, base = read(path, keep), read(f"{os.fspath(path)}.base", keep)
    if whole.nets.keys() != base.nets.keys():
        raise BadInput(f"a window and its base want the same nets, {path} and its base differ: dump them anew")
    nets = {}
    for name, net in whole.nets.items():
        before = base.nets[name]
        nets[name] = Net(net.t0_ps - before.t0_ps, net.t1_ps - before.t1_ps, net.toggles - before.toggles)
    return Activity(whole.duration_ps - base.duration_ps, nets)
