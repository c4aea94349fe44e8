"""Calibration and its outcomes on made-up windows whose prices are known: model, errors, validation, prices, page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import synth.calibration_doc
import synth.gate.calibrate
from hw.errors import BadInput
from synth.gate.blocks import NEURON_BLOCKS
from synth.gate.calibrate import CYCLES, PARTS, Part, blocks_of, calibrate, errors_of, windows_of
from synth.gate.recording import RecordedWindow
from synth.gate.reference import NEURON_CYCLES, Simulated
from synth.gate.validation import Errors, read_validation, worst

MADE_UP = {
    "lanes": Part("nfu", ("products", "sum"), (NEURON_CYCLES, "multiply", "toggle_product")),
    "dma": Part("buffers", ("dma",), (CYCLES, "toggle_dma")),
    "engine": Part("control", ("engine",), (CYCLES, "toggle_engine")),
}
NAMES = (CYCLES, NEURON_CYCLES, "multiply", "toggle_product", "toggle_dma", "toggle_engine")
PRICES: dict[str, tuple[float, ...]] = {
    "products": (0, 4, 0.5, 0.2, 0, 0),
    "sum": (0, 1, 0, 0.1, 0, 0),
    "dma": (3, 0, 0, 0, 0.7, 0),
    "engine": (5, 0, 0, 0, 0, 0.9),
}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synth.gate.calibrate, "PARTS", MADE_UP)


def simulated(seed: int, fraction: float = 1.0, scale: float = 1.0) -> Simulated:
    rng = np.random.default_rng(seed)
    activity = rng.integers(1, 900, (10, len(NAMES)))
    activity[:, 0], activity[:, 1] = 100, 300
    energy = np.zeros((10, len(PRICES), 4))
    for at, prices in enumerate(PRICES.values()):
        energy[:, at, 0] = activity @ np.array(prices) * scale
    window = RecordedWindow("0.vcd", 0, fraction, seed, 1, 1000, (("0", 0),))
    return Simulated(window, tuple(PRICES), energy, NAMES, activity, 10_000)


@pytest.mark.usefixtures("made_up")
def test_prices_are_found_and_errors_are_none() -> None:
    model = calibrate({"a": [simulated(k) for k in range(4)]})
    total = model.of("total").prices_pj
    assert total == pytest.approx(
        {CYCLES: 8, NEURON_CYCLES: 5, "multiply": 0.5, "toggle_product": 0.3, "toggle_dma": 0.7, "toggle_engine": 0.9}
    )
    assert model.of("buffers").prices_pj == pytest.approx({CYCLES: 3, "toggle_dma": 0.7})
    errors = errors_of(model, {"b": [simulated(k, fraction) for k, fraction in ((7, 0.5), (8, 1.0))]})
    assert set(errors) == {"nfu", "buffers", "control", "total"}
    for found in errors.values():
        assert found["mean_error_percent"] == pytest.approx(0, abs=1e-6)
        assert found["window_100_r2"] == pytest.approx(1)
        assert found["constant_power_error_percent"] > 0
    assert sum(errors[name]["energy_share"] for name in ("nfu", "buffers", "control")) == pytest.approx(1)


@pytest.mark.usefixtures("made_up")
def test_errors_on_other_hardware_show() -> None:
    model = calibrate({"a": [simulated(k) for k in range(4)]})
    errors = errors_of(model, {"b": [simulated(7, scale=1.25)]})
    assert errors["total"]["mean_error_percent"] == pytest.approx(20)
    assert errors["nfu"]["largest_window_1000_error_percent"] == pytest.approx(20)


@pytest.mark.usefixtures("made_up")
def test_windows_of_other_netlists_are_refused() -> None:
    other = replace(simulated(1), names=("cycles",) * len(NAMES))
    with pytest.raises(
        BadInput, match="windows of the same activities and blocks are wanted: they come from different"
    ):
        windows_of({"a": [simulated(0), other]}, ("dma",))
    with pytest.raises(BadInput, match=r"blocks of the netlists are wanted \(products, sum, dma, engine\), not margin"):
        windows_of({"a": [simulated(0)]}, ("margin",))


def test_every_block_is_in_one_part() -> None:
    from synth.gate.blocks import TILE_BLOCKS

    listed = [block for part in PARTS.values() for block in part.blocks]
    assert sorted(listed) == sorted(set(NEURON_BLOCKS.values()) | set(TILE_BLOCKS.values()))
    assert blocks_of("total") == tuple(listed)
    for part in PARTS.values():
        inside = {block in NEURON_BLOCKS.values() for block in part.blocks}
        assert len(inside) == 1, "a part lies in the neurons or outside of them"
        assert (NEURON_CYCLES in part.activity) == inside.pop()


def test_the_worst_of_formats() -> None:
    values = dict.fromkeys(Errors.model_fields, 1.0)
    good = Errors.model_validate({**values, "opensta_difference_percent": None})
    bad = Errors.model_validate(
        {**values, "mean_error_percent": 3.0, "window_100_r2": 0.9, "opensta_difference_percent": -2.0}
    )
    found = worst([good, bad])
    assert (found.mean_error_percent, found.window_100_r2, found.opensta_difference_percent) == (3.0, 0.9, -2.0)
    assert worst([good]).opensta_difference_percent is None


def test_no_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a validation wants a readable file: .*; make it with `make energy-check`"):
        read_validation(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"schema": 1}')
    with pytest.raises(BadInput, match="half.json: command: Field required"):
        read_validation(tmp_path / "half.json")


def test_the_page_holds_the_results() -> None:
    page = synth.calibration_doc
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    assert page.page_with_results(text) == text, "run python -m synth.calibration_doc"
    shown = f"{page.read_validation(page.VALIDATION).total.mean_error_percent:.1f} % per increment"
    assert shown in (page.ROOT / "README.md").read_text(encoding="utf-8")
