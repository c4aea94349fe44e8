"""Builds every file of ``synth/tech`` from the tables in ``synth/tech/data``. Run ``python -m synth.tech_build``.

Each value is a row of a table, or arithmetic on rows that its ``source`` spells out; nothing is typed in here but the
choice of rows. docs/energy.md explains the choices.
"""

from collections.abc import Iterator

from hw.errors import write_atomic
from hw.events import MONITORED
from synth import tech_ihp
from synth.tech_logic import logic
from synth.tech_tables import Entry, number, other, row
from synth.tech_text import Format, Profile, document
from synth.technology import EVENT_KEYS, TECH_DIR

FORMATS = {"<32,16>": 32, "<16,10>": 16}
KIB_SB, KIB_NB = 80.0, 5.0
LANES = 16
FLAVOURS = {"hp": "hp350", "lstp": "lstp350", "lop": "lop350"}
BUFFERS = ("sb", "nbin", "nbout")
PER_ACCESS = "this profile charges the buffer per access, not per cycle"
MONITORED_ELSEWHERE = (
    "nothing here is fitted to it: toggle_weight, toggle_product and control_pj_per_cycle hold its energy"
)
T16_POWER = "T16 Table 2 states power: this profile charges it per cycle, whatever the tile does"


def _cacti(node: int, flavour: str, words: str, ports: str, bits: int) -> dict[str, str]:
    """Row of sram.csv for buffer kind ``words`` ("Bin", "SB_64banks" ...)."""
    return row("sram", tech_nm=str(node), buffer=words, bits=str(bits), source_has=f"{FLAVOURS[flavour]} {ports}")


def cacti_memory(node: int, flavour: str, width: int) -> Iterator[tuple[str, Entry]]:
    """Buffers by CACTI, per word of an array's row: SB has rows of 16 words, NBin and NBout rows of a cell."""
    line = LANES * width
    volts = other(f"cacti_vdd_{node}_{flavour}")
    kept = width == 16 and flavour != "lop"
    main = _cacti(node, flavour, "Bin_5KiB_w16" if kept else "Bin", "1rw", line)
    fine = _cacti(node, flavour, "SB_64banks" if width == 32 else "SB_32banks", "1rw", 16 * line)
    fine_banks = 64 if width == 32 else 32
    fine_words = 128 // width
    shown = "hp" if flavour == "lop" else flavour  # the table has no two-port lop rows: hp's ratio stands in
    ported, single = (_cacti(node, shown, "Bin", ports, line) for ports in ("1r1w", "1rw"))
    ends = f"high: 16-word rows, {shown}, one read and one write port over one port"
    for way in ("read", "write"):
        value = number(main, f"{way}_pJ") / LANES
        cell = number(fine, f"{way}_pJ") / (16 * LANES)
        high = max(value, value * number(ported, f"{way}_pJ") / number(single, f"{way}_pJ"))
        text = (
            f"CACTI 7, {main['words']}x{line} array {number(main, f'{way}_pJ')} pJ per {LANES} words / {LANES} "
            f"(sram.csv, {main['source']}); low: SB in {fine_banks} banks of 80x128; {ends}"
        )
        yield f"sb_{way}_pj_per_word", Entry(value, min(cell, value), high, volts, text, "sb")
        text = (
            f"CACTI 7, 80x128 arrays, {fine_banks} of them {number(fine, f'{way}_pJ')} pJ, per {fine_words} words "
            f"(sram.csv, {fine['source']}); low: no figure for fewer rows; {ends}"
        )
        for buffer in ("nbin", "nbout"):
            yield f"{buffer}_{way}_pj_per_word", Entry(cell, cell, max(cell, high), volts, text, buffer)
    twice = number(ported, "leak_mW") / number(single, "leak_mW")
    for buffer in BUFFERS:
        item, bits = (main, line) if buffer == "sb" else (fine, 16 * line)
        kib = float(item["words"]) * bits / 8 / 1024
        leak = number(item, "leak_mW") / kib
        text = f"CACTI 7 at 350 K: {item['leak_mW']} mW for {kib:g} KiB (sram.csv, {item['source']}); high: two ports"
        text += "; low: 300 K, x0.49"
        yield f"{buffer}_leakage_mw_per_kib", Entry(leak, leak * 0.49, leak * twice, volts, text, "leakage")


def macro_memory(width: int) -> Iterator[tuple[str, Entry]]:
    """Real 130 nm macros scaled to 65 nm at 1.1 V: 64 bits wide, so a cell's words cost what a line's words do.
    Buffers deeper than 64 rows are banks of 64, one bank active."""
    line = LANES * width
    scaled = row("sram", buffer=f"Bin_{line // 64}x(64x64)macros", bits=str(line), nth=1)
    cool = row("sram", buffer=f"Bin_{line // 64}x(64x64)macros", bits=str(line), nth=0)
    small, deep = (row("sram", buffer=f"macro_{rows}x64") for rows in (64, 256))
    for way in ("read", "write"):
        value = number(scaled, f"{way}_pJ") / LANES
        ratio = number(deep, f"{way}_pJ") / number(small, f"{way}_pJ")
        text = (
            f"IHP SG13G2 64x64 macros, 130 nm 1.2 V to 65 nm 1.1 V by Stillmaker x0.325: {number(scaled, f'{way}_pJ')} "
            f"pJ per row of {LANES} words / {LANES} (sram.csv); low: 1.0 V, x0.257; high: 256x64 macros, x{ratio:.3f}"
        )
        low = number(cool, f"{way}_pJ") / LANES
        for buffer in BUFFERS:
            yield f"{buffer}_{way}_pj_per_word", Entry(value, low, value * ratio, 1.1, text, buffer)
    lop, lstp = (_cacti(65, flavour, "Bin", "1rw", line) for flavour in ("lop", "lstp"))
    mixed = row("sram", tech_nm="65", buffer="Bin", bits=str(line), source_has="lstpcell_hpperi 1rw")
    kib = 80 * line / 8 / 1024
    text = (
        f"no 65 nm figure for these macros: CACTI 7 lop at 350 K, {lop['leak_mW']} mW for {kib:g} KiB; "
        "low: lstp; high: lstp cells with hp periphery (sram.csv)"
    )
    leaks = [number(item, "leak_mW") / kib for item in (lop, lstp, mixed)]
    for buffer in BUFFERS:
        yield f"{buffer}_leakage_mw_per_kib", Entry(leaks[0], leaks[1], leaks[2], 1.1, text, "leakage")


def tann_prices(width: int) -> Iterator[tuple[str, Entry]]:
    """T16 Table 2 as it stands: power per block, so a cost per cycle. Blocks scaled so that they add to the total."""
    mhz = other("t16_clock")
    raw = {name: other(f"t16_{name}_power") for name in BUFFERS}
    closing = other("t16_memory_power") / sum(raw.values())
    for name in BUFFERS:
        size = KIB_SB if name == "sb" else KIB_NB
        per_kib = raw[name] * 1e3 / mhz / size
        text = (
            f"T16 Table 2: {raw[name]} mW / {mhz:g} MHz / {size:g} KiB, x{closing:.4f} because the three buffers "
            f"add to {sum(raw.values()):.2f} mW and its memory row says 1044.9; low: -5 %; high: as printed"
        )
        value = per_kib * closing
        yield f"{name}_pj_per_kib_cycle", Entry(value, value * 0.95, per_kib, 1.1, text, name)
    mac = row("ops", tech_nm="65", op="mac", bits=str(width))
    nfu = number(mac, "pJ")
    text = f"{mac['source']}, per lane and cycle (ops.csv); band: 5 %, by which the blocks of its table disagree"
    yield "nfu_pj_per_lane_cycle", Entry(nfu, nfu * 0.95, nfu * 1.05, 1.1, text, "nfu")
    control = other("t16_control_power") * 1e3 / mhz
    text = f"T16 Table 2: {other('t16_control_power')} mW / {mhz:g} MHz; band: 5 %, by which its blocks disagree"
    yield "control_pj_per_cycle", Entry(control, control * 0.95, control * 1.05, 1.1, text, "control")


def _prices(profile: str, width: int) -> dict[str, Entry]:
    if profile == "tann65":
        return dict(tann_prices(width))
    node = int(profile[-2:])
    memory = macro_memory(width) if profile == "macro65" else cacti_memory(node, profile[len("cacti-") : -2], width)
    return {**dict(memory), **dict(logic(node, width))}


def _free(profile: str) -> dict[str, tuple[str, str]]:
    """Event or rate -> (reason, level) of everything that costs nothing in ``profile``."""
    twice = "the same cycles as multiply and lane_gated, counted another way"
    if profile == "tann65":
        names = [name for name in EVENT_KEYS if not name.startswith("toggle_")]
        names += ["clock_pj_per_bit_cycle", *(f"{name}_leakage_mw_per_kib" for name in BUFFERS)]
        return dict.fromkeys(names, (T16_POWER, "both"))
    toggled = "measured toggles price it: see toggle_weight, toggle_product, toggle_accumulator, toggle_output"
    return {
        "instructions": ("decode lies in control_pj_per_cycle, the fetch in dram_read", "both"),
        "compute_cycles": (twice, "both"),
        "lane_gated": ("a gated lane holds its registers: only clock and leakage remain, terms of their own", "both"),
        "multiply": (toggled, "rtl_activity"),
        "accumulate": (toggled, "rtl_activity"),
        "output": (toggled, "rtl_activity"),
        **dict.fromkeys(MONITORED, (MONITORED_ELSEWHERE, "rtl_activity")),
        "nfu_pj_per_lane_cycle": ("the NFU is charged per event or toggle, not per cycle", "both"),
        **{f"{name}_pj_per_kib_cycle": (PER_ACCESS, "both") for name in BUFFERS},
    }


def _volts(profile: str) -> float:
    return other(f"cacti_vdd_{profile[-2:]}_{profile[len('cacti-') : -2]}") if profile.startswith("cacti") else 1.1


TITLES = {
    "macro65": "65 nm, SRAM from real 130 nm macros scaled",
    "tann65": "65 nm, power of Tann et al. 2016 Table 2, per cycle",
    **{
        f"cacti-{flavour}{node}": f"{node} nm, SRAM by CACTI 7, {flavour} transistors"
        for node in (65, 45)
        for flavour in FLAVOURS
    },
    tech_ihp.NAME: tech_ihp.TITLE,
}
NOT_COVERED = (
    "wires between blocks and the clock tree beyond the band of the clock price",
    "leakage of logic",
    "the selection network between NBin, NBout and the operand registers",
    "the clock of accumulators, pooling windows and queues, small memories in the Verilog",
    "the switching of an idle buffer's address and data wires",
    "process, temperature and supply corners",
    "calibration against a gate-level netlist of this tile",
)


def profile_text(name: str) -> str:
    """The TOML text of one profile."""
    if name == tech_ihp.NAME:
        return tech_ihp.profile_text()
    node = int(name[-2:])
    levels = ("table",) if name == "tann65" else ("table", "rtl_activity")
    profile = Profile(name, name[:-2], TITLES[name], node, _volts(name), levels, NOT_COVERED)
    return document(
        profile,
        {fmt: Format(_prices(name, width), _free(name)) for fmt, width in FORMATS.items()},
    )


if __name__ == "__main__":
    for title in TITLES:
        write_atomic(TECH_DIR / f"{title}.toml", profile_text(title))
