"""The tables in docs/cycles.md, from the measured JSON; ``python -m synth.cycles_doc`` rewrites them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw.errors import BadInput, write_atomic
from hw.events import CYCLE_KINDS
from synth.paper.printed import CLOCK_NS, FRACTIONS, TIME_US, TITLES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "cycles.md"
CYCLES = ROOT / "docs" / "results" / "cycles.json"
MARKS = ("results", "causes", "work", "t16")
CAUSES = tuple(kind.name for kind in CYCLE_KINDS[1:])

Row = dict[str, Any]


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)) + "\n"


def _place(row: Row) -> list[str]:
    return [TITLES.get(row["network"], row["network"]), f"{row['fraction']:g}", row["preset"]]


def measured(rows: Sequence[Row]) -> list[Row]:
    """The rows that were not refused."""
    return [row for row in rows if "refused" not in row]


def _aim(row: Row) -> float:
    """Cycles that a row shall have at most: a utilisation of 90 % of the floor, and 100 for start-up and drain."""
    return float(row["limit_sbcap"]) / 0.9 + 100


def _within(row: Row, cycles: str = "cycles") -> bool:
    return bool(row[cycles] <= _aim(row))


def table(rows: Sequence[Row]) -> str:
    """Markdown table of every row; a refused one shows the mapper's message. An aim that was missed is bold."""
    head = (
        "network, fraction, tile, cycles, predicted, at most, limit (hard), limit (SB-cap), ratio, utilisation, compute"
    )
    head += ", DRAM beats read, written, row misses, refreshes"
    shown = []
    for row in rows:
        if "refused" in row:
            shown.append([*_place(row), f"refused: {row['refused']}", *[""] * 11])
            continue
        aim = f"{_aim(row):,.0f}"
        shown.append(
            [
                *_place(row),
                f"{row['cycles']:,}",
                f"{row['predicted_cycles']['ddr3']:,}",
                aim if _within(row) else f"**{aim}**",
                f"{row['limit_hard']:,}",
                f"{row['limit_sbcap']:,.1f}",
                f"{row['ratio']:.2f}",
                f"{100 * row['utilisation']:.1f} %",
                *(f"{row[key]:,}" for key in ("compute_cycles", "dram_read", "dram_write", "row_misses", "refreshes")),
            ]
        )
    return _lines(head.split(", "), shown)


def causes(rows: Sequence[Row]) -> str:
    """Markdown table of where the cycles of every row go, in percent of them; the largest wait is bold."""
    shown = []
    for row in measured(rows):
        waits = row["stalls"]
        most = max(waits, key=lambda name: waits[name])
        shares = {name: f"{100 * count / row['cycles']:.1f}" for name, count in waits.items()}
        shares[most] = f"**{shares[most]}**"
        busy = f"{100 * row['compute_cycles'] / row['cycles']:.1f}"
        shown.append([*_place(row), busy, *(shares[name] for name in CAUSES)])
    return _lines(["network", "fraction", "tile", "computing", *CAUSES], shown)


def work(rows: Sequence[Row]) -> str:
    """Markdown table of how much more than the floor's work is done, and what the DRAM's timing adds."""
    shown = []
    for row in measured(rows):
        beats = row["dram_read"] + row["dram_write"]
        over = [row["compute_cycles"] / row[floor] for floor in ("compute_floor", "limit_sbcap")]
        over.append(beats / row["dram_floor"])
        cells = [f"{value:.2f}" for value in over]
        cells += [f"{100 * row[key] / row['cycles']:.1f} %" for key in ("dram_busy", "refresh_cycles")]
        ideal = row["cycles_ideal_dram"]
        cells += [f"{ideal:,}", f"{100 * (row['cycles'] - ideal) / ideal:.1f} %"]
        stream = f"{row['stream_cycles']:,.0f}"
        cells.append(stream if _within(row, "stream_cycles") else f"**{stream}**")
        shown.append([*_place(row), *cells])
    head = "network, fraction, tile, compute cycles over floor, over SB-cap, DRAM beats over floor, bus busy"
    head += ", forced refresh"
    return _lines([*head.split(", "), "cycles on ideal memory", "DDR3 adds", "in a stream"], shown)


def t16(rows: Sequence[Row]) -> str:
    """Markdown table of T16's Table 4 in cycles beside the paper32 rows of the same fractions."""
    found = {(row["network"], row["fraction"]): row for row in measured(rows) if row["preset"] == "paper32"}
    shown = []
    for name, times in TIME_US.items():
        for fraction, time_us in zip(FRACTIONS[name], times, strict=True):
            if (row := found.get((name, fraction))) is None:
                continue
            cycles = time_us * 1000 / CLOCK_NS
            capped = row["limit_sbcap"]
            numbers = [f"{time_us:.2f} us", f"{cycles:,.0f}", f"{cycles / capped:.2f}", f"{row['cycles']:,}"]
            numbers += [f"{row['ratio']:.2f}", f"{row['cycles'] / cycles:.2f}"]
            shown.append([TITLES[name], f"{fraction:g}", *numbers])
    head = ["network", "fraction", "T16", "in cycles", "over SB-cap", "ours", "over SB-cap", "ours / T16"]
    return _lines(head, shown)


def summary(rows: Sequence[Row]) -> dict[str, object]:
    """What a run of the command found, in a few numbers."""
    good = measured(rows)
    found: dict[str, object] = {"rows": len(rows), "refused": len(rows) - len(good)}
    if good:
        worst = max(good, key=lambda row: row["ratio"])
        found |= {
            "words_compared": sum(row["words_compared"] for row in good),
            "mismatches": sum(row["mismatches"] for row in good),
            "mean_ratio": round(sum(row["ratio"] for row in good) / len(good), 3),
            "worst_ratio": round(worst["ratio"], 3),
            "worst": " ".join(_place(worst)),
            "within_a_ninth": sum(map(_within, good)),
        }
    return found


def parts(result: dict[str, Any]) -> dict[str, str]:
    """What stands between each pair of marks."""
    rows = result["rows"]
    found, good = summary(rows), measured(rows)
    large = [row for row in good if row["limit_sbcap"] > 5000]
    means = {
        cycles: sum(row[cycles] / row["limit_sbcap"] for row in large) / len(large)
        for cycles in ("cycles", "cycles_ideal_dram", "stream_cycles")
    }
    equal = {
        memory: sum(row["predicted_cycles"][memory] == row[cycles] for row in good)
        for memory, cycles in (("ddr3", "cycles"), ("ideal", "cycles_ideal_dram"))
    }
    head = (
        f"{found['rows']} rows, {found['refused']} refused; {result['images']} images a row, each on DDR3 and on ideal "
        f"memory;\n{found['words_compared']:,} output words compared with golden, {found['mismatches']} mismatches.\n"
        f"Ratio to SB-cap: mean {found['mean_ratio']:.2f}, worst {found['worst_ratio']:.2f} ({found['worst']});\n"
        f"{found['within_a_ninth']} of {len(measured(rows))} rows have at most SB-cap / 0.9 + 100 cycles; ratio of the "
        f"{len(large)} rows whose SB-cap exceeds 5,000: mean {means['cycles']:.3f}, on ideal memory "
        f"{means['cycles_ideal_dram']:.3f}.\n"
        f"In a stream of images (predicted): {sum(_within(row, 'stream_cycles') for row in good)} rows, mean "
        f"{means['stream_cycles']:.3f}.\n"
        f"Predicted by the cycle model: equal in {equal['ddr3']} rows with DDR3, in {equal['ideal']} on ideal "
        "memory.\n\n"
        f"From `{result['command']}` at commit `{result['commit'][:12]}`, {result['simulator']}.\n\n"
    )
    added = {" ".join(_place(row)): row["cycles"] / row["cycles_ideal_dram"] - 1 for row in good}
    most = max(added, key=lambda place: added[place])
    alone = sum(row["compute_cycles"] > _aim(row) for row in good)
    said = (
        f"\nDDR3 adds {100 * sum(added.values()) / len(added):.1f} % on average, at most {100 * added[most]:.1f} % "
        f"({most}). In {alone} of {len(good)} rows the compute cycles alone\nexceed SB-cap / 0.9 + 100: there only a "
        "mapping with fewer compute cycles helps; in the others, less waiting.\n"
    )
    return {"results": head + table(rows), "causes": causes(rows), "work": work(rows) + said, "t16": t16(rows)}


def page_with_results(text: str, result: dict[str, Any]) -> str:
    """``text`` with what stands between each pair of marks replaced."""
    for name, part in parts(result).items():
        begin, end = (f"<!-- {name}: {edge} -->\n" for edge in ("begin", "end"))
        if text.count(begin) != 1 or text.count(end) != 1:
            raise BadInput(f"a page wants the marks {name}: begin and {name}: end once each: put them back")
        head, _, rest = text.partition(begin)
        text = head + begin + part + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    write_atomic(PAGE, page_with_results(PAGE.read_text(encoding="utf-8"), json.loads(CYCLES.read_text())))
