"""The fit: known prices are found again, errors are those of a calculation by hand, refusals."""

import numpy as np
import pytest

from hw.errors import BadInput
from synth.gate.fit import Model, Windows, constant_per_mac, constant_power, errors_percent, fit, metrics, r2

NAMES = ("cycles", "multiply", "toggle_weight")


def windows(noise: float = 0.0, prices: tuple[float, ...] = (2.0, 0.5, 0.25)) -> Windows:
    rng = np.random.default_rng(4)
    activity = np.stack([np.full(40, 100), rng.integers(0, 1600, 40), rng.integers(0, 9000, 40)], axis=1)
    energy = activity @ np.array(prices) * (1 + noise * rng.normal(size=40))
    return Windows(NAMES, activity.astype(float), energy, np.repeat(np.arange(4), 10), np.repeat(["a", "b"], 20))


def test_known_prices_are_found() -> None:
    found = fit(windows(), NAMES)
    assert found.prices_pj == pytest.approx({"cycles": 2.0, "multiply": 0.5, "toggle_weight": 0.25})
    assert metrics(found, windows(), {})["window_100_r2"] == pytest.approx(1.0)


def test_no_price_is_negative() -> None:
    found = fit(windows(prices=(2.0, -0.001, 0.25)), NAMES)
    assert min(found.prices_pj.values()) > 0
    assert "multiply" not in found.prices_pj


def test_baselines_and_their_errors() -> None:
    data = windows()
    power, mac = constant_power(data), constant_per_mac(data)
    assert power.prices_pj == {"cycles": data.energy_pj.sum() / 4000}
    assert mac.prices_pj == {"multiply": data.energy_pj.sum() / data.column("multiply").sum()}
    shown = metrics(fit(data, NAMES), data, {"constant_power": power, "constant_per_mac": mac})
    first = data.increments == "a"
    by_hand = [
        100 * abs(power.energy_pj(data)[rows].sum() / data.energy_pj[rows].sum() - 1) for rows in (first, ~first)
    ]
    assert shown["constant_power_error_percent"] == pytest.approx(np.mean(by_hand))
    assert shown["constant_power_error_percent"] > shown["mean_error_percent"]


def test_errors_by_hand() -> None:
    wanted, found = np.array([10.0, 10.0, 40.0]), np.array([11.0, 10.0, 30.0])
    assert errors_percent(wanted, found, np.array([0, 0, 1])).tolist() == pytest.approx([5.0, 25.0])
    assert r2(wanted, found) == pytest.approx(1 - 101 / 600)
    offset = metrics(Model({"cycles": 1.0}), windows(), {})
    assert offset["largest_window_1000_error_percent"] >= offset["window_1000_error_percent"] > 50


def test_refusals() -> None:
    data = windows()
    with pytest.raises(BadInput, match="a fit of 3 prices wants 9 windows, not 5"):
        fit(data.take(np.arange(5)), NAMES)
    with pytest.raises(BadInput, match="the model prices toggle_sum, which the windows do not hold"):
        Model({"toggle_sum": 1.0}).energy_pj(data)
    with pytest.raises(BadInput, match="R2 wants windows of different energies, all are equal"):
        r2(np.ones(3), np.ones(3))
    with pytest.raises(BadInput, match=r"windows of 40 x 2 activities are wanted, not \(40, 3\)"):
        Windows(NAMES[:2], data.activity, data.energy_pj, data.groups, data.increments)
