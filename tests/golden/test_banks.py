"""Places in DRAM: a searched program is quicker than one without gaps, and its gaps hold nothing. Of an increment's
programs the one is taken that is the quickest at its place, unless that slows others down."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import cast

import pytest
from torch import nn

from golden.mapping import Mapped, map_network
from golden.mapping.assembly import Gaps
from golden.mapping.banks import IMAGES, MOST_CYCLES, SHORT_CYCLES, Assemble, Choice, gaps, quickest
from golden.mapping.layout import line_beats
from golden.mapping.pieces import pack_weights
from golden.timing import DDR3, Memory, predict_images
from golden.verify import verify
from hw.isa import isa
from hw.params import TileParams, preset
from tests.golden.random_networks import increments, networks

FRACTIONS = (0.25, 0.6, 1.0)
SHAPE = (1, 20, 20)


def price(mapped: Mapped) -> float:
    """What the search makes least, of increments short enough for it."""
    memory = DDR3(result_address=mapped.image_address + IMAGES * mapped.image_beats)
    found = [[image.cycles for image in predict_images(mapped, k, memory, IMAGES)] for k in range(len(FRACTIONS))]
    assert all(cycles[0] < SHORT_CYCLES for cycles in found)
    return sum(math.log(sum(cycles)) for cycles in found)


@dataclass
class Searched:
    """A search that ran: its result, the choices it assembled, the result's last, and how to assemble others.
    shared_beats: of the constants of all increments."""

    mapped: Mapped
    tried: list[Choice]
    assemble: Assemble
    programs: Sequence[int]
    shared_beats: int


def search(p: TileParams, channels: int, kernel: int, hidden: int) -> Searched:
    """The search of a network of three layers."""
    runs: list[Searched] = []

    def noted(assemble: Assemble, programs: Sequence[int], together: bool) -> Mapped:
        tried: list[Choice] = []

        def recorded(choice: Choice) -> Mapped:
            tried.append(choice)
            return assemble(choice)

        mapped = quickest(recorded, programs, together)
        runs.append(Searched(mapped, tried, assemble, programs, shared_beats))
        return mapped

    inputs = channels * (SHAPE[1] - kernel + 1) * (SHAPE[2] - kernel + 1)
    module = nn.Sequential(
        nn.Conv2d(1, channels, kernel), nn.ReLU(), nn.Flatten(),
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 10),
    )  # fmt: skip
    nets = networks(increments(module, FRACTIONS, SHAPE), SHAPE, p)
    biases = sum(-(-len(layer.weight) // p.neurons) for layer in nets[-1].layers[:-1])
    weights = [lines for layer in nets[-1].layers[:-1] for lines in pack_weights(layer, p)]
    shared_beats = line_beats(biases, p) + sum(block.shape[0] * line_beats(block.shape[1], p) for block in weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("golden.mapping.mapper.quickest", noted)
        mapped = map_network(nets, p)
    (run,) = runs
    assert run.mapped is mapped
    return run


def test_places_are_quicker_than_none() -> None:
    p = preset("paper32")
    searched = search(p, 6, 3, 40)
    placed = searched.mapped
    without = searched.assemble(replace(Choice.first(len(FRACTIONS)), programs=searched.tried[-1].programs))
    chosen = searched.tried[-1].gaps
    assert {chosen.constants, chosen.own, chosen.images} <= set(gaps(p))
    assert chosen.constants
    assert chosen.own
    program = verify(placed).instructions * isa(p).instruction_bytes
    shared = program + searched.shared_beats * p.dram_beat_bytes  # its end
    ahead, own = chosen.constants * p.dram_beat_bytes, chosen.own * p.dram_beat_bytes
    image = without.image
    assert placed.image[program:] == bytes(ahead) + image[program:shared] + bytes(own) + image[shared:]
    assert placed.scratch_address - without.scratch_address == chosen.constants + chosen.own
    assert placed.image_address - without.image_address == chosen.constants + chosen.own + chosen.images
    assert price(placed) < price(without)


def test_programs_are_tried_at_their_places_and_taken_where_they_are_quicker() -> None:
    searched = search(preset("paper16"), 4, 5, 60)
    last = searched.tried[-1]
    assert all(count > 1 for count in searched.programs)
    for k, count in enumerate(searched.programs):
        assert {choice.programs[k] for choice in searched.tried} == set(range(count))
    assert any(last.programs)
    assert searched.mapped.segments == searched.assemble(last).segments
    everybodys_first = searched.assemble(replace(last, programs=(0,) * len(FRACTIONS)))
    assert everybodys_first.segments != searched.mapped.segments
    assert price(searched.mapped) < price(everybodys_first)


# -- choices whose cycles are made up ----------------------------------------------------------------------------

Cycles = Callable[[Choice, int], int]


@dataclass(frozen=True)
class Made:
    """What the search asks of a program."""

    choice: Choice
    params: TileParams
    scratch_beats: int
    image_address: int = 7
    image_beats: int = 5


@dataclass(frozen=True)
class Image:
    cycles: int


def choose(
    cycles: Cycles, programs: Sequence[int], monkeypatch: pytest.MonkeyPatch, *, together: bool = False,
    scratch: int = 0,
) -> list[Choice]:  # fmt: skip
    """The choices that a search assembles, its result the last one; cycles: of an increment's image."""
    tried: list[Choice] = []

    def assemble(choice: Choice) -> Mapped:
        tried.append(choice)
        return cast(Mapped, Made(choice, preset("paper16"), scratch))

    def predicted(made: Made, k: int, memory: Memory, images: int) -> list[Image]:
        assert memory in (DDR3(), DDR3(result_address=7 + images * 5))
        return [Image(cycles(made.choice, k))] * images

    with monkeypatch.context() as patch:
        patch.setattr("golden.mapping.banks.predict_images", predicted)
        assert cast(Made, quickest(assemble, programs, together)).choice == tried[-1]
    return tried


def measure(cycles: Cycles, choice: Choice) -> float:
    return sum(math.log(cycles(choice, k)) for k in range(len(choice.programs)))


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("scratch", [0, 100])
def test_each_increment_takes_its_quickest(
    scratch: int, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    apart = gaps(preset("paper16"))
    wanted = Choice(
        Gaps(apart[2], apart[4], apart[5]), (apart[3],) * 3 if together else (apart[3], apart[1], apart[7]), (2, 0, 3)
    )

    def cycles(choice: Choice, k: int) -> int:
        pairs = zip(astuple(choice.gaps), astuple(wanted.gaps), strict=True)
        found = 1000 + sum(10 * (gap != best) for gap, best in pairs)
        return found + 5 * (choice.scratch[k] != wanted.scratch[k]) + 20 * (choice.programs[k] != wanted.programs[k])

    result = choose(cycles, [3, 2, 4], monkeypatch, together=together, scratch=scratch)[-1]
    assert result == (wanted if scratch else replace(wanted, scratch=(0, 0, 0)))


def test_places_are_chosen_again_for_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is quicker, and quickest with its images and scratch maps elsewhere than the first one's."""
    apart = gaps(preset("paper16"))

    def cycles(choice: Choice, k: int) -> int:
        images, scratch = ((apart[1], apart[1]), (apart[6], apart[4]))[choice.programs[0]]
        return 1000 - 100 * choice.programs[0] + 10 * (choice.gaps.images != images) + (choice.scratch[0] != scratch)

    assert choose(cycles, [2], monkeypatch, scratch=1)[-1] == Choice(Gaps(images=apart[6]), (apart[4],), (1,))


def test_a_program_that_slows_others_more_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twentieth less of one increment against more or less than that of another."""
    for slower, taken in ((60, 0), (40, 1)):

        def cycles(choice: Choice, k: int, slower: int = slower) -> int:
            return 1000 - 50 * choice.programs[0] if k == 0 else 1000 + slower * choice.programs[0]

        assert choose(cycles, [2, 1], monkeypatch)[-1].programs == (taken, 0)


@pytest.mark.parametrize("seed", range(8))
def test_no_result_is_slower_than_everybodys_first_program_at_the_same_places(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Cycles by chance, of every increment by all that was chosen."""
    rng, known = random.Random(seed), dict[tuple[Choice, int], int]()

    def cycles(choice: Choice, k: int) -> int:
        return known.setdefault((choice, k), rng.randint(1000, 2000))

    tried = choose(cycles, [4, 1, 6], monkeypatch)
    assert measure(cycles, tried[-1]) <= measure(cycles, replace(tried[-1], programs=(0, 0, 0)))


@pytest.mark.parametrize("scratch", [0, 100])
def test_where_there_is_one_program_none_is_tried(scratch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = choose(lambda choice, k: 1000 + hash(choice) % 1000, [1, 1, 1], monkeypatch, scratch=scratch)
    assert len(set(tried)) > 8
    assert {choice.programs for choice in tried} == {(0, 0, 0)}


def test_programs_of_a_long_increment_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def cycles(choice: Choice, k: int) -> int:
        return (MOST_CYCLES, MOST_CYCLES - 1)[k] - choice.programs[k]

    tried = choose(cycles, [3, 3], monkeypatch)
    assert {choice.programs for choice in tried} == {(0, 0), (0, 1), (0, 2)}
    assert tried[-1].programs == (0, 2)
