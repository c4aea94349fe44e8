"""T16's Figure 11: what each image took under a budget that steps, and the increment that ran."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synth.paper.claims import within
from synth.paper.schema import BudgetRun, Network

COLOURS = ("#66ccee", "#4477aa", "#228833", "#aa3377", "#ccbb44", "#ee6677")
WIDE = 10  # a range from which on the axis is logarithmic
TITLES = {"energy": "energy budget, on the metered energy", "delay": "delay budget, on the cycle counter"}


def _panel(axes: Axes, network: Network, run: BudgetRun) -> None:
    energy = run.kind == "energy"
    budgets = [item.budget_uj if energy else item.budget_us for item in run.images]
    values = [item.metered_uj if energy else item.time_us for item in run.images]
    edges = [number - 0.5 for number in range(len(run.images) + 1)]
    known = [value for value in budgets if value is not None]
    # a stretch without a budget leaves a gap in the line
    axes.stairs(
        [float("nan") if value is None else value for value in budgets],
        edges,
        baseline=None,
        color="#222222",
        linewidth=1.4,
        zorder=3,
        label="budget",
    )
    for place, step in enumerate(network.increments):
        ran = [number for number, item in enumerate(run.images) if item.fraction == step.fraction]
        if ran:
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(
                ran, [values[n] for n in ran], "o", color=colour, markersize=3, label=f"increment {step.fraction:g}"
            )
    above = [n for n, item in enumerate(run.images) if not within(item) and not item.impossible]
    if above:
        axes.plot(
            above,
            [values[n] for n in above],
            "o",
            color="#cc3311",
            markersize=10,
            markerfacecolor="none",
            label="above the budget",
        )
    impossible = [n for n, item in enumerate(run.images) if item.impossible]
    for place, number in enumerate(impossible):
        label = "reported as impossible" if place == 0 else None
        axes.axvspan(number - 0.5, number + 0.5, color="#f5d5cf", linewidth=0, zorder=0, label=label)
    shown = values + known
    if max(shown) > WIDE * min(shown):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylim(0.6 * min(shown), 1.7 * max(shown))
    else:
        axes.set_ylim(0, 1.15 * max(shown))
    axes.set_xlim(-1, len(run.images))
    axes.set_ylabel("energy per image (µJ)" if energy else "time per image (µs)")
    axes.set_title(TITLES[run.kind], fontsize=10, loc="left")
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def budget_run(network: Network) -> Figure:
    """A panel per run."""
    figure = Figure(figsize=(10, 0.6 + 3.1 * len(network.budget)), layout="constrained")
    panels = figure.subplots(len(network.budget), 1, squeeze=False)[:, 0]
    for axes, run in zip(panels, network.budget, strict=True):
        _panel(axes, network, run)
    panels[-1].set_xlabel("image")
    figure.suptitle(f"{network.title}: budget run on RTL", fontsize=11)
    return figure
