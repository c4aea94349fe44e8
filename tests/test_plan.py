"""`tilewatt plan` from data to files, and `tilewatt report --plan`: refusals, and a chain of two on the tile."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from golden import checkpoint
from synth.results_doc import REPORT
from tests.golden.planner import made
from tilewatt import main

LENET = "checkpoints/lenet-mnist.npz"
WIDE = ["--most-drop", "30", "--errors", "0.5", "--folds", "3"]  # for 40 images of noise


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = made.write_mnist(tmp_path_factory.mktemp("data"), parts=("train",))
    made.write_checkpoint(root / "a.npz", root)
    return root


def planned(data: Path, out: Path, *more: str) -> dict[str, Any]:
    arguments = ["plan", "--checkpoint", str(data / "a.npz"), "--data", str(data), "--out", str(out), *WIDE, *more]
    assert main(arguments) == 0
    return dict(json.loads((out / "plan.json").read_text()))


def test_plan_writes_its_files_and_prints_them(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(data, tmp_path, "--json", "--seed", "4")
    shown = capsys.readouterr()
    results = json.loads(shown.out)
    assert results["thresholds"] == found["plan"]["thresholds"]
    assert results["fractions"] == found["plan"]["fractions"]
    assert results["plan"] == str(tmp_path / "plan.json")
    assert Path(results["picture"]).is_file()
    assert "fold cross-validation" in shown.err
    assert found["command"] == (
        f"tilewatt plan --checkpoint {data / 'a.npz'} --preset paper32 --score best --objective saving --most-drop 30 "
        "--errors 0.5 --folds 3 --seed 4"
    )
    assert found["seed"] == 4
    assert found["cost"]["unit"] == "MAC"


def test_energies_of_a_report_are_the_costs(data: Path, tmp_path: Path) -> None:
    found = planned(data, tmp_path, "--cost", str(REPORT), "--with-dram", "--score", "softmax")
    report = json.loads(REPORT.read_text())
    assert found["cost"]["alone"] == [item["energy_uj"]["total"] for item in report["increments"]]
    assert found["cost"]["unit"] == "uJ with DRAM"
    assert found["plan"]["score"] == "softmax" or not found["plan"]["thresholds"]
    assert f"--cost {REPORT} --with-dram --reuse none" in found["command"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--preset", "huge"], "preset wants one of paper32, paper16, small, odd, not 'huge'"),
        (["--checkpoint", "none.npz"], "none.npz: a checkpoint (.npz) is wanted, there is none"),
        (["--most-drop", "-1"], "the accuracy drop wants a limit of 0 to 100 points, not -1"),
        (["--errors", "4"], "the accuracy drop wants 0 to 3 standard errors, not 4"),
        (
            ["--objective", "product", "--most-drop", "1"],
            "--most-drop and --errors limit --objective saving: leave them out for the product",
        ),
        (["--with-dram"], "--with-dram says which energies of a report to take: give one with --cost"),
        (["--cost", "none.json"], "report wants a readable file"),
        (
            ["--cost", str(REPORT), "--reuse", "time"],
            f"--reuse wants none, as {REPORT} was measured, not time: leave it out",
        ),
        (["--folds", "1"], "cross-validation wants 2 to 40 folds, not 1"),
        (["--folds", "41"], "cross-validation wants 2 to 40 folds, not 41"),
        (["--score", "mean"], "Invalid value for '--score'"),
        (["--data", "nowhere"], "mnist train images: none of train-images-idx3-ubyte"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], line: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plan"
    made_of = ["plan", "--checkpoint", str(data / "a.npz"), "--data", str(data), "--out", str(out)]
    assert main([*made_of, *arguments]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"tilewatt: error: {line}")
    assert shown.count("\n") == 1
    assert not out.exists()


def test_a_report_refuses_what_is_not_its_plan(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    planned(data, tmp_path / "plan")
    capsys.readouterr()
    mine = str(tmp_path / "plan" / "plan.json")
    for arguments, line in (
        (["--plan", mine], f"plan {mine} is for a checkpoint of SHA-256 "),
        (["--plan", mine, "--thresholds", "1,1"], "--plan brings score and thresholds: leave out --score and "),
        (["--plan", mine, "--score", "raw"], "--plan brings score and thresholds: leave out --score and --thresholds"),
        (["--plan", "none.json"], "a plan wants a readable file: "),
        (["--plan", mine, "--checkpoint", str(data / "a.npz"), "--preset", "paper16"], f"plan {mine} was made from "),
    ):
        assert main(["report", *arguments, "--out", str(tmp_path / "report")]) == 2
        shown = capsys.readouterr().err
        assert shown.startswith(f"tilewatt: error: {line}")
        assert shown.count("\n") == 1
        assert not (tmp_path / "report").exists()


@pytest.mark.cosim
def test_a_chain_of_two_of_three_increments_runs_on_the_tile(tmp_path: Path) -> None:
    """The committed plan, cut to increments 0.1 and 1: only these are mapped, and thresholds reach the controller."""
    content = json.loads(Path("docs/results/plan-lenet-mnist.json").read_text())
    images = content["validation"]["images"]
    chain = {"fractions": [0.1, 1.0], "increments": [0, 2], "thresholds": [6.5], "registers": [13 << 31]}
    content["plan"] |= {**chain, "stops": [images, 0], "score": "raw"}
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(content))
    shutil.copy(LENET, tmp_path / "same.npz")  # the content counts, not the path
    out = tmp_path / "report"
    arguments = ["--plan", str(path), "--checkpoint", str(tmp_path / "same.npz"), "--count", "12", "--seed", "3"]
    assert main(["report", *arguments, "--out", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert [item["fraction"] for item in report["increments"]] == [0.1, 1.0]
    assert f" --plan {path}" in report["command"]
    chance = report["opportunistic"]
    assert (chance["score"], chance["thresholds"], chance["mismatches"]) == ("raw", [6.5], 0)
    assert sum(chance["stops"]) == 12
    assert min(chance["stops"]) > 0, "both increments have to be seen"
    few, full = chance["stop_energy"]
    alone = [item["energy_onchip_uj"] for item in report["increments"]]
    assert few["onchip_uj"] == pytest.approx(alone[0], rel=0.2)
    assert full["onchip_uj"] == pytest.approx(alone[0] + alone[1], rel=0.1)
    mean = (few["total_uj"] * chance["stops"][0] + full["total_uj"] * chance["stops"][1]) / 12
    assert mean == pytest.approx(chance["energy_uj"]["total"], rel=1e-5)
    trained = checkpoint.load(Path(LENET))
    assert [item["macs"] for item in report["increments"]] == [49_300, 2_293_000]
    assert len(trained.fractions) == 3
