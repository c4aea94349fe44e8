"""The whole path on a library of our own: recorded, synthesised, simulated, fitted, tested, priced, loaded."""

import json
from pathlib import Path

import pytest

from cosim.energy_plan import recorded_verilog
from cosim.vcd import Window, Workload, record, recorded_params
from golden.mapping import map_network
from hw.events import event_names
from hw.params import preset
from synth.gate.check import Checked, Job, check
from synth.gate.prices import COLUMNS, write_prices
from synth.gate.validation import read_validation
from synth.tech_ihp import profile_text
from synth.technology import load_technology
from tests.cosim.test_tile import small_net
from tests.cosim.tiles import images, integer, modules

FIXTURE = Path(__file__).parent / "fixture.lib"
FRACTIONS = (0.5, 1.0)
NEURONS = (0, 3)

pytestmark = pytest.mark.cosim


def recorded(seed: int, folder: Path) -> Path:
    """Whole images of both increments of a small network."""
    p = recorded_params(preset("small"))
    full, shape = small_net()
    mapped = map_network(integer(modules(full, FRACTIONS, seed), shape, p), p, search=False)
    workload = Workload("a small network", {}, mapped, FRACTIONS, (0, 1), images(2, shape, p, seed))
    whole = [workload.spans(increment)[-1].end - 1 for increment in range(2)]
    windows = [Window(increment, image, 1, whole[increment]) for increment in range(2) for image in range(2)]
    record(workload, windows, folder, neurons=NEURONS, seed=seed)
    return folder


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checked, Path]:
    folder = tmp_path_factory.mktemp("check")
    recordings = {
        "fit": [recorded(1, folder / "one"), recorded(2, folder / "two")],
        "test": [recorded(3, folder / "x")],
    }
    p = preset("small")
    work = [Job(p, recorded_verilog(p), recordings)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synth.gate.check.find_sta", lambda: None)
        return check(work, [FIXTURE], "", folder, jobs=2, step=lambda _: None, command="a test", commit="none"), folder


def test_the_model_beats_both_baselines_on_another_network(found: tuple[Checked, Path]) -> None:
    checked, folder = found
    validation = read_validation(folder / "validation.json")
    assert validation == checked.validation
    assert set(validation.blocks) == {"nfu", "buffers", "control"}
    assert list(validation.formats) == ["<16,10>"]
    shown = validation.formats["<16,10>"]
    assert (shown.windows, shown.preset) == ({"fit": 8, "test": 4}, "small")
    assert shown.checked_bits > 1_000_000
    for errors in (validation.total, *validation.blocks.values()):
        assert errors.opensta_difference_percent is None
        assert errors.mean_error_percent < errors.constant_power_error_percent
        assert errors.mean_error_percent < errors.constant_per_mac_error_percent
    assert validation.total.mean_error_percent < 5
    assert validation.total.window_100_r2 > 0.9
    assert set(shown.increments) == {"x 0.5", "x 1"}
    assert {label.split()[1] for label in shown.products} == {"0.5", "1"}
    assert len({of["table_pj"] for of in shown.products.values()}) == 1
    for of in shown.products.values():
        assert of["products"] > 0
        assert of["activity_pj"] == pytest.approx(of["gate_pj"], rel=0.15)
    assert 0 < shown.area_um2["margin controller"] < shown.area_um2["whole tile"]
    *parts, whole = shown.cells_pj_per_cycle.values()
    assert sum(parts) == pytest.approx(whole, rel=1e-4)
    # 2 of 4 neurons are simulated: the NFU counts twice, but for the array that is no neuron's
    cycles = sum(item["cycles"] for item in shown.increments.values())
    simulated = sum(item["cycles"] * item["reference_pj_per_cycle"] for item in shown.increments.values()) / cycles
    assert simulated < whole < 2 * simulated
    assert list(shown.cells_pj_per_cycle) == [name for name in shown.area_um2 if name != "registers"]


def test_the_prices_make_a_profile(found: tuple[Checked, Path], tmp_path: Path) -> None:
    table = write_prices(tmp_path / "logic.csv", found[0])
    assert table.read_text().startswith(",".join(COLUMNS) + "\n")
    (tmp_path / "mine.toml").write_text(profile_text(table))
    technology = load_technology(tmp_path / "mine.toml")
    priced = {
        name
        for name in event_names(True)
        if name.startswith("toggle_") and technology.price("<16,10>", name, "rtl_activity") is not None
    }
    assert len(priced) >= 10
    clock = technology.price("<16,10>", "clock_pj_per_bit_cycle", "rtl_activity")
    assert clock is not None
    assert 0 < clock.low < clock.value < clock.high
    assert technology.price("<16,10>", "compute_cycles", "table") is not None


def test_what_was_simulated_is_not_simulated_again(
    found: tuple[Checked, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = found
    before = json.loads((folder / "validation.json").read_text())
    monkeypatch.setattr("synth.gate.check.find_sta", lambda: None)
    monkeypatch.setattr("synth.gate.reference.run", lambda *_a, **_o: pytest.fail("a window was simulated again"))
    p = preset("small")
    recordings = {"fit": [folder / "one", folder / "two"], "test": [folder / "x"]}
    work = [Job(p, recorded_verilog(p), recordings)]
    check(work, [FIXTURE], "", folder, jobs=1, step=lambda _: None, command="a test", commit="none")
    assert json.loads((folder / "validation.json").read_text()) == before
