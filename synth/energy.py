"""Energy from events: counts of one tile times one technology file, image by image.

energy(component) = sum of count x price, plus rates x time. Each component's formula stands in docs/energy.md.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from hw.errors import BadInput
from hw.events import TOGGLES, WORK, event_names
from hw.params import TileParams
from synth.technology import COMPONENTS, DRAM_EVENTS, EVENT_KEYS, ONCHIP, RATES, VIEW_EVENTS, Banded, Level, Technology

Edge = Literal["low", "value", "high"]
EDGES: tuple[Edge, ...] = ("low", "value", "high")
CONFIDENCE = 0.99
#: What the DRAM's energy is made of, by command and by what it stands by.
DRAM_PARTS = ("activate", "read", "write", "io", "termination", "background", "refresh")
ACTIVATES = "dram_activates"


@dataclass(frozen=True)
class Work:
    """What one run did: event names, counts [images, events] and DRAM rows opened [images]."""

    names: tuple[str, ...]
    events: np.ndarray
    dram_activates: np.ndarray

    def count(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise BadInput(f"the energy model wants a count of event {name}; the measurement has none")
        return self.events[:, self.names.index(name)].astype(np.float64)


class EnergyModel:
    """Prices one tile with one technology.

    register_bits: flip-flops clocked every cycle. activity: the measurement holds toggle counts.
    ``level`` is the source level of the NFU: ``rtl_activity`` from toggles, ``table`` from constants per operation.
    """

    def __init__(self, technology: Technology, params: TileParams, register_bits: int, activity: bool) -> None:
        self.technology = technology
        self.level: Level = technology.level(activity)
        self._params = params
        self._fmt = str(params.fmt)
        self._units: dict[str, float] = {
            "nfu_pj_per_lane_cycle": params.neurons * params.synapses,
            "control_pj_per_cycle": 1,
            "clock_pj_per_bit_cycle": register_bits,
        }
        for name, size in (("sb", params.sb_bytes), ("nbin", params.nbin_bytes), ("nbout", params.nbout_bytes)):
            self._units[f"{name}_pj_per_kib_cycle"] = size / 1024
            self._units[f"{name}_leakage_mw_per_kib"] = size / 1024

    @property
    def source_levels(self) -> dict[str, Level]:
        """Source level of each component: ``rtl_activity`` where measured toggles price a part of it."""
        toggled = {self.component(event.name) for event in TOGGLES} if self.level == "rtl_activity" else set()
        return {name: "rtl_activity" if name in toggled else "table" for name in COMPONENTS}

    def component(self, key: str) -> str | None:
        """Component that an event's or a rate's price goes to at this level; None where it is free."""
        price = self.technology.price(self._fmt, key, self.level)
        return None if price is None else price.component

    def counts(self) -> dict[str, set[str]]:
        """Component -> counts that its energy is made of: events, ``cycles``, ``dram_activates``."""
        found: dict[str, set[str]] = {name: set() for name in COMPONENTS}
        events = [name for name in EVENT_KEYS if self.level == "rtl_activity" or not name.startswith("toggle_")]
        for key in (*events, *RATES):
            if component := self.component(key):
                found[component].add("cycles" if key in RATES else key)
        found["dram"] |= {*DRAM_EVENTS, ACTIVATES, "cycles"}
        return found

    def components_pj(self, work: Work, edge: Edge = "value") -> dict[str, np.ndarray]:
        """Energy in pJ [images] of each component, with every price at its value or at one edge of its band."""

        def at(price: Banded) -> float:
            return float(getattr(price, edge))

        energy = {name: np.zeros(len(work.events)) for name in COMPONENTS}
        for name in work.names:
            if name in DRAM_EVENTS or name in VIEW_EVENTS:
                continue
            if name not in EVENT_KEYS:
                raise BadInput(f"event {name} is unknown to hw/events.py: it has no energy")
            if name.startswith("toggle_") and self.level == "table":
                continue
            price = self.technology.price(self._fmt, name, self.level)
            if price is not None:
                energy[price.component] += work.count(name) * at(price)
        cycles = work.count("cycles")
        time_ns = cycles * self._params.clock_ns
        for key in RATES:
            price = self.technology.price(self._fmt, key, self.level)
            if price is not None:
                # mW x ns = pJ
                span = time_ns if "_mw_" in key else cycles
                energy[price.component] += span * (at(price) * self._units[key])
        energy["dram"] = np.sum(list(self.dram_pj(work, edge).values()), axis=0)
        return energy

    def dram_pj(self, work: Work, edge: Edge = "value") -> dict[str, np.ndarray]:
        """Energy in pJ [images] of each of DRAM_PARTS; their sum is the component ``dram``."""

        def at(name: str) -> float:
            return float(getattr(getattr(self.technology.dram, name), edge))

        time_ns = work.count("cycles") * self._params.clock_ns
        bits = {way: work.count(f"dram_{way}") * self._params.beat_bits for way in ("read", "write")}

        def moved(part: str) -> np.ndarray:
            return sum((bits[way] * at(f"{way}_{part}_pj_per_bit") for way in bits), np.zeros(len(time_ns)))

        return {
            "activate": work.dram_activates * at("activate_pj_per_row"),
            **{way: bits[way] * at(f"{way}_core_pj_per_bit") for way in bits},
            "io": moved("io"),
            "termination": moved("termination") + time_ns * at("idle_termination_mw"),
            "background": time_ns * at("background_mw"),
            "refresh": time_ns * at("refresh_mw"),
        }


def event_prices(technology: Technology, params: TileParams, register_bits: int) -> dict[str, float]:
    """pJ of one event of each kind that a program alone decides, and of a cycle, DRAM included but for opening rows:
    what golden.mapping.map_network takes to choose by energy."""
    names = event_names(False)
    every = Work(names, np.eye(len(names), dtype=np.int64), np.zeros(len(names)))
    _, pj = totals(EnergyModel(technology, params, register_bits, False).components_pj(every))
    wanted = {*(event.name for event in WORK), "cycles"}
    return {name: float(price) for name, price in zip(names, pj, strict=True) if name in wanted}


def totals(energy: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(on-chip, with DRAM) sums [images] of components."""
    onchip = np.sum([energy[name] for name in ONCHIP], axis=0)
    return onchip, onchip + energy["dram"]


def interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Student-t confidence interval of the mean of ``values`` [images]; None for fewer than two images."""
    if len(values) < 2:
        return None
    mean = float(np.mean(values))
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean - half, mean + half
