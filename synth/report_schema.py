"""Schema 1 of ``report.json``. docs/report.md describes every field; energies are means per image."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth.annotation import LEAST
from synth.measurement import Accuracy, RegisterShare, Simulation


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Energy = Annotated[float, Field(ge=0)]
Interval = tuple[float, float]
SourceLevel = Literal["table", "rtl_activity", "gate"]
Share = Annotated[float, Field(ge=LEAST, le=1)]


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


class Figure(_Strict):
    """An energy with what it takes to judge it. band_uj: with every price at the low, then the high edge of its band.

    coverage: annotation coverage, share of what the energy is made of whose activity was counted (synth.annotation).
    """

    value_uj: Energy
    band_uj: Interval
    source_level: SourceLevel
    profile: str
    coverage: Share

    @model_validator(mode="after")
    def _ordered(self) -> "Figure":
        if not 0 <= self.band_uj[0] <= self.value_uj <= self.band_uj[1]:
            raise ValueError(f"wants 0 <= low <= {self.value_uj} <= high, not {self.band_uj}")
        return self


class EnergyFigures(_Strict):
    """The energies of ``energy_uj``, and ``onchip``, each as a whole figure."""

    nfu: Figure
    sb: Figure
    nbin: Figure
    nbout: Figure
    control: Figure
    clock: Figure
    leakage: Figure
    dram: Figure
    onchip: Figure
    total: Figure


class DramFigures(_Strict):
    """``dram`` by command and standing term; io and termination are of reads and writes together."""

    activate: Figure
    read: Figure
    write: Figure
    io: Figure
    termination: Figure
    background: Figure
    refresh: Figure


class ProfileFigures(_Strict):
    """The same counts under another profile."""

    onchip: Energy
    total: Energy
    onchip_figure: Figure | None = None
    total_figure: Figure | None = None


class Spread(_Strict):
    """Lowest and highest of the band profiles, and each of them: on-chip energy and total with DRAM."""

    low: Energy
    high: Energy
    total_low: Energy
    total_high: Energy
    profiles: dict[str, ProfileFigures]


class Figures(_Strict):
    """Energy and time of one run, with where they come from and how far they can be wrong.

    energy_figures, dram_figures: None only in reports of versions that did not write them.
    """

    cycles: float
    time_us: float
    energy_uj: EnergyUj
    energy_low_uj: EnergyUj
    energy_high_uj: EnergyUj
    energy_ci99_uj: Interval | None
    energy_onchip_uj: Energy
    energy_onchip_ci99_uj: Interval | None
    energy_profiles_uj: Spread
    energy_figures: EnergyFigures | None = None
    dram_figures: DramFigures | None = None
    source_level: SourceLevel
    source_levels: dict[str, SourceLevel]
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


class StopEnergy(_Strict):
    """Mean energy of the images that stopped at one increment, all that they passed included."""

    onchip_uj: Energy
    total_uj: Energy


class Opportunistic(Figures):
    """stops: images that stopped at each increment. accuracy_drop: full network's RTL accuracy less this one's.

    saving: share of the full network's on-chip energy saved; saving_with_dram: of its total. stop_energy: per
    increment, None where no image stopped; absent from reports of versions that did not write it.
    """

    score: Literal["raw", "softmax"]
    thresholds: list[float]
    stops: list[int]
    accuracy_drop: float
    saving: float
    saving_with_dram: float
    stop_energy: list[StopEnergy | None] | None = None


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
    activity: str = ""
    annotation: str = ""
    not_covered: list[str]


class Report(_Strict):
    file_schema: Literal[1] = Field(alias="schema")
    network: str
    dataset: str
    format: str
    tile: dict[str, Any]
    tile_hash: str
    register_bits: int
    annotation: dict[str, RegisterShare] = {}
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
