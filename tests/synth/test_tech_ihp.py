"""Profile ihp130: its memory prices by hand, its table of logic refused when it is absent or wrong."""

from pathlib import Path

import pytest

from hw.errors import BadInput
from hw.events import MONITORED
from hw.params import PRESETS
from synth import tech_build, tech_ihp
from synth.gate.macros import TABLE, macro_table
from synth.tech_build import FORMATS
from synth.tech_ihp import LOGIC, MACHINES, logic_rows, memory_prices, profile_text, table_text
from synth.tech_logic import logic
from synth.technology import load_technology

COLUMNS = "format,key,value,low,high,component,level,source\n"
FREE = {
    "instructions": "both",
    "compute_cycles": "both",
    "lane_gated": "both",
    "multiply": "rtl_activity",
    "accumulate": "rtl_activity",
    "output": "rtl_activity",
    "nfu_pj_per_lane_cycle": "both",
    **dict.fromkeys(MONITORED, "rtl_activity"),
}


def written(path: Path) -> Path:
    """A whole table of logic: the prices of the 65 nm profiles, for the form alone."""
    lines = [COLUMNS]
    for fmt, width in FORMATS.items():
        for key, entry in logic(65, width):
            numbers = f"{entry.value!r},{entry.low!r},{entry.high!r}"
            lines.append(f'"{fmt}",{key},{numbers},{entry.component},{entry.level},"a price for tests"\n')
        lines += [f'"{fmt}",{key},,,,,{level},"free for tests"\n' for key, level in FREE.items()]
    path.write_text("".join(lines))
    return path


def test_memory_prices_of_paper16_by_hand() -> None:
    prices = dict(memory_prices(PRESETS["paper16"], macro_table()))
    assert len(prices) == 9
    # SB: a lane is one 256x16 macro; 2 address bits of 0.008 pJ. Low: four lanes share a 64x64 macro, 1.08 V.
    read = prices["sb_read_pj_per_word"]
    assert read.value == pytest.approx(14.192 + 2 * 0.008)
    assert read.low == pytest.approx(39.0507 / 4 * 0.81)
    assert read.high == pytest.approx(read.value * 1.21)
    # a cell of four words is a row of one 64x64 macro; 8 of a word's 16 data bits change, 0.16775 pJ for all 64
    write = prices["nbin_write_pj_per_word"]
    assert write.value == pytest.approx((50.4983 + 2 * 0.09905) / 4 + 8 * 0.16775 / 64)
    assert write.low == pytest.approx(50.4983 / 4 * 0.81)
    assert write.high == pytest.approx((50.4983 + 2 * 0.09905 + 8 * 0.16775) * 1.21)
    # 256 macros of 49.5039 nW hold 80 KiB
    assert prices["sb_leakage_mw_per_kib"].value == pytest.approx(256 * 49.5039e-6 / 80)
    assert prices["nbout_leakage_mw_per_kib"].value == pytest.approx(16 * 49.5039e-6 / 5)
    assert all(entry.low <= entry.value <= entry.high for entry in prices.values())
    assert all("RM_IHPSG13_1P_" in entry.source for entry in prices.values())


def test_the_table_of_macros_is_written_as_it_is_read() -> None:
    assert table_text(tuple(macro_table().values())) == TABLE.read_text(encoding="utf-8")


def test_a_whole_profile_is_built_and_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ihp130.toml"
    monkeypatch.setattr(tech_ihp, "LOGIC", written(tmp_path / "logic.csv"))
    path.write_text(tech_build.profile_text("ihp130"))
    technology = load_technology(path)
    assert (technology.name, technology.profile, technology.node_nm, technology.voltage_v) == (
        "ihp130",
        "ihp",
        130,
        1.2,
    )
    assert set(technology.formats) == set(MACHINES) == set(FORMATS)
    price = technology.price("<16,10>", "sb_read", "table")
    assert price is not None
    assert price.node_nm == 130
    assert price.value == pytest.approx(14.208)
    assert technology.price("<32,16>", "sb_pj_per_kib_cycle", "table") is None


def test_a_profile_without_a_price_is_refused(tmp_path: Path) -> None:
    table = written(tmp_path / "logic.csv")
    kept = [line for line in table.read_text().splitlines(True) if "toggle_product" not in line]
    table.write_text("".join(kept))
    path = tmp_path / "ihp130.toml"
    path.write_text(profile_text(table))
    with pytest.raises(BadInput, match=r"event toggle_product has no rtl_activity price"):
        load_technology(path)


def test_absent_logic_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"^profile ihp130 wants the prices of its logic in none.csv: fit them to the ga"
    ):
        logic_rows(tmp_path / "none.csv")
    assert LOGIC.name == "ihp130_logic.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format,key\n", r"^logic.csv wants the columns format, key, value, .*, source, it has .*key"),
        (COLUMNS + '"<8,4>",x,1,1,1,nfu,both,text\n', r"^logic.csv line 2 wants a format of <32,16>, <16,10>, not <8"),
        (COLUMNS + '"<16,10>",x,1,,1,nfu,both,text\n', r"^logic.csv line 2 wants numbers in value, low and high$"),
    ],
)  # fmt: skip
def test_a_wrong_table_of_logic_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "logic.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        logic_rows(path)


def test_the_command_refuses_a_missing_pdk_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PDK_ROOT", raising=False)
    assert tech_ihp.main() == 2
    assert capsys.readouterr().err.startswith("error: PDK_ROOT is not set; install IHP-Open-PDK")
