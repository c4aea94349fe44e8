"""Annotation coverage: register bits where toggles price them, counts everywhere; too little is refused."""

from pathlib import Path

import pytest

from hw.errors import BadInput
from hw.events import event_names
from hw.params import preset
from synth.annotation import coverage, owner
from synth.energy import EnergyModel
from synth.measurement import RegisterShare
from synth.technology import COMPONENTS, load_technology

UNIT = Path(__file__).parent / "unit.toml"
NAMES = event_names(True)


def model(profile: str | Path, activity: bool = True) -> EnergyModel:
    return EnergyModel(load_technology(profile), preset("paper32"), 100, activity)


def shares(**counted: int) -> dict[str, RegisterShare]:
    """Components of 100 bits each."""
    return {name: RegisterShare(bits=100, counted=bits) for name, bits in counted.items()}


def test_registers_of_the_nfu_are_those_of_neurons_array_and_results() -> None:
    found = coverage(model("macro65"), NAMES, shares(neurons=91, nfu=100, post=97, engine=10))
    assert found["nfu"] == pytest.approx(0.96)
    assert {found[name] for name in COMPONENTS if name != "nfu"} == {1.0}, "no toggle prices them"


def test_a_price_moves_registers_to_its_component(tmp_path: Path) -> None:
    text = UNIT.read_text().splitlines(keepends=True)
    moved = [
        line.replace('component = "nfu"', 'component = "control"') if line.startswith("toggle_engine_pj") else line
        for line in text
    ]
    (tmp_path / "moved.toml").write_text("".join(moved))
    assert [owner(model(UNIT), name) for name in ("neurons", "nfu", "engine")] == ["nfu"] * 3
    changed = model(tmp_path / "moved.toml")
    assert [owner(changed, name) for name in ("neurons", "nfu", "engine")] == ["nfu", "nfu", "control"]
    assert changed.source_levels["control"] == "rtl_activity"
    found = coverage(changed, NAMES, shares(neurons=100, engine=98))
    assert (found["nfu"], found["control"]) == (1.0, pytest.approx(0.98))
    with pytest.raises(BadInput, match=r"annotation coverage of control under unit is 94.0%, at least 95% is wanted"):
        coverage(changed, NAMES, shares(neurons=100, engine=94))


def test_too_few_counted_registers_are_refused_by_name() -> None:
    wanted = (
        r"^annotation coverage of nfu under macro65 is 92\.5%, at least 95% is wanted: no event counts 15 of 200 "
        r"register bits \(neurons 12, post 3\); let hw/monitor.py count them, or measure a tile without activity: "
        r"table prices need no toggles$"
    )
    with pytest.raises(BadInput, match=wanted):
        coverage(model("macro65"), NAMES, shares(neurons=88, post=97))


@pytest.mark.parametrize(("profile", "activity"), [("macro65", False), ("tann65", True)])
def test_table_prices_need_no_counted_registers(profile: str, activity: bool) -> None:
    found = coverage(model(profile, activity), event_names(activity), shares(neurons=0, nfu=0))
    assert found == dict.fromkeys(COMPONENTS, 1.0)


def test_counts_that_are_missing_are_refused_by_name() -> None:
    names = [name for name in NAMES if name not in ("sb_write", "dram_read")]
    wanted = (
        r"^annotation coverage of sb under macro65 is 50\.0%, at least 95% is wanted: the measurement has no count of "
        r"sb_write; measure again$"
    )
    with pytest.raises(BadInput, match=wanted):
        coverage(model("macro65"), names, shares(neurons=100))
    with pytest.raises(BadInput, match=r"of dram under macro65 is 75\.0%.* no count of dram_read; measure again"):
        coverage(model("macro65"), [*names, "sb_write"], shares(neurons=100))
