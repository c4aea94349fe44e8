"""Energy against hand formulas: first with every price one, then one known event at a time."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hw.errors import BadInput
from hw.events import TOGGLES, WORK, event_names
from hw.params import TileParams, preset
from synth.energy import DRAM_PARTS, EnergyModel, Work, event_prices, interval, totals
from synth.technology import COMPONENTS, ONCHIP, load_technology
from tests.synth import synthetic

UNIT = Path(__file__).parent / "unit.toml"
REGISTERS = 700


def work(activity: bool, images: int = 3) -> Work:
    events = synthetic.counts(np.random.default_rng(1), images, 40_000, activity, 400)
    return Work(event_names(activity), events, np.arange(5, 5 + images, dtype=np.int64))


def model(name: str | Path, activity: bool, params: TileParams | None = None) -> EnergyModel:
    return EnergyModel(load_technology(name), params or preset("small"), REGISTERS, activity)


@pytest.mark.parametrize("activity", [False, True])
def test_a_technology_of_ones_gives_sums_of_counts(activity: bool) -> None:
    done, p = work(activity), preset("small")
    energy = model(UNIT, activity).components_pj(done)
    count = {name: done.count(name) for name in done.names}
    cycles, kib = count["cycles"], {"sb": p.sb_bytes, "nbin": p.nbin_bytes, "nbout": p.nbout_bytes}
    for name, size in kib.items():
        expected = count[f"{name}_read"] + count[f"{name}_write"] + cycles * size / 1024
        np.testing.assert_allclose(energy[name], expected, rtol=1e-12)
    nfu = sum(count[name] for name in ("lane_gated", "accumulate", "activation", "pool_update", "output"))
    nfu = nfu + cycles * p.neurons * p.synapses
    nfu = nfu + (sum(count[event.name] for event in TOGGLES) if activity else count["multiply"])
    np.testing.assert_allclose(energy["nfu"], nfu, rtol=1e-12)
    control = sum(count[name] for name in ("instructions", "compute_cycles", "score_vector", "decision"))
    np.testing.assert_allclose(energy["control"], control + cycles, rtol=1e-12)
    np.testing.assert_allclose(energy["clock"], cycles * REGISTERS, rtol=1e-12)
    np.testing.assert_allclose(energy["leakage"], cycles * p.clock_ns * sum(kib.values()) / 1024, rtol=1e-12)
    bits = (count["dram_read"] + count["dram_write"]) * p.dram_beat_bytes * 8
    np.testing.assert_allclose(energy["dram"], 3 * bits + done.dram_activates + 3 * cycles * p.clock_ns, rtol=1e-12)


def test_totals_add_the_components_once() -> None:
    energy = model("macro65", True).components_pj(work(True))
    onchip, total = totals(energy)
    np.testing.assert_allclose(onchip, sum(energy[name] for name in ONCHIP), rtol=1e-12)
    np.testing.assert_allclose(total - onchip, energy["dram"], rtol=1e-9)
    assert (np.array([energy[name] for name in COMPONENTS]) > 0).all()


def test_the_level_follows_the_measurement_and_the_profile() -> None:
    assert model("macro65", True).level == "rtl_activity"
    assert model("macro65", False).level == "table"
    assert model("tann65", True).level == "table"
    assert model("macro65", True).source_levels == {
        name: "rtl_activity" if name == "nfu" else "table" for name in COMPONENTS
    }


def test_the_dram_s_energy_by_command() -> None:
    """With every price one: rows, bits read and written, both of them twice, time three times."""
    done, p = work(False), preset("small")
    parts = model(UNIT, False).dram_pj(done)
    assert tuple(parts) == DRAM_PARTS
    read, written = (done.count(f"dram_{way}") * p.beat_bits for way in ("read", "write"))
    time_ns = done.count("cycles") * p.clock_ns
    wanted = [done.dram_activates, read, written, read + written, read + written + time_ns, time_ns, time_ns]
    for name, pj in zip(DRAM_PARTS, wanted, strict=True):
        np.testing.assert_allclose(parts[name], pj, rtol=1e-12, err_msg=name)


def test_counts_are_what_the_prices_want() -> None:
    tabled, toggled = (model("macro65", activity).counts() for activity in (False, True))
    assert tabled["sb"] == {"sb_read", "sb_write"}
    assert tabled["leakage"] == tabled["clock"] == {"cycles"}
    assert tabled["dram"] == {"dram_read", "dram_write", "dram_activates", "cycles"}
    assert {"multiply", "accumulate"} <= tabled["nfu"]
    assert {"toggle_product", "toggle_weight", "activation"} <= toggled["nfu"]
    assert "multiply" not in toggled["nfu"]


def test_every_component_lies_in_its_band() -> None:
    for name in ("macro65", "cacti-lop65", "tann65"):
        for activity in (False, True):
            low, value, high = (
                model(name, activity).components_pj(work(activity), edge) for edge in ("low", "value", "high")
            )
            for component in COMPONENTS:
                assert (low[component] <= value[component]).all()
                assert (value[component] <= high[component]).all()


def test_t16_s_energy_is_its_power_times_time() -> None:
    # 283.04 us at 1212.81 mW, the sum of the rows that T16's Table 2 closes on: T16 prints 343.39 uJ
    names = event_names()
    events = np.zeros((1, len(names)), dtype=np.int64)
    events[0, names.index("cycles")] = 70_760
    onchip, _ = totals(
        model("tann65", False, preset("paper32")).components_pj(Work(names, events, np.zeros(1, dtype=np.int64)))
    )
    assert onchip[0] / 1e6 == pytest.approx(343.39, rel=2e-3)


def test_one_weight_read_costs_one_word() -> None:
    names = event_names()
    events = np.zeros((2, len(names)), dtype=np.int64)
    events[1, names.index("sb_read")] = 256
    energy = model("macro65", False, preset("paper32")).components_pj(Work(names, events, np.zeros(2, dtype=np.int64)))
    assert energy["sb"][0] == 0
    assert energy["sb"][1] == pytest.approx(1622.0, rel=1e-3)
    assert sum(energy[name].sum() for name in COMPONENTS if name != "sb") == 0


def test_toggles_of_the_reference_stimulus_give_back_its_energy() -> None:
    # the 32-bit reference on CNN-like data: 5.343 pJ per cycle at 45 nm, x1/0.7218 to 65 nm, x sqrt(1.38*1.85) glitches
    names = event_names(True)
    events = np.zeros((1, len(names)), dtype=np.int64)
    for signal, count in (("weight", 24_177), ("product", 34_675)):
        events[0, names.index(f"toggle_{signal}")] = count
    energy = model("macro65", True, preset("paper32")).components_pj(Work(names, events, np.zeros(1, dtype=np.int64)))
    assert energy["nfu"][0] / 1500 == pytest.approx(5.343 / 0.7218 * (1.38 * 1.85) ** 0.5, rel=1e-5)


def test_an_unknown_event_is_refused() -> None:
    done = work(False)
    strange = Work(("warp", *done.names[1:]), done.events, done.dram_activates)
    with pytest.raises(BadInput, match=r"event warp is unknown to hw/events.py: it has no energy"):
        model(UNIT, False).components_pj(strange)


def test_a_measurement_without_cycles_is_refused() -> None:
    done = work(False)
    names = tuple(name for name in done.names if name != "cycles")
    short = Work(names, np.delete(done.events, done.names.index("cycles"), axis=1), done.dram_activates)
    with pytest.raises(BadInput, match=r"wants a count of event cycles; the measurement has none"):
        model(UNIT, False).components_pj(short)


def test_interval_is_student_s() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    expected = stats.t.interval(0.99, 3, loc=values.mean(), scale=stats.sem(values))
    assert interval(values) == pytest.approx(expected, rel=1e-12)
    assert interval(values[:1]) is None
    assert interval(np.full(5, 7.0)) == (7.0, 7.0)


def test_prices_of_events_sum_up_to_the_models_total() -> None:
    """Without opened rows and stalls, which no program decides, counts times prices are the model's energy."""
    technology, p = load_technology("macro65"), preset("small")
    prices = event_prices(technology, p, REGISTERS)
    assert set(prices) == {*(event.name for event in WORK), "cycles"}
    done = work(False)
    closed = Work(done.names, done.events, np.zeros(len(done.events)))
    _, wanted = totals(model("macro65", False).components_pj(closed))
    got = sum(price * done.count(name) for name, price in prices.items())
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
