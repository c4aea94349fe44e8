"""The report's pictures: energy by component, accuracy against energy, and the spread of the technology profiles."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hw.errors import atomic_path
from synth.report_schema import Increment, Opportunistic, Report
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


def _runs(result: Report) -> list[tuple[str, Increment | Opportunistic]]:
    named: list[tuple[str, Increment | Opportunistic]] = [(f"{item.fraction:g}", item) for item in result.increments]
    return [*named, ("opportunistic", result.opportunistic)] if result.opportunistic else named


def _bars(axes: Axes, result: Report, components: tuple[str, ...], title: str) -> None:
    runs = _runs(result)
    places = range(len(runs))
    base = [0.0] * len(runs)
    for name in components:
        heights = [getattr(item.energy_uj, name) for _, item in runs]
        axes.bar(places, heights, 0.62, bottom=base, color=COLOURS[name], label=label(name))
        base = [low + height for low, height in zip(base, heights, strict=True)]
    for place, total in zip(places, base, strict=True):
        axes.text(place, total, f"{total:.3g}", ha="center", va="bottom", fontsize=9)
    axes.set_xticks(list(places), [name for name, _ in runs])
    axes.set_xlabel("fraction of channels")
    axes.set_ylabel("energy per image (µJ)")
    axes.set_title(title, fontsize=10)
    axes.margins(y=0.1)
    axes.spines[["top", "right"]].set_visible(False)


def _energy(result: Report) -> Figure:
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    chip, whole = figure.subplots(1, 2)
    _bars(chip, result, COMPONENTS[:-1], "On chip")
    _bars(whole, result, COMPONENTS, "With DRAM")
    handles, names = whole.get_legend_handles_labels()
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
    axes.set_xlabel("on-chip energy per image (µJ, log scale)")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(f"{result.network}: accuracy of {result.images} images in RTL", fontsize=11)
    axes.margins(0.12)
    axes.grid(alpha=0.25, which="both")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _profiles(result: Report) -> Figure:
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    runs = _runs(result)
    for place, (_, item) in enumerate(runs):
        low, high = (
            getattr(item, name).total - getattr(item, name).dram for name in ("energy_low_uj", "energy_high_uj")
        )
        seen = "price band" if place == 0 else None
        axes.bar(
            place,
            high - low,
            0.5,
            bottom=low,
            color="#e6e6e6",
            label=f"{result.technology.name}: {seen}" if seen else None,
        )
    markers = ("v", "o", "^", "s", "D")
    for marker, name in zip(markers, runs[0][1].energy_profiles_uj.profiles, strict=False):
        values = [item.energy_profiles_uj.profiles[name]["onchip"] for _, item in runs]
        axes.plot(range(len(runs)), values, marker, markersize=8, label=name)
    places = {f"{item.fraction:g}": place for place, item in enumerate(result.increments)}
    if result.paper:
        spots = [places[f"{item.fraction:g}"] for item in result.paper]
        axes.plot(spots, [item.energy_uj for item in result.paper], "x", color=PAPER_COLOUR, label="printed in T16")
    axes.set_xticks(range(len(runs)), [name for name, _ in runs])
    axes.set_yscale("log")
    axes.set_xlabel("fraction of channels")
    axes.set_ylabel("on-chip energy per image (µJ, log scale)")
    axes.set_title("The same counts under each technology profile", fontsize=11)
    axes.grid(alpha=0.25, axis="y", which="both")
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
