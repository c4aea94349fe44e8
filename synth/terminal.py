"""A report as lines for a terminal."""

from synth.report_schema import Figures, Report


def first_line(report: Report) -> str:
    """What the first result says: one image on the smallest increment."""
    run = report.increments[0]
    return (
        f"first result: 1 image on increment {run.fraction:g} in RTL: {run.words_compared} words equal to golden, "
        f"{run.cycles:,.0f} cycles, {run.energy_onchip_uj:.3g} uJ on chip, {run.energy_uj.total:.3g} uJ with DRAM "
        f"({report.technology.profile})"
    )


def mismatches(report: Report) -> int:
    """Differences between RTL and golden over all runs."""
    return sum(run.mismatches for _, run in report.runs())


def _band(run: Figures) -> str:
    spread = run.energy_profiles_uj
    return f"{spread.low:.3g} .. {spread.high:.3g}"


def summary(report: Report) -> str:
    """A table of every run, and what stands behind it."""
    head = ("run", "accuracy %", "cycles", "time us", "on chip uJ", "profiles uJ", "with DRAM uJ", "mismatches")
    rows = [head]
    for name, run in report.runs():
        rows.append(
            (
                name,
                f"{100 * run.accuracy.rtl:.2f}",
                f"{run.cycles:,.0f}",
                f"{run.time_us:,.2f}",
                f"{run.energy_onchip_uj:.4g}",
                _band(run),
                f"{run.energy_uj.total:.4g}",
                str(run.mismatches),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    words = sum(run.words_compared for _, run in report.runs())
    lines = [*table, ""]
    lines.append(
        f"{report.images} images a run, {words:,} output words compared with golden, {mismatches(report)} mismatches; "
        f"per image, {report.technology.profile} profile, {report.technology.node_nm} nm"
    )
    simulation = report.simulation
    lines.append(f"{simulation.cycles:,} cycles simulated at {simulation.cycles_per_second:,.0f} cycles/s a process")
    if report.opportunistic is not None:
        run = report.opportunistic
        stops = ", ".join(
            f"{count} at {item.fraction:g}" for count, item in zip(run.stops, report.increments, strict=True)
        )
        lines.append(
            f"opportunistic: stopped {stops}; saves {100 * run.saving:.1f} % on chip, "
            f"{100 * run.saving_with_dram:.1f} % with DRAM, at an accuracy drop of {100 * run.accuracy_drop:.2f} points"
        )
    return "\n".join(lines)
