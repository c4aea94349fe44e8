"""Rules the sources keep. Each rule is a function from text to violations, and each is shown to find a seeded one."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.environment import environment_key, is_whole

ROOT = Path(__file__).resolve().parent.parent
LEAVES = {"hw", "hw.errors", "hw.params", "hw.instructions", "hw.isa", "hw.events", "hw.softmax"}
LEAVES |= {"hw.activity", "hw.monitor"}
OWN = {"hw", "golden", "cosim", "synth", "commands", "tilewatt", "tests", "scripts"}
CODE = {".py", ".v", ".sv", ".vlt", ".cpp", ".h", ".html", ".j2"}
DATA = {".toml"}  # tables with their sources; as long as they need
MOST_LINES = 400
MOST_BYTES = 3_000_000


def git_files(*options: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *options], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def sources() -> list[str]:
    """Tracked files, and new ones that git does not ignore."""
    return git_files("--cached", "--others", "--exclude-standard")


def module_of(name: str) -> str:
    return ".".join(Path(name).with_suffix("").parts).removesuffix(".__init__")


def imported(text: str, name: str) -> set[str]:
    """Dotted names that file ``name`` imports, anywhere in it; ``from a import b`` counts as a.b."""
    package = [*Path(name).parent.parts, ""]
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) + "." if node.level else ""
            stem = (base + (node.module or "")).rstrip(".")
            found |= {f"{stem}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"importlib.import_module", "__import__"}:
            found |= {ast.literal_eval(argument) for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    return found


def is_leaf(dotted: str) -> bool:
    return any(dotted == leaf or dotted.startswith(f"{leaf}.") for leaf in LEAVES - {"hw"})


def may_import(module: str, dotted: str) -> bool:
    """The import direction: leaves <- hw, golden <- cosim; leaves <- synth; nothing imports tests."""
    area, top = module.partition(".")[0], dotted.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    if area == "scripts":
        return False  # runs before anything is installed
    if top == "tests":
        return area == "tests"
    if area in {"tests", "tilewatt", "commands"}:
        return True
    if module in LEAVES:
        return is_leaf(dotted)
    allowed = {
        "hw": top in {"hw", "amaranth"},
        "golden": is_leaf(dotted) or top == "golden" or top not in OWN | {"amaranth"},
        "cosim": top in {"hw", "golden", "cosim"} or top not in OWN,
        "synth": is_leaf(dotted) or top == "synth" or top not in OWN | {"amaranth"},
    }
    return allowed[area]


def wrong_imports(name: str, text: str) -> list[str]:
    module = module_of(name)
    return [f"{name} imports {dotted}" for dotted in sorted(imported(text, name)) if not may_import(module, dotted)]


def too_long(name: str, text: str) -> list[str]:
    return [f"{name} has {lines} lines"] if (lines := len(text.splitlines())) > MOST_LINES else []


def private_paths(name: str, text: str) -> list[str]:
    """Folders of one machine. Put together here, so that this file does not find itself."""
    pattern = rf"(?<![\w.])/(?:{'|'.join(['home', 'root', 'work', 'Users'])})/|\.\./" + "shared"
    return [f"{name} names {match.group()}" for match in re.finditer(pattern, text)]


def silenced(name: str, text: str) -> list[str]:
    return [f"{name} silences a finding: {line.strip()}" for line in text.splitlines() if "# " + "noqa" in line]


def built(names: Iterable[str]) -> list[str]:
    return [name for name in names if Path(name).parts[0] in {"build", ".venv", "data"}]


def too_big(sizes: Iterable[tuple[str, int]]) -> list[str]:
    return [f"{name} has {size} bytes" for name, size in sizes if size > MOST_BYTES]


def requirements(pyproject: str) -> list[str]:
    project = tomllib.loads(pyproject)["project"]
    return project["dependencies"] + [line for group in project["optional-dependencies"].values() for line in group]


def without_reason(pyproject: str) -> list[str]:
    """Dependencies whose line does not end in a comment."""
    lines = pyproject.splitlines()
    reason = re.compile(r'^\s+"[^"]+",\s+# \w+.{8,}$')
    return [
        wanted
        for wanted in requirements(pyproject)
        if not any(f'"{wanted}"' in row and reason.match(row) for row in lines)
    ]


def locked(lock: str) -> dict[str, str]:
    """Package -> its one exact version; refuses every other kind of line."""
    versions: dict[str, str] = {}
    for line in lock.splitlines():
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)", line)
        assert match, f"the lock wants name==version, not {line!r}"
        name = canonicalize_name(match[1])
        assert name not in versions, f"the lock names {name} twice"
        versions[name] = match[2]
    return versions


def outside_lock(wanted: Iterable[str], versions: dict[str, str]) -> list[str]:
    """Requirements that the lock does not meet, followed through what is installed."""
    missing, seen, todo = [], set(), [(Requirement(line), "") for line in wanted]
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in versions or not requirement.specifier.contains(versions[name], prereleases=True):
            missing.append(str(requirement))
            continue
        for part in ["", *requirement.extras]:
            if (name, part) not in seen:
                seen.add((name, part))
                todo += [(Requirement(line), part) for line in distribution(name).requires or []]
    return missing


def test_imports_follow_the_layers() -> None:
    names = [name for name in sources() if name.endswith(".py") and module_of(name).partition(".")[0] in OWN]
    assert {module_of(name).partition(".")[0] for name in names} == OWN
    assert [line for name in names for line in wrong_imports(name, (ROOT / name).read_text())] == []


def test_importing_a_leaf_loads_nothing_else() -> None:
    code = f"import sys, {', '.join(sorted(LEAVES))}; print(*(m.partition('.')[0] for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "hw" in loaded.stdout.split()
    assert {"amaranth", "torch", "numpy"} & set(loaded.stdout.split()) == set()


@pytest.mark.parametrize(
    ("name", "text", "dotted"),
    [
        ("hw/isa.py", "import numpy", "numpy"),
        ("hw/params.py", "from hw.tile import Tile", "hw.tile.Tile"),
        ("hw/params.py", "from .tile import Tile", "hw.tile.Tile"),
        ("hw/__init__.py", "from hw import tile", "hw.tile"),
        ("hw/nfu.py", "def f():\n    import torch", "torch"),
        ("golden/mapping.py", "from amaranth import Signal", "amaranth.Signal"),
        ("golden/mapping.py", "from hw import nfu", "hw.nfu"),
        ("golden/data/mnist.py", "import importlib\nimportlib.import_module('cosim')", "cosim"),
        ("cosim/runner.py", "import synth.report", "synth.report"),
        ("synth/report.py", "from golden import counts", "golden.counts"),
        ("synth/report.py", "from hw.signatures import line_layout", "hw.signatures.line_layout"),
        ("cosim/runner.py", "from tests import conftest", "tests.conftest"),
        ("tilewatt.py", "import tests", "tests"),
        ("scripts/environment.py", "import click", "click"),
    ],
)
def test_a_wrong_import_is_found(name: str, text: str, dotted: str) -> None:
    assert wrong_imports(name, text) == [f"{name} imports {dotted}"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hw/isa.py", "import json\nfrom hw.params import TileParams\nfrom . import errors"),
        ("hw/nfu.py", "from amaranth.lib import wiring\nfrom hw.signatures import rows"),
        ("golden/mapping.py", "import torch\nfrom hw import isa\nfrom golden.quant import quantise"),
        ("golden/data/mnist.py", "from .. import quant\nfrom . import idx"),
        ("cosim/runner.py", "import cocotb\nfrom hw.tile import Tile\nfrom golden import counts"),
        ("synth/report.py", "import pydantic\nfrom hw.events import Event\nfrom synth import energy"),
    ],
)
def test_a_right_import_passes(name: str, text: str) -> None:
    assert wrong_imports(name, text) == []


def test_files_are_short() -> None:
    names = [name for name in sources() if Path(name).suffix in CODE]
    assert len(names) > 10
    assert [line for name in names for line in too_long(name, (ROOT / name).read_text())] == []
    assert too_long("hw/long.py", "\n" * (MOST_LINES + 1)) == [f"hw/long.py has {MOST_LINES + 1} lines"]
    assert too_long("hw/long.py", "\n" * MOST_LINES) == []


def test_sources_name_no_private_folder() -> None:
    names = [name for name in sources() if Path(name).suffix in CODE | DATA | {".md", ".lock", ".sh", ".yml", ""}]
    assert len(names) > 10
    assert [line for name in names for line in private_paths(name, (ROOT / name).read_text())] == []
    for path in ("/" + "home/someone", "/" + "work/main", "/" + "root/x", ".." + "/shared/data"):
        assert len(private_paths("docs/a.md", f"see `{path}`")) == 1
    assert private_paths("docs/a.md", "https://example.org/home/page, hw/work/x") == []


def test_no_finding_is_silenced() -> None:
    names = [name for name in sources() if name.endswith(".py")]
    assert [line for name in names for line in silenced(name, (ROOT / name).read_text())] == []
    assert len(silenced("hw/a.py", "from x import *  # " + "noqa: F403")) == 1


def test_generated_and_big_files_stay_out_of_git() -> None:
    tracked = git_files()
    assert built(tracked) == []
    assert too_big((name, (ROOT / name).stat().st_size) for name in tracked) == []
    assert built(["hw/tile.py", "build/tile.v"]) == ["build/tile.v"]
    assert too_big([("a", MOST_BYTES), ("b", MOST_BYTES + 1)]) == [f"b has {MOST_BYTES + 1} bytes"]


def test_every_dependency_has_a_reason() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert len(requirements(pyproject)) > 10
    assert without_reason(pyproject) == []
    assert without_reason(pyproject.replace('"click",  # command line', '"click",')) == ["click"]


def test_the_lock_pins_everything_that_is_needed() -> None:
    wanted = requirements((ROOT / "pyproject.toml").read_text())
    versions = locked((ROOT / "requirements.lock").read_text())
    assert outside_lock(wanted, versions) == []
    assert versions["torch"] == "2.13.0"
    assert outside_lock(["click>=99"], versions) == ["click>=99"]
    without_sympy = {name: version for name, version in versions.items() if name != "sympy"}
    assert any(line.startswith("sympy") for line in outside_lock(wanted, without_sympy))


def test_an_interrupted_set_up_is_not_whole(tmp_path: Path) -> None:
    key = environment_key("click==8.5.1\n", tmp_path)
    assert not is_whole(tmp_path, key)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert not is_whole(tmp_path, key)
    (tmp_path / "tilewatt.stamp").write_text(key)
    assert is_whole(tmp_path, key)
    assert not is_whole(tmp_path, environment_key("click==8.5.2\n", tmp_path))
    assert not is_whole(tmp_path, environment_key("click==8.5.1\n", tmp_path / "moved"))
    (tmp_path / "grown").mkdir()
    (tmp_path / "grown" / "__init__.py").touch()
    assert not is_whole(tmp_path, environment_key("click==8.5.1\n", tmp_path))


def test_a_skipped_test_fails_the_run(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_one.py").write_text("import pytest\n\ndef test_one():\n    pytest.skip('no simulator')\n")
    (tmp_path / "test_all.py").write_text("import pytest\n\npytest.importorskip('no_such_simulator')\n")
    for name, count in [("test_one.py", "1 failed"), ("test_all.py", "1 error")]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), name]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode != 0
        assert "a skip is a failure in this project" in ended.stdout
        assert count in ended.stdout


def test_ci_runs_what_the_readme_says() -> None:
    commands = [
        line for line in (ROOT / ".ci" / "run").read_text().splitlines() if not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["exec make test"]
    assert "\n```sh\nmake test\n```\n" in (ROOT / "README.md").read_text()


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = next(line for line in text.splitlines() if line.startswith(".PHONY:")).split()[1:]
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert [line.split()[0] for line in shown.stdout.splitlines()] == phony
    assert re.findall(r"^([a-z-]+):", text, flags=re.MULTILINE) == phony


@pytest.mark.parametrize("line", ["torch>=2.13", "torch==2.13.0+cpu", "click==8.5.1\nclick==8.5.0"])
def test_a_loose_lock_is_refused(line: str) -> None:
    with pytest.raises(AssertionError, match="the lock"):
        locked(line)
