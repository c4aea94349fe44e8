"""Profile ``ihp130``: buffers of IHP SG13G2 SRAM macros at 130 nm, 1.2 V, nothing scaled; logic fitted at gate level.

Run ``python -m synth.tech_ihp`` with $PDK_ROOT set to read the macros again into ``synth/tech/data/ihp130_sram.csv``.
The prices of logic are rows of ``ihp130_logic.csv``: format, key (a price's, or an event or rate that is free),
value, low, high (empty for a free one), component, level and source (the reason of a free one).
"""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from hw.errors import BadInput, write_atomic
from hw.params import PRESETS, TileParams
from synth.gate.macros import TABLE, Composition, Macro, compose, macro_table, memories, shared_sb
from synth.gate.pdk import find_macros
from synth.gate.sram import LOAD_PF, SLEW_NS, read_macros
from synth.tech_tables import Entry
from synth.tech_text import Format, Profile, document
from synth.technology import TECH_DIR

NAME, TITLE = "ihp130", "130 nm, IHP SG13G2: its SRAM macros, logic fitted to its gate level"
VOLTS = 1.2
CORNERS_V = (1.08, 1.32)
MACHINES = {"<32,16>": "paper32", "<16,10>": "paper16"}
LOGIC = TECH_DIR / "data" / "ihp130_logic.csv"
ADDRESS_TOGGLES = 2  # of a binary counter, per step
COOL = 0.49  # CACTI: leakage at 300 K over that at 350 K
PER_ACCESS = "this profile charges the buffer per access, not per cycle"
NOT_COVERED = (
    "wires between blocks beyond the wire-load rule",
    "decoder and multiplexer of banks that are stacks of macros",
    "data dependence of the SRAM macros: Liberty states one energy per access",
    "process and temperature corners",
)


def _supply(volts: float) -> float:
    return (volts / VOLTS) ** 2


def _used(found: Composition) -> str:
    m = found.memory
    return (
        f"{found.macro.file}, {found.across} x {found.stacked} for each of {m.banks} banks of "
        f"{m.rows} rows of {m.words} x {m.width} bits"
    )


def _access(found: Composition, way: str, cheaper: Composition, params: str) -> Entry:
    """One word's share of an access of a whole bank row; address and data pins besides."""
    macro, words, width = found.macro, found.memory.words, found.memory.width
    clock = {"read": found.read_pj, "write": found.write_pj}[way]
    least = {"read": cheaper.read_pj, "write": cheaper.write_pj}[way] / cheaper.memory.words
    address = found.across * ADDRESS_TOGGLES * macro.address_pj
    value, alone = (clock + address) / words, clock + address
    text = f"Liberty internal_power {clock:.4g} pJ, {_used(found)} ({params}); {ADDRESS_TOGGLES} address bits change"
    if way == "write":
        # Liberty's energy of one data pin is proportional to the macro's bits: that of the whole bus, as the value has
        # it; the high edge takes it as it is written.
        bit = macro.data_pj / macro.bits
        value += 0.5 * width * bit
        alone += 0.5 * width * macro.data_pj
        text += f", half of the data bits, {bit:.3g} pJ each"
        text += "; high: data pins as the file has them, each" + (", a word written alone" if words > 1 else "")
    else:
        alone = value
    low = min(least, value) * _supply(CORNERS_V[0])
    high = alone * _supply(CORNERS_V[1])
    if cheaper.memory != found.memory:
        text += f"; low: lanes share {cheaper.macro.name}, all read"
    text += f"; band: {CORNERS_V[0]:g} and {CORNERS_V[1]:g} V, by the square"
    return Entry(value, low, high, VOLTS, text, found.memory.name)


def memory_prices(params: TileParams, macros: dict[str, Macro]) -> Iterator[tuple[str, Entry]]:
    """Prices of the accesses and the leakage of SB, NBin and NBout of ``params``, composed of ``macros``."""
    sizes_kib = {"sb": params.sb_bytes / 1024, "nbin": params.nbin_bytes / 1024, "nbout": params.nbout_bytes / 1024}
    for name, memory in memories(params).items():
        found = compose(memory, macros)
        cheaper = compose(shared_sb(params), macros, "energy") if name == "sb" else found
        for way in ("read", "write"):
            yield f"{name}_{way}_pj_per_word", _access(found, way, cheaper, params.name)
        leak = found.leakage_nw * 1e-6 / sizes_kib[name]
        text = f"Liberty cell_leakage_power, {found.macros} x {found.macro.leakage_nw:.4g} nW at 25 C, {_used(found)}"
        text += f", for {sizes_kib[name]:g} KiB; high: 350 K, CACTI's ratio 1/{COOL}"
        yield f"{name}_leakage_mw_per_kib", Entry(leak, leak, leak / COOL, VOLTS, text, "leakage")


def logic_rows(path: Path) -> dict[str, Format]:
    """Prices and free entries of logic by format. Refuses a table that is not there or has other columns."""
    if not path.is_file():
        raise BadInput(
            f"profile {NAME} wants the prices of its logic in {path.name}: fit them to the gate level first "
            "(docs/energy.md)"
        )
    columns = ("format", "key", "value", "low", "high", "component", "level", "source")
    formats = {fmt: Format({}, {}) for fmt in MACHINES}
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        if tuple(reader.fieldnames or ()) != columns:
            raise BadInput(f"{path.name} wants the columns {', '.join(columns)}, it has {reader.fieldnames}")
        for number, item in enumerate(reader, 2):
            if item["format"] not in formats:
                raise BadInput(
                    f"{path.name} line {number} wants a format of {', '.join(formats)}, not {item['format']}"
                )
            to = formats[item["format"]]
            if not item["value"]:
                to.free[item["key"]] = (item["source"], item["level"])
                continue
            try:
                value, low, high = (float(item[name]) for name in ("value", "low", "high"))
            except ValueError:
                raise BadInput(f"{path.name} line {number} wants numbers in value, low and high") from None
            entry = Entry(value, low, high, VOLTS, item["source"], item["component"], item["level"])
            to.prices[item["key"]] = entry
    return formats


def profile_text(logic_table: Path | None = None) -> str:
    """The TOML text of the profile, of the formats whose logic was fitted, from the two tables; logic_table: None for
    the one that ships."""
    logic, macros = logic_rows(logic_table or LOGIC), macro_table()
    profile = Profile(NAME, NAME[:-3], TITLE, 130, VOLTS, ("table", "rtl_activity"), NOT_COVERED)
    formats = {}
    for fmt, machine in MACHINES.items():
        if not logic[fmt].prices:  # not fitted yet
            continue
        prices = {**dict(memory_prices(PRESETS[machine], macros)), **logic[fmt].prices}
        per_access = {f"{name}_pj_per_kib_cycle": (PER_ACCESS, "both") for name in ("sb", "nbin", "nbout")}
        formats[fmt] = Format(prices, {**per_access, **logic[fmt].free})
    return document(profile, formats)


def table_text(macros: Sequence[Macro]) -> str:
    """The table of macros as CSV; columns are the fields of Macro."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Macro))
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in astuple(m)] for m in macros)
    return text.getvalue()


def main() -> int:
    """Reads the macros of $PDK_ROOT into the table; 2 and one line where there are none."""
    try:
        write_atomic(TABLE, table_text(read_macros(find_macros())))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {TABLE.name}: access and setup at {SLEW_NS:g} ns slews and {1e3 * LOAD_PF:g} fF")
    return 0


if __name__ == "__main__":
    sys.exit(main())
