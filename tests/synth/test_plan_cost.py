"""Energies for the planner: the report's own figures, and refusals of reports of something else."""

import json
from pathlib import Path
from typing import Any

import pytest

from hw.errors import BadInput
from synth.plan_cost import Energies, read_energies
from synth.results_doc import REPORT

FRACTIONS, MACS = (0.1, 0.2, 1.0), (49_300, 138_600, 2_293_000)
STOPS = [{"onchip_uj": 0.7, "total_uj": 11.0}, {"onchip_uj": 2.7, "total_uj": 46.0}, None]


def energies(path: Path = REPORT, with_dram: bool = False, **other: Any) -> Energies:
    wanted = {"network": "lenet", "dataset": "mnist", "fractions": FRACTIONS, "macs": MACS, "fmt": "<32,16>", **other}
    return read_energies(path, with_dram=with_dram, **wanted)


def changed(folder: Path, **opportunistic: Any) -> Path:
    content = json.loads(REPORT.read_text())
    content["command"] += " --reuse time"
    content["opportunistic"] |= opportunistic
    path = folder / "report.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("with_dram", [False, True])
def test_the_reports_energies(with_dram: bool) -> None:
    report = json.loads(REPORT.read_text())
    found = energies(with_dram=with_dram)
    wanted = [item["energy_uj"]["total"] if with_dram else item["energy_onchip_uj"] for item in report["increments"]]
    assert list(found.alone) == wanted
    assert found.unit == ("uJ with DRAM" if with_dram else "uJ on chip")
    assert "macro65 profile, 1,000 images, commit " in found.source
    assert found.reuse == "none"


def test_the_chain_and_what_was_kept(tmp_path: Path) -> None:
    path = changed(tmp_path, stop_energy=STOPS)
    assert energies(path).chain == (0.7, 2.7, None)
    assert energies(path, with_dram=True).chain == (11.0, 46.0, None)
    assert energies(path).reuse == "time"
    assert energies(changed(tmp_path, stop_energy=None)).chain == (None, None, None)


def test_a_chain_of_more_increments_says_nothing_of_fewer(tmp_path: Path) -> None:
    path = changed(tmp_path, stop_energy=STOPS)
    assert energies(path, fractions=(0.1, 1.0), macs=(MACS[0], MACS[2])).chain == (None, None)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"network": "alexnet"}, "costs of a plan want a report with network alexnet, .*json has lenet"),
        ({"dataset": "svhn"}, "costs of a plan want a report with data set svhn, .*json has mnist"),
        ({"fmt": "<16,10>"}, "costs of a plan want a report with format <16,10>, .*json has <32,16>"),
        (
            {"fractions": (0.1, 0.5, 0.75, 1.0)},
            "costs of a plan want a report of every increment, .*json lacks 0.5, 0.75: measure all of them with "
            "`tilewatt report`, without --plan",
        ),
        ({"macs": (1, 2, 3)}, r"costs of a plan want increments of \[1, 2, 3\] MACs, those of .* have \[49300, "),
        ({"path": Path("none.json")}, "report wants a readable file: .*none.json"),
    ],
)
def test_other_reports_are_refused(other: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        energies(**other)
