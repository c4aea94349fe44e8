"""The report: figures against the energy model, files that agree, the same bytes twice, nothing half-written."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw.errors import BadInput
from synth.energy import DRAM_PARTS, EnergyModel, Work, interval, totals
from synth.measurement import read_measurement
from synth.report import T16_LENET, read_report, report
from synth.technology import COMPONENTS, load_technology
from tests.synth import synthetic

FILES = {"report.json", "index.html", "energy.csv", "figures.csv", "energy.png", "accuracy.png", "profiles.png"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(measurement folder, report folder)."""
    measured = synthetic.write(tmp_path_factory.mktemp("measured"))
    return measured, report(measured, tmp_path_factory.mktemp("report")).parent


def content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_every_key_of_the_contract_is_there(made: tuple[Path, Path]) -> None:
    assert {path.name for path in made[1].iterdir()} == FILES
    read_report(made[1] / "report.json")
    found = content(made[1])
    top = {
        "network",
        "dataset",
        "format",
        "tile",
        "technology",
        "images",
        "seed",
        "versions",
        "increments",
        "opportunistic",
    }
    assert top | {"schema"} <= found.keys()
    assert {"name", "node_nm", "profile"} <= found["technology"].keys()
    increment = {"fraction", "channels", "accuracy", "images_compared", "mismatches", "macs", "dram_bytes", "cycles"}
    increment |= {"limit_cycles", "time_us", "energy_uj", "energy_ci99_uj"}
    assert len(found["increments"]) == 3
    for item in found["increments"]:
        assert increment <= item.keys()
        assert item["energy_uj"].keys() == {*COMPONENTS, "total"}
        assert item["accuracy"].keys() == {"float", "golden", "rtl"}
    margin = {"score", "thresholds", "stops", "accuracy", "accuracy_drop", "cycles", "energy_uj", "saving"}
    assert margin <= found["opportunistic"].keys()


def test_figures_are_the_model_s(made: tuple[Path, Path]) -> None:
    measured, found = read_measurement(made[0]), content(made[1])
    model = EnergyModel(load_technology("macro65"), measured.params, 48_000, True)
    for index, item in enumerate([*found["increments"], found["opportunistic"]]):
        counts = measured.counts[index]
        energy = model.components_pj(Work(tuple(measured.header.events), counts.events, counts.dram_activates))
        onchip, total = totals(energy)
        for name in COMPONENTS:
            assert item["energy_uj"][name] == pytest.approx(energy[name].mean() / 1e6, rel=1e-6)
            assert item["energy_low_uj"][name] <= item["energy_uj"][name] <= item["energy_high_uj"][name]
        assert item["energy_uj"]["total"] == pytest.approx(total.mean() / 1e6, rel=1e-6)
        assert item["energy_onchip_uj"] == pytest.approx(onchip.mean() / 1e6, rel=1e-6)
        assert item["energy_ci99_uj"] == pytest.approx(interval(total / 1e6), rel=1e-6)
        assert item["energy_ci99_uj"][0] <= item["energy_uj"]["total"] <= item["energy_ci99_uj"][1]
        assert item["source_level"] == "rtl_activity"
        assert item["cycles"] == pytest.approx(measured.column(index, "cycles").mean(), rel=1e-6)
        assert item["time_us"] == pytest.approx(item["cycles"] * 0.004, rel=1e-6)


def test_every_energy_carries_level_profile_coverage_and_band(made: tuple[Path, Path]) -> None:
    found = content(made[1])
    share = 39_200 / 40_000  # neurons, nfu and post of the synthetic tile
    for item in [*found["increments"], found["opportunistic"]]:
        figures = item["energy_figures"]
        assert figures.keys() == {*COMPONENTS, "onchip", "total"}
        for name in (*COMPONENTS, "total"):
            assert figures[name]["value_uj"] == item["energy_uj"][name]
            assert figures[name]["band_uj"] == [item[f"energy_{edge}_uj"][name] for edge in ("low", "high")]
            assert figures[name]["profile"] == "macro65"
        assert figures["onchip"]["value_uj"] == item["energy_onchip_uj"]
        assert figures["nfu"]["source_level"] == "rtl_activity"
        assert {figures[name]["coverage"] for name in ("nfu", "onchip", "total")} == {share}
        others = [name for name in COMPONENTS if name != "nfu"]
        assert {(figures[name]["source_level"], figures[name]["coverage"]) for name in others} == {("table", 1.0)}
        assert figures["total"]["source_level"] == "table"
        for profile, other in item["energy_profiles_uj"]["profiles"].items():
            for name in ("onchip", "total"):
                assert other[f"{name}_figure"]["value_uj"] == other[name]
                assert other[f"{name}_figure"]["profile"] == profile
                assert other[f"{name}_figure"]["coverage"] == (1.0 if profile == "tann65" else share)


def test_the_dram_s_parts_are_its_energy(made: tuple[Path, Path]) -> None:
    measured, found = read_measurement(made[0]), content(made[1])
    for index, item in enumerate([*found["increments"], found["opportunistic"]]):
        parts = item["dram_figures"]
        assert tuple(parts) == DRAM_PARTS
        assert sum(part["value_uj"] for part in parts.values()) == pytest.approx(item["energy_uj"]["dram"], rel=1e-6)
        opened = measured.counts[index].dram_activates.mean()
        price = load_technology("macro65").dram.activate_pj_per_row
        assert parts["activate"]["value_uj"] == pytest.approx(opened * price.value / 1e6, rel=1e-6)
        assert parts["activate"]["band_uj"][1] == pytest.approx(opened * price.high / 1e6, rel=1e-6)
        assert {part["source_level"] for part in parts.values()} == {"table"}


def test_a_figure_of_too_little_coverage_is_refused(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "measured")
    header = json.loads((folder / "measurement.json").read_text())
    header["annotation"]["neurons"]["counted"] -= 1_201
    (folder / "measurement.json").write_text(json.dumps(header))
    with pytest.raises(BadInput, match=r"^annotation coverage of nfu under macro65 is 95\.0%") as caught:
        report(folder, tmp_path / "out")
    assert "no event counts 2,001 of 40,000 register bits (neurons 2,001); let hw/monitor.py" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    header["annotation"]["neurons"]["counted"] += 1  # exactly 95 %
    (folder / "measurement.json").write_text(json.dumps(header))
    out = report(folder, tmp_path / "out").parent
    assert content(out)["increments"][0]["energy_figures"]["nfu"]["coverage"] == 0.95


def test_a_report_whose_coverage_is_too_little_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    found = content(made[1])
    found["increments"][1]["energy_figures"]["sb"]["coverage"] = 0.94
    (tmp_path / "report.json").write_text(json.dumps(found))
    with pytest.raises(
        BadInput, match=r"increments.1.energy_figures.sb.coverage: Input should be greater than or equa"
    ):
        read_report(tmp_path / "report.json")
    found["increments"][1]["energy_figures"]["sb"] |= {"coverage": 1.0, "band_uj": [2e9, 3e9]}
    (tmp_path / "report.json").write_text(json.dumps(found))
    with pytest.raises(BadInput, match=r"increments.1.energy_figures.sb: wants 0 <= low <= \S+ <= high, not \(2"):
        read_report(tmp_path / "report.json")


def test_profiles_are_ordered_and_span_the_band(made: tuple[Path, Path]) -> None:
    for item in content(made[1])["increments"]:
        spread = item["energy_profiles_uj"]
        values = [spread["profiles"][name]["onchip"] for name in ("cacti-lop65", "macro65", "tann65")]
        assert values == sorted(values)
        assert [spread["low"], spread["high"]] == [values[0], values[-1]]
        assert spread["profiles"]["macro65"]["onchip"] == item["energy_onchip_uj"]


def test_saving_compares_with_the_full_network(made: tuple[Path, Path]) -> None:
    found = content(made[1])
    margin, full = found["opportunistic"], found["increments"][-1]
    assert margin["saving"] == pytest.approx(1 - margin["energy_onchip_uj"] / full["energy_onchip_uj"], rel=1e-6)
    assert margin["saving_with_dram"] == pytest.approx(
        1 - margin["energy_uj"]["total"] / full["energy_uj"]["total"], rel=1e-6
    )
    assert margin["stops"] == [4, 2, 0]
    assert margin["accuracy_drop"] == pytest.approx(full["accuracy"]["rtl"] - 0.991, abs=1e-9)


def test_t16_s_figures_stand_beside_ours_as_printed(made: tuple[Path, Path]) -> None:
    found = content(made[1])
    assert [(item["fraction"], item["time_us"], item["energy_uj"]) for item in found["paper"]] == [
        line for line in T16_LENET if line[0] in (0.1, 0.2, 1.0)
    ]
    page = (made[1] / "index.html").read_text(encoding="utf-8")
    assert page.count("T16 as printed") == 3
    assert "343.39" in page


def test_t16_s_figures_stay_away_from_other_machines(tmp_path: Path) -> None:
    out = report(synthetic.write(tmp_path / "measured", tile="paper16"), tmp_path / "out").parent
    assert content(out)["paper"] == []
    assert "as printed" not in (out / "index.html").read_text(encoding="utf-8")


def test_the_csv_holds_the_same_figures(made: tuple[Path, Path]) -> None:
    found = content(made[1])
    with (made[1] / "energy.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    runs = [*found["increments"], found["opportunistic"]]
    assert len(rows) == len(runs) == 4
    for row, item in zip(rows, runs, strict=True):
        for name in (*COMPONENTS, "total"):
            assert float(row[f"{name}_uj"]) == item["energy_uj"][name]
        assert float(row["cycles"]) == item["cycles"]
        assert float(row["total_coverage"]) == item["energy_figures"]["total"]["coverage"]
    with (made[1] / "figures.csv").open(encoding="utf-8", newline="") as handle:
        lines = list(csv.DictReader(handle))
    assert len(lines) == 4 * (len(COMPONENTS) + 2 + len(DRAM_PARTS))
    for row in lines:
        item = runs[["0.1", "0.2", "1", "opportunistic"].index(row["run"])]
        part = row["energy"].removeprefix("dram_")
        figure = item["energy_figures" if part == row["energy"] else "dram_figures"][part]
        assert [float(row[key]) for key in ("value_uj", "low_uj", "high_uj", "coverage")] == [
            figure["value_uj"], *figure["band_uj"], figure["coverage"],
        ]  # fmt: skip
        assert (row["source_level"], row["profile"]) == (figure["source_level"], "macro65")


def test_the_page_needs_no_network(made: tuple[Path, Path]) -> None:
    page = (made[1] / "index.html").read_text(encoding="utf-8")
    assert "http" not in page
    assert page.count("data:image/png;base64,") == 3
    assert "0 mismatches: every one of the 25,200 words compared" in page
    assert "<td>rtl_activity</td><td>98.00 %</td>" in page
    assert "47,200 of them counted by an event" in page
    for text in ("DRAM by command", "activate and precharge", "termination", "every cycle of every image", "below 95%"):
        assert text in page


def test_two_reports_have_the_same_bytes(made: tuple[Path, Path], tmp_path: Path) -> None:
    again = report(made[0], tmp_path).parent
    for name in FILES:
        assert (again / name).read_bytes() == (made[1] / name).read_bytes()


def test_without_activity_the_level_is_table_and_said(tmp_path: Path) -> None:
    out = report(synthetic.write(tmp_path / "measured", activity=False), tmp_path / "out").parent
    found = content(out)
    assert found["activity"] is False
    assert {item["source_level"] for item in found["increments"]} == {"table"}
    assert set(found["increments"][0]["source_levels"].values()) == {"table"}


def test_one_image_has_no_interval(tmp_path: Path) -> None:
    out = report(synthetic.write(tmp_path / "measured", images=1), tmp_path / "out").parent
    assert content(out)["increments"][0]["energy_ci99_uj"] is None
    assert "one image: none" in (out / "index.html").read_text(encoding="utf-8")


def test_a_wrong_run_is_shown_as_wrong(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "measured")
    header = json.loads((folder / "measurement.json").read_text())
    header["runs"][1]["mismatches"] = 7
    (folder / "measurement.json").write_text(json.dumps(header))
    page = (report(folder, tmp_path / "out").parent / "index.html").read_text(encoding="utf-8")
    assert "7 words differ from the golden model" in page
    assert "0 mismatches" not in page


def test_bad_input_writes_nothing(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "measured")
    with pytest.raises(BadInput, match=r"technology profile wants one of"):
        report(folder, tmp_path / "out", profile="nonesuch")
    arrays = dict(np.load(folder / "measurement.npz"))
    arrays["run0_events"][0, 0] = -1
    np.savez(folder / "measurement.npz", **arrays)
    with pytest.raises(BadInput, match=r"negative count"):
        report(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_report_that_breaks_its_schema_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    found = content(made[1])
    found["increments"][0]["energy_uj"].pop("leakage")
    (tmp_path / "report.json").write_text(json.dumps(found))
    with pytest.raises(BadInput, match=r"increments.0.energy_uj.leakage: Field required"):
        read_report(tmp_path / "report.json")
    with pytest.raises(BadInput, match=r"report wants a readable file: "):
        read_report(tmp_path / "none.json")


def test_stop_energy_is_the_mean_of_the_images_that_stopped_there(made: tuple[Path, Path]) -> None:
    measured, found = read_measurement(made[0]), content(made[1])["opportunistic"]
    index = next(k for k, run in enumerate(measured.header.runs) if run.kind == "opportunistic")
    model = EnergyModel(load_technology("macro65"), measured.params, measured.header.register_bits, True)
    counts, stopped = measured.counts[index], measured.stopped(index)
    onchip, total = totals(
        model.components_pj(Work(tuple(measured.header.events), counts.events, counts.dram_activates))
    )
    assert [item is None for item in found["stop_energy"]] == [count == 0 for count in found["stops"]]
    shown = 0
    for increment, item in enumerate(found["stop_energy"]):
        if item is not None:
            assert item["onchip_uj"] == pytest.approx(onchip[stopped == increment].mean() / 1e6, rel=1e-6)
            assert item["total_uj"] == pytest.approx(total[stopped == increment].mean() / 1e6, rel=1e-6)
            shown += 1
    assert shown > 1
