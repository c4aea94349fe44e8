"""T16's Figures 6, 9 and 10 and our own picture of savings against drops, as PNGs with the same bytes every time."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hw.errors import atomic_path
from synth.paper import printed
from synth.paper.budget_plot import budget_run
from synth.paper.schema import Network, Paper
from synth.paper.tables import columns

COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")
T16_COLOUR = "#333333"
TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
Point = tuple[float, float]
Draw = Callable[[Paper], Figure]


def relative_times(network: Network) -> list[float]:
    """Cycles of each increment over the full network's."""
    full = network.increments[-1].cost.cycles
    return [item.cost.cycles / full for item in network.increments]


def _points(network: Network, rates: Sequence[float | None]) -> list[Point]:
    """(relative time, accuracy in percent) where there is an accuracy."""
    both = zip(relative_times(network), rates, strict=True)
    return [(time, 100 * rate) for time, rate in both if rate is not None]


def _line(axes: Axes, points: Sequence[Point], style: str, colour: str, label: str, size: float = 6) -> None:
    axes.plot([x for x, _ in points], [y for _, y in points], style, color=colour, label=label, markersize=size)


def _golden(network: Network) -> list[Point]:
    return _points(network, [item.golden_accuracy for item in network.increments])


def _increments(network: Network) -> list[Point]:
    return _points(network, [item.accuracy for item in network.increments])


def _shutdown(network: Network) -> list[Point]:
    return _points(network, [item.shutdown_accuracy for item in network.increments])


def _same_data(network: Network, column: str) -> bool:
    return network.dataset == printed.DATASETS[column]


def t16_points(column: str, rates: Sequence[float]) -> list[Point]:
    """T16's Table 8 over the relative times of its Table 4."""
    times = printed.TIME_US[column]
    places = printed.PLANNED_INCREMENTS[column]
    return [(times[place] / times[-1], 100 * rate) for place, rate in zip(places, rates, strict=True)]


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("run time relative to the full network (log scale)")
    axes.set_xscale("log")  # LeNet's first increment takes 2 % of the full network's time
    low = 0.5 * axes.dataLim.xmin
    axes.set_xlim(low, 1.25)
    axes.set_xticks([tick for tick in TICKS if tick > low])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.margins(y=0.14)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _channels(axes: Axes, network: Network, *curves: Sequence[Point]) -> None:
    """Each increment's channels of the first layer over the full network's, as T16 labels its points. Up and left of
    the upper curve there is room: accuracy rises with time."""
    full = network.increments[-1].channels[0]
    for item, time in zip(network.increments, relative_times(network), strict=True):
        rates = [rate for curve in curves for place, rate in curve if place == time]
        if rates:
            text, at = f"{item.channels[0]}/{full}", (time, max(rates))
            shift = (-4, 6)
            axes.annotate(text, at, shift, textcoords="offset points", ha="right", fontsize=8, color="#555555")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """A row of panels with room for a legend above them."""
    figure = Figure(figsize=(max(5.6, 4.2 * count), 4.6), layout="constrained")
    grid = figure.subplots(1, count, squeeze=False)
    grid[0][0].set_ylabel("accuracy on test images (%)")
    return figure, list(grid[0])


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, above them."""
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        list(found.values()), list(found), loc="outside upper center", ncols=len(found), frameon=False, fontsize=9
    )


def figure_6(paper: Paper) -> Figure:
    """Golden models: accuracy over relative run time, a panel per network (their accuracies lie far apart)."""
    shown = [(item, column) for item, column in columns(paper) if _golden(item)]
    figure, panels = _panels(len(shown))
    for axes, (network, column) in zip(panels, shown, strict=True):
        _line(axes, _golden(network), "o-", COLOURS[0], "golden models, ours")
        _channels(axes, network, _golden(network))
        if column and _same_data(network, column):
            points = t16_points(column, printed.GOLDEN_ACCURACY[column])
            _line(axes, points, "x", T16_COLOUR, "golden models, T16 Table 8")
        _dress(axes, network.title)
    _legend(figure, panels)
    return figure


def figure_9(paper: Paper) -> Figure:
    """Golden models, increments and channel shutdown, of every network whose channels were shut down."""
    shown = [item for item in paper.networks.values() if _shutdown(item)]
    figure, panels = _panels(len(shown))
    for axes, network in zip(panels, shown, strict=True):
        _line(axes, _golden(network), "o-", COLOURS[0], "golden models", 9)
        _line(axes, _increments(network), "s--", COLOURS[2], "increments", 5)
        _line(axes, _shutdown(network), "v--", COLOURS[1], "channel shutdown")
        _channels(axes, network, _golden(network), _increments(network))
        _dress(axes, network.title)
        axes.set_ylim(0, 108)
    _legend(figure, panels)
    return figure


def figure_10(paper: Paper) -> Figure:
    """Increments against golden models, a panel per network; T16's Table 8 where the data set is its own."""
    shown = columns(paper)
    figure, panels = _panels(len(shown))
    for axes, (network, column) in zip(panels, shown, strict=True):
        _line(axes, _golden(network), "o-", COLOURS[0], "golden models", 9)
        _line(axes, _increments(network), "s--", COLOURS[2], "increments", 5)
        _channels(axes, network, _golden(network), _increments(network))
        if column and _same_data(network, column):
            _line(axes, t16_points(column, printed.ACCURACY[column]), "x", T16_COLOUR, "increments, T16 Table 8")
        _dress(axes, network.title)
    _legend(figure, panels)
    return figure


def savings(paper: Paper) -> Figure:
    """Saving over drop: T16 -> ours by an arrow, Big/Little beside them; a colour per network."""
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    axes = figure.subplots()
    nets = []
    for (network, column), colour in zip(columns(paper), COLOURS * len(paper.networks), strict=False):
        run, pair = network.opportunistic, network.big_little
        ours = run.accuracy_drop_points, run.saving_percent
        if column:
            theirs = printed.DROP_POINTS[column], printed.SAVING_PERCENT[column]
            axes.plot(*theirs, "X", color=colour, markersize=9, markeredgecolor="white")
            arrow = {"arrowstyle": "->", "color": colour, "alpha": 0.55, "shrinkA": 7, "shrinkB": 8}
            axes.annotate("", ours, xytext=theirs, arrowprops=arrow)
        if pair:
            place = pair.accuracy_drop_points, pair.saving_percent
            axes.plot(*place, "s", color=colour, markersize=8, markerfacecolor="white", markeredgewidth=1.6)
        axes.plot(*ours, "*", color=colour, markersize=15, markeredgecolor="white")
        other = f" (T16: {printed.DATASETS[column].upper()})" if column and not _same_data(network, column) else ""
        nets.append(Line2D([], [], linestyle="", marker="o", color=colour, label=network.title + other))
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set_xlabel("accuracy drop against the same network's last increment, or the big network (points)")
    axes.set_ylabel("energy saved on chip (%)")
    axes.margins(0.1)
    axes.set_ylim(top=104, bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    kinds = [
        Line2D([], [], linestyle="", marker="*", markersize=13, color="#555555", label="opportunistic run, ours"),
        Line2D([], [], linestyle="", marker="X", markersize=8, color="#555555", label="T16, Table 9"),
        Line2D([], [], linestyle="", marker="s", color="#555555", markerfacecolor="white", label="Big/Little, ours"),
    ]
    figure.legend(handles=[*nets, *kinds], loc="outside right upper", frameon=False, fontsize=9)
    return figure


def pictures(paper: Paper) -> dict[str, Draw]:
    """File name -> what draws it, for the figures that the results have numbers for."""
    found: dict[str, Draw] = {}
    nets = paper.networks
    if any(_golden(item) for item in nets.values()):
        found["t16-fig6.png"] = figure_6
    if any(_shutdown(item) for item in nets.values()):
        found["t16-fig9.png"] = figure_9
    if nets:
        found |= {"t16-fig10.png": figure_10, "t16-saving.png": savings}
    for name, network in nets.items():
        if network.budget:
            found[f"t16-fig11-{name}.png"] = partial(_budget, name)
    return found


def _budget(name: str, paper: Paper) -> Figure:
    return budget_run(paper.networks[name])


def draw(paper: Paper, images: Path) -> list[Path]:
    """Write every picture into ``images``."""
    made = []
    for name, drawn in pictures(paper).items():
        figure = drawn(paper)
        FigureCanvasAgg(figure)
        with atomic_path(images / name) as temporary:
            figure.savefig(temporary, dpi=120, metadata={"Software": None})
        made.append(images / name)
    return made
