"""The report of one measurement: report.json, two CSV files, three pictures and a page, all from the same figures.

The same measurement and profile give the same bytes: nothing in the files depends on when or where they were made.
"""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hw.errors import BadInput, write_atomic
from hw.params import preset
from synth.annotation import LEAST, coverage
from synth.energy import CONFIDENCE, DRAM_PARTS, EnergyModel, Work, interval, totals
from synth.figures import dram_figures, energy_figures, seven
from synth.measurement import Measurement, read_measurement
from synth.page import page
from synth.paper.printed import ENERGY_UJ, FRACTIONS, TIME_US
from synth.plots import pictures
from synth.report_schema import Report
from synth.technology import BAND_PROFILES, COMPONENTS, DEFAULT_PROFILE, Technology, first_error, load_technology

#: Tann et al. 2016, Table 4, LeNet; the fractions are those that its times fit (its Table 7 prints others).
T16_LENET = tuple(zip(FRACTIONS["lenet"], TIME_US["lenet"], ENERGY_UJ["lenet"], strict=True))
T16_SOURCE = "Tann et al. 2016, Table 4, LeNet, on its own 65 nm accelerator, without DRAM"


@dataclass(frozen=True)
class Priced:
    """A profile's model of the measured tile and the annotation coverage of its components."""

    model: EnergyModel
    coverage: dict[str, float]


def _pair(values: np.ndarray) -> tuple[float, float] | None:
    bounds = interval(values)
    return None if bounds is None else (seven(bounds[0]), seven(bounds[1]))


def _spread(priced: dict[str, Priced], work: Work) -> dict[str, Any]:
    shown = {}
    for name, item in priced.items():
        figures = energy_figures(item.model, work, item.coverage)
        sums = {key: figures[key]["value_uj"] for key in ("onchip", "total")}
        shown[name] = {**sums, "onchip_figure": figures["onchip"], "total_figure": figures["total"]}
    return {
        "low": min(item["onchip"] for item in shown.values()),
        "high": max(item["onchip"] for item in shown.values()),
        "total_low": min(item["total"] for item in shown.values()),
        "total_high": max(item["total"] for item in shown.values()),
        "profiles": shown,
    }


def _figures(measured: Measurement, index: int, priced: dict[str, Priced], profile: str) -> dict[str, Any]:
    run, counts = measured.header.runs[index], measured.counts[index]
    work = Work(tuple(measured.header.events), counts.events, counts.dram_activates)
    model, share = priced[profile].model, priced[profile].coverage
    figures = energy_figures(model, work, share)
    shown = {name: figures[name] for name in (*COMPONENTS, "total")}
    onchip, total = totals(model.components_pj(work))
    cycles = float(np.mean(measured.column(index, "cycles")))
    return {
        "cycles": seven(cycles),
        "time_us": seven(cycles * measured.params.clock_ns / 1e3),
        "energy_uj": {name: figure["value_uj"] for name, figure in shown.items()},
        "energy_low_uj": {name: figure["band_uj"][0] for name, figure in shown.items()},
        "energy_high_uj": {name: figure["band_uj"][1] for name, figure in shown.items()},
        "energy_ci99_uj": _pair(total / 1e6),
        "energy_onchip_uj": figures["onchip"]["value_uj"],
        "energy_onchip_ci99_uj": _pair(onchip / 1e6),
        "energy_profiles_uj": _spread(priced, work),
        "energy_figures": figures,
        "dram_figures": dram_figures(model, work, share),
        "source_level": model.level,
        "source_levels": model.source_levels,
        **run.model_dump(by_alias=True, include={"accuracy", "images_compared", "words_compared", "mismatches"}),
    }


def _increments(measured: Measurement, priced: dict[str, Priced], profile: str) -> list[dict[str, Any]]:
    keys = {"fraction", "channels", "macs", "dram_bytes", "limit_cycles"}
    return [
        {**run.model_dump(include=keys), **_figures(measured, index, priced, profile)}
        for index, run in enumerate(measured.header.runs)
        if run.kind == "increment"
    ]


def _opportunistic(
    measured: Measurement, priced: dict[str, Priced], profile: str, full: dict[str, Any]
) -> dict[str, Any] | None:
    for index, run in enumerate(measured.header.runs):
        if run.kind == "opportunistic":
            figures = _figures(measured, index, priced, profile)
            return {
                **figures,
                **run.model_dump(include={"score", "thresholds"}),
                "stops": np.bincount(measured.stopped(index), minlength=run.increment + 1).tolist(),
                "accuracy_drop": seven(full["accuracy"]["rtl"] - run.accuracy.rtl),
                "saving": seven(1 - figures["energy_onchip_uj"] / full["energy_onchip_uj"]),
                "saving_with_dram": seven(1 - figures["energy_uj"]["total"] / full["energy_uj"]["total"]),
                "stop_energy": _stop_energy(measured, index, priced[profile].model),
            }
    return None


def _stop_energy(measured: Measurement, index: int, model: EnergyModel) -> list[dict[str, float] | None]:
    """Mean energies of the images that stopped at each increment of an opportunistic run."""
    counts, stopped = measured.counts[index], measured.stopped(index)
    onchip, total = totals(
        model.components_pj(Work(tuple(measured.header.events), counts.events, counts.dram_activates))
    )
    found: list[dict[str, float] | None] = []
    for increment in range(measured.header.runs[index].increment + 1):
        here = stopped == increment
        sums = {"onchip_uj": onchip, "total_uj": total}
        found.append({name: seven(np.mean(pj[here]) / 1e6) for name, pj in sums.items()} if here.any() else None)
    return found


def _paper(measured: Measurement, increments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """T16's printed figures for the fractions that we ran, when the machine and the network are T16's."""
    theirs = measured.params.replace(activity=False, counters=True) == preset("paper32")
    if measured.header.network.lower() != "lenet" or not theirs:
        return []
    ours = {round(item["fraction"], 6) for item in increments}
    return [
        {"fraction": fraction, "time_us": time_us, "energy_uj": energy_uj, "source": T16_SOURCE}
        for fraction, time_us, energy_uj in T16_LENET
        if fraction in ours
    ]


def build_report(measured: Measurement, technologies: dict[str, Technology], profile: str) -> Report:
    """The report's content: ``technologies`` holds ``profile`` and those of the band, by name."""
    header = measured.header
    priced = {}
    for name, technology in technologies.items():
        model = EnergyModel(technology, measured.params, header.register_bits, header.activity)
        priced[name] = Priced(model, coverage(model, header.events, header.annotation))
    technology = technologies[profile]
    increments = _increments(measured, priced, profile)
    copied = {"network", "dataset", "format", "tile", "tile_hash", "register_bits", "annotation", "activity"}
    copied |= {"images", "seed", "versions", "commit", "command", "simulation"}
    content = {
        "schema": 1,
        **header.model_dump(by_alias=True, include=copied),
        "technology": technology.model_dump(include={"name", "node_nm", "profile", "voltage_v", "title"}),
        "coverage": {
            "images": header.images,
            "confidence": f"{CONFIDENCE:.0%} t-interval of the mean over the images simulated: sampling of images "
            "only, not the error of a price, of wires or of glitches",
            "band": "energy_low_uj and energy_high_uj: every price of the profile at one edge of its band at once; "
            f"energy_profiles_uj: the same counts under {', '.join(technologies)}",
            "activity": "counted in every cycle of every image of the report: no windows are sampled",
            "annotation": "share of what an energy is made of whose activity was counted in RTL, not assumed: register "
            f"bits where toggles price it, counts everywhere; a figure below {LEAST:.0%} is refused",
            "not_covered": list(technology.not_covered),
        },
        "increments": increments,
        "opportunistic": _opportunistic(measured, priced, profile, increments[-1]),
        "paper": _paper(measured, increments),
    }
    try:
        return Report.model_validate(content)
    except ValidationError as error:
        raise BadInput(f"report of {header.network}: {first_error(error)}") from None


def table_csv(result: Report) -> str:
    """One line per increment and the opportunistic run: accuracy, time, every energy, the total's band and interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [*COMPONENTS, "total"]
    writer.writerow(
        ["run", "fraction", "accuracy_rtl", "mismatches", "cycles", "time_us"]
        + [f"{name}_uj" for name in names]
        + ["onchip_uj", "total_low_uj", "total_high_uj", "total_ci99_low_uj", "total_ci99_high_uj"]
        + ["source_level", "technology", "total_coverage"]
    )
    rows = [(f"increment {i + 1}", item.fraction, item) for i, item in enumerate(result.increments)]
    shown = rows if result.opportunistic is None else [*rows, ("opportunistic", "", result.opportunistic)]
    for label, fraction, item in shown:
        writer.writerow(
            [label, fraction, item.accuracy.rtl, item.mismatches, item.cycles, item.time_us]
            + [getattr(item.energy_uj, name) for name in names]
            + [item.energy_onchip_uj, item.energy_low_uj.total, item.energy_high_uj.total]
            + list(item.energy_ci99_uj or ("", ""))
            + [item.source_level, result.technology.name]
            + [item.energy_figures.total.coverage if item.energy_figures else ""]
        )
    return text.getvalue()


def figures_csv(result: Report) -> str:
    """One line per energy of every run, the DRAM's parts among them, with all that stands behind it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "energy", "value_uj", "low_uj", "high_uj", "source_level", "profile", "coverage"])
    for run, item in result.runs():
        named = [(name, getattr(item.energy_figures, name)) for name in (*COMPONENTS, "onchip", "total")]
        named += [(f"dram_{part}", getattr(item.dram_figures, part)) for part in DRAM_PARTS]
        for name, figure in named:
            values = [figure.value_uj, *figure.band_uj, figure.source_level, figure.profile, figure.coverage]
            writer.writerow([run, name, *values])
    return text.getvalue()


def report(measurement_dir: str | Path, out_dir: str | Path, profile: str = DEFAULT_PROFILE) -> Path:
    """Write the report of a measurement folder into ``out_dir``; returns the path of report.json.

    Writes energy.csv, figures.csv, energy.png, accuracy.png, profiles.png, index.html and, last, report.json, each
    whole or not at all. Raises BadInput before anything is written.
    """
    measured = read_measurement(measurement_dir)
    chosen = load_technology(profile)
    technologies = {item.name: item for item in (chosen, *map(load_technology, BAND_PROFILES))}
    result = build_report(measured, technologies, chosen.name)
    out = Path(out_dir)
    drawn = pictures(result, out)
    write_atomic(out / "energy.csv", table_csv(result))
    write_atomic(out / "figures.csv", figures_csv(result))
    write_atomic(out / "index.html", page(result, drawn))
    content = result.model_dump(by_alias=True, mode="json")
    return write_atomic(out / "report.json", json.dumps(content, indent=2, sort_keys=False) + "\n")


def read_report(path: str | Path) -> Report:
    """Read and check a report.json."""
    try:
        return Report.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"report wants a readable file: {error}") from None
    except ValidationError as error:
        raise BadInput(f"report {path}: {first_error(error)}") from None
