"""The table of profiles in docs/energy.md. Run ``python -m synth.tech_doc`` to rewrite it between its marks."""

from pathlib import Path

from hw.errors import write_atomic
from synth.marks import between
from synth.technology import Technology, load_technology, profiles

PAGE = Path(__file__).parent.parent / "docs" / "energy.md"
BEGIN, END = "<!-- profiles: begin -->\n", "<!-- profiles: end -->\n"
ROWS = {
    "SB read (pJ/word)": "sb_read",
    "SB write (pJ/word)": "sb_write",
    "NBin read (pJ/word)": "nbin_read",
    "SB per cycle (pJ/KiB)": "sb_pj_per_kib_cycle",
    "SB leakage (mW/KiB)": "sb_leakage_mw_per_kib",
    "multiply (pJ)": "multiply",
    "NFU per lane and cycle (pJ)": "nfu_pj_per_lane_cycle",
    "product toggle (pJ/bit)": "toggle_product",
    "control (pJ/cycle)": "control_pj_per_cycle",
    "clock (pJ/bit and cycle)": "clock_pj_per_bit_cycle",
}


def _cell(technology: Technology, fmt: str, key: str) -> str:
    level = "rtl_activity" if key.startswith("toggle_") else "table"
    if level not in technology.levels:
        return "-"
    price = technology.price(fmt, key, level)
    return "-" if price is None else f"{price.value:.3g} ({price.low:.3g}-{price.high:.3g})"


def tables() -> str:
    """Markdown: for each format one table of prices, value (low-high), then one of DRAM."""
    loaded = [load_technology(name) for name in profiles()]
    lines = []
    for fmt in loaded[0].formats:
        lines += [f"Format `{fmt}`:", "", "| price | " + " | ".join(item.name for item in loaded) + " |"]
        lines.append("|---" * (len(loaded) + 1) + "|")
        for title, key in ROWS.items():
            lines.append(f"| {title} | " + " | ".join(_cell(item, fmt, key) for item in loaded) + " |")
        lines.append("")
    lines += ["DRAM, the same in every profile:", "", "| price | value (low-high) | source |", "|---|---|---|"]
    dram = loaded[0].dram
    for name in type(dram).model_fields:
        price = getattr(dram, name)
        lines.append(f"| `{name}` | {price.value:.4g} ({price.low:.4g}-{price.high:.4g}) | {price.source} |")
    return "\n".join(lines) + "\n"


def page_with_tables(text: str) -> str:
    """``text`` with what stands between the marks replaced by the tables."""
    return between(text, BEGIN, END, tables())


if __name__ == "__main__":
    write_atomic(PAGE, page_with_tables(PAGE.read_text(encoding="utf-8")))
