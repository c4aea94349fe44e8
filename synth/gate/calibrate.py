"""The calibrated model of a tile: which activity prices which part of it, fitted and tested at gate level."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.fit import Model, Windows, constant_per_mac, constant_power, fit, metrics
from synth.gate.reference import NEURON_CYCLES, Simulated

CYCLES = "cycles"  # what a part costs in every cycle, whatever happens: clock, registers that no gate stops, leakage


@dataclass(frozen=True)
class Part:
    """Blocks whose energy is fitted together, by these activities; component: of the report and of validation."""

    component: str
    blocks: tuple[str, ...]
    activity: tuple[str, ...]


_MOVES = ("toggle_answer", "toggle_total", "toggle_load", "toggle_dma", "toggle_ports")

#: The whole tile, each block in one part. An activity prices parts of one component of the report only.
PARTS: dict[str, Part] = {
    "products": Part(
        "nfu",
        ("products",),
        (NEURON_CYCLES, "multiply", "toggle_weight", "toggle_product", "toggle_digit"),
    ),
    "sum": Part("nfu", ("sum",), (NEURON_CYCLES, "accumulate", "toggle_product", "toggle_sum", "toggle_mask")),
    "accumulators": Part(
        "nfu",
        ("accumulators",),
        (
            *(NEURON_CYCLES, "accumulate", "toggle_accumulator"),
            *("toggle_stored", "toggle_written", "toggle_addend"),
        ),
    ),
    "neuron": Part(
        "nfu", ("activation", "neuron", "sb_logic"), (NEURON_CYCLES, "toggle_addend", "toggle_weight", "toggle_sum")
    ),
    "pooling": Part("nfu", ("pooling",), (NEURON_CYCLES, "toggle_pool_word", "toggle_pooled")),
    "array": Part("nfu", ("array",), (CYCLES, "toggle_index", "toggle_choice")),
    "post": Part("nfu", ("post",), (CYCLES, "toggle_pool_row", "toggle_pool_window", "toggle_post")),
    "dma": Part(
        "buffers",
        ("dma",),
        (CYCLES, *_MOVES, "toggle_late", "toggle_arbiter"),
    ),
    "ports": Part(
        "buffers",
        ("nbin_logic", "nbout_logic"),
        (CYCLES, *_MOVES, "toggle_row", "toggle_store", "toggle_late", "toggle_cell"),
    ),
    "arbiter": Part("buffers", ("arbiter",), (CYCLES, "toggle_arbiter", "toggle_ports")),
    "engine": Part(
        "control",
        ("engine",),
        (
            *(CYCLES, "toggle_engine", "toggle_next", "toggle_line"),
            *("toggle_window_row", "toggle_banks"),
        ),
    ),
    "fetch": Part(
        "control",
        ("fetch", "queues", "sequencer"),
        (CYCLES, "toggle_fetched", "toggle_answer", "toggle_control"),
    ),
    "tile": Part("control", ("tile",), (CYCLES, "toggle_gathered", "toggle_store")),
    "margin": Part("control", ("margin",), (CYCLES,)),
}
COMPONENTS = ("nfu", "buffers", "control")
BASELINES = {"constant_power": constant_power, "constant_per_mac": constant_per_mac}


@dataclass(frozen=True)
class Calibrated:
    """models: prices of each part. baselines: by component ("total" too) and name."""

    models: dict[str, Model]
    baselines: dict[str, dict[str, Model]]

    def of(self, component: str) -> Model:
        """The model of a component, or of "total"."""
        return self.of_blocks(blocks_of(component))

    def of_blocks(self, blocks: Collection[str]) -> Model:
        """The model of the parts whose blocks all are among ``blocks``."""
        prices: dict[str, float] = {}
        for name, model in self.models.items():
            if set(PARTS[name].blocks) <= set(blocks):
                for activity, price in model.prices_pj.items():
                    prices[activity] = prices.get(activity, 0.0) + price
        return Model(prices)


def blocks_of(component: str) -> tuple[str, ...]:
    """The blocks of a component, or of "total"."""
    return tuple(block for part in PARTS.values() if component in (part.component, "total") for block in part.blocks)


def windows_of(simulated: Mapping[str, Sequence[Simulated]], blocks: Sequence[str]) -> Windows:
    """The energy of ``blocks`` together beside all activity, of the recordings by their names."""
    items = [(label, k, item) for label, found in simulated.items() for k, item in enumerate(found)]
    first = items[0][2]
    if len({(item.names, item.blocks) for _, _, item in items}) != 1:
        raise BadInput("windows of the same activities and blocks are wanted: they come from different netlists")
    if unknown := sorted(set(blocks) - set(first.blocks)):
        raise BadInput(f"blocks of the netlists are wanted ({', '.join(first.blocks)}), not {', '.join(unknown)}")
    chosen = [first.blocks.index(block) for block in blocks]
    rows = [len(item.energy_pj) for _, _, item in items]
    return Windows(
        names=first.names,
        activity=np.concatenate([item.activity for _, _, item in items]).astype(np.float64),
        energy_pj=np.concatenate([item.energy_pj[:, chosen].sum(axis=(1, 2)) for _, _, item in items]),
        groups=np.repeat([f"{label} {k}" for label, k, _ in items], rows),
        increments=np.repeat([f"{label} {item.window.fraction:g}" for label, _, item in items], rows),
    )


def calibrate(simulated: Mapping[str, Sequence[Simulated]]) -> Calibrated:
    """Fit every part, and the baselines of every component."""
    models = {name: fit(windows_of(simulated, part.blocks), part.activity) for name, part in PARTS.items()}
    baselines = {}
    for component in (*COMPONENTS, "total"):
        windows = windows_of(simulated, blocks_of(component))
        baselines[component] = {name: baseline(windows) for name, baseline in BASELINES.items()}
    return Calibrated(models, baselines)


def errors_of(model: Calibrated, simulated: Mapping[str, Sequence[Simulated]]) -> dict[str, dict[str, float]]:
    """Errors on other stimulus, by component and of "total", with each one's share of the energy."""
    whole = windows_of(simulated, blocks_of("total")).energy_pj.sum()
    found = {}
    for component in (*COMPONENTS, "total"):
        windows = windows_of(simulated, blocks_of(component))
        found[component] = metrics(model.of(component), windows, model.baselines[component])
        found[component]["energy_share"] = float(windows.energy_pj.sum() / whole)
    return found
