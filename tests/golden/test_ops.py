"""Order of operations: loads move ahead, whatever depends on each other stays in order, cut loads are whole again."""

import random
from dataclasses import replace
from unittest import mock

import pytest

from golden.mapping.layout import Runs, runs_of
from golden.mapping.ops import Cells, Emit, Op, Region, cycles_of, hoist, overlap, with_waits
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

    with mock.patch("golden.mapping.mapper.hoist", recorded):
        for _ in range(count):
            module, shape = random_network(rng, p)
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
    row, address, left = load.row, load.address, load.runs
    for part in parts:
        cut = part.instruction
        assert isinstance(cut, Load)
        left -= cut.runs
        words = p.synapses if left else load.last_words
        assert cut == replace(load, runs=cut.runs, row=row, address=address, last_words=words)
        assert part.writes == (Cells(Buffer.SB, row, row + cut.runs),)
        assert part.beats[0] == op.beats[0] + (row - load.row) * load.run_beats
        row, address = row + cut.runs, address + cut.runs * load.run_beats
    assert left == 0


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
            assert not any(depends(ops[other], op) for other in earlier)
            ahead += isinstance(op.instruction, Load) and len(earlier) > 0
        work = [op for op in ops if isinstance(op.instruction, Window | Compute)]
        assert [op for _, op in moved if isinstance(op.instruction, Window | Compute)] == work
    assert ahead > 10
    assert cut > 3


def compute(lines: int, row: int, **fields: int) -> Op:
    instruction = Compute(lines=lines, sb_row=row, rows=10, cols=10, tile=8, **fields)  # type: ignore[arg-type]
    return Op(instruction, reads=(Cells(Buffer.SB, row, row + lines),))


def weights(row: int, runs: int) -> Op:
    load = Load(buffer=Buffer.SB, address=100 * row, run_beats=2, runs=runs, length=4, last_words=3, row=row)
    span = (100 * row, 100 * row + 2 * runs)
    return Op(load, writes=(Cells(Buffer.SB, row, row + runs),), region=Region.CONSTANTS, beats=span)


def test_a_load_runs_under_the_first_compute_that_leaves_its_rows_alone() -> None:
    p = preset("small")
    first, second, third = weights(0, 4), weights(4, 4), weights(0, 2)
    on_first, on_second = compute(4, 0), compute(4, 4)
    ops = [first, on_first, on_first, second, on_second, third, compute(2, 0)]
    wanted = [first, on_first, second, on_first, on_second, third, compute(2, 0)]
    assert hoist(ops, p) == wanted


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
