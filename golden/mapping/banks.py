"""Where spilled maps and images lie in DRAM: apart by so many rows that what is used together meets in few banks."""

import math
from collections.abc import Callable, Mapping, Sequence

from golden.dram_timing import DDR3_1600K
from golden.mapping.mapped import Mapped
from golden.timing import DDR3, predict_images
from hw.params import TileParams

IMAGES = 2  # of a short increment that are predicted: each lies in other rows
SHORT_CYCLES, MOST_CYCLES = 15_000, 45_000  # of an increment; a longer one loses little to row misses

Assemble = Callable[[int, Sequence[int]], Mapped]
"""Beats between scratch area and images, and from the scratch area's start to each increment's maps in it."""


def gaps(p: TileParams) -> list[int]:
    """Distances to choose from, in beats: one for every bank."""
    row_beats = DDR3_1600K.row_bytes // p.dram_beat_bytes
    return [row * row_beats for row in range(DDR3_1600K.banks)]


def quickest(assemble: Assemble, increments: int, together: bool) -> Mapped:
    """The program with the fewest predicted cycles: by the place of the images, the same for all increments, then by
    that of each increment's scratch maps, or of all of them ``together``; and both once more, as one depends on the
    other."""
    still = [0] * increments
    first = assemble(0, still)
    found = {k: predict_images(first, k, DDR3(), 1)[0].cycles for k in range(increments)}
    images = {k: IMAGES if count < SHORT_CYCLES else 1 for k, count in found.items() if count < MOST_CYCLES}

    def cycles(mapped: Mapped) -> dict[int, int]:
        return {
            k: sum(image.cycles for image in predict_images(mapped, k, DDR3(), count)) for k, count in images.items()
        }

    places = list(still)
    for _ in range(2 if first.scratch_beats else 1):
        image = _least({gap: cycles(assemble(gap, places)) for gap in gaps(first.params)})
        if first.scratch_beats:
            moved = {gap: cycles(assemble(image, [gap] * increments)) for gap in gaps(first.params)}
            for k in images:
                places[k] = min((found[k], gap) for gap, found in moved.items())[1]
            if together:
                places = [_least(moved)] * increments
    return assemble(image, places)


def _least(tried: Mapping[int, Mapping[int, int]]) -> int:
    """The gap with the least product of all increments' cycles."""
    return min(tried, key=lambda gap: sum(math.log(cycles) for cycles in tried[gap].values()))
