"""The report's page: one HTML file with its pictures inside, readable without a network."""

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from synth.energy import DRAM_PARTS
from synth.plots import COLOURS, label
from synth.report_schema import Report
from synth.technology import COMPONENTS

DRAM_LABELS = {
    "activate": "activate and precharge",
    "read": "read, core",
    "write": "write, core",
    "io": "I/O",
    "termination": "termination",
    "background": "background",
    "refresh": "refresh",
}


def _number(value: float, digits: int = 3) -> str:
    """Three significant digits, thousands grouped, no exponent."""
    if value == 0:
        return "0"
    return f"{float(f'{value:.{digits}g}'):,.10g}"


def _percent(value: float | None) -> str:
    return "not run" if value is None else f"{100 * value:.2f} %"


def page(result: Report, drawn: dict[str, Path]) -> str:
    """HTML text of ``result`` with the PNG files of ``drawn`` embedded."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=_percent)
    images = {
        name: "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
        for name, path in drawn.items()
    }
    runs = [(f"fraction {name}" if name != "opportunistic" else name, item) for name, item in result.runs()]
    template = environment.get_template("page.html.j2")
    names = [(name, label(name), COLOURS[name]) for name in COMPONENTS]
    parts = [(name, DRAM_LABELS[name]) for name in DRAM_PARTS]
    return template.render(r=result, runs=runs, images=images, components=names, dram_parts=parts)
