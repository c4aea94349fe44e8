"""docs/cycles.md is what docs/results/cycles.json gives, and the JSON is a whole, consistent measurement."""

import copy
import json
import re
from typing import Any

import pytest

from hw.errors import BadInput
from synth.cycles_doc import (
    CAUSES,
    CYCLES,
    MARKS,
    PAGE,
    page_with_results,
    parts,
    summary,
    table,
)
from synth.paper.printed import FRACTIONS, TIME_US

RESULT: dict[str, Any] = json.loads(CYCLES.read_text(encoding="utf-8"))
LANES = 256


def test_page_holds_the_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_results(text, RESULT) == text, "run python -m synth.cycles_doc"


def test_the_tables_follow_the_json() -> None:
    changed = copy.deepcopy(RESULT)
    changed["rows"][0]["cycles"] = 123_456_789
    before, after = parts(RESULT), parts(changed)
    assert "| 123,456,789 |" in after["results"]
    assert all(before[name] != after[name] for name in MARKS)


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(BadInput, match="a page wants the marks results: begin and results: end once each"):
        page_with_results("# Cycles\n", RESULT)


def test_a_refused_row_is_shown_and_counted() -> None:
    row = {"network": "lenet", "fraction": 0.1, "preset": "small", "format": "<16,10>", "refused": "too wide"}
    assert "| LeNet | 0.1 | small | refused: too wide |" in table([row])
    assert summary([row]) == {"rows": 1, "refused": 1}


def test_every_row_was_measured() -> None:
    assert not RESULT["commit"].endswith("+"), "measure from a clean checkout"
    assert RESULT["fractions"] == [0.1, 0.2, 0.25, 0.3, 0.5, 0.75, 1.0]
    wanted = [
        (network, fraction, tile["name"])
        for tile in RESULT["tiles"]
        for network in ("lenet", "convnet", "alexnet")
        for fraction in RESULT["fractions"]
    ]
    assert [tile["name"] for tile in RESULT["tiles"]] == ["paper32", "paper16"]
    assert [(row["network"], row["fraction"], row["preset"]) for row in RESULT["rows"]] == wanted


def test_rows_are_consistent() -> None:
    for row in RESULT["rows"]:
        assert (row["mismatches"], row["images_compared"]) == (0, RESULT["images"])
        assert row["words_compared"] > 0
        assert tuple(row["stalls"]) == CAUSES
        assert row["compute_cycles"] + sum(row["stalls"].values()) == row["cycles"]
        assert row["ratio"] == row["cycles"] / row["limit_sbcap"]
        assert row["cycles"] >= row["limit_sbcap"], "below a floor: the floor or the count is wrong"
        assert row["utilisation"] == row["multiply"] / (row["cycles"] * LANES)
        assert row["multiply"] <= row["macs"]


def named_causes() -> dict[str, list[tuple[str, float, str]]]:
    """Rows that the page's text names, by the cause that stands in bold before them."""
    text = PAGE.read_text(encoding="utf-8")
    found: dict[str, list[tuple[str, float, str]]] = {}
    for cause, places in re.findall(r"^\*\*([^*(]+) \(([^)]+)\)\.\*\*", text, re.MULTILINE):
        rows, name = found.setdefault(cause, []), ""
        for listed, tile in re.findall(r"(.+?) on (both tiles|`\w+`)", places):
            for word in re.findall(r"[A-Z]\w+|\d[\d.]*", listed):
                if word[0].isalpha():
                    name = word.lower()
                    continue
                tiles = ["paper32", "paper16"] if tile == "both tiles" else [tile.strip("`")]
                rows += [(name, float(word), each) for each in tiles]
    return found


def test_every_missed_row_has_its_cause() -> None:
    def missed(cycles: str) -> list[tuple[str, float, str]]:
        rows = [row for row in RESULT["rows"] if row[cycles] > row["limit_sbcap"] / 0.9 + 100]
        return sorted((row["network"], row["fraction"], row["preset"]) for row in rows)

    causes = named_causes()
    assert sorted(row for rows in causes.values() for row in rows) == missed("cycles")
    assert missed("cycles") == missed("cycles_ideal_dram")
    assert "DDR3 makes no row miss its limit" in PAGE.read_text(encoding="utf-8")


def test_refreshes_are_those_of_the_rows() -> None:
    refreshes, forced = (sum(row[name] for row in RESULT["rows"]) for name in ("refreshes", "forced_refreshes"))
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"of the {refreshes} refreshes in the rows above {forced} were forced" in page


def test_gains_are_those_of_the_rows() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    named = re.findall(r"(\w+) ([\d.]+) on `(\w+)` took ([\d,]+) (?:cycles )?and takes ([\d,]+)", page)
    assert len(named) == 3
    cycles = {(row["network"], f"{row['fraction']:g}", row["preset"]): row["cycles"] for row in RESULT["rows"]}
    for network, fraction, tile, before, after in named:
        assert f"{cycles[network.lower(), fraction, tile]:,}" == after
        assert int(before.replace(",", "")) > int(after.replace(",", ""))


def test_table_of_t16_is_complete() -> None:
    for name, times in TIME_US.items():
        assert len(times) == len(FRACTIONS[name]) == 4
        assert set(FRACTIONS[name]) <= set(RESULT["fractions"])
    shown = parts(RESULT)["t16"].splitlines()
    assert len(shown) == 2 + 12
    assert shown[2].startswith("| LeNet | 0.1 | 4.61 us | 1,152 |")  # 4610 ns at 4 ns
    assert shown[13].startswith("| ALEXnet | 1 | 599.85 us | 149,962 |")
