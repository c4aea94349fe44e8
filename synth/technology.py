"""Technology files: what one event, one toggled bit, one cycle or one millisecond costs, with source and band.

A file prices every event of ``hw.events`` or says why one is free. Keys carry their unit: the price of event
``sb_read`` (unit word) is ``sb_read_pj_per_word``; a cost over time is one of ``RATES``. Nothing is assumed for a
missing key.
"""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hw.errors import BadInput
from hw.events import CYCLE_KINDS, TIME, TOGGLES, WORK

TECH_DIR = Path(__file__).parent / "tech"
DEFAULT_PROFILE = "macro65"
#: Profiles recomputed beside the chosen one; their spread is the uncertainty of the memory model.
BAND_PROFILES = ("cacti-lop65", "macro65", "tann65")

COMPONENTS = ("nfu", "sb", "nbin", "nbout", "control", "clock", "leakage", "dram")
ONCHIP = COMPONENTS[:-1]

#: Costs over time: key -> component. kib = KiB of that buffer, lane = one multiplier, bit = one register bit.
RATES = {
    "nfu_pj_per_lane_cycle": "nfu",
    "sb_pj_per_kib_cycle": "sb",
    "nbin_pj_per_kib_cycle": "nbin",
    "nbout_pj_per_kib_cycle": "nbout",
    "control_pj_per_cycle": "control",
    "clock_pj_per_bit_cycle": "clock",
    "sb_leakage_mw_per_kib": "leakage",
    "nbin_leakage_mw_per_kib": "leakage",
    "nbout_leakage_mw_per_kib": "leakage",
}

#: Events priced by the ``dram`` table, and the cycle kinds, which only split ``cycles``.
DRAM_EVENTS = ("dram_read", "dram_write")
VIEW_EVENTS = tuple(event.name for event in TIME + CYCLE_KINDS)

#: Key of the price of each event that a format's table must price or declare free.
EVENT_KEYS = {
    event.name: f"{event.name}_pj_per_{event.unit.replace('-', '_')}"
    for event in WORK + TOGGLES
    if event.name not in DRAM_EVENTS
}

Level = Literal["table", "rtl_activity"]
Text = Annotated[str, Field(min_length=8)]


class Banded(BaseModel):
    """A number with its band: low <= value <= high, none negative."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    low: float
    high: float
    voltage_v: float = Field(gt=0)
    source: Text

    @model_validator(mode="after")
    def _ordered(self) -> "Banded":
        if not 0 <= self.low <= self.value <= self.high or not math.isfinite(self.high):
            raise ValueError(f"wants 0 <= low <= value <= high, not {self.low}, {self.value}, {self.high}")
        return self


class Price(Banded):
    """Cost of one count or of time; ``level`` limits it to one way of pricing the NFU."""

    node_nm: int = Field(gt=0)
    component: Literal["nfu", "sb", "nbin", "nbout", "control", "clock", "leakage"]
    level: Literal["both", "table", "rtl_activity"] = "both"


class Free(BaseModel):
    """An event or rate that costs nothing here, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Text
    level: Literal["both", "table", "rtl_activity"] = "both"


class DramPrice(Banded):
    """A DRAM value; ``device`` stands where on-chip values have a node."""

    device: Text


class Dram(BaseModel):
    """DRAM of the whole rank: bits moved, rows opened, time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    read_core_pj_per_bit: DramPrice
    write_core_pj_per_bit: DramPrice
    read_io_pj_per_bit: DramPrice
    write_io_pj_per_bit: DramPrice
    read_termination_pj_per_bit: DramPrice
    write_termination_pj_per_bit: DramPrice
    activate_pj_per_row: DramPrice
    background_mw: DramPrice
    refresh_mw: DramPrice
    idle_termination_mw: DramPrice


class FormatPrices(BaseModel):
    """Prices of one number format. Every event and rate is priced or free, at each level the file offers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prices: dict[str, Price]
    free: dict[str, Free]

    @model_validator(mode="after")
    def _known(self) -> "FormatPrices":
        by_event = {key: event for event, key in EVENT_KEYS.items()}
        for key, price in self.prices.items():
            if key in RATES:
                if price.component != RATES[key]:
                    raise ValueError(f"{key} wants component {RATES[key]}, not {price.component}")
            elif key not in by_event:
                event = next((name for name in EVENT_KEYS if key.startswith(f"{name}_")), None)
                wanted = EVENT_KEYS[event] if event else "an event of hw/events.py or a rate"
                raise ValueError(f"price {key!r} is unknown, wanted {wanted}")
        for name in self.free:
            if name not in EVENT_KEYS and name not in RATES:
                raise ValueError(f"free entry {name!r} is neither an event of hw/events.py nor a rate")
        return self


class Technology(BaseModel):
    """One technology file. ``levels``: the ways it can price the NFU, from a table or from measured toggles."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    file_schema: Literal[1] = Field(alias="schema")
    name: str
    profile: str
    title: Text
    node_nm: int = Field(gt=0)
    voltage_v: float = Field(gt=0)
    levels: tuple[Level, ...] = Field(min_length=1)
    not_covered: tuple[str, ...]
    formats: dict[str, FormatPrices] = Field(min_length=1)
    dram: Dram

    def level(self, activity: bool) -> Level:
        """Source level of the NFU's energy for a measurement with or without toggles."""
        return "rtl_activity" if activity and "rtl_activity" in self.levels else "table"

    def format_prices(self, fmt: str) -> FormatPrices:
        if fmt not in self.formats:
            raise BadInput(f"technology {self.name} has prices for formats {', '.join(self.formats)}, not {fmt}")
        return self.formats[fmt]

    def price(self, fmt: str, key: str, level: Level) -> Price | None:
        """Price under ``key`` (an event's name or a rate's) at ``level``; None when declared free; else refused."""
        table = self.format_prices(fmt)
        price = table.prices.get(EVENT_KEYS.get(key, key))
        if price is not None and price.level in ("both", level):
            return price
        free = table.free.get(key)
        if free is not None and free.level in ("both", level):
            return None
        what = "rate" if key in RATES else "event"
        raise BadInput(
            f"technology {self.name}, format {fmt}: {what} {key} has no {level} price; "
            f"add {EVENT_KEYS.get(key, key)} or declare it free with a reason"
        )


def first_error(error: ValidationError) -> str:
    """One line of a pydantic error: where and what."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"


def load_technology(name: str | Path) -> Technology:
    """Read a profile by name from ``synth/tech`` or a technology file by path; refuses a bad one in one line."""
    path = Path(name)
    if path.suffix != ".toml":
        path = TECH_DIR / f"{name}.toml"
    if not path.is_file():
        raise BadInput(f"technology profile wants one of {', '.join(profiles())}, or a .toml file, not {str(name)!r}")
    try:
        technology = Technology.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"technology file {path.name} wants TOML: {error}") from None
    except ValidationError as error:
        raise BadInput(f"technology file {path.name}: {first_error(error)}") from None
    for fmt in technology.formats:
        for level in technology.levels:
            events = [name for name in EVENT_KEYS if level == "rtl_activity" or not name.startswith("toggle_")]
            for key in (*events, *RATES):
                technology.price(fmt, key, level)
    return technology


def profiles() -> tuple[str, ...]:
    """Names of the profiles that ship, sorted."""
    return tuple(sorted(path.stem for path in TECH_DIR.glob("*.toml")))
