"""Technology files: schema refusals, coverage of every event, agreement with the tables they are built from."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from hw.errors import BadInput
from hw.params import PRESETS
from synth.tech_build import TITLES, profile_text
from synth.technology import BAND_PROFILES, DEFAULT_PROFILE, EVENT_KEYS, RATES, TECH_DIR, load_technology, profiles

UNIT = Path(__file__).parent / "unit.toml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """A copy of the unit technology with one piece of text replaced everywhere."""
    text = UNIT.read_text()
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new))
    return path


def test_every_profile_is_rebuilt_from_the_tables() -> None:
    assert set(profiles()) == set(TITLES)
    for name in profiles():
        assert (TECH_DIR / f"{name}.toml").read_text(encoding="utf-8") == profile_text(name)


@pytest.mark.parametrize("name", sorted(TITLES))
def test_every_profile_prices_every_event_of_every_preset(name: str) -> None:
    technology = load_technology(name)
    assert technology.name == name
    for params in PRESETS.values():
        for level in technology.levels:
            keys = [key for key in (*EVENT_KEYS, *RATES) if level == "rtl_activity" or not key.startswith("toggle_")]
            prices = [technology.price(str(params.fmt), key, level) for key in keys]
            assert any(price is not None and price.value > 0 for price in prices)


def test_the_band_orders_the_profiles_by_the_price_of_a_weight() -> None:
    assert BAND_PROFILES == ("cacti-lop65", DEFAULT_PROFILE, "tann65")
    for fmt in ("<32,16>", "<16,10>"):
        weight = {}
        for name in ("cacti-lop65", "cacti-hp65", "cacti-lstp65", "macro65"):
            price = load_technology(name).price(fmt, "sb_read", "table")
            assert price is not None
            weight[name] = price.value * 256
        rate = load_technology("tann65").price(fmt, "sb_pj_per_kib_cycle", "table")
        assert rate is not None
        ordered = [weight[name] for name in ("cacti-lop65", "cacti-hp65", "cacti-lstp65", "macro65")]
        assert ordered == sorted(ordered)
        assert weight["macro65"] < rate.value * 80


def test_the_default_row_of_weights_is_the_table_s() -> None:
    # sram.csv: 128 macros of 64x64 at 65 nm 1.1 V, 1622.0 pJ read and 2097.5 pJ write per 256 words
    technology = load_technology(DEFAULT_PROFILE)
    read, write = (technology.price("<32,16>", name, "table") for name in ("sb_read", "sb_write"))
    assert read is not None
    assert write is not None
    assert read.value * 256 == pytest.approx(1622.0, rel=1e-3)
    assert write.value * 256 == pytest.approx(2097.5, rel=1e-3)


def test_t16_s_machine_at_full_rate_costs_its_printed_power() -> None:
    # memory 1044.9 + NFU 163.85 + control 4.06 mW = 1212.81 mW, of 1213.4 printed
    prices = load_technology("tann65").formats["<32,16>"].prices
    per_cycle = sum(
        prices[f"{name}_pj_per_kib_cycle"].value * size for name, size in (("sb", 80), ("nbin", 5), ("nbout", 5))
    )
    per_cycle += 256 * prices["nfu_pj_per_lane_cycle"].value + prices["control_pj_per_cycle"].value
    assert per_cycle * 0.25 == pytest.approx(1212.81, rel=1e-3)


def test_unknown_profile_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        BadInput, match=r"technology profile wants one of cacti-hp45, .*tann65, or a .toml file, not 'x'"
    ):
        load_technology("x")


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("schema = ")
    with pytest.raises(BadInput, match=r"technology file bad.toml wants TOML: Invalid value"):
        load_technology(path)


REFUSALS = {
    "extra key": ('name = "unit"', 'name = "unit"\nmass_kg = 3', r"mass_kg: Extra inputs are not permitted"),
    "other schema": ("schema = 1", "schema = 2", r"schema: Input should be 1"),
    "wrong unit": (
        "sb_read_pj_per_word",
        "sb_read_pj_per_row",
        r"'sb_read_pj_per_row' is unknown, wanted sb_read_pj_per_w",
    ),
    "no event": ("sb_read_pj_per_word", "sbx_pj", r"'sbx_pj' is unknown, wanted an event of hw/events.py or a rate"),
    "wrong component": (
        'component = "leakage"',
        'component = "sb"',
        r"sb_leakage_mw_per_kib wants component leakage, not sb",
    ),
    "band not ordered": ("high = 1.0", "high = 0.5", r"wants 0 <= low <= value <= high, not 1.0, 1.0, 0.5"),
    "no source": ('source = "one, for tests"', 'source = ""', r"source: String should have at least 8 characters"),
    "no voltage": ("voltage_v = 1.0, ", "", r"voltage_v: Field required"),
    "not finite": ("high = 1.0", "high = inf", r"high: Input should be a finite number"),
    "free without name": (
        '[formats."<16,10>".free]',
        '[formats."<16,10>".free]\nnothing = { reason = "because it is" }',
        r"free entry 'nothing' is neither an event of hw/events.py nor a rate",
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_schema_refuses(name: str, tmp_path: Path) -> None:
    old, new, message = REFUSALS[name]
    with pytest.raises(BadInput, match=message) as caught:
        load_technology(changed(tmp_path, old, new))
    assert "\n" not in str(caught.value)


def without(tmp_path: Path, key: str) -> Path:
    """A copy of the unit technology without the lines of one key."""
    path = tmp_path / "without.toml"
    kept = [line for line in UNIT.read_text().splitlines() if not line.startswith(f"{key} ")]
    assert len(kept) < len(UNIT.read_text().splitlines())
    path.write_text("\n".join(kept))
    return path


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nbin_read_pj_per_word", r"event nbin_read has no table price; add nbin_read_pj_per_word or declare it free"),
        ("multiply", r"event multiply has no rtl_activity price; add multiply_pj_per_product or declare it free"),
        ("toggle_sum_pj_per_bit", r"event toggle_sum has no rtl_activity price; add toggle_sum_pj_per_bit"),
        ("clock_pj_per_bit_cycle", r"rate clock_pj_per_bit_cycle has no table price; add clock_pj_per_bit_cycle"),
    ],
)
def test_a_missing_price_is_refused(key: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        load_technology(without(tmp_path, key))


def test_a_format_without_prices_is_refused() -> None:
    with pytest.raises(BadInput, match=r"technology macro65 has prices for formats <32,16>, <16,10>, not <24,12>"):
        load_technology("macro65").format_prices("<24,12>")


def test_every_value_names_its_source_unit_and_node() -> None:
    def values(tree: dict[str, Any]) -> list[dict[str, Any]]:
        if "value" in tree:
            return [tree]
        return [found for item in tree.values() if isinstance(item, dict) for found in values(item)]

    for name in profiles():
        found = values(tomllib.loads((TECH_DIR / f"{name}.toml").read_text(encoding="utf-8")))
        assert len(found) > 15
        for item in found:
            assert item["source"]
            assert item["voltage_v"] > 0
            assert ("node_nm" in item) != ("device" in item)
