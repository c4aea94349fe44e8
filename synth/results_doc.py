"""The results in README.md, from the measured JSON; ``python -m synth.results_doc`` rewrites them between the marks."""

import json
from pathlib import Path

from hw.errors import write_atomic
from synth.marks import between
from synth.report import read_report
from synth.report_schema import Report

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "README.md"
REPORT = ROOT / "docs" / "results" / "lenet-mnist-paper32.json"
ACCURACY = ROOT / "docs" / "results" / "accuracy-lenet-mnist-paper32.json"
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"


def table(report: Report) -> str:
    """Markdown table of every run, means per image."""
    lines = [
        "| run | channels | accuracy | cycles | time | on chip | profiles | with DRAM | T16, on chip |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    printed = {item.fraction: item for item in report.paper}
    for name, run in report.runs():
        channels = "-".join(map(str, run.channels)) if hasattr(run, "channels") else "as needed"
        spread = run.energy_profiles_uj
        paper = printed.get(float(name)) if name != "opportunistic" else None
        cells = [
            name,
            channels,
            f"{100 * run.accuracy.rtl:.2f} %",
            f"{run.cycles:,.0f}",
            f"{run.time_us:.2f} us",
            f"{run.energy_onchip_uj:.3g} uJ",
            f"{spread.low:.3g} .. {spread.high:.3g}",
            f"{run.energy_uj.total:.3g} uJ",
            f"{paper.time_us} us, {paper.energy_uj} uJ" if paper else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def results() -> str:
    """What stands between the marks."""
    report = read_report(REPORT)
    whole = json.loads(ACCURACY.read_text(encoding="utf-8"))
    words = sum(run.words_compared for _, run in report.runs())
    wrong = sum(run.mismatches for _, run in report.runs())
    chance = report.opportunistic
    if chance is None:
        raise ValueError(f"{REPORT} wants an opportunistic run")
    stops = ", ".join(f"{n} at {item.fraction:g}" for n, item in zip(chance.stops, report.increments, strict=True))
    accuracy = " / ".join(f"{value:.2f}" for value in whole["golden_percent"])
    fractions = " / ".join(f"{value:g}" for value in whole["fractions"])
    return f"""\
LeNet on MNIST, preset `{report.tile["name"]}`, {report.images:,} images a run, {words:,} output words compared with
golden: {wrong} mismatches. Means per image; energy by the `{report.technology.name}` profile; T16 is the paper's own
machine:

{table(report)}

Opportunistic: {stops} of {report.images:,} images stopped there;
{100 * chance.saving:.1f} % of the full network's energy saved on chip,
{100 * chance.saving_with_dram:.1f} % with DRAM, {100 * chance.accuracy_drop:.2f} points of accuracy lost.
"profiles" is the lowest and highest of the SRAM profiles: absolute joules are known no better than that
([docs/energy.md](docs/energy.md)). Simulated at {report.simulation.cycles_per_second:,.0f} cycles/s a process.

From `{report.command}` at commit `{report.commit[:12]}`. Not covered: {"; ".join(report.coverage.not_covered)}.

On all {whole["images"]:,} test images the integer model reaches {accuracy} % at {fractions}
(`make data && .venv/bin/tilewatt accuracy`).
"""


def page_with_results(text: str) -> str:
    """``text`` with what stands between the marks replaced by the results."""
    return between(text, BEGIN, END, results())


if __name__ == "__main__":
    write_atomic(PAGE, page_with_results(PAGE.read_text(encoding="utf-8")))
