"""README's numbers are those of the measured JSON, and the JSON holds what the project claims."""

import json
from pathlib import Path

from synth.report import read_report
from synth.results_doc import ACCURACY, BEGIN, END, PAGE, REPORT, page_with_results, results


def test_readme_holds_the_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert page_with_results(text) == text, "run python -m synth.results_doc"


def test_results_change_with_the_json(monkeypatch, tmp_path: Path) -> None:
    content = json.loads(ACCURACY.read_text())
    changed = tmp_path / "accuracy.json"
    changed.write_text(json.dumps(content | {"golden_percent": [1.0, 2.0, 3.0]}))
    monkeypatch.setattr("synth.results_doc.ACCURACY", changed)
    assert "1.00 / 2.00 / 3.00 %" in results()


def test_measured_claims() -> None:
    report = read_report(REPORT)
    assert report.images == 1000
    assert report.opportunistic is not None
    runs = [run for _, run in report.runs()]
    assert [run.images_compared for run in runs] == [1000] * 4
    assert [run.mismatches for run in runs] == [0] * 4
    assert not report.commit.endswith("+"), "measure from a clean checkout"
    for run in report.increments:
        assert run.accuracy.float_ is not None
        assert abs(run.accuracy.rtl - run.accuracy.float_) <= 0.001
    for key in ("cycles", "energy_onchip_uj"):
        values = [getattr(run, key) for run in report.increments]
        assert values == sorted(set(values))
    assert report.simulation.cycles_per_second >= 100_000
    for preset in ("paper32", "paper16"):
        whole = json.loads(ACCURACY.with_name(f"accuracy-lenet-mnist-{preset}.json").read_text())
        assert whole["images"] == 10_000
        for reached, wanted in zip(whole["golden_percent"], (98.6, 98.9, 99.2), strict=True):
            assert reached >= wanted
