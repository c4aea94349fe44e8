"""Access to the source tables in ``synth/tech/data``: one row by its columns, refused when there is not exactly one."""

import csv
import functools
from dataclasses import dataclass

from hw.errors import BadInput
from synth.technology import TECH_DIR


@dataclass(frozen=True)
class Entry:
    """One value of a technology file before it is written: number, band, volts, source, component, level."""

    value: float
    low: float
    high: float
    voltage_v: float
    source: str
    component: str = ""
    level: str = "both"


@functools.cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """All rows of ``<name>.csv``."""
    with (TECH_DIR / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return tuple(csv.DictReader(handle))


def row(name: str, source_has: str = "", nth: int | None = None, **columns: str) -> dict[str, str]:
    """The row of ``<name>.csv`` whose columns equal ``columns`` and whose source holds ``source_has``.

    Without ``nth`` it must be the only one; with it, the nth of those found.
    """
    found = [
        item
        for item in table(name)
        if source_has in item["source"] and all(item[key] == value for key, value in columns.items())
    ]
    if nth is None and len(found) != 1 or nth is not None and nth >= len(found):
        raise BadInput(f"table {name}.csv wants one row with {columns} {source_has!r}, found {len(found)}")
    return found[nth or 0]


def number(item: dict[str, str], column: str) -> float:
    """A column of a row as a number."""
    return float(item[column])


def other(quantity: str) -> float:
    """A value of other.csv."""
    return number(row("other", quantity=quantity), "value")
