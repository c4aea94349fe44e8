"""Window lanes against the flattened window itself: every word, every cell that is read, every edge of the map."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from hw.isa import isa
from hw.params import TileParams, preset
from hw.window import WindowLanes
from tests.hw.sim import SHAPES, elaborated, lone, plain, simulate, state_of
from tests.hw.window_model import Kernel, Row

MACHINES = [*(preset(name) for name in SHAPES), lone(groups=1)]


async def place(
    ctx: Any,
    dut: Any,
    kernel: Kernel,
    first_line: int,
    row: Row,
    pixels: int,
    columns: int,
    *,
    paired: bool = False,
    quarter: int | None = None,
    turn: int = 0,
    **commands: int,
) -> None:
    """Tick into the step at ``row`` with commands that move to it; what belongs to the step itself is set behind."""
    cell, bank, sub = kernel.origin(first_line, row)
    at = {"x": row.x, "y": row.y, "ring_y": kernel.ring_y(row.y), "cell": {"row": cell, "bank": bank}, "sub": sub}
    for name, command in commands.items():
        ctx.set(getattr(dut, name), command)
    for name, value in (("next_at", at), ("next_in_w", row.in_w), ("next_columns", columns)):
        ctx.set(getattr(dut, name), value)
    await ctx.tick()
    for name in commands:
        ctx.set(getattr(dut, name), 0)
    ctx.set(dut.next_at, {})  # nothing of the next step is seen in this one
    for name, value in (("at", at), ("in_h", row.in_h), ("pixels", pixels),
                        ("ring_rows", kernel.ring_rows), ("ring_back", kernel.ring_back),
                        ("groups", kernel.groups * (1 + paired)), ("quarter", quarter or 0), ("turn", turn),
                        # tiles without pairs, or without quarters, ignore that they are asked for
                        ("paired", paired or not kernel.p.pairs_rows),
                        ("split", quarter is not None or not kernel.p.quarter_lanes)):  # fmt: skip
        ctx.set(getattr(dut, name), value)


def random_row(rng: random.Random, kernel: Kernel) -> Row:
    space = kernel.p.banks << kernel.i.row_bits
    x, y = rng.randint(-4, 13), rng.randint(-4, 9)
    x = x if kernel.x is None else kernel.x
    return Row(rng.randrange(space), x, y, rng.randint(1, kernel.width), rng.randint(1, 12))


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_every_lane_of_every_line(p: TileParams) -> None:
    i, rng, dut = isa(p), random.Random(40), WindowLanes(isa(p))
    compared: Counter[str] = Counter()

    half = p.groups // 2

    def compare(
        ctx: Any, kernel: Kernel, line: int, lanes: int, row: Row, pixels: int, columns: int, paired: bool
    ) -> None:
        reads = kernel.reads(line, lanes, row, columns, paired and pixels > half)
        assert ctx.get(dut.banks) == sum(1 << bank for bank in reads)
        for bank, at in reads.items():
            assert ctx.get(getattr(dut, f"row_{bank}")) == at
        start, places = ctx.get(dut.start), list(ctx.get(dut.place))
        for j in range(p.groups):
            found = ctx.get(dut.lanes)[j]
            upper = paired and j >= half
            at_row, column = (replace(row, y=row.y + 1), j - half) if upper else (row, j)
            for e in range(p.synapses):
                word = kernel.word(line * kernel.taps + e, at_row, column) if e < lanes and j < pixels else None
                assert found >> e & 1 == (word is not None)
                compared["gated"] += word is None
                if word is not None:
                    at, bank, sub = word
                    assert places[e] < p.row_words
                    assert (start + places[e] + j + upper * half) % p.row_words == bank * p.cell_words + sub
                    assert reads[bank] == at
                    compared["active"] += 1
                    compared["second row"] += upper
        compared["cells"] += len(reads)
        compared["ring"] += bool(kernel.ring_rows and reads)
        compared["groups"] += pixels > 1
        compared["gap"] += bool(reads) and kernel.passes_gap(line, lanes)
        compared["gap, second row"] += paired and pixels > half and bool(reads) and kernel.passes_gap(line, lanes)

    async def bench(ctx: Any) -> None:
        for _ in range(48):
            kernel = Kernel(rng, i)
            first_line = rng.randrange(kernel.lines)
            ctx.set(dut.window, plain(i, kernel.window(first_line)))
            ctx.set(dut.set, 1)
            for name in ("advance", "rewind", "step"):
                ctx.set(getattr(dut, name), rng.getrandbits(1))
            await ctx.tick()
            ctx.set(dut.set, 0)
            ctx.set(dut.window, {})  # the block keeps its own copy
            assert ctx.get(dut.taps) == kernel.taps
            # what brings the step: the start of a compute, a line's end, the tile's next step
            commands = {"begin": 1, "advance": rng.getrandbits(1), "rewind": 0, "step": 0}
            if commands["advance"]:  # the compute before it ended with a rewind
                commands |= {"rewind": 1, "step": rng.getrandbits(1)}
            for end in (kernel.lines, rng.randint(first_line + 1, kernel.lines)):  # rewinds from the end, the middle
                for line in range(first_line, end):
                    lanes = kernel.left(line) if rng.random() < 0.8 else rng.randint(1, kernel.left(line))
                    ctx.set(dut.lanes_left, lanes)
                    for _ in range(3):  # other origins on the same line
                        row = random_row(rng, kernel)
                        paired = kernel.paired and rng.random() < 0.8
                        pixels = rng.randint(1, kernel.groups)
                        pixels += kernel.groups if paired and rng.random() < 0.8 else 0
                        words = row.x % p.cell_words + min(pixels, kernel.groups) - 1 + kernel.w
                        columns = rng.randint(-(-words // p.cell_words), kernel.columns)
                        await place(ctx, dut, kernel, first_line, row, pixels, columns, paired=paired, **commands)
                        compare(ctx, kernel, line, lanes, row, pixels, columns, paired)
                        commands = {"advance": 1}
                        if rng.random() < 0.3:  # the step waits: it stays as it is
                            ctx.set(dut.rewind, rng.getrandbits(1))
                            ctx.set(dut.step, rng.getrandbits(1))
                            await ctx.tick()
                            ctx.set(dut.rewind, 0)
                            ctx.set(dut.step, 0)
                            compare(ctx, kernel, line, lanes, row, pixels, columns, paired)
                    commands = {"advance": 1, "rewind": int(line == end - 1), "step": 1}

    simulate(dut, bench)
    for what in ("gated", "active", "cells", "ring"):
        assert compared[what] > 50, what
    assert compared["groups"] > 50 or p.groups == 1
    assert compared["gap"] > 5 or p.synapses == 2  # too few positions to pass a gap
    assert min(compared["second row"] // 10, compared["gap, second row"]) > 5 or not p.pairs_rows


def test_nothing_moves_without_a_command() -> None:
    i = isa(preset("odd"))
    rng, dut = random.Random(41), WindowLanes(i)
    fragment, found = elaborated(dut)

    async def bench(ctx: Any) -> None:
        kernel = Kernel(rng, i)
        ctx.set(dut.window, plain(i, kernel.window()))
        ctx.set(dut.set, 1)
        await ctx.tick()
        ctx.set(dut.set, 0)
        await place(ctx, dut, kernel, 0, random_row(rng, kernel), 1, 1, begin=1)
        before = state_of(ctx, found)
        for _ in range(20):
            ctx.set(dut.window, plain(i, Kernel(rng, i).window()))
            await place(ctx, dut, kernel, 0, random_row(rng, kernel), 1, 1, step=rng.getrandbits(1))
            assert state_of(ctx, found) == before
        await place(ctx, dut, kernel, 0, random_row(rng, kernel), 1, 1, advance=1, step=1)
        assert state_of(ctx, found) != before

    simulate(fragment, bench)
