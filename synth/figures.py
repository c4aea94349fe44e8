"""Energy figures: a value never without its band, source level, profile and annotation coverage."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synth.energy import DRAM_PARTS, EDGES, EnergyModel, Work
from synth.technology import COMPONENTS, ONCHIP

#: Source levels from the one that knows least of the data on.
LEVELS = ("table", "rtl_activity", "gate")
SUMS = {"onchip": ONCHIP, "total": COMPONENTS}


def seven(value: float) -> float:
    """Seven significant digits: what a report prints, and the same on every machine."""
    return float(f"{float(value):.7g}")


def _figure(uj: Sequence[float], level: str, model: EnergyModel, share: float) -> dict[str, Any]:
    low, value, high = (seven(edge) for edge in uj)
    name = model.technology.name
    return {"value_uj": value, "band_uj": (low, high), "source_level": level, "profile": name, "coverage": seven(share)}


def energy_figures(model: EnergyModel, work: Work, coverage: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Figure of each component, of the chip and of the total: means over the images.

    A sum has the lowest source level and the least coverage among its parts.
    """
    levels = model.source_levels
    by_edge = {edge: model.components_pj(work, edge) for edge in EDGES}
    uj = {edge: {name: float(np.mean(by_edge[edge][name])) / 1e6 for name in COMPONENTS} for edge in EDGES}
    parts: dict[str, Sequence[str]] = {**{name: (name,) for name in COMPONENTS}, **SUMS}
    return {
        name: _figure(
            [sum(uj[edge][part] for part in of) for edge in EDGES],
            min((levels[part] for part in of), key=LEVELS.index),
            model,
            min(coverage[part] for part in of),
        )
        for name, of in parts.items()
    }


def dram_figures(model: EnergyModel, work: Work, coverage: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Figure of each of DRAM_PARTS, means over the images."""
    by_edge = [model.dram_pj(work, edge) for edge in EDGES]
    return {
        part: _figure(
            [float(np.mean(edge[part])) / 1e6 for edge in by_edge], model.source_levels["dram"], model, coverage["dram"]
        )
        for part in DRAM_PARTS
    }
