"""docs/energy.md shows the prices of the files."""

from synth.tech_doc import BEGIN, END, PAGE, page_with_tables
from synth.technology import TECH_DIR, Dram, profiles


def test_the_page_holds_the_prices_of_the_files() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert page_with_tables(text) == text


def test_the_page_names_every_profile_and_dram_price() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in (*profiles(), *Dram.model_fields))
    assert len(list(TECH_DIR.glob("*.toml"))) == 9
