"""docs/hardware.md holds the tables of the committed validation and reports; its powers are energies over times."""

import pytest

from synth import hardware_doc as page
from synth.gate.validation import read_validation
from synth.report import read_report

VALIDATION = read_validation(page.VALIDATION)
PRESETS = [gate.preset for gate in VALIDATION.formats.values()]


def test_the_page_holds_the_tables() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    assert page.page_with_results(text) == text, "run python -m synth.hardware_doc"


@pytest.mark.parametrize("preset", PRESETS)
def test_powers_are_energies_over_times(preset: str) -> None:
    report = read_report(page.report_path(preset))
    assert (report.technology.name, report.tile["name"], report.activity) == ("ihp130", preset, True)
    full = report.increments[-1]
    assert (full.fraction, full.mismatches) == (1.0, 0)
    gate = next(gate for gate in VALIDATION.formats.values() if gate.preset == preset)
    found = page.breakdown(gate, report).splitlines()
    rows = {cells[0]: cells[1:] for line in found[2:] if (cells := [cell.strip() for cell in line.split("|")[1:-1]])}
    parts = ("NFU", "SB", "NBin", "NBout", "control", "clock", "leakage")
    whole_mw = 1e3 * full.energy_onchip_uj / full.time_us
    assert float(rows["whole tile"][4]) == pytest.approx(whole_mw, abs=0.01)
    assert sum(float(rows[name][4]) for name in parts) == pytest.approx(whole_mw, abs=0.05)
    assert sum(float(rows[name][5].removesuffix(" %")) for name in parts) == pytest.approx(100, abs=0.05)
    powers = [float(line[2]) for name, line in rows.items() if line[2] and name != "whole tile"]
    assert sum(powers) == pytest.approx(float(rows["whole tile"][2]), abs=0.05)


def test_formats_are_those_of_t16() -> None:
    assert list(VALIDATION.formats) == ["<32,16>", "<16,10>"]
    assert set(VALIDATION.formats) == set(page.printed.DESIGNS)
