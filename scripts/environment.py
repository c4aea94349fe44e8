"""Make ``.venv`` from ``requirements.lock``, or make the lock from ``pyproject.toml``.

Runs on the bare system interpreter, before anything is installed: standard library only.
"""

from __future__ import annotations  # an old interpreter must get as far as the line that says it is too old

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
OLDEST = (3, 11)

LOCK_HEADER = """\
# Made by `make lock` from pyproject.toml; do not edit. One exact version of everything that is installed.
# Pinned by version, without hashes and without torch's local label (+cpu, +cu130): the same release of torch is a
# different file per build, and the CPU build that an index or a wheel folder offers is as good as any other.
"""


class SetupError(Exception):
    """Set-up cannot go on; the text is the one line that is printed."""


def environment_key(lock_text: str, root: Path) -> str:
    """What a whole environment was made from. The folder counts too: scripts in ``.venv/bin`` name it; and so do the
    packages in it: an editable install finds those that were there when it was made."""
    packages = " ".join(sorted(path.parent.name for path in root.glob("*/__init__.py")))
    return hashlib.sha256(f"{root}\n{packages}\n{lock_text}".encode()).hexdigest()


def is_whole(venv: Path, key: str) -> bool:
    """True when ``venv`` was finished from this ``key``; the stamp is the last thing a set-up writes."""
    stamp = venv / "tilewatt.stamp"
    return (venv / "bin" / "python").exists() and stamp.exists() and stamp.read_text() == key


def run(*command: str | Path) -> None:
    """Run ``command`` in the project's folder; its own output says why it failed."""
    if code := subprocess.run([str(part) for part in command], cwd=ROOT).returncode:
        raise SetupError(f"`{' '.join(str(part) for part in command)}` ended with code {code}")


def make_venv(venv: Path) -> None:
    """Make an empty environment, in place of whatever was there."""
    if venv.exists():
        shutil.rmtree(venv)
    if importlib.util.find_spec("ensurepip") is None:  # Debian splits it off
        raise SetupError(f"{sys.executable} has no ensurepip: install python3-venv or name another, make PYTHON=...")
    run(sys.executable, "-m", "venv", venv)


def pip_install(venv: Path, torch_index: str | None, *arguments: str | Path) -> None:
    """Install quietly, or with pip's bars on a terminal. Byte code is left to the first import: most is never used."""
    pip: list[str | Path] = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-compile",
    ]
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    index = ["--extra-index-url", torch_index] if torch_index else []
    run(*pip, *quiet, *index, *arguments)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the set-up for this process; a second ``make`` waits and finds the work done."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "setup.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def set_up(torch_index: str | None) -> None:
    venv = ROOT / ".venv"
    key = environment_key(LOCK.read_text(), ROOT)
    if is_whole(venv, key):
        return
    with only_one():
        if is_whole(venv, key):
            return
        start = time.monotonic()
        source = torch_index or "pip's own indexes (TORCH_INDEX=https://download.pytorch.org/whl/cpu for the CPU build)"
        print(f"setup: .venv with Python {sys.version.split()[0]} from {LOCK.name}; torch from {source}", flush=True)
        make_venv(venv)
        pip_install(venv, torch_index, "--requirement", LOCK)
        pip_install(venv, None, "--no-deps", "--no-build-isolation", "--editable", ROOT)
        (venv / "tilewatt.stamp").write_text(key)
        print(f"setup: done in {time.monotonic() - start:.0f} s", flush=True)
        run(venv / "bin" / "python", "-m", "tilewatt", "tools")


def make_lock(torch_index: str | None) -> None:
    """Resolve ``pyproject.toml`` in an empty environment and write down what pip chose."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder) / "venv"
        make_venv(venv)
        pip_install(venv, torch_index, *wanted)
        freeze = [str(venv / "bin" / "python"), "-m", "pip", "freeze", "--all", "--exclude", "pip"]
        frozen = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout.splitlines()
    partial = LOCK.with_suffix(".partial")
    partial.write_text(LOCK_HEADER + "".join(f"{line.partition('+')[0]}\n" for line in sorted(frozen, key=str.lower)))
    partial.replace(LOCK)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["setup", "lock"])
    parser.add_argument("--torch-index", metavar="URL", help="further package index that offers torch")
    arguments = parser.parse_args()
    try:
        if sys.version_info < OLDEST:
            have = sys.version.split()[0]
            raise SetupError(f"Python 3.11 or newer is wanted, {sys.executable} is {have}: make PYTHON=python3.12 ...")
        {"setup": set_up, "lock": make_lock}[arguments.action](arguments.torch_index)
    except SetupError as error:
        print(f"setup: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("setup: interrupted; the next call starts afresh", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
