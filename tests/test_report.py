"""The main job end to end: LeNet on the paper32 tile in Verilator, through the command line, on a few images."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from golden import checkpoint
from hw.params import preset
from tilewatt import main

pytestmark = pytest.mark.cosim
IMAGES = 30
RUNS = ("increment 1", "increment 2", "increment 3", "opportunistic")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    assert main(["report", "--count", str(IMAGES), "--out", str(out), "--seed", "3"]) == 0
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def test_every_word_stop_and_count_is_equal(report: dict[str, Any]) -> None:
    runs = [*report["increments"], report["opportunistic"]]
    assert [run["images_compared"] for run in runs] == [IMAGES] * 4
    assert all(run["words_compared"] >= IMAGES * 400 for run in runs)
    assert [run["mismatches"] for run in runs] == [0] * 4
    assert sum(report["opportunistic"]["stops"]) == IMAGES
    assert report["opportunistic"]["stops"][0] < IMAGES, "no image escalated: the controller was not tried"


def test_rtl_accuracy_is_golden_and_within_a_tenth_of_a_point_of_float(report: dict[str, Any]) -> None:
    for run in report["increments"]:
        accuracy = run["accuracy"]
        assert accuracy["rtl"] == accuracy["golden"]
        assert abs(accuracy["rtl"] - accuracy["float"]) <= 0.001


def test_energy_and_cycles_rise_with_the_increment(report: dict[str, Any]) -> None:
    for key in ("cycles", "time_us", "energy_onchip_uj", "macs", "dram_bytes", "limit_cycles"):
        values = [run[key] for run in report["increments"]]
        assert values == sorted(set(values)), key
    totals = [run["energy_uj"] for run in report["increments"]]
    for component in totals[0]:
        values = [energy[component] for energy in totals]
        assert values == sorted(set(values)), component
    assert all(run["cycles"] >= run["limit_cycles"] for run in report["increments"])
    assert 0 < report["opportunistic"]["saving"] < 1


def test_report_says_where_it_comes_from(report: dict[str, Any]) -> None:
    trained = checkpoint.load(Path("checkpoints/lenet-mnist.npz"))
    assert [run["fraction"] for run in report["increments"]] == list(trained.fractions)
    assert report["tile_hash"] == preset("paper32").replace(activity=True).hash
    assert report["seed"] == 3
    assert re.fullmatch(r"[0-9a-f]{40}\+?", report["commit"])
    assert all(run["source_level"] == "rtl_activity" for run in report["increments"])
    assert report["simulation"]["cycles"] > 0
    tile, neurons = preset("paper32"), report["annotation"]["neurons"]
    assert neurons["counted"] >= tile.neurons * tile.synapses * 2 * tile.fmt.width, "the products are not counted"
    assert sum(share["bits"] for share in report["annotation"].values()) == report["register_bits"]
    for run in [*report["increments"], report["opportunistic"]]:
        figures = [*run["energy_figures"].values(), *run["dram_figures"].values()]
        assert len(figures) == 17
        assert all(figure["coverage"] >= 0.95 and figure["profile"] == "macro65" for figure in figures)
        assert sum(part["value_uj"] for part in run["dram_figures"].values()) == pytest.approx(run["energy_uj"]["dram"])


def test_page_pictures_and_csv_hold_every_run(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert not re.search(r'(src|href)="https?://', page), "the page wants no network"
    for name in ("energy", "accuracy", "profiles"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((folder / "energy.csv").read_text().splitlines()))
    assert {row["run"] for row in rows} == set(RUNS)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--preset", "huge"], "preset wants one of paper32, paper16, small, odd, not 'huge'"),
        (["--count", "1001"], "--count wants at most the 1000 images of"),
        (["--thresholds", "1"], "2 thresholds are wanted, one per increment but the last, not 1"),
        (["--thresholds", "-1,1"], "a raw margin threshold wants a finite number of at least 0, not -1.0"),
        (
            ["--thresholds", "1.5,1", "--score", "softmax"],
            "a softmax margin threshold wants a number from 0 to 1, not 1.5",
        ),
        (["--thresholds", "a,b"], "numbers with commas between are wanted, like 0.1,0.2,1, not 'a,b'"),
        (["--profile", "nine"], "nine"),
        (["--checkpoint", "none.npz"], "none.npz: a checkpoint (.npz) is wanted, there is none"),
        (["--images", "none.npz"], "none.npz"),
        (["--data", "nowhere"], "nowhere"),
        (["--preset", "odd"], "odd"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert main(["report", *arguments, "--out", str(out)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tilewatt: error: ")
    assert line in lines[0]
    assert not out.exists()


def test_an_escalated_run_takes_over_what_pays(tmp_path: Path) -> None:
    """The block-causal LeNet, every image escalated: both increments together cost less than one after the other."""
    trained = "checkpoints/lenet-mnist-causal.npz"
    arguments = ["--checkpoint", trained, "--count", "2", "--thresholds", "1000", "--reuse", "time"]
    assert main(["report", *arguments, "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    few, more = (run["cycles"] for run in report["increments"])
    escalated = report["opportunistic"]
    assert escalated["stops"] == [0, 2]
    assert escalated["mismatches"] == 0
    print(f"cycles: {few} and {more}, escalated {escalated['cycles']}")
    assert escalated["cycles"] < few + 0.7 * more
