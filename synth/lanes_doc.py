"""The tables in docs/lanes.md, from the measured JSON; ``python -m synth.lanes_doc`` rewrites them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hw.errors import BadInput, write_atomic

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "lanes.md"
RESULT = ROOT / "docs" / "results" / "lanes-ihp130.json"
MARKS = ("built", "energy", "ideal", "clock", "weights")

Row = dict[str, Any]


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)) + "\n"


def name(row: Row) -> str:
    """A variant as the tables call it."""
    told = [row["kind"]]
    if not row["booth"]:
        told.append("no Booth")
    if not row["clock_gates"]:
        told.append("no clock gates")
    if row["aligned"]:
        told.append("operands with SB's words")
    return ", ".join(told)


def per_multiply(result: Row, row: Row, layer: str, what: str = "energy_pj") -> float:
    """pJ a product."""
    return float(row["layers"][layer][what]) / int(result["work"][layer]["multiplies"])


def built(result: Row) -> str:
    """Area and periods of each variant; the shares are of the first one's."""
    first = result["variants"][0]
    rows = []
    for row in result["variants"]:
        cells = [name(row), f"{row['cells']:,}", f"{row['area_um2']:,.0f}"]
        cells.append(f"{100 * (row['area_um2'] / first['area_um2'] - 1):+.1f} %")
        rows.append([*cells, f"{row['least_period_ns']:.2f}", f"{row['behind_sram_ns']:.2f}"])
    head = ["variant", "cells", "area, um2", "against the first", "least period, ns", "behind SB's access, ns"]
    return _lines(head, rows)


def _by_layer(result: Row, value: Callable[[Row, str], str]) -> str:
    layers = list(result["work"])
    rows = [[name(row), *(value(row, layer) for layer in layers)] for row in result["variants"]]
    return _lines(["variant", *(f"layer {layer}" for layer in layers)], rows)


def energy(result: Row) -> str:
    """pJ a product with delays, and against the first variant."""
    first = result["variants"][0]

    def value(row: Row, layer: str) -> str:
        found, base = (per_multiply(result, one, layer) for one in (row, first))
        return f"{found:.3f}" if row is first else f"{found:.3f} ({100 * (found / base - 1):+.1f} %)"

    return _by_layer(result, value)


def ideal(result: Row) -> str:
    """pJ a product at zero delay, and what glitches add to it."""

    def value(row: Row, layer: str) -> str:
        found, real = (per_multiply(result, row, layer, what) for what in ("zero_delay_pj", "energy_pj"))
        return f"{found:.3f} (glitches +{100 * (real / found - 1):.0f} %)"

    return _by_layer(result, value)


def clock(result: Row) -> str:
    """pJ a product of the clock alone."""
    return _by_layer(result, lambda row, layer: f"{per_multiply(result, row, layer, 'clock_pin_pj'):.3f}")


def weights(result: Row) -> str:
    """What SB's held output saves: reads, and moves of the multipliers' inputs."""
    rows = []
    for layer, done in result["work"].items():
        multiplies, found = done["multiplies"], result["weights"][layer]
        share = done["lane_reads"] / multiplies
        moved = found["halves_zero_pj"] - found["halves_held_pj"]
        idle = found["zero_when_idle_pj"] - found["held_pj"]
        cells = [layer, f"{done['busy']:,} of {done['cycles']:,}", f"{multiplies:,}", f"{done['lane_reads']:,}"]
        cells += [f"{(1 - share) * result['sb']['read_pj']:.3f}", f"{moved / multiplies:.3f}"]
        rows.append([*cells, f"{idle / multiplies:.3f}"])
    head = ["layer", "busy cycles", "products", "words read from SB", "reads saved, pJ a product"]
    head += ["output held between uses, pJ a product", "output held when idle, pJ a product"]
    return _lines(head, rows)


def parts(result: Row) -> dict[str, str]:
    """What stands between each pair of marks."""
    recorded, sb = result["recording"], result["sb"]
    windows = ", ".join(f"image {window['image']} from cycle {window['first']}" for window in recorded["windows"])
    said = (
        f"\nFrom `{result['command']}` at commit `{result['commit'][:12]}`; {result['library']['name']}, Yosys "
        f"{result['yosys']}, wire load {result['wire_load']}.\nStimulus: {recorded['what']}, tile "
        f"{recorded['tile']['name']}, neurons {', '.join(map(str, recorded['neurons']))}; {windows};\n"
        f"{recorded['windows'][0]['cycles']} cycles each. Period {result['period_ps'] / 1000:g} ns; SB's words "
        f"({sb['macro']}) arrive {sb['late_ps'] / 1000:g} ns after the edge, all else at it.\n"
    )
    made = {"built": built(result) + said, "energy": energy(result), "ideal": ideal(result), "clock": clock(result)}
    return made | {"weights": weights(result)}


def page_with_results(text: str, result: Row) -> str:
    """``text`` with what stands between each pair of marks replaced."""
    for mark, part in parts(result).items():
        begin, end = (f"<!-- {mark}: {edge} -->\n" for edge in ("begin", "end"))
        if text.count(begin) != 1 or text.count(end) != 1:
            raise BadInput(f"a page wants the marks {mark}: begin and {mark}: end once each: put them back")
        head, _, rest = text.partition(begin)
        text = head + begin + part + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    write_atomic(PAGE, page_with_results(PAGE.read_text(encoding="utf-8"), json.loads(RESULT.read_text())))
