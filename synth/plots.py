"""The report's pictures: energy by component, accuracy against energy, and the spread of the technology profiles."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hw.errors import atomic_path
from synth.report_schema import Report
from synth.technology import COMPONENTS

COLOURS = {
    "nfu": "#4477aa",
    "sb": "#ee6677",
    "nbin": "#ccbb44",
    "nbout": "#228833",
    "control": "#66ccee",
    "clock": "#aa3377",
    "leakage": "#888888",
    "dram": "#d9d9d9",
}
LABELS = {name: name.upper() for name in ("nfu", "sb", "dram")} | {"nbin": "NBin", "nbout": "NBout"}
PAPER_COLOUR = "#333333"


def label(component: str) -> str:
    """The field's spelling of a component."""
    return LABELS.get(component, component)


def _bars(axes: Axes, result: Report, components: tuple[str, ...], share: bool) -> None:
    """Stacked bars of ``components`` per run: microjoules, or percent of their sum so that small runs are seen."""
    runs = result.runs()
    places = range(len(runs))
    sums = [sum(getattr(item.energy_uj, name) for name in components) for _, item in runs]
    scale = [100 / total if share else 1.0 for total in sums]
    base = [0.0] * len(runs)
    for name in components:
        heights = [getattr(item.energy_uj, name) * factor for (_, item), factor in zip(runs, scale, strict=True)]
        axes.bar(places, heights, 0.62, bottom=base, color=COLOURS[name], label=label(name))
        base = [low + height for low, height in zip(base, heights, strict=True)]
    if not share:
        for place, total in zip(places, base, strict=True):
            axes.text(place, total, f"{total:.3g}", ha="center", va="bottom", fontsize=9)
        axes.margins(y=0.1)
    axes.set_xticks(list(places), [name for name, _ in runs])
    axes.set_ylabel("share (%)" if share else "energy per image (µJ)")
    axes.spines[["top", "right"]].set_visible(False)


def _energy(result: Report) -> Figure:
    figure = Figure(figsize=(10, 7), layout="constrained")
    grid = figure.subplots(2, 2)
    for column, (components, title) in enumerate(((COMPONENTS[:-1], "On chip"), (COMPONENTS, "With DRAM"))):
        for line, share in enumerate((False, True)):
            _bars(grid[line][column], result, components, share)
        grid[0][column].set_title(title, fontsize=10)
        grid[1][column].set_xlabel("fraction of channels")
    handles, names = grid[0][1].get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside right center", frameon=False)
    figure.suptitle(f"{result.network} on {result.tile['name']}, {result.technology.name}", fontsize=11)
    return figure


def _accuracy(result: Report) -> Figure:
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    steps = result.increments
    energy = [item.energy_onchip_uj for item in steps]
    rates = [100 * item.accuracy.rtl for item in steps]
    axes.plot(energy, rates, "o-", color=COLOURS["nfu"], label="increments, on chip")
    for item, x, y in zip(steps, energy, rates, strict=True):
        axes.annotate(f"{item.fraction:g}", (x, y), xytext=(7, -12), textcoords="offset points", fontsize=9)
    if result.opportunistic:
        point = (result.opportunistic.energy_onchip_uj, 100 * result.opportunistic.accuracy.rtl)
        axes.plot(*point, "*", markersize=14, color=COLOURS["sb"], label="opportunistic, on chip")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("on-chip energy per image (µJ, log scale)")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(f"{result.network}: accuracy of {result.images} images in RTL", fontsize=11)
    axes.margins(0.12)
    axes.grid(alpha=0.25, which="both")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _profiles(result: Report) -> Figure:
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots()
    runs = result.runs()
    shown = []
    for place, (_, item) in enumerate(runs):
        edges = [band.total - band.dram for band in (item.energy_low_uj, item.energy_high_uj)]
        text = f"band of {result.technology.name}'s prices" if place == 0 else None
        axes.bar(place, edges[1] - edges[0], 0.6, bottom=edges[0], color="#e6e6e6", label=text)
        shown += edges
    names = list(runs[0][1].energy_profiles_uj.profiles)
    for place, name in enumerate(names):
        values = [item.energy_profiles_uj.profiles[name].onchip for _, item in runs]
        shift = 0.4 * ((place + 0.5) / len(names) - 0.5)
        axes.plot([x + shift for x in range(len(runs))], values, "ov^sD"[place % 5], markersize=7, label=name)
        shown += values
    if result.paper:
        places = {item.fraction: place for place, item in enumerate(result.increments)}
        spots = [places[item.fraction] for item in result.paper]
        printed = [item.energy_uj for item in result.paper]
        axes.plot(spots, printed, "x", color=PAPER_COLOUR, label="printed in T16, Table 4")
        shown += printed
    axes.set_xticks(range(len(runs)), [name for name, _ in runs])
    axes.set_yscale("log")
    axes.set_ylim(0.7 * min(shown), 1.5 * max(shown))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("fraction of channels")
    axes.set_ylabel("on-chip energy per image (µJ, log scale)")
    axes.set_title("The same counts under each technology profile", fontsize=11)
    axes.set_axisbelow(True)
    axes.grid(alpha=0.25, axis="y")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def pictures(result: Report, out: Path) -> dict[str, Path]:
    """Draw energy.png, accuracy.png and profiles.png into ``out``; name -> path."""
    drawn = {}
    for name, draw in {"energy": _energy, "accuracy": _accuracy, "profiles": _profiles}.items():
        figure = draw(result)
        FigureCanvasAgg(figure)
        with atomic_path(out / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=120, metadata={"Software": None})
        drawn[name] = out / f"{name}.png"
    return drawn
