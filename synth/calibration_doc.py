"""The results in docs/calibration.md, from its JSON; ``python -m synth.calibration_doc`` rewrites them."""

from pathlib import Path

from hw.errors import write_atomic
from synth.gate.validation import Errors, FormatValidation, Validation, read_validation
from synth.marks import between

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "calibration.md"
VALIDATION = ROOT / "docs" / "results" / "energy-validation.json"
DISAGREE = 1.5  # ratio of energies that the page marks
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} %"


def _row(name: str, errors: Errors) -> str:
    cells = [
        name,
        f"{100 * errors.energy_share:.1f} %",
        f"{errors.mean_error_percent:.2f} % ({errors.largest_increment_error_percent:.2f} %)",
        f"{errors.window_1000_error_percent:.2f} % ({errors.largest_window_1000_error_percent:.2f} %)",
        f"{errors.window_100_r2:.4f}",
        _percent(errors.constant_power_error_percent),
        _percent(errors.constant_per_mac_error_percent),
        _percent(errors.opensta_difference_percent),
        _percent(errors.simulated_difference_percent),
    ]
    return "| " + " | ".join(cells) + " |"


def errors_table(found: FormatValidation) -> str:
    """Errors of every component of one tile."""
    lines = [
        "| part | share of energy | error per increment, mean (largest) | per 1,000 cycles | R2 per 100 cycles "
        "| constant power | constant per multiply | OpenSTA, same rules | OpenSTA, simulated |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(name, errors) for name, errors in (*found.blocks.items(), ("total", found.total))]
    return "\n".join(lines)


def increments_table(found: FormatValidation) -> str:
    """Reference and model of every increment of the test stimulus."""
    lines = ["| test increment | cycles | gate level | model | error |", "|---|---|---|---|---|"]
    for name, values in found.increments.items():
        reference, model = values["reference_pj_per_cycle"], values["model_pj_per_cycle"]
        error = 100 * (model / reference - 1)
        lines.append(
            f"| {name} | {values['cycles']:,.0f} | {reference:.1f} pJ/cycle | {model:.1f} pJ/cycle | {error:+.2f} % |"
        )
    return "\n".join(lines)


def products_table(found: FormatValidation) -> str:
    """What a product costs a neuron in each layer of the test stimulus."""
    lines = [
        "| layer | products | gate level | activity | one energy per multiply | over activity |",
        "|---|---|---|---|---|---|",
    ]
    for name, of in found.products.items():
        ratio = of["table_pj"] / of["activity_pj"]
        shown = f"**{ratio:.2f}**" if max(ratio, 1 / ratio) > DISAGREE else f"{ratio:.2f}"
        energies = " | ".join(f"{of[key]:.2f} pJ" for key in ("gate_pj", "activity_pj", "table_pj"))
        lines.append(f"| {name} | {of['products']:,.0f} | {energies} | {shown} |")
    return "\n".join(lines)


def results(validation: Validation) -> str:
    """What stands between the marks."""
    library = validation.library
    text = [
        f"From `{validation.command}` at commit `{validation.commit[:12]}`; library {library['name']}, "
        f"{library['voltage_v']:g} V, {library['temperature_c']:g} C. "
        f"Fitted on {', '.join(validation.stimulus['fit'])}; tested on {', '.join(validation.stimulus['test'])}."
    ]
    for fmt, found in validation.formats.items():
        text.append(
            f"\n### `{found.preset}`, {fmt}\n\n"
            f"{found.windows['fit']} windows fitted, {found.windows['test']} tested, up to 1,000 cycles each; "
            f"{found.checked_bits:,} bits of netlist and RTL compared, all equal. "
            f"A neuron has {found.cells['neuron']:,} cells and a least period of "
            f"{found.least_period_ns['neuron']:.2f} ns, the rest of the tile {found.cells['rest']:,} cells and "
            f"{found.least_period_ns['rest']:.2f} ns.\n\n"
            f"{errors_table(found)}\n\n{increments_table(found)}\n\n{products_table(found)}"
        )
    return "\n".join(text) + "\n"


def page_with_results(text: str) -> str:
    """``text`` with what stands between the marks replaced by the results."""
    return between(text, BEGIN, END, results(read_validation(VALIDATION)))


if __name__ == "__main__":
    write_atomic(PAGE, page_with_results(PAGE.read_text(encoding="utf-8")))
