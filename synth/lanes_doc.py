"""The tables in docs/lanes.md, from the measured JSON; ``python -m synth.lanes_doc`` rewrites them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hw.errors import BadInput, write_atomic

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "lanes.md"
RESULT = ROOT / "docs" / "results" / "lanes-ihp130.json"
MARKS = ("pays", "built", "energy", "ideal", "clock", "weights")

#: Products of one image by layer of the whole LeNet of 20 and 50 channels: 24 x 24 x 20 x 25, 8 x 8 x 50 x 500,
#: 500 x 800, 10 x 500.
IMAGE = {"0": 288_000, "3": 1_600_000, "7": 400_000, "9": 5_000}

Row = dict[str, Any]

#: What is asked, the variant that has it and the one that has not.
QUESTIONS = (
    ("clock gates of lanes", "plain", "plain, no clock gates"),
    ("Booth multiplier", "plain", "plain, no Booth"),
    ("operand isolation", "masked", "plain"),
    ("operand and weight registers before the multiplier", "registered", "plain"),
    ("multiplier of two stages", "split", "plain"),
    ("operands that arrive with SB's words", "plain, operands with SB's words", "plain"),
)


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


def image_uj(result: Row, row: Row) -> float:
    """uJ of all products of an image."""
    return sum(count * per_multiply(result, row, layer) for layer, count in IMAGE.items()) / 1e6


def saved_uj(result: Row) -> tuple[float, float]:
    """What held rows save in an image, uJ: reads of SB, and moves in the lanes."""
    reads, moves = 0.0, 0.0
    for layer, count in IMAGE.items():
        done, found = result["work"][layer], result["weights"][layer]
        reads += count * (1 - done["lane_reads"] / done["multiplies"]) * result["sb"]["read_pj"]
        moves += count * (found["halves_zero_pj"] - found["halves_held_pj"]) / done["multiplies"]
    return reads / 1e6, moves / 1e6


def pays(result: Row) -> str:
    """The answer to each of QUESTIONS, and held rows in words."""
    by_name = {name(row): row for row in result["variants"]}
    rows = []
    for question, has, lacks in QUESTIONS:
        row, other = by_name[has], by_name[lacks]
        energy_share = image_uj(result, row) / image_uj(result, other) - 1
        layers = [per_multiply(result, row, at) / per_multiply(result, other, at) - 1 for at in result["work"]]
        cells = [question, f"{100 * energy_share:+.1f} %", f"{100 * min(layers):+.1f} to {100 * max(layers):+.1f} %"]
        cells.append(f"{100 * (row['area_um2'] / other['area_um2'] - 1):+.1f} %")
        cells.append(f"{other['behind_sram_ns']:.2f} to {row['behind_sram_ns']:.2f}")
        rows.append([*cells, "yes" if energy_share < 0 else "no"])
    head = ["does it pay?", "energy of an image's products", "by layer", "area", "period behind SB, ns", "saves energy"]
    reads, moves = saved_uj(result)
    plain = image_uj(result, result["variants"][0])
    said = (
        f"\nHeld weight rows save {reads:.1f} uJ of SB reads an image, where the products themselves take {plain:.1f} "
        f"uJ; a memory whose output\nreturned to 0 before each use would cost the lanes another {moves:.1f} uJ.\n"
    )
    return _lines(head, rows) + said


def _by_layer(result: Row, value: Callable[[Row, str], str]) -> str:
    layers = list(result["work"])
    rows = [[name(row), *(value(row, layer) for layer in layers)] for row in result["variants"]]
    return _lines(["variant", *(f"layer {layer}" for layer in layers)], rows)


def energy(result: Row) -> str:
    """pJ a product with delays and uJ of an image, also against the first variant."""
    first = result["variants"][0]

    def against(found: float, base: float, row: Row) -> str:
        return f"{found:.3f}" if row is first else f"{found:.3f} ({100 * (found / base - 1):+.1f} %)"

    rows = []
    for row in result["variants"]:
        values = [(per_multiply(result, row, at), per_multiply(result, first, at)) for at in result["work"]]
        values.append((image_uj(result, row), image_uj(result, first)))
        rows.append([name(row), *(against(*pair, row) for pair in values)])
    return _lines(["variant", *(f"layer {layer}, pJ" for layer in result["work"]), "image, uJ"], rows)


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
    head = ["layer", "busy cycles", "products", "weights read from SB", "reads saved, pJ a product"]
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
    made = {
        "pays": pays(result),
        "built": built(result) + said,
        "energy": energy(result),
        "ideal": ideal(result),
        "clock": clock(result),
    }
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
