"""The tables of docs/hardware.md, from validation and reports; ``python -m synth.hardware_doc`` rewrites them."""

from pathlib import Path

from hw.errors import write_atomic
from synth.calibration_doc import VALIDATION
from synth.gate.area import TILE
from synth.gate.validation import FormatValidation, read_validation
from synth.marks import between
from synth.paper import printed
from synth.paper.text import table
from synth.report import read_report
from synth.report_schema import Report

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "hardware.md"
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"

#: Components of T16's Table 2 by the energies of a report; what is left over (clock, leakage) has rows of its own.
MEASURED = {"NFU": "nfu", "SB": "sb", "NBin": "nbin", "NBout": "nbout", "control": "control"}


def report_path(preset: str) -> Path:
    """LeNet by the profile ``ihp130`` on a tile."""
    return ROOT / "docs" / "results" / f"lenet-mnist-{preset}-ihp130.json"


def _milliwatts(energy_uj: float, time_us: float) -> float:
    return 1e3 * energy_uj / time_us


def overview(tiles: dict[str, tuple[FormatValidation, Report]]) -> str:
    """T16's Table 1."""
    head = "format | area (mm2) | power (mW) | least period (ns) | T16: area (mm2) | T16: power (mW) | T16: delay (ns)"
    rows = []
    for fmt, (gate, report) in tiles.items():
        full = report.increments[-1]
        theirs = printed.DESIGNS[fmt]
        cells = [
            f"`{fmt}`",
            f"{gate.area_um2[TILE] / 1e6:.2f}",
            f"{_milliwatts(full.energy_onchip_uj, full.time_us):.1f}",
            f"{max(gate.least_period_ns.values()):.2f}",
            *(f"{value:g}" for value in (theirs.area_mm2, theirs.power_mw, theirs.delay_ns)),
        ]
        rows.append(cells)
    return table(head, rows)


def breakdown(gate: FormatValidation, report: Report) -> str:
    """T16's Table 2."""
    full = report.increments[-1]
    area, cells = gate.area_um2[TILE], gate.cells_pj_per_cycle
    clock_ns = float(report.tile["clock_ns"])
    head = "component | area (mm2) | share | cells at gate level (mW) | share | LeNet's full increment (mW) | share"

    def row(name: str, run_uj: float | None) -> list[str]:
        um2, pj = gate.area_um2.get(name), cells.get(name)
        theirs = printed.SHARES_PERCENT.get(name)
        run = "" if run_uj is None else f"{_milliwatts(run_uj, full.time_us):.2f}"
        return [
            name,
            "" if um2 is None else f"{um2 / 1e6:.3f}",
            "" if um2 is None else f"{100 * um2 / area:.2f} %",
            "" if pj is None else f"{pj / clock_ns:.2f}",
            "" if pj is None else f"{100 * pj / cells[TILE]:.2f} %",
            run,
            "" if run_uj is None else f"{100 * run_uj / full.energy_onchip_uj:.2f} %",
            *(["", ""] if theirs is None else [f"{value:g} %" for value in theirs]),
        ]

    rows = [row(name, getattr(full.energy_uj, energy)) for name, energy in MEASURED.items()]
    rows += [row("margin controller", None), row("registers", None)]
    rows += [row(name, getattr(full.energy_uj, name)) for name in ("clock", "leakage")]
    return table(f"{head} | T16: area | T16: power", [*rows, row(TILE, full.energy_onchip_uj)])


def results() -> str:
    """What stands between the marks."""
    validation = read_validation(VALIDATION)
    tiles = {fmt: (gate, read_report(report_path(gate.preset))) for fmt, gate in validation.formats.items()}
    text = [overview(tiles).rstrip()]
    for fmt, (gate, report) in tiles.items():
        full = report.increments[-1]
        busy = full.macs / full.cycles / (report.tile["neurons"] * report.tile["synapses"])
        text.append(
            f"\n### `{gate.preset}`, {fmt}\n\n{breakdown(gate, report)}\n"
            f"A neuron's least period is {gate.least_period_ns['neuron']:.2f} ns, that of the rest of the tile "
            f"{gate.least_period_ns['rest']:.2f} ns. In LeNet's full increment lanes multiply in {100 * busy:.1f} % of "
            f"their cycles. From `{validation.command}` at commit `{validation.commit[:12]}` and "
            f"`{report.command} --profile {report.technology.name}` at "
            f"commit `{report.commit[:12]}`, {report.images} images."
        )
    return "\n".join(text) + "\n"


def page_with_results(text: str) -> str:
    """``text`` with what stands between the marks replaced by the results."""
    return between(text, BEGIN, END, results())


if __name__ == "__main__":
    write_atomic(PAGE, page_with_results(PAGE.read_text(encoding="utf-8")))
