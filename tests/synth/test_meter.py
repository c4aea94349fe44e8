"""Weights of the meter: exact where a profile prices events, a mean where it prices bit changes, with its error."""

from pathlib import Path

import numpy as np
import pytest

from hw.errors import BadInput
from hw.events import METERED, TOGGLES, WEIGHT_BITS
from synth.energy import EnergyModel, Work, totals
from synth.measurement import Measurement, read_measurement
from synth.meter import CARRIED, CARRIER, Weights, increments_of, meter_errors, meter_prices, meter_weights
from synth.technology import load_technology
from tests.synth.synthetic import LEVELS, write


def read(folder: Path, profile: str, activity: bool) -> tuple[Measurement, EnergyModel]:
    measured = read_measurement(write(folder, activity=activity))
    model = EnergyModel(load_technology(profile), measured.params, measured.header.register_bits, activity)
    return measured, model


def test_every_bit_change_goes_along_with_one_metered_event() -> None:
    assert set(CARRIER) == {event.name for event in TOGGLES}
    assert sum(len(names) for names in CARRIED.values()) == len(TOGGLES)
    assert set(CARRIED) <= set(METERED)


@pytest.mark.parametrize("profile", ["tann65", "macro65", "cacti-lop65"])
def test_events_with_prices_are_metered_exactly(profile: str, tmp_path: Path) -> None:
    """Without bit changes and opened rows only the rounding of the weights is left."""
    measured, model = read(tmp_path, profile, activity=False)
    weights = meter_weights(meter_prices(increments_of(measured), model, dram=False))
    assert 1 << (WEIGHT_BITS - 1) <= max(weights.values) < 1 << WEIGHT_BITS
    errors = meter_errors(increments_of(measured), model, weights, dram=False)
    assert len(errors) == len(LEVELS)  # the opportunistic run is no increment
    for error in errors:
        assert abs(error["error"]) < 1e-5
        assert abs(error["worst_image"]) < 1e-5
        assert error["energy_uj"] > 0


@pytest.mark.parametrize("dram", [False, True])
def test_bit_changes_and_rows_are_carried_by_their_mean(dram: bool, tmp_path: Path) -> None:
    """With one increment alone its mean is exact; with several the error is the spread of what their events carry."""
    measured, model = read(tmp_path, "macro65", activity=True)
    assert model.level == "rtl_activity"
    alone = Measurement(
        measured.header.model_copy(update={"runs": measured.header.runs[:1]}), measured.params, measured.counts[:1]
    )
    weights = meter_weights(meter_prices(increments_of(alone), model, dram=dram))
    (error,) = meter_errors(increments_of(alone), model, weights, dram=dram)
    assert abs(error["error"]) < 1e-5
    assert 1e-4 < abs(error["worst_image"]) < 0.3  # images differ in their bit changes, the meter does not see it
    work = Work(tuple(alone.header.events), alone.counts[0].events, alone.counts[0].dram_activates)
    onchip, total = totals(model.components_pj(work))
    assert error["energy_uj"] == pytest.approx((total if dram else onchip).mean() / 1e6)
    weights = meter_weights(meter_prices(increments_of(measured), model, dram=dram))
    errors = meter_errors(increments_of(measured), model, weights, dram=dram)
    assert 1e-5 < max(abs(row["error"]) for row in errors) < 0.2
    for row in errors:
        assert row["metered_uj"] == pytest.approx(row["energy_uj"] * (1 + row["error"]))


def test_what_has_no_carrier_is_carried_by_cycles(tmp_path: Path) -> None:
    measured, model = read(tmp_path, "macro65", activity=True)
    names = measured.header.events
    counts = measured.counts[0]
    events = counts.events.copy()
    before = meter_prices(increments_of(measured), model, dram=False)
    events[:, names.index("sb_read")] = 0
    changed = type(counts)(events, counts.dram_activates, None)
    alone = Measurement(
        measured.header.model_copy(update={"runs": measured.header.runs[:1]}), measured.params, (changed,)
    )
    prices = meter_prices(increments_of(alone), model, dram=False)
    assert prices["cycles"] > before["cycles"]
    (error,) = meter_errors(increments_of(alone), model, meter_weights(prices), dram=False)
    assert abs(error["error"]) < 1e-5


def test_weights_and_budgets_by_hand() -> None:
    prices = dict.fromkeys(METERED, 0.0) | {"multiply": 3.0, "cycles": 0.75}
    weights = meter_weights(prices)
    assert weights.unit_pj == 4 / 2**WEIGHT_BITS
    assert dict(zip(METERED, weights.values, strict=True))["multiply"] == 3 * 2**22
    assert dict(zip(METERED, weights.values, strict=True))["cycles"] == 3 * 2**20
    work = Work(METERED, np.array([[2 if name == "multiply" else 1 for name in METERED]]), np.zeros(1))
    assert weights.energy_pj(work).tolist() == [6.75]
    assert weights.units(6.75) == 6.75 * 2**22
    assert Weights((1,) * len(METERED), 0.5).units(1.7) == 3
    near = meter_weights(dict.fromkeys(METERED, 0.0) | {"multiply": 4 - 1e-9})  # rounds up to one that does not fit
    assert max(near.values) == 1 << (WEIGHT_BITS - 1)
    assert near.unit_pj == 8 / 2**WEIGHT_BITS


@pytest.mark.parametrize("price", [0.0, -1.0, float("inf"), float("nan")])
def test_prices_without_a_unit_are_refused(price: float) -> None:
    with pytest.raises(BadInput, match="the meter wants prices of 0 pJ or more, one of them above, not"):
        meter_weights(dict.fromkeys(METERED, price))
