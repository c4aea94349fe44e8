"""Numbers and tables of the page. None is a dash."""

import math
from collections.abc import Sequence

DASH = "-"
Ci = tuple[float, float] | None


def number(value: float | None, digits: int = 4) -> str:
    """``digits`` significant digits, never an exponent: 1,444 or 0.01234."""
    if value is None:
        return DASH
    places = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(9, max(0, places))}f}"


def printed(value: float | None) -> str:
    """A number of T16's tables, with its two places."""
    return DASH if value is None else f"{value:,.2f}"


def between(value: float, interval: Ci) -> str:
    """``1.234 (1.230 .. 1.240)``."""
    return number(value) if interval is None else f"{number(value)} ({number(interval[0])} .. {number(interval[1])})"


def percent(rate: float | None) -> str:
    """A share, 0 to 1."""
    return DASH if rate is None else f"{100 * rate:.2f} %"


def percents(value: float | None) -> str:
    """What is in percent already."""
    return DASH if value is None else f"{value:.2f} %"


def points(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def table(head: str, rows: Sequence[Sequence[str]]) -> str:
    """Markdown table; ``head`` has | between its cells."""
    cells = [cell.strip() for cell in head.split("|")]
    return "\n".join("| " + " | ".join(row) + " |" for row in (cells, ["---"] * len(cells), *rows)) + "\n"
