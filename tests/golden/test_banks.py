"""Places in DRAM: a searched program is quicker than one without gaps, and its gaps hold nothing."""

import math

import pytest
from torch import nn

from golden.mapping import Mapped, map_network
from golden.mapping.assembly import Gaps
from golden.mapping.banks import IMAGES, MOST_CYCLES, SHORT_CYCLES, Assemble, gaps, quickest
from golden.timing import DDR3, predict_images
from golden.verify import verify
from hw.isa import isa
from hw.params import preset
from tests.golden.random_networks import increments, networks

FRACTIONS = (0.25, 0.6, 1.0)
SHAPE = (1, 20, 20)


def price(mapped: Mapped) -> float:
    """What the search makes least, of increments short enough for it."""
    found = [[image.cycles for image in predict_images(mapped, k, DDR3(), IMAGES)] for k in range(len(FRACTIONS))]
    assert all(cycles[0] < MOST_CYCLES for cycles in found)
    return sum(math.log(sum(cycles) if cycles[0] < SHORT_CYCLES else cycles[0]) for cycles in found)


def test_places_are_quicker_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    p, seen = preset("paper16"), []

    def noted(assemble: Assemble, count: int, together: bool) -> Mapped:
        seen.append(assemble(Gaps(), [0] * count))
        return quickest(assemble, count, together)

    monkeypatch.setattr("golden.mapping.mapper.quickest", noted)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1296, 32), nn.ReLU(), nn.Linear(32, 10)
    )
    placed = map_network(networks(increments(module, FRACTIONS, SHAPE), SHAPE, p), p)
    (without,) = seen
    first = verify(placed).instructions * isa(p).instruction_bytes
    gap = placed.scratch_address - without.scratch_address
    assert gap in gaps(p)
    assert len(placed.image) - len(without.image) == gap * p.dram_beat_bytes
    end = first + gap * p.dram_beat_bytes
    assert not any(placed.image[first:end])
    assert placed.image[end:] == without.image[first:]
    assert placed.image_address - without.image_address - gap in gaps(p)
    assert price(placed) < price(without)
