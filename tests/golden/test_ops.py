"""Order of operations: loads move ahead, whatever depends on each other stays in order, cut loads are whole again."""

import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from unittest import mock

import pytest

from golden.mapping.layout import Runs, runs_of
from golden.mapping.ops import LEAST_PART, Cells, Emit, Op, Region, cycles_of, hoist, overlap, with_waits
from hw.errors import BadInput
from hw.instructions import Buffer, Compute, Load, Store, Window
from hw.params import TileParams, preset
from tests.golden.mapping_kinds import map_by_chance
from tests.golden.random_networks import increments, networks, random_network

Moved = tuple[list[Op], list[tuple[int, Op]]]  # a sequence, and behind hoist (number in it, operation or part of one)


def sequences(name: str, count: int) -> list[Moved]:
    """Sequences of random networks before and after they are hoisted."""
    p, rng = preset(name), random.Random(name)
    found: list[Moved] = []

    def recorded(ops: list[Op], params: TileParams) -> list[Op]:
        numbered = [replace(op, emit=Emit(number, *[0] * 8)) for number, op in enumerate(ops)]  # hoist keeps emits
        moved = []
        for op in hoist(numbered, params):
            assert op.emit is not None
            moved.append((op.emit.layer, replace(op, emit=ops[op.emit.layer].emit)))
        found.append((list(ops), moved))
        return [op for _, op in moved]

    # small tiles' loads would hardly be cut
    with mock.patch("golden.mapping.mapper.hoist", recorded), mock.patch("golden.mapping.ops.LEAST_BEATS", 4):
        while len(found) < count:
            module, shape = random_network(rng, p)
            with contextlib.suppress(BadInput):  # too large
                map_by_chance(networks(increments(module, (1.0,), shape), shape, p), p, rng)
    return found


def depends(before: Op, after: Op) -> bool:
    """Whether two operations touch the same cells or scratch beats, one of them writing."""
    if overlap(before.writes, after.reads + after.writes) or overlap(before.reads, after.writes):
        return True
    scratch = before.region == after.region == Region.SCRATCH
    spans = before.beats[0] < after.beats[1] and after.beats[0] < before.beats[1]
    stores = isinstance(before.instruction, Store) or isinstance(after.instruction, Store)
    return scratch and spans and stores


def check_parts(op: Op, parts: list[Op], p: TileParams) -> None:
    """The parts of a load that was cut make the whole one; anything else is there once."""
    if len(parts) == 1:
        assert parts == [op]
        return
    load = op.instruction
    assert isinstance(load, Load)
    assert load.buffer == Buffer.SB
    row, address, left, beat = load.row, load.address, load.runs, op.beats[0]
    for part in sorted(parts, key=lambda part: part.writes[0].first):  # rows that are free early may be the last ones
        cut = part.instruction
        assert isinstance(cut, Load)
        left -= cut.runs
        words = p.synapses if left else load.last_words
        assert cut == replace(load, runs=cut.runs, row=row, address=address, last_words=words)
        end = beat + cut.runs * load.run_beats if left else op.beats[1]
        wanted = replace(op, instruction=cut, writes=(Cells(Buffer.SB, row, row + cut.runs),), beats=(beat, end))
        assert part == wanted
        row, address, beat = row + cut.runs, address + cut.runs * load.run_beats, end
    assert left == 0


def check_order(moved: Sequence[tuple[int, Op]]) -> None:
    """Whatever depends on each other, whole or a part, stands in the order of its numbers."""
    for at, (number, op) in enumerate(moved):
        assert not any(depends(op, before) for other, before in moved[:at] if other > number)


@pytest.mark.parametrize("name", ["small", "odd"])
def test_what_depends_on_each_other_stays_in_order(name: str) -> None:
    p = preset(name)
    ahead = cut = 0
    for ops, moved in sequences(name, 8):
        places: list[list[int]] = [[] for _ in ops]
        for at, (number, _) in enumerate(moved):
            places[number].append(at)
        for number, op in enumerate(ops):
            check_parts(op, [moved[at][1] for at in places[number]], p)
            cut += len(places[number]) > 1
            earlier = [other for other in range(number) if places[other][-1] > places[number][0]]
            ahead += isinstance(op.instruction, Load) and len(earlier) > 0
        check_order(moved)
        work = [op for op in ops if isinstance(op.instruction, Window | Compute)]
        assert [op for _, op in moved if isinstance(op.instruction, Window | Compute)] == work
    assert ahead > 10
    assert cut > 3


def compute(lines: int, row: int, **fields: int) -> Op:
    instruction = Compute(lines=lines, sb_row=row, rows=10, cols=10, tile=8, **fields)  # type: ignore[arg-type]
    return Op(instruction, reads=(Cells(Buffer.SB, row, row + lines),))


def weights(row: int, runs: int, address: int | None = None) -> Op:
    at = 100 * row if address is None else address
    load = Load(buffer=Buffer.SB, address=at, run_beats=2, runs=runs, length=4, last_words=3, row=row)
    span = (at, at + 2 * runs)
    return Op(load, writes=(Cells(Buffer.SB, row, row + runs),), region=Region.CONSTANTS, beats=span)


def test_a_load_runs_under_the_first_compute_that_leaves_its_rows_alone() -> None:
    p = preset("small")
    first, second, third = weights(0, 4), weights(4, 4), weights(0, 2)
    on_first, on_second = compute(4, 0), compute(4, 4)
    ops = [first, on_first, on_first, second, on_second, third, compute(2, 0)]
    wanted = [first, on_first, second, on_first, on_second, third, compute(2, 0)]
    assert hoist(ops, p) == wanted


def test_what_the_second_compute_needs_is_asked_for_before_the_first() -> None:
    """It waits for its own words by then; later computes wait for their instruction only."""
    p = preset("small")
    loads = [weights(row, 4) for row in (0, 4, 8, 12, 16)]
    computes = [compute(4, row) for row in (0, 4, 8, 12)]
    ops = [loads[0], computes[0], *loads[1:3], computes[1], loads[3], computes[2], loads[4], computes[3]]
    assert hoist(ops, p) == [*loads[:3], computes[0], *loads[3:], *computes[1:]]


# -- loads of weights whose rows get free at different times -----------------------------------------------------


def part_of(op: Op, first: int, end: int) -> Op:
    """Lines [first, end) of a load that ``weights`` gives, written out: 2 beats a line, only the last one not whole."""
    load = op.instruction
    assert isinstance(load, Load)
    at = load.address + 2 * first
    cut = Load(
        buffer=Buffer.SB, address=at, run_beats=2, runs=end - first, length=4,
        last_words=3 if end == load.runs else 4, row=load.row + first,
    )  # fmt: skip
    rows = Cells(Buffer.SB, load.row + first, load.row + end)
    return Op(cut, writes=(rows,), region=Region.CONSTANTS, beats=(at, at + 2 * (end - first)))


LONG = 44  # lines of a compute under which any load runs to its end


def follows(*reads: tuple[int, int]) -> tuple[list[Op], Op]:
    """Loads of all rows, long computes each of which reads some rows, [first, end), a load of rows 4 to 19 with other
    weights, and the compute that reads those; and the load."""
    load = weights(4, 16, 7000)
    computes = [replace(compute(LONG, 0), reads=(Cells(Buffer.SB, *rows),)) for rows in reads]
    return [weights(0, 30), *computes, load, compute(16, 4)], load


def test_weights_come_as_soon_as_their_rows_are_free() -> None:
    p = preset("small")
    ops, load = follows((4, 10), (20, 30), (10, 20), (20, 30))
    first, one, two, three, four, _, last = ops
    early, late = part_of(load, 0, 6), part_of(load, 6, 16)
    assert hoist(ops, p) == [first, one, two, early, three, four, late, last]
    check_parts(load, [early, late], p)


def test_weights_at_the_end_may_come_before_those_in_front() -> None:
    p = preset("small")
    ops, load = follows((12, 20), (20, 30), (4, 8), (20, 30), (8, 12), (20, 30))
    first, *computes, _, last = ops
    parts = [part_of(load, 0, 4), part_of(load, 4, 8), part_of(load, 8, 16)]
    one, two, three, four, five, six = computes
    assert hoist(ops, p) == [first, one, two, parts[2], three, four, parts[0], five, six, parts[1], last]
    check_parts(load, parts[::-1], p)


@pytest.mark.parametrize(
    ("early", "cuts"),
    [(LEAST_PART - 1, []), (LEAST_PART, [LEAST_PART]), (16 - LEAST_PART, [16 - LEAST_PART]), (17 - LEAST_PART, [])],
)
def test_no_part_of_a_load_is_short(early: int, cuts: list[int]) -> None:
    """Few lines in front stay with those behind them, few at the end with those before them."""
    p = preset("small")
    ops, load = follows((4, 4 + early), (20, 30), (4 + early, 20), (20, 30))
    found = [op for op in hoist(ops, p) if op.beats[0] >= 7000]
    assert found == [part_of(load, first, end) for first, end in pairwise([0, *cuts, 16])]


def test_short_parts_stay_with_the_later_ones() -> None:
    """Rows that get free row by row: cuts are LEAST_PART apart, and a part comes when the last of its rows is free."""
    p = preset("small")
    ops, load = follows(*((4 + line, 5 + line) for line in range(10)), (20, 30))
    found = hoist(ops, p)
    parts = [part_of(load, 0, 4), part_of(load, 4, 8), part_of(load, 8, 16)]
    assert [op for op in found if op.beats[0] >= 7000] == parts
    # behind the compute after the last one that reads its rows
    assert [sum(isinstance(op.instruction, Compute) for op in found[: found.index(part)]) for part in parts] == [
        5,
        9,
        11,
    ]


def test_parts_that_may_come_together_are_one_load() -> None:
    """The computes that leave their rows one after the other are too short for a load."""
    p = preset("small")
    ops, load = follows((4, 10), (10, 20), (30, 44))
    first, one, two, three, _, last = ops
    assert isinstance(one.instruction, Compute)
    short = replace(one.instruction, lines=1, rows=1)
    one, two = (replace(op, instruction=short) for op in (one, two))
    assert hoist([first, one, two, three, load, last], p) == [first, one, two, three, load, last]


@pytest.mark.parametrize("runs", [LEAST_PART, 2 * LEAST_PART - 1, 16, 26])
def test_weights_whose_rows_are_free_together_come_whole(runs: int) -> None:
    p = preset("small")
    load = weights(4, runs, 7000)
    for rows in ((0, 30), (4, 4 + runs), (30, 40)):
        on = [replace(compute(LONG, 0), reads=(Cells(Buffer.SB, *at),)) for at in (rows, (40, 44))]
        ops = [weights(0, 44), *on, load, compute(runs, 4)]
        place = 1 if rows == (30, 40) else 2
        assert hoist(ops, p) == [ops[0], *on[:place], load, *on[place:], ops[-1]]


def test_maps_are_never_cut() -> None:
    p = preset("small")
    load = Op(
        Load(buffer=Buffer.NBIN, runs=16, length=1, row=0), writes=(Cells(Buffer.NBIN, 0, 16),), beats=(7000, 7016)
    )
    on = [replace(compute(LONG, 0), reads=(Cells(Buffer.NBIN, *cells),)) for cells in ((0, 8), (20, 30), (8, 16))]
    last = replace(compute(LONG, 0), reads=load.writes)
    assert hoist([*on, load, last], p) == [*on, load, last]


def test_parts_stay_in_order_with_what_touches_the_same_rows() -> None:
    """Loads and computes of any rows: cut only between rows that something before tells apart, no part short."""
    p, rng = preset("small"), random.Random(5)
    cut = 0
    for _ in range(300):
        ops = []
        for number in range(rng.randint(4, 14)):
            first = rng.randint(0, 40)
            end = rng.randint(first + 1, 44)
            rows = (Cells(Buffer.SB, first, end),)
            ops.append(
                weights(first, end - first, 1000 * number)
                if rng.random() < 0.5
                else replace(compute(100 * LONG, 0), reads=rows)  # so long that no load is cut for time
            )
        found = hoist(ops, p)
        parts: list[list[tuple[int, Op]]] = [[] for _ in ops]
        moved = []
        computes = iter([number for number, op in enumerate(ops) if isinstance(op.instruction, Compute)])
        for op in found:
            number = op.beats[0] // 1000 if op.is_transfer else next(computes)
            moved.append((number, op))
            parts[number].append((number, op))
        check_order(moved)
        for number, op in enumerate(ops):
            mine = [part for _, part in parts[number]]
            check_parts(op, mine, p)
            if len(mine) == 1:
                continue
            cut += 1
            assert min(part.instruction.runs for part in mine if isinstance(part.instruction, Load)) >= LEAST_PART
            for part in mine:
                row = part.writes[0].first
                if row > op.writes[0].first:
                    sides = [(Cells(Buffer.SB, at, at + 1),) for at in (row - 1, row)]
                    above, below = (
                        [overlap(before.reads + before.writes, side) for before in ops[:number]] for side in sides
                    )
                    assert above != below
    assert cut > 100


def test_waits_name_the_last_operation_that_touched_a_row() -> None:
    p = preset("small")
    ops = [weights(0, 4), weights(4, 4), compute(4, 0), compute(4, 4), weights(0, 4), compute(4, 0)]
    found = [op.instruction for op in with_waits(ops, p)]
    assert [getattr(i, "wait_dma", 0) for i in found] == [0, 0, 1, 2, 0, 3]
    assert [getattr(i, "wait_read", 0) for i in found] == [0, 0, 0, 0, 1, 0]


def test_cycles_are_those_of_the_engine() -> None:
    p = preset("small")  # 2 lines of 4 words of 2 bytes to a beat of 16: 5 ns, 4 ns a cycle
    assert cycles_of(compute(4, 0), p) == 401
    assert cycles_of(compute(4, 0, load_bias=1, groups=4), p) == 10 * 3 * 4 + 2
    assert cycles_of(weights(0, 4), p) == (4 * 2 + 1) * 5 / 4
    assert cycles_of(Op(Load(buffer=Buffer.NBIN, runs=3, length=5)), p) == 16 * 5 / 4


def test_transfers_are_joined_where_both_sides_go_on_without_a_break() -> None:
    def cells(found: list[Runs]) -> list[tuple[int, int]]:
        return [(r.cell + i * r.step_cells, r.beat + i * r.step_beats) for r in found for i in range(r.runs)]

    for channels in range(1, 5):
        for rows in range(1, 5):
            for plane, area in ((rows * 3, rows * 2), (rows * 3 + 1, rows * 2), (rows * 3, rows * 2 + 5)):
                found = runs_of(channels, rows, (plane, 3), (area, 2))
                wanted = [(c * plane + y * 3, c * area + y * 2) for c in range(channels) for y in range(rows)]
                assert sorted(cells(found)) == sorted(wanted)
                joined = channels == 1 or (plane == rows * 3 and area == rows * 2)
                assert len(found) == (1 if joined else min(channels, rows))
