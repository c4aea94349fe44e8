"""Which register bits of a tile an event counts, component by component: what annotation coverage is made of."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from hw.monitor import Register, counted, named

NEURONS = "neurons"
_UNIQUE = re.compile(r"\$\d+")


def _place(register: Register) -> tuple[str, ...]:
    """Path and name without the numbers that keep Amaranth's names apart: they are not the same in two builds."""
    return tuple(_UNIQUE.sub("", part) for part in (*register.path, register.name))


def _component(place: tuple[str, ...]) -> str:
    """Instance in the tile that holds a register; ``neurons`` for all of theirs, ``tile`` for the tile's own."""
    inside = place[1:-1]
    if any(part.startswith("neuron_") for part in inside):
        return NEURONS
    return inside[0] if inside else "tile"


def annotation(built: Sequence[Register], measuring: Sequence[Register] | None) -> dict[str, dict[str, int]]:
    """Component -> ``bits`` of its registers and how many of them are ``counted``, sorted by name.

    built: registers of the tile as it would be made. measuring: of the same tile with activity, None where nothing
    counts. A bit is counted by hw.monitor, or by the counting bank that took its register's place in ``measuring``.
    """
    bits: Counter[tuple[str, ...]] = Counter()
    uncounted: Counter[tuple[str, ...]] = Counter()
    for register in built:
        bits[_place(register)] += register.width
    for register in built if measuring is None else measuring:
        uncounted[_place(register)] += register.width
    if measuring is not None:
        for register in chain(named(built), *counted(built).values()):
            uncounted[_place(register)] = 0
    found: dict[str, dict[str, int]] = {}
    for place, width in bits.items():
        entry = found.setdefault(_component(place), {"bits": 0, "counted": 0})
        entry["bits"] += width
        entry["counted"] += max(0, width - uncounted[place])
    return dict(sorted(found.items()))
