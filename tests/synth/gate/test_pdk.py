"""Where Liberty files are looked for, and what is said when they are not there."""

from pathlib import Path

import pytest

from hw.errors import BadInput
from synth.gate import pdk
from synth.gate.pdk import find_liberty, find_macros

FIXTURE = Path(__file__).parent / "fixture.lib"
CELLS = "ihp-sg13g2/libs.ref/sg13g2_stdcell/lib/sg13g2_stdcell_typ_1p20V_25C.lib"
MACROS = "ihp-sg13g2/libs.ref/sg13g2_sram/lib/"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_given_files_come_first(monkeypatch):
    monkeypatch.delenv("PDK_ROOT", raising=False)
    assert find_liberty([FIXTURE]) == [FIXTURE]
    with pytest.raises(BadInput, match="no Liberty file .*none.lib; check --liberty"):
        find_liberty([FIXTURE.parent / "none.lib"])


def test_pdk_root(monkeypatch, tmp_path):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    with pytest.raises(BadInput, match="no .*typ_1p20V_25C.lib; install IHP-Open-PDK and set PDK_ROOT"):
        find_liberty()
    with pytest.raises(BadInput, match="no .*RM_IHPSG13_.*; install IHP-Open-PDK"):
        find_macros()
    cells = touch(tmp_path / CELLS)
    macros = [touch(tmp_path / MACROS / f"RM_IHPSG13_{name}_typ_1p20V_25C.lib") for name in ("1P_64x64", "2P_64x32")]
    touch(tmp_path / MACROS / "RM_IHPSG13_1P_64x64_slow_1p08V_125C.lib")
    assert find_liberty() == [cells]
    assert find_macros() == macros


def test_no_pdk_root(monkeypatch):
    monkeypatch.delenv("PDK_ROOT", raising=False)
    for find in (find_liberty, find_macros):
        with pytest.raises(
            BadInput, match="PDK_ROOT is not set; install IHP-Open-PDK .* or name a library by --liberty"
        ):
            find()


def test_osu018(monkeypatch, tmp_path):
    monkeypatch.setattr(pdk, "QFLOW", tmp_path)
    with pytest.raises(BadInput, match="no .*osu018_stdcells.lib; install Debian's package qflow-tech-osu018"):
        find_liberty(pdk="osu018")
    path = touch(tmp_path / "osu018" / "osu018_stdcells.lib")
    assert find_liberty(pdk="osu018") == [path]
    with pytest.raises(BadInput, match="PDK osu018 has no SRAM macros"):
        find_macros("osu018")


def test_unknown_name():
    with pytest.raises(BadInput, match="wanted a PDK out of ihp-sg13g2, osu018, got 'mine'; other libraries go by"):
        find_liberty(pdk="mine")
