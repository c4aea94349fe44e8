"""The page: its numbers are the JSON's, what is missing is named, and differences are worked out."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hw.errors import BadInput
from synth.paper import printed
from synth.paper.files import kept_networks, read_paper
from synth.paper.page import main, page, text_of, write_page
from synth.paper.text import between, listed, number, table
from tests.synth.paper.made_up import content, paper

PLAN = Path("docs/results/plan-lenet-mnist.json")


def shown(changed: dict[str, Any] | None = None, margins: dict[str, str] | None = None) -> str:
    return page(paper(changed), "../img", margins or {})


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]


def row(text: str, start: str) -> list[str]:
    """Cells of the one row that begins with ``start``."""
    (found,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_table_4() -> None:
    part = section(shown(), "Table 4")
    cells = row(part, "LeNet on MNIST | 0.1")
    assert cells[2:6] == ["2-5-50-10", "22,930", "1,000", "657"]
    assert cells[6:] == ["2.627", "0.1379 (0.1378 .. 0.1380)", "0.2344", "4.61", "5.59", "0.0247"]
    assert row(part, "ALEXnet on CIFAR-10 | 1")[-3:] == ["599.85", "727.81", "0.0205"]
    assert "at 1 0.0202 of T16's energy = 0.466 of its time x 0.0433 of its power (52.50 of 1,213 mW)" in part


def test_table_4_names_fractions_that_one_side_lacks() -> None:
    changed = content()
    del changed["networks"]["lenet"]["increments"][2]
    changed["networks"]["lenet"]["increments"][1]["fraction"] = 0.3
    changed["networks"]["lenet"]["opportunistic"]["fractions"] = [0.1, 0.3, 1.0]
    part = section(shown(changed), "Table 4")
    assert row(part, "LeNet on MNIST | 0.5")[2:] == ["-"] * 7 + ["75.54", "91.61", "-"]
    assert row(part, "LeNet on MNIST | 0.3")[-3:] == ["-"] * 3


def test_tables_6_to_9() -> None:
    text = shown()
    part = section(text, "Table 6")
    wanted = ["100,000", "100,050", "187,654", "0.05 %", "17.39 %", "87.65 %", "96.43 %", "3.21 %"]
    assert row(part, "ALEXnet on CIFAR-10")[1:] == wanted
    assert "ALEXnet on CIFAR-10: classifiers and biases of 0.25 (10)" in part
    added = "LeNet on MNIST: one classifier; the biases of 0.1 (10), 0.2 (15) and 0.5 (25) take 50 bytes"
    assert f"{added}, 0.53 points of the full network less than T16's" in part
    part = section(text, "Table 7")
    assert row(part, "LeNet on MNIST")[1:4] == ["3", "0.1 (0.812), 0.2 (0.656), 1", "softmax"]
    assert row(part, "LeNet on MNIST")[-2:] == ["3", "0.25 (0.900), 0.3 (0.850), 1"]
    assert "ConvNet on CIFAR-10: 2 increments, as in T16; thresholds of raw scores" in part
    part = section(text, "Table 8")
    assert row(part, "ConvNet on CIFAR-10 | 2")[2:] == [
        *("1", "82.00 %", "82.10 %", "54.60"),
        *("1", "86.37 %", "86.91 %", "1,443.90"),
    ]
    assert "the first increment takes 7.19 % of the full network's energy (T16: 9.63 %)" in part
    part = section(text, "Table 9")
    cells = row(part, "LeNet on MNIST")
    assert cells[1:7] == ["10,000 of 10,000", "99.41 %", "99.50 %", "99.60 %", "0.09", "0.19"]
    assert cells[7:] == ["96.69 % (96.49 .. 96.89)", "95.19 %", "96.19 %", "0.60", "95.53 %"]
    # T16 pays 67.39 % of the full network's energy; 9.63 % of it for the first increment of every image
    assert "T16's first increment takes 9.63 % and its run 67.39 %, so that 42.2 % of its images stop there" in part
    assert "Block-causal, an escalation keeps whatever of the smaller increment does not change: 6.884 uJ" in part
    assert "where starting over would take 7.334 uJ by the increments' own means (6.1 % less)" in part


def test_different_numbers_of_increments_meet_at_the_full_network() -> None:
    changed = content()
    run = changed["networks"]["lenet"]["opportunistic"]
    run["fractions"], run["thresholds"], run["stops"] = [0.1, 1.0], [0.5], [9000, 1000]
    part = section(shown(changed), "Table 8")
    assert row(part, "LeNet on MNIST | 2")[2:6] == ["-"] * 4
    assert row(part, "LeNet on MNIST | 3")[2] == "1"
    assert row(part, "LeNet on MNIST | 3")[-1] == "343.39"
    assert "LeNet on MNIST: 2 increments, T16 has 3;" in shown(changed)


def test_claims_and_their_count() -> None:
    part = section(shown(), "Claims")
    assert "20 of 20 kept" in part
    claim = "LeNet on MNIST: drop at it <= 0.10 points"
    assert row(part, claim) == [claim, "0.60", "0.09", "yes"]
    changed = content()
    changed["networks"]["lenet"]["opportunistic"]["accuracy_drop_points"] = 0.101
    part = section(shown(changed), "Claims")
    assert "19 of 20 kept" in part
    assert row(part, claim) == [claim, "0.60", "0.10", "**no**"]


def test_missing_networks_are_named() -> None:
    changed = content()
    del changed["networks"]["convnet"], changed["networks"]["alexnet"]
    text = shown(changed)
    assert "**Missing: ConvNet and ALEXnet.**" in section(text, "Not comparable")
    assert "Missing" not in shown()
    assert "| ConvNet: measured | Tables 4 to 9 | not measured | **no** |" in text
    assert "1,443.90" not in text


def test_none_is_a_dash() -> None:
    changed = content()
    network = changed["networks"]["alexnet"]
    network["big_little"] = network["golden_accuracy"] = network["full_drop_to_golden_points"] = None
    network["opportunistic"]["drop_to_golden_points"] = None
    for item in network["increments"]:
        item["golden_accuracy"] = item["shutdown_accuracy"] = item["cost"]["energy_ci99_uj"] = None
    text = shown(changed)
    assert row(section(text, "Table 4"), "ALEXnet on CIFAR-10 | 1")[7] == "14.91"
    assert row(section(text, "Table 8"), "ALEXnet on CIFAR-10 | 1")[4] == "-"
    assert row(section(text, "Table 9"), "ALEXnet on CIFAR-10")[4] == "-"
    assert row(section(text, "Table 9"), "ALEXnet on CIFAR-10")[6] == "-"
    assert row(section(text, "Big/Little"), "ALEXnet on CIFAR-10")[5:] == ["-"] * 7
    assert "ALEXnet on CIFAR-10: Big/Little not measured." in text
    assert "None" not in text


def test_what_is_not_comparable() -> None:
    part = section(shown(), "Not comparable")
    assert "ConvNet on CIFAR-10: T16 has SVHN, ours is on cifar10." in part
    assert "CIFAR-10 stands in for SVHN, whose files cannot be had." in part
    assert "JPEG, quality 75." in part
    assert "`made65` (a made-up profile, 65 nm)" in part
    assert "LeNet on MNIST: T16 has" not in part


def test_figures_and_their_numbers() -> None:
    text = shown(margins={"lenet": "plan-mine.png"})
    for name in ("t16-fig6", "t16-fig9", "t16-fig10", "t16-fig11-lenet", "t16-saving", "plan-mine"):
        assert f"](../img/{name}.png)" in text
    assert "No plan's picture: ConvNet on CIFAR-10, ALEXnet on CIFAR-10." in section(text, "Figure 7")
    assert "0.1 reaches 93.93 % in 1.99 % of the cycles" in section(text, "Figure 6")
    assert "at 0.25 channel shutdown has 10.94 %, the increment 76.75 %" in section(text, "Figure 9")
    part = section(text, "Figure 11")
    assert "LeNet on MNIST, energy: 60 images, 4 changes of the budget; at most 1 images in a row above" in part
    assert "11 images of budgets reported as impossible" in part
    assert "+0.50 %, -0.25 %" in part
    changed = content()
    changed["networks"]["lenet"]["budget"].clear()
    assert "Not measured." in section(shown(changed), "Figure 11")


@pytest.mark.parametrize("part", ["opportunistic", "storage", "big_little"])
def test_every_number_of_the_json_is_on_the_page(part: str) -> None:
    before = shown()
    numbers = [key for key, value in content()["networks"]["lenet"][part].items() if isinstance(value, int | float)]
    assert len(numbers) >= 3
    for key in numbers:
        changed = content()
        value = changed["networks"]["lenet"][part][key]
        changed["networks"]["lenet"][part][key] = value + 1 if isinstance(value, int) else 0.8 * value
        assert shown(changed) != before, f"{part}.{key}"


def test_every_printed_number_is_on_the_page() -> None:
    text = shown()
    for table_of in (printed.TIME_US, printed.ENERGY_UJ):
        for values in table_of.values():
            assert all(f"| {value:,.2f} |" in text for value in values)
    for single in (printed.EXTRA_STORAGE_PERCENT, printed.BIG_LITTLE_STORAGE_PERCENT, printed.SAVING_PERCENT):
        assert all(f"| {value:.2f} % |" in text for value in single.values())


def write(folder: Path, changed: dict[str, Any] | None = None) -> Path:
    path = folder / "results" / "t16.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(changed or content()), encoding="utf-8")
    return path


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    changed = content()
    plan = json.loads(PLAN.read_text(encoding="utf-8"))
    changed["networks"]["lenet"]["checkpoint_sha256"] = plan["checkpoint"]["sha256"]
    found = write(tmp_path, changed)
    (found.parent / "plan-of-lenet.json").write_text(json.dumps(plan), encoding="utf-8")
    out, images = tmp_path / "results" / "t16.md", tmp_path / "img"
    options = ["--json", str(found), "--out", str(out), "--images", str(images)]
    monkeypatch.setattr(sys, "argv", ["page", *options])
    main()
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    text = out.read_text(encoding="utf-8")
    assert text == text_of(found, out, images)
    links = [line.partition("](")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert "../img/plan-of-lenet.png" in links
    assert {(out.parent / link).resolve() for link in links} == {path.resolve() for path in images.iterdir()}

    monkeypatch.setattr(sys, "argv", ["page", "--json", str(tmp_path / "none.json")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "`tilewatt paper` writes it" in capsys.readouterr().err


def test_networks_measured_together_and_apart() -> None:
    once = "    tilewatt paper --jobs 2\n\nat commit `0123456789ab`, seed 1; torch 2.13.0, verilator 5.48.\n"
    assert f"LeNet on MNIST, ConvNet on CIFAR-10 and ALEXnet on CIFAR-10:\n\n{once}" in shown()
    changed = content()
    changed["networks"]["convnet"]["origin"] |= {"commit": "fedcba9876543210", "seed": 2}
    text = shown(changed)
    assert f"LeNet on MNIST and ALEXnet on CIFAR-10:\n\n{once}" in text
    assert "ConvNet on CIFAR-10:\n\n    tilewatt paper --jobs 2\n\nat commit `fedcba987654`, seed 2; torch" in text


def test_networks_that_are_not_measured_stay_as_they_were(tmp_path: Path) -> None:
    tile = {"tile": "paper32", "fmt": "<32,16>", "profile": "made65"}
    path = write(tmp_path, content())
    before = read_paper(path).networks
    assert kept_networks(path, ["convnet"], **tile) == {name: before[name] for name in ("lenet", "alexnet")}
    assert kept_networks(tmp_path / "none.json", ["convnet"], **tile) == {}
    other = tile | {"profile": "macro65"}
    assert kept_networks(path, list(before), **other) == {}
    message = (
        r"t16\.json holds lenet, alexnet on paper32 <32,16> made65, paper32 <32,16> macro65 is wanted to add to it"
    )
    with pytest.raises(BadInput, match=message):
        kept_networks(path, ["convnet"], **other)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"T16's results want a readable file: .*none\.json.*`tilewatt paper` writes it"):
        read_paper(tmp_path / "none.json")
    changed = content()
    changed["networks"]["lenet"]["opportunistic"]["accuracy"] = 99.5
    with pytest.raises(BadInput, match=r"results .*t16\.json: .*accuracy.*less than or equal to 1"):
        read_paper(write(tmp_path, changed))
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"\xff")
    with pytest.raises(BadInput, match=r"results .*bad\.json: "):
        read_paper(bad)


@pytest.mark.parametrize(("key", "value"), [("fractions", [0.1, 0.3, 1.0]), ("stops", [1, 2]), ("stops", [0, 0, 0])])
def test_an_opportunistic_run_of_other_increments_is_refused(tmp_path: Path, key: str, value: list[float]) -> None:
    changed = copy.deepcopy(content())
    changed["networks"]["lenet"]["opportunistic"][key] = value
    with pytest.raises(
        BadInput, match=r"lenet wants an opportunistic run over some of its increments \[0\.1, 0\.2, 0\.5"
    ):
        write_page(write(tmp_path, changed), tmp_path / "t16.md", tmp_path)
    assert not (tmp_path / "t16.md").exists()


def test_text() -> None:
    assert [number(value) for value in (0.0, 0.012346, 1443.9, 12345.6, None)] == [
        "0",
        "0.01235",
        "1,444",
        "12,346",
        "-",
    ]
    assert number(99.996) == "100.00"
    assert between(1.5, None) == "1.500"
    assert [listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert table("a | b", [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
