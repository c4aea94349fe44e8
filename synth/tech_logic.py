"""Logic prices of the memory profiles: multiply-accumulate, toggles, small operators, control and clock.

Everything is Nangate45 or the Aladdin 40 nm table at 45 nm, and scaled to 65 nm at 1.1 V by Stillmaker's ratio there.
"""

import math
from collections.abc import Iterator

from synth.tech_tables import Entry, number, other, row

VOLTS = 1.1
LANES = 16


def _factor(node: int) -> tuple[float, str]:
    """Energy of ``node`` over 45 nm at 1.1 V, and the words for it."""
    if node == 45:
        return 1.0, ""
    ratio = 1.0 / number(row("scaling", node="LP45"), "E_rel_65nm_1.1V")
    return ratio, f" x{ratio:.4f} (Stillmaker LP45 1.1 V to 65 nm 1.1 V, scaling.csv)"


def mac_pj(stimulus: str, width: int) -> float:
    """Zero-delay gate-level energy of the reference unit per cycle, 45 nm."""
    return number(row("ops", tech_nm="45", op=f"mac_{stimulus}_zero-delay", bits=str(width)), "pJ")


def fit_pj_per_toggle(stimulus: str, width: int) -> float:
    """Energy of the reference unit per toggle of weight and product, 45 nm, no glitches.

    Those two are per lane in the tile as well. The unit's one adder per multiply is the tile's adder tree and
    accumulator adder (16 adders for 16 lanes), so its energy stays in the figure.
    """
    counts = row("mac_toggles", stimulus=stimulus, bits=str(width))
    per_cycle = (number(counts, "weight") + number(counts, "product")) / number(counts, "cycles")
    return mac_pj(stimulus, width) / per_cycle


def _operators(node: int, width: int, names: dict[str, int], extra: str, component: str, level: str = "both") -> Entry:
    """A sum of Aladdin operators, linear in the word width; half to twice as the band."""
    factor, words = _factor(node)
    energy = 0.0
    parts = []
    for name, count in names.items():
        item = row("ops", op=name, tech_nm="40", bits="1" if name == "register_per_bit" else "32", source_has="5ns")
        share = number(item, "pJ") * count * (width if name == "register_per_bit" else width / 32)
        energy += share * factor
        parts.append(f"{count} x {name} {item['pJ']}")
    text = (
        f"Aladdin 40 nm table, {' + '.join(parts)} pJ at 32 bits or per bit, {width} bits{words}; {extra}; band x0.5-2"
    )
    return Entry(energy, energy / 2, energy * 2, VOLTS, text, component, level)


def _toggle_prices(node: int, width: int) -> Iterator[tuple[str, Entry]]:
    factor, words = _factor(node)
    cnn, uniform = (fit_pj_per_toggle(stimulus, width) for stimulus in ("cnn", "uniform"))
    least, most = other("glitch_factor_low"), other("glitch_factor_high")
    glitch = math.sqrt(least * most)
    flop = number(row("ops", op="dff_clk_per_cycle", tech_nm="45"), "pJ")
    unclocked = 1.0 - 2 * width * flop / mac_pj("cnn", width)
    lane = Entry(
        cnn * glitch * factor,
        cnn * unclocked * least * factor,
        uniform * most * factor,
        VOLTS,
        f"own Nangate45 MAC {mac_pj('cnn', width)} pJ per cycle on CNN-like data over its weight and product toggles "
        f"(ops.csv, mac_toggles.csv) x{glitch:.2f} glitches{words}; low: glitches x{least}, accumulator's clock taken "
        f"out; high: fit on uniform data, glitches x{most}",
        "nfu",
        "rtl_activity",
    )
    yield "toggle_weight_pj_per_bit", lane
    yield "toggle_product_pj_per_bit", lane
    bit = number(row("ops", op="register_per_bit", tech_nm="40", bits="1"), "pJ") * factor
    low = number(row("ops", op="dff_clk_per_cycle", tech_nm="45"), "pJ") * 0.5 * factor
    for name in ("operand", "sum", "accumulator", "output"):
        text = (
            f"register bit, Aladdin 40 nm table 0.009 pJ{words}; the logic behind it is in the product and weight "
            "toggles; low: half of a flip-flop's clock energy; high: as a product bit"
        )
        yield f"toggle_{name}_pj_per_bit", Entry(bit, low, max(bit, lane.value), VOLTS, text, "nfu", "rtl_activity")


def logic(node: int, width: int) -> Iterator[tuple[str, Entry]]:
    """Every logic price at ``node`` nm for ``width``-bit words."""
    factor, words = _factor(node)
    least, most = other("glitch_factor_low"), other("glitch_factor_high")
    glitch = math.sqrt(least * most)
    cnn, uniform = mac_pj("cnn", width) * factor, mac_pj("uniform", width) * factor
    published = number(row("ops", op="mac", tech_nm="65", bits=str(width)), "pJ") * factor / _factor(65)[0]
    yield (
        "multiply_pj_per_product",
        Entry(
            cnn * glitch,
            published,
            uniform * most,
            VOLTS,
            f"own Nangate45 MAC on CNN-like data {mac_pj('cnn', width)} pJ (ops.csv) x{glitch:.2f} glitches{words}; "
            f"low: T16's NFU per MAC; high: uniform data {mac_pj('uniform', width)} pJ, glitches x{most}",
            "nfu",
            "table",
        ),
    )
    yield (
        "accumulate_pj_per_sum",
        _operators(node, 2 * width, {"register_per_bit": 1}, "the adder is in multiply", "nfu", "table"),
    )
    yield "output_pj_per_word", _operators(node, width, {"register_per_bit": 1}, "result register", "nfu", "table")
    yield (
        "activation_pj_per_word",
        _operators(node, width, {"int_add": 1, "comparator": 2}, "round, saturate low and high", "nfu"),
    )
    yield (
        "pool_update_pj_per_word",
        _operators(node, width, {"int_add": 1, "register_per_bit": 1}, "compare or add, open window's register", "nfu"),
    )
    yield from _toggle_prices(node, width)
    yield (
        "score_vector_pj_per_vector",
        _operators(node, width, {"comparator": 2 * LANES}, "top two of 16 scores", "control"),
    )
    yield (
        "decision_pj_per_decision",
        _operators(node, width, {"int_add": 1, "comparator": 1}, "margin and threshold", "control"),
    )
    control = other("t16_control_power") * 1e3 / other("t16_clock") * factor / _factor(65)[0]
    text = f"T16 Table 2, control {other('t16_control_power')} mW / {other('t16_clock'):g} MHz"
    text += ", scaled to 45 nm" if node == 45 else ""
    yield (
        "control_pj_per_cycle",
        Entry(control, control / 2, control * 2, VOLTS, text + "; no second source: band x0.5-2", "control"),
    )
    flop = number(row("ops", op="dff_clk_per_cycle", tech_nm="45"), "pJ")
    relative = number(row("scaling", node="180"), "E_rel_65nm_1.1V")
    old = number(row("ops", op="dff_clk_per_cycle", tech_nm="180"), "pJ") / relative * factor / _factor(65)[0]
    twice = 2 * flop * factor
    text = (
        f"Nangate45 DFF_X1 clock energy {flop * 1e3:.2f} fJ per cycle{words}; every register is clocked every cycle; "
        f"low: osu018 DFFPOSX1 212 fJ / {relative}; high: twice, for a clock tree that is not modelled"
    )
    yield "clock_pj_per_bit_cycle", Entry(flop * factor, min(old, flop * factor), twice, VOLTS, text, "clock")
