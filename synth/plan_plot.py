"""The plan's picture: score margins of right and of wrong decisions per increment (T16 Figure 7)."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hw.errors import atomic_path
from synth.plan_schema import Histograms, Named, PlanFile
from synth.plan_text import chain

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
BELOW_LEGEND = 0.77  # of a panel's height
TITLES = {"raw": "raw scores", "softmax": "softmax scores"}


def _panel(axes: Axes, shown: Histograms, right: bool, best: Named | None) -> None:
    """Share of an increment's right or wrong decisions per bin, as outlines; dashed: the thresholds chosen for it."""
    edges = np.array(shown.edges)
    for number, item in enumerate(shown.increments):
        colour = COLOURS[number % len(COLOURS)]
        counts = np.array(item.right if right else item.wrong)
        share = 100 * counts / max(1, counts.sum())
        label = f"{item.fraction:g}: {counts.sum():,}"
        axes.stairs(share, edges, color=colour, linewidth=1.6, label=label)
        axes.stairs(share, edges, color=colour, fill=True, alpha=0.08)
        if best is not None and item.fraction in best.fractions[:-1]:
            at = best.thresholds[best.fractions.index(item.fraction)]
            axes.axvline(at, ymax=BELOW_LEGEND, color=colour, linestyle="--", linewidth=1.2)
    axes.set_xlim(edges[0], edges[-1])
    if right and shown.score == "softmax":  # nearly all lie in the last bin
        axes.set_yscale("log")
        axes.set_ylim(0.005, 1000)
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(0, axes.dataLim.ymax / BELOW_LEGEND)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    title = "fraction: right decisions" if right else "fraction: wrong decisions"
    columns = min(4, len(shown.increments))
    narrow = {"handlelength": 1.0, "handletextpad": 0.4, "columnspacing": 1.0}  # four stay within the panel
    axes.legend(frameon=False, fontsize=9, title=title, title_fontsize=9, loc="upper center", ncols=columns, **narrow)


def best_of(found: PlanFile, score: str) -> Named | None:
    """The best chain for a score: the plan itself, or the one with the most saving among its alternatives."""
    if found.plan.score == score:
        return found.plan
    others = [item for item in found.alternatives if item.score == score and item.thresholds]
    key = "saving" if found.goal.name == "saving" else "product"
    return max(others, key=lambda item: float(getattr(item, key)), default=None)


def draw(found: PlanFile) -> Figure:
    """Right decisions above, wrong ones below; a column per score."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    grid = figure.subplots(2, len(found.histograms), squeeze=False)
    for column, shown in enumerate(found.histograms):
        best = best_of(found, shown.score)
        for line, right in enumerate((True, False)):
            _panel(grid[line][column], shown, right, best)
        used = f"\ndashed: {chain(best)}" if best is not None and best.thresholds else ""
        grid[0][column].set_title(f"{TITLES[shown.score]}{used}", fontsize=10)
        beyond = "" if shown.score == "softmax" else "; last bin: all larger ones too"
        grid[1][column].set_xlabel(f"margin: top-1 minus top-2 score{beyond}")
    grid[0][0].set_ylabel("share of right decisions (%)")
    if len(found.histograms) > 1:
        grid[0][1].set_ylabel("log scale")
    grid[1][0].set_ylabel("share of wrong decisions (%)")
    figure.suptitle(f"{found.network} on {found.dataset}, {found.format}: {found.validation.source}", fontsize=11)
    return figure


def picture(found: PlanFile, path: Path) -> Path:
    """Draw the PNG ``path``."""
    figure = draw(found)
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, metadata={"Software": None})
    return path
