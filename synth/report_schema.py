"""Schema 1 of ``report.json``. docs/report.md describes every field; energies are means per image."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from synth.measurement import Accuracy, Simulation


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Energy = Annotated[float, Field(ge=0)]
Interval = tuple[float, float]


class EnergyUj(_Strict):
    """Energy per image in microjoules, by component. ``total`` is their sum, DRAM included."""

    nfu: Energy
    sb: Energy
    nbin: Energy
    nbout: Energy
    control: Energy
    clock: Energy
    leakage: Energy
    dram: Energy
    total: Energy


class Spread(_Strict):
    """Lowest and highest of the band profiles, and each of them: on-chip energy and total with DRAM."""

    low: Energy
    high: Energy
    total_low: Energy
    total_high: Energy
    profiles: dict[str, dict[Literal["onchip", "total"], Energy]]


class Figures(_Strict):
    """Energy and time of one run, with where they come from and how far they can be wrong."""

    cycles: float
    time_us: float
    energy_uj: EnergyUj
    energy_low_uj: EnergyUj
    energy_high_uj: EnergyUj
    energy_ci99_uj: Interval | None
    energy_onchip_uj: Energy
    energy_onchip_ci99_uj: Interval | None
    energy_profiles_uj: Spread
    source_level: Literal["table", "rtl_activity", "gate"]
    source_levels: dict[str, Literal["table", "rtl_activity", "gate"]]
    accuracy: Accuracy
    images_compared: int
    words_compared: int
    mismatches: int


class Increment(Figures):
    fraction: float
    channels: list[int]
    macs: int
    dram_bytes: int
    limit_cycles: int


class Opportunistic(Figures):
    """stops: images that stopped at each increment. accuracy_drop: full network's RTL accuracy less this one's.

    saving: share of the full network's on-chip energy saved; saving_with_dram: of its total.
    """

    score: Literal["raw", "softmax"]
    thresholds: list[float]
    stops: list[int]
    accuracy_drop: float
    saving: float
    saving_with_dram: float


class TechnologyOfReport(_Strict):
    name: str
    node_nm: int
    profile: str
    voltage_v: float
    title: str


class PaperFigure(_Strict):
    """A figure printed in a paper for another machine, beside ours: never used in a computation."""

    fraction: float
    time_us: float
    energy_uj: float
    source: str


class Coverage(_Strict):
    """What the figures cover and what they do not."""

    images: int
    confidence: str
    band: str
    not_covered: list[str]


class Report(_Strict):
    file_schema: Literal[1] = Field(alias="schema")
    network: str
    dataset: str
    format: str
    tile: dict[str, Any]
    tile_hash: str
    register_bits: int
    technology: TechnologyOfReport
    activity: bool
    images: int
    seed: int
    versions: dict[str, str]
    commit: str
    command: str
    simulation: Simulation
    coverage: Coverage
    increments: list[Increment]
    opportunistic: Opportunistic | None
    paper: list[PaperFigure]

    def runs(self) -> list[tuple[str, Figures]]:
        """Every run with the name it is shown under: an increment's fraction, or ``opportunistic``."""
        named: list[tuple[str, Figures]] = [(f"{item.fraction:g}", item) for item in self.increments]
        return [*named, ("opportunistic", self.opportunistic)] if self.opportunistic else named
