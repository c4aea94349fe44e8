"""docs/lanes.md is what docs/results/lanes-ihp130.json gives, and the JSON is a whole, consistent measurement."""

import copy
import hashlib
import json
from dataclasses import asdict
from typing import Any

import pytest

from hw.errors import BadInput
from hw.params import preset
from hw.variants import write_variant
from synth.cycles_doc import CYCLES
from synth.gate.lanes import CASES, PERIOD_PS
from synth.gate.lanes_stimulus import REGISTERS
from synth.gate.macros import compose, macro_table, memories
from synth.gate.simulate import ENERGIES
from synth.lanes_doc import (
    IMAGE,
    MARKS,
    PAGE,
    QUESTIONS,
    RESULT,
    image_uj,
    name,
    page_with_results,
    parts,
    per_multiply,
    saved_uj,
)

FOUND: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))


def test_page_holds_the_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_results(text, FOUND) == text, "run python -m synth.lanes_doc"


def test_the_tables_follow_the_json() -> None:
    changed = copy.deepcopy(FOUND)
    changed["variants"][2]["area_um2"] = 123_456.0
    for values in changed["variants"][2]["layers"].values():
        values |= {key: 2 * value for key, value in values.items()}
    changed["variants"][2]["layers"]["0"]["zero_delay_pj"] = 1.0
    changed["work"]["0"]["lane_reads"] += 100
    before, after = parts(FOUND), parts(changed)
    assert "| 123,456 |" in after["built"]
    assert list(before) == list(MARKS)
    assert all(before[mark] != after[mark] for mark in MARKS)


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(BadInput, match="a page wants the marks pays: begin and pays: end once each"):
        page_with_results("# Lanes\n", FOUND)


def test_the_measurement_is_whole() -> None:
    assert not FOUND["commit"].endswith("+"), "measure from a clean checkout"
    assert FOUND["period_ps"] == PERIOD_PS
    shown = [{key: row[key] for key in ("kind", "booth", "clock_gates", "aligned")} for row in FOUND["variants"]]
    assert shown == [asdict(case) for case in CASES]
    assert len({name(row) for row in FOUND["variants"]}) == len(CASES)
    layers = list(FOUND["work"])
    assert layers == list(IMAGE) == list(FOUND["weights"])
    for row in FOUND["variants"]:
        assert list(row["layers"]) == layers
        assert FOUND["period_ps"] > 1000 * row["behind_sram_ns"] >= 1000 * row["least_period_ns"]
        for values in row["layers"].values():
            assert values["energy_pj"] == pytest.approx(sum(values[f"{kind}_pj"] for kind in ENERGIES))
            assert 0 < values["zero_delay_pj"] < values["energy_pj"]


def test_work_adds_up() -> None:
    windows, neurons = FOUND["recording"]["windows"], len(FOUND["recording"]["neurons"])
    cycles = sum(done["cycles"] for done in FOUND["work"].values())
    assert cycles == neurons * sum(window["cycles"] for window in windows)
    for layer, done in FOUND["work"].items():
        assert 0 < done["busy"] <= done["cycles"]
        assert 0 < done["lane_reads"] <= done["multiplies"] <= 16 * done["busy"]
        assert FOUND["weights"][layer]["held_pj"] == FOUND["variants"][0]["layers"][layer]["energy_pj"]


def test_sb_is_the_tile_s() -> None:
    bank = compose(memories(preset("paper16"))["sb"], macro_table())
    late_ps = round(1000 * bank.macro.access_ns)
    assert FOUND["sb"] == {"macro": bank.macro.name, "late_ps": late_ps, "read_pj": bank.read_pj}


def test_the_image_s_products_are_those_measured_in_cycles() -> None:
    rows = json.loads(CYCLES.read_text(encoding="utf-8"))["rows"]
    found = {row["multiply"] for row in rows if row["network"] == "lenet" and row["fraction"] == 1}
    assert found == {sum(IMAGE.values())}


def test_the_tile_has_what_pays() -> None:
    """What the page's text says of each question; operands with SB's words is a bound."""
    lines = parts(FOUND)["pays"].splitlines()[2 : 2 + len(QUESTIONS)]
    assert [line.split(" | ")[-1] for line in lines] == ["yes |", "yes |", "no |", "no |", "no |", "yes |"]
    reads, moves = saved_uj(FOUND)
    assert reads > image_uj(FOUND, FOUND["variants"][0])
    assert moves > reads
    for row in FOUND["variants"]:
        assert all(values["leakage_pj"] < 0.005 * values["energy_pj"] for values in row["layers"].values())


def test_an_image_by_hand() -> None:
    work = {layer: {"multiplies": 10} for layer in IMAGE}
    row = {"layers": {layer: {"energy_pj": 20.0} for layer in IMAGE}}
    assert per_multiply({"work": work}, row, "3") == 2.0
    assert image_uj({"work": work}, row) == pytest.approx(2.0 * sum(IMAGE.values()) / 1e6)


def test_variants_are_those_of_today(tmp_path) -> None:
    """The Verilog that was measured is what the generators write now."""
    for kind in REGISTERS:
        path = write_variant(preset("paper16"), kind, tmp_path)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == FOUND["verilog"][kind], f"measure {kind} anew"
