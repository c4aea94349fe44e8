"""Weights of the tile's energy meter (docs/budget.md) from a technology profile and a measurement.

The meter counts work and cycles, not bit changes. What a profile charges to bit changes is given to the event that goes
along with them, by the mean of a measurement's increments: so the meter is an estimate; `meter_errors` is its error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from hw.events import METERED, TOGGLES, WEIGHT_BITS
from synth.energy import EnergyModel, Work, totals
from synth.measurement import Measurement

#: Event of METERED -> the bit changes that go along with it.
CARRIED: dict[str, tuple[str, ...]] = {
    "instructions": ("fetched", "control"),
    "compute_cycles": (
        *("index", "choice", "gathered", "row", "next", "window_row", "banks", "line"),
        *("select", "ports", "engine"),
    ),
    "multiply": ("operand", "product", "digit", "mask"),
    "accumulate": ("sum", "accumulator", "addend", "stored", "written"),
    "activation": ("post",),
    "pool_update": ("pool_word", "pooled", "pool_row", "pool_window"),
    "sb_read": ("weight",),
    "output": ("output", "cell"),
    "dram_read": ("answer", "load", "total", "late", "dma", "arbiter"),
    "dram_write": ("store",),
    "score_vector": ("margin",),
}
CARRIER = {f"toggle_{name}": carrier for carrier, names in CARRIED.items() for name in names}


@dataclass(frozen=True)
class Weights:
    """Register values, one per event of METERED, and what one unit of the meter stands for."""

    values: tuple[int, ...]
    unit_pj: float

    def energy_pj(self, work: Work) -> np.ndarray:
        """Metered energy [images]: exact sums of whole units."""
        counts = np.stack([work.events[:, work.names.index(name)] for name in METERED], axis=1).astype(object)
        return np.array(counts @ np.array(self.values, dtype=object), dtype=np.float64) * self.unit_pj

    def units(self, energy_pj: float) -> int:
        """A budget in the meter's units, rounded down."""
        return math.floor(energy_pj / self.unit_pj)


def increments_of(measured: Measurement) -> list[Work]:
    """The work of the increments' runs; an opportunistic run is none of them."""
    runs = zip(measured.header.runs, measured.counts, strict=True)
    names = tuple(measured.header.events)
    return [Work(names, c.events, c.dram_activates) for run, c in runs if run.kind == "increment"]


def _prices(model: EnergyModel, names: Sequence[str], dram: bool) -> tuple[np.ndarray, float]:
    """pJ of one event of each name, and of one opened row: an image's energy is linear in them."""
    count = len(names)
    rows = np.concatenate([np.eye(count, dtype=np.int64), np.zeros((1, count), dtype=np.int64)])
    opened = np.zeros(count + 1)
    opened[-1] = 1
    onchip, total = totals(model.components_pj(Work(tuple(names), rows, opened)))
    priced = total if dram else onchip
    return priced[:-1], float(priced[-1])


def meter_prices(works: Sequence[Work], model: EnergyModel, *, dram: bool) -> dict[str, float]:
    """pJ of each event of METERED, from measured ``works``, one an increment. dram: DRAM's energy included; rows are
    opened by reads and writes alike.

    Energy of bit changes and opened rows is divided by the counts of what carries it, in each increment;
    the mean of those in which it occurs is taken. Where a carrier does not occur, cycles carry.
    """
    names = works[0].names
    priced, row_pj = _prices(model, names, dram)
    prices = {name: float(priced[names.index(name)]) for name in METERED}
    carried: dict[str, list[float]] = {name: [] for name in METERED}
    for work in works:
        totals_of = dict(zip(names, work.events.sum(axis=0).tolist(), strict=True))
        energy = dict.fromkeys(METERED, 0.0)
        for event in TOGGLES:
            if event.name in totals_of:
                carrier = CARRIER[event.name] if totals_of[CARRIER[event.name]] else "cycles"
                energy[carrier] += totals_of[event.name] * priced[names.index(event.name)]
        beats = totals_of["dram_read"] + totals_of["dram_write"]
        for name in ("dram_read", "dram_write"):
            energy[name] += float(work.dram_activates.sum()) * row_pj * totals_of[name] / beats
        for name, pj in energy.items():
            if totals_of[name]:
                carried[name].append(pj / totals_of[name])
    return {name: price + (float(np.mean(carried[name])) if carried[name] else 0.0) for name, price in prices.items()}


def meter_weights(prices: Mapping[str, float]) -> Weights:
    """Weights in the smallest unit, a power of two of pJ, in which the dearest event's fits."""
    dearest = max(prices[name] for name in METERED)
    if not 0 < dearest < math.inf or min(prices[name] for name in METERED) < 0:
        raise BadInput(f"the meter wants prices of 0 pJ or more, one of them above, not {dict(prices)}")
    unit = 2.0 ** (math.frexp(dearest)[1] - WEIGHT_BITS)
    values = [round(prices[name] / unit) for name in METERED]
    if max(values) >> WEIGHT_BITS:
        unit *= 2
        values = [round(prices[name] / unit) for name in METERED]
    return Weights(tuple(values), unit)


def meter_errors(works: Sequence[Work], model: EnergyModel, weights: Weights, *, dram: bool) -> list[dict[str, float]]:
    """The meter against the model, one of ``works`` after the other.

    ``energy_uj`` of the model and ``metered_uj`` are means of an image. ``error`` is of the mean, ``worst_image`` the
    largest of an image; both relative to the model's, signed.
    """
    found = []
    for work in works:
        onchip, total = totals(model.components_pj(work))
        energy, metered = (total if dram else onchip), weights.energy_pj(work)
        by_image = metered / energy - 1
        found.append(
            {
                "energy_uj": float(energy.mean()) / 1e6,
                "metered_uj": float(metered.mean()) / 1e6,
                "error": float(metered.mean() / energy.mean() - 1),
                "worst_image": float(by_image[np.argmax(np.abs(by_image))]),
            }
        )
    return found
