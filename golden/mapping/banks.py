"""Where constants, spilled maps and images lie in DRAM: apart by so many rows that what is used together meets in few
banks; and which of an increment's programs is the quickest there."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from golden.dram_timing import DDR3_1600K
from golden.mapping.assembly import Gaps
from golden.mapping.mapped import Mapped
from golden.timing import DDR3, predict_images
from hw.params import TileParams

IMAGES = 2  # of a short increment that are predicted: each lies in other rows
SHORT_CYCLES, MOST_CYCLES = 15_000, 45_000  # of an increment; a longer one loses little to row misses


@dataclass(frozen=True)
class Choice:
    """Gaps; each increment's beats from the scratch area's start to its maps, and which of its programs it takes."""

    gaps: Gaps
    scratch: tuple[int, ...]
    programs: tuple[int, ...]

    @classmethod
    def first(cls, increments: int) -> "Choice":
        """No gaps, and everybody's first program."""
        return cls(Gaps(), (0,) * increments, (0,) * increments)


Assemble = Callable[[Choice], Mapped]


def gaps(p: TileParams) -> list[int]:
    """Distances to choose from, in beats: one for every bank."""
    row_beats = DDR3_1600K.row_bytes // p.dram_beat_bytes
    return [row * row_beats for row in range(DDR3_1600K.banks)]


def quickest(assemble: Assemble, programs: Sequence[int], together: bool) -> Mapped:
    """The program with the fewest predicted cycles: by the places of constants (every second bank) and images, the same
    for all increments, then by that of each increment's scratch maps, or of all of them ``together``; by each
    increment's choice of its ``programs``; images and scratch maps once more, as all depend on each other."""
    increments = len(programs)
    places = Choice.first(increments)
    first = assemble(places)
    apart = gaps(first.params)
    found = {k: predict_images(first, k, DDR3(), 1)[0].cycles for k in range(increments)}
    images = {k: IMAGES if count < SHORT_CYCLES else 1 for k, count in found.items() if count < MOST_CYCLES}
    known: dict[Choice, dict[int, int]] = {}

    def of_one(mapped: Mapped, k: int) -> int:
        memory = DDR3(result_address=mapped.image_address + images[k] * mapped.image_beats)  # behind all of them
        return sum(image.cycles for image in predict_images(mapped, k, memory, images[k]))

    def cycles(tried: Choice) -> dict[int, int]:
        if tried not in known:
            mapped = assemble(tried)
            known[tried] = {k: of_one(mapped, k) for k in images}
        return known[tried]

    def by_gaps(constants: Sequence[int]) -> Choice:
        return least([Gaps(ahead, places.gaps.own, behind) for ahead in constants for behind in apart])

    def by_own() -> Choice:
        return least([replace(places.gaps, own=gap) for gap in apart])

    def least(tried: Sequence[Gaps]) -> Choice:
        choices = [replace(places, gaps=gaps) for gaps in tried]
        return choices[_least([cycles(choice) for choice in choices])]

    def by_programs() -> Choice:
        """Program after program, each where that helps all increments: a longer one moves what lies behind it."""
        best = places
        for k in images:
            tried = [_with(best, k, number) for number in range(programs[k])]
            quick = min(tried, key=lambda choice: of_one(assemble(choice), k))
            best = [best, quick][_least([cycles(best), cycles(quick)])]
        return best

    def by_scratch() -> Choice:
        moved = [cycles(replace(places, scratch=(gap,) * increments)) for gap in apart]
        if together:
            return replace(places, scratch=(apart[_least(moved)],) * increments)
        scratch = list(places.scratch)
        for k in images:
            scratch[k] = min((found[k], gap) for gap, found in zip(apart, moved, strict=True))[1]
        return replace(places, scratch=tuple(scratch))

    places = by_gaps(apart[::2])
    places = by_own()
    if first.scratch_beats:
        places = by_scratch()
    places = by_programs()
    places = by_own()
    if first.scratch_beats:
        places = by_gaps([places.gaps.constants])
        places = by_scratch()
    return assemble(places)


def _with(choice: Choice, k: int, program: int) -> Choice:
    """The same with another program of increment ``k``."""
    return replace(choice, programs=(*choice.programs[:k], program, *choice.programs[k + 1 :]))


def _least(tried: Sequence[Mapping[int, int]]) -> int:
    """Which has the least product of all increments' cycles."""
    return min(range(len(tried)), key=lambda at: sum(math.log(cycles) for cycles in tried[at].values()))
